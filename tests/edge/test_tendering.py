"""Money is taken: what is due, what is refused, and that a sale is one fact however often its key is pressed."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import basket as edits
from edge.balances import balance
from edge.basket import Basket, Member, add, price_basket
from edge.doctor import examine
from edge.node import Node
from edge.refunding import exchange, refund_lines
from edge.returns import ReturnRequest, find_sale
from edge.scanning import Unknown, interpret
from edge.selling import Completed
from edge.tendering import Payment, complete, drop_choices, due, quick_cash
from edge.unknown_tenders import settle_tender, unknown_tenders
from schema.errors import RefusalError
from schema.kinds.balances import BalanceMoved
from schema.kinds.base import Payload
from schema.kinds.tills import ProductDrafted
from schema.kinds.trading import Sale
from schema.rows import BalanceKind, PromotionKind, StaffRole
from schema.rules.promotion_terms import Promotion
from schema.rules.rounding import Rounding
from schema.settings import CashRules, Limits, LoyaltyRules, RoleLimits
from tests.edge.goods import (
    BASKET_SET,
    CHEESE_BARCODE,
    COLA,
    MILK,
    NO_PRICE,
    PORK,
    TEA,
    basket_of,
    customer,
    minor,
    promote,
    settle,
    staff,
    teach_goods,
)
from tests.edge.shops import Shops, entry_count, figures


@pytest.fixture
def node(shops: Shops) -> Node:
    return teach_goods(shops.make_node())


def sale_of(node: Node, completed: Completed) -> Sale:
    return find_sale(node, completed.receipt_number).sale


def newest(node: Node, count: int) -> list[Payload | None]:
    """Return the payloads of the newest entries of the node's own stream."""
    row = node.replica.log.stream(next(r.stream for r in node.replica.rows() if r.stream.scope == node.config.scope))
    assert row is not None
    return [entry.payload for entry in node.replica.log.entries(row, row.head.seq - count)]


def pay(node: Node, basket: Basket, *payments: Payment, attempt: str = "a1", operator: str = "", drop: int = 0,
        approver: str = "") -> Completed:  # fmt: skip
    return complete(node, basket, payments, operator=operator, attempt=attempt, dropped_minor=drop, approver=approver)


def refused(node: Node, basket: Basket, *payments: Payment, **named: object) -> str:
    """Return the code of a refusal that recorded nothing."""
    before = entry_count(node), node.state().receipt_next
    with pytest.raises(RefusalError) as found:
        pay(node, basket, *payments, **named)  # type: ignore[arg-type]
    assert (entry_count(node), node.state().receipt_next) == before
    return found.value.code


# Cash.


def test_cash_gives_change(node: Node) -> None:
    done = pay(node, basket_of(node, COLA, TEA), Payment("cash", given_minor=1000))
    assert (done.total_minor, done.change_minor) == (650, 350)
    [tender] = sale_of(node, done).tenders
    assert (tender.means, tender.amount_minor, tender.given_minor, tender.state) == ("cash", 650, 1000, "")


def test_a_plain_cash_sale_is_one_entry(node: Node) -> None:
    before = entry_count(node)
    pay(node, basket_of(node, COLA))
    assert entry_count(node) == before + 1


def test_cash_that_does_not_suffice_says_what_is_left(node: Node) -> None:
    basket = basket_of(node, COLA, TEA)
    priced = price_basket(node, basket)
    now = due(node, priced, [Payment("cash", given_minor=500)])
    assert (now.paid_minor, now.left_minor, now.change_minor) == (500, 150, 0)
    assert refused(node, basket, Payment("cash", given_minor=500)) == "tenders_short"


def test_quick_amounts_begin_with_the_exact_one_as_cash_can_pay_it(node: Node) -> None:
    assert quick_cash(node, 1393)[:3] == (1393, 1400, 1500)
    settle(node, CashRules(step_minor=10, rounding=Rounding.DOWN))
    assert quick_cash(node, 1393)[0] == 1390


def test_small_change_is_dropped_as_a_figure_of_its_own_and_spread_over_the_lines(node: Node) -> None:
    basket = basket_of(node, f"0.35*{PORK}", COLA, TEA)
    priced = price_basket(node, basket)
    assert priced.total_minor == 2043
    assert drop_choices(node, priced) == ((3, 2040), (43, 2000))
    done = pay(node, basket, Payment("cash", given_minor=2000), drop=43)
    sale = sale_of(node, done)
    assert (sale.total_minor, sale.rounding_minor, done.change_minor) == (2000, 43, 0)
    assert sum(line.amount_minor for line in sale.lines) == 2000
    assert sum(d.share_minor for line in sale.lines for d in line.discounts if d.reason == "rounding") == 43


@pytest.mark.parametrize(
    ("step", "way", "total", "rounding"),
    [
        (10, Rounding.DOWN, 2040, 3),
        (10, Rounding.HALF_UP, 2040, 3),
        (10, Rounding.UP, 2050, -7),
        (1, Rounding.DOWN, 2043, 0),
    ],
)
def test_cash_is_rounded_by_the_shops_rule_and_other_means_are_not(
    node: Node, step: int, way: Rounding, total: int, rounding: int
) -> None:
    settle(node, CashRules(step_minor=step, rounding=way))
    basket = basket_of(node, f"0.35*{PORK}", COLA, TEA)
    done = pay(node, basket, Payment("cash", given_minor=3000), attempt="cash")
    sale = sale_of(node, done)
    assert (sale.total_minor, sale.rounding_minor, done.change_minor) == (total, rounding, 3000 - total)
    assert sum(line.amount_minor for line in sale.lines) == total
    card = sale_of(node, pay(node, basket, Payment("card", 2043), attempt="card"))
    assert (card.total_minor, card.rounding_minor) == (2043, 0)
    split = sale_of(node, pay(node, basket, Payment("wechat", 1000), Payment("cash", given_minor=2000), attempt="both"))
    assert split.total_minor == total
    assert [(t.means, t.amount_minor) for t in split.tenders] == [("wechat", 1000), ("cash", total - 1000)]


def test_a_basket_of_gifts_is_a_sale_of_nothing(node: Node) -> None:
    done = pay(node, edits.set_gift(basket_of(node, COLA), 0, "庆生"))
    assert done.total_minor == 0
    assert sale_of(node, done).tenders[0].amount_minor == 0


# What an outside service decides.


def test_an_external_tender_keeps_its_reference_and_its_state(node: Node) -> None:
    done = pay(node, basket_of(node, COLA), Payment("wechat", 300, reference="42000017", state="unknown"))
    [tender] = sale_of(node, done).tenders
    assert (tender.reference, tender.state) == ("42000017", "unknown")
    [open_one] = unknown_tenders(node)
    assert (open_one.number, open_one.means, open_one.amount_minor) == (done.receipt_number, "wechat", 300)
    settle_tender(node, open_one.entry, open_one.part, "confirmed", operator="o1")
    assert unknown_tenders(node) == []
    with pytest.raises(RefusalError) as again:
        settle_tender(node, open_one.entry, open_one.part, "failed")
    assert again.value.code == "tender_unknown"
    with pytest.raises(RefusalError) as strange:
        settle_tender(node, open_one.entry, 0, "maybe")
    assert strange.value.code == "tender_outcome"


@pytest.mark.parametrize(
    ("payment", "code"),
    [
        (Payment("wechat", 299), "tenders_short"), (Payment("wechat", 301), "tenders_exceed"),
        (Payment("bitcoin", 300), "means_unknown"), (Payment("card", -300), "amount_invalid"),
        (Payment("card", 300, state="maybe"), "tender_state"),
        (Payment("wechat", 300, reference="134567890123456789"), "payment_code_kept"),
        (Payment("card", 300, reference="6222021234567890128"), "text.card_number"),
        (Payment("card", 300, reference="x" * 65), "text_long"),
        (Payment("stored", 300), "member_missing"), (Payment("account", 300), "member_missing"),
        (Payment("points", 300), "member_missing"), (Payment("gift_card", 300), "gift_card_missing"),
    ],
)  # fmt: skip
def test_a_payment_that_cannot_be_is_refused_and_nothing_is_recorded(node: Node, payment: Payment, code: str) -> None:
    assert refused(node, basket_of(node, COLA), payment) == code


def test_neither_an_empty_basket_nor_goods_without_a_price_are_sold(node: Node) -> None:
    assert refused(node, Basket()) == "basket_empty"
    assert refused(node, basket_of(node, NO_PRICE)) == "price_missing"
    assert refused(node, basket_of(node, COLA), drop=-1) == "rounding_invalid"
    assert refused(node, basket_of(node, COLA), drop=301) == "rounding_invalid"


# Double presses.


def test_a_key_pressed_twice_sells_once(node: Node) -> None:
    basket = basket_of(node, COLA)
    first = pay(node, basket, Payment("cash", given_minor=500), attempt="t-1")
    count = entry_count(node)
    assert pay(node, basket, Payment("cash", given_minor=500), attempt="t-1") == first
    assert entry_count(node) == count
    assert pay(node, basket, attempt="t-2").receipt_number != first.receipt_number


def test_two_screens_with_one_attempt_sell_once(node: Node) -> None:
    basket = basket_of(node, COLA)
    done: list[Completed] = []
    others = [Node(node.directory, clock=node.clock_source) for _ in range(2)]

    def press(one: Node) -> None:
        done.append(pay(one, basket, attempt="t-1"))

    threads = [threading.Thread(target=press, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.close()
    assert len({one.receipt_number for one in done}) == 1
    assert len(done) == 2


def test_an_attempt_is_found_after_a_restart(node: Node) -> None:
    first = pay(node, basket_of(node, COLA), attempt="t-1")
    with Node(node.directory, clock=node.clock_source) as again:
        assert pay(again, basket_of(again, COLA), attempt="t-1") == first


def test_the_customer_pays_what_was_shown_though_a_price_changed_meanwhile(node: Node) -> None:
    basket = basket_of(node, TEA)
    shown = price_basket(node, basket)
    promote(node, Promotion(code="P", name="", kind=PromotionKind.PERCENT_OFF, percent_ppm=500_000))
    done = complete(node, basket, [Payment("cash", given_minor=350)], attempt="t-1", priced=shown)
    assert done.total_minor == 350


# Limits.


@pytest.fixture
def people(node: Node) -> Node:
    staff(node, ann="cashier", bob="supervisor", eve="shop_manager")
    settle(
        node,
        RoleLimits(
            roles={
                StaffRole.CASHIER: Limits(discount_ppm=100_000, rounding_minor=9),
                StaffRole.SUPERVISOR: Limits(
                    discount_ppm=300_000, rounding_minor=99, gift_minor=400, override_ppm=500_000, approves=True
                ),
                StaffRole.SHOP_MANAGER: Limits(discount_ppm=900_000, rounding_minor=999),
            }
        ),
    )
    return node


@pytest.mark.parametrize(
    ("act", "fits", "needs"),
    [
        ("rounding", 9, 10),
        ("line", 30, 31),
        ("basket", 30, 31),
        ("override", 0, 10),
        ("gift", 0, 1),
    ],
)
def test_each_role_has_its_limits_and_a_second_person_lifts_them(people: Node, act: str, fits: int, needs: int) -> None:
    def made(amount: int) -> tuple[Basket, int]:
        basket = basket_of(people, COLA)
        if not amount:
            return basket, 0
        match act:
            case "rounding":
                return basket, amount
            case "line":
                return edits.set_line_discount(basket, 0, discount_minor=amount), 0
            case "basket":
                return edits.set_basket_discount(basket, discount_minor=amount), 0
            case "override":
                return edits.set_price(basket, 0, 300 - amount), 0
            case _:
                return edits.set_gift(basket, 0, "x"), 0

    basket, drop = made(fits)
    assert pay(people, basket, operator="ann", drop=drop, attempt="ok")
    basket, drop = made(needs)
    assert refused(people, basket, operator="ann", drop=drop, attempt="no") == "approval_needed"
    assert refused(people, basket, operator="ann", approver="eve", drop=drop, attempt="no") == "approval_needed"
    assert refused(people, basket, operator="stranger", drop=drop, attempt="no") == "approval_needed"
    done = pay(people, basket, operator="ann", approver="bob", drop=drop, attempt="yes")
    assert sale_of(people, done).approver == "bob"


def test_who_allowed_a_line_is_enough_for_that_line(people: Node) -> None:
    basket = edits.set_line_discount(basket_of(people, COLA, TEA), 0, discount_minor=60, approver="bob")
    assert sale_of(people, pay(people, basket, operator="ann")).approver == "bob"
    basket = edits.set_line_discount(basket, 1, discount_minor=60)
    assert refused(people, basket, operator="ann", attempt="a2") == "approval_needed"


# Members: points, stored value, credit.


@pytest.fixture
def member(node: Node) -> Basket:
    customer(node, "p1")
    settle(
        node,
        LoyaltyRules(earn_minor=100, point_minor=2, credit_limit_minor=1000, bonuses=((10_000, 500), (20_000, 2000))),
    )
    return edits.set_member(Basket(), Member("p1"))


def amounts(node: Node, person: str = "p1") -> dict[str, int]:
    kinds = {"points": BalanceKind.MEMBER_POINTS, "stored": BalanceKind.MEMBER_BALANCE,
             "bonus": BalanceKind.MEMBER_BONUS, "credit": BalanceKind.CUSTOMER_CREDIT}  # fmt: skip
    return {name: balance(node, kind, person).amount for name, kind in kinds.items()}


def give(node: Node, kind: BalanceKind, subject: str, amount: int) -> None:
    """Have something happen here that moved a balance."""
    from edge.balance_effects import move

    with node.write() as writing:
        writing.append(BalanceMoved((move(kind, subject, amount),), "earned", "test"))


def with_goods(member: Basket, node: Node, *texts: str) -> Basket:
    basket = member
    for line in basket_of(node, *texts).lines:
        basket = add(basket, line)
    return basket


def test_a_members_sale_earns_points_in_its_own_transaction(node: Node, member: Basket) -> None:
    done = pay(node, with_goods(member, node, COLA, TEA))
    assert amounts(node)["points"] == 6
    sale, moved = newest(node, 2)
    assert isinstance(sale, Sale)
    assert isinstance(moved, BalanceMoved)
    assert (moved.reason, moved.document, sale.member) == ("earned", done.receipt_number, "p1")


def test_points_pay_and_earn_nothing_on_what_they_paid(node: Node, member: Basket) -> None:
    give(node, BalanceKind.MEMBER_POINTS, "p1", 100)
    pay(node, with_goods(member, node, COLA, TEA), Payment("points", 200), Payment("cash", given_minor=500))
    assert amounts(node)["points"] == 100 - 100 + 4


def test_stored_value_is_spent_principal_first(node: Node, member: Basket) -> None:
    give(node, BalanceKind.MEMBER_BALANCE, "p1", 500)
    give(node, BalanceKind.MEMBER_BONUS, "p1", 300)
    pay(node, with_goods(member, node, COLA, TEA), Payment("stored", 650))
    assert (amounts(node)["stored"], amounts(node)["bonus"]) == (0, 150)
    assert refused(node, with_goods(member, node, COLA), Payment("stored", 300), attempt="a2") == "balance_low"


def test_a_broken_point_and_points_that_are_not_there_are_refused(node: Node, member: Basket) -> None:
    basket = with_goods(member, node, COLA)
    assert refused(node, basket, Payment("points", 300)) == "points_low"
    give(node, BalanceKind.MEMBER_POINTS, "p1", 10)
    assert refused(node, basket, Payment("points", 5), Payment("cash", given_minor=300)) == "points_broken"


def test_goods_on_account_count_against_the_customers_limit(people: Node, member: Basket) -> None:
    pay(people, with_goods(member, people, COLA, TEA), Payment("account", 650), operator="ann")
    assert amounts(people)["credit"] == 650
    again = with_goods(member, people, COLA, TEA)
    assert refused(people, again, Payment("account", 650), operator="ann", attempt="a2") == "approval_needed"
    assert pay(people, again, Payment("account", 650), operator="ann", approver="bob", attempt="a3")
    assert amounts(people)["credit"] == 1300


def test_old_balances_are_spent_within_the_shops_limits_alone(people: Node, member: Basket) -> None:
    settle(people, LoyaltyRules(offline_stored_minor_max=300, offline_points_max=200, point_minor=1))
    give(people, BalanceKind.MEMBER_BALANCE, "p1", 5000)
    give(people, BalanceKind.MEMBER_POINTS, "p1", 5000)
    assert pay(people, with_goods(member, people, COLA), Payment("stored", 300), operator="ann", attempt="ok")
    basket = with_goods(member, people, TEA)
    for means in ("stored", "points"):
        assert refused(people, basket, Payment(means, 350), operator="ann", attempt="no") == "approval_needed"
        assert pay(people, basket, Payment(means, 350), operator="ann", approver="bob", attempt=means)


def test_a_gift_card_pays_what_is_on_it(node: Node) -> None:
    give(node, BalanceKind.GIFT_CARD, "GC-1", 500)
    pay(node, basket_of(node, COLA), Payment("gift_card", 300, reference="GC-1"))
    assert balance(node, BalanceKind.GIFT_CARD, "GC-1").amount == 200
    low = refused(node, basket_of(node, COLA), Payment("gift_card", 300, reference="GC-1"), attempt="a2")
    assert low == "balance_low"


def test_a_single_use_coupon_is_used_once_here_and_counted_for_the_hub(node: Node) -> None:
    promote(node, Promotion(code="V1", name="券", kind=PromotionKind.AMOUNT_OFF, amount_minor=minor(100),
                            coupon="SAVE-*", is_single_use=True))  # fmt: skip
    basket = edits.add_coupon(basket_of(node, COLA), "SAVE-7")
    assert pay(node, basket).total_minor == 200
    assert balance(node, BalanceKind.COUPON, "SAVE-7").amount == 1
    assert refused(node, basket, attempt="a2") == "coupon_used"
    other = edits.add_coupon(basket_of(node, COLA), "SAVE-8")
    assert pay(node, other, attempt="a3").total_minor == 200


def test_a_coupon_comes_back_with_the_last_of_its_sale_and_is_used_again(node: Node) -> None:
    promote(node, Promotion(code="V1", name="券", kind=PromotionKind.AMOUNT_OFF, amount_minor=minor(100),
                            coupon="SAVE-*", is_single_use=True))  # fmt: skip
    basket = edits.add_coupon(basket_of(node, COLA, TEA), "SAVE-7")
    original = find_sale(node, pay(node, basket).receipt_number)
    refund_lines(node, original, [ReturnRequest(0, 1000)])
    assert balance(node, BalanceKind.COUPON, "SAVE-7").amount == 1, "a part came back: the coupon gave for the rest"
    assert refused(node, basket, attempt="a2") == "coupon_used"
    refund_lines(node, original)
    assert balance(node, BalanceKind.COUPON, "SAVE-7").amount == 0
    assert pay(node, basket, attempt="a3").total_minor == original.sale.total_minor
    assert refused(node, basket, attempt="a4") == "coupon_used"
    assert examine(node).is_healthy


def test_a_whole_exchange_may_use_the_coupon_of_what_came_back(node: Node) -> None:
    promote(node, Promotion(code="V1", name="券", kind=PromotionKind.AMOUNT_OFF, amount_minor=minor(100),
                            coupon="SAVE-*", is_single_use=True))  # fmt: skip
    original = find_sale(node, pay(node, edits.add_coupon(basket_of(node, COLA), "SAVE-7")).receipt_number)
    other = edits.add_coupon(basket_of(node, TEA), "SAVE-7")
    done = exchange(node, original, original.whole(), other, attempt="x1")
    assert done.sale.total_minor == 250
    assert balance(node, BalanceKind.COUPON, "SAVE-7").amount == 1


# Goods of special kinds.


def test_a_kit_takes_its_parts_from_the_shelf_and_not_itself(node: Node) -> None:
    done = pay(node, basket_of(node, TEA, f"2*{BASKET_SET}"))
    sale = sale_of(node, done)
    assert [(line.product, line.quantity_milli, line.amount_minor, line.kit_parent) for line in sale.lines] == [
        (TEA, 1000, 350, None), (BASKET_SET, 2000, 2000, None), (MILK, 4000, 0, 1), (COLA, 2000, 0, 1),
    ]  # fmt: skip
    assert {move.product: move.quantity_milli for move in sale.moves} == {TEA: -1000, MILK: -4000, COLA: -2000}
    assert BASKET_SET not in figures(node)


def test_lot_and_serial_number_leave_with_the_goods(node: Node) -> None:
    meant = interpret(node, f"]C1010{CHEESE_BARCODE}17270101102B\x1d21S9", is_scan=True)
    done = pay(node, add(Basket(), meant.line))  # type: ignore[union-attr]
    [move] = sale_of(node, done).moves
    assert (move.lot, move.expiry, move.serial) == ("2B", "2027-01-01", "S9")


def test_an_unknown_barcode_is_sold_at_a_keyed_price_and_becomes_a_draft(node: Node) -> None:
    meant = interpret(node, "6944449999990", is_scan=True)
    assert isinstance(meant, Unknown)
    basket = edits.set_price(add(Basket(), meant.line), 0, 880)
    done = pay(node, basket)
    sale, draft = newest(node, 2)
    assert isinstance(sale, Sale)
    assert isinstance(draft, ProductDrafted)
    assert (draft.barcode, draft.price_minor, draft.document) == (meant.code, 880, done.receipt_number)
    assert sale.lines[0].price_source == "open"
    again = interpret(node, meant.code, is_scan=True)
    assert isinstance(again, Unknown)
    assert again.last_minor == 880


# Whatever is paid.


MONEY = st.lists(
    st.tuples(st.sampled_from(["cash", "wechat", "card", "stored", "points"]), st.integers(0, 1500)), max_size=4
)


WAYS = st.sampled_from([Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.DOWN, Rounding.UP])


@given(money=MONEY, drop=st.integers(0, 99), step=st.sampled_from([1, 5, 10, 100]), way=WAYS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_totals_lines_and_tenders_always_agree(
    rich: Node, money: Sequence[tuple[str, int]], drop: int, step: int, way: Rounding
) -> None:
    basket = edits.set_member(basket_of(rich, f"0.35*{PORK}", COLA, f"2*{TEA}", BASKET_SET), Member("p1"))
    settle(rich, CashRules(step_minor=step, rounding=way), LoyaltyRules(point_minor=1, offline_points_max=10**9,
                                                                       offline_stored_minor_max=10**9))  # fmt: skip
    payments = [
        Payment(means, given_minor=amount) if means == "cash" else Payment(means, amount) for means, amount in money
    ]
    priced = price_basket(rich, basket)
    now = due(rich, priced, payments, drop)
    if now.left_minor:
        payments.append(Payment("cash", given_minor=now.left_cash_minor + 7))
    before = {kind: amounts(rich)[kind] for kind in ("stored", "bonus", "points")}
    attempt = f"t{rich.state().receipt_next}"
    if now.over_minor:
        assert refused(rich, basket, *payments, drop=drop, attempt=attempt) == "tenders_exceed"
        return
    done = complete(rich, basket, payments, attempt=attempt, dropped_minor=drop)
    sale = sale_of(rich, done)
    assert (
        sum(line.amount_minor for line in sale.lines) == sum(t.amount_minor for t in sale.tenders) == sale.total_minor
    )
    assert sale.total_minor + sale.rounding_minor == priced.total_minor
    assert all(line.amount_minor >= 0 or sale.rounding_minor < 0 for line in sale.lines)
    given_in_cash = sum(payment.given_minor for payment in payments if payment.means == "cash")
    in_cash = sum(tender.amount_minor for tender in sale.tenders if tender.means == "cash")
    assert done.change_minor == max(0, given_in_cash - in_cash)
    after = amounts(rich)
    spent = {means: sum(t.amount_minor for t in sale.tenders if t.means == means) for means in ("stored", "points")}
    assert before["stored"] + before["bonus"] - after["stored"] - after["bonus"] == spent["stored"]
    earned = (sale.total_minor - spent["points"]) // 100
    assert after["points"] == before["points"] - spent["points"] + earned


@pytest.fixture
def rich(node: Node) -> Node:
    customer(node, "p1")
    for kind in (BalanceKind.MEMBER_BALANCE, BalanceKind.MEMBER_BONUS, BalanceKind.MEMBER_POINTS):
        give(node, kind, "p1", 10**9)
    return node
