"""The fold of vans' settlements into tables: what reports show of each, and where goods are missing."""

from __future__ import annotations

from collections.abc import Sequence

from schema.database import Connection
from schema.kinds.vans import VanSettled
from sync.effective import Effective


class SettlementFold:
    """Keeps `van_settlement` and `van_difference`."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Add new settlements."""
        found = [(e, e.payload) for e in entries if isinstance(e.payload, VanSettled)]
        if not found:
            return
        connection.executemany(
            "INSERT INTO van_settlement (scope_no, stream_no, seq, settlement, business_date, operator, sales,"
            " sold_minor, collected_minor, missing_minor, cash_expected_minor, cash_counted_minor, at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                (
                    scope_no, e.stream_no, e.seq, one.settlement, one.business_date, one.operator, one.sales,
                    sum(means.sales_minor - means.refunds_minor for means in one.means),
                    sum(means.collected_minor for means in one.means), one.missing_minor, one.cash_expected_minor,
                    one.cash_counted_minor, e.wall_ms,
                )
                for e, one in found
            ],
        )  # fmt: skip
        differences = [
            (scope_no, e.stream_no, e.seq, line.product, line.difference_milli, line.value_minor)
            for e, one in found
            for line in one.lines
            if line.difference_milli
        ]
        if differences:
            connection.executemany(
                "INSERT INTO van_difference (scope_no, stream_no, seq, product, difference_milli, value_minor)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                differences,
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take settlements back that lost their authority."""
        places = [(scope_no, e.stream_no, e.seq) for e in entries if isinstance(e.payload, VanSettled)]
        for table in ("van_settlement", "van_difference") if places else ():
            connection.executemany(f"DELETE FROM {table} WHERE scope_no = ? AND stream_no = ? AND seq = ?", places)
