"""The till's top line: whether the hub has heard of everything, how old prices are, what waits; it costs nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge import basket as baskets
from edge.basket import EMPTY, BasketLine
from edge.line_state import line_state, note_answer, note_line
from edge.node import Node
from edge.parking import park
from edge.print_jobs import QueueState
from edge.selling import complete_sale
from edge.shifts import open_shift
from edge.sync_agent import sync_once
from edge.till_status import OFFLINE_AFTER_MS, till_status
from schema.errors import TransientError
from tests.edge.paper_shops import COLA, lines_of, teach_goods
from tests.edge.shops import MINUTE_MS, START_MS, Shops, sell_pieces


class DeadLine:
    """A line that never answers."""

    bytes_sent = bytes_received = 0

    def exchange(self, body: bytes) -> bytes:
        raise TransientError("hub_unreachable", f"{len(body)} bytes went nowhere")


def exchanged(node: Node, at_ms: int, acknowledged: int) -> None:
    """Note a finished exchange, as the agent does."""
    with node.store.transaction() as connection:
        connection.execute("UPDATE node_state SET last_exchange_ms = ?, acknowledged = ?", (at_ms, acknowledged))
    note_line(node, "")


def test_a_till_that_never_exchanged_says_so(node: Node) -> None:
    status = till_status(node)
    assert (status.is_online, status.prices, status.exchange_age_ms, status.since_ms) == (False, "never", None, None)
    assert status.shift is None
    assert status.paper == QueueState(0, 0, 0)


def test_entries_wait_until_the_hub_has_them(node: Node) -> None:
    before = till_status(node).waiting
    sell_pieces(node)
    sell_pieces(node)
    assert till_status(node).waiting == before + 2
    exchanged(node, START_MS, before + 2)
    assert till_status(node).waiting == 0


def test_online_is_progress_and_not_the_absence_of_errors(shops: Shops, node: Node) -> None:
    exchanged(node, START_MS, 0)
    status = till_status(node)
    assert (status.is_online, status.prices, status.line_fault) == (True, "fresh", "")
    assert status.since_ms is not None
    assert status.since_ms >= START_MS
    shops.pass_minutes(2 * OFFLINE_AFTER_MS / MINUTE_MS)
    status = till_status(node)
    assert not status.is_online
    assert status.since_ms == START_MS, "offline since it last heard of the hub"
    shops.pass_minutes(31 * 24 * 60)
    assert till_status(node).prices == "old"


def test_a_failed_exchange_is_offline_at_once_and_a_busy_hub_is_still_there(shops: Shops, node: Node) -> None:
    exchanged(node, START_MS, 0)
    note_line(node, "hub_busy")
    assert till_status(node).is_online
    note_line(node, "hub_unreachable")
    assert not till_status(node).is_online
    note_answer(node)
    assert till_status(node).is_online


def test_an_exchange_that_takes_long_is_online_while_the_hub_answers(shops: Shops, node: Node) -> None:
    exchanged(node, START_MS, 0)
    for _ in range(10):
        shops.pass_minutes(10_000 / MINUTE_MS)
        note_answer(node)
    assert till_status(node).is_online
    line = line_state(node)
    assert line is not None
    assert line.since_ms < START_MS + 10_000, "it never went"
    shops.pass_minutes(OFFLINE_AFTER_MS / MINUTE_MS)
    assert not till_status(node).is_online


def test_an_exchange_that_fails_says_why_and_since_when(shops: Shops, node: Node) -> None:
    exchanged(node, START_MS, 0)
    shops.pass_minutes(1)
    for _ in range(3):
        with pytest.raises(TransientError):
            sync_once(node, DeadLine())
        shops.pass_minutes(1)
    line = line_state(node)
    assert line is not None
    assert line.fault == till_status(node).line_fault == "hub_unreachable"
    assert START_MS + MINUTE_MS <= line.since_ms < START_MS + 2 * MINUTE_MS, "the first failure, not the last"


def test_a_line_that_stays_as_it_is_costs_no_write(node: Node) -> None:
    note_line(node, "hub_unreachable")
    wal = Path(f"{node.store.path}-wal")
    before = wal.stat().st_size
    for _ in range(50):
        note_line(node, "hub_unreachable")
    assert wal.stat().st_size == before


def test_shift_and_paper_are_told(node: Node) -> None:
    teach_goods(node)
    open_shift(node, operator="op", float_minor=10_000)
    complete_sale(node, lines_of(node, (COLA, 1000)), prints=True)
    park(node, baskets.add(EMPTY, BasketLine(COLA, "可口可乐")), label="3号桌")
    status = till_status(node)
    assert status.parked == 1
    assert status.shift is not None
    assert status.shift.operator == "op"
    assert status.paper.waiting == 1


def test_the_top_line_costs_little_after_a_busy_day(node: Node) -> None:
    teach_goods(node)
    lines = lines_of(node, (COLA, 1000))
    open_shift(node)
    for place in range(300):
        complete_sale(node, lines, prints=place < 100)
    said: list[str] = []
    node.connection.set_trace_callback(said.append)  # type: ignore[attr-defined]
    till_status(node)
    node.connection.set_trace_callback(None)  # type: ignore[attr-defined]
    assert len(said) <= 7
    best = min(_seconds(node) for _ in range(30))
    assert best < 0.001
    assert node.connection.in_transaction is False  # type: ignore[attr-defined]


def _seconds(node: Node) -> float:
    began = time.perf_counter()
    till_status(node)
    return time.perf_counter() - began
