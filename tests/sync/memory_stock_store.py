"""A stock store in memory for the rules' own tests; it holds exactly what a database would."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from sync.conflicts import Conflict
from sync.fold_digest import MODULUS
from sync.key_state import KeyBalance
from sync.opening_balance import Carried
from sync.rights import RightsFigure
from sync.stock_facts import (
    DISPATCH_REASON,
    Accept,
    Classify,
    ClockFix,
    Count,
    Fact,
    Grant,
    Key,
    Movement,
    Notice,
    Promise,
    PromiseEnd,
    RightFact,
    RightMove,
    Rules,
    SessionOpen,
    Vector,
    Void,
    knows,
    parse_target,
)
from sync.stock_fold import FoldChanges, StockFold
from sync.stock_store import ClockEpoch, StoredFigure, TransferKey
from sync.transit import TransferState

_K = TypeVar("_K")
_V = TypeVar("_V")


class MemoryStockStore:
    """Facts, figures, conflicts and the running fold digest of one vector space, in dictionaries."""

    def __init__(self) -> None:
        """Start empty."""
        self.figures: dict[Key, StoredFigure] = {}
        self.transfers: dict[TransferKey, TransferState] = {}
        self.right_figures: dict[Key, RightsFigure] = {}
        self.conflicts: dict[str, Conflict] = {}
        self.digest = 0
        self._epochs: frozenset[ClockEpoch] = frozenset()
        self._facts: dict[tuple[str, int], dict[tuple[str, int], Fact]] = defaultdict(dict)
        self._movements: dict[Key, dict[tuple[str, int, int], Movement]] = defaultdict(dict)
        self._papers: dict[TransferKey, dict[tuple[str, int, int], Movement]] = defaultdict(dict)
        self._touching: dict[Key, set[TransferKey]] = defaultdict(set)
        self._counts: dict[Key, dict[tuple[str, int, int], Count]] = defaultdict(dict)
        self._rare: dict[tuple[str, int], Void | Classify | ClockFix | SessionOpen | Accept] = {}
        self._named: dict[tuple[str, int], int] = {}
        self._balances: dict[Key, KeyBalance] = {}
        self._cut: tuple[Vector, Vector] = ({}, {})

    def prepare(self, keys: Collection[Key]) -> None:
        """Read nothing ahead: it is all in memory."""

    def add(self, facts: Iterable[Fact]) -> list[Fact]:
        """Store facts; return those that were not here yet, each once."""
        return [fact for fact in facts if self._add(fact)]

    def _add(self, fact: Fact) -> bool:
        line = getattr(fact, "line", 0)
        entry = self._facts[fact.writer, fact.seq]
        if (type(fact).__name__, line) in entry:
            return False
        entry[type(fact).__name__, line] = fact
        place = fact.writer, fact.seq, line
        match fact:
            case Movement():
                if not isinstance(fact, Notice):
                    self._movements[fact.key][place] = fact
                if fact.transfer is not None:
                    self._papers[fact.transfer, fact.product][place] = fact
                    self._touching[_place_of(fact)].add((fact.transfer, fact.product))
            case Count():
                self._counts[fact.key][place] = fact
            case Grant() | RightMove() | Promise() | PromiseEnd():
                pass  # found among the facts themselves
            case _:
                self._rare[fact.writer, fact.seq] = fact
                if isinstance(fact, Void | Classify):
                    self._name(fact, 1)
        return True

    def _name(self, fact: Void | Classify, step: int) -> None:
        try:
            writer, seq, _ = parse_target(fact.target if isinstance(fact, Void) else fact.movement)
        except ValueError:
            return
        self._named[writer, seq] = self._named.get((writer, seq), 0) + step

    def withdraw(self, fact: Fact) -> None:
        """Take a fact away again, as a revocation does."""
        line = getattr(fact, "line", 0)
        if self._facts[fact.writer, fact.seq].pop((type(fact).__name__, line), None) is None:
            return
        place = fact.writer, fact.seq, line
        match fact:
            case Movement():
                self._movements[fact.key].pop(place, None)
                if fact.transfer is not None:
                    self._papers[fact.transfer, fact.product].pop(place, None)
            case Count():
                self._counts[fact.key].pop(place, None)
            case Grant() | RightMove() | Promise() | PromiseEnd():
                pass
            case _:
                self._rare.pop((fact.writer, fact.seq), None)
                if isinstance(fact, Void | Classify):
                    self._name(fact, -1)

    def stand_on(self, carried: Carried) -> list[Fact]:
        """Put an opening balance below and prune what it makes needless; return what was pruned.

        The keys of the balance are to be derived afresh afterwards.
        """
        self._balances = {one.key: one for one in carried.balance.keys}
        self._cut = carried.balance.cut, carried.balance.settled
        pruned = [
            fact
            for entry, facts in self._facts.items()
            for fact in facts.values()
            if knows(carried.balance.cut, *entry) and entry not in carried.must_keep
        ]
        for fact in pruned:
            self.withdraw(fact)
        return pruned

    def ingest(self, facts: Iterable[Fact], rules: Rules) -> FoldChanges:
        """Store facts and fold the new ones."""
        return self.apply(StockFold(self, rules).ingest(self.add(facts)))

    def apply(self, changes: FoldChanges) -> FoldChanges:
        """Keep the conflicts and the digest in step with what an engine reports."""
        for conflict in changes.conflicts.cleared:
            del self.conflicts[conflict.id]
        for conflict in (*changes.conflicts.raised, *changes.conflicts.changed):
            self.conflicts[conflict.id] = conflict
        self.digest = (self.digest + changes.digest_change) % MODULUS
        return changes

    def load_figures(self, keys: Collection[Key]) -> Mapping[Key, StoredFigure]:
        """Return the rows of those keys that have one."""
        return {key: self.figures[key] for key in keys if key in self.figures}

    def save_figures(self, figures: Mapping[Key, StoredFigure | None]) -> None:
        """Write the rows of many keys; None removes a row."""
        _write(self.figures, figures)

    def load_transfers(self, transfers: Collection[TransferKey]) -> Mapping[TransferKey, TransferState]:
        """Return the rows of those transfers that have one."""
        return {name: self.transfers[name] for name in transfers if name in self.transfers}

    def save_transfers(self, transfers: Mapping[TransferKey, TransferState | None]) -> None:
        """Write the rows of many transfers; None removes a row."""
        _write(self.transfers, transfers)

    def corrected_epochs(self) -> Collection[ClockEpoch]:
        """Return the clock epochs reported as corrected."""
        return self._epochs

    def save_corrected_epochs(self, epochs: Collection[ClockEpoch]) -> None:
        """Replace the clock epochs reported as corrected."""
        self._epochs = frozenset(epochs)

    def named_entries(self) -> Collection[tuple[str, int]]:
        """Return (writer, seq) of all entries that a VOID or CLASSIFY names, arrived or not."""
        return self._named

    def voids(self) -> Iterable[Void]:
        """Return all VOIDs."""
        return [one for one in self._rare.values() if isinstance(one, Void)]

    def classifications(self) -> Iterable[Classify]:
        """Return all CLASSIFYs."""
        return [one for one in self._rare.values() if isinstance(one, Classify)]

    def clock_fixes(self) -> Iterable[ClockFix]:
        """Return all measurements of clocks."""
        return [one for one in self._rare.values() if isinstance(one, ClockFix)]

    def sessions(self, location: str) -> Iterable[SessionOpen]:
        """Return the count sessions opened at a location."""
        return [one for one in self._rare.values() if isinstance(one, SessionOpen) and one.location == location]

    def counts(self, key: Key) -> Iterable[Count]:
        """Return a key's counts."""
        return list(self._counts[key].values())

    def accepts(self, key: Key) -> Iterable[Accept]:
        """Return the choices made for a key."""
        return [one for one in self._rare.values() if isinstance(one, Accept) and (one.location, one.product) == key]

    def movements(
        self, key: Key, not_covered_by: Vector | None = None, or_later_than_ms: int = 0
    ) -> Iterable[Movement]:
        """Return a key's movements; with a vector, those above it or later than a time."""
        found = self._movements[key].values()
        if not_covered_by is None:
            return list(found)
        return [
            one
            for one in found
            if not knows(not_covered_by, one.writer, one.seq)
            or max((one.wall_ms, *(one.stated or ()))) > or_later_than_ms
        ]

    def papers(self, transfers: Collection[TransferKey]) -> Iterable[Movement]:
        """Return the movements and notices of some transfers."""
        return [paper for name in transfers for paper in self._papers[name].values()]

    def papers_touching(self, key: Key) -> Iterable[Movement]:
        """Return all papers of transfers that have a dispatch to, or a receipt at, a key."""
        return self.papers(self._touching[key]) if key in self._touching else []

    def opening_balance(self, key: Key) -> KeyBalance | None:
        """Return what the opening balance in force carries of a key."""
        return self._balances.get(key)

    def cut(self) -> tuple[Vector, Vector]:
        """Return the cut of the opening balance in force and what was settled there."""
        return self._cut

    def rights(self, key: Key) -> Iterable[RightFact]:
        """Return what was said of rights on a key, and promised of it."""
        found = [fact for facts in self._facts.values() for fact in facts.values()]
        kinds = Grant | RightMove | Promise | PromiseEnd
        return [fact for fact in found if isinstance(fact, kinds) and (fact.location, fact.product) == key]

    def load_rights(self, keys: Collection[Key]) -> Mapping[Key, RightsFigure]:
        """Return the rows of those keys on which there are rights."""
        return {key: self.right_figures[key] for key in keys if key in self.right_figures}

    def save_rights(self, rights: Mapping[Key, RightsFigure | None]) -> None:
        """Write the rows of many keys; None removes a row."""
        _write(self.right_figures, rights)

    def facts_of(self, writer: str, seq: int) -> Iterable[Fact]:
        """Return what an entry says."""
        return list(self._facts[writer, seq].values())

    def keys_of_session(self, location: str, session: str) -> Iterable[Key]:
        """Return the keys that have counts in a session."""
        return [
            key
            for key, counts in self._counts.items()
            if key.location == location and any(one.session == session for one in counts.values())
        ]

    def keys_of_clock_epoch(self, writer: str, epoch: int) -> Iterable[Key]:
        """Return the keys of all movements and counts stamped in a clock epoch, and where its dispatches go."""
        keys: set[Key] = set()
        for facts in list(self._facts.values()):
            for fact in facts.values():
                if isinstance(fact, Movement | Count) and (fact.writer, fact.epoch) == (writer, epoch):
                    keys.add(fact.key)
                    if isinstance(fact, Movement) and fact.transfer is not None:
                        keys.add(_place_of(fact))
        return keys


def _place_of(paper: Movement) -> Key:
    """Return the key where a paper may bear on a count: its destination, or where goods were received."""
    location = paper.destination or paper.location if paper.reason == DISPATCH_REASON else paper.location
    return Key(location, paper.product)


def _write(rows: dict[_K, _V], changes: Mapping[_K, _V | None]) -> None:
    for key, row in changes.items():
        if row is None:
            rows.pop(key, None)
        else:
            rows[key] = row
