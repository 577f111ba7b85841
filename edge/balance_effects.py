"""Owns what a sale, its refund or a payment does to balances: points, stored value and its bonus, credit, coupons.

A balance is the sum of its movements. Those that come with a sale or refund are entries of their own beside it, in its
transaction and with its operation, one for each reason: earned, spent, charged, coupon, taken_back. Signs are the
balance's own: points and stored value fall when they are spent, credit rises when goods are taken on account, and a
single-use coupon counts its uses, so that two tells of a code that was used twice.

Stored value is spent principal first, the bonus after it; what comes back fills the principal first, up to what was
spent of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from edge.node import Node, Writing
from schema.identity import EntryId
from schema.kinds.balances import BalanceMove, BalanceMoved
from schema.kinds.trading import Tender
from schema.rows import BalanceKind
from schema.rules.allocation import refund_share

EARNED, SPENT, CHARGED, COUPON, TAKEN_BACK = "earned", "spent", "charged", "coupon", "taken_back"
_NEIGHBOURS = 8
"""Entries of one operation follow each other in their stream; there are never more than these after a sale."""


class Effect(NamedTuple):
    """Movements of balances for one reason."""

    reason: str
    moves: tuple[BalanceMove, ...]


def move(kind: BalanceKind, subject: str, amount: int) -> BalanceMove:
    """Return one movement of a balance."""
    return BalanceMove(kind.value, subject, amount)


def append_effects(
    writing: Writing, effects: Iterable[Effect], document: str, *, operator: str, approver: str, operation: str
) -> None:
    """Record effects beside the sale or refund `document`, as entries of its operation."""
    for effect in effects:
        moves = tuple(one for one in effect.moves if one.amount)
        if moves:
            writing.append(BalanceMoved(moves, effect.reason, document, operator, approver), operation=operation)


def credit_back(effects: Iterable[Effect]) -> list[tuple[str, int]]:
    """Return (customer, amount) of what effects take off what customers owe."""
    return [
        (one.subject, -one.amount)
        for effect in effects
        for one in effect.moves
        if one.balance == BalanceKind.CUSTOMER_CREDIT and one.amount < 0
    ]


def effects_here(node: Node, entry: EntryId, document: str) -> dict[tuple[str, str], dict[str, int]]:
    """Return what came with a sale that is here: by (reason, balance), the amount of each subject."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    itself = node.replica.log.entry(entry.stream, entry.seq)
    operation = "" if itself is None else itself.body.operation
    if not operation:
        return found
    for seq in range(entry.seq + 1, entry.seq + 1 + _NEIGHBOURS):
        beside = node.replica.log.entry(entry.stream, seq)
        if beside is None or beside.body.operation != operation:
            break
        payload = beside.payload
        if isinstance(payload, BalanceMoved) and payload.document == document:
            for one in payload.moves:
                sums = found.setdefault((payload.reason, one.balance), {})
                sums[one.subject] = sums.get(one.subject, 0) + one.amount
    return found


def taken_back(
    came: Mapping[tuple[str, str], Mapping[str, int]],
    *,
    sold_minor: int,
    before_minor: int,
    now_minor: int,
    tenders: Sequence[Tender],
    paid: Mapping[str, int],
    back_before: Mapping[str, int],
    is_whole: bool = False,
) -> list[Effect]:
    """Return what a refund undoes of what came with its sale (`effects_here`).

    Where with it everything has come back (`is_whole`), the sale's single-use coupons may be used again.

    Of a sale of `sold_minor`, `before_minor` came back before and `now_minor` comes now, in `tenders`. `paid` and
    `back_before` are by means what the sale took and what earlier refunds gave back.
    """
    moves: list[BalanceMove] = []
    for subject, earned in came.get((EARNED, BalanceKind.MEMBER_POINTS.value), {}).items():
        if sold_minor > 0:
            share = refund_share(earned, sold_minor, before_minor, min(now_minor, sold_minor - before_minor))
            moves.append(move(BalanceKind.MEMBER_POINTS, subject, -share))
    now: dict[str, int] = {}
    for tender in tenders:
        now[tender.means] = now.get(tender.means, 0) + tender.amount_minor
    if amount := now.get("points", 0):
        for subject, spent in came.get((SPENT, BalanceKind.MEMBER_POINTS.value), {}).items():
            share = refund_share(-spent, paid["points"], back_before.get("points", 0), amount)
            moves.append(move(BalanceKind.MEMBER_POINTS, subject, share))
    if amount := now.get("stored", 0):
        before = back_before.get("stored", 0)
        for subject, spent in came.get((SPENT, BalanceKind.MEMBER_BALANCE.value), {}).items():
            principal = min(-spent, before + amount) - min(-spent, before)
            moves.append(move(BalanceKind.MEMBER_BALANCE, subject, principal))
            amount -= principal
        for subject in came.get((SPENT, BalanceKind.MEMBER_BONUS.value), {}):
            moves.append(move(BalanceKind.MEMBER_BONUS, subject, amount))
    if amount := now.get("account", 0):
        for subject in came.get((CHARGED, BalanceKind.CUSTOMER_CREDIT.value), {}):
            moves.append(move(BalanceKind.CUSTOMER_CREDIT, subject, -amount))
    if amount := now.get("gift_card", 0):
        for subject in came.get((SPENT, BalanceKind.GIFT_CARD.value), {}):
            moves.append(move(BalanceKind.GIFT_CARD, subject, amount))
    if is_whole:
        used = came.get((COUPON, BalanceKind.COUPON.value), {})
        moves += [move(BalanceKind.COUPON, code, -uses) for code, uses in used.items()]
    return [Effect(TAKEN_BACK, tuple(moves))] if moves else []
