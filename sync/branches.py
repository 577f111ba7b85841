"""Forks and restores: what a replica does when others hold more, or other, of its own stream than it does.

A restored backup or a cloned disk writes on where the original had already written. The branch that the hub holds
is canonical; the owner of the other opens a new incarnation, takes the canonical branch over and appends its own
diverged entries again, with their original bytes: their movements and money count, their counts, grants and
document changes wait for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from schema.codec import decode_body, decode_payload, encode
from schema.identity import NodeId, Stream
from schema.kinds.base import Vector
from schema.kinds.organisation import EntryRecovered
from sync.entry import Entry, chain
from sync.log_tables import StreamRow
from sync.messages import Batch
from sync.replica import Moment, Replica, stream_effective
from sync.session import Parting
from sync.version_vector import Head


def must_renew(me: NodeId, incarnation: int, met: Iterable[Stream]) -> bool:
    """Tell whether this node needs a new incarnation before its next append.

    `met` are streams of which others hold more, or other, entries than this node does.
    """
    return any(stream.node == me and stream.incarnation >= incarnation for stream in met)


def renew(replica: Replica, me: NodeId, current: int, entropy: int) -> int:
    """Begin a new incarnation and return it; the caller stores it in the same transaction.

    Two copies of one disk that both begin one hardly ever choose the same.
    """
    known = [row.stream.incarnation for row in replica.rows() if row.stream.node == me]
    return max(current, *known, 0) + 1 + entropy % 997


def give_way(replica: Replica, parting: Parting, me: NodeId, noted_ms: int) -> int:
    """Make room for the branch that the hub holds; returns how many entries of the other left the log.

    Own entries are kept for `recover`; those of another node are quarantined, its owner appends them again.
    """
    if parting.stream.node == me:
        return set_aside(replica, *parting)
    row = replica.log.stream(parting.stream)
    assert row is not None
    for entry in list(replica.log.entries(row, parting.common_seq)):
        replica.log.quarantine(
            str(parting.stream), entry.body.seq, "fork", "the hub holds another branch", entry.encoded, noted_ms
        )
    return _cut_off(replica, row, parting.common_seq)


def can_recover(replica: Replica, scope: str, theirs: Mapping[str, Head]) -> bool:
    """Tell whether entries wait for `recover` and the hub's branches, with heads `theirs`, are all here."""
    rows = replica.connection.execute("SELECT DISTINCT writer FROM diverged WHERE scope = ?", (scope,)).fetchall()
    mine = replica.log.heads(scope)
    return bool(rows) and all(mine.get(writer) == theirs.get(writer) for (writer,) in rows)


def set_aside(replica: Replica, stream: Stream, common_seq: int) -> int:
    """Take the own entries above the place where the branches part out of the log, and keep them for `recover`.

    Returns how many. The caller opens a new incarnation in the same transaction.
    """
    row = replica.log.stream(stream)
    assert row is not None
    assert common_seq >= row.base.seq, "what was pruned had been acknowledged by the hub"
    vector = dict(replica.log.vector_at(row, common_seq))
    kept = []
    for entry in replica.log.entries(row, common_seq):
        vector.update(entry.body.seen)
        seen = tuple(sorted(vector.items()))
        kept.append((stream.scope, stream.writer, entry.body.seq, entry.digest, entry.encoded, encode(seen)))
    replica.connection.executemany(
        "INSERT INTO diverged (scope, writer, seq, digest, body, vector) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        kept,
    )
    _cut_off(replica, row, common_seq)
    return len(kept)


def _cut_off(replica: Replica, row: StreamRow, common_seq: int) -> int:
    """Take the entries above a place out of the log and out of every fold."""
    digest = replica.log.digest_at(row, common_seq)
    assert digest is not None
    gone = [e for e in stream_effective(replica.log, row) if e.seq > common_seq]
    entries = list(replica.log.entries(row, common_seq))
    digests = [e.digest for e in entries]
    digests += [e.payload.digest for e in entries if isinstance(e.payload, EntryRecovered)]
    connection = replica.connection
    for table in ("entry", "seal", "seen", "inert", "recovered"):
        connection.execute(
            f"DELETE FROM {table} WHERE scope_no = ? AND stream_no = ? AND seq > ?",
            (row.scope_no, row.stream_no, common_seq),
        )
    connection.execute(
        "UPDATE stream SET head_seq = ?, head_digest = ?,"
        " sealed_seq = CASE WHEN sealed_seq > ? THEN ? ELSE sealed_seq END"
        " WHERE scope_no = ? AND stream_no = ?",
        (common_seq, digest, common_seq, common_seq, row.scope_no, row.stream_no),
    )
    if gone:
        replica.retract(row, gone)
    replica.settle_recovered(row.stream.scope, digests)
    return row.head.seq - common_seq


def take_back(replica: Replica, batch: Batch, stream: Stream, moment: Moment) -> list[Entry]:
    """Append what another holds of a branch of an own stream that this log does not, under the current stream.

    The batch begins where the branches are still the same and its seal was verified; what was appended again before,
    from whomever it came, is not appended twice. Returns the new entries.
    """
    row = replica.log.stream(batch.stream)
    assert row is not None
    digest = replica.log.digest_at(row, batch.first_seq - 1)
    assert digest is not None, "a branch is verified from a place that both have"
    vector = replica.log.vector_at(row, batch.first_seq - 1)
    kept = []
    for seq, encoded in enumerate(batch.entries, batch.first_seq):
        digest = chain(digest, encoded)
        vector.update(decode_body(encoded).seen)
        is_here = replica.log.digest_at(row, seq) == digest or replica.log.recovered(row.scope_no, digest)
        if not is_here:
            seen = tuple(sorted(vector.items()))
            kept.append((batch.scope, batch.stream.writer, seq, digest, encoded, encode(seen)))
    replica.connection.executemany(
        "INSERT INTO diverged (scope, writer, seq, digest, body, vector) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        kept,
    )
    return recover(replica, stream, moment) if kept else []


def recover(replica: Replica, stream: Stream, moment: Moment) -> list[Entry]:
    """Append the diverged entries of a scope again under the current stream; returns the new entries.

    An entry that stands in the canonical branch after all is not appended twice. Call it when the canonical
    branch has arrived, in one transaction.
    """
    connection = replica.connection
    rows = connection.execute(
        "SELECT writer, seq, digest, body, vector FROM diverged WHERE scope = ? ORDER BY writer, seq", (stream.scope,)
    ).fetchall()
    recovered: list[Entry] = []
    for writer, seq, digest, body, vector in rows:
        node, _, incarnation = writer.rpartition(".")
        old = replica.log.stream(Stream(stream.scope, NodeId(node), int(incarnation)))
        if old is not None and replica.log.digest_at(old, seq) == bytes(digest):
            continue
        again = decode_payload(decode_body(bytes(body)))
        if isinstance(again, EntryRecovered):
            payload = again
        else:
            seen = msgspec.msgpack.decode(bytes(vector), type=Vector)
            payload = EntryRecovered(f"{stream.scope}:{writer}:{seq}", bytes(body), bytes(digest), seen)
        recovered.append(replica.append(stream, payload, moment))
    connection.execute("DELETE FROM diverged WHERE scope = ?", (stream.scope,))
    return recovered
