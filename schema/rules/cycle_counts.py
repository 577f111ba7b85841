"""Owns which goods are counted next without anybody planning it (ABC cycle counts), and which counts ask for a second.

Classes follow the usual Pareto shares of turnover: the goods that make the first four fifths are A, those up to
nineteen twentieths B, the rest C. Integers only; equal input gives equal output, whatever its order.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

PPM: Final = 1_000_000
A_SHARE_PPM: Final = 800_000
B_SHARE_PPM: Final = 950_000
NEVER_DAYS: Final = 365
"""What was never counted, or longer ago than this, is as overdue as after this many days."""


class Grade(StrEnum):
    """The class of a product by its share of what the goods moved are worth."""

    A = "A"
    B = "B"
    C = "C"


class Moved(NamedTuple):
    """What is known of a product: the worth of 1,000 thousandths, what left the shelf, and how long ago it was counted.

    `value_minor` is in minor units, `moved_milli` in thousandths of the base unit and positive; `days` is None where
    it was never counted.
    """

    product: str
    value_minor: int
    moved_milli: int
    days: int | None


class Proposed(NamedTuple):
    """A product that should be counted: its class, days since the last count (None: never), and how urgent it is."""

    product: str
    grade: Grade
    days: int | None
    score: int


def propose_counts(goods: Iterable[Moved], limit: int) -> list[Proposed]:
    """Return the goods to be counted next: value × movement × time since the last count, the most urgent first.

    What neither moved nor is worth anything is still due some day: its turnover is taken as one minor unit. What was
    counted today is not proposed.
    """
    turnover = {one.product: (turnover_minor(one), one.days) for one in goods}
    grades = grade({product: worth for product, (worth, _) in turnover.items()})
    found = [
        Proposed(product, grades[product], days, (worth + 1) * (NEVER_DAYS if days is None else min(days, NEVER_DAYS)))
        for product, (worth, days) in turnover.items()
    ]
    due = sorted((one for one in found if one.score > 0), key=lambda one: (-one.score, one.product))
    return due[: max(0, limit)]


def turnover_minor(goods: Moved) -> int:
    """Return what the moved quantity is worth in minor units, rounded down."""
    return max(0, goods.value_minor) * max(0, goods.moved_milli) // 1000


def grade(turnover: dict[str, int]) -> dict[str, Grade]:
    """Class goods by their turnover: whose share begins below 80 % of all is A, below 95 % B, the rest C."""
    total = sum(turnover.values())
    grades: dict[str, Grade] = {}
    reached = 0
    for product, worth in sorted(turnover.items(), key=lambda item: (-item[1], item[0])):
        if worth and reached * PPM < total * A_SHARE_PPM:
            grades[product] = Grade.A
        elif worth and reached * PPM < total * B_SHARE_PPM:
            grades[product] = Grade.B
        else:
            grades[product] = Grade.C
        reached += worth
    return grades


class RecountLimits(NamedTuple):
    """Up to when one count is enough: a tolerance (thousandths of a unit, or millionths of the figure) and a value."""

    tolerance_milli: int
    tolerance_ppm: int
    value_minor: int


def needs_recount(variance_milli: int, counted_milli: int, value_minor: int | None, limits: RecountLimits) -> bool:
    """Tell whether a second person counts again: the variance is beyond the tolerance, and its value beyond the limit.

    `value_minor` is what the variance is worth, None where nobody knows: then the tolerance alone decides.
    """
    larger = max(abs(counted_milli), abs(counted_milli - variance_milli))
    tolerance = max(limits.tolerance_milli, limits.tolerance_ppm * larger // PPM)
    if abs(variance_milli) <= tolerance:
        return False
    return value_minor is None or abs(value_minor) > limits.value_minor
