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
from edge.members import member_card
from edge.node import Node
from edge.receipt_codes import code_text, write_receipt_code
from edge.settings import setting
from edge.signing_in import operator_name
from schema.errors import RefusalError
from schema.identity import EntryId, Stream
from schema.kinds.balances import BalanceMove, BalanceMoved, BalancePaid
from schema.kinds.base import Payload
from schema.kinds.counting import CountClosed
from schema.kinds.organisation import LocationDefined
from schema.kinds.stock import GoodsReceived, StockAdjusted, TransferDispatched, TransferReceived
from schema.kinds.tills import BasketParked
from schema.kinds.trading import CashMoved, DayClosed, Refund, RefundLine, Sale, SaleLine, ShiftClosed
from schema.kinds.vans import SettledLine, VanSettled
from schema.rows import BalanceKind
from schema.rules.count_slips import count_rows
from schema.rules.paper import ReceiptRow, RowKind, to_text
from schema.rules.promotion_terms import Language, Promotion, Reason, read_terms, reason_sentence
from schema.rules.receipt import ReceiptNames, ReceiptTemplate, invoice_address, receipt_rows
from schema.rules.settlement_slip import settlement_rows
from schema.rules.slips import (
    ParkedGoods,
    ParkedSlip,
    Report,
    cash_rows,
    parked_rows,
    payment_rows,
    report_rows,
)
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
_NEIGHBOURS: Final = 8
"""Entries of one operation follow each other in their stream; there are never more than these after a sale."""
_GAINS: Final = frozenset({"earned", "taken_back"})
"""The reasons of movements that a receipt states as points of this sale; points that paid are a tender."""
GoodsMoved = GoodsReceived | TransferReceived | TransferDispatched | StockAdjusted
Printable = (
    Sale | Refund | BalancePaid | CashMoved | BasketParked | ShiftClosed | DayClosed | CountClosed | VanSettled
    | GoodsMoved
)  # fmt: skip


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


def paper_name(node: Node, entry: str) -> str:
    """Return what people call the paper of an entry: its receipt number, else its id; empty for a report."""
    try:
        payload = stored_entry(node, entry).payload if entry else None
    except RefusalError:
        return entry
    return str(getattr(payload, "receipt_number", entry))


def layout(node: Node, payload: Printable, wall_ms: int, copy: Copy = PLAIN, *, entry: Entry | None = None) -> Layout:
    """Lay the paper of a payload out; without its entry (training) it bears no code and no effects elsewhere.

    Reports show what is known now: what came late amends them, and is named.
    """
    from edge.goods_paper import goods_slip
    from edge.shift_reports import day_report, shift_report
    from schema.rules.stock_slips import goods_rows

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
            rows = parked_rows(_parked(node, payload), template, names)
        case ShiftClosed():
            rows = report_rows(shift_report(node, payload.shift), template, names)
        case VanSettled():
            rows = settlement_rows(payload, template, names)
        case DayClosed():
            till = payload.first_receipt.rsplit("-", 2)[0]
            rows = report_rows(day_report(node, payload.business_date, till=till), template, names)
        case GoodsReceived() | TransferReceived() | TransferDispatched() | StockAdjusted():
            rows = goods_rows(goods_slip(node, payload, entry), template, names)
        case CountClosed():
            rows = _count_rows(node, payload.session, template, names)
    return Layout(rows, template.columns)


def _count_rows(node: Node, session: str, template: ReceiptTemplate, names: ReceiptNames) -> tuple[ReceiptRow, ...]:
    from edge.count_results import count_report

    report = count_report(node, session)
    closed = "" if report.closed_ms is None else _local(node, report.closed_ms)
    return count_rows(report, _local(node, report.opened_ms), closed, template, names)


def count_document(node: Node, session: str, copy: Copy = PLAIN) -> Layout:
    """Lay the variance report of a count out as it stands now, also before it is closed."""
    template = _template(node, copy)
    names = _shop_names(node, node.now_ms(), copy)
    return Layout(_count_rows(node, session, template, names), template.columns)


def report_document(node: Node, report: Report, copy: Copy = PLAIN, moment_ms: int | None = None) -> Layout:
    """Lay an X report, a shift slip or a Z report out."""
    template = _template(node, copy)
    names = _shop_names(node, node.now_ms() if moment_ms is None else moment_ms, copy)
    return Layout(report_rows(report, template, names), template.columns)


def _parked(node: Node, payload: BasketParked) -> ParkedSlip:
    """Return the slip of a parked basket; a basket of a newer release has no goods that this one can read."""
    from edge.basket import price_basket
    from edge.parking import read_basket

    try:
        priced = price_basket(node, read_basket(payload.content)).lines
    except RefusalError:
        priced = ()
    goods = tuple(
        ParkedGoods(one.line.name, one.line.quantity_milli, one.line.unit_name or one.line.unit, one.amount_minor)
        for one in priced
    )
    return ParkedSlip(basket=payload.basket, label=payload.label, total_minor=payload.total_minor, goods=goods)


def _local(node: Node, wall_ms: int) -> str:
    return f"{local_time(wall_ms, node.config.time_zone):%Y-%m-%d %H:%M:%S}"


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
        time=_local(node, wall_ms),
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
        if len(number := payload.receipt_number.rsplit("-", 2)) == 3:  # training takes none
            found["till"] = number[0]
        if payload.member:
            found |= _member(node, payload.member, copy)
        if entry is not None:
            found["points_earned"] = _points_moved(node, entry, payload)
    if isinstance(payload, Sale | Refund | VanSettled):
        found["products"], found["units"] = _goods(node, payload.lines)
    if isinstance(payload, Sale):
        found["promotions"] = _sentences(node, payload.lines, language)
        found["invoice_code"] = invoice_address(setting(node, ShopCard).invoice_url, payload)
        if entry is not None and entry.stream.node == node.config.node_id:
            found["refund_code"] = code_text(write_receipt_code(node, entry.id, entry.digest, payload.total_minor))
    if isinstance(payload, Refund) and payload.original:
        found["original"] = _original_number(node, payload.original)
    return msgspec.structs.replace(names, **found)


def _goods(node: Node, lines: Sequence[SaleLine | RefundLine | SettledLine]) -> tuple[dict[str, str], dict[str, str]]:
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
    """Return the points that came with a sale, or went back with a refund; None where there were none."""
    moves: list[BalanceMove] = []
    if isinstance(payload, BalancePaid):
        moves = list(payload.moves)
    else:
        for seq in range(entry.body.seq + 1, entry.body.seq + 1 + _NEIGHBOURS):
            beside = node.replica.log.entry(entry.stream, seq)
            if beside is None or not beside.body.operation or beside.body.operation != _operation(entry):
                break
            told = beside.payload
            if isinstance(told, BalanceMoved) and told.document == payload.receipt_number and told.reason in _GAINS:
                moves += told.moves
    points = [move.amount for move in moves if move.balance == BalanceKind.MEMBER_POINTS]
    return sum(points) if points else None


def _member(node: Node, person: str, copy: Copy) -> dict[str, object]:
    """Return how paper names a member, and what the member has now; a copy printed later leaves that out."""
    try:
        card = member_card(node, person)
    except RefusalError:  # forgotten, or never heard of
        return {}
    found: dict[str, object] = {"member": card.masked}
    if not (copy.is_reprint or copy.is_training):
        if card.as_of_ms is not None or card.points:
            found["points"] = card.points
        if card.stored_minor or card.bonus_minor:
            found["balance_minor"] = card.stored_minor + card.bonus_minor
    return found


def _operation(entry: Entry) -> str:
    return entry.body.operation or str(entry.id)


def _original_number(node: Node, original: str) -> str:
    try:
        payload: Payload | None = stored_entry(node, original).payload
    except RefusalError:
        return ""
    return payload.receipt_number if isinstance(payload, Sale) else ""
