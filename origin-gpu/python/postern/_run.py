"""Runs a local entrypoint of an app here, or one of its functions in a container: the Python half of `postern run`.

    python _run.py FILE NAME [ARGUMENT…]

NAME is empty for the only entrypoint, else the only function. The command has started the app, and told its URLs and
its token in the environment.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import inspect
import json
import os
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":
    # This directory would hide the standard library's modules of the same names.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from postern._command import HOLD
from postern._load import app_of, import_file
from postern.app import App, LocalEntrypoint
from postern.exception import InvalidError
from postern.functions import Function

#: Types that an option may have.
_CONVERTERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    datetime.datetime: datetime.datetime.fromisoformat,
}

_WRONG_USAGE = 2

#: What the command tells of the app that it serves.
TOLD = ("POSTERN_APP", "POSTERN_ENVIRONMENT", "POSTERN_PUBLIC_URLS", "POSTERN_APP_TOKEN", "POSTERN_DATA")


def choose(app: App, name: str) -> LocalEntrypoint | Function[Any, Any]:
    """What a name means. @throws InvalidError that lists what there is"""
    name = name.removeprefix("app.")
    functions = dict(app.functions)
    for cls in app.classes.values():
        functions.update({f"{cls.name}.{method}": cls.function(method) for method in cls.methods()})
    if name != "":
        found = app.entrypoints.get(name) or functions.get(name)
        if found is None:
            known = ", ".join([*app.entrypoints, *functions])
            raise InvalidError(f"there is no function {name}; there are {known}")
        return found
    if len(app.entrypoints) == 1:
        return next(iter(app.entrypoints.values()))
    callable_ones = [each for each in functions.values() if each.traits.web is None]
    if not app.entrypoints and len(callable_ones) == 1:
        return callable_ones[0]
    known = ", ".join([*app.entrypoints, *functions])
    raise InvalidError(f"which one? Name it, as in app.py::{next(iter([*app.entrypoints, *functions]), 'main')}; there are {known}")


def arguments_of(name: str, function: Callable[..., Any], words: list[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Reads a function's arguments from options. A function of `*arglist` alone gets the words as they are."""
    parameters = list(inspect.signature(function).parameters.values())
    if parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    if [each.kind for each in parameters] == [inspect.Parameter.VAR_POSITIONAL]:
        return tuple(words), {}
    hints = _hints(function)
    parser = argparse.ArgumentParser(prog=f"postern run …::{name}", description=inspect.getdoc(function), allow_abbrev=False)
    for each in parameters:
        option = "--" + each.name.replace("_", "-")
        required = each.default is each.empty
        kind = _plain(hints.get(each.name, str if required or each.default is None else type(each.default)))
        shown = {"dest": each.name, "required": required, "default": each.default if not required else None}
        if kind is bool:
            parser.add_argument(option, action=argparse.BooleanOptionalAction, **shown)
        elif kind in _CONVERTERS:
            parser.add_argument(option, type=_CONVERTERS[kind], metavar=kind.__name__.upper(), **shown)
        elif not required:
            continue
        else:
            raise InvalidError(
                f"{name}: {each.name} can't come from the command line; options are str, int, float, bool and datetime"
            )
    return (), vars(parser.parse_args(words))


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:
        return {}


def _plain(hint: Any) -> Any:
    """`int` of `int | None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [each for each in typing.get_args(hint) if each is not type(None)]
        return kinds[0] if len(kinds) == 1 else hint
    return hint


def run(file: str, name: str, words: list[str]) -> None:
    """Runs it to its end; exceptions are the user's."""
    if os.environ.get(HOLD) == "1":
        hold()
        return
    module = import_file(file)
    try:
        chosen = choose(app_of(module), name)
        if isinstance(chosen, LocalEntrypoint):
            arguments, keywords = arguments_of(chosen.name, chosen.raw_f, words)
        else:
            arguments, keywords = arguments_of(chosen.tag, chosen.get_raw_f(), words)
    except InvalidError as error:
        print(f"postern: {error}", file=sys.stderr)
        sys.exit(_WRONG_USAGE)
    if isinstance(chosen, LocalEntrypoint):
        result = chosen.raw_f(*arguments, **keywords)
        if inspect.isawaitable(result):
            asyncio.run(_awaited(result))
        return
    if chosen.is_generator:
        for _ in chosen.remote_gen(*arguments, **keywords):
            pass
    else:
        chosen.remote(*arguments, **keywords)


def hold() -> None:
    """For `App.run` of a program of its own: says where the app is, until that program has done with it."""
    told = {name: os.environ[name] for name in TOLD if name in os.environ}
    print(json.dumps(told), flush=True)
    sys.stdin.read()


async def _awaited(result: Any) -> Any:
    return await result


if __name__ == "__main__":
    file, name, *words = sys.argv[1:]
    sys.argv[1:] = words
    run(file, name, words)
