"""Owns the end of a count: what has no line (未盘), the zeros that are confirmed, recounts, and the close."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from edge.count_answers import pending_papers
from edge.count_lines import CountSheet, touch_line
from edge.count_results import Recount, recounts_due
from edge.counting import (
    MissingLine,
    close_session,
    missing_lines,
    open_looks,
    record_looks,
    session_of,
    settle_session,
)
from edge.keyed import keyed_quantity
from pos_tui.keys import act
from pos_tui.screens.allowing import AllowingScreen
from pos_tui.screens.approval import SecondPersonScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen, ConfirmScreen
from pos_tui.widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    from edge.counting import CountSession

SHOWN_MAX: Final = 2_000
"""So many missing lines are listed; nobody reads more, and closing counts them all."""


class CountReviewScreen(AllowingScreen[str]):
    """Lists what has no line; a number gives it one, `+` closes the count. Answers `CLOSED` or `LEFT`, else nothing."""

    NAME = "count_review"
    CLOSED: ClassVar[str] = "closed"
    LEFT: ClassVar[str] = "left"
    ACTS = (
        act("close", "+", "f8"), act("line", "enter"), act("recount", "*", "f4"), act("leave", "/", "f9"),
        act("back", "escape", "-", "0"),
    )  # fmt: skip

    def __init__(self, session: str) -> None:
        super().__init__()
        self._session = session
        self._missing: tuple[MissingLine, ...] = ()
        self.listing = Listing(id="missing")

    def _plan(self) -> CountSession:
        found = session_of(self.till.node, self._session)
        assert found is not None, "the count was opened"
        return found

    def show(self) -> None:
        """State how far each zone and till is, and what has no line."""
        assert self.listing is not None
        node, listing = self.till.node, self.listing
        self.show_status()
        plan = self._plan()
        self.frame.border_title = self.t("count_review.title", session=self._session)
        self._missing = missing_lines(node, plan, open_looks(node, self._session))
        sheet = CountSheet(node, self._session)
        rows: list[Row] = []
        zones: dict[str, int] = {}
        tills: dict[str, int] = {}
        for line in sheet.lines.values():
            zones[line.zone] = zones.get(line.zone, 0) + 1
            if line.till:
                tills[line.till] = tills.get(line.till, 0) + 1
        told = [
            self.t("count_review.zone", zone=zone or self.t("count_review.whole"), number=zones.get(zone, 0))
            for zone in plan.zones or ("",)
        ]
        rows += listing.notes(" · ".join(told), "accent")
        if tills:
            by_till = " · ".join(f"{till} {number}" for till, number in sorted(tills.items()))
            rows += listing.notes(self.t("count_review.tills", tills=by_till), "muted")
        rows += listing.notes(self.t("count_review.others"), "muted")
        rows.append(Row(note=" "))
        if self._missing:
            rows += listing.notes(self.t("count_review.missing", number=len(self._missing)), "warn")
            if len(self._missing) > SHOWN_MAX:
                rows += listing.notes(self.t("count_review.more", number=SHOWN_MAX), "muted")
        else:
            rows += listing.notes(self.t("count_review.complete"), "good")
        rows += [Row((one.product, one.name, one.zone)) for one in self._missing[:SHOWN_MAX]]
        columns = (Column(self.t("search.code"), 10), Column(self.t("search.goods")),
                   Column(self.t("stock_count.zone"), 14))  # fmt: skip
        listing.show(columns, rows)

    # Lines that lack

    def entered(self, _text: str) -> None:
        """Give the selected product a line."""
        self.act_line()

    def act_line(self) -> None:
        """Key how many there are of the selected product."""
        assert self.listing is not None
        if self._missing:
            self.converse(self._line(self._missing[max(0, self.listing.selected)]))

    async def _line(self, line: MissingLine) -> None:
        place = f"{line.name} · {line.zone}" if line.zone else line.name
        text = await self.ask(
            AskScreen(self.t("count_review.line"), place, prompt=self.t("quantity.prompt"),
                      hint=self.t("count_review.line_hint"), check=keyed_quantity)
        )  # fmt: skip
        if text is None:
            return
        touch_line(
            self.till.node, self._session, line.zone, line.product, keyed_quantity(text),
            operator=self.till.operator_id, is_total=True,
        )  # fmt: skip
        record_looks(self.till.node, self._session, operator=self.till.operator_id)
        self.show()
        self.say(self.t("stock_count.counts", name=line.name, total=text), "good")

    def act_leave(self) -> None:
        """Leave the count open, for this till or another."""
        self.dismiss(self.LEFT)

    # The end

    def act_close(self) -> None:
        """Close the count: papers, zeros and recounts are asked about first."""
        self.converse(self._close())

    async def _close(self) -> None:
        from pos_tui.screens.count_papers import CountPapersScreen

        node = self.till.node
        papers = pending_papers(node, self._session)
        if papers:
            await self.ask(CountPapersScreen(self._session, papers))
        missing = missing_lines(node, self._plan(), open_looks(node, self._session))
        if missing:
            text = self.t("count_review.zeros_text", number=len(missing))
            if not await self.ask(ConfirmScreen(self.t("count_review.zeros"), text)):
                return
        await self._working()
        settle_session(node, self._session, operator=self.till.operator_id, confirm_zeros=True)
        due = recounts_due(node, self._session)
        self.say("")
        while due:
            choices = [Choice(name, self.t(f"count_review.{name}")) for name in ("recount", "close_anyway", "later")]
            text = self.t("count_review.due", number=len(due))
            what = await self.ask(ChooseScreen(self.t("count_review.recounts"), choices, text))
            if what == "close_anyway":
                break
            if what != "recount" or not await self._recount(due):
                self.show()
                return
            due = recounts_due(node, self._session)
        await self._working()
        closed = close_session(
            node, self._session, operator=self.till.operator_id, confirm_zeros=True, prints=self.till.has_printer
        )
        if closed.is_closed:
            self.till_app.paper_queued()
            await self._report()
            self.dismiss(self.CLOSED)

    async def _working(self) -> None:
        """Say that it takes a moment, and let that be painted."""
        self.say(self.t("count_review.working"))
        await asyncio.sleep(0.02)

    async def _report(self) -> None:
        from pos_tui.screens.count_report import CountReportScreen

        await self.ask(CountReportScreen(self._session, is_just_closed=True))

    # Recounts

    def act_recount(self) -> None:
        """Have a second person count again what differs by too much."""
        self.converse(self._recount_now())

    async def _recount_now(self) -> None:
        await self._working()
        if open_looks(self.till.node, self._session):
            record_looks(self.till.node, self._session, operator=self.till.operator_id)
        due = recounts_due(self.till.node, self._session)
        self.say("")
        if not due:
            self.say(self.t("count_review.none_due"), "good")
            return
        await self._recount(due)
        self.show()

    async def _recount(self, due: list[Recount]) -> bool:
        """Let somebody else count again; returns whether anybody did."""
        from pos_tui.screens.recount import RecountScreen

        person = self.till.operator_id
        if any(person in one.operators for one in due):
            second = await self.ask(SecondPersonScreen(self.t("recount.who"), self.t("recount.who_text")))
            if second is None:
                return False
            person = second.operator
        counted: bool | None = await self.ask(RecountScreen(self._session, due, person))
        return bool(counted)
