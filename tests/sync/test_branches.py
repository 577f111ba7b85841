"""Forks and restores: both copies of a disk wrote on, and nothing of either is lost or counts twice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schema.codec import encode_body
from schema.database import Connection
from schema.identity import ORG, Scope
from schema.kinds.base import StockMove
from schema.kinds.counting import CountRecorded, Look
from schema.kinds.organisation import EntryRecovered
from schema.kinds.stock import StockAdjusted, TransferNoticed
from schema.kinds.trading import ShiftOpened
from sync import branches
from sync.effective import Effective
from sync.replica import Replica
from sync.session import Parting, Subscription
from tests.sync.replicas import HOME, Party, fleet, sync


def recover(node: Party, hub: Party) -> None:
    """Do what a node does that found its own fork."""
    result = sync(node, hub)
    met = [*result.ahead, *(p.stream for p in result.parted)]
    if branches.must_renew(node.signer.node, node.incarnation, met):
        node.incarnation = branches.renew(node.replica, node.signer.node, node.incarnation, node.now)
    for parting in result.parted:
        branches.give_way(node.replica, parting, node.signer.node, 0)
    sync(node, hub)
    if branches.can_recover(node.replica, HOME, hub.replica.log.heads(HOME)):
        branches.recover(node.replica, node.stream(), node.moment())
    sync(node, hub)


@pytest.mark.parametrize("first, second", [(1, 1), (5, 2), (2, 5)])
def test_a_copy_finds_its_branch_whichever_is_longer_and_both_count(first: int, second: int) -> None:
    hub, node, _ = fleet()
    node.move(10)
    copy = node.twin()
    for _ in range(first):
        node.move(-1)
    for _ in range(second):
        copy.move(-2)
    sync(node, hub)
    recover(copy, hub)
    sync(node, hub)
    assert hub.stock() == node.stock() == copy.stock() == 10 - first - 2 * second


def test_a_fork_of_one_stream_holds_no_other_back() -> None:
    hub, node, other = fleet()
    copy = node.twin()
    node.move(1)
    copy.move(2)
    sync(node, hub)
    other.move(7, "Q")
    sync(other, hub)
    result = sync(copy, hub)
    assert [p.stream for p in result.parted] == [copy.stream()]
    assert copy.stock("Q") == 7


def test_a_neighbour_gives_the_copys_branch_up_for_the_one_that_the_hub_holds() -> None:
    hub, node, other = fleet()
    node.move(10)
    copy = node.twin()
    node.move(-1)
    copy.move(-2)
    sync(other, copy)
    sync(node, hub)
    result = sync(other, hub)
    assert [p.stream for p in result.parted] == [node.stream()]
    for parting in result.parted:
        branches.give_way(other.replica, parting, other.signer.node, 0)
    assert sync(other, hub).is_complete
    assert other.stock() == 9
    assert other.connection.execute("SELECT code FROM quarantine").fetchall() == [("fork",)]


def test_an_entry_that_two_copies_recover_counts_once() -> None:
    hub, node, _ = fleet()
    node.move(10)
    copy = node.twin()
    node.move(-1)
    copy.move(-2)
    second = copy.twin()
    second.now += 500_000  # so that both choose another incarnation
    sync(node, hub)
    for one in (copy, second):
        result = sync(one, hub)
        one.incarnation = branches.renew(one.replica, one.signer.node, one.incarnation, one.now // 1000)
        branches.give_way(one.replica, result.parted[0], one.signer.node, 0)
        sync(one, hub, (Subscription(ORG), Subscription(HOME)))
        branches.recover(one.replica, one.stream(), one.moment())
    for one in (copy, second, copy, node):
        assert sync(one, hub).is_complete
    assert [one.stock() for one in (hub, copy, second, node)] == [7, 7, 7, 7]


def test_a_recovered_entry_has_no_effect_while_it_stands_in_its_own_place() -> None:
    hub, node, _ = fleet()
    entry = node.move(-2)
    node.incarnation = 2
    node.append(EntryRecovered(str(entry.id), entry.encoded, entry.digest))
    sync(node, hub)
    assert node.stock() == hub.stock() == -2
    branches.give_way(hub.replica, Parting(entry.stream, 0), hub.signer.node, 0)
    assert hub.stock() == -2


def test_a_recovered_entry_needs_the_permission_of_what_it_recovers() -> None:
    hub, node, _ = fleet("trade")
    body, _ = encode_body(
        StockAdjusted("found", "o", (StockMove("P", 5000),)), seq=1, wall_ms=1, hlc=(1, 0), unc_ms=5, clock_epoch=0
    )
    node.append(EntryRecovered(f"{HOME}:{node.signer.node}.1:1", body, bytes(32)))
    sync(node, hub)
    assert hub.stock() is None


@pytest.mark.parametrize("origin", ["loc/A:someone.1:1", "loc/B:{node}.1:1", "nonsense"])
def test_a_recovery_of_anothers_entry_is_inert_and_stops_nothing(origin: str) -> None:
    hub, node, _ = fleet()
    original = node.move(5)
    node.append(EntryRecovered(origin.format(node=node.signer.node), original.encoded, bytes(32)))
    node.move(3)
    assert sync(node, hub).is_complete
    assert hub.stock() == node.stock() == 8


def test_a_recovered_notice_of_a_transfer_counts_and_a_recovered_count_waits() -> None:
    hub, node, _ = fleet()
    moves = (StockMove("P", -4000),)
    notice = TransferNoticed("dispatched", "T1", "A", "B", moves, False, f"{HOME}:{node.signer.node}.1:9")
    there = Scope("loc/B")
    body, _ = encode_body(notice, seq=1, wall_ms=1, hlc=(1, 0), unc_ms=5, clock_epoch=0)
    node.append(EntryRecovered(f"{there}:{node.signer.node}.0:1", body, bytes(32)), there)
    sync(node, hub, (Subscription(ORG), Subscription(there, True)))
    assert hub.connection.execute("SELECT transfer, transit FROM transfer").fetchall() == [("T1", 4000)]
    count = CountRecorded("P", "clerk", "o", (Look(9000, 1, 1, (), ()),))
    body, _ = encode_body(count, seq=1, wall_ms=1, hlc=(1, 0), unc_ms=5, clock_epoch=0)
    node.append(EntryRecovered(f"{HOME}:{node.signer.node}.0:1", body, bytes(32)))
    sync(node, hub)
    assert hub.stock() is None


def test_what_a_stream_said_it_had_seen_stays_said_after_a_branch_left() -> None:
    _, node, other = fleet()
    for _ in range(3):
        node.move(1)
    sync(other, node)
    other.move(1)
    branches.give_way(other.replica, Parting(node.stream(), 1), other.signer.node, 0)
    folded: list[Effective] = []

    class Spy:
        def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
            folded.extend(entries)

        def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
            pass

    replica = Replica(other.connection, other.replica.organisation, (Spy(),))
    told = replica.append(other.stream(), ShiftOpened("s", "d", "o", 0), other.moment())
    row = replica.log.stream(other.stream())
    assert row is not None
    assert replica.log.vector_at(row, told.body.seq)[node.stream().writer] == 3
    assert folded[0].vector == replica.log.vector_at(row, told.body.seq)


def test_a_restored_copy_gets_its_own_entries_back_and_begins_anew() -> None:
    hub, node, _ = fleet()
    node.move(1)
    backup = node.twin()
    node.move(2)
    sync(node, hub)
    result = sync(backup, hub)
    assert result.ahead == [backup.stream()]
    assert branches.must_renew(backup.signer.node, 1, result.ahead)
    assert branches.renew(backup.replica, backup.signer.node, 1, 0) > 1
    assert backup.stock() == 3


def test_the_first_entry_of_a_new_incarnation_tells_all_that_its_node_has_seen() -> None:
    _, node, other = fleet()
    other.move(4)
    sync(node, other)
    node.move(1)
    node.incarnation = 2
    told = node.move(1)
    row = node.replica.log.stream(node.stream())
    assert row is not None
    seen = node.replica.log.vector_at(row, told.body.seq)
    assert seen == {other.stream().writer: 1, f"{node.signer.node}.1": 1}
