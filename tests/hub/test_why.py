"""Why a figure is what it is: what the desk tells of a product that moves much is what the plain explanation tells."""

from __future__ import annotations

import random
from collections import defaultdict

import httpx
import pytest

from hub.history import WORTH_SUMMING
from hub.service import Hub
from hub.why import explain_product
from schema.identity import Scope
from schema.kinds.counting import EntryVoided
from sync.explanation import StockExplanation, explain_stock
from sync.stock_projection import StockProjection
from tests.hub.conflicting import Chain

A = Scope("loc/A")
PRODUCT = "11001"


@pytest.fixture
def chain(hub: Hub, client: httpx.Client) -> Chain:
    return Chain(hub, client)


def plainly(hub: Hub, product: str = PRODUCT) -> StockExplanation:
    with hub.store.snapshot() as replica:
        rules = replica.fold(StockProjection).rules(replica.connection)
        return explain_stock(replica.connection, replica.organisation, rules, A, product, hub.now_ms())


def sides(why: StockExplanation) -> dict[tuple[str, str, str], int]:
    found: dict[tuple[str, str, str], int] = defaultdict(int)
    for group in why.movements:
        found[group.node, group.reason, group.side] += group.quantity
    return dict(found)


def much_trade(chain: Chain, seed: int) -> None:
    """Two tills sell for two days, syncing now and then, and count twice with clocks in doubt."""
    luck = random.Random(seed)
    chain.receive(chain.a1, PRODUCT, 5_000, 3_000)
    for turn in range(WORTH_SUMMING + 150):
        node = luck.choice((chain.a1, chain.a2))
        minutes_ago = 2_900 - turn * 5 - luck.random()
        chain.sell(node, PRODUCT, minutes_ago, unc_ms=luck.choice((200, 2_000, 90_000, None)) if turn % 9 == 0 else 300)
        if luck.random() < 0.02:
            chain.push(chain.a1, chain.a2)
        if luck.random() < 0.01:
            luck.choice((chain.a1, chain.a2)).sync(chain.client)
        if turn in {200, 400}:
            chain.count(luck.choice((chain.a1, chain.a2)), PRODUCT, 3_000 - turn, minutes_ago, minutes=3)
    chain.push(chain.a1, chain.a2)


@pytest.mark.parametrize("seed", range(4))
def test_sums_of_hours_tell_the_same_sides_as_every_movement_for_itself(hub: Hub, chain: Chain, seed: int) -> None:
    much_trade(chain, seed)
    plain = plainly(hub)
    told = explain_product(hub.store, "A", PRODUCT, hub.now_ms()).explanation
    assert (told.value, told.lo, told.hi) == (plain.value, plain.lo, plain.hi)
    assert sides(told) == sides(plain)
    assert {(d.entry, d.taken_as) for d in told.doubtful} == {(d.entry, d.taken_as) for d in plain.doubtful}
    assert told.counts == plain.counts
    assert told.variances[:1] == plain.variances[:1]
    # What comes later is added to the sums that stand.
    for turn in range(300):
        chain.sell(chain.a1, PRODUCT, 60 - turn * 0.1)
    chain.push(chain.a1)
    again = explain_product(hub.store, "A", PRODUCT, hub.now_ms()).explanation
    assert sides(again) == sides(plainly(hub))


def test_a_voided_sale_leaves_the_sums(hub: Hub, chain: Chain) -> None:
    much_trade(chain, 7)
    before = explain_product(hub.store, "A", PRODUCT, hub.now_ms()).explanation
    sold = chain.sell(chain.a1, PRODUCT, 1)
    chain.push(chain.a1)
    explain_product(hub.store, "A", PRODUCT, hub.now_ms())
    target = f"{sold.stream.writer}:{sold.body.seq}"
    with hub.store.transaction(A) as replica:
        vector = tuple(sorted((w, h.seq) for w, h in replica.log.heads(A).items()))
        hub.pruning.append(replica, A, EntryVoided(target, "admin", "o1", vector))
    after = explain_product(hub.store, "A", PRODUCT, hub.now_ms()).explanation
    assert after.value == before.value
    assert sides(after) == sides(plainly(hub))


def test_the_trail_ends_at_the_figure_and_starts_with_the_first_movement(hub: Hub, chain: Chain) -> None:
    chain.receive(chain.a1, PRODUCT, 30, 300)
    chain.sell(chain.a1, PRODUCT, 200, lines=4)
    chain.count(chain.a1, PRODUCT, 25, 100)
    chain.sell(chain.a1, PRODUCT, 50, lines=2)
    chain.push(chain.a1)
    trail = explain_product(hub.store, "A", PRODUCT, hub.now_ms()).trail
    assert trail is not None
    books = [book for _, book in trail.points]
    assert (books[0], books[-1]) == (0, 23_000)
    assert books == [0, 30_000, 29_000, 28_000, 27_000, 26_000, 25_000, 24_000, 23_000, 23_000]
    assert [counted for _, counted in trail.counts] == [25_000]
    assert sum(sold for _, sold in trail.sold) == 6_000
