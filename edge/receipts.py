"""Owns paper of this node: what is printed of a stored entry or of a report, found anew whenever it is asked for.

A receipt is a fold like all else: entry, the shop's settings and the names of things go in, rows come out
(`schema.rules.receipt`, `schema.rules.slips`). Nothing of a receipt is kept, so any entry that is here can be printed
again, its signed code included. Printers know no retail: the rows become a print document in this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from drivers.escpos.document import (
    DOUBLE,
    NORMAL,
    Align,
    Column,
    Columns,
    Cut,
    Feed,
    LinearCode,
    Picture,
    PrintDocument,
    QrCode,
    Raster,
    Row,
    Rule,
    Text,
    display_width,
    document_of,
)
from edge.catalog import find_product
from edge.clock_source import local_time
from edge.node import Node
from edge.receipt_codes import code_text, write_receipt_code
from edge.settings import setting
from schema.errors import RefusalError
from schema.identity import EntryId, Stream
from schema.kinds.balances import BalanceMoved, BalancePaid
from schema.kinds.base import Payload
from schema.kinds.organisation import CustomerDefined, LocationDefined, OperatorDefined
from schema.kinds.tills import BasketParked
from schema.kinds.trading import CashMoved, Refund, RefundLine, Sale, SaleLine
from schema.rules.paper import ReceiptRow, RowKind, to_text
from schema.rules.promotion_terms import Language, Promotion, Reason, read_terms, reason_sentence
from schema.rules.receipt import ReceiptNames, ReceiptTemplate, invoice_address, receipt_rows
from schema.rules.slips import POINTS, ParkedSlip, Report, cash_rows, parked_rows, payment_rows, report_rows
from schema.settings import ReceiptForm, ShopCard
from sync.document_projection import decode_fields

if TYPE_CHECKING:
    from sync.entry import Entry

CODE_SHOWN: Final = 24
"""Longer codes are shortened in a preview on a screen: nobody reads them."""
QR_DOTS: Final = 5
QR_DOTS_LONG: Final = 4
"""Half a millimetre a square, which every scanner of QR codes reads, so that a signed code takes 3 cm of paper."""
CODE_LONG: Final = 100
CURRENCY_SIGNS: Final = {"CNY": "￥"}
_NEIGHBOURS: Final = 4
"""How far from a sale the entries of its own operation can stand in its stream."""
Printable = Sale | Refund | BalancePaid | CashMoved | BasketParked


class Layout(NamedTuple):
    """Paper before any device: rows for so many columns."""

    rows: tuple[ReceiptRow, ...]
    columns: int

    def preview(self) -> list[str]:
        """Return it as lines of text for a screen, every one at most `columns` wide."""
        return to_text((_shortened(row) for row in self.rows), self.columns)

    def document(self, logo: Raster | None = None) -> PrintDocument:
        """Return it as a print document, under a logo where the shop has one."""
        head: tuple[Row, ...] = () if logo is None else (Picture(logo),)
        return document_of((*head, *(row for each in self.rows for row in print_rows(each))))


def _shortened(row: ReceiptRow) -> ReceiptRow:
    if len(row.data) <= CODE_SHOWN:
        return row
    half = CODE_SHOWN // 2 - 1
    return msgspec.structs.replace(row, data=f"{row.data[:half]}…{row.data[-half:]}")


def print_rows(row: ReceiptRow) -> Iterable[Row]:
    """Return a row of paper as a printer's rows."""
    size = DOUBLE if row.is_double else NORMAL
    cells: tuple[Column, ...]
    match row.kind:
        case RowKind.TEXT if row.left and row.right:
            cells = (Column(row.left), Column(row.right, display_width(row.right), Align.RIGHT))
            return (Columns(cells, row.is_double, size),)
        case RowKind.TEXT if row.right:
            return (Text(row.right, Align.RIGHT, row.is_double, size),)
        case RowKind.TEXT:
            return (Text(row.left, Align.CENTRE if row.is_centred else Align.LEFT, row.is_double, size),)
        case RowKind.COLUMNS:
            # A printer's columns have one blank between them, which our widths include.
            cells = tuple(
                Column(cell.text, cell.width - (1 if place else 0), Align.RIGHT if cell.is_right else Align.LEFT)
                for place, cell in enumerate(row.cells)
            )
            return (Columns(cells),)
        case RowKind.RULE:
            return (Rule(),)
        case RowKind.CUT:
            return (Cut(),)
        case RowKind.BARCODE | RowKind.QR:
            caption = (Text(row.left, Align.CENTRE),) if row.left else ()
            module = QR_DOTS if len(row.data) <= CODE_LONG else QR_DOTS_LONG
            code: Row = QrCode(row.data, module) if row.kind is RowKind.QR else LinearCode(row.data)
            return (Feed(), *caption, code)


class Copy(NamedTuple):
    """Which paper is wanted: columns and language (the shop's own where None), and the marks on it."""

    columns: int | None = None
    language: Language | None = None
    is_reprint: bool = False
    is_training: bool = False


PLAIN: Final = Copy()


def receipt_document(
    node: Node,
    entry_id: str,
    *,
    columns: int | None = None,
    language: Language | None = None,
    is_reprint: bool = False,
    is_training: bool = False,
) -> Layout:
    """Lay the paper of a stored entry out: a sale, refund, payment, cash movement or parked basket.

    Raises RefusalError `receipt_unknown` where the entry is not here or has no paper.
    """
    entry = stored_entry(node, entry_id)
    payload = entry.payload
    if not isinstance(payload, Printable):
        raise RefusalError("receipt_unknown", f"there is no paper of {entry_id} here", receipt=entry_id)
    copy = Copy(columns, language, is_reprint, is_training)
    return layout(node, payload, entry.body.wall_ms, copy, entry=entry)


def stored_entry(node: Node, reference: str) -> Entry:
    """Return a stored entry by its id, or by a receipt's number; raises RefusalError `receipt_unknown`."""
    place: EntryId | None
    try:
        place = EntryId.parse(reference)
    except ValueError:
        row = node.connection.execute(
            "SELECT s.scope, t.node, t.incarnation, r.seq FROM receipt r JOIN scope s ON s.scope_no = r.scope_no"
            " JOIN stream t ON t.scope_no = r.scope_no AND t.stream_no = r.stream_no"
            " WHERE r.number = ? ORDER BY r.scope_no, r.stream_no, r.seq",
            (reference,),
        ).fetchone()
        place = EntryId(Stream(row[0], row[1], row[2]), row[3]) if row else None
    entry = node.replica.log.entry(place.stream, place.seq) if place is not None else None
    if entry is None:
        raise RefusalError("receipt_unknown", f"there is no receipt {reference} here", receipt=reference)
    return entry


def layout(node: Node, payload: Printable, wall_ms: int, copy: Copy = PLAIN, *, entry: Entry | None = None) -> Layout:
    """Lay the paper of a payload out; without its entry (training) it bears no code and no effects elsewhere."""
    template = _template(node, copy)
    names = _names(node, payload, wall_ms, copy, template.language, entry)
    match payload:
        case Sale() | Refund():
            rows = receipt_rows(payload, template, names)
        case BalancePaid():
            rows = payment_rows(payload, template, names)
        case CashMoved():
            rows = cash_rows(payload, template, names)
        case BasketParked():
            parked = ParkedSlip(basket=payload.basket, label=payload.label, total_minor=payload.total_minor)
            rows = parked_rows(parked, template, names)
    return Layout(rows, template.columns)


def report_document(node: Node, report: Report, copy: Copy = PLAIN, moment_ms: int | None = None) -> Layout:
    """Lay an X report, a shift slip or a Z report out."""
    template = _template(node, copy)
    names = _shop_names(node, node.now_ms() if moment_ms is None else moment_ms, copy)
    return Layout(report_rows(report, template, names), template.columns)


def _template(node: Node, copy: Copy) -> ReceiptTemplate:
    template = setting(node, ReceiptForm).template
    return msgspec.structs.replace(
        template, columns=copy.columns or template.columns, language=copy.language or template.language
    )


def _shop_names(node: Node, wall_ms: int, copy: Copy) -> ReceiptNames:
    card = setting(node, ShopCard)
    location = node.organisation.newest(node.connection, LocationDefined, node.config.location)
    return ReceiptNames(
        shop_name=card.name or (location.name if location is not None else node.config.location),
        shop_phone=card.phone,
        shop_address=card.address,
        time=f"{local_time(wall_ms, node.config.time_zone):%Y-%m-%d %H:%M:%S}",
        till=node.config.till,
        is_reprint=copy.is_reprint,
        is_training=copy.is_training,
        currency_sign=CURRENCY_SIGNS.get(node.config.currency, ""),
    )


def _names(
    node: Node, payload: Printable, wall_ms: int, copy: Copy, language: Language, entry: Entry | None
) -> ReceiptNames:
    names = _shop_names(node, wall_ms, copy)
    found: dict[str, object] = {"operator": operator_name(node, payload.operator)}
    if isinstance(payload, Sale | Refund | BalancePaid):
        found["till"] = payload.receipt_number.rsplit("-", 2)[0]
        found["member"] = member_name(node, payload.member)
        if entry is not None:
            found["points_earned"] = _points_moved(node, entry, payload)
    if isinstance(payload, Sale | Refund):
        found["products"], found["units"] = _goods(node, payload.lines)
    if isinstance(payload, Sale):
        found["promotions"] = _sentences(node, payload.lines, language)
        found["invoice_code"] = invoice_address(setting(node, ShopCard).invoice_url, payload)
        if entry is not None and entry.stream.node == node.config.node_id:
            found["refund_code"] = code_text(write_receipt_code(node, entry.id, entry.digest, payload.total_minor))
    if isinstance(payload, Refund) and payload.original:
        found["original"] = _original_number(node, payload.original)
    return msgspec.structs.replace(names, **found)


def operator_name(node: Node, operator: str) -> str:
    """Return what paper calls an operator: the number, or the id of one whom this node does not know."""
    known = node.organisation.newest(node.connection, OperatorDefined, operator) if operator else None
    return known.number if known is not None else operator


def member_name(node: Node, person: str) -> str:
    """Return a member's masked phone number; empty for nobody."""
    known = node.organisation.newest(node.connection, CustomerDefined, person) if person else None
    return known.phone_masked if known is not None else ""


def _goods(node: Node, lines: Sequence[SaleLine | RefundLine]) -> tuple[dict[str, str], dict[str, str]]:
    """Return names and base units by product, as the catalogue has them now."""
    products: dict[str, str] = {}
    units: dict[str, str] = {}
    for code in {line.product for line in lines}:
        found = find_product(node, code)
        if found is not None:
            product = found.product
            # Weighed goods are counted in kilograms, whatever the shelf calls them.
            units[code] = product.unit if product.is_weighed else product.unit_name
            products[code] = (
                f"{product.name} {product.spec}" if product.spec and not product.is_weighed else product.name
            )
    return products, units


def _sentences(node: Node, lines: Sequence[SaleLine], language: Language) -> dict[str, str]:
    """Return why a promotion gave something, by its code, from the terms that are here."""
    codes = sorted({d.reference for line in lines for d in line.discounts if d.reference})
    found: dict[str, str] = {}
    for code in codes:
        rows = node.connection.execute(
            "SELECT fields FROM record WHERE record = ? AND substr(document, 1, 11) = 'promotions/' ORDER BY document",
            (code,),
        ).fetchall()
        for (fields,) in rows:
            promotion = read_terms(decode_fields(bytes(fields)).get("terms"))
            if promotion is not None:
                found.setdefault(code, reason_sentence(_reason(promotion), language))
    return found


def _reason(promotion: Promotion) -> Reason:
    free = promotion.parts[0].count if promotion.parts else promotion.free_count
    return Reason(
        code=promotion.code,
        name=promotion.name,
        kind=promotion.kind,
        times=1,
        discount_minor=promotion.amount_minor,
        percent_ppm=promotion.percent_ppm,
        amount_minor=promotion.amount_minor,
        threshold_minor=promotion.threshold_minor,
        buy_count=promotion.buy_count,
        free_count=free,
        coupon=promotion.coupon,
    )


def _points_moved(node: Node, entry: Entry, payload: Sale | Refund | BalancePaid) -> int | None:
    """Return the points that came with a sale or went with a refund: entries of its operation, close by it."""
    moved: list[int] = []
    if isinstance(payload, BalancePaid):
        moved = [move.amount for move in payload.moves if move.balance == POINTS]
    elif payload.member:
        seq = entry.body.seq
        for near in range(max(1, seq - _NEIGHBOURS), seq + _NEIGHBOURS + 1):
            other = node.replica.log.entry(entry.stream, near) if near != seq else None
            if other is not None and isinstance(other.payload, BalanceMoved):
                told = other.payload
                if told.document == payload.receipt_number:
                    moved += [move.amount for move in told.moves if move.balance == POINTS]
    return sum(moved) if moved else None


def _original_number(node: Node, original: str) -> str:
    try:
        payload: Payload | None = stored_entry(node, original).payload
    except RefusalError:
        return ""
    return payload.receipt_number if isinstance(payload, Sale) else ""
