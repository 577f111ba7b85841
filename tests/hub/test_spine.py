"""Nodes join, sync through the hub and see each other's entries."""

from __future__ import annotations

import httpx

from hub.service import Hub
from tests.hub.conftest import Enrol
from tests.hub.fleet import FleetNode, receipts_at, sale

ROUNDS_MAX = 10


def sync_until_quiet(client: httpx.Client, *nodes: FleetNode) -> None:
    """Let the nodes sync in turn until a round brings nothing to any: a sync may itself make the hub say something."""
    for _ in range(ROUNDS_MAX):
        results = [node.sync(client) for node in nodes]
        assert all(result.is_complete and not result.refusals for result in results), results
        if not any(result.entries_sent or result.entries_received for result in results):
            return
    raise AssertionError(f"the nodes still talk after {ROUNDS_MAX} rounds")


def test_two_tills_of_a_shop_hold_the_same_entries_after_each_synced(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    first, second = enrol(), enrol()
    for number in range(50):
        first.append(sale(f"A1-{number}"))
        second.append(sale(f"A2-{number}"))
    sync_until_quiet(client, first, second)
    assert first.replica.log.heads(first.scope) == second.replica.log.heads(first.scope)
    assert len(receipts_at(hub, "A")) == 100
