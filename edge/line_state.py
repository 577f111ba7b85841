"""Owns what is known of the line to the hub: since when it works, or why it does not; written when that changes."""

from __future__ import annotations

from typing import NamedTuple

from edge.node import Node
from schema.errors import EdgetillError


class LineState(NamedTuple):
    """How the last exchange ended: `fault` is its error's code, empty where it was whole; since when that is so."""

    fault: str
    since_ms: int


def note_line(node: Node, fault: str) -> None:
    """Note how an exchange ended; the same again costs one read. It never makes the exchange fail."""
    try:
        known = line_state(node)
        if known is not None and known.fault == fault:
            return
        with node.store.transaction() as connection:
            connection.execute(
                "INSERT INTO hub_line (only, is_online, fault, since_ms) VALUES (1, ?, ?, ?) ON CONFLICT (only)"
                " DO UPDATE SET is_online = excluded.is_online, fault = excluded.fault, since_ms = excluded.since_ms",
                (int(not fault), fault, node.now_ms()),
            )
    except EdgetillError:  # the file is busy or the disk full: the state is told the next time
        return


def line_state(node: Node) -> LineState | None:
    """Return how the last exchange ended; None for a node that never tried."""
    row = node.connection.execute("SELECT fault, since_ms FROM hub_line").fetchone()
    return None if row is None else LineState(str(row[0]), int(row[1]))
