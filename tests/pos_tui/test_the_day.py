"""The till's day at the screen: parking, the drawer, reports, receipts, members' accounts, looking up, training."""

from __future__ import annotations

from edge.node import Node
from edge.parking import parked
from edge.print_jobs import jobs
from edge.shifts import current_shift, shifts
from schema.kinds.balances import BalancePaid
from schema.kinds.tills import DrawerOpened
from schema.kinds.trading import CashMoved, DayClosed, Sale, ShiftClosed
from schema.rules.promotion_terms import Language
from schema.settings import TillRules
from tests.edge.goods import COLA_BARCODE, MILK_BARCODE, settle, teach_goods
from tests.edge.people import SUPERVISOR, employ
from tests.edge.shops import Shops, carry
from tests.pos_tui.conftest import AtTill
from tests.pos_tui.members import NAME, PHONE, enlist
from tests.pos_tui.test_refunding import sell
from tests.pos_tui.test_selling import payloads


async def test_a_parked_basket_comes_back_at_another_till_of_the_shop(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    other = teach_goods(shops.make_node("A2"))
    employ(shops)
    async with at_till(language) as cashier:
        await cashier.type("2*")
        await cashier.scan(COLA_BARCODE)
        await cashier.press("f4")
        await cashier.until(cashier.t("sale.empty"))
        assert cashier.app.till.basket.is_empty
    carry(node, other)
    async with at_till(language, on=other) as cashier:
        await cashier.press("f5")
        await cashier.until("可口可乐")
        await cashier.press("1")
        await cashier.until(cashier.t("recall.done"))
        assert cashier.app.till.priced.total_minor == 600
        assert not parked(other)


async def test_a_basket_is_not_recalled_into_another(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.press("f4")
        await cashier.scan(MILK_BARCODE)
        await cashier.press("f5")
        await cashier.until(cashier.t("recall.park_first"))


async def test_a_shift_from_float_to_slip_and_the_day_to_its_z_report(
    at_till: AtTill, node: Node, language: Language
) -> None:
    async with at_till(language) as cashier:
        await cashier.press("f10")
        await cashier.until(cashier.t("shift.none"))
        await cashier.press("1")
        await cashier.enter("100")
        await cashier.until("100.00")
        await cashier.press("escape")
        await sell(cashier, MILK_BARCODE)
        await cashier.press("f10")
        await cashier.until_screen("shift")
        await cashier.press("2")
        await cashier.enter("20")
        await cashier.choose(1)
        await cashier.until(cashier.t("shift.moved"))
        await cashier.press("5")
        await cashier.until_screen("report")
        await cashier.until("4.50")
        await cashier.press("escape")
        await cashier.until_screen("shift")
        await cashier.press("6")
        await cashier.until_screen("count")
        assert "124.50" not in cashier.painted
        await cashier.enter("1")
        for _ in range(2):
            await cashier.press("enter")
        await cashier.enter("2")
        await cashier.press("+")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("report")
        await cashier.press("escape")
        await cashier.until(cashier.t("shift.closed", variance="-4.50"))
        closed = payloads(node, ShiftClosed)[0]
        assert isinstance(closed, ShiftClosed)
        assert (closed.counted_minor, closed.expected_minor) == (12_000, 12_450)
        assert closed.denominations == ((10_000, 1), (1000, 2))
        await cashier.press("7")
        await cashier.until_screen("report")
        assert len(payloads(node, DayClosed)) == 1
        await cashier.press("escape", "8")
        await cashier.until(shifts(node)[0].shift)


async def test_cash_out_and_an_opened_drawer_need_a_reason_and_where_due_a_second_person(
    at_till: AtTill, node: Node, language: Language
) -> None:
    async with at_till(language) as cashier:
        await cashier.press("f10", "1")
        await cashier.enter("200")
        await cashier.until_screen("shift")
        await cashier.press("3")
        await cashier.enter("50")
        await cashier.choose(2)
        await cashier.allow(SUPERVISOR)
        await cashier.until(cashier.t("shift.moved"))
        moved = payloads(node, CashMoved)[0]
        assert isinstance(moved, CashMoved)
        assert (moved.amount_minor, moved.approver) == (-5000, SUPERVISOR.operator)
        await cashier.press("4")
        await cashier.choose(4)
        await cashier.enter("掉了一枚硬币")
        await cashier.allow(SUPERVISOR)
        await cashier.until(cashier.t("shift.drawer_opened"))
        opened = payloads(node, DrawerOpened)[0]
        assert isinstance(opened, DrawerOpened)
        assert opened.reason == "掉了一枚硬币"
        assert current_shift(node) is not None


async def test_the_last_receipts_are_read_as_paper_and_reprinted(
    at_till: AtTill, node: Node, language: Language
) -> None:
    async with at_till(language) as cashier:
        number = await sell(cashier, COLA_BARCODE, MILK_BARCODE)
        await cashier.press("ctrl+r")
        await cashier.until(number)
        await cashier.until("纯牛奶")
        await cashier.press("+")
        await cashier.until(cashier.t("receipts.no_printer"))
        rows = node.connection.execute("SELECT is_copy FROM print_job").fetchall()
        assert rows == [(1,)]


async def test_a_slip_to_sign_is_printed_where_receipts_are_not_printed_by_themselves(
    at_till: AtTill, node: Node
) -> None:
    settle(node, TillRules(prints_receipts=False))
    async with at_till() as cashier:
        cashier.app.till.has_printer = True
        await cashier.press("f10", "1")
        await cashier.enter("200")
        await cashier.until_screen("shift")
        await cashier.press("escape")
        await sell(cashier, COLA_BARCODE)
        assert jobs(node.connection) == []
        await cashier.press("f10", "2")
        await cashier.enter("50")
        await cashier.choose(1)
        await cashier.until(cashier.t("shift.moved"))
        assert len(jobs(node.connection)) == 1
        await cashier.press("escape", "ctrl+r", "+")
        await cashier.until(cashier.t("receipts.reprinting"))
        assert len(jobs(node.connection)) == 2


async def test_a_product_is_looked_up_with_its_stock_and_the_reasons_for_it(
    at_till: AtTill, language: Language
) -> None:
    async with at_till(language) as cashier:
        await sell(cashier, COLA_BARCODE)
        await cashier.press("f3")
        await cashier.until_screen("lookup")
        await cashier.type("kkkl")
        await cashier.until("可口可乐")
        await cashier.press("enter")
        await cashier.until(cashier.t("stock.here"))
        await cashier.until("-1罐")
        await cashier.press("*")
        await cashier.until(cashier.t("why.never_counted"))
        await cashier.until(cashier.t("why.reason_sale"))
        await cashier.press("escape", "+")
        await cashier.until_screen("sale")
        assert cashier.app.till.priced.total_minor == 300


async def test_a_members_account_is_topped_up_and_repaid(at_till: AtTill, node: Node, language: Language) -> None:
    enlist(node)
    async with at_till(language) as cashier:
        await cashier.press("ctrl+t")
        await cashier.until(cashier.t("account.nobody"))
        await cashier.press("enter")
        await cashier.until_screen("member")
        await cashier.enter(PHONE)
        await cashier.press("enter")
        await cashier.until(NAME)
        await cashier.press("+")
        await cashier.enter("100")
        await cashier.choose(1)
        await cashier.enter("")
        await cashier.until(cashier.t("account.bonus", bonus="5.00"))
        await cashier.press("enter")
        paid = payloads(node, BalancePaid)[0]
        assert isinstance(paid, BalancePaid)
        assert (paid.total_minor, paid.reason, {one.amount for one in paid.moves}) == (
            10_000,
            paid.reason,
            {10_000, 500},
        )
        await cashier.until("100.00")
        assert cashier.app.till.basket.member is None


async def test_what_a_member_bought_is_listed(at_till: AtTill, node: Node, language: Language) -> None:
    enlist(node)
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.press("f2")
        await cashier.enter(PHONE)
        await cashier.press("enter", "+")
        await cashier.until_screen("tender")
        await cashier.press("enter")
        await cashier.until_screen("sale")
        await cashier.scan(MILK_BARCODE)
        await cashier.press("f2")
        await cashier.enter(PHONE)
        await cashier.press("enter", "f3", "f2")
        await cashier.until(cashier.t("receipts.of_member", name=NAME))
        await cashier.until("A1-1-000001")


async def test_training_shows_everything_and_records_nothing(at_till: AtTill, node: Node, language: Language) -> None:
    before = node.connection.execute("SELECT count(*) FROM entry").fetchone()
    async with at_till(language, is_signed_in=False) as cashier:
        await cashier.sign_in()
        before = node.connection.execute("SELECT count(*) FROM entry").fetchone()
        await cashier.press("ctrl+y")
        await cashier.until(cashier.t("status.training"))
        await sell(cashier, COLA_BARCODE)
        await cashier.until(cashier.t("done.title", number="TRAINING"))
        await cashier.scan(MILK_BARCODE)
        await cashier.press("f4")
        await cashier.until(cashier.t("training.not_here"))
        await cashier.press("-", "f10", "1")
        await cashier.enter("10")
        await cashier.until(cashier.t("training.not_here"))
        await cashier.press("escape", "ctrl+y")
        await cashier.until(cashier.t("training.ended"))
        assert node.connection.execute("SELECT count(*) FROM entry").fetchone() == before
        await sell(cashier, COLA_BARCODE)
        assert len(payloads(node, Sale)) == 1


async def test_devices_and_line_are_told_with_what_to_do(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.press("ctrl+d")
        await cashier.until(cashier.t("devices.offline"))
        await cashier.until(cashier.t("devices.prices_never"))
        await cashier.press("+")
        await cashier.until(cashier.t("devices.no_printer"))
