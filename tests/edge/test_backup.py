"""A backup is what has been restored and examined: the program that replicates is not believed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.backup import BackupKeeper
from edge.backup_proof import Proof, begin_anew, prove
from edge.backup_target import backup_row, choose_target, fetch_replica, parse_target, replica_address
from edge.clock_source import machine_clock
from edge.config import read_config
from edge.encrypted_copy import CARRIER_FILE
from edge.node import Node
from schema.errors import RefusalError
from tests import processes
from tests.edge.households import Household, opened, until
from tests.edge.shops import sell_pieces


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A till that joined a hub, which is down since."""
    [directory] = Household(tmp_path).tills("A1")
    return directory


@contextmanager
def kept(directory: Path, told: list[str] | None = None, first_proof_s: float = 3600.0) -> Iterator[BackupKeeper]:
    tell = (told if told is not None else []).append
    keeper = BackupKeeper(directory, machine_clock, tell, first_proof_s=first_proof_s)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()


def proven(node: Node) -> Proof:
    """Prove until the replica has caught up."""
    found: list[Proof] = []

    def is_whole() -> bool:
        found.append(prove(node, machine_clock))
        return found[-1].is_proven and not found[-1].behind

    until(is_whole, "a proof succeeds")
    return found[-1]


def test_a_backup_is_proven_by_restoring_it_and_says_how_far_it_reaches(directory: Path, tmp_path: Path) -> None:
    with opened(directory) as node:
        choose_target(node, str(tmp_path / "disk"))
    with opened(directory) as node, kept(directory):
        for _ in range(5):
            sell_pieces(node)
        proof = proven(node)
        assert (proof.entries, proof.behind) == (5, 0)
        row = backup_row(node)
        assert row is not None
        assert (row.problem, row.entries, row.proven_ms) == ("", 5, proof.checked_ms)
        assert not list(directory.glob(".proof-*")), "nothing of the trial stays"
        restored = tmp_path / "restored.db"
        fetch_replica(replica_address(node, row), restored)
        assert restored.stat().st_size > 0


@pytest.mark.long
def test_a_replica_that_is_gone_is_noticed_and_another_is_begun(directory: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with opened(directory) as node:
        choose_target(node, str(disk))
    with opened(directory) as node:
        with kept(directory):
            sell_pieces(node)
            first = proven(node).address
        shutil.rmtree(disk)
        sell_pieces(node)
        lost = prove(node, machine_clock)
        assert (lost.is_proven, lost.problem) == (False, "backup_missing")
        row = backup_row(node)
        assert row is not None
        assert row.problem == "backup_missing"
        assert row.proven_ms, "it still says when it last was one"
        begin_anew(node)  # what the keeper does when its own proof fails
        with kept(directory):
            second = proven(node)
        assert second.address != first
        assert second.entries == 2


@pytest.mark.long
def test_the_keeper_proves_by_itself_and_begins_another_backup_for_one_that_is_gone(
    directory: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with opened(directory) as node:
        choose_target(node, str(disk))
    with opened(directory) as node:
        sell_pieces(node)
        told: list[str] = []
        with kept(directory, told, first_proof_s=4.0) as keeper:
            until(lambda: (row := backup_row(node)) is not None and row.proven_ms > 0, "it proved by itself", 60)
            shutil.rmtree(disk)
            sell_pieces(node)
            time.sleep(2.0)  # the program replicates what is new, and has not a word to say
            assert not [text for text in told if "program" in text]
            keeper.prove_soon()
            until(lambda: any("another backup is begun" in text for text in told), "it noticed", 60)
            assert proven(node).entries == 2, "the other one is good"


def test_a_damaged_replica_is_no_backup(directory: Path, tmp_path: Path) -> None:
    with opened(directory) as node:
        choose_target(node, str(tmp_path / "disk"))
    with opened(directory) as node:
        with kept(directory):
            for _ in range(20):
                sell_pieces(node)
            proven(node)
        files = sorted((tmp_path / "disk").rglob("*.ltx"), key=lambda path: path.stat().st_size)
        for file in files:
            content = bytearray(file.read_bytes())
            for at in range(100, len(content), 997):
                content[at] ^= 0x55
            file.write_bytes(content)
        found = prove(node, machine_clock)
        assert found.problem in {"backup_unreadable", "backup_damaged"}


def test_a_backup_that_stands_still_is_said_to_be_behind(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.backup_proof.GRACE_MS", 500)
    with opened(directory) as node:
        choose_target(node, str(tmp_path / "disk"))
    with opened(directory) as node:
        with kept(directory):
            sell_pieces(node)
            proven(node)
        sell_pieces(node)
        time.sleep(1)
        found = prove(node, machine_clock)
        assert (found.problem, found.behind) == ("backup_behind", 1)


def test_another_nodes_backup_does_not_pass_for_this_ones(tmp_path: Path) -> None:
    one, other = Household(tmp_path).tills("A1", "A2")
    disk = tmp_path / "disk"
    for directory in (one, other):
        with opened(directory) as node:
            choose_target(node, str(disk))
            sell_pieces(node)
        with opened(directory) as node, kept(directory):
            proven(node)
    with opened(one) as here, opened(other) as there:
        mine, theirs = replica_address(here, backup_row(here)), replica_address(there, backup_row(there))
        folder = Path(mine.removeprefix("file://"))
        shutil.rmtree(folder)
        shutil.copytree(theirs.removeprefix("file://"), folder)
        assert not prove(here, machine_clock).is_proven


@pytest.mark.long
def test_a_program_that_outlived_its_killed_parent_is_ended_by_the_next(directory: Path, tmp_path: Path) -> None:
    with opened(directory) as node:
        choose_target(node, str(tmp_path / "disk"))

    def programs() -> set[int]:
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if str(directory / "litestream.yml").encode() in words:
                    found.add(int(entry.name))
        return found

    words = processes.command("backup", "run", "--node", str(directory))
    running = subprocess.Popen(words, cwd=processes.ROOT, env=processes.environment())
    until(lambda: len(programs()) == 1, "it replicates")
    orphan = programs()
    running.kill()
    running.wait(10)
    assert programs() == orphan, "the child lives on"
    running = subprocess.Popen(words, cwd=processes.ROOT, env=processes.environment())
    try:
        until(lambda: len(found := programs()) == 1 and found != orphan, "the next one has a child of its own")
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    until(lambda: not programs(), "and ends it")


def test_the_verbs_set_check_and_show_a_backup(directory: Path, tmp_path: Path) -> None:
    assert "[backup_off]" in processes.run("backup", "check", "--node", str(directory)).stderr
    assert "[target_invalid]" in processes.run("backup", "set", "disk", "--node", str(directory)).stderr
    done = processes.run("backup", "set", str(tmp_path / "disk"), "--node", str(directory))
    assert done.returncode == 0, done.stderr
    assert read_config(directory).backup == f"file://{tmp_path / 'disk'}"
    missing = processes.run("backup", "check", "--node", str(directory))
    assert (missing.returncode, "[backup_missing]" in missing.stderr) == (1, True)
    shown = processes.run("backup", "status", "--node", str(directory))
    assert "it cannot be used" in shown.stdout


@pytest.mark.parametrize("text", ["disk", "s3://", "s3:// x", "ftp://host/x", "sftp://"])
def test_a_target_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RefusalError) as refused:
        parse_target(text)
    assert refused.value.code == "target_invalid"


@pytest.mark.long
def test_notes_of_the_program_that_are_damaged_stop_no_backup(directory: Path, tmp_path: Path) -> None:
    with opened(directory) as node:
        choose_target(node, str(tmp_path / "disk"))
    with opened(directory) as node:
        for damaged in (False, True):
            if damaged:
                files = sorted((directory / ".node.db-litestream").rglob("*.ltx"), key=lambda path: path.name)
                content = bytearray(files[-1].read_bytes())
                content[len(content) // 2] ^= 0x10
                files[-1].write_bytes(content)
            with kept(directory):
                time.sleep(1.5)
                sell_pieces(node)
                time.sleep(1.5)
                assert proven(node).behind == 0, "it does not wait for the next proof"


@pytest.mark.long
def test_the_copy_of_an_encrypted_node_that_rots_beside_it_is_made_anew(tmp_path: Path) -> None:
    household = Household(tmp_path)
    with household.serving() as hub:
        directory = household.enrol(hub, "A1", passphrase="a passphrase of a van")
    with opened(directory) as node:
        choose_target(node, str(tmp_path / "disk"))
    with opened(directory) as node:
        with kept(directory):
            sell_pieces(node)
            first = proven(node).address
        carrier = directory / CARRIER_FILE
        content = bytearray(carrier.read_bytes())
        for at in range(20_000, len(content), 50_000):
            content[at] ^= 1
        carrier.write_bytes(content)
        shutil.rmtree(tmp_path / "disk")  # the whole of it travels again
        with kept(directory) as keeper:
            began = time.monotonic()
            while not (proof := prove(node, machine_clock)).is_proven or proof.behind or proof.address == first:
                assert time.monotonic() - began < 150, proof
                keeper.prove_soon()
                time.sleep(0.5)


def test_a_file_of_a_backup_that_ends_too_early_is_no_line_that_was_cut(directory: Path, tmp_path: Path) -> None:
    with opened(directory) as node:
        choose_target(node, str(tmp_path / "disk"))
    with opened(directory) as node:
        with kept(directory):
            sell_pieces(node)
            proven(node)
        for file in (tmp_path / "disk").rglob("*.ltx"):
            file.write_bytes(file.read_bytes()[:200])
        assert prove(node, machine_clock).problem == "backup_unreadable"
