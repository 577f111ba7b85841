"""Selling at the screen: scans, typed codes, search, weights, quantities, discounts, and who must allow what."""

from __future__ import annotations

import pytest

from edge.device_events import Weighed
from edge.keyed import keyed_money
from edge.node import Node
from pos_tui.messages import DeviceTold
from schema.errors import RefusalError
from schema.identity import ProductId
from schema.kinds.tills import LineVoided
from schema.kinds.trading import Refund
from schema.rows import PromotionKind
from schema.rules.deposits import EMPTIES
from schema.rules.promotion_terms import Language, Promotion
from schema.settings import TillRules
from tests.edge.goods import (
    CHEESE_BARCODE,
    COLA,
    COLA_BARCODE,
    MILK_BARCODE,
    PORK,
    TEA,
    minor,
    promote,
    settle,
    teach_products,
)
from tests.edge.people import SUPERVISOR
from tests.edge.shops import figures
from tests.edge.test_empties import BEER, BOTTLE, GOODS, PRICES
from tests.pos_tui.conftest import AtTill


def payloads(node: Node, kind: type) -> list[object]:
    """Return what a node has recorded of a kind, in order."""
    stream = next(row.stream for row in node.replica.rows() if row.stream.node == node.config.node_id)
    head = node.replica.log.stream(stream)
    assert head is not None
    entries = (node.replica.log.entry(stream, seq) for seq in range(1, head.head.seq + 1))
    return [entry.payload for entry in entries if entry is not None and isinstance(entry.payload, kind)]


async def test_a_scan_paints_its_line_and_the_total_and_the_same_goods_count_up(
    at_till: AtTill, language: Language
) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.scan(COLA_BARCODE)
        await cashier.scan(MILK_BARCODE)
        rows = [line.split() for line in cashier.lines if "可口可乐" in line or "纯牛奶" in line]
        assert rows[0][-3:] == ["2", "3.00", "6.00"]
        assert rows[1][-3:] == ["1", "4.50", "4.50"]
        assert cashier.app.till.priced.total_minor == 1050


async def test_three_star_and_a_scan_are_three(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.type("3*")
        await cashier.scan(COLA_BARCODE)
        assert cashier.app.till.basket.lines[0].quantity_milli == 3000
        await cashier.enter(f"2*{COLA_BARCODE}")
        assert cashier.app.till.basket.lines[0].quantity_milli == 5000
        await cashier.enter("4*")
        assert cashier.app.till.basket.lines[0].quantity_milli == 4000


@pytest.mark.parametrize("typed", ["kkkl", "可口", "kekou", "C0001"])
async def test_goods_are_found_as_they_are_typed(at_till: AtTill, language: Language, typed: str) -> None:
    async with at_till(language) as cashier:
        await cashier.type(typed)
        await cashier.until("可口可乐 330ml")
        await cashier.press("enter")
        assert [line.product for line in cashier.app.till.basket.lines] == [COLA]
        await cashier.until(cashier.t("sale.pieces") + " 1")


async def test_another_hit_is_chosen_with_the_arrows_and_escape_leaves_the_search(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.scan(MILK_BARCODE)
        await cashier.type("C000")
        await cashier.press("down", "escape")
        assert len(cashier.app.till.basket.lines) == 1
        await cashier.type("drink")
        await cashier.press("down", "enter")
        assert len(cashier.app.till.basket.lines) == 2


async def test_full_width_digits_of_an_input_method_are_digits(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.enter("２＊Ｃ０００１")
        line = cashier.app.till.basket.lines[0]
        assert (line.product, line.quantity_milli) == (COLA, 2000)


async def test_a_committed_phrase_is_typed_and_never_a_scan(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.paste("纯牛奶")
        await cashier.until("纯牛奶 250ml")
        assert cashier.app.till.basket.is_empty
        await cashier.press("escape")
        await cashier.scan("纯牛奶纯牛奶纯牛奶")
        assert not any(line.barcode.startswith("纯") for line in cashier.app.till.basket.lines)


async def test_an_unknown_barcode_is_sold_at_a_keyed_price_under_a_keyed_name(
    at_till: AtTill, language: Language
) -> None:
    async with at_till(language) as cashier:
        await cashier.scan("6901234500016")
        await cashier.until(cashier.t("unknown.title"))
        await cashier.enter("0")
        await cashier.until("✗")
        await cashier.press("escape")
        await cashier.enter("12.5")
        await cashier.until(cashier.t("unknown.name_title"))
        await cashier.enter("手工皂")
        await cashier.until("手工皂")
        assert cashier.app.till.priced.total_minor == 1250
        assert not cashier.app.till.basket.lines[0].is_known


async def test_a_misread_barcode_says_so_first(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan("6901234500015")
        await cashier.until(cashier.t("unknown.misread", code="6901234500015"))
        await cashier.press("escape")
        assert cashier.app.till.basket.is_empty


async def test_weighed_goods_take_keyed_grams_or_kilograms(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.enter(PORK)
        await cashier.until(cashier.t("weigh.no_scale"))
        await cashier.enter("500")
        assert cashier.app.till.priced.total_minor == 1990
        await cashier.enter(PORK)
        await cashier.until_screen("weigh")
        await cashier.enter("1.5")
        assert cashier.app.till.basket.lines[1].quantity_milli == 1500


async def test_weighed_goods_wait_for_a_steady_scale(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.enter(PORK)
        await cashier.until_screen("weigh")
        cashier.app.post_message(DeviceTold(Weighed(250, "scale.unstable")))
        await cashier.until(cashier.t("weigh.label"))
        await cashier.press("enter")
        await cashier.until(cashier.t("weigh.not_settled"))
        cashier.app.post_message(DeviceTold(Weighed(250)))
        await cashier.until(cashier.t("weigh.settled", weight="0.25kg"))
        await cashier.press("enter")
        assert cashier.app.till.basket.lines[0].quantity_milli == 250


async def test_an_expired_lot_is_said_aloud_and_stays_marked(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(f"]d201{CHEESE_BARCODE.rjust(14, '0')}1726022810L77")
        await cashier.until(cashier.t("warning.goods_expired", date="2026-02-28"))
        await cashier.until(cashier.t("sale.expired", date="2026-02-28"))
        await cashier.until(cashier.t("sale.lot", lot="L77"))


async def test_a_line_is_voided_and_the_void_recorded(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.scan(MILK_BARCODE)
        await cashier.press("up", "-")
        await cashier.until(cashier.t("sale.voided", name="可口可乐 330ml"))
        assert [line.name for line in cashier.app.till.basket.lines] == ["纯牛奶 250ml"]
        (voided,) = payloads(node, LineVoided)
        assert isinstance(voided, LineVoided)
        assert (voided.product, voided.amount_minor, voided.operator) == (COLA, 300, "o1001")


async def test_clearing_the_basket_asks_first(at_till: AtTill, node: Node) -> None:
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.press("ctrl+x", "escape")
        assert not cashier.app.till.basket.is_empty
        await cashier.press("ctrl+x")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until(cashier.t("clear.done"))
        assert [one.act for one in payloads(node, LineVoided)] == ["cleared"]  # type: ignore[attr-defined]


async def test_a_discount_beyond_the_cashiers_limit_takes_a_second_pin(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(MILK_BARCODE)
        await cashier.press("f6")
        await cashier.choose(1)
        await cashier.enter("1")
        await cashier.until(cashier.t("approve.title"))
        await cashier.enter(SUPERVISOR.number)
        await cashier.enter("000000")
        await cashier.until(cashier.t("refusal.pin_wrong", left=4))
        await cashier.allow(SUPERVISOR)
        await cashier.until(cashier.t("sale.line_discount", amount="1.00"))
        assert cashier.app.till.priced.total_minor == 350
        assert cashier.app.till.basket.lines[0].approver == SUPERVISOR.operator


async def test_a_second_person_who_may_not_either_is_told_so(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.scan(MILK_BARCODE)
        await cashier.press("f6")
        await cashier.choose(2)
        await cashier.enter("50")
        await cashier.allow(SUPERVISOR)
        await cashier.until(SUPERVISOR.name)
        await cashier.press("escape")
        assert cashier.app.till.priced.total_minor == 450


async def test_a_share_off_the_whole_and_its_taking_back(at_till: AtTill) -> None:
    async with at_till(is_signed_in=False) as cashier:
        await cashier.sign_in(SUPERVISOR)
        await cashier.scan(MILK_BARCODE)
        await cashier.press("f6")
        await cashier.choose(4)
        await cashier.enter("10")
        assert cashier.app.till.priced.total_minor == 405
        await cashier.press("f6")
        await cashier.choose(5)
        assert cashier.app.till.priced.total_minor == 450


async def test_a_keyed_price_and_a_gift_line(at_till: AtTill, language: Language) -> None:
    async with at_till(language, is_signed_in=False) as cashier:
        await cashier.sign_in(SUPERVISOR)
        await cashier.scan(MILK_BARCODE)
        await cashier.press("ctrl+p")
        await cashier.enter("4")
        await cashier.until(cashier.t("sale.list_price", price="4.50"))
        assert cashier.app.till.priced.total_minor == 400
        await cashier.press("ctrl+g")
        await cashier.choose(1)
        await cashier.until(cashier.t("sale.gift_line", reason=cashier.t("gift.promotion")))
        assert cashier.app.till.priced.total_minor == 0
        await cashier.press("ctrl+g")
        assert cashier.app.till.priced.total_minor == 400


async def test_a_bottle_becomes_a_case(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.press("ctrl+n")
        await cashier.choose(2)
        await cashier.until("65.00")
        assert cashier.app.till.basket.lines[0].unit == "箱"


async def test_a_quantity_is_asked_and_a_broken_piece_refused(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.press("*")
        await cashier.enter("7")
        assert cashier.app.till.basket.lines[0].quantity_milli == 7000
        await cashier.enter("0*")
        await cashier.until("✗")
        await cashier.enter("99999*")
        assert cashier.app.till.basket.lines[0].quantity_milli == 7000


@pytest.mark.parametrize("typed", ["1e5*", "0*", "99999*", "2.5*"])
async def test_a_quantity_that_goods_cannot_have_changes_nothing_and_is_said(at_till: AtTill, typed: str) -> None:
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.enter(typed)
        assert cashier.app.till.basket.lines[0].quantity_milli == 1000
        await cashier.until("✗")


async def test_promotions_say_on_the_line_why(at_till: AtTill, node: Node, language: Language) -> None:
    promote(
        node,
        Promotion(code="P1", name="可乐两罐五元", kind=PromotionKind.N_FOR_PRICE, products=(ProductId(COLA),),
                  amount_minor=minor(500), buy_count=2),
    )  # fmt: skip
    async with at_till(language, size=(120, 36)) as cashier:
        await cashier.type("2*")
        await cashier.scan(COLA_BARCODE)
        await cashier.until("可乐两罐五元")
        await cashier.until(cashier.t("sale.why"))
        assert cashier.app.till.priced.total_minor == 500


async def test_a_coupon_counts_once_it_is_presented(at_till: AtTill, node: Node) -> None:
    promote(
        node,
        Promotion(code="P2", name="新人券", kind=PromotionKind.AMOUNT_OFF, amount_minor=minor(100), coupon="NEW1"),
    )
    async with at_till() as cashier:
        await cashier.scan(MILK_BARCODE)
        await cashier.press("ctrl+o")
        await cashier.enter("NEW1")
        assert cashier.app.till.priced.total_minor == 350
        await cashier.enter("NEW1")
        await cashier.until("NEW1")
        assert cashier.app.till.basket.coupons == ("NEW1",)


async def test_the_same_code_again_is_asked_about_where_the_shop_wants_it(
    at_till: AtTill, node: Node, language: Language
) -> None:
    settle(node, TillRules(same_scan_guard_ms=1500))
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.scan(COLA_BARCODE)
        await cashier.until(cashier.t("again.title"))
        await cashier.press("escape")
        assert cashier.app.till.basket.lines[0].quantity_milli == 1000
        await cashier.scan(COLA_BARCODE)
        await cashier.until(cashier.t("again.title"))
        await cashier.press("enter")
        assert cashier.app.till.basket.lines[0].quantity_milli == 2000


async def test_a_bank_cards_number_is_refused_and_not_repeated(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.enter("4111111111111111")
        await cashier.until(cashier.t("refusal.text.card_number"))
        assert "4111111111111111" not in cashier.painted
        assert cashier.app.till.basket.is_empty


async def test_a_payment_code_is_told_to_wait_for_the_tender(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan("134567890123456789")
        await cashier.until(cashier.t("refusal.payment_code_early"))
        assert cashier.app.till.basket.is_empty


async def test_tea_without_its_barcode_is_sold_by_its_code(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.enter(TEA)
        assert cashier.app.till.priced.total_minor == keyed_money("3.50")


async def test_the_empties_key_turns_a_line_into_bottles_that_come_back_and_again_into_goods(
    at_till: AtTill, node: Node, language: Language
) -> None:
    teach_products(node, GOODS, PRICES)
    async with at_till(language) as cashier:
        await cashier.enter(f"3*{BOTTLE}")
        assert cashier.app.till.priced.total_minor == 150
        await cashier.press("ctrl+b")
        await cashier.until(cashier.t("empties.taken"))
        assert cashier.shows(cashier.t("sale.empties_line"))
        assert cashier.app.till.priced.total_minor == -150
        await cashier.press("ctrl+b")
        assert cashier.app.till.priced.total_minor == 150
        await cashier.press("ctrl+b")
        await cashier.press("+")
        await cashier.until_screen("confirm")
        assert cashier.shows(cashier.t("empties.text", amount="1.50"))
        await cashier.press("enter")
        await cashier.until_screen("sale")
        assert cashier.app.till.basket.is_empty
    [refund] = payloads(node, Refund)
    assert isinstance(refund, Refund)
    assert [(line.product, line.quantity_milli, line.reason) for line in refund.lines] == [(BOTTLE, 3000, EMPTIES)]
    assert (refund.total_minor, figures(node)[BOTTLE][0]) == (150, 3000)


async def test_empties_are_taken_off_what_the_goods_beside_them_cost(at_till: AtTill, node: Node) -> None:
    teach_products(node, GOODS, PRICES)
    async with at_till() as cashier:
        await cashier.enter(f"2*{BEER}")
        total = cashier.app.till.priced.total_minor
        await cashier.enter(BOTTLE)
        await cashier.press("ctrl+b")
        await cashier.enter(COLA)
        await cashier.press("ctrl+b")
        await cashier.until(cashier.app.texts.refusal(RefusalError("empties_unknown", "", name="可口可乐 330ml")))
        assert cashier.app.till.priced.total_minor == total - 50 + 300
