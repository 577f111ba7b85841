"""Owns lists: columns that fit the width, a selected row, numbers to choose by, and only changed rows painted anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.events import Click, MouseScrollDown, MouseScrollUp

from pos_tui.messages import RowPointedAt
from pos_tui.widgets.painting import Line, LineWidget, Span, fit, width_of, wrapped

CURSOR = "►"


class Column(NamedTuple):
    """A column: its title, width (0: what the others leave), alignment, and the list's width from which it shows."""

    title: str
    width: int = 0
    align: str = "left"
    from_width: int = 0


class Row(NamedTuple):
    """A row: a cell for each column, or one text over the whole width (`note`); notes cannot be selected."""

    cells: tuple[str, ...] = ()
    style: str = ""
    note: str = ""


class Listing(LineWidget):
    """A list whose rows are values; setting them paints what changed."""

    def __init__(self, *, id: str | None = None, is_numbered: bool = False, has_cursor: bool = True) -> None:
        super().__init__(id=id)
        self._columns: tuple[Column, ...] = ()
        self._rows: tuple[Row, ...] = ()
        self._places: list[int] = []
        self._empty: tuple[str, ...] = ()
        self._top = 0
        self.is_numbered = is_numbered
        self._has_cursor = has_cursor
        self.selected = -1

    def show(
        self, columns: Sequence[Column], rows: Sequence[Row], *, selected: int | None = None,
        empty: Sequence[str] = (), has_cursor: bool | None = None,
    ) -> None:  # fmt: skip
        """Set columns and rows; `selected` counts rows that can be selected, `empty` is said where there are none."""
        self._columns, self._rows, self._empty = tuple(columns), tuple(rows), tuple(empty)
        if has_cursor is not None:
            self._has_cursor = has_cursor
        self._places = [place for place, row in enumerate(self._rows) if not row.note]
        self._select(self.selected if selected is None else selected)
        self.update()

    def notes(self, text: str, style: str = "") -> list[Row]:
        """Return a sentence as notes that fit this list's width."""
        return [Row(note=line, style=style) for line in wrapped(text, max(20, self.size.width - self._margin - 3))]

    def select(self, index: int) -> None:
        """Select a row and bring it into view."""
        self._select(index)
        self.update()

    def move(self, by: int) -> None:
        """Move the selection by so many rows, staying within; a list without a cursor is scrolled."""
        if not self._has_cursor:
            self._top = max(0, min(self._top + by, len(self._rows) - self._room(self.size.height)))
            self.update()
            return
        self.select(max(0, min(len(self._places) - 1, self.selected + by)))

    def page(self, by: int) -> None:
        """Move the selection by pages."""
        self.move(by * max(1, self._room(self.size.height) - 1))

    @property
    def number(self) -> int:
        """How many rows can be selected."""
        return len(self._places)

    def first_shown(self) -> int:
        """Return the first row that can be selected and is in view: by it numbered rows count."""
        return next((n for n, place in enumerate(self._places) if place >= self._top), 0)

    def _select(self, index: int) -> None:
        self.selected = max(-1, min(index, len(self._places) - 1))
        if self.selected < 0 and self._places and self._has_cursor:
            self.selected = 0
        room = self._room(self.size.height)
        if not self._has_cursor:
            self._top = max(0, min(self._top, len(self._rows) - room))
            return
        if self.selected < 0 or room <= 0:
            self._top = 0
            return
        place = self._places[self.selected]
        last = self._places[self.selected + 1] - 1 if self.selected + 1 < len(self._places) else len(self._rows) - 1
        if last >= self._top + room:
            self._top = last - room + 1
        self._top = max(0, min(self._top, place, max(0, len(self._rows) - room)))
        if self.selected == 0:
            self._top = min(self._top, place) if place < room else self._top
            self._top = 0 if place < room else self._top

    def _room(self, height: int) -> int:
        return height - (1 if any(column.title for column in self._columns) else 0)

    def _widths(self, width: int) -> list[tuple[int, Column, int]]:
        """Return (cell, column, width) of the columns that show at this width."""
        shown = [(n, column) for n, column in enumerate(self._columns) if width >= column.from_width]
        fixed = sum(column.width for _, column in shown) + max(0, len(shown) - 1)
        free = [n for n, column in shown if not column.width]
        rest = max(4, width - self._margin - fixed - 1)
        return [(n, column, column.width or rest // len(free)) for n, column in shown]

    @property
    def _margin(self) -> int:
        return (2 if self._has_cursor else 0) + (2 if self.is_numbered else 0)

    def lines(self, width: int, height: int, /) -> list[Line]:
        """State the heads, the rows in view and the sign that there are more."""
        self._select(self.selected)
        widths = self._widths(width)
        lines: list[Line] = []
        if any(column.title for column in self._columns):
            head = " ".join(fit(column.title, size, column.align) for _, column, size in widths)
            lines.append(Line((Span(" " * self._margin + head, "head"),), "head"))
        room = height - len(lines)
        if not self._rows:
            lines += [Line()] * max(0, (room - len(self._empty)) // 2)
            lines += [Line((Span(fit(text, width, "centre"), "muted" if n else ""),))
                      for n, text in enumerate(self._empty)]  # fmt: skip
            return lines
        first = self.first_shown()
        index = {place: n for n, place in enumerate(self._places)}
        for place in range(self._top, min(len(self._rows), self._top + room)):
            lines.append(self._line(self._rows[place], index.get(place, -1), first, widths, width))
        hidden = len(self._rows) - self._top - room
        if lines and (hidden > 0 or self._top > 0):
            lines = self._with_bar(lines, width, room)
        return lines

    def _line(self, row: Row, index: int, first: int, widths: Sequence[tuple[int, Column, int]], width: int) -> Line:
        if row.note:
            return Line(
                (Span(" " * (self._margin + 1) + fit(row.note, width - self._margin - 2), row.style or "muted"),)
            )
        is_selected = index == self.selected and self._has_cursor
        style = "selected" if is_selected else row.style
        lead = (CURSOR + " " if is_selected else "  ") if self._has_cursor else ""
        if self.is_numbered:
            number = index - first + 1
            lead += f"{number} " if 1 <= number <= 9 else "  "
        text = " ".join(fit(row.cells[n] if n < len(row.cells) else "", size, column.align)
                        for n, column, size in widths)  # fmt: skip
        return Line((Span(lead, style if is_selected else "accent"), Span(text, style)), style if is_selected else "")

    def _with_bar(self, lines: list[Line], width: int, room: int) -> list[Line]:
        """Put a scroll bar into the last column."""
        heads = len(lines) - min(room, len(self._rows) - self._top)
        size = max(1, room * room // len(self._rows))
        start = (room - size) * self._top // max(1, len(self._rows) - room)
        barred = lines[:heads]
        for y, line in enumerate(lines[heads:]):
            mark = Span("█" if start <= y < start + size else "│", "muted")
            text_width = sum(width_of(span.text) for span in line.spans)
            pad = Span(" " * max(0, width - 1 - text_width), line.style)
            spans = _cropped(line.spans, width - 1) if text_width > width - 1 else (*line.spans, pad)
            barred.append(Line((*spans, mark), line.style))
        return barred

    def index_at(self, y: int) -> int:
        """Return the row that can be selected at a line of the widget; −1 where there is none."""
        place = self._top + y - (1 if any(column.title for column in self._columns) else 0)
        if place < self._top or place >= len(self._rows):
            return -1
        return next((n for n in range(len(self._places) - 1, -1, -1) if self._places[n] <= place), -1)

    def on_click(self, event: Click) -> None:
        """Tell which row the mouse pointed at."""
        index = self.index_at(event.y)
        if index >= 0:
            self.post_message(RowPointedAt(index, is_again=index == self.selected))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Move on with the wheel."""
        event.stop()
        self.move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Move back with the wheel."""
        event.stop()
        self.move(-1)


def _cropped(spans: Sequence[Span], width: int) -> tuple[Span, ...]:
    kept: list[Span] = []
    for span in spans:
        size = width_of(span.text)
        if size > width:
            kept.append(Span(fit(span.text, width), span.style))
            break
        kept.append(span)
        width -= size
    return tuple(kept)
