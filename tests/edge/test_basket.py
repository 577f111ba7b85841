"""A basket is a value: what it holds, what it costs, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import basket as edits
from edge.basket import Basket, BasketLine, Member, add, price_basket
from edge.node import Node
from edge.scanning import PriceNeeded, interpret
from schema.catalogue import PriceStep
from schema.errors import RefusalError
from schema.rows import PromotionKind
from schema.rules.promotion_terms import Language, Promotion
from tests.edge.goods import (
    BASKET_SET,
    COLA,
    GOODS,
    MILK,
    NO_PRICE,
    PORK,
    TEA,
    basket_of,
    minor,
    promote,
    teach_goods,
    teach_products,
)
from tests.edge.shops import START_MS, Shops


@pytest.fixture
def node(shops: Shops) -> Node:
    return teach_goods(shops.make_node())


def test_plain_goods_scanned_again_are_counted_onto_the_last_line(node: Node) -> None:
    basket = basket_of(node, COLA, COLA, TEA, COLA)
    assert [(line.product, line.quantity_milli) for line in basket.lines] == [(COLA, 2000), (TEA, 1000), (COLA, 1000)]
    assert price_basket(node, basket).total_minor == 3 * 300 + 350
    assert price_basket(node, basket).pieces == 4


def test_weighed_goods_stay_lines_of_their_own_and_count_as_one_piece(node: Node) -> None:
    basket = basket_of(node, f"0.5*{PORK}", f"0.3*{PORK}")
    priced = price_basket(node, basket)
    assert [line.amount_minor for line in priced.lines] == [1990, 1194]
    assert priced.pieces == 2


def test_a_case_is_sold_at_its_own_price(node: Node) -> None:
    basket = basket_of(node, "16928804011149")
    [line] = price_basket(node, basket).lines
    assert (line.line.unit, line.line.factor_milli, line.amount_minor) == ("箱", 24_000, 6500)


def test_a_member_pays_the_member_price_and_the_list_price_is_kept(node: Node) -> None:
    basket = edits.set_member(basket_of(node, COLA), Member("p1", "138****1234", "", "gold"))
    [line] = price_basket(node, basket).lines
    assert (line.amount_minor, line.list_price_minor, line.source) == (280, 300, "member")
    assert price_basket(node, basket).discount_minor == 20


def test_a_price_changes_at_its_minute_in_a_basket_that_stands_open(node: Node) -> None:
    later = START_MS + 3_600_000
    tea = next(product for product in GOODS if product.code == TEA)
    teach_products(node, [tea], {TEA: {"pc": (PriceStep(0, None, 350), PriceStep(later, None, 300))}})
    basket = basket_of(node, TEA)
    assert price_basket(node, basket, later - 1).total_minor == 350
    assert price_basket(node, basket, later).total_minor == 300


def test_what_the_agent_stores_is_seen_at_the_next_pricing(node: Node) -> None:
    basket = basket_of(node, TEA)
    assert price_basket(node, basket).total_minor == 350
    with Node(node.directory, clock=node.clock_source) as agent:
        tea = next(product for product in GOODS if product.code == TEA)
        teach_products(agent, [tea], {TEA: {"pc": (PriceStep(0, None, 99),)}})
    assert price_basket(node, basket).total_minor == 99


def test_a_promotion_is_applied_and_said_on_the_line(node: Node) -> None:
    promote(node, Promotion(code="T1", name="茶饮节", kind=PromotionKind.BUY_N_GET_M, products=(TEA,), buy_count=2,  # type: ignore[arg-type]
                            free_count=1))  # fmt: skip
    priced = price_basket(node, basket_of(node, f"3*{TEA}", COLA))
    assert (priced.total_minor, priced.discount_minor) == (2 * 350 + 300, 350)
    assert priced.lines[0].reasons == ("茶饮节 买2送1",)
    assert priced.lines[1].reasons == ()
    assert price_basket(node, basket_of(node, f"3*{TEA}"), language=Language.EN).reasons == ("茶饮节 buy 2 get 1 free",)


def test_piece_promotions_count_goods_that_are_sold_by_the_piece(node: Node) -> None:
    promote(node, Promotion(code="N1", name="", kind=PromotionKind.N_FOR_PRICE, products=(COLA,), buy_count=2,  # type: ignore[arg-type]
                            amount_minor=minor(500)))  # fmt: skip
    assert price_basket(node, basket_of(node, f"2*{COLA}")).total_minor == 500


def test_a_coupon_gives_only_when_it_is_presented_and_an_idle_one_is_named(node: Node) -> None:
    promote(node, Promotion(code="V1", name="券", kind=PromotionKind.AMOUNT_OFF, amount_minor=minor(100),
                            threshold_minor=minor(500), coupon="SAVE-*", is_single_use=True))  # fmt: skip
    basket = basket_of(node, f"2*{COLA}")
    assert price_basket(node, basket).total_minor == 600
    priced = price_basket(node, edits.add_coupon(basket, "SAVE-7"))
    assert (priced.total_minor, priced.coupons_used, priced.coupons_idle) == (500, ("SAVE-7",), ())
    small = price_basket(node, edits.add_coupon(basket_of(node, COLA), "SAVE-7"))
    assert (small.coupons_used, small.coupons_idle) == ((), ("SAVE-7",))
    with pytest.raises(RefusalError, match="already"):
        edits.add_coupon(edits.add_coupon(basket, "SAVE-7"), "SAVE-7")


def test_a_gift_costs_nothing_and_says_why(node: Node) -> None:
    basket = edits.set_gift(basket_of(node, COLA, TEA), 1, "会员日", approver="boss")
    priced = price_basket(node, basket)
    assert priced.total_minor == 300
    [share] = priced.lines[1].discounts
    assert (share.reason, share.reference, share.share_minor) == ("gift", "会员日", 350)


def test_an_override_keeps_the_list_price_beside_it_and_is_out_of_promotions(node: Node) -> None:
    promote(node, Promotion(code="P1", name="", kind=PromotionKind.PERCENT_OFF, percent_ppm=500_000))
    basket = edits.set_price(basket_of(node, COLA, TEA), 0, 250)
    priced = price_basket(node, basket)
    assert (priced.lines[0].price_minor, priced.lines[0].list_price_minor, priced.lines[0].source) == (
        250, 300, "override",
    )  # fmt: skip
    assert [line.amount_minor for line in priced.lines] == [250, 175]


def test_discounts_by_hand_come_after_promotions_and_are_spread_to_the_last_fen(node: Node) -> None:
    basket = edits.set_line_discount(basket_of(node, COLA, TEA, MILK), 0, discount_minor=50)
    basket = edits.set_basket_discount(basket, discount_minor=100)
    priced = price_basket(node, basket)
    assert priced.total_minor == 300 + 350 + 450 - 150
    assert sum(share.share_minor for line in priced.lines for share in line.discounts) == 150
    assert priced.discount_minor == 150


def test_a_discount_never_makes_a_line_negative(node: Node) -> None:
    basket = edits.set_line_discount(basket_of(node, COLA), 0, discount_minor=99_999)
    assert price_basket(node, basket).total_minor == 0
    basket = edits.set_basket_discount(basket_of(node, COLA), discount_minor=99_999)
    assert price_basket(node, basket).total_minor == 0


def test_goods_without_a_price_are_marked_and_not_given_away(node: Node) -> None:
    meant = interpret(node, NO_PRICE, is_scan=False)
    assert isinstance(meant, PriceNeeded)
    priced = price_basket(node, add(Basket(), meant.line))
    assert priced.unpriced == (0,)
    keyed = edits.set_price(add(Basket(), meant.line), 0, 500)
    assert (price_basket(node, keyed).total_minor, price_basket(node, keyed).lines[0].source) == (500, "open")


def test_a_kit_shows_its_parts_and_costs_its_own_price(node: Node) -> None:
    [line] = price_basket(node, basket_of(node, BASKET_SET)).lines
    assert line.amount_minor == 1000
    assert [(part.product, part.quantity_milli) for part in line.parts] == [(MILK, 2000), (COLA, 1000)]


@pytest.mark.parametrize(
    ("quantity", "code"), [(0, "quantity_zero"), (-1000, "quantity_zero"), (99_999_000, "quantity_large"),
                           (1500, "quantity_broken")],
)  # fmt: skip
def test_a_quantity_that_no_line_can_have_is_refused(node: Node, quantity: int, code: str) -> None:
    basket = basket_of(node, COLA)
    with pytest.raises(RefusalError) as refused:
        edits.set_quantity(basket, 0, quantity)
    assert refused.value.code == code


@pytest.mark.parametrize(("price", "code"), [(0, "price_zero"), (-5, "price_zero"), (10**9, "price_large")])
def test_a_price_that_no_goods_have_is_refused(node: Node, price: int, code: str) -> None:
    with pytest.raises(RefusalError) as refused:
        edits.set_price(basket_of(node, COLA), 0, price)
    assert refused.value.code == code


def test_a_card_number_is_no_reason(node: Node) -> None:
    with pytest.raises(RefusalError) as refused:
        edits.set_gift(basket_of(node, COLA), 0, "card 4111 1111 1111 1111")
    assert refused.value.code == "text.card_number"


def test_edits_refuse_lines_that_are_not_there_and_baskets_that_are_full() -> None:
    line = BasketLine("X", "X", is_known=False, override_minor=100)
    basket = Basket()
    for _ in range(edits.LINES_MAX):
        basket = add(basket, line)
    with pytest.raises(RefusalError) as refused:
        add(basket, line)
    assert refused.value.code == "basket_full"
    acts: list[Callable[[], Basket]] = [
        lambda: edits.void(Basket(), 0), lambda: edits.set_quantity(basket, -1, 1000)
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(RefusalError) as missing:
            act()
        assert missing.value.code == "line_missing"
    assert edits.clear(basket) == Basket()
    assert len(edits.void(basket, 5).lines) == edits.LINES_MAX - 1


KEYS = st.one_of(
    st.tuples(st.just("scan"), st.sampled_from([COLA, TEA, MILK, BASKET_SET]), st.integers(1, 5)),
    st.tuples(st.just("weigh"), st.just(PORK), st.integers(5, 3000)),
    st.tuples(st.just("discount"), st.integers(0, 5), st.integers(0, 600)),
    st.tuples(st.just("share"), st.integers(0, 5), st.integers(0, 1_000_000)),
    st.tuples(st.just("gift"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("price"), st.integers(0, 5), st.integers(1, 2000)),
    st.tuples(st.just("whole"), st.integers(0, 700), st.just(0)),
    st.tuples(st.just("quantity"), st.integers(0, 5), st.integers(1, 9)),
    st.tuples(st.just("void"), st.integers(0, 5), st.just(0)),
)


@given(keys=st.lists(KEYS, max_size=14))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_keyed_the_lines_sum_to_the_total_and_every_discount_is_on_a_line(
    promoted: Node, keys: list[tuple[str, object, int]]
) -> None:
    basket = Basket()
    for act, what, much in keys:
        try:
            basket = press(promoted, basket, act, what, much)
        except RefusalError:
            continue
    priced = price_basket(promoted, basket)
    assert priced.total_minor == sum(line.amount_minor for line in priced.lines)
    assert priced.list_total_minor - priced.discount_minor == priced.total_minor
    for line in priced.lines:
        given_away = sum(share.share_minor for share in line.discounts)
        base = line.line.label_amount_minor or line.amount_minor + given_away
        assert 0 <= line.amount_minor <= base
        assert line.amount_minor + given_away <= line.list_amount_minor
    assert price_basket(promoted, basket, priced.moment_ms) == priced


def press(node: Node, basket: Basket, act: str, what: object, much: int) -> Basket:
    """Do what one key of the screen does."""
    match act:
        case "scan":
            return add(basket, basket_of(node, f"{much}*{what}").lines[0])
        case "weigh":
            return add(basket, basket_of(node, f"{much / 1000:.3f}*{what}").lines[0])
        case "whole":
            assert isinstance(what, int)
            return edits.set_basket_discount(basket, discount_minor=what)
    assert isinstance(what, int)
    edit: Callable[[], Basket] = {
        "discount": lambda: edits.set_line_discount(basket, what, discount_minor=much),
        "share": lambda: edits.set_line_discount(basket, what, discount_ppm=much),
        "gift": lambda: edits.set_gift(basket, what, "test"),
        "price": lambda: edits.set_price(basket, what, much),
        "quantity": lambda: edits.set_quantity(basket, what, much * 1000),
        "void": lambda: edits.void(basket, what),
    }[act]
    return edit()


@pytest.fixture
def promoted(node: Node) -> Node:
    promote(
        node,
        Promotion(code="A", name="", kind=PromotionKind.PERCENT_OFF, percent_ppm=100_000, categories=("drinks",)),
        Promotion(code="B", name="", kind=PromotionKind.N_FOR_PRICE, categories=("drinks",), buy_count=3,
                  amount_minor=minor(800)),
        Promotion(code="C", name="", kind=PromotionKind.AMOUNT_OFF, threshold_minor=minor(2000),
                  amount_minor=minor(150), is_each=True),
    )  # fmt: skip
    return node
