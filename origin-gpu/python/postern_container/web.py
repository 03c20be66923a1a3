"""A Python function as a web endpoint: FastAPI around it, with one path, `/`.

What a caller may rely on (the package `postern` does):

    wrap(function, method="GET", docs=False)
        returns the ASGI app. The function may be plain (it runs on a thread), async, a generator of either kind, a
        bound method or an object that can be called. Parameters, bodies, dependencies, status codes and responses are
        FastAPI's. Raises nothing for a right function; a signature that FastAPI refuses is FastAPI's exception.
    import_fastapi()
        returns the module; ends the process with one line that says how to install it where it is missing.
    await allow_threads(count)
        lets so many plain functions run at once. To be called in the event loop, before it serves.

A generator's response is a stream: text and bytes go out as they are, anything else as one line of JSON. What the
generator yields first decides the content type, and an exception before it decides the status. A generator is
closed when its client leaves, and an async function cancelled. `docs` is False by default, as for Modal's fastapi_endpoint, and hides /openapi.json,
/docs and /redoc alike. CORS is the gateway's: the app adds no header for it.
"""

import functools
import inspect
import json
import typing

from .leaving import CancelledWhenLeft
from .refusals import refuse_missing

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
# RFC 8259 texts, one a line.
JSON_LINES = "application/jsonl"
# As many threads as the library behind FastAPI has by itself.
FEWEST_THREADS = 40


def import_fastapi():
    try:
        import fastapi
    except ModuleNotFoundError as error:
        if error.name != "fastapi":
            raise
        refuse_missing("fastapi", "fastapi[standard]")
    return fastapi


def wrap(function, method="GET", docs=False):
    """Returns the ASGI app that answers `method` at `/` by the function."""
    fastapi = import_fastapi()
    shown = {} if docs else {"openapi_url": None, "docs_url": None, "redoc_url": None}
    app = fastapi.FastAPI(title=name_of(function), **shown)
    handler = streaming(function) if is_generator(function) else function
    try:
        app.add_api_route("/", handler, methods=[method])
    except fastapi.exceptions.FastAPIError:
        # What the function is said to return is no model: it is sent as it is.
        app.add_api_route("/", handler, methods=[method], response_model=None)
    # A cancellation would not end what runs on a thread: the call would count as over while it goes on.
    return CancelledWhenLeft(app) if is_async(function) else app


async def allow_threads(count):
    from anyio.to_thread import current_default_thread_limiter

    current_default_thread_limiter().total_tokens = max(FEWEST_THREADS, count)


def name_of(function):
    return getattr(function, "__name__", None) or type(function).__name__


def is_generator(function):
    return is_plain_generator(function) or is_async_generator(function)


def is_plain_generator(function):
    return inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(call_of(function))


def is_async_generator(function):
    return inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(call_of(function))


def is_async(function):
    """Whether its code runs on the event loop."""
    coroutine = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call_of(function))
    return coroutine or is_async_generator(function)


def call_of(function):
    """The method that calling an object runs; of a function nothing that says more than the function."""
    return getattr(type(function), "__call__", None)


def dressed(handler, function, signature):
    """Gives a handler the name, the documentation and the parameters of the user's function, for FastAPI to read."""
    handler.__name__ = name_of(function)
    handler.__doc__ = inspect.getdoc(function)
    handler.__signature__ = signature
    return handler


def signature_of(function):
    """The signature with types in the place of their names: those of a wrapper would be looked up in this module."""
    signature = inspect.signature(function)
    annotated = function if inspect.isroutine(function) else getattr(function, "__call__", function)
    try:
        hints = typing.get_type_hints(annotated, include_extras=True)
    except Exception:
        # Names that exist for type checkers alone.
        return signature
    parameters = [
        each.replace(annotation=hints.get(each.name, each.annotation)) for each in signature.parameters.values()
    ]
    return signature.replace(
        parameters=parameters,
        return_annotation=hints.get("return", signature.return_annotation),
    )


def streaming(function):
    """A handler whose response is what the generator yields."""
    if is_async_generator(function):

        async def handler(**arguments):
            return await stream_of(function(**arguments))

    else:

        async def handler(**arguments):
            return await stream_of(OnThreads(function(**arguments)))

    signature = signature_of(function).replace(return_annotation=inspect.Signature.empty)
    return dressed(handler, function, signature)


class OnThreads:
    """A plain generator as an asynchronous one: its code runs on threads, one after the other."""

    def __init__(self, generator):
        self.generator = generator

    def __aiter__(self):
        return self

    async def __anext__(self):
        from anyio.to_thread import run_sync

        item = await run_sync(next, self.generator, END)
        if item is END:
            raise StopAsyncIteration
        return item

    async def aclose(self):
        from anyio.to_thread import run_sync

        await run_sync(self.generator.close)


END = object()


async def stream_of(generator):
    """The response that a generator makes. Its first item is awaited."""
    from fastapi.responses import Response

    try:
        first = await generator.__anext__()
    except StopAsyncIteration:
        return Response(media_type=TEXT)
    if isinstance(first, Response):
        await generator.aclose()
        return first
    media_type = TEXT if isinstance(first, str) else BYTES if is_bytes(first) else JSON_LINES
    return generator_response()(generator, first, media_type)


async def chunks_of(generator, first):
    yield encoded(first)
    async for item in generator:
        yield encoded(item)


@functools.lru_cache(maxsize=None)
def generator_response():
    """The class of responses that close their generator. FastAPI is not imported before it is needed."""
    from anyio import CancelScope
    from fastapi.responses import StreamingResponse

    class GeneratorResponse(StreamingResponse):
        def __init__(self, generator, first, media_type):
            super().__init__(chunks_of(generator, first), media_type=media_type)
            self.generator = generator

        async def __call__(self, scope, receive, send):
            try:
                await super().__call__(scope, receive, send)
            finally:
                # Here, and not when somebody collects the garbage. The request may be cancelled already.
                with CancelScope(shield=True):
                    await self.generator.aclose()

    return GeneratorResponse


def is_bytes(item):
    return isinstance(item, (bytes, bytearray, memoryview))


def encoded(item):
    if isinstance(item, str):
        return item.encode()
    if is_bytes(item):
        return bytes(item)
    from fastapi.encoders import jsonable_encoder

    text = json.dumps(jsonable_encoder(item), ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"
