"""What a node tells the hub of itself at each exchange: how it is doing, for the overview of whoever looks after it.

Nothing of it is a fact of business: it travels beside the session, replaceable, and no fold reads it.
"""

from __future__ import annotations

from typing import Final

from edge.node import Node
from edge.print_jobs import OPEN, JobState
from edge.status import own_total

REPORT_CHARACTERS_MAX: Final = 96


def hub_report(node: Node) -> tuple[tuple[str, str], ...]:
    """Return short (name, value) pairs; the caller holds a read transaction.

    `waiting`: own entries that the hub lacks. `exchange_ms`: the last complete exchange by corrected time, absent
    before the first. `bound_ms`: the bound on the clock's error, absent while unknown. `printer`: `ok`, or the fault
    of the newest paper; absent where nothing was printed yet. `papers`: how many papers wait.
    """
    connection, state = node.connection, node.state()
    told = {"waiting": str(max(0, own_total(node) - _acknowledged(node)))}
    if state.last_exchange_ms:
        told["exchange_ms"] = str(state.last_exchange_ms)
    bound_ms = state.clock.bound_ms()
    if bound_ms is not None:
        told["bound_ms"] = str(bound_ms)
    newest = connection.execute("SELECT state, fault FROM print_job ORDER BY job DESC LIMIT 1").fetchone()
    if newest is not None:
        is_well = newest[0] in {JobState.PRINTED, JobState.DROPPED} or not newest[1]
        told["printer"] = "ok" if is_well else str(newest[1])
        marks = ", ".join("?" * len(OPEN))
        row = connection.execute(f"SELECT count(*) FROM print_job WHERE state IN ({marks})", OPEN).fetchone()
        told["papers"] = str(row[0])
    return tuple((name, value[:REPORT_CHARACTERS_MAX]) for name, value in sorted(told.items()))


def _acknowledged(node: Node) -> int:
    row = node.connection.execute("SELECT coalesce(max(acknowledged), 0) FROM node_state").fetchone()
    return int(row[0])
