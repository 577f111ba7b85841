"""A real hub process with real nodes for measurements: founded on the sample chain, trading its real baskets."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge.clock_source import machine_clock
from edge.joining import join
from edge.node import Node
from edge.selling import LineRequest, moves_of, price_line, today, trading_day
from schema import sample
from schema.kinds.trading import Sale, SaleLine, Tender
from schema.replay import CatalogueMapping, ReplayFormat, ReplayReader
from sync.replica import Moment

DAY_MS = 86_400_000


def run_edgetill(*words: str, env: dict[str, str] | None = None) -> str:
    """Run the command as a process and return what it printed."""
    command = [sys.executable, "-c", "from schema.command_line import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False)
    if done.returncode:
        raise RuntimeError(f"edgetill {' '.join(words)}: {done.stderr}")
    return done.stdout


class Fleet:
    """A hub in a folder of its own, and the nodes that joined it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = folder / "hub"
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    def found(self) -> None:
        """Found the sample chain."""
        run_edgetill("hub", "init", str(self.hub), "--name", "Bench", "--sample", "--address", "127.0.0.1:1")

    def start(self) -> None:
        """Start the hub process and wait until it listens."""
        command = [sys.executable, "-c", "from schema.command_line import main; main()"]
        words = ["hub", "serve", "--hub", str(self.hub), "--plain", "--host", "127.0.0.1", "--port", "0"]
        self._process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().split()[-1]

    def stop(self) -> None:
        """End the hub process."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None

    @property
    def hub_pid(self) -> int:
        """The hub's process id."""
        assert self._process is not None
        return self._process.pid

    def join(self, till: str, location: str, profile: str = "till") -> Path:
        """Invite and enrol one node; returns its directory."""
        words = ("hub", "invite", "--hub", str(self.hub), "--location", location, "--name", till, "--till", till)
        issued = json.loads(run_edgetill(*words, "--profile", profile, "--json"))
        directory = self.folder / till
        join(directory, self.address, issued["invitation"], machine_clock)
        return directory


@contextmanager
def fleet() -> Iterator[Fleet]:
    """Give a founded fleet with its hub running, in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="edgetill-bench-"))
    made = Fleet(folder)
    try:
        made.found()
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def real_lines(node: Node, seed: int = 1) -> Iterator[list[SaleLine]]:
    """Yield priced five-line baskets whose goods and quantities come from the shipped real trading day."""
    mapping = CatalogueMapping(list(sample.catalogue()))
    moment_ms = node.now_ms()
    date = today(node, moment_ms)
    pool: list[SaleLine] = []
    for basket in ReplayReader(ReplayFormat.ONLINE_RETAIL, sample.lines(sample.TRADING_DAY)):
        for line in basket.lines:
            if basket.is_refund or line.quantity_milli <= 0:
                continue
            mapped = mapping.line(line)
            request = LineRequest(mapped.product.code, mapped.quantity_milli, mapped.unit)
            pool.append(price_line(node, request, moment_ms, date))
    chooser = random.Random(seed)
    while True:
        yield chooser.sample(pool, 5)


def trade(node: Node, count: int, *, days: int = 30, per_transaction: int = 1000, seed: int = 1) -> None:
    """Record many five-line sales quickly, spread over the last days: the entries are those of the selling use case."""
    baskets = real_lines(node, seed)
    end_ms = node.clock_source().wall_ms
    step_ms = days * DAY_MS // count
    done = 0
    while done < count:
        with node.write() as writing:
            usual = writing.moment
            for _ in range(min(per_transaction, count - done)):
                wall_ms = end_ms - (count - done) * step_ms
                writing.moment = Moment(wall_ms, usual.unc_ms, usual.clock_epoch)
                writing.append(sale_of(node, next(baskets), writing.take_receipt_number(), wall_ms))
                done += 1


def sale_of(node: Node, lines: Sequence[SaleLine], number: str, wall_ms: int) -> Sale:
    """Return the payload that the selling use case writes for these lines, paid in cash with a round note."""
    total = sum(line.amount_minor for line in lines)
    day = trading_day(node, today(node, wall_ms))
    given = -(-total // 1000) * 1000
    return Sale(
        number,
        day.business_date,
        day.shift,
        "1012",
        tuple(lines),
        moves_of(lines),
        (Tender("cash", total, given),),
        total,
    )
