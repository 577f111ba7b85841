"""The van's screens as they are painted: Chinese at 80 × 24, English at 120 × 36, at a clock that stands still."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot

from edge.node import Node
from edge.shifts import close_shift, open_shift
from edge.stock import QuantityRequest, open_stock
from edge.van_settlement import settle_van
from pos_tui.app import TillApp
from pos_tui.till import Till
from schema.rules.promotion_terms import Language
from tests.edge.goods import COLA, MILK, TEA, teach_goods
from tests.edge.people import employ
from tests.edge.shops import START_MS, Shops
from tests.edge.vans import BOSS, DRIVER, STORE, define_van, give_credit, know_round, limit_credit
from tests.pos_tui.cashier import NARROW, WIDE, Cashier
from tests.pos_tui.test_snapshots import StandingClock

Story = Callable[[Cashier], Awaitable[None]]
Compare = Callable[..., bool]


@pytest.fixture
def van(shops: Shops) -> Node:
    define_van(shops)
    made = teach_goods(shops.make_node("V1", "V", clock=lambda: StandingClock(START_MS)))
    employ(shops, DRIVER, BOSS, as_of_ms=3)
    know_round(made)
    limit_credit(shops, STORE.person, 80_000)
    give_credit(made, STORE.person, 80_000)
    open_stock(made, [QuantityRequest(COLA, 24_000), QuantityRequest(TEA, 12_000), QuantityRequest(MILK, 6_000)])
    return made


async def opened(cashier: Cashier) -> None:
    await cashier.sign_in(DRIVER)
    await cashier.press("ctrl+w")
    await cashier.until_screen("choose")
    listing = cashier.screen.listing
    assert listing is not None
    names = [row.cells[0] for row in listing._rows]
    await cashier.choose(names.index(cashier.t("stock_menu.van")) + 1)
    await cashier.until_screen("van")


async def day(cashier: Cashier) -> None:
    """Look at the day."""
    await opened(cashier)


async def stops(cashier: Cashier) -> None:
    """Look at the round."""
    await opened(cashier)
    await cashier.press("2")
    await cashier.until_screen("van_stops")


async def unload(cashier: Cashier) -> None:
    """Send a part of what is aboard back."""
    await opened(cashier)
    await cashier.press("3")
    await cashier.until_screen("van_unload")
    await cashier.enter("4")


async def settle(cashier: Cashier) -> None:
    """Count some of the goods."""
    await opened(cashier)
    await cashier.press("4")
    await cashier.until_screen("van_settle")
    await cashier.enter("23")
    await cashier.enter("6")


async def paper(cashier: Cashier) -> None:
    """Read the settlement as it is printed."""
    node = cashier.app.till.node
    open_shift(node, operator=DRIVER.operator, float_minor=20_000)
    close_shift(node, 19_950, operator=DRIVER.operator)
    settle_van(node, operator=DRIVER.operator, allows_uncounted=True)
    await opened(cashier)
    await cashier.press("5")
    await cashier.until_screen("van_paper")


async def carrying(cashier: Cashier) -> None:
    """Look at what is carried for other shops."""
    node = cashier.app.till.node
    for bundle, place, taken_ms, handed_ms, outcome in (
        ("a" * 32, "A", START_MS - 7_200_000, 0, ""), ("b" * 32, "B", START_MS - 90_000_000, START_MS, "taken:40"),
    ):  # fmt: skip
        node.connection.execute(
            "INSERT INTO carried_bundle (bundle, writer, location, content, entries, taken_ms, handed_ms, outcome,"
            " size, made_ms) VALUES (?, 'x', ?, x'', 40, ?, ?, ?, ?, ?)",
            (bundle, place, taken_ms, handed_ms, outcome, 0 if handed_ms else 18_400, taken_ms),
        )
    await opened(cashier)
    await cashier.press("6")
    await cashier.until_screen("van_carry")


STORIES: tuple[Story, ...] = (day, stops, unload, settle, paper, carrying)
SIZES = pytest.mark.parametrize(
    ("language", "size"), [(Language.ZH, NARROW), (Language.EN, WIDE)], ids=["zh-80x24", "en-120x36"]
)


@pytest.mark.parametrize("story", STORIES, ids=[story.__name__ for story in STORIES])
@SIZES
def test_the_screen_is_painted_as_before(
    van: Node, snap_compare: Compare, story: Story, language: Language, size: tuple[int, int]
) -> None:
    async def play(pilot: Pilot[None]) -> None:
        assert isinstance(pilot.app, TillApp)
        cashier = Cashier(pilot.app, pilot)
        await cashier.settled()
        await story(cashier)
        await cashier.settled()

    app = TillApp(Till(van, language=language))
    assert snap_compare(app, terminal_size=size, run_before=play)
