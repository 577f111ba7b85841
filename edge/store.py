"""The node's one SQLite file: opened safely, written by one transaction at a time, durable at every commit."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlcipher3.dbapi2 as sqlcipher

from edge.disk_space import give_up_reserve
from edge.encryption import pragmas
from schema.database import is_affected_sqlite, migrate, read_migrations
from schema.errors import CorruptionError, RefusalError, TransientError
from schema.files import is_disk_full

BUSY_MS: Final = 10_000
_BUSY_TIMEOUT: Final = f"PRAGMA busy_timeout = {BUSY_MS}"
POLL_S: Final = 0.001
SUSPECT_FILE: Final = "node.suspect"
"""Lies beside the file after a failure of the disk, until the file has been verified."""
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


def node_migrations() -> list[tuple[str, list[str]]]:
    """Return what makes and brings up the tables of a node's file: names with their statements, in order."""
    return read_migrations("replica", "node")


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
            opened = path.stat()
            self._place = (opened.st_dev, opened.st_ino)
            if not is_read_only:
                with self.transaction():
                    migrate(self.connection, node_migrations())

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Run a block as one durable transaction: it is committed whole, or nothing of it remains.

        A disk that fails ends this connection: what it holds in memory cannot be trusted after a failed sync, and a
        sync that is tried again succeeds without having written anything. Whoever goes on opens the file anew.
        """
        give_up_reserve(self.path.parent)
        with foreseen(self.path):
            self._begin()
            try:
                yield self.connection
                self._check_in_place()
                self.connection.execute("COMMIT")
            except sqlcipher.Error as error:
                self._roll_back()
                if _is_disk_failure(error, self.path):
                    self._give_up()
                    raise CorruptionError(
                        "not_recorded",
                        "the disk failed: this was not recorded. Start the program again: it verifies the file first",
                    ) from error
                raise
            except BaseException:
                self._roll_back()
                raise

    def _begin(self) -> None:
        """Take the write lock as soon as it is free.

        SQLite's own waiting sleeps ever longer, up to 100 ms at once: a sale would miss every pause that whoever
        applies what came from elsewhere makes for it.
        """
        begin = self.connection.execute
        deadline: float | None = None
        begin("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    begin("BEGIN IMMEDIATE")
                except sqlcipher.OperationalError as error:
                    if "locked" not in str(error):
                        raise
                    now = time.monotonic()
                    deadline = deadline or now + BUSY_MS / 1000
                    if now >= deadline:
                        raise
                    time.sleep(POLL_S)
                else:
                    return
        finally:
            begin(_BUSY_TIMEOUT)

    def _check_in_place(self) -> None:
        """Refuse to commit into a file that somebody has deleted or replaced: no later start would find it."""
        try:
            found = self.path.stat()
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._place:
            raise CorruptionError(
                "file_gone",
                f"{self.path} was deleted or replaced while the program ran: this was not recorded."
                " `edgetill doctor --rescue` in time, or restore the backup",
            )

    def _give_up(self) -> None:
        """Close after a failure, and leave word for the next start to verify the file.

        What a failed sync leaves in the log looks whole: the next start would take it for recorded. An empty change is
        written over its beginning, which breaks the log's chain of checksums there.
        """
        with contextlib.suppress(sqlcipher.Error):
            self.connection.execute("PRAGMA synchronous = OFF")
            version = int(self.connection.execute("PRAGMA user_version").fetchone()[0])
            self.connection.execute(f"PRAGMA user_version = {version}")
        with contextlib.suppress(sqlcipher.Error):
            self.connection.execute("PRAGMA synchronous = FULL")
        with contextlib.suppress(sqlcipher.Error):
            self.connection.close()
        with contextlib.suppress(OSError):
            (self.path.parent / SUSPECT_FILE).touch(mode=0o600)

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


def _is_disk_failure(error: sqlcipher.Error, path: Path) -> bool:
    return "disk i/o" in str(error).lower() and not is_disk_full(path)


_ROTTEN: Final = (
    "malformed", "not a database", "disk i/o", "no such column", "no such table", "could not decode",
)  # fmt: skip
"""What SQLite and its driver say of pages that rotted; where it is the schema's, columns and tables are unknown."""


@contextmanager
def foreseen(path: Path) -> Iterator[None]:
    """Turn the database's failures into sentences: what was in hand is not recorded."""
    try:
        yield
    except (sqlcipher.Error, sqlite3.Error) as error:
        text = str(error).lower()
        if "locked" in text or "busy" in text:
            raise TransientError("file_busy", "another program holds the node's file: try again") from error
        if "closed database" in text:
            said = "the file was given up after a failure: start the program again"
            raise CorruptionError("not_recorded", said) from error
        if "full" in text or ("disk i/o" in text and is_disk_full(path)):
            # With the reserve given up the next try may succeed: the till offers it.
            has_room = give_up_reserve(path.parent, is_urgent=True)
            said = "the disk is full: nothing was recorded; free some space"
            raise RefusalError("disk_full", said, has_reserve=has_room) from error
        if "readonly" in text or "read-only" in text or "unable to open" in text:
            raise RefusalError("file_read_only", f"{path} cannot be written: nothing was recorded") from error
        if any(word in text for word in _ROTTEN):
            raise _damaged(path, error) from error
        raise
    except UnicodeDecodeError as error:  # the driver cannot even say what SQLite says of a schema that rotted
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CorruptionError:
    return CorruptionError("file_damaged", f"{path} is damaged ({error}): run `edgetill doctor`, or restore the backup")
