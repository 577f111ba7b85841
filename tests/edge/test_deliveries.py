"""Goods at the door: checked against what was expected, written down as they came, on the list until all is here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.deliveries import (
    DeliveredLine,
    differences,
    expected_by_paper,
    expected_deliveries,
    expected_delivery,
    receive_delivery,
)
from edge.drafting import asked_transfers, draft_goods, goods_drafts
from edge.node import Node
from edge.papers import paper_pages, read_paper
from edge.stock import QuantityRequest, dispatch_transfer, transfers_on_road
from schema.errors import RefusalError
from schema.identity import Scope
from schema.kinds.base import Payload
from schema.kinds.buying import DraftAnswered, OrderClosed, OrderLine, OrderPlaced, TransferAsked
from schema.kinds.stock import GoodsReceived, StockAdjusted
from sync.buying import BuyingState, find_buying
from sync.replica import Moment
from tests.edge.people import CASHIER, SUPERVISOR, employ
from tests.edge.shops import APPLES, HUB_STREAM, START_MS, WATER, Shops, carry, figures

Make = Callable[..., Node]
ORDER = OrderPlaced(
    "PO-A-0001", "S01", "o1", (OrderLine(WATER, 24_000, 150), OrderLine(APPLES, 5_000, 800)), "2026-03-03"
)


def hear(node: Node, *payloads: Payload) -> None:
    """Have the hub say something in a node's location."""
    stream = HUB_STREAM._replace(scope=Scope(node.config.scope))
    with node.write():
        for payload in payloads:
            node.replica.append(stream, payload, Moment(START_MS, 0, 0))


def state_of(node: Node, number: str) -> BuyingState:
    found = find_buying(node.connection, node.replica.log.scope_no(node.config.scope), number)
    assert found is not None
    return found.state


def written(node: Node, kind: type[Payload]) -> list[Payload]:
    row = next(one for one in node.replica.log.streams(node.config.scope) if one.stream.node == node.config.node_id)
    return [entry.payload for entry in node.replica.log.entries(row) if isinstance(entry.payload, kind)]


def test_an_order_comes_short_and_damaged_and_the_rest_later(make_node: Make) -> None:
    till = make_node("A1")
    hear(till, ORDER)
    [awaited] = expected_deliveries(till)
    assert (awaited.kind, awaited.source, [line.left_milli for line in awaited.lines]) == (
        "order",
        "S01",
        [24_000, 5_000],
    )
    came = [
        DeliveredLine(WATER, 20_000, damaged_milli=2_000, damage="broken", reason="not_sent"),
        DeliveredLine(APPLES, 5_000),
    ]
    [short] = differences(till, awaited, came)
    assert (short.product, short.short_milli, short.damaged_milli) == (WATER, 2_000, 2_000)
    receive_delivery(till, awaited, came, is_final=False)
    assert figures(till)[WATER][0] == 20_000, "what the driver took back never reached the shelf"
    assert state_of(till, ORDER.order) is BuyingState.PARTLY
    again = expected_delivery(till, ORDER.order)
    assert [line.left_milli for line in again.lines] == [4_000, 0]
    receive_delivery(till, again, [DeliveredLine(WATER, 4_000)])
    assert state_of(till, ORDER.order) is BuyingState.RECEIVED
    assert expected_deliveries(till) == []
    with pytest.raises(RefusalError) as refused:
        receive_delivery(till, again, [DeliveredLine(WATER, 4_000)])
    assert refused.value.code == "delivery_unknown"


def test_the_agreed_cost_is_recorded_unless_another_was_typed(make_node: Make) -> None:
    till = make_node("A1")
    hear(till, ORDER)
    receive_delivery(
        till, expected_delivery(till, ORDER.order),
        [DeliveredLine(WATER, 24_000), DeliveredLine(APPLES, 5_000, cost_minor=750)],
    )  # fmt: skip
    [entry] = written(till, GoodsReceived)
    assert isinstance(entry, GoodsReceived)
    assert (dict(entry.costs), entry.supplier) == ({WATER: 150, APPLES: 750}, "S01")


def test_a_delivery_without_an_order_is_taken_in_and_its_damage_noted(make_node: Make) -> None:
    till = make_node("A1")
    receive_delivery(
        till, None, [DeliveredLine(WATER, 1_000, unit="case", lot="L1", expiry="2026-09-01")], document="D-1"
    )
    assert figures(till)[WATER][0] == 24_000
    with pytest.raises(RefusalError) as refused:
        receive_delivery(till, None, [])
    assert refused.value.code == "goods_missing"
    with pytest.raises(RefusalError):
        receive_delivery(till, None, [DeliveredLine(WATER, -1_000)])


def test_broken_goods_of_a_transfer_come_in_and_are_written_off_at_once(make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    sent = dispatch_transfer(warehouse, "A", [QuantityRequest(WATER, 24_000), QuantityRequest(APPLES, 3_000)])
    carry(warehouse, till, "loc/A")
    [awaited] = expected_deliveries(till)
    assert (awaited.kind, awaited.source_name) == ("transfer", "Shop W")
    receive_delivery(till, awaited, [DeliveredLine(WATER, 22_000, damaged_milli=2_000, damage="broken")])
    assert figures(till)[WATER][0] == 22_000
    [off] = written(till, StockAdjusted)
    assert isinstance(off, StockAdjusted)
    assert (off.reason, off.moves[0].quantity_milli, off.document) == ("damage", -2_000, sent.transfer)
    problems = {row.product: row.problem for row in transfers_on_road(till, with_settled=True)}
    assert problems == {WATER: "", APPLES: "TRANSFER_SHORT"}, "apples that never came are reported short"


def test_writing_broken_goods_of_a_transfer_off_needs_whoever_may(shops: Shops, make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    employ(shops)
    dispatch_transfer(warehouse, "A", [QuantityRequest(WATER, 24_000)])
    carry(warehouse, till, "loc/A")
    [awaited] = expected_deliveries(till)
    came = [DeliveredLine(WATER, 23_000, damaged_milli=1_000)]
    with pytest.raises(RefusalError) as refused:
        receive_delivery(till, awaited, came, operator=CASHIER.operator)
    assert refused.value.code == "approval_needed"
    receive_delivery(till, awaited, came, operator=CASHIER.operator, approver=SUPERVISOR.operator)
    [off] = written(till, StockAdjusted)
    assert isinstance(off, StockAdjusted)
    assert off.approver == SUPERVISOR.operator


def test_a_paper_fills_the_list_in_parts_until_it_is_used_up(make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    sent = dispatch_transfer(warehouse, "A", [QuantityRequest(WATER, 12_000, "", "L1", "2026-06-01"),
                                              QuantityRequest(WATER, 12_000, "", "L2", "2026-07-01")])  # fmt: skip
    [pages] = paper_pages(warehouse, sent.transfer)
    awaited = expected_by_paper(till, read_paper(till, pages))
    assert [(line.lot, line.left_milli) for line in awaited.lines] == [("L1", 12_000), ("L2", 12_000)]
    receive_delivery(till, awaited, [DeliveredLine(WATER, 12_000, lot="L1")], is_final=False)
    again = expected_by_paper(till, read_paper(till, pages))
    assert again.is_partly
    receive_delivery(till, again, [DeliveredLine(WATER, 12_000, lot="L2")])
    with pytest.raises(RefusalError) as refused:
        expected_by_paper(till, read_paper(till, pages))
    assert refused.value.code == "transfer_complete"
    carry(warehouse, till, "loc/A")
    assert transfers_on_road(till) == []
    assert figures(till)[WATER][0] == 24_000


def test_one_paper_taken_in_twice_at_one_till_is_refused_the_second_time(make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    sent = dispatch_transfer(warehouse, "A", [QuantityRequest(WATER, 12_000)])
    [pages] = paper_pages(warehouse, sent.transfer)
    awaited = expected_by_paper(till, read_paper(till, pages))
    receive_delivery(till, awaited, [DeliveredLine(WATER, 12_000)])
    with pytest.raises(RefusalError) as refused:
        receive_delivery(till, awaited, [DeliveredLine(WATER, 12_000)])
    assert refused.value.code == "transfer_complete"
    assert figures(till)[WATER][0] == 12_000


def test_a_draft_waits_for_the_hub_and_shows_what_became_of_it(make_node: Make) -> None:
    till = make_node("A1")
    draft = draft_goods(
        till, "order", [QuantityRequest(WATER, 2_000, "case"), QuantityRequest(WATER, 1_000)], source="S01"
    )
    declined = draft_goods(till, "transfer", [QuantityRequest(APPLES, 3_000)], source="W")
    assert {one.draft: one.state for one in goods_drafts(till)} == {draft: "open", declined: "open"}
    assert next(one for one in goods_drafts(till) if one.draft == draft).lines == ((WATER, "Water", 49_000),)
    hear(
        till,
        DraftAnswered(draft, "o1", "ordered", "PO-A-0002"),
        DraftAnswered(declined, "o1", "declined", "", "自己有货"),
    )
    told = {one.draft: (one.state, one.reference, one.answer) for one in goods_drafts(till)}
    assert told == {draft: ("answered", "PO-A-0002", ""), declined: ("declined", "", "自己有货")}
    with pytest.raises(RefusalError) as refused:
        draft_goods(till, "transfer", [QuantityRequest(APPLES, 3_000)], source="A")
    assert refused.value.code == "location_own"


def test_what_the_hub_asks_for_is_listed_until_it_is_on_the_road(make_node: Make) -> None:
    warehouse = make_node("W1", "W")
    hear(warehouse, TransferAsked("TR-W-0001", "A", "o1", (OrderLine(WATER, 6_000),)),
         TransferAsked("TR-W-0002", "B", "o1", (OrderLine(WATER, 6_000),)),
         OrderClosed("TR-W-0002", "o1", "cancelled"))  # fmt: skip
    [asked] = asked_transfers(warehouse)
    assert (asked.transfer, asked.destination_name, asked.lines) == ("TR-W-0001", "Shop A", ((WATER, "Water", 6_000),))
    dispatch_transfer(warehouse, "A", [QuantityRequest(WATER, 6_000)], transfer=asked.transfer)
    assert asked_transfers(warehouse) == []


def test_a_check_that_comes_before_its_order_counts_once_the_order_is_here(make_node: Make) -> None:
    one, two = make_node("A1"), make_node("A2")
    hear(one, ORDER)
    receive_delivery(one, expected_delivery(one, ORDER.order), [DeliveredLine(WATER, 23_000)], is_final=False)
    carry(one, two)
    assert find_buying(two.connection, two.replica.log.scope_no(two.config.scope), ORDER.order) is None
    hear(two, ORDER)
    assert state_of(two, ORDER.order) is BuyingState.PARTLY
