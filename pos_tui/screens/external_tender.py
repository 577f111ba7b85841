"""Owns what an outside service takes: the cashier says what its own screen or terminal says, and a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge.scanning import read_payment_code
from pos_tui.keys import act
from pos_tui.screens.dialogs import Dialog
from pos_tui.screens.money import money
from pos_tui.widgets.entry_line import EntryLine
from schema.rules.card_numbers import refuse_card_number

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.wedge import Scan

CONFIRMED, UNKNOWN = "confirmed", "unknown"


class ExternalOutcome(NamedTuple):
    """What is recorded of an outside payment."""

    reference: str
    state: str


class ExternalTenderScreen(Dialog[ExternalOutcome]):
    """Asks whether the money has come; Enter says that it has, `*` that nobody knows yet."""

    NAME = "external_tender"
    ACTS = (act("confirm", "enter"), act("unknown", "*"), act("back", "escape", "-"))

    def __init__(self, means: str, amount_minor: int, *, is_scanned: bool) -> None:
        super().__init__("")
        self._means, self._amount_minor, self._is_scanned = means, amount_minor, is_scanned
        self.entry = EntryLine(id="entry")

    def parts(self) -> ComposeResult:
        """Show the line for the reference."""
        assert self.entry is not None
        yield self.entry

    def compose(self) -> ComposeResult:
        """Put the box together with its amount."""
        self._title = self.t("external.title", means=self.t(f"means.{self._means}"), amount=money(self._amount_minor))
        self._prose.show(self.t("external.scanned" if self._is_scanned else "external.text"))
        return super().compose()

    def show(self) -> None:
        """State the prompt."""
        assert self.entry is not None
        self.entry.show(self.t("external.reference"), self.t("external.hint"))

    def scanned(self, scan: Scan) -> None:
        """Take a wallet's code as read; it is shown as read and kept nowhere."""
        read = read_payment_code(scan.text)
        if read is None or read.means != self._means:
            super().scanned(scan)
        else:
            self.say(self.t("external.scanned"), "good")

    def act_confirm(self) -> None:
        """The money has come."""
        self._answer(CONFIRMED)

    def act_unknown(self) -> None:
        """Nobody knows yet; it stands on a list until somebody does."""
        self._answer(UNKNOWN)

    def act_back(self) -> None:
        """It was not paid so."""
        self.escaped()

    def take_key(self, key: str, character: str | None, *, is_burst: bool = False) -> None:
        """`*` stands in no reference: it always says that nobody knows."""
        if key == "*" and not is_burst and self._is_shown:
            self.perform("unknown")
            return
        super().take_key(key, character, is_burst=is_burst)

    def _answer(self, state: str) -> None:
        assert self.entry is not None
        reference = self.entry.text.strip()
        if read_payment_code(reference) is not None:
            reference = ""
        refuse_card_number(reference, lambda _: False)
        self.dismiss(ExternalOutcome(reference, state))
