"""Owns the van's day at a glance: load, round, stock, unload, settle, carry, each by its number with how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.carried_answers import carried_answers
from edge.carrying import carried
from edge.shifts import current_shift
from edge.van_load import aboard, loads
from edge.van_route import home_of, stops
from edge.van_settlement import last_settlement, standing
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.money import money
from pos_tui.widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    from edge.members import MemberCard
    from edge.van_settlement import Standing

WAYS: Final = ("load", "stops", "unload", "settle", "paper", "carry")


class VanScreen(TillScreen[None]):
    """Shows the day and leads to its parts; choosing a stop leads back to the sale with that customer."""

    NAME = "van"
    ACTS = (act("do", "enter", "+"), act("back", "escape", "-", "0"))

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="ways", is_numbered=True)

    def show(self) -> None:
        """State how far the day is."""
        assert self.listing is not None
        self.show_status()
        self.frame.border_title = self.t("van.title", van=self.till.node.config.location)
        now = standing(self.till.node)
        rows = [Row((self.t(f"van.{way}"), self._far(way, now))) for way in WAYS]
        rows.append(Row(note=" "))
        for text, style in self._figures(now):
            rows += self.listing.notes(text, style)
        self.listing.show((Column("", 20), Column("")), rows)

    def _far(self, way: str, now: Standing) -> str:
        node = self.till.node
        match way:
            case "load":
                waiting = loads(node)
                return self.t("van.load_waits", count=len(waiting)) if waiting else self.t("van.load_none")
            case "stops":
                round_of = stops(node)
                done = sum(stop.is_done for stop in round_of)
                return self.t("van.stops_done", done=done, count=len(round_of))
            case "unload":
                kinds = len(aboard(node))
                return self.t("van.aboard", count=kinds, home=home_of(node) or "?")
            case "settle":
                return self.t("van.uncounted", count=len(now.uncounted))
            case "carry":
                bundles = sum(not one.handed_ms for one in carried(node))
                answers = sum(not one.handed_ms for one in carried_answers(node))
                is_empty = not bundles and not answers
                return self.t("van.carry_none" if is_empty else "van.carry_waits", bundles=bundles, answers=answers)
            case _:
                known = last_settlement(node)
                return self.t("van.never_settled") if known is None else known[1].settlement

    def _figures(self, now: Standing) -> list[tuple[str, str]]:
        found = now.settlement
        sold = sum(one.sales_minor for one in found.means)
        lent = sum(one.sales_minor for one in found.means if one.means == "account")
        collected = sum(one.collected_minor for one in found.means)
        lines = [
            (self.t("van.sold", sales=found.sales, amount=money(sold), lent=money(lent)), ""),
            (self.t("van.collected", amount=money(collected)), ""),
        ]
        if found.deposits_minor or found.empties_minor:
            told = self.t("van.deposits", taken=money(found.deposits_minor), given=money(found.empties_minor))
            lines.append((told, ""))
        if current_shift(self.till.node) is None:
            lines.append((self.t("van.no_shift"), "warn"))
        return lines

    def entered(self, _text: str) -> None:
        """Do the selected one."""
        self.act_do()

    def act_do(self) -> None:
        """Do the selected one; keys that follow wait for its screen, and those after it for this one."""
        assert self.listing is not None
        match WAYS[max(0, self.listing.selected)]:
            case "load":
                from pos_tui.screens.van_load import VanLoadScreen

                self.app.push_screen(VanLoadScreen(), self._came_back)
            case "stops":
                from pos_tui.screens.van_stops import VanStopsScreen

                self.app.push_screen(VanStopsScreen(), self._chosen)
            case "unload":
                from pos_tui.screens.van_load import VanUnloadScreen

                self.app.push_screen(VanUnloadScreen(), self._came_back)
            case "settle":
                from pos_tui.screens.van_settle import VanSettleScreen

                self.app.push_screen(VanSettleScreen(), self._came_back)
            case "carry":
                from pos_tui.screens.van_carry import VanCarryScreen

                self.app.push_screen(VanCarryScreen(), self._came_back)
            case _:
                from pos_tui.screens.van_settle import SettlementPaperScreen

                self.app.push_screen(SettlementPaperScreen(), self._came_back)

    def _came_back(self, _: object) -> None:
        self.show()

    def _chosen(self, card: MemberCard | None) -> None:
        """Lead back to the sale with the customer who was chosen."""
        if card is None:
            self.show()
            return
        self.till.set_member(card)
        self.dismiss(None)
