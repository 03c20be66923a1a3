"""Functions of an app: called here, in containers, or over the web."""

from __future__ import annotations

import inspect
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from . import exception
from ._absent import Absent
from ._access import Opened, app_by_name, own_app, update_scaling
from ._both import Both, BothIterators, BothLocal, results_in_turn
from ._function_call import FunctionCall, MapCall, call_of_location
from ._http import refused
from ._invoke import Callee, begin, call, request_body, stream
from ._partial import CALLS_SUFFIX, Traits
from ._runtime import surrounding
from ._variants import Changes, undescribed
from ._wire import CALL_HEADER

if TYPE_CHECKING:
    from .app import App

__all__ = ["Function", "FunctionCall", "gather"]

P = ParamSpec("P")
R = TypeVar("R")

#: Calls of one map at a time.
_MAP_WORKERS = 100

#: Requests at a time that begin calls.
_SPAWN_WORKERS = 16


class Function(Generic[P, R]):
    """A function of an app. `App.function` makes it of a Python function; `from_name` finds a deployed one."""

    def __init__(
        self,
        tag: str,
        *,
        app: App | None = None,
        raw_f: Callable[..., Any] | None = None,
        traits: Traits | None = None,
        options: Mapping[str, Any] | None = None,
        pool: str | None = None,
        instance: Any = None,
        query: str = "",
        elsewhere: tuple[str, str | None] | None = None,
        changes: Changes | None = None,
    ) -> None:
        #: Its name within the app: `f`, or `Model.predict`.
        self.tag = tag
        self.app = app
        self.traits = traits or Traits()
        self.options = dict(options or {})
        #: The function whose containers run it: a class's for a method.
        self.pool = pool or tag
        self._raw_f = raw_f
        #: Of a method: makes the object that it is called on.
        self._instance = instance
        #: Of a method: the parameters of its class, which select the containers.
        self._query = query
        #: Of one that was found by name: its app's name and environment.
        self._elsewhere = elsewhere
        #: Of a variant: what it has instead of its decorators' words.
        self.changes = changes or Changes()
        self.__name__ = tag.rpartition(".")[2]
        self.__doc__ = getattr(raw_f, "__doc__", None)
        self.remote: Both[P, R] = Both(self._remote)
        self.remote_gen: BothIterators[P, Any] = BothIterators(self._remote_gen)
        self.spawn: Both[P, FunctionCall[R]] = Both(self._spawn)
        self.local: BothLocal[P] = BothLocal(self._local)
        self.map: BothIterators[..., R] = BothIterators(self._map)
        self.starmap: BothIterators[..., R] = BothIterators(self._starmap)
        self.hydrate: Both[..., Function[P, R]] = Both(self._hydrate)
        self.get_web_url: Both[[], str | None] = Both(self._get_web_url)
        self.update_autoscaler: Both[..., None] = Both(self._update_autoscaler)
        self.for_each: Both[..., None] = Both(self._for_each)
        self.spawn_map: Both[..., FunctionCall[R] | None] = Both(self._spawn_map)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{self.tag} is a function of an app: {self.tag}.remote(...) runs it in a container, {self.tag}.local(...) here"
        )

    def __repr__(self) -> str:
        return f"<postern.Function {self.tag}>"

    @staticmethod
    @Both
    def from_name(
        app_name: str, name: str, *, environment_name: str | None = None, client: Any = None
    ) -> Function[Any, Any]:
        """A function of a deployed app, `f` or `Model.predict`. The gateway is asked at its first call."""
        del client
        return Function(name, pool=name.partition(".")[0], elsewhere=(app_name, environment_name))

    lookup = Absent("it is called Function.from_name")
    get_current_stats = Absent("postern app list and the metrics have the numbers")

    def _hydrate(self, client: Any = None) -> Function[P, R]:
        """Finds a deployed function now. @throws NotFoundError, AuthError"""
        del client
        self._opened()
        return self

    @property
    def is_generator(self) -> bool:
        """Whether its values are streamed."""
        if self.traits.is_generator is not None:
            return self.traits.is_generator
        raw_f = self._raw_f
        return raw_f is not None and (inspect.isgeneratorfunction(raw_f) or inspect.isasyncgenfunction(raw_f))

    def get_raw_f(self) -> Callable[..., Any]:
        """The Python function."""
        if self._raw_f is None:
            raise exception.InvalidError(f"{self.tag} was found by name: its code is not here")
        return self._raw_f

    def _local(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Calls the Python function here, as any other."""
        raw_f = self.get_raw_f()
        return raw_f(self._instance(), *args, **kwargs) if self._instance is not None else raw_f(*args, **kwargs)

    def _get_web_url(self) -> str | None:
        """The URL of a function that is served to the web; None for any other. @throws NotFoundError"""
        if self._elsewhere is None and self.traits.web is None:
            return None
        return self._opened().urls.get(self.tag)

    @property
    def web_url(self) -> str | None:
        """The same."""
        return self._get_web_url()

    def _update_autoscaler(
        self,
        *,
        min_containers: int | None = None,
        max_containers: int | None = None,
        buffer_containers: int | None = None,
        scaledown_window: int | None = None,
    ) -> None:
        """Changes the numbers of a deployed function's containers, at once and until the next deployment.

        Needs an API token of scope `deploy`, which a container does not have. @throws AuthError, NotFoundError, …
        """
        settings = {
            "min_containers": min_containers,
            "max_containers": max_containers,
            "buffer_containers": buffer_containers,
            "scaledown_window": scaledown_window,
        }
        changed = {name: value for name, value in settings.items() if value is not None}
        if not changed:
            raise exception.InvalidError(f"update_autoscaler changes one of {', '.join(settings)}")
        # A class of web endpoints alone has its containers by the first of them.
        urls = self._opened().urls
        owners = [self.pool, *(tag for tag in urls if tag.startswith(self.pool + "."))]
        owner = next((tag for tag in owners if tag in urls), self.pool)
        update_scaling(self._app_name, self._elsewhere[1] if self._elsewhere else None, owner, changed)

    def keep_warm(self, warm_pool_size: int) -> None:
        """The former name of `update_autoscaler(min_containers=…)`."""
        self.update_autoscaler(min_containers=warm_pool_size)

    def with_options(self, **options: Any) -> Function[P, R]:
        """The function with other options, in containers of its own. The app's file calls this outside of functions.

        Elsewhere, the same options find those containers. @throws TypeError for what Modal's does not take
        """
        return self._variant(self.changes.with_options(options))

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> Function[P, R]:
        """The function with other numbers of calls at a time, in containers of its own."""
        return self._variant(self.changes.with_concurrency(max_inputs, target_inputs))

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> Function[P, R]:
        """The function with its calls gathered, in containers of its own."""
        return self._variant(self.changes.with_batching(max_batch_size, wait_ms))

    def _variant(self, changes: Changes) -> Function[P, R]:
        if self.tag.partition(".")[2] and self._elsewhere is None:
            raise exception.InvalidError(f"{self.tag} is a method: its class has with_options")
        made: Function[P, R] = Function(
            self.tag,
            app=self.app,
            raw_f=self._raw_f,
            traits=changes.traits_of(self.traits),
            options={**self.options, **changes.options},
            pool=changes.pool_of(self.tag.partition(".")[0]),
            elsewhere=self._elsewhere,
            changes=changes,
        )
        if self.app is not None:
            self.app.add_variant(made)
        return made

    # One call

    def _remote(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the function in a container and returns its value, or raises its exception with its traceback."""
        if self.is_generator:
            return cast(R, self._remote_gen(*args, **kwargs))
        return cast(R, call(self._callee(), request_body(args, kwargs)))

    def _remote_gen(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        """Runs a generator in a container and yields its values as they come."""
        return stream(self._callee(), request_body(args, kwargs))

    def _spawn(self, *args: P.args, **kwargs: P.kwargs) -> FunctionCall[R]:
        """Begins a call that goes on without this program. The box keeps its result for `FunctionCall.get`."""
        callee = self._callee()
        body = request_body(args, kwargs)
        key = uuid.uuid4().hex
        try:
            response = begin(callee, body, "respond-async", key)
        except exception.ConnectionError:
            # Under its key it is the same call, however often it is sent.
            response = begin(callee, body, "respond-async", key)
        if response.status != 202:
            # A function may end before the gateway has said that it goes on.
            known = response.header(CALL_HEADER)
            if known == "":
                raise refused(response).error(callee.name)
            response.read()
            return FunctionCall.from_id(known)
        document = json.loads(response.read())
        app, environment = self._app_name, self._environment
        return call_of_location(app, environment, callee, self._endpoint(), document["result_url"])

    # Many calls

    def _map(
        self,
        *input_iterators: Iterable[Any],
        kwargs: Mapping[str, Any] | None = None,
        order_outputs: bool = True,
        return_exceptions: bool = False,
        wrap_returned_exceptions: bool = True,
    ) -> Iterator[R]:
        """Runs the function for each input, in as many containers as it may have, and yields its values.

        In the inputs' order, or with `order_outputs=False` as they come. `return_exceptions` yields exceptions in
        their places; else the first one is raised.
        """
        del wrap_returned_exceptions
        return self._results(zip(*input_iterators), kwargs, order_outputs, return_exceptions)

    def _starmap(
        self,
        input_iterator: Iterable[Sequence[Any]],
        *,
        kwargs: Mapping[str, Any] | None = None,
        order_outputs: bool = True,
        return_exceptions: bool = False,
        wrap_returned_exceptions: bool = True,
    ) -> Iterator[R]:
        """As `map`, with a sequence of arguments for each call."""
        del wrap_returned_exceptions
        return self._results(map(tuple, input_iterator), kwargs, order_outputs, return_exceptions)

    def _results(
        self,
        inputs: Iterable[tuple[Any, ...]],
        kwargs: Mapping[str, Any] | None,
        ordered: bool,
        return_exceptions: bool,
    ) -> Iterator[Any]:
        keywords = dict(kwargs or {})

        def job(arguments: tuple[Any, ...]) -> Callable[[], Any]:
            def run() -> Any:
                try:
                    return call(self._callee(), request_body(arguments, keywords))
                except Exception as error:
                    if return_exceptions:
                        return error
                    raise

            return run

        return results_in_turn((job(arguments) for arguments in inputs), _MAP_WORKERS, ordered)

    def _for_each(
        self,
        *input_iterators: Iterable[Any],
        kwargs: Mapping[str, Any] | None = None,
        ignore_exceptions: bool = False,
    ) -> None:
        """Runs the function for each input and forgets the values."""
        for _ in self._map(
            *input_iterators, kwargs=kwargs, order_outputs=False, return_exceptions=ignore_exceptions
        ):
            pass

    def _spawn_map(
        self, *input_iterators: Iterable[Any], kwargs: Mapping[str, Any] | None = None
    ) -> FunctionCall[R] | None:
        """Begins a call for each input, and waits for none. `iter` of what it returns has the results.

        None where there is no input.
        """
        spawn = cast("Callable[..., FunctionCall[R]]", self._spawn)
        keywords = dict(kwargs or {})

        def job(arguments: tuple[Any, ...]) -> Callable[[], FunctionCall[R]]:
            return lambda: spawn(*arguments, **keywords)

        jobs = (job(arguments) for arguments in zip(*input_iterators))
        calls = list(results_in_turn(jobs, _SPAWN_WORKERS, True))
        return MapCall(calls) if calls else None

    # Where it is

    @property
    def _app_name(self) -> str:
        if self._elsewhere is not None:
            return self._elsewhere[0]
        here = surrounding()
        if here is not None:
            return here.app
        if self.app is None:
            return ""
        return self.app.deployed_as[0] if self.app.deployed_as is not None else self.app.name or ""

    @property
    def _environment(self) -> str:
        here = surrounding()
        return (self._elsewhere[1] if self._elsewhere else None) or (here.environment if here is not None else "main")

    def _opened(self) -> Opened:
        if self._elsewhere is not None:
            return app_by_name(*self._elsewhere)
        opened = own_app()
        if opened is None and self.app is not None and self.app.deployed_as is not None:
            opened = app_by_name(*self.app.deployed_as)
        if opened is None:
            raise exception.InvalidError(
                f"{self.tag}: the app does not run here. `postern run` runs a local entrypoint, "
                f'and Function.from_name("app", "{self.tag}") finds a deployed function'
            )
        return opened

    def _endpoint(self) -> str:
        """The endpoint that takes its calls: beside its page, a function has a second one for them."""
        second = self.pool + CALLS_SUFFIX
        return second if self.tag == self.pool and second in self._opened().urls else self.pool

    def _callee(self) -> Callee:
        if not self.traits.takes_calls:
            raise exception.InvalidError(
                f"{self.tag} makes an app for the web, which is no value: call its URL, get_web_url(), or use local()"
            )
        opened = self._opened()
        url = opened.urls.get(self._endpoint())
        if url is None and self.pool != self.tag.partition(".")[0]:
            raise undescribed(self.tag, self.pool)
        if url is None and self.tag in opened.urls:
            raise exception.InvalidError(f"{self.tag} is served to the web: call its URL, get_web_url()")
        if url is None:
            raise exception.NotFoundError(f"app {self._app_name} has no function {self.tag}; it has {', '.join(opened.urls)}")
        return Callee(self.tag, url, "/" + self.tag.partition(".")[2], opened.token, self._query)


def gather(*function_calls: FunctionCall[R]) -> Sequence[R]:
    """Waits for several calls."""
    return FunctionCall.gather(*function_calls)
