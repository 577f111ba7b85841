"""What a form brought, read field by field: values as typed are kept, errors stand beside the field they are about."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from schema.amounts import parse_money, parse_quantity
from schema.errors import EdgetillError, RefusalError
from schema.identity import CATEGORY_CHARS_MAX, is_category, is_code
from schema.texts import Texts

VERSION_FIELD: Final = "version"
_TEXT_MAX: Final = 1000


class Upload(NamedTuple):
    """A file that came with a form."""

    name: str
    content: bytes


class Values:
    """The values of a query or a form by name; what is absent is empty."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        """Return the first value of a name without blanks around it, at most 1,000 characters; else the default."""
        found = self._values.get(name)
        return found[0].strip()[:_TEXT_MAX] if found and found[0].strip() else default

    def all(self, name: str) -> list[str]:
        """Return every value of a name."""
        return [value.strip()[:_TEXT_MAX] for value in self._values.get(name, ()) if value.strip()]

    def number(self, name: str, default: int, *, lowest: int = 0, highest: int = 1_000_000_000) -> int:
        """Return a whole number within bounds; the default where it is none."""
        text = self.text(name).removeprefix("+")
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 15):
            return default
        return min(highest, max(lowest, int(text)))

    def choice(self, name: str, options: Collection[str], default: str = "") -> str:
        """Return a value that is one of the options; else the default."""
        value = self.text(name)
        return value if value in options else default

    def pairs(self) -> list[tuple[str, str]]:
        """Return every name and value, for a link that keeps the filters."""
        return [(name, value) for name, values in self._values.items() for value in values if value]


class Form(Values):
    """A form as it was sent. Every reading method notes what is wrong in `errors` and returns a harmless value."""

    def __init__(
        self,
        values: Mapping[str, Sequence[str]],
        files: Mapping[str, Upload],
        texts: Texts,
        zone: ZoneInfo,
        *,
        prefilled: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(values)
        self.files = files
        self.errors: dict[str, str] = {}
        """By field: the sentence beside it. The empty name holds what is wrong with the form as a whole."""
        self._texts = texts
        self._zone = zone
        self._prefilled = prefilled or {}

    @property
    def is_valid(self) -> bool:
        """Tell whether nothing was found wrong so far."""
        return not self.errors

    def fill(self, values: Mapping[str, str]) -> Form:
        """Give the values that the fields show where nothing was typed yet; returns the form."""
        self._prefilled = {**self._prefilled, **values}
        return self

    def shown(self, name: str) -> str:
        """Return what the field shows: what was typed, else what it was filled with."""
        found = self._values.get(name)
        return found[0] if found else self._prefilled.get(name, "")

    def shown_all(self, name: str) -> list[str]:
        """Return every value that a field of many choices shows."""
        found = self._values.get(name)
        return list(found) if found else self._prefilled.get(name, "").split()

    def error(self, name: str) -> str:
        """Return the sentence beside a field; empty where nothing is wrong."""
        return self.errors.get(name, "")

    def wrong(self, field: str, text: str, **facts: object) -> None:
        """Note by its text's id what is wrong with a field; the first finding stays."""
        self.errors.setdefault(field, self._texts(text, **facts))

    def refuse(self, error: EdgetillError, field: str = "") -> None:
        """Note a refusal of a use case beside a field, or above the form."""
        self.errors.setdefault(field, self._texts.refusal(error))

    def check_version(self, current: str) -> None:
        """Refuse the form where what it shows has changed since; raises RefusalError `form_stale`."""
        if self.text(VERSION_FIELD) != current:
            raise RefusalError("form_stale", "someone changed this while you were typing: look again, then save")

    def required(
        self, name: str, *, characters_max: int = 200, is_required: bool = True, text: str = "form.missing"
    ) -> str:
        """Return a text of one line; notes where it is missing or too long."""
        found = self._values.get(name)
        value = (found[0] if found else "").strip()
        if not value and is_required:
            self.wrong(name, text)
        elif len(value) > characters_max:
            self.wrong(name, "form.too_long", characters=characters_max)
        elif any(not character.isprintable() for character in value):
            self.wrong(name, "form.unprintable")
        else:
            return value
        return ""

    def secret(self, name: str) -> str:
        """Return a password exactly as typed; it is never shown again."""
        found = self._values.get(name)
        if not found or not found[0]:
            self.wrong(name, "form.missing")
            return ""
        return found[0]

    def code(self, name: str, *, is_required: bool = True) -> str:
        """Return a code of 1 to 32 letters, digits, dots, dashes."""
        value = self.required(name, characters_max=32, is_required=is_required)
        if value and not is_code(value):
            self.wrong(name, "form.no_code")
            return ""
        return value

    def category(self, name: str) -> str:
        """Return a category, in whatever script."""
        value = " ".join(self.required(name, characters_max=CATEGORY_CHARS_MAX).split())
        if value and not is_category(value):
            self.wrong(name, "form.no_category")
            return ""
        return value

    def money(self, name: str, *, lowest: int = 0, highest: int = 10**12, is_required: bool = True) -> int:
        """Return an amount of money in minor units, typed in major ones."""
        return self._amount(name, parse_money, "form.no_money", lowest, highest, is_required) or 0

    def quantity(self, name: str, *, lowest: int = 0, highest: int = 10**12, is_required: bool = True) -> int:
        """Return a quantity in thousandths, typed in base units."""
        return self._amount(name, parse_quantity, "form.no_quantity", lowest, highest, is_required) or 0

    def _amount(self, name: str, parse: object, wrong: str, lowest: int, highest: int, is_required: bool) -> int | None:
        typed = self.required(name, characters_max=40, is_required=is_required)
        if not typed:
            return None
        try:
            value = int(parse(typed))  # type: ignore[operator]
        except ValueError:
            self.wrong(name, wrong)
            return None
        if not lowest <= value <= highest:
            self.wrong(name, "form.out_of_range")
            return None
        return value

    def whole(self, name: str, *, lowest: int = 0, highest: int = 10**9, is_required: bool = True) -> int:
        """Return a whole number."""
        typed = self.required(name, characters_max=15, is_required=is_required)
        if not typed:
            return 0
        digits = typed.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal()):
            self.wrong(name, "form.no_number")
            return 0
        if not lowest <= int(typed) <= highest:
            self.wrong(name, "form.out_of_range")
            return 0
        return int(typed)

    def one_of(self, name: str, options: Collection[str], *, is_required: bool = True) -> str:
        """Return one of the options."""
        value = self.required(name, is_required=is_required, text="form.choose")
        if value and value not in options:
            self.wrong(name, "form.choose")
            return ""
        return value

    def some_of(self, name: str, options: Collection[str], *, is_required: bool = True) -> list[str]:
        """Return those of the options that were chosen."""
        chosen = self.all(name)
        if any(value not in options for value in chosen) or (is_required and not chosen):
            self.wrong(name, "form.choose")
            return []
        return chosen

    def flag(self, name: str) -> bool:
        """Tell whether a box was ticked."""
        return bool(self.text(name))

    def moment(self, name: str, *, is_required: bool = True) -> int | None:
        """Return a date and time typed in the organisation's zone (`2026-03-02T06:00`) in milliseconds."""
        typed = self.required(name, characters_max=40, is_required=is_required)
        if not typed:
            return None
        try:
            found = datetime.datetime.fromisoformat(typed)
        except ValueError:
            self.wrong(name, "form.no_moment")
            return None
        if found.tzinfo is None:
            found = found.replace(tzinfo=self._zone)
        if not 1990 <= found.year <= 2200:
            self.wrong(name, "form.no_moment")
            return None
        return int(found.timestamp() * 1000)

    def date(self, name: str, *, is_required: bool = True) -> str:
        """Return a date as `2026-03-02`."""
        typed = self.required(name, characters_max=10, is_required=is_required)
        if not typed:
            return ""
        try:
            return datetime.date.fromisoformat(typed).isoformat()
        except ValueError:
            self.wrong(name, "form.no_date")
            return ""

    def upload(self, name: str, *, is_required: bool = True) -> Upload | None:
        """Return a file that came with the form."""
        found = self.files.get(name)
        if found is None or not found.content:
            if is_required:
                self.wrong(name, "form.no_file")
            return None
        return found
