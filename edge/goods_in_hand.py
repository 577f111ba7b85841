"""Lists of goods in hand as they survive the program and the power: a row each, until what they list is recorded.

The use case that records a list takes its row away in the same transaction (`let_go`): a till that is killed at any
moment either has recorded it, or has it in hand still, and never both.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

from edge.node import Node
from schema.database import Connection


class InHand(NamedTuple):
    """A list as it was last changed: of which work, by whom, when (Unix milliseconds), and what stands on it."""

    name: str
    operator: str
    changed_ms: int
    content: bytes


def new_name() -> str:
    """Return the name of a list that is begun."""
    return secrets.token_hex(8)


def put_in_hand(node: Node, name: str, work: str, operator: str, content: bytes) -> None:
    """Write down what stands on a list now; it is on the disk when this returns."""
    with node.store.transaction() as connection:
        connection.execute(
            "INSERT INTO goods_in_hand (name, work, operator, changed_ms, content) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET operator = excluded.operator, changed_ms = excluded.changed_ms,"
            " content = excluded.content",
            (name, work, operator, node.clock_source().wall_ms, content),
        )


def in_hand(node: Node, work: str) -> list[InHand]:
    """Return the lists of a work that were not recorded yet, the newest first."""
    rows = node.connection.execute(
        "SELECT name, operator, changed_ms, content FROM goods_in_hand WHERE work = ? ORDER BY changed_ms DESC, name",
        (work,),
    ).fetchall()
    return [InHand(str(name), str(who), int(at_ms), bytes(content)) for name, who, at_ms, content in rows]


def give_up(node: Node, *names: str) -> None:
    """Take lists out of hand of which nothing shall be recorded."""
    with node.store.transaction() as connection:
        for name in names:
            let_go(connection, name)


def let_go(connection: Connection, name: str) -> None:
    """Take a list out of hand within the transaction that records it; an empty name is no list."""
    if name:
        connection.execute("DELETE FROM goods_in_hand WHERE name = ?", (name,))
