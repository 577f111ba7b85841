"""Cash: keys that save typing, change that sums up, a drawer counted blind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.rules.cash import DENOMINATIONS, ChangePlan, Pieces, count_cash, make_change, quick_amounts


def test_quick_amounts_are_the_exact_one_and_the_next_round_ones() -> None:
    assert quick_amounts(1230) == (1230, 1300, 1500, 2000, 5000, 10_000)
    assert quick_amounts(10_000) == (10_000,)
    assert quick_amounts(13_750) == (13_750, 13_800, 14_000, 15_000, 20_000)
    assert quick_amounts(0) == quick_amounts(-5) == ()


@given(st.integers(1, 10**7))
def test_quick_amounts_rise_from_the_exact_one_and_always_suffice(due: int) -> None:
    amounts = quick_amounts(due)
    assert amounts[0] == due
    assert list(amounts) == sorted(set(amounts))
    assert amounts[-1] - due < 10_000


@given(st.integers(0, 10**7))
def test_change_sums_to_the_amount_but_for_what_no_coin_makes_up(amount: int) -> None:
    plan = make_change(amount)
    assert sum(p.denomination_minor * p.number for p in plan.pieces) + plan.rest_minor == amount
    assert plan.rest_minor == amount % 10


def test_change_comes_in_the_largest_notes() -> None:
    assert make_change(8760) == ChangePlan(
        (
            Pieces(5000, 1),
            Pieces(2000, 1),
            Pieces(1000, 1),
            Pieces(500, 1),
            Pieces(100, 2),
            Pieces(50, 1),
            Pieces(10, 1),
        ),
        0,  # type: ignore[arg-type]
    )


def test_a_drawer_that_lacks_a_note_gives_change_another_way_or_says_what_is_missing() -> None:
    assert make_change(6000, available={5000: 1, 2000: 3}).pieces == (Pieces(2000, 3),)
    short = make_change(6000, available={5000: 1, 500: 1})
    assert (short.pieces, short.rest_minor) == ((Pieces(5000, 1), Pieces(500, 1)), 500)
    with pytest.raises(ValueError, match="negative"):
        make_change(-1)


@given(st.dictionaries(st.sampled_from(DENOMINATIONS), st.integers(0, 6)), st.integers(0, 30_000))
def test_change_never_takes_more_than_the_drawer_has(available: dict[int, int], amount: int) -> None:
    plan = make_change(amount, available=available)
    assert all(0 < p.number <= available[p.denomination_minor] for p in plan.pieces)
    assert sum(p.denomination_minor * p.number for p in plan.pieces) + plan.rest_minor == amount
    assert plan.rest_minor >= 0


def test_a_blind_count_adds_up_and_shows_the_variance() -> None:
    counted = count_cash([(100, 3), (10_000, 2), (100, 2), (50, 0)])
    assert counted.denominations == ((10_000, 2), (100, 5))
    assert counted.total_minor == 20_500
    assert counted.variance_minor(20_600) == -100
    with pytest.raises(ValueError, match="no note"):
        count_cash([(300, 1)])
    with pytest.raises(ValueError, match="not negative"):
        count_cash([(100, -1)])
