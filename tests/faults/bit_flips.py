"""Bits that flip in a node's file, its write-ahead log and its backup: found, or without effect on any figure.

A seed is one history, half of it still in the log. Each flip meets a copy, which is started as the program starts it
and examined as the doctor does. Where neither finds anything, every row of every table must be what it was.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge.config import DATABASE_FILE, TOKEN_FILE
from edge.doctor import examine
from edge.node import Node
from edge.selling import LineRequest, sell
from schema.errors import CorruptionError, RefusalError
from tests.edge.shops import WATER
from tests.faults.fault import Fault, Tally, is_over
from tests.faults.places import copy_node, fold_log_in, fresh_till, open_node, scratch
from tests.faults.workday import Workday

FLIPS: Final = 80
DEEDS: Final = 25
WAL_FILE: Final = f"{DATABASE_FILE}-wal"
BACKUP_FILE: Final = "backup.db"
OF_A_START: Final = {"node_state": ("token", "clock", "incarnation", "receipt_next")}
"""Columns that a start may change for good reason; the numbers among them are judged by what is sold next."""
TARGETS: Final = (DATABASE_FILE, WAL_FILE, BACKUP_FILE)
DERIVED: Final = ("product_text", "sqlite_", "migration")

Rows = dict[str, list[tuple[Any, ...]]]


class History(NamedTuple):
    """A node's directory as it lies there, and all that its tables say."""

    directory: Path
    rows: Rows
    numbers: frozenset[str]


def _history(folder: Path, rng: random.Random) -> History:
    """Work for a while, copy the backup out of it, and leave the directory as a cut of the power would."""
    living = copy_node(fresh_till(), folder / "living")
    with open_node(living) as node:
        day = Workday(node, rng)
        for _ in range(DEEDS):
            day.do_one()
        fold_log_in(node)
        for _ in range(DEEDS):
            day.do_one()
        directory = copy_node(living, folder / "A1")
        (directory / f"{DATABASE_FILE}-shm").unlink()
        node.connection.execute("VACUUM INTO ?", (str(folder / BACKUP_FILE),))
    with open_node(copy_node(directory, folder / "reference")) as node:
        rows = rows_of(node)
        numbers = frozenset(row[0] for row in node.connection.execute("SELECT number FROM receipt").fetchall())
    return History(directory, rows, numbers)


def rows_of(node: Node) -> Rows:
    """Read every row of every table of a node's file."""
    found: Rows = {}
    names = [
        row[0] for row in node.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    ]
    for name in names:
        if name.startswith(DERIVED):
            continue
        columns = [row[1] for row in node.connection.execute(f"PRAGMA table_info({name})").fetchall()]
        kept = ", ".join(f'"{one}"' for one in columns if one not in OF_A_START.get(name, ())) or "1"
        found[name] = sorted(node.connection.execute(f"SELECT {kept} FROM {name}").fetchall(), key=repr)
    return found


def _flip(file: Path, rng: random.Random) -> str:
    """Turn a bit over, or a few of one place; returns where."""
    size = file.stat().st_size
    at = rng.randrange(size)
    with file.open("r+b") as content:
        for step in range(rng.choice((1, 1, 1, 4))):
            place = min(size - 1, at + step)
            content.seek(place)
            value = content.read(1)[0]
            content.seek(place)
            content.write(bytes([value ^ 1 << rng.randrange(8)]))
    return f"{file.name} at byte {at} of {size}"


def run(seed: int, until: float) -> Tally:
    """Flip bits of one history's files, copy by copy."""
    rng = random.Random(seed)
    tally = Tally()
    with scratch() as folder:
        history = _history(folder, rng)
        for _ in range(FLIPS):
            if is_over(until):
                break
            target = rng.choice(TARGETS)
            copy = copy_node(history.directory, folder / "copy")
            if target == BACKUP_FILE:  # as a restore puts it there: under a new incarnation
                for name in (WAL_FILE, TOKEN_FILE):
                    (copy / name).unlink(missing_ok=True)
                shutil.copyfile(folder / BACKUP_FILE, copy / DATABASE_FILE)
                where = _flip(copy / DATABASE_FILE, rng)
            else:
                where = _flip(copy / target, rng)
            tally.facts[f"{'backup' if target == BACKUP_FILE else target}: {_judge(copy, history, where)}"] += 1
            tally.count += 1
            shutil.rmtree(copy)
    return tally


def _judge(directory: Path, history: History, where: str) -> str:
    """Tell how a flip was found, or that it changed nothing; AssertionError where neither."""
    try:
        with open_node(directory) as node:
            found = examine(node)
            if not found.is_healthy:
                return "found by the doctor"
            said = _differences(node, history)
            if node.connection.execute("SELECT count(*) FROM missing_range").fetchone()[0]:
                return "found at the start: the lost tail is named"
            assert not said, f"{where}: nothing was found, and {said}"
            sold = sell_one(node)
            assert sold not in history.numbers, f"{where}: {sold} was used a second time"
            return "no figure changed"
    except (CorruptionError, RefusalError) as error:
        return f"found at the start: {error.code}"


def sell_one(node: Node) -> str:
    """Sell a bottle; returns the receipt's number."""
    return sell(node, [LineRequest(WATER, 1000)]).receipt_number


def _differences(node: Node, history: History) -> str:
    shown = rows_of(node)
    wrong = sorted(name for name in {*shown, *history.rows} if shown.get(name) != history.rows.get(name))
    examples = []
    for name in wrong[:2]:
        fewer = [row for row in history.rows.get(name, []) if row not in shown.get(name, [])][:1]
        more = [row for row in shown.get(name, []) if row not in history.rows.get(name, [])][:1]
        examples.append(f"{name}: {more} instead of {fewer}")
    return f"{wrong} differ ({'; '.join(examples)})"[:1500] if wrong else ""


BIT_FLIPS: Final = Fault("bit_flips", "flips", 10_000, run, "0 silent wrong figures")
