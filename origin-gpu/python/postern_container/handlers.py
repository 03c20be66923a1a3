"""The function that a `callable` names: a function, an object that can be called, or a method of a class.

Of a class one instance is made per container, with the endpoint's parameters as keyword arguments. Its handler is the
method that the target names, the only one whose attribute WEB is set (the decorators of the package `postern` set it),
or its `__call__`.
"""

import collections
import inspect

from .refusals import refuse, refuse_user_error
from .targets import import_path

# On a function: the settings of its endpoint as a dictionary, such as {"method": "POST", "docs": True}.
WEB = "__postern_web__"
# On a function of lists: {"max_batch_size": 16, "wait_ms": 20}.
BATCHED = "__postern_batched__"

# The function to call, its instance where the container made one, and that instance's class.
Handler = collections.namedtuple("Handler", ["function", "instance"])


def find_handler(target, parameters=None):
    """Returns the Handler that MODULE:ATTRIBUTE names. Mistakes end the process in one line."""
    path = import_path(target)
    found, owner = path[-1], path[-2]
    if inspect.isclass(found):
        instance = make(target, found, parameters)
        return Handler(only_handler(target, instance), instance)
    if not callable(found):
        refuse("{} is of type {} and not a function".format(target, type(found).__name__))
    name = target.rpartition(".")[2]
    if inspect.isclass(owner) and inspect.isfunction(inspect.getattr_static(owner, name)):
        instance = make(target.rpartition(".")[0], owner, parameters)
        return Handler(getattr(instance, name), instance)
    if parameters:
        refuse("{} is no class or method, and parameters are the arguments of a class".format(target))
    return Handler(found, None)


def make(name, made, parameters):
    try:
        return made(**(parameters or {}))
    except (Exception, SystemExit) as error:
        refuse_user_error("{}({}) failed".format(name, ", ".join(parameters or {})), error)


def only_handler(target, instance):
    made = type(instance)
    marked = [name for name in dir(made) if isinstance(getattr(getattr(made, name), WEB, None), dict)]
    if len(marked) == 1:
        return getattr(instance, marked[0])
    if marked:
        refuse("{} has several endpoints ({}): name one, as in {}.{}".format(target, ", ".join(marked), target, marked[0]))
    if callable(instance):
        return instance
    names = [name for name, _ in inspect.getmembers(made, inspect.isfunction) if not name.startswith("_")]
    example = next((name for name in names if name not in ("enter", "exit")), "method")
    refuse("{} has no __call__: name the method that answers, as in {}.{}".format(target, target, example))


def marks_of(function, mark):
    """The dictionary that a decorator left on a function; empty without one."""
    marks = getattr(function, mark, None)
    return marks if isinstance(marks, dict) else {}
