"""Lets entries of another till arrive at a till's directory while it is measured, at the pace of the sync agent.

`python -m tests.bench.sync_load A1 A2` is the agent's part of a session without its line: batches of what A2 sold are
verified and applied to A1 in slices, with the pauses that the agent makes and a round trip of the network between two
batches. It ends when A2 has nothing more.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

from edge.applying import Pace, apply_batches
from edge.node import Node
from edge.selling import LineRequest, moves_of, price_line, today
from schema.kinds.trading import Sale, Tender
from sync.replica import Moment
from tests.processes import ROOT, environment

BATCH_BYTES: Final = 16 * 1024
ROUND_TRIP_S: Final = 0.2
"""A mobile line in the mountains; the load lasts longer than any figure takes."""
SALES_PER_TRANSACTION: Final = 1_000
SALE_EVERY_MS: Final = 40_000


def trade_elsewhere(here: Node, elsewhere: Node, goods: list[str], count: int) -> None:
    """Let a till sell so many baskets of five lines that another till of the shop has not heard of."""
    random = Random(5)
    moment_ms = here.now_ms()
    date = today(here, moment_ms)
    pool = [price_line(here, LineRequest(code), moment_ms, date) for code in goods]
    for start in range(0, count, SALES_PER_TRANSACTION):
        with elsewhere.write() as writing:
            usual = writing.moment
            for number in range(start, min(count, start + SALES_PER_TRANSACTION)):
                lines = tuple(random.sample(pool, 5))
                total = sum(line.amount_minor for line in lines)
                writing.moment = Moment(
                    usual.wall_ms - (count - number) * SALE_EVERY_MS, usual.unc_ms, usual.clock_epoch
                )
                writing.append(
                    Sale(
                        writing.take_receipt_number(), date, f"{date}-{elsewhere.config.till}", "1012", lines,
                        moves_of(lines), (Tender("cash", total, total),), total,
                    )
                )  # fmt: skip


@contextmanager
def syncing(here: Path, elsewhere: Path) -> Iterator[subprocess.Popen[str]]:
    """Let what the other directory holds arrive at this one while the caller measures."""
    words = [sys.executable, "-m", "tests.bench.sync_load", str(here), str(elsewhere)]
    with subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "arriving\n"
        try:
            yield running
        finally:
            running.kill()


def main() -> None:
    """Apply until nothing is left."""
    here, elsewhere = (Path(word) for word in sys.argv[1:])
    pace = Pace()
    with Node(here) as target, Node(elsewhere, is_read_only=True) as source:
        scope = target.config.scope
        print("arriving", flush=True)
        while True:
            batches, _ = source.replica.outgoing(scope, target.replica.log.heads(scope), BATCH_BYTES, source.signer)
            if not batches:
                return
            _, refused = apply_batches(target, batches, pace)
            assert not refused, refused
            time.sleep(ROUND_TRIP_S)


if __name__ == "__main__":
    main()
