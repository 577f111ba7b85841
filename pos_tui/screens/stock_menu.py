"""Owns the list of stock work: what a till offers besides selling, each on a screen of its own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pos_tui.screens.dialogs import Choice, ChooseScreen

if TYPE_CHECKING:
    from pos_tui.screens.base import TillScreen
    from schema.texts import Texts


class StockWork(NamedTuple):
    """One kind of stock work: its name in the texts (`stock_menu.<name>`), and where its screen is.

    The screen is imported when it is chosen: a till that only sells starts without it.
    """

    name: str
    module: str
    screen: str
    only_at: str = ""
    """The kind of location that offers it alone; empty: every one does."""

    def make(self) -> TillScreen[Any]:
        """Make the screen; a text that it answers says what was done."""
        screen: TillScreen[Any] = getattr(importlib.import_module(self.module), self.screen)()
        return screen


WORKS: Final[tuple[StockWork, ...]] = (
    StockWork("receive", "pos_tui.screens.receive", "DeliveriesScreen"),
    StockWork("dispatch", "pos_tui.screens.dispatch", "DispatchScreen"),
    StockWork("adjust", "pos_tui.screens.adjust", "AdjustScreen"),
    StockWork("count", "pos_tui.screens.count_menu", "CountMenuScreen"),
    StockWork("lists", "pos_tui.screens.stock_lists", "StockListsScreen"),
    StockWork("reservations", "pos_tui.screens.reservations", "ReservationsScreen"),
    StockWork("van", "pos_tui.screens.van", "VanScreen", only_at="van"),
)  # fmt: skip


def stock_menu(texts: Texts, at: str = "") -> ChooseScreen:
    """Return the screen that offers the stock work of a kind of location by number; its answer is a work's name."""
    offered = [one for one in WORKS if one.only_at in {"", at}]
    return ChooseScreen(
        texts("stock_menu.title"), [Choice(one.name, texts(f"stock_menu.{one.name}")) for one in offered]
    )


def work_named(name: str) -> StockWork:
    """Return a kind of stock work.

    Raises:
        KeyError: there is no such work.
    """
    return {one.name: one for one in WORKS}[name]
