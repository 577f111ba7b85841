"""The node's own read models: receipts by number, what came back of them, shifts, and the barcode index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schema.catalogue import Scalar, category_of
from schema.database import Connection
from schema.kinds.trading import CashMoved, Refund, Sale, ShiftClosed, ShiftOpened, Tender
from sync.effective import Effective


class ReceiptProjection:
    """Sales and refunds of this location by receipt number, and the quantities that came back of each line."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        receipts = [
            (e.payload.receipt_number, scope_no, e.stream_no, e.seq, isinstance(e.payload, Refund),
             e.payload.total_minor)
            for e in entries
            if isinstance(e.payload, Sale | Refund)
        ]  # fmt: skip
        if receipts:
            connection.executemany(
                "INSERT INTO receipt (number, scope_no, stream_no, seq, is_refund, total_minor)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                receipts,
            )
        refunds = [e for e in entries if isinstance(e.payload, Refund) and e.payload.original]
        if refunds:
            connection.executemany(
                "INSERT INTO returned (original, line, refund, quantity_milli, amount_minor)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [row for e in refunds for row in _returned(e)],
            )
        replayed = [
            (e.payload.source, e.payload.receipt_number)
            for e in entries
            if isinstance(e.payload, Sale | Refund) and e.payload.source
        ]
        if replayed:
            connection.executemany(
                "INSERT INTO replayed (source, number) VALUES (?, ?) ON CONFLICT DO NOTHING", replayed
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        connection.executemany(
            "DELETE FROM receipt WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            [(scope_no, e.stream_no, e.seq) for e in entries],
        )
        connection.executemany("DELETE FROM returned WHERE refund = ?", [(str(e.id),) for e in entries])
        connection.executemany(
            "DELETE FROM replayed WHERE source = ?",
            [(e.payload.source,) for e in entries if isinstance(e.payload, Sale | Refund) and e.payload.source],
        )


def _returned(entry: Effective) -> list[tuple[str, int, str, int, int]]:
    assert isinstance(entry.payload, Refund)
    totals: dict[int, tuple[int, int]] = {}
    for line in entry.payload.lines:
        if line.original_line is not None:
            quantity, amount = totals.get(line.original_line, (0, 0))
            totals[line.original_line] = (quantity + line.quantity_milli, amount + line.amount_minor)
    return [(entry.payload.original, line, str(entry.id), q, a) for line, (q, a) in totals.items()]


class ShiftProjection:
    """What happened in each shift of this location, in money; `table` is another one for entries that leave."""

    def __init__(self, table: str = "shift") -> None:
        self._table = table

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        del scope_no
        self._fold(connection, entries, 1)

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        del scope_no
        self._fold(connection, entries, -1)

    def _fold(self, connection: Connection, entries: Sequence[Effective], sign: int) -> None:
        totals: dict[str, list[int]] = {}
        facts: dict[str, tuple[str, str]] = {}
        for entry in entries:
            payload = entry.payload
            match payload:
                case Sale():
                    row = totals.setdefault(payload.shift, [0, 0, 0, 0, 0])
                    row[0] += sign
                    row[1] += sign * payload.total_minor
                    row[4] += sign * _cash(payload.tenders)
                case Refund():
                    row = totals.setdefault(payload.shift, [0, 0, 0, 0, 0])
                    row[2] += sign
                    row[3] += sign * payload.total_minor
                    row[4] -= sign * _cash(payload.tenders)
                case CashMoved():
                    totals.setdefault(payload.shift, [0, 0, 0, 0, 0])[4] += sign * payload.amount_minor
                case _:
                    continue
            if isinstance(payload, Sale | Refund):
                facts[payload.shift] = (payload.business_date, payload.operator)
        if totals:
            connection.executemany(
                f"INSERT INTO {self._table} AS s (shift, business_date, operator, float_minor, sales, sales_minor,"
                " refunds, refunds_minor, cash_minor) VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?)"
                " ON CONFLICT (shift) DO UPDATE SET sales = s.sales + excluded.sales,"
                " sales_minor = s.sales_minor + excluded.sales_minor,"
                " refunds = s.refunds + excluded.refunds, refunds_minor = s.refunds_minor + excluded.refunds_minor,"
                " cash_minor = s.cash_minor + excluded.cash_minor",
                [(shift, *facts.get(shift, ("", "")), *row) for shift, row in totals.items()],
            )
        for entry in entries:
            self._mark(connection, entry, sign)

    def _mark(self, connection: Connection, entry: Effective, sign: int) -> None:
        payload = entry.payload
        if isinstance(payload, ShiftOpened):
            amount = payload.float_minor if sign > 0 else 0
            connection.execute(
                f"INSERT INTO {self._table} (shift, business_date, operator, float_minor) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (shift) DO UPDATE SET float_minor = excluded.float_minor,"
                " business_date = excluded.business_date, operator = excluded.operator",
                (payload.shift, payload.business_date, payload.operator, amount),
            )
        elif isinstance(payload, ShiftClosed):
            counted = (payload.counted_minor, payload.expected_minor) if sign > 0 else (None, None)
            connection.execute(
                f"UPDATE {self._table} SET counted_minor = ?, expected_minor = ? WHERE shift = ?",
                (*counted, payload.shift),
            )


def _cash(tenders: Sequence[Tender]) -> int:
    return sum(tender.amount_minor for tender in tenders if tender.means == "cash")


def index_barcodes(connection: Connection, document: str, records: Mapping[str, Mapping[str, Scalar]]) -> None:
    """Keep the barcodes of changed products; a barcode may name several until the hub settles which."""
    if category_of(document) is None:
        return
    connection.executemany("DELETE FROM barcode WHERE product = ?", [(product,) for product in records])
    connection.executemany(
        "INSERT INTO barcode (barcode, product, unit) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (name[8:], product, unit)
            for product, fields in records.items()
            for name, unit in fields.items()
            if name.startswith("barcode:") and isinstance(unit, str)
        ],
    )
