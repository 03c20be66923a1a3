"""What the decorators of the package `postern` say of functions that belong to no app."""

import sys
import types


def partial_of(function):
    """The package's object around a function that its decorators have met; None for any other function."""
    package = sys.modules.get("postern._partial")
    return function if package is not None and isinstance(function, package.PartialFunction) else None


def bound(instance, name):
    """A method of an instance; of a decorated one the function itself."""
    partial = partial_of(getattr(type(instance), name))
    return getattr(instance, name) if partial is None else types.MethodType(partial.raw_f, instance)


def hook_of(function):
    """`enter` or `exit`; None without such a decorator."""
    partial = partial_of(function)
    return None if partial is None else partial.traits.hook


def web_of(function):
    """The settings of its endpoint, such as {"method": "POST", "docs": True}; None without one."""
    partial = partial_of(function)
    web = None if partial is None else partial.traits.web
    return {"method": web.method, "docs": web.docs} if web is not None and web.takes_calls else None


def batching_of(function):
    """Of a function of lists, such as {"max_batch_size": 16, "wait_ms": 20}; None for others."""
    partial = partial_of(function)
    batching = None if partial is None else partial.traits.batching
    return None if batching is None else {"max_batch_size": batching.max_batch_size, "wait_ms": batching.wait_ms}
