"""Owns the refusal of payment card numbers in free text: a note, a reason, a reference is no place to keep one.

Whoever types a card's number into a note makes every replica, backup and receipt hold it. The check runs before
anything is recorded, and neither its result nor its message repeats the digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from schema.errors import RefusalError

# Issuer ranges by their published prefixes (ISO/IEC 7812): first and last prefix, and the lengths in use.
_RANGES: Final[tuple[tuple[int, int, frozenset[int]], ...]] = (
    (62, 62, frozenset(range(16, 20))),  # UnionPay
    (81, 81, frozenset(range(16, 20))),  # UnionPay
    (4, 4, frozenset({13, 16, 19})),  # Visa
    (51, 55, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),  # Mastercard
    (34, 34, frozenset({15})),  # American Express
    (37, 37, frozenset({15})),  # American Express
    (3528, 3589, frozenset(range(16, 20))),  # JCB
    (6011, 6011, frozenset(range(16, 20))),  # Discover
    (644, 649, frozenset(range(16, 20))),  # Discover
    (65, 65, frozenset(range(16, 20))),  # Discover
)
_FULL_WIDTH: Final = str.maketrans("０１２３４５６７８９－　", "0123456789- ")
# People write card numbers in groups of digits with single blanks or hyphens between them.
_RUN: Final = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d|[ -]\d)")


def passes_luhn(digits: str) -> bool:
    """Tell whether a number's last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = sum(int(digit) for digit in digits[-1::-2])
    return (total + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])) % 10 == 0


def looks_like_card_number(digits: str) -> bool:
    """Tell whether 13 to 19 digits have an issuer's prefix, its length, and a right Luhn digit."""
    if not (digits.isascii() and digits.isdecimal()):
        return False
    has_prefix = any(
        len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last for first, last, lengths in _RANGES
    )
    return has_prefix and passes_luhn(digits)


def holds_card_number(text: str, is_known_barcode: Callable[[str], bool]) -> bool:
    """Tell whether a free text holds what is likely a payment card's number; a known barcode is none."""
    runs = (re.sub(r"[ -]", "", found[0]) for found in _RUN.finditer(text.translate(_FULL_WIDTH)))
    return any(looks_like_card_number(run) and not is_known_barcode(run) for run in runs)


def refuse_card_number(text: str, is_known_barcode: Callable[[str], bool]) -> str:
    """Return a free text as it is; raises RefusalError `text.card_number`, which does not repeat the number."""
    if holds_card_number(text, is_known_barcode):
        raise RefusalError("text.card_number", "this looks like a bank card's number: leave it out")
    return text
