"""The fold of what the overview tells at a glance: takings by the quarter of an hour, use by the hour, costs, acts.

Each batch of entries is summed up before it touches a table, so that ingest writes a few rows and not one an entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from schema.database import Connection
from schema.kinds import KIND_OF
from schema.kinds.desk import ActRecorded, FindingSettled
from schema.kinds.stock import GoodsReceived
from schema.kinds.trading import Refund, Sale
from sync.effective import Effective

QUARTER_MS: Final = 900_000
HOUR_MS: Final = 3_600_000
EVERYWHERE: Final = 0
"""The number of no scope: under it stands the last cost of the whole chain, for shops that are only sent goods."""


class ActivityFold:
    """Keeps `sales_quarter`, `use_hour`, `last_cost`, `desk_act` and `finding_settlement`."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Add new entries."""
        _add(connection, scope_no, entries, 1)
        costs: dict[str, tuple[int, int]] = {}
        for entry in entries:
            payload = entry.payload
            if isinstance(payload, GoodsReceived):
                for product, cost_minor in payload.costs:
                    costs[product] = max(costs.get(product, (0, 0)), (entry.hlc[0], cost_minor))
        if costs:
            _keep_costs(connection, scope_no, costs)
        settled = [
            (
                scope_no, e.stream_no, e.seq, e.payload.finding, e.payload.amount_minor, e.payload.operator,
                e.payload.note, e.wall_ms,
            )
            for e in entries
            if isinstance(e.payload, FindingSettled)
        ]  # fmt: skip
        if settled:
            connection.executemany(
                "INSERT INTO finding_settlement (scope_no, stream_no, seq, finding, amount, operator, note, at_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                settled,
            )
        acts = [
            (
                scope_no, e.stream_no, e.seq, e.wall_ms, e.payload.operator, e.payload.act, e.payload.subject,
                e.operation or str(e.id),
            )
            for e in entries
            if isinstance(e.payload, ActRecorded)
        ]  # fmt: skip
        if acts:
            connection.executemany(
                "INSERT INTO desk_act (scope_no, stream_no, seq, at_ms, operator, act, subject, operation)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                acts,
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take entries back that lost their authority; a cost that came with them stays until the next one."""
        _add(connection, scope_no, entries, -1)
        places = [(scope_no, e.stream_no, e.seq) for e in entries]
        for table in ("desk_act", "finding_settlement"):
            connection.executemany(f"DELETE FROM {table} WHERE scope_no = ? AND stream_no = ? AND seq = ?", places)


def _add(connection: Connection, scope_no: int, entries: Iterable[Effective], sign: int) -> None:
    takings: dict[int, list[int]] = {}
    uses: Counter[tuple[int, str]] = Counter()
    for entry in entries:
        payload = entry.payload
        uses[entry.wall_ms // HOUR_MS, KIND_OF[type(payload)].name] += sign
        if isinstance(payload, Sale):
            sums = takings.setdefault(entry.wall_ms // QUARTER_MS, [0, 0, 0])
            sums[0] += sign
            sums[2] += sign * payload.total_minor
        elif isinstance(payload, Refund):
            sums = takings.setdefault(entry.wall_ms // QUARTER_MS, [0, 0, 0])
            sums[1] += sign
            sums[2] -= sign * payload.total_minor
    if takings:
        connection.executemany(
            "INSERT INTO sales_quarter AS s (quarter_no, scope_no, sales, refunds, total_minor) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (quarter_no, scope_no) DO UPDATE SET sales = s.sales + excluded.sales,"
            " refunds = s.refunds + excluded.refunds, total_minor = s.total_minor + excluded.total_minor",
            [(quarter, scope_no, *sums) for quarter, sums in sorted(takings.items())],
        )
    connection.executemany(
        "INSERT INTO use_hour AS u (hour_no, scope_no, kind, entries) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (hour_no, scope_no, kind) DO UPDATE SET entries = u.entries + excluded.entries",
        [(hour, scope_no, kind, entries) for (hour, kind), entries in sorted(uses.items())],
    )


def _keep_costs(connection: Connection, scope_no: int, costs: dict[str, tuple[int, int]]) -> None:
    connection.executemany(
        "INSERT INTO last_cost AS c (scope_no, product, hlc_ms, cost_minor) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (scope_no, product) DO UPDATE SET hlc_ms = excluded.hlc_ms, cost_minor = excluded.cost_minor"
        " WHERE (excluded.hlc_ms, excluded.cost_minor) > (c.hlc_ms, c.cost_minor)",
        [
            (number, product, hlc_ms, cost_minor)
            for number in (EVERYWHERE, scope_no)
            for product, (hlc_ms, cost_minor) in sorted(costs.items())
        ],
    )
