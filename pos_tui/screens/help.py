"""Owns the help: the keys of the screen from which it was called, each with a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Vertical

from pos_tui.keys import Act, act, shown_key
from pos_tui.screens.base import TillScreen
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    from textual.app import ComposeResult


class HelpScreen(TillScreen[None]):
    """Lists what can be done on a screen."""

    NAME = "help"
    ACTS = (act("back", "escape", "f1", "-", "enter"), act("language", "f11"))
    COMMON: ClassVar[tuple[Act, ...]] = ()

    def __init__(self, asked_from: TillScreen[Any]) -> None:
        super().__init__()
        self._asked_from = asked_from
        self.listing = Listing(id="help", has_cursor=False)

    def compose(self) -> ComposeResult:
        """Put the page together."""
        assert self.listing is not None
        with Vertical(id="page"):
            yield self.listing
        yield KeyBar(id="keys")

    def show(self) -> None:
        """State every act with its keys and its sentence."""
        assert self.listing is not None
        screen = self._asked_from
        self.frame.border_title = self.t("help.title")
        rows = []
        for one in screen.key_table.acts:
            if not one.keys:
                continue
            name = f"help.{screen.NAME}.{one.name}"
            sentence = self.t(name) if self.till_app.texts.has(name) else self.t(f"help.{one.name}")
            keys = " ".join(shown_key(key) for key in one.keys)
            rows.append(Row((keys, screen.label_of(one), sentence)))
        rows.append(Row(note=" "))
        rows += self.listing.notes(self.t("help.keypad"), "accent") + self.listing.notes(
            self.t("help.numlock"), "muted"
        )
        columns = (Column(self.t("help.key"), 10), Column(self.t("help.act"), 19), Column(self.t("help.what")))
        self.listing.show(columns, rows)
