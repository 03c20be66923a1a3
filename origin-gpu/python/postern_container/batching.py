"""Single calls collected into batches, for a function whose arguments are lists and which returns one list.

    Batcher(function, max_batch_size, wait_ms)
        await batcher.ask(arguments)   arguments by name; the function gets a list for each name, and the result is
                                       the element of its list at the same place
    for_web(function, max_batch_size, wait_ms)
        a handler for web.wrap: its parameters are those of the function with the elements' types

A batch begins when it is full, or `wait_ms` after its first call came, and when the one before it has ended: the
function runs once at a time. Plain functions run on one thread, always the same. A call whose asker has left is left
out of a batch that has not begun.

The function fails one call alone by an exception as the element at its place. An exception that it raises fails the
whole batch, and so does a result of another length: with BatchFailure, which a web endpoint answers with 502.
"""

import asyncio
import collections
import concurrent.futures
import inspect
import typing

from . import web


class BatchFailure(Exception):
    """The function did not return what a batch needs. The message says what is wrong."""


class Waiting:
    """One call that waits."""

    def __init__(self, arguments, has_left, arrived_at, answer):
        self.arguments = arguments
        # Awaited before its batch begins.
        self.has_left = has_left
        self.arrived_at = arrived_at
        self.answer = answer


class Batcher:
    def __init__(self, function, max_batch_size, wait_ms):
        self.function = function
        self.max_batch_size = max_batch_size
        self.wait_seconds = wait_ms / 1000
        self.waiting = collections.deque()
        self.is_full = asyncio.Event()
        self.collecting = None
        self.thread = concurrent.futures.ThreadPoolExecutor(1, "batch")

    async def ask(self, arguments, has_left=None):
        """Returns this call's element. Raises what the function made of it. A call may be cancelled."""
        loop = asyncio.get_running_loop()
        call = Waiting(arguments, has_left, loop.time(), loop.create_future())
        self.waiting.append(call)
        if len(self.waiting) >= self.max_batch_size:
            self.is_full.set()
        if self.collecting is None:
            self.collecting = loop.create_task(self.collect())
        return await call.answer

    async def collect(self):
        """Runs batches while calls wait."""
        try:
            while self.waiting:
                await self.gather()
                await self.drop_left()
                # Those that left may have made it full.
                if self.waiting and self.seconds_left() <= 0:
                    await self.run(self.take())
        finally:
            self.collecting = None

    def seconds_left(self):
        """Until the batch of the first call begins; 0 where it is full."""
        if len(self.waiting) >= self.max_batch_size:
            return 0
        return self.waiting[0].arrived_at + self.wait_seconds - asyncio.get_running_loop().time()

    async def gather(self):
        """Waits until a batch is full, or its first call has waited for long enough."""
        left = self.seconds_left()
        if left <= 0:
            return
        self.is_full.clear()
        timer = asyncio.get_running_loop().call_later(left, self.is_full.set)
        await self.is_full.wait()
        timer.cancel()

    async def drop_left(self):
        """Removes the calls of the next batch whose askers are gone."""
        checked = 0
        while checked < min(len(self.waiting), self.max_batch_size):
            call = self.waiting[checked]
            if not call.answer.done() and call.has_left is not None and await call.has_left():
                call.answer.cancel()
            if call.answer.done():
                del self.waiting[checked]
            else:
                checked += 1

    def take(self):
        return [self.waiting.popleft() for _ in range(min(len(self.waiting), self.max_batch_size))]

    async def run(self, batch):
        names = batch[0].arguments.keys()
        lists = {name: [call.arguments[name] for call in batch] for name in names}
        try:
            results = self.checked(await self.called(lists), len(batch))
        except asyncio.CancelledError:
            results = [BatchFailure("{} was cancelled".format(web.name_of(self.function)))] * len(batch)
        except Exception as error:
            results = [error] * len(batch)
        for call, result in zip(batch, results):
            if call.answer.done():
                continue
            if isinstance(result, Exception):
                call.answer.set_exception(result)
            else:
                call.answer.set_result(result)

    async def called(self, lists):
        if is_async(self.function):
            return await self.function(**lists)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, lambda: self.function(**lists))

    def checked(self, results, count):
        name = web.name_of(self.function)
        if not isinstance(results, (list, tuple)):
            raise BatchFailure("{} returned {} in the place of a list".format(name, type(results).__name__))
        if len(results) != count:
            raise BatchFailure("{} got {} calls and returned {} results".format(name, count, len(results)))
        return results


def is_async(function):
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(web.call_of(function))


def for_web(function, max_batch_size, wait_ms):
    """A handler of single calls around a function of lists."""
    fastapi = web.import_fastapi()
    batcher = Batcher(function, max_batch_size, wait_ms)

    async def handler(**arguments):
        request = arguments.pop(REQUEST)
        try:
            return await batcher.ask(arguments, request.is_disconnected)
        except asyncio.CancelledError:
            if not await request.is_disconnected():
                raise
            # RFC 9110 has no status for it, and nobody reads it.
            return fastapi.Response(status_code=499)
        except BatchFailure as error:
            raise fastapi.HTTPException(502, str(error)) from error

    signature = web.signature_of(function)
    parameters = [each.replace(annotation=element_of(each.annotation)) for each in signature.parameters.values()]
    own = inspect.Parameter(REQUEST, inspect.Parameter.KEYWORD_ONLY, annotation=fastapi.Request)
    single = signature.replace(
        parameters=[each.replace(kind=own.kind) for each in parameters] + [own],
        return_annotation=element_of(signature.return_annotation),
    )
    return web.dressed(handler, function, single)


# The handler's own parameter.
REQUEST = "postern_request_"


def element_of(annotation):
    """The type of a list's elements; none where nothing says it."""
    elements = typing.get_args(annotation)
    if len(elements) == 1 and typing.get_origin(annotation) is not None:
        return elements[0]
    return inspect.Parameter.empty
