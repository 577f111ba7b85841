"""Roundings agree with three published libraries and never lose a minor unit."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.rules.rounding import (
    CashRounding,
    CashStep,
    PricePer,
    Rounding,
    divide,
    line_amount,
    round_cash,
    round_to_step,
    scale,
)

PUBLISHED: dict[str, Any] = json.loads((Path(__file__).parent / "published" / "rounding.json").read_text())
MONEYPHP = {
    "HALF_UP": Rounding.HALF_UP,
    "HALF_DOWN": Rounding.HALF_DOWN,
    "HALF_EVEN": Rounding.HALF_EVEN,
    "HALF_ODD": Rounding.HALF_ODD,
    "HALF_POSITIVE_INFINITY": Rounding.HALF_CEILING,
    "HALF_NEGATIVE_INFINITY": Rounding.HALF_FLOOR,
}
DINERO = {
    "halfUp": Rounding.HALF_CEILING,
    "halfDown": Rounding.HALF_FLOOR,
    "halfEven": Rounding.HALF_EVEN,
    "halfOdd": Rounding.HALF_ODD,
    "halfAwayFromZero": Rounding.HALF_UP,
    "halfTowardsZero": Rounding.HALF_DOWN,
    "up": Rounding.CEILING,
    "down": Rounding.FLOOR,
}
BRICK = {
    "Unnecessary": Rounding.EXACT,
    "Up": Rounding.UP,
    "Down": Rounding.DOWN,
    "HalfUp": Rounding.HALF_UP,
}
TO_NEAREST = [mode for mode in Rounding if mode.value.startswith("half")]


@pytest.mark.parametrize(("value", "mode", "expected"), PUBLISHED["moneyphp"]["cases"])
def test_rounding_agrees_with_moneyphp(value: str, mode: str, expected: str) -> None:
    exact = Fraction(Decimal(value))
    assert divide(exact.numerator, exact.denominator, MONEYPHP[mode]) == int(expected)


@pytest.mark.parametrize(("amount", "factor", "mode", "expected"), PUBLISHED["dinero"]["cases"])
def test_division_agrees_with_dinero(amount: int, factor: int, mode: str, expected: int) -> None:
    assert divide(amount, factor, DINERO[mode]) == expected


@pytest.mark.parametrize(("amount", "currency", "step", "mode", "expected"), PUBLISHED["brick"]["cases"])
def test_rounding_to_a_cash_step_agrees_with_brick_money(
    amount: str, currency: str, step: int, mode: str, expected: str
) -> None:
    decimals = 0 if currency == "JPY" else 2
    exact = Fraction(Decimal(amount).scaleb(decimals))
    if expected == "ContextException::class":
        assert step not in {each.minor for each in CashStep}  # Ours are fen, jiao and yuan: nothing to refuse.
        return
    if expected == "RoundingNecessaryException::class":
        with pytest.raises(ArithmeticError):
            divide(exact.numerator, exact.denominator * step, BRICK[mode])
        return
    rounded = divide(exact.numerator, exact.denominator * step, BRICK[mode]) * step
    assert rounded == int(Decimal(expected).scaleb(decimals))


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6), st.sampled_from(TO_NEAREST))
def test_rounding_to_the_nearest_is_never_more_than_half_a_unit_off(
    numerator: int, denominator: int, mode: Rounding
) -> None:
    assert abs(Fraction(numerator, denominator) - divide(numerator, denominator, mode)) <= Fraction(1, 2)


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_directed_roundings_stay_on_their_side(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert divide(numerator, denominator, Rounding.FLOOR) <= exact <= divide(numerator, denominator, Rounding.CEILING)
    assert abs(divide(numerator, denominator, Rounding.DOWN)) <= abs(exact)
    assert abs(divide(numerator, denominator, Rounding.UP)) >= abs(exact)


@given(
    st.integers(-(10**9), 10**9),
    st.integers(1, 10**4),
    st.sampled_from([Rounding.HALF_UP, Rounding.HALF_DOWN, Rounding.HALF_EVEN, Rounding.UP, Rounding.DOWN]),
)
def test_a_refund_mirrors_its_sale_under_symmetric_modes(numerator: int, denominator: int, mode: Rounding) -> None:
    assert divide(-numerator, denominator, mode) == -divide(numerator, denominator, mode)
    assert divide(numerator, -denominator, mode) == divide(-numerator, denominator, mode)


def test_price_by_weight_buys_what_its_label_says() -> None:
    assert line_amount(1280, 375, PricePer.KG) == 480  # 12.80 a kilogram
    assert line_amount(640, 375, PricePer.JIN) == 480  # 6.40 a 斤
    assert line_amount(128, 375, PricePer.HECTOGRAM) == 480  # 1.28 for 100 g
    assert line_amount(350, 3000) == 1050
    assert line_amount(999, 333, PricePer.KG) == 333  # 3.32667
    assert line_amount(1, 500, PricePer.KG) == 1
    assert line_amount(1, 500, PricePer.KG, Rounding.HALF_EVEN) == 0
    assert line_amount(-1, 500, PricePer.KG) == -1
    assert scale(1000, 85, 100) == 850


@pytest.mark.parametrize(
    ("step", "mode", "due", "dropped"),
    [
        (CashStep.FEN, Rounding.DOWN, 1279, 0),
        (CashStep.JIAO, Rounding.DOWN, 1270, 9),
        (CashStep.JIAO, Rounding.HALF_UP, 1280, -1),
        (CashStep.YUAN, Rounding.DOWN, 1200, 79),
        (CashStep.YUAN, Rounding.HALF_UP, 1300, -21),
        (CashStep.YUAN, Rounding.CEILING, 1300, -21),
    ],
)
def test_cash_is_rounded_to_the_shops_step(step: CashStep, mode: Rounding, due: int, dropped: int) -> None:
    assert round_cash(1279, CashRounding(step, mode)) == (due, dropped)


@given(st.integers(-(10**9), 10**9), st.sampled_from(CashStep), st.sampled_from(list(Rounding)[:-1]))
def test_what_is_collected_and_what_is_dropped_sum_to_what_was_due(amount: int, step: CashStep, mode: Rounding) -> None:
    cash = round_cash(amount, CashRounding(step, mode))
    assert cash.due_minor + cash.dropped_minor == amount
    assert cash.due_minor % step.minor == 0
    assert abs(cash.dropped_minor) < step.minor


def test_cash_rounding_down_is_the_default_and_asks_for_no_more() -> None:
    assert round_cash(1279, CashRounding()) == (1270, 9)


def test_a_step_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        round_to_step(10, 0)
