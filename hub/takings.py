"""The fold of trading into sums by day: takings, products, tenders, counted drawers and written-off goods.

Sums are what reports read: a page never walks entries. Every row is a sum over a set of entries, so the order in
which they came decides nothing, and an entry that loses its authority is taken off again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from schema.database import Connection
from schema.kinds.balances import BalancePaid
from schema.kinds.stock import StockAdjusted
from schema.kinds.trading import Refund, Sale, ShiftClosed, Tender
from sync.effective import Effective

DAY_MS: Final = 86_400_000


class TakingsFold:
    """Keeps `takings_day`, `product_day`, `tender_day`, `shift_count` and `adjustment_day`."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Add new entries."""
        _Sums(entries, 1).write(connection, scope_no)
        counted = [
            (scope_no, e.stream_no, e.seq, e.payload.shift, e.payload.operator, e.payload.counted_minor,
             e.payload.expected_minor, e.wall_ms)
            for e in entries
            if isinstance(e.payload, ShiftClosed)
        ]  # fmt: skip
        if counted:
            connection.executemany(
                "INSERT INTO shift_count (scope_no, stream_no, seq, shift, operator, counted_minor, expected_minor,"
                " at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                counted,
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take entries off that lost their authority."""
        _Sums(entries, -1).write(connection, scope_no)
        connection.executemany(
            "DELETE FROM shift_count WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            [(scope_no, e.stream_no, e.seq) for e in entries],
        )


class _Sums:
    """Sums of one batch by key, so that a batch costs one statement a table."""

    def __init__(self, entries: Iterable[Effective], sign: int) -> None:
        self._sign = sign
        self._takings: dict[tuple[str, str], list[int]] = {}
        self._products: dict[tuple[str, str], list[int]] = {}
        self._tenders: dict[tuple[str, str, str], list[int]] = {}
        self._adjustments: dict[tuple[int, str, str], int] = {}
        for entry in entries:
            payload = entry.payload
            if isinstance(payload, Sale):
                self._sale(payload)
            elif isinstance(payload, Refund):
                self._refund(payload)
            elif isinstance(payload, BalancePaid):
                direction = 1 if payload.total_minor >= 0 else -1
                self._tender(payload.business_date, payload.tenders, direction)
            elif isinstance(payload, StockAdjusted):
                day_no = entry.wall_ms // DAY_MS
                for move in payload.moves:
                    key = (day_no, payload.reason, move.product)
                    self._adjustments[key] = self._adjustments.get(key, 0) + sign * move.quantity_milli

    def _sale(self, sale: Sale) -> None:
        sign = self._sign
        row = self._takings.setdefault((sale.business_date, sale.operator), [0, 0, 0, 0, 0, 0])
        row[0] += sign
        row[2] += sign * sale.total_minor
        row[5] += sign * sale.rounding_minor
        for line in sale.lines:
            if line.discounts:
                row[4] += sign * sum(discount.share_minor for discount in line.discounts)
            sums = self._products.setdefault((sale.business_date, line.product), [0, 0, 0])
            sums[0] += sign * (line.quantity_milli * line.factor_milli // 1000)
            sums[1] += sign * line.amount_minor
            sums[2] += sign
        self._tender(sale.business_date, sale.tenders, 1)

    def _refund(self, refund: Refund) -> None:
        sign = self._sign
        row = self._takings.setdefault((refund.business_date, refund.operator), [0, 0, 0, 0, 0, 0])
        row[1] += sign
        row[3] += sign * refund.total_minor
        for line in refund.lines:
            sums = self._products.setdefault((refund.business_date, line.product), [0, 0, 0])
            sums[0] -= sign * (line.quantity_milli * line.factor_milli // 1000)
            sums[1] -= sign * line.amount_minor
            sums[2] += sign
        self._tender(refund.business_date, refund.tenders, -1)

    def _tender(self, date: str, tenders: Iterable[Tender], direction: int) -> None:
        for tender in tenders:
            sums = self._tenders.setdefault((date, tender.means, tender.state), [0, 0])
            sums[0] += self._sign
            sums[1] += self._sign * direction * abs(tender.amount_minor)

    def write(self, connection: Connection, scope_no: int) -> None:
        if self._takings:
            connection.executemany(
                "INSERT INTO takings_day AS t (scope_no, business_date, operator, sales, refunds, total_minor,"
                " refunded_minor, discount_minor, rounding_minor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (scope_no, business_date, operator) DO UPDATE SET sales = t.sales + excluded.sales,"
                " refunds = t.refunds + excluded.refunds, total_minor = t.total_minor + excluded.total_minor,"
                " refunded_minor = t.refunded_minor + excluded.refunded_minor,"
                " discount_minor = t.discount_minor + excluded.discount_minor,"
                " rounding_minor = t.rounding_minor + excluded.rounding_minor",
                [(scope_no, *key, *sums) for key, sums in sorted(self._takings.items())],
            )
        if self._products:
            connection.executemany(
                "INSERT INTO product_day AS p (scope_no, business_date, product, quantity_milli, amount_minor, lines)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (scope_no, business_date, product) DO UPDATE SET"
                " quantity_milli = p.quantity_milli + excluded.quantity_milli,"
                " amount_minor = p.amount_minor + excluded.amount_minor, lines = p.lines + excluded.lines",
                [(scope_no, *key, *sums) for key, sums in sorted(self._products.items())],
            )
        if self._tenders:
            connection.executemany(
                "INSERT INTO tender_day AS t (scope_no, business_date, means, state, tenders, amount_minor)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (scope_no, business_date, means, state) DO UPDATE SET"
                " tenders = t.tenders + excluded.tenders, amount_minor = t.amount_minor + excluded.amount_minor",
                [(scope_no, *key, *sums) for key, sums in sorted(self._tenders.items())],
            )
        if self._adjustments:
            connection.executemany(
                "INSERT INTO adjustment_day AS a (scope_no, day_no, reason, product, quantity_milli)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope_no, day_no, reason, product) DO UPDATE SET"
                " quantity_milli = a.quantity_milli + excluded.quantity_milli",
                [(scope_no, *key, quantity) for key, quantity in sorted(self._adjustments.items())],
            )
