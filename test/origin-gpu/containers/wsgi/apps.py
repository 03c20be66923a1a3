"""WSGI apps in the forms that users write, one that misbehaves on demand, and some that are none."""

import functools
import json
import sys
import threading
import time


def app(environ, start_response):
    """Answers with what it sees of a request."""
    seen = {name: value for name, value in environ.items() if isinstance(value, (str, bool))}
    start_response("200 OK", [("Content-Type", "application/json"), ("Server", "the app's own")])
    return [json.dumps(seen).encode()]


def make():
    return app


def make_with_defaults(debug=False, name="x"):
    return app


class Instance:
    def __call__(self, environ, start_response):
        return app(environ, start_response)


instance = Instance()
partial = functools.partial(Instance.__call__, instance)


class Iterated:
    """Made for each request, and iterated."""

    def __init__(self, environ, start_response):
        self.result = app(environ, start_response)

    def __iter__(self):
        return iter(self.result)


def asgi(scope, receive, send):
    return None


class NeedsSettings(Instance):
    def __init__(self, settings):
        pass


async def make_async():
    return app


def four_arguments(one, two, three, four):
    return app


number = 3


class Told:
    """The iterable of a response, which tells when it is closed."""

    def __init__(self, name, chunks):
        self.name = name
        self.chunks = chunks

    def __iter__(self):
        return iter(self.chunks)

    def close(self):
        print("closed " + self.name)


both = threading.Barrier(2, timeout=10)
running = []
most_running = []


def cases(environ, start_response):
    case = environ["PATH_INFO"][1:]
    return CASES[case](environ, start_response)


def echo(environ, start_response):
    """Each piece goes back as soon as it is here."""
    start_response("200 OK", [])
    source = environ["wsgi.input"]

    def pieces():
        while piece := source.read1(65536):
            yield piece
        yield b"|end"

    return Told("echo", pieces())


def lines(environ, start_response):
    start_response("200 OK", [])
    first = environ["wsgi.input"].readline()
    rest = environ["wsgi.input"].read()
    return [json.dumps([first.decode(), len(rest), environ.get("CONTENT_LENGTH")]).encode()]


def upload(environ, start_response):
    """Reads all of it, and tells how that went."""
    try:
        size = len(environ["wsgi.input"].read())
    except ConnectionError as error:
        print("upload failed: " + str(error))
        raise
    print("upload whole: {}".format(size))
    start_response("200 OK", [])
    return [b"ok"]


def endless(environ, start_response):
    """Reads nothing of its body, and writes for as long as somebody is there."""
    start_response("200 OK", [("Content-Type", "text/event-stream")])

    def events():
        while True:
            yield b"data: x\n\n"
            time.sleep(0.01)

    return Told("endless", events())


def raising(environ, start_response):
    start_response("200 OK", [])

    def chunks():
        yield b"half"
        raise RuntimeError("no GPU here")

    return Told("raising", chunks())


def failing(environ, start_response):
    raise RuntimeError("no GPU here")


def leaving(environ, start_response):
    sys.exit(3)


def late_error(environ, start_response):
    """Another head in the place of one that was not sent."""
    start_response("200 OK", [])
    try:
        raise RuntimeError("no GPU here")
    except RuntimeError:
        start_response("503 Service Unavailable", [("X-Error", "yes")], sys.exc_info())
    return [b"sorry"]


def too_late_error(environ, start_response):
    write = start_response("200 OK", [])
    write(b"begun")
    try:
        raise RuntimeError("the head has been sent")
    except RuntimeError:
        start_response("503 Service Unavailable", [], sys.exc_info())
    return []


def twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


def silent(environ, start_response):
    return [b"no head"]


def written(environ, start_response):
    write = start_response("201 Created", [("X-A", "1"), ("X-A", "2")])
    write(b"one ")
    write(b"two ")
    return [b"three"]


def late_head(environ, start_response):
    """start_response comes with the first item."""
    start_response("202 Accepted", [])
    yield b""
    yield b"late"


def empty(environ, start_response):
    start_response("200 OK", [])
    return []


def no_content(environ, start_response):
    start_response("204 No Content", [])
    return [b"not to be seen"]


def padded(environ, start_response):
    # As Django gives its cookies.
    start_response("200 OK", [("Set-Cookie", " a=b; Path=/ \t"), ("Content-Length", "0")])
    return []


def text(environ, start_response):
    start_response("200 OK", [])
    return ["text"]


def file(environ, start_response):
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def meet(environ, start_response):
    """Answers when two requests are here."""
    both.wait()
    return app(environ, start_response)


def count(environ, start_response):
    """Tells how many of its requests ran at the same time."""
    running.append(1)
    most_running.append(len(running))
    time.sleep(0.05)
    running.pop()
    start_response("200 OK", [])
    return [str(max(most_running)).encode()]


CASES = {
    "echo": echo,
    "lines": lines,
    "upload": upload,
    "endless": endless,
    "raising": raising,
    "failing": failing,
    "leaving": leaving,
    "late-error": late_error,
    "too-late-error": too_late_error,
    "twice": twice,
    "silent": silent,
    "written": written,
    "late-head": late_head,
    "empty": empty,
    "no-content": no_content,
    "padded": padded,
    "text": text,
    "file": file,
    "meet": meet,
    "count": count,
}
