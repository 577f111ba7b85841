"""Writes figures as people read them: money with its thousands apart, quantities with their units, ages in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.amounts import format_money, format_quantity

if TYPE_CHECKING:
    from schema.texts import Texts

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def money(amount_minor: int) -> str:
    """Write an amount with its thousands apart."""
    whole, _, decimals = format_money(abs(amount_minor)).partition(".")
    return f"{'-' if amount_minor < 0 else ''}{int(whole):,}.{decimals}"


def amount_of(quantity_milli: int, unit_name: str = "") -> str:
    """Write a quantity, with its unit where one is given."""
    return format_quantity(quantity_milli) + unit_name


def age(t: Texts, age_ms: int | None) -> str:
    """Write how long ago something was."""
    if age_ms is None:
        return t("age.never")
    if age_ms < MINUTE_MS:
        return t("age.now")
    if age_ms < HOUR_MS:
        return t("age.minutes", number=age_ms // MINUTE_MS)
    if age_ms < 2 * DAY_MS:
        return t("age.hours", number=age_ms // HOUR_MS)
    return t("age.days", number=age_ms // DAY_MS)


def ago(t: Texts, age_ms: int | None) -> str:
    """Write how long ago something was, as a word on its own."""
    if age_ms is None or age_ms < MINUTE_MS:
        return age(t, age_ms)
    return t("age.ago", age=age(t, age_ms))
