"""Owns the second PIN: somebody who may allow what the cashier's own limits do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.signing_in import Approval, approve, sign_for
from pos_tui.keys import act
from pos_tui.screens.dialogs import Dialog
from pos_tui.widgets.entry_line import EntryLine
from schema.errors import RefusalError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.limits import Act


class ApproveScreen(Dialog[Approval]):
    """Asks a second person for number and PIN; the answer is who allowed it."""

    NAME = "approve"
    ACTS = (act("confirm", "enter"), act("back", "escape"))

    def __init__(
        self, title: str, text: str, what: Act | None = None, amount_minor: int = 0, base_minor: int = 0
    ) -> None:
        super().__init__(title, text)
        self._what, self._amount_minor, self._base_minor = what, amount_minor, base_minor
        self._number = ""
        self.entry = EntryLine(id="entry")

    def parts(self) -> ComposeResult:
        """Show the line to type into."""
        assert self.entry is not None
        yield self.entry

    def show(self) -> None:
        """Ask for the number, then for the PIN."""
        assert self.entry is not None
        self.entry.hide(is_hidden=bool(self._number))
        if self._number:
            self.entry.show(self.t("sign_in.pin"), self.t("sign_in.pin_hint", number=self._number))
        else:
            self.entry.show(*self._asked())

    def _asked(self) -> tuple[str, str]:
        return self.t("approve.number"), self.t("approve.number_hint")

    def act_confirm(self) -> None:
        """Take the number, then the PIN."""
        assert self.entry is not None
        text = self.entry.take()
        if not text:
            return
        if not self._number:
            self._number = text
            self.say("")
            self.show()
            return
        number, self._number = self._number, ""
        try:
            approval = self._prove(number, text)
        except RefusalError:
            self.show()
            raise
        self.dismiss(approval)

    def _prove(self, number: str, pin: str) -> Approval:
        assert self._what is not None
        return approve(self.till.node, number, pin, self._what, self._amount_minor, self._base_minor)

    def act_back(self) -> None:
        """Go back to the number, or leave."""
        assert self.entry is not None
        if self._number or self.entry.text:
            self.entry.set_text("")
            self._number = ""
            self.show()
        else:
            self.dismiss(None)


class SecondPersonScreen(ApproveScreen):
    """Asks who the second person is, whatever their role: the answer is who it is."""

    def _asked(self) -> tuple[str, str]:
        return self.t("sign_in.number"), self.t("sign_in.number_hint")

    def _prove(self, number: str, pin: str) -> Approval:
        return Approval(*sign_for(self.till.node, number, pin))
