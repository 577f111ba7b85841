"""Reads the cells of a spreadsheet: amounts, dates and codes, with what is wrong named by line and column."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Mapping

from hub.import_terms import Existing, Finding, ImportDefaults, ImportKind, Severity
from schema.amounts import Minor, parse_money
from schema.identity import is_code
from schema.rows import (
    Row,
)
from schema.rules.barcodes import CodeKind, read_code
from schema.rules.rounding import PricePer
from schema.rules.tax import TaxClass
from schema.tabular import Table

_MASKED = frozenset({"pin", "phone", "name", "address", "birthday"})
_PERSONAL_KINDS = frozenset({ImportKind.OPERATORS, ImportKind.CUSTOMERS})


class BadRowError(Exception):
    """The row at hand cannot be imported; the finding is recorded already."""


class Sheet:
    """One pass over a table: cells by field, and the findings."""

    def __init__(self, kind: ImportKind, table: Table, columns: Mapping[str, str]) -> None:
        self.kind, self.table, self.columns = kind, table, dict(columns)
        self._places = {field: table.header.index(word) for field, word in columns.items()}
        self.findings: list[Finding] = []
        self.line = 0
        self._cells: list[str] = []

    def enter(self, line: int, cells: list[str]) -> None:
        """Go to a row."""
        self.line, self._cells = line, cells

    def get(self, field: str) -> str:
        """Return a field's cell without outer spaces, full-width characters folded; empty without a column."""
        place = self._places.get(field)
        if place is None:
            return ""
        cell = self._cells[place].strip()
        if cell.isascii():
            return cell.removeprefix("'")
        return cell.replace("\u3000", " ").strip()

    def has(self, field: str) -> bool:
        """Tell whether the file has a column for a field."""
        return field in self._places

    def _shown(self, field: str, value: str) -> str:
        if self.kind in _PERSONAL_KINDS and field in _MASKED and value:
            return value[:1] + "•" * 4 if field != "pin" else "••••"
        return value[:80]

    def _note(self, severity: Severity, code: str, field: str, value: str, message: str) -> None:
        column = self.columns.get(field, field)
        self.findings.append(Finding(severity, code, self.line, column, self._shown(field, value), message))

    def warn(self, code: str, field: str, value: str, message: str) -> None:
        """Record a repair."""
        self._note(Severity.WARNING, code, field, value, message)

    def refuse(self, code: str, field: str, value: str, message: str) -> BadRowError:
        """Record an error; raise what this returns, so that the row ends."""
        self._note(Severity.ERROR, code, field, value, message)
        return BadRowError()


Reader = Callable[[Sheet, Existing, ImportDefaults], Callable[[], Row | None]]


def read_text_code(sheet: Sheet, field: str, value: str) -> str:
    """Return a code of 1 to 32 plain characters; refuses the row otherwise."""
    if not is_code(value):
        raise sheet.refuse("code.malformed", field, value, "a code has 1 to 32 letters, digits, dots or dashes")
    return value


def read_required(sheet: Sheet, field: str) -> str:
    """Return a cell that must not be empty; refuses the row otherwise."""
    value = sheet.get(field)
    if not value:
        raise sheet.refuse("cell.empty", field, "", f"{field} is empty")
    return value


NUMBER = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?|[-+]?\.\d+", re.ASCII)
"""Numbers as people write them: no exponents, and a comma only before three digits."""


def read_money(sheet: Sheet, field: str, value: str) -> Minor:
    """Read an amount in major units into minor units; refuses negative, malformed and too large ones."""
    written = value if value.isascii() else re.sub("[元¥]", "", unicodedata.normalize("NFKC", value)).strip()
    if not NUMBER.fullmatch(written):
        raise sheet.refuse("money.malformed", field, value, "no amount of money")
    try:
        amount = parse_money(written)
    except ValueError:
        raise sheet.refuse("money.decimals", field, value, "more than two decimals, or too large") from None
    if amount < 0:
        raise sheet.refuse("money.negative", field, value, "an amount below zero")
    return amount


_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T](\d{1,2}):(\d{2})(?::\d{2})?)?")


FOREVER_YEAR = 2999
"""Other systems write 2999-12-31 or 9999-12-31 where a price has no end."""


def read_moment(sheet: Sheet, field: str, value: str, zone: datetime.tzinfo, *, is_end: bool = False) -> int | None:
    """Read a date or a moment in the shop's zone as Unix milliseconds; a bare end date includes its day."""
    if not value:
        return None
    matched = _DATE.fullmatch(value)
    try:
        if matched is None:
            raise ValueError(value)
        year, month, day, hour, minute = (int(part or 0) for part in matched.groups())
        moment = datetime.datetime(year, month, day, hour, minute, tzinfo=zone)
    except ValueError:
        raise sheet.refuse("date.malformed", field, value, "no date such as 2024-06-11 or 2024-06-11 08:00") from None
    if is_end and year >= FOREVER_YEAR:
        return None
    if is_end and matched[4] is None:
        moment += datetime.timedelta(days=1)
    return int((moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(milliseconds=1))


def read_period(sheet: Sheet, zone: datetime.tzinfo) -> tuple[int | None, int | None]:
    """Read from when and until when a row holds, in Unix milliseconds; refuses an end before its start."""
    start = read_moment(sheet, "valid_from", sheet.get("valid_from"), zone)
    end = read_moment(sheet, "valid_until", sheet.get("valid_until"), zone, is_end=True)
    if start is not None and end is not None and end <= start:
        raise sheet.refuse("date.order", "valid_until", sheet.get("valid_until"), "ends before it begins")
    return start, end


SPLIT = re.compile(r"[\s,，;；、|/#]+")
_SCIENTIFIC = re.compile(r"\d(?:\.\d+)?[Ee]\+?\d+")


def read_barcodes(sheet: Sheet, cell: str) -> tuple[str, ...]:
    """Return the canonical codes of a cell; repairs are recorded, codes that cannot be scanned are left out."""
    if not cell:
        return ()
    parts = [part for part in SPLIT.split(cell) if part] if not (cell.isdecimal() and cell.isascii()) else [cell]
    if len(parts) > 1:
        sheet.warn("barcode.several", "barcodes", cell, f"{len(parts)} codes in one cell: all belong to the product")
    kept: list[str] = []
    for raw in parts:
        part = raw if raw.isascii() else unicodedata.normalize("NFKC", raw)
        if _SCIENTIFIC.fullmatch(part):
            sheet.warn("barcode.digits_lost", "barcodes", raw, "the spreadsheet lost the code's digits: left out")
            continue
        code = read_code(part.removesuffix(".0"))
        canonical = code.canonical
        match code.kind:
            case CodeKind.EAN13 | CodeKind.EAN8 | CodeKind.UPC_A | CodeKind.GTIN14:
                pass
            case CodeKind.PADDED:
                sheet.warn("barcode.padded", "barcodes", raw, f"leading zeros taken off: {canonical}")
            case CodeKind.BAD_CHECK_DIGIT if len(canonical) >= 13:
                sheet.warn("barcode.check_digit", "barcodes", raw, "the check digit is wrong: left out, scan the goods")
                continue
            case CodeKind.BAD_CHECK_DIGIT:
                sheet.warn("barcode.check_digit", "barcodes", raw, "the check digit is wrong: kept as an own code")
            case CodeKind.OWN:
                sheet.warn("barcode.own", "barcodes", raw, "no trade code: kept as an own code")
            case _:
                sheet.warn("barcode.unreadable", "barcodes", raw, "no scanner sends this: left out")
                continue
        if canonical in kept:
            sheet.warn("barcode.repeated", "barcodes", raw, "twice in one cell: taken once")
        else:
            kept.append(canonical)
    return tuple(kept)


TAX_WORDS = {
    **{f"{rate}": TaxClass(rate) for rate in ("13", "9", "6", "0")},
    **{f"{rate}%": TaxClass(rate) for rate in ("13", "9", "6", "0")},
    **{
        text: TaxClass(rate)
        for text, rate in (("0.13", "13"), ("0.09", "9"), ("0.06", "6"), ("0.00", "0"), ("0.0", "0"))
    },
    **{f"{rate}.0": TaxClass(rate) for rate in ("13", "9", "6")},
    "exempt": TaxClass.EXEMPT,
    "免税": TaxClass.EXEMPT,
    "免": TaxClass.EXEMPT,
    "零税率": TaxClass.VAT0,
}
KILOGRAM_WORDS = frozenset({"kg", "公斤", "千克", "斤", "500g"})
PIECE_WORDS = frozenset(
    {
        *("pc", "piece", "pcs", "ea"),
        *"个件瓶罐盒袋包支只条卷提桶杯碗块片本把张组套听双副卡台根枚箱板串颗份打盆株",
        *"扎斗粒朵对床顶枝筒管排壶篮筐捆束",
    }
)
YES_WORDS = frozenset({"yes", "y", "true", "1", "是", "称重", "散称", "计重", "√"})
NO_WORDS = frozenset({"", "no", "n", "false", "0", "否", "不称重", "计件", "普通"})
PER_WORDS = {
    **dict.fromkeys(PIECE_WORDS, PricePer.PIECE),
    **dict.fromkeys(("kg", "公斤", "千克", "元/kg", "元/公斤", "元/千克"), PricePer.KG),
    **dict.fromkeys(("500g", "斤", "元/斤", "元/500g"), PricePer.JIN),
    **dict.fromkeys(("100g", "百克", "元/100g"), PricePer.HECTOGRAM),
}


def read_per(sheet: Sheet, unit_word: str, *, is_weighed: bool) -> PricePer:
    """Return what the price buys: a piece, or a weight where the goods are weighed."""
    word = sheet.get("price_per").lower()
    if not word:
        if not is_weighed:
            return PricePer.PIECE
        return PricePer.JIN if unit_word in {"斤", "500g"} else PricePer.KG
    per = PER_WORDS.get(word)
    if per is None:
        raise sheet.refuse("price_per.unknown", "price_per", word, "a price is per piece, kg, 500g (斤) or 100g")
    if per.is_by_weight != is_weighed:
        raise sheet.refuse("price_per.mismatch", "price_per", word, "prices by weight are for weighed goods only")
    return per
