"""How many entries the hub lacks is shown from what it had, never from what was sent."""

from __future__ import annotations

from edge.node import Node
from edge.selling import LineRequest, sell
from edge.status import node_status, own_total
from tests.edge.shops import WATER


def test_entries_wait_until_an_exchange_has_ended_with_the_hub_holding_them(node: Node) -> None:
    before = node_status(node).waiting
    sell(node, [LineRequest(WATER)])
    sell(node, [LineRequest(WATER)])
    assert node_status(node).waiting == before + 2
    with node.write():
        node.connection.execute("UPDATE node_state SET acknowledged = ?", (own_total(node),))
    assert node_status(node).waiting == 0
    sell(node, [LineRequest(WATER)])
    assert node_status(node).waiting == 1
