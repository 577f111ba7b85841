"""SQLite as the hub's store speaks to it: one file, one writer, readers that see one state each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import sqlcipher3.dbapi2 as driver

from schema.database import Rows, is_affected_sqlite
from schema.errors import CorruptionError, EdgetillError, RefusalError, TransientError
from schema.files import is_disk_full
from sync.replica import Replica

BUSY_TIMEOUT_MS: Final = 5_000
_STATEMENTS_KEPT: Final = 256
_CACHE_KIB: Final = 65_536


def check_version() -> None:
    """Raise RefusalError `sqlite_affected` for a SQLite that may corrupt its file."""
    if is_affected_sqlite(driver.sqlite_version_info):
        raise RefusalError("sqlite_affected", f"SQLite {driver.sqlite_version} may corrupt this file")


def connect(path: Path, *, reads_only: bool) -> Any:
    """Open the file as durably as an acknowledged entry needs it; raises CorruptionError `store_unsafe`."""
    raw = driver.connect(str(path), isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS_KEPT)
    raw.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute("PRAGMA recursive_triggers=ON")
    raw.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    # A forgotten person's key is gone from the file, not only from its tables.
    raw.execute("PRAGMA secure_delete=ON")
    if reads_only:
        raw.execute("PRAGMA query_only=ON")
    state = (raw.execute("PRAGMA journal_mode").fetchone()[0], raw.execute("PRAGMA synchronous").fetchone()[0])
    if state != ("wal", 2):
        raise CorruptionError("store_unsafe", f"SQLite runs with {state}: an acknowledged entry could be lost")
    return raw


class SqliteConnection:
    """One connection to the file."""

    def __init__(self, path: Path, *, reads_only: bool) -> None:
        self._raw = connect(path, reads_only=reads_only)
        self.replica: Replica | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Run one statement and return its rows."""
        rows: Rows = self._raw.execute(sql, parameters)
        return rows

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        """Run one statement for many rows."""
        self._raw.executemany(sql, rows)

    def stream(self, sql: str, at_once: int) -> Iterator[list[Any]]:
        """Yield the rows of a statement in parts."""
        cursor = self._raw.execute(sql)
        while rows := cursor.fetchmany(at_once):
            yield rows

    def copy_into(self, file: Path) -> None:
        """Write the state that the open transaction sees into another file, page by page (SQLite's backup API)."""
        other = driver.connect(str(file), isolation_level=None)
        try:
            self._raw.backup(other)
        finally:
            other.close()

    def begin(self, *, writes: bool, is_steady: bool = False) -> None:
        """Begin a transaction, which is always steady; writing, it waits for its turn on the file now, never later."""
        del is_steady
        self._raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    def commit(self) -> None:
        """Commit."""
        self._raw.execute("COMMIT")

    def rollback(self) -> None:
        """Roll back what is open; after some errors SQLite has done so itself."""
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    @property
    def is_usable(self) -> bool:
        """Tell whether another transaction may begin here."""
        return not self._raw.in_transaction

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()


def as_ours(error: Exception, path: Path) -> EdgetillError | None:
    """Return a driver's error as what the caller must do; None for what nobody foresaw.

    By class name, which DB-API 2.0 fixes, for SQLAlchemy wraps the driver's errors in classes of the same names.
    """
    names = {parent.__name__ for parent in type(error).__mro__}
    text = str(error)
    if "DataError" in names:
        return RefusalError("entry_unstorable", "an entry holds text that this database cannot store")
    if "OperationalError" in names and re.search(r"locked|busy", text):
        return TransientError("store_busy", "the store is busy: try again")
    if ("disk I/O" in text and is_disk_full(path)) or re.search(r"disk is full|No space left", text):
        return TransientError("store_full", "the hub's disk is full: nothing was recorded; free some space")
    if "OperationalError" in names and re.search(r"readonly|read-only|unable to open", text):
        return TransientError("store_read_only", "the hub's database is read-only: nothing was recorded")
    if "OperationalError" in names and "disk I/O" in text:
        return CorruptionError("store_damaged", f"the hub's disk fails: {text}")
    if "DatabaseError" in names and re.search(r"malformed|not a database", text):
        return CorruptionError("store_corrupt", f"the store contradicts itself: {text}")
    return None
