"""Stock on hand of one key as a pure function of the set of facts: the one place where the figure is decided.

`derive` reads a key's whole material and returns its `KeyState`: every observation that still matters,
with the movements weighed against it. `evaluate` turns a state into value, range and conflicts. The
incremental engine changes a state movement by movement and evaluates it with the same function, so
there is one statement of the rules and not two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from sync.conflicts import Conflict
from sync.observations import Gathered, Standing, ZoneFinding, gather, stand
from sync.relation import Ground, Line, Observation, Relating, Verdict, expanded_hull
from sync.stock_facts import (
    DISPATCH_REASON,
    Accept,
    ConflictCode,
    Corrections,
    Count,
    Disagreement,
    Key,
    Movement,
    Policy,
    Side,
    Status,
    Vector,
    knows,
    line_id,
    names_movement,
    parse_target,
)

MovementRef = tuple[str, int, int]
"""Writer, sequence and line of a movement."""


class Doubt(msgspec.Struct, frozen=True, array_like=True):
    """A movement that no rule could order, kept whole: a later fact may settle it."""

    movement: Movement
    counts_after: bool
    is_transit: bool = False


class Weighed(msgspec.Struct, array_like=True):
    """One observation with what the movements add to it.

    `certain` is the sum of movements surely after it; `between` the net movement after `prior` and
    before it, which is what the book expected on top of the prior count. `declared` are the names
    absorbed along the chain of counts that ends here; `suspects` the transfers it may hold twice.
    """

    observation: Observation
    prior: Observation | None = None
    certain: int = 0
    between: int = 0
    below: int = 0
    above: int = 0
    doubts: list[Doubt] = []
    late: list[MovementRef] = []
    backdated: list[MovementRef] = []
    contradicted: list[MovementRef] = []
    suspects: list[str] = []
    declared: tuple[str, ...] = ()

    def take(self, movement: Movement, verdict: Verdict, is_after_prior: bool) -> None:
        """Weigh one movement by its verdict against this observation and the pick against its prior."""
        if verdict.side is Side.AFTER:
            self.certain += movement.quantity
        elif verdict.side is Side.AMBIGUOUS:
            self.doubts.append(Doubt(movement, verdict.counts_after))
        elif verdict.ground is Ground.CLOCK:
            (self.backdated if verdict.is_backdated else self.late).append(_ref(movement))
        if verdict.is_contradicted:
            self.contradicted.append(_ref(movement))
        if is_after_prior and not verdict.counts_after:
            self.between += movement.quantity

    def figure(self) -> tuple[int, int, int]:
        """Return the estimate and its range."""
        value = lo = hi = self.observation.quantity + self.certain
        lo += self.below
        hi += self.above
        for doubt in self.doubts:
            quantity = doubt.movement.quantity
            if doubt.counts_after:
                value += quantity
            if quantity < 0:
                lo += quantity
            else:
                hi += quantity
        return value, lo, hi

    @property
    def variance(self) -> int:
        """Return counted minus book at this count."""
        prior = self.prior.quantity if self.prior is not None else 0
        return self.observation.quantity - prior - self.between


class KeyState(msgspec.Struct, array_like=True):
    """What is remembered of a key between facts.

    `held` is the count that policy `manual` falls back on; `reported` are the conflicts as last told to the
    inbox, and `declared` the names absorbed along the chain of the value: both are compared after a change.
    """

    total: int = 0
    bases: list[Weighed] = []
    held: Weighed | None = None
    zone_findings: list[ZoneFinding] = []
    incomplete: list[str] = []
    contested: list[tuple[Line, ...]] = []
    disagreeing: tuple[str, ...] = ()
    watches_transit: bool = False
    reported: list[Conflict] = []
    declared: tuple[str, ...] = ()

    @property
    def is_plain_sum(self) -> bool:
        """Tell whether the total alone says everything, so that no state need be kept."""
        return not (self.bases or self.zone_findings or self.incomplete or self.disagreeing)

    @property
    def is_uneventful(self) -> bool:
        """Tell whether nothing but a negative or disputed value could be reported: what a sale mostly meets."""
        return not (
            self.zone_findings
            or self.incomplete
            or self.disagreeing
            or any(
                base.doubts or base.late or base.backdated or base.contradicted or base.suspects
                for base in self.bases
            )
        )

    def to_bytes(self) -> bytes:
        """Return the state as MessagePack."""
        return _ENCODER.encode(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> KeyState:
        """Read a state that `to_bytes` wrote."""
        return _DECODER.decode(content)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(KeyState)


class Figure(msgspec.Struct):
    """The figure of a key: book stock, its range, what is reported beside it, and the observation that gives it."""

    value: int
    lo: int
    hi: int
    conflicts: list[Conflict]
    giver: Weighed | None


class KeyBalance(msgspec.Struct, frozen=True, array_like=True):
    """What is carried of a key at a cut: the sum below it, and every weighed observation that may still matter.

    `closed` are the sessions completed here below the cut; a line that still joins one of them asks for an
    amended balance. `kept_at` is an earlier (cut, settled) at which this balance still stands, because
    the key's entries above it are kept whole.
    """

    location: str
    product: str
    total: int
    carried: tuple[Weighed, ...] = ()
    closed: tuple[str, ...] = ()
    kept_at: tuple[dict[str, int], dict[str, int]] | None = None

    @property
    def key(self) -> Key:
        """Return the place that this is the balance of."""
        return Key(self.location, self.product)


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
        self._above = [
            one for one in material.movements if balance is None or not knows(material.cut, one.writer, one.seq)
        ]
        self._found: dict[str, Weighed] = {}
        self.total = sum(one.quantity for one in self._above) + (balance.total if balance is not None else 0)
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
        for movement in self._above:
            verdict = self._relating.relate(movement, observation, self._policy)
            weighed.take(movement, verdict, not verdict.counts_after and self._is_after(movement, prior))
        return weighed

    def _onwards(self, carried: Weighed) -> Weighed:
        weighed = msgspec.structs.replace(
            carried,
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
        if self._reaches_below(observation):
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

    def _reaches_below(self, observation: Observation) -> bool:
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
    carried = {one.observation.id: one.observation for one in balance.carried}
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


def evaluate(key: Key, state: KeyState, policy: Policy, fixes: Corrections) -> Figure:
    """Return the figure that a state amounts to, and everything reported about the key."""
    figure = _settle(key, state, policy, fixes)
    conflicts = figure.conflicts
    if figure.value >= 0 and len(state.bases) <= 1 and state.is_uneventful:
        return figure
    name = str(key)
    for base in state.bases:
        conflicts.extend(
            Conflict(ConflictCode.TRANSIT_SUSPECT_DOUBLE, Status.OPEN, name, (base.observation.id, one), one)
            for one in base.suspects
            if not any(c.code is ConflictCode.TRANSIT_SUSPECT_DOUBLE and c.subject == one for c in conflicts)
        )
    conflicts.extend(
        Conflict(
            ConflictCode.ZONE_AGREE if finding.agrees else ConflictCode.ZONE_RECOUNT,
            Status.INFO if finding.agrees else Status.OPEN,
            name,
            finding.refs,
            f"{finding.session}/{finding.zone or ''}",
        )
        for finding in state.zone_findings
    )
    conflicts.extend(
        Conflict(ConflictCode.SESSION_INCOMPLETE, Status.INFO, name, (session,), session)
        for session in state.incomplete
    )
    if state.disagreeing:
        conflicts.append(
            Conflict(
                ConflictCode.RESOLUTION_DISAGREE, Status.OPEN, name, state.disagreeing, " ".join(state.disagreeing)
            )
        )
    if figure.value < 0:
        conflicts.append(Conflict(ConflictCode.NEGATIVE_STOCK, Status.OPEN, name))
    if figure.giver is not None:
        conflicts.extend(_evidence(name, figure.giver, figure.value, policy))
    return figure


def _settle(key: Key, state: KeyState, policy: Policy, fixes: Corrections) -> Figure:
    bases = state.bases
    if not bases:
        return Figure(state.total, state.total, state.total, [], None)
    if len(bases) == 1:
        return Figure(*bases[0].figure(), [], bases[0])
    figures = [base.figure() for base in bases]
    moments = [base.observation.moment(fixes) for base in bases]
    places = range(len(bases))
    latest = max(places, key=moments.__getitem__)
    refs = tuple(
        base.observation.id for base in sorted(bases, key=lambda one: (one.observation.entries, one.observation.id))
    )
    if all(_agree(figures[a], figures[b], policy) for a in places for b in places if a < b):
        agreed = Conflict(ConflictCode.COUNT_AGREE, Status.INFO, str(key), refs, " ".join(refs))
        return Figure(*figures[latest], [agreed], bases[latest])
    giver: Weighed | None = bases[latest]
    status = Status.OPEN
    match policy.disagreement:
        case Disagreement.LATEST:
            value = figures[latest][0]
            if _are_disjoint([base.observation for base in bases], fixes):
                status = Status.AUTO
        case Disagreement.AUTHORITY:
            place = max(places, key=lambda one: (bases[one].observation.rank, moments[one]))
            value, giver = figures[place][0], bases[place]
        case Disagreement.LOWEST:
            place = min(places, key=lambda one: (figures[one][0], moments[one]))
            value, giver = figures[place][0], bases[place]
        case Disagreement.AVERAGE:
            mean = sum(figure[0] for figure in figures) // len(figures)
            value = mean // policy.step * policy.step
        case Disagreement.MANUAL:
            giver = state.held
            value = state.total if giver is None else giver.figure()[0]
    lo = min(value, *(figure[1] for figure in figures))
    hi = max(value, *(figure[2] for figure in figures))
    conflict = Conflict(ConflictCode.COUNT_DISAGREE, status, str(key), refs, " ".join(refs))
    return Figure(value, lo, hi, [conflict], giver)


def _agree(a: tuple[int, int, int], b: tuple[int, int, int], policy: Policy) -> bool:
    gap = max(0, a[1] - b[2], b[1] - a[2])
    return gap <= policy.tolerance(a[0], b[0])


def _are_disjoint(observations: Sequence[Observation], fixes: Corrections) -> bool:
    looks: list[tuple[int, int]] = []
    for one in observations:
        look = expanded_hull(one.lines, fixes)
        if look is None:
            return False
        looks.append(look)
    looks.sort()
    return all(earlier[1] < later[0] for earlier, later in pairwise(looks))


def _evidence(name: str, giver: Weighed, value: int, policy: Policy) -> list[Conflict]:
    subject = giver.observation.id
    found: list[Conflict] = []
    doubts = [doubt.movement for doubt in giver.doubts if not doubt.is_transit]
    if doubts:
        exposure = sum(abs(one.quantity) for one in doubts)
        status = Status.OPEN if exposure > policy.tolerance(value, value) else Status.AUTO
        refs = render_refs([_ref(one) for one in doubts])
        found.append(Conflict(ConflictCode.AMBIGUOUS_ORDER, status, name, refs, subject))
    for code, movements in (
        (ConflictCode.LATE_ABSORBED, giver.late),
        (ConflictCode.BACKDATED_ABSORBED, giver.backdated),
        (ConflictCode.CLOCK_VIOLATION, giver.contradicted),
    ):
        if movements:
            found.append(Conflict(code, Status.INFO, name, render_refs(movements), subject))
    return found


def render_refs(movements: Sequence[MovementRef]) -> tuple[str, ...]:
    """Return movement ids in the order of writer, sequence and line."""
    return tuple(line_id(*one) for one in sorted(movements))


def _ref(movement: Movement) -> MovementRef:
    return movement.writer, movement.seq, movement.line
