"""Goods are put aside by rights that only their holder spends, and no sale in the hand is ever refused for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.counting import count_product
from edge.doctor import examine
from edge.node import Node
from edge.reserving import (
    availability,
    credit_left,
    end_reservation,
    expire_due,
    grant_right,
    reservations,
    reserve,
    return_credit,
    spend_credit,
)
from edge.resolving import conflicts
from edge.stock import QuantityRequest, receive_goods
from schema.errors import RefusalError
from schema.kinds.rights import PromiseMade, RightGranted
from sync.replica import Moment
from tests.edge.shops import HUB_STREAM, MINUTE_MS, START_MS, WATER, Shops, carry, exchange, sell_pieces

Make = Callable[..., Node]


@pytest.fixture
def till(make_node: Make) -> Node:
    node = make_node("A1")
    receive_goods(node, [QuantityRequest(WATER, 10_000)])
    return node


def codes(node: Node) -> list[str]:
    return sorted(one.code for one in conflicts(node))


def test_what_is_put_aside_is_not_promised_again_and_comes_back_when_it_is_cancelled(till: Node) -> None:
    made = reserve(till, WATER, 4000, customer="c1", note="六点来取")
    assert availability(till, WATER).available == 6000
    with pytest.raises(RefusalError) as refused:
        reserve(till, WATER, 7000)
    assert (refused.value.code, refused.value.facts["left_milli"]) == ("promise_exceeded", 6000)
    assert [one.promise for one in reservations(till)] == [made.promise]
    end_reservation(till, made.promise, "cancelled")
    assert availability(till, WATER).available == 10_000
    assert reservations(till) == []
    with pytest.raises(RefusalError) as unknown:
        end_reservation(till, made.promise, "cancelled")
    assert unknown.value.code == "promise_unknown"


def test_goods_in_the_hand_are_sold_whatever_was_promised_and_the_deficit_is_shown_until_a_promise_is_kept(
    till: Node,
) -> None:
    made = reserve(till, WATER, 4000)
    sell_pieces(till, WATER, 8)
    assert codes(till) == ["ESCROW_DEFICIT"]
    assert availability(till, WATER).available == -2000
    end_reservation(till, made.promise, "cancelled")
    assert codes(till) == []
    assert examine(till).is_healthy


def test_a_count_below_what_is_promised_elsewhere_is_a_deficit(till: Node) -> None:
    grant_right(till, WATER, 6000, "hub")
    count_product(till, WATER, 4000)
    assert "ESCROW_DEFICIT" in codes(till)
    assert availability(till, WATER).available == -2000
    count_product(till, WATER, 9000)
    assert "ESCROW_DEFICIT" not in codes(till)


def test_two_holders_never_promise_the_same_piece_and_more_than_was_given_is_seen_by_all(
    shops: Shops, till: Node
) -> None:
    other = shops.make_node("A2")
    grant_right(till, WATER, 2000, "hub")
    assert availability(till, WATER).available == 8000
    exchange(till, other)
    hub = HUB_STREAM._replace(scope=till.config.scope)
    for node in (till, other):
        with node.write():  # the hub promises three of its two
            node.replica.append(hub, PromiseMade("p1", WATER, 3000, 0), Moment(START_MS, 0, 0))
        assert codes(node) == ["ESCROW_OVERSPENT"]
        assert availability(node, WATER).available == 7000
        assert examine(node).is_healthy


def test_two_tills_that_promise_the_last_piece_at_once_are_told_of_it(shops: Shops, till: Node) -> None:
    other = shops.make_node("A2")
    carry(till, other)
    reserve(till, WATER, 6000)
    reserve(other, WATER, 6000)  # neither knew of the other
    exchange(till, other)
    for node in (till, other):
        assert codes(node) == ["ESCROW_DEFICIT"]
        assert availability(node, WATER).available == -2000
        assert len(reservations(node)) == 2


def test_a_promise_ends_at_its_time_and_only_its_own_node_ends_it(shops: Shops, till: Node) -> None:
    other = shops.make_node("A2")
    reserve(till, WATER, 2000, until_ms=START_MS + 60 * MINUTE_MS)
    exchange(till, other)
    assert expire_due(till) == 0
    shops.pass_minutes(61)
    assert [one.is_overdue for one in reservations(other)] == [True]
    assert expire_due(other) == 0
    assert expire_due(till) == 1
    exchange(till, other)
    assert reservations(other) == []
    assert availability(other, WATER).available == 10_000


def test_a_negative_promise_makes_no_rights(till: Node) -> None:
    with till.write() as writing:
        writing.append(RightGranted(WATER, -5000, "x.1"))
        writing.append(PromiseMade("p", WATER, -5000, 0))
    assert availability(till, WATER).available == 10_000


def test_a_customers_credit_is_spent_by_whom_it_was_given_to_and_by_nobody_twice(shops: Shops, till: Node) -> None:
    other = shops.make_node("A2")
    hub = HUB_STREAM._replace(scope=till.config.scope)
    with till.write() as writing:
        mine = writing.stream().writer
        till.replica.append(hub, RightGranted("credit:c1", 50_000, mine), Moment(START_MS, 0, 0))
    exchange(till, other)
    assert (credit_left(till, "c1"), credit_left(other, "c1")) == (50_000, 0)
    with till.write() as writing:
        spend_credit(till, writing, "c1", 30_000, "A1-1-000001")
    with pytest.raises(RefusalError) as refused, till.write() as writing:
        spend_credit(till, writing, "c1", 30_000, "A1-1-000002")
    assert refused.value.code == "credit_exceeded"
    assert credit_left(till, "c1") == 20_000
    with till.write() as writing:
        assert return_credit(till, writing, "c1", 40_000) == 30_000
    assert credit_left(till, "c1") == 50_000
    assert codes(till) == []
    assert reservations(till) == []
    assert examine(till).is_healthy
