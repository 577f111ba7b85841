"""Owns sending goods to another location: where to, what, and the paper with which they can be taken in offline."""

from __future__ import annotations

from edge.drafting import asked_transfers
from edge.goods_sheet import KeptSheet, SheetNotes, wanted_sheet
from edge.places import other_places
from edge.stock import dispatch_transfer
from pos_tui.keys import act
from pos_tui.screens.dialogs import Choice, ChooseScreen, ConfirmScreen
from pos_tui.screens.goods import GoodsScreen
from pos_tui.widgets.total_panel import Fact
from schema.errors import RefusalError

ASKED = "asked:"


class DispatchScreen(GoodsScreen):
    """Lists what goes out; the note that is printed bears the codes that the receiving shop scans."""

    NAME = "dispatch"
    ACTS = (*GoodsScreen.SHEET_ACTS[:1], act("all", "*"), *GoodsScreen.SHEET_ACTS[1:])

    def __init__(self) -> None:
        super().__init__()
        self._destination = ""
        self._destination_name = ""
        self._number = ""

    def offers(self, name: str) -> bool:
        """What was asked for can be taken over as a whole."""
        return self.has_expected if name == "all" else True

    async def begin(self) -> bool:
        """Ask where the goods go; what the hub asked for stands first."""
        places = other_places(self.till.node)
        asked = asked_transfers(self.till.node)
        choices = [
            Choice(ASKED + one.transfer, self.t("dispatch.asked", name=one.destination_name), one.transfer)
            for one in asked
        ]
        choices += [Choice(place.location, place.name, place.location) for place in places]
        if not choices:
            raise RefusalError("location_unknown", "there is no other location that goods could go to")
        chosen = await self.ask(ChooseScreen(self.t("dispatch.where"), choices))
        if chosen is None:
            return False
        if chosen.startswith(ASKED):
            wish = next(one for one in asked if ASKED + one.transfer == chosen)
            self._number = wish.transfer
            self._destination, self._destination_name = wish.destination, wish.destination_name
            self.sheet = wanted_sheet(self.till.node, [(product, wanted) for product, _, wanted in wish.lines])
        else:
            self._destination = chosen
            self._destination_name = next(place.name for place in places if place.location == chosen)
        return True

    def notes(self) -> SheetNotes:
        """Keep where the goods go, and under which number."""
        about = {"title": self._destination_name, "destination": self._destination, "number": self._number}
        return SheetNotes(self.remark, about)

    def take_up(self, kept: KeptSheet) -> str:
        """Go on with what was on its way out; where somebody else has sent it meanwhile, that is said."""
        said = super().take_up(kept)
        about = kept.notes.about
        self._destination, self._destination_name, self._number = about["destination"], about["title"], about["number"]
        if self._number and all(one.transfer != self._number for one in asked_transfers(self.till.node)):
            return self.t("in_hand.sent_meanwhile", number=self._number)
        return said

    def facts(self) -> list[Fact]:
        """Say where the goods go."""
        facts = [Fact(self.t("dispatch.to"), self._destination_name)] if self._destination else []
        if self._number:
            facts.append(Fact(self.t("dispatch.number"), self._number))
        return facts

    def act_all(self) -> None:
        """Send all that was asked for."""
        self.sheet.fill()
        self.say(self.t("dispatch.all_filled"))
        self.show_sheet()

    async def finish(self) -> str | None:
        """Ask, then let the goods leave; the note is printed with its codes."""
        requests = self.sheet.requests()
        if not requests:
            raise RefusalError("sheet_empty", "there are no goods on the list yet: scan or type some")
        text = self.t("dispatch.confirm", lines=len(requests), name=self._destination_name)
        if not await self.ask(ConfirmScreen(self.t("dispatch.confirm_title"), text)):
            return None
        done = dispatch_transfer(
            self.till.node, self._destination, requests, transfer=self._number,
            operator=self.till.operator_id, note=self.remark, prints=self.till.has_printer, in_hand=self.in_hand,
        )  # fmt: skip
        return self.t("dispatch.done", number=done.transfer, name=self._destination_name)
