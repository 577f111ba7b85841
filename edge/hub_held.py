"""Owns up to where the hub holds what is here, as it last said itself: over the line, or by an answer that a van bore.

It is never more than a hint by which nothing is sent in vain: each session states its vectors afresh. What the hub
said last replaces what it said before, also where that is less, for a hub may have been restored from an older copy.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.node import Node
from schema.database import Connection
from sync.messages import ScopeVector
from sync.version_vector import Head


def note_held(connection: Connection, vectors: Iterable[ScopeVector], as_of_ms: int, bearer: str = "") -> None:
    """Note what the hub said at a time of its clock, within a transaction; `bearer` brought it, empty for the line."""
    for one in vectors:
        said = {writer: (seq, digest) for writer, seq, digest in one.heads}
        rows = connection.execute("SELECT writer, seq, digest FROM hub_held WHERE scope = ?", (one.scope,)).fetchall()
        known = {str(row[0]): (int(row[1]), bytes(row[2])) for row in rows}
        connection.executemany(
            "DELETE FROM hub_held WHERE scope = ? AND writer = ?",
            [(one.scope, writer) for writer in sorted(known.keys() - said.keys())],
        )
        connection.executemany(
            "INSERT INTO hub_held (scope, writer, seq, digest) VALUES (?, ?, ?, ?) ON CONFLICT (scope, writer)"
            " DO UPDATE SET seq = excluded.seq, digest = excluded.digest",
            [(one.scope, writer, *head) for writer, head in sorted(said.items()) if known.get(writer) != head],
        )
    connection.execute(
        "INSERT INTO hub_said (only, as_of_ms, bearer) VALUES (1, ?, ?)"
        " ON CONFLICT (only) DO UPDATE SET as_of_ms = excluded.as_of_ms, bearer = excluded.bearer",
        (as_of_ms, bearer),
    )


def said_ms(node: Node) -> int:
    """Return when, by its clock, the hub last said what it holds; 0 where it never did."""
    row = node.connection.execute("SELECT as_of_ms FROM hub_said").fetchone()
    return 0 if row is None else int(row[0])


def held_by_hub(node: Node, scope: str) -> dict[str, Head]:
    """Return up to where the hub holds each stream of a scope, as far as the same entries stand here.

    What has left this node lies below the hub's frontier, so it holds that in any case.
    """
    rows = node.connection.execute("SELECT writer, seq, digest FROM hub_held WHERE scope = ?", (scope,)).fetchall()
    said = {str(row[0]): Head(int(row[1]), bytes(row[2])) for row in rows}
    found: dict[str, Head] = {}
    for row in node.replica.log.streams(scope):
        head = said.get(row.stream.writer, Head(0, b""))
        if head.seq > row.base.seq and node.replica.log.digest_at(row, head.seq) == head.digest:
            found[row.stream.writer] = head
        elif head.seq > row.head.seq and row.stream.node != node.config.node_id:
            found[row.stream.writer] = row.head  # it heard of more than this node did
        elif row.base.seq:
            found[row.stream.writer] = row.base
    return found


def own_held(node: Node) -> int:
    """Return how many of this node's own entries the hub is known to hold, in every scope and incarnation."""
    me = node.config.node_id
    total = 0
    for scope in node.replica.log.scopes():
        held = held_by_hub(node, scope)
        total += sum(head.seq for writer, head in held.items() if writer.rpartition(".")[0] == me)
    return total
