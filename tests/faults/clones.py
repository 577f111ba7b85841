"""Clones and restored backups: two nodes under one key, found at the first contact at which it can be known.

A twin is a copied disk that nobody knows to be one (its token and machine are the same), or an older copy put in the
place of the newer. Both work on. From the moment when both have exchanged once, each writes a stream of its own; when
all have exchanged again, hub and tills hold the same, show the same, and nothing that either recorded is gone.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Final

from edge.config import DATABASE_FILE
from edge.high_water import MARK_FILE
from edge.sync_agent import SyncReport, sync_once
from hub.service import Hub
from schema.codec import decode_body, decode_payload
from schema.identity import ORG
from schema.kinds.organisation import EntryRecovered
from schema.kinds.trading import Refund, Sale
from tests.faults.fault import Fault, Tally, is_over
from tests.faults.hub_in_process import Home, enrolled
from tests.faults.places import copy_node, fold_log_in, open_node, scratch
from tests.faults.workday import Done, Workday, stock_of

TWINS: Final = 10
PASSES: Final = 3
"""After so many quiet exchanges of everyone nothing more may be on its way."""


class Town:
    """One organisation, whose first till is cloned and restored again and again."""

    def __init__(self, folder: Path, rng: random.Random, tally: Tally) -> None:
        self.folder = folder
        self.rng = rng
        self.tally = tally
        self.home: Home = enrolled().copied(folder / "home")
        self.printed: list[str] = []
        """The number of every sale and refund that a till acknowledged, whichever of two twins."""

    def work(self, directory: Path, most: int = 6) -> list[Done]:
        """Let a till work a little."""
        with open_node(directory) as node:
            day = Workday(node, self.rng)
            done = [one for _ in range(self.rng.randint(1, most)) for one in day.do_one()]
        self.printed += [one.number for one in done if one.number]
        return done

    def sync(self, hub: Hub, directory: Path) -> SyncReport:
        """Let a till exchange with the hub."""
        with open_node(directory) as node:
            return sync_once(node, self.home.line(hub, node))

    def incarnation(self, directory: Path) -> int:
        """Tell under which incarnation a till writes."""
        with open_node(directory) as node:
            return node.state().incarnation

    def meet_one(self) -> None:
        """Make one twin, let both go on, and see it found."""
        till, other = self.home.tills
        with self.home.opened() as hub:
            if self.rng.random() < 0.5:
                self._clone(hub, till, other)
            else:
                self._restore(hub, till, other)
            self._settle(hub, till, other)
        self.tally.count += 1

    def _clone(self, hub: Hub, till: Path, other: Path) -> None:
        self.work(till)
        if self.rng.random() < 0.5:
            self.sync(hub, till)
        twin = copy_node(till, self.folder / "twin")
        self.work(till)
        self.work(twin)
        first, second = self.rng.sample([till, twin], 2)
        self.sync(hub, first)
        if self.rng.random() < 0.5:
            self.work(first)
            self.sync(hub, first)
        self.sync(hub, second)  # here at the latest it is known
        assert self.incarnation(first) != self.incarnation(second), "two twins still write one stream after a contact"
        self.work(second)
        self.sync(hub, other)
        self.sync(hub, first)
        self.sync(hub, second)
        shutil.rmtree(twin)
        self.tally.facts["clones"] += 1

    def _restore(self, hub: Hub, till: Path, other: Path) -> None:
        with open_node(till) as node:
            fold_log_in(node)
        older = copy_node(till, self.folder / "older")
        self.work(till)
        is_known = self.rng.random() < 0.5
        self.sync(hub, till)  # what nobody else has would be gone with its disk, and there would be nothing to find
        before = self.incarnation(till)
        for name in (DATABASE_FILE, f"{DATABASE_FILE}-wal"):
            (till / name).unlink(missing_ok=True)
        shutil.copyfile(older / DATABASE_FILE, till / DATABASE_FILE)
        if not is_known:  # the whole directory was put back, so that nothing beside the file tells of it
            for name in (MARK_FILE,):
                shutil.copyfile(older / name, till / name) if (older / name).exists() else (till / name).unlink()
        elif self.incarnation(till) == before:
            raise AssertionError(
                f"an older file in place of a newer one passed for it: {before} {(till / MARK_FILE).read_bytes()!r}"
            )
        if self.rng.random() < 0.7:
            self.work(till)
        self.sync(hub, till)
        assert self.incarnation(till) != before, "an older copy still writes the old stream after a contact"
        self.work(till)
        self.sync(hub, other)
        shutil.rmtree(older)
        self.tally.facts["restored, found at the start" if is_known else "restored, found at the contact"] += 1

    def _settle(self, hub: Hub, till: Path, other: Path) -> None:
        for _ in range(PASSES):
            reports = [self.sync(hub, one) for one in (till, other)]
        assert all(report.is_complete and not report.mismatched_folds for report in reports)
        with open_node(till) as node, open_node(other) as there:
            for scope in (ORG, node.config.scope):
                assert node.replica.log.heads(scope) == there.replica.log.heads(scope), f"{scope} differs"
            assert stock_of(node, [node.config.scope]) == stock_of(there, [node.config.scope])
            self.home.compare(hub, node)
            assert sorted(self.printed) == self._numbers(hub, str(node.config.scope)), "a sale is gone, or there twice"

    @staticmethod
    def _numbers(hub: Hub, scope: str) -> list[str]:
        """Read the number of every sale and refund that the hub holds, in its place or brought back."""
        found = []
        with hub.store.snapshot() as replica:
            for row in replica.log.streams(scope):
                for entry in replica.log.entries(row):
                    payload = entry.payload
                    if isinstance(payload, EntryRecovered):
                        payload = decode_payload(decode_body(payload.body))
                    if isinstance(payload, Sale | Refund):
                        found.append(payload.receipt_number)
        return sorted(found)


def run(seed: int, until: float) -> Tally:
    """Clone and restore one till again and again."""
    rng = random.Random(seed)
    tally = Tally()
    with scratch() as folder:
        town = Town(folder, rng, tally)
        for _ in range(TWINS):
            if is_over(until):
                break
            town.meet_one()
    return tally


CLONES: Final = Fault("clones", "twins", 1_000, run, "found within one contact, all replicas equal")
