"""Owns reading a report as it stands on paper, and printing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.containers import Horizontal

from edge.shift_reports import print_report
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.paper import Paper
from pos_tui.widgets.status_line import MessageLine, StatusLine

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from schema.rules.slips import Report


class PaperScreen(TillScreen[None]):
    """Shows paper on the whole screen; arrows scroll it. A subclass says what stands on it, and how it is printed."""

    ACTS = (
        act("print", "+", "ctrl+r"), act("down", "down", "enter", on_bar=False), act("up", "up", on_bar=False),
        act("page_down", "pagedown", "*"), act("page_up", "pageup", on_bar=False), act("back", "escape", "-", "0"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.paper = Paper(id="paper")

    def title_text(self) -> str:
        """Return what is said below the paper."""
        raise NotImplementedError

    def preview(self) -> list[str]:
        """Return the rows of the paper."""
        raise NotImplementedError

    def print_paper(self) -> None:
        """Put it on the printer's list."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """Put the page together."""
        yield StatusLine(id="status")
        with Horizontal(id="body"):
            yield self.paper
        yield MessageLine(id="message")
        yield KeyBar(id="keys")

    def show(self) -> None:
        """State the paper."""
        self.show_status()
        with self.saying():
            self.paper.show(self.preview())
            self.say(self.title_text())

    def act_print(self) -> None:
        """Print it."""
        self.print_paper()
        self.till_app.paper_queued()
        self.say(self.t("report.printing" if self.till.has_printer else "receipts.no_printer"), "good")

    def act_down(self) -> None:
        """Read on."""
        self.paper.scroll_by(1)

    def act_up(self) -> None:
        """Read back."""
        self.paper.scroll_by(-1)

    def act_page_down(self) -> None:
        """Read on by a page."""
        self.paper.scroll_by(self.paper.size.height - 2)

    def act_page_up(self) -> None:
        """Read back by a page."""
        self.paper.scroll_by(2 - self.paper.size.height)


class ReportScreen(PaperScreen):
    """Shows a report of a shift or a day."""

    NAME = "report"

    def __init__(
        self, title: str, lay: Callable[[int], list[str]], report: Report, *, is_copy: bool, columns: int
    ) -> None:
        super().__init__()
        self._title, self._lay, self._report, self._is_copy, self._columns = title, lay, report, is_copy, columns

    def title_text(self) -> str:
        """Return the report's name."""
        return self._title

    def preview(self) -> list[str]:
        """Return the report as it is laid out."""
        return self._lay(self._columns)

    def print_paper(self) -> None:
        """Print it, marked where it is a copy."""
        print_report(self.till.node, self._report, is_copy=self._is_copy)
