"""Owns the drawer's day: opening with a float, cash in and out, the reports, 交班 with a blind count, 日结."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.keyed import keyed_money
from edge.receipts import report_document
from edge.shift_reports import close_day, day_report, open_days, print_report, shift_report
from edge.shifts import close_shift, current_shift, open_drawer, open_shift, pay_in, pay_out, shifts
from edge.signing_in import operator_name
from pos_tui.keys import act
from pos_tui.screens.allowing import AllowingScreen
from pos_tui.screens.count import Counted, CountScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen
from pos_tui.screens.money import money
from pos_tui.screens.report import ReportScreen
from pos_tui.widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    from edge.shifts import ShiftState
    from schema.rules.slips import Report

WAYS = ("open", "pay_in", "pay_out", "no_sale", "x", "close", "day", "slips")
IN_REASONS = ("change", "float", "other")
OUT_REASONS = ("deposit", "purchase", "expense", "other")
DRAWER_REASONS = ("change", "check", "mistake", "other")


class ShiftScreen(AllowingScreen[None]):
    """Shows how the drawer stands and what can be done with it, by number."""

    NAME = "shift"
    ACTS = (act("do", "enter", "+"), act("back", "escape", "-", "0"))

    def __init__(self, first: str = "") -> None:
        super().__init__()
        self._first = first
        self.listing = Listing(id="ways", is_numbered=True)

    def show(self) -> None:
        """State what can be done, and how the shift stands."""
        assert self.listing is not None
        self.show_status()
        self.frame.border_title = self.t("shift.title")
        state = current_shift(self.till.node)
        rows = [Row((self.t(f"shift.{way}"), self.t(f"shift.{way}_what"))) for way in WAYS]
        rows.append(Row(note=" "))
        for text, style in self._standing(state):
            rows += self.listing.notes(text, style)
        self.listing.show((Column("", 18), Column("")), rows)
        if self._first:
            first, self._first = self._first, ""
            self._do(first)

    def _standing(self, state: ShiftState | None) -> list[tuple[str, str]]:
        if state is None:
            lines = [(self.t("shift.none"), "warn")]
        else:
            who = operator_name(self.till.node, state.operator)
            lines = [
                (self.t("shift.is_open", shift=state.shift, operator=who), "good"),
                (self.t("shift.figures", float=money(state.float_minor), sales=state.sales,
                        amount=money(state.sales_minor), refunds=state.refunds), ""),
            ]  # fmt: skip
        days = open_days(self.till.node)
        if days:
            lines.append((self.t("shift.open_days", days=" ".join(days)), "muted"))
        return lines

    def entered(self, _text: str) -> None:
        """Do the selected one."""
        self.act_do()

    def act_do(self) -> None:
        """Do the selected one."""
        assert self.listing is not None
        self._do(WAYS[max(0, self.listing.selected)])

    def _do(self, way: str) -> None:
        ways = {
            "open": self._open, "pay_in": self._pay_in, "pay_out": self._pay_out, "no_sale": self._no_sale,
            "x": self._x, "close": self._close, "day": self._day, "slips": self._slips,
        }  # fmt: skip
        self.converse(ways[way]())

    async def _amount(self, way: str) -> int | None:
        text = await self.ask(AskScreen(self.t(f"shift.{way}"), prompt="￥", check=keyed_money))
        return None if text is None else keyed_money(text)

    async def _reason(self, way: str, names: tuple[str, ...]) -> str | None:
        choices = [Choice(name, self.t(f"shift.reason_{name}")) for name in names]
        name = await self.ask(ChooseScreen(self.t(f"shift.{way}"), choices, self.t("shift.reason")))
        if name is None:
            return None
        if name != "other":
            return self.t(f"shift.reason_{name}")
        return await self.ask(AskScreen(self.t(f"shift.{way}"), prompt=self.t("shift.reason")))

    async def _open(self) -> None:
        amount_minor = await self._amount("open")
        if amount_minor is None:
            return
        state = open_shift(self.till.node, operator=self.till.operator_id, float_minor=amount_minor)
        self.show()
        self.say(self.t("shift.opened", shift=state.shift), "good")

    async def _pay_in(self) -> None:
        amount_minor = await self._amount("pay_in")
        reason = None if amount_minor is None else await self._reason("pay_in", IN_REASONS)
        if amount_minor is None or not reason:
            return
        pay_in(self.till.node, amount_minor, reason, operator=self.till.operator_id, prints=self.till.has_printer)
        self._moved()

    async def _pay_out(self) -> None:
        amount_minor = await self._amount("pay_out")
        reason = None if amount_minor is None else await self._reason("pay_out", OUT_REASONS)
        if amount_minor is None or not reason:
            return
        why, done = reason, []

        def pay(approver: str) -> None:
            done.append(
                pay_out(
                    self.till.node, amount_minor, why, operator=self.till.operator_id, approver=approver,
                    prints=self.till.has_printer,
                )
            )  # fmt: skip

        await self.insisting(pay)
        if done:
            self._moved()

    def _moved(self) -> None:
        self.till_app.open_drawer()
        self.till_app.paper_queued()
        self.show()
        self.say(self.t("shift.moved"), "good")

    async def _no_sale(self) -> None:
        reason = await self._reason("no_sale", DRAWER_REASONS)
        if not reason:
            return
        why, done = reason, []

        def note(approver: str) -> None:
            done.append(open_drawer(self.till.node, why, operator=self.till.operator_id, approver=approver))

        await self.insisting(note)
        if done:
            self.till_app.open_drawer()
            self.say(self.t("shift.drawer_opened"), "good")

    async def _x(self) -> None:
        await self._read(shift_report(self.till.node))

    async def _close(self) -> None:
        state = current_shift(self.till.node)
        if state is None:
            self.say(self.t("shift.none"), "warn")
            return
        counted = await self.ask(CountScreen(self.t("shift.close")))
        if counted is None:
            return
        await self._hand_over(counted)

    async def _hand_over(self, counted: Counted) -> None:
        state = close_shift(
            self.till.node, counted.total_minor, operator=self.till.operator_id, denominations=counted.pieces
        )
        report = shift_report(self.till.node, state.shift)
        if self.till.has_printer:
            print_report(self.till.node, report, is_copy=False)
            self.till_app.paper_queued()
        self.show()
        variance = state.variance_minor or 0
        tone = "good" if not variance else "warn"
        self.say(self.t("shift.closed", variance=f"{'+' if variance > 0 else ''}{money(variance)}"), tone)
        await self._read(report)

    async def _day(self) -> None:
        days = open_days(self.till.node)
        date = days[0] if days else ""
        if len(days) > 1:
            date = await self.ask(ChooseScreen(self.t("shift.day"), [Choice(day, day) for day in days])) or ""
            if not date:
                return
        report = close_day(self.till.node, date, operator=self.till.operator_id, prints=self.till.has_printer)
        self.till_app.paper_queued()
        self.show()
        self.say(self.t("shift.day_closed", date=report.business_date), "good")
        await self._read(report)

    async def _slips(self) -> None:
        """Show an earlier shift's slip or a day's report again."""
        node = self.till.node
        own = [one for one in shifts(node) if one.shift.startswith(f"{node.config.till}-")]
        days = sorted({one.business_date for one in own}, reverse=True)
        choices = [Choice(f"day:{day}", self.t("shift.z_of", date=day)) for day in days[:5]]
        choices += [Choice(one.shift, one.shift, money(one.sales_minor)) for one in reversed(own[-15:])]
        if not choices:
            self.say(self.t("shift.no_slips"), "warn")
            return
        chosen = await self.ask(ChooseScreen(self.t("shift.slips"), choices))
        if chosen is not None:
            day = chosen.removeprefix("day:")
            await self._read(day_report(node, day) if day != chosen else shift_report(node, chosen), is_copy=True)

    async def _read(self, report: Report, *, is_copy: bool = True) -> None:
        columns = 40

        def lay(width: int) -> list[str]:
            return report_document(self.till.node, report, self.till.copy(width)).preview()

        await self.ask(
            ReportScreen(self.t(f"report.{report.kind.value}"), lay, report, is_copy=is_copy, columns=columns)
        )
