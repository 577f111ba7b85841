"""The van's day at its node: signed loads, the round, credit as a right, the settlement and its paper, all offline."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.account_payments import repay
from edge.balances import balance
from edge.basket import EMPTY, Basket, Member, add, set_member
from edge.counting import count_product
from edge.doctor import examine
from edge.members import member_card
from edge.node import Node
from edge.papers import paper_pages, read_paper
from edge.receipts import receipt_document
from edge.returns import ReturnRequest
from edge.scanning import pick
from edge.selling import LineRequest, refund, refund_without_receipt, sell
from edge.shifts import close_shift, current_shift, open_shift
from edge.stock import QuantityRequest, adjust_stock, open_stock, receive_goods
from edge.tendering import Payment, complete
from edge.van_load import load_out, loads, take_aboard, take_aboard_by_paper, unload
from edge.van_route import is_van, last_purchases, stops
from edge.van_settlement import last_settlement, settle_van, settlement_entry, standing
from schema.errors import RefusalError
from schema.kinds.organisation import PersonForgotten
from schema.kinds.vans import VanSettled
from schema.rows import BalanceKind
from schema.rules.promotion_terms import Language
from tests.edge.people import employ
from tests.edge.shops import WATER, Shops, carry, exchange, figures
from tests.edge.vans import BOSS, DRIVER, INN, STORE, define_van, give_credit, limit_credit, make_van

SODA = "P1001"


@pytest.fixture
def van(shops: Shops) -> Node:
    define_van(shops)
    return make_van(shops)


def basket_of(node: Node, person: str = "", product: str = WATER, pieces: int = 1) -> Basket:
    outcome = pick(node, product, quantity_milli=pieces * 1000)
    basket = add(EMPTY, outcome.line)  # type: ignore[union-attr]
    if person:
        card = member_card(node, person)
        basket = set_member(basket, Member(card.person, card.masked, card.name, card.tier))
    return basket


def on_account(node: Node, person: str, pieces: int) -> str:
    """Sell water at 2.00 a piece on account."""
    done = complete(
        node, basket_of(node, person, pieces=pieces), [Payment("account", pieces * 200)],
        operator=DRIVER.operator, attempt=secrets.token_hex(8),
    )  # fmt: skip
    return done.receipt_number


def owed(node: Node, person: str) -> int:
    return balance(node, BalanceKind.CUSTOMER_CREDIT, person).amount


# The load.


def test_a_load_is_taken_aboard_by_whoever_signs_with_number_and_pin(shops: Shops, van: Node) -> None:
    warehouse = shops.make_node("W1", "W")
    employ(shops, DRIVER, BOSS)
    receive_goods(warehouse, [QuantityRequest(WATER, 100_000)])
    sent = load_out(warehouse, "V", [QuantityRequest(WATER, 24_000)], driver="3001", pin="333333")
    carry(warehouse, van, "loc/V")
    (load,) = loads(van)
    assert (load.transfer, load.origin, load.lines[0].transit_milli) == (sent.transfer, "W", 24_000)
    with pytest.raises(RefusalError) as refused:
        take_aboard(van, load.transfer, driver="3001", pin="111111")
    assert refused.value.code == "pin_wrong"
    assert [one.transfer for one in loads(van)] == [load.transfer]
    take_aboard(van, load.transfer, driver="3001", pin="333333")
    assert loads(van) == []
    assert figures(van)[WATER][0] == 24_000


def test_a_load_comes_aboard_by_its_paper_where_no_line_has_brought_it(shops: Shops, van: Node) -> None:
    warehouse = shops.make_node("W1", "W")
    employ(shops, DRIVER)
    receive_goods(warehouse, [QuantityRequest(WATER, 100_000)])
    sent = load_out(warehouse, "V", [QuantityRequest(WATER, 24_000)], driver="3001", pin="333333")
    paper = read_paper(van, paper_pages(warehouse, sent.transfer)[0])
    take_aboard_by_paper(van, paper, driver="3001", pin="333333")
    assert figures(van)[WATER][0] == 24_000


# The round.


def test_the_round_names_its_customers_in_order_with_what_they_owe_and_what_was_done(shops: Shops, van: Node) -> None:
    limit_credit(shops, STORE.person, 50_000)
    give_credit(van, STORE.person, 30_000)
    assert is_van(van)
    first, second = stops(van)
    assert (first.card.name, first.address, first.note, first.is_done) == ("王记小卖部", "桥头村 1 号", "带空瓶", False)
    assert (first.card.credit_limit_minor, first.card.credit_left_minor, first.card.has_own_limit) == (
        50_000, 30_000, True,
    )  # fmt: skip
    assert second.card.name == INN.name
    on_account(van, STORE.person, 5)
    first, _ = stops(van)
    assert (first.is_done, first.sold_minor, first.card.credit_minor, first.card.credit_left_minor) == (
        True, 1000, 1000, 29_000,
    )  # fmt: skip
    assert [look.total_minor for look in last_purchases(van, STORE.person)] == [1000]


def test_a_customer_who_asked_to_be_forgotten_leaves_the_round_and_the_name_leaves_the_van(
    shops: Shops, van: Node
) -> None:
    shops.tell(PersonForgotten(STORE.person))
    assert [stop.card.name for stop in stops(van)] == [INN.name]
    held = van.connection.execute("SELECT statement FROM elsewhere WHERE topic = 'operators'").fetchone()[0]
    assert STORE.key not in bytes(held)
    assert INN.key in bytes(held)


# Credit as a right.


def test_two_vans_apart_cannot_lend_one_customers_limit_twice(shops: Shops) -> None:
    define_van(shops, "V", "V2")
    one, other = make_van(shops, "V1", "V"), make_van(shops, "V9", "V2")
    limit_credit(shops, STORE.person, 10_000)
    give_credit(one, STORE.person, 6_000)
    give_credit(other, STORE.person, 4_000)
    on_account(one, STORE.person, 30)
    on_account(other, STORE.person, 20)
    for node in (one, other):
        with pytest.raises(RefusalError) as refused:
            on_account(node, STORE.person, 1)
        assert refused.value.code == "credit_exceeded"
        with pytest.raises(RefusalError) as nobody:  # no manager here knows what the other van lends
            complete(
                node, basket_of(node, STORE.person), [Payment("account", 200)], operator=DRIVER.operator,
                approver=BOSS.operator, attempt="a1",
            )  # fmt: skip
        assert nobody.value.code == "credit_exceeded"
    assert owed(one, STORE.person) + owed(other, STORE.person) == 10_000
    assert examine(one).is_healthy


def test_what_a_customer_pays_or_brings_back_may_be_lent_again_at_once(shops: Shops, van: Node) -> None:
    limit_credit(shops, STORE.person, 10_000)
    give_credit(van, STORE.person, 10_000)
    first = on_account(van, STORE.person, 20)
    on_account(van, STORE.person, 30)
    assert member_card(van, STORE.person).credit_left_minor == 0
    repay(van, STORE.person, 5_000, operator=DRIVER.operator, attempt="a1")
    assert (owed(van, STORE.person), member_card(van, STORE.person).credit_left_minor) == (5_000, 5_000)
    refund(van, first, [ReturnRequest(0, 5_000)], operator=DRIVER.operator)
    assert (owed(van, STORE.person), member_card(van, STORE.person).credit_left_minor) == (4_000, 6_000)
    on_account(van, STORE.person, 30)
    assert (owed(van, STORE.person), member_card(van, STORE.person).credit_left_minor) == (10_000, 0)
    assert examine(van).is_healthy


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.sampled_from(["lent", "paid", "back"]), st.integers(1, 40)), max_size=12))
def test_what_is_owed_and_what_may_be_lent_never_exceed_what_was_given(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    shops = Shops(tmp_path_factory.mktemp("shops"))
    try:
        define_van(shops)
        van = make_van(shops)
        limit_credit(shops, STORE.person, 10_000)
        give_credit(van, STORE.person, 10_000)
        sold: list[str] = []
        for act, pieces in acts:
            try:
                if act == "lent":
                    sold.append(on_account(van, STORE.person, pieces))
                elif act == "paid":
                    repay(van, STORE.person, pieces * 200, attempt=secrets.token_hex(8))
                elif sold:
                    refund(van, sold.pop())
            except RefusalError:
                continue
            card = member_card(van, STORE.person)
            assert card.credit_minor + card.credit_left_minor <= 10_000
            assert card.credit_left_minor >= 0
            if act == "lent":  # what was refunded after it was paid is the customer's own money, not a limit
                assert card.credit_minor <= 10_000
    finally:
        shops.close()


def test_a_customer_without_an_own_limit_is_lent_beyond_the_chains_by_a_manager(shops: Shops, van: Node) -> None:
    with pytest.raises(RefusalError) as refused:
        on_account(van, INN.person, 1)
    assert refused.value.code == "approval_needed"
    done = complete(
        van, basket_of(van, INN.person), [Payment("account", 200)], operator=DRIVER.operator,
        approver=BOSS.operator, attempt="a1",
    )  # fmt: skip
    assert done.total_minor == 200
    limit_credit(shops, INN.person, 0)
    limit_credit(shops, INN.person, None)  # the chain's limit again
    assert not member_card(van, INN.person).has_own_limit


# The settlement.


def sold_day(van: Node) -> None:
    """Trade a day: 24 waters aboard, some sold, one brought back, one given away, two broken, four sent home."""
    open_stock(van, [QuantityRequest(WATER, 24_000), QuantityRequest(SODA, 6_000)])
    open_shift(van, operator=DRIVER.operator, float_minor=10_000)
    number = sell(van, [LineRequest(WATER, 10_000)], operator=DRIVER.operator).receipt_number
    refund(van, number, [ReturnRequest(0, 1_000)], operator=DRIVER.operator)
    adjust_stock(van, "damage", [QuantityRequest(WATER, 2_000)])
    adjust_stock(van, "gift", [QuantityRequest(WATER, 1_000)])
    unload(van, [QuantityRequest(WATER, 4_000)])


def test_the_settlement_names_what_is_missing_and_what_the_drawer_held(van: Node) -> None:
    sold_day(van)
    with pytest.raises(RefusalError) as open_still:
        settle_van(van, operator=DRIVER.operator)
    assert open_still.value.code == "shift_open"
    close_shift(van, 11_700, operator=DRIVER.operator)
    with pytest.raises(RefusalError) as uncounted:
        settle_van(van, operator=DRIVER.operator)
    assert (uncounted.value.code, uncounted.value.facts["count"]) == ("van_uncounted", 2)
    count_product(van, WATER, 7_000)  # eight ought to be aboard
    count_product(van, SODA, 6_000)
    done = settle_van(van, operator=DRIVER.operator, note="一瓶找不到")
    line = next(one for one in done.lines if one.product == WATER)
    assert (line.opening_milli, line.sold_milli, line.returned_milli, line.wasted_milli, line.given_milli,
            line.sent_milli, line.closing_milli) == (24_000, 10_000, 1_000, 2_000, 1_000, 4_000, 7_000)  # fmt: skip
    assert (line.difference_milli, line.value_minor, done.missing_minor) == (1_000, 200, 200)
    assert (done.cash_expected_minor, done.cash_counted_minor) == (11_800, 11_700)
    assert done.means[0].sales_minor == 2_000
    assert done.means[0].refunds_minor == 200
    assert examine(van).is_healthy


def test_goods_stay_aboard_overnight_and_the_next_settlement_begins_with_them(shops: Shops, van: Node) -> None:
    sold_day(van)
    close_shift(van, 11_800)
    count_product(van, WATER, 7_000)
    first = settle_van(van, allows_uncounted=True)
    with pytest.raises(RefusalError) as nothing:
        settle_van(van, allows_uncounted=True)
    assert nothing.value.code == "van_settled"
    shops.pass_minutes(600)
    sell(van, [LineRequest(WATER, 2_000)], operator=DRIVER.operator)
    second = settle_van(van, allows_uncounted=True)
    lines = {line.product: line for line in second.lines}
    assert (lines[WATER].opening_milli, lines[WATER].sold_milli, lines[WATER].left_milli) == (7_000, 2_000, 5_000)
    assert lines[SODA].opening_milli == 6_000
    assert second.previous == settlement_entry(van, first.settlement)
    assert [(one.means, one.sales_minor) for one in second.means] == [("cash", 400)]
    known = last_settlement(van)
    assert known is not None
    assert known[1] == second


def test_what_another_till_of_the_van_sold_and_brings_late_is_in_the_next_settlement(shops: Shops, van: Node) -> None:
    second = make_van(shops, "V2", "V")
    open_stock(van, [QuantityRequest(WATER, 24_000)])
    exchange(van, second)
    sell(second, [LineRequest(WATER, 3_000)])
    sell(van, [LineRequest(WATER, 1_000)])
    first = settle_van(van, allows_uncounted=True)
    assert next(iter(first.lines)).sold_milli == 1_000
    exchange(van, second)
    late = settle_van(van, allows_uncounted=True)
    assert [(line.product, line.opening_milli, line.sold_milli) for line in late.lines] == [(WATER, 23_000, 3_000)]


def test_a_settlement_is_printed_in_both_languages_and_again_as_a_copy(van: Node) -> None:
    sold_day(van)
    close_shift(van, 11_700)
    count_product(van, WATER, 7_000)
    done = settle_van(van, operator=DRIVER.operator, allows_uncounted=True, prints=True)
    entry = settlement_entry(van, done.settlement)
    chinese = "\n".join(receipt_document(van, entry, columns=32, language=Language.ZH).preview())
    english = "\n".join(receipt_document(van, entry, columns=48, language=Language.EN).preview())
    assert "车辆结算单" in chinese
    assert "未盘" in chinese
    assert "赵师傅" in chinese
    assert "VAN SETTLEMENT" in english
    assert "short" in english.lower()
    jobs = van.connection.execute("SELECT entry FROM print_job").fetchall()
    assert (entry,) in [tuple(job) for job in jobs]


def test_only_a_van_is_settled(shops: Shops) -> None:
    shop = shops.make_node()
    with pytest.raises(RefusalError) as refused:
        standing(shop)
    assert refused.value.code == "van_missing"


_ACTS = st.lists(
    st.tuples(
        st.sampled_from(("sell", "load", "back", "damage", "gift", "found", "home", "return")), st.integers(1, 5)
    ),
    max_size=10,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.tuples(_ACTS, st.integers(-3, 3)), min_size=1, max_size=3))
def test_the_difference_is_what_went_astray_and_nothing_else_whatever_the_days_brought(
    tmp_path_factory: pytest.TempPathFactory, days: list[tuple[list[tuple[str, int]], int]]
) -> None:
    """The auditor keeps its own shelf; what vanishes from it between the acts is what the settlement must find."""
    shops = Shops(tmp_path_factory.mktemp("shops"))
    try:
        define_van(shops)
        van = make_van(shops)
        open_stock(van, [QuantityRequest(WATER, 50_000)])
        shelf = 50
        for acts, astray in days:
            for act, pieces in acts:
                request = [QuantityRequest(WATER, pieces * 1000)]
                match act:
                    case "sell":
                        sell(van, [LineRequest(WATER, pieces * 1000)])
                    case "load":
                        receive_goods(van, request)
                    case "home":
                        unload(van, request)
                    case "back" | "return":
                        refund_without_receipt(van, [LineRequest(WATER, pieces * 1000)])
                    case _:
                        adjust_stock(van, act, request)
                shelf += pieces if act in {"load", "back", "found", "return"} else -pieces
                shops.pass_minutes(1)
            book, shelf = shelf, max(0, shelf - astray)
            missing = book - shelf
            count_product(van, WATER, shelf * 1000)
            shops.pass_minutes(1)
            done = settle_van(van)
            line = done.lines[0]
            assert line.difference_milli == missing * 1000
            assert line.left_milli == shelf * 1000 == figures(van)[WATER][0]
    finally:
        shops.close()


def test_nothing_is_settled_while_a_shift_is_open_and_a_van_without_a_shift_needs_none(van: Node) -> None:
    open_stock(van, [QuantityRequest(WATER, 2_000)])
    assert current_shift(van) is None
    assert isinstance(settle_van(van, allows_uncounted=True), VanSettled)
