"""What caller and container of a function say to each other: pickles in HTTP bodies, signed with the app's token.

A pickle is code. So the gateway lets nobody to such an endpoint but holders of the app's token, or of a call token
that a deploy token obtained; and the container unpickles nothing before it has checked the body's signature: whoever
reaches its port past the gateway has no token.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from .exception import DeserializationError, ExecutionError, SerializationError

CALL_TYPE = "application/vnd.postern.call"
RESULT_TYPE = "application/vnd.postern.result"
STREAM_TYPE = "application/vnd.postern.stream"

#: `<expiry>.<MAC>`: of a call token with this expiry, or of the app's token where the expiry is 0.
SIGNATURE_HEADER = "x-invocation-signature"

#: Of a response: the call's id, for who wanted no response yet and got one all the same.
CALL_HEADER = "x-invocation-call"

#: Kinds of a message.
VALUE, EXCEPTION, END = b"V", b"E", b"."

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

#: Of a stream's message: its kind, and its length as a number of 8 bytes.
_HEAD_BYTES = 9

#: A longer message is none of ours.
MAX_MESSAGE_BYTES = 4 * 1024**3


def _letters(digest: bytes) -> str:
    """As auth/letters.ts: one letter for each byte."""
    return "".join(_ALPHABET[byte % 32] for byte in digest)


def call_token(app_token: str, expiry: str) -> str:
    """The call token of an app that expires then (auth/app-token.ts makes the same)."""
    digest = hmac.new(app_token.encode(), f"call token\n{expiry}".encode(), hashlib.sha256).digest()
    app = app_token.split("-")[1] if app_token.count("-") == 2 else ""
    return f"pat-{app}-{expiry}-{_letters(digest)}"


def sign(token: str, path: str, body: bytes) -> str:
    """The signature header's value for a call."""
    parts = token.split("-")
    expiry = parts[2] if len(parts) == 4 else "0"
    return f"{expiry}.{_mac(token, path, body)}"


def is_signed(app_token: str, signature: str, path: str, body: bytes) -> bool:
    """Whether the caller has the app's token, or a call token made of it. The gateway has judged its age: the call may
    have waited."""
    if app_token == "":
        return False
    expiry, _, mac = signature.partition(".")
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) < 16):
        return False
    token = app_token if expiry == "0" else call_token(app_token, expiry)
    return hmac.compare_digest(mac.encode(), _mac(token, path, body).encode())


def _mac(token: str, path: str, body: bytes) -> str:
    message = b"postern call\n" + path.encode() + b"\n" + hashlib.sha256(body).hexdigest().encode()
    return hmac.new(token.encode(), message, hashlib.sha256).hexdigest()


def dump(value: Any, what: str) -> bytes:
    """Pickles by value what can't be imported elsewhere. @throws SerializationError"""
    import cloudpickle

    try:
        return cloudpickle.dumps(value)
    except Exception as error:
        raise SerializationError(f"{what} can't be pickled: {error}") from error


def load(data: bytes, what: str) -> Any:
    """@throws DeserializationError"""
    try:
        return pickle.loads(data)
    except Exception as error:
        raise DeserializationError(f"{what} can't be read here: {type(error).__name__}: {error}") from error


class RemoteTraceback(Exception):
    """The traceback of an exception in a container, as the cause of the one that is raised here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


def traceback_of(error: BaseException, is_own: Callable[[str], bool]) -> str:
    """An exception's traceback without the frames at its beginning that are of such a file."""
    frames = error.__traceback__
    while frames is not None and is_own(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames or error.__traceback__))


def dump_exception(error: BaseException, is_own: Callable[[str], bool] = lambda _: False) -> bytes:
    """An exception with its traceback; its text alone where it can't be pickled.

    `is_own` says of a file whether its frames are left out at the beginning: those that lead to the user's code.
    """
    text = traceback_of(error, is_own)
    summary = "".join(traceback.format_exception_only(type(error), error)).strip()
    bare = error.with_traceback(None)
    cause, context = bare.__cause__, bare.__context__
    try:
        bare.__cause__ = bare.__context__ = None
        pickled: bytes | None = dump(_parts(bare), "the exception")
        # Some exceptions can be written and not read.
        _whole(load(pickled or b"", "the exception"))
    except (SerializationError, DeserializationError):
        pickled = None
    finally:
        bare.__cause__, bare.__context__ = cause, context
    return pickle.dumps((pickled, summary, text))


def _parts(error: BaseException) -> tuple[Any, ...]:
    """An exception in parts, unless its class says how it is pickled: a pickle of its own would call its constructor with
    the wrong arguments, where that takes others than it hands on."""
    kind = type(error)
    if kind.__reduce__ is not BaseException.__reduce__ or kind.__reduce_ex__ is not BaseException.__reduce_ex__:
        return ("whole", error)
    return ("parts", kind, error.args, error.__dict__)


def _whole(parts: tuple[Any, ...]) -> Any:
    if parts[0] == "whole":
        return parts[1]
    _, kind, args, members = parts
    try:
        error = kind.__new__(kind, *args)
    except TypeError as reason:
        raise DeserializationError(str(reason)) from reason
    error.args = args
    error.__dict__.update(members)
    return error


def load_exception(data: bytes) -> BaseException:
    """The exception as the caller raises it."""
    pickled, summary, text = load(data, "the exception of a container")
    error: BaseException
    try:
        error = _whole(load(pickled, "the exception")) if pickled is not None else ExecutionError(summary)
    except DeserializationError:
        error = ExecutionError(summary)
    if not isinstance(error, BaseException):
        error = ExecutionError(summary)
    error.__cause__ = RemoteTraceback(text)
    return error


def frame(kind: bytes, data: bytes) -> bytes:
    """One message of a stream."""
    return kind + len(data).to_bytes(8, "big") + data


class FrameReader:
    """Cuts a stream into its messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The messages that this chunk completes. @throws DeserializationError for what is none of ours"""
        self._buffer += chunk
        while len(self._buffer) >= _HEAD_BYTES:
            length = int.from_bytes(self._buffer[1:_HEAD_BYTES], "big")
            if length > MAX_MESSAGE_BYTES:
                raise DeserializationError("the stream of a container is damaged")
            if len(self._buffer) < _HEAD_BYTES + length:
                return
            kind = bytes(self._buffer[:1])
            data = bytes(self._buffer[_HEAD_BYTES : _HEAD_BYTES + length])
            del self._buffer[: _HEAD_BYTES + length]
            yield kind, data
