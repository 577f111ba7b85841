"""Owns where the sale leads to: paying, parking, refunds, shifts, looking up, accounts, devices, settings."""

from __future__ import annotations

from pos_tui.keys import shown_key
from pos_tui.screens.dialogs import Choice, ChooseScreen
from pos_tui.screens.sale_acts import SaleActs

FIRST = ("park", "recall", "discount", "price", "gift", "member", "refund", "lookup")
SECOND = ("unit", "coupon", "clear", "shift", "reprint", "account", "unknown_tenders", "devices", "settings")
"""The two pages of the menu, nine to a page at most: the keypad chooses by one digit."""


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
        name = await self.ask(ChooseScreen(self.t("menu.title"), [*self._choices(FIRST), more]))
        if name == "more":
            name = await self.ask(ChooseScreen(self.t("menu.title"), self._choices(SECOND)))
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

    def act_devices(self) -> None:
        """Show line and devices, and the paper that waits for an answer."""
        from pos_tui.screens.devices import DevicesScreen

        self.app.push_screen(DevicesScreen(), lambda _: self.came_back())

    def act_settings(self) -> None:
        """Show what this till may be told for itself."""
        from pos_tui.screens.settings import SettingsScreen

        self.app.push_screen(SettingsScreen(), lambda _: self.came_back())
