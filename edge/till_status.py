"""Owns what the till's top line says about line, prices, shift and paper: read each second, so it must cost little."""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.node import Node
from edge.print_jobs import QueueState, queue_state
from edge.shifts import ShiftState, current_shift
from edge.status import cache_age, is_lease_lapsed, own_total

OFFLINE_AFTER_MS: Final = 60_000
"""So long without a finished exchange and the till calls itself offline: progress is what counts."""


class TillStatus(NamedTuple):
    """The state of a till at one glance.

    `exchange_age_ms` is the age of the last finished exchange, None where there never was one; `prices` is never,
    fresh, ageing or old.
    """

    is_online: bool
    exchange_age_ms: int | None
    last_exchange_ms: int | None
    waiting: int
    prices: str
    is_lease_lapsed: bool
    shift: ShiftState | None
    paper: QueueState


def till_status(node: Node) -> TillStatus:
    """Return the state of a till; it changes nothing and reads a few rows."""
    connection = node.connection
    state = node.state()
    now_ms = node.now_ms()
    last_ms = state.last_exchange_ms or None
    age_ms = None if last_ms is None else max(0, now_ms - last_ms)
    acknowledged = connection.execute("SELECT coalesce(max(acknowledged), 0) FROM node_state").fetchone()[0]
    return TillStatus(
        is_online=age_ms is not None and age_ms < OFFLINE_AFTER_MS,
        exchange_age_ms=age_ms,
        last_exchange_ms=last_ms,
        waiting=max(0, own_total(node) - int(acknowledged)),
        prices=cache_age(age_ms, node.config.cache_days),
        is_lease_lapsed=is_lease_lapsed(node, state.last_exchange_ms, now_ms),
        shift=current_shift(node),
        paper=queue_state(connection),
    )
