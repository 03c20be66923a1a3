"""Requests over HTTP/1.1 with the standard library: connections are kept for the next request to the same place."""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import exception

#: The gateway keeps an idle connection longer than this.
_IDLE_SECONDS = 4.0

#: Of one place.
_MAX_IDLE = 64

_CHUNK_BYTES = 64 * 1024

#: The gateway's codes (docs/errors.md), as exceptions.
_ERRORS: Mapping[str, type[Exception]] = {
    "missing_credentials": exception.AuthError,
    "invalid_credentials": exception.AuthError,
    "forbidden": exception.PermissionDeniedError,
    "no_such_endpoint": exception.NotFoundError,
    "app_stopped": exception.NotFoundError,
    "no_such_call": exception.NotFoundError,
    "not_found": exception.NotFoundError,
    "result_expired": exception.OutputExpiredError,
    "parameter_missing": exception.InvalidError,
    "parameter_invalid": exception.InvalidError,
    "body_too_large": exception.RequestSizeError,
    "rate_limited": exception.ResourceExhaustedError,
    "queue_full": exception.ResourceExhaustedError,
    "call_timeout": exception.FunctionTimeoutError,
    "startup_timeout": exception.FunctionTimeoutError,
    "call_lost": exception.InternalFailure,
    "starting_failed": exception.RemoteError,
    "origin_error": exception.RemoteError,
    "no_origin": exception.ServiceError,
    "unavailable": exception.ServiceError,
}


@dataclass(frozen=True)
class Place:
    """Where requests go: the URL's scheme and authority."""

    scheme: str
    host: str
    port: int

    @staticmethod
    def of(url: str) -> Place:
        """@throws InvalidError"""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise exception.InvalidError(f"{url} is not an http or https URL")
        return Place(parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))

    @property
    def authority(self) -> str:
        """The value of Host."""
        default = 443 if self.scheme == "https" else 80
        return self.host if self.port == default else f"{self.host}:{self.port}"


class Response:
    """A response whose body is read once; then its connection serves the next request."""

    def __init__(self, place: Place, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._place = place
        self._connection = connection
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str:
        """The header's value, or an empty text."""
        return self._response.headers.get(name, "")

    def read(self) -> bytes:
        """The whole body."""
        try:
            body = self._response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise exception.ConnectionError(f"the response of {self._place.authority} broke off: {error}") from error
        self._done()
        return body

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes. Closing the iterator ends the request."""
        try:
            while True:
                chunk = self._response.read1(_CHUNK_BYTES)
                if chunk == b"":
                    break
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise exception.ConnectionError(f"the stream of {self._place.authority} broke off: {error}") from error
        finally:
            if self._response.isclosed():
                self._done()
            else:
                self.close()

    def close(self) -> None:
        """Ends the request, whatever is left of it."""
        self._connection.close()

    def _done(self) -> None:
        _pool.give_back(self._place, self._connection)


class _Pool:
    """Idle connections, the last one used first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Place, list[tuple[float, http.client.HTTPConnection]]] = {}

    def take(self, place: Place) -> http.client.HTTPConnection | None:
        """One that is still open."""
        with self._lock:
            idle = self._idle.get(place, [])
            while idle:
                since, connection = idle.pop()
                if time.monotonic() - since < _IDLE_SECONDS and _is_open(connection):
                    return connection
                connection.close()
        return None

    def give_back(self, place: Place, connection: http.client.HTTPConnection) -> None:
        if connection.sock is None:
            return
        with self._lock:
            idle = self._idle.setdefault(place, [])
            if len(idle) < _MAX_IDLE:
                idle.append((time.monotonic(), connection))
                return
        connection.close()

    def forget(self) -> None:
        """After a fork: the connections are the parent's."""
        self._lock = threading.Lock()
        self._idle = {}


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """An idle connection says something only when it ends."""
    if connection.sock is None:
        return False
    try:
        readable, _, _ = select.select([connection.sock], [], [], 0)
    except (OSError, ValueError):
        return False
    return readable == []


def _connect(place: Place) -> http.client.HTTPConnection:
    # RFC 6761, 6.3: each name under localhost means this machine, whether its resolver knows it or not.
    host = "localhost" if place.host.endswith(".localhost") else place.host
    if place.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, place.port, context=context)
    else:
        connection = http.client.HTTPConnection(host, place.port)
    connection.connect()
    sock = connection.sock
    if sock is not None:
        # A machine that vanished is noticed, however long a function may run.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def send(
    method: str,
    place: Place,
    target: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> Response:
    """Sends a request once. @throws ConnectionError where no response came: the request may have been executed"""
    try:
        connection = _pool.take(place) or _connect(place)
    except OSError as error:
        raise exception.ConnectionError(f"{place.authority} can't be reached: {error}") from error
    try:
        connection.request(method, target, body, {"Host": place.authority, **headers})
        return Response(place, connection, connection.getresponse())
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise exception.ConnectionError(f"{place.authority} did not answer: {error}") from error
    except BaseException:
        connection.close()
        raise


@dataclass(frozen=True)
class Refused:
    """A response that is not a function's: the gateway's code and its words."""

    status: int
    code: str
    detail: str
    #: Seconds after which trying again makes sense; None where it does not.
    retry_after: float | None

    def error(self, what: str) -> Exception:
        """As the exception that a caller sees."""
        kind = _ERRORS.get(self.code, exception.InternalError)
        return kind(f"{what}: {self.detail or self.code or f'the gateway answered {self.status}'}")


def refused(response: Response) -> Refused:
    """Reads a problem document (RFC 9457), or what else is there."""
    body = response.read()
    document: Any = {}
    try:
        document = json.loads(body)
    except ValueError:
        pass
    if not isinstance(document, dict):
        document = {}
    after = response.header("retry-after")
    text = body[:200].decode("utf-8", "replace").strip()
    return Refused(
        response.status,
        str(document.get("code", "")),
        str(document.get("detail") or document.get("title") or text),
        float(after) if after.isdigit() else None,
    )
