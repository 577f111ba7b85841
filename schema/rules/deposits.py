"""Owns what deposits (押金) and empties are on paper: which lines of a sale or refund are of them.

A deposit is charged with the goods whose bottles the customer takes along; it moves no stock, for nothing empty has
left. Empties that come back are a line with a negative quantity, priced as the deposit is, and do reach the shelf.
"""

from __future__ import annotations

from typing import Final

from schema.kinds.trading import RefundLine, SaleLine

DEPOSIT: Final = "deposit"
"""The price source of a deposit that was charged with goods."""
EMPTIES: Final = "empties"
"""The price source of empties that came back in a sale, and the reason of those in a refund."""


def is_deposit(line: SaleLine | RefundLine) -> bool:
    """Tell whether a line is a deposit that was charged with goods."""
    return isinstance(line, SaleLine) and line.price_source == DEPOSIT


def is_empties(line: SaleLine | RefundLine) -> bool:
    """Tell whether a line is of empties that came back, or of a deposit that was given back with its goods."""
    return line.price_source == EMPTIES if isinstance(line, SaleLine) else line.reason == EMPTIES
