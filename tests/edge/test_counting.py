"""Counts: the basis is taken at the first touch, zeros are explicit, and late sales are not subtracted twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.count_imports import import_counts
from edge.counting import (
    RecordedCount,
    begin_look,
    close_session,
    count_product,
    count_sessions,
    count_variances,
    drop_look,
    open_looks,
    open_session,
    record_count,
    record_looks,
    touch_look,
)
from edge.node import Node
from edge.stock import QuantityRequest, on_hand, open_stock, receive_goods, why
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.counting import CountRecorded
from tests.edge.shops import CASE_BARCODE, WATER, Shops, carry, entry_count, exchange, figures, sell_pieces

Make = Callable[..., Node]


def payload_of(node: Node, count: RecordedCount) -> CountRecorded:
    place = EntryId.parse(count.entry)
    entry = node.replica.log.entry(place.stream, place.seq)
    assert entry is not None
    assert isinstance(entry.payload, CountRecorded)
    return entry.payload


def stocked(node: Node, pieces: int = 10) -> Node:
    open_stock(node, [QuantityRequest(WATER, pieces * 1000)])
    return node


def test_a_sale_before_the_count_on_a_till_that_had_not_synced_is_not_subtracted_again(
    make_node: Make, shops: Shops
) -> None:
    """The midday correction: the goods had left the shelf before it was counted, though nobody had told the node."""
    counter, seller = stocked(make_node("A1")), make_node("A2")
    exchange(counter, seller)
    shops.pass_minutes(60)
    sell_pieces(seller, WATER, 3)
    shops.pass_minutes(60)
    count_product(counter, WATER, 7000)
    shops.pass_minutes(60)
    sell_pieces(seller, WATER, 2)
    exchange(counter, seller)
    assert figures(counter)[WATER] == figures(seller)[WATER] == (5000,) * 3


def test_a_late_sale_shrinks_the_variance_and_is_named_as_absorbed(make_node: Make, shops: Shops) -> None:
    counter, seller = stocked(make_node("A1")), make_node("A2")
    shops.pass_minutes(10)
    sell_pieces(seller, WATER, 3)
    shops.pass_minutes(10)
    count_product(counter, WATER, 7000)
    assert [one.variance_milli for one in count_variances(counter)] == [-3000]
    carry(seller, counter)
    assert [one.variance_milli for one in count_variances(counter)] == [0]
    told = why(counter, WATER)
    assert [(g.node, g.side, g.rule) for g in told.movements if g.reason == "sale"] == [("Till A2", "BEFORE", "clock")]
    assert "LATE_ABSORBED" in {conflict.code for conflict in told.conflicts}


def test_a_sale_in_the_minute_of_the_count_is_in_doubt_and_both_ends_are_shown(make_node: Make) -> None:
    counter, seller = stocked(make_node("A1")), make_node("A2")
    sell_pieces(seller, WATER, 1)
    count_product(counter, WATER, 9000)
    carry(seller, counter)
    told = why(counter, WATER)
    assert (told.lo, told.hi) == (8000, 9000)
    assert [doubt.node for doubt in told.doubtful] == ["Till A2"]
    assert [conflict.code for conflict in told.conflicts if conflict.status == "OPEN"] == ["AMBIGUOUS_ORDER"]


def test_the_basis_is_what_the_node_held_at_the_first_touch_not_at_the_posting(make_node: Make, shops: Shops) -> None:
    counter, seller = stocked(make_node("A1")), make_node("A2")
    begun = begin_look(counter, WATER)
    shops.pass_minutes(5)
    sell_pieces(seller, WATER, 1)
    carry(seller, counter)
    touched = touch_look(counter, WATER, 9000)
    shops.pass_minutes(30)
    recorded = payload_of(counter, record_count(counter, WATER))
    [look] = recorded.looks
    assert look.basis_lo == begun.basis_lo
    assert look.basis_hi == touched.basis_hi != begun.basis_lo
    assert (look.lo_ms, look.hi_ms) == (begun.lo_ms, touched.hi_ms)
    assert look.hi_ms - look.lo_ms >= 5 * 60_000


def test_a_look_survives_a_restart(make_node: Make, shops: Shops) -> None:
    counter = stocked(make_node("A1"))
    begun = begin_look(counter, WATER)
    touch_look(counter, WATER, 2000)
    counter.close()
    again = Node(counter.directory, clock=shops.clocks["A1"])
    shops.nodes["A1"] = again
    assert [(look.product, look.quantity_milli, look.lo_ms) for look in open_looks(again)] == [
        (WATER, 2000, begun.lo_ms)
    ]


def test_beginning_a_look_again_keeps_its_first_touch(node: Node, shops: Shops) -> None:
    first = begin_look(node, WATER)
    shops.pass_minutes(3)
    assert begin_look(node, WATER) == first


def test_scanning_a_case_counts_its_pieces(node: Node) -> None:
    begin_look(node, WATER)
    touch_look(node, CASE_BARCODE, 2000)
    assert touch_look(node, WATER, 3000).quantity_milli == 51_000


def test_a_look_never_falls_below_nothing_and_is_dropped_without_a_trace(node: Node) -> None:
    begin_look(node, WATER)
    with pytest.raises(RefusalError, match="less than no"):
        touch_look(node, WATER, -1000)
    before = entry_count(node)
    drop_look(node, WATER)
    with pytest.raises(RefusalError) as refused:
        record_count(node, WATER)
    assert refused.value.code == "look_missing"
    assert entry_count(node) == before


@pytest.mark.parametrize(
    ("role", "grant", "claimed"),
    [
        ("cashier", "supervisor", "clerk"),
        ("stock_keeper", "supervisor", "supervisor"),
        ("auditor", "supervisor", "supervisor"),
        ("auditor", "admin", "auditor"),
        ("owner", "admin", "admin"),
    ],
)
def test_a_count_claims_the_operators_role_and_never_more_than_the_grant(
    shops: Shops, role: str, grant: str, claimed: str
) -> None:
    till = shops.make_node(rank=grant)
    shops.operator("o1", role)
    count = count_product(till, WATER, 1000, operator="o1")
    assert isinstance(count, RecordedCount)
    assert payload_of(till, count).role == claimed
    assert till.connection.execute("SELECT count(*) FROM inert").fetchone()[0] == 0


def test_a_delivery_declared_as_on_the_shelf_is_not_added_when_it_is_keyed(node: Node, shops: Shops) -> None:
    count_product(node, WATER, 34_000, absorbs=["D9"])
    shops.pass_minutes(5)
    receive_goods(node, [QuantityRequest(WATER, 24_000)], document="D9")
    assert figures(node)[WATER] == (34_000,) * 3


def test_a_doubtful_clock_is_said_to_the_counter(make_node: Make) -> None:
    till = make_node(unc_ms=None)
    count = count_product(till, WATER, 1000)
    assert isinstance(count, RecordedCount)
    assert (count.unc_ms, count.is_clock_doubtful) == (None, True)


# Sessions.


def test_a_session_counts_only_when_every_zone_has_a_line(node: Node, shops: Shops) -> None:
    stocked(node)
    session = open_session(node, ["front", "back"]).session
    shops.pass_minutes(1)
    count_product(node, WATER, 4000, session=session, zone="front")
    record_looks(node, session)
    assert on_hand(node, WATER)[0].value == 10_000
    count_product(node, WATER, 5000, session=session, zone="back")
    assert close_session(node, session).is_closed
    assert figures(node)[WATER] == (9000,) * 3


def test_closing_lists_what_was_not_counted_before_it_writes_zeros(node: Node, shops: Shops) -> None:
    stocked(node)
    session = open_session(node, ["front", "back"], [WATER, "P1001"]).session
    count_product(node, WATER, 4000, session=session, zone="front")
    before = entry_count(node)
    asked = close_session(node, session)
    assert not asked.is_closed
    assert {(line.product, line.zone) for line in asked.missing} == {
        (WATER, "back"),
        ("P1001", "front"),
        ("P1001", "back"),
    }
    assert entry_count(node) == before
    assert open_looks(node, session)
    closed = close_session(node, session, confirm_zeros=True)
    assert closed.is_closed
    assert {count.product: count.quantity_milli for count in closed.recorded} == {WATER: 4000, "P1001": 0}
    assert figures(node)[WATER] == (4000,) * 3
    assert open_looks(node) == []
    assert count_sessions(node) == []
    assert [one.session for one in count_sessions(node, with_closed=True)] == [session]


def test_an_explicit_zero_spans_the_walk_so_a_delivery_within_it_is_not_swallowed(node: Node, shops: Shops) -> None:
    session = open_session(node, products=["P1001"]).session
    shops.pass_minutes(10)
    receive_goods(node, [QuantityRequest("P1001", 6000)])
    shops.pass_minutes(10)
    close_session(node, session, confirm_zeros=True)
    value, lo, hi = figures(node)["P1001"]
    assert (lo, hi) == (0, 6000)
    assert lo <= value <= hi


def test_two_tills_count_one_session_zone_by_zone(make_node: Make) -> None:
    one, other = stocked(make_node("A1")), make_node("A2")
    session = open_session(one, ["front", "back"]).session
    exchange(one, other)
    count_product(other, WATER, 3000, session=session, zone="back")
    record_looks(other, session)
    carry(other, one)
    count_product(one, WATER, 4000, session=session, zone="front")
    closed = close_session(one, session)
    assert (closed.is_closed, closed.missing) == (True, ())
    assert figures(one)[WATER] == (7000,) * 3


@pytest.mark.parametrize("zone", ["", "cellar"])
def test_a_zone_that_the_session_does_not_have_is_refused(node: Node, zone: str) -> None:
    session = open_session(node, ["front"]).session
    with pytest.raises(RefusalError) as refused:
        begin_look(node, WATER, session=session, zone=zone)
    assert refused.value.code == "zone_unknown"


def test_a_closed_session_takes_no_more_lines(node: Node) -> None:
    session = open_session(node).session
    count_product(node, WATER, 1000, session=session)
    close_session(node, session)
    with pytest.raises(RefusalError) as refused:
        count_product(node, WATER, 1000, session=session)
    assert refused.value.code == "session_closed"
    with pytest.raises(RefusalError):
        close_session(node, session)


# Imports.


def test_a_spreadsheet_of_counts_is_recorded_line_by_line(node: Node) -> None:
    counts = import_counts(node, "counts.csv", "条码,数量\n6901234567892,12\nP1001,0\n".encode("gb18030"))
    assert {count.product: count.quantity_milli for count in counts} == {WATER: 12_000, "P1001": 0}
    assert figures(node)[WATER] == (12_000,) * 3


def test_a_spreadsheet_with_a_fault_is_refused_whole_and_every_fault_is_named(node: Node) -> None:
    before = entry_count(node)
    content = b"product,quantity\nP0001,3\nNOPE,2\nP1001,x\nP1002,-1\nP1003,0.5\n"
    with pytest.raises(RefusalError) as refused:
        import_counts(node, "counts.csv", content)
    assert refused.value.code == "count_import"
    for line in ("line 3", "line 4", "line 5", "line 6"):
        assert line in refused.value.message
    assert "line 2" not in refused.value.message
    assert entry_count(node) == before


def test_a_spreadsheet_fills_a_session_by_zone(node: Node) -> None:
    session = open_session(node, ["front", "back"]).session
    import_counts(node, "c.csv", b"code,qty,zone\nP0001,3,front\nP0001,4,back\nP0001,1,back\n", session=session)
    assert figures(node)[WATER] == (8000,) * 3
    with pytest.raises(RefusalError, match="zones of"):
        import_counts(node, "c.csv", b"code,qty,zone\nP0001,3,cellar\n", session=session)


def test_a_zone_without_its_session_is_refused_for_it_would_count_the_whole_shelf(make_node: Make) -> None:
    with pytest.raises(RefusalError) as refused:
        count_product(make_node(), WATER, 4000, zone="front")
    assert refused.value.code == "zone_alone"
