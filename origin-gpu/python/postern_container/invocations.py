"""Functions that are called with pickles, as an ASGI app: `POST /` runs a function, `POST /method` a class's method.

Nothing is unpickled before the body's signature is checked (postern/_wire.py): a pickle is code, and a program on this
machine reaches the container's port past the gateway. A function's value and its exception are the response's body;
a generator's values are a stream. An async function runs on the event loop, any other one on a thread. A caller that
leaves is an asyncio.CancelledError in the first kind, and an InputCancellation in the second.
"""

import asyncio
import concurrent.futures
import contextvars
import ctypes
import functools
import inspect
import json
import os
import signal
import sys
import threading

from postern import _wire
from postern._runtime import CURRENT_CALL, CallPlace, is_draining, stop_fetching_inputs
from postern.exception import InputCancellation, InvalidError
from postern.retries import retries_of

# Of a request's body. The gateway's own limit counts before.
MAX_BODY_BYTES = 4 * 1024**3


# uvicorn notices a signal, and closes its socket, several times in that.
UNTIL_CLOSED_SECONDS = 1

ON_THE_WAY = (os.path.dirname(os.path.abspath(__file__)), os.path.dirname(concurrent.futures.__file__))


def is_on_the_way(filename):
    """Of a traceback's frame, whether it only leads to the user's code."""
    return os.path.abspath(filename).startswith(ON_THE_WAY)


class Called:
    """A function as its callers know it."""

    def __init__(self, function, *, is_generator=False, batching=None, retries=None):
        self.function = function
        self.is_generator = is_generator
        self.batching = batching
        self.retries = retries_of(retries)
        self.batcher = None

    async def ask_batcher(self, arguments, keywords):
        if self.batcher is None:
            from .batching import Batcher

            self.batcher = Batcher(self.function, self.batching.max_batch_size, self.batching.wait_ms)
        bound = inspect.signature(self.function).bind(*arguments, **keywords)
        return await self.batcher.ask(dict(bound.arguments))


class Invocations:
    """Serves the functions of one pool by path, at the endpoint `tag`.

    `name` is the function or class as messages have it. `served` are the paths of those that are served to the web.
    `is_single_use`: after its first call the container wants no more.
    """

    def __init__(
        self, functions, threads, *, tag="", name=None, served=frozenset(), is_single_use=False, token=None
    ):
        self.is_single_use = is_single_use
        self.is_used = False
        self.functions = functions
        self.tag = tag
        self.name = tag if name is None else name
        self.served = served
        self.token = os.environ.get("POSTERN_APP_TOKEN", "") if token is None else token
        self.threads = concurrent.futures.ThreadPoolExecutor(threads, "call")

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError("functions know no " + scope["type"])
        exchange = Exchange(scope, receive, send)
        called = self.functions.get(scope["path"])
        if called is None or scope["method"] != "POST":
            if scope["path"] in self.served:
                return await exchange.refuse(400, "it makes an app for the web, which is no value: call its URL, get_web_url()")
            known = ", ".join(each.removeprefix("/") or "itself" for each in self.functions)
            return await exchange.refuse(404, f"there is no such function; {self.name} has {known}")
        body = await exchange.body()
        if body is None:
            return None
        if not _wire.is_signed(self.token, exchange.header(_wire.SIGNATURE_HEADER), scope["path"], body):
            return await exchange.refuse(401, "the call is not signed with the app's token")
        if self.is_single_use:
            if self.is_used:
                # It came while the process ends.
                return await exchange.offer_elsewhere()
            self.is_used = True
            stop_fetching_inputs()
        exchange.place = self.place_of(exchange.header("postern-call-id"), scope["path"])
        reset = CURRENT_CALL.set(exchange.place)
        try:
            await self.answer(called, body, exchange)
        finally:
            CURRENT_CALL.reset(reset)
        if self.is_single_use and exchange.has_left:
            # No response has told the agent that this container wants no more calls. The place is kept until it ends.
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(UNTIL_CLOSED_SECONDS)

    def place_of(self, call, path):
        """The call as its caller knows it too; None where no gateway has named it."""
        if not call:
            return None
        app, environment, box = (os.environ.get(f"POSTERN_{name}", "") for name in ("APP", "ENVIRONMENT", "BOX"))
        name = self.name if path == "/" else f"{self.name}.{path[1:]}"
        return CallPlace(app, environment, self.tag, name, box, call)

    async def answer(self, called, body, exchange):
        try:
            arguments, keywords = _wire.load(body, "an argument")
        except Exception as error:
            return await exchange.fail(error)
        work = asyncio.ensure_future(self.run(called, arguments, keywords, exchange))
        leaving = asyncio.ensure_future(exchange.left())
        await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not work.done():
            exchange.has_left = True
            work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            # The caller has left: nobody reads an answer.
            if asyncio.current_task().cancelling() if hasattr(asyncio.Task, "cancelling") else False:
                raise

    async def run(self, called, arguments, keywords, exchange):
        if called.is_generator:
            return await self.stream(called, arguments, keywords, exchange)
        attempt = 0
        while True:
            try:
                value = await self.value(called, arguments, keywords)
                break
            except Exception as error:
                attempt += 1
                if called.retries is None or attempt > called.retries.max_retries:
                    return await exchange.fail(error)
                await asyncio.sleep(called.retries.delay(attempt))
            except InputCancellation as error:
                return await exchange.fail(error)
        try:
            data = _wire.VALUE + _wire.dump(value, "the result")
        except Exception as error:
            return await exchange.fail(error)
        await exchange.respond(200, _wire.RESULT_TYPE, data)

    async def value(self, called, arguments, keywords):
        if called.batching is not None:
            return await called.ask_batcher(arguments, keywords)
        if inspect.iscoroutinefunction(called.function):
            return await called.function(*arguments, **keywords)
        return await self.on_thread(functools.partial(called.function, *arguments, **keywords))

    async def on_thread(self, function):
        thread = CancellableThread(function)
        context = contextvars.copy_context()
        running = asyncio.get_running_loop().run_in_executor(self.threads, context.run, thread)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            thread.cancel()
            # The place is free when the function has really ended.
            await asyncio.wait((running,))
            if not running.cancelled():
                running.exception()
            raise

    async def stream(self, called, arguments, keywords, exchange):
        try:
            generator = called.function(*arguments, **keywords)
        except Exception as error:
            return await exchange.fail(error)
        await exchange.begin(200, _wire.STREAM_TYPE)
        try:
            if hasattr(generator, "__anext__"):
                try:
                    async for value in generator:
                        await exchange.write(_wire.frame(_wire.VALUE, _wire.dump(value, "a value")))
                finally:
                    await generator.aclose()
            else:
                await self.on_thread(functools.partial(self.pump, generator, exchange, asyncio.get_running_loop()))
        except Exception as error:
            await exchange.write(_wire.frame(_wire.EXCEPTION, _wire.dump_exception(error, is_on_the_way)), is_last=True)
            return
        await exchange.write(_wire.frame(_wire.END, b""), is_last=True)

    @staticmethod
    def pump(generator, exchange, loop):
        """A plain generator runs on one thread, and waits where its caller reads slowly."""
        try:
            for value in generator:
                data = _wire.frame(_wire.VALUE, _wire.dump(value, "a value"))
                asyncio.run_coroutine_threadsafe(exchange.write(data), loop).result()
        finally:
            close = getattr(generator, "close", None)
            if close is not None:
                close()


class CancellableThread:
    """A function on a thread of the pool, in which an exception can be raised from outside."""

    def __init__(self, function):
        self.function = function
        self.lock = threading.Lock()
        self.ident = None
        self.is_cancelled = False

    def __call__(self):
        with self.lock:
            if self.is_cancelled:
                raise InputCancellation("the caller has left")
            self.ident = threading.get_ident()
        try:
            return self.function()
        except InputCancellation as error:
            # A future takes no BaseException of this kind for its own.
            raise InvalidError("cancelled") from error
        finally:
            with self.lock:
                self.ident = None

    def cancel(self):
        with self.lock:
            self.is_cancelled = True
            if self.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self.ident), ctypes.py_object(InputCancellation)
                )


class Exchange:
    """One request and its response."""

    def __init__(self, scope, receive, send):
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.receive = receive
        self.send = send
        # Its caller, before the function had ended.
        self.has_left = False
        self.place = None

    def header(self, name):
        return self.headers.get(name, "")

    async def body(self):
        """The whole body; None where the caller left before its end."""
        parts = []
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    async def left(self):
        """Returns when the caller has left."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def fail(self, error):
        if "respond-async" in self.header("prefer") and isinstance(error, Exception):
            # A call that was spawned: its caller may never ask for the result.
            print(_wire.traceback_of(error, is_on_the_way), end="", file=sys.stderr, flush=True)
        await self.respond(500, _wire.RESULT_TYPE, _wire.EXCEPTION + _wire.dump_exception(error, is_on_the_way))

    async def refuse(self, status, text):
        await self.respond(status, "text/plain; charset=utf-8", f"postern: {text}\n".encode())

    async def offer_elsewhere(self):
        """A refusal after which the caller offers the call again (postern/_invoke.py)."""
        document = {"status": 429, "code": "queue_full", "title": "This container has had its only call."}
        await self.respond(429, "application/problem+json", json.dumps(document).encode())

    async def respond(self, status, content_type, data):
        await self.begin(status, content_type, len(data))
        await self.write(data, is_last=True)

    async def begin(self, status, content_type, length=None):
        headers = [(b"content-type", content_type.encode())]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        if self.place is not None:
            headers.append((_wire.CALL_HEADER.encode(), self.place.object_id.encode()))
        if is_draining():
            headers.append((b"postern-container", b"drain"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data, is_last=False):
        await self.send({"type": "http.response.body", "body": data, "more_body": not is_last})
