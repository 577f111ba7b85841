"""The hub is backed up while it serves, proven, restored, and made whole again by nodes that had pruned."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlcipher3.dbapi2 as sqlite_driver

from edge.cache import prune_old
from edge.clock_source import ScriptedClock
from edge.doctor import examine
from edge.joining import join
from edge.node import Node
from edge.selling import LineRequest, sell
from edge.sync_agent import HttpLine, SyncReport, sync_once
from hub import backups
from hub.backups import KEYS_FILE, back_up, read_keys, restore
from hub.copying import SECRET_STATES, SECRET_TABLES, tables_of
from hub.customers import find_person, forget_person
from hub.enrolment import Profile
from hub.own_log import parse_location, read_state
from hub.pages.first_run import make_owner
from hub.service import Founded, Hub, init_hub, open_hub, serving
from hub.serving_lock import serving_from
from schema.errors import CorruptionError, RefusalError
from schema.identity import ORG
from schema.kinds.organisation import FrontierDeclared, LocationDefined
from sync.pruning import may_prune
from tests import processes
from tests.edge.shops import START_MS
from tests.hub.chains import MEMBER, PHONE, PIN, enrolled, figures, shown, teach, work
from tests.hub.databases import fresh_postgresql
from tests.hub.fleet import FleetNode, ProblemError, sale

DAY_MS = 86_400_000


@contextmanager
def running(directory: Path, **options: Any) -> Iterator[tuple[Hub, httpx.Client]]:
    hub = open_hub(directory, **options)
    with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield hub, client
    hub.close()


def tables(file: Path) -> dict[str, int]:
    raw = sqlite_driver.connect(str(file))
    try:
        names = [table.name for table in tables_of(raw, is_postgresql=False)]
        return {name: raw.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    finally:
        raw.close()


def refused(code: str, directory: Path, *words: Any, **options: Any) -> str:
    with pytest.raises(RefusalError) as refusal:
        restore(directory, *words, **options)
    assert refusal.value.code == code
    return refusal.value.message


def test_a_restored_hub_shows_what_it_showed_and_its_nodes_bring_back_what_came_after(
    founded: tuple[Path, Founded], tmp_path: Path, request: pytest.FixtureRequest, database_kind: str
) -> None:
    with running(founded[0]) as (hub, client):
        teach(hub)
        nodes = [enrolled(hub, client, "T1"), enrolled(hub, client, "T2", "B")]
        work(hub, client, *nodes)
        report = back_up(hub, tmp_path / "backups", tmp_path / "safe")
        expected = shown(hub)
        late = enrolled(hub, client, "T3")
        work(hub, client, *nodes, late, rounds=1)
        with hub.store.transaction(ORG) as replica:
            hub.own_log.append(replica, ORG, LocationDefined("C", "New", "shop"))
        for node in (*nodes, late):
            assert node.sync(client).is_complete
        after = shown(hub)
    new = tmp_path / "new machine"
    with fresh_postgresql(request.getfixturevalue("postgresql")) as url:
        # To the same kind of database, and to the other.
        same, other = ("hub.db", url) if database_kind == "sqlite" else (url, "hub.db")
        for directory, database in ((new, same), (tmp_path / "other kind", other)):
            done = restore(directory, report.file, keys=tmp_path / "safe" / KEYS_FILE, database=database)
            assert (done.taken_ms, done.entries, done.has_secrets) == (report.taken_ms, report.entries, True)
            with running(directory, database=database) as (hub, client):
                now = shown(hub)
                assert {**now, "vectors": 0} == {**expected, "vectors": 0}
                with hub.store.snapshot() as replica:
                    assert hub.own_log.incarnation(replica.connection) == done.incarnation > 1
                    assert find_person(replica, PHONE)
                with pytest.raises(ProblemError, match="node_unknown"):
                    late.sync(client)
                for node in (*nodes, late):
                    assert node.sync(client).is_complete
                assert {**shown(hub), "chains": 0} == {**after, "chains": 0}
                with hub.store.transaction(ORG) as replica:
                    entry = hub.own_log.append(replica, ORG, LocationDefined("D", "Newer", "shop"))
                assert entry.stream.incarnation == done.incarnation


def test_a_backup_is_of_one_state_however_much_comes_in_meanwhile(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    with running(founded[0]) as (hub, client):
        nodes = [enrolled(hub, client, f"T{number}", "AB"[number % 2]) for number in range(4)]
        work(hub, client, *nodes, rounds=1)
        is_over = threading.Event()
        failures: list[BaseException] = []

        def trade(node: FleetNode) -> None:
            number = 0
            try:
                while not is_over.is_set():
                    number += 1
                    node.append(sale(f"{node.signer.node}-{number}"))
                    node.sync(client)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=trade, args=(node,)) for node in nodes]
        for thread in threads:
            thread.start()
        try:
            made = [back_up(hub, tmp_path / "backups", None) for _ in range(3)]
        finally:
            is_over.set()
            for thread in threads:
                thread.join(60)
        assert not failures
        assert [one.entries for one in made] == sorted(one.entries for one in made)
        assert len({one.file for one in made}) == 3


def test_what_must_not_lie_beside_the_log_is_in_no_byte_of_a_backup(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    safe = tmp_path / "safe"
    with running(founded[0]) as (hub, client):
        teach(hub)
        work(hub, client, enrolled(hub, client, "T1"))
        make_owner(hub, code=None, name="王", login="owner", password="correct horse battery")
        file = back_up(hub, tmp_path / "backups", safe).file
        with hub.store.snapshot() as replica:
            ask = replica.connection.execute
            secret = [bytes(row[0]) for row in ask("SELECT key FROM person_key").fetchall()]
            secret += [bytes(row[0]) for row in ask("SELECT wrapped FROM member_key").fetchall()]
            secret += [str(row[0]).encode() for row in ask("SELECT verifier FROM operator_verifier").fetchall()]
            secret += [str(row[0]).encode() for row in ask("SELECT password FROM account").fetchall()]
            secret.append((read_state(replica.connection, "phone_key") or "").encode())
        seed = hub.identity.signer.private.private_bytes_raw()
        secret += [seed, seed.hex().encode(), MEMBER.encode(), PHONE.encode()]
    assert all(len(one) >= 6 for one in secret)
    assert len(secret) >= 8
    content = file.read_bytes()
    assert not [one for one in secret if one in content]
    kept = (safe / KEYS_FILE).read_bytes()
    assert all(one in kept for one in secret[:-3])
    assert {path.stat().st_mode & 0o077 for path in (file, safe / KEYS_FILE)} == {0}
    assert all(count == 0 for table, count in tables(file).items() if table in SECRET_TABLES)
    keys = read_keys(safe / KEYS_FILE)
    assert {one.table for one in keys.tables} >= {"person_key", "member_key", "operator_verifier", "account"}
    assert PIN.encode() not in kept


def test_every_column_that_sounds_like_a_secret_is_known_as_one(founded: tuple[Path, Founded], tmp_path: Path) -> None:
    """A table that is added later with such a column must be kept apart, or its column named here."""
    known = {"token_hash", "code_hash"}  # of random codes, which nobody guesses
    with running(founded[0]) as (hub, _):
        file = back_up(hub, tmp_path, None).file
    raw = sqlite_driver.connect(str(file))
    sounding = {
        (table.name, column)
        for table in tables_of(raw, is_postgresql=False)
        for column in table.columns
        if any(word in column for word in ("password", "verifier", "secret", "token", "wrapped", "pin", "code_hash"))
    }
    raw.close()
    assert {table for table, column in sounding if column not in known} <= SECRET_TABLES
    assert {"phone_key"} == SECRET_STATES


def test_who_was_forgotten_is_forgotten_in_the_next_backups_keys(founded: tuple[Path, Founded], tmp_path: Path) -> None:
    safe = tmp_path / "safe"
    with running(founded[0]) as (hub, _):
        teach(hub)
        back_up(hub, tmp_path / "backups", safe)
        with hub.store.transaction(ORG) as replica:
            person = find_person(replica, PHONE)
            forget_person(replica, hub.own_log, person)
        assert person.encode() in (safe / KEYS_FILE).read_bytes()
        back_up(hub, tmp_path / "backups", safe)
    assert person.encode() not in (safe / KEYS_FILE).read_bytes()


def test_a_backup_that_cannot_be_proven_counts_for_nothing(
    founded: tuple[Path, Founded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backups"
    with running(founded[0]) as (hub, client):
        work(hub, client, enrolled(hub, client, "T1"))
        finish = backups._finish
        for harm in ("UPDATE stock SET value = value + 1", "DELETE FROM entry WHERE seq = 2"):

            def harmed(file: Path, state: Any, harm: str = harm) -> None:
                finish(file, state)
                raw = sqlite_driver.connect(str(file), isolation_level=None)
                raw.execute(harm)
                raw.close()

            monkeypatch.setattr(backups, "_finish", harmed)
            with pytest.raises(CorruptionError):
                back_up(hub, folder, None)
            assert list(folder.iterdir()) == []
            with pytest.raises(RefusalError) as nothing:
                hub.pruning.cut_location("A")
            assert nothing.value.code == "backup_missing"


def test_a_damaged_a_foreign_and_no_backup_are_refused_and_nothing_is_replaced(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    directory = founded[0]
    with running(directory) as (hub, client):
        work(hub, client, enrolled(hub, client, "T1"))
        file = back_up(hub, tmp_path / "backups", tmp_path / "safe").file
        before = shown(hub)
    whole = file.read_bytes()
    cases = {"half": whole[: len(whole) // 2], "garbage": b"SQLite format 3\0" + bytes(5000), "text": b"a text"}
    cases["flipped"] = whole[: len(whole) // 2] + bytes(4096) + whole[len(whole) // 2 + 4096 :]
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises((RefusalError, CorruptionError)):
            restore(directory, tmp_path / name)
    refused("file_unreadable", directory, tmp_path / "none")
    refused("keys_invalid", directory, file, keys=tmp_path / "text")
    init_hub(tmp_path / "other", name="Other", locations=[parse_location("A:A:shop")])
    refused("backup_foreign", tmp_path / "other", file)
    refused("keys_foreign", tmp_path / "other", file, keys=tmp_path / "safe" / KEYS_FILE)
    refused("keys_missing", tmp_path / "nothing", file)
    assert not (tmp_path / "nothing").exists()
    with serving_from(directory):
        refused("hub_serving", directory, file)
    with running(directory) as (hub, _):
        assert shown(hub) == before
        with pytest.raises(RefusalError) as beside:
            back_up(hub, tmp_path / "backups", tmp_path / "backups" / "keys")
        assert beside.value.code == "keys_beside_backup"
        with pytest.raises(RefusalError):
            back_up(hub, tmp_path / "backups", None, kept=0)


def test_old_backups_go_and_no_other_file(founded: tuple[Path, Founded], tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "hub-notes.db").write_text("mine")
    with running(founded[0]) as (hub, _):
        made = [back_up(hub, folder, None, kept=2).file for _ in range(4)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(["hub-notes.db", *(f.name for f in made[-2:])])


def test_a_hub_that_lost_all_but_its_key_gets_its_organisation_back_from_a_node(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    directory = founded[0]
    with running(directory) as (hub, client):
        node = enrolled(hub, client, "T1")
        work(hub, client, node)
        expected, here = shown(hub), figures(hub, "loc/A")
    done = restore(directory, None, database="empty.db")
    assert done.set_aside is None
    with running(directory, database="empty.db") as (hub, client):
        brought, _ = node.replica.outgoing(ORG, {}, 1_000_000, None)
        assert not node.push(client, *brought).refusals
        assert node.sync(client).is_complete
        assert figures(hub, "loc/A") == here
        now = shown(hub)
        assert now["folds"]["loc/A"] == expected["folds"]["loc/A"]
        assert (now["grants"], now["catalogue"]) == (expected["grants"], expected["catalogue"])


class Calendar:
    """A hub and real tills on one scripted calendar."""

    def __init__(self, directory: Path) -> None:
        self.now = START_MS
        self.folder = directory
        self.clock = ScriptedClock(self.now)
        init_hub(directory / "hub", name="L", locations=[parse_location("A:Riverside:shop")], now_ms=lambda: self.now)
        self.nodes: list[Node] = []
        self.url = ""

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        hub = open_hub(self.folder / "hub", now_ms=lambda: self.now)
        with serving(hub) as self.url:
            for node in self.nodes:
                node.config = msgspec.structs.replace(node.config, hub_address=self.url)
            yield hub
        hub.close()

    def till(self, hub: Hub, name: str) -> Node:
        issued = hub.enrolment.invite(profile=Profile.TILL, location="A", name=name, till=name)
        join(self.folder / name, self.url, issued.invitation, self.clock)
        node = Node(self.folder / name, clock=self.clock)
        self.nodes.append(node)
        return node

    def pass_days(self, days: int) -> None:
        self.now += days * DAY_MS
        self.clock.move_to(self.now)

    def sync(self, hub: Hub, *nodes: Node) -> list[SyncReport]:
        done = []
        for node in nodes:
            line = HttpLine(node)
            done.append(sync_once(node, line))
            line.close()
        hub.contacts.flush()
        assert all(report.is_complete and not report.mismatched_folds for report in done), done
        return done


def test_a_hub_restored_from_its_last_checked_backup_is_made_whole_by_nodes_that_had_pruned(tmp_path: Path) -> None:
    world = Calendar(tmp_path)
    with world.hub() as hub:
        old = world.till(hub, "T1")
        for _ in range(30):
            sell(old, [LineRequest("P1", price_minor=500)])
        world.sync(hub, old)
        world.pass_days(40)
        backup = back_up(hub, tmp_path / "backups", tmp_path / "safe").file
        with hub.store.snapshot() as replica:
            held = {w: h.seq for w, h in replica.log.heads(old.config.scope).items()}
        # All of this came after the backup: sales, a till, the cut and the frontier themselves.
        sell(old, [LineRequest("P1", price_minor=500)])
        newcomer = world.till(hub, "T2")
        sell(newcomer, [LineRequest("P1", price_minor=500)])
        world.sync(hub, old, newcomer, old)
        hub.pruning.cut_location("A", older_than_days=1)
        world.sync(hub, old, newcomer)
        frontier = may_prune(old.replica, old.config.scope).complete.vector
        assert all(seq <= held.get(writer, 0) for writer, seq in frontier.items())
        assert prune_old(old).left > 0
        expected, whole = figures(hub, "loc/A"), shown(hub)
    restored = restore(tmp_path / "hub", backup, keys=tmp_path / "safe" / KEYS_FILE)
    assert restored.set_aside is not None
    with world.hub() as hub:
        assert figures(hub, "loc/A") != expected
        # The till that the backup does not know shows the hub its own word for it.
        world.sync(hub, newcomer, old)
        now = shown(hub)
        assert figures(hub, "loc/A") == expected
        # But for what the hub may say anew of a clock: it measures by its own.
        for what in ("folds", "grants", "catalogue", "stock", "sales"):
            assert now[what] == whole[what], what
        with hub.store.snapshot() as replica:
            streams = replica.log.streams(old.config.scope)
            kinds = [type(e.payload) for row in streams for e in replica.log.entries(row)]
        assert kinds.count(FrontierDeclared) == 1
        sell(old, [LineRequest("P1", price_minor=500)])
        world.sync(hub, old, newcomer)
        assert figures(hub, "loc/A") == [(product, value - 1_000) for product, value in expected]
    assert examine(old).is_healthy
    for node in world.nodes:
        node.close()


def test_a_backup_older_than_what_nodes_relied_on_is_restored_only_when_that_is_meant(tmp_path: Path) -> None:
    world = Calendar(tmp_path)
    with world.hub() as hub:
        first = back_up(hub, tmp_path / "backups", None)
        world.pass_days(1)
        second = back_up(hub, tmp_path / "backups", tmp_path / "safe")
    message = refused("backup_older", tmp_path / "hub", first.file)
    assert "2026-03-03" in message
    # A new machine knows it from the keys.
    refused("backup_older", tmp_path / "new", first.file, keys=tmp_path / "safe" / KEYS_FILE)
    assert restore(tmp_path / "hub", second.file).taken_ms == second.taken_ms
    assert restore(tmp_path / "hub", first.file, may_be_older=True).taken_ms == first.taken_ms


def test_nothing_above_the_last_checked_backup_is_cut(tmp_path: Path) -> None:
    world = Calendar(tmp_path)
    with world.hub() as hub:
        node = world.till(hub, "T1")
        for _ in range(5):
            sell(node, [LineRequest("P1", price_minor=500)])
        world.sync(hub, node)
        world.pass_days(40)
        with pytest.raises(RefusalError, match="hub backup") as refusal:
            hub.pruning.cut_location("A")
        assert refusal.value.code == "backup_missing"
        back_up(hub, tmp_path / "backups", None)
        for _ in range(7):
            sell(node, [LineRequest("P1", price_minor=500)])
        world.sync(hub, node)
        world.pass_days(40)
        hub.pruning.cut_location("A")
        world.sync(hub, node)
        below = cut_of(node)
        back_up(hub, tmp_path / "backups", None)
        hub.pruning.cut_location("A")
        world.sync(hub, node)
        assert cut_of(node) == below + 7
    node.close()


def cut_of(node: Node) -> int:
    """Return up to which of its own entries a node may prune."""
    cut = may_prune(node.replica, node.config.scope).complete.vector
    return next(seq for writer, seq in cut.items() if writer.startswith(node.config.node))


def test_a_person_backs_up_and_restores_with_two_commands(founded: tuple[Path, Founded], tmp_path: Path) -> None:
    directory = founded[0]
    with running(directory) as (hub, client):
        node = enrolled(hub, client, "T1")
        work(hub, client, node)
    with processes.serving_hub(directory, "--plain") as (_, url):
        said = processes.run(
            "hub", "backup", str(tmp_path / "b"), "--keys", str(tmp_path / "k"), "--hub", str(directory), "--json"
        )
        assert said.returncode == 0, said.stderr
        made = msgspec.json.decode(said.stdout)
        busy = processes.run("hub", "restore", made["file"], "--hub", str(directory))
        assert (busy.returncode, "[hub_serving]" in busy.stderr) == (1, True)
        assert httpx.get(f"{url}/v1/organisation", trust_env=False).status_code == 200
    new = tmp_path / "new"
    words = ("hub", "restore", made["file"], "--keys", str(tmp_path / "k" / KEYS_FILE), "--hub", str(new))
    done = processes.run(*words, "--database", "new.db")
    assert done.returncode == 0, done.stderr
    assert "goes on as incarnation" in done.stdout
    unnamed = processes.run("hub", "restore", "--hub", str(new))
    assert (unnamed.returncode, "[backup_unnamed]" in unnamed.stderr) == (1, True)
    with (
        processes.serving_hub(new, "--plain") as (_, url),
        httpx.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        node.append(sale("after"))
        assert node.sync(client).is_complete
