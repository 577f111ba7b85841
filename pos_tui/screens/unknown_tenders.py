"""Owns the list of payments of which nobody knew whether the money came, until somebody says what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.clock_source import local_time
from edge.unknown_tenders import UnknownTender, settle_tender, unknown_tenders
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen
from pos_tui.screens.money import money
from pos_tui.widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    pass


class UnknownTendersScreen(TillScreen[None]):
    """Lists the open payments, the oldest first."""

    NAME = "unknown_tenders"
    ACTS = (act("settle", "enter", "+"), act("back", "escape", "-", "0"))

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="list")
        self._open: list[UnknownTender] = []

    def show(self) -> None:
        """State the open payments."""
        assert self.listing is not None
        self.show_status()
        self.frame.border_title = self.t("unsettled.title")
        self._open = unknown_tenders(self.till.node)
        zone = self.till.node.config.time_zone
        columns = (
            Column(self.t("receipts.time"), 12), Column(self.t("receipts.number"), 14),
            Column(self.t("tender.means"), 10), Column(self.t("external.reference")),
            Column(self.t("sale.amount"), 10, "right"),
        )  # fmt: skip
        rows = [
            Row((local_time(one.wall_ms, zone).strftime("%m-%d %H:%M"), one.number, self.t(f"means.{one.means}"),
                 one.reference, money(one.amount_minor)))
            for one in self._open
        ]  # fmt: skip
        self.listing.show(columns, rows, empty=(self.t("unsettled.nothing"),))

    def entered(self, _text: str) -> None:
        """Settle the selected one."""
        self.perform("settle")

    def act_settle(self) -> None:
        """Say what became of the selected payment."""
        assert self.listing is not None
        if self._open:
            self.converse(self._settle(self._open[max(0, self.listing.selected)]))

    async def _settle(self, one: UnknownTender) -> None:
        title = self.t("unsettled.settle_title", number=one.number, amount=money(one.amount_minor))
        choices = [Choice(name, self.t(f"unsettled.{name}")) for name in ("confirmed", "failed")]
        outcome = await self.ask(ChooseScreen(title, choices))
        if outcome is None:
            return
        reference = await self.ask(
            AskScreen(title, prompt=self.t("external.reference"), hint=self.t("external.hint"), initial=one.reference)
        )
        if reference is None:
            return
        settle_tender(self.till.node, one.entry, one.part, outcome, operator=self.till.operator_id, reference=reference)
        self.show()
        self.say(self.t("unsettled.done"), "good")
