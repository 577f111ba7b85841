"""Forks and restores: what a replica does when others hold more, or other, of its own stream than it does.

A restored backup or a cloned disk writes on where the original had already written. The branch that the hub holds
is canonical; the owner of the other opens a new incarnation, takes the canonical branch over and appends its own
diverged entries again, with their original bytes: their movements and money count, their counts, grants and
document changes wait for a person.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from schema.codec import decode_body, decode_payload, encode
from schema.database import Connection
from schema.identity import NodeId, Stream
from schema.kinds.base import Vector
from schema.kinds.organisation import EntryRecovered
from sync.replica import Moment, Replica, stream_effective


def is_ahead_of_me(replica: Replica, scope: str, theirs: Mapping[str, int], me: NodeId, incarnation: int) -> bool:
    """Tell whether the other side holds more of my current stream than I do: I am a restored copy."""
    stream_seq = theirs.get(f"{me}.{incarnation}", 0)
    if not stream_seq:
        return False
    mine = replica.log.heads(scope, me).get(f"{me}.{incarnation}")
    return stream_seq > (mine.seq if mine else 0)


def begin_incarnation(connection: Connection) -> None:
    """Let the first entry of each new stream tell all that this replica has seen."""
    connection.execute("UPDATE stream SET announced_seq = 0")


def next_incarnation(current: int, entropy: int) -> int:
    """Return a later incarnation; two copies of one disk that both open a new one hardly ever choose the same."""
    return current + 1 + entropy % 997


def set_aside(replica: Replica, stream: Stream, common_seq: int) -> int:
    """Take the own entries above the place where the branches part out of the log, and keep them for `recover`.

    Returns how many. The caller opens a new incarnation in the same transaction.
    """
    row = replica.log.stream(stream)
    assert row is not None
    assert common_seq >= row.base.seq, "what was pruned had been acknowledged by the hub"
    digest = replica.log.digest_at(row, common_seq)
    assert digest is not None
    vector = dict(replica.log.vector_at(row, common_seq))
    kept = []
    for entry in replica.log.entries(row, common_seq):
        vector.update(entry.body.seen)
        seen = tuple(sorted(vector.items()))
        kept.append((stream.scope, stream.writer, entry.body.seq, entry.digest, entry.encoded, encode(seen)))
    gone = [e for e in stream_effective(replica.log, row) if e.seq > common_seq]
    connection = replica.connection
    connection.executemany(
        "INSERT INTO diverged (scope, writer, seq, digest, body, vector) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        kept,
    )
    for table in ("entry", "seal", "seen", "inert"):
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
    return len(kept)


def recover(replica: Replica, stream: Stream, moment: Moment) -> int:
    """Append the diverged entries of a scope again under the current stream; returns how many.

    An entry that stands in the canonical branch after all is not appended twice. Call it when the canonical
    branch has arrived, in one transaction.
    """
    connection = replica.connection
    rows = connection.execute(
        "SELECT writer, seq, digest, body, vector FROM diverged WHERE scope = ? ORDER BY writer, seq", (stream.scope,)
    ).fetchall()
    recovered = 0
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
        replica.append(stream, payload, moment)
        recovered += 1
    connection.execute("DELETE FROM diverged WHERE scope = ?", (stream.scope,))
    return recovered
