"""A hub whose database was put back unnoticed finds out by itself, and writes over nothing that its nodes hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from hub.enrolment import Profile
from hub.identity import RECORD_FILE
from hub.outer_record import OuterRecord
from hub.registry import define_location
from hub.service import Founded, Hub, open_hub, serving
from schema.identity import ORG, Scope, Stream
from schema.kinds.organisation import EntryRecovered, LocationDefined
from sync.signing import SigningKey
from tests.hub.fleet import FleetNode, join, sale


@contextmanager
def running(directory: Path) -> Iterator[tuple[Hub, httpx.Client]]:
    hub = open_hub(directory)
    with serving(hub) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield hub, client
    hub.close()


def enrolled(hub: Hub, client: httpx.Client, till: str) -> FleetNode:
    issued = hub.enrolment.invite(profile=Profile.TILL, location="A", name=till, till=till)
    signer = SigningKey(till.encode().ljust(32, b"."))
    return FleetNode(signer, join(client, issued.invitation, signer))


def copy_of(directory: Path, to: Path) -> None:
    to.mkdir(parents=True)
    for file in directory.glob("hub.db*"):
        shutil.copy(file, to)


def put_back(copy: Path, directory: Path) -> None:
    for file in directory.glob("hub.db*"):
        file.unlink()
    for file in copy.iterdir():
        shutil.copy(file, directory)


def incarnation(hub: Hub) -> int:
    with hub.store.snapshot() as replica:
        return hub.own_log.incarnation(replica.connection)


def define(hub: Hub, code: str) -> Stream:
    with hub.store.transaction(ORG) as replica:
        return hub.own_log.append(replica, ORG, LocationDefined(code, f"Shop {code}", "shop")).stream


def test_a_hub_started_on_an_older_copy_appends_to_a_new_stream_before_any_node_has_spoken(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    directory = founded[0]
    with running(directory) as (hub, client):
        till = enrolled(hub, client, "T1")
        assert till.sync(client).is_complete
    copy_of(directory, tmp_path / "copy")
    with running(directory) as (hub, client):
        first = define(hub, "C")
        assert till.sync(client).is_complete
    put_back(tmp_path / "copy", directory)
    with running(directory) as (hub, client):
        assert define(hub, "D").incarnation > first.incarnation
        result = till.sync(client)
        assert result.is_complete
        assert not result.refusals
        assert not result.parted
        with hub.store.snapshot() as replica:
            found = replica.organisation.newest_each(replica.connection, LocationDefined)
            assert {"C", "D"} <= set(found)
            assert replica.log.heads(ORG) == till.replica.log.heads(ORG)


def test_a_database_put_back_under_a_running_hub_is_noticed_at_its_next_entry(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    directory = founded[0]
    hub = open_hub(directory)
    with hub.store.transaction(ORG):
        copy_of(directory, tmp_path / "copy")
    first = define(hub, "C")
    hub.store.close()
    put_back(tmp_path / "copy", directory)
    second = define(hub, "D")
    assert second.incarnation > first.incarnation
    assert define(hub, "E") == second
    hub.close()


def test_an_entry_that_was_rolled_back_is_no_sign_of_a_copy(founded: tuple[Path, Founded]) -> None:
    hub = open_hub(founded[0])
    before = incarnation(hub)
    with pytest.raises(ZeroDivisionError), hub.store.transaction(ORG) as replica:  # noqa: PT012
        hub.own_log.append(replica, ORG, LocationDefined("C", "never", "shop"))
        raise ZeroDivisionError
    define(hub, "D")
    hub.close()
    hub = open_hub(founded[0])
    assert incarnation(hub) == before
    hub.close()


def damaged(file: Path) -> None:
    file.write_bytes(b"not what it was" * 1000)


@pytest.mark.parametrize("lose", [Path.unlink, damaged], ids=["lost", "damaged"])
def test_a_hub_without_its_record_takes_its_database_for_a_copy_once(
    founded: tuple[Path, Founded], lose: Callable[[Path], None]
) -> None:
    directory = founded[0]
    hub = open_hub(directory)
    before = incarnation(hub)
    hub.close()
    lose(directory / RECORD_FILE)
    hub = open_hub(directory)
    after = incarnation(hub)
    assert after > before
    hub.close()
    hub = open_hub(directory)
    assert incarnation(hub) == after
    hub.close()


def test_two_processes_of_one_directory_remember_for_each_other(founded: tuple[Path, Founded]) -> None:
    first, second = open_hub(founded[0]), open_hub(founded[0])
    streams = {define(hub, code) for hub, code in ((first, "C"), (second, "D"), (first, "E"), (second, "F"))}
    assert len(streams) == 1
    first.keep_house()
    record = OuterRecord(founded[0] / RECORD_FILE, first.identity.node)
    with first.store.snapshot() as replica:
        (row,) = [row for row in replica.log.streams(ORG) if row.head.seq]
        assert not record.contradicts(replica, row, row.stream)
        assert record.contradicts(replica, row._replace(head=row.head._replace(seq=row.head.seq - 1)), row.stream)
    for each in (first, second):
        each.close()
    record.close()


def test_a_hub_whose_whole_directory_was_put_back_takes_its_lost_branch_in_from_its_nodes(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    directory = founded[0]
    with running(directory) as (hub, client):
        veteran = enrolled(hub, client, "T1")
        assert veteran.sync(client).is_complete
    shutil.copytree(directory, tmp_path / "whole")
    with running(directory) as (hub, client):
        lost = define(hub, "C")
        define_location(hub.store, hub.own_log, LocationDefined("D", "Lost too", "shop"))
        veteran.append(sale("1"))
        assert veteran.sync(client).is_complete
    shutil.rmtree(directory)
    shutil.copytree(tmp_path / "whole", directory)
    with running(directory) as (hub, client):
        other = define(hub, "E")
        assert other == lost, "nothing told the hub: it continued the stream that its node holds otherwise"
        result = veteran.sync(client)
        assert [parting.stream for parting in result.parted] == [lost]
        assert not result.refusals
        assert incarnation(hub) > other.incarnation
        with hub.store.snapshot() as replica:
            streams = replica.log.streams(ORG)
            recovered = [
                e for row in streams for e in replica.log.entries(row) if isinstance(e.payload, EntryRecovered)
            ]
            assert {e.stream.incarnation for e in recovered} == {incarnation(hub)}
            assert len(recovered) == 2
            # What a copy of the hub granted or named waits for a person; nothing of it is lost.
            assert "C" not in replica.organisation.newest_each(replica.connection, LocationDefined)
            assert len(replica.log.streams(Scope("loc/A"))) == 1
        veteran.sync(client)
        assert incarnation(hub) == recovered[0].stream.incarnation
        with hub.store.snapshot() as replica:
            again = [e for row in replica.log.streams(ORG) for e in replica.log.entries(row)]
            assert sum(isinstance(e.payload, EntryRecovered) for e in again) == 2
