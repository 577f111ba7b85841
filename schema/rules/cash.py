"""Owns what a cashier does with notes and coins: amounts to offer as keys, change to hand out, a drawer to count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from schema.amounts import AMOUNT_MAX, Minor
from schema.rules.rounding import Rounding, round_to_step

DENOMINATIONS: Final = (10_000, 5_000, 2_000, 1_000, 500, 100, 50, 10)
"""The notes and coins of the renminbi that shops handle, in 分: from 100 元 to 1 角."""
_NOTES: Final = (100, 500, 1_000, 2_000, 5_000, 10_000)
QUICK_MAX: Final = 6


def quick_amounts(due_minor: int, keys_max: int = QUICK_MAX) -> tuple[Minor, ...]:
    """Return what a customer is likely to hand over, rising: the exact amount first, then the next round ones.

    Each is the amount rounded up to what can be put together from one note more: the next 元, 5, 10, 20, 50, 100.
    Nothing is offered for an amount of zero or less.
    """
    if due_minor <= 0:
        return ()
    amounts = {due_minor} | {round_to_step(due_minor, note, Rounding.CEILING) for note in _NOTES}
    return tuple(Minor(amount) for amount in sorted(amounts)[:keys_max])


class Pieces(NamedTuple):
    """So many notes or coins of one denomination."""

    denomination_minor: int
    number: int


class ChangePlan(NamedTuple):
    """How to hand an amount out; `rest_minor` is what the denominations cannot make up."""

    pieces: tuple[Pieces, ...]
    rest_minor: Minor


def make_change(
    amount_minor: int,
    denominations: Sequence[int] = DENOMINATIONS,
    available: Mapping[int, int] | None = None,
) -> ChangePlan:
    """Split an amount into notes and coins, the largest first; `available` says how many the drawer has.

    For the renminbi's denominations the largest first is also the fewest pieces while none runs out. With a drawer
    that lacks some, an amount is made up exactly wherever that is possible. Raises ValueError for an amount below
    zero.
    """
    if amount_minor < 0:
        raise ValueError("change is not negative")
    order = sorted({each for each in denominations if each > 0}, reverse=True)
    have = [AMOUNT_MAX if available is None else max(0, available.get(each, 0)) for each in order]
    smallest_first: dict[tuple[int, int], bool] = {}

    def can_make(place: int, rest: int) -> tuple[int, ...] | None:
        """Return counts from a place on that make up the rest exactly, more of the larger ones first."""
        if rest == 0:
            return (0,) * (len(order) - place)
        if place == len(order) or (place, rest) in smallest_first:
            return None
        for count in range(min(have[place], rest // order[place]), -1, -1):
            if rest - count * order[place] > sum(
                o * h for o, h in zip(order[place + 1 :], have[place + 1 :], strict=True)
            ):
                break
            further = can_make(place + 1, rest - count * order[place])
            if further is not None:
                return (count, *further)
        smallest_first[place, rest] = False
        return None

    step = order[-1] if order else 1
    whole = amount_minor - amount_minor % step
    exact = can_make(0, whole)
    if exact is None:  # The drawer lacks something: hand out what it has, and name the rest.
        exact, rest = (), whole
        for each, count in zip(order, have, strict=True):
            taken = min(count, rest // each)
            exact, rest = (*exact, taken), rest - taken * each
    pieces = tuple(Pieces(each, count) for each, count in zip(order, exact, strict=True) if count)
    return ChangePlan(pieces, Minor(amount_minor - sum(each * count for each, count in pieces)))


class CountedCash(msgspec.Struct, frozen=True):
    """A blind count: pieces by denomination, largest first, and what they come to."""

    denominations: tuple[tuple[int, int], ...]
    total_minor: Minor

    def variance_minor(self, expected_minor: int) -> Minor:
        """Return counted less expected: negative when cash is missing."""
        return Minor(self.total_minor - expected_minor)


def count_cash(pieces: Iterable[tuple[int, int]], denominations: Sequence[int] = DENOMINATIONS) -> CountedCash:
    """Add up what was counted, in (denomination, pieces) pairs as a shift's close records them.

    A denomination that is counted twice (the drawer, then the safe) adds up. Raises ValueError for one that does not
    exist and for a negative number of pieces.
    """
    counts: dict[int, int] = {}
    for denomination, count in pieces:
        if denomination not in denominations:
            raise ValueError(f"there is no note or coin of {denomination}")
        if count < 0:
            raise ValueError("a number of pieces is not negative")
        counts[denomination] = counts.get(denomination, 0) + count
    kept = tuple(sorted(((each, count) for each, count in counts.items() if count), reverse=True))
    return CountedCash(kept, Minor(sum(each * count for each, count in kept)))
