"""Baskets wait: for any till of the shop, and for this one after a crash."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge import basket as edits
from edge.basket import Basket, Member, price_basket
from edge.node import Node
from edge.parking import (
    drop,
    keep_draft,
    park,
    parked,
    parked_count,
    read_draft,
    recall,
    record_voids,
    restore_draft,
    taken_twice,
    takings,
)
from edge.tendering import complete
from schema.errors import RefusalError
from schema.kinds.tills import BasketParked
from schema.rows import StaffRole
from schema.settings import Limits, RoleLimits
from tests.edge.goods import COLA, TEA, basket_of, settle, staff, teach_goods
from tests.edge.shops import carry, exchange

Make = Callable[..., Node]


@pytest.fixture
def tills(make_node: Make) -> tuple[Node, Node]:
    return teach_goods(make_node("A1")), teach_goods(make_node("A2"))


def test_a_parked_basket_comes_back_as_it_was(tills: tuple[Node, Node]) -> None:
    node, _ = tills
    basket = edits.set_line_discount(basket_of(node, COLA, TEA), 1, discount_minor=10)
    name = park(node, basket, operator="o1", label="红衣大姐")
    [waiting] = parked(node)
    assert (waiting.basket, waiting.label, waiting.total_minor, waiting.operator) == (name, "红衣大姐", 640, "o1")
    assert recall(node, name, operator="o1") == basket
    assert parked(node) == []
    with pytest.raises(RefusalError) as refused:
        recall(node, name)
    assert refused.value.code == "basket_taken"


def test_another_till_of_the_shop_takes_it_up(tills: tuple[Node, Node]) -> None:
    one, other = tills
    basket = basket_of(one, COLA)
    name = park(one, basket)
    carry(one, other)
    assert parked_count(other) == 1
    assert recall(other, name, operator="o2") == basket
    carry(other, one)
    assert parked(one) == []


def test_two_tills_that_cannot_talk_both_take_it_and_both_see_it_afterwards(tills: tuple[Node, Node]) -> None:
    one, other = tills
    name = park(one, basket_of(one, COLA))
    carry(one, other)
    complete(one, recall(one, name, operator="o1"), attempt="t1")
    complete(other, recall(other, name, operator="o2"), attempt="t2")
    assert taken_twice(one) == []
    exchange(one, other)
    for node in tills:
        [[first, second]] = taken_twice(node)
        assert {first.operator, second.operator} == {"o1", "o2"}
        assert first.basket == second.basket == name
    assert taken_twice(one, since_ms=one.now_ms() + 1) == []


def test_names_and_numbers_of_members_stay_out_of_what_is_parked(tills: tuple[Node, Node]) -> None:
    node, _ = tills
    basket = edits.set_member(basket_of(node, COLA), Member("p1", "138****1234", "王小明", "gold"))
    name = park(node, basket)
    row = node.replica.log.stream(next(r.stream for r in node.replica.rows() if r.stream.scope == "loc/A"))
    assert row is not None
    [entry] = [e for e in node.replica.log.entries(row) if isinstance(e.payload, BasketParked)]
    assert "王小明".encode() not in entry.encoded
    assert recall(node, name).member == Member("p1", "", "", "gold")


def test_a_basket_that_is_given_up_counts_as_voided(tills: tuple[Node, Node]) -> None:
    node, _ = tills
    name = park(node, basket_of(node, COLA, TEA))
    drop(node, name, operator="o1")
    assert parked(node) == []
    assert [(taking.outcome, taking.operator) for taking in takings(node, name)] == [("dropped", "o1")]
    rows = node.connection.execute("SELECT act, product, amount_minor FROM voided_line ORDER BY seq").fetchall()
    assert rows == [("dropped", COLA, 300), ("dropped", TEA, 350)]


def test_what_nobody_parked_and_what_is_empty_is_refused(tills: tuple[Node, Node]) -> None:
    node, _ = tills
    acts: list[tuple[Callable[[], object], str]] = [
        (lambda: recall(node, "A1-x"), "basket_unknown"),
        (lambda: park(node, Basket()), "basket_empty"),
        (lambda: park(node, basket_of(node, COLA), label="4111111111111111"), "text.card_number"),
    ]
    for act, code in acts:
        with pytest.raises(RefusalError) as refused:
            act()
        assert refused.value.code == code
    with node.write() as writing:
        writing.append(BasketParked("new", "", "", 0, b"\x92\x63\x90"))
    with pytest.raises(RefusalError) as newer:
        recall(node, "new")
    assert newer.value.code == "basket_newer"
    assert [one.basket for one in parked(node)] == ["new"]


def test_voided_lines_are_recorded_with_who_allowed_them(tills: tuple[Node, Node]) -> None:
    node, _ = tills
    staff(node, ann="cashier", bob="supervisor")
    settle(node, RoleLimits(roles={StaffRole.CASHIER: Limits(void_minor=320),
                                   StaffRole.SUPERVISOR: Limits(approves=True)}))  # fmt: skip
    lines = price_basket(node, basket_of(node, COLA, TEA)).lines
    with pytest.raises(RefusalError) as refused:
        record_voids(node, lines, operator="ann", act="cleared")
    assert refused.value.code == "approval_needed"
    assert node.connection.execute("SELECT count(*) FROM voided_line").fetchone()[0] == 0
    record_voids(node, lines, operator="ann", approver="bob", act="cleared")
    assert node.connection.execute("SELECT act, operator, amount_minor FROM voided_line ORDER BY seq").fetchall() == [
        ("cleared", "ann", 300), ("cleared", "ann", 350),
    ]  # fmt: skip


def test_a_basket_in_hand_survives_a_crash_of_the_till(tills: tuple[Node, Node]) -> None:
    node, _ = tills
    basket = basket_of(node, COLA, f"2*{TEA}")
    keep_draft(node.directory, basket)
    with Node(node.directory, clock=node.clock_source) as again:
        assert read_draft(again.directory) == basket
        assert restore_draft(again) == (basket, "")
    keep_draft(node.directory, Basket())
    assert read_draft(node.directory) is None
    assert restore_draft(node) is None


def test_a_basket_that_was_paid_before_the_crash_is_not_offered_again(tills: tuple[Node, Node]) -> None:
    node, _ = tills
    basket = basket_of(node, COLA)
    keep_draft(node.directory, basket, "t-1")
    assert restore_draft(node) == (basket, "")
    sold = complete(node, basket, attempt="t-1")
    with Node(node.directory, clock=node.clock_source) as again:
        assert restore_draft(again) == (basket, sold.receipt_number)


@pytest.mark.parametrize("damage", [b"", b"1234", b"\x00\x00\x00\x00broken"])
def test_a_draft_that_was_cut_off_is_no_draft(tills: tuple[Node, Node], damage: bytes) -> None:
    node, _ = tills
    keep_draft(node.directory, basket_of(node, COLA))
    (node.directory / "basket.draft").write_bytes(damage)
    assert restore_draft(node) is None
