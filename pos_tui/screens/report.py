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


class ReportScreen(TillScreen[None]):
    """Shows paper on the whole screen; arrows scroll it."""

    NAME = "report"
    ACTS = (
        act("print", "+", "ctrl+r"), act("down", "down", "enter", on_bar=False), act("up", "up", on_bar=False),
        act("page_down", "pagedown", "*"), act("page_up", "pageup", on_bar=False), act("back", "escape", "-", "0"),
    )  # fmt: skip

    def __init__(
        self, title: str, lay: Callable[[int], list[str]], report: Report, *, is_copy: bool, columns: int
    ) -> None:
        super().__init__()
        self._title, self._lay, self._report, self._is_copy, self._columns = title, lay, report, is_copy, columns
        self.paper = Paper(id="paper")

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
        self.paper.show(self._lay(self._columns))
        self.say(self._title)

    def act_print(self) -> None:
        """Print it."""
        print_report(self.till.node, self._report, is_copy=self._is_copy)
        self.till_app.paper_queued()
        self.say(self.t("report.printing" if self.till.prints else "receipts.no_printer"), "good")

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
