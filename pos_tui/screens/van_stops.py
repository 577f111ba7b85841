"""Owns the round: its stops in order, each with what the customer owes, may still be lent, and bought last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.clock_source import local_time
from edge.members import MemberCard
from edge.van_route import last_purchases, stops
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.money import age, money
from pos_tui.widgets.listing import Column, Listing, Row
from schema.errors import RefusalError

if TYPE_CHECKING:
    from edge.van_route import Stop


class VanStopsScreen(TillScreen[MemberCard]):
    """Lists the stops; the selected one's card stands below its row. Enter takes the customer into the sale."""

    NAME = "van_stops"
    ACTS = (
        act("choose", "enter", "+"), act("collect", "*", "f8"), act("receipts", "/", "f5"), act("back", "escape", "-"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="stops")
        self._stops: list[Stop] = []

    def show(self) -> None:
        """State the round anew: balances may have moved."""
        assert self.listing is not None
        self.show_status()
        self._stops = stops(self.till.node)
        first = next((n for n, one in enumerate(self._stops) if not one.is_done), 0)
        done = sum(one.is_done for one in self._stops)
        title = self.t("van_stops.title", done=done, count=len(self._stops))
        self.frame.border_title = title
        self._paint(first if self.listing.selected < 0 else self.listing.selected)

    def _paint(self, selected: int) -> None:
        assert self.listing is not None
        columns = (
            Column("#", 3, "right"), Column("", 2), Column(self.t("van_stops.customer")),
            Column(self.t("van_stops.price_list"), 10, from_width=70), Column(self.t("van_stops.owes"), 10, "right"),
            Column(self.t("van_stops.left"), 10, "right"),
        )  # fmt: skip
        rows: list[Row] = []
        for place, stop in enumerate(self._stops):
            card = stop.card
            cells = (
                str(stop.place), "✓" if stop.is_done else "", card.name or card.masked, card.tier,
                money(card.credit_minor), money(card.credit_left_minor),
            )  # fmt: skip
            rows.append(Row(cells, "muted" if stop.is_done else ""))
            if place == selected:
                rows += self._card(stop)
        self.listing.show(columns, rows, selected=selected, empty=(self.t("van_stops.none"),))

    def _card(self, stop: Stop) -> list[Row]:
        assert self.listing is not None
        card = stop.card
        told = [f"{card.masked}  {stop.address}".strip()]
        known = age(self.till_app.texts, card.age_ms)
        told.append(self.t("van_stops.limit", limit=money(card.credit_limit_minor), age=known))
        if stop.note:
            told.append(self.t("van_stops.note", note=stop.note))
        if stop.is_done:
            sold, collected = money(stop.sold_minor), money(stop.collected_minor)
            told.append(self.t("van_stops.today", sold=sold, collected=collected))
        zone = self.till.node.config.time_zone
        told += [
            f"{local_time(look.wall_ms, zone):%m-%d %H:%M}  {look.number}  {money(look.total_minor)}"
            for look in last_purchases(self.till.node, card.person)[:3]
        ]
        return [row for text in told for row in self.listing.notes(text)]

    def moved(self) -> None:
        """Show the card of the selected stop."""
        assert self.listing is not None
        self._paint(self.listing.selected)

    def _selected(self) -> Stop:
        assert self.listing is not None
        if not self._stops:
            raise RefusalError("stop_unknown", "the round has no stops", stop=1)
        return self._stops[max(0, min(self.listing.selected, len(self._stops) - 1))]

    def entered(self, _text: str) -> None:
        """Take the customer into the sale."""
        with self.saying():
            self.act_choose()

    def act_choose(self) -> None:
        """Take the customer into the sale."""
        self.dismiss(self._selected().card)

    def act_collect(self) -> None:
        """Take money for what the customer owes."""
        self.converse(self._collect(self._selected().card))

    async def _collect(self, card: MemberCard) -> None:
        from pos_tui.screens.account import AccountScreen

        if card.credit_minor <= 0:
            self.say(self.t("van_stops.owes_nothing", name=card.name or card.masked), "warn")
            return
        await self.ask(AccountScreen(card, "repay"))
        self.show()

    def act_receipts(self) -> None:
        """Show what the customer bought."""
        self.converse(self._receipts(self._selected().card))

    async def _receipts(self, card: MemberCard) -> None:
        from edge.basket import Member
        from pos_tui.screens.receipts import ReceiptsScreen

        await self.ask(ReceiptsScreen(Member(card.person, card.masked, card.name, card.tier)))
