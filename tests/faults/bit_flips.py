"""Bits that flip in a node's file, its write-ahead log and its backup: found, or without effect on any figure.

A seed is one history, half of it still in the log. Two of ten are a history of its real backups instead
(`tests/faults/flipped_backups.py`). Each flip meets a copy, which is started as the program starts it
and examined as the doctor does. Where neither finds anything, every row of every table must be what it was.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from edge.config import DATABASE_FILE, TOKEN_FILE
from edge.doctor import examine
from schema.errors import CorruptionError, RefusalError
from tests.faults import flipped_backups
from tests.faults.fault import Fault, Tally, is_over
from tests.faults.flipping import Rows, differences, flip, rows_of, sell_one
from tests.faults.places import copy_node, fold_log_in, fresh_till, open_node, scratch
from tests.faults.workday import Workday

FLIPS: Final = 80
DEEDS: Final = 25
WAL_FILE: Final = f"{DATABASE_FILE}-wal"
BACKUP_FILE: Final = "backup.db"
TARGETS: Final = (DATABASE_FILE, WAL_FILE, BACKUP_FILE)
BACKUP_KINDS: Final = {3: "plain", 7: "encrypted"}
"""Of ten seeds these meet real backups: their last digit."""


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


def run(seed: int, until: float) -> Tally:
    """Flip bits of one history's files, copy by copy."""
    rng = random.Random(seed)
    tally = Tally()
    with scratch() as folder:
        if (kind := BACKUP_KINDS.get(seed % 10)) is not None:
            return flipped_backups.run(folder, rng, kind, until)
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
                where = flip(copy / DATABASE_FILE, rng)
            else:
                where = flip(copy / target, rng)
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
            said = differences(rows_of(node), history.rows)
            if node.connection.execute("SELECT count(*) FROM missing_range").fetchone()[0]:
                return "found at the start: the lost tail is named"
            assert not said, f"{where}: nothing was found, and {said}"
            sold = sell_one(node)
            assert sold not in history.numbers, f"{where}: {sold} was used a second time"
            return "no figure changed"
    except (CorruptionError, RefusalError) as error:
        return f"found at the start: {error.code}"


BIT_FLIPS: Final = Fault("bit_flips", "flips", 10_000, run, "0 silent wrong figures")
