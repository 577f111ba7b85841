"""Owns the page of devices and line: how each is, what to do about it, and the paper that needs an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.device_events import Condition, fault_sentence
from edge.print_jobs import JobState, PrintJobRow, answer, drop, jobs, retry
from edge.till_status import till_status
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.dialogs import Choice, ChooseScreen
from pos_tui.screens.money import age
from pos_tui.widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    pass

_TONES = {Condition.READY: "good", Condition.ATTENTION: "warn", Condition.FAULT: "bad"}


class DevicesScreen(TillScreen[None]):
    """Lists line, prices, devices and open paper."""

    NAME = "devices"
    ACTS = (
        act("choose", "enter"), act("drawer", "*"), act("test", "+"), act("back", "escape", "-"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="devices", is_numbered=False)
        self._jobs: list[PrintJobRow] = []
        self._first_job = 0

    def on_mount(self) -> None:
        """Look again now and then."""
        self.set_interval(1.0, self.show)

    def show(self) -> None:
        """State how everything is."""
        assert self.listing is not None
        self.show_status()
        self.frame.border_title = self.t("devices.title")
        t, status = self.till_app.texts, till_status(self.till.node)
        rows = [
            Row((t("devices.line"), t("devices.online") if status.is_online else t("devices.offline")),
                "good" if status.is_online else "warn"),
            Row((t("devices.exchange"), age(t, status.exchange_age_ms))),
            Row((t("devices.waiting"), t("devices.entries", number=status.waiting))),
            Row((t("devices.prices"), t(f"devices.prices_{status.prices}"))),
        ]  # fmt: skip
        for device in self.till_app.device_status():
            rows.append(
                Row((t(f"device.{device.role.value}"), device.sentence(t)), _TONES.get(device.condition, "muted"))
            )
        self._first_job = len(rows)
        self._jobs = jobs(self.till.node.connection, JobState.WAITING, JobState.UNKNOWN, JobState.FAILED)
        for job in self._jobs:
            fault = fault_sentence(t, job.fault, t("device.printer")) if job.fault else ""
            rows.append(
                Row((t("devices.job", number=job.job), f"{t(f'devices.job_{job.state.value}')} {fault}"), "warn")
            )
        self.listing.show((Column("", 22), Column("")), rows)

    def entered(self, _text: str) -> None:
        """Decide about the selected paper."""
        self.act_choose()

    def act_choose(self) -> None:
        """Decide about the selected paper."""
        assert self.listing is not None
        place = self.listing.selected - self._first_job
        if 0 <= place < len(self._jobs):
            self.converse(self._decide(self._jobs[place]))

    async def _decide(self, job: PrintJobRow) -> None:
        names = {
            JobState.UNKNOWN: ("printed", "not_printed", "drop"), JobState.FAILED: ("retry", "drop"),
        }.get(job.state, ("drop",))  # fmt: skip
        choices = [Choice(name, self.t(f"paper.{name}")) for name in names]
        match await self.ask(ChooseScreen(self.t("paper.title"), choices)):
            case "printed":
                answer(self.till.node, job.job, was_printed=True)
            case "not_printed":
                answer(self.till.node, job.job, was_printed=False)
            case "retry":
                retry(self.till.node, job.job)
            case "drop":
                drop(self.till.node, job.job)
            case _:
                return
        self.till_app.paper_queued()
        self.show()

    def act_drawer(self) -> None:
        """Open the drawer without a sale, with a reason."""
        from pos_tui.screens.shift import ShiftScreen

        self.app.push_screen(ShiftScreen(first="no_sale"))

    def act_test(self) -> None:
        """Print a page that tests the printer."""
        if self.till_app.print_test():
            self.say(self.t("devices.test_sent"), "good")
        else:
            self.say(self.t("devices.no_printer"), "warn")
