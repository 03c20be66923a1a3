"""Functions and classes that the end-to-end tests name as `callable`."""

import time


def plain():
    print("plain begins", flush=True)
    time.sleep(2)
    print("plain ends", flush=True)
    return "done"


def items():
    print("items begins", flush=True)
    time.sleep(2)
    print("items ends", flush=True)
    yield "done"


class Counter:
    def enter(self):
        self.calls = 0

    def count(self, item: dict):
        self.calls += 1
        return {"calls": self.calls, "item": item}


class Model:
    def __init__(self, name: str, size: int, fast: bool, key: bytes):
        self.told = {"name": name, "size": size, "fast": fast, "key": list(key)}
        self.calls = 0

    def describe(self, word: str):
        self.calls += 1
        return {**self.told, "asked": word, "calls": self.calls}
