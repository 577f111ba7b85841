"""Cuts of the power, by a model of the disk: what was not synced is dropped, reordered or torn.

A seed records one real node at its work, write by write. Each cut then takes a moment of that record and builds an
image that a disk could be left with: every file as it was at its last sync, and of the writes since then any that
chance picks, whole or some of their sectors, or noise. The node starts on that image as it would on its machine, and
everything that had been acknowledged before the cut must be there. The same node at `synchronous = NORMAL` is the
control: if none of its cuts lost anything, the model would prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from edge.config import DATABASE_FILE
from edge.high_water import MARK_FILE
from edge.missing import missing_ranges
from edge.node import Node
from tests.edge.shops import carry
from tests.faults.fault import Fault, Tally, is_over
from tests.faults.places import copy_node, fresh_till, open_node, scratch
from tests.faults.watched_disk import OK, watched
from tests.faults.workday import Done, Workday, audit

PASSES: Final = 8
CUTS: Final = 50
"""Cuts of one pass along a record."""
CONTROL_CUTS: Final = 12
CONTROL_CUTS_MAX: Final = 300
DEEDS: Final = 30
SECTOR: Final = 512
DOCTOR_SHARE: Final = 0.02
SELLS_SHARE: Final = 0.05
WAL_FILE: Final = f"{DATABASE_FILE}-wal"
FILES: Final = (DATABASE_FILE, WAL_FILE)
UNTOLD_MAX: Final = 12
"""Entries of the one deed that was in hand."""


class Write(NamedTuple):
    """Bytes on their way to a place of a file; without content the file is cut to `offset`."""

    file: str
    offset: int
    content: bytes | None


class Synced(NamedTuple):
    """All that was written to a file before has reached the disk, and its name too."""

    file: str


class Made(NamedTuple):
    """A file was made anew; its name is not on the disk before its first sync."""

    file: str


class Deleted(NamedTuple):
    """A file's name was taken away; that may come to nothing."""

    file: str


class Marked(NamedTuple):
    """The high-water mark as it is from now on; nobody ever syncs it."""

    content: bytes


class Acknowledged(NamedTuple):
    """So many deeds have been told to somebody by now."""

    deeds: int


Step = Write | Synced | Made | Deleted | Marked | Acknowledged


class Recorder:
    """Writes down what happens to a node's files."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._known: set[str] = {DATABASE_FILE}

    def opened(self, file: str) -> None:
        if file in FILES and file not in self._known:
            self._known.add(file)
            self.steps.append(Made(file))

    def write(self, file: str, offset: int, content: bytes) -> int:
        if file in FILES:
            self.steps.append(Write(file, offset, content))
        return OK

    def truncate(self, file: str, size: int) -> int:
        if file in FILES:
            self.steps.append(Write(file, size, None))
        return OK

    def sync(self, file: str) -> int:
        if file in FILES:
            self.steps.append(Synced(file))
        return OK

    def delete(self, file: str) -> int:
        if file in FILES:
            self._known.discard(file)
            self.steps.append(Deleted(file))
        return OK


class Record(NamedTuple):
    """A node's work, write by write, from a file that was whole."""

    directory: Path
    database: bytes
    steps: list[Step]
    told: list[Done]


def record(folder: Path, rng: random.Random, *, synchronous: str = "FULL") -> Record:
    """Let a node work, hear of a neighbour, stop and start again; all of it written down."""
    neighbour = open_node(copy_node(fresh_till("A2"), folder / "neighbour"))
    directory = copy_node(fresh_till(), folder / "recorded")
    database = (directory / DATABASE_FILE).read_bytes()
    recorder = Recorder()
    told: list[Done] = []
    checkpoint = rng.choice((20, 100, 1000))
    with watched(directory, recorder):
        for _ in range(1 if synchronous != "FULL" else 2):
            with open_node(directory) as node:
                node.connection.execute(f"PRAGMA synchronous = {synchronous}")
                node.connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}")
                day = Workday(node, rng)
                other = Workday(neighbour, rng)
                for _ in range(DEEDS):
                    told += day.do_one()
                    mark = directory / MARK_FILE
                    recorder.steps += [Marked(mark.read_bytes()), Acknowledged(len(told))]
                    if rng.random() < 0.15:
                        other.do_one()
                        carry(neighbour, node)
    neighbour.close()
    return Record(directory, database, recorder.steps, told)


class Disk:
    """What is surely on the disk, and what is on its way to it."""

    def __init__(self, database: bytes) -> None:
        self.synced: dict[str, bytearray] = {DATABASE_FILE: bytearray(database)}
        self.pending: dict[str, list[Write]] = {DATABASE_FILE: []}
        self.unnamed: set[str] = set()
        self.ghosts: dict[str, bytes] = {}
        self.marks: list[bytes] = []
        self.told = 0

    def take(self, step: Step) -> None:
        """Let one step happen."""
        match step:
            case Write():
                self.pending[step.file].append(step)
            case Synced():
                content = self.synced.setdefault(step.file, bytearray())
                for write in self.pending[step.file]:
                    _apply(content, write)
                self.pending[step.file].clear()
                self.unnamed.discard(step.file)
                self.ghosts.pop(step.file, None)
            case Made():
                self.synced[step.file] = bytearray()
                self.pending[step.file] = []
                self.unnamed.add(step.file)
            case Deleted():
                self.ghosts[step.file] = bytes(self.synced.pop(step.file, b""))
                self.pending.pop(step.file, None)
            case Marked():
                self.marks.append(step.content)
            case Acknowledged():
                self.told = step.deeds

    def image(self, rng: random.Random) -> dict[str, bytes]:
        """Build what a cut of the power might leave."""
        share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        found: dict[str, bytes] = {}
        for file, content in self.synced.items():
            if file in self.unnamed and rng.random() < 0.5:
                if file in self.ghosts and rng.random() < 0.5:
                    found[file] = self.ghosts[file]
                continue
            image = bytearray(content)
            for write in self.pending[file]:
                if rng.random() < share:
                    _apply(image, write if rng.random() < 0.7 else _torn(write, image, rng))
            found[file] = bytes(image)
        for file, ghost in self.ghosts.items():
            if file not in self.synced and rng.random() < 0.5:
                found[file] = ghost
        if self.marks and rng.random() < 0.8:
            found[MARK_FILE] = self.marks[-1] if rng.random() < 0.5 else rng.choice([*self.marks, b""])
        return found


def _apply(content: bytearray, write: Write) -> None:
    if write.content is None:
        del content[write.offset :]
        return
    if len(content) < write.offset:
        content.extend(bytes(write.offset - len(content)))
    content[write.offset : write.offset + len(write.content)] = write.content


def _torn(write: Write, before: bytearray, rng: random.Random) -> Write:
    """Return a write of which only some sectors arrived; one of the others may hold noise."""
    if write.content is None:
        return write
    content = bytearray(write.content)
    for at in range(0, len(content), SECTOR):
        size = min(SECTOR, len(content) - at)
        draw = rng.random()
        if draw < 0.4:
            old = bytes(before[write.offset + at : write.offset + at + size])
            content[at : at + size] = old.ljust(size, b"\0")
        elif draw < 0.45:
            content[at : at + size] = rng.randbytes(size)
    return Write(write.file, write.offset, bytes(content))


def cut(recorded: Record, rng: random.Random, count: int) -> Iterator[tuple[dict[str, bytes], int]]:
    """Cut the power so many times along a record; yields what is left, and how many deeds had been told of."""
    moments = sorted(rng.randrange(1, len(recorded.steps) + 1) for _ in range(count))
    disk = Disk(recorded.database)
    done = 0
    for moment in moments:
        for step in recorded.steps[done:moment]:
            disk.take(step)
        done = moment
        yield disk.image(rng), disk.told


def _put(image: dict[str, bytes], directory: Path) -> None:
    for name in (*FILES, f"{DATABASE_FILE}-shm", MARK_FILE):
        (directory / name).unlink(missing_ok=True)
    for name, content in image.items():
        (directory / name).write_bytes(content)


def _check(node: Node, told: list[Done], rng: random.Random) -> None:
    found = audit(node, told, with_doctor=rng.random() < DOCTOR_SHARE)
    assert len(found.entries) <= len(told) + UNTOLD_MAX, "entries that nobody made"
    said = node.connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    assert said == "ok", f"the file is corrupt: {said}"
    assert node.state().incarnation == 1, "a node that lost its power is no copied one"
    assert not missing_ranges(node), "nothing is missing after a cut of the power"
    if rng.random() < SELLS_SHARE:
        sold = Workday(node, rng).sell()
        audit(node, [*told, *sold], with_doctor=False)


def run(seed: int, until: float) -> Tally:
    """Record one node and cut its power many times; then its control."""
    rng = random.Random(seed)
    tally = Tally()
    with scratch() as folder:
        recorded = record(folder, rng)
        for image, told in chain.from_iterable(cut(recorded, rng, CUTS) for _ in range(PASSES)):
            if is_over(until):
                break
            _put(image, recorded.directory)
            try:
                with open_node(recorded.directory) as node:
                    _check(node, recorded.told[:told], rng)
            except Exception as error:
                raise AssertionError(
                    f"cut {tally.count} after {told} deeds: {type(error).__name__}: {error}"
                ) from error
            tally.count += 1
        tally.facts["writes recorded"] += len(recorded.steps)
        _control(folder / "control", rng, tally)
    return tally


def _control(folder: Path, rng: random.Random, tally: Tally) -> None:
    """Cut the power of a node that does not sync at each commit: some of these cuts have to lose something."""
    recorded = record(folder, rng, synchronous="NORMAL")
    lost = met = 0
    while not lost and met < CONTROL_CUTS_MAX:
        for image, told in cut(recorded, rng, CONTROL_CUTS):
            _put(image, recorded.directory)
            met += 1
            try:
                with open_node(recorded.directory) as node:
                    audit(node, recorded.told[:told], with_doctor=False)
            except AssertionError:
                lost += 1
    tally.facts["control cuts at NORMAL"] += met
    tally.facts["control cuts that lost something"] += lost
    assert lost, "no cut of the control lost anything: the model proves nothing"


POWER_CUTS: Final = Fault("power_cuts", "cuts", 100_000, run, "0 lost, 0 corrupt; the control at NORMAL loses")
