"""What a kind of fault is to the register: a name, how many are to be met, and a run of one seed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

NEVER: Final = float("inf")
"""The end of a run that is not to be cut short: a replay of one seed."""


@dataclass
class Tally:
    """What one run met: how many faults, and what else is worth telling of them."""

    count: int = 0
    facts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    `run(seed, until)` meets the faults that one seed draws and returns their tally. It ends early when the monotonic
    clock passes `until`; the order of what it does depends on the seed alone, so that a replay meets the same ones
    first. It raises AssertionError where anything was lost, doubled, invented or shown wrong.
    """

    name: str
    unit: str
    reach: int
    run: Callable[[int, float], Tally]
    claim: str
    """What holds when nothing failed, for the table."""
    is_most: bool = False
    """The reach is the most that may be found, not the least that is to be met."""


def is_over(until: float) -> bool:
    """Tell whether a run's time has passed."""
    return time.monotonic() >= until
