"""Owns the one layout of a receipt, which screen preview, paper and e-receipt share.

A completed sale or refund, the shop's template and the names that entries do not hold go in; rows come out that a
printer or a screen renders without knowing what a sale is. Rows already fit the paper: what is too long goes on in
the next row, and nothing is cut off.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from schema.amounts import format_money, format_quantity
from schema.kinds.trading import Refund, RefundLine, Sale, SaleLine, Tender
from schema.rules.promotion_terms import Language
from schema.rules.tax import included_tax

ROUNDING_REASON: Final = "rounding"
"""The reason of a line's share of 抹零, which the receipt states once, below the goods."""
COLUMNS_58_MM: Final = 32
COLUMNS_80_MM: Final = 48
COLUMNS_MIN: Final = 24


class RowKind(StrEnum):
    """What a row asks the device to do."""

    TEXT = "text"
    """`left` and, at the right edge, `right`."""
    COLUMNS = "columns"
    """Cells side by side, each padded to its width."""
    RULE = "rule"
    BARCODE = "barcode"
    """Code 128 of `data`."""
    QR = "qr"
    """A QR code of `data`, with `left` as its caption above."""
    CUT = "cut"


class Cell(msgspec.Struct, frozen=True):
    """A column's text; `width` is in display columns."""

    text: str
    width: int
    is_right: bool = True


class ReceiptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a receipt; texts fit the paper's width (half of it where `is_double`)."""

    kind: RowKind = RowKind.TEXT
    left: str = ""
    right: str = ""
    cells: tuple[Cell, ...] = ()
    is_double: bool = False
    is_centred: bool = False
    data: str = ""


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
    sections: tuple[Section, ...] = tuple(section for section in Section if section is not Section.TAX)
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


_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "receipt-number": ("单号", "Receipt"),
    "original": ("原单号", "Original"),
    "till": ("机号", "Till"),
    "cashier": ("收银员", "Cashier"),
    "time": ("时间", "Time"),
    "business-date": ("营业日", "Business day"),
    "shift": ("班次", "Shift"),
    "phone": ("电话", "Phone"),
    "quantity": ("数量", "Qty"),
    "price": ("单价", "Price"),
    "subtotal": ("小计", "Amount"),
    "list-price": ("原价", "Was"),
    "discount": ("优惠", "Discount"),
    "gift": ("赠品", "Gift"),
    "pieces": ("件数", "Pieces"),
    "sum": ("合计", "Sum"),
    "rounding": ("抹零", "Rounded off"),
    "due": ("应收", "Due"),
    "refunded": ("应退", "Refund due"),
    "given": ("实收", "Received"),
    "change": ("找零", "Change"),
    "unknown": ("待确认", "not confirmed"),
    "member": ("会员", "Member"),
    "points-earned": ("本次积分", "Points earned"),
    "points": ("积分余额", "Points"),
    "balance": ("储值余额", "Balance"),
    "tax-rate": ("税率", "Tax rate"),
    "net": ("不含税", "Net"),
    "tax": ("税额", "Tax"),
    "exempt": ("免税", "exempt"),
    "refund-title": ("退货单", "REFUND"),
    "reprint": ("补打", "REPRINT"),
    "training": ("培训练习 不作凭证", "TRAINING - NO RECEIPT"),
    "refund-code": ("退货凭此码", "Code for returns"),
    "invoice-code": ("扫码开票", "Scan for an invoice"),
    "cash": ("现金", "Cash"),
    "wechat": ("微信支付", "WeChat Pay"),
    "alipay": ("支付宝", "Alipay"),
    "card": ("银行卡", "Card"),
    "account": ("挂账", "On account"),
    "stored": ("储值", "Stored value"),
    "line": ("单品优惠", "Line discount"),
    "basket": ("整单优惠", "Basket discount"),
    "promotion": ("促销", "Promotion"),
}

# Text.


def display_width(text: str) -> int:
    """Return how many columns a text takes: two for wide, full-width and ambiguous characters, none for marks.

    Ambiguous ones (Unicode Standard Annex 11) are in GB18030's double-byte part, so a Chinese printer gives them two.
    """
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if " " <= char <= "~":
        return 1
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WFA" else 1


def _harmless(text: str) -> str:
    return "".join(" " if unicodedata.category(char) in {"Cc", "Zl", "Zp", "Cs"} else char for char in text)


def wrap(text: str, width: int) -> list[str]:
    """Break a text into rows of at most `width` columns, at blanks where that helps; only blanks are dropped.

    Control characters become blanks: nothing in a name commands a printer. An empty text gives one empty row.
    """
    if width < 2:
        raise ValueError("a row is at least two columns wide")
    rows: list[str] = []
    row, taken, blank = "", 0, -1
    for char in _harmless(text).strip():
        size = _char_width(char)
        if taken + size > width:
            if char == " ":
                rows.append(row.rstrip())
                row, taken, blank = "", 0, -1
                continue
            head, tail = (row[:blank], row[blank + 1 :]) if blank > 0 else (row, "")
            rows.append(head.rstrip())
            row, taken, blank = tail, display_width(tail), -1
        if char == " ":
            if not row:
                continue
            blank = len(row)
        row += char
        taken += size
    return [*rows, row.rstrip()] if row or not rows else rows


def pad(text: str, width: int, *, is_right: bool = False) -> str:
    """Fill a text with blanks to a width in display columns."""
    blanks = " " * max(0, width - display_width(text))
    return blanks + text if is_right else text + blanks


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


# Rows.


class _Paper(NamedTuple):
    columns: int
    language: Language

    def word(self, name: str) -> str:
        known = _WORDS.get(name)
        return name if known is None else known[0 if self.language is Language.ZH else 1]

    def text(self, text: str, *, is_centred: bool = False, is_double: bool = False) -> list[ReceiptRow]:
        width = self.columns // 2 if is_double else self.columns
        return [ReceiptRow(left=row, is_centred=is_centred, is_double=is_double) for row in wrap(text, width)]

    def pair(self, left: str, right: str, *, is_double: bool = False) -> list[ReceiptRow]:
        """Put two texts at the two edges; where they do not fit side by side the right one has its own row."""
        width = self.columns // 2 if is_double else self.columns
        lefts, rights = wrap(left, width), wrap(right, width)
        rows = [ReceiptRow(left=row, is_double=is_double) for row in lefts]
        if len(rights) == 1 and display_width(lefts[-1]) + 1 + display_width(rights[0]) <= width:
            rows[-1] = ReceiptRow(left=lefts[-1], right=rights[0], is_double=is_double)
            return rows
        return rows + [ReceiptRow(right=row, is_double=is_double) for row in rights]

    def columns_of(self, texts: Sequence[str]) -> list[ReceiptRow]:
        """Put figures side by side under their headings; where one is too long, each pair of edges in its own row."""
        texts = [_harmless(text) for text in texts]
        width = self.columns // len(texts)
        widths = [width] * (len(texts) - 1) + [self.columns - width * (len(texts) - 1)]
        if all(display_width(text) < size for text, size in zip(texts, widths, strict=True)):
            cells = tuple(
                Cell(text, size, place > 0) for place, (text, size) in enumerate(zip(texts, widths, strict=True))
            )
            return [ReceiptRow(kind=RowKind.COLUMNS, cells=cells)]
        return self.pair("  ".join(texts[:-1]), texts[-1])

    def rule(self) -> list[ReceiptRow]:
        return [ReceiptRow(kind=RowKind.RULE)]

    def code(self, kind: RowKind, data: str, caption: str = "") -> list[ReceiptRow]:
        captions = wrap(caption, self.columns) if caption else [""]
        above = [ReceiptRow(left=row, is_centred=True) for row in captions[:-1]]
        return [*above, ReceiptRow(kind=kind, data=data, left=captions[-1], is_centred=True)]


def receipt_rows(document: Sale | Refund, template: ReceiptTemplate, names: ReceiptNames) -> tuple[ReceiptRow, ...]:
    """Lay a completed sale or refund out; raises ValueError for paper narrower than `COLUMNS_MIN`."""
    if template.columns < COLUMNS_MIN:
        raise ValueError(f"a receipt needs at least {COLUMNS_MIN} columns")
    paper = _Paper(template.columns, template.language)
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
    section: Section, paper: _Paper, document: Sale | Refund, template: ReceiptTemplate, names: ReceiptNames
) -> list[ReceiptRow]:
    match section:
        case Section.HEADER:
            rows = _texts(template.header, paper, document, names, is_title=True)
            if isinstance(document, Refund):
                rows += paper.text(paper.word("refund-title"), is_centred=True, is_double=True)
            return rows
        case Section.DETAILS:
            return _details(paper, document, template, names)
        case Section.LINES:
            return _lines(paper, document, names)
        case Section.TOTALS:
            return _totals(paper, document)
        case Section.TENDERS:
            return [row for tender in document.tenders for row in _tender(paper, tender, names)]
        case Section.MEMBER:
            return _member(paper, names)
        case Section.TAX:
            return _tax(paper, document.lines)
        case Section.FOOTER:
            return _texts(template.footer, paper, document, names, is_title=False)
        case Section.REFUND_CODE:
            is_needed = names.refund_code and isinstance(document, Sale) and not names.is_training
            return paper.code(RowKind.QR, names.refund_code, paper.word("refund-code")) if is_needed else []
        case Section.INVOICE_CODE:
            is_needed = names.invoice_code and not names.is_training
            return paper.code(RowKind.QR, names.invoice_code, paper.word("invoice-code")) if is_needed else []


def _texts(
    texts: Iterable[str], paper: _Paper, document: Sale | Refund, names: ReceiptNames, *, is_title: bool
) -> list[ReceiptRow]:
    date, _, time = names.time.partition(" ")
    values = {
        "shop.name": names.shop_name, "shop.phone": names.shop_phone, "shop.address": names.shop_address,
        "receipt.number": document.receipt_number, "receipt.date": date, "receipt.time": time, "till": names.till,
        "cashier": names.operator, "member": names.member,
    }  # fmt: skip
    rows: list[ReceiptRow] = []
    for text in texts:
        filled = fill(text, values)
        if filled.strip() or not text.strip():  # A line whose names are all empty is left out; a blank one is meant.
            if text.strip() == "{{ shop.phone }}":
                filled = f"{paper.word('phone')} {filled}"
            rows += paper.text(filled, is_centred=True, is_double=is_title and not rows)
    return rows


def _details(
    paper: _Paper, document: Sale | Refund, template: ReceiptTemplate, names: ReceiptNames
) -> list[ReceiptRow]:
    values = {
        Detail.RECEIPT_NUMBER: document.receipt_number,
        Detail.ORIGINAL: names.original,
        Detail.TILL: names.till,
        Detail.CASHIER: names.operator,
        Detail.TIME: names.time,
        Detail.BUSINESS_DATE: document.business_date,
        Detail.SHIFT: document.shift,
    }
    colon = "：" if paper.language is Language.ZH else ": "
    return [
        row
        for detail in template.details
        if values[detail]
        for row in paper.text(f"{paper.word(detail.value)}{colon}{values[detail]}")
    ]


def _quantity(quantity_milli: int, unit: str) -> str:
    return f"{format_quantity(quantity_milli)}{unit}"


def _lines(paper: _Paper, document: Sale | Refund, names: ReceiptNames) -> list[ReceiptRow]:
    rows = paper.columns_of([paper.word(word) for word in ("quantity", "price", "subtotal")])
    rows += paper.rule()
    if isinstance(document, Refund):
        for back in document.lines:
            rows += paper.text(names.products.get(back.product, back.product))
            quantity = _quantity(back.quantity_milli, back.unit or names.units.get(back.product, ""))
            rows += paper.columns_of([quantity, "", format_money(-back.amount_minor)])
        return rows
    for line in document.lines:
        rows += _sale_line(paper, line, names)
    return rows


def _sale_line(paper: _Paper, line: SaleLine, names: ReceiptNames) -> list[ReceiptRow]:
    rows = paper.text(line.name or names.products.get(line.product, line.product))
    per = {500: "/500g", 100: "/100g"}.get(line.per_milli, "")
    price = f"{format_money(line.price_minor)}{per}"
    quantity = _quantity(line.quantity_milli, line.unit or names.units.get(line.product, ""))
    rows += paper.columns_of([quantity, price, format_money(_before_discounts(line))])
    if line.list_price_minor != line.price_minor:
        rows += paper.text(f"{paper.word('list-price')} {format_money(line.list_price_minor)}{per}")
    for discount in line.discounts:
        if discount.reason == ROUNDING_REASON or not discount.share_minor:
            continue
        why = names.promotions.get(discount.reference, "") or paper.word(discount.reason)
        rows += paper.pair(f"{paper.word('discount')} {why}", format_money(-discount.share_minor))
    return rows


def _before_discounts(line: SaleLine) -> int:
    return line.amount_minor + sum(discount.share_minor for discount in line.discounts)


def _pieces(lines: Sequence[SaleLine] | Sequence[RefundLine]) -> int:
    """Count pieces as people do: a weighed package is one."""
    return sum(max(1, line.quantity_milli // 1000) if line.quantity_milli % 1000 == 0 else 1 for line in lines)


def _totals(paper: _Paper, document: Sale | Refund) -> list[ReceiptRow]:
    rows = paper.pair(paper.word("pieces"), str(_pieces(document.lines)))
    if isinstance(document, Refund):
        return rows + paper.pair(paper.word("refunded"), format_money(document.total_minor), is_double=True)
    listed = sum(_before_discounts(line) for line in document.lines)
    discount = listed - document.total_minor - document.rounding_minor
    if discount or document.rounding_minor:
        rows += paper.pair(paper.word("sum"), format_money(listed))
    if discount:
        rows += paper.pair(paper.word("discount"), format_money(-discount))
    if document.rounding_minor:
        rows += paper.pair(paper.word("rounding"), format_money(-document.rounding_minor))
    return rows + paper.pair(paper.word("due"), format_money(document.total_minor), is_double=True)


def _tender(paper: _Paper, tender: Tender, names: ReceiptNames) -> list[ReceiptRow]:
    name = names.tenders.get(tender.means) or paper.word(tender.means)
    if tender.state == "unknown":
        name = f"{name} ({paper.word('unknown')})"
    rows = paper.pair(name, format_money(tender.amount_minor))
    if tender.given_minor > tender.amount_minor:
        rows += paper.pair(f"{paper.word('given')}", format_money(tender.given_minor))
        rows += paper.pair(f"{paper.word('change')}", format_money(tender.given_minor - tender.amount_minor))
    return rows


def _member(paper: _Paper, names: ReceiptNames) -> list[ReceiptRow]:
    if not names.member:
        return []
    rows = paper.pair(paper.word("member"), names.member)
    for word, points in (("points-earned", names.points_earned), ("points", names.points)):
        if points is not None:
            rows += paper.pair(paper.word(word), str(points))
    if names.balance_minor is not None:
        rows += paper.pair(paper.word("balance"), format_money(names.balance_minor))
    return rows


def _tax(paper: _Paper, lines: Sequence[SaleLine] | Sequence[RefundLine]) -> list[ReceiptRow]:
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


def to_text(rows: Iterable[ReceiptRow], columns: int) -> list[str]:
    """Render rows as lines of text for a preview; every line fits `columns`, and codes are shown by their content."""
    lines: list[str] = []
    for row in rows:
        match row.kind:
            case RowKind.RULE:
                lines.append("-" * columns)
            case RowKind.CUT:
                lines.append("=" * columns)
            case RowKind.COLUMNS:
                lines.append("".join(pad(cell.text, cell.width, is_right=cell.is_right) for cell in row.cells).rstrip())
            case RowKind.BARCODE | RowKind.QR:
                captions = [row.left] if row.left else []
                shown = wrap(f"[{'QR' if row.kind is RowKind.QR else '|||'} {row.data}]", columns)
                lines += [_centred(text, columns) for text in (*captions, *shown)]
            case RowKind.TEXT:
                if row.is_centred:
                    lines.append(_centred(row.left, columns))
                else:
                    gap = columns - display_width(row.left)
                    lines.append((row.left + pad(row.right, gap, is_right=True) if row.right else row.left).rstrip())
    return lines


def _centred(text: str, columns: int) -> str:
    return " " * ((columns - display_width(text)) // 2) + text
