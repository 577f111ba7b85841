"""A till that is killed again and again while it sells and prints loses no receipt and prints none twice unmarked."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from drivers.escpos.code_page import PAPER_58MM
from drivers.escpos.picture import Typeface
from drivers.simulated import PrinterServer, SimulatedPrinter
from edge.node import Node
from edge.print_jobs import JobState, jobs
from schema.kinds.trading import Sale
from tests.edge.paper_shops import chinese_shop
from tests.edge.shops import Shops
from tests.processes import ROOT, environment

ROUNDS, SALES = 10, 12


class Deadly(SimulatedPrinter):
    """A printer by whose paper a till may die: after so many bytes, of which the rest never arrives."""

    def __init__(self) -> None:
        super().__init__(PAPER_58MM, typeface=Typeface(None, None))
        self.victim: subprocess.Popen[str] | None = None
        self.bytes_left = 0
        self.is_cut_off = False

    def receive(self, data: bytes) -> bytes:
        if self.is_cut_off:  # what was on its way already is lost with the line
            return b""
        if (victim := self.victim) is None:
            return super().receive(data)
        part = data[: self.bytes_left]
        self.bytes_left -= len(part)
        if len(part) < len(data):
            self.victim, self.is_cut_off = None, True
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        return super().receive(part)


def till(directory: Path, address: str, sales: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.edge.printing_till", str(directory), address, str(sales)]
    return subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)


def papers(lines: list[str]) -> list[tuple[str, bool, bool]]:
    """Return (number, is it marked as a copy, is it whole) of each receipt on the paper, in order."""
    found: list[tuple[str, bool, bool]] = []
    is_copy = False
    for line in lines:
        if "补打" in line:
            is_copy = True
        elif match := re.match(r"单号：(\S+)", line):
            found.append((match[1], is_copy, False))
            is_copy = False
        elif "谢谢惠顾" in line and found:
            found[-1] = (*found[-1][:2], True)
    return found


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_a_till_killed_at_any_moment_loses_no_receipt_and_prints_none_twice_unmarked(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    shops = Shops(tmp_path)
    directory = chinese_shop(shops).directory
    shops.close()
    device = Deadly()
    server = PrinterServer(device)
    acknowledged: list[str] = []
    try:
        for place in range(ROUNDS):
            running = till(directory, server.address, SALES)
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            if place % 2:  # somewhere in a receipt, to the byte
                device.bytes_left = chance.randint(20, 8_000)
                device.victim = running
            else:  # at any moment
                for _ in range(chance.randint(1, SALES - 1)):
                    acknowledged.append(running.stdout.readline().strip())
                time.sleep(chance.random() * 0.25)
                running.send_signal(signal.SIGKILL)
            acknowledged += running.communicate()[0].split()
            time.sleep(0.3)
            device.is_cut_off = False
        last = till(directory, server.address, 0)
        assert last.wait(timeout=60) == 0
    finally:
        server.close()
    with Node(directory) as node:
        sold = [
            entry.payload.receipt_number
            for row in node.replica.rows()
            for entry in node.replica.log.entries(row)
            if isinstance(entry.payload, Sale)
        ]
        assert {job.state for job in jobs(node.connection)} == {JobState.PRINTED}
        copies = sum(job.is_copy for job in jobs(node.connection))
    assert set(acknowledged) <= set(sold)
    on_paper = papers(device.paper.lines())
    unmarked = Counter(number for number, is_copy, _ in on_paper if not is_copy)
    assert {number for number, _, is_whole in on_paper if is_whole} == set(sold), "each receipt came out whole"
    assert max(unmarked.values()) == 1, "a second paper is marked"
    assert copies, f"seed {seed}: no kill met the printer at work"
