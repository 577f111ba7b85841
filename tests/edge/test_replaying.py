"""Another system's day is replayed once, basket by basket, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.clock_source import local_time
from edge.node import Node
from edge.replaying import ReplayedBasket, replay
from edge.returns import find_sale
from schema.identity import EntryId
from schema.kinds.trading import Refund
from schema.replay import ReplayFormat
from schema.sample import TRADING_DAY, lines
from tests.edge.shops import WATER, Shops, entry_count, figures

LOG = """basket,at,code,quantity,price,refund_of
1,2024-06-11 08:05,P0001,3,2.00,
1,2024-06-11 08:05,XYZ,1,9.50,
2,2024-06-11 09:10,P0001,1,2.00,
3,2024-06-11 10:00,P0001,2,2.00,1
4,2024-06-11 10:30,P0001,9,2.00,1
5,2024-06-11 11:00,,1,2.00,
""".splitlines(keepends=True)


def test_each_basket_is_one_sale_at_the_prices_of_the_log(node: Node) -> None:
    seen: list[ReplayedBasket] = []
    report = replay(node, ReplayFormat.CSV, LOG, on_basket=seen.append)
    assert (report.sales, report.refunds, report.skipped, report.refused) == (2, 2, 0, [])
    assert [basket.total_minor for basket in seen] == [1550, 200, 400, 1800]
    assert [dirt.line for dirt in report.dirt] == [7]
    assert figures(node)[WATER] == (7000,) * 3


def test_a_refund_goes_to_its_sale_unless_it_takes_back_more_than_was_sold(node: Node) -> None:
    seen: list[ReplayedBasket] = []
    replay(node, ReplayFormat.CSV, LOG, on_basket=seen.append)
    payloads = []
    for basket in seen[2:]:
        place = EntryId.parse(basket.entry)
        entry = node.replica.log.entry(place.stream, place.seq)
        assert entry is not None
        assert isinstance(entry.payload, Refund)
        payloads.append(entry.payload.original)
    assert payloads == [seen[0].entry, ""]
    assert find_sale(node, seen[0].receipt_number).returned_milli == {0: 2000}


def test_replaying_again_after_a_kill_records_only_what_is_missing(node: Node) -> None:
    replay(node, ReplayFormat.CSV, LOG, limit=2)
    between = entry_count(node)
    report = replay(node, ReplayFormat.CSV, LOG)
    assert (report.skipped, report.sales, report.refunds) == (2, 0, 2)
    assert entry_count(node) == between + 2
    assert replay(node, ReplayFormat.CSV, LOG).skipped == 4
    assert entry_count(node) == between + 2


def test_a_recorded_clock_trades_a_day_at_its_minutes(node: Node, shops: Shops) -> None:
    seen: list[ReplayedBasket] = []
    replay(node, ReplayFormat.CSV, LOG, clock=shops.clocks["A1"], date="2026-03-05", on_basket=seen.append)
    moments = []
    for basket in seen:
        place = EntryId.parse(basket.entry)
        entry = node.replica.log.entry(place.stream, place.seq)
        assert entry is not None
        moments.append(local_time(entry.body.wall_ms, "Asia/Shanghai").strftime("%Y-%m-%d %H:%M"))
        assert entry.payload.business_date == "2026-03-05"  # type: ignore[union-attr]
        assert entry.body.clock_epoch == 0
    assert moments == ["2026-03-05 08:05", "2026-03-05 09:10", "2026-03-05 10:00", "2026-03-05 10:30"]


def test_a_real_trading_day_maps_onto_the_catalogue(make_node: Callable[..., Node]) -> None:
    till = make_node()
    report = replay(till, ReplayFormat.ONLINE_RETAIL, lines(TRADING_DAY), map_catalogue=True)
    assert report.refused == []
    assert report.sales > 50
    assert report.total_minor > 0
    again = replay(till, ReplayFormat.ONLINE_RETAIL, lines(TRADING_DAY), map_catalogue=True)
    assert (again.sales, again.refunds, again.skipped) == (0, 0, report.sales + report.refunds)


def test_a_basket_that_cannot_be_sold_is_named_and_the_others_go_on(node: Node) -> None:
    log = [LOG[0], "1,2024-06-11 08:05,NEW,1,,\n", "2,2024-06-11 08:06,P0001,1,,\n"]
    report = replay(node, ReplayFormat.CSV, log)
    assert [(one.source_id, one.code) for one in report.refused] == [("1", "product_unknown")]
    assert report.sales == 1


@pytest.mark.parametrize("node_name", ["A1"])
def test_two_tills_of_a_shop_do_not_replay_each_others_baskets(make_node: Callable[..., Node], node_name: str) -> None:
    from tests.edge.shops import carry

    one, other = make_node(node_name), make_node("A2")
    replay(one, ReplayFormat.CSV, LOG)
    carry(one, other)
    assert replay(other, ReplayFormat.CSV, LOG).skipped == 4
