"""A machine that fails its node: full disks, failed syncs, files that are gone or cannot be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import disk_space
from edge.applying import Pace, apply_batches
from edge.bundles import export_bundle, import_bundle
from edge.clock_source import machine_clock
from edge.config import DATABASE_FILE
from edge.disk_space import RESERVE_BYTES, RESERVE_FILE, DiskRoom, disk_room, keep_reserve
from edge.doctor import examine
from edge.node import Node
from edge.store import SUSPECT_FILE
from edge.watchdog import reopen, rescue
from schema.errors import CorruptionError, RefusalError, TransientError
from tests import processes
from tests.edge.shops import WATER, Shops, figures, sell_pieces

Make = Callable[..., Node]
Usage = namedtuple("Usage", "total used free")


def leave(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Let the disk seem to have so much room left."""
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: free)


@pytest.mark.parametrize(
    ("megabytes", "room"),
    [(501, DiskRoom.ENOUGH), (499, DiskRoom.LOW), (101, DiskRoom.LOW), (99, DiskRoom.TIGHT)],
)
def test_room_is_named_before_it_runs_out(
    node: Node, monkeypatch: pytest.MonkeyPatch, megabytes: int, room: DiskRoom
) -> None:
    keep_reserve(node.directory)
    leave(monkeypatch, megabytes * 1_000_000)
    assert disk_room(node.directory) is room


def test_imports_stop_first_then_what_others_recorded_and_sales_go_on(
    make_node: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make_node("A1"), make_node("A2")
    sell_pieces(other)
    bundle = tmp_path / "bundle"
    export_bundle(other, bundle)
    batches, _ = other.replica.outgoing("loc/A", {}, 1 << 20, other.signer)
    leave(monkeypatch, 99_000_000)
    with pytest.raises(RefusalError) as refused:
        import_bundle(one, bundle)
    assert refused.value.code == "disk_tight"
    leave(monkeypatch, 20_000_000)
    with pytest.raises(TransientError):
        apply_batches(one, batches, Pace())
    sell_pieces(one)
    leave(monkeypatch, 99_000_000)
    assert apply_batches(one, batches, Pace()) == (1, [])


def test_the_reserve_is_set_aside_at_the_start_and_given_up_when_the_disk_is_as_good_as_full(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = node.directory / RESERVE_FILE
    assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
    leave(monkeypatch, 5 * 1024 * 1024)
    sell_pieces(node)
    assert reserve.exists()
    leave(monkeypatch, 3 * 1024 * 1024)
    sell_pieces(node)
    assert not reserve.exists()
    assert disk_room(node.directory) is DiskRoom.RESERVE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB where this machine lets one be made; a file that may not grow any more elsewhere."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    is_mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    try:
        yield folder
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(node: Node, folder: Path) -> Callable[[], None]:
    """Fill the disk up; returns what frees it again."""
    if os.path.ismount(folder):
        ballast = folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        return ballast.unlink
    pages = node.connection.execute("PRAGMA page_count").fetchone()[0]
    node.connection.execute(f"PRAGMA max_page_count = {pages}")

    def free() -> None:
        node.connection.execute("PRAGMA max_page_count = 1000000")

    return free


@pytest.mark.long
def test_a_full_disk_gives_its_reserve_then_stops_clearly_and_loses_nothing(shops: Shops, small_disk: Path) -> None:
    made = shops.make_node("A1", is_durable=True)
    made.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    made.close()
    shops.nodes.clear()
    directory = small_disk / "A1"
    (made.directory / RESERVE_FILE).unlink(missing_ok=True)
    shutil.copytree(made.directory, directory)
    with Node(directory, clock=shops.clocks["A1"]) as node:
        if os.path.ismount(small_disk):
            with (directory / RESERVE_FILE).open("wb") as file:  # this disk is too small for the whole of it
                os.posix_fallocate(file.fileno(), 0, 6 * 1024 * 1024)
        free = fill(node, small_disk)
        sold: list[str] = []
        codes: list[str] = []
        for _ in range(20_000):
            try:
                sold.append(sell_pieces(node).receipt_number)
            except RefusalError as error:
                codes.append(error.code)
                if len(codes) > 20:
                    break
        assert set(codes) == {"disk_full"}, "it is said clearly, each time"
        if os.path.ismount(small_disk):
            assert len(sold) > 500, "the reserve kept sales going"
            assert not (directory / RESERVE_FILE).exists()
        numbers = [row[0] for row in node.connection.execute("SELECT number FROM receipt ORDER BY number").fetchall()]
        assert numbers == sold, "nothing that was sold is lost, nothing that was refused is there"
        free()
        assert sell_pieces(node).receipt_number not in sold
        assert examine(node).is_healthy
        assert figures(node)[WATER][0] == -1000 * (len(sold) + 1)


FAILING = """
import sys
from pathlib import Path
from edge.clock_source import machine_clock
from edge.node import Node
from edge.selling import LineRequest, sell
from schema.errors import EdgetillError
node = Node(Path(sys.argv[1]), clock=machine_clock)
while True:
    try:
        print(sell(node, [LineRequest("P0001", 1000)]).receipt_number, flush=True)
    except EdgetillError as error:
        print(error.code, flush=True)
        try:
            sell(node, [LineRequest("P0001", 1000)])
        except EdgetillError as again:
            print(again.code, flush=True)
        break
"""


def sell_until_it_fails(directory: Path, *faults: str) -> list[str]:
    """Sell in a process whose system calls fail as told; returns what it printed."""
    words = ["strace", "-f", "-o", "/dev/null", *(word for fault in faults for word in ("-e", fault))]
    done = subprocess.run(
        [*words, sys.executable, "-c", FAILING, str(directory)], cwd=processes.ROOT, env=processes.environment(),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.long
@pytest.mark.parametrize(("call", "at"), [("fsync", 4), ("fsync", 11), ("pwrite64", 90), ("pwrite64", 200)])
def test_after_a_failed_sync_nothing_more_is_written_and_the_next_start_verifies(
    shops: Shops, call: str, at: int
) -> None:
    node = shops.make_node("A1", clock=None, is_durable=True)
    directory = node.directory
    node.close()
    shops.nodes.clear()
    place = f"inject={call}:error=EIO:when={at}+"
    printed = sell_until_it_fails(directory, f"trace={call}", place)
    *sold, first, second = printed
    assert (first, second) == ("not_recorded", "not_recorded")
    assert (directory / SUSPECT_FILE).exists()
    with Node(directory, clock=machine_clock) as again:
        assert not (directory / SUSPECT_FILE).exists(), "it verified the file"
        numbers = [row[0] for row in again.connection.execute("SELECT number FROM receipt ORDER BY number").fetchall()]
        assert numbers == sold, "what was acknowledged is there, what was not recorded is not"
        assert sell_pieces(again).receipt_number not in sold
        assert examine(again).is_healthy


def test_a_node_whose_file_was_deleted_while_it_ran_records_nothing_into_the_void(node: Node) -> None:
    number = sell_pieces(node).receipt_number
    for name in (DATABASE_FILE, f"{DATABASE_FILE}-wal", f"{DATABASE_FILE}-shm"):
        (node.directory / name).unlink()
    with pytest.raises(CorruptionError) as failed:
        sell_pieces(node)
    assert failed.value.code == "file_gone"
    with pytest.raises(RefusalError) as refused:
        Node(node.directory)
    assert refused.value.code == "file_gone", "no empty file takes its place"
    rescue(node).rename(node.directory / DATABASE_FILE)
    with reopen(node) as again:
        assert [row[0] for row in again.connection.execute("SELECT number FROM receipt").fetchall()] == [number]
        assert examine(again).is_healthy
        sell_pieces(again)


def test_a_file_that_was_replaced_while_it_ran_is_noticed(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    other.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    shutil.copy(other.store.path, one.directory / "replacement")
    (one.directory / "replacement").replace(one.store.path)
    with pytest.raises(CorruptionError) as failed:
        sell_pieces(one)
    assert failed.value.code == "file_gone"


def test_a_suspect_file_that_is_damaged_is_not_written_to(node: Node) -> None:
    for _ in range(3):
        sell_pieces(node)
    row = next(r for r in node.replica.rows() if r.stream.node == node.config.node_id)
    node.connection.execute(
        "UPDATE entry SET body = zeroblob(9) WHERE scope_no = ? AND stream_no = ? AND seq = 2",
        (row.scope_no, row.stream_no),
    )
    with pytest.raises(CorruptionError) as failed:
        reopen(node)
    assert failed.value.code == "file_damaged"
    assert (node.directory / SUSPECT_FILE).exists()


def test_a_disk_that_became_read_only_is_a_sentence(shops: Shops, small_disk: Path) -> None:
    made = shops.make_node("A1")
    made.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    directory = small_disk / "A1"
    shutil.copytree(made.directory, directory)
    with Node(directory, clock=shops.clocks["A1"]) as node:
        if os.path.ismount(small_disk):
            node.store.close()  # a disk with files open for writing cannot be changed
            subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
            with pytest.raises(RefusalError) as refused:
                Node(directory, clock=shops.clocks["A1"])
            assert refused.value.code == "file_read_only"
            subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
            return
        node.connection.execute("PRAGMA query_only = ON")
        with pytest.raises(RefusalError) as refused:
            sell_pieces(node)
        assert refused.value.code == "file_read_only"
