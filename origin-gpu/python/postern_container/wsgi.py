"""WSGI apps (PEP 3333) as an ASGI app: each request on a thread, with streams in both directions.

    WsgiApp(app, threads)   what uvicorn serves

A container has only what its user installed, and the middlewares that exist (uvicorn's, a2wsgi) would be one more
package in each of their environments. uvicorn's holds a whole request body back; neither gives the app the public
host as SERVER_NAME, the path's bytes as they came, or a sign that the client has left. Hence this module.

A client that leaves is a ConnectionError at the app's next read or write: no thread can be ended from outside, and
an app that neither reads nor writes ends in its own time. The iterable's close() is called in each case.
"""

import asyncio
import concurrent.futures
import contextvars
import inspect
import io
import sys
import threading
import urllib.parse
import wsgiref.util

from .refusals import refuse
from .targets import import_target, make, positional_names, takes

# Of a request's body, what is read before the app asks for it. Beyond it the client is held back.
MOST_READ_AHEAD_BYTES = 256 * 1024
READ_BYTES = 64 * 1024
# RFC 9110, 6.4.1: what an app writes as their body would be read as the next response.
STATUSES_WITHOUT_BODY = (204, 304)
DEFAULT_PORTS = {"http": "80", "https": "443"}


class ClientLeft(ConnectionError):
    """The client has closed its connection: nobody reads a response, and no more of the body comes."""


class WsgiApp:
    """Serves a WSGI app. Requests of the agent itself, which are no calls, have a thread of their own."""

    def __init__(self, app, threads):
        self.app = app
        self.threads = threads
        self.calls = concurrent.futures.ThreadPoolExecutor(threads, "call")
        self.questions = concurrent.futures.ThreadPoolExecutor(1, "question")

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            await self.serve(scope, receive, send)
        elif scope["type"] == "websocket":
            # The agent refuses them before; 403 is what this closes with.
            await receive()
            await send({"type": "websocket.close", "code": 1011})
        else:
            raise NotImplementedError("WSGI knows no " + scope["type"])

    async def serve(self, scope, receive, send):
        loop = asyncio.get_running_loop()
        body = RequestBody(loop)
        environ = environ_of(scope, io.BufferedReader(body, READ_BYTES), is_multithreaded=self.threads > 1)
        exchange = Exchange(loop, send, body, scope["method"])
        reading = loop.create_task(body.pump(receive))
        is_call = any(name == b"postern-call-id" for name, _ in scope["headers"])
        run = contextvars.copy_context().run
        try:
            work = loop.run_in_executor(self.calls if is_call else self.questions, run, exchange.run, self.app, environ)
            await work
        finally:
            reading.cancel()
            body.leave()


def environ_of(scope, body, is_multithreaded):
    """PEP 3333, "environ Variables". Text is bytes read as Latin-1."""
    raw_path = scope["raw_path"]
    query = scope["query_string"].decode("latin-1")
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": urllib.parse.unquote_to_bytes(raw_path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": raw_path.decode("latin-1") + ("?" + query if query else ""),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "SERVER_SOFTWARE": "postern",
        "REMOTE_ADDR": scope["client"][0] if scope.get("client") else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        # The input ends where the body does, also where no Content-Length says where that is.
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": is_multithreaded,
        # The endpoint may have other containers.
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": wsgiref.util.FileWrapper,
    }
    environ["RAW_URI"] = environ["REQUEST_URI"]
    for name, value in scope["headers"]:
        add_header(environ, name.decode("latin-1"), value.decode("latin-1"))
    host, port = split_host(environ.get("HTTP_HOST", ""))
    environ["SERVER_NAME"] = host
    environ["SERVER_PORT"] = port or DEFAULT_PORTS.get(scope["scheme"], "80")
    return environ


def add_header(environ, name, value):
    if "_" in name:
        # It would become the same variable as a name with a dash, which the gateway may have written.
        return
    variable = name.upper().replace("-", "_")
    if variable not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        variable = "HTTP_" + variable
    if variable in environ:
        value = environ[variable] + ("; " if variable == "HTTP_COOKIE" else ",") + value
    environ[variable] = value


def split_host(host):
    """Name and port of a Host, which may be an IPv6 literal; the port may be empty."""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and port.isdigit() else (host, "")


class RequestBody(io.RawIOBase):
    """The request's body, read by the app's thread while the event loop receives it."""

    def __init__(self, loop):
        self.loop = loop
        self.changed = threading.Condition()
        self.chunks = []
        self.size = 0
        self.is_whole = False
        self.is_left = False
        self.has_room = asyncio.Event()
        self.has_room.set()

    async def pump(self, receive):
        """Receives until the client leaves: an app that writes nothing learns it by that."""
        while True:
            await self.has_room.wait()
            message = await receive()
            if message["type"] != "http.request":
                self.leave()
                return
            with self.changed:
                self.chunks.append(memoryview(message.get("body", b"")))
                self.size += len(self.chunks[-1])
                self.is_whole = not message.get("more_body", False)
                if self.size > MOST_READ_AHEAD_BYTES and not self.is_whole:
                    self.has_room.clear()
                self.changed.notify()

    def leave(self):
        """The client has left, or the request is over."""
        with self.changed:
            self.is_left = True
            self.changed.notify()

    def readable(self):
        return True

    def readinto(self, buffer):
        with self.changed:
            while self.size == 0 and not self.is_whole:
                if self.is_left:
                    raise ClientLeft("the request's body did not arrive whole")
                self.changed.wait()
            if self.size == 0:
                return 0
            while len(self.chunks[0]) == 0:
                self.chunks.pop(0)
            count = min(len(buffer), len(self.chunks[0]))
            buffer[:count] = self.chunks[0][:count]
            self.chunks[0] = self.chunks[0][count:]
            self.size -= count
            is_due = not self.has_room.is_set() and self.size <= MOST_READ_AHEAD_BYTES
        if is_due:
            self.loop.call_soon_threadsafe(self.has_room.set)
        return count


class Exchange:
    """One request and its response, on the app's thread."""

    def __init__(self, loop, send, body, method):
        self.loop = loop
        self.send = send
        self.body = body
        self.method = method
        # Status and header lines, as start_response gave them.
        self.head = None
        self.is_begun = False

    def run(self, app, environ):
        try:
            self.respond(app, environ)
        except ClientLeft:
            # Nobody is there to be told.
            pass
        except SystemExit as error:
            # It would end the whole container, with the calls of others.
            raise RuntimeError("the app called sys.exit({})".format(error.code)) from error

    def respond(self, app, environ):
        result = app(environ, self.start_response)
        try:
            chunks = iter(result)
            is_single = isinstance(result, (list, tuple)) and len(result) == 1
            for chunk in chunks:
                if chunk:
                    self.write(chunk, is_last=is_single)
                    if is_single:
                        return
            self.write(b"", is_last=True)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def start_response(self, status, headers, exc_info=None):
        if exc_info:
            try:
                if self.is_begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.head is not None:
            raise AssertionError("start_response was called twice, the second time without exc_info")
        self.head = (status_of(status), [header_of(each) for each in headers])
        return self.write

    def write(self, chunk, is_last=False):
        if not isinstance(chunk, bytes):
            raise TypeError("the app gave {} in the place of bytes".format(type(chunk).__name__))
        if self.head is None:
            raise AssertionError("the app wrote before it called start_response")
        if self.body.is_left:
            raise ClientLeft("the client has left")
        status, headers = self.head
        if status in STATUSES_WITHOUT_BODY:
            chunk = b""
        messages = []
        if not self.is_begun:
            self.is_begun = True
            if is_last and chunk and self.method != "HEAD":
                if not any(name == b"content-length" for name, _ in headers):
                    headers.append((b"content-length", str(len(chunk)).encode()))
            messages.append({"type": "http.response.start", "status": status, "headers": headers})
        messages.append({"type": "http.response.body", "body": chunk, "more_body": not is_last})
        # A client that reads slowly holds the app back here.
        asyncio.run_coroutine_threadsafe(self.send_all(messages), self.loop).result()

    async def send_all(self, messages):
        for message in messages:
            await self.send(message)


def status_of(status):
    if not isinstance(status, str) or not (status[:3].isdigit() and status[3:4] in ("", " ")):
        raise ValueError("the app's status is {!r}, and must be such as '200 OK'".format(status))
    return int(status[:3])


def header_of(pair):
    name, value = pair
    if not (isinstance(name, str) and isinstance(value, str)):
        raise TypeError("the app's header {!r} is not text".format(pair))
    # RFC 9110, 5.5: blanks around a value are none of it. Django's cookies begin with one, which h11 refuses.
    return name.lower().encode("latin-1"), value.strip(" \t").encode("latin-1")


def find_app(target):
    """Returns the WSGI app that the target is, or makes when it is called without arguments."""
    found = import_target(target)
    if callable(found):
        if is_app(found):
            return found
        if takes(found, 0):
            app = make(target, found)
            if callable(app) and is_app(app):
                return app
            refuse(not_an_app("{}()".format(target), app))
    refuse(not_an_app(target, found))


def is_app(found):
    """Whether a callable is a WSGI app. Factories with optional parameters can be called with two arguments too.

    A class is one where iterating its instance gives the response. An object that takes two arguments is one. Of
    functions those are that need the two, or that call the first one environ.
    """
    if not takes(found, 2, unknown=True) or inspect.iscoroutinefunction(found):
        return False
    if inspect.isclass(found):
        return hasattr(found, "__iter__")
    if not inspect.isroutine(found):
        return True
    names = positional_names(found)
    if names is None:
        return True
    needed, every = names
    return len(needed) == 2 or every[0] in ("environ", "env")


def not_an_app(name, found):
    if callable(found) and takes(found, 3) and not takes(found, 2):
        return '{} looks like an ASGI app: write asgi = "…" in the place of wsgi'.format(name)
    if inspect.isclass(found):
        return "{} is a class that needs arguments; name an instance, or a function that makes one".format(name)
    if inspect.isroutine(found):
        return "{} is neither a WSGI app nor a function without arguments".format(name)
    return "{} is of type {} and not a WSGI app".format(name, type(found).__name__)
