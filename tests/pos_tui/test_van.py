"""The van's day at the keys, in both languages: sign for the load, sell at a stop, collect, unload, count, settle."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.balances import balance
from edge.carrying import hand_over, seal_for_hub, take_along
from edge.lan_carry import VisitReport
from edge.node import Node
from edge.papers import paper_pages
from edge.stock import QuantityRequest, receive_goods
from edge.van_load import load_out
from edge.van_settlement import last_settlement
from schema.codec import encode
from schema.rows import BalanceKind
from schema.rules.promotion_terms import Language
from sync.transport import BroughtAnswer
from tests.edge.goods import COLA, COLA_BARCODE, TEA, teach_goods
from tests.edge.people import employ
from tests.edge.shops import Shops, carry, figures
from tests.edge.vans import BOSS, DRIVER, STORE, define_van, give_credit, know_round, limit_credit, make_van
from tests.pos_tui.cashier import WIDE, Cashier
from tests.pos_tui.conftest import AtTill


@pytest.fixture
def warehouse(shops: Shops) -> Node:
    define_van(shops)
    made = teach_goods(shops.make_node("W1", "W"))
    employ(shops, DRIVER, BOSS, as_of_ms=3)
    receive_goods(made, [QuantityRequest(COLA, 100_000), QuantityRequest(TEA, 100_000)])
    return made


@pytest.fixture
def van(shops: Shops, warehouse: Node) -> Node:
    made = teach_goods(make_van(shops))
    employ(shops, DRIVER, BOSS, as_of_ms=3)
    know_round(made)
    limit_credit(shops, STORE.person, 10_000)
    give_credit(made, STORE.person, 10_000)
    return made


async def open_van(cashier: Cashier) -> None:
    await cashier.press("ctrl+w")
    await cashier.until_screen("choose")
    place = next(n for n, line in enumerate(_choices(cashier), 1) if cashier.t("stock_menu.van") in line)
    await cashier.choose(place)
    await cashier.until_screen("van")


def _choices(cashier: Cashier) -> list[str]:
    listing = cashier.screen.listing
    assert listing is not None
    return [row.cells[0] for row in listing._rows]


async def take_load(cashier: Cashier) -> None:
    await cashier.press("1")
    await cashier.until_screen("van_load")
    await cashier.press("enter")
    await cashier.until_screen("sign")
    await cashier.press("enter")
    await cashier.enter(DRIVER.pin)
    await cashier.until_screen("van_load")
    await cashier.press("escape")
    await cashier.until_screen("van")


async def test_a_whole_day_at_the_keys(
    shops: Shops, warehouse: Node, van: Node, at_till: AtTill, language: Language
) -> None:
    load_out(warehouse, "V", [QuantityRequest(COLA, 24_000), QuantityRequest(TEA, 12_000)], driver="3001",
             pin=DRIVER.pin)  # fmt: skip
    carry(warehouse, van, "loc/V")
    async with at_till(language, on=van, is_signed_in=False) as cashier:
        await cashier.sign_in(DRIVER)
        await cashier.press("f10", "1")
        await cashier.enter("200")
        await cashier.until_screen("shift")
        await cashier.press("escape")
        await cashier.until_screen("sale")
        await open_van(cashier)
        await take_load(cashier)
        assert figures(van)[COLA][0] == 24_000

        await cashier.press("2")
        await cashier.until_screen("van_stops")
        assert cashier.shows(STORE.name)
        assert cashier.shows(STORE.address)
        await cashier.press("enter")
        await cashier.until_screen("sale")
        assert cashier.shows(f"{STORE.name} {STORE.tier}")

        await cashier.type("10*")
        await cashier.scan(COLA_BARCODE)
        await cashier.press("+")
        await cashier.until_screen("tender")
        await pay_on_account(cashier)
        await cashier.until_screen("sale")
        assert balance(van, BalanceKind.CUSTOMER_CREDIT, STORE.person).amount == 3_000

        await open_van(cashier)
        await cashier.press("2")
        await cashier.until_screen("van_stops")
        await cashier.press("home", "*")
        await cashier.until_screen("ask")
        await cashier.enter("12")
        await cashier.until_screen("choose")
        await cashier.choose(1)
        await cashier.until_screen("ask")
        await cashier.press("enter")
        await cashier.until_screen("notice")
        await cashier.press("enter")
        await cashier.until_screen("account")
        await cashier.press("escape")
        await cashier.until_screen("van_stops")
        assert balance(van, BalanceKind.CUSTOMER_CREDIT, STORE.person).amount == 1_800
        await cashier.press("escape")
        await cashier.until_screen("van")

        await cashier.press("3")
        await cashier.until_screen("van_unload")
        await cashier.enter("4")
        await cashier.enter("0")
        await cashier.press("+")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("van_unload")
        await cashier.press("escape")
        await cashier.until_screen("van")
        assert (figures(van)[COLA][0], figures(van)[TEA][0]) == (10_000, 12_000)

        await cashier.press("4")
        await cashier.until_screen("van_settle")
        assert cashier.shows("?")  # blind: what ought to be aboard is not told before it was counted
        await cashier.enter("9")
        await cashier.enter("12")
        await cashier.press("+")
        await cashier.until_screen("count")
        await cashier.press("+")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("confirm")
        await cashier.press("enter")
        await cashier.until_screen("van_paper")
        await cashier.press("escape")
    known = last_settlement(van)
    assert known is not None
    settled = known[1]
    lines = {line.product: line for line in settled.lines}
    assert (lines[COLA].loaded_milli, lines[COLA].sold_milli, lines[COLA].sent_milli) == (24_000, 10_000, 4_000)
    assert (lines[COLA].difference_milli, lines[COLA].value_minor) == (1_000, 300)
    assert lines[TEA].difference_milli == 0
    assert settled.cash_expected_minor == 21_200
    assert settled.cash_counted_minor == 0
    assert settled.operator == DRIVER.operator


async def pay_on_account(cashier: Cashier) -> None:
    """Choose the account among the means, and take all of it."""
    while _means(cashier) != "account":
        await cashier.press("*")
    await cashier.press("enter")


def _means(cashier: Cashier) -> str:
    return str(getattr(cashier.screen, "means", ""))


async def test_credit_that_is_not_here_is_refused_in_the_drivers_language(
    van: Node, at_till: AtTill, language: Language
) -> None:
    async with at_till(language, on=van, is_signed_in=False, size=WIDE) as cashier:
        await cashier.sign_in(DRIVER)
        await open_van(cashier)
        await cashier.press("2")
        await cashier.until_screen("van_stops")
        assert cashier.shows("100.00")
        await cashier.press("enter")
        await cashier.until_screen("sale")
        await cashier.type("40*")
        await cashier.scan(COLA_BARCODE)
        await cashier.press("+")
        await cashier.until_screen("tender")
        await pay_on_account(cashier)
        await cashier.until("100.00")
    assert balance(van, BalanceKind.CUSTOMER_CREDIT, STORE.person).amount == 0


async def test_a_load_is_read_from_its_paper_and_signed_for(
    tmp_path: Path, warehouse: Node, van: Node, at_till: AtTill, language: Language
) -> None:
    sent = load_out(warehouse, "V", [QuantityRequest(COLA, 24_000)], driver="3001", pin=DRIVER.pin)
    async with at_till(language, on=van, is_signed_in=False) as cashier:
        await cashier.sign_in(DRIVER)
        await open_van(cashier)
        await cashier.press("1")
        await cashier.until_screen("van_load")
        assert cashier.shows(cashier.t("van_load.none"))
        for page in paper_pages(warehouse, sent.transfer)[0]:
            await cashier.scan(page)
        await cashier.until(sent.transfer)
        await cashier.press("enter")
        await cashier.until_screen("sign")
        await cashier.enter(DRIVER.number)
        await cashier.enter("000000")
        await cashier.until_screen("van_load")
        assert COLA not in figures(van)
        await cashier.press("enter")
        await cashier.until_screen("sign")
        await cashier.enter(DRIVER.number)
        await cashier.enter(DRIVER.pin)
        await cashier.until(cashier.t("van_load.none"))
    assert figures(van)[COLA][0] == 24_000


async def test_a_shop_is_not_offered_the_vans_day(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.press("ctrl+w")
        await cashier.until_screen("choose")
        assert all(cashier.t("stock_menu.van") not in line for line in _choices(cashier))


async def test_what_is_carried_for_others_is_listed_with_its_age_and_whether_it_was_delivered(
    shops: Shops, van: Node, at_till: AtTill, language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = teach_goods(shops.make_node("A7", "A"))
    receive_goods(shop, [QuantityRequest(COLA, 24_000)])

    def visits(reports: list[VisitReport]) -> None:
        monkeypatch.setattr("pos_tui.screens.van_carry.visit_shops_of", lambda _directory, _clock: reports)

    async with at_till(language, on=van, is_signed_in=False, size=WIDE) as cashier:
        await cashier.sign_in(DRIVER)
        await open_van(cashier)
        assert cashier.shows(cashier.t("van.carry_none"))
        await cashier.press("6")
        await cashier.until_screen("van_carry")
        assert cashier.shows(cashier.t("van_carry.none"))
        visits([])
        await cashier.press("+")
        await cashier.until(cashier.t("van_carry.nobody"))
        seal_for_hub(shop, tmp_path / "sealed")
        taken = take_along(van, tmp_path / "sealed")
        visits([VisitReport(shop.config.node, "A", taken)])
        await cashier.press("+")
        await cashier.until(cashier.t("van_carry.came", entries=1, places="Shop A"))
        assert cashier.shows(cashier.t("van_carry.waits_hub"))
        visits([VisitReport(shop.config.node, "A", refused="carry_forbidden", message="no")])
        await cashier.press("+")
        await cashier.until(shop.config.node)
        hand_over(van, lambda _: encode(BroughtAnswer("x", 1, is_new=True)))
        visits([VisitReport(shop.config.node, "A")])
        await cashier.press("+")
        await cashier.until(cashier.t("van_carry.nothing"))
        assert cashier.shows(cashier.t("van_carry.delivered"))
        await cashier.press("escape")
        await cashier.until_screen("van")
