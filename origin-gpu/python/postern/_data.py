"""Data that outlives containers: one SQLite file and the volumes' directories, for each environment, on one box.

One box owns them. An app whose containers run on several boxes has others on each of them.
"""

from __future__ import annotations

import os
import pickle
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .exception import DeserializationError, InvalidError, NotFoundError
from ._wire import dump, load

_NAME = re.compile(r"^[A-Za-z0-9._-]{1,64}$")

#: How long a writer waits for the others.
_BUSY_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (kind TEXT, name TEXT, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS entries (
    place INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, key BLOB, value BLOB, UNIQUE (name, key)
);
CREATE TABLE IF NOT EXISTS items (
    place INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, part TEXT, value BLOB, expires REAL
);
CREATE INDEX IF NOT EXISTS items_in_order ON items (name, part, place);
"""

_local = threading.local()


def directory(what: str) -> Path:
    """@throws InvalidError for a program that is not on a box"""
    path = os.environ.get("POSTERN_DATA")
    if path is None:
        raise InvalidError(f"{what} lives on a box: use it in a function, or in a local entrypoint by `postern run`")
    return Path(path)


def checked_name(name: str, what: str) -> str:
    """@throws InvalidError"""
    if not isinstance(name, str) or _NAME.match(name) is None:
        raise InvalidError(f"the name of a {what} is 1 to 64 ASCII letters, digits, dashes, dots and underscores, and not {name!r}")
    return name


@contextmanager
def database(what: str) -> Iterator[sqlite3.Connection]:
    """A transaction that writes. Threads and processes take turns."""
    file = directory(what) / "objects.sqlite3"
    known: tuple[int, Path, sqlite3.Connection] | None = getattr(_local, "connection", None)
    if known is None or known[:2] != (os.getpid(), file):
        file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(_SCHEMA)
        known = _local.connection = (os.getpid(), file, connection)
    connection = known[2]
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def make_or_find(connection: sqlite3.Connection, kind: str, name: str, create: bool) -> None:
    """@throws NotFoundError where it is not there and not to be made"""
    if create:
        connection.execute("INSERT OR IGNORE INTO objects VALUES (?, ?)", (kind, name))
        return
    if connection.execute("SELECT 1 FROM objects WHERE kind = ? AND name = ?", (kind, name)).fetchone() is None:
        raise NotFoundError(f"there is no {kind} {name} on this box: create_if_missing=True makes it")


def key_bytes(key: Any) -> bytes:
    """The same for equal keys of the usual types."""
    return pickle.dumps(key, protocol=4)


def value_bytes(value: Any, what: str) -> bytes:
    """@throws SerializationError"""
    return dump(value, what)


def value_of(data: bytes, what: str) -> Any:
    """@throws DeserializationError"""
    return load(data, what)


__all__ = ["DeserializationError", "checked_name", "database", "directory", "key_bytes", "make_or_find", "value_bytes", "value_of"]
