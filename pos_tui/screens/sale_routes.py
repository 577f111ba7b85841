"""Owns where the sale leads to: paying, parking, refunds, shifts, looking up, accounts, devices, settings."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from edge import basket as baskets
from edge.parking import park
from edge.van_route import location_type
from pos_tui.keys import shown_key
from pos_tui.screens.dialogs import Choice, ChooseScreen, ConfirmScreen
from pos_tui.screens.money import money
from pos_tui.screens.sale_acts import SaleActs
from pos_tui.screens.stock_menu import stock_menu, work_named

if TYPE_CHECKING:
    from edge.selling import Completed

FIRST = ("park", "recall", "discount", "price", "gift", "member", "refund", "lookup")
SECOND = ("stock", "shift", "reprint", "unit", "coupon", "clear", "account", "unknown_tenders")
THIRD = ("empties", "devices", "settings", "training")
PAGES = (FIRST, SECOND, THIRD)
"""The pages of the menu, nine choices on each at most: the keypad chooses by one digit."""


class SaleRoutes(SaleActs):
    """The ways out of the sale; each comes back to it with the basket as it was."""

    def came_back(self) -> None:
        """Show the sale anew after another screen."""
        raise NotImplementedError

    def act_menu(self) -> None:
        """Offer everything by number."""
        self.converse(self._menu())

    async def _menu(self) -> None:
        more = Choice("more", self.t("menu.more"))
        name: str | None = None
        for page in PAGES:
            choices = [*self._choices(page), *([] if page is PAGES[-1] else [more])]
            name = await self.ask(ChooseScreen(self.t("menu.title"), choices))
            if name != "more":
                break
        if name is not None:
            self.call_later(self.perform, name)

    def _choices(self, names: tuple[str, ...]) -> list[Choice]:
        found = [(name, self.key_table.act_named(name)) for name in names]
        return [
            Choice(name, self.label_of(one), shown_key(one.keys[0]) if one.keys else "")
            for name, one in found
            if one is not None
        ]

    def act_lookup(self) -> None:
        """Look a product up; it may go into the basket from there."""
        self.converse(self._lookup())

    async def _lookup(self) -> None:
        from pos_tui.screens.lookup import LookupScreen

        code = await self.ask(LookupScreen())
        self.came_back()
        if code is not None:
            self.call_later(self._take_looked_up, code)

    def _take_looked_up(self, code: str) -> None:
        with self.saying():
            self.take_picked(code, None)

    def act_park(self) -> None:
        """Put the basket aside, for any till of the shop."""
        label = self._park_label()
        park(
            self.till.node, self.till.basket, operator=self.till.operator_id, label=label, priced=self.till.priced,
            prints=self.till.prints,
        )  # fmt: skip
        self.change(baskets.EMPTY, said=self.t("park.done", label=label), tone="good")
        self.till_app.paper_queued()

    def _park_label(self) -> str:
        lines = self.till.basket.lines
        member = self.till.basket.member
        who = member.phone_masked if member is not None else (lines[0].name if lines else "")
        return f"{who} {self.till.clock()}".strip()

    def act_recall(self) -> None:
        """Take a basket up that was put aside."""
        self.converse(self._recall())

    async def _recall(self) -> None:
        from pos_tui.screens.parked import ParkedScreen

        if not self.till.basket.is_empty:
            self.say(self.t("recall.park_first"), "warn")
            return
        found = await self.ask(ParkedScreen())
        self.came_back()
        if found is not None:
            self.change(self.till.with_member_named(found), said=self.t("recall.done"), tone="good")

    def act_account(self) -> None:
        """Top stored value up, take a repayment, give stored value back."""
        from pos_tui.screens.account import AccountScreen

        self.app.push_screen(AccountScreen(), lambda _: self.came_back())

    def act_unknown_tenders(self) -> None:
        """Clear payments of which nobody knew whether the money came."""
        from pos_tui.screens.unknown_tenders import UnknownTendersScreen

        self.app.push_screen(UnknownTendersScreen(), lambda _: self.came_back())

    def act_shift(self) -> None:
        """Open, count and close the drawer."""
        from pos_tui.screens.shift import ShiftScreen

        self.app.push_screen(ShiftScreen(), lambda _: self.came_back())

    def act_reprint(self) -> None:
        """Print one of the last receipts again."""
        from pos_tui.screens.receipts import ReceiptsScreen

        self.app.push_screen(ReceiptsScreen(), lambda _: self.came_back())

    def act_stock(self) -> None:
        """Receive, send, count, adjust: the work on stock."""
        self.converse(self._stock())

    async def _stock(self) -> None:
        name = await self.ask(stock_menu(self.till_app.texts, location_type(self.till.node)))
        if name is not None:
            said = await self.ask(work_named(name).make())
            self.came_back()
            if isinstance(said, str):
                self.say(said, "good")
            return
        self.came_back()

    def act_refund(self) -> None:
        """Take goods back."""
        self.converse(self.begin_refund(""))

    async def begin_refund(self, reference: str) -> None:
        """Take goods back, of a receipt that was scanned where there is one."""
        from pos_tui.screens.refund import RefundScreen

        if not self.till.basket.is_empty:
            self.say(self.t("refund.park_first"), "warn")
            return
        self.till.returning = self.till.exchanging = None
        await self.ask(RefundScreen(reference))
        self.came_back()

    def act_pay(self) -> None:
        """Take the money, or give it back for goods that come back."""
        from pos_tui.screens.tender import TenderScreen

        if self.till.basket.is_empty:
            self.say(self.t("sale.nothing_to_pay"), "warn")
            return
        if self.till.priced.total_minor < 0 or all(line.is_empties for line in self.till.basket.lines):
            self.converse(self._give_deposit_back())
            return
        if self.till.priced.unpriced:
            self.show_line(self.till.priced.unpriced[0])
            self.say(self.t("sale.unpriced"), "warn")
            return
        if self.till.returning is not None:
            self.converse(self._give_back())
            return
        self.app.push_screen(TenderScreen(), self._paid)

    def show_line(self, place: int) -> None:
        """Select a line of the basket."""
        raise NotImplementedError

    def _paid(self, completed: object) -> None:
        if completed is not None:
            self.till_app.sale_completed()
            self.say("")
        self.till.attempt = ""
        self.till.keep_draft()
        self.came_back()

    async def _give_back(self) -> None:
        """Take the goods in the basket back without their receipt."""
        attempt = secrets.token_hex(16)
        reasons = [Choice(name, self.t(f"return.{name}")) for name in ("quality", "wrong", "unwanted", "other")]
        total = self.t("return.text", total=money(self.till.priced.total_minor))
        reason = await self.ask(ChooseScreen(self.t("return.title"), reasons, total))
        if reason is None:
            return
        places = [Choice(place, self.t(f"refund.to_{place}")) for place in ("shelf", "damaged", "supplier")]
        place = await self.ask(ChooseScreen(self.t("refund.goods_to"), places))
        if place is None:
            return
        done: list[Completed] = []
        await self.insisting(
            lambda approver: done.append(
                self.till.give_back(
                    goods_to=place, reason=self.t(f"return.{reason}"), approver=approver, attempt=attempt
                )
            )
        )
        if done:
            self.till_app.refund_completed(done[0])
            self.till.keep_draft()
            self.came_back()

    async def _give_deposit_back(self) -> None:
        """Give the deposit of empties back, where the customer takes nothing else or less than that."""
        attempt = secrets.token_hex(16)
        amount = money(-self.till.priced.total_minor)
        if not await self.ask(ConfirmScreen(self.t("empties.title"), self.t("empties.text", amount=amount))):
            return
        self.till_app.refund_completed(self.till.give_deposit_back(attempt=attempt))
        self.till.keep_draft()
        self.came_back()

    def act_training(self) -> None:
        """Begin to train, or stop."""
        self.till_app.switch_training()
        self.came_back()

    def act_devices(self) -> None:
        """Show line and devices, and the paper that waits for an answer."""
        from pos_tui.screens.devices import DevicesScreen

        self.app.push_screen(DevicesScreen(), lambda _: self.came_back())

    def act_settings(self) -> None:
        """Show what this till may be told for itself."""
        from pos_tui.screens.settings import SettingsScreen

        self.app.push_screen(SettingsScreen(), lambda _: self.came_back())
