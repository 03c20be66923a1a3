"""Functions and classes that the end-to-end tests name as `callable`."""

import time


def square(x: int):
    return {"square": x**2}


def countdown(start: int):
    for number in range(start, 0, -1):
        yield f"{number}\n"
        time.sleep(0.1)


class Counter:
    def enter(self):
        self.calls = 0

    def count(self, item: dict):
        self.calls += 1
        return {"calls": self.calls, "item": item}
