"""Classes of an app: one pool of containers for all of a class's methods, with what happens when a container starts and
ends."""

from __future__ import annotations

import base64
import inspect
import sys
import threading
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from . import exception
from ._absent import Absent
from ._both import Both
from ._location import refuse
from ._partial import CONCURRENT, HTTP_SERVER, Concurrency, PartialFunction, Traits
from ._variants import Changes
from .functions import Function

if TYPE_CHECKING:
    from .app import App

_NO_DEFAULT: Any = object()

#: Types that a parameter may have.
_PARAMETER_TYPES = (str, int, bool, bytes)

#: What a user's code asks a class of its own for.
_OF_CLASSES = ("__bases__", "__mro__")

#: Where a user's class keeps its Cls.
_OWN = "__postern_cls__"


#: The method that `@http_server` stands for.
_SERVER = "serve"


def _own_annotations(declared: type) -> Mapping[str, Any]:
    """A class's own; a name that only a type checker knows spoils no other one."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(declared, format=annotationlib.Format.FORWARDREF)
    return declared.__dict__.get("__annotations__", {})


def _nothing(_self: Any) -> None:
    """What `@http_server` runs: the `@enter()` methods have begun the server."""


class _Parameter:
    def __init__(self, default: Any, init: bool) -> None:
        self.default = default
        self.init = init


def parameter(*, default: Any = _NO_DEFAULT, init: bool = True) -> Any:
    """An attribute that the class's constructor takes: `str`, `int`, `bool` or `bytes`.

    `init=False` annotates an attribute that a hook sets.
    """
    return _Parameter(default, init)


class Cls:
    """A class of an app. Its instances' methods run in containers."""

    def __init__(
        self,
        name: str,
        *,
        app: App | None = None,
        user_cls: type | None = None,
        options: Mapping[str, Any] | None = None,
        elsewhere: tuple[str, str | None] | None = None,
        changes: Changes | None = None,
    ) -> None:
        self.name = name
        #: Of a variant: what it has instead of its decorators' words.
        self.changes = changes or Changes()
        #: Whose containers run its methods: its own name, or a variant's.
        self.pool = self.changes.pool_of(name)
        self.app = app
        self.user_cls = user_cls
        self.options = dict(options or {})
        self._elsewhere = elsewhere
        self.__name__ = name
        self.__doc__ = getattr(user_cls, "__doc__", None)
        self.parameters: dict[str, _Parameter] = {}
        self.parameter_types: dict[str, type] = {}
        self.partials: dict[str, PartialFunction[Any, Any]] = {}
        if user_cls is not None:
            self._read(user_cls)

    @staticmethod
    @Both
    def from_name(
        app_name: str, name: str, *, environment_name: str | None = None, client: Any = None
    ) -> Cls:
        """A class of a deployed app. The gateway is asked at the first call of a method."""
        del client
        return Cls(name, elsewhere=(app_name, environment_name))

    def hydrate(self, client: Any = None) -> Cls:
        """Nothing to do: methods are found when they are called."""
        del client
        return self

    def _read(self, user_cls: type) -> None:
        annotations: dict[str, Any] = {}
        for base in reversed(user_cls.__mro__):
            annotations.update(_own_annotations(base))
            for name, value in base.__dict__.items():
                if isinstance(value, PartialFunction):
                    self.partials[name] = value
                elif isinstance(value, _Parameter) and value.init:
                    self.parameters[name] = value
        server = getattr(user_cls, HTTP_SERVER, None)
        if server is not None:
            self.partials[_SERVER if _SERVER not in self.partials else "http_server"] = PartialFunction(
                _nothing, Traits(web=server, concurrency=None)
            )
        try:
            annotations.update(typing.get_type_hints(user_cls))
        except Exception:
            # A name that only a type checker knows; the annotation's text has to do.
            pass
        known = {kind.__name__: kind for kind in _PARAMETER_TYPES}
        for name in self.parameters:
            annotated = annotations.get(name)
            kind = known.get(cast(str, annotated), annotated)
            if kind not in _PARAMETER_TYPES:
                refuse(f"{self.name}.{name} = parameter() needs a type: str, int, bool or bytes")
                continue
            self.parameter_types[name] = kind
            default = self.parameters[name].default
            if default is not _NO_DEFAULT and type(default) is not kind:
                refuse(f"{self.name}.{name} = parameter(default={default!r}) must be of its type, {kind.__name__}")
        constructor = inspect.signature(user_cls)
        if not self.parameters and any(
            each.default is each.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
            for each in constructor.parameters.values()
        ):
            refuse(f"{self.name}: a constructor has no arguments; write `name: str = parameter()` in the class")
        if self.pool == self.name:
            setattr(user_cls, _OWN, self)

    @property
    def concurrency(self) -> Concurrency | None:
        """What @concurrent said of the class."""
        said: Concurrency | None = self.changes.concurrency or getattr(self.user_cls, CONCURRENT, None)
        # Whatever @http_server stands before has a queue of its own.
        return said or (Concurrency(None) if hasattr(self.user_cls, HTTP_SERVER) else None)

    def hooks(self, name: str) -> list[Callable[..., Any]]:
        """Its `enter` or `exit` methods, in the order of the class."""
        return [partial.raw_f for partial in self.partials.values() if partial.traits.hook == name]

    def methods(self) -> dict[str, PartialFunction[Any, Any]]:
        """What can be called from outside, by name."""
        return {
            name: partial
            for name, partial in self.partials.items()
            if partial.traits.hook is None and (partial.traits.is_method or partial.traits.web is not None)
        }

    def table(self) -> dict[str, dict[str, Any]]:
        """Its parameters in the words of postern.toml."""
        table: dict[str, dict[str, Any]] = {}
        for name, kind in self.parameter_types.items():
            default = self.parameters[name].default
            table[name] = {"type": kind.__name__}
            if default is not _NO_DEFAULT:
                table[name]["default"] = base64.b64encode(default).decode() if isinstance(default, bytes) else default
        return table

    def values_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values that a container of this class was started with."""
        return {
            name: base64.b64decode(value) if self.parameter_types.get(name) is bytes else value
            for name, value in given.items()
        }

    def function(
        self, name: str, instance: Callable[[], Any] | None = None, values: Mapping[str, Any] | None = None
    ) -> Function[Any, Any]:
        """A method as a function of the app."""
        partial = self.partials.get(name)
        return Function(
            f"{self.name}.{name}",
            app=self.app,
            raw_f=partial.raw_f if partial is not None else None,
            traits=self.changes.traits_of(partial.traits) if partial is not None else Traits(),
            options=self.options,
            pool=self.pool,
            instance=instance,
            query=query_of(values or {}),
            elsewhere=self._elsewhere,
        )

    def _experimental_get_flash_urls(self) -> list[str]:
        """The URL of a class with `@http_server`."""
        for name in (_SERVER, "http_server"):
            url = self.function(name)._opened().urls.get(f"{self.name}.{name}")
            if url is not None:
                return [url]
        raise exception.NotFoundError(f"{self.name} has no @http_server")

    def make(self, values: Mapping[str, Any] | None = None) -> Any:
        """A plain object of the user's class, with its parameters; hooks have not run."""
        if self.user_cls is None:
            raise exception.InvalidError(f"{self.name} was found by name: its code is not here")
        instance = self.user_cls()
        for name, declared in self.parameters.items():
            setattr(instance, name, (values or {}).get(name, declared.default))
        if self.pool != self.name:
            # Its methods call each other in containers of the variant.
            setattr(instance, _OWN, self)
        return instance

    def __call__(self, *args: Any, **kwargs: Any) -> Obj:
        if args:
            raise TypeError(f"{self.name}() takes its parameters by name")
        return Obj(self, kwargs)

    def __getattr__(self, name: str) -> Any:
        if (name.startswith("__") and name not in _OF_CLASSES) or self.user_cls is None:
            raise AttributeError(name)
        if name in self.partials:
            return self.function(name)
        return getattr(self.user_cls, name)

    lookup = Absent("it is called Cls.from_name")

    def with_options(self, **options: Any) -> Cls:
        """The class with other options, in containers of its own. The app's file calls this outside of functions.

        Elsewhere, the same options find those containers. @throws TypeError for what Modal's does not take
        """
        return self._variant(self.changes.with_options(options))

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> Cls:
        """The class with other numbers of calls at a time, in containers of its own."""
        return self._variant(self.changes.with_concurrency(max_inputs, target_inputs))

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> Cls:
        """The class with the calls of its method gathered, in containers of its own."""
        return self._variant(self.changes.with_batching(max_batch_size, wait_ms))

    def _variant(self, changes: Changes) -> Cls:
        made = Cls(
            self.name,
            app=self.app,
            user_cls=self.user_cls,
            options={**self.options, **changes.options},
            elsewhere=self._elsewhere,
            changes=changes,
        )
        if self.app is not None:
            self.app.add_variant(made)
        return made


class Obj:
    """An instance of a class of an app: its methods have `remote`, `local` and the like, its attributes are a local object's."""

    def __init__(self, cls: Cls, values: Mapping[str, Any]) -> None:
        self._cls = cls
        self._values = _checked(cls, values)
        self._local: Any = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        cls = self._cls
        if cls.user_cls is None or name in cls.methods():
            return cls.function(name, None if cls.user_cls is None else self._instance, self._values)
        return getattr(self._instance(), name)

    def update_autoscaler(self, **settings: int | None) -> None:
        """As `Function.update_autoscaler`, for the containers of its class, whatever their parameters."""
        self._cls.function("").update_autoscaler(**settings)

    def keep_warm(self, warm_pool_size: int) -> None:
        """The former name of `update_autoscaler(min_containers=…)`."""
        self.update_autoscaler(min_containers=warm_pool_size)

    def _instance(self) -> Any:
        """The local object, with its hooks run."""
        with self._lock:
            if self._local is None:
                local = self._cls.make(self._values)
                for hook in self._cls.hooks("enter"):
                    if inspect.iscoroutinefunction(hook):
                        import asyncio

                        asyncio.run(hook(local))
                    else:
                        hook(local)
                self._local = local
            return self._local


def _checked(cls: Cls, values: Mapping[str, Any]) -> dict[str, Any]:
    if cls.user_cls is None:
        return dict(values)
    unknown = [name for name in values if name not in cls.parameters]
    if unknown:
        known = ", ".join(cls.parameters) or "none"
        raise TypeError(f"{cls.name}() has no parameter {', '.join(unknown)}; it has {known}")
    missing = [
        name for name, declared in cls.parameters.items() if declared.default is _NO_DEFAULT and name not in values
    ]
    if missing:
        raise TypeError(f"{cls.name}() needs {', '.join(missing)}")
    for name, value in values.items():
        if type(value) is not cls.parameter_types.get(name):
            raise TypeError(f"{cls.name}({name}={value!r}): {name} must be of type {cls.parameter_types[name].__name__}")
    return dict(values)


def query_of(values: Mapping[str, Any]) -> str:
    """Parameters as a query that selects their containers."""
    return urlencode({name: _text_of(value) for name, value in values.items()})


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def method_of_instance(instance: object, owner: type, partial: PartialFunction[Any, Any]) -> Any:
    """A method of an object that a container or a local call made."""
    if partial.traits.hook is not None:
        return partial.raw_f.__get__(instance, owner)
    cls: Cls = getattr(instance, _OWN)
    values = {name: getattr(instance, name) for name in cls.parameter_types}
    return cls.function(partial.__name__, lambda: instance, values)
