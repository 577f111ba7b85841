"""What a cashier is asked about goods, receipts and customers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge import basket as edits
from edge.account_payments import top_up
from edge.basket import Member
from edge.lookup import last_receipts, look_up, purchases
from edge.node import Node
from edge.refunding import refund_lines
from edge.returns import find_sale
from edge.stock import QuantityRequest, receive_goods, why
from edge.tendering import complete
from schema.catalogue import PriceStep
from schema.errors import RefusalError
from tests.edge.goods import COLA, COLA_BARCODE, GOODS, TEA, basket_of, customer, teach_goods, teach_products
from tests.edge.shops import START_MS, carry

Make = Callable[..., Node]


@pytest.fixture
def node(make_node: Make) -> Node:
    return teach_goods(make_node("A1"))


def test_a_look_up_tells_prices_of_all_units_what_comes_and_what_is_on_the_shelf(node: Node) -> None:
    receive_goods(node, [QuantityRequest(COLA, 7000)])
    cola = next(product for product in GOODS if product.code == COLA)
    later = START_MS + 3_600_000
    steps = (PriceStep(0, None, 300), PriceStep(later, None, 250), PriceStep(later - 1, None, 1, tier="gold"))
    teach_products(node, [cola], {COLA: {"pc": steps}})
    look = look_up(node, COLA_BARCODE)
    assert (look.code, look.name, look.stock.value, look.elsewhere) == (COLA, "可口可乐", 7000, ())
    piece, case = look.prices
    assert (piece.name, piece.price_minor, piece.next_ms, piece.next_minor) == ("罐", 300, later, 250)
    assert (case.unit, case.price_minor, case.factor_milli, case.next_ms) == ("箱", 6500, 24_000, None)
    assert why(node, COLA).value == 7000
    with pytest.raises(RefusalError) as refused:
        look_up(node, "nope")
    assert refused.value.code == "product_unknown"


def test_the_last_receipts_are_those_of_this_till_with_payments_among_them(make_node: Make, node: Node) -> None:
    customer(node, "p1")
    other = teach_goods(make_node("A2"))
    complete(other, basket_of(other, COLA), attempt="o1")
    first = complete(node, basket_of(node, COLA), attempt="a1", operator="ann")
    paid = top_up(node, "p1", 1000, attempt="t1")
    back = refund_lines(node, find_sale(node, first.entry), attempt="r1")
    carry(other, node)
    assert [(look.number, look.kind, look.total_minor) for look in last_receipts(node)] == [
        (back.receipt_number, "refund", -300), (paid.receipt_number, "payment", 1000),
        (first.receipt_number, "sale", 300),
    ]  # fmt: skip
    assert last_receipts(node)[2].entry == first.entry
    assert [look.number for look in last_receipts(node, 1)] == [back.receipt_number]
    assert [look.total_minor for look in last_receipts(node, till="A2")] == [300]


def test_a_customers_purchases_are_those_of_every_till_here(make_node: Make, node: Node) -> None:
    customer(node, "p1")
    other = teach_goods(make_node("A2"))
    for one, text in ((node, COLA), (other, TEA)):
        basket = edits.set_member(basket_of(one, text), Member("p1"))
        sold = complete(one, basket, attempt=f"{text}-1")
        complete(one, basket_of(one, text), attempt=f"{text}-2")
    carry(other, node)
    refund_lines(node, find_sale(node, sold.entry), attempt="r1")
    assert sorted(look.total_minor for look in purchases(node, "p1")) == [-350, 300, 350]
    assert purchases(node, "p2") == []
