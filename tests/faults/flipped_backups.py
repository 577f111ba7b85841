"""Bits that flip in a real backup: in what the replication program wrote, in its notes, or in an encrypted node's copy.

A backup is what its own keeper makes of a till at work. A flipped file of it is restored on a new machine, or proven
as the calendar does: a refusal, a damage that is named, or every row of the sound restore. What is proven must restore.
A plain copy of the file, which a restore takes as well and in which no checksum stands, is flipped beside them.
Flips beside the node's file come before more work: the keeper must end at a backup that is proven and right.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from edge.backup import BackupKeeper
from edge.backup_proof import prove
from edge.backup_target import choose_target
from edge.clock_source import machine_clock
from edge.doctor import examine
from edge.encrypted_copy import CARRIER_FILE
from edge.encryption import adopt_key, data_key
from edge.missing import missing_ranges
from edge.node import Node
from edge.restoring import Restored, restore
from schema.errors import EdgetillError
from tests.edge.households import Household, configure
from tests.edge.shops import figures
from tests.faults.fault import Tally, is_over
from tests.faults.flipping import Rows, differences, flip, rows_of, sell_one
from tests.faults.places import copy_node, kept_folder, open_node
from tests.faults.workday import Workday

FLIPS: Final = 60
LOCAL_FLIPS: Final = 2
"""How many of them meet the keeper at its work, which takes seconds each."""
DEEDS: Final = 5
ROUNDS: Final = 4
PAUSE_S: Final = 1.2
"""Longer than the program waits before it writes what is new: each round has a file of its own."""
COPY_EVERY_S: Final = 0.5
WITHIN_S: Final = 60.0
PASSPHRASE: Final = "what a van carries in its backup"


@cache
def _template(kind: str) -> tuple[Path, str]:
    """Return the directory of a till that joined, and its recovery passphrase; copy it."""
    household = Household(kept_folder() / f"backed-up-{kind}")
    with household.serving() as hub:
        directory = household.enrol(hub, "A1", passphrase=PASSPHRASE if kind == "encrypted" else None)
    configure(directory, lan=False)
    return directory, household.joined["A1"].recovery_passphrase


@contextmanager
def _kept(directory: Path) -> Iterator[BackupKeeper]:
    keeper = BackupKeeper(directory, machine_clock, lambda _: None, copy_every_s=COPY_EVERY_S)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()


def _shown(node: Node) -> Rows:
    """Read all rows but those of the restore's own call to a hub that does not answer."""
    return {table: rows for table, rows in rows_of(node).items() if table != "hub_line"}


class Scene:
    """A till at work, its backup on another disk, and what a sound restore of that gives."""

    def __init__(self, folder: Path, rng: random.Random, kind: str) -> None:
        template, self._passphrase = _template(kind)
        self._folder, self._rng, self._kind = folder, rng, kind
        self.disk = folder / "disk"
        self.directory = copy_node(template, folder / "A1")
        key = data_key(template)
        if key is not None:
            adopt_key(self.directory, key)
        with open_node(self.directory) as node:
            choose_target(node, str(self.disk))
        with open_node(self.directory) as node, _kept(self.directory) as keeper:
            day = Workday(node, rng)
            for _ in range(ROUNDS):
                for _ in range(DEEDS):
                    day.do_one()
                time.sleep(PAUSE_S)
            self._until_proven(node, keeper)
            self._file = folder / "copy-of-a-person.db"
            if kind == "plain":
                node.connection.execute("VACUUM INTO ?", (str(self._file),))
        self._understand()

    def _understand(self) -> None:
        """Note what a sound restore gives."""
        with self._restored() as (node, restored):
            assert restored.is_healthy, restored.findings
            self.rows, self.figures = _shown(node), figures(node)
            self.entries = restored.from_backup
            self.numbers = {row[0] for row in node.connection.execute("SELECT number FROM receipt").fetchall()}

    @contextmanager
    def _restored(self, source: Path | None = None) -> Iterator[tuple[Node, Restored]]:
        fresh = self._folder / "new"
        try:
            restored = restore(fresh, str(source or self.disk), self._passphrase, machine_clock, search_s=0)
            with open_node(fresh) as node:
                yield node, restored
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _until_proven(self, node: Node, keeper: BackupKeeper | None) -> None:
        """Wait until a proof finds everything; a keeper hears of those that fail, as when the calendar asks for one."""
        began = time.monotonic()
        while True:
            if (proof := prove(node, machine_clock)).is_proven and not proof.behind:
                return
            assert time.monotonic() - began < WITHIN_S, f"no backup comes to be good again: {proof}"
            if keeper is not None:
                keeper.prove_soon()
            time.sleep(0.3)

    def meet(self, tally: Tally) -> None:
        """Flip a bit of the backup, restore it or prove it, and put the bit back."""
        is_plain_copy = self._kind == "plain" and self._rng.random() < 0.5
        files = [self._file] if is_plain_copy else [one for one in self.disk.rglob("*") if one.is_file()]
        file = self._rng.choice(sorted(files))
        sound = file.read_bytes()
        where = flip(file, self._rng)
        try:
            if is_plain_copy:
                met = f"restore of a copy: {self._restore(where, file)}"
            else:
                met = self._proven(where) if self._rng.random() < 0.5 else f"restore: {self._restore(where)}"
        finally:
            file.write_bytes(sound)
        tally.facts[f"{self._kind} backup, {met}"] += 1
        tally.count += 1

    def _proven(self, where: str) -> str:
        with open_node(self.directory) as node:
            proof = prove(node, machine_clock)
        if not proof.is_proven:
            return f"proof: {proof.problem}"
        after = self._restore(where)
        assert after == "right", f"{where}: proven with {proof.entries} entries, {proof.behind} behind, but {after}"
        return "proof: right"

    def _restore(self, where: str, source: Path | None = None) -> str:
        """Tell what a restore comes to; AssertionError for figures that are wrong and not said to be."""
        try:
            with self._restored(source) as (node, restored):
                if not restored.is_healthy:
                    return "found by the doctor"
                if restored.missing or missing_ranges(node):
                    return "the lost tail is named"
                if restored.findings:  # rebuilt from the log, which gives products other numbers within the file
                    assert figures(node) == self.figures, f"{where}: mended, and the figures are others"
                    assert examine(node).is_healthy, f"{where}: mended, and not healthy"
                said = "" if restored.findings else differences(_shown(node), self.rows)
                assert not said, f"{where}: nothing was found in {restored.from_backup} of {self.entries}, and {said}"
                sold = sell_one(node)
                assert sold not in self.numbers, f"{where}: {sold} was used a second time"
                return "mended" if restored.findings else "right"
        except EdgetillError as error:
            code = error.code
        left = sorted(path.name for path in self._folder.glob("new*"))
        assert not left, f"{where}: refused with {code}, and {left} was left"
        return code

    def meet_at_work(self, tally: Tally) -> None:
        """Flip a bit of what the keeper has beside the node's file, work on, and let it come to a good backup."""
        beside = [*self.directory.glob(f"{CARRIER_FILE}*"), *self.directory.glob(".*-litestream/**/*")]
        file = self._rng.choice(sorted(one for one in beside if one.is_file() and one.stat().st_size))
        where = flip(file, self._rng)
        with open_node(self.directory) as node:
            with _kept(self.directory) as keeper:
                time.sleep(PAUSE_S)
                Workday(node, self._rng).sell()
                time.sleep(PAUSE_S)
                first = prove(node, machine_clock)
                self._until_proven(node, keeper)
            sold = {row[0] for row in node.connection.execute("SELECT number FROM receipt").fetchall()}
        self._understand()
        assert sold == self.numbers, f"{where}: proven, and the restore has other receipts"
        tally.facts[f"{self._kind} backup at work: {'right' if first.is_proven else first.problem}, then good"] += 1
        tally.count += 1


def run(folder: Path, rng: random.Random, kind: str, until: float) -> Tally:
    """Flip bits of one till's backup; `kind` is plain or encrypted."""
    tally = Tally()
    scene = Scene(folder, rng, kind)
    for _ in range(FLIPS - LOCAL_FLIPS):
        if is_over(until):
            return tally
        scene.meet(tally)
    for _ in range(LOCAL_FLIPS):
        if is_over(until):
            break
        scene.meet_at_work(tally)
    return tally
