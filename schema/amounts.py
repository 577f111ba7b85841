"""Money in integer minor units and quantities in integer thousandths: no float ever enters an entry."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import NewType

Minor = NewType("Minor", int)
"""Money in minor units (分 for CNY); negative for what is given back."""
Milli = NewType("Milli", int)
"""Quantity in thousandths of the product's base unit: a piece is 1,000; a kilogram is 1,000 (grams)."""

AMOUNT_MAX = 2**53 - 1
"""Larger amounts are a mistake: beyond this, other software that reads our JSON would lose digits."""


def _parse_scaled(text: str, decimals: int, what: str) -> int:
    try:
        value = Decimal(text.strip().replace(",", "").removeprefix("￥").removeprefix("¥"))
    except InvalidOperation:
        raise ValueError(f"{text!r} is no {what}") from None
    scaled = value.scaleb(decimals) if value.is_finite() else None
    if scaled is None or scaled != scaled.to_integral_value():
        raise ValueError(f"{text!r} is no {what}: at most {decimals} decimals")
    if abs(scaled) > AMOUNT_MAX:
        raise ValueError(f"{text!r} is too large for a {what}")
    return int(scaled)


def parse_money(text: str) -> Minor:
    """Read money written in major units (`12.50`, `￥3`) into minor units; raises ValueError."""
    return Minor(_parse_scaled(text, 2, "amount of money"))


def parse_quantity(text: str) -> Milli:
    """Read a quantity in base units (`2`, `0.375`) into thousandths; raises ValueError."""
    return Milli(_parse_scaled(text, 3, "quantity"))


def format_money(amount: int) -> str:
    """Write minor units in major units with two decimals, without a currency sign."""
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def format_bytes(size: int) -> str:
    """Write a size for people: begun kilobytes, from a million bytes on megabytes with one decimal."""
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{-(-size // 1000)} kB"


def format_quantity(quantity: int) -> str:
    """Write thousandths in base units without trailing zeros: 2,000 is `2`, 375 is `0.375`."""
    whole, rest = divmod(abs(quantity), 1000)
    digits = f"{whole}.{rest:03d}".rstrip("0").rstrip(".") if rest else str(whole)
    return f"-{digits}" if quantity < 0 else digits
