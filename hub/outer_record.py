"""What this directory remembers of the hub's own streams, outside the database, so that an older copy is found out.

A database that was put back to an earlier state looks whole. The hub would continue its streams where the copy ends,
though nodes hold what it wrote there once, and nobody could tell which of two entries is meant. So each directory
that hosts a hub notes the heads of the hub's streams before they are committed; a database that holds less, or
other, is a copy. The record is no backup and may be lost: then the hub begins a new incarnation, as for a copy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import sqlcipher3.dbapi2 as driver

from schema.database import Connection
from schema.errors import TransientError
from schema.identity import NodeId, Scope, Stream
from sync.entry import Entry
from sync.log_tables import StreamRow
from sync.replica import Replica
from sync.version_vector import Head

BUSY_MS: Final = 2_000


class OwnHead(NamedTuple):
    """How far one of the hub's own streams once was."""

    stream: Stream
    head: Head


class OuterRecord:
    """The heads of the hub's own streams in a small file of their own; processes of one directory share it."""

    def __init__(self, path: Path, node: NodeId) -> None:
        self._node = node
        self._lock = threading.Lock()
        self.is_new = not path.exists()
        try:
            self._file, rows = _opened(path)
        except driver.DatabaseError:
            # A damaged record says nothing; the hub then takes its database for a copy, which costs it a stream.
            path.unlink(missing_ok=True)
            self._file, rows = _opened(path)
            self.is_new = True
        self._heads = {
            Stream(Scope(scope), node, incarnation): Head(seq, bytes(digest))
            for scope, incarnation, seq, digest in rows
        }

    @property
    def highest_incarnation(self) -> int:
        """The highest incarnation that the hub is remembered to have written as."""
        return max((stream.incarnation for stream in self._heads), default=0)

    @property
    def checked_ms(self) -> int:
        """When the last backup was taken that nodes were told to rely on; 0 without one."""
        row = self._file.execute("SELECT value FROM state WHERE key = 'checked_ms'").fetchone()
        return 0 if row is None else int(row[0])

    def note_checked(self, taken_ms: int) -> None:
        """Remember when the last checked backup was taken."""
        self._file.execute("INSERT OR REPLACE INTO state (key, value) VALUES ('checked_ms', ?)", (taken_ms,))

    def note(self, entries: Iterable[Entry]) -> None:
        """Remember entries of the hub that are about to be committed."""
        self._put([OwnHead(e.stream, Head(e.body.seq, e.digest)) for e in entries if e.stream.node == self._node])

    def follow(self, connection: Connection) -> None:
        """Remember what other processes of this hub, perhaps on other machines, have committed meanwhile."""
        known = self._heads
        self._put(
            [h for h in own_heads(connection, self._node) if h.stream not in known or h.head.seq > known[h.stream].seq]
        )

    def _put(self, heads: list[OwnHead]) -> None:
        if not heads:
            return
        with self._lock:
            try:
                self._file.executemany(
                    "INSERT INTO head (scope, incarnation, seq, digest) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (scope, incarnation) DO UPDATE SET seq = excluded.seq, digest = excluded.digest"
                    " WHERE excluded.seq > head.seq",
                    [(one.stream.scope, one.stream.incarnation, *one.head) for one in heads],
                )
            except driver.DatabaseError as error:
                raise TransientError("record_unwritable", f"the hub's directory cannot be written: {error}") from error
            self._heads.update(heads)

    def contradicts(self, replica: Replica, row: StreamRow | None, stream: Stream) -> bool:
        """Tell whether the database holds less, or other, of an own stream than this directory remembers."""
        noted = self._heads.get(stream)
        if noted is None or not noted.seq:
            return False
        if row is None or row.head.seq < noted.seq:
            return True
        return noted.seq >= row.base.seq and replica.log.digest_at(row, noted.seq) != noted.digest

    def found_out(self, replica: Replica) -> int | None:
        """Return the highest incarnation that is known of when the database is a copy of an older state, else None."""
        rows = {row.stream: row for row in replica.rows() if row.stream.node == self._node}
        is_copy = any(self.contradicts(replica, rows.get(stream), stream) for stream in self._heads)
        if not is_copy and not (self.is_new and any(row.head.seq for row in rows.values())):
            return None
        return max((stream.incarnation for stream in (*self._heads, *rows)), default=0)

    def start_again(self, connection: Connection) -> None:
        """Forget what was remembered, for a new incarnation has begun, and remember what the database holds now."""
        heads = list(own_heads(connection, self._node))
        with self._lock:
            self._file.execute("DELETE FROM head")
            self._heads.clear()
        self._put(heads)
        self.is_new = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def own_heads(connection: Connection, node: NodeId) -> Iterable[OwnHead]:
    """Yield the heads of a node's streams."""
    rows = connection.execute(
        "SELECT s.scope, t.incarnation, t.head_seq, t.head_digest FROM stream t"
        " JOIN scope s ON s.scope_no = t.scope_no WHERE t.node = ? AND t.head_seq > 0",
        (node,),
    ).fetchall()
    for scope, incarnation, seq, digest in rows:
        yield OwnHead(Stream(Scope(scope), node, incarnation), Head(seq, bytes(digest)))


def _opened(path: Path) -> tuple[Any, list[Any]]:
    file = driver.connect(str(path), isolation_level=None, check_same_thread=False)
    try:
        file.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        # It is written before every commit of the hub's own: what a power cut takes from it makes it less watchful.
        file.execute("PRAGMA synchronous=OFF")
        file.execute(
            "CREATE TABLE IF NOT EXISTS head (scope TEXT NOT NULL, incarnation INTEGER NOT NULL, seq INTEGER NOT NULL,"
            " digest BLOB NOT NULL, PRIMARY KEY (scope, incarnation)) STRICT, WITHOUT ROWID"
        )
        file.execute("CREATE TABLE IF NOT EXISTS state (key TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT")
        return file, file.execute("SELECT scope, incarnation, seq, digest FROM head").fetchall()
    except driver.DatabaseError:
        file.close()
        raise
