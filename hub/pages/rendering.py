"""Turns templates into pages: an environment for each language, with filters that write money, time and amounts."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from hub.pages.charts import bars, lines
from hub.pages.navigation import NAVIGATION
from schema.amounts import format_money, format_quantity
from schema.rules.promotion_terms import Language
from schema.texts import Texts

_SIGNS: Final = {"CNY": "¥", "EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$", "HKD": "HK$", "TWD": "NT$"}
_THIN: Final = "\u202f"


def grouped(digits: str) -> str:
    """Write a decimal number with commas between thousands."""
    sign, digits = ("−", digits[1:]) if digits.startswith("-") else ("", digits)
    whole, dot, rest = digits.partition(".")
    return f"{sign}{int(whole):,}{dot}{rest}"


class Rendering:
    """Renders in one language; `zone` is the organisation's, `currency` its ISO 4217 code."""

    def __init__(self, language: Language, zone: ZoneInfo, currency: str, release: str) -> None:
        self.language = language
        self.zone = zone
        self.texts = Texts("hub", language)
        self._sign = _SIGNS.get(currency, f"{currency}{_THIN}")
        environment = Environment(
            loader=PackageLoader("hub", "pages"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals.update(
            t=self.texts, language=language.value, navigation=NAVIGATION, release=release, bars=bars, lines=lines
        )
        environment.filters.update(
            money=self.money, quantity=self.quantity, signed=self.signed, when=self.when, day=self.day,
            clock=self.clock, ago=self.ago, share=self.share, number=lambda value: grouped(str(value)),
            input_money=format_money, input_quantity=format_quantity, input_moment=self.input_moment,
        )  # fmt: skip
        environment.globals["m"] = environment.get_template("macros.html").module
        self._environment = environment

    def add_globals(self, **values: object) -> None:
        """Give every template a value by name."""
        self._environment.globals.update(values)

    def render(self, template: str, context: Mapping[str, Any]) -> bytes:
        """Return a page's bytes."""
        return self._environment.get_template(template).render(context).encode()

    def money(self, minor: int) -> str:
        """Write minor units with the currency's sign and grouped thousands."""
        text = grouped(format_money(minor))
        return f"−{self._sign}{text[1:]}" if text.startswith("−") else f"{self._sign}{text}"

    def quantity(self, milli: int) -> str:
        """Write thousandths in base units."""
        return grouped(format_quantity(milli))

    def signed(self, milli: int) -> str:
        """Write thousandths in base units with their sign."""
        return f"+{self.quantity(milli)}" if milli > 0 else self.quantity(milli)

    def moment(self, ms: int) -> datetime.datetime:
        """Return a moment in the organisation's zone."""
        return datetime.datetime.fromtimestamp(ms / 1000, self.zone)

    def when(self, ms: int | None) -> str:
        """Write a moment as date and time to the minute."""
        return "–" if ms is None else f"{self.moment(ms):%Y-%m-%d %H:%M}"

    def clock(self, ms: int | None) -> str:
        """Write a moment as a time of day with seconds."""
        return "–" if ms is None else f"{self.moment(ms):%H:%M:%S}"

    def day(self, ms: int | None) -> str:
        """Write a moment as a date."""
        return "–" if ms is None else f"{self.moment(ms):%Y-%m-%d}"

    def input_moment(self, ms: int | None) -> str:
        """Write a moment as a browser's date and time field wants it."""
        return "" if ms is None else f"{self.moment(ms):%Y-%m-%dT%H:%M}"

    def ago(self, span_ms: int | None) -> str:
        """Write a span of time in its largest units."""
        if span_ms is None:
            return self.texts("span.never")
        seconds = max(0, span_ms) // 1000
        if seconds < 60:
            return self.texts("span.seconds", seconds=seconds)
        minutes = seconds // 60
        if minutes < 60:
            return self.texts("span.minutes", minutes=minutes)
        hours, minutes = divmod(minutes, 60)
        if hours < 24:
            return self.texts("span.hours", hours=hours, minutes=minutes)
        days, hours = divmod(hours, 24)
        return self.texts("span.days", days=days, hours=hours)

    def share(self, ppm: int) -> str:
        """Write parts per million as a percentage."""
        return f"{format_quantity(ppm // 10)}%"
