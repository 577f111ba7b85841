"""Owns what the screens share while the till runs: the node, who is signed in, the basket with its price, the devices.

It decides nothing: it hands the basket to the node's use cases and keeps what they answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.basket import Basket, PricedBasket, price_basket
from edge.parking import keep_draft, read_draft
from edge.settings import setting
from schema.rules.promotion_terms import Language
from schema.settings import CashRules, TillRules

if TYPE_CHECKING:
    from edge.node import Node
    from edge.selling import Completed
    from edge.signing_in import SignedIn


class Till:
    """One till with its node open."""

    def __init__(self, node: Node, *, language: Language) -> None:
        self.node = node
        self.language = language
        self.operator: SignedIn | None = None
        self.is_training = False
        self.basket = Basket()
        self.priced = PricedBasket()
        self.last: Completed | None = None
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
