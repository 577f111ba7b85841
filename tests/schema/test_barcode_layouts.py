"""What a label scale prints is read back, and the flag alone picks the layout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import RefusalError
from schema.rules.barcode_layouts import (
    AMOUNT_13,
    DEFAULT_LAYOUTS,
    WEIGHT_13,
    BarcodeLayout,
    BarcodeLayouts,
    InStoreCode,
    build_in_store_code,
)
from schema.rules.barcodes import check_digit, has_right_check_digit

SHOP = BarcodeLayouts(DEFAULT_LAYOUTS)
FIVE = st.integers(0, 99_999)


@given(st.sampled_from(DEFAULT_LAYOUTS), FIVE, FIVE, FIVE)
def test_what_the_scale_prints_is_what_the_till_reads(
    layout: BarcodeLayout, article: int, grams: int, amount: int
) -> None:
    code = build_in_store_code(layout, f"{article:05d}", grams=grams, amount_minor=amount)
    assert has_right_check_digit(code)
    assert SHOP.read(code) == InStoreCode(
        layout.name,
        f"{article:05d}",
        grams if "W" in layout.pattern else None,
        amount if "A" in layout.pattern else None,
    )


def test_an_amount_label_and_a_weight_label_differ_by_their_flag_alone() -> None:
    assert SHOP.read("210012301280" + check_digit("210012301280")) == InStoreCode("amount-13", "00123", None, 1280)
    assert SHOP.read("220012301280" + check_digit("220012301280")) == InStoreCode("weight-13", "00123", 1280, None)


def test_eighteen_digits_carry_both_in_the_shops_order() -> None:
    layouts = BarcodeLayouts(
        [
            BarcodeLayout("a-w", ("25", "26"), "FFPPPPPAAAAAWWWWWC", is_check_verified=False),
            BarcodeLayout("w-a", ("27",), "FFPPPPPWWWWWAAAAAC", is_check_verified=False),
            BarcodeLayout("a-w-17", ("25",), "FFPPPPPAAAAAWWWWW"),
        ]
    )
    assert layouts.read("260012301580012340") == InStoreCode("a-w", "00123", 1234, 1580)
    assert layouts.read("270012301234015800") == InStoreCode("w-a", "00123", 1234, 1580)
    assert layouts.read("25001230158001234") == InStoreCode("a-w-17", "00123", 1234, 1580)


def test_a_misread_label_is_refused_by_name() -> None:
    good = build_in_store_code(AMOUNT_13, "00123", amount_minor=1280)
    with pytest.raises(RefusalError) as refused:
        SHOP.read(good[:-1] + str((int(good[-1]) + 1) % 10))
    assert refused.value.code == "barcode.check_digit"


@pytest.mark.parametrize("code", ["2001234567893", "21001230128", "可乐", "", "21a0123012805", "9526064055028"])
def test_other_codes_are_left_to_the_catalogue(code: str) -> None:
    assert SHOP.read(code) is None


def test_digits_that_are_not_read_are_skipped() -> None:
    layout = BarcodeLayout("six", ("2",), "FPPPPPPNWWWWC")
    code = build_in_store_code(layout, "654321", grams=987)
    assert len(code) == 13
    assert BarcodeLayouts([layout]).read(code) == InStoreCode("six", "654321", 987, None)
    assert layout.digits_of("N") == 1


@pytest.mark.parametrize(
    ("flags", "pattern"),
    [
        (("21",), "FFPPPPPC"),
        (("21",), "FFWWWWWC"),
        (("21",), "FFPPWWPPC"),
        (("2",), "FFPPPPPWWWWWC"),
        (("2x",), "FFPPPPPWWWWWC"),
        ((), "FFPPPPPWWWWWC"),
        (("21",), "PPPPPWWWWWFFC"),
        (("21",), "FFPPPPPXXXXXC"),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused(flags: tuple[str, ...], pattern: str) -> None:
    with pytest.raises(ValueError, match=r"layout|flags|carries"):
        BarcodeLayout("x", flags, pattern)


def test_one_flag_never_means_two_layouts() -> None:
    with pytest.raises(ValueError, match="picks two"):
        BarcodeLayouts([AMOUNT_13, BarcodeLayout("again", ("21",), "FFPPPPPWWWWWC")])


def test_a_package_too_heavy_for_the_layout_is_not_printed() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        build_in_store_code(WEIGHT_13, "00123", grams=100_000)
    with pytest.raises(ValueError, match="no flag"):
        build_in_store_code(WEIGHT_13, "00123", flag="29")
