"""Tax comes out of prices that include it, and lines, classes and receipt always agree."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.amounts import Minor
from schema.rules.tax import (
    PPM,
    AppliedRate,
    LevyRate,
    SellerKind,
    SellerTax,
    TaxableLine,
    TaxClass,
    TaxMethod,
    applied_rate,
    included_tax,
    levy_rate_on,
    receipt_tax,
)

ODOO = Path(__file__).parents[2].parent / "shared" / "vectors" / "rounding"
GENERAL = SellerTax(SellerKind.GENERAL)
SMALL = SellerTax(SellerKind.SMALL_SCALE)
DAY = datetime.date(2024, 6, 11)
LINES = st.lists(
    st.builds(TaxableLine, st.sampled_from(TaxClass), st.integers(-(10**6), 10**7).map(Minor)), max_size=30
)


@pytest.mark.parametrize(
    ("gross", "rate_ppm", "tax"),
    [
        (11300, 130_000, 1300),
        (1000, 130_000, 115),  # 115.04
        (109, 90_000, 9),
        (500, 90_000, 41),  # 41.28
        (530, 60_000, 30),
        (1, 130_000, 0),
        (5050, 10_000, 50),
        (5151, 10_000, 51),
        (-11300, 130_000, -1300),
        (1234, 0, 0),
    ],
)
def test_the_tax_inside_a_price_is_the_rate_over_one_plus_the_rate(gross: int, rate_ppm: int, tax: int) -> None:
    assert included_tax(gross, rate_ppm) == tax


def _minor(value: Any, precision: Any) -> int:
    exact = Decimal(str(value)) / Decimal(str(precision))
    assert exact == exact.to_integral_value()
    return int(exact)


@pytest.mark.shared
def test_single_included_taxes_rounded_per_line_agree_with_odoo() -> None:
    if not ODOO.exists():
        pytest.skip("needs the published tax cases")
    checked = 0
    for case in json.loads((ODOO / "odoo_tax_computation.json").read_text())["cases"]:
        rated = [tax for tax in case["taxes"] if tax.get("amount")]
        applicable = (
            len(rated) == 1
            and all(t.get("price_include_override") == "tax_included" and t["kind"] == "percent" for t in case["taxes"])
            and case["args"].get("rounding_method") == "round_per_line"
        )
        if not applicable:
            continue
        precision = case["args"].get("precision_rounding", 0.01)
        gross = _minor(case["price_unit"], precision)
        tax = included_tax(gross, int(Decimal(str(rated[0]["amount"])) * 10_000))
        assert tax == _minor(case["expected"]["taxes_data"][0][1], precision), case
        assert gross - tax == _minor(case["expected"]["total_excluded"], precision), case
        checked += 1
    assert checked >= 8


@pytest.mark.shared
def test_single_included_taxes_rounded_over_the_receipt_agree_with_odoo() -> None:
    if not ODOO.exists():
        pytest.skip("needs the published tax cases")
    checked = 0
    for case in json.loads((ODOO / "odoo_tax_totals_summary.json").read_text())["cases"]:
        document = case["document"]
        taxes = [line.get("tax_ids", []) for line in document["lines"]]
        applicable = all(
            len(each) == 1 and each[0]["kind"] == "percent" and each[0].get("price_include_override") == "tax_included"
            for each in taxes
        )
        if not applicable or document["rounding_method"] != "round_globally" or document["cash_rounding"]:
            continue
        expected = case["expected"]
        gross = _minor(expected["total_amount_currency"], "0.01")
        tax = included_tax(gross, int(Decimal(str(taxes[0][0]["amount"])) * 10_000))
        assert tax == _minor(expected["tax_amount_currency"], "0.01"), case
        checked += 1
    assert checked >= 3


@given(LINES, st.sampled_from([GENERAL, SMALL]), st.sampled_from(TaxMethod))
def test_line_class_and_receipt_totals_agree_under_either_method(
    lines: list[TaxableLine], seller: SellerTax, method: TaxMethod
) -> None:
    tax = receipt_tax(lines, seller, DAY, method)
    assert len(tax.lines) == len(lines)
    assert sum(line.tax_minor for line in tax.lines) == sum(c.tax_minor for c in tax.classes) == tax.tax_minor
    assert sum(line.gross_minor for line in tax.lines) == tax.gross_minor == tax.net_minor + tax.tax_minor
    for line in tax.lines:
        assert line.net_minor + line.tax_minor == line.gross_minor
        exact_numerator = line.gross_minor * line.rate.rate_ppm
        assert abs(line.tax_minor * (PPM + line.rate.rate_ppm) - exact_numerator) < PPM + line.rate.rate_ppm


@given(LINES, st.sampled_from(TaxMethod))
def test_a_refund_of_the_whole_receipt_mirrors_its_tax(lines: list[TaxableLine], method: TaxMethod) -> None:
    back = [TaxableLine(line.tax_class, Minor(-line.gross_minor)) for line in lines]
    sold, refunded = receipt_tax(lines, GENERAL, DAY, method), receipt_tax(back, GENERAL, DAY, method)
    assert refunded.tax_minor == -sold.tax_minor
    if all(sum(x.gross_minor for x in lines if x.tax_class is c) for c in TaxClass):
        assert [line.tax_minor for line in refunded.lines] == [-line.tax_minor for line in sold.lines]


def test_rounding_per_receipt_takes_the_tax_of_the_total() -> None:
    lines = [TaxableLine(TaxClass.VAT13, Minor(4))] * 3  # 0.46 of a fen each, 1.38 together
    assert receipt_tax(lines, GENERAL, DAY, TaxMethod.PER_LINE).tax_minor == 0
    together = receipt_tax(lines, GENERAL, DAY, TaxMethod.PER_RECEIPT)
    assert together.tax_minor == 1
    assert [line.tax_minor for line in together.lines] == [1, 0, 0]


def test_a_mixed_receipt_is_summed_by_class() -> None:
    lines = [
        TaxableLine(TaxClass.VAT13, Minor(350)),
        TaxableLine(TaxClass.VAT9, Minor(6990)),
        TaxableLine(TaxClass.EXEMPT, Minor(480)),
        TaxableLine(TaxClass.VAT13, Minor(1280)),
    ]
    tax = receipt_tax(lines, GENERAL, DAY)
    assert [(c.tax_class, c.gross_minor, c.tax_minor) for c in tax.classes] == [
        (TaxClass.VAT13, 1630, 187),
        (TaxClass.VAT9, 6990, 577),
        (TaxClass.EXEMPT, 480, 0),
    ]
    assert tax.classes[2].rate == AppliedRate(0, True)


@pytest.mark.parametrize(
    ("day", "rate_ppm", "is_exempt"),
    [
        ("2019-12-31", 30_000, False),
        ("2020-03-01", 10_000, False),
        ("2022-03-31", 10_000, False),
        ("2022-04-01", 0, True),
        ("2023-01-01", 10_000, False),
        ("2027-12-31", 10_000, False),
        ("2028-01-01", 30_000, False),
    ],
)
def test_a_small_scale_seller_applies_the_levy_rate_of_the_day(day: str, rate_ppm: int, is_exempt: bool) -> None:
    date = datetime.date.fromisoformat(day)
    assert applied_rate(TaxClass.VAT13, SMALL, date) == AppliedRate(rate_ppm, is_exempt)
    assert applied_rate(TaxClass.VAT9, SMALL, date) == AppliedRate(rate_ppm, is_exempt)
    assert applied_rate(TaxClass.VAT13, GENERAL, date) == AppliedRate(130_000, False)
    assert applied_rate(TaxClass.EXEMPT, SMALL, date) == AppliedRate(0, True)
    assert applied_rate(TaxClass.VAT0, SMALL, date) == AppliedRate(0, False)


def test_levy_rates_are_data_and_a_day_before_all_of_them_is_refused() -> None:
    own = SellerTax(SellerKind.SMALL_SCALE, (LevyRate(datetime.date(2030, 1, 1), 20_000),))
    assert applied_rate(TaxClass.VAT6, own, datetime.date(2031, 1, 1)).rate_ppm == 20_000
    with pytest.raises(ValueError, match="no levy rate"):
        levy_rate_on(own.levy_rates, DAY)
