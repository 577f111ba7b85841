"""Goods in, out and on the road, and figures that explain themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.node import Node
from edge.stock import (
    CostedRequest,
    QuantityRequest,
    adjust_stock,
    dispatch_transfer,
    on_hand,
    open_stock,
    receive_goods,
    receive_transfer,
    repack,
    transfers_on_road,
    why,
)
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.stock import GoodsReceived, TransferNoticed
from sync.explanation import explanation_lines
from tests.edge.shops import APPLES, CASE_BARCODE, WATER, Shops, carry, entry_count, exchange, figures, sell_pieces

Make = Callable[..., Node]


def water(pieces: int) -> list[QuantityRequest]:
    return [QuantityRequest(WATER, pieces * 1000)]


def test_received_goods_are_on_hand_in_base_units(node: Node) -> None:
    receive_goods(node, [QuantityRequest(CASE_BARCODE, 2000), QuantityRequest(APPLES, 12_500)], supplier="S1")
    assert figures(node) == {WATER: (48_000,) * 3, APPLES: (12_500,) * 3}


def test_a_receipt_keeps_its_costs_by_base_unit(node: Node) -> None:
    done = receive_goods(node, [CostedRequest(WATER, 24_000, cost_minor=120)], document="D7")
    place = EntryId.parse(done.entry)
    entry = node.replica.log.entry(place.stream, place.seq)
    assert entry is not None
    assert isinstance(entry.payload, GoodsReceived)
    assert entry.payload.costs == ((WATER, 120),)


@pytest.mark.parametrize(
    ("reason", "change"),
    [("wastage", -2), ("damage", -2), ("own_use", -2), ("theft", -2), ("gift", -2), ("found", 2)],
)
def test_every_reason_moves_stock_its_way(node: Node, reason: str, change: int) -> None:
    open_stock(node, water(10))
    adjust_stock(node, reason, water(2))
    assert on_hand(node, WATER)[0].value == (10 + change) * 1000


def test_an_unknown_reason_is_refused_and_nothing_is_recorded(node: Node) -> None:
    before = entry_count(node)
    with pytest.raises(RefusalError) as refused:
        adjust_stock(node, "shrinkage", water(1))
    assert refused.value.code == "reason_unknown"
    assert entry_count(node) == before


def test_repacking_takes_and_makes_in_one_entry(node: Node) -> None:
    open_stock(node, water(10))
    before = entry_count(node)
    repack(node, water(3), [QuantityRequest("P1001", 1000)])
    assert entry_count(node) == before + 1
    assert figures(node) == {WATER: (7000,) * 3, "P1001": (1000,) * 3}


@pytest.mark.parametrize("quantity", [0, -1000, 500])
def test_nothing_and_broken_pieces_are_refused(node: Node, quantity: int) -> None:
    with pytest.raises(RefusalError, match=r"more than nothing|whole pieces"):
        receive_goods(node, [QuantityRequest(WATER, quantity)])


def test_goods_that_the_catalogue_does_not_know_are_taken_in_all_the_same(node: Node) -> None:
    receive_goods(node, [QuantityRequest("NEW-1", 5000)])
    assert on_hand(node, "NEW-1")[0].value == 5000


def test_a_node_without_the_permission_is_told_so_before_anything_is_recorded(make_node: Make) -> None:
    till = make_node(permissions=("trade",))
    with pytest.raises(RefusalError) as refused:
        receive_goods(till, water(1))
    assert refused.value.code == "not_permitted"
    assert sell_pieces(till).receipt_number  # selling goes on


def test_a_stated_time_in_the_future_is_refused(node: Node, shops: Shops) -> None:
    now = shops.clocks["A1"]().wall_ms
    with pytest.raises(RefusalError) as refused:
        receive_goods(node, water(1), stated=(now, now + 3_600_000))
    assert refused.value.code == "time_invalid"


def test_a_sale_below_zero_is_never_refused_and_the_figure_says_so(node: Node) -> None:
    sell_pieces(node, WATER, 3)
    row = on_hand(node, WATER)[0]
    assert (row.value, row.is_negative) == (-3000, True)


# Transfers.


def test_dispatch_and_notice_are_one_operation_named_by_the_first_entry(make_node: Make) -> None:
    warehouse = make_node("W1", "W")
    open_stock(warehouse, water(100))
    done = dispatch_transfer(warehouse, "A", water(24))
    entries = [
        entry
        for row in warehouse.replica.rows()
        for entry in warehouse.replica.log.entries(row)
        if entry.body.operation
    ]
    assert [str(entry.stream.scope) for entry in entries] == ["loc/A", "loc/W"]
    assert {entry.body.operation for entry in entries} == {done.entry}
    assert figures(warehouse) == {WATER: (76_000,) * 3}


def test_a_transfer_arrives_whole_by_its_notice_and_the_sender_hears_of_it(make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    open_stock(warehouse, water(100))
    done = dispatch_transfer(warehouse, "A", water(24))
    carry(warehouse, till, "loc/A")
    [road] = transfers_on_road(till)
    assert (road.origin, road.destination, road.transit_milli) == ("W", "A", 24_000)
    assert road.age_ms is not None
    receive_transfer(till, done.transfer)
    carry(till, warehouse, "loc/W")
    assert figures(till) == {WATER: (24_000,) * 3}
    assert transfers_on_road(till) == []
    assert transfers_on_road(warehouse) == []


def test_a_transfer_is_received_before_any_notice_is_here(make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    open_stock(warehouse, water(100))
    done = dispatch_transfer(warehouse, "A", water(24))
    with pytest.raises(RefusalError) as refused:
        receive_transfer(till, done.transfer)
    assert refused.value.code == "transfer_unknown"
    receive_transfer(till, done.transfer, water(24), origin="W")
    assert figures(till) == {WATER: (24_000,) * 3}
    [road] = transfers_on_road(till)
    assert road.problem == "TRANSIT_AWAITING_SHIP"
    carry(warehouse, till, "loc/A")
    assert transfers_on_road(till) == []


def test_a_partial_receipt_leaves_the_rest_on_the_road_and_the_next_takes_it(make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    done = dispatch_transfer(warehouse, "A", water(24))
    carry(warehouse, till, "loc/A")
    receive_transfer(till, done.transfer, water(10), is_final=False)
    assert [row.transit_milli for row in transfers_on_road(till)] == [14_000]
    receive_transfer(till, done.transfer)
    assert figures(till) == {WATER: (24_000,) * 3}
    with pytest.raises(RefusalError) as refused:
        receive_transfer(till, done.transfer)
    assert refused.value.code == "transfer_complete"


def test_a_final_receipt_reports_products_that_never_came(make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    goods = [*water(24), QuantityRequest("P1001", 5000)]
    done = dispatch_transfer(warehouse, "A", goods)
    carry(warehouse, till, "loc/A")
    receive_transfer(till, done.transfer, water(24))
    [road] = transfers_on_road(till)
    assert (road.product, road.problem, road.transit_milli) == ("P1001", "TRANSFER_SHORT", 0)
    carry(till, warehouse, "loc/W")
    assert [row.problem for row in transfers_on_road(warehouse)] == ["TRANSFER_SHORT"]


@pytest.mark.parametrize("destination", ["A", "Z"])
def test_goods_go_to_another_location_that_exists(node: Node, destination: str) -> None:
    with pytest.raises(RefusalError, match="location"):
        dispatch_transfer(node, destination, water(1))


def test_a_notice_is_effective_in_the_other_scope_and_moves_no_stock_there(make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    dispatch_transfer(warehouse, "A", water(24))
    carry(warehouse, till, "loc/A")
    assert figures(till) == {}
    assert till.connection.execute("SELECT count(*) FROM inert").fetchone()[0] == 0
    payloads = [e.payload for row in till.replica.rows() for e in till.replica.log.entries(row)]
    assert any(isinstance(payload, TransferNoticed) for payload in payloads)


# Why.


def test_a_figure_without_a_count_is_the_sum_of_its_movements_by_node_and_reason(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    open_stock(one, water(10))
    sell_pieces(one, WATER, 2)
    sell_pieces(other, WATER, 1)
    exchange(one, other)
    told = why(one, WATER)
    assert (told.value, told.counts) == (7000, ())
    assert {(g.node, g.reason, g.quantity) for g in told.movements} == {
        ("Till A1", "opening", 10_000),
        ("Till A1", "sale", -2000),
        ("Till A2", "sale", -1000),
    }


def test_a_figure_names_nodes_that_are_silent_and_those_never_heard(make_node: Make, shops: Shops) -> None:
    one, other = make_node("A1"), make_node("A2")
    make_node("A3")
    sell_pieces(other)
    carry(other, one)
    shops.pass_minutes(90)
    sell_pieces(one)
    voices = {voice.node: voice for voice in why(one, WATER).nodes}
    assert voices["Till A3"].last_ms is None
    assert (voices["Till A2"].silent_ms or 0) >= 90 * 60_000
    assert (voices["Till A1"].silent_ms or 0) < 60_000
    assert any("Till A3: never heard here" in line for line in explanation_lines(why(one, WATER), str))


def test_a_figure_shows_the_papers_of_transfers_on_either_side(make_node: Make) -> None:
    warehouse, till = make_node("W1", "W"), make_node("A1", "A")
    done = dispatch_transfer(warehouse, "A", water(24))
    carry(warehouse, till, "loc/A")
    told = why(till, WATER)
    assert [(note.act, note.location, note.is_elsewhere) for note in told.transfers] == [("dispatched", "W", True)]
    assert told.in_transit == ((done.transfer, 24_000),)
