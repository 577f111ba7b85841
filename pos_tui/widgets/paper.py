"""Owns the picture of paper on the screen: the rows of a receipt or report as the printer would set them."""

from __future__ import annotations

from collections.abc import Sequence

from textual.events import MouseScrollDown, MouseScrollUp

from pos_tui.widgets.painting import Line, LineWidget, Span, fit, width_of

COLUMNS_MAX = 48
COLUMNS_MIN = 24


class Paper(LineWidget):
    """A strip of paper in the middle of its place; it is scrolled by its screen or the wheel."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: tuple[str, ...] = ()
        self._top = 0

    @property
    def columns(self) -> int:
        """How many columns of paper there is room for."""
        return max(COLUMNS_MIN, min(COLUMNS_MAX, (self.size.width or 36) - 4))

    def show(self, rows: Sequence[str]) -> None:
        """Set the rows and begin at the top."""
        self._rows, self._top = tuple(rows), 0
        self.update()

    def scroll_by(self, rows: int) -> None:
        """Move the paper up or down."""
        self._top = max(0, min(self._top + rows, len(self._rows) - self.size.height + 1))
        self.update()

    def lines(self, width: int, height: int, /) -> list[Line]:
        """State the rows that are in view."""
        columns = min(width, max((width_of(row) for row in self._rows), default=self.columns) + 2)
        margin = " " * max(0, (width - columns) // 2)
        shown = self._rows[self._top : self._top + height]
        found = [Line((Span(margin), Span(fit(f" {row}", columns), "paper"))) for row in shown]
        if len(self._rows) - self._top > height and found:
            found[-1] = Line((Span(margin), Span(fit("…", columns, "centre"), "paper")))
        return found

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Move on with the wheel."""
        event.stop()
        self.scroll_by(2)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Move back with the wheel."""
        event.stop()
        self.scroll_by(-2)
