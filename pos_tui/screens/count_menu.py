"""Owns where counting begins: what the office asks for, counts that are open, today's proposal, and a new plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edge.asked_counts import asked_counts
from edge.clock_source import local_time
from edge.count_plans import (
    count_categories,
    cycle_count,
    known_zones,
    products_asked,
    products_of_category,
    products_on_book,
)
from edge.counting import count_sessions, open_looks, open_session
from edge.settings import setting
from edge.signing_in import operator_name
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.count_session import CountSessionScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen
from pos_tui.widgets.listing import Column, Listing, Row
from schema.settings import CategoryNames

if TYPE_CHECKING:
    from schema.rules.cycle_counts import Proposed

REPORTS_MAX = 9
PROPOSED_SHOWN = 3


class _Way(NamedTuple):
    """What a row of the menu leads to: a kind, and the session where it is one."""

    kind: str
    session: str = ""


class CountMenuScreen(TillScreen[None]):
    """Lists what can be counted; a digit or Enter begins."""

    NAME = "count_menu"
    ACTS = (act("begin", "enter", "+"), act("back", "escape", "-", "0"))

    def __init__(self) -> None:
        super().__init__()
        self._ways: list[_Way] = []
        self._proposed: list[Proposed] | None = None
        self.listing = Listing(id="ways", is_numbered=True)

    def show(self) -> None:
        """State what can be counted, the wishes of the office first."""
        assert self.listing is not None
        node, listing = self.till.node, self.listing
        self.show_status()
        self.frame.border_title = self.t("count_menu.title")
        self._ways = []
        rows: list[Row] = []

        def offer(way: _Way, label: str, remark: str, style: str = "", note: str = "") -> None:
            self._ways.append(way)
            rows.append(Row((label, remark), style))
            if note:
                rows.append(Row(note=note))

        asked = asked_counts(node)
        if asked:
            named = (f"{one.name} ({one.zone})" if one.zone else one.name for one in asked)
            names = "、".join(dict.fromkeys(named))
            number = len({one.product for one in asked})
            note = next((one.note for one in asked if one.note), "")
            offer(
                _Way("asked"), self.t("count_menu.asked"), self.t("count_menu.goods", number=number), "warn",
                f"{names} — {note}" if note else names,
            )  # fmt: skip
        for one in count_sessions(node):
            began = local_time(one.opened_ms, node.config.time_zone).strftime("%m-%d %H:%M")
            who = operator_name(node, one.operator)
            waiting = len(open_looks(node, one.session))
            number = len(one.products)
            planned = self.t("count_menu.goods" if number else "count_menu.free", number=number)
            told = [text for text in (began, who, " / ".join(one.zones)) if text]
            if waiting:
                told.append(self.t("count_menu.waiting", number=waiting))
            offer(_Way("session", one.session), self.t("count_menu.go_on", session=one.session), planned, "accent",
                  " · ".join(told))  # fmt: skip
        if self._proposed is None:
            self._proposed = cycle_count(node)
        if self._proposed:
            first = [
                f"{one.grade.value} {self.till.product_name(one.product)}" for one in self._proposed[:PROPOSED_SHOWN]
            ]
            offer(_Way("cycle"), self.t("count_menu.cycle"), self.t("count_menu.goods", number=len(self._proposed)), "",
                  f"{'、'.join(first)} …")  # fmt: skip
        offer(_Way("category"), self.t("count_menu.category"), "")
        offer(_Way("book"), self.t("count_menu.book"), self.t("count_menu.goods", number=len(products_on_book(node))))
        offer(_Way("free"), self.t("count_menu.unplanned"), "")
        offer(_Way("reports"), self.t("count_menu.reports"), "")
        listing.show((Column("", 0), Column("", 16, "right")), rows)

    def entered(self, _text: str) -> None:
        """Begin the selected one."""
        self.act_begin()

    def act_begin(self) -> None:
        """Begin the selected one."""
        assert self.listing is not None
        self._begin_way(self._ways[max(0, self.listing.selected)])

    def _begin_way(self, way: _Way) -> None:
        self.converse(self._begin_count(way))

    async def _begin_count(self, way: _Way) -> None:
        node = self.till.node
        match way.kind:
            case "session":
                await self._count(way.session)
            case "asked":
                await self._open(products_asked(node), asks_zones=False)
            case "cycle":
                await self._open(tuple(one.product for one in self._proposed or ()), asks_zones=False)
            case "book":
                await self._open(products_on_book(node))
            case "free":
                await self._open(())
            case "category":
                await self._category()
            case _:
                await self._reports()

    async def _category(self) -> None:
        found = count_categories(self.till.node)
        names = setting(self.till.node, CategoryNames)
        choices = [
            Choice(one.category, names.of(one.category), self.t("count_menu.goods", number=one.products))
            for one in found
        ]
        chosen = await self.ask(ChooseScreen(self.t("count_menu.category"), choices))
        if chosen is not None:
            await self._open(products_of_category(self.till.node, chosen))

    async def _open(self, products: tuple[str, ...], *, asks_zones: bool = True) -> None:
        zones: tuple[str, ...] = ()
        if asks_zones:
            text = await self.ask(
                AskScreen(self.t("count_menu.zones"), self.t("count_menu.zones_text"),
                          prompt=self.t("stock_count.zone"), initial=" ".join(known_zones(self.till.node)))
            )  # fmt: skip
            if text is None:
                return
            zones = tuple(dict.fromkeys(zone for zone in re.split(r"[\s,，、;；/]+", text) if zone))
        opened = open_session(self.till.node, zones, products, operator=self.till.operator_id)
        await self._count(opened.session)

    async def _count(self, session: str) -> None:
        said = await self.ask(CountSessionScreen(session))
        self._proposed = None
        self.show()
        if said:
            self.say(said, "good")

    async def _reports(self) -> None:
        from pos_tui.screens.count_report import CountReportScreen

        closed = [one for one in count_sessions(self.till.node, with_closed=True) if one.closed_ms is not None]
        if not closed:
            self.say(self.t("count_menu.no_reports"), "warn")
            return
        closed.sort(key=lambda one: -(one.closed_ms or 0))
        zone = self.till.node.config.time_zone
        choices = [
            Choice(one.session, one.session, f"{local_time(one.closed_ms or 0, zone):%m-%d %H:%M}")
            for one in closed[:REPORTS_MAX]
        ]
        chosen = await self.ask(ChooseScreen(self.t("count_menu.reports"), choices))
        if chosen is not None:
            await self.ask(CountReportScreen(chosen))
