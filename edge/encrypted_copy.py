"""An encrypted node's copies of itself: the ciphertext of its file in pieces, in a carrier that can be replicated.

The replication program cannot read an encrypted file, so it is given another one to replicate: a plain SQLite file
whose rows are the encrypted pages as they lie on the disk, in pieces of 64 KiB, and the vault beside them. Pages that
did not change are the same bytes, so only changed pieces travel. Nothing of it can be read without a passphrase.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import sqlcipher3.dbapi2 as sqlcipher

from edge.clock_source import ClockSource
from edge.encryption import VAULT_FILE
from edge.node import Node
from edge.store import Store, foreseen
from schema.errors import RefusalError
from schema.files import write_private

CARRIER_FILE: Final = "copy.db"
PIECE_BYTES: Final = 64 * 1024
MAIN, LOG = "", "-wal"
_UNREADABLE: Final = (sqlcipher.DatabaseError, UnicodeDecodeError)
"""What reading a file that rotted raises: of a rotten schema even SQLite's own words cannot be decoded."""


class EncryptedCopier:
    """Copies a node's file while others write it.

    It belongs into a process of its own that opens the file nowhere else: a plain close of a file drops the locks
    that SQLite holds on it in the same process, so the descriptors here outlive the connections.
    """

    def __init__(self, directory: Path, clock: ClockSource) -> None:
        self._node = Node(directory, clock=clock)
        self._writer = Store(self._node.store.path, key=_key_of(self._node))
        self._files = {part: os.open(f"{self._node.store.path}{part}", os.O_RDONLY) for part in (MAIN, LOG)}
        self._carrier_path = directory / CARRIER_FILE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._node.close()
        for number in self._files.values():
            os.close(number)

    def version(self) -> tuple[int, int]:
        """Return what changes whenever somebody else has written the file or its vault."""
        written = int(self._node.connection.execute("PRAGMA data_version").fetchone()[0])
        return written, (self._node.directory / VAULT_FILE).stat().st_mtime_ns

    def copy(self) -> int:
        """Bring the carrier up to date in one transaction; returns how many pieces changed.

        A read transaction stands while the file is read, so that whatever a checkpoint moves into it meanwhile still
        stands in the log. The log is read under the write lock: nobody restarts it then. Both together are one state.
        """
        with foreseen(self._carrier_path), closing(open_carrier(self._carrier_path)) as carrier:
            carrier.execute("BEGIN IMMEDIATE")
            with self._node.store.reading() as connection:
                connection.execute("SELECT count(*) FROM stream").fetchone()
                changed = _keep(carrier, MAIN, _pieces(self._files[MAIN]))
                with self._writer.transaction():
                    log = list(_pieces(self._files[LOG]))
            changed += _keep(carrier, LOG, iter(log))
            vault = (self._node.directory / VAULT_FILE).read_bytes()
            carrier.execute(
                "INSERT INTO beside (name, content) VALUES (?, ?) ON CONFLICT (name) DO UPDATE"
                " SET content = excluded.content WHERE content <> excluded.content",
                (VAULT_FILE, vault),
            )
            carrier.execute("COMMIT")
        return changed


def _key_of(node: Node) -> bytes:
    from edge.encryption import data_key

    key = data_key(node.directory)
    if key is None:
        raise RefusalError("not_encrypted", f"the node in {node.directory} is not encrypted at rest")
    return key


def open_carrier(path: Path) -> Any:
    """Open the carrier for writing, making it."""
    is_new = not path.exists()
    carrier = sqlcipher.connect(str(path), isolation_level=None, timeout=30)
    if is_new:
        path.chmod(0o600)
    carrier.execute("PRAGMA journal_mode = WAL")
    carrier.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes of it the next copy brings again
    carrier.execute(
        "CREATE TABLE IF NOT EXISTS piece (part TEXT NOT NULL, number INTEGER NOT NULL, digest BLOB NOT NULL,"
        " content BLOB NOT NULL, PRIMARY KEY (part, number)) STRICT"
    )
    carrier.execute("CREATE TABLE IF NOT EXISTS beside (name TEXT NOT NULL PRIMARY KEY, content BLOB NOT NULL) STRICT")
    return carrier


def drop_carrier(directory: Path) -> None:
    """Remove a node's carrier, which nobody may have open, so that the next copy makes it anew."""
    for part in ("", "-wal", "-shm"):
        (directory / f"{CARRIER_FILE}{part}").unlink(missing_ok=True)


def _pieces(number: int) -> Iterator[bytes]:
    offset = 0
    while content := os.pread(number, PIECE_BYTES, offset):
        yield content
        offset += len(content)


def _keep(carrier: Any, part: str, pieces: Iterator[bytes]) -> int:
    known = dict(carrier.execute("SELECT number, digest FROM piece WHERE part = ?", (part,)).fetchall())
    changed = count = 0
    for number, content in enumerate(pieces):
        digest = hashlib.sha256(content).digest()
        count = number + 1
        if known.get(number) != digest:
            carrier.execute(
                "INSERT INTO piece (part, number, digest, content) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (part, number) DO UPDATE SET digest = excluded.digest, content = excluded.content",
                (part, number, digest, content),
            )
            changed += 1
    carrier.execute("DELETE FROM piece WHERE part = ? AND number >= ?", (part, count))
    return changed


def is_carrier(file: Path) -> bool:
    """Tell whether a restored file is a carrier of an encrypted node's copy rather than a node's own file."""
    with closing(sqlcipher.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'piece'").fetchone() is not None
        except _UNREADABLE:
            return False


def unpack_carrier(file: Path, database: Path) -> None:
    """Write what a carrier holds as a node's file, its log and its vault beside it; raises RefusalError by name."""
    with closing(sqlcipher.connect(f"file:{file}?mode=ro", uri=True)) as carrier:
        try:
            for part in (MAIN, LOG):
                with Path(f"{database}{part}").open("xb") as target:
                    rows = carrier.execute(
                        "SELECT number, digest, content FROM piece WHERE part = ? ORDER BY number", (part,)
                    )
                    for expected, (number, digest, content) in enumerate(rows):
                        if number != expected or hashlib.sha256(content).digest() != digest:
                            raise RefusalError("backup_unreadable", "a piece of the encrypted copy is damaged")
                        target.write(content)
                Path(f"{database}{part}").chmod(0o600)
            row = carrier.execute("SELECT content FROM beside WHERE name = ?", (VAULT_FILE,)).fetchone()
        except _UNREADABLE as error:
            raise RefusalError("backup_unreadable", f"the encrypted copy cannot be read: {error}") from None
    if row is None:
        raise RefusalError("backup_unreadable", "the encrypted copy holds no vault")
    write_private(database.parent / VAULT_FILE, bytes(row[0]))
