"""Owns the one layout of a receipt, which screen preview, paper and e-receipt share.

A completed sale or refund, the shop's template and the names that entries do not hold go in; rows come out that a
printer or a screen renders without knowing what a sale is. Rows already fit the paper: what is too long goes on in
the next row, and nothing is cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final
from urllib.parse import quote

import msgspec

from schema.amounts import format_money, format_quantity
from schema.kinds.trading import Refund, RefundLine, Sale, SaleLine, Tender
from schema.rules.deposits import is_deposit, is_empties
from schema.rules.paper import COLUMNS_58_MM, COLUMNS_MIN, Paper, ReceiptRow, RowKind
from schema.rules.promotion_terms import Language
from schema.rules.tax import included_tax

ROUNDING_REASON: Final = "rounding"
"""The reason of a line's share of 抹零, which the receipt states once, below the goods."""


class Section(StrEnum):
    """The blocks of a receipt; a template lists those that it wants, in their order."""

    HEADER = "header"
    DETAILS = "details"
    LINES = "lines"
    TOTALS = "totals"
    TENDERS = "tenders"
    MEMBER = "member"
    TAX = "tax"
    FOOTER = "footer"
    REFUND_CODE = "refund-code"
    INVOICE_CODE = "invoice-code"
    NUMBER_CODE = "number-code"
    """The receipt's number as a barcode, for shops whose scanners read no QR codes."""


class Detail(StrEnum):
    """The facts above the goods; a template lists those that it wants, in their order."""

    RECEIPT_NUMBER = "receipt-number"
    ORIGINAL = "original"
    TILL = "till"
    CASHIER = "cashier"
    TIME = "time"
    BUSINESS_DATE = "business-date"
    SHIFT = "shift"


class ReceiptTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A shop's receipt as data from the hub; texts may name `TEMPLATE_NAMES` in double braces and nothing else."""

    columns: int = COLUMNS_58_MM
    language: Language = Language.ZH
    header: tuple[str, ...] = ("{{ shop.name }}", "{{ shop.address }}", "{{ shop.phone }}")
    footer: tuple[str, ...] = ()
    sections: tuple[Section, ...] = tuple(
        section for section in Section if section not in {Section.TAX, Section.NUMBER_CODE}
    )
    details: tuple[Detail, ...] = (
        Detail.RECEIPT_NUMBER, Detail.ORIGINAL, Detail.TILL, Detail.CASHIER, Detail.TIME,
    )  # fmt: skip
    is_cut: bool = True


class ReceiptNames(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry does not hold: names, the local time as text, and the marks of this copy.

    `products` and `units` are by product code, `tenders` by means, `promotions` (the sentences that say why) by
    code. `member` is masked already. `refund_code` is the signed code of a completed sale, `invoice_code` the
    address for 开票; both are left out where empty. Points and balance are None where they are not known.
    """

    shop_name: str
    shop_phone: str = ""
    shop_address: str = ""
    time: str = ""
    till: str = ""
    operator: str = ""
    member: str = ""
    products: Mapping[str, str] = {}
    units: Mapping[str, str] = {}
    tenders: Mapping[str, str] = {}
    promotions: Mapping[str, str] = {}
    original: str = ""
    points_earned: int | None = None
    points: int | None = None
    balance_minor: int | None = None
    refund_code: str = ""
    invoice_code: str = ""
    is_reprint: bool = False
    is_training: bool = False
    currency_sign: str = ""
    """Stands before the figure that is due; the full-width ￥ is in every Chinese printer's font."""


# Templates.

TEMPLATE_NAMES: Final = (
    "shop.name", "shop.phone", "shop.address", "receipt.number", "receipt.date", "receipt.time", "till", "cashier",
    "member",
)  # fmt: skip
_PLACE: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def unknown_names(template: ReceiptTemplate) -> tuple[str, ...]:
    """Return the names in double braces that no receipt can fill: what an editor of templates refuses."""
    texts = (*template.header, *template.footer)
    return tuple(sorted({name for text in texts for name in _PLACE.findall(text) if name not in TEMPLATE_NAMES}))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in for their names, once and from left to right: a value is never read as a template itself.

    A name that is not known stays as it stands, so that the mistake is seen on the preview.
    """
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)


def invoice_address(url: str, sale: Sale) -> str:
    """Return the address behind the code for 开票: the shop's own, which may name the receipt in double braces.

    Without any names the receipt's number is added as `receipt`; an empty address stays empty.
    """
    values = {
        "receipt.number": sale.receipt_number, "receipt.total": format_money(sale.total_minor),
        "receipt.date": sale.business_date,
    }  # fmt: skip
    if not url or _PLACE.search(url):
        return fill(url, {name: quote(value, safe="") for name, value in values.items()})
    return f"{url}{'&' if '?' in url else '?'}receipt={quote(sale.receipt_number, safe='')}"


# Rows.


def receipt_rows(document: Sale | Refund, template: ReceiptTemplate, names: ReceiptNames) -> tuple[ReceiptRow, ...]:
    """Lay a completed sale or refund out; raises ValueError for paper narrower than `COLUMNS_MIN`."""
    if template.columns < COLUMNS_MIN:
        raise ValueError(f"a receipt needs at least {COLUMNS_MIN} columns")
    paper = Paper(template.columns, template.language)
    rows: list[ReceiptRow] = []
    for mark, is_on in (("training", names.is_training), ("reprint", names.is_reprint)):
        if is_on:
            rows += paper.text(f"*** {paper.word(mark)} ***", is_centred=True)
    is_ruled = False
    for section in template.sections:
        found = _section(section, paper, document, template, names)
        if found and section in _RULED:
            rows += paper.rule()
            is_ruled = True
        elif found and is_ruled:
            rows += paper.rule()
            is_ruled = False
        rows += found
    if names.is_training:
        rows += paper.text(f"*** {paper.word('training')} ***", is_centred=True)
    if template.is_cut:
        rows.append(ReceiptRow(kind=RowKind.CUT))
    return tuple(rows)


_RULED: Final = frozenset({Section.LINES, Section.TOTALS, Section.MEMBER, Section.TAX})


def _section(
    section: Section, paper: Paper, document: Sale | Refund, template: ReceiptTemplate, names: ReceiptNames
) -> list[ReceiptRow]:
    match section:
        case Section.HEADER:
            rows = shop_rows(template.header, paper, document.receipt_number, names, is_title=True)
            if isinstance(document, Refund):
                rows += paper.text(paper.word("refund-title"), is_centred=True, is_double=True)
            return rows
        case Section.DETAILS:
            return _details(paper, document, template, names)
        case Section.LINES:
            return _lines(paper, document, names)
        case Section.TOTALS:
            return _totals(paper, document, names)
        case Section.TENDERS:
            return [row for tender in document.tenders for row in tender_rows(paper, tender, names)]
        case Section.MEMBER:
            return member_rows(paper, names)
        case Section.TAX:
            return _tax(paper, document.lines)
        case Section.FOOTER:
            return shop_rows(template.footer, paper, document.receipt_number, names)
        case Section.REFUND_CODE:
            is_needed = names.refund_code and isinstance(document, Sale) and not names.is_training
            return paper.code(RowKind.QR, names.refund_code, paper.word("refund-code")) if is_needed else []
        case Section.INVOICE_CODE:
            is_needed = names.invoice_code and not names.is_training
            return paper.code(RowKind.QR, names.invoice_code, paper.word("invoice-code")) if is_needed else []
        case Section.NUMBER_CODE:
            return [] if names.is_training else paper.code(RowKind.BARCODE, document.receipt_number)


def shop_rows(
    texts: Iterable[str], paper: Paper, number: str, names: ReceiptNames, *, is_title: bool = False
) -> list[ReceiptRow]:
    """Fill the texts of a template's header or footer in; the first one of a title is of double size."""
    date, _, time = names.time.partition(" ")
    values = {
        "shop.name": names.shop_name, "shop.phone": names.shop_phone, "shop.address": names.shop_address,
        "receipt.number": number, "receipt.date": date, "receipt.time": time, "till": names.till,
        "cashier": names.operator, "member": names.member,
    }  # fmt: skip
    rows: list[ReceiptRow] = []
    for text in texts:
        filled = fill(text, values)
        if filled.strip() or not text.strip():  # A line whose names are all empty is left out; a blank one is meant.
            if text.strip() == "{{ shop.phone }}":
                filled = f"{paper.word('phone')} {filled}"
            rows += paper.title(filled) if is_title and not rows else paper.text(filled, is_centred=True)
    return rows


def _details(paper: Paper, document: Sale | Refund, template: ReceiptTemplate, names: ReceiptNames) -> list[ReceiptRow]:
    values = {
        Detail.RECEIPT_NUMBER: document.receipt_number,
        Detail.ORIGINAL: names.original,
        Detail.TILL: names.till,
        Detail.CASHIER: names.operator,
        Detail.TIME: names.time,
        Detail.BUSINESS_DATE: document.business_date,
        Detail.SHIFT: document.shift,
    }
    return paper.facts([(detail.value, values[detail]) for detail in template.details])


def _quantity(quantity_milli: int, unit: str) -> str:
    return f"{format_quantity(quantity_milli)}{unit}"


def _lines(paper: Paper, document: Sale | Refund, names: ReceiptNames) -> list[ReceiptRow]:
    rows = paper.columns_of([paper.word(word) for word in ("quantity", "price", "subtotal")])
    rows += paper.rule()
    if isinstance(document, Refund):
        for back in document.lines:
            quantity = _quantity(back.quantity_milli, back.unit or names.units.get(back.product, ""))
            if not back.amount_minor:
                rows += _part(paper, names.products.get(back.product, back.product), quantity)
                continue
            rows += paper.text(names.products.get(back.product, back.product))
            rows += paper.columns_of([quantity, "", format_money(-back.amount_minor)])
        return rows
    spread = _spread(document)
    for line in document.lines:
        rows += _sale_line(paper, line, names, spread)
    return rows


def _spread(sale: Sale) -> dict[tuple[str, str], int]:
    """Return the discounts that lie on several lines, with their sums: the totals state each of them once."""
    shares: dict[tuple[str, str], list[int]] = {}
    for line in sale.lines:
        for discount in line.discounts:
            if discount.reason != ROUNDING_REASON and discount.share_minor:
                shares.setdefault((discount.reason, discount.reference), []).append(discount.share_minor)
    return {key: sum(found) for key, found in shares.items() if len(found) > 1}


def _why(paper: Paper, reason: str, reference: str, names: ReceiptNames) -> str:
    return names.promotions.get(reference, "") or paper.word(reason)


def _sale_line(
    paper: Paper, line: SaleLine, names: ReceiptNames, spread: Mapping[tuple[str, str], int]
) -> list[ReceiptRow]:
    name = line.name or names.products.get(line.product, line.product)
    if line.kit_parent is not None:
        return _part(paper, name, _quantity(line.quantity_milli, line.unit or names.units.get(line.product, "")))
    rows = paper.text(name)
    per = {500: "/500g", 100: "/100g"}.get(line.per_milli, "")
    price = f"{format_money(line.price_minor)}{per}"
    quantity = _quantity(line.quantity_milli, line.unit or names.units.get(line.product, ""))
    rows += paper.columns_of([quantity, price, format_money(_before_discounts(line))])
    if line.list_price_minor != line.price_minor:
        rows += paper.text(f"{paper.word('list-price')} {format_money(line.list_price_minor)}{per}", indent=2)
    for discount in line.discounts:
        if discount.reason == ROUNDING_REASON or not discount.share_minor:
            continue
        if (discount.reason, discount.reference) in spread:
            continue
        why = _why(paper, discount.reason, discount.reference, names)
        rows += paper.pair(f"{paper.word('discount')} {why}", format_money(-discount.share_minor), indent=2)
    return rows


def _part(paper: Paper, name: str, quantity: str) -> list[ReceiptRow]:
    """Name what came without a price of its own, such as a part of a kit."""
    return paper.text(f"· {name} {quantity}", indent=2)


def _before_discounts(line: SaleLine) -> int:
    return line.amount_minor + sum(discount.share_minor for discount in line.discounts)


def _pieces(lines: Sequence[SaleLine] | Sequence[RefundLine]) -> int:
    """Count pieces as people do: a weighed package is one, and a kit is what it is, not its parts."""
    return sum(
        max(1, line.quantity_milli // 1000) if line.quantity_milli % 1000 == 0 else 1
        for line in lines
        if (line.kit_parent is None if isinstance(line, SaleLine) else line.amount_minor)
        and not is_deposit(line)
        and not is_empties(line)
    )


def _totals(paper: Paper, document: Sale | Refund, names: ReceiptNames) -> list[ReceiptRow]:
    rows = paper.pair(paper.word("pieces"), str(_pieces(document.lines)))
    if isinstance(document, Refund):
        return rows + paper.pair(paper.word("refunded"), _due(document.total_minor, names), is_double=True)
    listed = sum(_before_discounts(line) for line in document.lines)
    discount = listed - document.total_minor - document.rounding_minor
    if discount or document.rounding_minor:
        rows += paper.pair(paper.word("sum"), format_money(listed))
    if discount:
        rows += paper.pair(paper.word("discount"), format_money(-discount))
        for (reason, reference), share in _spread(document).items():
            rows += paper.pair(_why(paper, reason, reference, names), format_money(-share), indent=2)
    if document.rounding_minor:
        rows += paper.pair(paper.word("rounding"), format_money(-document.rounding_minor))
    deposits = sum(line.amount_minor for line in document.lines if is_deposit(line))
    empties = sum(line.amount_minor for line in document.lines if is_empties(line))
    for word, amount in (("deposits", deposits), ("empties", empties)):
        if amount:
            rows += paper.pair(paper.word(word), format_money(amount))
    return rows + paper.pair(paper.word("due"), _due(document.total_minor, names), is_double=True)


def _due(total_minor: int, names: ReceiptNames) -> str:
    return f"{names.currency_sign}{format_money(total_minor)}"


def tender_rows(paper: Paper, tender: Tender, names: ReceiptNames) -> list[ReceiptRow]:
    """Say how an amount was paid, and for cash what was given and came back."""
    name = names.tenders.get(tender.means) or paper.word(tender.means)
    if tender.state == "unknown":
        name = f"{name} ({paper.word('unknown')})"
    rows = paper.pair(name, format_money(tender.amount_minor))
    if tender.given_minor > tender.amount_minor:
        rows += paper.pair(f"{paper.word('given')}", format_money(tender.given_minor))
        rows += paper.pair(f"{paper.word('change')}", format_money(tender.given_minor - tender.amount_minor))
    return rows


def member_rows(paper: Paper, names: ReceiptNames) -> list[ReceiptRow]:
    """Name the member, masked, and what the balances are where that is known."""
    if not names.member:
        return []
    rows = paper.pair(paper.word("member"), names.member)
    for word, points in (("points-earned", names.points_earned), ("points-balance", names.points)):
        if points is not None:
            rows += paper.pair(paper.word(word), str(points))
    if names.balance_minor is not None:
        rows += paper.pair(paper.word("balance"), format_money(names.balance_minor))
    return rows


def _tax(paper: Paper, lines: Sequence[SaleLine] | Sequence[RefundLine]) -> list[ReceiptRow]:
    """State tax by the class and rate that were stamped into the lines; nothing is asked of today's rates."""
    classes: dict[tuple[str, int], tuple[int, int]] = {}
    for line in lines:
        gross, tax = classes.get((line.tax_class, line.tax_bp), (0, 0))
        key = (line.tax_class, line.tax_bp)
        classes[key] = (gross + line.amount_minor, tax + included_tax(line.amount_minor, line.tax_bp * 100))
    rows = paper.columns_of([paper.word(word) for word in ("tax-rate", "net", "tax")])
    for (tax_class, rate_bp), (gross, tax) in sorted(classes.items()):
        rate = paper.word("exempt") if tax_class == "exempt" else f"{format_money(rate_bp).rstrip('0').rstrip('.')}%"
        rows += paper.columns_of([rate, format_money(gross - tax), format_money(tax)])
    return rows
