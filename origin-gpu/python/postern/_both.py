"""One operation in two ways: called, it blocks; by `.aio` it is awaited or iterated in an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: Blocking calls of event loops, each on a thread of its own. asyncio's own threads are fewer than the cores suggest.
_MAX_THREADS = 256

#: Values that a generator may be ahead of its reader.
_AHEAD = 16

_threads: ThreadPoolExecutor | None = None


def _executor() -> ThreadPoolExecutor:
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="postern")
    return _threads


async def in_thread(function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
    """Runs a blocking function without blocking the event loop."""
    context = contextvars.copy_context()
    run = functools.partial(context.run, function, *arguments, **keywords)
    return await asyncio.get_running_loop().run_in_executor(_executor(), run)


class Both(Generic[P, R]):
    """A blocking function with its awaitable form."""

    def __init__(self, blocking: Callable[P, R]) -> None:
        self._blocking = blocking
        self.__doc__ = blocking.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._blocking(*args, **kwargs)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        """The same, awaited."""
        return in_thread(self._blocking, *args, **kwargs)


class BothLocal(Both[P, Any]):
    """A function of the user's, which may be asynchronous itself."""

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Its value; a blocking one runs on a thread."""
        value = await in_thread(self._blocking, *args, **kwargs)
        return await value if inspect.isawaitable(value) else value


class BothIterators(Generic[P, R]):
    """A function that returns an iterator, with its asynchronous form."""

    def __init__(self, blocking: Callable[P, Iterator[R]]) -> None:
        self._blocking = blocking
        self.__doc__ = blocking.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self._blocking(*args, **kwargs)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        """The same, by `async for`."""
        return aiter_of(self._blocking(*args, **kwargs))


class BothContexts(Generic[P, R]):
    """A function that returns a context manager: for `with`, and for `async with` likewise."""

    def __init__(self, function: Callable[P, AbstractContextManager[R]]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> BothContext[R]:
        return BothContext(self._function(*args, **kwargs))


class BothContext(Generic[R]):
    """A block that begins and ends on a thread where it is asynchronous."""

    def __init__(self, context: AbstractContextManager[R]) -> None:
        self._context = context

    def __enter__(self) -> R:
        return self._context.__enter__()

    def __exit__(self, *error: Any) -> bool | None:
        return self._context.__exit__(*error)

    async def __aenter__(self) -> R:
        return await in_thread(self._context.__enter__)

    async def __aexit__(self, *error: Any) -> bool | None:
        return await in_thread(self._context.__exit__, *error)


async def aiter_of(iterator: Iterator[R]) -> AsyncIterator[R]:
    """Reads a blocking iterator on a thread. Where the reader leaves, the iterator is closed."""
    loop = asyncio.get_running_loop()
    values: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)
    left = threading.Event()

    def tell(kind: str, value: Any) -> None:
        try:
            loop.call_soon_threadsafe(values.put_nowait, (kind, value))
        except RuntimeError:
            left.set()

    def read() -> None:
        try:
            for value in iterator:
                tell("value", value)
                room.acquire()
                if left.is_set():
                    break
            tell("end", None)
        except BaseException as error:
            tell("error", error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    threading.Thread(target=contextvars.copy_context().run, args=(read,), daemon=True).start()
    try:
        while True:
            kind, value = await values.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
            room.release()
    finally:
        left.set()
        room.release()


def results_in_turn(jobs: Iterator[Callable[[], T]], workers: int, ordered: bool) -> Iterator[T]:
    """Runs jobs on at most so many threads, and yields their results: in the jobs' order, or as they come.

    No job is begun that has not a thread; results that wait for an earlier one are bounded by that too. An exception
    of a job is raised in its turn, and no further job begins then.
    """
    done: queue.Queue[tuple[int, bool, Any]] = queue.Queue()
    stopped = threading.Event()
    started = running = 0
    waiting: dict[int, tuple[bool, Any]] = {}
    next_index = 0
    context = contextvars.copy_context()

    def run(index: int, job: Callable[[], T]) -> None:
        if stopped.is_set():
            done.put((index, False, None))
            return
        try:
            done.put((index, True, job()))
        except BaseException as error:
            done.put((index, False, error))

    threads = ThreadPoolExecutor(workers, thread_name_prefix="postern-map")
    try:
        exhausted = False
        while True:
            while not exhausted and running < workers and len(waiting) < 4 * workers:
                job = next(jobs, None)
                if job is None:
                    exhausted = True
                    break
                threads.submit(context.copy().run, run, started, job)
                started += 1
                running += 1
            if running == 0 and not waiting:
                return
            if running > 0:
                index, succeeded, value = done.get()
                running -= 1
                waiting[index] = (succeeded, value)
            ready = [next_index] if ordered else list(waiting)
            while ready:
                index = ready.pop(0)
                if index not in waiting:
                    continue
                succeeded, value = waiting.pop(index)
                next_index += 1
                if not succeeded:
                    raise value
                yield value
                if ordered:
                    ready.append(next_index)
    finally:
        stopped.set()
        threads.shutdown(wait=False, cancel_futures=True)
