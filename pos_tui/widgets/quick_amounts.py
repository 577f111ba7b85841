"""Owns the row of amounts that a customer is likely to hand over."""

from __future__ import annotations

from collections.abc import Sequence

from textual.events import Click

from pos_tui.messages import QuickAmountPressed
from pos_tui.widgets.painting import Line, LineWidget, Span, width_of


class QuickAmounts(LineWidget):
    """Amounts side by side; one may be the chosen one."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = ""
        self._amounts: tuple[str, ...] = ()
        self._chosen = -1
        self._spots: list[tuple[int, int, int]] = []

    def show(self, label: str, amounts: Sequence[str], chosen: int) -> None:
        """Set the amounts and which one is chosen (−1: none)."""
        self._label, self._amounts, self._chosen = label, tuple(amounts), chosen
        self.update()

    def lines(self, width: int, _height: int, /) -> list[Line]:
        """State the amounts that fit."""
        self._spots = []
        spans = [Span(f" {self._label} ", "muted")]
        x = width_of(spans[0].text)
        for n, amount in enumerate(self._amounts):
            text = f"[{amount}]" if n == self._chosen else f" {amount} "
            if x + width_of(text) + 1 > width:
                break
            self._spots.append((x, x + width_of(text), n))
            spans += [Span(text, "selected" if n == self._chosen else "key"), Span(" ")]
            x += width_of(text) + 1
        return [Line(tuple(spans))]

    def on_click(self, event: Click) -> None:
        """Tell which amount was pressed."""
        for left, right, n in self._spots:
            if left <= event.x < right:
                self.post_message(QuickAmountPressed(n))
                return
