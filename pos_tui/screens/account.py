"""Owns money against a member's account with no goods: topping up, repaying what is owed, giving stored value back."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from edge.account_payments import bonus_for, repay, return_stored, top_up
from edge.keyed import keyed_money
from edge.members import MemberCard, member_card
from edge.tendering import EXTERNAL_MEANS, MEMBER_MEANS, Payment
from pos_tui.keys import act
from pos_tui.screens.allowing import AllowingScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen, NoticeScreen
from pos_tui.screens.external_tender import ExternalTenderScreen
from pos_tui.screens.member import MemberScreen, member_rows
from pos_tui.screens.money import money
from pos_tui.widgets.listing import Column, Listing

if TYPE_CHECKING:
    from edge.selling import Completed


class AccountScreen(AllowingScreen[None]):
    """Shows a member's account and takes or gives money."""

    NAME = "account"
    ACTS = (
        act("top_up", "+", "1"), act("repay", "*", "2"), act("return_stored", "/", "3"), act("member", "f2", "enter"),
        act("back", "escape", "-"),
    )  # fmt: skip

    def __init__(self, card: MemberCard | None = None, first: str = "") -> None:
        super().__init__()
        self.listing = Listing(id="card", has_cursor=False)
        self._card = card
        self._person_name = "" if card is None else card.name
        self._first = first

    def show(self) -> None:
        """State the account; without a member, ask for one."""
        assert self.listing is not None
        self.show_status()
        self.frame.border_title = self.t("account.title")
        if self._card is None and self.till.basket.member is not None:
            member = self.till.basket.member
            self._take(member_card(self.till.node, member.person, member.name))
        rows = [] if self._card is None else member_rows(self._card, self.till_app.texts)
        self.listing.show((Column("", 20), Column("")), rows, empty=(self.t("account.nobody"),))
        if self._first:
            first, self._first = self._first, ""
            self.converse(self._pay(first))

    def _take(self, card: MemberCard) -> None:
        self._card, self._person_name = card, card.name

    def act_member(self) -> None:
        """Find a member."""
        self.converse(self._find())

    async def _find(self) -> None:
        found = await self.ask(MemberScreen(takes_into_basket=False))
        if found is not None:
            self._take(found)
            self.show()

    def act_top_up(self) -> None:
        """Store value (储值)."""
        self.converse(self._pay("top_up"))

    def act_repay(self) -> None:
        """Take what is owed, or a part of it."""
        self.converse(self._pay("repay"))

    def act_return_stored(self) -> None:
        """Give the principal of stored value back."""
        self.converse(self._pay("return_stored"))

    async def _pay(self, what: str) -> None:
        if self._card is None:
            await self._find()
        card = self._card
        if card is None:
            return
        attempt = secrets.token_hex(16)
        title = self.t(f"account.{what}")
        text = await self.ask(AskScreen(title, self.t(f"account.{what}_text"), prompt="￥", check=keyed_money))
        if text is None:
            return
        amount_minor = keyed_money(text)
        payments = await self._payments(title, amount_minor, is_back=what == "return_stored")
        if payments is None:
            return
        done: list[Completed] = []

        def pay(approver: str) -> None:
            node, operator, prints = self.till.node, self.till.operator_id, self.till.prints
            match what:
                case "top_up":
                    done.append(top_up(node, card.person, amount_minor, payments, operator=operator,
                                       attempt=attempt, prints=prints))  # fmt: skip
                case "repay":
                    done.append(repay(node, card.person, amount_minor, payments, operator=operator,
                                      attempt=attempt, prints=prints))  # fmt: skip
                case _:
                    done.append(return_stored(node, card.person, amount_minor, payments, operator=operator,
                                              approver=approver, attempt=attempt, prints=prints))  # fmt: skip

        await self.insisting(pay)
        if not done:
            return
        self._card = member_card(self.till.node, card.person, self._person_name)
        self.show()
        if any(one.means == "cash" for one in payments):
            self.till_app.open_drawer()
        self.till_app.paper_queued()
        bonus = bonus_for(self.till.node, amount_minor) if what == "top_up" else 0
        said = self.t("account.done", number=done[0].receipt_number, change=money(done[0].change_minor))
        if bonus:
            said += "\n" + self.t("account.bonus", bonus=money(bonus))
        await self.ask(NoticeScreen(title, said))

    async def _payments(self, title: str, amount_minor: int, *, is_back: bool) -> tuple[Payment, ...] | None:
        means = [one for one in self.till.rules.means if one not in MEMBER_MEANS]
        chosen = await self.ask(
            ChooseScreen(title, [Choice(one, self.t(f"means.{one}")) for one in means], money(amount_minor))
        )
        if chosen is None:
            return None
        if chosen in EXTERNAL_MEANS:
            outcome = await self.ask(ExternalTenderScreen(chosen, amount_minor, is_scanned=False))
            return None if outcome is None else (Payment(chosen, amount_minor, 0, outcome.reference, outcome.state),)
        if is_back or chosen != "cash":
            return (Payment(chosen, amount_minor),)
        given = await self.ask(
            AskScreen(title, self.t("account.given", amount=money(amount_minor)), prompt="￥", check=_money_or_nothing)
        )
        if given is None:
            return None
        return (Payment("cash", amount_minor, keyed_money(given) if given else amount_minor),)


def _money_or_nothing(text: str) -> None:
    if text:
        keyed_money(text)
