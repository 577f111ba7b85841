"""What a node keeps: how old its cache is, whether its lease has lapsed, and how old entries leave it.

Nothing here ever refuses a sale: an old cache and a lapsed lease are shown, and sales made meanwhile say so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from edge.applying import Pace
from edge.node import Node
from edge.projections import ShiftProjection, settle_shifts
from edge.status import cache_age, is_lease_lapsed
from edge.store import foreseen
from edge.trade_projections import TRADE_TABLES
from schema.database import Connection
from schema.errors import RefusalError
from sync.effective import Effective
from sync.log_tables import LogTables, StreamRow
from sync.pruning import may_prune, prune_slice, seed_scope
from sync.refold import RestoreBalance
from sync.replica import Replica

LEASE_LAPSED: Final = "lease_lapsed"
"""The flag on sales made while the lease had lapsed and no manager was there."""


class CacheAge(StrEnum):
    """How old what a node knows is: within a tenth of the days that it keeps, within them, or older."""

    FRESH = "fresh"
    AGEING = "ageing"
    OLD = "old"


class CacheState(NamedTuple):
    """The age of the cache for the screen; `age_ms` is None for a node that never exchanged."""

    age: CacheAge
    age_ms: int | None
    is_lease_lapsed: bool


class Pruned(NamedTuple):
    """What one pruning came to: entries looked at, and those of them that left."""

    looked_at: int
    left: int


def cache_state(node: Node) -> CacheState:
    """Return how old the cache is now, and whether the lease has lapsed."""
    last_ms, now_ms = node.state().last_exchange_ms, node.now_ms()
    age_ms = max(0, now_ms - last_ms) if last_ms else None
    age = CacheAge.OLD if age_ms is None else CacheAge(cache_age(age_ms, node.config.cache_days))
    return CacheState(age, age_ms, is_lease_lapsed(node, last_ms, now_ms))


def lease_flags(node: Node, last_exchange_ms: int, now_ms: int, flags: tuple[str, ...]) -> tuple[str, ...]:
    """Return a sale's flags, marked where the lease has lapsed."""
    if LEASE_LAPSED in flags or not is_lease_lapsed(node, last_exchange_ms, now_ms):
        return flags
    return (*flags, LEASE_LAPSED)


def prune_old(node: Node, *, pace: Pace | None = None, seconds_max: float | None = None) -> Pruned:
    """Let entries below the hub's frontier leave, in transactions short enough that no sale waits for them.

    It may stop after any of them (`seconds_max`) and goes on where it stopped. Prices that ended more than 31 days
    ago leave their timelines whenever one changes. Raises RefusalError as `sync.pruning.may_prune` does.
    """
    pace = pace or Pace(first=8, most=500)
    scope = node.config.scope
    with foreseen(node.store.path):
        may_prune(node.replica, scope)
    began = time.perf_counter()
    looked = left = 0

    def leaving(entries: Sequence[Effective]) -> None:
        nonlocal left
        left += len(entries)
        _BELOW.apply(node.connection, 0, entries)

    while seconds_max is None or time.perf_counter() - began < seconds_max:
        started = time.perf_counter()
        with node.write():
            found = prune_slice(node.replica, node.stock, scope, pace.allowance, leaving)
        if not found:
            break
        looked += found
        pace.note(found, (time.perf_counter() - started) * 1000)
    return Pruned(looked, left)


_BELOW: Final = ShiftProjection("shift_below")


def receipt_is_older(node: Node, reference: str) -> RefusalError:
    """Return what to tell of a receipt that was here and is not any more."""
    return RefusalError(
        "receipt_older",
        f"receipt {reference} is older than the {node.config.cache_days} days that this till keeps:"
        " refund it at the hub, or without its receipt",
    )


def restoring(fresh: Replica) -> RestoreBalance:
    """Return what brings below a rebuild on `fresh` what stands at the cut of a pruned scope."""

    def restore(source: Connection, target: Connection, scope_no: int) -> None:
        log = LogTables(source)
        scope = next(name for name, number in log.scopes().items() if number == scope_no)
        seed_scope(log, fresh, scope)
        seed_read_models(source, target, scope_no)

    return restore


def seed_read_models(source: Connection, fresh: Connection, scope_no: int) -> None:
    """Put under a fresh node's read models what entries of a scope that have left said.

    Scopes and streams have the same numbers there. Call it before any entry is stored above the bases.
    """
    columns = "shift, business_date, operator, float_minor, sales, sales_minor, refunds, refunds_minor, cash_minor"
    for row in source.execute(f"SELECT {columns} FROM shift_below").fetchall():
        fresh.execute(f"INSERT INTO shift_below ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        fresh.execute(
            f"INSERT INTO shift AS s ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (shift) DO UPDATE SET"
            " sales = s.sales + excluded.sales, sales_minor = s.sales_minor + excluded.sales_minor,"
            " refunds = s.refunds + excluded.refunds, refunds_minor = s.refunds_minor + excluded.refunds_minor,"
            " cash_minor = s.cash_minor + excluded.cash_minor,"
            " business_date = max(s.business_date, excluded.business_date)",
            row,
        )
    gone = (
        " WHERE t.scope_no = ? AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.scope_no = t.scope_no"
        " AND e.stream_no = t.stream_no AND e.seq = t.seq)"
    )
    _copy(source, fresh, "shift_event", f"SELECT t.* FROM shift_event t{gone}", (scope_no,))
    settle_shifts(fresh, {shift for (shift,) in fresh.execute("SELECT shift FROM shift").fetchall()})
    for table in ("sign_in", "balance_move", *TRADE_TABLES):
        _copy(source, fresh, table, f"SELECT t.* FROM {table} t{gone}", (scope_no,))
    _copy(source, fresh, "receipt", f"SELECT t.* FROM receipt t{gone}", (scope_no,))
    streams = {row.stream_no: row.stream for scope in LogTables(source).scopes() for row in _rows(source, scope)
               if row.scope_no == scope_no}  # fmt: skip
    for number, stream_no, seq in source.execute(
        f"SELECT t.number, t.stream_no, t.seq FROM receipt t{gone}", (scope_no,)
    ).fetchall():
        _copy(source, fresh, "replayed", "SELECT * FROM replayed WHERE number = ?", (number,))
        place = (f"{streams[stream_no]}:{seq}",)
        _copy(source, fresh, "returned", "SELECT * FROM returned WHERE refund = ?", place)


def _rows(connection: Connection, scope: str) -> list[StreamRow]:
    return LogTables(connection).streams(scope)


def _copy(source: Connection, fresh: Connection, table: str, sql: str, parameters: tuple[object, ...]) -> None:
    rows = source.execute(sql, parameters).fetchall()
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        fresh.executemany(f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO NOTHING", rows)
