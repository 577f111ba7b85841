"""A payment card's number never enters a note, and the refusal does not repeat it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import RefusalError
from schema.rules.barcodes import check_digit
from schema.rules.card_numbers import holds_card_number, looks_like_card_number, passes_luhn, refuse_card_number

# Numbers that the card schemes publish for tests; no account stands behind them.
TEST_CARDS = (
    "6200000000000005", "8171999927660000", "4111111111111111", "4222222222222", "5555555555554444",
    "2223003122003222", "378282246310005", "341111111111111", "3530111333300000", "6011111111111117",
    "6500000000000002", "6440000000000005",
)  # fmt: skip


def none(_: str) -> bool:
    return False


@pytest.mark.parametrize("number", TEST_CARDS)
def test_a_card_number_is_refused_however_it_is_grouped_and_never_repeated(number: str) -> None:
    grouped = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    wide = number.translate({ord("0") + n: ord("０") + n for n in range(10)})
    for text in (number, f"卡号{number}。", grouped, grouped.replace(" ", "-"), wide, f"pay {grouped} ok"):
        with pytest.raises(RefusalError) as refused:
            refuse_card_number(text, none)
        assert refused.value.code == "text.card_number"
        assert not any(digit in str(refused.value) for digit in "0123456789")


@given(st.text(alphabet=st.characters(exclude_categories=["Nd"]), max_size=60))
def test_text_without_digits_is_kept_as_it_is(text: str) -> None:
    assert refuse_card_number(text, none) == text


@given(st.sampled_from(TEST_CARDS), st.data())
def test_one_wrong_digit_is_no_card_number(number: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(4, len(number) - 1))
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != number[place]]))
    assert not passes_luhn(number[:place] + other + number[place + 1 :])


def test_a_known_barcode_is_kept_even_where_its_digits_would_pass_for_a_card() -> None:
    code = next(
        body + check_digit(body)
        for body in (f"40000000{n:04d}" for n in range(10_000))
        if looks_like_card_number(body + check_digit(body))
    )
    assert holds_card_number(f"goods {code}", none)
    assert refuse_card_number(f"goods {code}", {code}.__contains__) == f"goods {code}"


@pytest.mark.parametrize(
    "text",
    ["", "13812345678", "6901234567892", "2026-11-22 12:30:15", "411111111111111", "41111111111111111111",
     "9111111111111111", "A1-1-000123"],
)  # fmt: skip
def test_telephone_numbers_barcodes_and_longer_runs_are_no_card_numbers(text: str) -> None:
    assert not holds_card_number(text, none)
