"""A hub moves from SQLite to PostgreSQL and back: all of it or nothing, proven from the copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub import moving
from hub.command_options import opened
from hub.copying import copy_rows
from hub.identity import load_identity
from hub.moving import copy_database
from hub.service import Founded, Hub, open_hub, serving
from schema.errors import CorruptionError, RefusalError
from tests import processes
from tests.hub.chains import enrolled, shown, teach, work
from tests.hub.conftest import Enrol
from tests.hub.databases import fresh_postgresql
from tests.hub.fleet import FleetNode, sale


@pytest.fixture
def others(database_kind: str, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Name empty databases to copy to: of both kinds."""
    server = request.getfixturevalue("postgresql")
    with fresh_postgresql(server) as url:
        yield ["other.db", url.replace("+psycopg", "")]


@contextmanager
def hub_on(directory: Path, database: str) -> Iterator[tuple[Hub, httpx.Client]]:
    hub = open_hub(directory, database=database)
    with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield hub, client
    hub.close()


def at_work(hub: Hub, client: httpx.Client) -> list[FleetNode]:
    teach(hub)
    nodes = [enrolled(hub, client, "T1"), enrolled(hub, client, "T2"), enrolled(hub, client, "T3", "B")]
    work(hub, client, *nodes)
    return nodes


def test_a_copy_shows_the_same_and_the_nodes_go_on_with_it(
    founded: tuple[Path, Founded], hub: Hub, client: httpx.Client, others: list[str]
) -> None:
    nodes = at_work(hub, client)
    expected = shown(hub)
    assert expected["inbox"]
    for other in others:
        report = copy_database(hub, other)
        assert {scope: one.vector for scope, one in report.scopes.items()} == expected["vectors"]
        with hub_on(founded[0], other) as (copy, other_client):
            assert shown(copy) == expected
            work(copy, other_client, *nodes, rounds=1)
            after = shown(copy)
            assert after["folds"] != expected["folds"]
            assert after["grants"] == expected["grants"]
        # And on from there, to the other kind: what the first hub never heard of is there.
        back = "back.db" if other != "other.db" else None
        if back is not None:
            with opened_on(founded[0], other) as copy:
                copy_database(copy, back)
            with opened_on(founded[0], back) as copy:
                assert shown(copy) == after


@contextmanager
def opened_on(directory: Path, database: str) -> Iterator[Hub]:
    hub = open_hub(directory, database=database)
    try:
        yield hub
    finally:
        hub.close()


def test_a_copy_is_consistent_though_the_hub_serves_meanwhile(
    founded: tuple[Path, Founded], hub: Hub, client: httpx.Client, others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = at_work(hub, client)
    before = shown(hub)

    def busy_meanwhile(*words: Any, **options: Any) -> int:
        nodes[0].append(sale("meanwhile"))
        nodes[0].sync(client)
        return copy_rows(*words, **options)

    monkeypatch.setattr(moving, "copy_rows", busy_meanwhile)
    for other in others:
        copy_database(hub, other)
        with opened_on(founded[0], other) as copy:
            assert shown(copy) == before
        before = shown(hub)


def test_a_copy_that_broke_off_left_nothing_and_is_simply_begun_again(
    hub: Hub, client: httpx.Client, founded: tuple[Path, Founded], others: list[str]
) -> None:
    at_work(hub, client)

    def breaks(table: str, rows: int) -> None:
        if table == "stock":
            raise ConnectionAbortedError

    for other in others:
        with pytest.raises(ConnectionAbortedError):
            copy_database(hub, other, progress=breaks)
        with pytest.raises(RefusalError) as refused:
            open_hub(founded[0], database=other)
        assert refused.value.code == "database_empty"
        copy_database(hub, other)
        with opened_on(founded[0], other) as copy:
            assert shown(copy) == shown(hub)


def test_a_copy_that_shows_something_else_is_not_kept(
    hub: Hub, client: httpx.Client, founded: tuple[Path, Founded], others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work(hub, client)
    harms = [
        "UPDATE entry SET body = digest WHERE seq = 2",
        "UPDATE stock SET value = value + 1000",
        "DELETE FROM conflict WHERE status = 'OPEN'",
        "DELETE FROM entry WHERE seq = 3",
    ]
    for harm in harms:

        def harmed(source: Any, target: Any, *words: Any, harm: str = harm, **options: Any) -> int:
            done = copy_rows(source, target, *words, **options)
            target.execute(harm)
            return done

        monkeypatch.setattr(moving, "copy_rows", harmed)
        for other in others:
            with pytest.raises(CorruptionError):
                copy_database(hub, other)
    monkeypatch.undo()
    for other in others:
        copy_database(hub, other)


def test_a_target_that_holds_anything_or_is_the_hubs_own_is_refused(
    hub: Hub, founded: tuple[Path, Founded], others: list[str]
) -> None:
    for other in others:
        copy_database(hub, other)
        with pytest.raises(RefusalError) as refused:
            copy_database(hub, other)
        assert refused.value.code == "target_not_empty"
    with pytest.raises(RefusalError) as refused:
        copy_database(hub, load_identity(founded[0]).settings.database)
    assert refused.value.code == "target_same"
    with pytest.raises(RefusalError) as refused:
        copy_database(hub, "mysql://h/d")
    assert refused.value.code == "database_unknown"


@pytest.mark.on_sqlite
def test_a_person_moves_the_hub_with_two_commands(
    founded: tuple[Path, Founded], hub: Hub, enrol: Enrol, client: httpx.Client, others: list[str]
) -> None:
    directory = founded[0]
    node = enrol()
    node.append(sale("1"))
    assert node.sync(client).is_complete
    target = others[1]
    moved = processes.run("hub", "copy-to", target, "--hub", str(directory))
    assert moved.returncode == 0, moved.stderr
    assert "are equal" in moved.stdout
    empty = processes.run("hub", "status", "--hub", str(directory), EDGETILL_HUB_DATABASE="nowhere.db")
    assert (empty.returncode, "[database_empty]" in empty.stderr) == (1, True)
    with (
        processes.serving_hub(directory, "--plain", "--database", target) as (_, url),
        httpx.Client(base_url=url, timeout=30, trust_env=False) as served,
    ):
        node.append(sale("2"))
        assert node.sync(served).is_complete
    assert load_identity(directory).settings.database == target
    assert (directory / "hub.toml").stat().st_mode & 0o077 == 0
    with opened(directory) as now:
        assert now.store.is_postgresql
        (listed,) = [row for row in shown(now)["chains"] if row == 2]
    assert listed == 2
    said = processes.run("hub", "nodes", "--hub", str(directory))
    assert node.signer.node in said.stdout


@pytest.mark.on_sqlite
def test_an_organisation_is_not_founded_on_anothers_database(
    founded: tuple[Path, Founded], tmp_path: Path, others: list[str]
) -> None:
    first = processes.run(
        "hub", "init", str(tmp_path / "one"), "--name", "One", "--location", "A:A:shop", "--database", others[1]
    )
    assert first.returncode == 0, first.stderr
    second = processes.run(
        "hub", "init", str(tmp_path / "two"), "--name", "Two", "--location", "A:A:shop", "--database", others[1]
    )
    assert (second.returncode, "[database_taken]" in second.stderr) == (1, True)
    assert not (tmp_path / "two").exists()
    foreign = processes.run("hub", "status", "--hub", str(founded[0]), EDGETILL_HUB_DATABASE=others[1])
    assert (foreign.returncode, "[database_foreign]" in foreign.stderr) == (1, True)
