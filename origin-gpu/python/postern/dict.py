"""Dictionaries that all containers of an environment share, on one box."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from . import _data
from ._absent import Absent
from ._both import Both, BothContexts, BothIterators

_MISSING: Any = object()


class Dict:
    """A dictionary by name. Each operation is whole by itself, for all containers."""

    def __init__(self, name: str, create: bool) -> None:
        self.name = _data.checked_name(name, "Dict")
        self._create = create
        self.get: Both[..., Any] = Both(self._get)
        self.put: Both[..., bool] = Both(self._put)
        self.pop: Both[..., Any] = Both(self._pop)
        self.contains: Both[[Any], bool] = Both(self._contains)
        self.hydrate: Both[..., Dict] = Both(self._hydrate)
        self.len: Both[[], int] = Both(self._len)
        self.update: Both[..., None] = Both(self._update)
        self.clear: Both[[], None] = Both(self._clear)
        self.keys: BothIterators[[], Any] = BothIterators(self._keys)
        self.values: BothIterators[[], Any] = BothIterators(self._values)
        self.items: BothIterators[[], tuple[Any, Any]] = BothIterators(self._items)

    @staticmethod
    def from_name(name: str, *, environment_name: str | None = None, create_if_missing: bool = False, client: Any = None) -> Dict:
        """A dictionary of the app's environment; it is looked for at its first use."""
        del environment_name, client
        return Dict(name, create_if_missing)

    @staticmethod
    @BothContexts
    @contextmanager
    def ephemeral(**options: Any) -> Iterator[Dict]:
        """A dictionary that goes with the block."""
        del options
        made = Dict(f"ephemeral-{uuid.uuid4().hex}", True)
        try:
            yield made
        finally:
            made._clear()

    objects = Absent("use Dict.from_name(name, create_if_missing=True), and clear() to empty one")
    lookup = Absent("it is called Dict.from_name")
    delete = Absent("clear() empties it")
    info = Absent("it has its name, and len()")

    def _hydrate(self, client: Any = None) -> Dict:
        """Looks for it now. @throws NotFoundError"""
        del client
        with self._database():
            return self

    @contextmanager
    def _database(self) -> Iterator[Any]:
        with _data.database("a Dict") as connection:
            _data.make_or_find(connection, "Dict", self.name, self._create)
            yield connection

    def _get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        with self._database() as connection:
            row = connection.execute(
                "SELECT value FROM entries WHERE name = ? AND key = ?", (self.name, _data.key_bytes(key))
            ).fetchone()
        return default if row is None else _data.value_of(row[0], "a value of a Dict")

    def _put(self, key: Any, value: Any, *, skip_if_exists: bool = False) -> bool:
        """Whether the value was taken: with `skip_if_exists`, only where the key was new."""
        conflict = "NOTHING" if skip_if_exists else "UPDATE SET value = excluded.value"
        row = (self.name, _data.key_bytes(key), _data.value_bytes(value, "a value of a Dict"))
        with self._database() as connection:
            done = connection.execute(
                f"INSERT INTO entries (name, key, value) VALUES (?, ?, ?) ON CONFLICT (name, key) DO {conflict}", row
            )
            return done.rowcount > 0

    def _pop(self, key: Any, default: Any = _MISSING) -> Any:
        """The value of a key, which is removed. @throws KeyError"""
        with self._database() as connection:
            row = connection.execute(
                "DELETE FROM entries WHERE name = ? AND key = ? RETURNING value", (self.name, _data.key_bytes(key))
            ).fetchone()
        if row is not None:
            return _data.value_of(row[0], "a value of a Dict")
        if default is _MISSING:
            raise KeyError(key)
        return default

    def _contains(self, key: Any) -> bool:
        """Whether there is a key."""
        return self._get(key, _MISSING) is not _MISSING

    def _len(self) -> int:
        """The number of keys."""
        with self._database() as connection:
            return int(connection.execute("SELECT count(*) FROM entries WHERE name = ?", (self.name,)).fetchone()[0])

    def _update(self, other: Mapping[Any, Any] | None = None, /, **kwargs: Any) -> None:
        """Puts several values."""
        for key, value in {**(other or {}), **kwargs}.items():
            self._put(key, value)

    def _clear(self) -> None:
        """Removes all keys."""
        with self._database() as connection:
            connection.execute("DELETE FROM entries WHERE name = ?", (self.name,))

    def _rows(self) -> list[tuple[bytes, bytes]]:
        with self._database() as connection:
            rows = connection.execute("SELECT key, value FROM entries WHERE name = ? ORDER BY place", (self.name,))
            return list(rows.fetchall())

    def _items(self) -> Iterator[tuple[Any, Any]]:
        """Keys and values, as they were at the beginning."""
        for key, value in self._rows():
            yield _data.value_of(key, "a key"), _data.value_of(value, "a value of a Dict")

    def _keys(self) -> Iterator[Any]:
        """Its keys."""
        return (key for key, _ in self._items())

    def _values(self) -> Iterator[Any]:
        """Its values."""
        return (value for _, value in self._items())

    def __getitem__(self, key: Any) -> Any:
        found = self._get(key, _MISSING)
        if found is _MISSING:
            raise KeyError(key)
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        self._put(key, value)

    def __delitem__(self, key: Any) -> None:
        self._pop(key)

    def __contains__(self, key: Any) -> bool:
        return self._contains(key)
