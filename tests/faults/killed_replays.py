"""Kills replays again and again, and audits after each death what the till's file holds.

A round is one node and one log of baskets. The log is replayed with `--ack` by a process that dies; what had been
acknowledged must be there, whole, under numbers without a gap; then the next process goes on. When the log is done
each basket is sold exactly once.
"""

from __future__ import annotations

import contextlib
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from edge.config import DATABASE_FILE
from edge.doctor import examine
from edge.node import Node
from schema.identity import EntryId
from schema.kinds.trading import Refund, Sale
from tests.edge.shops import PRODUCTS, Shops, figures
from tests.faults.nursery import Death, Order

ROOT: Final = Path(__file__).parents[2]
UNKNOWN: Final = "8-UNKNOWN"
WRITES: Final = 120  # of a start and about eight sales
DEATHS: Final = (
    Death.MOMENT, Death.BEFORE, Death.AFTER, Death.WITHIN, Death.BEFORE_COMMIT, Death.AFTER_COMMIT, Death.BYTE,
)  # fmt: skip


class Nursery:
    """The program that runs commands in processes that die."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._errors = folder / "errors.txt"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"], cwd=ROOT, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(
        self, words: tuple[str, ...], death: Death = Death.NEVER, number: int = 0, steps: int = 0, wait_s: float = 0
    ) -> tuple[int, list[str]]:
        """Run a command; returns its exit status (minus the signal that ended it) and the lines it printed.

        With Death.MOMENT it is killed so long after its n-th line (its start for none).
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = Order(words, {}, str(self._errors), death, number, steps)
        self._process.stdin.write(msgspec.json.encode(order).decode() + "\n")
        self._process.stdin.flush()
        lines: list[str] = []
        child = 0
        for line in self._process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "dead":
                return int(rest), lines
            if word == "born":
                child = int(rest)
            elif word:
                lines.append(line.strip())
            if death is Death.MOMENT and len(lines) == number and child:
                time.sleep(wait_s)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                death = Death.NEVER  # once is enough
        raise AssertionError(f"the nursery is gone: {self.errors()}")

    def errors(self) -> str:
        """Return what the last command wrote on its error channel."""
        return self._errors.read_text("utf-8") if self._errors.exists() else ""


class Basket(msgspec.Struct, frozen=True):
    """One basket of the log: its goods in pieces; taken back from an earlier one where that is named."""

    number: str
    pieces: tuple[tuple[str, int], ...]
    refund_of: str = ""


def write_log(path: Path, rng: random.Random, count: int) -> list[Basket]:
    """Write a log of baskets, one in ten of them a return, a few with goods that no catalogue knows."""
    codes = [product.code for product in PRODUCTS if not product.is_weighed]
    baskets: list[Basket] = []
    for number in range(1, count + 1):
        sold = [basket for basket in baskets if not basket.refund_of]
        if sold and rng.random() < 0.1:
            original = rng.choice(sold)
            code, _ = rng.choice(original.pieces)
            baskets.append(Basket(str(number), ((code, 1),), original.number))
            continue
        goods = [str(code) for code in rng.sample(codes, rng.randint(1, 5))] + [UNKNOWN] * (rng.random() < 0.1)
        baskets.append(Basket(str(number), tuple((code, rng.randint(1, 3)) for code in goods)))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["basket", "at", "code", "quantity", "price", "refund_of"])
        for place, basket in enumerate(baskets):
            at = f"2026-03-02 {8 + place // 60 % 12:02d}:{place % 60:02d}"
            writer.writerows(
                [basket.number, at, code, count, "2.00", basket.refund_of] for code, count in basket.pieces
            )
    return baskets


@dataclass
class Tally:
    """What the rounds came to."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unacknowledged: int = 0  # durable, but the process died before it could say so
    survived: int = 0
    rounds: int = 0


class Round:
    """One node, one log, and what was acknowledged of it."""

    def __init__(self, folder: Path, nursery: Nursery, rng: random.Random, baskets: int, tally: Tally) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._nursery = nursery
        self._rng = rng
        self._tally = tally
        self._log = folder / "log.csv"
        self.baskets = write_log(self._log, rng, baskets)
        shops = Shops(folder)
        shops.make_node("A1", is_durable=True)
        shops.close()
        self.directory = folder / "A1"
        self.acknowledged: dict[str, str] = {}
        self.deaths = 0

    @property
    def _words(self) -> tuple[str, ...]:
        return ("replay", str(self._log), "--format", "csv", "--node", str(self.directory), "--ack")

    def _acknowledge(self, lines: list[str]) -> None:
        for line in lines:
            number, _, entry = line.partition(" ")
            assert number not in self.acknowledged, f"{number} was used again"
            self.acknowledged[number] = entry

    def kill_one(self, death: Death) -> bool:
        """Let one process die on the way; False when it finished the log before its time came."""
        rng = self._rng
        number, steps, wait_s = rng.randint(1, WRITES), 0, 0.0
        if death is Death.MOMENT:
            number, wait_s = rng.randint(0, 8), rng.random() * 0.01
        elif death is Death.WITHIN:
            steps = rng.choice((1, 2, 3, 5, 8, 13, 21, 40, 80))
        elif death in {Death.BEFORE_COMMIT, Death.AFTER_COMMIT}:
            number = rng.randint(1, 10)
        elif death is Death.BYTE:
            wal = self.directory / f"{DATABASE_FILE}-wal"
            begun = max(wal.stat().st_size if wal.exists() else 0, 1 << 16)
            number = begun + rng.randint(1, 1 << 19)
        status, lines = self._nursery.run(self._words, death, number, steps, wait_s)
        self._acknowledge(lines)
        if status == 0:
            self._tally.survived += 1
            return False
        assert status in {-signal.SIGKILL, -signal.SIGXFSZ}, f"{death}: {status} {self._nursery.errors()}"
        self.deaths += 1
        self._tally.kills[death.value] += 1
        return True

    def audit(self) -> None:
        """Examine a copy of the file as the death left it; the next process finds the file itself untouched."""
        copy = self._folder / "copy"
        shutil.copytree(self.directory, copy)
        try:
            with Node(copy) as node:
                self._audit(node)
        finally:
            shutil.rmtree(copy)

    def _audit(self, node: Node) -> None:
        assert node.state().incarnation == 1, "a killed till is no copied one"
        rows = node.connection.execute("SELECT number FROM receipt ORDER BY number").fetchall()
        numbers = [row[0] for row in rows]
        expected = [f"A1-1-{number:06d}" for number in range(1, len(numbers) + 1)]
        assert numbers == expected, "the receipt numbers have gaps or doubles"
        assert node.state().receipt_next == len(numbers) + 1, "the next number is not the one after the last"
        written = dict(self._written(node))
        assert sorted(written.values()) == numbers, "an entry without its receipt, or a receipt without its entry"
        lost = {number: entry for number, entry in self.acknowledged.items() if written.get(entry) != number}
        assert not lost, f"acknowledged and lost: {lost}"
        assert len(written) - len(self.acknowledged) <= self.deaths, "more than the one in hand was never told"
        sources = node.connection.execute("SELECT source, number FROM replayed").fetchall()
        assert sorted(number for _, number in sources) == numbers
        assert len({source for source, _ in sources}) == len(sources), "a basket was sold twice"
        done = {source.partition(":")[2] for source, _ in sources}
        assert figures(node) == {c: (q, q, q) for c, q in self._stock(done).items()}, "the stock is not what was sold"
        found = examine(node)
        assert found.is_healthy, found.findings

    def _written(self, node: Node) -> Iterator[tuple[str, str]]:
        with node.write() as writing:
            stream = writing.stream()
        row = node.replica.log.stream(stream)
        for seq in range(1, (row.head.seq if row else 0) + 1):
            entry = node.replica.log.entry(stream, seq)
            assert entry is not None, f"entry {seq} is missing"
            if isinstance(entry.payload, Sale | Refund):
                yield str(EntryId(stream, seq)), entry.payload.receipt_number

    def _stock(self, done: set[str]) -> dict[str, int]:
        stock: Counter[str] = Counter()
        for basket in self.baskets:
            if basket.number in done:
                for code, pieces in basket.pieces:
                    stock[code] += pieces * (1000 if basket.refund_of else -1000)
        return dict(stock)

    def finish(self) -> None:
        """Sell the rest undisturbed; then every basket is there exactly once, and the doctor agrees."""
        status, lines = self._nursery.run(self._words)
        assert status == 0, self._nursery.errors()
        self._acknowledge(lines)
        self.audit()
        with Node(self.directory, is_read_only=True) as node:
            sources = {row[0] for row in node.connection.execute("SELECT source FROM replayed").fetchall()}
            assert sources == {f"csv:{basket.number}" for basket in self.baskets}
        status, lines = self._nursery.run(self._words)
        assert (status, lines) == (0, []), "replaying a log again sold something"
        status, lines = self._nursery.run(("doctor", "--node", str(self.directory)))
        assert status == 0, lines
        self._tally.rounds += 1
        self._tally.acknowledged += len(self.acknowledged)
        self._tally.unacknowledged += len(self.baskets) - len(self.acknowledged)


def kill_replays(folder: Path, *, kills: int, seed: int, baskets: int = 300) -> Tally:
    """Kill so many replays, the kinds of death in turn, in as many rounds as that takes; AssertionError if one lost."""
    rng = random.Random(seed)
    tally = Tally()
    with Nursery(folder) as nursery:
        while sum(tally.kills.values()) < kills:
            one = Round(folder / f"round-{tally.rounds}", nursery, rng, baskets, tally)
            is_going_on = True
            while is_going_on and sum(tally.kills.values()) < kills:
                is_going_on = one.kill_one(DEATHS[(sum(tally.kills.values()) + tally.survived) % len(DEATHS)])
                one.audit()
            one.finish()
            shutil.rmtree(folder / f"round-{tally.rounds - 1}")
    return tally
