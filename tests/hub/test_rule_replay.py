"""Rule replay: what another policy would have said is what it says once it is saved, and nothing is stored before."""

from __future__ import annotations

import random

import httpx
import pytest

from hub.rule_replay import _AtLocation, check_policy, replay_policy
from hub.service import Hub
from schema.identity import ORG
from schema.kinds.organisation import PolicySet
from sync.stock_facts import Status
from sync.stock_projection import StockProjection
from tests.hub.conflicting import PRODUCTS, Chain

CODES = [code for code, *_ in PRODUCTS]
POLICIES = [
    PolicySet("", 0, 0, "latest", "midpoint"),
    PolicySet("", 3_000, 0, "average", "conservative", 1000),
    PolicySet("", 0, 100_000, "authority", "midpoint"),
    PolicySet("", 1_000, 0, "lowest", "conservative"),
    PolicySet("", 0, 0, "manual", "conservative"),
]


@pytest.fixture
def chain(hub: Hub, client: httpx.Client) -> Chain:
    return Chain(hub, client)


def trade(chain: Chain, seed: int) -> None:
    """Counts and sales at once, in doubt, by tills that hear of each other now and then."""
    luck = random.Random(seed)
    for product in CODES:
        chain.receive(chain.a1, product, 60, 5_000)
    for turn in range(160):
        node, product, ago = luck.choice((chain.a1, chain.a2)), luck.choice(CODES), 4_000 - turn * 20
        unc_ms = luck.choice((300, 60_000, None)) if luck.random() < 0.3 else 300
        if luck.random() < 0.25:
            chain.count(node, product, luck.randint(20, 40), ago, minutes=luck.choice((1, 30)), unc_ms=unc_ms)
        else:
            chain.sell(node, product, ago - luck.random() * 10, lines=luck.randint(1, 3), unc_ms=unc_ms)
        if luck.random() < 0.05:
            chain.push(chain.a1, chain.a2)
            luck.choice((chain.a1, chain.a2)).sync(chain.client)
    chain.push(chain.a1, chain.a2)


def standing(hub: Hub) -> tuple[dict[str, tuple[int, int, int]], dict[str, set[str]]]:
    """Return the figures at A, and the open conflicts by product, as they are stored."""
    with hub.store.snapshot() as replica:
        number = replica.log.scope_no("loc/A")
        rows = replica.connection.execute("SELECT product, value, lo, hi FROM stock WHERE scope_no = ?", (number,))
        figures = {str(product): (value, lo, hi) for product, value, lo, hi in rows.fetchall()}
        rows = replica.connection.execute(
            "SELECT subject, conflict FROM conflict WHERE scope_no = ? AND status = 'OPEN' AND subject LIKE 'A/%'",
            (number,),
        )
        open_ones: dict[str, set[str]] = {}
        for subject, conflict in rows.fetchall():
            open_ones.setdefault(str(subject)[2:], set()).add(str(conflict))
    return figures, open_ones


@pytest.mark.parametrize("seed", range(3))
def test_the_replayed_figures_are_those_after_saving(hub: Hub, chain: Chain, seed: int) -> None:
    trade(chain, seed)
    before = standing(hub)
    foretold: dict[int, dict[str, tuple[int, int, int]]] = {}
    waiting: dict[int, dict[str, set[str]]] = {}
    with hub.store.snapshot() as replica:
        rules = replica.fold(StockProjection).rules(replica.connection)
        for place, policy in enumerate(POLICIES):
            work = _AtLocation(replica, "A", rules, check_policy(policy), hub.now_ms())
            judged = {product: work.judge(product) for product in CODES if product in before[0]}
            assert {p: one.figure_before for p, one in judged.items()} == {p: before[0][p] for p in judged}
            foretold[place] = {product: one.figure_after for product, one in judged.items()}
            waiting[place] = {
                product: {name for name, status in one.after.items() if status is Status.OPEN}
                for product, one in judged.items()
            }
    assert standing(hub) == before, "a replay stores nothing"
    for place, policy in enumerate(POLICIES):
        with hub.store.transaction(ORG) as replica:
            hub.own_log.append(replica, ORG, policy)
        figures, open_ones = standing(hub)
        assert {product: figures[product] for product in foretold[place]} == foretold[place], policy
        for product, names in waiting[place].items():
            # The period began just now: what waits is what stands.
            assert names == open_ones.get(product, set()), (policy, product)


def test_conflicts_of_earlier_counts_of_the_period_are_told_too(hub: Hub, chain: Chain) -> None:
    chain.counts_that_disagree()
    for node in (chain.a1, chain.a2):
        node.sync(chain.client)
    chain.count(chain.a1, "11001", 13, 5)
    chain.push(chain.a1)
    done: list[tuple[int, int]] = []
    with hub.store.snapshot() as replica:
        outcome = replay_policy(
            replica, POLICIES[1], ["A", "B", "W"], hub.now_ms(), lambda one, all_: done.append((one, all_))
        )
    # Nothing waits today, for a later count settled it; with a tolerance of three nothing ever would have.
    assert (outcome.open_before, outcome.open_after) == (1, 0)
    assert outcome.figures_changed == 0
    assert [one.open_before for one in outcome.differences] == [("COUNT_DISAGREE",)]
    assert done[-1] == (outcome.products, outcome.products)
