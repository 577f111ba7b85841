"""The node's read models of its till and shelf beside sales: one table for each question, one row for each fact.

Every table begins with the place of the entry that a row was read from, so that one rule folds them all and takes them
back. A plain cash sale leaves no row here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from schema.database import Connection
from schema.kinds.balances import BalancePaid
from schema.kinds.base import StockMove
from schema.kinds.counting import CountRecorded
from schema.kinds.stock import GoodsReceived, StockAdjusted, StockOpened, TransferReceived
from schema.kinds.tills import BasketParked, BasketTaken, DrawerOpened, LineVoided, ProductDrafted, TenderSettled
from schema.kinds.trading import DayClosed, Refund, Sale, Tender
from schema.kinds.vans import VanSettled
from sync.effective import Effective

UNKNOWN: Final = "unknown"
"""The state of a tender of which nobody knows yet whether the money came."""
TRADE_TABLES: Final[Mapping[str, str]] = {
    "payment": "number, business_date, shift, member, total_minor",
    "refunded": "original, total_minor",
    "purchase": "member, number, business_date, total_minor",
    "unknown_tender": "part, entry, number, business_date, means, amount_minor, reference, wall_ms",
    "settled_tender": "entry, part, outcome, operator, reference, hlc_ms, hlc_counter",
    "parked_basket": "basket, operator, label, total_minor, content, wall_ms",
    "taken_basket": "basket, operator, outcome, wall_ms, hlc_ms, hlc_counter",
    "voided_line": "act, operator, product, quantity_milli, amount_minor, wall_ms",
    "drawer_opening": "shift, operator, reason, wall_ms",
    "closed_day": "business_date, operator, first_receipt, last_receipt, sales_minor, refunds_minor, wall_ms",
    "product_draft": "barcode, name, price_minor",
    "dated_goods": "part, product, lot, expiry, quantity_milli, wall_ms",
    "counted_goods": "product, wall_ms",
    "van_settlement": "settlement, previous, business_date, operator, wall_ms, hlc_ms, hlc_counter",
}
"""The tables, and their columns after scope_no, stream_no and seq."""
_INSERT: Final = {
    table: f"INSERT INTO {table} (scope_no, stream_no, seq, {columns})"
    f" VALUES ({', '.join('?' * (columns.count(',') + 4))}) ON CONFLICT DO NOTHING"
    for table, columns in TRADE_TABLES.items()
}
_Row = tuple[object, ...]


class TradeProjection:
    """Folds a till's day into the tables of `TRADE_TABLES`."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        rows: dict[str, list[_Row]] = {}
        for entry in entries:
            for table, values in _rows(entry):
                rows.setdefault(table, []).append((scope_no, entry.stream_no, entry.seq, *values))
        for table, found in rows.items():
            connection.executemany(_INSERT[table], found)

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        tables = {table for entry in entries for table, _ in _rows(entry)}
        for table in sorted(tables):
            connection.executemany(
                f"DELETE FROM {table} WHERE scope_no = ? AND stream_no = ? AND seq = ?",
                [(scope_no, entry.stream_no, entry.seq) for entry in entries],
            )


def _rows(entry: Effective) -> Iterator[tuple[str, _Row]]:
    payload = entry.payload
    match payload:
        case Sale() | Refund():
            total = payload.total_minor if isinstance(payload, Sale) else -payload.total_minor
            if payload.member:
                yield "purchase", (payload.member, payload.receipt_number, payload.business_date, total)
            if isinstance(payload, Refund) and payload.original:
                yield "refunded", (payload.original, payload.total_minor)
            yield from _unknown(entry, payload.receipt_number, payload.business_date, payload.tenders)
        case BalancePaid():
            yield (
                "payment",
                (payload.receipt_number, payload.business_date, payload.shift, payload.member, payload.total_minor),
            )
            yield from _unknown(entry, payload.receipt_number, payload.business_date, payload.tenders)
        case TenderSettled():
            yield (
                "settled_tender",
                (payload.sale, payload.tender, payload.outcome, payload.operator, payload.reference, *entry.hlc),
            )
        case BasketParked():
            yield (
                "parked_basket",
                (
                    payload.basket, payload.operator, payload.label, payload.total_minor, payload.content,
                    entry.wall_ms,
                ),
            )  # fmt: skip
        case BasketTaken():
            yield "taken_basket", (payload.basket, payload.operator, payload.outcome, entry.wall_ms, *entry.hlc)
        case LineVoided():
            yield (
                "voided_line",
                (
                    payload.act, payload.operator, payload.product, payload.quantity_milli, payload.amount_minor,
                    entry.wall_ms,
                ),
            )  # fmt: skip
        case DrawerOpened():
            yield "drawer_opening", (payload.shift, payload.operator, payload.reason, entry.wall_ms)
        case DayClosed():
            yield (
                "closed_day",
                (
                    payload.business_date, payload.operator, payload.first_receipt, payload.last_receipt,
                    payload.sales_minor, payload.refunds_minor, entry.wall_ms,
                ),
            )  # fmt: skip
        case ProductDrafted():
            yield "product_draft", (payload.barcode, payload.name, payload.price_minor)
        case GoodsReceived() | TransferReceived() | StockOpened() | StockAdjusted():
            for part, move in enumerate(payload.moves):
                if move.expiry and move.quantity_milli > 0:
                    yield "dated_goods", (part, *_dated(move), entry.wall_ms)
        case CountRecorded():
            yield "counted_goods", (payload.product, entry.wall_ms)
        case VanSettled():
            yield (
                "van_settlement",
                (
                    payload.settlement, payload.previous, payload.business_date, payload.operator, entry.wall_ms,
                    *entry.hlc,
                ),
            )  # fmt: skip
        case _:
            return


def _dated(move: StockMove) -> tuple[str, str, str, int]:
    return move.product, move.lot, move.expiry, move.quantity_milli


def _unknown(
    entry: Effective, number: str, business_date: str, tenders: Sequence[Tender]
) -> Iterator[tuple[str, _Row]]:
    for part, tender in enumerate(tenders):
        if tender.state == UNKNOWN:
            yield (
                "unknown_tender",
                (
                    part, str(entry.id), number, business_date, tender.means, tender.amount_minor, tender.reference,
                    entry.wall_ms,
                ),
            )  # fmt: skip
