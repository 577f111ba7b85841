"""Entries of one act are appended and folded together, and nobody can tell them from entries appended one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge.clock_source import ScriptedClock
from edge.counting import open_session
from edge.node import Node
from schema.kinds.base import Payload, StockMove
from schema.kinds.counting import CountRecorded, Look
from schema.kinds.stock import StockOpened
from sync.clock import ClockReading
from tests.edge.shops import START_MS, WATER, Shops, carry, figures

Append = Callable[[Node, Sequence[Payload]], None]


class StandingClock(ScriptedClock):
    """A clock that stands: what is written does not depend on how fast the machine is."""

    def __call__(self) -> ClockReading:
        return ClockReading(START_MS, START_MS, "standing")


def one_by_one(node: Node, payloads: Sequence[Payload]) -> None:
    with node.write() as writing:
        for payload in payloads:
            writing.append(payload)


def together(node: Node, payloads: Sequence[Payload]) -> None:
    with node.write() as writing:
        assert len(writing.append_all(payloads)) == len(payloads)


def counted(shops: Shops, append: Append) -> tuple[object, ...]:
    """Count goods with one way of appending; returns the head, the figures, and what a neighbour then holds."""
    node, other = (shops.make_node(name, clock=lambda: StandingClock(START_MS)) for name in ("A1", "A2"))
    with other.write() as writing:
        writing.append(StockOpened("", (StockMove(WATER, 5_000),)))
    carry(other, node)
    session = open_session(node, session="S").session
    lines = [
        CountRecorded(code, "clerk", "", (Look(1_000 * n, 1, 2, (), ()),), session)
        for n, code in enumerate((WATER, "P1001", "P1002", WATER), 1)
    ]
    append(node, lines)
    carry(node, other)
    stream = next(row for row in node.replica.log.streams("loc/A") if row.stream.node == node.config.node)
    seen = [(entry.digest, entry.body.seen) for entry in node.replica.log.entries(stream)]
    return seen, stream.head, dict(figures(node)), dict(figures(other))


def test_entries_appended_together_are_the_entries_and_figures_of_one_by_one(tmp_path_factory: object) -> None:
    found = []
    for append in (one_by_one, together):
        shops = Shops(tmp_path_factory.mktemp("shop"))  # type: ignore[attr-defined]
        try:
            found.append(counted(shops, append))
        finally:
            shops.close()
    assert found[0] == found[1]


def test_nothing_appended_is_nothing(tmp_path_factory: object) -> None:
    shops = Shops(tmp_path_factory.mktemp("shop"))  # type: ignore[attr-defined]
    node = shops.make_node("A1")
    before = node.replica.log.heads("loc/A")
    together(node, [])
    assert node.replica.log.heads("loc/A") == before
    shops.close()
