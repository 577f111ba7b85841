"""The node's one SQLite file: opened safely, written by one transaction at a time, durable at every commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlcipher3.dbapi2 as sqlcipher

from edge.encryption import pragmas
from schema.database import is_affected_sqlite, migrate, read_migrations
from schema.errors import CorruptionError, RefusalError, TransientError
from schema.files import is_disk_full

BUSY_MS: Final = 10_000
_FULL: Final = 2


def _connect(path: Path, *, is_read_only: bool, key: bytes | None) -> Any:
    if is_affected_sqlite(sqlcipher.sqlite_version_info):
        raise RefusalError(
            "sqlite_affected",
            f"SQLite {sqlcipher.sqlite_version} can corrupt a file that two programs write: install sqlcipher3 0.6.4",
        )
    mode = "ro" if is_read_only else "rwc"
    connection = sqlcipher.connect(
        f"file:{path}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_MS / 1000, check_same_thread=False
    )
    for pragma in pragmas(key):
        connection.execute(pragma)
    connection.execute("PRAGMA recursive_triggers = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    if not is_read_only:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA synchronous").fetchone()[0] != _FULL:
            raise CorruptionError("not_durable", "SQLite does not sync at every commit")
    return connection


class Store:
    """One connection to the node's file. Till and sync agent each open their own."""

    def __init__(self, path: Path, *, is_read_only: bool = False, key: bytes | None = None) -> None:
        """Open the file, under its data key where it is encrypted at rest."""
        if is_read_only and not path.exists():
            raise RefusalError("node_missing", f"there is no node in {path.parent}: use `edgetill join` first")
        self.path = path
        with foreseen(path):
            is_new = not path.exists()
            self.connection = _connect(path, is_read_only=is_read_only, key=key)
            if is_new:
                path.chmod(0o600)
            if not is_read_only:
                with self.transaction():
                    migrate(self.connection, read_migrations("replica", "node"))

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Run a block as one durable transaction: it is committed whole, or nothing of it remains."""
        with foreseen(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                self._roll_back()
                raise
            try:
                self.connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            try:
                self.connection.execute("ROLLBACK")
            except sqlcipher.Error:  # the failed statement has rolled back already
                return

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """Run a block on one consistent view of the file; keep it short, a view holds back the checkpoint."""
        with foreseen(self.path):
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                self.connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


@contextmanager
def foreseen(path: Path) -> Iterator[None]:
    """Turn the database's failures into sentences: what was in hand is not recorded."""
    try:
        yield
    except (sqlcipher.Error, sqlite3.Error) as error:
        text = str(error).lower()
        if "locked" in text or "busy" in text:
            raise TransientError("file_busy", "another program holds the node's file: try again") from error
        if "full" in text or ("disk i/o" in text and is_disk_full(path)):
            raise RefusalError("disk_full", "the disk is full: nothing was recorded; free some space") from error
        if "readonly" in text or "read-only" in text or "unable to open" in text:
            raise RefusalError("file_read_only", f"{path} cannot be written: nothing was recorded") from error
        if "malformed" in text or "not a database" in text or "disk i/o" in text:
            raise CorruptionError(
                "file_damaged", f"{path} is damaged ({error}): run `edgetill doctor`, or restore the backup"
            ) from error
        raise
