"""X, shift and Z reports: every figure from the entries, late ones named, and nothing of it needs the network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge import basket as edits
from edge.account_payments import top_up
from edge.balances import balance
from edge.basket import Basket, price_basket
from edge.node import Node
from edge.parking import record_voids
from edge.print_jobs import jobs
from edge.receipts import report_document
from edge.refunding import refund_lines
from edge.returns import ReturnRequest, find_sale
from edge.selling import Completed
from edge.shift_reports import close_day, day_closes, day_report, open_days, print_report, shift_report
from edge.shifts import close_shift, current_shift, open_drawer, open_shift, pay_in, pay_out
from edge.tendering import Payment, complete
from edge.unknown_tenders import settle_tender, unknown_tenders
from schema.errors import RefusalError
from schema.kinds.trading import Sale, Tender
from schema.rows import BalanceKind, StaffRole
from schema.rules.slips import Report, ReportKind
from schema.settings import Limits, RoleLimits, TillRules
from tests.edge.goods import COLA, MILK, PORK, TEA, basket_of, customer, settle, staff, teach_goods
from tests.edge.shops import Shops, carry, sell_pieces

Make = Callable[..., Node]


@pytest.fixture
def node(make_node: Make) -> Node:
    return teach_goods(make_node("A1"))


def sell(node: Node, *texts: str, pay: tuple[Payment, ...] = (), operator: str = "ann", basket: Basket | None = None,
         drop: int = 0) -> Completed:  # fmt: skip
    attempt = f"s{node.state().receipt_next}"
    return complete(node, basket or basket_of(node, *texts), pay, operator=operator, attempt=attempt,
                    dropped_minor=drop)  # fmt: skip


def tenders(report: Report) -> dict[str, tuple[int, int, int]]:
    return {one.means: (one.count, one.in_minor, one.out_minor) for one in report.tenders}


@pytest.fixture
def busy(node: Node) -> Node:
    """A shift with some of everything in it."""
    staff(node, ann="supervisor", bob="owner")
    customer(node, "p1")
    open_shift(node, operator="ann", float_minor=20_000)
    sell(node, COLA, TEA)
    sell(node, f"0.35*{PORK}", COLA, drop=3)
    sell(node, MILK, pay=(Payment("wechat", 200), Payment("alipay", 250, state="unknown")), operator="bob")
    sold = sell(node, f"2*{COLA}", pay=(Payment("wechat", 600),))
    refund_lines(node, find_sale(node, sold.entry), [ReturnRequest(0, 1000)], operator="ann", attempt="r1")
    gift = edits.set_gift(basket_of(node, TEA, COLA), 1, "庆生")
    sell(node, basket=edits.set_line_discount(gift, 0, discount_minor=50), operator="bob")
    pay_in(node, 5_000, "change", operator="ann")
    pay_out(node, 1_000, "milk", operator="bob")
    open_drawer(node, "换零钱", operator="ann")
    top_up(node, "p1", 10_000, operator="ann", attempt="t1")
    record_voids(node, price_basket(node, basket_of(node, COLA, TEA)).lines, operator="ann")
    return node


def check_busy(report: Report) -> None:
    assert (report.sales, report.sales_minor, report.refunds, report.refunds_minor) == (
        5,
        650 + 1690 + 450 + 600 + 300,
        1,
        300,
    )
    assert (report.discounts_minor, report.rounding_minor) == (300 + 50, 3)
    assert tenders(report) == {
        "cash": (4, 650 + 1690 + 300 + 10_000, 0), "wechat": (3, 800, 300), "alipay": (1, 250, 0),
    }  # fmt: skip
    assert (report.unknown_tenders, report.unknown_minor) == (1, 250)
    # Of the three fen that were dropped one fell on the drink (300 of 1,693), two on the meat.
    assert {(t.tax_class, t.rate_bp): t.gross_minor for t in report.taxes} == {
        ("13", 1300): 650 + 299 + 450 + 600 - 300 + 300, ("9", 900): 1393 - 2,
    }  # fmt: skip
    assert {o.operator: (o.sales, o.sales_minor, o.refunds, o.refunds_minor) for o in report.operators} == {
        "ann": (3, 650 + 1690 + 600, 1, 300), "bob": (2, 750, 0, 0),
    }  # fmt: skip


def test_an_x_report_has_every_figure_and_hides_what_the_drawer_should_hold(busy: Node) -> None:
    report = shift_report(busy)
    check_busy(report)
    assert report.kind is ReportKind.X
    assert (report.expected_minor, report.counted_minor, report.float_minor) == (None, None, 20_000)
    assert [(e.amount_minor, e.reason, e.operator) for e in report.cash_events] == [
        (5_000, "change", "ann"),
        (-1_000, "milk", "bob"),
    ]
    assert {word: (count, amount) for word, count, amount in report.facts} == {
        "gifts": (1, 300), "voids": (2, 650), "drawer-openings": (1, None), "paid-top_up": (1, 10_000),
    }  # fmt: skip
    assert shift_report(busy, is_blind=False).expected_minor == 20_000 + 12_640 + 4_000
    settle(busy, TillRules(counts_blind=False))
    assert shift_report(busy).expected_minor == 20_000 + 12_640 + 4_000


def test_the_slip_of_a_closed_shift_shows_the_variance_and_can_be_had_again(busy: Node) -> None:
    shift = current_shift(busy)
    assert shift is not None
    close_shift(busy, 36_600, operator="ann", denominations=((10_000, 3), (5_000, 1), (100, 16)))
    report = shift_report(busy, shift.shift)
    check_busy(report)
    assert (report.kind, report.expected_minor, report.counted_minor) == (ReportKind.SHIFT, 36_640, 36_600)
    assert report.denominations == ((10_000, 3), (5_000, 1), (100, 16))
    assert shift_report(busy, shift.shift) == report
    lines = "\n".join(report_document(busy, report).preview())
    assert "-0.40" in lines
    for missing, code in (("", "shift_missing"), ("A1-2026-03-02-77", "shift_unknown")):
        with pytest.raises(RefusalError) as refused:
            shift_report(busy, missing)
        assert refused.value.code == code


def test_a_tender_that_was_cleared_is_not_unknown_any_more(busy: Node) -> None:
    [one] = unknown_tenders(busy)
    settle_tender(busy, one.entry, one.part, "confirmed")
    assert shift_report(busy).unknown_tenders == 0


def test_each_shift_has_its_own_figures(busy: Node) -> None:
    first = current_shift(busy)
    assert first is not None
    close_shift(busy, 0)
    second = open_shift(busy, operator="bob")
    sell(busy, COLA)
    assert (shift_report(busy).sales, shift_report(busy).first_receipt) == (1, "A1-1-000008")
    assert shift_report(busy, first.shift).sales == 5
    assert shift_report(busy, first.shift).facts == tuple(
        f for f in shift_report(busy, first.shift).facts if f[0] != "late"
    )
    assert second.shift != first.shift


def test_a_late_entry_amends_a_closed_shift_and_is_named(busy: Node) -> None:
    shift = current_shift(busy)
    assert shift is not None
    close_shift(busy, 36_640)
    append_sale_into(busy, shift.shift, shift.business_date)
    report = shift_report(busy, shift.shift)
    assert report.sales == 6
    assert ("late", 1, 300) in report.facts
    assert report.expected_minor == 36_940


def append_sale_into(node: Node, shift: str, date: str) -> None:
    """Record a sale as a copy of this till would have made it: into a shift that is closed meanwhile."""
    with node.write() as writing:
        number = writing.take_receipt_number()
        sold = find_sale(node, "A1-1-000001").sale.lines[:1]
        writing.append(Sale(number, date, shift, "ann", sold, (), (Tender("cash", 300),), 300))


# Business days.


def test_a_day_is_closed_once_its_shift_is_and_covers_what_was_traded(busy: Node) -> None:
    with pytest.raises(RefusalError) as refused:
        close_day(busy, operator="ann")
    assert refused.value.code == "shift_open"
    close_shift(busy, 36_600, operator="ann")
    assert open_days(busy) == ["2026-03-02"]
    report = close_day(busy, operator="ann", prints=True)
    check_busy(report)
    assert (report.kind, report.expected_minor, report.counted_minor) == (ReportKind.Z, 36_640, 36_600)
    assert (report.first_receipt, report.last_receipt, report.operator) == ("A1-1-000001", "A1-1-000007", "ann")
    [closed] = day_closes(busy, "2026-03-02")
    assert (closed.sales_minor, closed.refunds_minor) == (3690, 300)
    assert open_days(busy) == []
    assert [job.report for job in jobs(busy.connection)] == [report]
    with pytest.raises(RefusalError) as again:
        close_day(busy)
    assert again.value.code == "day_closed"


def test_what_is_sold_after_the_close_amends_the_day_until_a_further_close_states_it(busy: Node) -> None:
    close_shift(busy, 36_600)
    close_day(busy)
    sell(busy, COLA)
    report = day_report(busy)
    assert (report.sales, report.sales_minor) == (6, 3990)
    assert ("late", 1, 300) in report.facts
    assert open_days(busy) == ["2026-03-02"]
    close_day(busy, operator="bob")
    assert [c.sales_minor for c in day_closes(busy, "2026-03-02")] == [3690, 300]
    assert "late" not in {fact[0] for fact in day_report(busy).facts}
    assert day_closes(busy, "2026-03-02")[1].first_receipt == "A1-1-000008"


def test_each_till_has_a_day_of_its_own(make_node: Make, busy: Node) -> None:
    other = teach_goods(make_node("A2"))
    sell_pieces(other, COLA)
    carry(other, busy)
    close_shift(busy, 0)
    assert close_day(busy).sales == 5
    assert day_report(busy, "2026-03-02", till="A2").sales == 1
    carry(busy, other)
    assert day_report(other).sales == 1
    assert day_closes(other, "2026-03-02") == []


def test_days_are_told_apart_and_one_without_a_sale_can_be_closed(node: Node, shops: Shops) -> None:
    sell(node, COLA)
    shops.pass_minutes(24 * 60)
    sell(node, TEA)
    assert open_days(node) == ["2026-03-02", "2026-03-03"]
    assert (close_day(node, "2026-03-02").sales_minor, close_day(node).sales_minor) == (300, 350)
    shops.pass_minutes(24 * 60)
    assert close_day(node).sales == 0
    with pytest.raises(RefusalError):
        close_day(node)
    assert open_days(node) == []


def test_a_report_can_be_printed_again_as_a_copy(busy: Node) -> None:
    print_report(busy, shift_report(busy))
    assert [(job.is_copy, job.report is not None) for job in jobs(busy.connection)] == [(True, True)]


def test_the_drawer_has_limits_and_needs_a_reason(node: Node) -> None:
    staff(node, ann="cashier", bob="supervisor")
    boss = Limits(opens_drawer=True, pays_out_minor=500, approves=True)
    settle(node, RoleLimits(roles={StaffRole.CASHIER: Limits(), StaffRole.SUPERVISOR: boss}))
    open_shift(node, operator="ann")
    acts: list[tuple[Callable[[], object], str]] = [
        (lambda: open_drawer(node, " ", operator="bob"), "reason_missing"),
        (lambda: open_drawer(node, "x", operator="ann"), "approval_needed"),
        (lambda: pay_out(node, 100, "milk", operator="ann"), "approval_needed"),
        (lambda: pay_out(node, 501, "milk", operator="ann", approver="bob"), "approval_needed"),
        (lambda: pay_in(node, 100, "6222021234567890128"), "text.card_number"),
    ]
    for act, code in acts:
        with pytest.raises(RefusalError) as refused:
            act()
        assert refused.value.code == code
    assert pay_out(node, 500, "milk", operator="ann", approver="bob")
    assert open_drawer(node, "x", operator="ann", approver="bob")
    assert balance(node, BalanceKind.TILL_CASH, "A1").amount == 0
