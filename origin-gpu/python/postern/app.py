"""Apps: functions and classes that are served and deployed together."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from . import exception
from ._absent import Absent
from ._both import Both, BothContexts
from ._command import HOLD, run_command, running_command
from ._location import Place, findings, placed, refuse, user_place
from ._partial import PartialFunction, partial_of
from ._runtime import surrounding
from .cls import Cls, parameter
from .functions import Function
from .image import Image
from .secret import Secret

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_options: Any) -> Callable[[Any], Any]:
        """Of Python 3.11; only type checkers need it."""
        return lambda decorated: decorated


P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

#: All apps of this process, in the order in which they were made.
APPS: list[App] = []


class LocalEntrypoint:
    """A function that runs here, by `postern run`, and calls the app's functions."""

    def __init__(self, app: App, name: str, raw_f: Callable[..., Any]) -> None:
        self.app = app
        self.name = name
        self.raw_f = raw_f
        self.__name__ = name
        self.__doc__ = raw_f.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.raw_f(*args, **kwargs)


class App:
    """Functions and classes that are served and deployed together.

    `image`, `secrets` and `volumes` are the default of all functions.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        image: Image | None = None,
        secrets: Sequence[Secret] = (),
        volumes: Mapping[Any, Any] | None = None,
        include_source: bool = True,
    ) -> None:
        del tags, include_source
        self._name = name
        self.image = image
        self.secrets = list(secrets)
        self.volumes = dict(volumes or {})
        self.place = user_place()
        self.run: BothContexts[..., App] = BothContexts(self._run)
        self.deploy: Both[..., App] = Both(self._deploy)
        #: By tag, in the order of the file.
        self.functions: dict[str, Function[Any, Any]] = {}
        self.classes: dict[str, Cls] = {}
        #: Functions and classes with other options. One that only led to another one is nobody's, and goes.
        self._variants: list[weakref.ref[Function[Any, Any] | Cls]] = []
        self.entrypoints: dict[str, LocalEntrypoint] = {}
        #: Where each function's decorator stands.
        self.places: dict[str, Place] = {}
        APPS.append(self)

    def __getstate__(self) -> dict[str, Any]:
        """A function that is pickled by value brings its app along."""
        return {**self.__dict__, "_variants": []}

    @property
    def name(self) -> str | None:
        """As it was given; an app without one has its file's."""
        return self._name

    description = name

    app_id = Absent("postern app list has the ids of deployed apps")
    set_tags = Absent("give a deployment its tag by postern deploy --tag")
    get_tags = Absent("postern app history has the tags of deployments")

    @property
    def registered_functions(self) -> dict[str, Function[Any, Any]]:
        """Its functions by name."""
        return dict(self.functions)

    @property
    def registered_classes(self) -> dict[str, Cls]:
        """Its classes by name."""
        return dict(self.classes)

    @property
    def registered_entrypoints(self) -> dict[str, LocalEntrypoint]:
        """Its local entrypoints by name."""
        return dict(self.entrypoints)

    def function(
        self, _warn_parentheses_missing: Any = None, /, **options: Any
    ) -> _FunctionDecorator:
        """Makes a Python function a function of the app.

        Arguments: `image`, `env`, `secrets`, `gpu`, `volumes`, `min_containers`, `max_containers`, `buffer_containers`,
        `scaledown_window`, `retries`, `timeout`, `startup_timeout`, `region`, `name`, `is_generator`, and `postern`, a
        dict of further keys of postern.toml, such as `postern={"affinity": "gradio"}`.
        """
        if _warn_parentheses_missing is not None:
            refuse("@app.function needs its parentheses: @app.function()")
        return _FunctionDecorator(self, options)

    @dataclass_transform(field_specifiers=(parameter,), kw_only_default=True)
    def cls(self, _warn_parentheses_missing: Any = None, /, **options: Any) -> Callable[[C], C]:
        """Makes a class a class of the app: its methods share one pool of containers. Arguments as of `function`."""
        if _warn_parentheses_missing is not None:
            refuse("@app.cls needs its parentheses: @app.cls()")

        @placed
        def decorate(user_cls: Any) -> Any:
            place = user_place()
            if not isinstance(user_cls, type):
                refuse("@app.cls() stands above a class", place=place)
                return user_cls
            made = Cls(user_cls.__name__, app=self, user_cls=user_cls, options=options)
            self._add(user_cls.__name__, place)
            self.classes[user_cls.__name__] = made
            return made

        return cast("Callable[[C], C]", decorate)

    def local_entrypoint(
        self, _warn_parentheses_missing: Any = None, /, *, name: str | None = None
    ) -> Callable[[Callable[..., Any]], LocalEntrypoint]:
        """Makes a function the one that `postern run app.py` runs here. Its arguments are options of the command."""
        if _warn_parentheses_missing is not None:
            refuse("@app.local_entrypoint needs its parentheses: @app.local_entrypoint()")

        @placed
        def decorate(raw_f: Callable[..., Any]) -> LocalEntrypoint:
            entrypoint = LocalEntrypoint(self, name or raw_f.__name__, raw_f)
            self.entrypoints[entrypoint.name] = entrypoint
            return entrypoint

        return decorate

    def include(self, other_app: App, /, inherit_tags: bool = True) -> App:
        """Adds another app's functions and classes to this one."""
        del inherit_tags
        for tag, function in other_app.functions.items():
            self._add(tag, other_app.places[tag])
            self.functions[tag] = function
        for name, cls in other_app.classes.items():
            self._add(name, other_app.places[name])
            self.classes[name] = cls
        for pool in other_app.variants:
            self.places[pool] = other_app.places[pool]
        self._variants += other_app._variants
        other_app.included = True
        return self

    #: Whether another app has taken its functions.
    included = False

    #: Name and environment under which `deploy` has deployed it.
    deployed_as: tuple[str, str | None] | None = None

    @contextmanager
    def _run(
        self,
        *,
        client: Any = None,
        detach: bool = False,
        interactive: bool = False,
        environment_name: str | None = None,
        **_shown: Any,
    ) -> Iterator[App]:
        """Serves the app for as long as the block runs, as `postern run` does, so that its functions can be called.

        The file is read again by the command: the block stands below `if __name__ == "__main__":`, or in a function.
        """
        del client
        if detach or interactive:
            raise exception.NotSupportedError("app.run(detach=…, interactive=…) is not supported: postern deploy keeps an app")
        if surrounding() is not None:
            # In a container, and in what `postern run` runs, the app runs already.
            yield self
            return
        with running_command("run", *_environment(environment_name), self._file("run"), variables={HOLD: "1"}) as told:
            before = {name: os.environ.get(name) for name in told}
            os.environ.update(told)
            try:
                yield self
            finally:
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value

    def _deploy(
        self,
        *,
        name: str | None = None,
        environment_name: str | None = None,
        client: Any = None,
        tag: str = "",
        **_shown: Any,
    ) -> App:
        """Deploys the app's file, as `postern deploy` does. Its functions can be called then."""
        del client
        options = [*(["--name", name] if name else []), *(["--tag", tag] if tag else []), *_environment(environment_name)]
        file = self._file("deploy")
        run_command("deploy", *options, file)
        self.deployed_as = (name or self._name or Path(file).stem, environment_name)
        return self

    def _file(self, what: str) -> str:
        """The file that makes the app. @throws InvalidError"""
        if findings.problems is not None:
            raise exception.InvalidError(f'app.{what}() runs while the file is read: put it below if __name__ == "__main__":')
        file = self.place.file
        if not file.endswith(".py") or not os.path.isfile(file):
            raise exception.InvalidError(f"app.{what}() needs an app that a file makes, and {file} is none")
        return file

    @staticmethod
    def lookup(name: str, **options: Any) -> App:
        """Refused: only functions and classes are found by name."""
        del options
        raise exception.NotSupportedError(
            f'App.lookup("{name}"): use Function.from_name or Cls.from_name. There are no sandboxes: run their command in a function'
        )

    def add_function(self, decorated: Any, options: dict[str, Any]) -> Function[Any, Any]:
        """What the decorator does."""
        partial = partial_of(decorated, "@app.function()")
        raw_f = partial.raw_f
        place = user_place()
        traits = partial.traits
        if "." in getattr(raw_f, "__qualname__", "").partition("<locals>.")[0]:
            refuse(f"{raw_f.__qualname__} is a method: decorate its class with @app.cls(), and it with @method()", place=place)
        if options.get("is_generator") is not None:
            traits.is_generator = options["is_generator"]
        if options.get("serialized"):
            refuse(f"{raw_f.__name__}: serialized is not supported: containers import the app's file", place=place)
        tag = options.get("name") or raw_f.__name__
        function: Function[Any, Any] = Function(tag, app=self, raw_f=raw_f, traits=traits, options=options)
        self._add(tag, place)
        self.functions[tag] = function
        return function

    @property
    def variants(self) -> dict[str, Function[Any, Any] | Cls]:
        """The functions and classes with other options that the file has kept, by the names of their containers."""
        gc.collect()
        return {made.pool: made for made in (each() for each in reversed(self._variants)) if made is not None}

    def add_variant(self, variant: Function[Any, Any] | Cls) -> None:
        """A function or class with other options; twice the same is one."""
        if variant.pool not in self.functions and variant.pool not in self.classes:
            self.places.setdefault(variant.pool, user_place())
            self._variants = [*(each for each in self._variants if each() is not None), weakref.ref(variant)]

    def _add(self, tag: str, place: Place) -> None:
        if tag in self.functions or tag in self.classes:
            refuse(f"{tag} stands there twice: give one of them another name", place=place)
        self.places[tag] = place


class _FunctionDecorator:
    """Typed by what it decorates: a Python function, or one that other decorators have wrapped."""

    def __init__(self, app: App, options: dict[str, Any]) -> None:
        self._decorate = placed(lambda decorated: app.add_function(decorated, options))

    @overload
    def __call__(self, decorated: PartialFunction[P, R]) -> Function[P, R]: ...

    @overload
    def __call__(self, decorated: Callable[P, R]) -> Function[P, R]: ...

    def __call__(self, decorated: Any) -> Any:
        return self._decorate(decorated)


def _environment(name: str | None) -> list[str]:
    return [] if name is None else ["--env", name]


class Stub:
    """Refused: an app is an App."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        refuse("modal.Stub is called modal.App")
