"""Owns what is known of the line to the hub: since when it works, or why it does not; written when that changes."""

from __future__ import annotations

from typing import NamedTuple

from edge.node import Node
from schema.errors import EdgetillError


class LineState(NamedTuple):
    """How the last exchange ended: `fault` is its error's code, empty where it was whole; since when that is so.

    `answered_ms` is when the hub answered last within a long exchange.
    """

    fault: str
    since_ms: int
    answered_ms: int = 0


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


def note_answer(node: Node) -> None:
    """Note that the hub answers within an exchange that is not over: the line works, however long this takes."""
    try:
        with node.store.transaction() as connection:
            connection.execute(
                "INSERT INTO hub_line (only, is_online, fault, since_ms, answered_ms) VALUES (1, 1, '', ?, ?)"
                " ON CONFLICT (only) DO UPDATE SET answered_ms = excluded.answered_ms, is_online = 1, fault = '',"
                " since_ms = CASE WHEN hub_line.fault = '' THEN hub_line.since_ms ELSE excluded.since_ms END",
                (node.now_ms(), node.now_ms()),
            )
    except EdgetillError:  # as above
        return


def line_state(node: Node) -> LineState | None:
    """Return how the last exchange ended; None for a node that never tried."""
    row = node.connection.execute("SELECT fault, since_ms, answered_ms FROM hub_line").fetchone()
    return None if row is None else LineState(str(row[0]), int(row[1]), int(row[2]))
