"""Functions, objects and classes that a `callable` may name, and some that it may not."""

from __future__ import annotations

import asyncio
import threading
import time

import postern
from fastapi import HTTPException, Request, Response
from pydantic import BaseModel

number = 3
both = threading.Barrier(2, timeout=10)


def square(x: int):
    """The square of a number."""
    return {"square": x**2, "thread": threading.current_thread() is not threading.main_thread()}


async def asynchronous(x: int = 2):
    return {"square": x**2, "thread": threading.current_thread() is not threading.main_thread()}


class Item(BaseModel):
    name: str
    count: int = 42


def order(item: Item, request: Request) -> Item:
    item.count += 1
    return item


def annotated() -> threading.Lock:
    """What it is said to return is no model."""
    return {"said": "otherwise"}


def meet():
    """Answers when two of its requests are here."""
    both.wait()
    return "met"


def items(kind: str):
    if kind == "text":
        yield from ("hello ", "you")
    elif kind == "bytes":
        yield b"\x00\xff"
    elif kind == "values":
        yield {"number": 1}
        yield ["é"]
    elif kind == "response":
        yield Response(status_code=204, headers={"x-early": "yes"})
    elif kind == "refused":
        raise HTTPException(422, "not this")
    elif kind == "breaking":
        yield "half"
        raise RuntimeError("no GPU here")
    elif kind == "endless":
        try:
            while True:
                yield "data: x\n\n"
                time.sleep(0.01)
        finally:
            print("closed endless")


async def numbers(count: int):
    try:
        if count < 0:
            raise HTTPException(422, "not this")
        for number in range(count):
            yield {"number": number}
            await asyncio.sleep(0.01)
    finally:
        print("closed numbers")


async def waiting(request: Request, reads: bool = False):
    if reads:
        print("read", len(await request.body()))
    try:
        print("waits")
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print("cancelled")
        raise


class Model:
    made = 0

    def __init__(self):
        Model.made += 1
        self.events = ["init"]

    def enter(self):
        self.events.append("enter")

    @postern.enter()
    async def prepare(self):
        await asyncio.sleep(0)
        self.events.append("prepare")

    def __call__(self):
        return {"events": self.events, "made": Model.made}

    def predict(self, x: int = 1):
        return x + 1

    def stream(self):
        yield "from "
        yield "a method"

    def exit(self):
        print("exit")
        raise RuntimeError("a hook that fails")

    @postern.exit()
    async def finish(self):
        print("finish")


class Decorated:
    async def unrelated(self):
        return "no"

    @postern.fastapi_endpoint(method="POST", docs=True)
    def answer(self, text: str):
        return {"text": text}

    @postern.method()
    def again(self, text: str):
        return text * 2

    def enter(self, needs_something):
        raise AssertionError("it is no hook: it needs an argument")


class Two(Decorated):
    @postern.fastapi_endpoint()
    def other(self):
        return 1


class Silent:
    def enter(self):
        pass

    def predict(self):
        return 1


class Failing:
    def enter(self):
        raise RuntimeError("no GPU here")

    def __call__(self):
        return 1


class NeedsSettings:
    def __init__(self, settings):
        pass


class Instance:
    def __call__(self, x: int = 5):
        return x

    @staticmethod
    def static(x: int = 6):
        yield str(x)


instance = Instance()


def halves(xs: list[int], names: list[str] = "nobody") -> list[dict]:
    """Tells each call of its batch; says no to some."""
    if 13 in xs:
        return xs[1:]
    if 14 in xs:
        raise HTTPException(503, "not now")
    return [
        HTTPException(404, "no zero") if x == 0 else {"half": x / 2, "name": name, "of": sorted(xs)}
        for x, name in zip(xs, names)
    ]


class Batched:
    @postern.fastapi_endpoint(method="POST")
    @postern.batched(max_batch_size=2, wait_ms=10_000)
    async def items(self, items: list[Item]):
        return [item.name for item in items]


@postern.fastapi_endpoint(method="POST")
def twice(text: str):
    return text * 2
