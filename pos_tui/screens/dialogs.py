"""Owns the small questions: an amount, a text, a choice by number, yes or no, and something to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.containers import Vertical

from pos_tui.keys import Act, act
from pos_tui.screens.base import COMMON, ResultT, TillScreen
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.painting import Line, LineWidget, Span, wrapped
from pos_tui.widgets.status_line import MessageLine
from schema.amounts import parse_money, parse_quantity
from schema.errors import RefusalError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.wedge import Scan


class Prose(LineWidget):
    """A few sentences, wrapped; as high as they need up to a limit."""

    def __init__(self, text: str = "", *, style: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = text
        self._tone = style

    def show(self, text: str, style: str = "") -> None:
        """Set the sentences."""
        self._text, self._tone = text, style
        self.update()

    def rows_for(self, width: int) -> int:
        """Return how many rows the text takes."""
        return len(wrapped(self._text, width - 2)) if self._text else 0

    def lines(self, width: int, _height: int, /) -> list[Line]:
        """State the wrapped sentences."""
        if not self._text:
            return []
        return [Line((Span(f" {text}", self._tone),)) for text in wrapped(self._text, width - 2)]


class Dialog(TillScreen[ResultT]):
    """A box over the screen below: a title, what there is to say, and what is asked."""

    COMMON: ClassVar[tuple[Act, ...]] = (COMMON[0],)
    WIDTH: ClassVar[int] = 56

    def __init__(self, title: str, text: str = "") -> None:
        super().__init__()
        self._title = title
        self._prose = Prose(text, id="prose")
        self.message = MessageLine(id="message")
        self.key_bar = KeyBar(id="keys")

    def parts(self) -> ComposeResult:
        """Name the widgets between the sentences and the message."""
        return iter(())

    def compose(self) -> ComposeResult:
        """Put the box together."""
        with Vertical(id="box") as box:
            box.border_title = self._title
            rows = self._prose.rows_for(self.WIDTH - 4)
            self._prose.styles.height = rows
            self._prose.display = bool(rows)
            yield self._prose
            yield from self.parts()
            yield self.message
            yield self.key_bar


class AskScreen(Dialog[str]):
    """Asks one line of text; `check` turns what was typed into the answer or raises a refusal or ValueError."""

    NAME = "ask"
    ACTS = (act("confirm", "enter"), act("back", "escape"))

    def __init__(
        self, title: str, text: str = "", *, prompt: str = "", hint: str = "", initial: str = "",
        check: Callable[[str], object] | None = None, is_hidden: bool = False, takes_scan: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(title, text)
        self.entry = EntryLine(id="entry", is_hidden=is_hidden)
        self._prompt, self._hint, self._initial = prompt, hint, initial
        self._check = check
        self._takes_scan = takes_scan

    def parts(self) -> ComposeResult:
        """Show the line to type into."""
        assert self.entry is not None
        yield self.entry

    def show(self) -> None:
        """State the prompt."""
        assert self.entry is not None
        self.entry.show(self._prompt, self._hint)
        if self._initial:
            self.entry.set_text(self._initial)
            self._initial = ""

    def act_confirm(self) -> None:
        """Check what was typed and answer it."""
        assert self.entry is not None
        self._answer(self.entry.text.strip())

    def scanned(self, scan: Scan) -> None:
        """Take a scanned code as the answer where one is asked for."""
        if self._takes_scan:
            self._answer(scan.text)
        else:
            super().scanned(scan)

    def act_back(self) -> None:
        """Empty the line, or leave."""
        self.escaped()

    def _answer(self, text: str) -> None:
        try:
            if self._check is not None:
                self._check(text)
        except ValueError:
            self.app.bell()
            self.say(self.t("ask.unreadable"), "bad")
            return
        except RefusalError as error:
            self.app.bell()
            self.say(self.till_app.texts.refusal(error), "bad")
            return
        self.dismiss(text)


class AmountScreen(AskScreen):
    """Asks an amount of money; the answer is what was typed and reads as one."""

    def __init__(
        self, title: str, text: str = "", *, prompt: str = "￥", hint: str = "", initial: str = "",
        may_be_zero: bool = False,
    ) -> None:  # fmt: skip
        def check(typed: str) -> None:
            if parse_money(typed) < (0 if may_be_zero else 1):
                raise ValueError(typed)

        super().__init__(title, text, prompt=prompt, hint=hint, initial=initial, check=check)


class QuantityScreen(AskScreen):
    """Asks a quantity above zero."""

    def __init__(self, title: str, text: str = "", *, prompt: str = "", hint: str = "", initial: str = "") -> None:
        def check(typed: str) -> None:
            if parse_quantity(typed) <= 0:
                raise ValueError(typed)

        super().__init__(title, text, prompt=prompt, hint=hint, initial=initial, check=check)


class Choice(NamedTuple):
    """One choice: what it stands for, its label, and a remark at the right."""

    name: str
    label: str
    remark: str = ""


class ChooseScreen(Dialog[str]):
    """Offers numbered choices; the answer is the chosen one's name."""

    NAME = "choose"
    ACTS = (
        act("confirm", "enter"), act("next", "*", on_bar=False), act("back", "escape", "-", "0"),
    )  # fmt: skip

    def __init__(self, title: str, choices: Sequence[Choice], text: str = "", *, selected: int = 0) -> None:
        super().__init__(title, text)
        self._choices = tuple(choices)
        self._selected = selected
        self.listing = Listing(id="choices", is_numbered=True)

    def parts(self) -> ComposeResult:
        """Show the choices."""
        assert self.listing is not None
        self.listing.styles.height = min(12, len(self._choices))
        yield self.listing

    def show(self) -> None:
        """State the choices."""
        assert self.listing is not None
        rows = [Row((one.label, one.remark)) for one in self._choices]
        size = max((len(one.remark.encode("gb18030", "replace")) for one in self._choices), default=0)
        columns = (Column("", 0), Column("", size, "right")) if size else (Column("", 0),)
        self.listing.show(columns, rows, selected=self._selected)

    def entered(self, _text: str) -> None:
        """Choose the selected one."""
        self.act_confirm()

    def act_confirm(self) -> None:
        """Choose the selected one."""
        assert self.listing is not None
        if 0 <= self.listing.selected < len(self._choices):
            self.dismiss(self._choices[self.listing.selected].name)

    def act_next(self) -> None:
        """Select the next one, round and round."""
        assert self.listing is not None
        self.listing.select((self.listing.selected + 1) % max(1, self.listing.number))


class ConfirmScreen(Dialog[bool]):
    """Asks yes or no; Enter is yes."""

    NAME = "confirm"
    ACTS = (act("yes", "enter", "+"), act("no", "escape", "-", "0"))

    def act_yes(self) -> None:
        """Answer yes."""
        self.dismiss(True)

    def act_no(self) -> None:
        """Answer no."""
        self.dismiss(False)

    def back(self) -> None:
        """Answer no."""
        self.dismiss(False)


class NoticeScreen(Dialog[bool]):
    """Says something that has to be read."""

    NAME = "notice"
    ACTS = (act("read", "enter", "escape", "+", "-"),)

    def act_read(self) -> None:
        """Close the notice."""
        self.dismiss(True)
