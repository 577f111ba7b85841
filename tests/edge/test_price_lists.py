"""A location sells at the list that the hub gives its group, and at the standard one where that has no price."""

from __future__ import annotations

from edge.basket import price_basket
from edge.lookup import look_up
from edge.node import Node
from schema.catalogue import PriceStep, encode_timeline, prices_document
from schema.settings import PriceRules
from tests.edge.goods import COLA, TEA, basket_of, settle, teach_goods, write_document
from tests.edge.shops import START_MS, Shops

HOUR_MS = 3_600_000
HILL = prices_document("hill", "drinks")


def prices_of(node: Node, *codes: str) -> list[int]:
    return [line.price_minor for line in price_basket(node, basket_of(node, *codes)).lines]


def test_a_shop_of_a_group_sells_at_its_list_and_else_at_the_standard_one(shops: Shops) -> None:
    node = teach_goods(shops.make_node("A1"))
    write_document(node, HILL, {(COLA, "pc"): encode_timeline((PriceStep(0, None, 320),))})
    assert prices_of(node, COLA, TEA) == [300, 350], "another group's list is none of ours"
    settle(node, PriceRules(price_list="hill"))
    assert prices_of(node, COLA, TEA) == [320, 350]
    settle(node, PriceRules())
    assert prices_of(node, COLA, TEA) == [300, 350]


def test_a_price_of_the_list_that_begins_later_is_announced_and_the_standard_one_holds_until_then(shops: Shops) -> None:
    node = teach_goods(shops.make_node("A1"))
    settle(node, PriceRules(price_list="hill"))
    write_document(node, HILL, {(COLA, "pc"): encode_timeline((PriceStep(START_MS + HOUR_MS, None, 320),))})
    assert prices_of(node, COLA) == [300]
    piece = look_up(node, COLA).prices[0]
    assert (piece.price_minor, piece.next_minor, piece.next_ms) == (300, 320, START_MS + HOUR_MS)
    later = price_basket(node, basket_of(node, COLA), START_MS + 2 * HOUR_MS)
    assert [line.price_minor for line in later.lines] == [320]
