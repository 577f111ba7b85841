"""Writing goods off, or in where they were found: with a reason, and with a second person above the role's limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.acting import base_quantity, named_product
from edge.allowing import allow
from edge.catalog import price_at, product_of
from edge.limits import Act
from edge.node import Node
from edge.stock import REASONS, QuantityRequest, Recorded, Stated, adjust_stock
from schema.errors import RefusalError


def value_minor(node: Node, goods: Iterable[tuple[str, int]]) -> int:
    """Return what (product, base quantity) pairs are worth at today's selling price: what limits are measured by.

    The selling price is known to every till; costs are not for everyone's eyes. Goods without a price count nothing.
    """
    moment_ms, worth = node.now_ms(), 0
    for code, quantity in goods:
        found = product_of(node, code)
        price = None if found is None else price_at(found, "", moment_ms)
        if price is not None:
            worth += abs(quantity) * price.price_minor // price.per.milli
    return worth


def adjustment_minor(node: Node, requests: Sequence[QuantityRequest]) -> int:
    """Return what an adjustment is worth, for the screen and for its limit."""
    goods = []
    for request in requests:
        product = named_product(node, request.product, request.unit)
        goods.append((product.code, base_quantity(product, request.quantity_milli)))
    return value_minor(node, goods)


def adjust_goods(
    node: Node,
    reason: str,
    requests: Sequence[QuantityRequest],
    *,
    operator: str = "",
    approver: str = "",
    document: str = "",
    stated: Stated = None,
    note: str = "",
    prints: bool = False,
    in_hand: str = "",
) -> Recorded:
    """Adjust stock within what the operator may; raises RefusalError `approval_needed` beyond, else as `adjust_stock`.

    Wastage, damage, own use and gifts take goods out; theft is goods that are gone; found ones come in.
    """
    if reason not in REASONS:
        raise RefusalError("reason_unknown", f"the reasons are {', '.join(REASONS)}")
    allowed = allow(node, operator, (approver,), Act.ADJUST, adjustment_minor(node, requests))
    return adjust_stock(
        node, reason, requests, operator=operator, approver=allowed or approver, document=document, stated=stated,
        note=note, prints=prints, in_hand=in_hand,
    )  # fmt: skip
