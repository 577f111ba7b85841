"""Draws what a screen paints as SVG on a fixed grid: every character in its own cells, whatever fonts there are.

A converter that lays text out by the advance of its fonts would let hanzi drift from the columns; here each character
is placed by itself, and blocks are rectangles, so that big figures have no seams.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from textual.strip import Strip

CELL_W, CELL_H = 12, 26
MARGIN: Final = 14
_NARROW: Final = 'font-family="DejaVu Sans Mono, monospace" font-size="19.9"'
_WIDE: Final = 'font-family="Noto Sans CJK SC, Noto Sans Mono CJK SC, sans-serif" font-size="21.5"'
_BLOCKS: Final = {"█": (0, 1), "▀": (0, 0.5), "▄": (0.5, 0.5)}
"""Where a block begins and how high it is, in cells."""
_LINES: Final = {
    "─": "lr", "│": "ud", "╭": "rd", "╮": "ld", "╰": "ru", "╯": "lu", "┌": "rd", "┐": "ld", "└": "ru", "┘": "lu",
    "├": "rud", "┤": "lud", "━": "LR", "┃": "UD", "┏": "RD", "┓": "LD", "┗": "RU", "┛": "LU",
}  # fmt: skip
"""The arms of box drawing characters: left, right, up, down; heavy ones in capitals."""
FOREGROUND, BACKGROUND = "#e6edf3", "#101418"


class Painted(NamedTuple):
    """One character with its place in cells and its colours."""

    x: int
    y: int
    char: str
    width: int
    colour: str
    background: str
    is_bold: bool


def painted(lines: Sequence[Strip]) -> Iterator[Painted]:
    """Yield the characters of painted lines, those on two columns as one."""
    for y, strip in enumerate(lines):
        x = 0
        for segment in strip:
            style = segment.style or Style()
            colour, background = _hex(style.color, FOREGROUND), _hex(style.bgcolor, BACKGROUND)
            if style.reverse:
                colour, background = background, colour
            for char in segment.text:
                width = cell_len(char)
                if width:
                    yield Painted(x, y, char, width, colour, background, bool(style.bold))
                x += width


def svg_of(lines: Sequence[Strip], columns: int) -> str:
    """Return the picture of painted lines."""
    width, height = columns * CELL_W + 2 * MARGIN, len(lines) * CELL_H + 2 * MARGIN
    backgrounds: list[str] = []
    characters: list[str] = []
    for one in painted(lines):
        left, top = MARGIN + one.x * CELL_W, MARGIN + one.y * CELL_H
        if one.background != BACKGROUND:
            backgrounds.append(_rectangle(left, top, one.width * CELL_W, CELL_H, one.background))
        if one.char in _BLOCKS:
            start, share = _BLOCKS[one.char]
            characters.append(_rectangle(left, top + start * CELL_H, CELL_W, share * CELL_H, one.colour))
        elif one.char in _LINES:
            characters += [_arm(left, top, arm, one.colour) for arm in _LINES[one.char]]
        elif not one.char.isspace():
            weight = ' font-weight="bold"' if one.is_bold else ""
            characters.append(
                f'<text x="{left + one.width * CELL_W / 2:g}" y="{top + 19}" text-anchor="middle"'
                f' fill="{one.colour}"{weight} {_WIDE if one.width == 2 else _NARROW}>{escape(one.char)}</text>'
            )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" shape-rendering="crispEdges">',
            f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
            *backgrounds,
            *characters,
            "</svg>\n",
        )
    )


def _arm(left: float, top: float, arm: str, colour: str) -> str:
    thick = 3 if arm.isupper() else 1.5
    middle_x, middle_y = left + (CELL_W - thick) / 2, top + (CELL_H - thick) / 2
    match arm.lower():
        case "l":
            return _rectangle(left, middle_y, (CELL_W + thick) / 2, thick, colour)
        case "r":
            return _rectangle(middle_x, middle_y, (CELL_W + thick) / 2, thick, colour)
        case "u":
            return _rectangle(middle_x, top, thick, (CELL_H + thick) / 2, colour)
        case _:
            return _rectangle(middle_x, middle_y, thick, (CELL_H + thick) / 2, colour)


def _rectangle(left: float, top: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="{colour}"/>'


def _hex(colour: Color | None, default: str) -> str:
    if colour is None or colour.is_default:
        return default
    return colour.get_truecolor().hex
