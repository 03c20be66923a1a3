"""ASGI apps as users name them: the app, or a function or class that gives one when it is called without arguments."""

import functools
import inspect

from .refusals import refuse
from .targets import import_target, make, positional_names, takes


def find_app(target):
    """Returns the ASGI app that the target is or makes."""
    found = import_target(target)
    if not callable(found):
        refuse(not_an_app(target, found))
    if is_app(found):
        return found
    if not takes(found, 0):
        refuse(not_an_app(target, found))
    app = make(target, found)
    if not is_app(app):
        refuse(not_an_app("{}()".format(target), app))
    return app


def is_app(found):
    """Whether a value is an ASGI app. Factories with optional parameters can be called with three arguments too.

    A class is one where awaiting its instance handles the request, as Starlette's endpoints do. An object or
    an async function that takes three arguments is one. Of other functions those are that need the three
    arguments, or that call the first one scope.
    """
    if not (callable(found) and takes(found, 3, unknown=True)):
        return False
    function = found
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return hasattr(function, "__await__")
    if inspect.iscoroutinefunction(function) or not inspect.isroutine(function):
        return True
    names = positional_names(found)
    if names is None:
        return True
    needed, every = names
    return len(needed) == 3 or every[0] == "scope"


def not_an_app(name, found):
    if callable(found) and takes(found, 2) and not takes(found, 3):
        return '{} looks like a WSGI app: write wsgi = "…" in the place of asgi'.format(name)
    if inspect.isclass(found):
        return "{} is a class that needs arguments; name an instance, or a function that makes one".format(name)
    if inspect.isroutine(found):
        return "{} is neither an ASGI app nor a function without arguments".format(name)
    return "{} is of type {} and not an ASGI app".format(name, type(found).__name__)
