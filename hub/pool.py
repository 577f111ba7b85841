"""Connections of one kind that threads take in turn, and what the hub's store asks of a connection.

Waiting is bounded, and a connection that was lost takes the idle ones with it: the database was restarted, and the
next transaction opens a new one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from schema.database import Connection
from schema.errors import EdgetillError, TransientError
from sync.replica import Replica

WAIT_S: Final = 5.0


class UndoneError(TransientError):
    """The database undid a transaction for another's sake: it left no trace and may be done again at once."""


class StoreConnection(Connection, Protocol):
    """A driver's connection with its transactions, and the replica whose memory belongs to it."""

    replica: Replica | None

    @property
    def is_usable(self) -> bool:
        """Tell whether another transaction may begin here."""
        ...

    def stream(self, sql: str, at_once: int) -> Iterator[list[Any]]:
        """Yield the rows of a statement without parameters in parts, at most so many at once, inside a transaction."""
        ...

    def begin(self, *, writes: bool, is_steady: bool = False) -> None:
        """Begin a transaction; one that reads, or is steady, sees one state of the database."""
        ...

    def commit(self) -> None:
        """Commit."""
        ...

    def rollback(self) -> None:
        """Roll back; it never raises."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Pool:
    """At most `size` connections, opened when they are needed and kept for the next."""

    def __init__(
        self,
        open_one: Callable[[], StoreConnection],
        size: int,
        as_ours: Callable[[Exception], EdgetillError | None],
    ) -> None:
        self._open_one = open_one
        self._as_ours = as_ours
        self._room = threading.BoundedSemaphore(size)
        self._idle: list[StoreConnection] = []

    @contextmanager
    def lease(self) -> Iterator[StoreConnection]:
        """Lend a connection; raises TransientError `store_busy` when all are lent for too long."""
        if not self._room.acquire(timeout=WAIT_S):
            raise TransientError("store_busy", "every connection of the store is in use: try again")
        try:
            # Appending to a list and popping from it are atomic.
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._opened()
            try:
                yield connection
            finally:
                if connection.is_usable:
                    self._idle.append(connection)
                else:
                    connection.close()
        finally:
            self._room.release()

    def _opened(self) -> StoreConnection:
        try:
            return self._open_one()
        except Exception as error:
            ours = self._as_ours(error)
            if ours is None:
                raise
            raise ours from error

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()
