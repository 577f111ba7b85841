"""A list of goods in hand survives the program and the power, and is never both recorded and in hand."""

from __future__ import annotations

import msgspec
import pytest

from edge.adjusting import adjust_goods
from edge.deliveries import Expected, ExpectedLine, expected_delivery, receive_delivery
from edge.drafting import draft_goods
from edge.goods_in_hand import give_up, in_hand, new_name
from edge.goods_sheet import (
    GoodsSheet,
    SheetLine,
    SheetNotes,
    go_on_with,
    keep_sheet,
    kept_sheets,
    sheet_of,
    written_sheet,
)
from edge.node import Node
from edge.stock import QuantityRequest, dispatch_transfer
from schema.errors import RefusalError
from schema.kinds.buying import OrderLine, OrderPlaced
from tests.edge.people import CASHIER, employ
from tests.edge.shops import APPLES, WATER, Shops, carry, figures
from tests.edge.test_deliveries import hear

ORDER = OrderPlaced("PO-A-0001", "S01", "o1", (OrderLine(WATER, 24_000, 150), OrderLine(APPLES, 5_000)), "2026-03-03")
WATER_LINE = SheetLine(WATER, "Water", "pc", quantity_milli=3000)


def keep(node: Node, work: str, *lines: SheetLine, expected: Expected | None = None) -> str:
    name = new_name()
    notes = SheetNotes("三号门", {"title": "Shop B"}, expected)
    keep_sheet(node, name, work, written_sheet(GoodsSheet(lines), notes), "o1")
    return name


def reopened(node: Node) -> Node:
    """Return the node of the same file as another program opens it."""
    return Node(node.directory, clock=node.clock_source)


def test_a_list_comes_back_whole_after_the_program_has_ended(node: Node) -> None:
    hear(node, ORDER)
    sheet = sheet_of(node, expected_delivery(node, ORDER.order))
    sheet.set_quantity(0, 20_000)
    sheet.set_damaged(0, 2_000, "broken")
    name = keep(node, "receive", *sheet.lines, expected=expected_delivery(node, ORDER.order))
    with reopened(node) as again:
        [kept] = kept_sheets(again, "receive")
        assert (kept.name, kept.operator, kept.touched, kept.notes.remark) == (name, "o1", 1, "三号门")
        assert go_on_with(again, kept, kept.notes.expected).lines == sheet.lines
        assert kept_sheets(again, "dispatch") == []


def test_what_was_taken_in_meanwhile_is_expected_no_more(node: Node) -> None:
    hear(node, ORDER)
    expected = expected_delivery(node, ORDER.order)
    sheet = sheet_of(node, expected)
    sheet.set_quantity(0, 24_000)
    keep(node, "receive", *sheet.lines, expected=expected)
    [kept] = kept_sheets(node, "receive")
    line = ExpectedLine(APPLES, "Apples", "kg", 5_000, 5_000)
    left = msgspec.structs.replace(expected, lines=(line,))
    assert [(one.product, one.quantity_milli, one.expected_milli) for one in go_on_with(node, kept, left).lines] == [
        (APPLES, 0, 5_000), (WATER, 24_000, None),
    ]  # fmt: skip


def test_a_list_leaves_the_hand_in_the_transaction_that_records_it(node: Node, shops: Shops) -> None:
    hear(node, ORDER)
    names = {work: keep(node, work, WATER_LINE) for work in ("receive", "order", "dispatch", "adjust", "draft")}
    goods = [QuantityRequest(WATER, 3000)]
    receive_delivery(node, None, GoodsSheet([WATER_LINE]).delivered(), in_hand=names["receive"])
    expected = expected_delivery(node, ORDER.order)
    receive_delivery(node, expected, GoodsSheet([WATER_LINE]).delivered(), in_hand=names["order"])
    dispatch_transfer(node, "B", goods, in_hand=names["dispatch"])
    adjust_goods(node, "wastage", goods, in_hand=names["adjust"])
    draft_goods(node, "order", goods, in_hand=names["draft"])
    assert [in_hand(node, work) for work in names] == [[]] * 5
    assert figures(node)[WATER][0] == 0


def test_the_list_of_a_transfer_leaves_the_hand_with_its_receipt(shops: Shops, node: Node) -> None:
    warehouse = shops.make_node("W1", "W")
    transfer = dispatch_transfer(warehouse, "A", [QuantityRequest(WATER, 3000)]).transfer
    carry(warehouse, node, node.config.scope)
    name = keep(node, "receive", WATER_LINE)
    receive_delivery(node, expected_delivery(node, transfer), GoodsSheet([WATER_LINE]).delivered(), in_hand=name)
    assert in_hand(node, "receive") == []


def test_a_list_that_was_refused_stays_in_hand(node: Node, shops: Shops) -> None:
    employ(shops)
    name = keep(node, "adjust", WATER_LINE)
    with pytest.raises(RefusalError):
        adjust_goods(node, "wastage", [QuantityRequest(WATER, 3000)], operator=CASHIER.operator, in_hand=name)
    assert [one.name for one in kept_sheets(node, "adjust")] == [name]
    give_up(node, name)
    assert kept_sheets(node, "adjust") == []


def test_a_list_of_another_form_is_left_to_the_release_that_knows_it(node: Node) -> None:
    keep_sheet(node, "newer", "receive", msgspec.msgpack.encode((99, [], SheetNotes())))
    keep_sheet(node, "broken", "receive", b"\xc1")
    assert kept_sheets(node, "receive") == []
    assert [one.name for one in in_hand(node, "receive")] == ["broken", "newer"]


def test_a_restored_copy_has_nothing_in_hand_that_the_lost_machine_may_have_recorded(node: Node) -> None:
    keep(node, "receive", WATER_LINE)
    with node.write() as writing:
        node.new_incarnation(writing)
    assert kept_sheets(node, "receive") == []
