"""Errors of the disk at the N-th sync or write of a node's files, N from 1 to 500, once or from then on.

A seed is a block of numbers. After the error the node is opened anew, as the till's program is told to, and goes on;
what it had said was recorded is there, and what it had said was not is not.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Final

from edge.config import DATABASE_FILE
from edge.node import Node
from edge.watchdog import reopen
from schema.errors import EdgetillError
from tests.faults.fault import Fault, Tally
from tests.faults.places import copy_node, fresh_till, open_node, scratch
from tests.faults.watched_disk import IOERR_FSYNC, IOERR_WRITE, OK, watched
from tests.faults.workday import Done, Workday, audit

NUMBERS: Final = 500
BLOCK: Final = 10
DOCTOR_SHARE: Final = 0.2
CALM: Final = {"sale": 8, "receipt": 1, "count": 1, "dispatch": 1}
"""Deeds of one transaction each, so that what fails is one of them and nothing else."""


class FailingDisk:
    """Fails the n-th call of a kind, once or from then on."""

    def __init__(self, kind: str, number: int, *, is_lasting: bool) -> None:
        self._kind = kind
        self._number = number
        self._is_lasting = is_lasting
        self.calls = 0
        self.failures = 0

    def arm(self) -> None:
        """Let the next call fail."""
        self._number = self.calls + 1

    def repair(self) -> None:
        """Let the disk work again."""
        self._number = -1
        self._is_lasting = False

    def _count(self, kind: str, code: int) -> int:
        if kind != self._kind or self._number < 0:
            return OK
        self.calls += 1
        if self.calls == self._number or (self._is_lasting and self.calls > self._number):
            self.failures += 1
            return code
        return OK

    def opened(self, file: str) -> None:
        """Nothing fails at that."""

    def write(self, file: str, offset: int, content: bytes) -> int:
        return self._count("write", IOERR_WRITE) if file.startswith(DATABASE_FILE) else OK

    def truncate(self, file: str, size: int) -> int:
        return OK

    def sync(self, file: str) -> int:
        return self._count("sync", IOERR_FSYNC) if file.startswith(DATABASE_FILE) else OK

    def delete(self, file: str) -> int:
        return OK


def run(seed: int, until: float) -> Tally:
    """Let a block of numbers fail, both kinds, on a fresh copy each."""
    rng = random.Random(seed)
    tally = Tally()
    first = (seed - 1) * BLOCK % NUMBERS + 1
    with scratch() as folder:
        for number in range(first, first + BLOCK):
            for kind in ("sync", "write"):
                is_lasting = rng.random() < 0.5
                directory = copy_node(fresh_till(), folder / "A1")
                disk = FailingDisk(kind, number, is_lasting=is_lasting)
                with watched(directory, disk):
                    _go_through(directory, disk, rng, f"{kind} {number}{' and on' if is_lasting else ''}")
                shutil.rmtree(directory)
                tally.count += 1
                tally.facts[f"{kind}s from then on" if is_lasting else f"{kind}s once"] += 1
    return tally


def _go_through(directory: Path, disk: FailingDisk, rng: random.Random, what: str) -> None:
    told: list[Done] = []
    codes: list[str] = []
    try:
        node = open_node(directory)
    except EdgetillError as error:  # the start itself writes, where the clock was not noted for a while
        if error.code != "not_recorded":
            raise
        disk.repair()
        node = open_node(directory)
    try:
        while not disk.failures:
            try:
                told += Workday(node, rng, CALM).do_one()
            except EdgetillError as error:
                codes.append(error.code)
        refused = _says_no_more(node, codes)
        disk.repair()
        if refused:
            node = reopen(node)
        more = [done for _ in range(3) for done in Workday(node, rng, CALM).do_one()]
        audit(node, [*told, *more], in_hand=0, with_doctor=rng.random() < DOCTOR_SHARE)
        assert node.state().incarnation == 1, f"{what}: a failed disk makes no copy"
    finally:
        node.close()
    assert set(codes) <= {"not_recorded"}, f"{what}: {codes}"


def _says_no_more(node: Node, codes: list[str]) -> bool:
    """After a failure that was told of, nothing more is written until the file was opened anew."""
    if not codes:
        return False  # it met a checkpoint, which is tried again and loses nothing
    try:
        Workday(node, random.Random(1), CALM).sell()
    except EdgetillError as error:
        codes.append(error.code)
        return True
    raise AssertionError("a node went on after a failed sync as if nothing had been")


IO_ERRORS: Final = Fault("io_errors", "errors", 2 * NUMBERS, run, "0 acknowledged lost; seed n: N to 10n")
