"""Owns the member of the basket: found by phone number, with balances and how old they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge import basket as baskets
from edge.members import MemberCard, find_member, member_card
from pos_tui.keys import act
from pos_tui.screens.dialogs import Dialog
from pos_tui.screens.money import age, money
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.wedge import Scan
    from schema.texts import Texts


def member_rows(card: MemberCard, t: Texts) -> list[Row]:
    """Return what is known of a member, one figure a row, and how old it is."""
    rows = [
        Row((t("member.phone"), card.masked)),
        Row((t("member.name"), f"{card.name} {card.tier}".strip())),
        Row((t("member.points"), str(card.points))),
        Row((t("member.stored"), money(card.stored_minor))),
        Row((t("member.bonus"), money(card.bonus_minor))),
        Row((t("member.credit"), f"{money(card.credit_minor)} / {money(card.credit_limit_minor)}")),
    ]
    if card.has_own_limit:
        rows.append(Row((t("member.credit_left"), money(card.credit_left_minor)), "accent"))
    tone = "muted" if card.is_fresh else "warn"
    rows.append(Row((t("member.age"), age(t, card.age_ms)), tone))
    return rows


class MemberScreen(Dialog[MemberCard]):
    """Asks a phone number and shows the member; Enter again takes them into the basket."""

    NAME = "member"
    ACTS = (act("confirm", "enter"), act("drop", "-"), act("back", "escape"))

    def __init__(self, *, takes_into_basket: bool = True) -> None:
        super().__init__("")
        self._takes_into_basket = takes_into_basket
        self._card: MemberCard | None = None
        self.entry = EntryLine(id="entry")
        self.listing = Listing(id="card", has_cursor=False)

    def compose(self) -> ComposeResult:
        """Put the box together."""
        self._title = self.t("member.title")
        return super().compose()

    def parts(self) -> ComposeResult:
        """Show the line to type into and the card."""
        assert self.entry is not None
        assert self.listing is not None
        yield self.entry
        yield self.listing

    def show(self) -> None:
        """State the card of the member who was found, or who is in the basket."""
        assert self.entry is not None
        assert self.listing is not None
        member = self.till.basket.member
        if self._card is None and member is not None:
            self._card = member_card(self.till.node, member.person, member.name)
        self.entry.show(self.t("member.phone"), self.t("member.hint" if self._card is None else "member.take_hint"))
        rows = [] if self._card is None else member_rows(self._card, self.till_app.texts)
        self.listing.show((Column("", 16), Column("", 0, "right")), rows)

    def scanned(self, scan: Scan) -> None:
        """A member's card may hold the phone number."""
        self._find(scan.text)

    def act_confirm(self) -> None:
        """Find the member, then take them."""
        assert self.entry is not None
        text = self.entry.take()
        if text:
            self._find(text)
        elif self._card is not None:
            card = self._card
            if self._takes_into_basket:
                self.till.set_member(card)
            self.dismiss(card)

    def _find(self, phone: str) -> None:
        self._card = None
        self._card = find_member(self.till.node, phone)
        self.say("")
        self.show()

    def act_drop(self) -> None:
        """Take the member out of the basket."""
        self.till.set_basket(baskets.set_member(self.till.basket, None))
        self.dismiss(None)

    def act_back(self) -> None:
        """Empty the line, or leave."""
        self.escaped()
