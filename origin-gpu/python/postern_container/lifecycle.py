"""What runs before the first call of an instance, and after its last one.

    await enter(instance)   its hooks in the order in which the classes define them, base classes first
    await leave(instance)   likewise; each runs, also after one that failed

A hook is a method named `enter` (`exit`) that needs no arguments, or one whose attribute ENTER (EXIT) is set: the
decorators of the package `postern` set them. Plain ones run on the event loop's thread, before it serves anything.
"""

import inspect
import traceback

from .targets import takes

ENTER = "__postern_enter__"
EXIT = "__postern_exit__"


async def enter(instance):
    """Raises what a hook raises; the later ones do not run then."""
    for _, hook in hooks_of(instance, ENTER, "enter"):
        await call(hook)


async def leave(instance):
    for _, hook in hooks_of(instance, EXIT, "exit"):
        try:
            await call(hook)
        except Exception:
            traceback.print_exc()


def hooks_of(instance, mark, plain_name):
    """Names and bound methods."""
    names = []
    for owner in reversed(type(instance).__mro__):
        for name in vars(owner):
            if name not in names:
                names.append(name)
    return [(name, getattr(instance, name)) for name in names if is_hook(instance, name, mark, plain_name)]


def is_hook(instance, name, mark, plain_name):
    # Of the class: properties of the instance are not to run.
    method = getattr(type(instance), name, None)
    if not callable(method):
        return False
    if getattr(method, mark, False) is not False:
        return True
    return name == plain_name and takes(getattr(instance, name), 0)


async def call(function):
    result = function()
    if inspect.isawaitable(result):
        await result
