"""Nodes join, sync through the hub and see each other's entries."""

from __future__ import annotations

import httpx

from hub.service import Hub
from tests.hub.conftest import Enrol
from tests.hub.fleet import sale


def test_two_tills_of_a_shop_hold_the_same_entries_after_each_synced(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    first, second = enrol(), enrol()
    for number in range(50):
        first.append(sale(f"A1-{number}"))
        second.append(sale(f"A2-{number}"))
    for node in (first, second, first):
        result = node.sync(client)
        assert result.is_complete, result
        assert not result.refusals
    assert first.replica.log.heads(first.scope) == second.replica.log.heads(first.scope)
    assert len(hub.reports.sales(location="A", business_date=None, cursor=None, limit=1000).sales) == 100
