"""Disks that are full at any point: nothing half is sold, it is said each time, and freeing some space is enough.

The disk is a model of so many bytes; what a node's files grow by is taken from it, and giving up the node's reserve
gives some back. (A real small disk is filled in `tests/edge/test_watchdog.py`.)
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import patch

from edge import disk_space
from edge.config import DATABASE_FILE
from edge.disk_space import RESERVE_FILE
from edge.node import Node
from schema.errors import RefusalError
from tests.faults.fault import Fault, Tally, is_over
from tests.faults.places import copy_node, fresh_till, open_node, scratch
from tests.faults.watched_disk import FULL, OK, watched
from tests.faults.workday import Done, Workday, audit

POINTS: Final = 20
ROOM_MAX: Final = 250_000
RESERVE: Final = 128 * 1024
GIVEN_UP: Final = 48 * 1024
FREED: Final = 64 * 1024 * 1024
REFUSALS: Final = 4
DEEDS_MAX: Final = 2_000
ONE_BY_ONE: Final = {"sale": 8, "receipt": 1, "adjustment": 1, "count": 2, "dispatch": 2, "arrival": 1}


class Usage(NamedTuple):
    """What of `os.statvfs` is read."""

    f_bavail: int
    f_frsize: int = 1


class SmallDisk:
    """A disk with so much room; what files of a node grow by is taken from it."""

    def __init__(self, directory: Path, room: int) -> None:
        self._directory = directory
        self._room = room
        self._sizes = {file.name: file.stat().st_size for file in directory.glob(f"{DATABASE_FILE}*")}
        self._begun = sum(self._sizes.values())

    @property
    def free(self) -> int:
        given_up = 0 if (self._directory / RESERVE_FILE).exists() else RESERVE
        return max(0, self._room + given_up - (sum(self._sizes.values()) - self._begun))

    def make_room(self) -> None:
        """Let somebody free some space."""
        self._room += FREED

    def usage(self, _: object) -> Usage:
        return Usage(self.free)

    def opened(self, file: str) -> None:
        self._sizes.setdefault(file, 0)

    def write(self, file: str, offset: int, content: bytes) -> int:
        grows = offset + len(content) - self._sizes.get(file, 0)
        if grows > 0:
            if grows > self.free:
                return FULL
            self._sizes[file] = offset + len(content)
        return OK

    def truncate(self, file: str, size: int) -> int:
        self._sizes[file] = min(size, self._sizes.get(file, 0))
        return OK

    def sync(self, file: str) -> int:
        return OK

    def delete(self, file: str) -> int:
        self._sizes.pop(file, None)
        return OK


@contextmanager
def _small(directory: Path, room: int) -> Iterator[SmallDisk]:
    disk = SmallDisk(directory, room)
    with ExitStack() as stack:
        stack.enter_context(watched(directory, disk))
        stack.enter_context(patch.object(os, "statvfs", disk.usage))
        stack.enter_context(patch.object(disk_space, "GIVEN_UP_BYTES", GIVEN_UP))
        yield disk


def run(seed: int, until: float) -> Tally:
    """Fill the disk at so many points drawn from the seed."""
    rng = random.Random(seed)
    tally = Tally()
    with scratch() as folder:
        for _ in range(POINTS):
            if is_over(until):
                break
            directory = copy_node(fresh_till(), folder / "A1")
            with _small(directory, rng.randrange(ROOM_MAX)) as disk:
                _fill(directory, disk, rng, tally)
            shutil.rmtree(directory)
            tally.count += 1
    return tally


def _fill(directory: Path, disk: SmallDisk, rng: random.Random, tally: Tally) -> None:
    told: list[Done] = []
    refused = by_reserve = 0
    codes: set[str] = set()
    with open_node(directory) as node:
        node.connection.execute("PRAGMA wal_autocheckpoint = 10")
        while refused < REFUSALS:
            assert len(told) < DEEDS_MAX, "the disk never was full"
            has_reserve = (directory / RESERVE_FILE).exists()
            try:
                told += Workday(node, rng, ONE_BY_ONE).do_one()
                by_reserve += not has_reserve
            except RefusalError as error:
                codes.add(error.code)
                refused += not has_reserve
        assert codes == {"disk_full"}, codes
        assert by_reserve, "the reserve kept nothing going"
        assert not (directory / RESERVE_FILE).exists()
        if rng.random() < 0.5:
            disk.make_room()
            _sells_again(node, told, rng)
            tally.facts["freed while it ran"] += 1
    if disk.free < FREED // 2:
        disk.make_room()
        with open_node(directory) as node:
            _sells_again(node, told, rng)
            tally.facts["freed after it was closed"] += 1
    tally.facts["acknowledged"] += len(told)
    tally.facts["of these by the reserve"] += by_reserve


def _sells_again(node: Node, told: list[Done], rng: random.Random) -> None:
    audit(node, told, in_hand=0, with_doctor=False)
    more = [done for _ in range(3) for done in Workday(node, rng, ONE_BY_ONE).do_one()]
    audit(node, [*told, *more], in_hand=0, with_doctor=rng.random() < 0.2)


DISK_FULL: Final = Fault("disk_full", "fill points", 1_000, run, "0 half sales, sells again after freeing")
