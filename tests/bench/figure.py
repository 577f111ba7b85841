"""One measured figure, as the table of `make bench` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure: `met` compares it with its reach; None where it is only reported."""

    figure: str
    value: float
    unit: str
    reach: str
    met: bool | None
    note: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so many of all do not exceed (0.99: all but the worst hundredth)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
