"""Queues that all containers of an environment share, on one box."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import _data
from ._absent import Absent
from ._both import Both, BothContexts, BothIterators

#: Items of one partition; then `put` waits.
_MAX_ITEMS = 5_000

#: Seconds that an item is kept.
_TTL_SECONDS = 24 * 3600

#: Between two looks of one that waits, at first and at most.
_LEAST_PAUSE_SECONDS = 0.005
_MOST_PAUSE_SECONDS = 0.1


class Queue:
    """First in, first out, by partition. `get` and `put` wait; `queue.Empty` and `queue.Full` end a wait."""

    def __init__(self, name: str, create: bool) -> None:
        self.name = _data.checked_name(name, "Queue")
        self._create = create
        self.get: Both[..., Any] = Both(self._get)
        self.get_many: Both[..., list[Any]] = Both(self._get_many)
        self.put: Both[..., None] = Both(self._put)
        self.put_many: Both[..., None] = Both(self._put_many)
        self.hydrate: Both[..., Queue] = Both(self._hydrate)
        self.len: Both[..., int] = Both(self._len)
        self.clear: Both[..., None] = Both(self._clear)
        self.iterate: BothIterators[..., Any] = BothIterators(self._iterate)

    @staticmethod
    def from_name(name: str, *, environment_name: str | None = None, create_if_missing: bool = False, client: Any = None) -> Queue:
        """A queue of the app's environment; it is looked for at its first use."""
        del environment_name, client
        return Queue(name, create_if_missing)

    @staticmethod
    @BothContexts
    @contextmanager
    def ephemeral(**options: Any) -> Iterator[Queue]:
        """A queue that goes with the block. It can be an argument of a call meanwhile."""
        del options
        made = Queue(f"ephemeral-{uuid.uuid4().hex}", True)
        try:
            yield made
        finally:
            made._clear(all=True)

    objects = Absent("use Queue.from_name(name, create_if_missing=True), and clear() to empty one")
    lookup = Absent("it is called Queue.from_name")
    delete = Absent("clear() empties it")
    info = Absent("it has its name, and len()")
    validate_partition_key = Absent("any text is a partition")

    def _hydrate(self, client: Any = None) -> Queue:
        """Looks for it now. @throws NotFoundError"""
        del client
        with self._database():
            return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (Queue, (self.name, self._create))

    @contextmanager
    def _database(self) -> Iterator[Any]:
        with _data.database("a Queue") as connection:
            _data.make_or_find(connection, "Queue", self.name, self._create)
            connection.execute("DELETE FROM items WHERE name = ? AND expires < ?", (self.name, time.time()))
            yield connection

    def _get(self, block: bool = True, timeout: float | None = None, *, partition: str | None = None) -> Any:
        """The oldest item. @throws queue.Empty"""
        return self._get_many(1, block, timeout, partition=partition)[0]

    def _get_many(
        self, n_values: int, block: bool = True, timeout: float | None = None, *, partition: str | None = None
    ) -> list[Any]:
        """Up to so many items, at least one. @throws queue.Empty"""

        def take() -> list[bytes] | None:
            with self._database() as connection:
                rows = connection.execute(
                    "SELECT place, value FROM items WHERE name = ? AND part = ? ORDER BY place LIMIT ?",
                    (self.name, partition or "", n_values),
                ).fetchall()
                connection.executemany("DELETE FROM items WHERE place = ?", [(place,) for place, _ in rows])
            return [value for _, value in rows] or None

        found = _until(take, block, timeout)
        if found is None:
            raise queue.Empty
        return [_data.value_of(value, "an item of a Queue") for value in found]

    def _put(
        self,
        v: Any,
        block: bool = True,
        timeout: float | None = None,
        *,
        partition: str | None = None,
        partition_ttl: int = _TTL_SECONDS,
    ) -> None:
        """Adds an item. @throws queue.Full"""
        self._put_many([v], block, timeout, partition=partition, partition_ttl=partition_ttl)

    def _put_many(
        self,
        vs: Sequence[Any],
        block: bool = True,
        timeout: float | None = None,
        *,
        partition: str | None = None,
        partition_ttl: int = _TTL_SECONDS,
    ) -> None:
        """Adds items, all or none. @throws queue.Full"""
        values = [_data.value_bytes(value, "an item of a Queue") for value in vs]

        def add() -> bool | None:
            with self._database() as connection:
                if self._count(connection, partition or "") + len(values) > _MAX_ITEMS:
                    return None
                expires = time.time() + partition_ttl
                connection.executemany(
                    "INSERT INTO items (name, part, value, expires) VALUES (?, ?, ?, ?)",
                    [(self.name, partition or "", value, expires) for value in values],
                )
            return True

        if _until(add, block, timeout) is None:
            raise queue.Full

    def _count(self, connection: Any, part: str) -> int:
        found = connection.execute("SELECT count(*) FROM items WHERE name = ? AND part = ?", (self.name, part))
        return int(found.fetchone()[0])

    def _len(self, *, partition: str | None = None, total: bool = False) -> int:
        """The number of items of a partition, or of all."""
        with self._database() as connection:
            if not total:
                return self._count(connection, partition or "")
            found = connection.execute("SELECT count(*) FROM items WHERE name = ?", (self.name,))
            return int(found.fetchone()[0])

    def _clear(self, *, partition: str | None = None, all: bool = False) -> None:
        """Removes the items of a partition, or all."""
        with self._database() as connection:
            if all:
                connection.execute("DELETE FROM items WHERE name = ?", (self.name,))
            else:
                connection.execute("DELETE FROM items WHERE name = ? AND part = ?", (self.name, partition or ""))

    def _iterate(self, *, partition: str | None = None, item_poll_timeout: float = 0.0) -> Iterator[Any]:
        """Its items, which stay; ends where no new one comes for so many seconds."""
        last = 0
        until = time.monotonic() + item_poll_timeout
        while True:
            with self._database() as connection:
                rows = connection.execute(
                    "SELECT place, value FROM items WHERE name = ? AND part = ? AND place > ? ORDER BY place",
                    (self.name, partition or "", last),
                ).fetchall()
            for last, value in rows:
                yield _data.value_of(value, "an item of a Queue")
                until = time.monotonic() + item_poll_timeout
            if time.monotonic() >= until:
                return
            time.sleep(_MOST_PAUSE_SECONDS)


def _until(attempt: Any, block: bool, timeout: float | None) -> Any:
    """Tries until something is there, or the time is over."""
    until = None if timeout is None else time.monotonic() + timeout
    pause = _LEAST_PAUSE_SECONDS
    while True:
        found = attempt()
        if found is not None or not block or (until is not None and time.monotonic() >= until):
            return found
        time.sleep(pause if until is None else max(0.0, min(pause, until - time.monotonic())))
        pause = min(2 * pause, _MOST_PAUSE_SECONDS)
