"""What of the stock needs a person is listed, the most urgent first, without any network."""

from __future__ import annotations

from collections.abc import Callable

from edge.adjusting import adjust_goods, adjustment_minor
from edge.counting import count_product
from edge.node import Node
from edge.stock import QuantityRequest, dispatch_transfer, receive_goods
from edge.stock_lists import StockList, list_sizes, stock_list
from edge.suppliers import suppliers
from schema.catalogue import Supplier, minimums_document
from schema.kinds.buying import OrderLine, OrderPlaced
from schema.settings import StockRules
from tests.edge.goods import settle
from tests.edge.paper_shops import change
from tests.edge.shops import APPLES, WATER, Shops, carry, sell_pieces
from tests.edge.test_deliveries import hear

Make = Callable[..., Node]
DAY = 24 * 60


def test_what_is_below_zero_is_listed_the_worst_first(make_node: Make) -> None:
    till = make_node("A1")
    sell_pieces(till, WATER, 3)
    adjust_goods(till, "wastage", [QuantityRequest(APPLES, 4_500)])
    assert [(row.product, row.concern_milli, row.suggested_milli) for row in stock_list(till, StockList.NEGATIVE)] == [
        (APPLES, 4_500, 5_000), (WATER, 3_000, 3_000),
    ]  # fmt: skip


def test_what_expires_is_estimated_first_expiry_first_out(make_node: Make) -> None:
    till = make_node("A1")
    receive_goods(till, [QuantityRequest(WATER, 10_000, "", "L1", "2026-03-05"),
                         QuantityRequest(WATER, 10_000, "", "L2", "2026-03-12"),
                         QuantityRequest(WATER, 10_000, "", "L3", "2027-01-01")])  # fmt: skip
    rows = stock_list(till, StockList.EXPIRING)
    assert [(row.lot, row.concern_milli, row.days) for row in rows] == [("L1", 10_000, 3), ("L2", 10_000, 10)]
    sell_pieces(till, WATER, 14)
    assert [(row.lot, row.concern_milli) for row in stock_list(till, StockList.EXPIRING)] == [("L2", 6_000)]
    settle(till, StockRules(expiring_days=400))
    assert [row.lot for row in stock_list(till, StockList.EXPIRING)] == ["L2", "L3"]


def test_what_is_below_its_minimum_counts_what_is_coming(make_node: Make) -> None:
    till, warehouse = make_node("A1"), make_node("W1", "W")
    change(till, {
        "products/drinks": {(WATER, "minimum"): 30_000},
        minimums_document("A", "fruit"): {(APPLES, "minimum"): 8_000},
        minimums_document("B", "drinks"): {(WATER, "minimum"): 90_000},
    })  # fmt: skip
    receive_goods(till, [QuantityRequest(WATER, 10_000)])
    first, second = stock_list(till, StockList.BELOW)
    assert (first.product, first.minimum_milli, first.suggested_milli) == (APPLES, 8_000, 8_000)
    assert (second.product, second.concern_milli, second.suggested_milli) == (WATER, 20_000, 20_000)
    hear(till, OrderPlaced("PO-A-0001", "S01", "o1", (OrderLine(WATER, 12_000),)))
    dispatch_transfer(warehouse, "A", [QuantityRequest(APPLES, 8_000)])
    carry(warehouse, till, "loc/A")
    coming = {row.product: (row.coming_milli, row.suggested_milli) for row in stock_list(till, StockList.BELOW)}
    assert coming == {APPLES: (8_000, 0), WATER: (12_000, 8_000)}
    change(till, {minimums_document("A", "drinks"): {(WATER, "minimum"): 0}})
    assert [row.product for row in stock_list(till, StockList.BELOW)] == [APPLES], "nothing of it is needed here"


def test_what_nobody_counted_for_long_is_listed_the_never_counted_first(make_node: Make, shops: Shops) -> None:
    till = make_node("A1")
    receive_goods(till, [QuantityRequest(WATER, 10_000), QuantityRequest(APPLES, 1_000)])
    count_product(till, WATER, 10_000)
    assert [row.product for row in stock_list(till, StockList.UNCOUNTED)] == [APPLES]
    shops.pass_minutes(91 * DAY)
    rows = stock_list(till, StockList.UNCOUNTED)
    assert [(row.product, row.days) for row in rows] == [(APPLES, None), (WATER, 91)]
    assert list_sizes(till) == {
        StockList.NEGATIVE: 0, StockList.EXPIRING: 0, StockList.BELOW: 0, StockList.UNCOUNTED: 2,
    }  # fmt: skip


def test_an_adjustment_is_worth_what_its_goods_sell_for(make_node: Make) -> None:
    till = make_node("A1")
    assert (
        adjustment_minor(till, [QuantityRequest(WATER, 1_000, "case"), QuantityRequest(APPLES, 500)]) == 24 * 200 + 640
    )
    assert adjustment_minor(till, [QuantityRequest("unheard-of", 3_000)]) == 0


def test_suppliers_are_read_from_their_records_and_a_bad_field_stops_nothing(make_node: Make) -> None:
    till = make_node("A1")
    one = Supplier(code="S01", name="杭州饮料", phone="0571-1", lead_days=2)
    change(till, {"suppliers/standard": {("S01", name): value for name, value in one.fields().items()} | {
        ("S02", "name"): "旧供应商", ("S02", "active"): False, ("S03", "name"): 7}})  # fmt: skip
    assert suppliers(till) == [Supplier(code="S03", name="S03"), one]
    assert [found.code for found in suppliers(till, with_inactive=True)] == ["S03", "S02", "S01"]
