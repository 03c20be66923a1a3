"""One call of a function: its request, its result, its stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import exception
from ._http import Place, Refused, Response, refused, send
from ._wire import (
    CALL_TYPE,
    END,
    EXCEPTION,
    RESULT_TYPE,
    SIGNATURE_HEADER,
    STREAM_TYPE,
    VALUE,
    FrameReader,
    dump,
    load,
    load_exception,
    sign,
)

#: How long a call that nobody could take is offered again, and how long at least between two offers.
_OFFERED_SECONDS = 60.0
_LEAST_PAUSE_SECONDS = 0.2

#: A problem document (RFC 9457), and a container's line.
_REFUSAL_TYPES = ("application/problem+json", "text/plain")

#: Begins a container's line.
_CONTAINER_LINE = "postern: "

#: What a container says of a function that it does not have, and of one that makes an app.
_CONTAINER_REFUSALS = {404: exception.NotFoundError, 400: exception.InvalidError}

#: Refusals after which the call has certainly not run.
_OFFER_AGAIN = ("queue_full", "rate_limited", "no_origin", "unavailable")


@dataclass(frozen=True)
class Callee:
    """Where one function's calls go."""

    #: As in messages.
    name: str
    url: str
    #: `/`, or `/` and a method's name.
    path: str
    token: str
    #: Selects the containers of a class with parameters.
    query: str = ""

    @property
    def place(self) -> Place:
        """The endpoint's."""
        return Place.of(self.url)

    @property
    def headers(self) -> dict[str, str]:
        """Of each request."""
        return {"authorization": f"Bearer {self.token}"}


def begin(callee: Callee, body: bytes, prefer: str | None = None, key: str | None = None) -> Response:
    """Sends a call, again where nobody could take it. @throws what the gateway's refusal means"""
    headers = {**callee.headers, "content-type": CALL_TYPE, SIGNATURE_HEADER: sign(callee.token, callee.path, body)}
    if prefer is not None:
        headers["prefer"] = prefer
    if key is not None:
        headers["idempotency-key"] = f'"{key}"'
    until = time.monotonic() + _OFFERED_SECONDS
    while True:
        target = f"{callee.path}?{callee.query}" if callee.query else callee.path
        response = send("POST", callee.place, target, headers, body)
        if response.status in (200, 202, 303, 500) and _is_of_function(response):
            return response
        if not _is_of_postern(response):
            response.close()
            raise exception.InvalidError(f"{callee.name} is served to the web: call its URL, get_web_url()")
        refusal = refused(response)
        by_container = _CONTAINER_REFUSALS.get(refusal.status)
        if by_container is not None and refusal.detail.startswith(_CONTAINER_LINE):
            raise by_container(f"{callee.name}: {refusal.detail.removeprefix(_CONTAINER_LINE)}")
        if not may_offer_again(refusal) or time.monotonic() > until:
            raise refusal.error(callee.name)
        time.sleep(max(_LEAST_PAUSE_SECONDS, refusal.retry_after or 0))


def may_offer_again(refusal: Refused) -> bool:
    """Whether the call has not run and may be taken later."""
    return refusal.code in _OFFER_AGAIN and (refusal.status == 429 or refusal.retry_after is not None)


def _is_of_function(response: Response) -> bool:
    return response.status in (202, 303) or response.header("content-type") in (RESULT_TYPE, STREAM_TYPE)


def _is_of_postern(response: Response) -> bool:
    """A refusal of the gateway or of a container, and no response of a user's web app."""
    return response.header("content-type").startswith(_REFUSAL_TYPES)


def request_body(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> bytes:
    """@throws SerializationError"""
    return dump((arguments, keywords), "an argument")


def call(callee: Callee, body: bytes) -> Any:
    """Runs a function and returns its value, or raises its exception."""
    return result_of(callee, followed(callee, begin(callee, body)))


def followed(callee: Callee, response: Response) -> Response:
    """The response of a function that takes longer than the gateway lets a request wait."""
    while response.status == 303:
        response.read()
        response = collect(callee, response.header("location"))
    return response


def collect(callee: Callee, location: str, prefer: str | None = None) -> Response:
    """Asks for a result by its path and query."""
    headers = dict(callee.headers)
    if prefer is not None:
        headers["prefer"] = prefer
    return send("GET", callee.place, location, headers)


def result_of(callee: Callee, response: Response) -> Any:
    """@throws the function's exception, or what the gateway's refusal means"""
    if response.header("content-type") == STREAM_TYPE:
        return list(_stream(response))
    if response.header("content-type") != RESULT_TYPE:
        raise refused(response).error(callee.name)
    body = response.read()
    kind, data = body[:1], body[1:]
    if kind == EXCEPTION:
        raise load_exception(data)
    if kind != VALUE:
        raise exception.DeserializationError(f"{callee.name} answered what is no result")
    return load(data, f"the result of {callee.name}")


def stream(callee: Callee, body: bytes) -> Iterator[Any]:
    """Runs a generator and yields its values as they come. Closing the iterator ends it."""
    response = followed(callee, begin(callee, body))
    if response.header("content-type") != STREAM_TYPE:
        value = result_of(callee, response)
        raise exception.InvalidError(f"{callee.name} is no generator and returned {type(value).__name__}: use remote")
    yield from _stream(response)


def _stream(response: Response) -> Iterator[Any]:
    reader = FrameReader()
    chunks = response.chunks()
    try:
        for chunk in chunks:
            for kind, data in reader.feed(chunk):
                if kind == VALUE:
                    yield load(data, "a value of a generator")
                elif kind == EXCEPTION:
                    raise load_exception(data)
                elif kind == END:
                    return
        raise exception.ConnectionError("the stream of a generator broke off")
    finally:
        chunks.close()  # type: ignore[attr-defined]


def path_and_query(url: str) -> str:
    """What a request line has of a URL."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
