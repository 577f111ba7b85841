"""Takes and gives back money with no goods: stored value topped up or returned, and what is owed repaid.

Each is one entry with a receipt number of its own. A key that was pressed twice pays once: the attempt is kept beside
the log in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.allowing import allow
from edge.balance_effects import move
from edge.balances import balance
from edge.credit import take_back
from edge.giving_back import CASH
from edge.limits import Act
from edge.node import Node
from edge.print_jobs import queue_receipt
from edge.selling import Completed, Recorded, completed_of, trading_day
from edge.settings import setting
from edge.tendering import CONFIRMED, GIFT_CARD, MEMBER_MEANS, Payment, check_reference, is_fresh
from schema.amounts import format_money
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.balances import BalanceMove, BalancePaid
from schema.kinds.trading import Tender
from schema.rows import BalanceKind
from schema.rules.rounding import Rounding, scale
from schema.settings import LoyaltyRules, TillRules

TOP_UP, REPAID, RETURNED = "top_up", "repaid", "returned"
AMOUNT_MAX = 10_000_000
"""A payment beyond 100,000 元 is a mistyped amount."""


def bonus_for(node: Node, amount_minor: int) -> int:
    """Return what the shop adds to a top-up: the bonus of the highest amount that it reaches."""
    reached = [bonus for start, bonus in sorted(setting(node, LoyaltyRules).bonuses) if start <= amount_minor]
    return reached[-1] if reached else 0


def top_up(
    node: Node, person: str, amount_minor: int, payments: Sequence[Payment] = (), *, operator: str = "",
    attempt: str, prints: bool = False,
) -> Completed:  # fmt: skip
    """Store value for a member (储值), the bonus apart from what was paid; without payments exactly in cash.

    Raises RefusalError: `amount_invalid`, and what payments are refused for.
    """
    moves = (
        move(BalanceKind.MEMBER_BALANCE, person, amount_minor),
        move(BalanceKind.MEMBER_BONUS, person, bonus_for(node, amount_minor)),
    )
    return _pay(node, TOP_UP, person, amount_minor, moves, payments, operator, "", attempt, prints)


def repay(
    node: Node, person: str, amount_minor: int, payments: Sequence[Payment] = (), *, operator: str = "",
    attempt: str, prints: bool = False,
) -> Completed:  # fmt: skip
    """Take what a customer owes, or a part of it (挂账还款); raises RefusalError `repay_exceeds` beyond it."""
    owed = balance(node, BalanceKind.CUSTOMER_CREDIT, person).amount
    if amount_minor > owed:
        raise RefusalError("repay_exceeds", "this is more than the customer owes", owed=format_money(owed))
    moves = (move(BalanceKind.CUSTOMER_CREDIT, person, -amount_minor),)
    return _pay(node, REPAID, person, amount_minor, moves, payments, operator, "", attempt, prints)


def return_stored(
    node: Node, person: str, amount_minor: int, payments: Sequence[Payment] = (), *, operator: str = "",
    approver: str = "", attempt: str, prints: bool = False,
) -> Completed:  # fmt: skip
    """Give principal of stored value back; the bonus goes in the same proportion, for it was a gift for storing it.

    Payments say how it is given back (in cash without any). Raises RefusalError `balance_low`, `approval_needed`.
    """
    principal = balance(node, BalanceKind.MEMBER_BALANCE, person)
    if amount_minor > principal.amount:
        raise RefusalError(
            "balance_low",
            "the stored value does not suffice: a bonus is not paid out",
            left=format_money(max(0, principal.amount)),
        )
    rules = setting(node, LoyaltyRules)
    allow(node, operator, (approver,), Act.REFUND, amount_minor)
    if not is_fresh(node, rules, principal.elsewhere_as_of_ms) and amount_minor > rules.offline_stored_minor_max:
        allow(node, operator, (approver,), Act.OFFLINE_SPENDING, amount_minor)
    bonus = max(0, balance(node, BalanceKind.MEMBER_BONUS, person).amount)
    lost = scale(bonus, amount_minor, principal.amount, Rounding.UP) if amount_minor > 0 else 0
    moves = (move(BalanceKind.MEMBER_BALANCE, person, -amount_minor), move(BalanceKind.MEMBER_BONUS, person, -lost))
    return _pay(node, RETURNED, person, amount_minor, moves, payments, operator, approver, attempt, prints, sign=-1)


def _pay(
    node: Node, reason: str, person: str, amount_minor: int, moves: tuple[BalanceMove, ...],
    payments: Sequence[Payment], operator: str, approver: str, attempt: str, prints: bool, sign: int = 1,
) -> Completed:  # fmt: skip
    known = paid_attempt(node, attempt)
    if known is not None:
        return known
    if not person:
        raise RefusalError("member_missing", "look the customer up first")
    if not 0 < amount_minor <= AMOUNT_MAX:
        raise RefusalError("amount_invalid", "say how much, up to 100,000")
    tenders = _tenders(node, amount_minor, payments, sign)
    with node.write() as writing:
        known = paid_attempt(node, attempt)
        if known is not None:
            return known
        number, day = writing.take_receipt_number(), trading_day(node, writing.business_date)
        payload = BalancePaid(
            number, day.business_date, day.shift, operator, reason, tuple(one for one in moves if one.amount), tenders,
            sign * amount_minor, approver, person,
        )  # fmt: skip
        if reason == REPAID:
            take_back(node, writing, person, amount_minor, number)
        entry = writing.append(payload)
        if attempt:
            node.connection.execute("INSERT INTO attempt (attempt, entry) VALUES (?, ?)", (attempt, str(entry.id)))
        if prints:
            queue_receipt(writing, str(entry.id))
    return completed_of(node, Recorded(number, entry, payload.total_minor, _change(tenders)))


def _tenders(node: Node, amount_minor: int, payments: Sequence[Payment], sign: int) -> tuple[Tender, ...]:
    known = {*setting(node, TillRules).means, CASH} - MEMBER_MEANS - {GIFT_CARD}
    left = amount_minor
    tenders: list[Tender] = []
    for payment in payments or (Payment(CASH, amount_minor, amount_minor),):
        if payment.means not in known:
            raise RefusalError("means_unknown", f"{payment.means} cannot pay for this", means=payment.means)
        check_reference(node, payment)
        given = payment.given_minor or payment.amount_minor
        amount = min(left, given) if payment.means == CASH else payment.amount_minor
        if amount < 0 or amount > left:
            raise RefusalError("tenders_exceed", "more was paid than is due, and only cash gives change",
                               over=format_money(amount - left))  # fmt: skip
        if amount:
            state = "" if payment.means == CASH else payment.state or CONFIRMED
            handed = given if payment.means == CASH and sign > 0 else 0
            tenders.append(Tender(payment.means, sign * amount, handed, payment.reference, state))
        left -= amount
    if left:
        raise RefusalError("tenders_short", "not all of it is paid yet", left=format_money(left))
    return tuple(tenders)


def _change(tenders: Sequence[Tender]) -> int:
    return sum(max(0, tender.given_minor - tender.amount_minor) for tender in tenders if tender.given_minor)


def paid_attempt(node: Node, attempt: str) -> Completed | None:
    """Return the payment that an attempt has made; None where it has made none."""
    row = node.connection.execute("SELECT entry FROM attempt WHERE attempt = ?", (attempt,)).fetchone()
    if not attempt or row is None:
        return None
    place = EntryId.parse(row[0])
    entry = node.replica.log.entry(place.stream, place.seq)
    if entry is None:  # it is older than what this node keeps, and so is every tender screen
        return None
    paid = entry.payload
    assert isinstance(paid, BalancePaid)
    return completed_of(node, Recorded(paid.receipt_number, entry, paid.total_minor, _change(paid.tenders)))
