"""What is remembered of a key between facts, and the figure and conflicts that it amounts to.

A state holds every observation that still matters with the movements weighed against it. `evaluate` is
the one place where a state becomes value, range and conflicts, for the batch fold and the incremental
engine alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from sync.conflicts import Conflict
from sync.observations import ZoneFinding
from sync.relation import Ground, Line, Observation, Verdict, expanded_hull
from sync.stock_facts import ConflictCode, Corrections, Disagreement, Key, Movement, Policy, Side, Status, line_id

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
                base.doubts or base.late or base.backdated or base.contradicted or base.suspects for base in self.bases
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
_CANONICAL = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(KeyState)


def canonical_state(content: bytes) -> bytes:
    """Return a stored state in the one order in which two replicas of one set must agree on it, to the byte.

    What cannot be read as a state is returned as it is.
    """
    try:
        state = KeyState.from_bytes(content)
    except (msgspec.MsgspecError, ValueError):
        return content
    for base in (*state.bases, *([state.held] if state.held is not None else [])):
        base.doubts.sort(key=lambda doubt: _ref(doubt.movement))
        for refs in (base.late, base.backdated, base.contradicted):
            refs.sort()
        base.suspects.sort()
    state.bases.sort(key=lambda base: base.observation.id)
    state.zone_findings.sort(key=repr)
    state.incomplete.sort()
    state.contested.sort(key=repr)
    state.reported.sort(key=lambda one: (one.code, one.key, one.subject))
    return _CANONICAL.encode(state)


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
