"""Owns counting a drawer by notes and coins, blind: what it should hold is not shown before it has been counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from textual.containers import Container

from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.dialogs import ConfirmScreen
from pos_tui.screens.money import money
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.status_line import MessageLine, StatusLine
from pos_tui.widgets.total_panel import Fact, TotalFigures, TotalPanel
from schema.rules.cash import DENOMINATIONS, count_cash

if TYPE_CHECKING:
    from textual.app import ComposeResult

PIECES_MAX = 99_999


class Counted(NamedTuple):
    """What was counted: pieces by denomination, and what they come to."""

    total_minor: int
    pieces: tuple[tuple[int, int], ...]


class CountScreen(TillScreen[Counted]):
    """Asks how many of each note and coin there are; Enter goes on to the next."""

    NAME = "count"
    ACTS = (act("finish", "+", "f8"), act("set", "enter"), act("back", "escape", "-"))

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._pieces: dict[int, int] = {}
        self.listing = Listing(id="denominations")
        self.total = TotalPanel(id="total")
        self.entry = EntryLine(id="entry")

    def compose(self) -> ComposeResult:
        """Put the screen together."""
        assert self.listing is not None
        assert self.entry is not None
        yield StatusLine(id="status")
        with Container(id="body"):
            yield self.listing
            yield self.total
        yield MessageLine(id="message")
        yield self.entry
        yield KeyBar(id="keys")

    def show(self) -> None:
        """State what has been counted."""
        assert self.listing is not None
        assert self.entry is not None
        self.show_status()
        columns = (
            Column(self.t("count.denomination"), 16, "right"), Column(self.t("count.pieces"), 10, "right"),
            Column(self.t("sale.amount"), 14, "right"), Column(""),
        )  # fmt: skip
        rows = [
            Row((self._called(each), str(self._pieces[each]) if each in self._pieces else "",
                 money(each * self._pieces[each]) if each in self._pieces else "", ""))
            for each in DENOMINATIONS
        ]  # fmt: skip
        self.listing.show(columns, rows)
        counted = count_cash(self._pieces.items())
        self.total.show(
            TotalFigures(self.t("count.total"), money(counted.total_minor), "big", (Fact("", self._title),))
        )
        selected = DENOMINATIONS[max(0, self.listing.selected)]
        self.entry.show(self.t("count.prompt", name=self._called(selected)), self.t("count.hint"))

    def _called(self, minor: int) -> str:
        return self.t("count.yuan", number=minor // 100) if minor >= 100 else self.t("count.jiao", number=minor // 10)

    def moved(self) -> None:
        """Ask for the denomination that was pointed at."""
        self.show()

    def entered(self, text: str) -> None:
        """Take the number of pieces and go on to the next denomination."""
        assert self.listing is not None
        place = max(0, self.listing.selected)
        if text:
            if not (text.isascii() and text.isdigit() and int(text) <= PIECES_MAX):
                self.app.bell()
                self.say(self.t("count.unreadable"), "bad")
                return
            self._pieces[DENOMINATIONS[place]] = int(text)
        self.say("")
        if place + 1 < len(DENOMINATIONS):
            self.listing.move(1)
        self.show()

    def act_set(self) -> None:
        """Take the number of pieces."""
        assert self.entry is not None
        self.entered(self.entry.take())

    def act_finish(self) -> None:
        """State the count."""
        self.converse(self._finish())

    async def _finish(self) -> None:
        counted = count_cash(self._pieces.items())
        question = ConfirmScreen(self._title, self.t("count.confirm", total=money(counted.total_minor)))
        if await self.ask(question):
            self.dismiss(Counted(counted.total_minor, counted.denominations))

    def act_back(self) -> None:
        """Empty the line, or leave the drawer uncounted."""
        assert self.entry is not None
        if self.entry.text:
            self.entry.set_text("")
        else:
            self.dismiss(None)
