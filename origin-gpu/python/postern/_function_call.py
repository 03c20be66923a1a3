"""A call that runs without its caller: `Function.spawn` makes it, and whoever has its id reads its result."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from . import exception
from ._access import app_by_name, base_url
from ._both import Both, BothIterators
from ._http import Place, Response, refused, send
from ._invoke import Callee, collect, path_and_query, result_of
from ._runtime import CALL_PREFIX, CallPlace
from ._wire import RESULT_TYPE
from .call_graph import InputInfo, InputStatus

R = TypeVar("R")

#: Of one request for a result; then it is asked for again.
_WAIT_SECONDS = 60

#: Between two looks where less than a second is left.
_LOOK_SECONDS = 0.05

#: Of a result URL's query.
_CALL_PARAMETER = "__postern_call"

#: Codes of a gateway that says how a call ended without a result.
_ENDINGS = {
    "call_timeout": InputStatus.TIMEOUT,
    "call_lost": InputStatus.TERMINATED,
    "starting_failed": InputStatus.INIT_FAILURE,
    "startup_timeout": InputStatus.INIT_FAILURE,
}


class FunctionCall(Generic[R]):
    """A call of a function, and its result when that is there."""

    def __init__(self, place: CallPlace, location: str | None = None) -> None:
        self._place = place
        #: Path and query of its result URL; asked for where it is not known.
        self._known_location = location
        self.get: Both[..., R] = Both(self._get)
        self.iter: BothIterators[..., R] = BothIterators(self._iter)
        self.cancel: Both[..., None] = Both(self._cancel)
        self.hydrate: Both[..., FunctionCall[R]] = Both(self._hydrate)
        self.get_call_graph: Both[[], list[InputInfo]] = Both(self._get_call_graph)

    @property
    def object_id(self) -> str:
        """The call's id: all that is needed to find it again, and no secret. It opens nothing by itself.

        `current_function_call_id` is the same one in the function.
        """
        return self._place.object_id

    @staticmethod
    @Both
    def from_id(function_call_id: str, client: Any = None) -> FunctionCall[Any]:
        """The call with this id. @throws InvalidError for what is no id of a call"""
        del client
        try:
            text = function_call_id.removeprefix(CALL_PREFIX)
            parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            place = CallPlace(*(str(part) for part in parts))
        except (ValueError, TypeError):
            raise exception.InvalidError(f"{function_call_id} is no id of a call") from None
        return FunctionCall(place, _locations.get(place))

    @staticmethod
    @Both
    def gather(*function_calls: FunctionCall[R]) -> Sequence[R]:
        """Waits for several calls. @throws the exception of the first in order that failed"""
        return [call.get() for call in function_calls]

    def num_inputs(self) -> int:
        """A spawned call has one."""
        return 1

    @property
    def _callee(self) -> Callee:
        place = self._place
        opened = app_by_name(place.app, place.environment)
        url = opened.urls.get(place.function)
        if url is None:
            raise exception.NotFoundError(f"app {place.app} has no function {place.function} any more")
        return Callee(place.name, url, "/", opened.token)

    @property
    def _location(self) -> str:
        """@throws OutputExpiredError where the box does not know the call any more"""
        if self._known_location is None:
            self._known_location = _ask_for_location(self._callee, self._place)
            _remember(self._place, self._known_location)
        return self._known_location

    def _get(self, timeout: float | None = None, *, index: int = 0) -> R:
        """Waits for the result, at most `timeout` seconds; 0 looks once.

        @throws TimeoutError where it is not there yet, OutputExpiredError where it is gone, else the function's exception
        """
        if index != 0:
            raise exception.InvalidError("a spawned call has one result, at index 0")
        callee = self._callee
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else until - time.monotonic()
            wait = _WAIT_SECONDS if left is None else max(0, min(_WAIT_SECONDS, int(left)))
            response = self._look(callee, wait)
            if response is not None:
                result: R = result_of(callee, response)
                return result
            if left is not None and left <= 0:
                raise exception.ResultPending(f"{callee.name} has no result yet")
            if wait == 0:
                time.sleep(_LOOK_SECONDS)

    def _iter(self, *, start: int = 0, end: int | None = None) -> Iterator[R]:
        """The results in order, from one index to before another one."""
        for index in range(self.num_inputs())[start:end]:
            yield self._get(index=index)

    def _hydrate(self, client: Any = None) -> FunctionCall[R]:
        """Nothing to do: a call is looked for when something is asked of it."""
        del client
        return self

    def _look(self, callee: Callee, wait: int) -> Response | None:
        """The response, or None where it is not there after so many seconds."""
        response = collect(callee, self._location, f"wait={wait}")
        if response.status != 202:
            return response
        response.read()
        return None

    def _cancel(self, terminate_containers: bool = False) -> None:
        """Ends the call: a waiting one does not begin, and a running function gets an InputCancellation."""
        if terminate_containers:
            raise exception.NotSupportedError("terminate_containers: postern container stop ends a container")
        callee = self._callee
        token = self._location.partition(_CALL_PARAMETER + "=")[2].partition("&")[0]
        response = send("DELETE", Place.of(base_url(callee.url)), f"/api/v1/calls/{token}", callee.headers)
        if response.status != 204:
            raise refused(response).error(callee.name)
        response.read()

    def _get_call_graph(self) -> list[InputInfo]:
        """The call below a root, with its state now."""
        callee = self._callee
        response = self._look(callee, 0)
        status = InputStatus.PENDING if response is None else _status_of(response)
        name = callee.name.rpartition(".")[2]
        call = InputInfo("in-0", self.object_id, "", status, name, "")
        return [InputInfo("in-root", self.object_id, "", status, "", "", [call])]


class MapCall(FunctionCall[R]):
    """The calls of one `spawn_map`. Each is a call of its own, with its own id."""

    def __init__(self, calls: Sequence[FunctionCall[R]]) -> None:
        super().__init__(calls[0]._place)
        self._calls = list(calls)

    @property
    def object_id(self) -> str:
        raise exception.NotSupportedError("spawn_map has a call for each input: keep the ids of single ones, by spawn")

    def num_inputs(self) -> int:
        """One for each input."""
        return len(self._calls)

    def _get(self, timeout: float | None = None, *, index: int = 0) -> R:
        """The result of one input, as for a single call."""
        return self._calls[index]._get(timeout)

    def _cancel(self, terminate_containers: bool = False) -> None:
        """Ends all of them."""
        for call in self._calls:
            call._cancel(terminate_containers)

    def _get_call_graph(self) -> list[InputInfo]:
        """The calls below a root each."""
        return [each for call in self._calls for each in call._get_call_graph()]


def _status_of(response: Response) -> InputStatus:
    if response.header("content-type") == RESULT_TYPE:
        response.read()
        return InputStatus.SUCCESS if response.status == 200 else InputStatus.FAILURE
    return _ENDINGS.get(refused(response).code, InputStatus.FAILURE)


#: Of calls that this program has asked for: it may poll them by their ids.
_locations: dict[CallPlace, str] = {}

#: Later ones push out the oldest.
_MAX_LOCATIONS = 10_000


def _remember(place: CallPlace, location: str) -> None:
    if len(_locations) >= _MAX_LOCATIONS:
        _locations.pop(next(iter(_locations)), None)
    _locations[place] = location


def _ask_for_location(callee: Callee, place: CallPlace) -> str:
    body = json.dumps({"url": callee.url, "box": place.box, "call": place.call}).encode()
    headers = {**callee.headers, "content-type": "application/json"}
    response = send("POST", Place.of(base_url(callee.url)), "/api/v1/result-tokens", headers, body)
    if response.status == 201:
        return f"/?{_CALL_PARAMETER}={json.loads(response.read())['token']}"
    refusal = refused(response)
    if refusal.code == "no_such_call":
        raise exception.OutputExpiredError(f"{callee.name}: the result of this call is gone")
    raise refusal.error(callee.name)


def call_of_location(
    app: str, environment: str, callee: Callee, function: str, result_url: str
) -> FunctionCall[Any]:
    """The call that a 202 tells of."""
    location = path_and_query(result_url)
    claims = _claims_of(location)
    place = CallPlace(app, environment, function, callee.name, str(claims["box"]), str(claims["callId"]))
    return FunctionCall(place, location)


def _claims_of(location: str) -> dict[str, Any]:
    """What the token of a result URL says, for everybody to read."""
    token = location.partition(_CALL_PARAMETER + "=")[2].partition("&")[0]
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
