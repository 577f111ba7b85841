"""Shifts: the drawer in money, the same in any order of arrival."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.node import Node
from edge.returns import find_sale
from edge.selling import refund
from edge.shifts import close_shift, current_shift, open_shift, pay_in, pay_out, shifts
from schema.errors import RefusalError
from tests.edge.shops import WATER, Shops, carry, sell_pieces


def test_a_shift_expects_its_float_and_its_cash(node: Node) -> None:
    opened = open_shift(node, operator="o1", float_minor=10_000)
    sale = sell_pieces(node, WATER, 3)
    refund(node, sale.receipt_number)
    sell_pieces(node, WATER, 2)
    pay_in(node, 500, "change")
    pay_out(node, 200, "milk")
    closed = close_shift(node, 10_600, operator="o1", denominations=((10_000, 1), (100, 6)))
    assert closed.shift == opened.shift
    assert (closed.sales, closed.sales_minor, closed.refunds_minor) == (2, 1000, 600)
    assert (closed.expected_minor, closed.variance_minor) == (10_700, -100)
    assert current_shift(node) is None


def test_a_second_shift_of_a_day_has_its_own_name(node: Node) -> None:
    first = open_shift(node)
    with pytest.raises(RefusalError) as refused:
        open_shift(node)
    assert refused.value.code == "shift_open"
    close_shift(node, 0)
    second = open_shift(node)
    assert (first.shift[-2:], second.shift[-2:]) == ("01", "02")
    sell_pieces(node)
    assert [(state.sales, state.is_open) for state in shifts(node)] == [(0, False), (1, True)]


def test_without_an_open_shift_sales_go_on_and_cash_verbs_say_what_is_missing(node: Node) -> None:
    sell_pieces(node)
    for act in (lambda: close_shift(node, 0), lambda: pay_in(node, 100, "change")):
        with pytest.raises(RefusalError) as refused:
            act()
        assert refused.value.code == "shift_missing"
    with pytest.raises(RefusalError):
        close_shift(node, 100, denominations=((100, 2),))


def test_another_till_reads_the_same_shifts(make_node: Callable[..., Node], shops: Shops) -> None:
    one, other = make_node("A1"), make_node("A2")
    sell_pieces(one)
    open_shift(one, operator="o1", float_minor=100)
    sell_pieces(one, operator="o2")
    close_shift(one, 300)
    carry(one, other)
    assert shifts(other) == shifts(one)
    assert len(shifts(one)) == 2


def test_a_shift_over_the_days_cut_stays_one_drawer_and_one_day(node: Node, shops: Shops) -> None:
    shift = open_shift(node, operator="o1")
    shops.pass_minutes(22 * 60)  # it is six in the morning, and the day was cut at four
    sale = find_sale(node, sell_pieces(node).entry).sale
    assert (sale.shift, sale.business_date) == (shift.shift, "2026-03-02")
    assert close_shift(node, 200).variance_minor == 0
    assert find_sale(node, sell_pieces(node).entry).sale.business_date == "2026-03-03"


def test_a_shift_that_was_forgotten_takes_nothing_in_of_a_later_day(node: Node, shops: Shops) -> None:
    open_shift(node)
    shops.pass_minutes(46 * 60)
    sale = find_sale(node, sell_pieces(node).entry).sale
    assert (sale.shift, sale.business_date) == ("A1-2026-03-04", "2026-03-04")
