"""Owns the layout of all paper that is no receipt of goods: payments, shift slips, X and Z reports, cash in and out,
parked baskets.

They are laid out like receipts, from rows that already fit. What they say is given to them: nothing is summed here
that its owner has summed already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from schema.amounts import format_money, format_quantity
from schema.kinds.balances import BalancePaid
from schema.kinds.trading import CashMoved, Tender
from schema.rows import BalanceKind
from schema.rules.paper import COLUMNS_MIN, Paper, ReceiptRow, RowKind, display_width
from schema.rules.receipt import ReceiptNames, ReceiptTemplate, member_rows, shop_rows, tender_rows
from schema.rules.tax import included_tax


class ReportKind(StrEnum):
    """Which report of a drawer this is."""

    X = "x-report"
    """What the shift stands at, while it goes on."""
    SHIFT = "shift-report"
    """交班: the drawer was counted and handed over."""
    Z = "z-report"
    """日结: the till's business day is closed."""


class TenderSum(msgspec.Struct, frozen=True):
    """What one means of payment brought: how often it was used, what came in and what was given back."""

    means: str
    count: int
    in_minor: int
    out_minor: int = 0


class TaxSum(msgspec.Struct, frozen=True):
    """What was sold, less what came back, under one tax class and rate (basis points); tax is inside `gross_minor`."""

    tax_class: str
    rate_bp: int
    gross_minor: int


class OperatorSum(msgspec.Struct, frozen=True):
    """What one person sold and took back; `operator` is the name that paper shows."""

    operator: str
    sales: int
    sales_minor: int
    refunds: int = 0
    refunds_minor: int = 0


class CashEvent(msgspec.Struct, frozen=True):
    """Cash put into the drawer (positive) or taken out of it (negative) with no sale."""

    amount_minor: int
    reason: str
    operator: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a shift or business day in minor units; what is None or empty is left out of the paper.

    `expected_minor` is None on an X report where the drawer is counted blind. `facts` are further (word, count,
    amount) lines such as voids or gifts, their words taken from the words of paper; an amount of None has no column.
    """

    kind: ReportKind
    till: str
    business_date: str
    shift: str = ""
    operator: str = ""
    opened: str = ""
    closed: str = ""
    first_receipt: str = ""
    last_receipt: str = ""
    sales: int = 0
    sales_minor: int = 0
    refunds: int = 0
    refunds_minor: int = 0
    discounts_minor: int = 0
    rounding_minor: int = 0
    tenders: tuple[TenderSum, ...] = ()
    unknown_tenders: int = 0
    unknown_minor: int = 0
    taxes: tuple[TaxSum, ...] = ()
    operators: tuple[OperatorSum, ...] = ()
    float_minor: int | None = None
    cash_events: tuple[CashEvent, ...] = ()
    expected_minor: int | None = None
    counted_minor: int | None = None
    denominations: tuple[tuple[int, int], ...] = ()
    facts: tuple[tuple[str, int, int | None], ...] = ()


class ParkedGoods(msgspec.Struct, frozen=True):
    """One line of a parked basket."""

    name: str
    quantity_milli: int
    unit: str
    amount_minor: int


class ParkedSlip(msgspec.Struct, frozen=True, kw_only=True):
    """A basket put aside: the customer brings its slip back, and any till of the shop takes it up by its code."""

    basket: str
    label: str
    total_minor: int
    goods: tuple[ParkedGoods, ...] = ()


def framed(
    paper: Paper, title: str, body: Iterable[ReceiptRow], template: ReceiptTemplate, names: ReceiptNames
) -> tuple[ReceiptRow, ...]:
    """Put a title, the shop and the marks of copies and training around what a slip says."""
    if paper.columns < COLUMNS_MIN:
        raise ValueError(f"a slip needs at least {COLUMNS_MIN} columns")
    rows: list[ReceiptRow] = []
    for mark, is_on in (("training", names.is_training), ("reprint", names.is_reprint)):
        if is_on:
            rows += paper.text(f"*** {paper.word(mark)} ***", is_centred=True)
    rows += paper.title(paper.word(title))
    rows += paper.text(names.shop_name, is_centred=True)
    rows += body
    if names.is_training:
        rows += paper.text(f"*** {paper.word('training')} ***", is_centred=True)
    if template.is_cut:
        rows.append(ReceiptRow(kind=RowKind.CUT))
    return tuple(rows)


def signature(paper: Paper, word: str) -> list[ReceiptRow]:
    """Leave room for a signature."""
    name = f"{paper.word(word)} "
    return [ReceiptRow(), *paper.text(name + "_" * (paper.columns - display_width(name)))]


def payment_rows(payment: BalancePaid, template: ReceiptTemplate, names: ReceiptNames) -> tuple[ReceiptRow, ...]:
    """Lay a payment with no goods out: a top-up, its return, the repayment of what was on account."""
    paper = Paper(template.columns, template.language)
    rows = paper.facts(
        (("receipt-number", payment.receipt_number), ("till", names.till), ("cashier", names.operator),
         ("time", names.time)),
    )  # fmt: skip
    rows += paper.rule()
    for move in payment.moves:
        is_points = move.balance == BalanceKind.MEMBER_POINTS
        amount = str(move.amount) if is_points else format_money(move.amount)
        rows += paper.pair(paper.word(f"balance-{move.balance}"), f"{'+' if move.amount > 0 else ''}{amount}")
    rows += paper.rule()
    word = "paid-in-total" if payment.total_minor >= 0 else "paid-back-total"
    total = f"{names.currency_sign}{format_money(abs(payment.total_minor))}"
    rows += paper.pair(paper.word(word), total, is_double=True)
    for tender in payment.tenders:
        rows += tender_rows(paper, _positive(tender), names)
    if members := member_rows(paper, names):
        rows += [*paper.rule(), *members]
    if payment.note:
        rows += paper.fact("note", payment.note)
    rows += signature(paper, "customer-signs")
    rows += shop_rows(template.footer, paper, payment.receipt_number, names)
    return framed(paper, f"paid-{payment.reason}", rows, template, names)


def _positive(tender: Tender) -> Tender:
    return msgspec.structs.replace(tender, amount_minor=abs(tender.amount_minor))


def cash_rows(moved: CashMoved, template: ReceiptTemplate, names: ReceiptNames) -> tuple[ReceiptRow, ...]:
    """Lay the slip of cash put in or taken out of the drawer out: for the drawer, signed by who took it."""
    paper = Paper(template.columns, template.language)
    rows = paper.facts(
        (("till", names.till), ("shift", moved.shift), ("cashier", names.operator), ("time", names.time))
    )
    rows += paper.rule()
    amount = f"{names.currency_sign}{format_money(abs(moved.amount_minor))}"
    rows += paper.pair(paper.word("amount"), amount, is_double=True)
    rows += paper.facts((("reason", paper.word(moved.reason)), ("note", moved.note), ("approver", moved.approver)))
    rows += signature(paper, "signature")
    return framed(paper, "cash-in" if moved.amount_minor >= 0 else "cash-out", rows, template, names)


def parked_rows(parked: ParkedSlip, template: ReceiptTemplate, names: ReceiptNames) -> tuple[ReceiptRow, ...]:
    """Lay the slip of a parked basket out; it is no receipt, and says so."""
    paper = Paper(template.columns, template.language)
    rows = paper.facts(
        (("label", parked.label), ("till", names.till), ("cashier", names.operator), ("time", names.time))
    )
    if parked.goods:
        rows += paper.rule()
    for goods in parked.goods:
        rows += paper.text(goods.name)
        rows += paper.pair(
            f"{format_quantity(goods.quantity_milli)}{goods.unit}", format_money(goods.amount_minor), indent=2
        )
    rows += paper.rule()
    rows += paper.pair(paper.word("sum"), f"{names.currency_sign}{format_money(parked.total_minor)}", is_double=True)
    rows += paper.code(RowKind.BARCODE, parked.basket)
    rows += paper.text(paper.word("not-paid"), is_centred=True)
    return framed(paper, "parked", rows, template, names)


def report_rows(report: Report, template: ReceiptTemplate, names: ReceiptNames) -> tuple[ReceiptRow, ...]:
    """Lay an X report, a shift slip or a Z report out."""
    paper = Paper(template.columns, template.language)
    rows = paper.facts(
        (("business-date", report.business_date), ("till", report.till), ("shift", report.shift),
         ("cashier", report.operator), ("opened", report.opened), ("closed", report.closed),
         ("first-receipt", report.first_receipt), ("last-receipt", report.last_receipt), ("printed", names.time)),
    )  # fmt: skip
    for block in (_trade(paper, report), _tenders(paper, report, names), _taxes(paper, report.taxes),
                  _operators(paper, report.operators), _cash(paper, report), _further(paper, report)):  # fmt: skip
        if block:
            rows += [*paper.rule(), *block]
    if report.kind is not ReportKind.X:
        rows += paper.rule()
        rows += signature(paper, "hands-over")
        rows += signature(paper, "takes-over" if report.kind is ReportKind.SHIFT else "manager-signs")
    return framed(paper, report.kind.value, rows, template, names)


def _trade(paper: Paper, report: Report) -> list[ReceiptRow]:
    rows = paper.columns_of([paper.word("trade"), paper.word("count"), paper.word("amount")])
    rows += paper.columns_of([paper.word("sales"), str(report.sales), format_money(report.sales_minor)])
    rows += paper.columns_of([paper.word("refunds"), str(report.refunds), format_money(-report.refunds_minor)])
    rows += paper.pair(paper.word("net-sales"), format_money(report.sales_minor - report.refunds_minor), is_double=True)
    for word, amount in (("discount", report.discounts_minor), ("rounding", report.rounding_minor)):
        if amount:
            rows += paper.pair(paper.word(word), format_money(-amount))
    return rows


def _tenders(paper: Paper, report: Report, names: ReceiptNames) -> list[ReceiptRow]:
    if not report.tenders:
        return []
    rows = paper.columns_of([paper.word("tender"), paper.word("count"), paper.word("amount")])
    for one in report.tenders:
        name = names.tenders.get(one.means) or paper.word(one.means)
        rows += paper.columns_of([name, str(one.count), format_money(one.in_minor - one.out_minor)])
        if one.out_minor:
            rows += paper.pair(paper.word("of-it-back"), format_money(-one.out_minor), indent=2)
    if report.unknown_tenders:
        told = [paper.word("unknown"), str(report.unknown_tenders), format_money(report.unknown_minor)]
        rows += paper.columns_of(told)
    return rows


def _taxes(paper: Paper, taxes: Sequence[TaxSum]) -> list[ReceiptRow]:
    if not taxes:
        return []
    rows = paper.columns_of([paper.word(word) for word in ("tax-rate", "net", "tax")])
    for one in taxes:
        tax = included_tax(one.gross_minor, one.rate_bp * 100)
        rate = format_money(one.rate_bp).rstrip("0").rstrip(".") + "%"
        name = paper.word("exempt") if one.tax_class == "exempt" else rate
        rows += paper.columns_of([name, format_money(one.gross_minor - tax), format_money(tax)])
    return rows


def _operators(paper: Paper, operators: Sequence[OperatorSum]) -> list[ReceiptRow]:
    if len(operators) < 2:  # one person's figures are the report's own
        return []
    rows = paper.columns_of([paper.word("cashier"), paper.word("count"), paper.word("amount")])
    for one in operators:
        figures = [str(one.sales + one.refunds), format_money(one.sales_minor - one.refunds_minor)]
        rows += paper.columns_of([one.operator, *figures])
    return rows


def _cash(paper: Paper, report: Report) -> list[ReceiptRow]:
    rows: list[ReceiptRow] = []
    if report.float_minor is not None:
        rows += paper.pair(paper.word("float"), format_money(report.float_minor))
    for event in report.cash_events:
        word = paper.word("cash-in" if event.amount_minor >= 0 else "cash-out")
        rows += paper.pair(f"{word} {paper.word(event.reason)}", format_money(event.amount_minor))
    if report.expected_minor is not None:
        rows += paper.pair(paper.word("expected"), format_money(report.expected_minor))
    for denomination, pieces in report.denominations:
        amount = format_money(denomination * pieces)
        rows += paper.columns_of([format_money(denomination), f"× {pieces}", amount])
    if report.counted_minor is not None:
        rows += paper.pair(paper.word("counted"), format_money(report.counted_minor), is_double=True)
        if report.expected_minor is not None:
            variance = report.counted_minor - report.expected_minor
            word = "even" if not variance else "over" if variance > 0 else "short"
            rows += paper.pair(paper.word(word), format_money(variance), is_double=True)
    return rows


def _further(paper: Paper, report: Report) -> list[ReceiptRow]:
    return [
        row
        for word, count, amount in report.facts
        for row in paper.columns_of([paper.word(word), str(count), "" if amount is None else format_money(amount)])
    ]
