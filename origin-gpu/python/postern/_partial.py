"""The decorators between a Python function and its app: what serves it, and how its containers take calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from ._location import notice, placed, refuse

if TYPE_CHECKING:
    from .functions import Function

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Self = TypeVar("Self")

#: Where a class keeps what a decorator above it said.
CONCURRENT = "__postern_concurrent__"
HTTP_SERVER = "__postern_http_server__"

#: Ends the name of the endpoint by which a function that is served to the web is called with pickles.
CALLS_SUFFIX = ".remote"

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True)
class Web:
    """How a function is served to the web."""

    #: `asgi_app`, `wsgi_app`, `web_server` or `fastapi_endpoint`.
    kind: str
    label: str | None = None
    requires_proxy_auth: bool = False
    custom_domains: tuple[str, ...] = ()
    method: str = "GET"
    docs: bool = False
    port: int | None = None
    startup_timeout: float | None = None
    exit_grace_period: float | None = None

    @property
    def takes_calls(self) -> bool:
        """Whether the function answers by its own value, so that `remote` means something. The others make an app."""
        return self.kind == "fastapi_endpoint"


@dataclass(frozen=True)
class Concurrency:
    """How many calls a container has at a time, and how many the autoscaler aims at."""

    max_inputs: int | None
    target_inputs: int | None = None


@dataclass(frozen=True)
class Batching:
    """How calls are gathered for a function that takes lists."""

    max_batch_size: int
    wait_ms: int


@dataclass
class Traits:
    """All that the decorators said of one function."""

    web: Web | None = None
    concurrency: Concurrency | None = None
    batching: Batching | None = None
    is_method: bool = False
    #: `enter` or `exit`.
    hook: str | None = None
    is_generator: bool | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def takes_calls(self) -> bool:
        """Whether `remote`, `map` and `spawn` run it."""
        return self.web is None or self.web.takes_calls


class PartialFunction(Generic[P, R]):
    """A function on its way into an app."""

    def __init__(self, raw_f: Callable[..., Any], traits: Traits | None = None) -> None:
        self.raw_f = raw_f
        self.traits = traits or Traits()
        self.__name__ = getattr(raw_f, "__name__", "function")
        self.__doc__ = raw_f.__doc__
        self.__wrapped__ = raw_f

    @overload
    def __get__(self, instance: None, owner: type) -> PartialFunction[P, R]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Function[P, R]: ...

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        # An instance that a container made: its methods run here, or by `remote` elsewhere.
        from .cls import method_of_instance

        return method_of_instance(instance, owner, self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.__name__} belongs to a class of an app: make an instance, then .remote() or .local()")


def partial_of(decorated: Any, decorator: str) -> PartialFunction[Any, Any]:
    """The function below a decorator, which other decorators may have wrapped."""
    if isinstance(decorated, PartialFunction):
        return decorated
    from .functions import Function

    if isinstance(decorated, Function):
        refuse(f"{decorator} stands above @app.function(): put it below")
        return PartialFunction(decorated.get_raw_f())
    if not callable(decorated):
        refuse(f"{decorator} needs its parentheses: {decorator}()")
        return PartialFunction(lambda: None)
    return PartialFunction(decorated)


def _web(web: Web, decorator: str) -> Callable[[Any], Any]:
    @placed
    def decorate(decorated: Any) -> Any:
        partial = partial_of(decorated, decorator)
        if partial.traits.web is not None:
            refuse(f"{decorator} stands beside another decorator for the web; one function has one")
        if web.kind != "fastapi_endpoint":
            _check_no_arguments(partial.raw_f, decorator)
        partial.traits.web = web
        return partial

    return decorate


def _check_no_arguments(function: Callable[..., Any], decorator: str) -> None:
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name != "self"
    ]
    if needed:
        refuse(f"{decorator} calls its function without arguments, and {function.__name__} needs {', '.join(needed)}")


def _domains(custom_domains: Iterable[str] | None) -> tuple[str, ...]:
    if isinstance(custom_domains, str):
        refuse(f"custom_domains must be a list, such as [{custom_domains!r}]")
        return (custom_domains,)
    return tuple(custom_domains or ())


def asgi_app(
    _warn_parentheses_missing: Any = None,
    /,
    *,
    label: str | None = None,
    custom_domains: Iterable[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Any], PartialFunction[[], Any]]:
    """Serves the ASGI app that the function returns (FastAPI, Starlette, FastHTML, Gradio mounted in one).

    `label` stands in the URL instead of `<app>-<function>`. `requires_proxy_auth`: callers need a proxy token.
    """
    _needs_parentheses(_warn_parentheses_missing, "asgi_app")
    return _web(Web("asgi_app", label, requires_proxy_auth, _domains(custom_domains)), "@asgi_app")


def wsgi_app(
    _warn_parentheses_missing: Any = None,
    /,
    *,
    label: str | None = None,
    custom_domains: Iterable[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Any], PartialFunction[[], Any]]:
    """Serves the WSGI app that the function returns (Flask, Django). Requests run on threads, up to `max_inputs`."""
    _needs_parentheses(_warn_parentheses_missing, "wsgi_app")
    return _web(Web("wsgi_app", label, requires_proxy_auth, _domains(custom_domains)), "@wsgi_app")


def web_server(
    port: int,
    *,
    startup_timeout: float = 5.0,
    label: str | None = None,
    custom_domains: Iterable[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Any], PartialFunction[[], Any]]:
    """Serves what listens on `port` after the function has run: any server, in any language.

    The port is the container's own only where nothing else on the box uses it, so one container runs at a time.
    `startup_timeout`: seconds until it listens.
    """
    port, startup_timeout = _server("web_server", port, startup_timeout)
    web = Web(
        "web_server",
        label,
        requires_proxy_auth,
        _domains(custom_domains),
        port=port,
        startup_timeout=startup_timeout,
    )
    return _web(web, "@web_server")


def http_server(
    port: int,
    *,
    proxy_regions: Sequence[str] = (),
    startup_timeout: float = 30.0,
    exit_grace_period: float | None = None,
) -> Callable[[T], T]:
    """Serves what the `@enter()` methods of a class have started on `port`. It stands below `@app.cls()`."""
    port, startup_timeout = _server("http_server", port, startup_timeout)
    if proxy_regions:
        notice("proxy_regions has no effect: the gateway stands where you run it")
    web = Web("web_server", port=port, startup_timeout=startup_timeout, exit_grace_period=exit_grace_period)

    @placed
    def decorate(decorated: Any) -> Any:
        if isinstance(decorated, type):
            setattr(decorated, HTTP_SERVER, web)
        else:
            refuse("@http_server stands above a class: a function has @web_server")
        return decorated

    return cast("Callable[[T], T]", decorate)


def _server(decorator: str, port: Any, startup_timeout: Any) -> tuple[int, float]:
    if not isinstance(port, int) or not 0 < port < 65_536:
        refuse(f"{decorator} needs a port from 1 to 65535, such as {decorator}(8000), and got {port!r}")
        port = 1
    if isinstance(startup_timeout, bool) or not isinstance(startup_timeout, (int, float)) or startup_timeout <= 0:
        refuse(f"startup_timeout must be a number of seconds above 0, and is {startup_timeout!r}")
        startup_timeout = 5.0
    return port, startup_timeout


def fastapi_endpoint(
    _warn_parentheses_missing: Any = None,
    /,
    *,
    method: str = "GET",
    label: str | None = None,
    custom_domains: Iterable[str] | None = None,
    docs: bool = False,
    requires_proxy_auth: bool = False,
) -> Callable[[Callable[P, R] | PartialFunction[P, R]], PartialFunction[P, R]]:
    """Serves the function by itself, wrapped in FastAPI, at `/`. Its arguments are FastAPI's, and CORS is on.

    `docs`: /docs, /redoc and /openapi.json are there too.
    """
    _needs_parentheses(_warn_parentheses_missing, "fastapi_endpoint")
    if method not in METHODS:
        refuse(f"method must be one of {', '.join(METHODS)}, and is {method!r}")
        method = "GET"
    web = Web("fastapi_endpoint", label, requires_proxy_auth, _domains(custom_domains), method, docs)
    return _web(web, "@fastapi_endpoint")


#: The name that fastapi_endpoint once had.
web_endpoint = fastapi_endpoint


def concurrent(
    _warn_parentheses_missing: Any = None,
    /,
    *,
    max_inputs: int | None = None,
    target_inputs: int | None = None,
) -> Callable[[T], T]:
    """Gives each container up to `max_inputs` calls at a time; the autoscaler aims at `target_inputs`. One of them suffices.

    An async function runs them on one event loop, any other one on threads. It stands below `@app.function()`, and for
    a class below `@app.cls()`.
    """
    _needs_parentheses(_warn_parentheses_missing, "concurrent")
    if max_inputs is None and target_inputs is None:
        refuse("@concurrent needs max_inputs or target_inputs, such as @concurrent(max_inputs=100)")
    concurrency = Concurrency(max_inputs, target_inputs)

    @placed
    def decorate(decorated: Any) -> Any:
        if isinstance(decorated, type):
            setattr(decorated, CONCURRENT, concurrency)
            return decorated
        partial = partial_of(decorated, "@concurrent")
        partial.traits.concurrency = concurrency
        return partial

    return cast("Callable[[T], T]", decorate)


def batched(
    _warn_parentheses_missing: Any = None,
    /,
    *,
    max_batch_size: int,
    wait_ms: int,
) -> Callable[[Callable[..., Any]], PartialFunction[..., Any]]:
    """Gathers calls: the function gets a list for each argument, and returns a list in the same order.

    A batch begins with its first call, and runs when it has `max_batch_size` of them or after `wait_ms`.
    """
    _needs_parentheses(_warn_parentheses_missing, "batched")
    if not isinstance(max_batch_size, int) or not 1 <= max_batch_size <= 1_000:
        refuse(f"max_batch_size must be a whole number from 1 to 1000, and is {max_batch_size!r}")
        max_batch_size = 1
    if not isinstance(wait_ms, int) or not 0 <= wait_ms <= 600_000:
        refuse(f"wait_ms must be a whole number of milliseconds from 0 to 600000, and is {wait_ms!r}")
        wait_ms = 0
    batching = Batching(max_batch_size, wait_ms)

    @placed
    def decorate(decorated: Any) -> Any:
        partial = partial_of(decorated, "@batched")
        partial.traits.batching = batching
        partial.traits.is_method = True
        return partial

    return decorate


def method(
    _warn_parentheses_missing: Any = None,
    /,
    *,
    is_generator: bool | None = None,
) -> Callable[[Callable[Concatenate[Any, P], R] | PartialFunction[P, R]], PartialFunction[P, R]]:
    """Makes a method of a class callable by `remote`, `map` and `spawn`."""
    _needs_parentheses(_warn_parentheses_missing, "method")

    @placed
    def decorate(decorated: Any) -> Any:
        partial = partial_of(decorated, "@method")
        partial.traits.is_method = True
        partial.traits.is_generator = is_generator
        return partial

    return decorate


def enter(_warn_parentheses_missing: Any = None, /, *, snap: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Runs a method once when a container starts, before its first call. There are no snapshots: `snap` makes no difference."""
    _needs_parentheses(_warn_parentheses_missing, "enter")
    del snap
    return _hook("enter")


def exit(_warn_parentheses_missing: Any = None, /) -> Callable[[Callable[..., Any]], Any]:
    """Runs a method once when a container ends, within its grace period."""
    _needs_parentheses(_warn_parentheses_missing, "exit")
    return _hook("exit")


def _hook(name: str) -> Callable[[Callable[..., Any]], Any]:
    @placed
    def decorate(decorated: Any) -> Any:
        partial = partial_of(decorated, f"@{name}")
        partial.traits.hook = name
        return partial

    return decorate


def _needs_parentheses(given: Any, decorator: str) -> None:
    if given is not None:
        refuse(f"@{decorator} needs its parentheses: @{decorator}()")
