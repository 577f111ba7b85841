"""`python -m tests.simulation --seed N --runs M --steps K`: one line per run, then a summary."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter

from sync.stock_facts import ConflictCode
from tests.simulation.run import simulate


def main() -> int:
    """Run the seeds; the exit code is the number of runs that failed, at most 99."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args()
    codes: Counter[ConflictCode] = Counter()
    counts: Counter[str] = Counter()
    failed: list[int] = []
    begun = time.perf_counter()
    for seed in range(options.seed, options.seed + options.runs):
        at = time.perf_counter()
        try:
            run = simulate(seed, options.steps)
        except AssertionError as error:
            failed.append(seed)
            print(f"seed {seed} FAILED: {error}")
            if options.runs == 1:
                traceback.print_exc()
            continue
        codes += run.codes
        counts.update(run.counts)
        sessions, entries = run.counts.get("session", 0), run.counts.get("entries", 0)
        taken = time.perf_counter() - at
        print(f"seed {seed}: {run.machines} machines, {entries} entries, {sessions} sessions, {taken:.1f} s")
    taken = time.perf_counter() - begun
    steps = options.steps * options.runs
    print(f"{options.runs} runs, {steps} steps in {taken:.0f} s: {steps / taken:.0f} steps/s, {len(failed)} failed")
    if options.runs > 1:
        print("seen:", ", ".join(f"{what} {count}" for what, count in sorted(counts.items())))
        print("conflicts:", ", ".join(f"{code} {codes[code]}" for code in ConflictCode))
    return min(len(failed), 99)


if __name__ == "__main__":
    sys.exit(main())
