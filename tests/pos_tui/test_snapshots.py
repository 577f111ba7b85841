"""The screens as they are painted, whole: Chinese at 80 × 24, English at 120 × 36, at a clock that stands still.

After a change that is meant: `pytest tests/pos_tui/test_snapshots.py --snapshot-update`, and look at what changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from edge.clock_source import ScriptedClock
from edge.counting import open_session
from edge.node import Node
from edge.reserving import reserve
from edge.stock import QuantityRequest, receive_goods
from pos_tui.app import TillApp
from pos_tui.screens.stock_menu import WORKS
from pos_tui.till import Till
from schema.identity import ProductId
from schema.rows import PromotionKind
from schema.rules.promotion_terms import Language, Promotion
from sync.clock import ClockReading
from tests.edge.goods import COLA, COLA_BARCODE, MILK, MILK_BARCODE, PORK, TEA, minor, promote, teach_goods
from tests.edge.people import CASHIER, employ
from tests.edge.shops import START_MS, Shops
from tests.pos_tui.cashier import NARROW, WIDE, Cashier
from tests.pos_tui.members import PHONE, enlist
from tests.pos_tui.test_stock_work import ORDER, hear, open_work

Story = Callable[[Cashier], Awaitable[None]]
Compare = Callable[..., bool]


class StandingClock(ScriptedClock):
    """A clock that stands at the start of the day."""

    def __call__(self) -> ClockReading:
        return ClockReading(START_MS, START_MS, "standing")


@pytest.fixture
def still_node(shops: Shops) -> Node:
    """A till at which it is always eight o'clock, with a promotion and a member."""
    node = teach_goods(shops.make_node(clock=lambda: StandingClock(START_MS)))
    employ(shops)
    enlist(node, points=1280, stored_minor=5000, tier="gold")
    promote(
        node,
        Promotion(code="P1", name="绿茶三瓶九元", kind=PromotionKind.N_FOR_PRICE, products=(ProductId(TEA),),
                  amount_minor=minor(900), buy_count=3),
    )  # fmt: skip
    return node


async def nothing(_cashier: Cashier) -> None:
    """Leave the sign-in as it is."""


async def fill(cashier: Cashier) -> None:
    """Sign in and put a member's goods into the basket."""
    await cashier.sign_in()
    await cashier.type("2*")
    await cashier.scan(COLA_BARCODE)
    await cashier.enter(f"3*{TEA}")
    await cashier.scan(MILK_BARCODE)
    await cashier.enter(PORK)
    await cashier.until_screen("weigh")
    await cashier.enter("0.456")
    await cashier.press("f2")
    await cashier.enter(PHONE)
    await cashier.press("enter")
    await cashier.until_screen("sale")


async def search(cashier: Cashier) -> None:
    """Search as one types."""
    await cashier.sign_in()
    await cashier.type("l")
    await cashier.until("绿茶")


async def tender(cashier: Cashier) -> None:
    """Take a part of the money, and be about to take a round amount."""
    await fill(cashier)
    await cashier.press("+")
    await cashier.until_screen("tender")
    await cashier.enter("10")
    await cashier.press("+", "+")


async def done(cashier: Cashier) -> None:
    """Give change."""
    await fill(cashier)
    await cashier.press("+")
    await cashier.until_screen("tender")
    await cashier.enter("100")
    await cashier.until_screen("sale")


async def refund(cashier: Cashier) -> None:
    """Take a line of that sale back."""
    await done(cashier)
    await cashier.press("f7")
    await cashier.until_screen("refund")
    await cashier.enter("1")
    await cashier.enter("1")


async def shift(cashier: Cashier) -> None:
    """Open the drawer's day."""
    await cashier.sign_in()
    await cashier.press("f10", "1")
    await cashier.enter("200")
    await cashier.until_screen("shift")


async def count(cashier: Cashier) -> None:
    """Count the drawer."""
    await shift(cashier)
    await cashier.press("6")
    await cashier.until_screen("count")
    await cashier.enter("1")
    await cashier.enter("2")


async def receipts(cashier: Cashier) -> None:
    """Read the last receipt as paper."""
    await done(cashier)
    await cashier.press("ctrl+r")
    await cashier.until_screen("receipts")


async def why(cashier: Cashier) -> None:
    """Ask why a stock figure is what it is."""
    await done(cashier)
    await cashier.press("f3")
    await cashier.until_screen("lookup")
    await cashier.enter(COLA)
    await cashier.press("*")


async def approval(cashier: Cashier) -> None:
    """Ask for a second person."""
    await fill(cashier)
    await cashier.press("f6")
    await cashier.choose(3)
    await cashier.enter("5")
    await cashier.until_screen("approve")


async def receive(cashier: Cashier) -> None:
    """Check an order at the door: some came, some is broken, some more than ordered."""
    await cashier.sign_in()
    hear(cashier.app.till.node, ORDER)
    await open_work(cashier, "receive", "deliveries")
    await cashier.press("enter")
    await cashier.until_screen("receive")
    await cashier.enter("20")
    await cashier.press("up", "/")
    await cashier.enter("2")
    await cashier.choose(1)
    await cashier.until_screen("receive")
    await cashier.type("15*")
    await cashier.scan(MILK_BARCODE)


async def deliveries(cashier: Cashier) -> None:
    """Look at what is awaited."""
    await cashier.sign_in()
    hear(cashier.app.till.node, ORDER)
    await open_work(cashier, "receive", "deliveries")


async def dispatch(cashier: Cashier) -> None:
    """Fill a transfer, with a lot."""
    await cashier.sign_in()
    await open_work(cashier, "dispatch")
    await cashier.choose(1)
    await cashier.until_screen("dispatch")
    await cashier.type("24*")
    await cashier.scan(COLA_BARCODE)
    await cashier.press("f4")
    await cashier.enter("261231")
    await cashier.enter("L7")
    await cashier.until_screen("dispatch")
    await cashier.enter(PORK)
    await cashier.enter("12.5")


async def adjust(cashier: Cashier) -> None:
    """Write goods off."""
    await cashier.sign_in()
    await open_work(cashier, "adjust")
    await cashier.choose(1)
    await cashier.until_screen("adjust")
    await cashier.type("3*")
    await cashier.scan(MILK_BARCODE)


async def below_zero(cashier: Cashier) -> None:
    """Look at what is below zero."""
    await done(cashier)
    await open_work(cashier, "lists", "lists")


async def kept(cashier: Cashier) -> None:
    """Look at what is put aside."""
    await cashier.sign_in()
    node = cashier.app.till.node
    receive_goods(node, [QuantityRequest(COLA, 9000)])
    reserve(node, COLA, 2000, until_ms=START_MS + 36_000_000, note="王阿姨")
    await open_work(cashier, "reservations", "reservations")


STORIES: tuple[Story, ...] = (
    nothing, fill, search, tender, done, refund, shift, count, receipts, why, approval, deliveries, receive, dispatch,
    adjust, below_zero, kept,
)  # fmt: skip


@pytest.mark.parametrize(("size", "language"), [(NARROW, Language.ZH), (WIDE, Language.EN)], ids=["80x24", "120x36"])
@pytest.mark.parametrize("story", STORIES, ids=[story.__name__ for story in STORIES])
def test_the_screen_is_painted_as_it_was(
    still_node: Node, snap_compare: Compare, story: Story, size: tuple[int, int], language: Language
) -> None:
    app = TillApp(Till(still_node, language=language))

    async def play(pilot: Pilot[Any]) -> None:
        cashier = Cashier(app, pilot)
        await cashier.settled()
        await story(cashier)
        app.refresh_status()
        await cashier.settled()

    assert snap_compare(app, terminal_size=size, run_before=play)


# Counting shelves.


async def stock_count(cashier: Cashier) -> None:
    """Count a shelf by zones: some is open, some is planned, one line is in hand."""
    open_session(cashier.app.till.node, ["货架", "仓库"], [COLA, TEA, MILK, PORK], operator=CASHIER.operator)
    await cashier.sign_in()
    await cashier.press("ctrl+w")
    await cashier.until_screen("choose")
    await cashier.choose([one.name for one in WORKS].index("count") + 1)
    await cashier.until_screen("count_menu")
    await cashier.press("1")
    await cashier.until_screen("choose")
    await cashier.choose(1)
    await cashier.scan(COLA_BARCODE)
    await cashier.enter("24")
    await cashier.scan(MILK_BARCODE)
    await cashier.enter(TEA)
    await cashier.enter("12")


async def stock_count_menu(cashier: Cashier) -> None:
    """Come back to the menu, where the count stays open."""
    await stock_count(cashier)
    await cashier.press("escape")
    await cashier.until_screen("count_menu")


async def stock_count_review(cashier: Cashier) -> None:
    """See what is missing."""
    await stock_count(cashier)
    await cashier.press("+")
    await cashier.until_screen("count_review")


async def stock_count_report(cashier: Cashier) -> None:
    """Close it with zeros, and read what it came to."""
    await stock_count_review(cashier)
    await cashier.press("+")
    await cashier.until_screen("confirm")
    await cashier.press("enter")
    await cashier.until_screen("count_report")


COUNT_STORIES: tuple[Story, ...] = (stock_count, stock_count_menu, stock_count_review, stock_count_report)


@pytest.mark.parametrize(("size", "language"), [(NARROW, Language.ZH), (WIDE, Language.EN)], ids=["80x24", "120x36"])
@pytest.mark.parametrize("story", COUNT_STORIES, ids=[story.__name__ for story in COUNT_STORIES])
def test_the_screens_of_a_count_are_painted_as_they_were(
    still_node: Node, snap_compare: Compare, story: Story, size: tuple[int, int], language: Language
) -> None:
    test_the_screen_is_painted_as_it_was(still_node, snap_compare, story, size, language)
