"""Nothing is lost or invented when an amount is split over lines or given back in parts."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.rules.allocation import allocate, largest_remainder, refund_share

WEIGHTS = st.lists(st.integers(0, 10**7), min_size=1, max_size=40)


@given(st.integers(-(10**9), 10**9), WEIGHTS)
def test_shares_sum_to_the_amount_whatever_its_sign(total: int, weights: list[int]) -> None:
    shares = allocate(total, weights)
    assert sum(shares) == total
    assert shares == [-share for share in allocate(-total, weights)]


@given(st.integers(0, 10**9), WEIGHTS.filter(any))
def test_no_share_is_a_whole_unit_off_and_weight_zero_gets_nothing(total: int, weights: list[int]) -> None:
    for share, weight in zip(allocate(total, weights), weights, strict=True):
        assert abs(share - Fraction(total * weight, sum(weights))) < 1
        assert weight or not share


@given(WEIGHTS.filter(any), st.data())
def test_a_discount_within_the_basket_never_makes_a_line_negative(weights: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    assert all(0 <= share <= weight for share, weight in zip(allocate(total, weights), weights, strict=True))


def test_ties_go_to_the_larger_and_then_to_the_earlier_line() -> None:
    assert allocate(1, [5, 5, 5]) == [1, 0, 0]
    assert allocate(2, [5, 5, 5]) == [1, 1, 0]
    assert allocate(5, [1, 3]) == [1, 4]  # 1.25 and 3.75
    assert allocate(2, [1, 3]) == [0, 2]  # 0.5 and 1.5: the larger line takes the tie
    assert allocate(100, [333, 333, 334]) == [33, 33, 34]
    assert allocate(9, [350, 1280, 499]) == [2, 5, 2]


def test_free_lines_share_equally_when_nothing_else_can_carry_the_amount() -> None:
    assert allocate(5, [0, 0, 0]) == [2, 2, 1]
    assert allocate(0, []) == []


def test_an_amount_without_lines_or_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="no line"):
        allocate(1, [])
    with pytest.raises(ValueError, match="never negative"):
        allocate(1, [2, -1])
    with pytest.raises(ValueError, match="no rounding"):
        largest_remainder([1, 1], 2, 3)
    with pytest.raises(ValueError, match="positive"):
        largest_remainder([1], 0, 1)


@given(
    st.integers(-(10**7), 10**7),
    st.lists(st.integers(1, 5000), min_size=1, max_size=12),
)
def test_returns_of_all_pieces_sum_exactly_to_what_was_allocated(allocated: int, parts: list[int]) -> None:
    quantity, before, given_back = sum(parts), 0, 0
    for part in parts:
        share = refund_share(allocated, quantity, before, part)
        assert share == 0 or (share > 0) == (allocated > 0)
        given_back += share
        before += part
    assert given_back == allocated


def test_three_pieces_for_ten_yuan_come_back_as_ten_yuan() -> None:
    assert [refund_share(1000, 3000, before, 1000) for before in (0, 1000, 2000)] == [333, 334, 333]


def test_more_than_was_sold_never_comes_back() -> None:
    with pytest.raises(ValueError, match="more would come back"):
        refund_share(1000, 3000, 2000, 2000)
    with pytest.raises(ValueError, match="positive"):
        refund_share(1000, 0, 0, 0)
