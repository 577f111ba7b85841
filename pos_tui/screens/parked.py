"""Owns the list of baskets that wait at the shop, whichever till put them aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.basket import Basket
from edge.clock_source import local_time
from edge.parking import ParkedBasket, drop, parked, recall
from edge.signing_in import operator_name
from pos_tui.keys import act
from pos_tui.screens.allowing import AllowingScreen
from pos_tui.screens.dialogs import ConfirmScreen
from pos_tui.screens.money import money
from pos_tui.widgets.listing import Column, Listing, Row
from schema.errors import RefusalError

if TYPE_CHECKING:
    pass


class ParkedScreen(AllowingScreen[Basket]):
    """Offers the baskets that wait; the answer is the one that was taken up."""

    NAME = "parked"
    ACTS = (act("take", "enter", "+"), act("drop", "delete", "/"), act("back", "escape", "-", "0"))

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="list", is_numbered=True)
        self._parked: list[ParkedBasket] = []

    def show(self) -> None:
        """State the baskets, the newest first."""
        assert self.listing is not None
        self.show_status()
        self.frame.border_title = self.t("recall.title")
        self._parked = parked(self.till.node)
        columns = (
            Column(self.t("recall.time"), 12), Column(self.t("recall.label")),
            Column(self.t("recall.operator"), 14, from_width=64), Column(self.t("sale.amount"), 11, "right"),
        )  # fmt: skip
        rows = [
            Row(
                (
                    self._time(one.wall_ms),
                    one.label,
                    operator_name(self.till.node, one.operator),
                    money(one.total_minor),
                )
            )
            for one in self._parked
        ]
        self.listing.show(columns, rows, empty=(self.t("recall.nothing"),))

    def _time(self, wall_ms: int) -> str:
        return local_time(wall_ms, self.till.node.config.time_zone).strftime("%m-%d %H:%M")

    def _selected(self) -> ParkedBasket:
        assert self.listing is not None
        if not self._parked:
            raise RefusalError("basket_unknown", "no basket is parked here", basket="")
        return self._parked[max(0, self.listing.selected)]

    def entered(self, _text: str) -> None:
        """Take the selected basket."""
        self.perform("take")

    def act_take(self) -> None:
        """Take the selected basket up."""
        try:
            self.dismiss(recall(self.till.node, self._selected().basket, operator=self.till.operator_id))
        except RefusalError:
            self.show()
            raise

    def act_drop(self) -> None:
        """Give the selected basket up."""
        self.converse(self._drop())

    async def _drop(self) -> None:
        one = self._selected()
        if await self.ask(ConfirmScreen(self.t("recall.drop_title"), self.t("recall.drop_text", label=one.label))):
            await self.insisting(lambda approver: self._dropped(one, approver))

    def _dropped(self, one: ParkedBasket, approver: str) -> None:
        drop(self.till.node, one.basket, operator=self.till.operator_id, approver=approver)
        self.show()
