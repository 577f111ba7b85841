"""Pruned and full replicas show the same figures, conflicts and digests, whatever arrives afterwards."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hub.pruned_world import DAY, SCOPE, Party, World

THOROUGH = os.environ.get("EDGETILL_THOROUGH") == "1"
seeds = st.integers(0, 2**32)
run = settings(
    max_examples=400 if THOROUGH else 12, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


def assert_alike(world: World, *parties: Party) -> None:
    expected = world.hub.shows()
    for party in parties:
        shown = party.shows()
        for table, rows in expected.items():
            assert shown[table] == rows, table


@run
@given(seeds)
def test_pruned_and_full_replicas_agree_whatever_arrives_afterwards(seed: int) -> None:
    world = World(seed)
    for _ in range(25):
        world.step()
    world.everybody_meets()
    world.silent = {0}
    for _ in range(10):
        world.step(late=True)
    world.now += 40 * DAY
    settled = world.rng.random() < 0.5
    has_cut = world.cut(days=world.rng.choice([30, 39]), settled=settled)
    pruned = world.tills[1]
    world.meet(pruned)
    assert has_cut
    before = pruned.shows()
    assert pruned.prune() > 0
    assert pruned.shows() == before
    for _ in range(15):
        world.step(late=True, policies=True)
    world.everybody_meets()
    assert_alike(world, *world.tills)
    newcomers = [world.newcomer(on_foundation=True), world.newcomer(on_foundation=False)]
    assert_alike(world, *newcomers, world.refolded(pruned))
    world.now += 35 * DAY
    if world.cut(settled=settled):
        world.everybody_meets()
        for till in world.tills[:2]:
            till.prune()
        assert_alike(world, *world.tills)
        for _ in range(8):
            world.step(policies=True)
        world.everybody_meets()
        assert_alike(world, *world.tills, world.newcomer(on_foundation=True), world.refolded(pruned))
    assert SCOPE in world.hub.replica.log.scopes()
