"""Reads what a cashier keyed: with a Chinese input method on, digits arrive in full width, and mistakes in any form."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from schema.amounts import AMOUNT_MAX
from schema.errors import RefusalError

_NARROW: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0x3002: 0x2E, 0xD7: 0x2A}
"""Full-width forms, and the marks that an input method puts for `.` and `*`."""
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{0,3})?|\.[0-9]{1,3}")


def plain_width(text: str) -> str:
    """Return a text with full-width letters, digits and marks in their plain form."""
    return text.translate(_NARROW)


def keyed_quantity(text: str) -> int:
    """Read a keyed quantity into thousandths; raises RefusalError `quantity_malformed` for all but plain numbers."""
    return _keyed(text, 3, "quantity_malformed", "a quantity is a number such as 2 or 0.375")


def keyed_money(text: str) -> int:
    """Read keyed money into minor units; raises RefusalError `money_malformed` for all but plain amounts."""
    return _keyed(text.strip().removeprefix("￥").removeprefix("¥"), 2, "money_malformed", "an amount is like 12.50")


def _keyed(text: str, decimals: int, code: str, message: str) -> int:
    written = plain_width(text).strip()
    if not _NUMBER.fullmatch(written):
        raise RefusalError(code, message, text=written[:20])
    whole, _, rest = written.partition(".")
    if len(rest.rstrip("0")) > decimals:
        raise RefusalError(code, message, text=written)
    value: int = int(whole or "0") * 10**decimals + int(rest.ljust(decimals, "0")[:decimals] or "0")
    assert value <= AMOUNT_MAX
    return value


class Multiplied(NamedTuple):
    """A keyed `3*6901234567892`: how much (thousandths; None where nothing was said) and of what."""

    quantity_milli: int | None
    rest: str


def split_multiplier(text: str) -> Multiplied:
    """Take a quantity before a star off; `3*` alone waits for the scan, a star elsewhere is part of a name.

    Raises RefusalError `quantity_malformed` for `1e5*`.
    """
    plain = plain_width(text).strip()
    head, star, rest = plain.partition("*")
    if not star or not head or not (head[0].isdecimal() or head[0] in ".-+"):
        return Multiplied(None, plain)
    return Multiplied(keyed_quantity(head), rest.strip())
