"""Owns the print document: rows of text, columns, pictures, codes, and what the mechanics do; no bytes, no retail.

A document says what should be on the paper. How many columns there are and what the printer can do by itself is the
profile's matter, so one document serves the screen's preview, 58 mm and 80 mm paper and the e-receipt alike.

Paper is a grid: an ASCII character takes one column, anything else two. That is East Asian width as a GB18030 printer
prints it, where "ambiguous" characters such as `·`, `—` or `é` come from the double-width font too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from drivers.escpos.code_page import printable


class Align(StrEnum):
    """Where a row stands on the paper, or a text in its column."""

    LEFT = "left"
    CENTRE = "centre"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Size:
    """How many times wider and taller than normal; 1 to 8 each."""

    wide: int = 1
    tall: int = 1

    def __post_init__(self) -> None:
        if not (1 <= self.wide <= 8 and 1 <= self.tall <= 8):
            raise ValueError(f"size {self.wide}×{self.tall} is not within 1 to 8")


NORMAL: Final = Size()
DOUBLE: Final = Size(2, 2)
_STOPS: Final = "，。、；：！？％"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph, wrapped at the paper's width."""

    text: str
    align: Align = Align.LEFT
    is_bold: bool = False
    size: Size = NORMAL


@dataclass(frozen=True, slots=True)
class Column:
    """One cell of a row of columns. `width` counts columns of the paper; None shares what the others leave."""

    text: str
    width: int | None = None
    align: Align = Align.LEFT


@dataclass(frozen=True, slots=True)
class Columns:
    """Cells beside each other, one space between them; a text too long for its cell continues below in its cell."""

    cells: tuple[Column, ...]
    is_bold: bool = False
    size: Size = NORMAL


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across the paper, made of one character."""

    character: str = "-"


@dataclass(frozen=True, slots=True)
class Raster:
    """A picture of dots: rows of `(width + 7) // 8` bytes, the leftmost dot the highest bit, 1 black."""

    width: int
    height: int
    bits: bytes

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or len(self.bits) != (self.width + 7) // 8 * self.height:
            raise ValueError("a raster's bytes must fill its rows exactly")

    def cropped(self, width: int) -> Raster:
        """Return the picture without the dots to the right of `width`."""
        if self.width <= width:
            return self
        old, new = (self.width + 7) // 8, (width + 7) // 8
        mask = 0xFF << (new * 8 - width) & 0xFF
        rows = (self.bits[row * old : row * old + new] for row in range(self.height))
        return Raster(width, self.height, b"".join(row[:-1] + bytes([row[-1] & mask]) for row in rows))


@dataclass(frozen=True, slots=True)
class Picture:
    """A logo or any other picture."""

    raster: Raster
    align: Align = Align.CENTRE


class Symbology(StrEnum):
    """The linear barcodes that receipts carry."""

    EAN_13 = "ean-13"
    CODE_128 = "code-128"


@dataclass(frozen=True, slots=True)
class LinearCode:
    """A barcode. EAN-13 takes 12 digits or 13 with the right check digit; Code 128 printable ASCII."""

    data: str
    symbology: Symbology = Symbology.CODE_128
    height: int = 80
    module: int = 2
    shows_text: bool = True
    align: Align = Align.CENTRE

    def __post_init__(self) -> None:
        if self.symbology is Symbology.EAN_13:
            if len(self.data) not in (12, 13) or not (self.data.isascii() and self.data.isdigit()):
                raise ValueError(f"EAN-13 takes 12 or 13 digits, not {self.data!r}")
            if len(self.data) == 13 and self.data[-1] != ean_check_digit(self.data[:12]):
                raise ValueError(f"{self.data} has a wrong check digit")
        elif not self.data or not all(" " <= char <= "~" for char in self.data):
            raise ValueError(f"Code 128 takes printable ASCII, not {self.data!r}")
        if not 1 <= self.height <= 255 or not 2 <= self.module <= 6:
            raise ValueError("a barcode is 1 to 255 dots high and its modules 2 to 6 dots wide")

    @property
    def full_data(self) -> str:
        """Return the data as a scanner will read it: with the check digit."""
        if self.symbology is Symbology.EAN_13 and len(self.data) == 12:
            return self.data + ean_check_digit(self.data)
        return self.data


@dataclass(frozen=True, slots=True)
class QrCode:
    """A QR code of UTF-8 text; `module` is a square's size in dots, `level` the error correction (L M Q H)."""

    data: str
    module: int = 5
    level: str = "M"
    align: Align = Align.CENTRE

    def __post_init__(self) -> None:
        if not self.data or self.level not in ("L", "M", "Q", "H") or not 1 <= self.module <= 16:
            raise ValueError("a QR code needs data, a level of L M Q H and a module of 1 to 16 dots")


@dataclass(frozen=True, slots=True)
class Feed:
    """Empty lines."""

    lines: int = 1


@dataclass(frozen=True, slots=True)
class Cut:
    """Feed past the knife and cut; a printer without a knife feeds to where paper is torn."""

    is_partial: bool = True


@dataclass(frozen=True, slots=True)
class DrawerPulse:
    """Open the cash drawer; `pin` is 2 or 5 of the printer's socket."""

    pin: int = 2

    def __post_init__(self) -> None:
        if self.pin not in (2, 5):
            raise ValueError("a drawer hangs on pin 2 or 5")


Row = Text | Columns | Rule | Picture | LinearCode | QrCode | Feed | Cut | DrawerPulse


@dataclass(frozen=True, slots=True)
class PrintDocument:
    """What one job puts on paper, from top to bottom."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text as it will stand on the paper: already wrapped and padded, left-aligned, printable."""

    text: str
    is_bold: bool = False
    size: Size = NORMAL


def ean_check_digit(digits: str) -> str:
    """Return the check digit of GS1 codes (General Specifications, 7.9): weights 3 and 1 from the right."""
    return str(-sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits))) % 10)


def display_width(text: str) -> int:
    """Return how many columns a printable text takes."""
    return sum(1 if char.isascii() else 2 for char in text)


def _tokens(text: str) -> Iterator[str]:
    """Cut a text where it may be wrapped: around each wide character and after spaces."""
    word = ""
    for char in text:
        if not char.isascii():
            if word:
                yield word
                word = ""
            yield char
        else:
            word += char
            if char == " ":
                yield word
                word = ""
    if word:
        yield word


def _hangs(part: str) -> bool:
    """Tell whether a wide character may not begin a line: closing brackets and stops."""
    return len(part) == 1 and not part.isascii() and (unicodedata.category(part) in ("Pe", "Pf") or part in _STOPS)


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` columns; words stay whole where they fit, nothing is lost."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for token in _tokens(paragraph):
            rest = token
            if display_width(line + rest.rstrip(" ")) <= width:
                line += rest
                continue
            if _hangs(rest) and len(line) > 1 and not line[-1].isascii():
                line, rest = line[:-1], line[-1] + rest
            if line.strip(" "):
                lines.append(line.rstrip(" "))
            line = ""
            while display_width(rest.rstrip(" ")) > width:
                head = _head(rest, width)
                lines.append(head)
                rest = rest[len(head) :]
            line = rest
        lines.append(line.rstrip(" "))
    return lines


def _head(text: str, width: int) -> str:
    """Return as much of the text as fits, at least one character."""
    taken = 0
    for place, char in enumerate(text):
        taken += display_width(char)
        if taken > width:
            return text[: max(place, 1)]
    return text


def pad(text: str, width: int, align: Align) -> str:
    """Fill a text with spaces to `width` columns."""
    gap = max(width - display_width(text), 0)
    match align:
        case Align.LEFT:
            return text + " " * gap
        case Align.RIGHT:
            return " " * gap + text
        case Align.CENTRE:
            return " " * (gap // 2) + text + " " * (gap - gap // 2)
        case _:
            assert_never(align)


def _needed(token: str) -> int:
    return display_width(token.rstrip(" "))


def _widths(cells: tuple[Column, ...], columns: int) -> list[int]:
    """Share the columns: fixed widths first, the rest evenly; what is too much is cut from the widest."""
    gaps = len(cells) - 1
    # A figure that is broken over two lines is misread, so a cell of figures takes what its longest one needs.
    wanted = [
        max(cell.width, *map(_needed, _tokens(printable(cell.text))), 0)
        if cell.width is not None and cell.align is Align.RIGHT
        else cell.width
        for cell in cells
    ]
    open_cells = [place for place, width in enumerate(wanted) if width is None]
    left = max(columns - gaps - sum(width for width in wanted if width is not None), 0)
    widths = [width or 0 for width in wanted]
    for order, place in enumerate(open_cells):
        widths[place] = left // len(open_cells) + (1 if order < left % len(open_cells) else 0)
    widths = [max(width, 2) for width in widths]  # one wide character must fit
    while sum(widths) + gaps > columns and max(widths) > 2:
        widths[widths.index(max(widths))] -= 1
    return widths


def lay_out(row: Text | Columns | Rule, columns: int) -> list[Line]:
    """Return the lines of a text row on paper of so many columns: the same for screen, paper and e-receipt."""
    match row:
        case Text():
            width = max(columns // row.size.wide, 2)
            lines = wrap(printable(row.text), width)
            return [Line(pad(line, width, row.align).rstrip(" "), row.is_bold, row.size) for line in lines]
        case Rule():
            character = printable(row.character)[:1] or "-"
            return [Line(character * (columns // display_width(character)))]
        case Columns():
            if not row.cells:
                return []
            widths = _widths(row.cells, max(columns // row.size.wide, 2))
            wrapped = [wrap(printable(cell.text), width) for cell, width in zip(row.cells, widths, strict=True)]
            lines = []
            for place in range(max(len(cell) for cell in wrapped)):
                parts = (
                    pad(lines_of[place] if place < len(lines_of) else "", width, cell.align)
                    for lines_of, width, cell in zip(wrapped, widths, row.cells, strict=True)
                )
                lines.append(" ".join(parts).rstrip(" "))
            return [Line(line, row.is_bold, row.size) for line in lines]
        case _:
            assert_never(row)


def preview(document: PrintDocument, columns: int) -> list[str]:
    """Return the document as lines of text for a screen; codes and pictures are named in brackets."""
    lines: list[str] = []
    for row in document.rows:
        match row:
            case Text() | Columns() | Rule():
                for line in lay_out(row, columns):
                    text = line.text.lstrip(" ")
                    lines.append(" " * ((len(line.text) - len(text)) * line.size.wide) + text)
            case LinearCode():
                lines.append(pad(f"[{row.full_data}]", columns, row.align).rstrip(" "))
            case QrCode():
                lines += [pad(line, columns, row.align).rstrip(" ") for line in wrap(f"[QR {row.data}]", columns)]
            case Picture():
                lines.append(pad("[*]", columns, row.align).rstrip(" "))
            case Feed():
                lines += [""] * row.lines
            case Cut() | DrawerPulse():
                pass
            case _:
                assert_never(row)
    return lines


def document_of(rows: Iterable[Row]) -> PrintDocument:
    """Return the document of these rows."""
    return PrintDocument(tuple(rows))
