"""The function that a `callable` names: a function, an object that can be called, or a method of a class.

Of a class one instance is made per container, with the endpoint's parameters as keyword arguments. Its handler is the
method that the target names, the only one with `@fastapi_endpoint()` of the package `postern`, or its `__call__`.
"""

import collections
import inspect

from . import decorated
from .refusals import refuse, refuse_user_error
from .targets import import_path

# The function to call, its instance where the container made one, and what decorators say of it.
Handler = collections.namedtuple("Handler", ["function", "instance", "web", "batching"])


def find_handler(target, parameters=None):
    """Returns the Handler that MODULE:ATTRIBUTE names. Mistakes end the process in one line."""
    path = import_path(target)
    found, owner = path[-1], path[-2]
    if inspect.isclass(found):
        return only_handler(target, make(target, found, parameters))
    if not callable(found):
        refuse("{} is of type {} and not a function".format(target, type(found).__name__))
    name = target.rpartition(".")[2]
    if inspect.isclass(owner) and is_method(inspect.getattr_static(owner, name)):
        return method_handler(make(target.rpartition(".")[0], owner, parameters), name)
    if parameters:
        refuse("{} is no class or method, and parameters are the arguments of a class".format(target))
    partial = decorated.partial_of(found)
    function = found if partial is None else partial.raw_f
    return Handler(function, None, decorated.web_of(found) or {}, decorated.batching_of(found) or {})


def is_method(attribute):
    return inspect.isfunction(attribute) or decorated.partial_of(attribute) is not None


def method_handler(instance, name):
    method = getattr(type(instance), name)
    said = decorated.web_of(method) or {}, decorated.batching_of(method) or {}
    return Handler(decorated.bound(instance, name), instance, *said)


def make(name, made, parameters):
    try:
        return made(**(parameters or {}))
    except (Exception, SystemExit) as error:
        refuse_user_error("{}({}) failed".format(name, ", ".join(parameters or {})), error)


def only_handler(target, instance):
    made = type(instance)
    endpoints = [name for name in dir(made) if decorated.web_of(getattr(made, name, None)) is not None]
    if len(endpoints) == 1:
        return method_handler(instance, endpoints[0])
    if endpoints:
        listed = ", ".join(endpoints)
        refuse("{} has several endpoints ({}): name one, as in {}.{}".format(target, listed, target, endpoints[0]))
    if callable(instance):
        if decorated.partial_of(made.__call__) is not None:
            return method_handler(instance, "__call__")
        return Handler(instance, instance, {}, {})
    names = [name for name, _ in inspect.getmembers(made, inspect.isfunction) if not name.startswith("_")]
    example = next((name for name in names if name not in ("enter", "exit")), "method")
    refuse("{} has no __call__: name the method that answers, as in {}.{}".format(target, target, example))
