"""Counting at the screen: by scan and by number, in zones, interrupted, with recounts, deliveries and zeros."""

from __future__ import annotations

from edge.count_lines import record_quiet_lines, touch_line
from edge.count_results import recounts_due
from edge.counting import count_sessions, open_looks, open_session, record_looks
from edge.node import Node
from edge.stock import QuantityRequest, dispatch_transfer, open_stock
from schema.catalogue import PriceStep, Product
from schema.identity import ProductId
from schema.kinds.counting import CountClosed, CountRecorded
from schema.rules.promotion_terms import Language
from schema.settings import CategoryNames, CountRules
from tests.edge.goods import (
    CHEESE,
    COLA,
    COLA_BARCODE,
    MILK,
    MILK_BARCODE,
    PORK,
    TEA,
    settle,
    teach_goods,
    teach_products,
)
from tests.edge.people import CASHIER, SUPERVISOR, employ
from tests.edge.shops import Shops, anchor_clock, carry, exchange, figures, sell_pieces
from tests.edge.test_asked_counts import ask
from tests.pos_tui.cashier import Cashier
from tests.pos_tui.conftest import AtTill
from tests.pos_tui.test_selling import payloads


async def begin(cashier: Cashier) -> None:
    """Open the menu of counts."""
    await cashier.press("ctrl+w")
    await cashier.until(cashier.t("stock_menu.count"))
    await cashier.choose([*_works(cashier)].index("count") + 1)
    await cashier.until_screen("count_menu")


def _works(cashier: Cashier) -> list[str]:
    from pos_tui.screens.stock_menu import WORKS

    assert cashier.screen is not None
    return [one.name for one in WORKS]


async def go_on(cashier: Cashier, session: str) -> None:
    """Go on with an open count from the menu."""
    await begin(cashier)
    await cashier.until(session)
    await cashier.press("1")


async def unplanned(cashier: Cashier) -> None:
    """Begin a count without a plan or zones."""
    await begin(cashier)
    labels = cashier.painted.splitlines()
    number = next(line for line in labels if cashier.t("count_menu.unplanned") in line)
    await cashier.press(next(char for char in number if char.isdigit()))
    await cashier.until_screen("ask")
    await cashier.press("enter")
    await cashier.until_screen("count_session")


async def test_scans_add_and_a_number_is_the_whole_line_then_it_is_closed_with_its_report(
    at_till: AtTill, node: Node, language: Language
) -> None:
    open_stock(node, [QuantityRequest(COLA, 10_000), QuantityRequest(MILK, 5_000)])
    async with at_till(language) as cashier:
        await unplanned(cashier)
        for _ in range(3):
            await cashier.scan(COLA_BARCODE)
        await cashier.until(cashier.t("stock_count.counts", name="可口可乐 330ml", total="3罐"))
        await cashier.scan(MILK_BARCODE)
        await cashier.enter("5")
        await cashier.until(cashier.t("stock_count.counts", name="纯牛奶 250ml", total="5盒"))
        await cashier.type("2*")
        await cashier.scan("16928804011149")  # two cases
        await cashier.until(cashier.t("stock_count.counts", name="可口可乐 330ml", total="51罐"))
        await cashier.enter("9")
        await cashier.press("-")
        await cashier.until(cashier.t("stock_count.counts", name="可口可乐 330ml", total="8罐"))
        assert "10罐" not in cashier.painted
        await cashier.press("+")
        await cashier.until(cashier.t("count_review.complete"))
        await cashier.press("+")
        await cashier.until_screen("count_report")
        await cashier.until("-2")
        await cashier.until("-6.00*")
        await cashier.press("+")
        await cashier.until(cashier.t("receipts.no_printer"))
        await cashier.press("escape")
        await cashier.until_screen("count_menu")
    assert (figures(node)[COLA][0], figures(node)[MILK][0]) == (8000, 5000)
    assert len(payloads(node, CountClosed)) == 1
    assert {one.operator for one in payloads(node, CountRecorded) if isinstance(one, CountRecorded)} == {
        CASHIER.operator
    }


async def test_weighed_goods_are_counted_in_grams(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await unplanned(cashier)
        for weight in ("0.456", "250"):
            await cashier.enter(PORK)
            await cashier.until_screen("weigh")
            await cashier.enter(weight)
            await cashier.until_screen("count_session")
        await cashier.until("0.706kg")
        await cashier.enter("1.25")
        await cashier.until("1.25kg")
        await cashier.scan(COLA_BARCODE)
        await cashier.enter("1.5")
        await cashier.until(cashier.t("stock_count.broken", name="可口可乐 330ml"))
        assert {look.product: look.quantity_milli for look in open_looks(node)} == {PORK: 1250, COLA: 1000}


async def test_goods_are_found_by_name_and_unknown_codes_lose_nothing(
    at_till: AtTill, node: Node, language: Language
) -> None:
    async with at_till(language) as cashier:
        await unplanned(cashier)
        await cashier.type("kkkl")
        await cashier.until("可口可乐")
        await cashier.press("enter")
        await cashier.until(cashier.t("stock_count.counts", name="可口可乐 330ml", total="1罐"))
        await cashier.enter("xyzxyz")
        await cashier.until(cashier.t("sale.not_found", text="xyzxyz"))
        await cashier.until("1罐")
        await cashier.scan("6900000000014")
        await cashier.until_screen("confirm")
        await cashier.press("escape")
        await cashier.until(cashier.t("stock_count.put_aside", code="6900000000014"))
        assert [look.product for look in open_looks(node)] == [COLA]
        await cashier.scan("6900000000014")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until(cashier.t("stock_count.counts", name="6900000000014", total="1"))
        assert [look.product for look in open_looks(node)] == ["6900000000014", COLA]


async def test_a_number_that_is_a_code_as_well_is_asked_about(at_till: AtTill, node: Node, language: Language) -> None:
    sugar = Product(code=ProductId("11006"), category="dairy", name="白砂糖")
    teach_products(node, [sugar], {"11006": {"pc": (PriceStep(0, None, 500),)}})
    async with at_till(language) as cashier:
        await unplanned(cashier)
        await cashier.enter("11006")
        await cashier.until(cashier.t("stock_count.counts", name="白砂糖", total="1件"))
        await cashier.scan(COLA_BARCODE)
        await cashier.enter("11006")
        await cashier.until(cashier.t("stock_count.which_number", number="11006"))
        await cashier.choose(1)
        await cashier.until(cashier.t("stock_count.counts", name="白砂糖", total="2件"))
        await cashier.enter("1200")
        await cashier.until(cashier.t("stock_count.counts", name="白砂糖", total="1200件"))


async def test_products_of_the_plan_without_a_line_are_listed_and_become_zero_when_confirmed(
    at_till: AtTill, node: Node, language: Language
) -> None:
    open_stock(node, [QuantityRequest(TEA, 4_000), QuantityRequest(CHEESE, 2_000), QuantityRequest(MILK, 7_000)])
    session = open_session(node, products=[COLA, TEA, CHEESE]).session
    async with at_till(language) as cashier:
        await go_on(cashier, session)
        await cashier.scan(COLA_BARCODE)
        await cashier.press("+")
        await cashier.until(cashier.t("count_review.missing", number=2))
        await cashier.press("enter")
        await cashier.until_screen("ask")
        await cashier.enter("4")
        await cashier.until(cashier.t("count_review.missing", number=1))
        await cashier.press("+")
        await cashier.until(cashier.t("count_review.zeros"))
        await cashier.press("escape")
        assert count_sessions(node)
        await cashier.press("+")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("count_report")
    assert {code: figures(node)[code] for code in (COLA, TEA, CHEESE, MILK)} == {
        COLA: (1000,) * 3, TEA: (4000,) * 3, CHEESE: (0,) * 3, MILK: (7000,) * 3,
    }  # fmt: skip


async def test_two_people_count_two_zones_on_two_tills(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    other = teach_goods(shops.make_node("A2"))
    employ(shops)
    open_stock(node, [QuantityRequest(COLA, 10_000)])
    session = open_session(node, ["货架", "仓库"], [COLA]).session
    exchange(node, other)
    async with at_till(language, on=other) as cashier:
        await go_on(cashier, session)
        await cashier.until(cashier.t("stock_count.zone_title"))
        zones = count_sessions(other)[0].zones
        await cashier.choose(zones.index("仓库") + 1)
        await cashier.until(cashier.t("stock_count.zone_now", zone="仓库"))
        await cashier.scan(COLA_BARCODE)
        await cashier.enter("6")
        await cashier.press("escape")
        await cashier.until(cashier.t("stock_count.kept", number=1))
    carry(other, node)
    async with at_till(language) as cashier:
        await go_on(cashier, session)
        await cashier.until_screen("choose")
        await cashier.choose(zones.index("货架") + 1)
        await cashier.scan(COLA_BARCODE)
        await cashier.enter("4")
        await cashier.press("*")
        await cashier.choose(zones.index("仓库") + 1)
        await cashier.until("A2")
        await cashier.until("6罐")
        await cashier.scan(COLA_BARCODE)
        await cashier.until(cashier.t("stock_count.anew_text", name="可口可乐 330ml", till="A2", quantity="6罐"))
        await cashier.press("escape")
        await cashier.press("+")
        await cashier.until(cashier.t("count_review.complete"))
        await cashier.press("+")
        await cashier.until_screen("count_report")
        await cashier.until(cashier.t("count_report.even"))
    carry(node, other)
    assert figures(node)[COLA] == figures(other)[COLA] == (10_000,) * 3


async def test_a_line_that_the_other_till_recorded_appears_while_counting(
    at_till: AtTill, node: Node, shops: Shops
) -> None:
    other = teach_goods(shops.make_node("A2"))
    session = open_session(node, products=[COLA, MILK]).session
    exchange(node, other)
    async with at_till() as cashier:
        await go_on(cashier, session)
        await cashier.until_screen("count_session")
        touch_line(other, session, "", MILK, 3000)
        record_looks(other, session)
        carry(other, node)
        await cashier.until("3盒")
        await cashier.until("A2")


async def test_a_count_that_was_closed_elsewhere_keeps_the_lines_of_this_till(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    from edge.counting import close_session

    other = teach_goods(shops.make_node("A2"))
    session = open_session(node).session
    exchange(node, other)
    async with at_till(language) as cashier:
        await go_on(cashier, session)
        await cashier.scan(COLA_BARCODE)
        close_session(other, session)
        carry(other, node)
        await cashier.until(cashier.t("stock_count.closed_elsewhere", number=1))
    assert figures(node)[COLA][0] == 1000


async def test_a_count_interrupted_at_one_till_goes_on_at_another(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    other = teach_goods(shops.make_node("A2"))
    employ(shops)
    async with at_till(language) as cashier:
        await unplanned(cashier)
        await cashier.scan(COLA_BARCODE)
        await cashier.enter("7")  # and the till goes dark
    [session] = [one.session for one in count_sessions(node)]
    async with at_till(language) as cashier:
        await begin(cashier)
        await cashier.until(cashier.t("count_menu.waiting", number=1))
        await cashier.press("1")
        await cashier.until("7罐")
        await cashier.press("escape")
        await cashier.until(cashier.t("stock_count.kept", number=1))
    exchange(node, other)
    async with at_till(language, on=other) as cashier:
        await go_on(cashier, session)
        await cashier.until("7罐")
        await cashier.scan(MILK_BARCODE)
        await cashier.press("+")
        await cashier.until_screen("count_review")
        await cashier.press("/")  # by the keypad alone
        await cashier.until_screen("count_menu")
        await cashier.press("1")
        await cashier.until_screen("count_session")
        await cashier.press("+")
        await cashier.until_screen("count_review")
        await cashier.press("+")
        await cashier.until_screen("count_report")
    assert (figures(other)[COLA][0], figures(other)[MILK][0]) == (7000, 1000)


async def test_a_second_person_recounts_blind_what_differs_by_much(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    settle(node, CountRules(recount_value_minor=1_000))
    open_stock(node, [QuantityRequest(MILK, 20_000)])
    session = open_session(node, products=[MILK]).session
    shops.pass_minutes(5)
    async with at_till(language) as cashier:
        await go_on(cashier, session)
        await cashier.scan(MILK_BARCODE)
        await cashier.enter("13")
        await cashier.press("+", "+")
        await cashier.until(cashier.t("count_review.due", number=1))
        await cashier.choose(1)
        await cashier.until(cashier.t("recount.who"))
        await cashier.enter(SUPERVISOR.number)
        await cashier.enter(SUPERVISOR.pin)
        await cashier.until_screen("recount")
        assert "13" not in cashier.painted
        assert "20" not in cashier.painted.replace("2026", "")
        shops.pass_minutes(5)
        await cashier.scan(MILK_BARCODE)
        await cashier.enter("20")
        await cashier.press("+")
        await cashier.until_screen("count_report")
        await cashier.until(cashier.t("count_report.even"))
    assert figures(node)[MILK] == (20_000,) * 3
    assert recounts_due(node, session) == []


async def test_the_one_who_counted_cannot_be_the_second_person(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    open_stock(node, [QuantityRequest(MILK, 50_000)])
    session = open_session(node, products=[MILK]).session
    shops.pass_minutes(5)
    async with at_till(language) as cashier:
        await go_on(cashier, session)
        await cashier.scan(MILK_BARCODE)
        await cashier.press("+", "*")
        await cashier.until(cashier.t("recount.who"))
        await cashier.enter(CASHIER.number)
        await cashier.enter(CASHIER.pin)
        await cashier.until_screen("recount")
        await cashier.enter("50")
        await cashier.until(cashier.t("refusal.recount_same_person", name="纯牛奶 250ml"))


async def test_a_delivery_on_the_road_is_asked_about_before_anything_is_counted(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    warehouse = teach_goods(shops.make_node("W1", "W"))
    transfer = dispatch_transfer(warehouse, "A", [QuantityRequest(COLA, 24_000)]).transfer
    carry(warehouse, node, "loc/A")
    session = open_session(node, products=[COLA]).session
    async with at_till(language) as cashier:
        await go_on(cashier, session)
        await cashier.until_screen("count_papers")
        await cashier.until(transfer)
        await cashier.until(cashier.t("count_papers.not_there"))
        await cashier.press("enter")
        await cashier.until(cashier.t("count_papers.on_shelf"))
        await cashier.press("+")
        await cashier.until_screen("count_session")
        await cashier.scan(COLA_BARCODE)
        await cashier.enter("30")
        await cashier.press("+", "+")
        await cashier.until_screen("count_report")
    recorded = [one for one in payloads(node, CountRecorded) if isinstance(one, CountRecorded)]
    assert [one.absorbs for one in recorded] == [(transfer,)]


async def test_what_the_office_asks_for_stands_at_the_top_and_then_the_days_proposal(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    open_stock(node, [QuantityRequest(COLA, 10_000), QuantityRequest(TEA, 10_000)])
    sell_pieces(node, COLA, 3)
    ask(shops, TEA, "behind the door")
    async with at_till(language) as cashier:
        await begin(cashier)
        await cashier.until(cashier.t("count_menu.asked"))
        await cashier.until("behind the door")
        await cashier.until(cashier.t("count_menu.cycle"))
        await cashier.press("1")
        await cashier.until_screen("count_session")
        await cashier.until("0/1")
        await cashier.enter(TEA)
        await cashier.enter("10")
        await cashier.press("+", "+")
        await cashier.until_screen("count_report")
        await cashier.press("escape")
        await cashier.until_screen("count_menu")
        assert not cashier.shows(cashier.t("count_menu.asked"))
        await cashier.press("1")
        await cashier.until_screen("count_session")
        assert COLA in count_sessions(node)[0].products


async def test_a_category_is_planned_by_zones(at_till: AtTill, node: Node, language: Language) -> None:
    settle(node, CategoryNames(names={"dairy": "乳品", "drinks": "饮料"}))
    async with at_till(language) as cashier:
        await begin(cashier)
        number = next(line for line in cashier.lines if cashier.t("count_menu.category") in line)
        await cashier.press(next(char for char in number if char.isdigit()))
        await cashier.until_screen("choose")
        await cashier.until("饮料")
        await cashier.choose(1)
        await cashier.until_screen("ask")
        await cashier.enter("货架，仓库")
        await cashier.until(cashier.t("stock_count.zone_title"))
        await cashier.press("enter")
        await cashier.until_screen("count_session")
        [session] = count_sessions(node)
        assert set(session.zones) == {"货架", "仓库"}
        assert MILK in session.products


async def test_a_doubtful_clock_is_said_before_counting(at_till: AtTill, node: Node, language: Language) -> None:
    anchor_clock(node, 90_000)
    async with at_till(language) as cashier:
        await unplanned(cashier)
        await cashier.until(cashier.t("stock_count.clock"))


async def test_the_book_is_hidden_unless_the_shop_wants_it_seen(
    at_till: AtTill, node: Node, language: Language
) -> None:
    open_stock(node, [QuantityRequest(COLA, 77_000)])
    async with at_till(language) as cashier:
        await unplanned(cashier)
        await cashier.scan(COLA_BARCODE)
        await cashier.until("1罐")
        assert "77" not in cashier.painted
    settle(node, CountRules(is_blind=False))
    async with at_till(language) as cashier:
        await go_on(cashier, count_sessions(node)[0].session)
        await cashier.scan(COLA_BARCODE)
        await cashier.until("77")


async def test_a_recorded_line_goes_on_unless_goods_moved(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    open_stock(node, [QuantityRequest(COLA, 10_000)])
    session = open_session(node, products=[COLA, MILK]).session
    async with at_till(language) as cashier:
        await go_on(cashier, session)
        await cashier.scan(COLA_BARCODE)
        await cashier.enter("4")
        await cashier.press("f5")
        await cashier.until(cashier.t("stock_count.kept", number=1))
        await cashier.scan(COLA_BARCODE)
        await cashier.until(cashier.t("stock_count.went_on", name="可口可乐 330ml", before="4罐", total="5罐"))
        await cashier.press("f5")
        await cashier.until(cashier.t("stock_count.kept", number=1))
        sell_pieces(node, COLA, 1)
        await cashier.scan(COLA_BARCODE)
        await cashier.until(cashier.t("stock_count.anew"))
        await cashier.press("enter")
        await cashier.until("1罐")
        assert record_quiet_lines(node, session, quiet_ms=10**9) == ()


async def test_nothing_can_be_counted_in_training(at_till: AtTill, node: Node, language: Language) -> None:
    session = open_session(node).session
    before = node.connection.execute("SELECT count(*) FROM look").fetchone()
    async with at_till(language) as cashier:
        await cashier.press("ctrl+y")
        await go_on(cashier, session)
        await cashier.scan(COLA_BARCODE)
        await cashier.until(cashier.t("training.not_here"))
        await cashier.press("escape")
        await cashier.until_screen("count_menu")
        await cashier.press("escape")
        await cashier.until_screen("sale")
    assert node.connection.execute("SELECT count(*) FROM look").fetchone() == before
