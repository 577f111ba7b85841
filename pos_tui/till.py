"""Owns what the screens share while the till runs: the node, who is signed in, the basket with its price, the devices.

It decides nothing: it hands the basket to the node's use cases and keeps what they answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edge.basket import EMPTY, Basket, Member, PricedBasket, PricedLine, price_basket, set_member
from edge.catalog import price_at, product_of
from edge.clock_source import local_time
from edge.empties import give_back_empties
from edge.giving_back import EXCHANGE
from edge.members import member_card
from edge.parking import VOIDED, keep_draft, record_voids, restore_draft
from edge.receipts import Copy, Layout, stored_entry
from edge.refunding import KeyedReturn, exchange, refund_signed, refund_unreceipted
from edge.selling import Completed
from edge.settings import setting
from edge.tendering import Payment, complete
from edge.training import NUMBER, Practised, open_for_training, practise
from edge.watchdog import reopen
from schema.errors import RefusalError
from schema.rules.paper import ReceiptRow, RowKind
from schema.rules.promotion_terms import Language
from schema.rules.receipt_numbers import ReceiptNumber
from schema.settings import ReceiptForm, TillRules

if TYPE_CHECKING:
    from edge.members import MemberCard
    from edge.node import Node
    from edge.parking import Draft
    from edge.refunding import SignedSale
    from edge.returns import OriginalSale, ReturnRequest
    from edge.signing_in import SignedIn
    from edge.tendering import Due
    from schema.texts import Texts


class Done(NamedTuple):
    """The last sale as the screen keeps showing it until the next goods come."""

    receipt_number: str
    entry: str
    total_minor: int
    change_minor: int
    dropped_minor: int
    payments: tuple[Payment, ...]
    is_refund: bool = False


class Exchanging(NamedTuple):
    """Goods that come back while others are sold: their worth pays first."""

    original: OriginalSale
    returns: tuple[ReturnRequest, ...]
    total_minor: int


class Returning(NamedTuple):
    """The basket is being filled with goods that come back: without a receipt, or from a receipt's code alone."""

    signed: SignedSale | None


class UnitChoice(NamedTuple):
    """A selling unit of a product with its price now; None: to be asked."""

    unit: str
    name: str
    price_minor: int | None


class Till:
    """One till with its node open."""

    def __init__(self, node: Node, *, language: Language) -> None:
        self.node = node
        self.language = language
        self.operator: SignedIn | None = None
        self.is_training = False
        self._real_node: Node | None = None
        self.practised: Practised | None = None
        self.has_printer = False
        self.basket = EMPTY
        self.priced = price_basket(node, EMPTY, None, language)
        self.attempt = ""
        self.done: Done | None = None
        self.exchanging: Exchanging | None = None
        self.returning: Returning | None = None
        self.rules = setting(node, TillRules)

    @property
    def prints(self) -> bool:
        """Whether receipts are printed by themselves; slips to sign and what is asked for need a printer alone."""
        return self.has_printer and self.rules.prints_receipts

    def follow_rules(self) -> bool:
        """Read the shop's rules for tills anew; tells whether they changed."""
        known, self.rules = self.rules, setting(self._real_node or self.node, TillRules)
        return self.rules != known

    @property
    def operator_id(self) -> str:
        """The random id of who is signed in; empty where nobody is."""
        return "" if self.operator is None else self.operator.operator

    def restore_draft(self) -> Draft | None:
        """Take back the basket that a till had in hand when it stopped, unless it was paid for; None where none was."""
        draft = restore_draft(self.node)
        if draft is None or draft.basket.is_empty:
            return None
        if draft.sold:
            keep_draft(self.node.directory, EMPTY)
        else:
            self.set_basket(self.with_member_named(draft.basket))
        return draft

    def with_member_named(self, basket: Basket) -> Basket:
        """Return a basket that was kept, its member called as this till may: what is kept holds no names."""
        if basket.member is None:
            return basket
        try:
            card = member_card(self.node, basket.member.person)
        except RefusalError:
            return set_member(basket, None)
        return set_member(basket, Member(card.person, card.masked, card.name, card.tier))

    def set_basket(self, basket: Basket) -> None:
        """Take a changed basket and price it."""
        self.priced = price_basket(self.node, basket, None, self.language)
        self.basket = basket

    def reopen(self) -> None:
        """Open the node anew after its file was given up: it is verified first; the basket stays.

        Raises CorruptionError or RefusalError where the file is not what it should be.
        """
        self.node = reopen(self.node)
        self.set_basket(self.basket)

    def begin_training(self) -> None:
        """Practise from now on: the node is opened for reading alone, so that nothing can be recorded."""
        self._real_node = self.node
        self.node = open_for_training(self.node.directory, self.node.clock_source)
        self._forget()
        self.is_training = True

    def end_training(self) -> None:
        """Sell in earnest again."""
        assert self._real_node is not None
        self.node.close()
        self.node, self._real_node = self._real_node, None
        self._forget()
        self.is_training = False

    def _forget(self) -> None:
        self.done = self.exchanging = self.returning = None
        self.set_basket(EMPTY)

    def keep_draft(self) -> None:
        """Write the basket down, so that it survives the till, with the attempt of the tender that is open."""
        if not self.is_training:
            is_sale = self.returning is None
            keep_draft(self.node.directory, self.basket if is_sale else EMPTY, self.attempt)

    def price_again(self) -> None:
        """Price the basket anew: a price or promotion may have changed, or the language."""
        self.priced = price_basket(self.node, self.basket, None, self.language)

    def price(self, basket: Basket) -> PricedBasket:
        """Price a basket that is only tried."""
        return price_basket(self.node, basket, None, self.language)

    def units_of(self, product: str) -> list[UnitChoice]:
        """Return the selling units of a product with their prices now."""
        found = product_of(self.node, product)
        if found is None:
            return []
        now_ms = self.node.now_ms()
        names = [("", found.product.unit_name), *((unit.unit, unit.unit) for unit in found.product.units)]
        prices = [(unit, name, price_at(found, unit, now_ms)) for unit, name in names]
        return [UnitChoice(unit, name, None if price is None else price.price_minor) for unit, name, price in prices]

    def record_voids(self, lines: Sequence[PricedLine], *, approver: str, act: str = VOIDED) -> None:
        """Note lines that leave the basket."""
        if not self.is_training:
            record_voids(self.node, lines, operator=self.operator_id, approver=approver, act=act)

    def complete(
        self, payments: tuple[Payment, ...], now: Due, *, attempt: str, dropped_minor: int, approver: str
    ) -> Completed:
        """Sell the basket; the sale is durable when this returns, and the screen remembers it."""
        exchanging = self.exchanging
        if self.is_training:
            return self._practise(payments, now)
        if exchanging is not None:
            completed = exchange(
                self.node, exchanging.original, exchanging.returns, self.basket,
                [one for one in payments if one.means != EXCHANGE], operator=self.operator_id, attempt=attempt,
                dropped_minor=dropped_minor, approver=approver, priced=self.priced, prints=self.prints,
            ).sale  # fmt: skip
        else:
            completed = complete(
                self.node, self.basket, payments, operator=self.operator_id, attempt=attempt,
                dropped_minor=dropped_minor, approver=approver, priced=self.priced, prints=self.prints,
                language=self.language,
            )  # fmt: skip
        self.exchanging = None
        self.done = Done(
            completed.receipt_number, completed.entry, completed.total_minor, completed.change_minor, now.dropped_minor,
            payments,
        )  # fmt: skip
        self.set_basket(EMPTY)
        return completed

    def _practise(self, payments: tuple[Payment, ...], now: Due) -> Completed:
        self.practised = practise(
            self.node, self.basket, payments, operator=self.operator_id, dropped_minor=now.dropped_minor,
            priced=self.priced, language=self.language,
        )  # fmt: skip
        total, change = self.practised.due.total_minor, self.practised.due.change_minor
        self.done = Done(NUMBER, "", total, change, now.dropped_minor, payments)
        self.set_basket(EMPTY)
        return Completed(NUMBER, "", b"", total, change, b"")

    def set_member(self, card: MemberCard) -> None:
        """Take a member into the basket."""
        self.set_basket(set_member(self.basket, Member(card.person, card.masked, card.name, card.tier)))

    def today(self) -> str:
        """Return the date of the location's wall clock."""
        return local_time(self.node.now_ms(), self.node.config.time_zone).date().isoformat()

    def clock(self) -> str:
        """Return the hour and minute of the location's wall clock."""
        return local_time(self.node.now_ms(), self.node.config.time_zone).strftime("%H:%M")

    def give_back(self, *, goods_to: str, reason: str, approver: str, attempt: str) -> Completed:
        """Take the basket's goods back without the sale that they are of."""
        assert self.returning is not None
        signed = self.returning.signed
        if signed is None:
            completed = refund_unreceipted(
                self.node, self.basket, goods_to=goods_to, reason=reason, operator=self.operator_id,
                approver=approver, attempt=attempt, prints=self.prints,
            )  # fmt: skip
        else:
            keyed = [KeyedReturn(one.line, one.amount_minor) for one in self.priced.lines]
            completed = refund_signed(
                self.node, signed, keyed, goods_to=goods_to, reason=reason, operator=self.operator_id,
                approver=approver, attempt=attempt, prints=self.prints,
            )  # fmt: skip
        self.returning = None
        self.set_basket(EMPTY)
        return completed

    def give_deposit_back(self, *, attempt: str) -> Completed:
        """Give the deposit of the basket's empties back in cash."""
        completed = give_back_empties(
            self.node, self.basket, operator=self.operator_id, attempt=attempt, prints=self.prints
        )
        self.set_basket(EMPTY)
        return completed

    def product_name(self, product: str) -> str:
        """Return what a product is called, with its size; its code where nobody here knows it."""
        found = product_of(self.node, product)
        return product if found is None else f"{found.product.name} {found.product.spec}".strip()

    def note_refund(self, completed: Completed) -> tuple[Payment, ...]:
        """Remember a refund for the screen; returns by which means the money goes back."""
        tenders = getattr(stored_entry(self.node, completed.entry).payload, "tenders", ())
        payments = tuple(Payment(one.means, one.amount_minor) for one in tenders)
        self.done = Done(completed.receipt_number, completed.entry, completed.total_minor, 0, 0, payments, True)
        return payments

    def copy(self, columns: int) -> Copy:
        """Return which paper the screen shows: so many columns, in the language of the moment."""
        return Copy(columns, self.language, is_training=self.is_training)

    def receipt_reference(self, text: str) -> str:
        """Complete a number that was keyed on the keypad alone: `12` is this till's twelfth receipt."""
        if not (text.isascii() and text.isdigit() and len(text) <= 6):
            return text.upper() if text.isascii() else text
        return str(ReceiptNumber(self.node.config.till, self.node.state().incarnation, int(text)))

    def test_page(self, texts: Texts) -> Layout:
        """Lay out a page by which the printer's letters, width and codes can be judged."""
        columns = setting(self.node, ReceiptForm).template.columns
        rows = (
            ReceiptRow(left=texts("test.title"), is_centred=True, is_double=True),
            ReceiptRow(kind=RowKind.RULE),
            ReceiptRow(left=texts("test.letters"), right="￥12.50"),
            ReceiptRow(left="1234567890" * (columns // 10) + "1234567890"[: columns % 10]),
            ReceiptRow(left=self.node.config.name, right=self.clock()),
            ReceiptRow(kind=RowKind.BARCODE, data=f"{self.node.config.till}-TEST"),
            ReceiptRow(kind=RowKind.CUT),
        )
        return Layout(rows, columns)
