"""Owns the big figures of totals and change: digits of three rows made of half blocks, readable from the aisle."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

_WIDE: Final = {
    "0": (".###.", "#...#", "#...#", "#...#", "#...#", ".###."),
    "1": ("..#..", ".##..", "..#..", "..#..", "..#..", ".###."),
    "2": (".###.", "#...#", "...#.", "..#..", ".#...", "#####"),
    "3": ("####.", "....#", "..##.", "....#", "....#", "####."),
    "4": ("...#.", "..##.", ".#.#.", "#####", "...#.", "...#."),
    "5": ("#####", "#....", "####.", "....#", "....#", "####."),
    "6": (".###.", "#....", "####.", "#...#", "#...#", ".###."),
    "7": ("#####", "....#", "...#.", "..#..", "..#..", "..#.."),
    "8": (".###.", "#...#", ".###.", "#...#", "#...#", ".###."),
    "9": (".###.", "#...#", "#...#", ".####", "....#", ".###."),
    ".": ("..", "..", "..", "..", "##", "##"),
    ",": ("..", "..", "..", ".#", ".#", "#."),
    "-": ("....", "....", "####", "....", "....", "...."),
}  # fmt: skip
_NARROW: Final = {
    "0": ("###", "#.#", "#.#", "#.#", "#.#", "###"),
    "1": (".#.", "##.", ".#.", ".#.", ".#.", "###"),
    "2": ("###", "..#", "###", "#..", "#..", "###"),
    "3": ("###", "..#", ".##", "..#", "..#", "###"),
    "4": ("#.#", "#.#", "###", "..#", "..#", "..#"),
    "5": ("###", "#..", "###", "..#", "..#", "###"),
    "6": ("###", "#..", "###", "#.#", "#.#", "###"),
    "7": ("###", "..#", "..#", ".#.", ".#.", ".#."),
    "8": ("###", "#.#", "###", "#.#", "#.#", "###"),
    "9": ("###", "#.#", "#.#", "###", "..#", "###"),
    ".": (".", ".", ".", ".", ".", "#"),
    ",": (".", ".", ".", ".", "#", "#"),
    "-": ("...", "...", "###", "...", "...", "..."),
}  # fmt: skip
_HALVES: Final = {"..": " ", "#.": "▀", ".#": "▄", "##": "█"}
ROWS: Final = 3


@lru_cache(maxsize=512)
def big_figures(text: str, width: int = 1 << 16) -> tuple[str, str, str]:
    """Return three rows that show a number as large as fits a width; plain in the middle where no picture fits."""
    for font in (_WIDE, _NARROW):
        for written in (text, text.replace(",", "")):
            rows = _pictured(written, font)
            if len(rows[0]) <= width:
                return rows
    return "", text[-width:], ""


def _pictured(text: str, font: Mapping[str, tuple[str, ...]]) -> tuple[str, str, str]:
    rows = [" ".join(_row(font[char], row) for char in text if char in font) for row in range(ROWS)]
    return rows[0], rows[1], rows[2]


def _row(pixels: tuple[str, ...], row: int) -> str:
    upper, lower = pixels[2 * row], pixels[2 * row + 1]
    return "".join(_HALVES[u + b] for u, b in zip(upper, lower, strict=True))
