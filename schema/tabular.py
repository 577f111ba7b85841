"""Owns the reading of spreadsheets into rows of text: CSV in the encodings that shops send, and Excel workbooks.

Files come from cash registers, ERP exports and people's own Excel; nobody says which encoding or delimiter. What was
detected is returned with the rows, so that it can be shown.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import PurePath
from zipfile import BadZipFile

import msgspec

from schema.errors import RefusalError

DELIMITERS = ",;\t|"
_ENCODINGS = ("utf-8-sig", "gb18030")


class Table(msgspec.Struct, frozen=True):
    """A sheet as text: `rows` are (line in the file, cells); lines count from 1, the header is a line.

    Every row has as many cells as the header; what a row has beyond them puts its line
    into `overlong`; blank rows are left out.
    """

    name: str
    source: str
    """What was detected, to be shown: `csv utf-8, delimiter ","` or `xlsx sheet "商品"`."""
    header_line: int
    header: tuple[str, ...]
    rows: tuple[tuple[int, list[str]], ...]
    overlong: tuple[int, ...] = ()


def _decoded(content: bytes) -> tuple[str, str]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), "utf-16"
    for encoding in _ENCODINGS:
        try:
            return content.decode(encoding), encoding.removesuffix("-sig")
        except UnicodeDecodeError:
            continue
    raise RefusalError("table.encoding", "the file is neither UTF-8 nor GB18030 text: save it as CSV UTF-8 or .xlsx")


def _delimiter(text: str) -> str:
    """Return the delimiter that splits the first lines most, and alike."""
    sample = [line for line in text[:20_000].splitlines()[:20] if line.strip()]
    best, best_score = ",", 0
    for candidate in DELIMITERS:
        counts = [len(cells) for cells in csv.reader(sample, delimiter=candidate)]
        if counts and counts[0] > 1:
            score = sum(count == counts[0] for count in counts) * 100 + counts[0]
            if score > best_score:
                best, best_score = candidate, score
    return best


def _cell_text(value: object) -> str:
    """Write a workbook's cell as a person reads it: codes without `.0`, dates in ISO, no scientific notation."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)
        case float():  # Excel keeps binary fractions and shows 15 digits of them: these are what was typed.
            exact = Decimal(f"{value:.15g}")
            if not exact.is_finite():
                return ""
            return format(exact.quantize(Decimal(1)) if exact == exact.to_integral_value() else exact, "f")
        case datetime.datetime():
            return value.isoformat(" ", "minutes") if (value.hour or value.minute) else value.date().isoformat()
        case datetime.date():
            return value.isoformat()
        case _:
            return str(value)


def _assemble(name: str, source: str, lines: Iterator[tuple[int, list[str]]]) -> Table:
    header_line, header = next(((line, cells) for line, cells in lines if any(cell.strip() for cell in cells)), (1, []))
    header = [cell.strip() for cell in header]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise RefusalError("table.empty", f"{name} has no header row")
    width = len(header)
    rows: list[tuple[int, list[str]]] = []
    overlong: list[int] = []
    for line, cells in lines:
        size = len(cells)
        if size != width:
            if any(cell.strip() for cell in cells[width:]):
                overlong.append(line)
            cells = cells[:width] + [""] * (width - size)  # noqa: PLW2901
        if any(cells) and not all(cell.isspace() or not cell for cell in cells):
            rows.append((line, cells))
    return Table(name, source, header_line, tuple(header), tuple(rows), tuple(overlong))


def read_csv(name: str, content: bytes) -> Table:
    """Read CSV text in UTF-8 (with or without mark), UTF-16 or GB18030; the delimiter is detected.

    Raises RefusalError `table.encoding`, `table.empty` or `table.malformed`.
    """
    text, encoding = _decoded(content)
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)

    def lines() -> Iterator[tuple[int, list[str]]]:
        line = 1
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1  # A quoted cell may span lines: a row is named by its first.

    shown = "tab" if delimiter == "\t" else f'"{delimiter}"'
    try:
        return _assemble(name, f"csv {encoding}, delimiter {shown}", lines())
    except csv.Error as error:
        raise RefusalError("table.malformed", f"{name} is no CSV file: {error}") from None


def read_xlsx(name: str, content: bytes, sheet: str | None = None) -> Table:
    """Read one sheet of an Excel workbook (the first unless named); formulas give their last values.

    Raises RefusalError `table.malformed`, `table.sheet` or `table.empty`.
    """
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        raise RefusalError("table.malformed", f"{name} is no Excel workbook: {error}") from None
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise RefusalError("table.sheet", f"{name} has no sheet {sheet!r}, but {', '.join(book.sheetnames)}")
        page = book[sheet] if sheet is not None else book.worksheets[0]
        rows = page.iter_rows(values_only=True)
        lines = ((line, [_cell_text(value) for value in cells]) for line, cells in enumerate(rows, start=1))
        return _assemble(name, f'xlsx sheet "{page.title}"', lines)
    finally:
        book.close()


def read_table(name: str, content: bytes, sheet: str | None = None) -> Table:
    """Read a spreadsheet by its name's ending: `.xlsx` and `.xlsm` as workbooks, everything else as CSV.

    Old `.xls` files are refused with RefusalError `table.format`.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in {".xlsx", ".xlsm"} or content.startswith(b"PK\x03\x04"):
        return read_xlsx(name, content, sheet)
    if suffix == ".xls" or content.startswith(b"\xd0\xcf\x11\xe0"):
        raise RefusalError("table.format", f"{name} is an old Excel file: save it as .xlsx or CSV")
    return read_csv(name, content)
