"""Owns value-added tax: the classes of goods, the seller's kind, and how tax is taken out of prices that include it.

A general taxpayer (一般纳税人) applies the rate of the goods; a small-scale taxpayer (小规模纳税人) applies one levy
rate (征收率) to all taxable goods, and that rate has changed by announcement several times, so it is dated data.
The rate that applied is stamped into a sale when it is completed; nothing here is asked again for old sales.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from schema.amounts import Minor
from schema.rules.allocation import largest_remainder
from schema.rules.rounding import Rounding, divide

PPM = 1_000_000
"""Rates are integers in millionths: 13 % is 130,000."""


class TaxClass(StrEnum):
    """What the law says of a product, whoever sells it."""

    VAT13 = "13"
    VAT9 = "9"
    VAT6 = "6"
    VAT0 = "0"
    EXEMPT = "exempt"

    @property
    def rate_ppm(self) -> int:
        """The rate of a general taxpayer in millionths; zero for exempt goods."""
        return 0 if self is TaxClass.EXEMPT else int(self.value) * 10_000

    @property
    def is_taxable(self) -> bool:
        """Tell whether a small-scale seller's levy rate applies to the class."""
        return self.rate_ppm > 0


class SellerKind(StrEnum):
    """The seller's registration."""

    GENERAL = "general"
    SMALL_SCALE = "small-scale"


class LevyRate(msgspec.Struct, frozen=True):
    """A small-scale taxpayer's levy rate from a day on; `is_exempt` where the announcement exempted sales."""

    valid_from: datetime.date
    rate_ppm: int
    is_exempt: bool = False


LEVY_RATES: tuple[LevyRate, ...] = (
    # The Provisional Regulations on VAT, in force from 2009: 3 %.
    LevyRate(datetime.date(2009, 1, 1), 30_000),
    # Announcement 2020 No. 13 of the Ministry of Finance and the tax administration: 1 % (outside Hubei).
    LevyRate(datetime.date(2020, 3, 1), 10_000),
    # Announcement 2022 No. 15: sales at the 3 % levy rate exempt until the end of the year.
    LevyRate(datetime.date(2022, 4, 1), 0, is_exempt=True),
    # Announcements 2023 No. 1 and No. 19: 1 % until 2027-12-31.
    LevyRate(datetime.date(2023, 1, 1), 10_000),
    LevyRate(datetime.date(2028, 1, 1), 30_000),
)
"""The published levy rates, as a default for the hub's own table; a chain's accountant confirms them."""


class SellerTax(msgspec.Struct, frozen=True):
    """Who sells: the kind and, for a small-scale taxpayer, the dated levy rates."""

    kind: SellerKind
    levy_rates: tuple[LevyRate, ...] = LEVY_RATES


class AppliedRate(msgspec.Struct, frozen=True, order=True):
    """The rate that a line is stamped with."""

    rate_ppm: int
    is_exempt: bool


def levy_rate_on(rates: Sequence[LevyRate], day: datetime.date) -> LevyRate:
    """Return the levy rate in force on a day; raises ValueError before the first one."""
    current = max((rate for rate in rates if rate.valid_from <= day), key=lambda rate: rate.valid_from, default=None)
    if current is None:
        raise ValueError(f"no levy rate is known for {day.isoformat()}")
    return current


def applied_rate(tax_class: TaxClass, seller: SellerTax, day: datetime.date) -> AppliedRate:
    """Return the rate that a sale of these goods by this seller bears on a business date."""
    if tax_class is TaxClass.EXEMPT:
        return AppliedRate(0, True)
    if seller.kind is SellerKind.SMALL_SCALE and tax_class.is_taxable:
        levy = levy_rate_on(seller.levy_rates, day)
        return AppliedRate(levy.rate_ppm, levy.is_exempt)
    return AppliedRate(tax_class.rate_ppm, False)


def included_tax(gross_minor: int, rate_ppm: int, mode: Rounding = Rounding.HALF_UP) -> Minor:
    """Return the tax inside an amount that includes it: gross × rate / (1 + rate), rounded once."""
    return Minor(divide(gross_minor * rate_ppm, PPM + rate_ppm, mode))


class TaxMethod(StrEnum):
    """How the lines' tax and the receipt's tax are made to agree."""

    PER_LINE = "per-line"
    """Each line is rounded; the receipt's tax is the sum of its lines."""
    PER_RECEIPT = "per-receipt"
    """The tax of each class is rounded once over the receipt, then split over its lines by largest remainder."""


class TaxableLine(msgspec.Struct, frozen=True):
    """A line as the tax sees it: what the customer pays for it after every discount, tax included."""

    tax_class: TaxClass
    gross_minor: Minor


class LineTax(msgspec.Struct, frozen=True):
    """One line's tax; gross = net + tax."""

    tax_class: TaxClass
    rate: AppliedRate
    gross_minor: Minor
    net_minor: Minor
    tax_minor: Minor


class ClassTax(msgspec.Struct, frozen=True):
    """The totals of one tax class on a receipt; gross = net + tax."""

    tax_class: TaxClass
    rate: AppliedRate
    gross_minor: Minor
    net_minor: Minor
    tax_minor: Minor


class ReceiptTax(msgspec.Struct, frozen=True):
    """A receipt's tax: lines in their order, classes in the order of `TaxClass`, and the totals of both."""

    lines: tuple[LineTax, ...]
    classes: tuple[ClassTax, ...]
    gross_minor: Minor
    net_minor: Minor
    tax_minor: Minor


def _line_taxes(amounts: Sequence[int], rate_ppm: int, method: TaxMethod, mode: Rounding) -> list[int]:
    if method is TaxMethod.PER_LINE:
        return [included_tax(amount, rate_ppm, mode) for amount in amounts]
    if sum(amounts) < 0:  # A refund mirrors its sale to the last minor unit.
        return [-tax for tax in _line_taxes([-amount for amount in amounts], rate_ppm, method, mode)]
    total = included_tax(sum(amounts), rate_ppm, mode)
    return largest_remainder([amount * rate_ppm for amount in amounts], PPM + rate_ppm, total)


def receipt_tax(
    lines: Sequence[TaxableLine],
    seller: SellerTax,
    day: datetime.date,
    method: TaxMethod = TaxMethod.PER_LINE,
    mode: Rounding = Rounding.HALF_UP,
) -> ReceiptTax:
    """Take the tax out of a receipt's lines; line, class and receipt totals agree exactly under either method."""
    line_taxes: dict[int, LineTax] = {}
    classes: list[ClassTax] = []
    for tax_class in TaxClass:
        places = [place for place, line in enumerate(lines) if line.tax_class is tax_class]
        if not places:
            continue
        rate = applied_rate(tax_class, seller, day)
        amounts = [lines[place].gross_minor for place in places]
        taxes = _line_taxes(amounts, rate.rate_ppm, method, mode)
        for place, gross, tax in zip(places, amounts, taxes, strict=True):
            line_taxes[place] = LineTax(tax_class, rate, gross, Minor(gross - tax), Minor(tax))
        gross_total, tax_total = sum(amounts), sum(taxes)
        classes.append(ClassTax(tax_class, rate, Minor(gross_total), Minor(gross_total - tax_total), Minor(tax_total)))
    gross_sum, tax_sum = sum(c.gross_minor for c in classes), sum(c.tax_minor for c in classes)
    return ReceiptTax(
        lines=tuple(line_taxes[place] for place in range(len(lines))),
        classes=tuple(classes),
        gross_minor=Minor(gross_sum),
        net_minor=Minor(gross_sum - tax_sum),
        tax_minor=Minor(tax_sum),
    )
