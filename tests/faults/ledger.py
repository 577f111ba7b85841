"""The ledger of all runs so far: `build/faults.json`, which accumulates until every reach is met.

Its rows have the columns of `build/bench.json`, and beside them the seeds that were run, how many faults each commit
stood, the SQLite build, and what failed with the command that replays it. Two programs may keep it at once.
"""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import sqlcipher3.dbapi2 as sqlcipher

from tests.faults.fault import Fault, Tally

ROOT: Final = Path(__file__).parents[2]


class Failure(msgspec.Struct):
    """A seed that failed, until it passes."""

    seed: int
    commit: str
    message: str
    replay: str


class Row(msgspec.Struct):
    """One figure of the table."""

    figure: str
    value: int = 0
    unit: str = ""
    reach: str = ""
    met: bool = False
    note: str = ""
    seeds: list[int] = []
    """The first and the last that were run."""
    next_seed: int = 1
    commits: dict[str, int] = {}
    """How many faults were met on which commit."""
    sqlite: list[str] = []
    facts: dict[str, int] = {}
    failures: list[Failure] = []


def sqlite_build() -> str:
    """Name the build of SQLite that a node runs on."""
    connection = sqlcipher.connect(":memory:")
    source = str(connection.execute("SELECT sqlite_source_id()").fetchone()[0]).split()
    cipher = connection.execute("PRAGMA cipher_version").fetchone()[0]
    connection.close()
    return f"SQLite {sqlcipher.sqlite_version} ({source[0]} {source[2][:12]}) of SQLCipher {cipher}"


def commit_name() -> str:
    """Name the commit that is checked out, with a mark where files differ from it."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=7", "--exclude=*"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


class Ledger:
    """The rows on disk; each change is read, made and written under a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _rows(self) -> Iterator[dict[str, Row]]:
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            rows = {row.figure: row for row in self.read()}
            yield rows
            content = msgspec.json.format(msgspec.json.encode(list(rows.values())), indent=1)
            fresh = self.path.with_suffix(".new")
            fresh.write_bytes(content + b"\n")
            fresh.replace(self.path)

    def read(self) -> list[Row]:
        """Return the rows so far."""
        if not self.path.exists():
            return []
        return msgspec.json.decode(self.path.read_bytes(), type=list[Row])

    def row(self, fault: Fault) -> Row:
        """Return a fault's row so far."""
        return next((row for row in self.read() if row.figure == fault.name), Row(fault.name))

    def take_seed(self, fault: Fault) -> int:
        """Return the next seed that nobody has run."""
        with self._rows() as rows:
            row = rows.setdefault(fault.name, Row(fault.name))
            seed = row.next_seed
            row.next_seed = seed + 1
        return seed

    def passed(self, fault: Fault, seed: int, tally: Tally, commit: str) -> None:
        """Add what a seed met; a failure of it that was noted before is over."""
        with self._rows() as rows:
            row = self._ran(rows, fault, seed)
            row.value = max(row.value, tally.count) if fault.is_most else row.value + tally.count
            row.commits[commit] = row.commits.get(commit, 0) + (1 if fault.is_most else tally.count)
            for what, count in tally.facts.items():
                row.facts[what] = row.facts.get(what, 0) + count
            row.failures = [failure for failure in row.failures if failure.seed != seed]
            self._judge(fault, row)

    def replayed(self, fault: Fault, seed: int) -> None:
        """Take back the failure of a seed that passes now; its faults were counted or will be."""
        with self._rows() as rows:
            row = rows.setdefault(fault.name, Row(fault.name))
            row.failures = [failure for failure in row.failures if failure.seed != seed]
            self._judge(fault, row)

    def failed(self, fault: Fault, failure: Failure) -> None:
        """Note a seed that failed."""
        with self._rows() as rows:
            row = self._ran(rows, fault, failure.seed)
            row.failures = [one for one in row.failures if one.seed != failure.seed] + [failure]
            self._judge(fault, row)

    @staticmethod
    def _ran(rows: dict[str, Row], fault: Fault, seed: int) -> Row:
        row = rows.setdefault(fault.name, Row(fault.name))
        row.seeds = [min([*row.seeds, seed]), max([*row.seeds, seed])]
        if (build := sqlite_build()) not in row.sqlite:
            row.sqlite.append(build)
        return row

    @staticmethod
    def _judge(fault: Fault, row: Row) -> None:
        row.unit = fault.unit
        row.reach = f"{'<=' if fault.is_most else '>='} {fault.reach}"
        is_reached = row.value <= fault.reach and bool(row.seeds) if fault.is_most else row.value >= fault.reach
        row.met = is_reached and not row.failures
        row.note = f"{fault.claim}; seeds {'-'.join(str(seed) for seed in row.seeds)}"
