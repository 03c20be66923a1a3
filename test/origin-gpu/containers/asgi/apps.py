"""ASGI apps in the forms that users write, and some that are none. No package is needed."""

import functools
import json


async def app(scope, receive, send):
    """Answers with what it sees of a request."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    seen = {
        "client": scope["client"][0],
        "scheme": scope["scheme"],
        "host": dict(scope["headers"])[b"host"].decode(),
        "raw_path": scope["raw_path"].decode(),
    }
    headers = [(b"content-type", b"application/json"), (b"server", b"the app's own")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


async def lifespan(receive, send):
    while True:
        message = await receive()
        print(message["type"])
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def without_lifespan(scope, receive, send):
    assert scope["type"] == "http"
    await app(scope, receive, send)


def make():
    return app


def make_with_defaults(debug=False, *, name="x"):
    return app


class Instance:
    async def __call__(self, scope, receive, send):
        await app(scope, receive, send)

    def method(self):
        return app


instance = Instance()
partial = functools.partial(Instance.__call__, instance)


async def app_of_rest(*arguments):
    await app(*arguments)


def plain_app(scope, receive, send):
    return app(scope, receive, send)


def plain_app_with_more(scope, receive, send, more=None):
    return app(scope, receive, send)


def plain_app_with_defaults(scope, receive=None, send=None):
    return app(scope, receive, send)


@functools.wraps(app)
def decorated(*arguments, **named):
    return app(*arguments, **named)


class PlainInstance:
    def __call__(self, *arguments):
        return app(*arguments)


plain_instance = PlainInstance()


class Endpoint:
    """Made for each request, and awaited."""

    def __init__(self, scope, receive, send):
        self.arguments = scope, receive, send

    def __await__(self):
        return app(*self.arguments).__await__()


def make_with_three_defaults(debug=False, routes=None, middleware=None):
    return app


def make_of_rest(*arguments, **named):
    return app


class Configurable(Instance):
    def __init__(self, debug=False, routes=None, middleware=None):
        self.debug = debug

    def make(self, one=1, two=2, three=3):
        return app


make_method = Configurable().make
partial_factory = functools.partial(make_of_rest, True)
partial_class = functools.partial(Configurable, debug=True)


def needs_settings(settings, one=1, two=2):
    return app


class NeedsSettings(Instance):
    def __init__(self, settings, one=1, two=2):
        pass


class Holder:
    nested = Instance()


async def failing_startup(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no GPU here"})


def raising():
    raise RuntimeError("no GPU here")


def raising_at_length():
    raise RuntimeError("no GPU here \nrun this:\n\nget-gpu\n")


def leaving():
    raise SystemExit(0)


async def make_async():
    return app


def make_nothing():
    return None


def wsgi(environ, start_response):
    return []


def make_wsgi():
    return wsgi


def four_arguments(one, two, three, four):
    return app


number = 3


async def stateful(scope, receive, send):
    """Answers with what its lifespan put into the state, with what a request added, and with what the server offers."""
    if scope["type"] == "lifespan":
        scope["state"]["loaded"] = ["model"]
        return await lifespan(receive, send)
    scope["state"]["added"] = scope["query_string"].decode()
    scope["state"]["loaded"].append(scope["query_string"].decode())
    seen = {"state": scope["state"], "extensions": scope.get("extensions") or {}}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})
