"""A discount on the whole basket is spread over its lines and comes back the same way."""

from __future__ import annotations

import pytest

from edge.node import Node
from edge.returns import find_sale
from edge.selling import LineRequest, refund, sell
from schema.errors import RefusalError
from tests.edge.shops import CIGARETTES, WATER


def test_a_basket_discount_is_allocated_to_the_lines_and_refunded_as_allocated(node: Node) -> None:
    sold = sell(node, [LineRequest(WATER, 3000), LineRequest(CIGARETTES)], discount_minor=100)
    lines = find_sale(node, sold.receipt_number).sale.lines
    assert sold.total_minor == 600 + 2500 - 100 == sum(line.amount_minor for line in lines)
    assert [line.discounts[0].share_minor for line in lines] == [19, 81]
    assert refund(node, sold.receipt_number).total_minor == sold.total_minor


def test_a_discount_beyond_the_basket_is_refused_and_sells_nothing(node: Node) -> None:
    before = node.state().receipt_next
    for discount in (-1, 201):
        with pytest.raises(RefusalError) as refused:
            sell(node, [LineRequest(WATER)], discount_minor=discount)
        assert refused.value.code == "discount_invalid"
    assert node.state().receipt_next == before
