"""Functions and a class that Postern makes web endpoints of."""

import time


def square(x: int):
    return {"square": x**2}


def countdown(start: int = 5):
    for number in range(start, 0, -1):
        yield f"{number}\n"
        time.sleep(0.5)


def embed(texts: list[str]) -> list[list[float]]:
    """One call of a model for many texts is cheaper than many calls."""
    return [[float(len(text)), float(text.count(" "))] for text in texts]


class Greeter:
    def __init__(self, language: str):
        self.language = language

    def enter(self):
        """Loads what all requests share."""
        self.words = {"en": "Hello", "fr": "Bonjour", "de": "Hallo"}

    def greet(self, name: str = "you"):
        return f"{self.words.get(self.language, 'Hi')}, {name}"
