"""Classes that the end-to-end tests name as `callable`."""


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
