"""Owns the variance report on the screen: what differs from the book, the greatest value first, and its paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Container

from edge.count_results import count_report, print_count_report
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.money import money
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.status_line import MessageLine, StatusLine
from pos_tui.widgets.total_panel import Fact, TotalFigures, TotalPanel
from schema.amounts import format_quantity
from schema.rules.count_slips import signed

if TYPE_CHECKING:
    from textual.app import ComposeResult


class CountReportScreen(TillScreen[None]):
    """Lists the goods that differ; `+` prints."""

    NAME = "count_report"
    ACTS = (act("print", "+", "ctrl+r"), act("back", "escape", "-", "0", "enter"))

    def __init__(self, session: str, *, is_just_closed: bool = False) -> None:
        super().__init__()
        self._session, self._is_just_closed = session, is_just_closed
        self.listing = Listing(id="lines")
        self.total = TotalPanel(id="total")
        self.message = MessageLine(id="message")

    def compose(self) -> ComposeResult:
        """Put the screen together."""
        assert self.listing is not None
        yield StatusLine(id="status")
        with Container(id="body"):
            yield self.listing
            yield self.total
            yield self.message
        yield KeyBar(id="keys")

    def show(self) -> None:
        """State the report as it stands now: late sales have shrunk it."""
        assert self.listing is not None
        self.show_status()
        report = count_report(self.till.node, self._session)
        t = self.till_app.texts
        columns = (
            Column(t("search.goods")), Column(t("count_report.counted"), 11, "right"),
            Column(t("count_report.difference"), 10, "right"), Column(t("count_report.value"), 12, "right"),
        )  # fmt: skip
        rows = []
        for one in report.lines:
            value = "-" if one.value_minor is None else money(one.value_minor)
            mark = "" if one.is_cost or one.value_minor is None else "*"
            counted = f"{format_quantity(one.counted_milli)}{one.unit}"
            rows.append(
                Row(
                    (one.name, counted, signed(one.variance_milli), value + mark),
                    "bad" if one.is_loss else "",
                )
            )
        self.listing.show(columns, rows, empty=(t("count_report.even"),))
        facts = [
            Fact(t("count_report.products"), str(report.products)),
            Fact(t("count_report.differing"), str(len(report.lines)), "warn" if report.lines else "good"),
            Fact(t("count_report.gain"), money(report.gain_minor)),
            Fact(t("count_report.loss"), money(report.loss_minor), "bad" if report.loss_minor else ""),
        ]
        if report.unfinished:
            facts.append(Fact(t("count_report.unfinished"), str(report.unfinished), "warn"))
        notes = [Fact("", ""), Fact(t("count_report.at_cost"), "", "muted")]
        if report.at_price:
            notes.append(Fact(t("count_report.at_price"), "", "muted"))
        net = report.gain_minor + report.loss_minor
        tone = "warn" if net < 0 else "big"
        self.total.show(TotalFigures(t("count_report.net"), money(net), tone, tuple(facts), tuple(notes)))
        if self._is_just_closed:
            self.say(self.t("count_report.closed", session=self._session), "good")
        else:
            self.say(self.t("count_report.at_price" if report.at_price else "count_report.at_cost"), "muted")

    def act_print(self) -> None:
        """Print it, marked as a copy."""
        if print_count_report(self.till.node, self._session):
            self.till_app.paper_queued()
            self.say(self.t("report.printing" if self.till.has_printer else "receipts.no_printer"), "good")
        else:
            self.say(self.t("count_report.still_open"), "warn")
