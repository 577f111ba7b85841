"""A dead machine's node goes on elsewhere: whole, under numbers of its own, and what nobody has is named."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from edge import encryption, joining
from edge.backup_target import choose_target
from edge.clock_source import machine_clock
from edge.config import CONFIG_FILE, KEY_FILE, read_config
from edge.doctor import examine
from edge.lan_copies import lan_copies
from edge.missing import missing_ranges
from edge.node import Node
from edge.restoring import restore
from schema.errors import RefusalError
from tests import processes
from tests.edge.households import Household, configure, opened, sync, until, watched
from tests.edge.shops import WATER, figures, sell_pieces
from tests.edge.test_backup import kept, proven
from tests.edge.test_encryption import PASSPHRASE, run_with
from tests.edge.test_lan import neighbour, receipts
from tests.hub.fleet import receipts_at


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "DELAY_S", 0.01)
    monkeypatch.setattr(joining, "DELAY_S", 0.01)


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path)


def back_up(directory: Path, disk: Path, sales: int = 3) -> None:
    """Sell something and have it in a backup that is proven."""
    with opened(directory) as node:
        choose_target(node, str(disk))
    with opened(directory) as node, kept(directory):
        for _ in range(sales):
            sell_pieces(node)
        proven(node)


def passphrase_of(household: Household, till: str = "A1") -> str:
    return household.joined[till].recovery_passphrase


def numbers(node: Node) -> list[str]:
    return [row[0] for row in node.connection.execute("SELECT number FROM receipt ORDER BY number").fetchall()]


@pytest.mark.long
def test_a_dead_machine_comes_back_from_its_backup_its_neighbour_and_the_hub(
    household: Household, tmp_path: Path
) -> None:
    one, other = household.tills("A1", "A2")
    disk, fresh = tmp_path / "disk", tmp_path / "new"
    back_up(one, disk)
    with household.serving(), opened(one) as node:  # two more reach the hub alone
        for _ in range(2):
            sell_pieces(node)
        sync(one)
    with watched(other), watched(one), opened(one) as node:  # and two more the neighbour alone
        for _ in range(2):
            sell_pieces(node)
        until(lambda: lan_copies(node).waiting == 0, "the neighbour has them")
        sold = receipts(node)
    with opened(one) as node:
        sell_pieces(node)  # this one nobody has
    shutil.rmtree(one)

    peer = f"127.0.0.1:{read_config(other).lan_port}"
    with household.serving(), watched(other):
        done = run_with(passphrase_of(household), "restore", str(disk), "--node", str(fresh), "--peer", peer, "--json")
    assert done.returncode == 0, done.stderr
    with opened(fresh) as node, opened(other) as there:
        assert receipts(node) == sold, "everything but what the machine told nobody"
        assert examine(node).is_healthy
        assert figures(node) == figures(there)
        assert node.state().incarnation > 1
        numbers_before = set(numbers(node))
        number = sell_pieces(node).receipt_number
        assert number not in numbers_before
        assert number.startswith(f"A1-{node.state().incarnation}-")
        assert number.endswith("-000001")
    with household.serving() as hub:
        assert sync(fresh).is_complete
        assert sync(other).is_complete
        with opened(other) as there:
            assert number in receipts(there)
        assert len(receipts_at(hub, "A")) == 8


def test_entries_that_somebody_saw_and_nobody_has_are_named_until_they_come(
    household: Household, tmp_path: Path
) -> None:
    one, other = household.tills("A1", "A2")
    disk, fresh, lost = tmp_path / "disk", tmp_path / "new", tmp_path / "lost"
    back_up(one, disk, sales=2)
    with opened(one) as node, neighbour(one), neighbour(other):
        for _ in range(3):
            sell_pieces(node)
        until(lambda: lan_copies(node).waiting == 0, "the neighbour has them")
        name = f"loc/A:{node.config.node}.1"
    with opened(other) as node:
        sell_pieces(node)  # it says that it had seen all five
    with household.serving():
        sync(other)
    shutil.copytree(one, lost)
    with household.serving() as hub, hub.store.transaction(None) as replica:
        # The hub lost what came of that node, as one that was restored from an older copy has.
        row = replica.log.streams("loc/A")
        gone = next(found for found in row if found.stream.node == read_config(one).node)
        for table in ("entry", "seal", "inert"):
            replica.connection.execute(
                f"DELETE FROM {table} WHERE scope_no = ? AND stream_no = ? AND seq > 2", (gone.scope_no, gone.stream_no)
            )
        digest = replica.connection.execute(
            "SELECT digest FROM entry WHERE scope_no = ? AND stream_no = ? AND seq = 2", (gone.scope_no, gone.stream_no)
        ).fetchone()[0]
        replica.connection.execute(
            "UPDATE stream SET head_seq = 2, head_digest = ?, sealed_seq = 2 WHERE scope_no = ? AND stream_no = ?",
            (digest, gone.scope_no, gone.stream_no),
        )
    shutil.rmtree(one)
    with household.serving():
        restored = restore(fresh, str(disk), passphrase_of(household), machine_clock, search_s=0)
    assert [(one.stream, one.first_seq, one.last_seq) for one in restored.missing] == [(name, 3, 5)]
    with opened(fresh) as node:
        assert [(one.first_seq, one.last_seq) for one in missing_ranges(node)] == [(3, 5)]
        sell_pieces(node)
    # The neighbour that had them all the while is switched on: the range closes.
    configure(fresh, lan_peers=(f"127.0.0.1:{read_config(other).lan_port}",))
    with neighbour(other), neighbour(fresh), opened(fresh) as node:
        until(lambda: not missing_ranges(node), "they came")
        assert examine(node).is_healthy


@pytest.mark.long
def test_a_machine_thought_dead_that_comes_back_collides_with_nothing_and_is_told_of(
    household: Household, tmp_path: Path
) -> None:
    one, other = household.tills("A1", "A2")
    disk, fresh = tmp_path / "disk", tmp_path / "new"
    back_up(one, disk)
    with opened(one) as node:
        unsent = sell_pieces(node).receipt_number  # after the backup
    restore(fresh, str(disk), passphrase_of(household), machine_clock, search_s=0)
    configure(fresh, lan_port=read_config(one).lan_port + 1)
    ports = [f"127.0.0.1:{read_config(directory).lan_port}" for directory in (one, fresh, other)]
    for directory in (one, fresh, other):
        configure(directory, lan_peers=tuple(ports))
    told = tmp_path / "told.log"
    with (
        watched(one, errors=told), watched(fresh, errors=told), watched(other),
        opened(one) as old, opened(fresh) as new, opened(other) as there,
    ):  # fmt: skip
        until(lambda: "one of both is a copy" in told.read_text(), "it is told at the first contact")
        sold = {sell_pieces(old).receipt_number, sell_pieces(new).receipt_number, unsent}
        assert len(sold) == 3, "no number twice"
        until(lambda: sold <= receipts(there), "all are on the neighbour")
        until(lambda: sold <= receipts(new), "the new one has them")
    with household.serving():
        for directory in (one, fresh, other, one, fresh):
            sync(directory)
        with opened(one) as old, opened(fresh) as new, opened(other) as there:
            assert receipts(old) == receipts(new) == receipts(there) >= sold
            assert figures(old) == figures(new) == figures(there)
            for node in (old, new, there):
                assert examine(node).is_healthy


def test_an_encrypted_node_is_restored_by_either_passphrase(household: Household, tmp_path: Path) -> None:
    with household.serving() as hub:
        one = household.enrol(hub, "A1", passphrase=PASSPHRASE)
    disk = tmp_path / "disk"
    back_up(one, disk)
    with opened(one) as node:
        sold = receipts(node)
    shutil.rmtree(one)
    for number, words in enumerate((PASSPHRASE, passphrase_of(household))):
        fresh = tmp_path / f"new-{number}"
        done = run_with(words, "restore", str(disk), "--node", str(fresh), "--json")
        assert done.returncode == 0, done.stderr
        assert (fresh / KEY_FILE).read_text("ascii").startswith("sealed:")
        shown = run_with(PASSPHRASE, "query", "select number from receipt", "--node", str(fresh))
        assert all(number in shown.stdout for number in sold)
        assert run_with(PASSPHRASE, "sell", WATER, "--node", str(fresh)).returncode == 0


def test_a_wrong_passphrase_restores_nothing_and_leaves_nothing(household: Household, tmp_path: Path) -> None:
    [one] = household.tills("A1")
    disk, fresh = tmp_path / "disk", tmp_path / "new"
    back_up(one, disk)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run_with("not the passphrase at all", "restore", str(disk), "--node", str(fresh))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.endswith("[passphrase_wrong]\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_directory_in_use_is_refused_and_left_alone(household: Household, tmp_path: Path) -> None:
    one, other = household.tills("A1", "A2")
    disk = tmp_path / "disk"
    back_up(one, disk)
    before = {path.name: path.read_bytes() for path in other.iterdir() if path.name != "node.db-shm"}
    with pytest.raises(RefusalError) as refused:
        restore(other, str(disk), passphrase_of(household), machine_clock, search_s=0)
    assert refused.value.code == "directory_in_use"
    assert {path.name: path.read_bytes() for path in other.iterdir() if path.name != "node.db-shm"} == before


def test_what_is_no_backup_is_refused_by_name(household: Household, tmp_path: Path) -> None:
    one, other = household.tills("A1", "A2")
    disk, fresh = tmp_path / "disk", tmp_path / "new"

    def code(source: Path) -> str:
        with pytest.raises(RefusalError) as refused:
            restore(fresh, str(source), passphrase_of(household), machine_clock, search_s=0)
        assert not fresh.exists()
        return refused.value.code

    assert code(tmp_path / "nowhere") == "backup_missing"
    back_up(one, disk)
    back_up(other, disk)
    assert code(disk) == "backup_ambiguous"
    noise = tmp_path / "noise.db"
    noise.write_bytes(bytes(range(256)) * 64)
    assert code(noise) == "backup_damaged"
    empty = tmp_path / "empty.db"
    empty.touch()
    assert code(empty) in {"backup_damaged", "backup_unreadable"}


def test_a_copy_whose_schema_rotted_is_damaged_though_sqlite_says_so_in_no_words(tmp_path: Path) -> None:
    """SQLite names what it cannot read, and the name is no text any more: no traceback comes of that."""
    file = tmp_path / "copy.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE receipt (number TEXT)")
    content = file.read_bytes()
    rotten = content.replace(b"receiptreceipt", b"rec\xceiptreceipt").replace(b"CREATE TABLE", b"CREATE TABLF")
    assert rotten != content
    file.write_bytes(rotten)
    with pytest.raises(RefusalError) as refused:
        restore(tmp_path / "new", str(file), "", machine_clock, search_s=0)
    assert refused.value.code == "backup_damaged"
    assert not (tmp_path / "new").exists()


@pytest.mark.long
def test_a_restore_that_is_killed_anywhere_leaves_a_node_or_nothing_and_can_be_repeated(
    household: Household, tmp_path: Path
) -> None:
    [one] = household.tills("A1")
    disk, fresh = tmp_path / "disk", tmp_path / "new"
    back_up(one, disk)
    with opened(one) as node:
        sold = receipts(node)
    words = processes.command("restore", str(disk), "--node", str(fresh))
    survived = killed = 0
    for wait_s in (0.3, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.8, 2.2, 3.0, 6.0, 12.0, 24.0, 48.0):
        if survived and wait_s > 3.0:
            break  # only a busy machine needs longer for a whole restore
        credentials = tmp_path / "credentials"
        credentials.mkdir(exist_ok=True)
        (credentials / "edgetill-passphrase").write_text(passphrase_of(household), "utf-8")
        running = subprocess.Popen(
            words, cwd=processes.ROOT, env=processes.environment({"CREDENTIALS_DIRECTORY": str(credentials)}),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            running.wait(wait_s)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait(10)
            killed += 1
        if (fresh / CONFIG_FILE).exists():
            survived += 1
            with opened(fresh) as node:
                assert receipts(node) >= sold
                assert node.state().incarnation > 1
                assert sell_pieces(node).receipt_number not in sold
                assert examine(node).is_healthy
            shutil.rmtree(fresh)
        else:
            assert not fresh.exists() or not any(fresh.iterdir())
    assert killed
    assert survived
    done = run_with(passphrase_of(household), "restore", str(disk), "--node", str(fresh))
    assert done.returncode == 0, done.stderr
