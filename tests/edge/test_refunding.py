"""Goods come back: against a receipt, from its code alone, without any, or for others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import basket as edits
from edge.account_payments import top_up
from edge.balance_effects import move
from edge.balances import balance
from edge.basket import Basket, Member, add
from edge.doctor import examine
from edge.node import Node
from edge.refunding import (
    KeyedReturn,
    SignedSale,
    exchange,
    find_original,
    refund_lines,
    refund_signed,
    refund_unreceipted,
)
from edge.returns import OriginalSale, ReturnRequest, find_sale
from edge.scanning import interpret
from edge.selling import Completed
from edge.tendering import Payment, complete
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.balances import BalanceMoved
from schema.kinds.organisation import AuthorityRevoked
from schema.kinds.trading import Refund
from schema.rows import BalanceKind, StaffRole
from schema.settings import CashRules, Limits, LoyaltyRules, RoleLimits
from tests.edge.goods import (
    BASKET_SET,
    CHEESE_BARCODE,
    COLA,
    MILK,
    PORK,
    TEA,
    basket_of,
    customer,
    settle,
    staff,
    teach_goods,
)
from tests.edge.shops import Shops, carry, entry_count, figures

Make = Callable[..., Node]


@pytest.fixture
def node(make_node: Make) -> Node:
    return teach_goods(make_node("A1"))


def sell(node: Node, *texts: str, pay: tuple[Payment, ...] = (), attempt: str = "", basket: Basket | None = None,
         drop: int = 0) -> Completed:  # fmt: skip
    whole = basket or basket_of(node, *texts)
    return complete(node, whole, pay, attempt=attempt or f"s{node.state().receipt_next}", dropped_minor=drop)


def original(node: Node, text: str) -> OriginalSale:
    found = find_original(node, text)
    assert isinstance(found, OriginalSale)
    return found


def refund_of(node: Node, completed: Completed) -> Refund:
    place = EntryId.parse(completed.entry)
    entry = node.replica.log.entry(place.stream, place.seq)
    assert entry is not None
    assert isinstance(entry.payload, Refund)
    return entry.payload


def test_a_receipt_is_found_by_number_by_entry_and_by_its_code(node: Node) -> None:
    sold = sell(node, COLA)
    found = {original(node, text).entry for text in (sold.receipt_number, sold.entry, sold.code_text,
                                                     sold.code_text.lower())}  # fmt: skip
    assert found == {sold.entry}


def test_what_is_refunded_goes_back_to_its_tenders_in_turn(node: Node) -> None:
    sold = sell(node, COLA, TEA, MILK, pay=(Payment("wechat", 400, reference="W1"), Payment("cash", given_minor=1000)))
    first = refund_of(node, refund_lines(node, original(node, sold.entry), [ReturnRequest(0, 1000)], attempt="r1"))
    assert [(t.means, t.amount_minor, t.reference, t.state) for t in first.tenders] == [
        ("wechat", 300, "W1", "confirmed")
    ]
    second = refund_of(node, refund_lines(node, original(node, sold.entry), attempt="r2"))
    assert [(t.means, t.amount_minor) for t in second.tenders] == [("wechat", 100), ("cash", 700)]


def test_nothing_is_given_back_twice_where_it_is_known(node: Node) -> None:
    sold = sell(node, f"3*{COLA}")
    refund_lines(node, original(node, sold.entry), [ReturnRequest(0, 2000)], attempt="r1")
    stale = original(node, sold.entry)
    refund_lines(node, stale, [ReturnRequest(0, 1000)], attempt="r2")
    wrong: list[tuple[list[ReturnRequest] | None, str]] = [
        ([ReturnRequest(0, 1000)], "refund_exceeds"), (None, "refund_empty"),
        ([ReturnRequest(1, 1000)], "refund_line"), ([ReturnRequest(0, 0)], "quantity_zero"),
    ]  # fmt: skip
    for returns, code in wrong:
        with pytest.raises(RefusalError) as refused:
            refund_lines(node, stale, returns, attempt="r3")
        assert refused.value.code == code


def test_one_line_named_twice_does_not_come_back_twice(node: Node) -> None:
    sold = original(node, sell(node, COLA).entry)
    with pytest.raises(RefusalError) as refused:
        refund_lines(node, sold, [ReturnRequest(0, 1000), ReturnRequest(0, 1000, "damaged")], attempt="r1")
    assert refused.value.code == "refund_exceeds"


def test_a_key_pressed_twice_refunds_once(node: Node) -> None:
    sold = original(node, sell(node, f"2*{COLA}").entry)
    first = refund_lines(node, sold, [ReturnRequest(0, 1000)], attempt="r1")
    count = entry_count(node)
    assert refund_lines(node, sold, [ReturnRequest(0, 1000)], attempt="r1") == first
    assert entry_count(node) == count


def test_a_kit_comes_back_with_its_parts(node: Node) -> None:
    sold = sell(node, f"2*{BASKET_SET}")
    back = refund_of(node, refund_lines(node, original(node, sold.entry), [ReturnRequest(0, 1000)], attempt="r1"))
    assert back.total_minor == 1000
    assert {m.product: m.quantity_milli for m in back.moves} == {MILK: 2000, COLA: 1000}
    refund_lines(node, original(node, sold.entry), attempt="r2")
    assert {figures(node)[product][0] for product in (MILK, COLA)} == {0}
    with pytest.raises(RefusalError) as refused:
        refund_lines(node, original(node, sell(node, BASKET_SET).entry), [ReturnRequest(1, 1000)], attempt="r3")
    assert refused.value.code == "refund_part"


def test_goods_return_under_the_lot_that_they_were_sold_from(node: Node) -> None:
    meant = interpret(node, f"]C1010{CHEESE_BARCODE}17270101102B\x1d21S9", is_scan=True)
    sold = sell(node, basket=add(Basket(), meant.line))  # type: ignore[union-attr]
    back = refund_of(node, refund_lines(node, original(node, sold.entry), attempt="r1"))
    [moved] = back.moves
    assert (moved.quantity_milli, moved.lot, moved.serial) == (1000, "2B", "S9")
    damaged = sell(node, COLA)
    back = refund_of(node, refund_lines(node, original(node, damaged.entry), [ReturnRequest(0, 1000, "damaged", "漏")],
                                        attempt="r2"))  # fmt: skip
    assert back.moves == ()


# From the signed code alone.


@pytest.fixture
def elsewhere(make_node: Make, node: Node) -> Node:
    """A till of another shop, which never hears of sales here."""
    return teach_goods(make_node("B1", "B"))


def signed_at(node: Node, text: str) -> SignedSale:
    found = find_original(node, text)
    assert isinstance(found, SignedSale)
    return found


def test_the_code_alone_gives_the_whole_amount_back_once(node: Node, elsewhere: Node) -> None:
    sold = sell(node, COLA, TEA)
    signed = signed_at(elsewhere, sold.code_text)
    assert (signed.entry, signed.total_minor, signed.left_minor) == (sold.entry, 650, 650)
    back = refund_of(elsewhere, refund_signed(elsewhere, signed, attempt="r1"))
    assert (back.original, back.total_minor, back.moves) == (sold.entry, 650, ())
    assert signed_at(elsewhere, sold.code_text).left_minor == 0
    with pytest.raises(RefusalError) as refused:
        refund_signed(elsewhere, signed, attempt="r2")
    assert refused.value.code == "refund_empty"


def test_keyed_goods_come_back_up_to_the_codes_total_with_a_second_person(node: Node, elsewhere: Node) -> None:
    staff(elsewhere, ann="cashier", bob="supervisor")
    sold = sell(node, COLA, TEA)
    signed = signed_at(elsewhere, sold.code_text)
    [cola] = basket_of(elsewhere, COLA).lines
    with pytest.raises(RefusalError) as alone:
        refund_signed(elsewhere, signed, [KeyedReturn(cola, 300)], operator="ann", attempt="r1")
    assert alone.value.code == "approval_needed"
    done = refund_signed(elsewhere, signed, [KeyedReturn(cola, 300)], operator="ann", approver="bob", attempt="r1")
    back = refund_of(elsewhere, done)
    assert (back.approver, back.total_minor) == ("bob", 300)
    assert [(m.product, m.quantity_milli) for m in back.moves] == [(COLA, 1000)]
    with pytest.raises(RefusalError) as more:
        refund_signed(elsewhere, signed, [KeyedReturn(cola, 351)], operator="ann", approver="bob", attempt="r2")
    assert (more.value.code, more.value.facts["left"]) == ("refund_exceeds_total", "3.50")


def test_once_the_sale_is_here_its_lines_are_what_comes_back(make_node: Make, node: Node) -> None:
    other = teach_goods(make_node("A2"))
    sold = sell(node, COLA)
    signed = signed_at(other, sold.code_text)
    carry(node, other)
    with pytest.raises(RefusalError) as refused:
        refund_signed(other, signed, attempt="r1")
    assert refused.value.code == "receipt_here"
    refund_lines(other, original(other, sold.code_text), attempt="r1")
    carry(other, node)
    with pytest.raises(RefusalError) as again:
        refund_lines(node, original(node, sold.entry), attempt="r2")
    assert again.value.code == "refund_empty"


@pytest.mark.parametrize("place", [0, 20, 60, 110, -1])
def test_a_code_that_was_changed_is_not_believed(node: Node, elsewhere: Node, place: int) -> None:
    code = sell(node, COLA).code_text
    changed = ("A" if code[place] != "A" else "Q").join((code[:place], code[place:][1:]))
    with pytest.raises(RefusalError) as refused:
        find_original(elsewhere, changed)
    assert refused.value.code in {"code_forged", "code_unverified", "receipt_unknown"}


def test_a_till_that_left_the_fleet_prints_no_more_codes(node: Node, elsewhere: Node, shops: Shops) -> None:
    good, bad = sell(node, COLA), sell(node, TEA)
    place = EntryId.parse(good.entry)
    shops.tell(AuthorityRevoked(node.config.node, (("loc/A", place.stream.writer, place.seq),)))
    assert signed_at(elsewhere, good.code_text).total_minor == 300
    with pytest.raises(RefusalError) as refused:
        find_original(elsewhere, bad.code_text)
    assert refused.value.code == "code_forged"


def test_a_refunds_own_receipt_gives_nothing_back(node: Node) -> None:
    back = refund_lines(node, original(node, sell(node, COLA).entry), attempt="r1")
    with pytest.raises(RefusalError) as refused:
        find_original(node, back.code_text)
    assert refused.value.code == "receipt_no_sale"
    for text in ("A1-1-999999", "nonsense", ""):
        with pytest.raises(RefusalError) as unknown:
            find_original(node, text)
        assert unknown.value.code == "receipt_unknown"


# Without a receipt.


def test_without_a_receipt_todays_price_or_a_keyed_one_counts_within_limits(node: Node) -> None:
    staff(node, ann="cashier", bob="supervisor")
    bob = Limits(unreceipted_refund_minor=700, approves=True)
    settle(node, RoleLimits(roles={StaffRole.CASHIER: Limits(refund_minor=10_000), StaffRole.SUPERVISOR: bob}))
    basket = edits.set_price(basket_of(node, COLA, TEA, BASKET_SET), 0, 250)
    with pytest.raises(RefusalError) as refused:
        refund_unreceipted(node, basket, operator="ann", attempt="r1")
    assert refused.value.code == "approval_needed"
    small = edits.void(basket, 2)
    back = refund_of(node, refund_unreceipted(node, small, operator="ann", approver="bob", attempt="r1"))
    assert (back.total_minor, back.original, back.approver) == (600, "", "bob")
    kit = refund_of(node, refund_unreceipted(node, basket_of(node, BASKET_SET), attempt="r2"))
    assert {m.product: m.quantity_milli for m in kit.moves} == {MILK: 2000, COLA: 1000}
    assert kit.total_minor == 1000


def test_a_refund_above_the_cashiers_limit_needs_a_second_person(node: Node) -> None:
    staff(node, ann="cashier", bob="supervisor")
    settle(node, RoleLimits(roles={StaffRole.CASHIER: Limits(refund_minor=300),
                                   StaffRole.SUPERVISOR: Limits(refund_minor=9_000, approves=True)}))  # fmt: skip
    sold = original(node, sell(node, COLA, TEA).entry)
    assert refund_lines(node, sold, [ReturnRequest(0, 1000)], operator="ann", attempt="r1")
    with pytest.raises(RefusalError) as refused:
        refund_lines(node, sold, [ReturnRequest(1, 1000)], operator="ann", attempt="r2")
    assert refused.value.code == "approval_needed"
    done = refund_lines(node, sold, [ReturnRequest(1, 1000)], operator="ann", approver="bob", attempt="r2")
    assert refund_of(node, done).approver == "bob"


# What came with the sale goes back with it.


def amounts(node: Node) -> tuple[int, int, int, int]:
    """Return the member's points, principal, bonus and credit."""
    kinds = (BalanceKind.MEMBER_POINTS, BalanceKind.MEMBER_BALANCE, BalanceKind.MEMBER_BONUS,
             BalanceKind.CUSTOMER_CREDIT)  # fmt: skip
    points, stored, bonus, credit = (balance(node, kind, "p1").amount for kind in kinds)
    return points, stored, bonus, credit


@pytest.fixture
def member(node: Node) -> Basket:
    customer(node, "p1")
    settle(node, LoyaltyRules(earn_minor=100, bonuses=((300, 100),), credit_limit_minor=10_000))
    return edits.set_member(Basket(), Member("p1"))


def basket_with(member: Basket, node: Node, *texts: str) -> Basket:
    return edits.set_member(basket_of(node, *texts), member.member)


def test_earned_points_are_taken_back_in_proportion_and_to_the_last_one(node: Node, member: Basket) -> None:
    sold = sell(node, basket=basket_with(member, node, f"3*{COLA}", TEA))
    assert amounts(node)[0] == 12
    refund_lines(node, original(node, sold.entry), [ReturnRequest(0, 1000)], attempt="r1")
    assert 8 <= amounts(node)[0] <= 10
    refund_lines(node, original(node, sold.entry), attempt="r2")
    assert amounts(node)[0] == 0


def test_stored_value_comes_back_as_principal_and_bonus_as_it_was_spent(node: Node, member: Basket) -> None:
    top_up(node, "p1", 500, attempt="t1")
    with node.write() as writing:
        writing.append(BalanceMoved((move(BalanceKind.MEMBER_BONUS, "p1", 100),), "earned", "x"))
    basket = basket_with(member, node, COLA, TEA)
    sold = sell(node, basket=basket, pay=(Payment("stored", 650),))
    assert amounts(node)[1:3] == (0, 50)
    refund_lines(node, original(node, sold.entry), [ReturnRequest(0, 1000)], attempt="r1")
    assert amounts(node)[1:3] == (300, 50)
    refund_lines(node, original(node, sold.entry), attempt="r2")
    assert amounts(node)[1:3] == (500, 200)


def test_credit_and_spent_points_come_back(node: Node, member: Basket) -> None:
    with node.write() as writing:
        writing.append(BalanceMoved((move(BalanceKind.MEMBER_POINTS, "p1", 300),), "earned", "x"))
    basket = basket_with(member, node, COLA, TEA)
    sold = sell(node, basket=basket, pay=(Payment("points", 200), Payment("account", 450)))
    assert amounts(node) == (104, 0, 0, 450)
    refund_lines(node, original(node, sold.entry), attempt="r1")
    assert amounts(node) == (300, 0, 0, 0)
    assert examine(node).is_healthy


# Exchange.


@pytest.mark.parametrize(
    ("back", "new", "paid", "given"),
    [(f"2*{COLA}", TEA, [], [("exchange", 350), ("cash", 250)]),
     (COLA, TEA, [("exchange", 300), ("cash", 50)], [("exchange", 300)]),
     (TEA, TEA, [("exchange", 350)], [("exchange", 350)])],
)  # fmt: skip
def test_goods_are_exchanged_in_one_go_and_only_the_difference_moves(
    node: Node, back: str, new: str, paid: list[tuple[str, int]], given: list[tuple[str, int]]
) -> None:
    sold = sell(node, back)
    before = entry_count(node)
    sale = original(node, sold.entry)
    done = exchange(node, sale, sale.whole(), basket_of(node, new), attempt="x1")
    assert entry_count(node) == before + 2
    refunded = refund_of(node, done.refund)
    bought = find_sale(node, done.sale.receipt_number).sale
    assert [(t.means, t.amount_minor) for t in refunded.tenders] == given
    assert [(t.means, t.amount_minor) for t in bought.tenders] == (paid or [("exchange", 350)])
    assert exchange(node, sale, sale.whole(), basket_of(node, new), attempt="x1") == done
    assert entry_count(node) == before + 2


def test_what_was_bought_in_an_exchange_can_be_returned_for_cash(node: Node, member: Basket) -> None:
    sold = original(node, sell(node, COLA).entry)
    basket = basket_with(member, node, TEA)
    done = exchange(node, sold, sold.whole(), basket, [Payment("cash", given_minor=100)], attempt="x1")
    assert done.sale.change_minor == 50
    assert amounts(node)[0] == 3
    back = refund_of(node, refund_lines(node, original(node, done.sale.entry), attempt="r1"))
    assert [(t.means, t.amount_minor) for t in back.tenders] == [("cash", 350)]
    assert amounts(node)[0] == 0


def test_an_exchange_that_is_refused_records_neither_side(node: Node) -> None:
    sold = original(node, sell(node, COLA).entry)
    before = entry_count(node)
    for basket, payments, code in ((basket_of(node, TEA), [Payment("card", 10)], "tenders_short"),
                                   (Basket(), [], "basket_empty")):  # fmt: skip
        with pytest.raises(RefusalError) as refused:
            exchange(node, sold, sold.whole(), basket, payments, attempt="x1")
        assert refused.value.code == code
    assert entry_count(node) == before


@given(
    goods=st.lists(st.tuples(st.sampled_from([COLA, TEA, BASKET_SET]), st.integers(1, 4)), min_size=1, max_size=4),
    grams=st.integers(5, 900), drop=st.integers(0, 99), step=st.sampled_from([1, 10]),
    stored=st.integers(0, 900), off=st.integers(0, 300), parts=st.lists(st.integers(1, 3), max_size=8),
)  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_returning_everything_in_any_parts_gives_back_exactly_what_was_paid(
    stocked: Node, goods: list[tuple[str, int]], grams: int, drop: int, step: int, stored: int, off: int,
    parts: list[int],
) -> None:  # fmt: skip
    node = stocked
    settle(node, CashRules(step_minor=step))
    texts = [f"{pieces}*{code}" for code, pieces in goods] + [f"{grams / 1000:.3f}*{PORK}"]
    basket = edits.set_basket_discount(edits.set_member(basket_of(node, *texts), Member("p1")), discount_minor=off)
    before, shelf = amounts(node), figures(node)
    stored = min(stored, 200)
    pay = (Payment("stored", stored), Payment("cash", given_minor=100_000))
    sold = original(node, sell(node, basket=basket, pay=pay, drop=min(drop, 1)).entry)
    paid = {t.means: t.amount_minor for t in sold.sale.tenders}
    back: dict[str, int] = {}
    number = node.state().receipt_next
    for place, part in enumerate(parts):
        state = find_sale(node, sold.entry)
        left = [request.line for request in state.whole()]
        if not left:
            break
        line = left[0]
        whole = sold.sale.lines[line].quantity_milli % 1000 == 0
        quantity = min(state.left_milli(line), part * 1000 if whole else part)
        done = refund_lines(node, state, [ReturnRequest(line, quantity)], attempt=f"r{number}-{place}")
        for tender in refund_of(node, done).tenders:
            back[tender.means] = back.get(tender.means, 0) + tender.amount_minor
    state = find_sale(node, sold.entry)
    if state.whole():
        done = refund_lines(node, state, attempt=f"r{number}-all")
        for tender in refund_of(node, done).tenders:
            back[tender.means] = back.get(tender.means, 0) + tender.amount_minor
    assert {m: a for m, a in back.items() if a} == {m: a for m, a in paid.items() if a}
    assert amounts(node) == before
    assert {p: f[0] for p, f in figures(node).items() if f[0]} == {p: f[0] for p, f in shelf.items() if f[0]}


@pytest.fixture
def stocked(node: Node) -> Node:
    customer(node, "p1")
    settle(node, LoyaltyRules(earn_minor=70, offline_stored_minor_max=10**9))
    with node.write() as writing:
        moves = (move(BalanceKind.MEMBER_BALANCE, "p1", 120), move(BalanceKind.MEMBER_BONUS, "p1", 10_000))
        writing.append(BalanceMoved(moves, "earned", "x"))
    return node
