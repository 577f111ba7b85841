"""Taking the money at the screen: few keys, no double sale, every means, and the change in plain sight."""

from __future__ import annotations

from edge.node import Node
from edge.unknown_tenders import unknown_tenders
from schema.kinds.trading import Sale
from schema.rules.promotion_terms import Language
from schema.settings import CashRules
from tests.edge.goods import COLA_BARCODE, MILK_BARCODE, settle
from tests.edge.people import SUPERVISOR
from tests.pos_tui.cashier import Cashier
from tests.pos_tui.conftest import AtTill
from tests.pos_tui.members import NAME, PHONE, enlist
from tests.pos_tui.test_selling import payloads

KEYPAD = frozenset("0123456789.+-*/") | {"enter"}


def sales(node: Node) -> list[Sale]:
    """Return the sales that a node has recorded."""
    return [sale for sale in payloads(node, Sale) if isinstance(sale, Sale)]


async def tender(cashier: Cashier, *codes: str) -> None:
    """Scan goods and go to the tender."""
    for code in codes or (COLA_BARCODE,):
        await cashier.scan(code)
    await cashier.press("+")
    await cashier.until_screen("tender")


async def test_five_scans_and_two_keys_are_a_cash_sale(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        for code in (COLA_BARCODE, MILK_BARCODE, COLA_BARCODE, MILK_BARCODE, COLA_BARCODE):
            await cashier.scan(code)
        before = cashier.keys_pressed
        await cashier.press("+")
        await cashier.until_screen("tender")
        await cashier.press("enter")
        await cashier.until(cashier.t("done.title", number="A1-1-000001"))
        assert cashier.keys_pressed - before == 2
        (sale,) = sales(node)
        assert (sale.total_minor, sale.tenders[0].means, sale.operator) == (1800, "cash", "o1001")


async def test_change_is_shown_large_until_the_next_goods_come(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await tender(cashier)
        await cashier.enter("10")
        await cashier.until(cashier.t("done.change"))
        done = cashier.app.till.done
        assert done is not None
        assert done.change_minor == 700
        await cashier.until(cashier.t("means.cash") + " 10.00")
        await cashier.scan(MILK_BARCODE)
        await cashier.until(cashier.t("sale.due"))
        assert cashier.app.till.priced.total_minor == 450


async def test_quick_amounts_are_stepped_through_with_plus(at_till: AtTill, node: Node) -> None:
    async with at_till() as cashier:
        await tender(cashier)
        await cashier.press("+", "+", "enter")
        await cashier.until_screen("sale")
        assert sales(node)[0].tenders[0].given_minor == 500


async def test_pressing_everything_twice_sells_once(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        for key in ("plus", "plus", "enter", "enter", "enter"):
            cashier._send({"plus": "+"}.get(key, key), 0.09)
        await cashier.until_screen("sale")
        await cashier.until(cashier.t("done.next"))
        assert len(sales(node)) == 1
        await cashier.press("enter", "enter", "+", "enter")
        assert len(sales(node)) == 1


async def test_the_same_attempt_completed_twice_is_one_sale(at_till: AtTill, node: Node) -> None:
    async with at_till() as cashier:
        await tender(cashier)
        screen = cashier.app.screen
        basket = cashier.app.till.basket
        await cashier.press("enter")
        await cashier.until_screen("sale")
        cashier.app.till.set_basket(basket)
        now = screen._due()  # type: ignore[attr-defined]
        again = cashier.app.till.complete((), now, attempt=screen._attempt, dropped_minor=0, approver="")  # type: ignore[attr-defined]
        assert again.receipt_number == sales(node)[0].receipt_number
        assert len(sales(node)) == 1


async def test_small_change_is_dropped_within_the_limit(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await tender(cashier, MILK_BARCODE)
        await cashier.press("/")
        await cashier.choose(2)
        await cashier.until(cashier.t("tender.dropped") + " -0.50")
        await cashier.press("enter")
        await cashier.until_screen("sale")
        (sale,) = sales(node)
        assert (sale.total_minor, sale.rounding_minor) == (400, 50)


async def test_a_split_payment_and_its_taking_back(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await tender(cashier, MILK_BARCODE)
        await cashier.enter("1")
        await cashier.until(cashier.t("tender.left"))
        await cashier.press("-")
        await cashier.enter("2")
        await cashier.type("2*")
        await cashier.press("enter")
        await cashier.until_screen("external_tender")
        await cashier.enter("W-778")
        await cashier.until_screen("sale")
        (sale,) = sales(node)
        assert [(one.means, one.amount_minor, one.reference, one.state) for one in sale.tenders] == [
            ("cash", 200, "", ""), ("wechat", 250, "W-778", "confirmed"),
        ]  # fmt: skip


async def test_a_payment_code_is_read_here_and_kept_nowhere(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await tender(cashier)
        await cashier.scan("134567890123456789")
        await cashier.until(cashier.t("external.scanned"))
        await cashier.press("enter")
        await cashier.until_screen("sale")
        (sale,) = sales(node)
        assert (sale.tenders[0].means, sale.tenders[0].reference) == ("wechat", "")


async def test_a_product_scanned_at_the_tender_is_told_to_wait(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await tender(cashier)
        await cashier.scan(MILK_BARCODE)
        await cashier.until(cashier.t("scan.not_here"))
        assert len(cashier.app.till.basket.lines) == 1


async def test_a_payment_of_unknown_outcome_stands_on_a_list_until_it_is_settled(
    at_till: AtTill, node: Node, language: Language
) -> None:
    async with at_till(language) as cashier:
        await tender(cashier)
        await cashier.type("3*")
        await cashier.press("enter", "*")
        await cashier.until_screen("sale")
        assert [one.means for one in unknown_tenders(node)] == ["alipay"]
        await cashier.press("ctrl+k")
        await cashier.until("A1-1-000001")
        await cashier.press("enter")
        await cashier.choose(1)
        await cashier.enter("R9")
        await cashier.until(cashier.t("unsettled.nothing"))
        assert not unknown_tenders(node)


async def test_a_card_number_is_no_reference(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await tender(cashier)
        await cashier.type("4*")
        await cashier.press("enter")
        await cashier.until_screen("external_tender")
        await cashier.enter("4111111111111111")
        await cashier.until(cashier.t("refusal.text.card_number"))
        assert not sales(node)


async def test_a_member_is_found_by_phone_and_pays_with_points_and_stored_value(
    at_till: AtTill, node: Node, language: Language
) -> None:
    enlist(node, points=100, stored_minor=5000)
    async with at_till(language) as cashier:
        await cashier.scan(MILK_BARCODE)
        await cashier.press("f2")
        await cashier.enter("13900000000")
        await cashier.until("139****0000")
        await cashier.enter(PHONE)
        await cashier.until(NAME)
        await cashier.until("138****1234")
        await cashier.press("enter", "+")
        await cashier.until_screen("tender")
        await cashier.type("7*")
        await cashier.enter("1")
        await cashier.type("6*")
        await cashier.press("enter")
        await cashier.until_screen("sale")
        (sale,) = sales(node)
        assert [(one.means, one.amount_minor) for one in sale.tenders] == [("points", 100), ("stored", 350)]


async def test_a_customer_on_account_up_to_the_limit(at_till: AtTill, node: Node, language: Language) -> None:
    enlist(node)
    async with at_till(language) as cashier:
        await cashier.type("40*")
        await cashier.scan(COLA_BARCODE)
        await cashier.press("+")
        await cashier.until_screen("tender")
        await cashier.type("5*")
        await cashier.press("enter")
        await cashier.until_screen("member")
        await cashier.enter(PHONE)
        await cashier.press("enter")
        await cashier.until(cashier.t("approve.title"))
        await cashier.allow(SUPERVISOR)
        await cashier.until_screen("sale")
        (sale,) = sales(node)
        assert (sale.tenders[0].means, sale.approver) == ("account", SUPERVISOR.operator)


async def test_cash_is_rounded_by_the_shops_rule(at_till: AtTill, node: Node) -> None:
    settle(node, CashRules(step_minor=100))
    async with at_till() as cashier:
        await tender(cashier, MILK_BARCODE)
        await cashier.press("enter")
        await cashier.until_screen("sale")
        assert sales(node)[0].total_minor == 500


async def test_escape_and_minus_go_back_to_the_basket(at_till: AtTill) -> None:
    async with at_till() as cashier:
        for key in ("escape", "-"):
            await tender(cashier)
            await cashier.press(key)
            await cashier.until_screen("sale")
        assert cashier.app.till.basket.lines[0].quantity_milli == 2000


async def test_selling_paying_and_parking_need_the_keypad_alone(at_till: AtTill, node: Node) -> None:
    async with at_till() as cashier:
        pressed: list[str] = []
        original = cashier._send

        def noted(key: str, after_s: float) -> None:
            pressed.append(key)
            original(key, after_s)

        cashier._send = noted  # type: ignore[method-assign]
        await cashier.enter(f"3*{COLA_BARCODE}")
        await cashier.press("/")
        await cashier.choose(1)
        await cashier.until_screen("sale")
        assert cashier.app.till.basket.is_empty
        await cashier.press("/")
        await cashier.choose(2)
        await cashier.until_screen("parked")
        await cashier.press("1")
        await cashier.until_screen("sale")
        await cashier.enter(MILK_BARCODE)
        await cashier.press("-", "+")
        await cashier.until_screen("tender")
        await cashier.enter("9.00")
        await cashier.until_screen("sale")
        assert set(pressed) <= KEYPAD
        assert sales(node)[0].total_minor == 900


async def test_what_is_in_hand_is_back_after_the_till_died(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.pilot.pause(0.2)
    async with at_till(language) as cashier:
        await cashier.until(cashier.t("sale.draft_back"))
        assert cashier.app.till.priced.total_minor == 300
        await cashier.press("+")
        await cashier.until_screen("tender")
        await cashier.press("enter")
        await cashier.until_screen("sale")
        await cashier.pilot.pause(0.2)
    async with at_till(language) as cashier:
        assert cashier.app.till.basket.is_empty
    assert len(sales(node)) == 1


async def test_a_till_that_died_after_the_payment_does_not_offer_the_goods_again(
    at_till: AtTill, node: Node, language: Language
) -> None:
    async with at_till(language) as cashier:
        await tender(cashier)
        attempt = cashier.app.screen._attempt  # type: ignore[attr-defined]
        till = cashier.app.till
        till.complete((), cashier.app.screen._due(), attempt=attempt, dropped_minor=0, approver="")  # type: ignore[attr-defined]
    async with at_till(language) as cashier:
        await cashier.until(cashier.t("sale.draft_sold", number="A1-1-000001"))
        assert cashier.app.till.basket.is_empty
    assert len(sales(node)) == 1
