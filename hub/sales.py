"""The fold of completed sales and refunds into the table that reports list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schema.database import Connection
from schema.kinds.trading import Refund, Sale
from sync.effective import Effective

SALE: Final = "sale"
REFUND: Final = "refund"


class SalesFold:
    """Keeps one row for every effective sale and refund; a refund's total counts as given back."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """List new sales and refunds."""
        rows = []
        for e in entries:
            payload = e.payload
            if isinstance(payload, Sale):
                kind = SALE
            elif isinstance(payload, Refund):
                kind = REFUND
            else:
                continue
            rows.append(
                (
                    scope_no,
                    e.stream_no,
                    e.seq,
                    kind,
                    payload.receipt_number,
                    payload.business_date,
                    payload.operator,
                    len(payload.lines),
                    payload.total_minor,
                )
            )
        if rows:
            connection.executemany(
                "INSERT INTO sale (scope_no, stream_no, seq, kind, receipt_number, business_date, operator,"
                " line_count, total_minor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take sales off the list that lost their authority."""
        connection.executemany(
            "DELETE FROM sale WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            [(scope_no, e.stream_no, e.seq) for e in entries],
        )
