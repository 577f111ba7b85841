"""Pruned and full replicas show the same figures, conflicts and digests, whatever arrives afterwards."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.service import default_folds
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds import KINDS
from sync.messages import ClockReport, ScopeVector
from sync.pruning import PRUNED_KINDS, may_prune, prune_slice
from sync.replica import Replica
from sync.session import ClientSession, Subscription, reply
from sync.stock_projection import StockProjection
from tests.hub.pruned_world import DAY, HUB, SCOPE, Party, World
from tests.power_cuts import Failing, PowerCutError

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


def cut_world(seed: int) -> tuple[World, Party]:
    """Return a world that was cut, and a till that may prune."""
    world = World(seed)
    for _ in range(30):
        world.step()
    world.everybody_meets()
    world.now += 40 * DAY
    assert world.cut()
    world.everybody_meets()
    return world, world.tills[0]


def stored(party: Party) -> list[tuple[str, int, int, int]]:
    return [
        (row.stream.writer, row.base.seq, row.head.seq, len(party.replica.log.stored_upto(row, row.head.seq)))
        for row in party.replica.log.streams(SCOPE)
    ]


def test_pruning_interrupted_at_any_statement_leaves_a_whole_replica() -> None:
    _, till = cut_world(7)
    before = till.shows()
    organisation = till.replica.organisation
    statements = 0
    while True:
        failing = Failing(till.connection, statements)
        folds = default_folds(organisation)
        replica = Replica(failing, organisation, folds)
        was = stored(till)
        till.connection.execute("BEGIN")
        try:
            done = prune_slice(replica, replica.fold(StockProjection), SCOPE, 4, lambda _: None)
        except PowerCutError:
            till.connection.execute("ROLLBACK")
            assert stored(till) == was
        else:
            till.connection.execute("COMMIT")
            if not done:
                break
            statements = 0
            assert stored(till) != was
        assert till.shows() == before
        for row in till.replica.log.streams(SCOPE):
            till.replica.log.verify_chain(row)
        statements += 1
    assert till.prune() == 0


def test_replica_that_lacks_the_balance_or_what_lies_below_never_prunes() -> None:
    world, _ = cut_world(11)
    behind = Party(world.tills[0].signer)
    with pytest.raises(RefusalError, match="no complete opening balance"):
        may_prune(behind.replica, SCOPE)
    for scope in (ORG, SCOPE):
        batches, _ = world.hub.replica.outgoing(scope, {}, 1 << 30, HUB)
        behind.take([batch for batch in batches if batch.node == HUB.node])
    assert any(row.base.seq == 0 for row in behind.replica.log.streams(SCOPE))
    with pytest.raises(RefusalError) as refused:
        may_prune(behind.replica, SCOPE)
    assert refused.value.code == "cut_ahead"
    with pytest.raises(RefusalError) as organisation:
        may_prune(behind.replica, ORG)
    assert organisation.value.code == "scope_not_pruned"
    world.bring_all(behind)
    assert behind.prune() > 0
    assert_alike(world, behind)


def test_pruned_replica_names_what_it_cannot_give_and_gives_the_rest() -> None:
    world, till = cut_world(13)
    assert till.prune() > 0
    asker = Party(world.tills[1].signer)
    request = ClientSession(asker.signer, "test", [Subscription(SCOPE)]).open(asker.replica, ClockReport(0, 0, 0))
    request = msgspec.structs.replace(request, vectors=(ScopeVector(SCOPE, ()),))
    response = reply(
        till.replica, request, release="test", me=till.signer.node, wall_ms=0, signer=till.signer,
        may_read={SCOPE: True},
    )  # fmt: skip
    bases = {str(row.stream) for row in till.replica.log.streams(SCOPE) if row.base.seq}
    assert {r.stream for r in response.refusals} == bases
    assert {r.code for r in response.refusals} == {"pruned"}
    assert not bases & {str(batch.stream) for batch in response.batches}


def test_second_cut_replaces_the_first_and_nothing_of_the_first_is_left() -> None:
    world, till = cut_world(17)
    till.prune()
    for _ in range(12):
        world.step(resolving=False)
    world.everybody_meets()
    world.now += 40 * DAY
    assert world.cut()
    assert not world.cut()
    world.everybody_meets()
    assert till.prune() > 0
    assert till.connection.execute("SELECT count(*) FROM scope_cut").fetchone()[0] == 1
    assert_alike(world, till, world.refolded(till), world.newcomer(on_foundation=True))


def test_entries_of_unknown_kinds_and_documents_stay_below_the_cut() -> None:
    assert not PRUNED_KINDS & {"document.changed", "entry.recovered", "clock.fixed", "entry.voided", "count.opened"}
    assert {name for name, _ in KINDS} >= PRUNED_KINDS


@run
@given(seeds)
def test_figures_stay_what_the_whole_log_says(seed: int) -> None:
    world = World(seed)
    for _ in range(25):
        world.step()
    world.everybody_meets()
    world.silent = {0}
    for _ in range(10):
        world.step(late=True)
    world.now += 40 * DAY
    world.cut()
    for _ in range(15):
        world.step(late=True)
    world.everybody_meets()
    shown = {row[0]: tuple(row[1:4]) for row in world.hub.shows()["stock"]}
    assert shown == {k.product: (f.value, f.lo, f.hi) for k, f in world.whole().figures.items()}
