"""What runs before the first call of an instance, and after its last one.

    await enter(instance)   its hooks in the order in which the classes define them, base classes first
    await leave(instance)   likewise; each runs, also after one that failed

A hook is a method named `enter` (`exit`) that needs no arguments, or one with that decorator of the package `postern`.
Plain ones run on the event loop's thread, before it serves anything.
"""

import inspect
import traceback

from . import decorated
from .targets import takes


async def enter(instance):
    """Raises what a hook raises; the later ones do not run then."""
    for _, hook in hooks_of(instance, "enter"):
        await call(hook)


async def leave(instance):
    for _, hook in hooks_of(instance, "exit"):
        try:
            await call(hook)
        except Exception:
            traceback.print_exc()


def hooks_of(instance, kind):
    """Names and bound methods."""
    names = []
    for owner in reversed(type(instance).__mro__):
        for name in vars(owner):
            if name not in names:
                names.append(name)
    return [(name, decorated.bound(instance, name)) for name in names if is_hook(instance, name, kind)]


def is_hook(instance, name, kind):
    # Of the class: properties of the instance are not to run.
    method = getattr(type(instance), name, None)
    if not callable(method):
        return False
    if decorated.partial_of(method) is not None:
        return decorated.hook_of(method) == kind
    return name == kind and takes(getattr(instance, name), 0)


async def call(function):
    result = function()
    if inspect.isawaitable(result):
        await result
