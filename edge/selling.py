"""Selling and refunding: a completed sale is durable before anything is printed, and is never refused by sync."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from edge.acting import next_entry_id
from edge.balance_effects import append_effects, credit_back
from edge.cache import lease_flags
from edge.catalog import find_product, price_at, product_of, tax_bp
from edge.credit import take_back
from edge.node import Node, Writing
from edge.print_jobs import queue_receipt
from edge.receipt_codes import code_text, write_receipt_code
from edge.returns import RefundDraft, ReturnRequest, check_goods_to, draft_refund, draft_unreceipted, find_sale
from schema.errors import RefusalError
from schema.kinds.base import StockMove
from schema.kinds.trading import LineDiscount, Refund, Sale, SaleLine, Tender
from schema.rules.allocation import allocate
from schema.rules.deposits import is_deposit
from schema.rules.pricing import PriceSource
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


KIT: Final = "kit"
"""The price source of a kit's parts: the kit's own line bears their price."""


def with_parts(node: Node, lines: Sequence[SaleLine], business_date: str) -> tuple[SaleLine, ...]:
    """Return the lines with each kit's parts after it: they name the kit's line and cost nothing themselves."""
    exploded: list[SaleLine] = []
    for line in lines:
        place = len(exploded)
        exploded.append(line)
        kit = product_of(node, line.product)
        if kit is None or not kit.product.parts:
            continue
        base_milli = line.factor_milli * line.quantity_milli // 1000
        for part in kit.product.parts:
            found = product_of(node, part.product)
            tax_class = found.product.tax_class if found is not None else line.tax_class
            exploded.append(
                SaleLine(
                    part.product, "", 1000, part.quantity_milli * base_milli // 1000, 0, 0, 1000, KIT, 0, tax_class,
                    tax_bp(tax_class, business_date), kit_parent=place,
                )
            )  # fmt: skip
    return tuple(exploded)


class Marks(NamedTuple):
    """What is printed on the goods of one line beside their code."""

    lot: str = ""
    expiry: str = ""
    serial: str = ""


def moves_of(lines: Sequence[SaleLine], marks: Mapping[int, Marks] | None = None) -> tuple[StockMove, ...]:
    """Return the stock movements of a sale's lines in base units; of a kit its parts leave the shelf.

    A deposit that is charged moves nothing: its bottle is still full. Empties that come back reach the shelf.
    """
    kits = {line.kit_parent for line in lines}
    return tuple(
        StockMove(line.product, -(line.factor_milli * line.quantity_milli // 1000), *(marks or {}).get(place, Marks()))
        for place, line in enumerate(lines)
        if place not in kits and not is_deposit(line)
    )


class SaleDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A sale that is paid for, before it has a number; `marks` are by line."""

    lines: tuple[SaleLine, ...]
    tenders: tuple[Tender, ...]
    rounding_minor: int = 0
    operator: str = ""
    member: str = ""
    approver: str = ""
    flags: tuple[str, ...] = ()
    source: str = ""
    marks: Mapping[int, Marks] = {}

    @property
    def total_minor(self) -> int:
        """What is due, as the lines sum it."""
        return sum(line.amount_minor for line in self.lines)

    @property
    def change_minor(self) -> int:
        """What the customer gets back of the cash given."""
        return sum(max(0, tender.given_minor - tender.amount_minor) for tender in self.tenders)


def sale_of(draft: SaleDraft, number: str, day: TradingDay) -> Sale:
    """Return the sale as it will be recorded; raises RefusalError when the tenders do not cover the total."""
    if not draft.lines:
        raise RefusalError("basket_empty", "there is nothing to sell")
    if sum(tender.amount_minor for tender in draft.tenders) != draft.total_minor:
        raise RefusalError("tenders_differ", "what is paid differs from the total")
    return Sale(
        number, day.business_date, day.shift, draft.operator, draft.lines,
        moves_of(draft.lines, draft.marks), draft.tenders, draft.total_minor, draft.rounding_minor, draft.approver,
        draft.member, draft.flags, draft.source,
    )  # fmt: skip


def append_sale(node: Node, writing: Writing, draft: SaleDraft, *, operation: str = "") -> Recorded:
    """Append a sale to an open transaction; it is a fact when that has committed."""
    now_ms = writing.clock.wall_ms - writing.clock.offset_ms
    flags = lease_flags(node, writing.state.last_exchange_ms, now_ms, draft.flags)
    if flags != draft.flags:
        draft = msgspec.structs.replace(draft, flags=flags)
    number = writing.take_receipt_number()
    sale = sale_of(draft, number, trading_day(node, writing.business_date))
    return Recorded(number, writing.append(sale, operation=operation), sale.total_minor, draft.change_minor)


class Recorded(NamedTuple):
    """A sale, refund or payment within its transaction."""

    number: str
    entry: Entry
    total_minor: int
    change_minor: int = 0


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
    total = sum(line.amount_minor for line in lines)
    draft = SaleDraft(
        lines=tuple(lines), tenders=tuple(tenders) or (Tender("cash", total, total),), rounding_minor=rounding_minor,
        operator=operator, member=member, approver=approver, flags=flags, source=source,
    )  # fmt: skip
    with node.write() as writing:
        recorded = append_sale(node, writing, draft)
        if prints:
            queue_receipt(writing, str(recorded.entry.id))
    return completed_of(node, recorded)


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
    exploded = with_parts(node, discounted, date)
    return complete_sale(node, exploded, operator=operator, source=source, prints=prints)


def today(node: Node, moment_ms: int) -> str:
    """Return the trading day of a moment at this node."""
    from edge.clock_source import business_date

    return business_date(moment_ms, node.config.time_zone, node.config.day_cut_hour)


class TradingDay(NamedTuple):
    """Where money is counted: the shift, and the business day that it belongs to."""

    shift: str
    business_date: str


def trading_day(node: Node, business_date: str) -> TradingDay:
    """Return the open shift of this till with its day, else the day's own without a shift.

    A shift that goes on over the day's cut stays one drawer and one day; one that was forgotten for longer does not
    take in what a later day sells.
    """
    till = node.config.till
    day_before = (datetime.date.fromisoformat(business_date) - datetime.timedelta(days=1)).isoformat()
    row = node.connection.execute(
        "SELECT s.shift FROM shift s WHERE s.shift >= ? AND s.shift < ? AND s.counted_minor IS NULL"
        " AND EXISTS (SELECT 1 FROM shift_event e WHERE e.shift = s.shift AND e.kind = 'opened')"
        " ORDER BY s.shift DESC LIMIT 1",
        (f"{till}-{day_before}", f"{till}-{business_date}~"),
    ).fetchone()
    if row is None:
        return TradingDay(f"{till}-{business_date}", business_date)
    date = str(row[0]).removeprefix(f"{till}-")[:10]
    return TradingDay(str(row[0]), date)


def completed_of(node: Node, recorded: Recorded) -> Completed:
    """Return what the cashier is told of something that has committed, with the signed code for its paper."""
    number, entry, total, change = recorded
    code = write_receipt_code(node, entry.id, entry.digest, total)
    return Completed(number, str(entry.id), entry.digest, total, change, code)


def append_refund(node: Node, writing: Writing, draft: RefundDraft, *, operation: str = "") -> Recorded:
    """Append a refund, and what it takes back of balances, to an open transaction."""
    number = writing.take_receipt_number()
    day = trading_day(node, writing.business_date)
    if draft.effects and not operation:
        operation = str(next_entry_id(node, writing))
    payload = Refund(
        number, day.business_date, day.shift, draft.operator, draft.original, draft.lines, draft.moves, draft.tenders,
        draft.total_minor, draft.approver, draft.member, draft.flags, draft.source,
    )  # fmt: skip
    for subject, amount in credit_back(draft.effects):
        take_back(node, writing, subject, amount, number, operation)
    entry = writing.append(payload, operation=operation)
    append_effects(
        writing, draft.effects, number, operator=draft.operator, approver=draft.approver, operation=operation
    )
    return Recorded(number, entry, draft.total_minor)


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
    with node.write() as writing:
        original = find_sale(node, reference)
        draft = draft_refund(node, original, original.whole() if returns is None else returns)
        draft = msgspec.structs.replace(draft, operator=operator, approver=approver, source=source)
        recorded = append_refund(node, writing, draft)
        if prints:
            queue_receipt(writing, str(recorded.entry.id))
    return completed_of(node, recorded)


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
    check_goods_to(goods_to)
    moment_ms = node.now_ms()
    date = today(node, moment_ms)
    sold = with_parts(node, [price_line(node, request, moment_ms, date) for request in requests], date)
    draft = draft_unreceipted(sold, goods_to)
    draft = msgspec.structs.replace(draft, operator=operator, approver=approver, source=source)
    with node.write() as writing:
        recorded = append_refund(node, writing, draft)
        if prints:
            queue_receipt(writing, str(recorded.entry.id))
    return completed_of(node, recorded)
