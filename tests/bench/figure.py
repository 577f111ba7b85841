"""One measured figure beside what it is held to."""

from __future__ import annotations

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
