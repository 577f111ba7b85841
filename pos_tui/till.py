"""Owns what the screens share while the till runs: the node, who is signed in, the basket with its price, the devices.

It decides nothing: it hands the basket to the node's use cases and keeps what they answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edge.basket import EMPTY, Basket, PricedBasket, PricedLine, price_basket
from edge.catalog import price_at, product_of
from edge.clock_source import local_time
from edge.parking import keep_draft, read_draft
from edge.settings import setting
from schema.rules.promotion_terms import Language
from schema.settings import CashRules, TillRules

if TYPE_CHECKING:
    from edge.node import Node
    from edge.selling import Completed
    from edge.signing_in import SignedIn
    from edge.tendering import Due, Payment


class Done(NamedTuple):
    """The last sale as the screen keeps showing it until the next goods come."""

    receipt_number: str
    entry: str
    total_minor: int
    change_minor: int
    dropped_minor: int
    payments: tuple[Payment, ...]


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
        self.basket = EMPTY
        self.priced = price_basket(node, EMPTY, None, language)
        self.done: Done | None = None
        self.rules = setting(node, TillRules)
        self.cash_rules = setting(node, CashRules)

    @property
    def operator_id(self) -> str:
        """The random id of who is signed in; empty where nobody is."""
        return "" if self.operator is None else self.operator.operator

    def restore_draft(self) -> bool:
        """Take back the basket that a till had in hand when it stopped; True where there was one."""
        draft = read_draft(self.node.directory)
        if draft is None or not draft.lines:
            return False
        self.set_basket(draft)
        return True

    def set_basket(self, basket: Basket) -> None:
        """Take a changed basket and price it."""
        self.priced = price_basket(self.node, basket, None, self.language)
        self.basket = basket

    def keep_draft(self) -> None:
        """Write the basket down, so that it survives the till."""
        keep_draft(self.node.directory, self.basket)

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

    def record_voids(self, lines: Sequence[PricedLine], *, approver: str) -> None:
        """Note lines that leave the basket."""

    def note_sale(self, completed: Completed, payments: tuple[Payment, ...], now: Due) -> None:
        """Remember the sale that was just made."""
        self.done = Done(
            completed.receipt_number, completed.entry, completed.total_minor, completed.change_minor,
            now.dropped_minor, payments,
        )  # fmt: skip

    def today(self) -> str:
        """Return the date of the location's wall clock."""
        return local_time(self.node.now_ms(), self.node.config.time_zone).date().isoformat()
