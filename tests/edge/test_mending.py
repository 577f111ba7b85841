"""Bit rot in a node's log is found by the doctor, and comes back from the chain, the hub or a neighbour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.doctor import examine
from edge.mending import is_lacking, mend_log
from edge.node import Node
from sync.log_tables import StreamRow
from tests import processes
from tests.edge.households import Household, configure, opened, sync
from tests.edge.shops import figures, sell_pieces
from tests.edge.test_lan import neighbour


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Household, Path, Path]:
    """Two tills that have sold, met at the hub, and hold each other's entries."""
    household = Household(tmp_path)
    one, other = household.tills("A1", "A2")
    for directory in (one, other):
        with opened(directory) as node:
            for _ in range(6):
                sell_pieces(node)
    with household.serving():
        for directory in (one, other, one):
            sync(directory)
    return household, one, other


def stream_of(node: Node, owner: Path) -> StreamRow:
    with opened(owner) as other:
        name = other.config.node
    return next(row for row in node.replica.log.streams(node.config.scope) if row.stream.node == name)


def rot(node: Node, row: StreamRow, sql: str) -> None:
    node.connection.execute(f"{sql} AND scope_no = {row.scope_no} AND stream_no = {row.stream_no}")


DAMAGES: dict[str, str] = {
    "an entry": "UPDATE entry SET body = zeroblob(40) WHERE seq = 3",
    "the last entry": "UPDATE entry SET body = zeroblob(40) WHERE seq = 6",
    "a digest": "UPDATE entry SET digest = zeroblob(32) WHERE seq = 4",
    "entries that are gone": "DELETE FROM entry WHERE seq > 4",
    "the head's digest": "UPDATE stream SET head_digest = zeroblob(32) WHERE 1 = 1",
    "the head's number, too low": "UPDATE stream SET head_seq = 4 WHERE 1 = 1",
    "the head's number, too high": "UPDATE stream SET head_seq = 70 WHERE 1 = 1",
    "the seals": "DELETE FROM seal WHERE 1 = 1",
}


@pytest.mark.parametrize(
    ("damage", "whose"),
    # A node makes its own seals when entries leave it, and keeps none of them.
    [(name, whose) for name in DAMAGES for whose in ("own", "another's") if name != "the seals" or whose != "own"],
)
def test_rot_is_named_and_comes_back(shop: tuple[Household, Path, Path], damage: str, whose: str) -> None:
    household, one, other = shop
    with opened(one) as node:
        before = figures(node)
        row = stream_of(node, one if whose == "own" else other)
        rot(node, row, DAMAGES[damage])
        found = examine(node)
        assert not found.is_healthy, damage
        assert any(str(row.stream) in finding.sentence for finding in found.findings)
    with household.serving():
        done = processes.run("doctor", "--mend", "--node", str(one))
        assert done.returncode == 0, done.stdout + done.stderr
    with opened(one) as node:
        assert examine(node).is_healthy, damage
        assert figures(node) == before
        sell_pieces(node)
    with household.serving():
        assert sync(one).is_complete


def test_without_a_hub_a_neighbour_gives_back_what_rotted(shop: tuple[Household, Path, Path]) -> None:
    _, one, other = shop
    with opened(other) as there:
        address = f"127.0.0.1:{there.config.lan_port}"
    configure(one, lan_peers=(address,))
    with neighbour(other), opened(one) as node:
        row = stream_of(node, one)
        rot(node, row, DAMAGES["entries that are gone"])
        assert is_lacking(node)
        assert mend_log(node).fetched >= 2
        assert examine(node).is_healthy


def test_what_nobody_has_stays_named_and_nothing_is_made_up(shop: tuple[Household, Path, Path]) -> None:
    household, one, _ = shop
    with opened(one) as node:
        for _ in range(2):
            sell_pieces(node)
        rot(node, stream_of(node, one), "UPDATE entry SET body = zeroblob(40) WHERE seq = 8")
        with household.serving():
            assert mend_log(node).fetched == 0
        assert not examine(node, mend=True).is_healthy


def test_a_sound_log_asks_nobody(shop: tuple[Household, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> Callable[[], None]:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("edge.mending._from_hub", nobody)
    monkeypatch.setattr("edge.mending.ask_neighbours", nobody)
    with opened(shop[1]) as node:
        assert mend_log(node) == (0, 0, 0)
