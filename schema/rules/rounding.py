"""Owns every rounding in edgetill: the modes, integer division, line amounts and what is dropped at the till (抹零).

Money is integer minor units and quantities are integer thousandths, so a rounding is always an integer
division whose remainder must go somewhere; which way is never left to a language's default.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from schema.amounts import Minor


class Rounding(StrEnum):
    """Where the remainder of a division goes. `UP`/`DOWN` mean away from and towards zero, as in java.math."""

    HALF_UP = "half-up"
    """To the nearest; a tie away from zero (四舍五入). The default for money."""
    HALF_DOWN = "half-down"
    """To the nearest; a tie towards zero."""
    HALF_EVEN = "half-even"
    """To the nearest; a tie to the even neighbour (banker's rounding)."""
    HALF_ODD = "half-odd"
    """To the nearest; a tie to the odd neighbour."""
    HALF_CEILING = "half-ceiling"
    """To the nearest; a tie towards positive infinity."""
    HALF_FLOOR = "half-floor"
    """To the nearest; a tie towards negative infinity."""
    UP = "up"
    """Away from zero."""
    DOWN = "down"
    """Towards zero."""
    CEILING = "ceiling"
    """Towards positive infinity."""
    FLOOR = "floor"
    """Towards negative infinity."""
    EXACT = "exact"
    """No remainder may be left: raises ArithmeticError when there is one."""


def _goes_up(mode: Rounding, floor: int, twice: int, divisor: int) -> bool:
    """Tell whether a quotient with a remainder (given doubled) moves from its floor to the next integer."""
    if mode is Rounding.FLOOR:
        return False
    if mode is Rounding.CEILING:
        return True
    is_negative = floor < 0
    if mode is Rounding.UP:
        return not is_negative
    if mode is Rounding.DOWN:
        return is_negative
    if twice != divisor:
        return twice > divisor
    match mode:
        case Rounding.HALF_UP:
            return not is_negative
        case Rounding.HALF_DOWN:
            return is_negative
        case Rounding.HALF_EVEN:
            return floor % 2 == 1
        case Rounding.HALF_ODD:
            return floor % 2 == 0
        case Rounding.HALF_CEILING:
            return True
        case _:
            return False


def divide(numerator: int, denominator: int, mode: Rounding = Rounding.HALF_UP) -> int:
    """Divide two integers and round the quotient; raises ZeroDivisionError, and ArithmeticError for `EXACT`."""
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    floor, remainder = divmod(numerator, denominator)
    if remainder == 0:
        return floor
    if mode is Rounding.EXACT:
        raise ArithmeticError(f"{numerator}/{denominator} leaves a remainder")
    return floor + 1 if _goes_up(mode, floor, 2 * remainder, denominator) else floor


def scale(value: int, numerator: int, denominator: int, mode: Rounding = Rounding.HALF_UP) -> int:
    """Return value × numerator / denominator with a single rounding at the end."""
    return divide(value * numerator, denominator, mode)


def round_to_step(amount: int, step: int, mode: Rounding = Rounding.HALF_UP) -> int:
    """Round an amount to a multiple of `step`; raises ValueError unless the step is positive."""
    if step <= 0:
        raise ValueError("a rounding step is positive")
    return divide(amount, step, mode) * step


class PricePer(StrEnum):
    """What one price buys: a piece (or one of a selling unit), or a weight."""

    PIECE = "piece"
    KG = "kg"
    JIN = "500g"
    HECTOGRAM = "100g"

    @property
    def milli(self) -> int:
        """The quantity that one price buys, in thousandths of a piece or of a kilogram."""
        return _PER_MILLI[self]

    @property
    def is_by_weight(self) -> bool:
        """Tell whether the price is for a weight."""
        return self is not PricePer.PIECE


_PER_MILLI = {PricePer.PIECE: 1000, PricePer.KG: 1000, PricePer.JIN: 500, PricePer.HECTOGRAM: 100}


def line_amount(
    price_minor: int, quantity_milli: int, per: PricePer = PricePer.PIECE, mode: Rounding = Rounding.HALF_UP
) -> Minor:
    """Return price × quantity in minor units.

    The quantity is in thousandths of the selling unit for piece prices (two cases are 2,000), in grams for
    prices by weight. A negative quantity gives the negative of the sale's amount for symmetric modes.
    """
    return Minor(divide(price_minor * quantity_milli, _PER_MILLI[per], mode))


class CashStep(StrEnum):
    """The smallest amount that is collected in cash."""

    FEN = "fen"
    JIAO = "jiao"
    YUAN = "yuan"

    @property
    def minor(self) -> int:
        """The step in minor units: 1, 10 or 100."""
        return {CashStep.FEN: 1, CashStep.JIAO: 10, CashStep.YUAN: 100}[self]


class CashRounding(NamedTuple):
    """How a shop rounds what is due in cash (抹零); `DOWN` favours the customer and never asks for more."""

    step: CashStep = CashStep.JIAO
    mode: Rounding = Rounding.DOWN


class CashDue(NamedTuple):
    """An amount due in cash: `due_minor` is collected, `dropped_minor` given away (negative when rounded up)."""

    due_minor: Minor
    dropped_minor: Minor


def round_cash(amount_minor: int, rounding: CashRounding) -> CashDue:
    """Round an amount due to the shop's cash step; due + dropped is always the amount."""
    due = round_to_step(amount_minor, rounding.step.minor, rounding.mode)
    return CashDue(Minor(due), Minor(amount_minor - due))
