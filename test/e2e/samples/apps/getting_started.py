"""Hello World, its asynchronous form, Get Started, both samples of generators, and Parallel Execution."""

import asyncio
import sys
import time

import postern as modal

app = modal.App("example-getting-started")


@app.function()
def f(i: int) -> int:
    print("hello" if i % 2 == 0 else "world", i, file=sys.stdout if i % 2 == 0 else sys.stderr)
    return i * i


@app.function()
async def square(x: int) -> int:
    print("This code is running on a remote worker!")
    return x**2


@app.function()
def count(to: int):
    for i in range(to):
        yield i
        time.sleep(0.01)


@app.function()
async def count_slowly(to: int):
    for i in range(to):
        yield i
        await asyncio.sleep(0.01)


@app.function()
async def step(word: str, repeat: int = 0) -> str:
    await asyncio.sleep(0.1)
    return word * (repeat or 1)


@app.local_entrypoint()
async def main():
    print(f.local(1000), await f.remote.aio(1000), sum(f.map(range(200))))
    print(sum([each async for each in f.map.aio(range(20))]), await square.remote.aio(42))
    print(*count.remote_gen(4), *[each async for each in count_slowly.remote_gen.aio(4)])
    print(await asyncio.gather(step.remote.aio("foo"), step.remote.aio("bar", 2)))
    print(modal.FunctionCall.gather(step.spawn("foo"), step.spawn("bar")))
