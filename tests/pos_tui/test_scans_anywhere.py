"""A scan does one thing wherever it lands: on a question, a menu, a screen not up yet, a machine that stalls."""

from __future__ import annotations

import time

import pytest
from textual import events

from edge.node import Node
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen, ConfirmScreen
from schema.rules.promotion_terms import Language
from tests.edge.goods import COLA, COLA_BARCODE, MILK, MILK_BARCODE
from tests.pos_tui.cashier import Cashier
from tests.pos_tui.conftest import AtTill

UNKNOWN = "6901234500016"
LEADING_ZERO = "036000291452"


def waits(screen: ChooseScreen) -> bool:
    """Tell whether a key waits for what follows it."""
    return screen._held is not None


def basket(cashier: Cashier) -> list[tuple[str, int]]:
    return [(line.product, line.quantity_milli) for line in cashier.app.till.basket.lines]


@pytest.mark.parametrize("code", [COLA_BARCODE, UNKNOWN, LEADING_ZERO])
async def test_a_scan_answers_no_question(at_till: AtTill, language: Language, code: str) -> None:
    answers: list[object] = []
    async with at_till(language) as cashier:
        for question in (
            ConfirmScreen("?", "?"), ChooseScreen("?", [Choice("a", "a"), Choice("b", "b"), Choice("c", "c")]),
        ):  # fmt: skip
            cashier.app.push_screen(question, answers.append)
            await cashier.until_screen(question.NAME)
            await cashier.scan(code)
            await cashier.until(cashier.t("scan.not_here"))
            assert (cashier.screen, answers, basket(cashier)) == (question, [], [])
            await cashier.press("0")
            await cashier.until_screen("sale")
            assert answers.pop() in {False, None}


@pytest.mark.parametrize("key", ["ctrl+w", "f9", "f10"])
async def test_a_scan_chooses_nothing_in_a_menu(at_till: AtTill, key: str) -> None:
    async with at_till() as cashier:
        await cashier.press(key)
        menu = cashier.screen
        assert menu.NAME != "sale"
        for code in (COLA_BARCODE, "1234567890128", LEADING_ZERO):
            await cashier.scan(code)
            await cashier.until(cashier.t("scan.not_here"))
            assert cashier.screen is menu


async def test_a_digit_right_before_enter_chooses_its_row(at_till: AtTill) -> None:
    answers: list[object] = []
    async with at_till() as cashier:
        cashier.app.push_screen(ChooseScreen("?", [Choice("a", "a"), Choice("b", "b")]), answers.append)
        await cashier.until_screen("choose")
        cashier._send("2", 0.2)
        cashier._send("enter", 0.04)
        await cashier.until_screen("sale")
    assert answers == ["b"]


async def test_a_digit_that_waits_does_nothing_once_another_screen_has_come(at_till: AtTill) -> None:
    answers: list[object] = []
    async with at_till() as cashier:
        choose = ChooseScreen("?", [Choice("a", "a"), Choice("b", "b")])
        cashier.app.push_screen(choose, answers.append)
        await cashier.until_screen("choose")
        choose.take_key("2", "2")
        assert waits(choose)
        cashier.app.push_screen(ConfirmScreen("?", "?"))
        await cashier.until_screen("confirm")
        await cashier.pilot.pause(0.1)
        assert not waits(choose)
        await cashier.press("escape")
        assert (cashier.screen, answers) == (choose, [])


@pytest.mark.parametrize("stall_s", [0.04, 0.07, 0.12])
@pytest.mark.parametrize("place", [1, 3, 9, 12])
async def test_a_machine_that_stalls_within_a_scan_loses_none_of_it(
    at_till: AtTill, place: int, stall_s: float
) -> None:
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE, stalled_before=place, stall_s=stall_s)
        await cashier.scan(MILK_BARCODE)
        assert basket(cashier) == [(COLA, 1000), (MILK, 1000)]
        assert not cashier.screen.entry or not cashier.screen.entry.text


async def test_a_scan_that_comes_before_its_screen_is_one_scan(at_till: AtTill) -> None:
    answers: list[object] = []
    async with at_till() as cashier:
        ask = AskScreen("?", takes_scan=True)
        cashier.app.push_screen(ask, answers.append)
        assert not ask._is_shown
        moment = time.monotonic()
        for n, char in enumerate((*COLA_BARCODE, "enter")):
            event = events.Key(char, "\r" if char == "enter" else char)
            event.time = moment + n * 0.002
            cashier.app._take_key(event)
        assert not ask._is_shown
        await cashier.until_screen("sale")
    assert answers == [COLA_BARCODE]


async def test_a_scan_takes_out_only_what_it_typed_on_the_screen_where_it_ends(at_till: AtTill, node: Node) -> None:
    """Its first keys fell on a question that closed meanwhile; what stood in the line below stays there."""
    async with at_till() as cashier:
        await cashier.type("3*")
        question = ConfirmScreen("?", "?")
        cashier.app.push_screen(question)
        await cashier.until_screen("confirm")
        moment = cashier._clock_s + 0.5
        for n, char in enumerate((*COLA_BARCODE, "enter")):
            if n == 6:
                question.dismiss(False)
                await cashier.until_screen("sale")
            event = events.Key(char, "\r" if char == "enter" else char)
            event.time = moment + n * 0.002
            cashier.app.post_message(event)
        await cashier.settled()
        assert basket(cashier) == [(COLA, 3000)]
