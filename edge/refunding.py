"""Takes goods back at the till: against a receipt, from its signed code alone, without any, or for other goods.

What is known here of the sale and of earlier refunds is read in the transaction that records the next one, so that two
screens cannot give one thing back twice. What other locations gave back meanwhile is found at the hub.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from edge.acting import next_entry_id
from edge.allowing import allow
from edge.basket import Basket, BasketLine, PricedBasket, price_basket
from edge.catalog import tax_bp
from edge.giving_back import CASH, EXCHANGE, refunded_minor
from edge.limits import Act
from edge.node import Node
from edge.print_jobs import queue_receipt
from edge.receipt_codes import read_receipt_code, verify_receipt_code
from edge.returns import (
    OriginalSale,
    RefundDraft,
    ReturnRequest,
    check_goods_to,
    draft_refund,
    draft_unreceipted,
    find_sale,
)
from edge.selling import Completed, append_refund, completed_of
from edge.tendering import (
    CONFIRMED,
    Payment,
    check_allowed,
    check_basket,
    check_payments,
    completed_attempt,
    due,
    record_sale,
    sale_lines,
    source_of,
)
from schema.amounts import format_money
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.base import StockMove
from schema.kinds.trading import RefundLine, Tender
from schema.rules.card_numbers import refuse_card_number


class SignedSale(msgspec.Struct, frozen=True):
    """A sale that is not here, as the genuine code on its receipt tells it; `refunded_minor` is known here."""

    entry: str
    total_minor: int
    refunded_minor: int

    @property
    def left_minor(self) -> int:
        """What may still be given back."""
        return max(0, self.total_minor - self.refunded_minor)


class KeyedReturn(NamedTuple):
    """Goods that come back without their sale's lines being known here, and what is given back for them."""

    line: BasketLine
    amount_minor: int


class Exchanged(NamedTuple):
    """Goods taken back and others sold in one go."""

    refund: Completed
    sale: Completed


def find_original(node: Node, text: str) -> OriginalSale | SignedSale:
    """Find what a receipt is of: by its number, the entry's id, or the code printed on it.

    A code is verified offline; where its sale is not here it stands for itself. Raises RefusalError: `receipt_unknown`,
    `receipt_older`, `receipt_no_sale`, `code_forged`, `code_unverified`.
    """
    code = read_receipt_code(text)
    if code is None:
        return find_sale(node, text.strip())
    verify_receipt_code(node, code)
    entry = node.replica.log.entry(code.entry.stream, code.entry.seq)
    if entry is not None and entry.digest == code.digest:
        try:
            return find_sale(node, str(code.entry))
        except RefusalError:
            raise RefusalError("receipt_no_sale", "this receipt is of a refund or a payment, not of goods") from None
    return SignedSale(str(code.entry), code.total_minor, refunded_minor(node, str(code.entry)))


def refund_lines(
    node: Node,
    original: OriginalSale,
    returns: Sequence[ReturnRequest] | None = None,
    *,
    operator: str = "",
    approver: str = "",
    attempt: str = "",
    state: str = CONFIRMED,
    prints: bool = False,
) -> Completed:
    """Take goods of a known sale back (all that is left without `returns`), priced as sold, to its tenders first.

    `state` is that of money which a service outside gives back. Raises RefusalError `refund_empty`, `refund_exceeds`,
    `refund_line`, `approval_needed`.
    """
    with node.write() as writing:
        known = completed_attempt(node, attempt)
        if known is not None:
            return known
        now = find_sale(node, original.entry)
        draft = draft_refund(node, now, now.whole() if returns is None else returns, state=state)
        _check_reasons(draft.lines)
        allowed = allow(node, operator, (approver,), Act.REFUND, draft.total_minor)
        draft = msgspec.structs.replace(
            draft, operator=operator, approver=allowed or approver, source=source_of(attempt)
        )
        recorded = append_refund(node, writing, draft)
        if prints:
            queue_receipt(writing, str(recorded.entry.id))
    return completed_of(node, recorded)


def _check_reasons(lines: Sequence[RefundLine]) -> None:
    for line in lines:
        refuse_card_number(line.reason, lambda _: False)


def refund_signed(
    node: Node,
    signed: SignedSale,
    keyed: Sequence[KeyedReturn] | None = None,
    *,
    goods_to: str = "shelf",
    reason: str = "",
    operator: str = "",
    approver: str = "",
    attempt: str = "",
    prints: bool = False,
) -> Completed:
    """Give money back in cash from a receipt's code alone: all that is left of its total, or keyed goods up to it.

    Without keyed goods nothing returns to stock, for nobody here knows what it was. Keyed goods need a second person.
    Raises RefusalError `refund_exceeds_total`, `refund_empty`, `receipt_here`, `approval_needed`.
    """
    check_goods_to(goods_to)
    refuse_card_number(reason, lambda _: False)
    with node.write() as writing:
        known = completed_attempt(node, attempt)
        if known is not None:
            return known
        place = EntryId.parse(signed.entry)
        if node.replica.log.entry(place.stream, place.seq) is not None:
            raise RefusalError("receipt_here", "this sale has arrived meanwhile: scan its receipt again")
        left = signed.total_minor - refunded_minor(node, signed.entry)
        if keyed is None:
            lines: tuple[RefundLine, ...] = (RefundLine(None, "", "", 1000, 1000, left, "", 0, goods_to, reason),)
            moves: tuple[StockMove, ...] = ()
        else:
            lines, moves = _keyed(keyed, goods_to, reason, writing.business_date)
        total = sum(line.amount_minor for line in lines)
        if left <= 0 or not lines:
            raise RefusalError("refund_empty", "everything of this sale has come back already")
        if total > left:
            raise RefusalError(
                "refund_exceeds_total", "more would be given back than was paid", left=format_money(left)
            )
        act = Act.REFUND if keyed is None else Act.UNRECEIPTED_REFUND
        allowed = allow(node, operator, (approver,), act, total)
        draft = RefundDraft(
            original=signed.entry, lines=lines, moves=moves, tenders=(Tender(CASH, total),), operator=operator,
            approver=allowed or approver, source=source_of(attempt),
        )  # fmt: skip
        recorded = append_refund(node, writing, draft)
        if prints:
            queue_receipt(writing, str(recorded.entry.id))
    return completed_of(node, recorded)


def _keyed(
    keyed: Sequence[KeyedReturn], goods_to: str, reason: str, business_date: str
) -> tuple[tuple[RefundLine, ...], tuple[StockMove, ...]]:
    lines = []
    moves = []
    for goods, amount in keyed:
        if amount < 0 or goods.quantity_milli <= 0:
            raise RefusalError("amount_invalid", "an amount is not negative")
        lines.append(
            RefundLine(
                None, goods.product, goods.unit, goods.factor_milli, goods.quantity_milli, amount, goods.tax_class,
                tax_bp(goods.tax_class, business_date), goods_to, reason,
            )
        )  # fmt: skip
        if goods_to == "shelf":
            quantity = goods.factor_milli * goods.quantity_milli // 1000
            moves.append(StockMove(goods.product, quantity, goods.lot, goods.expiry, goods.serial))
    return tuple(lines), tuple(moves)


def refund_unreceipted(
    node: Node,
    basket: Basket,
    *,
    goods_to: str = "shelf",
    reason: str = "",
    operator: str = "",
    approver: str = "",
    attempt: str = "",
    prints: bool = False,
) -> Completed:
    """Take goods back that nobody has a receipt for, in cash: at today's price, or the one keyed on the line.

    Raises RefusalError `basket_empty`, `price_missing`, `approval_needed`.
    """
    check_goods_to(goods_to)
    refuse_card_number(reason, lambda _: False)
    priced = price_basket(node, basket)
    check_basket(basket, priced)
    with node.write() as writing:
        known = completed_attempt(node, attempt)
        if known is not None:
            return known
        lines, _ = sale_lines(node, priced.lines, writing.business_date)
        draft = draft_unreceipted(lines, goods_to, reason)
        allowed = allow(node, operator, (approver,), Act.UNRECEIPTED_REFUND, draft.total_minor)
        draft = msgspec.structs.replace(
            draft, operator=operator, approver=allowed or approver, source=source_of(attempt),
            member=basket.member.person if basket.member is not None else "",
        )  # fmt: skip
        recorded = append_refund(node, writing, draft)
        if prints:
            queue_receipt(writing, str(recorded.entry.id))
    return completed_of(node, recorded)


def exchange(
    node: Node,
    original: OriginalSale,
    returns: Sequence[ReturnRequest],
    basket: Basket,
    payments: Sequence[Payment] = (),
    *,
    operator: str = "",
    approver: str = "",
    attempt: str,
    dropped_minor: int = 0,
    priced: PricedBasket | None = None,
    state: str = CONFIRMED,
    prints: bool = False,
) -> Exchanged:
    """Take goods back and sell others in one transaction: what comes back pays first, the difference is paid or given.

    Raises what `refund_lines` and `complete` raise; nothing is recorded then.
    """
    priced = priced or price_basket(node, basket)
    check_basket(basket, priced)
    people = (*basket.approvers, approver)
    check_allowed(node, operator, people, priced, dropped_minor)
    with node.write() as writing:
        known = _exchanged(node, attempt)
        if known is not None:
            return known
        now = find_sale(node, original.entry)
        total = priced.total_minor - dropped_minor
        draft = draft_refund(node, now, returns, state=state, exchanged_minor=max(0, total))
        _check_reasons(draft.lines)
        allowed = allow(node, operator, people, Act.REFUND, draft.total_minor)
        exchanged = min(draft.total_minor, total)
        paying = [Payment(EXCHANGE, exchanged), *payments]
        if not payments and exchanged < total:
            rest = due(node, priced, paying, dropped_minor).left_cash_minor
            paying.append(Payment(CASH, given_minor=rest))
        plan = due(node, priced, paying, dropped_minor)
        check_payments(node, basket, plan, paying)
        operation = str(next_entry_id(node, writing))
        draft = msgspec.structs.replace(
            draft, operator=operator, approver=allowed or approver, source=source_of(_returning(attempt))
        )
        back = append_refund(node, writing, draft, operation=operation)
        sold = record_sale(
            node, writing, basket, priced, paying, plan, operator=operator, approvers=people,
            source=source_of(attempt), operation=operation,
        )  # fmt: skip
        if prints:
            for recorded in (back, sold):
                queue_receipt(writing, str(recorded.entry.id))
    return Exchanged(completed_of(node, back), completed_of(node, sold))


def _returning(attempt: str) -> str:
    return f"{attempt}:returned" if attempt else ""


def _exchanged(node: Node, attempt: str) -> Exchanged | None:
    back, sold = completed_attempt(node, _returning(attempt)), completed_attempt(node, attempt)
    return Exchanged(back, sold) if back is not None and sold is not None else None
