"""Owns selling on account (赊账): how much a customer may owe, and that two tills apart never lend the same twice.

A customer with a limit of their own is lent only what the hub has given this node the right to; nobody may allow more,
for nobody here knows what the others lend meanwhile. A customer without one is lent up to the chain's limit, and
beyond it where a second person allows it; there double lending is found at the hub.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edge.allowing import allow
from edge.balances import balance
from edge.limits import Act
from edge.node import Node, Writing
from edge.reserving import credit_left, return_credit, spend_credit
from edge.settings import setting
from schema.amounts import format_money
from schema.errors import RefusalError
from schema.kinds.vans import CreditLimited
from schema.rows import BalanceKind
from schema.settings import LoyaltyRules


class Credit(NamedTuple):
    """What a customer may owe, and of it what may still be lent here; `is_own` where the limit is the customer's."""

    limit_minor: int
    left_minor: int
    is_own: bool


def own_limit(node: Node, person: str) -> int | None:
    """Return a customer's own limit; None for one to whom the chain's applies."""
    node.organisation.refresh(node.connection)
    defined = node.organisation.newest(node.connection, CreditLimited, person) if person else None
    return None if defined is None else defined.limit_minor


def credit_of(node: Node, person: str, owed_minor: int | None = None) -> Credit:
    """Return what a customer may still be lent at this node."""
    own = own_limit(node, person)
    if own is not None:
        return Credit(own, credit_left(node, person), is_own=True)
    limit = setting(node, LoyaltyRules).credit_limit_minor
    owed = balance(node, BalanceKind.CUSTOMER_CREDIT, person).amount if owed_minor is None else owed_minor
    return Credit(limit, max(0, limit - owed), is_own=False)


def check_credit(node: Node, person: str, amount_minor: int, operator: str, approvers: Sequence[str]) -> None:
    """Ask for a second person where a customer would owe more than may be owed.

    Raises RefusalError `approval_needed`, or for a customer with an own limit `credit_exceeded`.
    """
    owed = balance(node, BalanceKind.CUSTOMER_CREDIT, person).amount
    credit = credit_of(node, person, owed)
    if not credit.is_own:
        if owed + amount_minor > credit.limit_minor:
            allow(node, operator, approvers, Act.CREDIT, owed + amount_minor - credit.limit_minor)
    elif amount_minor > credit.left_minor:
        raise RefusalError(
            "credit_exceeded",
            f"only {format_money(credit.left_minor)} of this customer's credit is here",
            left=format_money(credit.left_minor),
            left_minor=credit.left_minor,
        )


def lend(node: Node, writing: Writing, person: str, amount_minor: int, document: str, operation: str) -> None:
    """Spend the right to what a sale on account lends, in its transaction, where the customer has an own limit."""
    if own_limit(node, person) is not None:
        spend_credit(node, writing, person, amount_minor, document, operation)


def take_back(node: Node, writing: Writing, person: str, amount_minor: int, document: str, operation: str = "") -> None:
    """Have the right again to what a customer owes no more, as far as it was lent here."""
    if amount_minor > 0 and own_limit(node, person) is not None:
        return_credit(node, writing, person, amount_minor, document, operation)
