"""Owns rows of paper: what a receipt, a slip or a report is made of before any device renders it, and how texts fit.

Rows already fit the paper: what is too long goes on in the next row, and nothing is cut off. A printer or a screen
renders them without knowing what a sale is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from schema.rules.promotion_terms import Language
from schema.rules.receipt_words import word_of

COLUMNS_58_MM: Final = 32
COLUMNS_80_MM: Final = 48
COLUMNS_MIN: Final = 24


class RowKind(StrEnum):
    """What a row asks the device to do."""

    TEXT = "text"
    """`left` and, at the right edge, `right`."""
    COLUMNS = "columns"
    """Cells side by side, each padded to its width."""
    RULE = "rule"
    BARCODE = "barcode"
    """Code 128 of `data`."""
    QR = "qr"
    """A QR code of `data`, with `left` as its caption above."""
    CUT = "cut"


class Cell(msgspec.Struct, frozen=True):
    """A column's text; `width` is in display columns."""

    text: str
    width: int
    is_right: bool = True


class ReceiptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a receipt; texts fit the paper's width (half of it where `is_double`)."""

    kind: RowKind = RowKind.TEXT
    left: str = ""
    right: str = ""
    cells: tuple[Cell, ...] = ()
    is_double: bool = False
    is_centred: bool = False
    data: str = ""


def display_width(text: str) -> int:
    """Return how many columns a text takes: two for wide, full-width and ambiguous characters, none for marks.

    Ambiguous ones (Unicode Standard Annex 11) are in GB18030's double-byte part, so a Chinese printer gives them two.
    """
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if " " <= char <= "~":
        return 1
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WFA" else 1


def harmless(text: str) -> str:
    """Return the text with control characters as blanks: nothing in a name commands a printer."""
    return "".join(" " if unicodedata.category(char) in {"Cc", "Zl", "Zp", "Cs"} else char for char in text)


def wrap(text: str, width: int) -> list[str]:
    """Break a text into rows of at most `width` columns, at blanks where that helps; only blanks are dropped.

    Control characters become blanks: nothing in a name commands a printer. An empty text gives one empty row.
    """
    if width < 2:
        raise ValueError("a row is at least two columns wide")
    rows: list[str] = []
    row, taken, blank = "", 0, -1
    for char in harmless(text).strip():
        size = _char_width(char)
        if taken + size > width:
            if char == " ":
                rows.append(row.rstrip())
                row, taken, blank = "", 0, -1
                continue
            head, tail = (row[:blank], row[blank + 1 :]) if blank > 0 else (row, "")
            rows.append(head.rstrip())
            row, taken, blank = tail, display_width(tail), -1
        if char == " ":
            if not row:
                continue
            blank = len(row)
        row += char
        taken += size
    return [*rows, row.rstrip()] if row or not rows else rows


def pad(text: str, width: int, *, is_right: bool = False) -> str:
    """Fill a text with blanks to a width in display columns."""
    blanks = " " * max(0, width - display_width(text))
    return blanks + text if is_right else text + blanks


class Paper(NamedTuple):
    """Makes rows for paper of so many columns in one language."""

    columns: int
    language: Language

    def word(self, name: str) -> str:
        """Return a word of paper; its name where there is none."""
        return word_of(name, self.language)

    def text(
        self, text: str, *, is_centred: bool = False, is_double: bool = False, indent: int = 0
    ) -> list[ReceiptRow]:
        """Break a text into rows, `indent` columns from the left edge."""
        width = self.columns // 2 if is_double else self.columns
        return [
            ReceiptRow(left=" " * indent + row, is_centred=is_centred, is_double=is_double)
            for row in wrap(text, width - indent)
        ]

    def pair(self, left: str, right: str, *, is_double: bool = False, indent: int = 0) -> list[ReceiptRow]:
        """Put two texts at the two edges; where they do not fit side by side the right one has its own row."""
        width = self.columns // 2 if is_double else self.columns
        lefts, rights = [" " * indent + row for row in wrap(left, width - indent)], wrap(right, width)
        rows = [ReceiptRow(left=row, is_double=is_double) for row in lefts]
        if len(rights) == 1 and display_width(lefts[-1]) + 1 + display_width(rights[0]) <= width:
            rows[-1] = ReceiptRow(left=lefts[-1], right=rights[0], is_double=is_double)
            return rows
        return rows + [ReceiptRow(right=row, is_double=is_double) for row in rights]

    def columns_of(self, texts: Sequence[str]) -> list[ReceiptRow]:
        """Put figures side by side under their headings, the first at the left edge, the others ending where theirs do.

        Where they leave no blank between them, all but the last share a row, and the last stands at the right edge.
        """
        texts = [harmless(text) for text in texts]
        width = self.columns // len(texts)
        ends = [*(width * (place + 1) for place in range(len(texts) - 1)), self.columns]
        starts = [0, *(end - display_width(text) for text, end in zip(texts[1:], ends[1:], strict=True))]
        taken = [display_width(texts[0]), *ends[1:]]
        if all(before < start for before, start in zip(taken, starts[1:], strict=False)):
            ends[0] = min(ends[0], starts[1]) if display_width(texts[0]) < ends[0] else starts[1]
            begins = [0, *ends[:-1]]
            cells = tuple(
                Cell(text, end - begin, place > 0)
                for place, (text, begin, end) in enumerate(zip(texts, begins, ends, strict=True))
            )
            return [ReceiptRow(kind=RowKind.COLUMNS, cells=cells)]
        return self.pair("  ".join(texts[:-1]), texts[-1])

    def fact(self, word: str, value: str) -> list[ReceiptRow]:
        """Say one fact after its name."""
        return self.text(f"{self.word(word)}{'：' if self.language is Language.ZH else ': '}{value}")

    def facts(self, facts: Sequence[tuple[str, str]]) -> list[ReceiptRow]:
        """Say facts after their names, two in a row on wide paper where both fit; empty ones are left out."""
        rows: list[ReceiptRow] = []
        for word, value in facts:
            found = self.fact(word, value) if value else []
            last = rows[-1] if rows else None
            if (
                self.columns >= COLUMNS_80_MM
                and len(found) == 1
                and last is not None
                and not last.right
                and display_width(last.left) + 2 + display_width(found[0].left) <= self.columns
            ):
                rows[-1] = ReceiptRow(left=last.left, right=found[0].left)
            else:
                rows += found
        return rows

    def title(self, text: str) -> list[ReceiptRow]:
        """Write a heading of double size; a shop's name that is too long is broken before its branch."""
        parts = [text]
        if display_width(text) > self.columns // 2 and "·" in text:
            parts = [part.strip() for part in text.split("·")]
        return [row for part in parts for row in self.text(part, is_centred=True, is_double=True)]

    def rule(self) -> list[ReceiptRow]:
        """Draw a line across."""
        return [ReceiptRow(kind=RowKind.RULE)]

    def code(self, kind: RowKind, data: str, caption: str = "") -> list[ReceiptRow]:
        """Print a code with its caption above."""
        captions = wrap(caption, self.columns) if caption else [""]
        above = [ReceiptRow(left=row, is_centred=True) for row in captions[:-1]]
        return [*above, ReceiptRow(kind=kind, data=data, left=captions[-1], is_centred=True)]


def to_text(rows: Iterable[ReceiptRow], columns: int) -> list[str]:
    """Render rows as lines of text for a preview; every line fits `columns`, and codes are shown by their content."""
    lines: list[str] = []
    for row in rows:
        match row.kind:
            case RowKind.RULE:
                lines.append("-" * columns)
            case RowKind.CUT:
                lines.append("=" * columns)
            case RowKind.COLUMNS:
                lines.append("".join(pad(cell.text, cell.width, is_right=cell.is_right) for cell in row.cells).rstrip())
            case RowKind.BARCODE | RowKind.QR:
                captions = [row.left] if row.left else []
                shown = wrap(f"[{'QR' if row.kind is RowKind.QR else '|||'} {row.data}]", columns)
                lines += [_centred(text, columns) for text in (*captions, *shown)]
            case RowKind.TEXT:
                if row.is_centred:
                    lines.append(_centred(row.left, columns))
                else:
                    gap = columns - display_width(row.left)
                    lines.append((row.left + pad(row.right, gap, is_right=True) if row.right else row.left).rstrip())
    return lines


def _centred(text: str, columns: int) -> str:
    return " " * ((columns - display_width(text)) // 2) + text
