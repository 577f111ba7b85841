"""`make faults`: meets every kind of fault that is below its reach, in turn, for at most fifteen minutes a run.

What was met adds up in build/faults.json over the runs. The exit status is not zero when anything failed; a failure
names the command that replays it.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.faults.fault import NEVER, Fault
from tests.faults.ledger import Failure, Ledger, commit_name
from tests.faults.register import FAULTS

TURN_S: Final = 40.0
"""After so long the next kind has its turn."""


def main() -> int:
    """Run what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", choices=[fault.name for fault in FAULTS], action="append", help="these kinds alone")
    parser.add_argument("--minutes", type=float, default=15.0, help="how long at most")
    parser.add_argument("--seed", type=int, help="run this one seed whole, as a failure names it")
    parser.add_argument("--beyond", action="store_true", help="go on also where the reach is met")
    parser.add_argument("--table", action="store_true", help="print the README's table of what was met so far, no more")
    parser.add_argument("--out", type=Path, default=Path("build/faults.json"))
    asked = parser.parse_args()
    chosen = [fault for fault in FAULTS if asked.only is None or fault.name in asked.only]
    ledger = Ledger(asked.out)
    if asked.table:
        print(_readme(ledger, chosen))
        return 0
    if asked.seed is not None:
        return max(_replay(ledger, fault, asked.seed) for fault in chosen)
    is_failed = run_turns(ledger, chosen, asked.minutes * 60, is_beyond=asked.beyond)
    _show(ledger, chosen)
    return int(is_failed)


def run_turns(ledger: Ledger, chosen: Sequence[Fault], seconds: float, *, is_beyond: bool) -> bool:
    """Run kinds in turn until their reach or the time is over; tells whether anything failed, now or before."""
    end = time.monotonic() + seconds
    turn_s = min(TURN_S, seconds / len(chosen))
    is_failed = False
    waiting = list(chosen)
    while waiting and time.monotonic() < end:
        for fault in list(waiting):
            if not is_beyond and ledger.row(fault).met:
                waiting.remove(fault)
                continue
            turn = min(end, time.monotonic() + turn_s)
            while time.monotonic() < turn and (is_beyond or not ledger.row(fault).met):
                if not _one(ledger, fault, ledger.take_seed(fault), turn):
                    is_failed = True
                    waiting.remove(fault)  # it is said once; the others go on
                    break
    return is_failed or any(ledger.row(fault).failures for fault in chosen)


def _one(ledger: Ledger, fault: Fault, seed: int, until: float) -> bool:
    commit = commit_name()
    began = time.monotonic()
    try:
        tally = fault.run(seed, until)
    except Exception as error:
        replay = f"make faults ONLY={fault.name} SEED={seed}"
        traceback.print_exc()
        print(f"FAILED {fault.name}, seed {seed}; to see it again: {replay}", file=sys.stderr, flush=True)
        ledger.failed(fault, Failure(seed, commit, f"{type(error).__name__}: {error}"[:2000], replay))
        return False
    ledger.passed(fault, seed, tally, commit)
    took = time.monotonic() - began
    told = ", ".join(f"{what} {count}" for what, count in sorted(tally.facts.items()))
    print(f"{fault.name} seed {seed}: {tally.count} {fault.unit} in {took:.1f} s; {told}", flush=True)
    return True


def _replay(ledger: Ledger, fault: Fault, seed: int) -> int:
    try:
        tally = fault.run(seed, NEVER)
    except Exception:
        traceback.print_exc()
        return 1
    ledger.replayed(fault, seed)
    print(f"{fault.name} seed {seed}: {tally.count} {fault.unit}; {dict(tally.facts)}")
    return 0


def _readme(ledger: Ledger, chosen: Sequence[Fault]) -> str:
    """Return the table of the README: what was met, how far that is from the reach, by which seeds on which commits."""
    lines = ["| figure | met so far | reach | result | seeds | commits |", "|---|---|---|---|---|---|"]
    for fault in chosen:
        row = ledger.row(fault)
        seeds = "–".join(str(seed) for seed in row.seeds)
        if row.failures:
            result = "; ".join(f"seed {failure.seed} FAILED: `{failure.replay}`" for failure in row.failures)
        else:
            result = fault.claim
        sign = "≤" if fault.is_most else "≥"
        commits = ", ".join(row.commits)
        lines.append(
            f"| `{fault.name}` | {row.value:,} {fault.unit} | {sign} {fault.reach:,} | {result} | {seeds} | {commits} |"
        )
    return "\n".join(lines)


def _show(ledger: Ledger, chosen: Sequence[Fault]) -> None:
    table = Table(title=f"faults met up to {commit_name()}")
    for title in ("figure", "value", "unit", "reach", "met", "note"):
        table.add_column(title)
    for fault in chosen:
        row = ledger.row(fault)
        said = "yes" if row.met else f"{len(row.failures)} FAILED" if row.failures else "not yet"
        table.add_row(fault.name, str(row.value), fault.unit, row.reach or str(fault.reach), said, row.note)
    Console(width=None if sys.stdout.isatty() else 150).print(table)


if __name__ == "__main__":
    sys.exit(main())
