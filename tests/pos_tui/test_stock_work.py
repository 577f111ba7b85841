"""Stock work at the screen: goods at the door, goods on the road, goods written off, and what needs somebody."""

from __future__ import annotations

from typing import TypeVar

import pytest

from edge.counting import count_product
from edge.deliveries import expected_deliveries
from edge.drafting import goods_drafts
from edge.node import Node
from edge.papers import paper_pages
from edge.print_jobs import jobs
from edge.reserving import reservations
from edge.resolving import conflicts
from edge.stock import QuantityRequest, dispatch_transfer, on_hand, transfers_on_road
from pos_tui.screens.stock_menu import WORKS
from schema.identity import Scope
from schema.kinds.base import Payload
from schema.kinds.buying import DeliveryChecked, OrderLine, OrderPlaced, TransferAsked
from schema.kinds.stock import GoodsReceived, StockAdjusted, TransferDispatched
from schema.rules.promotion_terms import Language
from sync.buying import BuyingState, find_buying
from sync.replica import Moment
from tests.edge.goods import COLA, COLA_BARCODE, MILK, MILK_BARCODE, PORK, TEA, teach_goods
from tests.edge.people import SUPERVISOR
from tests.edge.shops import HUB_STREAM, START_MS, Shops, carry
from tests.pos_tui.cashier import Cashier
from tests.pos_tui.conftest import AtTill

PayloadT = TypeVar("PayloadT", bound=Payload)
ORDER = OrderPlaced("PO-A-0001", "S01", "o1", (OrderLine(COLA, 24_000, 150), OrderLine(MILK, 12_000)), "2026-03-03")


def hear(node: Node, *payloads: Payload) -> None:
    """Have the hub say something at a node's location."""
    stream = HUB_STREAM._replace(scope=Scope(node.config.scope))
    with node.write():
        for payload in payloads:
            node.replica.append(stream, payload, Moment(START_MS, 0, 0))


def said(node: Node, kind: type[PayloadT]) -> list[PayloadT]:
    """Return what this node wrote at its location, of one kind."""
    row = next(one for one in node.replica.log.streams(node.config.scope) if one.stream.node == node.config.node_id)
    return [entry.payload for entry in node.replica.log.entries(row) if isinstance(entry.payload, kind)]


def stock(node: Node) -> dict[str, int]:
    return {row.product: row.value for row in on_hand(node)}


NAMES = tuple(one.name for one in WORKS if not one.only_at)


async def open_work(cashier: Cashier, name: str, screen: str = "") -> None:
    """Choose a kind of stock work from the menu."""
    await cashier.press("ctrl+w")
    await cashier.until_screen("choose")
    await cashier.choose(NAMES.index(name) + 1)
    if screen:
        await cashier.until_screen(screen)


async def test_an_order_comes_short_and_damaged_and_its_note_is_printed(
    at_till: AtTill, node: Node, language: Language
) -> None:
    hear(node, ORDER)
    async with at_till(language) as cashier:
        cashier.app.till.has_printer = True
        await open_work(cashier, "receive", "deliveries")
        await cashier.until("PO-A-0001")
        await cashier.press("enter")
        await cashier.until_screen("receive")
        await cashier.until("可口可乐")
        await cashier.enter("20")
        await cashier.press("up", "/")
        await cashier.until_screen("ask")
        await cashier.enter("2")
        await cashier.until_screen("choose")
        await cashier.choose(1)
        await cashier.until_screen("receive")
        await cashier.scan(MILK_BARCODE)
        await cashier.enter("12")
        await cashier.press("+")
        await cashier.until(cashier.t("receive.short_title"))
        await cashier.choose(1)
        await cashier.until_screen("deliveries")
        await cashier.until(cashier.t("receive.done_partly", lines=2))
        await cashier.until("PO-A-0001")
    assert stock(node) == {COLA: 20_000, MILK: 12_000}
    [checked] = said(node, DeliveryChecked)
    assert [(line.received_milli, line.damaged_milli, line.damage) for line in checked.lines] == [
        (20_000, 2_000, "broken"), (12_000, 0, ""),
    ]  # fmt: skip
    found = find_buying(node.connection, node.replica.log.scope_no(node.config.scope), ORDER.order)
    assert found is not None
    assert found.state is BuyingState.PARTLY
    assert len(jobs(node.connection)) == 1


async def test_what_never_comes_is_named_with_its_reason(at_till: AtTill, node: Node) -> None:
    hear(node, ORDER)
    async with at_till() as cashier:
        await open_work(cashier, "receive", "deliveries")
        await cashier.enter("po-a-0001")
        await cashier.until_screen("receive")
        await cashier.enter("25")
        await cashier.enter("10")
        await cashier.press("+")
        await cashier.until(cashier.t("receive.short_title"))
        await cashier.choose(2)
        await cashier.until(cashier.t("receive.why_short"))
        await cashier.choose(1)
        await cashier.until(cashier.t("receive.why_over"))
        await cashier.choose(2)
        await cashier.until(cashier.t("deliveries.none"))
    [checked] = said(node, DeliveryChecked)
    assert [(line.product, line.reason) for line in checked.lines] == [(COLA, "bonus"), (MILK, "not_sent")]
    assert expected_deliveries(node) == []


async def test_goods_come_without_an_order_with_lot_and_date(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await open_work(cashier, "receive", "deliveries")
        await cashier.press("+")
        await cashier.until_screen("ask")
        await cashier.enter("SD-7")
        await cashier.until_screen("receive")
        await cashier.type("2*")
        await cashier.scan("16928804011149")
        await cashier.until("48")
        await cashier.press("f4")
        await cashier.enter("261331")
        await cashier.until("✗")
        await cashier.press("ctrl+u")
        await cashier.enter("261231")
        await cashier.enter("L7")
        await cashier.until_screen("receive")
        await cashier.until("2026-12-31 L7")
        await cashier.press("+")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("deliveries")
    [received] = said(node, GoodsReceived)
    assert (received.document, received.moves[0].quantity_milli, received.moves[0].lot, received.moves[0].expiry) == (
        "SD-7", 48_000, "L7", "2026-12-31",
    )  # fmt: skip


async def test_a_transfer_is_received_by_its_paper_alone_once(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    other = teach_goods(shops.make_node("B1", "B"))
    many = [QuantityRequest(COLA, 12_000, "", f"LOT{n * 7919:06d}", "2027-01-31") for n in range(30)]
    [pages] = paper_pages(other, dispatch_transfer(other, "A", many).transfer)
    assert len(pages) > 1
    async with at_till(language) as cashier:
        await open_work(cashier, "receive", "deliveries")
        for place, page in enumerate(reversed(pages), 1):
            await cashier.scan(page)
            if place < len(pages):
                await cashier.until(f"{place}/{len(pages)}" if language is Language.ZH else f"{place} of {len(pages)}")
        await cashier.until_screen("receive")
        await cashier.press("*", "+")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("deliveries")
        assert stock(node) == {COLA: 360_000}
        for page in pages:
            await cashier.scan(page)
        await cashier.until("✗")
        assert cashier.screen.NAME == "deliveries"
    carry(other, node, "loc/A")
    assert transfers_on_road(node) == []


async def test_a_delivery_that_a_count_found_on_the_shelf_is_still_taken_in_and_adds_nothing(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    warehouse = shops.make_node("W1", "W")
    teach_goods(warehouse)
    sent = dispatch_transfer(warehouse, "A", [QuantityRequest(COLA, 12_000)])
    carry(warehouse, node, node.config.scope)
    count_product(node, COLA, 20_000, absorbs=[sent.transfer])
    shops.pass_minutes(5)
    async with at_till(language) as cashier:
        await open_work(cashier, "receive", "deliveries")
        await cashier.until(sent.transfer)
        await cashier.press("enter")
        await cashier.until_screen("receive")
        await cashier.until(cashier.t("receive.counted_is"))
        await cashier.press("*", "+")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("deliveries")
        await cashier.until(cashier.t("deliveries.none"))
    assert stock(node) == {COLA: 20_000}
    assert (transfers_on_road(node), conflicts(node)) == ([], [])


async def test_a_damaged_paper_is_told_so_and_lets_nothing_in(at_till: AtTill, node: Node, shops: Shops) -> None:
    other = teach_goods(shops.make_node("B1", "B"))
    [[page]] = paper_pages(other, dispatch_transfer(other, "A", [QuantityRequest(COLA, 12_000)]).transfer)
    async with at_till() as cashier:
        await open_work(cashier, "receive", "deliveries")
        await cashier.scan(page[:-8] + "ABCDEFGH")
        await cashier.until("✗")
        assert cashier.screen.NAME == "deliveries"
    assert stock(node) == {}


async def test_goods_leave_for_a_shop_that_asked_and_the_note_is_printed(
    at_till: AtTill, node: Node, language: Language
) -> None:
    hear(node, TransferAsked("TR-A-0001", "B", "o1", (OrderLine(COLA, 6_000), OrderLine(TEA, 2_000))))
    async with at_till(language) as cashier:
        cashier.app.till.has_printer = True
        await open_work(cashier, "dispatch")
        await cashier.until(cashier.t("dispatch.where"))
        await cashier.until("TR-A-0001")
        await cashier.choose(1)
        await cashier.until_screen("dispatch")
        await cashier.press("*")
        await cashier.press("end")
        await cashier.enter("1")
        await cashier.press("+")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("sale")
        await cashier.until("TR-A-0001")
    [sent] = said(node, TransferDispatched)
    assert (sent.transfer, sent.destination, [move.quantity_milli for move in sent.moves]) == (
        "TR-A-0001", "B", [-6_000, -1_000],
    )  # fmt: skip
    assert len(jobs(node.connection)) == 1


async def test_writing_off_needs_a_second_person_and_says_why(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await open_work(cashier, "adjust")
        await cashier.until(cashier.t("adjust.why"))
        await cashier.choose(1)
        await cashier.until_screen("adjust")
        await cashier.scan(COLA_BARCODE)
        await cashier.scan(COLA_BARCODE)
        await cashier.enter(PORK)
        await cashier.enter("0.5")
        await cashier.press("+")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.allow(SUPERVISOR)
        await cashier.until_screen("sale")
    [off] = said(node, StockAdjusted)
    assert (off.reason, off.operator, off.approver) == ("wastage", "o1001", SUPERVISOR.operator)
    assert [(move.product, move.quantity_milli) for move in off.moves] == [(COLA, -2_000), (PORK, -500)]


async def test_a_list_that_was_begun_is_left_only_after_a_question(at_till: AtTill, node: Node) -> None:
    async with at_till() as cashier:
        await open_work(cashier, "adjust")
        await cashier.until(cashier.t("adjust.why"))
        await cashier.choose(6)
        await cashier.until_screen("adjust")
        await cashier.scan(COLA_BARCODE)
        await cashier.press("escape")
        await cashier.until_screen("confirm")
        await cashier.press("escape")
        await cashier.until_screen("adjust")
        await cashier.press("-")
        await cashier.press("escape")
        await cashier.until_screen("sale")
    assert said(node, StockAdjusted) == []


async def test_a_checked_delivery_is_gone_on_with_after_the_power_went(
    at_till: AtTill, node: Node, language: Language
) -> None:
    hear(node, ORDER)
    async with at_till(language) as cashier:
        await open_work(cashier, "receive", "deliveries")
        await cashier.press("enter")
        await cashier.until_screen("receive")
        await cashier.enter("20")
        await cashier.scan(MILK_BARCODE)
        await cashier.enter("7")
        assert said(node, GoodsReceived) == []
    async with at_till(language) as cashier:  # nobody left the screen: the till ended with it
        await open_work(cashier, "receive")
        await cashier.until(cashier.t("in_hand.title"))
        assert cashier.shows(cashier.t("in_hand.go_on", about="PO-A-0001", lines=2))
        await cashier.choose(1)
        await cashier.until_screen("receive")
        await cashier.until(cashier.t("in_hand.back", lines=2))
        await cashier.press("+")
        await cashier.until(cashier.t("receive.short_title"))
        await cashier.choose(1)
        await cashier.until_screen("deliveries")
    assert stock(node) == {COLA: 20_000, MILK: 7_000}
    async with at_till(language) as cashier:  # it is recorded, and in hand no more
        await open_work(cashier, "receive", "deliveries")
        await cashier.until("PO-A-0001")


@pytest.mark.parametrize("name", ("dispatch", "adjust"))
async def test_a_list_in_hand_comes_back_with_what_it_is_about_or_is_dropped(
    at_till: AtTill, node: Node, name: str
) -> None:
    for is_dropped in (False, True):
        async with at_till() as cashier:
            await open_work(cashier, name)
            await cashier.until_screen("choose")
            await cashier.choose(1)
            await cashier.until_screen(name)
            await cashier.scan(COLA_BARCODE)
            await cashier.scan(COLA_BARCODE)
        async with at_till() as cashier:
            await open_work(cashier, name)
            await cashier.until(cashier.t("in_hand.title"))
            await cashier.choose(3 if is_dropped else 1)
            if is_dropped:
                await cashier.until(cashier.t("adjust.why" if name == "adjust" else "dispatch.where"))
                await cashier.press("escape")
                await cashier.until_screen("sale")
                continue
            await cashier.until_screen(name)
            await cashier.until("可口可乐")
            await cashier.press("+")
            await cashier.until_screen("confirm")
            await cashier.press("enter")
            if name == "adjust":
                await cashier.allow(SUPERVISOR)
            await cashier.until_screen("sale")
    recorded: list[TransferDispatched | StockAdjusted] = [*said(node, TransferDispatched), *said(node, StockAdjusted)]
    assert [[move.quantity_milli for move in one.moves] for one in recorded] == [[-2_000]]


async def test_a_list_that_was_left_on_purpose_is_not_offered_again(at_till: AtTill, node: Node) -> None:
    async with at_till() as cashier:
        await open_work(cashier, "adjust")
        await cashier.choose(6)
        await cashier.until_screen("adjust")
        await cashier.scan(COLA_BARCODE)
        await cashier.press("escape")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("sale")
        await open_work(cashier, "adjust")
        await cashier.until(cashier.t("adjust.why"))
    assert said(node, StockAdjusted) == []


async def test_what_is_below_zero_is_listed_and_drafted(at_till: AtTill, node: Node, language: Language) -> None:
    dispatch_transfer(node, "B", [QuantityRequest(COLA, 5_000)])
    async with at_till(language) as cashier:
        await open_work(cashier, "lists", "lists")
        await cashier.until("可口可乐")
        await cashier.until("-5")
        await cashier.press("enter")
        await cashier.until(cashier.t("why.never_counted"))
        await cashier.press("escape")
        await cashier.press("+")
        await cashier.until(cashier.t("draft.purpose"))
        await cashier.choose(2)
        await cashier.until(cashier.t("draft.from_transfer"))
        await cashier.choose(1)
        await cashier.until_screen("draft")
        await cashier.press("+")
        await cashier.until_screen("lists")
        await cashier.press("/")
        await cashier.until(cashier.t("lists.state_open"))
        await cashier.press("/")
        await cashier.until("T-A1-1-")
    [draft] = goods_drafts(node)
    assert (draft.purpose, draft.source, draft.lines) == ("transfer", "B", ((COLA, "可口可乐 330ml", 5_000),))


async def test_two_are_kept_until_six_and_handed_over(at_till: AtTill, node: Node, language: Language) -> None:
    from edge.stock import receive_goods

    receive_goods(node, [QuantityRequest(COLA, 3_000)])
    async with at_till(language) as cashier:
        await open_work(cashier, "reservations", "reservations")
        await cashier.scan(COLA_BARCODE)
        await cashier.until_screen("ask")
        await cashier.press("ctrl+u")
        await cashier.enter("2")
        await cashier.until(cashier.t("reserve.until_title"))
        await cashier.enter("18")
        await cashier.until(cashier.t("reserve.whom_title"))
        await cashier.enter("王阿姨")
        await cashier.until_screen("reservations")
        await cashier.until("03-02 18:00")
        [kept] = reservations(node)
        assert (kept.quantity_milli, kept.note) == (2_000, "王阿姨")
        await cashier.press("+")
        await cashier.until_screen("ask")
        await cashier.enter(COLA)
        await cashier.press("ctrl+u")
        await cashier.enter("2")
        await cashier.enter("")
        await cashier.enter("")
        await cashier.until("✗")
        await cashier.press("enter")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until(cashier.t("reserve.none"))
    assert reservations(node) == []


@pytest.mark.parametrize("name", ("receive", "dispatch", "adjust", "lists", "reservations"))
async def test_every_stock_screen_stands_in_both_sizes_and_languages(at_till: AtTill, name: str) -> None:
    for size, language in (((80, 24), Language.ZH), ((120, 36), Language.EN)):
        async with at_till(language, size=size) as cashier:
            await open_work(cashier, name)
            await cashier.press("f1")
            assert all(len(line) <= size[0] for line in cashier.lines)
            for _ in range(4):
                await cashier.press("escape")
            assert cashier.screen.NAME == "sale"
