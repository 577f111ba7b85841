"""Fixtures of the screen's tests: a till on a real node in shop A, its people and goods, and a cashier at its keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from edge.node import Node
from pos_tui.app import TillApp
from pos_tui.till import Till
from schema.rules.promotion_terms import Language
from tests.edge.goods import teach_goods
from tests.edge.people import employ
from tests.edge.shops import Shops
from tests.pos_tui.cashier import NARROW, Cashier

AtTill = Callable[..., AbstractAsyncContextManager[Cashier]]


@pytest.fixture(params=[Language.ZH, Language.EN], ids=["zh", "en"])
def language(request: pytest.FixtureRequest) -> Language:
    """Each language of the till in turn."""
    found: Language = request.param
    return found


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[Shops]:
    """An organisation without any node yet."""
    made = Shops(tmp_path)
    yield made
    made.close()


@pytest.fixture
def node(shops: Shops) -> Node:
    """A till of shop A with goods on its shelves and people who may sign in."""
    made = teach_goods(shops.make_node())
    employ(shops)
    return made


@pytest.fixture
def at_till(node: Node) -> AtTill:
    """Open the till's screen on the node; the block has a cashier at its keys."""

    @asynccontextmanager
    async def opened(
        language: Language = Language.ZH,
        *,
        size: tuple[int, int] = NARROW,
        on: Node | None = None,
        is_signed_in: bool = True,
        **options: object,
    ) -> AsyncIterator[Cashier]:
        app = TillApp(Till(on or node, language=language), **options)  # type: ignore[arg-type]
        async with app.run_test(size=size) as pilot:
            cashier = Cashier(app, pilot)
            await cashier.settled()
            if is_signed_in:
                await cashier.sign_in()
            yield cashier
            if app.till.is_training:
                app.till.end_training()

    return opened


@pytest.fixture
def shops_without_people(shops: Shops, node: Node) -> Node:
    """A till beside the other, to which the hub has told nobody's PIN yet."""
    assert node.config.till == "A1"
    return shops.make_node("A9")
