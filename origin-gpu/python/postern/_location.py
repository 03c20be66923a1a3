"""Where the user's code stands, for messages; and what is wrong with it, all problems at once where somebody collects."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from .exception import InvalidError

D = TypeVar("D", bound=Callable[..., Any])

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    line: int


@dataclass(frozen=True)
class Problem:
    """One mistake, where it stands."""

    place: Place
    message: str


@dataclass(frozen=True)
class Notice:
    """Something that is said and goes on."""

    place: Place
    message: str


class Findings:
    """What describing an app has found so far. Without a collector, a problem is an exception."""

    def __init__(self) -> None:
        self.problems: list[Problem] | None = None
        self.notices: list[Notice] = []

    def collect(self) -> list[Problem]:
        """From now on problems are kept in the returned list, and the code goes on."""
        self.problems = []
        return self.problems


findings = Findings()


#: Where the decorator that is at work was made.
_decorator: ContextVar[Place | None] = ContextVar("decorator", default=None)


def user_place() -> Place:
    """The line of the decorator that is at work, else the innermost one of code that is not this package's."""
    place = _decorator.get()
    if place is not None:
        return place
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def placed(decorate: D) -> D:
    """A decorator whose findings stand where this is called. Python before 3.11 calls it at the line of its function."""
    place = user_place()

    @functools.wraps(decorate)
    def decorate_there(decorated: Any) -> Any:
        token = _decorator.set(place)
        try:
            return decorate(decorated)
        finally:
            _decorator.reset(token)

    return cast("D", decorate_there)


def refuse(message: str, error: type[InvalidError] = InvalidError, place: Place | None = None) -> None:
    """Reports what is wrong with the app's code: raises it, unless an app is being described."""
    if findings.problems is None:
        raise error(message)
    findings.problems.append(Problem(place or user_place(), message))


def notice(message: str, place: Place | None = None) -> None:
    """Says what has no effect here. The command prints it once, when it describes the app."""
    found = Notice(place or user_place(), message)
    if found not in findings.notices:
        findings.notices.append(found)
