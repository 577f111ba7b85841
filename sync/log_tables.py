"""The log's tables through a connection that its owner opened: streams, entries, seals and what streams had seen.

The statements are the SQL that SQLite and PostgreSQL share; transactions and locks belong to the owner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from schema.codec import decode_body, decode_payload
from schema.database import Connection
from schema.errors import CorruptionError
from schema.identity import NodeId, Scope, Stream
from sync.entry import Entry, genesis
from sync.version_vector import Head

ZERO_DIGEST: Final = bytes(32)
_SEQ_MAX: Final = 1 << 62


class StreamRow(NamedTuple):
    """A stream as this replica stores it; `base` is the cut below which entries were pruned."""

    scope_no: int
    stream_no: int
    stream: Stream
    head: Head
    hlc: tuple[int, int]
    base: Head
    announced_seq: int
    sealed_seq: int
    wall_max_ms: int
    peak_ms: int


_COLUMNS: Final = (
    "stream_no, node, incarnation, head_seq, head_digest, hlc_ms, hlc_counter, base_seq, base_digest,"
    " announced_seq, sealed_seq, wall_max_ms, peak_ms"
)


class LogTables:
    """Reads and writes the log's tables; local numbers of scopes and streams never change once given."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._scope_nos: dict[str, int] = {}

    def forget(self) -> None:
        """Drop what was remembered of numbers: the transaction that gave them may have been rolled back."""
        self._scope_nos.clear()

    def scopes(self) -> dict[Scope, int]:
        """Return every scope here with its number."""
        return {Scope(s): n for n, s in self._connection.execute("SELECT scope_no, scope FROM scope").fetchall()}

    def scope_no(self, scope: str) -> int | None:
        """Return a scope's number; None when nothing of it is here."""
        number = self._scope_nos.get(scope)
        if number is None:
            row = self._connection.execute("SELECT scope_no FROM scope WHERE scope = ?", (scope,)).fetchone()
            if row is None:
                return None
            number = self._scope_nos[scope] = int(row[0])
        return number

    def ensure_scope(self, scope: str) -> int:
        """Return a scope's number, giving it one."""
        number = self.scope_no(scope)
        if number is None:
            self._connection.execute(
                "INSERT INTO scope (scope_no, scope, fold_digest)"
                " SELECT coalesce(max(scope_no), 0) + 1, ?, ? FROM scope",
                (scope, ZERO_DIGEST),
            )
            number = self.scope_no(scope)
            assert number is not None
        return number

    def streams(self, scope: str) -> list[StreamRow]:
        """Return the streams of a scope in the order of their numbers."""
        number = self.scope_no(scope)
        if number is None:
            return []
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM stream WHERE scope_no = ? ORDER BY stream_no",
            (number,),
        ).fetchall()
        return [self._row(number, scope, row) for row in rows]

    def stream(self, stream: Stream) -> StreamRow | None:
        """Return one stream; None when nothing of it is here."""
        number = self.scope_no(stream.scope)
        if number is None:
            return None
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM stream WHERE scope_no = ? AND node = ? AND incarnation = ?",
            (number, stream.node, stream.incarnation),
        ).fetchone()
        return None if row is None else self._row(number, stream.scope, row)

    def ensure_stream(self, stream: Stream, base: Head | None = None) -> StreamRow:
        """Return one stream, making it; with `base` it starts at a cut of an opening balance."""
        row = self.stream(stream)
        if row is not None:
            return row
        number = self.ensure_scope(stream.scope)
        start = base or Head(0, genesis(stream))
        self._connection.execute(
            "INSERT INTO stream"
            " (scope_no, stream_no, node, incarnation, head_seq, head_digest, base_seq, base_digest)"
            " SELECT ?, coalesce(max(stream_no), 0) + 1, ?, ?, ?, ?, ?, ? FROM stream WHERE scope_no = ?",
            (number, stream.node, stream.incarnation, *start, *start, number),
        )
        row = self.stream(stream)
        assert row is not None
        return row

    @staticmethod
    def _row(scope_no: int, scope: str, row: Sequence[Any]) -> StreamRow:
        stream = Stream(Scope(scope), NodeId(row[1]), row[2])
        return StreamRow(
            scope_no, row[0], stream, Head(row[3], bytes(row[4])), (row[5], row[6]), Head(row[7], bytes(row[8])),
            *row[9:],
        )  # fmt: skip

    def heads(self, scope: str, node: NodeId | None = None) -> dict[str, Head]:
        """Return the version vector of a scope; with `node`, of that node's own streams alone."""
        return {
            row.stream.writer: row.head
            for row in self.streams(scope)
            if row.head.seq > 0 and (node is None or row.stream.node == node)
        }

    def insert(self, row: StreamRow, entries: Sequence[Entry], seal: bytes | None, hlc: tuple[int, int]) -> None:
        """Store entries that follow the stream's head, with the seal over the last, and move the head."""
        number, stream_no = row.scope_no, row.stream_no
        self._connection.executemany(
            "INSERT INTO entry (scope_no, stream_no, seq, digest, body) VALUES (?, ?, ?, ?, ?)",
            [(number, stream_no, e.body.seq, e.digest, e.encoded) for e in entries],
        )
        last = entries[-1]
        walls = self._note_walls(row, entries)
        self._connection.execute(
            "UPDATE stream SET head_seq = ?, head_digest = ?, hlc_ms = ?, hlc_counter = ?, wall_max_ms = ?, peak_ms = ?"
            " WHERE scope_no = ? AND stream_no = ?",
            (last.body.seq, last.digest, *hlc, *walls, number, stream_no),
        )
        if seal is not None:
            self.put_seal(row, last.body.seq, seal)
        seen = [(number, stream_no, w, e.body.seq, s) for e in entries if e.body.seen for w, s in e.body.seen]
        if seen:
            self._connection.executemany(
                "INSERT INTO seen (scope_no, stream_no, writer, seq, seen_seq) VALUES (?, ?, ?, ?, ?)", seen
            )

    def _note_walls(self, row: StreamRow, entries: Sequence[Entry]) -> tuple[int, int]:
        """Note where the stream's wall clock lies behind an earlier reading: each such peak once.

        So the latest reading at or below any entry is found without looking at all of them.
        """
        highest, peak = row.wall_max_ms, row.peak_ms
        for entry in entries:
            wall_ms = entry.body.wall_ms
            if wall_ms < highest and highest > peak:
                self._connection.execute(
                    "INSERT INTO wall_peak (scope_no, stream_no, seq, peak_ms) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (row.scope_no, row.stream_no, entry.body.seq, highest),
                )
                peak = highest
            stated = getattr(entry.payload, "stated", None)
            highest = max(highest, wall_ms, stated[1] if stated else 0)
        return highest, peak

    def put_seal(self, row: StreamRow, seq: int, signature: bytes) -> None:
        """Keep a seal: batches for others are cut at entries whose seal is here."""
        self._connection.execute(
            "INSERT INTO seal (scope_no, stream_no, seq, signature) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (row.scope_no, row.stream_no, seq, signature),
        )
        self._connection.execute(
            "UPDATE stream SET sealed_seq = ? WHERE scope_no = ? AND stream_no = ? AND sealed_seq < ?",
            (seq, row.scope_no, row.stream_no, seq),
        )

    def announce(self, row: StreamRow) -> None:
        """Note that this replica's own stream has told that it saw this one up to its head."""
        self._connection.execute(
            "UPDATE stream SET announced_seq = head_seq WHERE scope_no = ? AND stream_no = ?",
            (row.scope_no, row.stream_no),
        )

    def seals(self, row: StreamRow, after_seq: int) -> list[tuple[int, bytes]]:
        """Return the seals kept above a sequence number, in ascending order."""
        rows = self._connection.execute(
            "SELECT seq, signature FROM seal WHERE scope_no = ? AND stream_no = ? AND seq > ? ORDER BY seq",
            (row.scope_no, row.stream_no, after_seq),
        ).fetchall()
        return [(seq, bytes(signature)) for seq, signature in rows]

    def bodies(self, row: StreamRow, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Return (seq, bytes) of at most `limit` entries above a sequence number."""
        rows = self._connection.execute(
            "SELECT seq, body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq > ? ORDER BY seq LIMIT ?",
            (row.scope_no, row.stream_no, after_seq, limit),
        ).fetchall()
        return [(seq, bytes(body)) for seq, body in rows]

    def digest_at(self, row: StreamRow, seq: int) -> bytes | None:
        """Return the digest of a stream at a sequence number; None where this replica does not reach."""
        if seq == row.head.seq:
            return row.head.digest
        if seq == row.base.seq:
            return row.base.digest
        if seq == 0:
            return genesis(row.stream)
        found = self._connection.execute(
            "SELECT digest FROM entry WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            (row.scope_no, row.stream_no, seq),
        ).fetchone()
        return None if found is None else bytes(found[0])

    def entries(self, row: StreamRow, after_seq: int = 0, upto_seq: int | None = None) -> Iterator[Entry]:
        """Yield stored entries of a stream above a sequence number, decoded."""
        while True:
            rows = self._connection.execute(
                "SELECT seq, digest, body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq > ? AND seq <= ?"
                " ORDER BY seq LIMIT 1000",
                (row.scope_no, row.stream_no, after_seq, _SEQ_MAX if upto_seq is None else upto_seq),
            ).fetchall()
            for seq, digest, body in rows:
                yield self._entry(row.stream, bytes(body), bytes(digest))
                after_seq = seq
            if len(rows) < 1000:
                return

    def entry(self, stream: Stream, seq: int) -> Entry | None:
        """Return one entry; None when it is not here."""
        row = self.stream(stream)
        if row is None:
            return None
        return self.entry_at(row, seq)

    def entry_at(self, row: StreamRow, seq: int) -> Entry | None:
        """Return one entry of a stream whose row is known; None when it is not here."""
        found = self._connection.execute(
            "SELECT digest, body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            (row.scope_no, row.stream_no, seq),
        ).fetchone()
        return None if found is None else self._entry(row.stream, bytes(found[1]), bytes(found[0]))

    @staticmethod
    def _entry(stream: Stream, encoded: bytes, digest: bytes) -> Entry:
        body = decode_body(encoded)
        return Entry(stream, encoded, digest, body, decode_payload(body))

    def vector_at(self, row: StreamRow, seq: int) -> dict[str, int]:
        """Return an entry's vector over its scope: the running maximum of what its stream said it had seen."""
        rows = self._connection.execute(
            "SELECT writer, max(seen_seq) FROM seen WHERE scope_no = ? AND stream_no = ? AND seq <= ? GROUP BY writer",
            (row.scope_no, row.stream_no, seq),
        ).fetchall()
        return {str(writer): int(seen) for writer, seen in rows}

    def seen_upto(self, row: StreamRow, upto_seq: int) -> list[tuple[int, str, int]]:
        """Return what a stream told up to a place that it had seen: (its seq, writer, seen seq), in order."""
        rows = self._connection.execute(
            "SELECT seq, writer, seen_seq FROM seen WHERE scope_no = ? AND stream_no = ? AND seq <= ?"
            " ORDER BY seq, writer",
            (row.scope_no, row.stream_no, upto_seq),
        ).fetchall()
        return [(seq, writer, seen) for seq, writer, seen in rows]

    def put_seen(self, row: StreamRow, seq: int, writer: str, seen_seq: int) -> None:
        """Note a component of a stream's vector."""
        self._connection.execute(
            "INSERT INTO seen (scope_no, stream_no, writer, seq, seen_seq) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (row.scope_no, row.stream_no, writer, seq, seen_seq),
        )

    def delete_seen(self, row: StreamRow, places: Iterable[tuple[str, int]]) -> None:
        """Forget components of a stream's vector, each named by (writer, the stream's seq)."""
        self._connection.executemany(
            "DELETE FROM seen WHERE scope_no = ? AND stream_no = ? AND writer = ? AND seq = ?",
            [(row.scope_no, row.stream_no, writer, seq) for writer, seq in places],
        )

    def stored_upto(self, row: StreamRow, upto_seq: int) -> list[int]:
        """Return the sequence numbers of a stream's stored entries up to a place, in order."""
        rows = self._connection.execute(
            "SELECT seq FROM entry WHERE scope_no = ? AND stream_no = ? AND seq <= ? ORDER BY seq",
            (row.scope_no, row.stream_no, upto_seq),
        ).fetchall()
        return [seq for (seq,) in rows]

    def put_kept(self, row: StreamRow, seq: int, digest: bytes, body: bytes) -> Entry:
        """Store one entry below a stream's base and return it."""
        self._connection.execute(
            "INSERT INTO entry (scope_no, stream_no, seq, digest, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (row.scope_no, row.stream_no, seq, digest, body),
        )
        return self._entry(row.stream, body, digest)

    def mark_inert(self, row: StreamRow, reasons: Iterable[tuple[int, str]]) -> None:
        """Note entries that are stored but not folded, with the reason."""
        self._connection.executemany(
            "INSERT INTO inert (scope_no, stream_no, seq, reason) VALUES (?, ?, ?, ?)",
            [(row.scope_no, row.stream_no, seq, reason) for seq, reason in reasons],
        )

    def inert(self, row: StreamRow) -> Mapping[int, str]:
        """Return the inert entries of a stream with their reasons."""
        return dict(
            self._connection.execute(
                "SELECT seq, reason FROM inert WHERE scope_no = ? AND stream_no = ?", (row.scope_no, row.stream_no)
            ).fetchall()
        )

    def inert_reason(self, row: StreamRow, seq: int) -> str:
        """Return why one entry is inert; empty when it is not."""
        found = self._connection.execute(
            "SELECT reason FROM inert WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            (row.scope_no, row.stream_no, seq),
        ).fetchone()
        return "" if found is None else str(found[0])

    def note_recovered(self, row: StreamRow, recovered: Iterable[tuple[int, bytes]]) -> None:
        """Index entries of one stream that recover others, by the digest that those had."""
        self._connection.executemany(
            "INSERT INTO recovered (scope_no, digest, stream_no, seq) VALUES (?, ?, ?, ?)",
            [(row.scope_no, digest, row.stream_no, seq) for seq, digest in recovered],
        )

    def has_recovered(self, scope_no: int) -> bool:
        """Tell whether a scope holds any entry that recovers another."""
        found = self._connection.execute("SELECT 1 FROM recovered WHERE scope_no = ? LIMIT 1", (scope_no,)).fetchone()
        return found is not None

    def recovered(self, scope_no: int, digest: bytes) -> list[tuple[int, int]]:
        """Return (stream number, seq) of the entries that recover one with this digest."""
        rows = self._connection.execute(
            "SELECT stream_no, seq FROM recovered WHERE scope_no = ? AND digest = ?", (scope_no, digest)
        ).fetchall()
        return [(stream_no, seq) for stream_no, seq in rows]

    def clear_inert(self, row: StreamRow, seqs: Iterable[int]) -> None:
        """Take entries off the inert list."""
        self._connection.executemany(
            "DELETE FROM inert WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            [(row.scope_no, row.stream_no, seq) for seq in seqs],
        )

    def quarantine(self, stream: str, first_seq: int, code: str, message: str, evidence: bytes, noted_ms: int) -> None:
        """Keep what was refused, once for the same evidence."""
        # Numbered by what it is: two processes that refuse something at once need not agree on what comes next.
        refused = b"\0".join([stream.encode(), b"%d" % first_seq, code.encode(), evidence])
        number = int.from_bytes(hashlib.sha256(refused).digest()[:8], "big") >> 2
        self._connection.execute(
            "INSERT INTO quarantine (quarantine_no, stream, first_seq, code, message, evidence, noted_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (number, stream, first_seq, code, message, evidence, noted_ms),
        )

    def verify_chain(self, row: StreamRow) -> int:
        """Recompute a stream's chain from its base; returns the entries verified, raises CorruptionError by name."""
        from sync.entry import chain

        digest, seq = row.base.digest, row.base.seq
        while True:
            rows = self._connection.execute(
                "SELECT seq, digest, body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq > ?"
                " ORDER BY seq LIMIT 1000",
                (row.scope_no, row.stream_no, seq),
            ).fetchall()
            for found_seq, found_digest, body in rows:
                if found_seq != seq + 1:
                    raise CorruptionError("log_gap", f"{row.stream} has no entry {seq + 1}")
                digest, seq = chain(digest, bytes(body)), found_seq
                if digest != bytes(found_digest):
                    raise CorruptionError("log_altered", f"entry {row.stream}:{seq} is not the one that was chained")
            if len(rows) < 1000:
                break
        if (seq, digest) != tuple(row.head):
            raise CorruptionError("log_head", f"{row.stream} ends at {seq}, not at its head {row.head.seq}")
        return seq - row.base.seq
