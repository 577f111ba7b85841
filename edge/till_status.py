"""Owns what the till's top line says about line, prices, shift and paper: read each second, so it must cost little."""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.line_state import line_state
from edge.node import Node
from edge.parking import parked_count
from edge.print_jobs import QueueState, queue_state
from edge.shifts import ShiftState, current_shift
from edge.status import cache_age, is_lease_lapsed

OFFLINE_AFTER_MS: Final = 15_000
"""So long without an answer (three exchanges' time) and the till calls itself offline, also where nothing failed."""
STILL_THERE: Final = frozenset({"", "hub_busy"})
"""How an exchange may end with the hub there: any other fault is offline at once."""


class TillStatus(NamedTuple):
    """The state of a till at one glance.

    `since_ms` is the time since which it is online or offline, None where it never exchanged; `line_fault` is the code
    of what ended the last exchange (`refusal.<code>` is its sentence). `exchange_age_ms` is the age of the last
    finished one; `prices` is never, fresh, ageing or old. `waiting` entries are this node's own that the hub lacks.
    """

    is_online: bool
    exchange_age_ms: int | None
    last_exchange_ms: int | None
    waiting: int
    prices: str
    is_lease_lapsed: bool
    shift: ShiftState | None
    paper: QueueState
    since_ms: int | None = None
    line_fault: str = ""
    parked: int = 0


def till_status(node: Node) -> TillStatus:
    """Return the state of a till; it changes nothing and reads a few rows."""
    connection = node.connection
    state = node.state()
    now_ms = node.clock_source().wall_ms - state.clock.offset_ms
    last_ms = state.last_exchange_ms or None
    age_ms = None if last_ms is None else max(0, now_ms - last_ms)
    line = line_state(node)
    heard_ms = max(state.last_exchange_ms, line.answered_ms if line is not None else 0)
    is_there = line is None or line.fault in STILL_THERE
    is_online = last_ms is not None and is_there and now_ms - heard_ms < OFFLINE_AFTER_MS
    was_whole = line is not None and not line.fault
    written, acknowledged = connection.execute(
        "SELECT (SELECT coalesce(sum(head_seq), 0) FROM stream WHERE node = ?),"
        " (SELECT coalesce(max(acknowledged), 0) FROM node_state)",
        (node.config.node,),
    ).fetchone()
    return TillStatus(
        is_online=is_online,
        exchange_age_ms=age_ms,
        last_exchange_ms=last_ms,
        waiting=max(0, int(written) - int(acknowledged)),
        prices=cache_age(age_ms, node.config.cache_days),
        is_lease_lapsed=is_lease_lapsed(node, state.last_exchange_ms, now_ms),
        shift=current_shift(node),
        paper=queue_state(connection),
        since_ms=line.since_ms if is_online and line is not None and was_whole else last_ms,
        line_fault=line.fault if line is not None else "",
        parked=parked_count(node),
    )
