"""Receipt numbers read back, sort, and show their gaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.rules.receipt_numbers import ReceiptNumber, first_of_series, missing_numbers

NUMBERS = st.builds(
    ReceiptNumber,
    st.from_regex(r"[A-Z][A-Za-z0-9-]{0,6}", fullmatch=True),
    st.integers(1, 400),
    st.integers(1, 12_000_000),
)


@given(NUMBERS)
def test_a_receipt_number_reads_back_as_it_was_printed(number: ReceiptNumber) -> None:
    assert ReceiptNumber.parse(str(number)) == number


def test_a_receipt_number_is_short_enough_to_read_out() -> None:
    assert str(ReceiptNumber("A1", 1, 123)) == "A1-1-000123"


@given(st.lists(NUMBERS, max_size=20))
def test_numbers_sort_by_till_series_and_number_even_beyond_six_digits(numbers: list[ReceiptNumber]) -> None:
    assert sorted(numbers) == sorted(numbers, key=lambda n: (n.till, n.series, n.number))
    assert ReceiptNumber("A1", 2, 1_000_000) > ReceiptNumber("A1", 2, 999_999)
    assert ReceiptNumber("A1", 10, 1) > ReceiptNumber("A1", 9, 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A1",
        "A1-1",
        "A1-1-",
        "A1-0-000001",
        "A1-1-000000",
        "A1-1-12",
        "A1-x-000001",
        "-1-000001",
        "A1-1-0000012",
        "A1-１-000001",
    ],
)
def test_what_no_till_prints_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no receipt number"):
        ReceiptNumber.parse(text)


def test_each_incarnation_opens_a_series_of_its_own_and_numbers_follow_without_gaps() -> None:
    first = first_of_series("A1", 1)
    assert str(first) == "A1-1-000001"
    assert first.following() == ReceiptNumber("A1", 1, 2)
    assert first_of_series("A1", 2) not in {first, first.following()}
    with pytest.raises(ValueError, match="opens no receipt numbers"):
        first_of_series("A 1", 1)


def test_an_auditor_sees_the_numbers_that_are_missing() -> None:
    kept = [ReceiptNumber("A1", 1, n) for n in (1, 2, 5)] + [ReceiptNumber("A1", 2, 1), ReceiptNumber("B1", 1, 2)]
    assert missing_numbers(kept) == [
        ReceiptNumber("A1", 1, 3),
        ReceiptNumber("A1", 1, 4),
        ReceiptNumber("B1", 1, 1),
    ]
