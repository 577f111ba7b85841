"""Two people count a shop by zones on two real tills that meet over the LAN, with the hub down all the time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from edge.counting import count_sessions
from edge.doctor import examine
from edge.node import Node
from edge.stock import QuantityRequest, open_stock
from hub.operators import define_operator
from schema.rules.promotion_terms import Language
from tests.edge.households import Household, introduce, opened, sync, until
from tests.edge.shops import APPLES, CIGARETTES, WATER, figures
from tests.end_to_end.test_till_in_a_terminal import Tmux

WATER_BARCODE: Final = "6901234567892"
PEOPLE: Final = (("1001", "李小梅", "111111"), ("1002", "王建国", "222222"))


def tills(household: Household) -> list[Path]:
    """Let two tills join with their people and some stock; the hub is down from then on."""
    with household.serving() as hub:
        for number, name, pin in PEOPLE:
            define_operator(
                hub.store, hub.own_log, number=number, name=name, role="supervisor", locations=("A",), pin=pin
            )
        directories = [household.enrol(hub, name) for name in ("A1", "A2")]
        for directory in directories:
            sync(directory)
        with opened(directories[0]) as node:
            goods = ((WATER, 10_000), (CIGARETTES, 3_000), (APPLES, 5_000))
            open_stock(node, [QuantityRequest(code, quantity) for code, quantity in goods])
        for directory in directories:
            sync(directory)
    introduce(directories)
    return directories


def sign_in(till: Tmux, number: str, pin: str) -> None:
    till.reads("sign_in.title", "sign_in.number_hint")
    till.types(number)
    till.reads("sign_in.pin")
    till.types(pin)
    till.reads("sale.prompt")


def choose(till: Tmux, *texts: str) -> None:
    """Press the digit before a choice on the screen."""
    screen = till.sees(*texts)
    line = next(line for line in screen.splitlines() if texts[0] in line)
    found = re.search(r"(\d) +" + re.escape(texts[0]), line)
    assert found, line
    till.press(found[1])


def go_to_counting(till: Tmux) -> None:
    till.press("C-w")
    choose(till, till.t("stock_menu.count"))
    till.reads("count_menu.title", "count_menu.book")


@pytest.mark.long
@pytest.mark.parametrize("language", list(Language))
def test_two_people_count_two_zones_on_two_tills_without_a_hub(tmp_path: Path, language: Language) -> None:
    one, other = tills(Household(tmp_path))
    first, second = Tmux(one, language), Tmux(other, language)
    try:
        t = first.t
        sign_in(first, *PEOPLE[0][::2])
        sign_in(second, *PEOPLE[1][::2])

        go_to_counting(first)
        choose(first, t("count_menu.book"))
        first.reads("count_menu.zones")
        first.types("shop store")
        choose(first, "shop ", t("stock_count.zone_title"))
        first.sees(t("stock_count.zone_now", zone="shop"))
        for _ in range(3):
            first.scan(WATER_BARCODE)
        first.sees(t("stock_count.counts", name="Water", total="3件"))
        first.types(CIGARETTES)
        first.types("3")
        first.sees(t("stock_count.counts", name="Cigarettes", total="3件"))

        with Node(other, is_read_only=True) as node:
            until(lambda: bool(count_sessions(node)), "the second till hears of the count over the LAN")
            session = count_sessions(node)[0].session
        go_to_counting(second)
        choose(second, t("count_menu.go_on", session=session))
        choose(second, "store ", t("stock_count.zone_title"))
        second.sees(t("stock_count.zone_now", zone="store"))
        second.scan(WATER_BARCODE)
        second.types("6")
        second.sees(t("stock_count.counts", name="Water", total="6件"))
        second.close()  # somebody trips over the cable

        second = Tmux(other, language)
        sign_in(second, *PEOPLE[1][::2])
        go_to_counting(second)
        choose(second, t("count_menu.go_on", session=session))
        second.sees("6件", "store")
        second.types("7")
        second.sees(t("stock_count.counts", name="Water", total="7件"))
        second.press("F5")
        second.sees(t("stock_count.kept", number=1)[:20])

        first.press("*")
        choose(first, "store ", t("stock_count.zone_title"))
        first.sees("7件", "A2")
        first.press("+")
        first.sees(t("count_review.missing", number=3)[:12], "Apples")
        first.press("+")
        first.reads("count_review.zeros")
        first.press("Enter")
        first.reads("count_review.recounts")  # five kilograms of apples are gone
        choose(first, t("count_review.close_anyway"))
        first.sees(t("count_report.closed", session=session), "Apples", "-5")

        with Node(other, is_read_only=True) as node:
            until(lambda: not count_sessions(node), "the second till hears that the count is closed")
        second.sees(t("stock_count.closed_elsewhere", number=0)[:12])
    finally:
        first.close()
        second.close()
    with opened(one) as here, opened(other) as there:
        wanted = {WATER: 10_000, CIGARETTES: 3_000, APPLES: 0}
        assert {code: figures(here)[code][0] for code in wanted} == wanted
        assert figures(here) == figures(there)
        assert examine(here).is_healthy
        assert examine(there).is_healthy
