"""Entries of trading: sales, refunds, shifts and the close of a business day."""

from __future__ import annotations

import msgspec

from schema.kinds.base import Amount, Code, Count, Kind, Payload, Permission, StockEffects, StockMove, Text


class LineDiscount(Payload, frozen=True):
    """The share of one discount that this line bears, in minor units (positive: cheaper)."""

    reason: Code
    reference: Code
    share_minor: Amount


class SaleLine(Payload, frozen=True):
    """One line as the customer bought it: later reports read it without the catalogue.

    `factor_milli` is the base quantity of one selling unit; `per_milli` the quantity that a price is for
    (1,000: a piece or kilogram; 500: 斤). `amount_minor` includes tax, line discounts and allocated shares.
    """

    product: Code
    unit: Code
    factor_milli: Count
    quantity_milli: Amount
    list_price_minor: Amount
    price_minor: Amount
    per_milli: Count
    price_source: Code
    amount_minor: Amount
    tax_class: Code
    tax_bp: Count
    discounts: tuple[LineDiscount, ...] = ()
    kit_parent: Count | None = None
    operator: Code = ""
    name: Text = ""


class Tender(Payload, frozen=True):
    """How an amount was paid; `state` is confirmed or unknown for what an outside service decides."""

    means: Code
    amount_minor: Amount
    given_minor: Amount = 0
    reference: Code = ""
    state: Code = ""


class Sale(Payload, frozen=True):
    """A completed sale. `tenders` sum to `total_minor`, which `rounding_minor` (抹零) has already lowered."""

    receipt_number: Code
    business_date: Code
    shift: Code
    operator: Code
    lines: tuple[SaleLine, ...]
    moves: tuple[StockMove, ...]
    tenders: tuple[Tender, ...]
    total_minor: Amount
    rounding_minor: Amount = 0
    approver: Code = ""
    member: Code = ""
    flags: tuple[Code, ...] = ()
    source: Code = ""


class RefundLine(Payload, frozen=True):
    """What comes back, priced as it was sold; `goods_to` is shelf, damaged or supplier."""

    original_line: Count | None
    product: Code
    unit: Code
    factor_milli: Count
    quantity_milli: Amount
    amount_minor: Amount
    tax_class: Code
    tax_bp: Count
    goods_to: Code
    reason: Code = ""


class Refund(Payload, frozen=True):
    """Money given back (`total_minor` positive) against an original sale's entry id, or without one."""

    receipt_number: Code
    business_date: Code
    shift: Code
    operator: Code
    original: Code
    lines: tuple[RefundLine, ...]
    moves: tuple[StockMove, ...]
    tenders: tuple[Tender, ...]
    total_minor: Amount
    approver: Code = ""
    member: Code = ""
    flags: tuple[Code, ...] = ()
    source: Code = ""


class ShiftOpened(Payload, frozen=True):
    """An operator took over the drawer with a float."""

    shift: Code
    business_date: Code
    operator: Code
    float_minor: Amount


class CashMoved(Payload, frozen=True):
    """Cash paid in (positive) or out (negative) of the drawer with no sale."""

    shift: Code
    operator: Code
    amount_minor: Amount
    reason: Code
    note: Text = ""
    approver: Code = ""


class ShiftClosed(Payload, frozen=True):
    """The blind count of a drawer: (denomination, pieces) pairs, counted and expected cash."""

    shift: Code
    operator: Code
    counted_minor: Amount
    expected_minor: Amount
    denominations: tuple[tuple[Count, Count], ...] = ()
    approver: Code = ""


class DayClosed(Payload, frozen=True):
    """A till's business day closed at receipt numbers first to last; late entries amend it with attribution."""

    business_date: Code
    operator: Code
    first_receipt: Code
    last_receipt: Code
    sales_minor: Amount
    refunds_minor: Amount


class _SaleView(msgspec.Struct, array_like=True, frozen=True):
    """Of a sale what its effects read, in the places where a sale has it."""

    receipt_number: Code
    business_date: msgspec.Raw
    shift: msgspec.Raw
    operator: msgspec.Raw
    lines: msgspec.Raw
    moves: tuple[StockMove, ...]


class _RefundView(msgspec.Struct, array_like=True, frozen=True):
    """Of a refund what its effects read, in the places where a refund has it."""

    receipt_number: Code
    business_date: msgspec.Raw
    shift: msgspec.Raw
    operator: msgspec.Raw
    original: msgspec.Raw
    lines: msgspec.Raw
    moves: tuple[StockMove, ...]


def _sale_effects(sale: Sale | _SaleView) -> StockEffects:
    return StockEffects(sale.moves, "sale", document=sale.receipt_number)


def _refund_effects(refund: Refund | _RefundView) -> StockEffects:
    return StockEffects(refund.moves, "refund", document=refund.receipt_number)


KINDS = (
    Kind("sale.completed", Sale, Permission.TRADE, effects=_sale_effects, view=_SaleView),
    Kind("refund.completed", Refund, Permission.TRADE, effects=_refund_effects, view=_RefundView),
    Kind("shift.opened", ShiftOpened, Permission.TRADE),
    Kind("cash.moved", CashMoved, Permission.TRADE),
    Kind("shift.closed", ShiftClosed, Permission.TRADE),
    Kind("day.closed", DayClosed, Permission.TRADE),
)
