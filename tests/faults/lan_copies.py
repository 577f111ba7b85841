"""The copy of a sale at a second till, while the hub is down: the worst of a hundred waits, as `make bench` has it."""

from __future__ import annotations

import math
from typing import Final

from tests.bench.figure import percentile
from tests.bench.lan_copy import REACH_MS, SALES, lan_waits_ms
from tests.faults.fault import Fault, Tally
from tests.faults.places import scratch


def run(seed: int, until: float) -> Tally:
    """Sell at one of two tills and wait for the other, sale by sale."""
    with scratch() as folder:
        waits = lan_waits_ms(folder, SALES)
    tally = Tally(math.ceil(percentile(waits, 0.99)))
    tally.facts["sales"] += len(waits)
    return tally


LAN_COPY: Final = Fault("lan_copy_ms", "ms p99", int(REACH_MS), run, "real programs, hub down", is_most=True)
