"""Names of Modal's package that have no counterpart here: who reads one is told what there is instead."""

from __future__ import annotations

from typing import Any

from .exception import NotSupportedError


class Absent:
    """An attribute of a class that is not here. Reading it raises `NotSupportedError`."""

    def __init__(self, instead: str) -> None:
        self._instead = instead
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type) -> Any:
        raise NotSupportedError(f"{self._name} is not supported: {self._instead}")


def absent(module: str, name: str, instead: dict[str, str]) -> Exception:
    """What a module raises for a name that it does not have."""
    found = instead.get(name)
    if found is None:
        return AttributeError(f"{module} has no {name}")
    return NotSupportedError(f"{module}.{name} is not supported: {found}")
