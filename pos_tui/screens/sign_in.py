"""Owns the sign-in: a number and a PIN, offline; the same screen locks a till and lets its people back in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical

from edge.signing_in import operators, sign_in, unlock
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.dialogs import AskScreen, Prose
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.status_line import MessageLine, StatusLine
from schema.errors import RefusalError

if TYPE_CHECKING:
    from textual.app import ComposeResult


class SignInScreen(TillScreen[None]):
    """Asks who works here."""

    NAME = "sign_in"
    ACTS = (act("confirm", "enter"), act("back", "escape"), act("language", "f11"), act("unlock", "f9"),
            act("quit", "f10", "ctrl+q"))  # fmt: skip

    def __init__(self, *, is_lock: bool = False) -> None:
        super().__init__()
        self._is_lock = is_lock
        self._number = ""
        self.status = StatusLine(id="status")
        self.welcome = Prose(id="welcome")
        self.message = MessageLine(id="message")
        self.entry = EntryLine(id="entry")
        self.demo = Prose(id="demo")

    def compose(self) -> ComposeResult:
        """Put the card into the middle."""
        assert self.entry is not None
        yield self.status
        with Vertical(id="middle"), Vertical(id="card"):
            yield self.welcome
            yield self.entry
            yield self.message
            yield self.demo
        yield KeyBar(id="keys")

    def show(self) -> None:
        """State who is asked for what."""
        config = self.till.node.config
        self.show_status()
        self.query_one("#card", Vertical).border_title = self.t("lock.title" if self._is_lock else "sign_in.title")
        signed_in = self.till.operator
        if self._is_lock and signed_in is not None:
            self.welcome.show(self.t("lock.welcome", name=signed_in.name))
        else:
            self.welcome.show(self.t("sign_in.welcome", shop=config.name, till=config.till))
        lines = self.till_app.demo_people()
        hint = "\n".join([self.t("sign_in.demo"), *lines]) if lines else ""
        if not self.till_app.has_hanzi:
            hint = self.t("console.no_hanzi")
        elif not operators(self.till.node):
            hint = self.t("sign_in.nobody")
        self.demo.show(hint, "muted")
        self.demo.styles.height = self.demo.rows_for(56) if hint else 0
        self._show_prompt()

    def _show_prompt(self) -> None:
        assert self.entry is not None
        self.entry.hide(is_hidden=bool(self._number))
        if self._number:
            self.entry.show(self.t("sign_in.pin"), self.t("sign_in.pin_hint", number=self._number))
        else:
            self.entry.show(self.t("sign_in.number"), self.t("sign_in.number_hint"))

    def typed(self) -> None:
        """Take the last sentence away once somebody types again."""
        self.say("")

    def act_confirm(self) -> None:
        """Take the number, then the PIN."""
        assert self.entry is not None
        text = self.entry.take()
        if not text:
            return
        if not self._number:
            self._number = text
            self._show_prompt()
            return
        number, self._number = self._number, ""
        try:
            signed_in = sign_in(self.till.node, number, text)
        except RefusalError:
            self._show_prompt()
            raise
        self._show_prompt()
        self.till_app.signed_in(signed_in, was_locked=self._is_lock)

    def act_back(self) -> None:
        """Begin again with the number."""
        assert self.entry is not None
        self.entry.set_text("")
        self._number = ""
        self._show_prompt()

    def act_unlock(self) -> None:
        """Let a supervisor end somebody's lockout."""
        self.converse(self._unlock())

    async def _unlock(self) -> None:
        title = self.t("unlock.title")
        number = await self.ask(AskScreen(title, self.t("unlock.text"), prompt=self.t("sign_in.number")))
        if not number:
            return
        senior = await self.ask(AskScreen(title, prompt=self.t("approve.number")))
        if not senior:
            return
        pin = await self.ask(AskScreen(title, prompt=self.t("sign_in.pin"), is_hidden=True))
        if pin:
            unlock(self.till.node, number, senior, pin)
            self.say(self.t("unlock.done", number=number), "good")

    def act_quit(self) -> None:
        """Close the till."""
        self.app.exit()
