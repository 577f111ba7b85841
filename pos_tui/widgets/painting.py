"""Owns painting by lines: a widget states its lines as values, and only lines that differ are painted anew.

No widget of the till is laid out again when its content changes, so a scan costs the painting of two or three lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

STYLES: Final = (
    "muted", "strong", "accent", "good", "warn", "bad", "head", "selected", "selected-muted", "key", "bar", "big",
    "field", "field-muted", "paper", "paper-strong", "marked", "bar-good", "bar-warn", "bar-bad", "bar-muted",
)  # fmt: skip
"""The names that a span may bear; `till.tcss` gives each its colours."""


class Span(NamedTuple):
    """A piece of a line in one style (empty: the widget's own)."""

    text: str
    style: str = ""


class Line(NamedTuple):
    """One painted line: its pieces, and the style of what they leave free."""

    spans: tuple[Span, ...] = ()
    style: str = ""


@lru_cache(maxsize=8192)
def width_of(text: str) -> int:
    """Return how many columns a text takes on the screen; a hanzi takes two."""
    return cell_len(text)


@lru_cache(maxsize=8192)
def fit(text: str, width: int, align: str = "left") -> str:
    """Return a text in exactly so many columns: padded, or cut with an ellipsis."""
    if width <= 0:
        return ""
    taken = cell_len(text)
    if taken > width:
        return set_cell_size(set_cell_size(text, width - 1).rstrip() + "…", width)
    room = " " * (width - taken)
    if align == "right":
        return room + text
    if align == "centre":
        half = len(room) // 2
        return room[:half] + text + room[half:]
    return text + room


def wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of at most so many columns: at spaces, and between hanzi."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line, used = "", 0
        for word in _words(paragraph):
            if used + cell_len(word.rstrip()) > width and line:
                lines.append(line.rstrip())
                line, used = "", 0
            rest = word if line else word.lstrip()
            while cell_len(rest.rstrip()) > width > 1:
                head = set_cell_size(rest, width).rstrip()
                lines.append(head)
                rest = rest[len(head) :]
            line, used = line + rest, used + cell_len(rest)
        lines.append(line.rstrip())
    return lines


_NOT_FIRST: Final = "，。、；：？！）」』》…,.;:?!)"


def _words(text: str) -> Iterable[str]:
    word = ""
    for char in text:
        if cell_len(char) == 2 or char == " ":
            if char in _NOT_FIRST or (char == " " and word):
                yield word + char
                word = ""
                continue
            if word:
                yield word
            word = ""
            if char == " ":
                yield char
            else:
                word = char
                # A hanzi stands alone, but for the mark that may follow it.
        else:
            if word and cell_len(word[-1]) == 2 and char not in _NOT_FIRST:
                yield word
                word = ""
            word += char
    if word:
        yield word


def joined(parts: Sequence[Span], width: int, right: Sequence[Span] = (), style: str = "") -> Line:
    """Put pieces at the left edge and others at the right edge of a line; the left ones give way."""
    right_width = sum(width_of(span.text) for span in right)
    left: list[Span] = []
    room = max(0, width - right_width)
    for span in parts:
        size = width_of(span.text)
        if size > room:
            left.append(Span(fit(span.text, room), span.style))
            room = 0
            break
        left.append(span)
        room -= size
    return Line((*left, Span(" " * room, style), *right), style)


class LineWidget(Widget):
    """A widget that is painted by lines; a subclass states them for its size."""

    DEFAULT_CSS = ""
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line--{name}" for name in STYLES}
    can_focus = False
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []
        self._painted_width = 0

    def lines(self, width: int, height: int, /) -> Sequence[Line]:
        """State the lines of the widget for a size."""
        raise NotImplementedError

    def update(self) -> None:
        """Have those lines painted anew that differ from what is on the screen."""
        width, height = self.size
        if not width or not height:
            return
        lines = list(self.lines(width, height))[:height]
        lines += [Line()] * (height - len(lines))
        before, self._lines = self._lines, lines
        if len(before) != height or self._painted_width != width:
            self._painted_width = width
            self.refresh()
            return
        changed = [Region(0, y, width, 1) for y, line in enumerate(lines) if line != before[y]]
        if changed:
            self.refresh(*changed)

    def on_resize(self, _event: Resize) -> None:
        """State the lines for the new size."""
        self.update()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[y]
        base = self._style(line.style)
        segments = [Segment(text, self._style(style) if style else base) for text, style in line.spans]
        strip = Strip(segments)
        return strip.adjust_cell_length(width, base)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"line--{name}") if name else self.rich_style
