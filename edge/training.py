"""Lets somebody practise at a till: everything is shown as it would be, and nothing can be recorded.

A till in training opens its node for reading alone, so that no mistake in a screen can post: SQLite itself refuses. The
receipt is laid out from the same sale that would have been recorded, with the mark of training on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from edge.basket import Basket, PricedBasket, price_basket
from edge.clock_source import ClockSource, machine_clock
from edge.node import Node
from edge.receipts import Copy, Layout, layout
from edge.selling import sale_of, today, trading_day
from edge.tendering import Due, Payment, check_basket, check_payments, due, sale_draft
from schema.kinds.trading import Sale
from schema.rules.promotion_terms import Language

NUMBER: Final = "TRAINING"
"""Stands where a receipt's number would: the series is gapless, so none is taken."""


class Practised(NamedTuple):
    """A sale that was not made: what it would have been, what is left or given back, and its marked paper."""

    sale: Sale
    due: Due
    paper: Layout


def open_for_training(directory: Path, clock: ClockSource = machine_clock) -> Node:
    """Open a till's node so that nothing can be recorded by it."""
    return Node(directory, clock=clock, is_read_only=True)


def practise(
    node: Node,
    basket: Basket,
    payments: Sequence[Payment] = (),
    *,
    operator: str = "",
    dropped_minor: int = 0,
    priced: PricedBasket | None = None,
    language: Language = Language.ZH,
) -> Practised:
    """Do what `edge.tendering.complete` does, short of recording anything; it refuses what that refuses of payments.

    Limits and balances are not asked: whoever practises has nobody to approve.
    """
    priced = priced or price_basket(node, basket, language=language)
    check_basket(basket, priced)
    paying = payments or (Payment("cash", given_minor=priced.total_minor - dropped_minor),)
    plan = due(node, priced, paying, dropped_minor)
    check_payments(node, basket, plan, paying)
    moment_ms = node.now_ms()
    date = today(node, moment_ms)
    draft = sale_draft(node, basket, priced, paying, plan, date, operator, basket.approvers)
    sale = sale_of(draft, NUMBER, trading_day(node, date))
    return Practised(sale, plan, layout(node, sale, moment_ms, Copy(language=language, is_training=True)))
