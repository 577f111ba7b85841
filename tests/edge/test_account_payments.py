"""Money with no goods: top-ups with their bonus, principal returned, credit repaid."""

from __future__ import annotations

import pytest

from edge.account_payments import repay, return_stored, top_up
from edge.balance_effects import move
from edge.balances import balance
from edge.doctor import examine
from edge.node import Node
from edge.shifts import close_shift, current_shift, open_shift
from edge.tendering import Payment
from edge.unknown_tenders import unknown_tenders
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.balances import BalanceMoved, BalancePaid
from schema.rows import BalanceKind, StaffRole
from schema.settings import Limits, LoyaltyRules, RoleLimits
from tests.edge.goods import customer, settle, staff, teach_goods
from tests.edge.shops import Shops, entry_count, sell_pieces


@pytest.fixture
def node(shops: Shops) -> Node:
    made = teach_goods(shops.make_node())
    customer(made, "p1")
    settle(made, LoyaltyRules(bonuses=((10_000, 500), (20_000, 2000)), offline_stored_minor_max=50_000))
    return made


def amount(node: Node, kind: BalanceKind) -> int:
    return balance(node, kind, "p1").amount


def payment_of(node: Node, entry: str) -> BalancePaid:
    place = EntryId.parse(entry)
    found = node.replica.log.entry(place.stream, place.seq)
    assert found is not None
    assert isinstance(found.payload, BalancePaid)
    return found.payload


@pytest.mark.parametrize(("paid", "bonus"), [(9_999, 0), (10_000, 500), (19_999, 500), (20_000, 2000), (90_000, 2000)])
def test_a_top_up_keeps_principal_and_bonus_apart(node: Node, paid: int, bonus: int) -> None:
    done = top_up(node, "p1", paid, [Payment("cash", given_minor=paid + 100)], operator="o1", attempt="t1")
    assert (done.total_minor, done.change_minor) == (paid, 100)
    assert (amount(node, BalanceKind.MEMBER_BALANCE), amount(node, BalanceKind.MEMBER_BONUS)) == (paid, bonus)
    told = payment_of(node, done.entry)
    assert (told.reason, told.member, told.receipt_number, told.total_minor) == (
        "top_up", "p1", done.receipt_number, paid,
    )  # fmt: skip


def test_a_payment_has_a_number_of_the_same_gapless_series(node: Node) -> None:
    first = sell_pieces(node).receipt_number
    second = top_up(node, "p1", 100, attempt="t1").receipt_number
    third = sell_pieces(node).receipt_number
    numbers = [int(number.rpartition("-")[2]) for number in (first, second, third)]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


def test_a_key_pressed_twice_pays_once(node: Node) -> None:
    first = top_up(node, "p1", 10_000, attempt="t1")
    count = entry_count(node)
    assert top_up(node, "p1", 10_000, attempt="t1") == first
    assert entry_count(node) == count
    assert amount(node, BalanceKind.MEMBER_BALANCE) == 10_000


def test_principal_is_paid_back_and_the_bonus_goes_with_it(node: Node) -> None:
    top_up(node, "p1", 20_000, attempt="t1")
    done = return_stored(node, "p1", 5_000, attempt="t2")
    assert done.total_minor == -5_000
    assert (amount(node, BalanceKind.MEMBER_BALANCE), amount(node, BalanceKind.MEMBER_BONUS)) == (15_000, 1_500)
    with pytest.raises(RefusalError) as refused:
        return_stored(node, "p1", 15_001, attempt="t3")
    assert refused.value.code == "balance_low"
    return_stored(node, "p1", 15_000, attempt="t4")
    assert (amount(node, BalanceKind.MEMBER_BALANCE), amount(node, BalanceKind.MEMBER_BONUS)) == (0, 0)


def test_what_is_owed_is_repaid_and_no_more(node: Node) -> None:
    with node.write() as writing:
        writing.append(BalanceMoved((move(BalanceKind.CUSTOMER_CREDIT, "p1", 1_000),), "charged", "x"))
    with pytest.raises(RefusalError) as refused:
        repay(node, "p1", 1_001, attempt="t1")
    assert refused.value.code == "repay_exceeds"
    repay(node, "p1", 400, [Payment("wechat", 400, state="unknown")], attempt="t2")
    assert amount(node, BalanceKind.CUSTOMER_CREDIT) == 600
    assert [one.amount_minor for one in unknown_tenders(node)] == [400]


def test_the_drawer_counts_the_cash_of_payments(node: Node) -> None:
    open_shift(node, float_minor=1_000)
    top_up(node, "p1", 10_000, [Payment("cash", given_minor=10_000)], attempt="t1")
    top_up(node, "p1", 700, [Payment("wechat", 700)], attempt="t2")
    return_stored(node, "p1", 200, attempt="t3")
    shift = current_shift(node)
    assert shift is not None
    assert (shift.expected_minor, shift.sales_minor) == (10_800, 0)
    assert close_shift(node, 10_800).variance_minor == 0
    assert examine(node).is_healthy


@pytest.mark.parametrize(
    ("amount_minor", "payments", "code"),
    [
        (0, [], "amount_invalid"), (-1, [], "amount_invalid"), (10_000_001, [], "amount_invalid"),
        (100, [Payment("cash", given_minor=99)], "tenders_short"), (100, [Payment("card", 101)], "tenders_exceed"),
        (100, [Payment("stored", 100)], "means_unknown"), (100, [Payment("gift_card", 100)], "means_unknown"),
        (100, [Payment("wechat", 100, reference="134567890123456789")], "payment_code_kept"),
    ],
)  # fmt: skip
def test_a_payment_that_cannot_be_is_refused(node: Node, amount_minor: int, payments: list[Payment], code: str) -> None:
    before = entry_count(node), node.state().receipt_next
    with pytest.raises(RefusalError) as refused:
        top_up(node, "p1", amount_minor, payments, attempt="t1")
    assert refused.value.code == code
    assert (entry_count(node), node.state().receipt_next) == before


def test_giving_money_back_has_the_limits_of_a_refund(node: Node) -> None:
    staff(node, ann="cashier", bob="supervisor")
    settle(node, RoleLimits(roles={StaffRole.CASHIER: Limits(refund_minor=1_000),
                                   StaffRole.SUPERVISOR: Limits(refund_minor=9_000, approves=True)}))  # fmt: skip
    top_up(node, "p1", 5_000, operator="ann", attempt="t1")
    with pytest.raises(RefusalError) as refused:
        return_stored(node, "p1", 1_001, operator="ann", attempt="t2")
    assert refused.value.code == "approval_needed"
    done = return_stored(node, "p1", 1_001, operator="ann", approver="bob", attempt="t3")
    assert payment_of(node, done.entry).approver == "bob"
