"""The incremental fold that a node and the hub embed: new facts in, changed figures and conflicts out.

Goal: what an ordinary sale costs here must not depend on how much a shop has sold. A key without
counts is a sum; a key with counts keeps the observations that none supersedes, each with what the
movements added, and relates a new movement to those alone. Whatever is rarer (a resolution, a clock
fix, a session, a transfer's paper) derives its keys afresh with the same functions as the batch fold,
so both always agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TypeVar

import msgspec

from sync.conflicts import Conflict, ConflictChanges
from sync.fold import clock_conflict, cut_of
from sync.fold_digest import conflict_term, figure_term
from sync.key_state import KeyState, Weighed, evaluate
from sync.observations import plain_observation, stand
from sync.on_hand import KeyMaterial, derive
from sync.relation import Observation, Relating
from sync.resolutions import Classifications, corrections, effective_targets, is_voided
from sync.rights import RightsFigure, judge_rights
from sync.stock_facts import (
    DISPATCH_REASON,
    Accept,
    Classify,
    ClockFix,
    ConflictCode,
    Corrections,
    Count,
    Disagreement,
    Fact,
    Grant,
    Key,
    Movement,
    Notice,
    Policy,
    Promise,
    PromiseEnd,
    RightMove,
    Rules,
    SessionOpen,
    Side,
    Status,
    Void,
    parse_target,
)
from sync.stock_store import StockStore, StoredFigure, TransferKey
from sync.transit import TransferState, judge_transfer

_F = TypeVar("_F", bound=Fact)


class FoldChanges(msgspec.Struct):
    """What a batch of facts changed; `digest_change` is to be added to the fold digest modulo 2^256.

    `reaching_below` names observations whose figure needs an amended opening balance from the hub.
    """

    figures: dict[Key, StoredFigure | None]
    transfers: dict[TransferKey, TransferState | None]
    conflicts: ConflictChanges
    digest_change: int = 0
    reaching_below: dict[Key, list[str]] = {}
    rights: dict[Key, RightsFigure | None] = {}


class StockFold:
    """Folds facts into the figures of one store."""

    def __init__(self, store: StockStore, rules: Rules) -> None:
        """Bind the store and the settings; changed settings need a new engine and `rederive`."""
        self._store = store
        self._rules = rules

    def ingest(self, facts: Iterable[Fact], below: Iterable[Fact] = ()) -> FoldChanges:
        """Fold facts that the store already holds and that were never ingested before, in any order.

        Those `below` lie at or below an opening balance that keeps them: what they bear on is derived afresh.
        """
        work = _Work(self._store, self._rules)
        work.sort(facts)
        for fact in below:
            work.touch(fact)
        return work.finish()

    def rederive(self, keys: Iterable[Key]) -> FoldChanges:
        """Derive keys afresh from the store, with the transfers that touch them: after a change of settings."""
        work = _Work(self._store, self._rules)
        work.dirty.update(keys)
        work.dirty_rights.update(self._store.load_rights(work.dirty))
        work.touch_transfers()
        return work.finish()

    def stand(self, keys: Iterable[Key], transfers: Iterable[TransferKey]) -> FoldChanges:
        """Derive keys and transfers afresh on opening balances that were put below them."""
        work = _Work(self._store, self._rules)
        work.dirty.update(keys)
        work.dirty_transfers.update(transfers)
        work.touch_transfers()
        return work.finish()

    def material(self, key: Key) -> tuple[KeyMaterial, Relating]:
        """Return what bears on one key and the settings that relate it, as the fold itself reads them: to explain."""
        work = _Work(self._store, self._rules)
        return work.material(key), work.relating

    def relating(self) -> Relating:
        """Return the settings, corrections and verdicts by which the store's movements are related now."""
        return _Work(self._store, self._rules).relating

    def standing(self, facts: Iterable[_F]) -> list[_F]:
        """Return those facts that no VOID in force takes out."""
        return _Work(self._store, self._rules).in_force(facts)

    def rejudge_rights(self, keys: Iterable[Key]) -> FoldChanges:
        """Judge the rights on keys anew: whose place it is has changed."""
        work = _Work(self._store, self._rules)
        work.dirty_rights.update(keys)
        return work.finish()

    def reconsider(self, facts: Iterable[Fact]) -> FoldChanges:
        """Derive afresh all that facts bear on which the store now returns, or no longer returns, after all."""
        work = _Work(self._store, self._rules)
        for fact in facts:
            work.touch(fact)
        return work.finish()


class _Work:
    """One batch on its way through the engine: what it touches, and what came of it."""

    def __init__(self, store: StockStore, rules: Rules) -> None:
        self.store = store
        self.rules = rules
        self.dirty: set[Key] = set()
        self.dirty_if_counted: set[Key] = set()
        self.dirty_transfers: set[TransferKey] = set()
        self.dirty_rights: set[Key] = set()
        self.clocks_touched = False
        self.moved: dict[Key, list[Movement]] = defaultdict(list)
        self.counted: dict[Key, list[Count]] = defaultdict(list)
        self.declared: dict[Key, tuple[str, ...]] = {}
        self.changes = FoldChanges({}, {}, ConflictChanges.none())
        self._touched: set[tuple[str, int]] = set()
        self._plans_at: dict[str, dict[str, tuple[str, ...]]] = {}

    # What is in force, read at most once per batch and only where something rare needs it.

    @cached_property
    def taken_out(self) -> frozenset[str]:
        return effective_targets(self.store.voids())

    def in_force(self, facts: Iterable[_F]) -> list[_F]:
        taken_out = self.taken_out
        if not taken_out:
            return list(facts)
        return [one for one in facts if not is_voided(taken_out, one.writer, one.seq, getattr(one, "line", 0))]

    @cached_property
    def fixes(self) -> Corrections:
        found = list(self.store.clock_fixes())
        return corrections(self.in_force(found)) if found else {}

    @cached_property
    def relating(self) -> Relating:
        found = list(self.store.classifications())
        return Relating(self.rules, self.fixes, Classifications(self.in_force(found)) if found else None)

    @cached_property
    def relating_unnamed(self) -> Relating:
        """Relates movements that no person's verdict names."""
        return Relating(self.rules, self.fixes)

    # Which keys, transfers and clocks facts bear on.

    def sort(self, facts: Iterable[Fact]) -> None:
        named = self.store.named_entries()
        moved = self.moved
        for fact in facts:
            kind = type(fact)
            if named and (fact.writer, fact.seq) in named:
                self.touch(fact)
            elif kind is Movement:
                movement: Movement = fact  # type: ignore[assignment]
                moved[Key(movement.location, movement.product)].append(movement)
                if movement.transfer is not None:
                    self._touch_paper(movement)
            elif isinstance(fact, Notice):
                self._touch_paper(fact)
            elif isinstance(fact, Count) and fact.session is None:
                self.counted[fact.key].append(fact)
            else:
                self.touch(fact)

    def _touch_paper(self, paper: Movement) -> None:
        if paper.transfer is None:
            return
        self.dirty_transfers.add((paper.transfer, paper.product))
        if paper.reason != DISPATCH_REASON:
            self.dirty_if_counted.add(paper.key)
        elif paper.destination is not None:
            self.dirty_if_counted.add(Key(paper.destination, paper.product))

    def touch(self, fact: Fact) -> None:
        """Have everything that a fact bears on derived afresh."""
        match fact:
            case Movement():
                if not isinstance(fact, Notice):
                    self.dirty.add(fact.key)
                self._touch_paper(fact)
            case Count():
                self.dirty.add(fact.key)
            case SessionOpen():
                self.dirty.update(self.store.keys_of_session(fact.location, fact.session))
            case Accept():
                self.dirty.add(Key(fact.location, fact.product))
            case Classify():
                self._touch_entry(fact.movement)
            case Void():
                self._touch_entry(fact.target)
            case Grant() | RightMove() | Promise() | PromiseEnd():
                self.dirty_rights.add(Key(fact.location, fact.product))
            case ClockFix():
                self.clocks_touched = True
                self.dirty_if_counted.update(self.store.keys_of_clock_epoch(fact.target_writer, fact.target_epoch))

    def _touch_entry(self, target: str) -> None:
        try:
            writer, seq, _ = parse_target(target)
        except ValueError:
            return
        if (writer, seq) in self._touched:
            return
        self._touched.add((writer, seq))
        for fact in self.store.facts_of(writer, seq):
            self.touch(fact)

    def touch_transfers(self) -> None:
        """Have every transfer that touches a key to be derived judged again."""
        for key in self.dirty:
            self._touch_transfers_of(key)

    def _touch_transfers_of(self, key: Key) -> None:
        self.dirty_transfers.update(
            (paper.transfer, paper.product) for paper in self.store.papers_touching(key) if paper.transfer is not None
        )

    # The keys.

    def finish(self) -> FoldChanges:
        keys = {*self.moved, *self.counted, *self.dirty, *self.dirty_if_counted}
        stored = self.store.load_figures(keys) if keys else {}
        counted = {key for key in self.dirty_if_counted if (row := stored.get(key)) is not None and row.state}
        self.store.prepare(self.dirty | counted)
        figures = self.changes.figures
        digest_change = 0
        for key in keys:
            old = stored.get(key)
            if key not in self.dirty and key not in self.counted and (old is None or old.state is None):
                movements = self.moved.get(key)
                if movements is None:
                    continue
                if old is None and any(True for _ in self.store.accepts(key)):
                    # Choices between counts came before all that they bear on: they may disagree.
                    self.dirty.add(key)
                    self._fold_key(key, None)
                    continue
                total = sum([one.quantity for one in movements])
                if old is not None:
                    if total == 0:
                        continue
                    was = old.value
                    total += was
                    digest_change -= figure_term(key, was, was, was)
                else:
                    was = 0
                digest_change += figure_term(key, total, total, total)
                figures[key] = StoredFigure(total, total, total, None)
                if (total < 0) is not (was < 0):
                    self.changes.digest_change += self._compare(_negative(key, was), _negative(key, total))
                continue
            self._fold_key(key, old)
        if figures:
            self.store.save_figures(figures)
        self.changes.digest_change += digest_change
        self._judge_transfers()
        self._judge_rights()
        self._report_clocks()
        return self.changes

    def _fold_key(self, key: Key, old: StoredFigure | None) -> None:
        policy = self.rules.policy(key.product)
        before = KeyState() if old is None or old.state is None else KeyState.from_bytes(old.state)
        if old is not None and old.state is None:
            before.total = old.value
            before.reported = _negative(key, old.value)
        reported, declared = before.reported, before.declared
        state: KeyState | None = None
        is_present = True
        if key not in self.dirty and key not in self.dirty_if_counted:
            state = self._advance(key, before, policy)
        if state is None:
            state, is_present = self._derive(key)
        if not is_present:
            self._put(key, old, None)
            self.changes.digest_change += self._compare(reported, [])
            after: tuple[str, ...] = ()
        else:
            figure = evaluate(key, state, policy, self.fixes)
            state.reported = sorted(figure.conflicts, key=lambda one: (one.code, one.subject))
            after = state.declared = figure.giver.declared if figure.giver is not None else ()
            content = None if state.is_plain_sum else state.to_bytes()
            self._put(key, old, StoredFigure(figure.value, figure.lo, figure.hi, content))
            if reported != state.reported:
                self.changes.digest_change += self._compare(reported, state.reported)
        self.declared[key] = after
        if declared != after:
            self._touch_transfers_of(key)

    def _put(self, key: Key, old: StoredFigure | None, new: StoredFigure | None) -> None:
        if old == new:
            return
        self.changes.figures[key] = new
        if old is not None and new is not None and old[:3] == new[:3]:
            return
        if old is not None:
            self.changes.digest_change -= figure_term(key, old.value, old.lo, old.hi)
        if new is not None:
            self.changes.digest_change += figure_term(key, new.value, new.lo, new.hi)

    def _compare(self, before: list[Conflict], after: list[Conflict]) -> int:
        self.changes.conflicts.compare(before, after)
        return sum(conflict_term(one) for one in after) - sum(conflict_term(one) for one in before)

    def material(self, key: Key) -> KeyMaterial:
        """Read what bears on a key, without what VOIDs in force take out."""
        balance = self.store.opening_balance(key)
        return KeyMaterial(
            key,
            self.in_force(self.store.movements(key)),
            self.in_force(self.store.counts(key)),
            self.in_force(self.store.accepts(key)),
            self.in_force(self.store.papers_touching(key)),
            self._plans(key.location),
            balance,
            *cut_of(balance, self.store.cut()),
        )

    def _plans(self, location: str) -> dict[str, tuple[str, ...]]:
        """Return the zones of each session opened at a location."""
        plans = self._plans_at.get(location)
        if plans is None:
            plans = self._plans_at[location] = {}
            for opened in self.in_force(self.store.sessions(location)):
                plans[opened.session] = tuple(sorted({*plans.get(opened.session, ()), *opened.zones}))
        return plans

    def _derive(self, key: Key) -> tuple[KeyState, bool]:
        material = self.material(key)
        derived = derive(material, self.relating)
        if derived.reaching_below:
            self.changes.reaching_below[key] = derived.reaching_below
        is_present = bool(
            material.movements
            or material.counts
            or material.balance
            or any(True for _ in self.store.movements(key))  # a voided movement keeps the key in the tables
            or any(True for _ in self.store.counts(key))
        )
        return derived.state, is_present

    def _advance(self, key: Key, state: KeyState, policy: Policy) -> KeyState | None:
        """Take movements and a plain count into a state; None where the key must be derived afresh."""
        for movement in self.moved.get(key, ()):
            if not self._take(state, movement, policy):
                return None
        counts = self.counted.get(key)
        if not counts:
            return state
        return self._admit(key, state, counts[0], policy) if len(counts) == 1 else None

    def _take(self, state: KeyState, movement: Movement, policy: Policy) -> bool:
        state.total += movement.quantity
        bases = state.bases
        if len(bases) > 1 and policy.disagreement is Disagreement.MANUAL:
            return False
        relating = self.relating_unnamed
        for lines in state.contested:
            if movement.zone is None or movement.zone == lines[0].zone:
                sides = {relating.relate_lines(movement, (line,), policy).side for line in lines}
                if len(sides) > 1 or Side.AMBIGUOUS in sides:
                    return False
        for base in bases:
            verdict = relating.relate(movement, base.observation, policy)
            if verdict.side is not Side.AFTER and state.watches_transit:
                return False
            prior = base.prior
            base.take(
                movement,
                verdict,
                not verdict.counts_after and (prior is None or relating.relate(movement, prior, policy).counts_after),
            )
        return True

    def _admit(self, key: Key, state: KeyState, count: Count, policy: Policy) -> KeyState | None:
        """Take one plain count into a state, looking only at movements that its counter did not know."""
        counts = self.in_force(self.store.counts(key))
        if (
            any(one.session is not None or one.absorbs or one.not_absorbs for one in counts)
            or (not state.is_plain_sum and (state.zone_findings or state.incomplete or state.disagreeing))
            or self.store.opening_balance(key) is not None
            or any(True for _ in self.store.accepts(key))
            or any(True for _ in self.store.papers_touching(key))
        ):
            return None
        arrived = plain_observation(count)
        if any(one.observation in arrived.names for one in self.store.classifications()):
            return None
        standing = stand([plain_observation(one) for one in counts], [])
        if len(standing.final) > 1 and policy.disagreement is Disagreement.MANUAL:
            return None
        known = {base.observation.id: base for base in state.bases}
        bases: list[Weighed] = []
        for observation in sorted(standing.final, key=lambda one: one.id):
            prior = standing.prior(observation, self.fixes)
            base = known.get(observation.id)
            if base is not None:
                if (prior and prior.id) != (base.prior and base.prior.id):
                    return None
            elif observation.id != arrived.id or (prior is not None and prior.id not in known):
                return None
            else:
                base = self._weigh_arrived(key, state, arrived, known[prior.id] if prior else None, policy)
            bases.append(base)
        state.bases = bases
        state.held = None  # what a policy fell back on while counts disagreed; these here do not, or need none
        return state

    def _weigh_arrived(
        self, key: Key, state: KeyState, observation: Observation, prior: Weighed | None, policy: Policy
    ) -> Weighed:
        relating = self.relating
        basis = _common(observation)
        # A movement of one zone is judged by that zone's looks alone: the first look to end decides what is read.
        hi = min(line.span(self.fixes)[1] for line in observation.lines)
        slowest = min((fix.offset_ms for fix in self.fixes.values()), default=0)
        weighed = Weighed(observation, prior.observation if prior is not None else None)
        after_both = 0
        for movement in self.in_force(self.store.movements(key, basis, hi + min(0, slowest))):
            verdict = relating.relate(movement, observation, policy)
            weighed.take(movement, verdict, is_after_prior=False)
            if verdict.counts_after and (
                prior is None or relating.relate(movement, prior.observation, policy).counts_after
            ):
                after_both += movement.quantity
        booked = state.total if prior is None else prior.figure()[0] - prior.observation.quantity
        weighed.between = booked - after_both
        return weighed

    # Transfers and clocks, after the keys.

    def _judge_transfers(self) -> None:
        if not self.dirty_transfers:
            return
        stored = self.store.load_transfers(self.dirty_transfers)
        papers: dict[TransferKey, list[Movement]] = defaultdict(list)
        for paper in self.in_force(self.store.papers(self.dirty_transfers)):
            if paper.transfer is not None:
                papers[paper.transfer, paper.product].append(paper)
        for name in sorted(self.dirty_transfers):
            old = stored.get(name)
            new = judge_transfer(*name, papers[name], self._declared_at) if papers[name] else None
            if old == new:
                continue
            self.changes.transfers[name] = new
            self.changes.digest_change += self._compare(_reported(old), _reported(new))
        if self.changes.transfers:
            self.store.save_transfers(self.changes.transfers)

    def _declared_at(self, key: Key) -> Sequence[str]:
        if key not in self.declared:
            row = self.store.load_figures([key]).get(key)
            has_state = row is not None and row.state is not None
            self.declared[key] = KeyState.from_bytes(row.state).declared if has_state else ()  # type: ignore[union-attr, arg-type]
        return self.declared[key]

    def _judge_rights(self) -> None:
        """Judge the rights on keys whose figure changed, and on those that a right or promise names."""
        keys = {*self.changes.figures, *self.dirty_rights}
        if not keys:
            return
        stored = self.store.load_rights(keys)
        for key in sorted({*stored, *self.dirty_rights}):
            old = stored.get(key)
            row = self.store.load_figures([key]).get(key)
            facts = self.in_force(self.store.rights(key))
            homes = self.rules.homes.get(key.location, ())
            new = judge_rights(key, row.lo if row is not None else 0, facts, homes)
            if old == new:
                continue
            self.changes.rights[key] = new
            self.changes.digest_change += self._compare(
                list(old.conflicts) if old is not None else [], list(new.conflicts) if new is not None else []
            )
        if self.changes.rights:
            self.store.save_rights(self.changes.rights)

    def _report_clocks(self) -> None:
        if not self.clocks_touched:
            return
        before, after = set(self.store.corrected_epochs()), set(self.fixes)
        if before == after:
            return
        self.store.save_corrected_epochs(after)
        self.changes.digest_change += self._compare(
            [clock_conflict(*epoch) for epoch in sorted(before)], [clock_conflict(*epoch) for epoch in sorted(after)]
        )


def _common(observation: Observation) -> dict[str, int]:
    """Return what every line's counter knew when its look began."""
    first, *others = observation.lines
    return {
        writer: min(seq, *(line.basis_lo.get(writer, 0) for line in others)) if others else seq
        for writer, seq in first.basis_lo.items()
    }


def _negative(key: Key, value: int) -> list[Conflict]:
    return [Conflict(ConflictCode.NEGATIVE_STOCK, Status.OPEN, str(key))] if value < 0 else []


def _reported(state: TransferState | None) -> list[Conflict]:
    return [state.conflict] if state is not None and state.conflict is not None else []
