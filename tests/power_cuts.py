"""A connection that loses its power in the middle of things, for tests of what survives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class PowerCutError(Exception):
    """The machine lost its power between two statements."""


class Failing:
    """A connection that loses its power before one of the statements that change something."""

    def __init__(self, connection: Any, after: int) -> None:
        self._connection = connection
        self.left = after

    def _count(self, sql: str) -> None:
        if not sql.lstrip().startswith("SELECT"):
            self.left -= 1
            if self.left < 0:
                raise PowerCutError

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        self._count(sql)
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        self._count(sql)
        return self._connection.executemany(sql, rows)
