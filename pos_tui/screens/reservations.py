"""Owns what is put aside for somebody: "keep two until six", handed over, given up, or overdue."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Final

from edge.catalog import find_product
from edge.clock_source import local_time
from edge.keyed import keyed_quantity, plain_width
from edge.reserving import Reservation, availability, end_reservation, reservations, reserve
from edge.search import search
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen, ConfirmScreen
from pos_tui.screens.money import amount_of
from pos_tui.widgets.listing import Column, Listing, Row
from schema.errors import RefusalError

if TYPE_CHECKING:
    from edge.node import Node
    from edge.wedge import Scan

_HOUR: Final = re.compile(r"(\d{1,2})(?:[:：.]?(\d\d))?")


def until_of(node: Node, text: str) -> int:
    """Return until when goods are kept: the next time that the clock shows the typed hour (18, 18:30, 1830).

    Nothing typed keeps them without end (0). Raises RefusalError `hour_malformed`.
    """
    plain = plain_width(text).strip()
    if not plain:
        return 0
    matched = _HOUR.fullmatch(plain)
    hour, minute = (int(matched[1]), int(matched[2] or 0)) if matched else (99, 0)
    if hour > 23 or minute > 59:
        raise RefusalError("hour_malformed", "an hour is typed as 18 or 18:30", text=plain[:10])
    now = local_time(node.now_ms(), node.config.time_zone)
    until = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if until <= now:
        until += datetime.timedelta(days=1)
    return int(until.timestamp() * 1000)


class ReservationsScreen(TillScreen[None]):
    """Lists what is put aside; `+` puts more aside, Enter says that it was handed over, Delete frees it."""

    NAME = "reservations"
    ACTS = (
        act("add", "+", "f8"), act("handed_over", "enter"), act("free", "/", "delete"), act("back", "escape", "-"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="list")
        self._kept: list[Reservation] = []

    def offers(self, name: str) -> bool:
        """What needs a reservation is offered where there is one."""
        return bool(self._kept) if name in {"handed_over", "free"} else True

    def show(self) -> None:
        """State what is put aside, the first to end first."""
        assert self.listing is not None
        self.show_status()
        self.frame.border_title = self.t("reserve.title")
        self._kept = reservations(self.till.node)
        columns = (
            Column(self.t("sale.goods")), Column(self.t("goods.quantity"), 8, "right"),
            Column(self.t("reserve.until"), 12), Column(self.t("reserve.whom"), 20),
            Column(self.t("reserve.left"), 8, "right", 70),
        )  # fmt: skip
        rows = [
            Row(
                (self.till.product_name(one.product), amount_of(one.quantity_milli), self._until(one.until_ms),
                 one.note or one.document or one.customer,
                 amount_of(max(0, availability(self.till.node, one.product).available))),
                "bad" if one.is_overdue else "",
            )
            for one in self._kept
        ]  # fmt: skip
        self.listing.show(columns, rows, empty=(self.t("reserve.none"), self.t("reserve.none_hint")))
        self.show_keys()

    def _until(self, until_ms: int) -> str:
        if not until_ms:
            return self.t("reserve.no_end")
        return local_time(until_ms, self.till.node.config.time_zone).strftime("%m-%d %H:%M")

    def scanned(self, scan: Scan) -> None:
        """Put scanned goods aside."""
        self.converse(self._add(scan.text))

    def entered(self, _text: str) -> None:
        """Hand the selected goods over."""
        self.perform("handed_over" if self._kept else "add")

    def _selected(self) -> Reservation:
        assert self.listing is not None
        return self._kept[max(0, self.listing.selected)]

    # Acts

    def act_add(self) -> None:
        """Put goods aside."""
        self.converse(self._add(""))

    async def _add(self, text: str) -> None:
        code = await self._product(text)
        if code is None:
            return
        left = availability(self.till.node, code).available
        name = self.till.product_name(code)
        said = self.t("reserve.may", name=name, quantity=amount_of(max(0, left)))
        quantity = await self.ask(AskScreen(self.t("reserve.how_many"), said, prompt=self.t("quantity.prompt"),
                                            initial="1", check=keyed_quantity))  # fmt: skip
        if quantity is None:
            return
        until = await self.ask(
            AskScreen(self.t("reserve.until_title"), name, prompt=self.t("reserve.until"),
                      hint=self.t("reserve.until_hint"), check=lambda typed: until_of(self.till.node, typed))
        )  # fmt: skip
        if until is None:
            return
        whom = await self.ask(AskScreen(self.t("reserve.whom_title"), name, prompt=self.t("reserve.whom"),
                                        hint=self.t("reserve.whom_hint")))  # fmt: skip
        if whom is None:
            return
        reserve(
            self.till.node, code, keyed_quantity(quantity), until_ms=until_of(self.till.node, until),
            operator=self.till.operator_id, note=whom[:60],
        )  # fmt: skip
        self.show()
        self.say(self.t("reserve.done", name=name, quantity=amount_of(keyed_quantity(quantity))), "good")

    async def _product(self, text: str) -> str | None:
        typed: str | None = text
        if not text:
            typed = await self.ask(
                AskScreen(self.t("reserve.what"), prompt=self.t("goods.prompt"), hint=self.t("reserve.what_hint"),
                          takes_scan=True)
            )  # fmt: skip
        if not typed:
            return None
        found = find_product(self.till.node, typed)
        if found is not None:
            return found.product.code
        hits = search(self.till.node, typed, 30)
        if not hits:
            raise RefusalError("product_unknown", f"{typed} is not in the catalogue", product=typed)
        choices = [Choice(hit.code, f"{hit.name} {hit.spec}".strip(), hit.unit_name) for hit in hits]
        return await self.ask(ChooseScreen(self.t("candidates.title"), choices))

    def act_handed_over(self) -> None:
        """Say that the selected goods were handed over."""
        self.converse(self._end("fulfilled"))

    def act_free(self) -> None:
        """Free the selected goods: nobody comes for them."""
        self.converse(self._end("cancelled"))

    async def _end(self, outcome: str) -> None:
        one = self._selected()
        text = self.t(f"reserve.{outcome}_text", name=self.till.product_name(one.product),
                      quantity=amount_of(one.quantity_milli))  # fmt: skip
        if await self.ask(ConfirmScreen(self.t(f"reserve.{outcome}"), text)):
            end_reservation(self.till.node, one.promise, outcome, operator=self.till.operator_id)
            self.show()
            self.say(self.t(f"reserve.{outcome}_said"), "good")
