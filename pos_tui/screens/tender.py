"""Owns taking the money: cash with its change, other means, several of them, and what is dropped (抹零)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from textual.containers import Container

from edge.giving_back import CASH, EXCHANGE
from edge.keyed import keyed_money
from edge.limits import Act
from edge.scanning import read_payment_code
from edge.selling import Completed
from edge.tendering import EXTERNAL_MEANS, GIFT_CARD, MEMBER_MEANS, Payment, drop_choices, due, quick_cash
from pos_tui.keys import act
from pos_tui.messages import QuickAmountPressed
from pos_tui.screens.allowing import AllowingScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen
from pos_tui.screens.external_tender import ExternalTenderScreen
from pos_tui.screens.money import money
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.quick_amounts import QuickAmounts
from pos_tui.widgets.status_line import MessageLine, StatusLine
from pos_tui.widgets.total_panel import Fact, TotalFigures, TotalPanel
from schema.errors import RefusalError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.tendering import Due
    from edge.wedge import Scan


class TenderScreen(AllowingScreen[Completed]):
    """Takes payments until nothing is left; then the sale is complete and durable."""

    NAME = "tender"
    ACTS = (
        act("quick", "+"), act("next_means", "*"), act("take_back", "-"), act("drop", "/", "f6"),
        act("means_up", "up", on_bar=False), act("means_down", "down", on_bar=False), act("back", "escape"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._attempt = secrets.token_hex(16)
        self._payments: tuple[Payment, ...] = ()
        self._dropped_minor = 0
        self._approver = ""
        self._quick = -1
        self._offered: tuple[str, ...] = ()
        self.status = StatusLine(id="status")
        self.listing = Listing(id="means", is_numbered=True)
        self.paid = Listing(id="paid", has_cursor=False)
        self.total = TotalPanel(id="total")
        self.quick_amounts = QuickAmounts(id="quick")
        self.message = MessageLine(id="message")
        self.entry = EntryLine(id="entry")

    def compose(self) -> ComposeResult:
        """Put the screen together."""
        assert self.entry is not None
        assert self.listing is not None
        yield self.status
        with Container(id="body"):
            yield self.listing
            yield self.paid
            yield self.total
        yield self.quick_amounts
        yield self.message
        yield self.entry
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Write down that this basket is being paid for: a till that dies now must not sell it again."""
        self._offered = self.till.rules.means  # A change of the rules meanwhile must not move what a number means.
        self.till.attempt = self._attempt  # A scan just before may still have its draft to write.
        self.till.keep_draft()
        exchanging = self.till.exchanging
        if exchanging is not None:
            worth = min(exchanging.total_minor, self.till.priced.total_minor)
            self._payments = (Payment(EXCHANGE, worth),)

    # Showing

    def show(self) -> None:
        """State everything anew."""
        assert self.listing is not None
        self.show_status()
        rows = [Row((self.t(f"means.{means}"),)) for means in self._offered]
        self.listing.show((Column(self.t("tender.means")),), rows)
        self.show_due()

    def _due(self) -> Due:
        return due(self.till.node, self.till.priced, self._payments, self._dropped_minor)

    def show_due(self) -> None:
        """State what is paid and what is left."""
        assert self.entry is not None
        now = self._due()
        rows = [
            Row((self.t(f"means.{one.means}"), self._remark(one), money(one.amount_minor or one.given_minor)))
            for one in self._payments
        ]
        self.paid.show(
            (Column(self.t("tender.paid"), 14), Column(""), Column("", 11, "right")), rows,
            empty=(self.t("tender.nothing_paid"),),
        )  # fmt: skip
        facts = [Fact(self.t("sale.due"), money(self.till.priced.total_minor))]
        if now.dropped_minor:
            facts.append(Fact(self.t("tender.dropped"), f"-{money(now.dropped_minor)}", "good"))
        if now.cash_rounding_minor:
            facts.append(Fact(self.t("tender.cash_rounding"), money(now.cash_rounding_minor)))
        if now.paid_minor:
            facts.append(Fact(self.t("tender.paid"), money(now.paid_minor)))
        self.total.show(TotalFigures(self.t("tender.left"), money(now.left_minor), "big", tuple(facts)))
        self.quick_amounts.show(
            self.t("tender.quick"), [money(one) for one in quick_cash(self.till.node, now.left_minor)], self._quick
        )
        self._show_prompt()

    def _remark(self, payment: Payment) -> str:
        parts = [payment.reference] if payment.reference else []
        parts += [self.t("tender.unknown")] if payment.state == "unknown" else []
        return " · ".join(parts)

    def _show_prompt(self) -> None:
        assert self.entry is not None
        name = self.t(f"means.{self.means}")
        now = self._due()
        amounts = quick_cash(self.till.node, now.left_minor)
        amount_minor = now.left_cash_minor if self.means == CASH else now.left_minor
        if 0 <= self._quick < len(amounts):
            amount_minor = amounts[self._quick]
        self.entry.show(f"{name} ￥", self.t("tender.hint", amount=money(amount_minor)))

    @property
    def means(self) -> str:
        """The means that Enter takes."""
        assert self.listing is not None
        return self._offered[max(0, self.listing.selected)]

    def moved(self) -> None:
        """Ask for an amount of the means that was pointed at; what was wrong with one before is over."""
        self.say("")
        self._show_prompt()

    def typed(self) -> None:
        """Forget the quick amount once something else is typed."""
        if self._quick >= 0:
            self._quick = -1
            self.show_due()

    # Acts

    def take_key(self, key: str, character: str | None, *, is_burst: bool = False) -> None:
        """A number before `*` chooses the means of that number."""
        assert self.entry is not None
        assert self.listing is not None
        typed = self.entry.text
        if key == "*" and not is_burst and len(typed) == 1 and typed.isdigit():
            self.entry.set_text("")
            if 1 <= int(typed) <= len(self._offered):
                self.listing.select(int(typed) - 1)
                self.moved()
            return
        super().take_key(key, character, is_burst=is_burst)

    def act_next_means(self) -> None:
        """Choose the next means."""
        assert self.listing is not None
        self.listing.select((self.listing.selected + 1) % max(1, self.listing.number))
        self.moved()

    def act_means_up(self) -> None:
        """Choose the means above."""
        assert self.listing is not None
        self.listing.move(-1)
        self.moved()

    def act_means_down(self) -> None:
        """Choose the means below."""
        assert self.listing is not None
        self.listing.move(1)
        self.moved()

    def act_quick(self) -> None:
        """Offer the next amount that the customer is likely to hand over."""
        amounts = quick_cash(self.till.node, self._due().left_minor)
        if amounts:
            self._quick = (self._quick + 1) % len(amounts)
            self.show_due()

    def act_take_back(self) -> None:
        """Take the last payment back; without one, go back to the basket."""
        if not any(one.means != EXCHANGE for one in self._payments):
            self.back()
            return
        self._payments = self._payments[:-1]
        self.show_due()

    def act_drop(self) -> None:
        """Drop the small change (抹零)."""
        self.converse(self._drop())

    async def _drop(self) -> None:
        choices = [Choice("0", self.t("drop.nothing"))]
        choices += [
            Choice(
                str(one.dropped_minor), self.t("drop.to", total=money(one.total_minor)), f"-{money(one.dropped_minor)}"
            )
            for one in drop_choices(self.till.node, self.till.priced)
        ]
        chosen = await self.ask(ChooseScreen(self.t("drop.title"), choices, selected=min(1, len(choices) - 1)))
        if chosen is None:
            return
        approver = await self.allowed(Act.ROUNDING, int(chosen), self.till.priced.total_minor)
        if approver is not None:
            self._approver = approver or self._approver
            self._dropped_minor = int(chosen)
            self.show_due()

    def on_quick_amount_pressed(self, message: QuickAmountPressed) -> None:
        """Take the amount that the mouse pressed."""
        message.stop()
        self._quick = message.place
        self.entered("")

    def entered(self, text: str) -> None:
        """Take a payment: what was typed, the quick amount, or all that is left."""
        with self.saying():
            now = self._due()
            left_minor = now.left_minor
            if not left_minor:
                self._finish(self._payments, now)
                return
            amounts = quick_cash(self.till.node, left_minor)
            if text:
                amount_minor = keyed_money(text)
            elif 0 <= self._quick < len(amounts):
                amount_minor = amounts[self._quick]
            else:
                amount_minor = self._due().left_cash_minor if self.means == CASH else left_minor
            self._take(self.means, amount_minor, left_minor)

    def _take(self, means: str, amount_minor: int, left_minor: int) -> None:
        if means == CASH:
            self._add(Payment(CASH, given_minor=amount_minor))
        elif means in EXTERNAL_MEANS:
            self.converse(self._take_external(means, min(amount_minor, left_minor)))
        elif means in MEMBER_MEANS:
            self.converse(self._take_from_member(means, min(amount_minor, left_minor)))
        elif means == GIFT_CARD:
            self.converse(self._take_gift_card(min(amount_minor, left_minor)))
        else:
            self._add(Payment(means, min(amount_minor, left_minor)))

    def scanned(self, scan: Scan) -> None:
        """Take a wallet's payment code: it says whose it is, and is kept nowhere."""
        read = read_payment_code(scan.text)
        if read is None or read.means not in self._offered:
            super().scanned(scan)
            return
        self.converse(self._take_external(read.means, self._due().left_minor, is_scanned=True))

    async def _take_external(self, means: str, amount_minor: int, *, is_scanned: bool = False) -> None:
        answer = await self.ask(ExternalTenderScreen(means, amount_minor, is_scanned=is_scanned))
        if answer is not None:
            self._add(Payment(means, amount_minor, 0, answer.reference, answer.state))

    async def _take_from_member(self, means: str, amount_minor: int) -> None:
        if self.till.basket.member is None:
            from pos_tui.screens.member import MemberScreen

            await self.ask(MemberScreen())
            self.show_due()
        if self.till.basket.member is not None:
            self._add(Payment(means, amount_minor))

    async def _take_gift_card(self, amount_minor: int) -> None:
        card = await self.ask(AskScreen(self.t("means.gift_card"), prompt=self.t("tender.card"), takes_scan=True))
        if card:
            self._add(Payment(GIFT_CARD, amount_minor, reference=card))

    def _add(self, payment: Payment) -> None:
        payments = (*self._payments, payment)
        now = due(self.till.node, self.till.priced, payments, self._dropped_minor)
        if now.left_minor > 0:
            self._payments, self._quick = payments, -1
            self.say("")
            self.show_due()
            return
        self._finish(payments, now)

    def _finish(self, payments: tuple[Payment, ...], now: Due) -> None:
        try:
            self._complete(payments, now, "")
        except RefusalError as refusal:
            if refusal.code != "approval_needed":
                raise
            # Within a conversation the next one begins when this one has ended.
            self.call_later(self._complete_insisting, payments, now)

    def _complete_insisting(self, payments: tuple[Payment, ...], now: Due) -> None:
        self.converse(self.insisting(lambda approver: self._complete(payments, now, approver)))

    def _complete(self, payments: tuple[Payment, ...], now: Due, approver: str) -> None:
        completed = self.till.complete(
            payments, now, attempt=self._attempt, dropped_minor=self._dropped_minor, approver=approver or self._approver
        )
        self.dismiss(completed)
