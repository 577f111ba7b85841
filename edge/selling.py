"""Selling and refunding: a completed sale is durable before anything is printed, and is never refused by sync."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.cache import lease_flags, receipt_is_older
from edge.catalog import find_product, price_at, tax_bp
from edge.node import Node, Writing
from edge.print_jobs import queue_receipt
from edge.receipt_codes import code_text, write_receipt_code
from schema.errors import RefusalError
from schema.identity import EntryId, Stream
from schema.kinds.base import StockMove
from schema.kinds.trading import LineDiscount, Refund, RefundLine, Sale, SaleLine, Tender
from schema.rules.allocation import allocate
from schema.rules.pricing import PriceSource, SoldLine, refund_as_sold
from schema.rules.rounding import PricePer, line_amount
from sync.entry import Entry

_PER = {1000: PricePer.PIECE, 500: PricePer.JIN, 100: PricePer.HECTOGRAM}


class LineRequest(msgspec.Struct, frozen=True):
    """What the cashier entered: a product's code or barcode, a selling unit, a quantity in its thousandths.

    `price_minor` overrides the list price; it is required for a product that this node does not know.
    """

    product: str
    quantity_milli: int = 1000
    unit: str = ""
    price_minor: int | None = None
    discount_minor: int = 0


class ReturnRequest(msgspec.Struct, frozen=True):
    """Which line of the original sale comes back (by its position), how much, and where the goods go."""

    line: int
    quantity_milli: int
    goods_to: str = "shelf"
    reason: str = ""


class Completed(msgspec.Struct, frozen=True):
    """A durable sale or refund: its number on paper, its entry, and the signed code for the receipt."""

    receipt_number: str
    entry: str
    digest: bytes
    total_minor: int
    change_minor: int
    code: bytes

    @property
    def code_text(self) -> str:
        """The receipt's code as it is printed: base 32, which QR codes hold in their alphanumeric mode."""
        return code_text(self.code)


def price_line(node: Node, request: LineRequest, moment_ms: int, business_date: str) -> SaleLine:
    """Price one line at a moment; raises RefusalError when the cashier must be asked."""
    if request.quantity_milli <= 0:
        raise RefusalError("quantity_invalid", "a quantity is more than nothing")
    found = find_product(node, request.product)
    if found is None:
        if request.price_minor is None:
            raise RefusalError("product_unknown", f"{request.product} is not in the catalogue: give its price")
        return _line(request, request.product, "", 1000, 1000, request.price_minor, request.price_minor, "open", "13",
                     business_date)  # fmt: skip
    product = found.product
    unit = request.unit or found.unit
    unit = "" if unit == product.unit else unit
    factor = product.factor_milli(unit)
    if factor is None:
        raise RefusalError("unit_unknown", f"{product.name} is not sold by {unit}")
    if not product.is_weighed and (request.quantity_milli * factor) % 1_000_000:
        raise RefusalError("quantity_invalid", f"{product.name} is sold in whole pieces")
    chosen = price_at(found, unit, moment_ms)
    if request.price_minor is not None:
        listed = chosen.list_minor if chosen else request.price_minor
        per = chosen.per.milli if chosen else 1000
        return _line(request, product.code, unit, factor, per, listed, request.price_minor, PriceSource.OVERRIDE.value,
                     product.tax_class, business_date)  # fmt: skip
    if chosen is None:
        raise RefusalError("price_missing", f"{product.name} has no price yet: give its price")
    return _line(request, product.code, unit, factor, chosen.per.milli, chosen.list_minor, chosen.price_minor,
                 chosen.source.value, product.tax_class, business_date)  # fmt: skip


def _line(
    request: LineRequest, product: str, unit: str, factor: int, per_milli: int, listed: int, price: int, source: str,
    tax_class: str, business_date: str,
) -> SaleLine:  # fmt: skip
    if price < 0:
        raise RefusalError("price_invalid", "a price is not negative")
    amount = line_amount(price, request.quantity_milli, _PER[per_milli]) - request.discount_minor
    if request.discount_minor < 0 or amount < 0:
        raise RefusalError("discount_invalid", "a discount is between nothing and the line's amount")
    discounts = (LineDiscount("line", "", request.discount_minor),) if request.discount_minor else ()
    return SaleLine(
        product, unit, factor, request.quantity_milli, listed, price, per_milli, source, amount, tax_class,
        tax_bp(tax_class, business_date), discounts,
    )  # fmt: skip


def with_basket_discount(lines: Sequence[SaleLine], discount_minor: int, reason: str) -> list[SaleLine]:
    """Spread a basket's discount or 抹零 over its lines by largest remainder."""
    if not discount_minor:
        return list(lines)
    shares = allocate(discount_minor, [line.amount_minor for line in lines])
    return [
        msgspec.structs.replace(
            line,
            amount_minor=line.amount_minor - share,
            discounts=(*line.discounts, LineDiscount(reason, "", share)) if share else line.discounts,
        )
        for line, share in zip(lines, shares, strict=True)
    ]


def moves_of(lines: Sequence[SaleLine]) -> tuple[StockMove, ...]:
    """Return the stock movements of a sale's lines in base units."""
    return tuple(StockMove(line.product, -(line.factor_milli * line.quantity_milli // 1000)) for line in lines)


def complete_sale(
    node: Node,
    lines: Sequence[SaleLine],
    *,
    operator: str = "",
    tenders: Sequence[Tender] = (),
    rounding_minor: int = 0,
    member: str = "",
    approver: str = "",
    flags: tuple[str, ...] = (),
    source: str = "",
    prints: bool = False,
) -> Completed:
    """Complete a sale of priced lines; when this returns it is on the disk, and its paper waits where it `prints`.

    Without tenders it is paid exactly in cash. Raises RefusalError when the tenders do not cover the total, or
    when the disk cannot take it: then nothing was recorded.
    """
    if not lines:
        raise RefusalError("basket_empty", "there is nothing to sell")
    total = sum(line.amount_minor for line in lines)
    paid = tuple(tenders) or (Tender("cash", total, total),)
    if sum(tender.amount_minor for tender in paid) != total:
        raise RefusalError("tenders_differ", "what is paid differs from the total")
    with node.write() as writing:
        number = writing.take_receipt_number()
        date = writing.business_date
        now_ms = writing.clock.wall_ms - writing.clock.offset_ms
        flags = lease_flags(node, writing.state.last_exchange_ms, now_ms, flags)
        sale = Sale(
            number, date, shift_of(node, date), operator, tuple(lines), moves_of(lines), paid, total, rounding_minor,
            approver, member, flags, source,
        )  # fmt: skip
        entry = writing.append(sale)
        if prints:
            queue_receipt(writing, str(entry.id))
    given = sum(max(tender.given_minor, tender.amount_minor) for tender in paid)
    return _completed(node, number, entry, total, given - total)


def sell(
    node: Node,
    requests: Sequence[LineRequest],
    *,
    operator: str = "",
    source: str = "",
    discount_minor: int = 0,
    prints: bool = False,
) -> Completed:
    """Price and complete a sale in one go, paid exactly in cash; a discount is spread over its lines."""
    moment_ms = node.now_ms()
    date = today(node, moment_ms)
    lines = [price_line(node, request, moment_ms, date) for request in requests]
    if not 0 <= discount_minor <= sum(line.amount_minor for line in lines):
        raise RefusalError("discount_invalid", "a discount is between nothing and what the goods cost")
    discounted = with_basket_discount(lines, discount_minor, "basket")
    return complete_sale(node, discounted, operator=operator, source=source, prints=prints)


def today(node: Node, moment_ms: int) -> str:
    """Return the trading day of a moment at this node."""
    from edge.clock_source import business_date

    return business_date(moment_ms, node.config.time_zone, node.config.day_cut_hour)


def shift_of(node: Node, business_date: str) -> str:
    """Name the shift that a sale belongs to: the open one of this till, or the day's."""
    row = node.connection.execute(
        "SELECT shift FROM shift WHERE shift >= ? AND shift < ? AND counted_minor IS NULL ORDER BY shift DESC LIMIT 1",
        (f"{node.config.till}-{business_date}", f"{node.config.till}-{business_date}~"),
    ).fetchone()
    return str(row[0]) if row else f"{node.config.till}-{business_date}"


def _completed(node: Node, number: str, entry: Entry, total: int, change: int) -> Completed:
    code = write_receipt_code(node, entry.id, entry.digest, total)
    return Completed(number, str(entry.id), entry.digest, total, change, code)


class OriginalSale(msgspec.Struct, frozen=True):
    """A sale that something is returned of, and what has come back of each line already (thousandths)."""

    entry: str
    sale: Sale
    returned_milli: dict[int, int]


def find_sale(node: Node, reference: str) -> OriginalSale:
    """Find a sale by receipt number or entry id; raises RefusalError when it is not here."""
    row = node.connection.execute(
        "SELECT s.scope, t.node, t.incarnation, r.seq FROM receipt r JOIN scope s ON s.scope_no = r.scope_no"
        " JOIN stream t ON t.scope_no = r.scope_no AND t.stream_no = r.stream_no"
        " WHERE r.number = ? AND r.is_refund = 0 ORDER BY r.scope_no, r.stream_no, r.seq",
        (reference,),
    ).fetchone()
    try:
        place = EntryId(Stream(row[0], row[1], row[2]), row[3]) if row else EntryId.parse(reference)
    except ValueError:
        raise RefusalError("receipt_unknown", f"there is no sale {reference} here") from None
    entry = node.replica.log.entry(place.stream, place.seq)
    stream = node.replica.log.stream(place.stream)
    if entry is None and stream is not None and 0 < place.seq <= stream.base.seq:
        raise receipt_is_older(node, reference)
    if entry is None or not isinstance(entry.payload, Sale):
        raise RefusalError("receipt_unknown", f"there is no sale {reference} here")
    rows = node.connection.execute(
        "SELECT line, sum(quantity_milli) FROM returned WHERE original = ? GROUP BY line", (str(place),)
    ).fetchall()
    return OriginalSale(str(place), entry.payload, {int(line): int(quantity) for line, quantity in rows})


def refund(
    node: Node,
    reference: str,
    returns: Sequence[ReturnRequest] | None = None,
    *,
    operator: str = "",
    approver: str = "",
    source: str = "",
    prints: bool = False,
) -> Completed:
    """Take goods back, priced as they were sold, to the original tender first; all that is left without `returns`.

    Raises RefusalError when more would come back than was sold.
    """
    original = find_sale(node, reference)
    if returns is None:
        returns = [
            ReturnRequest(number, line.quantity_milli - original.returned_milli.get(number, 0))
            for number, line in enumerate(original.sale.lines)
            if line.quantity_milli > original.returned_milli.get(number, 0)
        ]
    lines = [_refund_line(original, request) for request in returns]
    if not lines:
        raise RefusalError("refund_empty", "everything of this sale has come back already")
    return _complete_refund(node, original.entry, lines, original.sale.tenders, operator, approver, source, prints)


def _refund_line(original: OriginalSale, request: ReturnRequest) -> RefundLine:
    if not 0 <= request.line < len(original.sale.lines):
        raise RefusalError("refund_line", f"the sale has no line {request.line + 1}")
    _check_goods_to(request.goods_to)
    line = original.sale.lines[request.line]
    sold = SoldLine(
        quantity_milli=line.quantity_milli,  # type: ignore[arg-type]
        amount_minor=line.amount_minor,  # type: ignore[arg-type]
        returned_milli=original.returned_milli.get(request.line, 0),  # type: ignore[arg-type]
    )
    try:
        amounts = refund_as_sold(sold, request.quantity_milli)
    except ValueError:
        raise RefusalError("refund_exceeds", f"more of {line.product} would come back than was sold") from None
    return RefundLine(
        request.line, line.product, line.unit, line.factor_milli, request.quantity_milli, amounts.paid_minor,
        line.tax_class, line.tax_bp, request.goods_to, request.reason,
    )  # fmt: skip


def _check_goods_to(goods_to: str) -> None:
    if goods_to not in {"shelf", "damaged", "supplier"}:
        raise RefusalError("refund_goods", "goods go to shelf, damaged or supplier")


def refund_without_receipt(
    node: Node,
    requests: Sequence[LineRequest],
    *,
    operator: str = "",
    approver: str = "",
    goods_to: str = "shelf",
    source: str = "",
    prints: bool = False,
) -> Completed:
    """Take goods back without their sale, at today's price or the one given."""
    if not requests:
        raise RefusalError("refund_empty", "name what comes back")
    _check_goods_to(goods_to)
    moment_ms = node.now_ms()
    date = today(node, moment_ms)
    lines = [price_line(node, request, moment_ms, date) for request in requests]
    returned = [
        RefundLine(
            None, k.product, k.unit, k.factor_milli, k.quantity_milli, k.amount_minor, k.tax_class, k.tax_bp, goods_to
        )
        for k in lines
    ]
    return _complete_refund(node, "", returned, (), operator, approver, source, prints)


def _complete_refund(
    node: Node,
    original: str,
    lines: Sequence[RefundLine],
    paid: Sequence[Tender],
    operator: str,
    approver: str,
    source: str,
    prints: bool,
) -> Completed:
    total = sum(line.amount_minor for line in lines)
    moves = tuple(
        StockMove(line.product, line.factor_milli * line.quantity_milli // 1000)
        for line in lines
        if line.goods_to == "shelf"
    )
    with node.write() as writing:
        number, entry = _append_refund(node, writing, original, lines, moves, _back(paid, total), total, operator,
                                       approver, source)  # fmt: skip
        if prints:
            queue_receipt(writing, str(entry.id))
    return _completed(node, number, entry, total, 0)


def _append_refund(
    node: Node, writing: Writing, original: str, lines: Sequence[RefundLine], moves: tuple[StockMove, ...],
    tenders: tuple[Tender, ...], total: int, operator: str, approver: str, source: str,
) -> tuple[str, Entry]:  # fmt: skip
    number = writing.take_receipt_number()
    date = writing.business_date
    payload = Refund(
        number, date, shift_of(node, date), operator, original, tuple(lines), moves, tenders, total, approver,
        "", (), source,
    )  # fmt: skip
    return number, writing.append(payload)


def _back(paid: Sequence[Tender], total: int) -> tuple[Tender, ...]:
    """Give back to the original tenders first, in their order, and the rest in cash."""
    rest = total
    back: list[Tender] = []
    for tender in paid:
        amount = min(rest, tender.amount_minor)
        if amount > 0:
            back.append(Tender(tender.means, amount, 0, tender.reference, tender.state))
            rest -= amount
    if rest or not back:
        back.append(Tender("cash", rest))
    return tuple(back)
