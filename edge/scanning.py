"""Says what a scanned or typed text means at the sale: goods, a label, a coupon, a receipt, a member, or nothing known.

What the catalogue has comes first, so that no layout or rule can take an article's own number away. Payment codes
belong to the tender screen alone: here one is refused and not repeated. A scan is always a code; what is typed may
also be a part of a name.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from edge.basket import BasketLine, check_quantity
from edge.catalog import price_at, product_of, products_with
from edge.clock_source import local_time
from edge.keyed import plain_width, split_multiplier
from edge.known_catalogue import FoundProduct
from edge.node import Node
from edge.receipt_codes import is_receipt_code
from edge.search import SearchHit, hit_of, search
from edge.settings import setting
from edge.wedge import Scan
from schema.errors import RefusalError
from schema.rules.barcode_layouts import BarcodeLayout, BarcodeLayouts, InStoreCode
from schema.rules.barcodes import CodeKind, ElementString, base_unit_code, read_code, read_element_string
from schema.rules.card_numbers import looks_like_card_number
from schema.rules.promotion_terms import EVERYTHING
from schema.rules.receipt_numbers import ReceiptNumber
from schema.rules.rounding import divide
from schema.settings import TillRules

__all__ = ["interpret", "interpret_scan", "split_multiplier"]
_SYMBOLOGY: Final = re.compile(r"\][A-Za-z][0-9]")
"""What a scanner may be set to send before a code: the symbology by AIM (ISO/IEC 15424)."""
_GS1: Final = frozenset({"]C1", "]d2", "]e0", "]Q3", "]J1"})
_PHONE: Final = re.compile(r"1[3-9]\d{9}")
_PAYMENT: Final = {**{str(p): "wechat" for p in range(10, 16)}, **{str(p): "alipay" for p in range(25, 31)}}
"""First two digits of the 18 that a wallet shows; Alipay's may have 16 to 24 digits."""


class ScanWarning(NamedTuple):
    """Something to tell beside the goods: goods_expired, goods_expiring (`date`, `days`), label_differs."""

    code: str
    facts: dict[str, str]


class Found(msgspec.Struct, frozen=True):
    """Goods for the basket."""

    line: BasketLine
    warnings: tuple[ScanWarning, ...] = ()


class WeightNeeded(msgspec.Struct, frozen=True):
    """Weighed goods without a weight: put them on the scale, or key it, and set `quantity_milli` (grams)."""

    line: BasketLine
    warnings: tuple[ScanWarning, ...] = ()


class PriceNeeded(msgspec.Struct, frozen=True):
    """Goods that the catalogue knows without a price: ask for it, and set `override_minor`."""

    line: BasketLine
    warnings: tuple[ScanWarning, ...] = ()


class Candidates(msgspec.Struct, frozen=True):
    """Several goods that may be meant, the likeliest first: let the cashier choose."""

    hits: tuple[SearchHit, ...]
    quantity_milli: int | None = None


class Unknown(msgspec.Struct, frozen=True):
    """A code that nothing here has: ask a price for `line`, which becomes a product draft for the hub.

    `is_misread`: its check digit does not fit, so it is to be scanned again first. Where it was sold here before, the
    line has the name that was keyed then, and `last_minor` the price.
    """

    code: str
    line: BasketLine
    is_misread: bool = False
    last_minor: int | None = None


class NothingFound(msgspec.Struct, frozen=True):
    """A typed text that no product's name, code or barcode has."""

    text: str


class QuantityKeyed(msgspec.Struct, frozen=True):
    """`3*` alone: the next goods are so many."""

    quantity_milli: int


class ReceiptFound(msgspec.Struct, frozen=True):
    """A receipt's number or its signed code: open the refund with it."""

    text: str


class CouponFound(msgspec.Struct, frozen=True):
    """A coupon of a promotion; `name` is the promotion's."""

    code: str
    name: str


class PhoneTyped(msgspec.Struct, frozen=True):
    """A mobile number: look the member up."""

    phone: str


Interpretation = (
    Found | WeightNeeded | PriceNeeded | Candidates | Unknown | NothingFound | QuantityKeyed | ReceiptFound
    | CouponFound | PhoneTyped
)  # fmt: skip


class PaymentCode(NamedTuple):
    """Whose wallet shows this code; the code itself goes to the payment service and is kept nowhere."""

    means: str


def read_payment_code(text: str) -> PaymentCode | None:
    """Tell whether a scan at the tender screen is a wallet's payment code; None for anything else."""
    code = plain_width(text).strip()
    if not (code.isascii() and code.isdecimal()):
        return None
    means = _PAYMENT.get(code[:2])
    if means is None or not (len(code) == 18 or (means == "alipay" and 16 <= len(code) <= 24)):
        return None
    return PaymentCode(means)


def interpret(node: Node, text: str, *, quantity_milli: int | None = None, is_scan: bool) -> Interpretation:
    """Say what a text means; `quantity_milli` was keyed before it (None: nothing was said, so it is one).

    Raises RefusalError: a malformed quantity or one that the goods cannot have, `barcode.check_digit` for a misread
    label, `label_unknown`, `payment_code_early`, `text.card_number`, `text_empty`.
    """
    code = _bare(text)
    if not is_scan:
        multiplied = split_multiplier(code)
        if multiplied.quantity_milli is not None:
            quantity_milli, code = multiplied.quantity_milli, multiplied.rest
            if not code:
                check_quantity(_MULTIPLE, quantity_milli)
                return QuantityKeyed(quantity_milli)
    if not code:
        raise RefusalError("text_empty", "nothing was read: scan or type again")
    return (
        _goods(node, code, quantity_milli)
        or _label(node, code)
        or _element_string(node, code, quantity_milli)
        or _paper(node, code)
        or _other(node, code, quantity_milli, is_scan)
    )


def interpret_scan(node: Node, typed: str, scan: Scan) -> tuple[Interpretation, str]:
    """Say what a scan behind typed text means, and which of that text stays typed.

    The text may multiply (`3*`), or be the first part of the code on a machine that stalled within it. Where neither
    makes anything known of it, but the scan alone is known, a number was keyed for something else and stays; a name
    that was being sought is given up.
    Raises RefusalError as `interpret`.
    """
    if not typed.strip():
        return interpret(node, scan.full, is_scan=True), ""
    multiplied = split_multiplier(typed + scan.text)
    if multiplied.rest == scan.text:
        return interpret(node, scan.full, quantity_milli=multiplied.quantity_milli, is_scan=True), ""
    refusal: RefusalError | None = None
    try:
        together = interpret(node, multiplied.rest, quantity_milli=multiplied.quantity_milli, is_scan=True)
        if not isinstance(together, Unknown | NothingFound):
            return together, ""
    except RefusalError as error:
        refusal = error
    alone = interpret(node, scan.full, is_scan=True)
    if not isinstance(alone, Unknown | NothingFound):
        return alone, typed if plain_width(typed).strip().replace(".", "", 1).isdecimal() else ""
    if refusal is not None:
        raise refusal
    return together, ""


_MULTIPLE: Final = BasketLine("", "", is_weighed=True)


def _bare(text: str) -> str:
    """Take what a scanner and an input method put around a code away; GS1 strings keep their marks and separators."""
    code = plain_width(text).strip(" \t\r\n")
    if not _SYMBOLOGY.match(code) or (code[:3] in _GS1 and code[3:7].lower() != "http"):
        return code
    return code[3:]


# Goods that the catalogue has.


def line_of(found: FoundProduct, *, quantity_milli: int = 1000, barcode: str = "") -> BasketLine:
    """Return a basket's line for a product in one of its selling units."""
    product = found.product
    factor = product.factor_milli(found.unit)
    return BasketLine(
        product=product.code,
        name=f"{product.name} {product.spec}".strip(),
        unit=found.unit,
        unit_name=found.unit or product.unit_name,
        factor_milli=1000 if factor is None else factor,
        quantity_milli=quantity_milli,
        category=product.category,
        tax_class=product.tax_class,
        is_weighed=product.is_weighed and found.unit in {"", product.unit},
        barcode=barcode,
    )


def pick(node: Node, code: str, *, unit: str = "", quantity_milli: int | None = None) -> Interpretation:
    """Return the line of a product that the cashier chose from a list, in its base unit or another one.

    Raises RefusalError `product_unknown` or `unit_unknown`.
    """
    found = product_of(node, code, unit)
    if found is None:
        raise RefusalError("product_unknown", f"{code} is not in the catalogue", product=code)
    if found.product.factor_milli(unit) is None:
        raise RefusalError("unit_unknown", f"{found.product.name} is not sold by {unit}", name=found.product.name,
                           unit=unit)  # fmt: skip
    return _ready(node, found, quantity_milli, "")


def _goods(node: Node, code: str, quantity_milli: int | None) -> Interpretation | None:
    found = product_of(node, code) or (product_of(node, code.upper()) if code.isascii() else None)
    if found is not None:
        return _ready(node, found, quantity_milli, "")
    known = dict(products_with(node, code)) if code.isascii() else {}
    if not known:
        return None
    if len(known) > 1:
        moment_ms = node.now_ms()
        hits = (hit_of(node, product, moment_ms) for product in known)
        return Candidates(tuple(hit for hit in hits if hit is not None), quantity_milli)
    return _ready(node, next(iter(known.values())), quantity_milli, read_code(code).canonical)


def _ready(
    node: Node, found: FoundProduct, quantity_milli: int | None, barcode: str, warnings: Sequence[ScanWarning] = (),
    **marks: str,
) -> Interpretation:  # fmt: skip
    line = msgspec.structs.replace(line_of(found, barcode=barcode), **marks)
    if quantity_milli is not None:
        check_quantity(line, quantity_milli)
        line = msgspec.structs.replace(line, quantity_milli=quantity_milli)
    told = tuple(warnings)
    if price_at(found, found.unit, node.now_ms()) is None:
        return PriceNeeded(line, told)
    if line.is_weighed and quantity_milli is None:
        return WeightNeeded(line, told)
    return Found(line, told)


# Labels of scales.


@lru_cache(maxsize=8)
def _layouts(layouts: tuple[BarcodeLayout, ...]) -> BarcodeLayouts:
    return BarcodeLayouts(layouts)


def _label(node: Node, code: str) -> Interpretation | None:
    if not code.isdecimal():
        return None
    read = _layouts(setting(node, TillRules).layouts).read(code)
    if read is None:
        return None
    found = _by_article(node, read.article)
    if found is None:
        raise RefusalError("label_unknown", f"no product has the scale's number {read.article}: key the goods in",
                           article=read.article)  # fmt: skip
    return _labelled(node, found, read)


def _by_article(node: Node, article: str) -> FoundProduct | None:
    rows = node.connection.execute(
        "SELECT product FROM product_index WHERE article = ? AND article <> '' ORDER BY product", (article.lstrip("0"),)
    ).fetchall()
    return product_of(node, rows[0][0]) if rows else product_of(node, article) or product_of(node, article.lstrip("0"))


def _labelled(node: Node, found: FoundProduct, read: InStoreCode) -> Interpretation:
    """A printed amount wins over weight × price; without a printed weight it follows from amount and price."""
    price = price_at(found, found.unit, node.now_ms())
    grams, amount = read.grams, read.amount_minor
    line = line_of(found, barcode="")
    if grams is None:
        assert amount is not None, "a layout has weight or amount"
        is_derivable = line.is_weighed and price is not None and price.price_minor > 0
        grams = divide(amount * price.per.milli, price.price_minor) if price is not None and is_derivable else 1000
    if grams <= 0 or (amount is not None and amount <= 0):
        raise RefusalError("label_empty", "the label says nothing was weighed: weigh the goods again")
    quantity = grams if line.is_weighed else 1000
    line = msgspec.structs.replace(line, quantity_milli=quantity, label_amount_minor=amount)
    check_quantity(line, quantity)
    if price is None and amount is None:
        return PriceNeeded(line)
    return Found(line)


# GS1 element strings and digital links.


def _element_string(node: Node, code: str, quantity_milli: int | None) -> Interpretation | None:
    read = read_element_string(code)
    if read is None:
        return None
    known = dict(products_with(node, read.code))
    marks = {"lot": read.lot or "", "serial": read.serial or ""}
    expiry = read.expiry or read.best_before
    if expiry is not None:
        marks["expiry"] = expiry.isoformat()
    if not known:
        return _unknown(node, read.code, quantity_milli, marks)
    found = next(iter(known.values()))
    if read.net_weight_milli is not None and found.product.is_weighed:
        quantity_milli = read.net_weight_milli
    ready = _ready(node, found, quantity_milli, read.code, _expiry_warnings(node, read), **marks)
    is_priced = read.amount_minor is not None and not isinstance(ready, WeightNeeded)
    if is_priced and isinstance(ready, Found | PriceNeeded):
        line = msgspec.structs.replace(ready.line, label_amount_minor=read.amount_minor)
        return Found(line, ready.warnings)
    return ready


def _expiry_warnings(node: Node, read: ElementString) -> tuple[ScanWarning, ...]:
    """Warn of goods past their day; the day itself is the last on which they are good."""
    expiry = read.expiry or read.best_before
    if expiry is None:
        return ()
    today = local_time(node.now_ms(), node.config.time_zone).date()
    days = (expiry - today) // datetime.timedelta(days=1)
    facts = {"date": expiry.isoformat(), "days": str(days)}
    if days < 0:
        return (ScanWarning("goods_expired", facts),)
    return (ScanWarning("goods_expiring", facts),) if days <= setting(node, TillRules).expiry_warning_days else ()


# Paper: receipts, coupons, payment codes.


def _paper(node: Node, code: str) -> Interpretation | None:
    if read_payment_code(code) is not None:
        raise RefusalError("payment_code_early", "this is a payment code: press pay first, then scan it")
    if is_receipt_code(code) or _is_receipt_number(code):
        return ReceiptFound(code)
    promotion = coupon_promotion(node, code)
    return None if promotion is None else CouponFound(code, promotion)


def coupon_promotion(node: Node, code: str) -> str | None:
    """Return the name of the first promotion that a coupon code is for; None for other codes."""
    node.known.refresh(node.connection)
    for promotion in node.known.promotions(node.connection):
        wanted = promotion.coupon
        is_series = wanted.endswith(EVERYTHING) and len(code) >= len(wanted) and code.startswith(wanted[:-1])
        if wanted and (wanted == code or is_series):
            return promotion.name
    return None


def _is_receipt_number(code: str) -> bool:
    try:
        ReceiptNumber.parse(code)
    except ValueError:
        return False
    return True


# Everything else.


def _other(node: Node, code: str, quantity_milli: int | None, is_scan: bool) -> Interpretation:
    if not is_scan:
        if _PHONE.fullmatch(code):
            return PhoneTyped(code)
        hits = search(node, code)
        if hits:
            return Candidates(tuple(hits), quantity_milli)
        if not (code.isascii() and any(character.isdecimal() for character in code) and " " not in code):
            return NothingFound(code)
    return _unknown(node, code, quantity_milli, {})


def _unknown(node: Node, code: str, quantity_milli: int | None, marks: dict[str, str]) -> Interpretation:
    read = read_code(code)
    if not read.is_gtin and looks_like_card_number(code):
        raise RefusalError("text.card_number", "this looks like a bank card's number: leave it out")
    inner = base_unit_code(code)
    if inner is not None and (known := dict(products_with(node, inner))):
        moment_ms = node.now_ms()
        hits = (hit_of(node, product, moment_ms) for product in known)
        return Candidates(tuple(hit for hit in hits if hit is not None), quantity_milli)
    if read.kind is CodeKind.UNREADABLE:
        return NothingFound(code)
    line = BasketLine(
        read.canonical, read.canonical, is_known=False, barcode=read.canonical, lot=marks.get("lot", ""),
        expiry=marks.get("expiry", ""), serial=marks.get("serial", ""),
    )  # fmt: skip
    if quantity_milli is not None:
        check_quantity(line, quantity_milli)
        line = msgspec.structs.replace(line, quantity_milli=quantity_milli)
    drafted = node.connection.execute(
        "SELECT name, price_minor FROM product_draft WHERE barcode = ? ORDER BY stream_no DESC, seq DESC LIMIT 1",
        (read.canonical,),
    ).fetchone()
    if drafted is None:
        return Unknown(read.canonical, line, read.kind is CodeKind.BAD_CHECK_DIGIT)
    return Unknown(read.canonical, msgspec.structs.replace(line, name=str(drafted[0])), last_minor=int(drafted[1]))
