"""How others' products failed at the store's file and at its books, and what ours does instead."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import edge.store
from edge.clock_source import ScriptedClock
from edge.doctor import examine
from edge.node import Node
from edge.shifts import close_shift, open_shift, shifts
from schema.database import read_migrations
from schema.identity import EntryId
from tests.edge.shops import MINUTE_MS, START_MS, WATER, Shops, carry, entry_count, figures, sell_pieces
from tests.processes import ROOT

Make = Callable[..., Node]


def test_a_node_is_its_directory_and_nothing_else(make_node: Make, shops: Shops, tmp_path: Path) -> None:
    till = make_node("A1")
    sold = sell_pieces(till).receipt_number
    till.close()
    del shops.nodes["A1"]
    moved = tmp_path / "elsewhere"
    shutil.move(till.directory, moved)
    with Node(moved, clock=ScriptedClock(START_MS + MINUTE_MS)) as again:
        assert again.connection.execute("SELECT number FROM receipt").fetchall() == [(sold,)]
        assert examine(again).is_healthy


def test_no_verb_deletes_entries_but_pruning_and_the_giving_way_of_a_forked_branch() -> None:
    deleting = {
        path.relative_to(ROOT).as_posix()
        for package in ("schema", "sync", "edge", "hub", "drivers", "pos_tui")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"DELETE FROM entry\b", path.read_text("utf-8"))
    }
    assert deleting <= {"sync/log_tables.py", "sync/pruning.py"}


def test_a_migration_rebuilds_tables_here_and_adds_no_entry(
    make_node: Make, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = make_node("A1")
    sell_pieces(till, WATER, 3)
    before = entry_count(till), till.replica.log.heads("loc/A"), figures(till)
    till.close()
    newer = ("node/9999_newer.sql", ["ALTER TABLE receipt ADD COLUMN colour TEXT NOT NULL DEFAULT ''"])

    def with_newer(*parts: str) -> list[tuple[str, list[str]]]:
        return [*read_migrations(*parts), newer]

    monkeypatch.setattr(edge.store, "read_migrations", with_newer)
    again = shops.nodes["A1"] = Node(till.directory, clock=shops.clocks["A1"])
    assert again.connection.execute("SELECT colour FROM receipt").fetchall() == [("",)]
    assert (entry_count(again), again.replica.log.heads("loc/A"), figures(again)) == before


def test_a_repair_refolds_and_keeps_entries_that_were_never_synced(node: Node) -> None:
    sell_pieces(node, WATER, 2)
    before = entry_count(node), node.replica.log.heads("loc/A"), figures(node)
    with node.store.transaction() as connection:
        connection.execute("UPDATE stock SET value = value + 5000")
        connection.execute("DELETE FROM receipt")
    assert not examine(node).is_healthy
    assert examine(node, mend=True).is_mended
    assert (entry_count(node), node.replica.log.heads("loc/A"), figures(node)) == before
    assert examine(node).is_healthy


def test_a_late_sale_amends_the_figures_and_leaves_a_closed_shift_as_it_was(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    late = sell_pieces(other, WATER, 2)  # on a till that has not synced
    open_shift(one, operator="o1", float_minor=100)
    sell_pieces(one)
    closed = close_shift(one, 300)
    entries = [body for row in one.replica.log.streams("loc/A") for body in one.replica.log.bodies(row, 0, 1000)]
    carry(other, one)
    assert figures(one)[WATER] == (-3000,) * 3
    assert [state for state in shifts(one) if state.shift == closed.shift] == [closed]
    held = [body for row in one.replica.log.streams("loc/A") for body in one.replica.log.bodies(row, 0, 1000)]
    assert all(body in held for body in entries)
    assert len(held) > len(entries)
    place = EntryId.parse(late.entry)
    assert one.replica.log.entry(place.stream, place.seq) is not None
    assert examine(one).is_healthy


def test_a_sale_into_a_shift_that_is_closed_is_posted_all_the_same(node: Node) -> None:
    open_shift(node, operator="o1")
    close_shift(node, 0)
    assert sell_pieces(node).receipt_number.endswith("-000001")
    assert node.connection.execute("SELECT count(*) FROM inert").fetchone()[0] == 0
