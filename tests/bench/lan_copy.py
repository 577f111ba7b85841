"""How long a completed sale takes to its copy at a second till, hub down: two real programs and a line between them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from edge.lan_copies import is_on_second_till
from edge.node import Node
from schema.identity import EntryId, Stream
from tests.bench.figure import Figure, percentile
from tests.edge.households import Household, opened, until, watched
from tests.edge.shops import sell_pieces

SALES: Final = 200
REACH_MS: Final = 1000.0


def lan_waits_ms(folder: Path, sales: int) -> list[float]:
    """Sell at one of two neighbours whose hub is down; returns how long each sale took to be on the other's disk."""
    one, other = Household(folder).tills("A1", "A2")
    waits: list[float] = []
    with watched(one), watched(other), opened(one) as here:
        for _ in range(sales + 1):
            sell_pieces(here)
            last = _last_of(here)
            waits.append(until(lambda: is_on_second_till(here, last), "the sale is on the second till") * 1000)  # noqa: B023
    return waits[1:]  # before the first one the two had to find each other


def _last_of(node: Node) -> EntryId:
    stream = Stream(node.config.scope, node.config.node_id, node.state().incarnation)
    row = node.replica.log.stream(stream)
    assert row is not None
    return EntryId(stream, row.head.seq)


def lan_copy_ms(_: object) -> Figure:
    """Measure the copy of a sale at a second till."""
    with tempfile.TemporaryDirectory(prefix="edgetill-lan-") as folder:
        waits = lan_waits_ms(Path(folder), SALES)
    value = percentile(waits, 0.99)
    note = f"p50 {percentile(waits, 0.5):.0f} ms, worst {max(waits):.0f} ms of {len(waits)} sales, hub down"
    return Figure("lan_copy_ms", round(value, 1), "ms p99", f"<= {REACH_MS:.0f}", value <= REACH_MS, note)


FIGURES: Final = {"lan_copy_ms": lan_copy_ms}
