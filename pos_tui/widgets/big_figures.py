"""Owns the big figures of totals and change: digits of three rows made of half blocks, readable from the aisle."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_PIXELS: Final = {
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
    " ": ("..", "..", "..", "..", "..", ".."),
}  # fmt: skip
_HALVES: Final = {"..": " ", "#.": "▀", ".#": "▄", "##": "█"}
ROWS: Final = 3


@lru_cache(maxsize=256)
def big_figures(text: str) -> tuple[str, str, str]:
    """Return three rows that show a number large; characters without a picture are left out."""
    rows = [" ".join(_row(_PIXELS[char], row) for char in text if char in _PIXELS) for row in range(ROWS)]
    return rows[0], rows[1], rows[2]


def _row(pixels: tuple[str, ...], row: int) -> str:
    upper, lower = pixels[2 * row], pixels[2 * row + 1]
    return "".join(_HALVES[u + b] for u, b in zip(upper, lower, strict=True))
