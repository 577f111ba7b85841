"""Owns how one amount is split over lines, and which part of a split a partial refund gives back.

A basket discount or 抹零 belongs to no line by itself; tax, margin and refunds need it per line. The split is by
largest remainder, so that the shares always sum to the amount and no share is off by a whole minor unit.
"""

from __future__ import annotations

from collections.abc import Sequence

from schema.amounts import Minor
from schema.rules.rounding import Rounding, divide


def largest_remainder(numerators: Sequence[int], denominator: int, total: int) -> list[int]:
    """Round the exact shares numerator / denominator to integers that sum to `total`.

    Every share is its floor or its floor plus one. Larger remainders are served first, then larger
    numerators, then earlier places, so the result is the same everywhere. Raises ValueError when no such
    rounding sums to the total (it lies outside the sum of floors and the sum of ceilings).
    """
    if denominator <= 0:
        raise ValueError("the shares' denominator is positive")
    floors = [numerator // denominator for numerator in numerators]
    missing = total - sum(floors)
    open_places = [place for place, numerator in enumerate(numerators) if numerator % denominator]
    if not 0 <= missing <= len(open_places):
        raise ValueError(f"{total} is no rounding of the shares")
    open_places.sort(key=lambda place: (-(numerators[place] % denominator), -numerators[place], place))
    for place in open_places[:missing]:
        floors[place] += 1
    return floors


def allocate(total_minor: int, weights: Sequence[int]) -> list[Minor]:
    """Split an amount over lines in proportion to their weights (usually the line amounts in minor units).

    The shares sum to the amount exactly; the split of −x is the negative of the split of x; a line of weight
    zero gets nothing unless all weights are zero (then the lines share equally); while the amount is at most
    the sum of the weights, no share exceeds its weight. Raises ValueError for a negative weight (give return
    lines zero) and for an amount without lines.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("a weight is never negative")
    if not weights:
        if total_minor:
            raise ValueError("there is no line to carry the amount")
        return []
    whole = sum(weights)
    if whole == 0:
        weights, whole = [1] * len(weights), len(weights)
    sign = -1 if total_minor < 0 else 1
    shares = largest_remainder([abs(total_minor) * weight for weight in weights], whole, abs(total_minor))
    return [Minor(sign * share) for share in shares]


def refund_share(allocated_minor: int, quantity_milli: int, returned_before_milli: int, returning_milli: int) -> Minor:
    """Return the part of a line's amount that goes with the pieces now returned.

    It is the difference of two running totals, so the parts of any sequence of returns that ends with every
    piece back sum to exactly what was allocated. Quantities are positive thousandths. Raises ValueError when
    more would come back than was sold.
    """
    if quantity_milli <= 0 or returned_before_milli < 0 or returning_milli < 0:
        raise ValueError("quantities of a refund are positive")
    if returned_before_milli + returning_milli > quantity_milli:
        raise ValueError("more would come back than was sold")

    def running(returned: int) -> int:
        return divide(allocated_minor * returned, quantity_milli, Rounding.HALF_DOWN)

    return Minor(running(returned_before_milli + returning_milli) - running(returned_before_milli))
