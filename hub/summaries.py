"""What each location's stock amounts to, computed beside ingest and never in it: a page reads one row a location."""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.activity import EVERYWHERE
from hub.store import HubStore
from schema.database import Connection

REFRESH_SECONDS: Final = 5
_PART_MAX: Final = 25
"""So many locations are summed up before other writers have their turn."""


class LocationSummary(NamedTuple):
    """A location's stock at the last received cost, an estimate; `uncosted` products were never received at one."""

    entries: int
    computed_ms: int
    stock_value_minor: int
    uncosted: int
    products: int


def refresh_summaries(store: HubStore, now_ms: int) -> int:
    """Sum up the locations whose entries changed since they were last summed up; returns how many.

    Several processes may do it at once: each writes what holds for the entries that it saw.
    """
    with store.snapshot() as replica:
        connection = replica.connection
        changed = connection.execute(
            "SELECT s.scope_no, sum(t.head_seq) FROM scope s JOIN stream t ON t.scope_no = s.scope_no"
            " LEFT JOIN location_summary m ON m.scope_no = s.scope_no WHERE s.scope LIKE 'loc/%'"
            " GROUP BY s.scope_no, m.entries HAVING sum(t.head_seq) <> coalesce(m.entries, -1) ORDER BY s.scope_no"
        ).fetchall()
        rows = [
            (int(scope_no), int(entries), now_ms, *_sum_up(connection, int(scope_no))) for scope_no, entries in changed
        ]
    for start in range(0, len(rows), _PART_MAX):
        with store.transaction(None) as replica:
            replica.connection.executemany(
                "INSERT INTO location_summary (scope_no, entries, computed_ms, stock_value_minor, uncosted, products)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (scope_no) DO UPDATE SET entries = excluded.entries,"
                " computed_ms = excluded.computed_ms, stock_value_minor = excluded.stock_value_minor,"
                " uncosted = excluded.uncosted, products = excluded.products",
                rows[start : start + _PART_MAX],
            )
    return len(rows)


def _sum_up(connection: Connection, scope_no: int) -> tuple[int, int, int]:
    row = connection.execute(
        "SELECT coalesce(sum(k.value * coalesce(c.cost_minor, e.cost_minor, 0) / 1000), 0),"
        " coalesce(sum(CASE WHEN coalesce(c.cost_minor, e.cost_minor) IS NULL THEN 1 ELSE 0 END), 0), count(*)"
        " FROM stock k LEFT JOIN last_cost c ON c.scope_no = k.scope_no AND c.product = k.product"
        " LEFT JOIN last_cost e ON e.scope_no = ? AND e.product = k.product"
        " WHERE k.scope_no = ? AND k.is_present = 1 AND k.value > 0",
        (EVERYWHERE, scope_no),
    ).fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def read_summaries(connection: Connection) -> dict[int, LocationSummary]:
    """Return the summaries by the number of the location's scope."""
    rows = connection.execute(
        "SELECT scope_no, entries, computed_ms, stock_value_minor, uncosted, products FROM location_summary"
    ).fetchall()
    return {int(scope_no): LocationSummary(*map(int, rest)) for scope_no, *rest in rows}
