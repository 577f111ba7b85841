"""Owns the bar that names the keys of the screen; it is pressed with the mouse as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.events import Click

from pos_tui.messages import KeyBarPressed
from pos_tui.widgets.painting import Line, LineWidget, Span, width_of


class BarKey(NamedTuple):
    """An act on the bar: its name, its key as it is written, and its label."""

    act: str
    key: str
    label: str


class KeyBar(LineWidget):
    """The keys of a screen in one or more rows, the most important first; what does not fit stands in the help."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._keys: tuple[BarKey, ...] = ()
        self._spots: list[tuple[int, int, int, str]] = []

    def show(self, keys: Sequence[BarKey]) -> None:
        """Set the keys."""
        self._keys = tuple(keys)
        self.update()

    def lines(self, width: int, height: int, /) -> list[Line]:
        """State the keys that fit, row by row."""
        self._spots = []
        rows: list[list[Span]] = [[]]
        x = 0
        for one in self._keys:
            size = width_of(one.key) + width_of(one.label) + 3
            if x + size - 1 > width:
                if len(rows) == height:
                    break
                rows.append([])
                x = 0
            rows[-1] += [Span(f" {one.key} ", "key"), Span(one.label, "bar"), Span(" ", "bar")]
            self._spots.append((len(rows) - 1, x, x + size, one.act))
            x += size
        return [Line(tuple(row), "bar") for row in rows] + [Line((), "bar")] * (height - len(rows))

    def on_click(self, event: Click) -> None:
        """Tell which act was pressed."""
        for y, left, right, act in self._spots:
            if event.y == y and left <= event.x < right:
                self.post_message(KeyBarPressed(act))
                return
