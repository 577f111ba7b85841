"""One spelling per GTIN, check digits that agree with two independent libraries, and no scan that raises."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import biip.gtin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import ean

from schema.rules.barcodes import (
    CodeKind,
    ElementString,
    TradeCode,
    base_unit_code,
    canonical_code,
    check_digit,
    gtin14,
    has_right_check_digit,
    is_restricted,
    read_code,
    read_element_string,
)

GS1 = Path(__file__).parents[2].parent / "shared" / "vectors" / "gs1"
# Facts of the GS1 syntax engine's linter `csum` (github.com/gs1/gs1-syntax-engine, Apache-2.0).
LINTER_CSUM = [
    ("123456789012345675", True),
    ("", False),
    ("12345673", False),
    ("416000336109", False),
    ("1234567890129", False),
    ("12345678901232", False),
    ("123456789012345670", False),
    (" 23456789012345675", False),
    ("12345678 012345675", False),
]
DIGITS = st.text("0123456789", min_size=7, max_size=17)


@pytest.mark.parametrize(("code", "is_right"), LINTER_CSUM)
def test_check_digits_agree_with_the_gs1_linter(code: str, is_right: bool) -> None:
    assert has_right_check_digit(code) is is_right


@given(DIGITS)
def test_check_digits_agree_with_stdnum(body: str) -> None:
    assert check_digit(body) == ean.calc_check_digit(body)


@given(st.sampled_from([7, 11, 12, 13]).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n)))
def test_every_spelling_of_a_gtin_has_the_fourteen_digits_that_biip_gives_it(body: str) -> None:
    code = body + check_digit(body)
    if not code.strip("0"):
        return
    assert gtin14(code) == biip.gtin.Gtin.parse(code).as_gtin_14()
    canonical = canonical_code(code)
    assert canonical_code(canonical) == canonical
    assert canonical_code(code.zfill(14)) == canonical


@given(DIGITS, st.integers(0, 16), st.integers(1, 9))
def test_any_single_misread_digit_is_noticed(body: str, place: int, by: int) -> None:
    code = body + check_digit(body)
    place %= len(code)
    misread = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]
    assert not has_right_check_digit(misread)


@pytest.mark.parametrize(
    ("code", "kind", "canonical"),
    [
        ("2001234567893", CodeKind.EAN13, "2001234567893"),
        (" 2001234567893\n", CodeKind.EAN13, "2001234567893"),
        ("036000291452", CodeKind.UPC_A, "0036000291452"),
        ("0036000291452", CodeKind.EAN13, "0036000291452"),
        ("00036000291452", CodeKind.PADDED, "0036000291452"),
        ("96385074", CodeKind.EAN8, "96385074"),
        ("0000096385074", CodeKind.PADDED, "96385074"),
        ("00000096385074", CodeKind.PADDED, "96385074"),
        ("12001234567890", CodeKind.GTIN14, "12001234567890"),
        ("2001234567890", CodeKind.BAD_CHECK_DIGIT, "2001234567890"),
        ("0000000000000", CodeKind.BAD_CHECK_DIGIT, "0000000000000"),
        ("1234", CodeKind.OWN, "1234"),
        ("wm39535350705043", CodeKind.OWN, "wm39535350705043"),
        ("", CodeKind.UNREADABLE, ""),
        ("可乐", CodeKind.UNREADABLE, "可乐"),
        ("12 34", CodeKind.UNREADABLE, "12 34"),
        ("1" * 33, CodeKind.UNREADABLE, "1" * 33),
    ],
)
def test_each_kind_of_code_is_recognised(code: str, kind: CodeKind, canonical: str) -> None:
    assert read_code(code) == TradeCode(kind, canonical)


@given(st.text(max_size=40))
def test_no_scan_ever_raises(text: str) -> None:
    read_code(text)
    read_element_string(text)


def test_a_case_suggests_the_bottle_inside() -> None:
    assert base_unit_code("12001234567890") == "2001234567893"
    assert base_unit_code("2001234567893") is None
    assert base_unit_code("9" + "200123456789" + check_digit("9200123456789")) is None


def test_the_shops_own_range_is_recognised() -> None:
    assert is_restricted("2001234567893")
    assert is_restricted("0212345678909")
    assert not is_restricted("4006381333931")
    assert not is_restricted("21234567")


def test_what_is_no_gtin_has_no_fourteen_digits() -> None:
    with pytest.raises(ValueError, match="no GTIN"):
        gtin14("1234")
    with pytest.raises(ValueError, match="no digits"):
        check_digit("12a")


def test_a_gs1_code_gives_goods_lot_dates_and_weight() -> None:
    read = read_element_string("]d2010952606405502817261231310300123410L7")
    assert read == ElementString(
        code="9526064055028", lot="L7", expiry=datetime.date(2026, 12, 31), net_weight_milli=1234
    )
    priced = read_element_string("]d20109526064055028152601003922" + "1099\x1d21S5")
    assert priced is not None
    assert (priced.best_before, priced.amount_minor, priced.serial) == (datetime.date(2026, 1, 31), 1099, "S5")
    linked = read_element_string("https://id.gs1.org/01/09526064055028/10/ABC123?15=250330")
    assert linked == ElementString(code="9526064055028", lot="ABC123", best_before=datetime.date(2025, 3, 30))
    assert read_element_string("2001234567893") is None
    assert read_element_string("]d20109526064055020") is None


@pytest.mark.shared
def test_every_gtin_that_biip_reads_is_read_alike() -> None:
    if not GS1.exists():
        pytest.skip("needs the published GS1 cases")
    checked = 0
    for case in json.loads((GS1 / "biip_parse_io.json").read_text())["cases"]:
        gtin = (case["result"] or {}).get("gtin") if isinstance(case["result"], dict) else None
        if isinstance(gtin, dict) and len(case["input"]) in {8, 12, 13, 14}:
            if gtin["value"].zfill(14) != case["input"].zfill(14):
                continue  # UPC-E, which no scanner in these shops is set to send.
            assert canonical_code(case["input"]).zfill(14) == gtin["value"].zfill(14)
            checked += 1
    assert checked > 3
