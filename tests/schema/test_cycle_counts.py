"""Which goods are counted next: value × movement × time, in integers, whatever the order in which they are told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schema.rules.cycle_counts import (
    NEVER_DAYS,
    Grade,
    Moved,
    RecountLimits,
    grade,
    needs_recount,
    propose_counts,
)

GOODS = st.lists(
    st.builds(
        Moved,
        product=st.text("abcdefgh", min_size=1, max_size=4),
        value_minor=st.integers(0, 1_000_000),
        moved_milli=st.integers(0, 10_000_000),
        days=st.none() | st.integers(0, 2_000),
    ),
    unique_by=lambda one: one.product,
    max_size=30,
)
LIMITS = RecountLimits(1_000, 10_000, 5_000)


def test_what_is_worth_more_moved_more_or_waited_longer_comes_first() -> None:
    plain = Moved("plain", 500, 10_000, 10)
    rivals = {
        "worth": plain._replace(product="worth", value_minor=600),
        "moved": plain._replace(product="moved", moved_milli=12_000),
        "waited": plain._replace(product="waited", days=12),
        "never": plain._replace(product="never", days=None),
    }
    for name, rival in rivals.items():
        assert [one.product for one in propose_counts([plain, rival], 2)] == [name, "plain"]


def test_what_was_counted_today_is_not_proposed_and_what_never_moves_is_due_some_day() -> None:
    proposed = propose_counts([Moved("today", 900, 90_000, 0), Moved("dust", 0, 0, None)], 5)
    assert [(one.product, one.score) for one in proposed] == [("dust", NEVER_DAYS)]


def test_the_first_four_fifths_of_turnover_are_a() -> None:
    assert grade({"a": 70, "b": 20, "c": 6, "d": 4, "e": 0}) == {
        "a": Grade.A, "b": Grade.A, "c": Grade.B, "d": Grade.C, "e": Grade.C,
    }  # fmt: skip


@given(GOODS, st.integers(0, 40), st.randoms(use_true_random=False))
def test_proposals_are_the_most_urgent_and_the_order_of_the_goods_decides_nothing(
    goods: list[Moved], limit: int, random: object
) -> None:
    proposed = propose_counts(goods, limit)
    shuffled = list(goods)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert propose_counts(shuffled, limit) == proposed
    everything = propose_counts(goods, len(goods))
    assert proposed == everything[:limit]
    assert [one.score for one in everything] == sorted((one.score for one in everything), reverse=True)
    assert {one.product for one in goods} - {one.product for one in everything} == {
        one.product for one in goods if one.days == 0
    }


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 10**9)))
def test_no_product_of_a_lower_class_turned_over_more(turnover: dict[str, int]) -> None:
    grades = grade(turnover)
    least = {each: min((turnover[p] for p in grades if grades[p] is each), default=10**12) for each in Grade}
    most = {each: max((turnover[p] for p in grades if grades[p] is each), default=-1) for each in Grade}
    assert most[Grade.B] <= least[Grade.A]
    assert most[Grade.C] <= least[Grade.B]


def test_a_recount_needs_both_a_variance_beyond_the_tolerance_and_a_value_beyond_the_limit() -> None:
    assert not needs_recount(-1_000, 9_000, -90_000, LIMITS)  # a piece
    assert not needs_recount(-9_000, 991_000, -90_000, LIMITS)  # less than a hundredth
    assert not needs_recount(-3_000, 7_000, -5_000, LIMITS)  # worth no more than the limit
    assert needs_recount(-3_000, 7_000, -5_001, LIMITS)
    assert needs_recount(3_000, 7_000, None, LIMITS)  # nobody knows what it is worth


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**6), st.none() | st.integers(-(10**6), 10**6))
def test_a_larger_variance_of_more_value_is_never_let_be_where_a_smaller_is_counted_again(
    variance: int, counted: int, value: int | None
) -> None:
    if needs_recount(variance, counted, value, LIMITS) and variance < 0:
        further = None if value is None else (value - 1 if value < 0 else value + 1)
        assert needs_recount(variance - 1_000, counted, further, LIMITS)
