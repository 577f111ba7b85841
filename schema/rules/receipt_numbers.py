"""Owns receipt numbers: till, series and number, gapless within a series and independent of any network.

A till numbers its own receipts, so two tills can never issue the same one; a restored or copied node is a new
incarnation and opens a new series, so that its numbers cannot repeat those it has forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schema.identity import is_code

NUMBER_DIGITS = 6


class ReceiptNumber(NamedTuple):
    """One receipt's number, written `A1-1-000123`; compares by till, then series, then number."""

    till: str
    series: int
    number: int

    def __str__(self) -> str:
        return f"{self.till}-{self.series}-{self.number:0{NUMBER_DIGITS}d}"

    @classmethod
    def parse(cls, text: str) -> ReceiptNumber:
        """Read `till-series-number`; raises ValueError for anything that this module would not have written."""
        till, series, number = (["", "", "", *text.strip().rsplit("-", 2)])[-3:]
        if not (is_code(till) and series.isascii() and series.isdecimal()):
            raise ValueError(f"{text!r} is no receipt number")
        if not (number.isascii() and number.isdecimal()):
            raise ValueError(f"{text!r} is no receipt number")
        parsed = cls(till, int(series), int(number))
        if parsed.series < 1 or parsed.number < 1 or str(parsed) != text.strip():
            raise ValueError(f"{text!r} is no receipt number")
        return parsed

    def following(self) -> ReceiptNumber:
        """Return the next number of the same series."""
        return self._replace(number=self.number + 1)


def first_of_series(till: str, series: int) -> ReceiptNumber:
    """Return a series' first number; raises ValueError for a till code that could not be read back."""
    if not is_code(till) or series < 1:
        raise ValueError(f"{till!r} series {series} opens no receipt numbers")
    return ReceiptNumber(till, series, 1)


def missing_numbers(numbers: Iterable[ReceiptNumber]) -> list[ReceiptNumber]:
    """List the numbers that are absent below the highest one of each series: an auditor's question."""
    seen = set(numbers)
    highest: dict[tuple[str, int], int] = {}
    for each in seen:
        key = (each.till, each.series)
        highest[key] = max(highest.get(key, 0), each.number)
    return [
        number
        for (till, series), last in sorted(highest.items())
        for number in (ReceiptNumber(till, series, n) for n in range(1, last))
        if number not in seen
    ]
