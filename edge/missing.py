"""Ranges of entries that are known to have existed and that are not here: what a restore or a rotten log lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.store import foreseen
from schema.database import Connection
from schema.identity import NodeId, Scope, Stream

if TYPE_CHECKING:
    from edge.node import Node


class MissingRange(msgspec.Struct, frozen=True):
    """Entries that are known to have existed and that are not here, nor were to be had when that was found."""

    stream: str
    first_seq: int
    last_seq: int


def note_missing(node: Node) -> tuple[MissingRange, ...]:
    """Find and keep the ranges of entries that somebody has seen and that are not here.

    What a stream has seen of another is part of its own entries, and what a neighbour said to hold was noted; both
    tell of entries that once existed.
    """
    scope = node.config.scope
    number = node.replica.log.scope_no(scope)
    with foreseen(node.store.path):
        seen = dict(
            node.connection.execute(
                "SELECT writer, max(seen_seq) FROM seen WHERE scope_no = ? GROUP BY writer", (number,)
            ).fetchall()
        )
        for incarnation, seq in node.connection.execute(
            "SELECT incarnation, max(seq) FROM lan_copy GROUP BY incarnation"
        ).fetchall():
            writer = Stream(scope, node.config.node_id, incarnation).writer
            seen[writer] = max(seen.get(writer, 0), seq)
    heads = {row.stream.writer: row.head.seq for row in node.replica.log.streams(scope)}
    missing = [
        (str(scope), writer, heads.get(writer, 0) + 1, last)
        for writer, last in sorted(seen.items())
        if last > heads.get(writer, 0)
    ]
    with node.store.transaction():
        node.connection.execute("DELETE FROM missing_range")
        node.connection.executemany(
            "INSERT INTO missing_range (scope, writer, first_seq, last_seq, noted_ms) VALUES (?, ?, ?, ?, ?)",
            [(*row, node.clock_source().wall_ms) for row in missing],
        )
    return missing_ranges(node)


def note_lost(connection: Connection, stream: Stream, last_seq: int, now_ms: int) -> None:
    """Keep that a stream of this node once went up to an entry, in the caller's transaction."""
    held = connection.execute(
        "SELECT coalesce(max(head_seq), 0) FROM stream JOIN scope USING (scope_no)"
        " WHERE scope = ? AND node = ? AND incarnation = ?",
        (str(stream.scope), stream.node, stream.incarnation),
    ).fetchone()[0]
    connection.execute("DELETE FROM missing_range WHERE scope = ? AND writer = ?", (str(stream.scope), stream.writer))
    connection.execute(
        "INSERT INTO missing_range (scope, writer, first_seq, last_seq, noted_ms) VALUES (?, ?, ?, ?, ?)",
        (str(stream.scope), stream.writer, int(held) + 1, last_seq, now_ms),
    )


def missing_ranges(node: Node) -> tuple[MissingRange, ...]:
    """Return the ranges that were missing after a restore and have not arrived since."""
    with foreseen(node.store.path):
        rows = node.connection.execute(
            "SELECT scope, writer, first_seq, last_seq FROM missing_range ORDER BY scope, writer"
        ).fetchall()
    found = []
    for scope, writer, first_seq, last_seq in rows:
        name, _, incarnation = writer.rpartition(".")
        stream = Stream(Scope(scope), NodeId(name), int(incarnation))
        row = node.replica.log.stream(stream)
        held = row.head.seq if row is not None else 0
        if held < last_seq:
            found.append(MissingRange(str(stream), max(first_seq, held + 1), last_seq))
    return tuple(found)
