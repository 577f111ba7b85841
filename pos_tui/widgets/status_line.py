"""Owns the top line: where this is, who works here, and how line, prices, printer and shift are, at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pos_tui.widgets.painting import Line, LineWidget, Span, joined, width_of

WEIGHTY: Final = 3
"""So many of the states at the right come before the cashier's name; it comes before the others."""


class StatusLine(LineWidget):
    """One line; what does not fit is left out from the end, troubles come first."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left: tuple[Span, ...] = ()
        self._right: tuple[Span, ...] = ()

    def show(self, left: Sequence[Span], right: Sequence[Span]) -> None:
        """Set what stands at the left edge, and the states at the right one in the order of their weight."""
        self._left, self._right = tuple(left), tuple(right)
        self.update()

    def lines(self, width: int, _height: int, /) -> list[Line]:
        """State the line."""
        least = sum(width_of(span.text) for span in self._left[:1])
        whole = sum(width_of(span.text) for span in self._left)
        weighty = sum(width_of(span.text) + 2 for span in self._right[:WEIGHTY])
        is_whole = whole + weighty <= width - 2
        room = width - 2 - (whole if is_whole else least)
        shown: list[Span] = []
        for span in self._right:
            size = width_of(span.text) + 2
            if size > room:
                break
            shown += [span, Span("  ", "bar")]
            room -= size
        left: list[Span] = [Span(" ", "bar")]
        for n, span in enumerate(self._left):
            size = width_of(span.text)
            if n and not is_whole:
                if size > room:
                    break
                room -= size
            left.append(span)
        return [joined(left, width, [*shown[:-1], Span(" ", "bar")], "bar")]


class MessageLine(LineWidget):
    """The last thing that the cashier should know: said once, in one line or two."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.text = ""
        self.tone = ""

    def show(self, text: str, tone: str = "") -> None:
        """Say something; `tone` is good, warn, bad or muted."""
        self.text, self.tone = text, tone
        self.update()

    def lines(self, width: int, _height: int, /) -> list[Line]:
        """State the message, its sign before it so that it reads without colour."""
        from pos_tui.widgets.painting import wrapped

        sign = {"good": "✓ ", "warn": "! ", "bad": "✗ "}.get(self.tone, "")
        return [Line((Span(f" {text}", self.tone),)) for text in wrapped(sign + self.text, max(10, width - 2))]
