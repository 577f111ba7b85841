"""Entries of balances: points, stored value and its bonus, credit, coupons; each is the sum of its movements."""

from __future__ import annotations

from schema.kinds.base import Amount, Code, Kind, Payload, Permission, Text
from schema.kinds.trading import Tender


class BalanceOpened(Payload, frozen=True):
    """What a member, gift card, customer, supplier or till starts with: minor units, for points in points."""

    balance: Code
    subject: Code
    amount: Amount
    operator: Code = ""
    note: Text = ""


class BalanceMove(Payload, frozen=True):
    """A signed change of one balance: minor units, points, or uses of a coupon."""

    balance: Code
    subject: Code
    amount: Amount


class BalanceMoved(Payload, frozen=True):
    """Changes of balances that a sale or refund brought with it; both share an operation.

    `document` is the receipt number of that sale or refund, `reason` what moved them: earned, spent, charged, coupon
    or taken_back.
    """

    moves: tuple[BalanceMove, ...]
    reason: Code
    document: Code
    operator: Code = ""
    approver: Code = ""


class BalancePaid(Payload, frozen=True):
    """Money against balances with no goods: a top-up of stored value, its return, the repayment of credit.

    `total_minor` is positive for money taken in, negative for money given back; the tenders sum to it.
    """

    receipt_number: Code
    business_date: Code
    shift: Code
    operator: Code
    reason: Code
    moves: tuple[BalanceMove, ...]
    tenders: tuple[Tender, ...]
    total_minor: Amount
    approver: Code = ""
    member: Code = ""
    note: Text = ""


def balance_moves(payload: Payload | None) -> tuple[BalanceMove, ...]:
    """Return the changes of balances that an entry tells of."""
    match payload:
        case BalanceOpened():
            return (BalanceMove(payload.balance, payload.subject, payload.amount),)
        case BalanceMoved() | BalancePaid():
            return payload.moves
        case _:
            return ()


KINDS = (
    Kind("balance.opened", BalanceOpened, Permission.HUB),
    Kind("balance.moved", BalanceMoved, Permission.TRADE),
    Kind("balance.paid", BalancePaid, Permission.TRADE),
)
