"""Signing in at the screen: offline, by number and PIN, with a lockout that says what to do."""

from __future__ import annotations

import msgspec

from edge.cache import LEASE_LAPSED
from edge.node import Node
from pos_tui.app import TillApp
from schema.kinds.trading import Sale
from schema.rules.promotion_terms import Language
from sync.entry import Entry
from tests.edge.goods import COLA_BARCODE
from tests.edge.people import CASHIER, MANAGER, SUPERVISOR
from tests.pos_tui.conftest import AtTill


async def test_a_cashier_signs_in_by_number_and_pin_and_may_sell(at_till: AtTill, language: Language) -> None:
    async with at_till(language, is_signed_in=False) as cashier:
        await cashier.until(cashier.t("sign_in.title"))
        await cashier.sign_in()
        assert CASHIER.name in cashier.lines[0]
        await cashier.until(cashier.t("sale.empty"))


async def test_a_pin_is_never_painted(at_till: AtTill) -> None:
    async with at_till(is_signed_in=False) as cashier:
        await cashier.enter(CASHIER.number)
        await cashier.type(CASHIER.pin)
        assert CASHIER.pin not in cashier.painted
        assert "•" * len(CASHIER.pin) in cashier.painted


async def test_wrong_pins_are_counted_down_until_the_lock_and_a_supervisor_ends_it(
    at_till: AtTill, language: Language
) -> None:
    async with at_till(language, is_signed_in=False) as cashier:
        for left in (4, 3, 2, 1):
            await cashier.enter(CASHIER.number)
            await cashier.enter("000000")
            await cashier.until(cashier.t("refusal.pin_wrong", left=left))
        await cashier.enter(CASHIER.number)
        await cashier.enter("000000")
        await cashier.until(cashier.t("refusal.locked_out", minutes=15))
        await cashier.press("f9")
        await cashier.until_screen("ask")
        for answer in (CASHIER.number, SUPERVISOR.number, SUPERVISOR.pin):
            await cashier.enter(answer)
        await cashier.until(cashier.t("unlock.done", number=CASHIER.number))
        await cashier.sign_in()


async def test_a_locked_till_keeps_its_basket_for_whoever_comes_back(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.press("f12")
        await cashier.until(cashier.t("lock.title"))
        assert "可口可乐" not in cashier.painted
        await cashier.press("escape", "f12")
        await cashier.until(cashier.t("lock.title"))
        await cashier.enter(MANAGER.number)
        await cashier.enter(MANAGER.pin)
        await cashier.until("可口可乐")
        assert MANAGER.name in cashier.lines[0]


async def test_a_till_that_nobody_touches_locks_itself(at_till: AtTill) -> None:
    async with at_till() as cashier:
        minutes = cashier.app.till.rules.lock_after_minutes
        cashier.app._touched_s -= minutes * 60 + 1
        await cashier.until(cashier.t("lock.title"))


async def test_somebody_else_signs_in_after_signing_out(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.press("ctrl+e")
        await cashier.until_screen("settings")
        await cashier.press("5")
        await cashier.until_screen("sign_in")
        await cashier.sign_in(SUPERVISOR)
        assert SUPERVISOR.name in cashier.lines[0]


async def test_a_node_that_knows_nobody_says_what_to_do(shops_without_people: Node, at_till: AtTill) -> None:
    async with at_till(on=shops_without_people, is_signed_in=False) as cashier:
        await cashier.until(cashier.t("sign_in.nobody")[:12])


async def test_a_bare_console_speaks_english_and_says_why(at_till: AtTill) -> None:
    async with at_till(Language.EN, is_signed_in=False, has_hanzi=False) as cashier:
        await cashier.until("cannot show Chinese")
        await cashier.press("f11")
        assert isinstance(cashier.app, TillApp)
        assert cashier.app.till.language is Language.EN


async def test_after_the_lease_a_manager_is_asked_at_sign_in_and_without_one_the_till_sells_on_marked(
    at_till: AtTill, node: Node, language: Language
) -> None:
    node.config = msgspec.structs.replace(node.config, lease_days=30)  # it never exchanged
    async with at_till(language, is_signed_in=False) as cashier:
        await cashier.enter(CASHIER.number)
        await cashier.enter(CASHIER.pin)
        await cashier.until(cashier.t("lease.title"))
        await cashier.press("enter", "escape")
        await cashier.until(cashier.t("lease.without"))
        await cashier.scan(COLA_BARCODE)
        await cashier.press("+", "enter")
        await cashier.until("A1-1-000001")
    [sale] = [entry.payload for entry in own_entries(node) if isinstance(entry.payload, Sale)]
    assert LEASE_LAPSED in sale.flags


async def test_a_managers_code_lets_a_till_trade_on_after_its_lease(
    at_till: AtTill, node: Node, language: Language
) -> None:
    node.config = msgspec.structs.replace(node.config, lease_days=30)
    async with at_till(language, is_signed_in=False) as cashier:
        await cashier.enter(CASHIER.number)
        await cashier.enter(CASHIER.pin)
        await cashier.until(cashier.t("lease.title"))
        await cashier.press("enter")
        for answer in (MANAGER.number, MANAGER.pin):
            await cashier.enter(answer)
        await cashier.until(cashier.t("sale.empty"))
        assert cashier.t("lease.without") not in cashier.painted


async def test_a_manager_who_signs_in_after_the_lease_is_asked_for_nothing_more(at_till: AtTill, node: Node) -> None:
    node.config = msgspec.structs.replace(node.config, lease_days=30)
    async with at_till(is_signed_in=False) as cashier:
        await cashier.enter(MANAGER.number)
        await cashier.enter(MANAGER.pin)
        await cashier.until(cashier.t("sale.empty"))
        assert cashier.t("lease.title") not in cashier.painted


def own_entries(node: Node) -> list[Entry]:
    """Return what the node wrote at its location."""
    row = next(row for row in node.replica.rows() if row.stream.node == node.config.node_id)
    return list(node.replica.log.entries(row))
