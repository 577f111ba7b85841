"""A file that ends before what was acknowledged is known for what it is: its lost entries are named, no number comes
twice."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from edge.clock_source import ScriptedClock
from edge.config import DATABASE_FILE
from edge.doctor import examine
from edge.high_water import MARK_FILE, HighWater, Mark, read_mark
from edge.missing import MissingRange, missing_ranges
from edge.node import Node
from schema.identity import Stream
from tests.edge.shops import START_MS, Shops, carry, sell_pieces
from tests.faults.workday import Workday

WAL_FILE = f"{DATABASE_FILE}-wal"


@pytest.fixture
def directory(shops: Shops, tmp_path: Path) -> Path:
    """A till's directory as a cut of the power leaves it: five sales in its write-ahead log."""
    node = shops.make_node("A1", is_durable=True)
    node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for _ in range(5):
        sell_pieces(node)
    shutil.copytree(node.directory, tmp_path / "left")
    (tmp_path / "left" / f"{DATABASE_FILE}-shm").unlink()
    return tmp_path / "left"


def opened(directory: Path) -> Node:
    return Node(directory, clock=ScriptedClock(START_MS + 60_000, boot_id="A1"))


def numbers(node: Node) -> list[str]:
    return [row[0] for row in node.connection.execute("SELECT number FROM receipt ORDER BY number").fetchall()]


def test_a_log_that_rotted_is_found_at_the_start_and_no_receipt_number_comes_twice(
    directory: Path, shops: Shops
) -> None:
    with (directory / WAL_FILE).open("r+b") as file:  # a bit of the second sale
        file.seek((directory / WAL_FILE).stat().st_size // 3)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 4]))
    with opened(directory) as node:
        kept = numbers(node)
        assert len(kept) < 5
        stream = f"loc/A:{node.config.node}.1"
        assert missing_ranges(node) == (MissingRange(stream, len(kept) + 1, 5),)
        sold = sell_pieces(node).receipt_number
        assert not sold.startswith("A1-1-")
        assert examine(node).is_healthy
        # Whoever has them gives them back, and the range closes.
        carry(shops.nodes["A1"], node)
        assert missing_ranges(node) == ()
        assert len(numbers(node)) == 6


def test_an_older_file_put_back_in_place_is_a_restored_copy(shops: Shops) -> None:
    node = shops.make_node("A1", is_durable=True)
    sell_pieces(node)
    node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    older = (node.directory / DATABASE_FILE).read_bytes()
    later = sell_pieces(node).receipt_number
    node.close()
    del shops.nodes["A1"]
    (node.directory / DATABASE_FILE).write_bytes(older)
    with opened(node.directory) as again:
        assert again.state().incarnation > 1
        assert sell_pieces(again).receipt_number != later
        assert [(one.first_seq, one.last_seq) for one in missing_ranges(again)] == [(2, 2)]


def test_a_whole_log_goes_on_as_it_was(directory: Path) -> None:
    with opened(directory) as node:
        assert node.state().incarnation == 1
        assert missing_ranges(node) == ()
        assert sell_pieces(node).receipt_number == "A1-1-000006"


def test_whatever_a_node_records_raises_its_mark(shops: Shops) -> None:
    node = shops.make_node("A1")
    day = Workday(node, random.Random(4))
    for deed in (day.sell, day.refund, day.receive, day.adjust, day.count, day.count_zones, day.dispatch, day.arrive):
        deed()
        row = node.replica.log.stream(Stream(node.config.scope, node.config.node_id, 1))
        assert row is not None
        assert read_mark(node.directory) == Mark(1, row.head.seq), deed.__name__


@pytest.mark.parametrize("content", [b"", b"1 5", b"1 5 00000000\n", b"\xff" * 48])
def test_a_mark_that_rotted_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MARK_FILE).write_bytes(content)
    assert read_mark(tmp_path) is None


def test_a_mark_says_what_was_written_last(tmp_path: Path) -> None:
    here, there = HighWater(tmp_path), HighWater(tmp_path)
    for mark in (Mark(1, 9), Mark(1, 10), Mark(812, 1)):
        here.rise(mark)
        assert read_mark(tmp_path) == mark
    there.rise(Mark(812, 2))
    assert read_mark(tmp_path) == Mark(812, 2)
    here.close()
    here.rise(Mark(812, 3))
    assert read_mark(tmp_path) == Mark(812, 3)


def test_a_mark_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    HighWater(tmp_path / "nowhere").rise(Mark(1, 1))
    assert read_mark(tmp_path / "nowhere") is None
