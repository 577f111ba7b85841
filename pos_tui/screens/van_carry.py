"""Owns what a van carries for others on the screen: whose it is, how old, whether it was delivered, and taking more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from edge.carried_answers import carried_answers
from edge.carrying import carried
from edge.deliveries import location_name
from edge.lan_visit import visit_shops_of
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.money import age
from pos_tui.widgets.listing import Column, Listing, Row
from schema.amounts import format_bytes
from schema.errors import RefusalError

if TYPE_CHECKING:
    from edge.lan_carry import VisitReport

DONE_SHOWN: Final = 12
"""So many that were delivered stay on the list, below what waits."""


class VanCarryScreen(TillScreen[None]):
    """Lists bundles of other places aboard and the hub's answers; `+` asks the shop on this network for more."""

    NAME = "van_carry"
    ACTS = (act("take", "+", "enter"), act("back", "escape", "-"))

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="carried")

    def show(self) -> None:
        """State what is aboard."""
        assert self.listing is not None
        self.show_status()
        self.frame.border_title = self.t("van_carry.title")
        columns = (
            Column(self.t("van_carry.place")), Column(self.t("van_carry.what"), 10),
            Column(self.t("van_carry.entries"), 8, "right"),
            Column(self.t("van_carry.size"), 9, "right", from_width=70), Column(self.t("van_carry.age"), 12),
            Column(self.t("van_carry.state"), 16),
        )  # fmt: skip
        rows = self._rows()
        self.listing.show(columns, rows, empty=(self.t("van_carry.none"), self.t("van_carry.none_hint")))

    def _rows(self) -> list[Row]:
        node = self.till.node
        now_ms = node.now_ms()
        bundles, answers = carried(node), carried_answers(node)
        rows: list[tuple[bool, Row]] = []
        for one in bundles:
            size = format_bytes(one.size) if one.size else ""
            rows.append((bool(one.handed_ms), Row((
                location_name(node, one.location), self.t("van_carry.bundle"), str(one.entries), size,
                age(self.till_app.texts, max(0, now_ms - one.made_ms)), self._state(one.handed_ms, one.outcome, "hub"),
            ), "muted" if one.handed_ms else "")))  # fmt: skip
        for answer in answers:
            size = format_bytes(answer.size) if answer.size else ""
            rows.append((bool(answer.handed_ms), Row((
                location_name(node, answer.location), self.t("van_carry.answer"), str(answer.entries), size,
                age(self.till_app.texts, max(0, now_ms - answer.made_ms)),
                self._state(answer.handed_ms, answer.outcome, "shop"),
            ), "muted" if answer.handed_ms else "")))  # fmt: skip
        waiting = [row for is_done, row in rows if not is_done]
        return waiting + [row for is_done, row in rows if is_done][:DONE_SHOWN]

    def _state(self, handed_ms: int, outcome: str, to: str) -> str:
        if not handed_ms:
            return self.t(f"van_carry.waits_{to}")
        if outcome.startswith("refused"):
            return self.t("van_carry.refused")
        return self.t("van_carry.lost" if outcome == "lost" else "van_carry.delivered")

    def entered(self, _text: str) -> None:
        """Ask for more."""
        self.act_take()

    def act_take(self) -> None:
        """Ask the tills on this network for what they have."""
        self.converse(self._take())

    async def _take(self) -> None:
        if self.till.is_training:
            self.say(self.t("training.not_here"), "warn")
            return
        self.say(self.t("van_carry.looking"))
        node = self.till.node
        # In a thread with a connection of its own: the keys answer meanwhile.
        reports = await asyncio.to_thread(visit_shops_of, node.directory, node.clock_source)
        self.show()
        text, tone = self._told(reports)
        self.say(text, tone)

    def _told(self, reports: list[VisitReport]) -> tuple[str, str]:
        """Say what visits came to, in one sentence."""
        refused = next((one for one in reports if one.refused), None)
        if refused is not None:
            error = RefusalError(refused.refused, refused.message, node=refused.peer, writer=refused.peer)
            return self.till_app.texts.refusal(error), "bad"
        taken = [one.taken for one in reports if one.taken is not None]
        if taken:
            places = " ".join(dict.fromkeys(location_name(self.till.node, one.location) for one in taken))
            return self.t("van_carry.came", entries=sum(one.entries for one in taken), places=places), "good"
        if any(one.answered for one in reports):
            return self.t("van_carry.answered"), "good"
        return (self.t("van_carry.nothing"), "") if reports else (self.t("van_carry.nobody"), "warn")
