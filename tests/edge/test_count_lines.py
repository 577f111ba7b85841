"""Counting at the shelf: lines go on where they were left, papers are asked about, a second person counts again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.count_answers import Answer, PaperKind, answer_papers, is_said_on_shelf, pending_papers
from edge.count_lines import (
    CountSheet,
    check_second_person,
    drop_line,
    record_quiet_lines,
    touch_line,
)
from edge.count_plans import (
    count_categories,
    cycle_count,
    known_zones,
    products_asked,
    products_of_category,
    products_on_book,
)
from edge.count_results import count_report, recounts_due, session_results
from edge.counting import (
    close_session,
    count_product,
    count_variances,
    open_looks,
    open_session,
    record_looks,
    settle_session,
)
from edge.deliveries import DeliveredLine, expected_deliveries, receive_delivery
from edge.node import Node
from edge.receipts import count_document, receipt_document
from edge.refunding import refund_lines
from edge.resolving import conflicts
from edge.returns import find_sale
from edge.stock import (
    CostedRequest,
    QuantityRequest,
    dispatch_transfer,
    open_stock,
    receive_goods,
    receive_transfer,
    transfers_on_road,
)
from schema.errors import RefusalError
from schema.kinds.counting import CountRecorded
from schema.kinds.stock import TransferNoticed
from schema.rules.cycle_counts import Grade
from schema.settings import CountRules
from tests.edge.goods import settle
from tests.edge.shops import APPLES, CIGARETTES, WATER, Shops, carry, exchange, figures, sell_pieces

Make = Callable[..., Node]


def stocked(node: Node, pieces: int = 10) -> Node:
    open_stock(node, [QuantityRequest(WATER, pieces * 1000)])
    return node


def seen(node: Node, session: str, product: str = WATER, pieces: int = 1, **options: object) -> int:
    zone = str(options.pop("zone", ""))
    return touch_line(node, session, zone, product, pieces * 1000, **options).look.quantity_milli  # type: ignore[arg-type]


# Lines.


def test_each_scan_adds_and_a_typed_quantity_is_the_whole_line(node: Node) -> None:
    session = open_session(node).session
    assert [seen(node, session) for _ in range(3)] == [1000, 2000, 3000]
    assert seen(node, session, pieces=24, is_total=True) == 24_000
    assert seen(node, session, pieces=-1) == 23_000
    with pytest.raises(RefusalError) as refused:
        seen(node, session, pieces=-30)
    assert refused.value.code == "count_negative"
    assert open_looks(node, session)[0].quantity_milli == 23_000


def test_a_quiet_line_is_recorded_and_goes_on_where_it_was_left(node: Node, shops: Shops) -> None:
    session = open_session(node).session
    first = touch_line(node, session, "", WATER, 5000, operator="o1").look
    shops.pass_minutes(1)
    touch_line(node, session, "", APPLES, 700, operator="o1")
    assert [one.product for one in record_quiet_lines(node, session, quiet_ms=30_000)] == [WATER]
    assert [look.product for look in open_looks(node, session)] == [APPLES]
    shops.pass_minutes(5)
    again = touch_line(node, session, "", WATER, 2000, operator="o1")
    assert (again.look.quantity_milli, again.before_milli, again.look.lo_ms) == (7000, 5000, first.lo_ms)
    close_session(node, session)
    assert figures(node)[WATER] == (7000,) * 3


def test_the_line_in_hand_is_never_recorded_beside(node: Node, shops: Shops) -> None:
    session = open_session(node).session
    seen(node, session)
    shops.pass_minutes(10)
    assert record_quiet_lines(node, session, quiet_ms=1000, keep=(WATER, "")) == ()
    assert len(record_quiet_lines(node, session, quiet_ms=1000)) == 1


def test_after_a_sale_a_recorded_line_is_counted_again_from_nothing_not_added_to(node: Node, shops: Shops) -> None:
    """Five were counted, one of them sold, two more found: seven would be one too many."""
    stocked(node)
    session = open_session(node).session
    seen(node, session, pieces=5)
    record_looks(node, session)
    shops.pass_minutes(5)
    sell_pieces(node, WATER, 1)
    with pytest.raises(RefusalError) as refused:
        seen(node, session, pieces=2)
    assert (refused.value.code, refused.value.facts["is_moved"]) == ("line_recorded", True)
    assert open_looks(node, session) == []
    shops.pass_minutes(5)
    assert seen(node, session, pieces=1, is_anew=True) == 1000
    seen(node, session, pieces=5)
    close_session(node, session)
    assert figures(node)[WATER] == (6000,) * 3


def test_another_tills_line_is_not_added_to_unasked(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    session = open_session(one).session
    seen(one, session, pieces=5)
    record_looks(one, session)
    exchange(one, other)
    with pytest.raises(RefusalError) as refused:
        seen(other, session)
    assert (refused.value.facts["till"], refused.value.facts["quantity_milli"]) == ("A1", 5000)
    assert seen(other, session, pieces=6, is_total=True) == 6000
    close_session(other, session)
    assert figures(other)[WATER] == (6000,) * 3


def test_a_forgotten_line_leaves_what_was_recorded_before(node: Node) -> None:
    session = open_session(node).session
    seen(node, session, pieces=4)
    record_looks(node, session)
    sheet = CountSheet(node, session)
    sheet.put(touch_line(node, session, "", WATER, 1000).look)
    assert sheet.lines[WATER, ""].quantity_milli == 5000
    drop_line(node, session, "", WATER)
    sheet.dropped(WATER, "")
    assert (sheet.lines[WATER, ""].quantity_milli, sheet.lines[WATER, ""].till) == (4000, "A1")


# Several people.


def test_a_sheet_shows_what_other_tills_recorded_and_reads_it_once(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    session = open_session(one, ["front", "back"]).session
    exchange(one, other)
    sheet = CountSheet(one, session)
    seen(other, session, zone="back", pieces=3)
    assert not sheet.refresh()
    record_looks(other, session)
    carry(other, one)
    assert sheet.refresh()
    assert not sheet.refresh()
    assert [(line.quantity_milli, line.till) for line in sheet.of_zone("back")] == [(3000, "A2")]
    assert sheet.counted() == {WATER: {"back"}}


def test_an_interrupted_count_goes_on_at_another_till_and_is_closed_there(make_node: Make, shops: Shops) -> None:
    one, other = stocked(make_node("A1")), make_node("A2")
    session = open_session(one, ["front", "back"], [WATER, CIGARETTES]).session
    seen(one, session, zone="front", pieces=4)
    record_quiet_lines(one, session, quiet_ms=0)
    exchange(one, other)
    shops.pass_minutes(20)
    seen(other, session, zone="back", pieces=5)
    missing = settle_session(other, session)
    assert {(line.product, line.zone) for line in missing} == {(CIGARETTES, "front"), (CIGARETTES, "back")}
    assert close_session(other, session, confirm_zeros=True).is_closed
    carry(other, one)
    assert figures(one)[WATER] == (9000,) * 3 == figures(other)[WATER]
    assert figures(one)[CIGARETTES] == (0,) * 3


def test_zeros_written_at_another_till_reach_back_to_the_opening_of_the_count(make_node: Make, shops: Shops) -> None:
    """A delivery within the walk is in doubt wherever the count is closed, and never swallowed."""
    one, other = make_node("A1"), make_node("A2")
    session = open_session(one, products=[CIGARETTES]).session
    exchange(one, other)
    shops.pass_minutes(10)
    receive_goods(one, [QuantityRequest(CIGARETTES, 6000)])
    shops.pass_minutes(10)
    carry(one, other)
    close_session(other, session, confirm_zeros=True)
    value, lo, hi = figures(other)[CIGARETTES]
    assert (lo, hi) == (0, 6000)
    assert lo <= value <= hi


def test_zeros_are_written_inside_the_plan_alone(node: Node) -> None:
    stocked(node)
    session = open_session(node, products=[CIGARETTES]).session
    close_session(node, session, confirm_zeros=True)
    assert figures(node)[WATER] == (10_000,) * 3
    assert figures(node)[CIGARETTES] == (0,) * 3


def test_a_voided_line_is_missing_again(shops: Shops) -> None:
    from edge.resolving import void_entry

    node = shops.make_node(rank="admin")
    session = open_session(node, products=[WATER]).session
    seen(node, session)
    [recorded] = record_looks(node, session)
    void_entry(node, recorded.entry)
    assert [line.product for line in settle_session(node, session)] == [WATER]


# Papers.


def on_the_road(shops: Shops, pieces: int = 24) -> tuple[Node, str]:
    warehouse, shop = shops.make_node("W1", "W"), shops.make_node("A1")
    transfer = dispatch_transfer(warehouse, "A", [QuantityRequest(WATER, pieces * 1000)]).transfer
    carry(warehouse, shop, "loc/A")
    return shop, transfer


def test_a_delivery_that_is_on_the_shelf_already_is_not_added_when_it_is_keyed(shops: Shops) -> None:
    node, transfer = on_the_road(shops)
    session = open_session(node).session
    [paper] = pending_papers(node, session)
    assert (paper.kind, paper.name, paper.origin, paper.products) == (PaperKind.DELIVERY, transfer, "Shop W", (WATER,))
    assert not is_said_on_shelf(node, session, paper)
    answer_papers(node, session, [Answer(paper, is_on_shelf=True)])
    assert pending_papers(node, session) == []
    assert is_said_on_shelf(node, session, *pending_papers(node, session, with_answered=True))
    seen(node, session, pieces=30)
    close_session(node, session)
    shops.pass_minutes(5)
    receive_transfer(node, transfer, [QuantityRequest(WATER, 24_000)])
    assert figures(node)[WATER] == (30_000,) * 3


def test_a_delivery_that_a_count_declared_is_still_awaited_and_its_receipt_adds_nothing(shops: Shops) -> None:
    node, transfer = on_the_road(shops)
    session = open_session(node).session
    answer_papers(node, session, [Answer(one, is_on_shelf=True) for one in pending_papers(node, session)])
    seen(node, session, pieces=30)
    close_session(node, session)
    shops.pass_minutes(5)
    [row] = transfers_on_road(node)
    assert (row.transit_milli, row.declared_milli, row.declared_as) == (0, 24_000, transfer)
    [awaited] = expected_deliveries(node)
    assert (awaited.is_counted, [line.left_milli for line in awaited.lines]) == (True, [24_000])
    again = open_session(node).session  # who counts once more is asked once more
    assert [paper.name for paper in pending_papers(node, again)] == [transfer]
    receive_delivery(node, awaited, [DeliveredLine(WATER, 20_000)], is_final=False)
    assert figures(node)[WATER] == (30_000,) * 3
    receive_transfer(node, transfer)
    assert figures(node)[WATER] == (30_000,) * 3
    assert (expected_deliveries(node), [one.code for one in conflicts(node)]) == ([], [])
    with pytest.raises(RefusalError) as refused:
        receive_transfer(node, transfer)
    assert refused.value.code == "transfer_complete"


def test_the_receipt_of_a_delivery_that_was_declared_by_another_name_bears_that_name(shops: Shops) -> None:
    warehouse, node = shops.make_node("W1", "W"), shops.make_node("A1")
    goods = [QuantityRequest(WATER, 24_000)]
    dispatch_transfer(warehouse, "A", goods)
    carry(warehouse, node, "loc/A")
    streams = node.replica.log.streams(node.config.scope)
    [row] = [one for one in streams if one.stream.node == warehouse.config.node_id]
    [notice] = [one for one in node.replica.log.entries(row) if isinstance(one.payload, TransferNoticed)]
    count_product(node, WATER, 30_000, absorbs=[str(notice.id)])
    shops.pass_minutes(5)
    [awaited] = expected_deliveries(node)
    receive_delivery(node, awaited, [DeliveredLine(WATER, 24_000)], document="A-99")
    assert figures(node)[WATER] == (30_000,) * 3
    assert [one.code for one in conflicts(node)] == []
    assert transfers_on_road(node) == []


def test_a_delivery_that_is_not_there_yet_is_added_when_it_comes(shops: Shops) -> None:
    node, transfer = on_the_road(shops)
    session = open_session(node).session
    answer_papers(node, session, [Answer(one, is_on_shelf=False) for one in pending_papers(node, session)])
    seen(node, session, pieces=6)
    close_session(node, session)
    shops.pass_minutes(5)
    receive_transfer(node, transfer)
    assert figures(node)[WATER] == (30_000,) * 3


def test_an_answer_that_comes_after_the_line_was_recorded_still_holds(shops: Shops) -> None:
    node, transfer = on_the_road(shops)
    session = open_session(node).session
    seen(node, session, pieces=30)
    record_looks(node, session)
    answer_papers(node, session, [Answer(one, is_on_shelf=True) for one in pending_papers(node, session)])
    close_session(node, session)
    shops.pass_minutes(5)
    receive_transfer(node, transfer, [QuantityRequest(WATER, 24_000)])
    assert figures(node)[WATER] == (30_000,) * 3


def test_a_partly_keyed_delivery_is_never_named_whole(shops: Shops) -> None:
    node, transfer = on_the_road(shops)
    receive_transfer(node, transfer, [QuantityRequest(WATER, 10_000)], is_final=False)
    shops.pass_minutes(5)
    session = open_session(node).session
    [paper] = pending_papers(node, session)
    assert (paper.is_partly, paper.quantity_milli) == (True, 14_000)
    with pytest.raises(RefusalError) as refused:
        answer_papers(node, session, [Answer(paper, is_on_shelf=True)])
    assert refused.value.code == "delivery_partly_keyed"
    answer_papers(node, session, [Answer(paper, is_on_shelf=True, note="D-2")])
    assert pending_papers(node, session) == []
    seen(node, session, pieces=15)
    close_session(node, session)
    shops.pass_minutes(5)
    receive_transfer(node, transfer, [QuantityRequest(WATER, 5_000)], document="D-2", is_final=False)
    receive_transfer(node, transfer, [QuantityRequest(WATER, 9_000)], document="D-3")
    assert figures(node)[WATER] == (24_000,) * 3


def test_papers_of_goods_outside_the_plan_are_not_asked_about(shops: Shops) -> None:
    node, _ = on_the_road(shops)
    assert pending_papers(node, open_session(node, products=[APPLES]).session) == []


# What it came to.


def test_the_results_are_the_variances_of_the_count_rules(node: Node, shops: Shops) -> None:
    stocked(node)
    open_stock(node, [QuantityRequest(APPLES, 5_000)])
    shops.pass_minutes(5)
    session = open_session(node).session
    seen(node, session, pieces=7)
    touch_line(node, session, "", APPLES, 4_250)
    close_session(node, session)
    told = {one.product: (one.counted_milli, one.variance_milli) for one in count_variances(node)}
    assert {r.product: (r.counted_milli, r.variance_milli) for r in session_results(node, session)} == told
    assert told == {WATER: (7000, -3000), APPLES: (4250, -750)}
    shops.pass_minutes(5)
    count_product(node, WATER, 7000)  # a later count supersedes it, and its report stands
    assert {r.product: r.variance_milli for r in session_results(node, session)} == {WATER: -3000, APPLES: -750}


def test_a_report_values_at_the_last_received_cost_else_at_the_price_and_says_so(node: Node, shops: Shops) -> None:
    receive_goods(node, [CostedRequest(WATER, 10_000, cost_minor=90)])
    receive_goods(node, [CostedRequest(WATER, 10_000, cost_minor=120)])
    open_stock(node, [QuantityRequest(APPLES, 5_000)])
    shops.pass_minutes(5)
    session = open_session(node).session
    seen(node, session, pieces=17)
    touch_line(node, session, "", APPLES, 5_500)
    closed = close_session(node, session)
    report = count_report(node, session)
    assert [(one.product, one.variance_milli, one.value_minor, one.is_cost) for one in report.lines] == [
        (APPLES, 500, 640, False),
        (WATER, -3000, -360, True),
    ]
    assert (report.gain_minor, report.loss_minor, report.at_price) == (640, -360, 1)
    paper = "\n".join(receipt_document(node, closed.entry).preview())
    assert "-3.60" in paper
    assert "+6.40*" in paper
    assert paper == "\n".join(count_document(node, session).preview())


def test_a_second_person_counts_again_what_differs_by_too_much(node: Node, shops: Shops) -> None:
    open_stock(node, [QuantityRequest(CIGARETTES, 10_000), QuantityRequest(WATER, 10_000)])
    shops.pass_minutes(5)
    session = open_session(node).session
    seen(node, session, CIGARETTES, 6, operator="o1")
    seen(node, session, WATER, 8, operator="o1")  # two pieces of two yuan are let be
    settle_session(node, session, operator="o1", confirm_zeros=True)
    [due] = recounts_due(node, session)
    assert (due.product, due.zones, due.operators) == (CIGARETTES, ("",), ("o1",))
    with pytest.raises(RefusalError) as refused:
        check_second_person(node, session, CIGARETTES, "o1")
    assert refused.value.code == "recount_same_person"
    shops.pass_minutes(5)
    check_second_person(node, session, CIGARETTES, "o2")
    seen(node, session, CIGARETTES, 10, operator="o2", is_anew=True)
    settle_session(node, session)
    assert recounts_due(node, session) == []
    close_session(node, session)
    assert figures(node)[CIGARETTES] == (10_000,) * 3


def test_the_shop_sets_what_is_counted_again(node: Node, shops: Shops) -> None:
    settle(node, CountRules(recount_value_minor=100, tolerance_milli=0, tolerance_ppm=0))
    open_stock(node, [QuantityRequest(WATER, 10_000)])
    shops.pass_minutes(5)
    session = open_session(node).session
    seen(node, session, WATER, 9)
    settle_session(node, session)
    assert [one.product for one in recounts_due(node, session)] == [WATER]


def test_weighed_goods_have_a_tolerance_in_grams(node: Node, shops: Shops) -> None:
    settle(node, CountRules(recount_value_minor=0))
    open_stock(node, [QuantityRequest(APPLES, 3_000)])
    shops.pass_minutes(5)
    for grams, expected in ((2_950, 0), (2_900, 1)):
        shops.pass_minutes(5)
        session = open_session(node).session
        touch_line(node, session, "", APPLES, grams)
        settle_session(node, session)
        assert len(recounts_due(node, session)) == expected
        close_session(node, session)
        open_stock(node, [QuantityRequest(APPLES, 3_000 - grams)])


# Plans.


def test_plans_are_made_of_what_can_be_counted(node: Node) -> None:
    stocked(node)
    assert {one.category: one.products for one in count_categories(node)} == {"drinks": 21, "fruit": 1, "tobacco": 1}
    assert products_of_category(node, "fruit") == (APPLES,)
    assert products_on_book(node) == (WATER,)
    assert products_asked(node) == ()


def test_the_last_zones_are_offered_again(node: Node) -> None:
    assert known_zones(node) == ()
    open_session(node, ["front", "back"])
    open_session(node)
    assert set(known_zones(node)) == {"front", "back"}


def test_the_cycle_count_proposes_what_turns_over_most_for_longest_and_drops_what_is_planned(
    node: Node, shops: Shops
) -> None:
    open_stock(node, [QuantityRequest(code, 50_000) for code in (WATER, CIGARETTES)])
    open_stock(node, [QuantityRequest(APPLES, 50_000)])
    sell_pieces(node, CIGARETTES, 10)
    sell_pieces(node, WATER, 10)
    shops.pass_minutes(3 * 24 * 60)
    proposed = cycle_count(node)
    assert [(one.product, one.grade) for one in proposed] == [
        (CIGARETTES, Grade.A), (WATER, Grade.B), (APPLES, Grade.C)
    ]  # fmt: skip
    count_product(node, CIGARETTES, 40_000)
    assert [one.product for one in cycle_count(node, 1)] == [WATER]
    open_session(node, products=[WATER])
    assert [one.product for one in cycle_count(node)] == [APPLES]


# Any order of touches, recordings and sales.

_STEP = st.sampled_from(["scan", "record", "sell", "tick"])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEP, min_size=1, max_size=14))
def test_a_shelf_that_is_counted_in_any_rhythm_comes_out_right(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each scan takes a piece from an uncounted to a counted heap; the till sells counted ones between recordings."""
    shops = Shops(tmp_path_factory.mktemp("shelf"))
    try:
        node = shops.make_node()
        shelf = 100
        session = open_session(node).session
        counted, is_waiting = 0, False
        for step in steps:
            shops.pass_minutes(1)
            if step == "scan":
                try:
                    seen(node, session)
                    counted += 1
                except RefusalError:  # sold meanwhile: all of it is counted again
                    seen(node, session, pieces=shelf, is_total=True)
                    counted = shelf
                is_waiting = True
            elif step == "record" and is_waiting:
                record_looks(node, session)
                is_waiting = False
            elif step == "sell" and not is_waiting and counted:
                sell_pieces(node, WATER, 1)
                shelf -= 1
        shops.pass_minutes(1)
        seen(node, session, pieces=shelf, is_total=True)
        close_session(node, session)
        value, lo, hi = figures(node)[WATER]
        assert (value, lo, hi) == (shelf * 1000,) * 3
    finally:
        shops.close()


def test_only_counts_of_the_session_are_its_lines(node: Node) -> None:
    session = open_session(node).session
    count_product(node, WATER, 9000)
    seen(node, session)
    record_looks(node, session)
    assert [line.quantity_milli for line in CountSheet(node, session).lines.values()] == [1000]
    kinds = [
        type(entry.payload) for row in node.replica.log.streams("loc/A") for entry in node.replica.log.entries(row)
    ]
    assert kinds.count(CountRecorded) == 2


def test_a_return_that_lies_at_the_till_is_not_in_the_count(shops: Shops) -> None:
    """It is keyed, so the book holds it; it is not on the shelf, so the count does not."""
    node = stocked(shops.make_node())
    sold = sell_pieces(node, WATER, 2)
    shops.pass_minutes(5)
    refund_lines(node, find_sale(node, sold.receipt_number))
    shops.pass_minutes(5)
    session = open_session(node).session
    [paper] = pending_papers(node, session)
    assert (paper.kind, paper.products, paper.quantity_milli) == (PaperKind.RETURN, (WATER,), 2000)
    answer_papers(node, session, [Answer(paper, is_on_shelf=False)])
    seen(node, session, pieces=8)
    close_session(node, session)
    assert figures(node)[WATER][0] == 10_000
