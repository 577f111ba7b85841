"""`make bench`: measures every figure that is promised, in one run, and writes build/bench.json."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.figures import BACKLOG, FIGURES, Bench


def main() -> int:
    """Run the figures asked for; status 1 when one of them misses its reach."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--figure", choices=sorted(FIGURES), action="append")
    parser.add_argument("--entries", type=int, default=BACKLOG, help="sales in the backlog of 30 days")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 130)
    bench = Bench(asked.entries)
    measured = []
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        for name in asked.figure or FIGURES:
            console.print(f"measuring {name} …", highlight=False)
            measured.append(FIGURES[name](bench))
            console.print(f"  {measured[-1].value:g} {measured[-1].unit}: {measured[-1].note}", highlight=False)
            asked.out.write_text(json.dumps([asdict(one) for one in measured], indent=1) + "\n", "utf-8")
    finally:
        bench.close()
    table = Table(title=f"{platform.processor() or platform.machine()}, {platform.platform()}")
    for title in ("figure", "value", "unit", "reach", "met", "note"):
        table.add_column(title)
    for one in measured:
        met = "reported" if one.met is None else "yes" if one.met else "NO"
        table.add_row(one.figure, f"{one.value:g}", one.unit, one.reach, met, one.note)
    console.print(table)
    return 1 if any(one.met is False for one in measured) else 0


if __name__ == "__main__":
    raise SystemExit(main())
