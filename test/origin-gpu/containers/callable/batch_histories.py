"""Random histories of calls at a Batcher, in virtual time. Usage: batch_histories.py SEED COUNT

Prints nothing where each call got what belongs to it; otherwise the seed of the history and what was wrong.
"""

import asyncio
import math
import random
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[4] / "origin-gpu" / "python"))

from postern_container.batching import Batcher, BatchFailure  # noqa: E402


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes where nothing else is to be done."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        select = self._selector.select
        self._selector.select = lambda timeout=None: self.pass_time(timeout) or select(0)

    def pass_time(self, timeout):
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will come")
        self.now += timeout

    def time(self):
        return self.now


class History:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.size = self.random.randint(1, 6)
        self.wait_ms = self.random.choice([0, 1, 20, 100])
        self.batcher = Batcher(self.answer, self.size, self.wait_ms)
        # When calls left; those that are cancelled have no time.
        self.left = {}
        # What each call that ran was to get: its value, or an exception.
        self.outcomes = {}
        self.is_running = False
        self.began = {}

    async def answer(self, xs, ys):
        assert not self.is_running, "two batches at once"
        assert len(xs) == len(ys) and 1 <= len(xs) <= self.size, "a batch of the wrong size"
        now = asyncio.get_running_loop().time()
        assert all(self.left.get(x, now) >= now for x in xs), "a call that had left was run"
        self.began.update((x, now) for x in xs)
        self.is_running = True
        await asyncio.sleep(self.random.choice([0, 0.001, 0.05, 0.3]))
        self.is_running = False
        kind = self.random.random()
        if kind < 0.1:
            error = LookupError("all of it")
            self.outcomes.update((x, error) for x in xs)
            raise error
        if kind < 0.2:
            self.outcomes.update((x, BatchFailure()) for x in xs)
            return self.random.choice([xs + [0], xs[1:], "text", None, {"a": 1}])
        results = [ValueError(x) if self.random.random() < 0.1 else (x, y) for x, y in zip(xs, ys)]
        self.outcomes.update(zip(xs, results))
        return tuple(results) if self.random.random() < 0.3 else results

    async def call(self, x):
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.random.choice([0, 0.001, 0.01, 0.1]) * self.random.randint(0, 9))
        asked_at = loop.time()

        async def has_left():
            await asyncio.sleep(0)
            return self.left.get(x, math.inf) < math.inf

        leaves = self.random.random()
        if leaves < 0.1:
            loop.call_later(self.random.random() * 0.1, self.leave, x)
        asking = loop.create_task(self.batcher.ask({"xs": x, "ys": -x}, has_left))
        if leaves > 0.95:
            self.left[x] = math.inf
            loop.call_later(self.random.random() * 0.1, asking.cancel)
        await asyncio.wait([asking])
        self.check(x, asking, asked_at)

    def leave(self, x):
        self.left[x] = asyncio.get_running_loop().time()

    def check(self, x, asking, asked_at):
        expected = self.outcomes.get(x)
        if asking.cancelled():
            assert x in self.left, "a call was dropped"
            return
        error = asking.exception()
        if isinstance(expected, BatchFailure):
            assert isinstance(error, BatchFailure), "a wrong result was taken"
        elif isinstance(expected, Exception):
            assert error is expected, "an error of another call"
        else:
            assert error is None and asking.result() == expected == (x, -x), "an answer of another call"
        assert self.began[x] >= asked_at, "it ran before it was asked"

    async def run(self):
        calls = [self.call(x) for x in range(1, self.random.randint(2, 25))]
        await asyncio.gather(*calls)
        # A batch may wait for calls that were cancelled.
        await asyncio.sleep(1)
        assert not self.batcher.waiting and self.batcher.collecting is None, "something is left over"


def main():
    first, count = int(sys.argv[1]), int(sys.argv[2])
    for seed in range(first, first + count):
        loop = VirtualLoop()
        try:
            loop.run_until_complete(History(seed).run())
        except Exception:
            print("history {}".format(seed))
            traceback.print_exc(file=sys.stdout)
            return
        finally:
            loop.close()


main()
