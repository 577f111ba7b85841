"""Owns giving a deposit back for empties alone (退押金): money out, empties on the shelf, no second person needed."""

from __future__ import annotations

from edge.basket import Basket, price_basket
from edge.catalog import tax_bp
from edge.node import Node
from edge.print_jobs import queue_receipt
from edge.returns import RefundDraft
from edge.selling import Completed, append_refund, completed_of
from edge.tendering import completed_attempt, source_of
from schema.errors import RefusalError
from schema.kinds.base import StockMove
from schema.kinds.trading import RefundLine, Tender
from schema.rules.deposits import EMPTIES


def give_back_empties(
    node: Node, basket: Basket, *, operator: str = "", attempt: str, prints: bool = False
) -> Completed:
    """Give the deposit of a basket of empties back in cash; the empties reach the shelf.

    A deposit has one price and its empties can be counted, so nobody's limit applies. Raises RefusalError
    `basket_empty`, `price_missing`, and `empties_mixed` where goods are in the basket too.
    """
    known = completed_attempt(node, attempt)
    if known is not None:
        return known
    if basket.is_empty:
        raise RefusalError("basket_empty", "there is nothing to give back")
    if not all(line.is_empties for line in basket.lines):
        raise RefusalError("empties_mixed", "goods are in the basket as well: sell them first, or take them out")
    priced = price_basket(node, basket)
    if priced.unpriced:
        name = priced.lines[priced.unpriced[0]].line.name
        raise RefusalError("price_missing", f"{name} has no price yet: give its price", name=name)
    with node.write() as writing:
        known = completed_attempt(node, attempt)
        if known is not None:
            return known
        day = writing.business_date
        lines = tuple(
            RefundLine(
                None, one.line.product, one.line.unit, one.line.factor_milli, one.line.quantity_milli,
                -one.amount_minor, one.line.tax_class, tax_bp(one.line.tax_class, day), "shelf", EMPTIES,
            )
            for one in priced.lines
        )  # fmt: skip
        total = sum(line.amount_minor for line in lines)
        moves = tuple(StockMove(line.product, line.factor_milli * line.quantity_milli // 1000) for line in lines)
        draft = RefundDraft(
            lines=lines, moves=moves, tenders=(Tender("cash", total),), operator=operator,
            member=basket.member.person if basket.member is not None else "", source=source_of(attempt),
        )  # fmt: skip
        recorded = append_refund(node, writing, draft)
        if prints:
            queue_receipt(writing, str(recorded.entry.id))
    return completed_of(node, recorded)
