"""Stock on hand of one key as a pure function of the set of facts: which observation each movement belongs to.

`derive` reads a key's whole material, or what lies above an opening balance, and returns its `KeyState`.
The incremental engine changes such a state movement by movement with the same relations, so there is one
statement of the rules and not two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from sync.key_state import Doubt, KeyBalance, KeyState, Weighed
from sync.observations import Gathered, Standing, gather, stand
from sync.relation import Ground, Observation, Relating
from sync.stock_facts import (
    DISPATCH_REASON,
    Accept,
    Corrections,
    Count,
    Disagreement,
    Key,
    Movement,
    Policy,
    Side,
    Vector,
    knows,
    names_movement,
    parse_target,
)


class KeyMaterial(msgspec.Struct):
    """Everything in force that bears on one key.

    `papers` are movements and notices of the transfers that touch the key's location; `zones_of` gives the
    plan of each session opened at the location. Where a `balance` stands, movements at or below its cut are
    history: they are inside what it carries, and only an observation that it does not carry looks at them.
    """

    key: Key
    movements: Sequence[Movement] = ()
    counts: Sequence[Count] = ()
    accepts: Sequence[Accept] = ()
    papers: Sequence[Movement] = ()
    zones_of: Mapping[str, tuple[str, ...]] = {}
    balance: KeyBalance | None = None
    cut: Vector = {}
    settled: Vector = {}


class Derived(msgspec.Struct):
    """A key's state with the observations that it came from, for explanations and variances.

    `reaching_below` are the observations that relate to movements which an opening balance no longer tells
    apart: the hub must amend that balance.
    """

    state: KeyState
    gathered: Gathered
    standing: Standing
    reaching_below: list[str]


def derive(material: KeyMaterial, relating: Relating) -> Derived:
    """Weigh all movements of a key against every observation that none supersedes."""
    policy = relating.rules.policy(material.key.product)
    gathered = gather(material.counts, material.zones_of, material.movements, relating, policy)
    if material.balance is not None:
        gathered.observations = _with_carried(gathered.observations, material.balance, material.cut)
    standing = stand(gathered.observations, material.accepts)
    weighing = Weighing(material, relating, gathered, standing)
    state = KeyState(
        total=weighing.total,
        bases=[weighing.weigh(one) for one in sorted(standing.final, key=lambda one: one.id)],
        zone_findings=gathered.zone_findings,
        incomplete=gathered.incomplete,
        contested=gathered.contested,
        disagreeing=standing.disagreeing,
    )
    if policy.disagreement is Disagreement.MANUAL and len(state.bases) > 1:
        held = held_observation(gathered.observations, standing.final, relating.fixes)
        if held is not None:
            state.held = weighing.weigh(held)
    for base in state.bases:
        if suspect_transit(base, material, relating, policy):
            state.watches_transit = True
    if material.balance is not None:
        joined = {one.session for one in material.counts if not knows(material.cut, one.writer, one.seq)}
        weighing.reaching_below.update(one for one in material.balance.closed if one in joined)
        weighing.reaching_below.update(
            finding.session
            for finding, lines in zip(gathered.zone_findings, gathered.contested, strict=True)
            if any(not _covers(line.basis_lo, material.settled) for line in lines)
        )
    return Derived(state, gathered, standing, sorted(weighing.reaching_below))


class Weighing:
    """Weighs movements against observations: afresh from all of them, or onwards from what a balance carries."""

    def __init__(self, material: KeyMaterial, relating: Relating, gathered: Gathered, standing: Standing) -> None:
        """Tell apart what a balance already holds from what lies above it."""
        balance = material.balance
        self._material = material
        self._relating = relating
        self._policy = relating.rules.policy(material.key.product)
        self._widening = gathered.widening
        self._standing = standing
        self._carried = {one.observation.id: one for one in balance.carried} if balance is not None else {}
        self._above = (
            material.movements
            if balance is None
            else [one for one in material.movements if not knows(material.cut, one.writer, one.seq)]
        )
        self._found: dict[str, Weighed] = {}
        self.total = sum([one.quantity for one in self._above]) + (balance.total if balance is not None else 0)
        self.reaching_below: set[str] = set()

    def weigh(self, observation: Observation) -> Weighed:
        """Weigh movements against one observation and the latest that it supersedes."""
        found = self._found.get(observation.id)
        if found is None:
            carried = self._carried.get(observation.id)
            if carried is not None and carried.observation == observation:
                found = self._onwards(carried)
            elif self._material.balance is not None:
                found = self._across(observation)
            else:
                found = self._afresh(observation)
            self._found[observation.id] = found
        return found

    def _start(self, observation: Observation, prior: Observation | None, declared: Iterable[str]) -> Weighed:
        below, above = self._widening.get(observation.id, (0, 0))
        return Weighed(observation, prior, below=below, above=above, declared=tuple(sorted(set(declared))))

    def _is_after(self, movement: Movement, prior: Observation | None) -> bool:
        return prior is None or self._relating.relate(movement, prior, self._policy).counts_after

    def _afresh(self, observation: Observation) -> Weighed:
        chain = self._standing.chain(observation, self._relating.fixes)
        prior = chain[1] if len(chain) > 1 else None
        weighed = self._start(observation, prior, (name for link in chain for name in link.absorbs))
        relate, take, policy = self._relating.relate, weighed.take, self._policy
        for movement in self._above:
            verdict = relate(movement, observation, policy)
            take(movement, verdict, not verdict.counts_after and self._is_after(movement, prior))
        return weighed

    def _onwards(self, carried: Weighed) -> Weighed:
        below, above = carried.below, carried.above
        if not carried.observation.is_known_to(self._material.cut):
            below, above = self._widening.get(carried.observation.id, (0, 0))
        weighed = msgspec.structs.replace(
            carried,
            below=below,
            above=above,
            doubts=list(carried.doubts),
            late=list(carried.late),
            backdated=list(carried.backdated),
            contradicted=list(carried.contradicted),
            suspects=[],
        )
        for movement in self._above:
            verdict = self._relating.relate(movement, weighed.observation, self._policy)
            weighed.take(movement, verdict, not verdict.counts_after and self._is_after(movement, weighed.prior))
        return weighed

    def _across(self, observation: Observation) -> Weighed:
        """Weigh an observation that a balance does not carry.

        What is after it is still here or was unknown to no one; what is between its prior and it follows
        from all that is after the prior.
        """
        if self.reaches_below(observation):
            self.reaching_below.add(observation.id)
        prior = self._standing.prior(observation, self._relating.fixes)
        booked = self.total
        declared = set(observation.absorbs)
        if prior is not None:
            of_prior = self.weigh(prior)
            booked = of_prior.figure()[0] - prior.quantity
            declared.update(of_prior.declared)
        weighed = self._start(observation, prior, declared)
        after_both = 0
        for movement in self._material.movements:
            verdict = self._relating.relate(movement, observation, self._policy)
            weighed.take(movement, verdict, is_after_prior=False)
            if verdict.counts_after and self._is_after(movement, prior):
                after_both += movement.quantity
        weighed.between = booked - after_both
        return weighed

    def reaches_below(self, observation: Observation) -> bool:
        """Tell whether movements that are summed up and gone may lie after an observation, known or declared."""
        settled = self._material.settled
        if any(not _covers(line.basis_lo, settled) for line in observation.lines):
            return True
        for name in observation.not_absorbs:
            try:
                writer, seq, _ = parse_target(name)
            except ValueError:
                return True  # papers of one document or transfer may lie on both sides of the cut
            if knows(settled, writer, seq):
                return True
        return False


def _covers(vector: Vector, lower: Vector) -> bool:
    return all(knows(vector, writer, seq) for writer, seq in lower.items())


def _with_carried(found: Sequence[Observation], balance: KeyBalance, cut: Vector) -> list[Observation]:
    """Add what a balance carries; leave out what it no longer needed and a kept entry still tells."""
    carried = {
        one.observation.id: one.observation
        for one in balance.carried
        # An entry above the cut speaks for itself: taken out, it is gone.
        if any(knows(cut, *entry) for entry in one.observation.entries)
    }
    merged = {one.id: one for one in found if not one.is_known_to(cut)}
    return list({**carried, **merged}.values())


def held_observation(
    observations: Sequence[Observation], final: Sequence[Observation], fixes: Corrections
) -> Observation | None:
    """Return the newest count that every one of the disagreeing counters knew."""
    names = {one.id for one in final}
    known = [one for one in observations if one.id not in names and all(o.supersedes(one) for o in final)]
    return max(known, key=lambda one: one.moment(fixes), default=None)


def suspect_transit(base: Weighed, material: KeyMaterial, relating: Relating, policy: Policy) -> bool:
    """Doubt receipts of goods that a count seems to have counted on their way; tell whether any could be.

    A count that exceeds the book by just what was dispatched to it has probably counted the goods, though
    their receipt was keyed later (rule 5). Returns True where a changed variance would decide otherwise.
    """
    observation, location = base.observation, material.key.location
    by_transfer: dict[str, list[Movement]] = {}
    for paper in material.papers:
        if paper.transfer is not None:
            by_transfer.setdefault(paper.transfer, []).append(paper)
    is_candidate = False
    for transfer, papers in sorted(by_transfer.items()):
        dispatches = sorted(
            (one for one in papers if one.reason == DISPATCH_REASON and one.destination == location),
            key=lambda one: (one.writer, one.seq, one.line),
        )
        receipts = [one for one in papers if one.reason != DISPATCH_REASON and one.location == location]
        quantity = -sum(one.quantity for one in dispatches)
        if not dispatches or quantity <= 0:
            continue
        if any(
            names_movement(names, one)
            for names in (observation.absorbs, observation.not_absorbs)
            if names
            for one in (*dispatches, *receipts)
        ):
            continue
        first = dispatches[0]
        if first.zone is not None and first.location != location:
            first = msgspec.structs.replace(first, zone=None)  # a zone of the sender's says nothing here
        if relating.relate(first, observation, policy).counts_after:
            continue
        verdicts = [relating.relate(one, observation, policy) for one in receipts]
        if any(verdict.side is not Side.AFTER for verdict in verdicts):
            continue
        # A person's verdict on a receipt stands: it is how this very doubt is settled.
        doubted = [r for r, v in zip(receipts, verdicts, strict=True) if v.ground is not Ground.CLASSIFIED]
        if receipts and not doubted:
            continue
        is_candidate = True
        if abs(base.variance - quantity) > policy.tolerance(quantity, quantity):
            continue
        base.suspects.append(transfer)
        for receipt in doubted:
            base.certain -= receipt.quantity
            base.doubts.append(Doubt(receipt, receipt.quantity < 0, is_transit=True))
    return is_candidate
