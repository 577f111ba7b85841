"""The hub measures clocks, survives its own restoration, and tells what it stored."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest

from hub.enrolment import Profile
from hub.registry import list_nodes
from hub.service import Founded, Hub, open_hub, serving
from schema.identity import ORG, Scope
from schema.kinds.counting import ClockFixed
from schema.kinds.organisation import LocationDefined
from sync.entry import Entry
from sync.messages import ClockReport, decode_response, encode_request
from sync.signing import SigningKey
from sync.transport import SYNC_PATH, sign_request
from tests.hub.conftest import Enrol
from tests.hub.fleet import FleetNode, ProblemError, join, now_ms, receipts_at, sale

HOUR_MS = 3_600_000


on_sqlite = pytest.mark.on_sqlite


def clock_fixes(hub: Hub, scope: Scope) -> list[ClockFixed]:
    with hub.store.snapshot() as replica:
        return [
            entry.payload
            for row in replica.log.streams(scope)
            for entry in replica.log.entries(row)
            if isinstance(entry.payload, ClockFixed)
        ]


def say(node: FleetNode, client: httpx.Client, off_ms: int, unc_ms: int | None, epoch: int = 0) -> None:
    node.exchange(client, node.request(clock=ClockReport(now_ms() + off_ms, epoch, unc_ms, 20)))


def test_a_clock_that_is_off_by_more_than_its_node_says_is_recorded_once_per_epoch(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    node, honest = enrol(), enrol()
    for each in (node, honest):
        each.append(sale("1"))
        each.push(client, each.batch())
    for _ in range(3):
        say(node, client, HOUR_MS, 5_000, epoch=1)
        say(honest, client, HOUR_MS, HOUR_MS + 1000, epoch=1)
    (fix,) = clock_fixes(hub, node.scope)
    assert (fix.writer, fix.clock_epoch) == (node.stream().writer, 1)
    assert abs(fix.offset_ms - HOUR_MS) <= fix.unc_ms < 1_000
    say(node, client, 0, None, epoch=2)
    assert [round(f.offset_ms / HOUR_MS) for f in clock_fixes(hub, node.scope)] == [1, 0]
    assert clock_fixes(hub, ORG) == []


def test_a_clock_set_unnoticed_is_fixed_over_all_that_was_measured_in_its_epoch(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    node = enrol()
    node.append(sale("1"))
    node.push(client, node.batch())
    say(node, client, 0, 5_000)
    assert clock_fixes(hub, node.scope) == []
    say(node, client, -2 * HOUR_MS, 5_000)
    (fix,) = clock_fixes(hub, node.scope)
    assert fix.offset_ms - fix.unc_ms <= -2 * HOUR_MS
    assert fix.offset_ms + fix.unc_ms + 1_000 >= -1_000
    assert abs(fix.offset_ms + HOUR_MS) < 1_000


def test_a_request_sent_again_measures_no_clock(founded: tuple[Path, Founded]) -> None:
    late_ms = 0
    hub = open_hub(founded[0], now_ms=lambda: now_ms() + late_ms)
    with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        issued = hub.enrolment.invite(profile=Profile.TILL, location="A", name="T", till="T1")
        signer = SigningKey(secrets.token_bytes(32))
        node = FleetNode(signer, join(client, issued.invitation, signer))
        node.append(sale("1"))
        node.unc_ms = HOUR_MS // 2
        node.push(client, node.batch())
        body = encode_request(node.request())
        headers = sign_request(node.signer, node.hub, SYNC_PATH, body, "once")
        assert client.post(SYNC_PATH, content=body, headers=headers).status_code == 200
        late_ms = HOUR_MS  # it lay about for an hour: by its clock report the node would be that much behind
        assert client.post(SYNC_PATH, content=body, headers=headers).status_code == 200
        assert clock_fixes(hub, node.scope) == []
        fresh = sign_request(node.signer, node.hub, SYNC_PATH, body, "a new request")
        assert client.post(SYNC_PATH, content=body, headers=fresh).status_code == 200
        assert len(clock_fixes(hub, node.scope)) == 1
    hub.close()


def test_many_requests_with_the_same_entries_at_once_store_them_once(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    first, second = enrol(), enrol()
    for number in range(100):
        first.append(sale(f"1-{number}"))
        second.append(sale(f"2-{number}"))
    parts = [node.batch(after) for node in (first, second) for after in (0, 20, 40, 0)]
    whole = [first.batch(), second.batch()]

    requests = []
    for attempt in range(24):
        node = (first, second)[attempt % 2]
        # These wait in the test before they are sent: their clock would read as wrong.
        node.unc_ms = HOUR_MS
        batches = [*(whole if attempt % 3 else whole[::-1]), parts[attempt % len(parts)]]
        requests.append((node, encode_request(node.request(batches))))

    def push(attempt: int) -> list[str]:
        node, body = requests[attempt]
        return [refusal.code for refusal in decode_response(node.post(client, body)).refusals]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(push, range(24)))
    # A part that overtook what it follows is a gap: named, without evidence, and sent again.
    assert {code for codes in outcomes for code in codes} <= {"gap"}
    assert len(receipts_at(hub, "A")) == 200
    with hub.store.snapshot() as replica:
        assert sorted(replica.log.verify_chain(row) for row in replica.log.streams("loc/A")) == [100, 100]


def test_contacts_are_listed_with_what_was_exchanged(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node = enrol()
    node.append(sale("1"))
    node.sync(client)
    hub.contacts.flush()
    node.append(sale("2"))
    node.sync(client)
    hub.contacts.flush()
    with hub.store.snapshot() as replica:
        (listed,) = list_nodes(replica)
    assert (listed.node, listed.entries, listed.release) == (node.signer.node, 2, "test")
    assert listed.bytes_in > 200
    assert abs(listed.offset_ms or 0) < 1_000


def test_the_hook_is_told_entries_that_are_durable(founded: tuple[Path, Founded]) -> None:
    told: list[Entry] = []

    def after_ingest(entries: Sequence[Entry]) -> None:
        with hub.store.snapshot() as replica:
            assert all(replica.log.entry(e.stream, e.body.seq) is not None for e in entries)
        told.extend(entries)

    hub = open_hub(founded[0], after_ingest=after_ingest)
    with serving(hub) as url, httpx.Client(base_url=url, trust_env=False) as client:
        invitation = hub.enrolment.invite(profile=Profile.TILL, location="A", name="T", till="T1").invitation
        key = SigningKey(secrets.token_bytes(32))
        node = FleetNode(key, join(client, invitation, key))
        node.append(sale("1"))
        node.push(client, node.batch())
        node.push(client, node.batch())
    hub.close()
    assert [str(e.id) for e in told] == [f"loc/A:{key.node}.1:1"]


@on_sqlite
def test_a_hub_restored_from_an_older_copy_gets_back_what_it_lost_and_continues_as_a_new_incarnation(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    directory = founded[0]
    hub = open_hub(directory)
    old_key, new_key = (SigningKey(secrets.token_bytes(32)) for _ in range(2))
    with serving(hub) as url, httpx.Client(base_url=url, trust_env=False) as client:
        first = hub.enrolment.invite(profile=Profile.TILL, location="A", name="1", till="T1").invitation
        second = hub.enrolment.invite(profile=Profile.TILL, location="A", name="2", till="T2").invitation
        veteran = FleetNode(old_key, join(client, first, old_key))
        veteran.append(sale("1"))
        assert veteran.sync(client).is_complete
    hub.close()
    shutil.copy(directory / "hub.db", tmp_path / "backup.db")

    hub = open_hub(directory)
    with serving(hub) as url, httpx.Client(base_url=url, trust_env=False) as client:
        newcomer = FleetNode(new_key, join(client, second, new_key))
        newcomer.append(sale("2"))
        veteran.append(sale("3"))
        for node in (newcomer, veteran, newcomer):
            assert node.sync(client).is_complete
    hub.close()
    for leftover in directory.glob("hub.db*"):
        leftover.unlink()
    shutil.copy(tmp_path / "backup.db", directory / "hub.db")

    hub = open_hub(directory)
    with serving(hub) as url, httpx.Client(base_url=url, trust_env=False) as client:
        with pytest.raises(ProblemError, match="node_unknown"):
            newcomer.sync(client)
        # Any node that is known brings the rest of the organisation's scope back, the other's grant in it.
        assert veteran.sync(client).is_complete
        assert newcomer.sync(client).is_complete
        with hub.store.transaction(ORG) as replica:
            entry = hub.own_log.append(replica, ORG, LocationDefined("C", "Third", "shop"))
        assert entry.stream.incarnation > 1
        for node in (newcomer, veteran):
            result = node.sync(client)
            assert result.is_complete
            assert not result.refusals
        with hub.store.snapshot() as replica:
            assert replica.log.heads(ORG) == veteran.replica.log.heads(ORG) == newcomer.replica.log.heads(ORG)
            assert len(replica.log.heads("loc/A")) == 2
    hub.close()


@on_sqlite
def test_a_node_that_a_restored_hub_forgot_proves_its_grant_by_the_hubs_own_entries(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    directory = founded[0]
    shutil.copy(directory / "hub.db", tmp_path / "backup.db")
    hub = open_hub(directory)
    key = SigningKey(secrets.token_bytes(32))
    with serving(hub) as url, httpx.Client(base_url=url, trust_env=False) as client:
        invitation = hub.enrolment.invite(profile=Profile.TILL, location="A", name="1", till="T1").invitation
        node = FleetNode(key, join(client, invitation, key))
        assert node.sync(client).is_complete
    hub.close()
    for leftover in directory.glob("hub.db*"):
        leftover.unlink()
    shutil.copy(tmp_path / "backup.db", directory / "hub.db")
    hub = open_hub(directory)
    with serving(hub) as url, httpx.Client(base_url=url, trust_env=False) as client:
        with pytest.raises(ProblemError, match="node_unknown"):
            node.sync(client)
        brought, _ = node.replica.outgoing(ORG, {}, 1_000_000, None)
        assert not node.push(client, *brought).refusals
        assert node.sync(client).is_complete
        stranger = SigningKey(secrets.token_bytes(32))
        body = encode_request(msgspec.structs.replace(node.request(brought), node=stranger.node))
        with pytest.raises(ProblemError, match="node_unknown"):
            node.post(client, body, signer=stranger)
    hub.close()
