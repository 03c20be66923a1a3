"""Finds what MODULE:ATTRIBUTE names. Mistakes of the user end the process in one line (refusals.py)."""

import importlib
import inspect
import os

from .refusals import refuse, refuse_user_error


def import_target(target):
    """Returns what MODULE:ATTRIBUTE names."""
    return import_path(target)[-1]


def import_path(target):
    """Returns the module and each attribute that MODULE:ATTRIBUTE.ATTRIBUTE… passes, in this order."""
    module_name, _, attributes = target.partition(":")
    path = [import_user_module(module_name)]
    name = module_name
    for attribute in attributes.split("."):
        try:
            path.append(getattr(path[-1], attribute))
        except AttributeError:
            refuse("{} has no attribute {}".format(name, attribute))
        name += "." + attribute
    return path


def import_user_module(name):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that the user's own module imports and that is missing is the user's mistake in it.
        if error.name is None or not (name + ".").startswith(error.name + "."):
            refuse_user_error("importing {} failed".format(name), error)
        refuse("there is no module {} in {}".format(name, os.getcwd()))
    except (Exception, SystemExit) as error:
        refuse_user_error("importing {} failed".format(name), error)


def takes(function, count, unknown=False):
    """Whether a callable can be called with so many positional arguments and nothing else.

    Some builtins and extension types tell nothing of their arguments: `unknown` is the answer for them.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return unknown
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def positional_names(function):
    """The names of the positional parameters that have no default, and of all others; None where nothing tells."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [each.name for each in parameters if each.kind in kinds and each.default is each.empty]
    return needed, [each.name for each in parameters]


def make(target, found):
    """Calls the function or class that makes the app."""
    if inspect.iscoroutinefunction(found):
        refuse("{} is an async function; the function that makes the app must be a plain one".format(target))
    try:
        return found()
    except (Exception, SystemExit) as error:
        refuse_user_error("{}() failed".format(target), error)
