"""The relation of a movement to an observation: already in the count, to be applied on top, or undecidable.

An observation is one plain count or a complete session of zones. What its counter's node already held
decides first, whatever the clocks say; clocks decide only between entries that did not know each other,
and only where their bounds leave no doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from sync.resolutions import Classifications
from sync.stock_facts import (
    AmbiguousPick,
    Corrections,
    Count,
    Look,
    Movement,
    Policy,
    Rank,
    Rules,
    Side,
    knows,
    names_movement,
)


class Line(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A look together with what its entry says about writer, clock and rank."""

    writer: str
    seq: int
    line: int
    quantity: int
    lo: int
    hi: int
    unc_ms: int | None
    epoch: int
    basis_lo: Mapping[str, int]
    basis_hi: Mapping[str, int]
    zone: str | None
    rank: Rank

    @classmethod
    def of(cls, count: Count, look: Look) -> Line:
        """Bind a look to its count's entry."""
        return cls(
            count.writer,
            count.seq,
            count.line,
            look.quantity,
            look.lo,
            look.hi,
            count.unc_ms,
            count.epoch,
            look.basis_lo,
            look.basis_hi,
            look.zone,
            count.rank,
        )

    def span(self, fixes: Corrections) -> tuple[int, int]:
        """Return first and last touch by the corrected clock, without its bound."""
        fix = fixes.get((self.writer, self.epoch)) if fixes else None
        return (self.lo, self.hi) if fix is None else (self.lo - fix.offset_ms, self.hi - fix.offset_ms)

    def bound(self, fixes: Corrections) -> int | None:
        """Return the bound on the clock's error; None where it is unknown."""
        fix = fixes.get((self.writer, self.epoch)) if fixes else None
        return self.unc_ms if fix is None else fix.unc_ms


class Observation(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the rules compare movements with: the chosen lines of one plain count or of one complete session.

    `entries` are all its entries, also those whose lines lost in their zone.
    """

    id: str
    lines: tuple[Line, ...]
    entries: tuple[tuple[str, int], ...]
    absorbs: tuple[str, ...] = ()
    not_absorbs: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def quantity(self) -> int:
        """Return what was counted in all."""
        return sum(line.quantity for line in self.lines)

    @property
    def rank(self) -> Rank:
        """Return the lowest rank among the chosen lines."""
        return min(line.rank for line in self.lines)

    def is_known_to(self, vector: Mapping[str, int]) -> bool:
        """Tell whether a vector covers every entry of this observation."""
        return all(knows(vector, writer, seq) for writer, seq in self.entries)

    def supersedes(self, earlier: Observation) -> bool:
        """Tell whether every counter's node held all of the earlier observation when its look began."""
        return all(earlier.is_known_to(line.basis_lo) for line in self.lines)

    def moment(self, fixes: Corrections) -> tuple[int, str, int]:
        """Return the place in the total order that `latest` means: twice the middle, writer, sequence."""
        spans = [line.span(fixes) for line in self.lines]
        writer, seq = max((line.writer, line.seq) for line in self.lines)
        return min(lo for lo, _ in spans) + max(hi for _, hi in spans), writer, seq


class Ground(StrEnum):
    """The rule that decided a relation."""

    CLASSIFIED = "classified"
    DECLARED = "declared"
    KNOWN = "known"
    RECORDED_AFTER = "recorded-after"
    CLOCK = "clock"
    GUARD = "guard"
    TRANSIT = "transit"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """A relation, the side that the book figure assumes, the rule that decided, and whether clocks contradict."""

    side: Side
    counts_after: bool
    ground: Ground
    is_contradicted: bool = False
    is_backdated: bool = False


_CLASSIFIED = {
    Side.BEFORE: Verdict(Side.BEFORE, False, Ground.CLASSIFIED),
    Side.AFTER: Verdict(Side.AFTER, True, Ground.CLASSIFIED),
}
_DECLARED_IN = Verdict(Side.BEFORE, False, Ground.DECLARED)
_DECLARED_OUT = Verdict(Side.AFTER, True, Ground.DECLARED)
_KNOWN = Verdict(Side.BEFORE, False, Ground.KNOWN)
_KNOWN_CONTRADICTED = Verdict(Side.BEFORE, False, Ground.KNOWN, is_contradicted=True)
_LATER = Verdict(Side.AFTER, True, Ground.RECORDED_AFTER)
_LATER_CONTRADICTED = Verdict(Side.AFTER, True, Ground.RECORDED_AFTER, is_contradicted=True)
_CLOCK_AFTER = Verdict(Side.AFTER, True, Ground.CLOCK)
_CLOCK_BEFORE = Verdict(Side.BEFORE, False, Ground.CLOCK)
_CLOCK_BACKDATED = Verdict(Side.BEFORE, False, Ground.CLOCK, is_backdated=True)

_EARLIER, _OVERLAP, _LATER_BY_CLOCK, _UNKNOWN = -1, 0, 1, 2
_MEETINGS_MAX = 16
"""How many looks are remembered with what meets them: two counts of a key take turns."""


class Relating:
    """Relates movements to observations under one set of settings, corrections and persons' verdicts."""

    __slots__ = ("_met", "classifications", "fixes", "rules")

    def __init__(self, rules: Rules, fixes: Corrections, classifications: Classifications | None = None) -> None:
        """Bind what every comparison needs."""
        self.rules = rules
        self.fixes = fixes
        self.classifications = classifications if classifications else None
        self._met: dict[int, _Meeting] = {}

    def relate(self, movement: Movement, observation: Observation, policy: Policy) -> Verdict:
        """Return a movement's relation to an observation by rules 0 to 4, first match first."""
        if self.classifications is not None:
            side = self.classifications.decide(movement, observation.names)
            if side is not None:
                return _CLASSIFIED[side]
        if observation.absorbs and names_movement(observation.absorbs, movement):
            return _DECLARED_IN
        if observation.not_absorbs and names_movement(observation.not_absorbs, movement):
            return _DECLARED_OUT
        lines = observation.lines
        if movement.zone is not None:
            lines = tuple(line for line in lines if line.zone == movement.zone) or lines
        return self.relate_lines(movement, lines, policy)

    def relate_lines(self, movement: Movement, lines: tuple[Line, ...], policy: Policy) -> Verdict:
        """Return a movement's relation to some looks by rules 1 to 4."""
        met = self._met.get(id(lines))
        if met is None or met.lines is not lines or not met.takes(movement):
            if len(self._met) >= _MEETINGS_MAX:
                self._met.clear()
            met = self._met[id(lines)] = _Meeting(movement, lines, self.rules, self.fixes)
        return met.relate(movement, policy)


class _Meeting:
    """Some looks as one writer's movements meet them: what all that share clock, knowledge and reason have in common.

    A count of a whole shop relates hundreds of thousands of movements, most of them like the one before.
    """

    __slots__ = (
        "after_ms", "before_ms", "bound_ms", "epoch", "fix", "fixes", "is_later_than_all_others",
        "is_later_than_some_other", "is_stated", "is_unknown", "known_seq", "lag", "lines", "location", "own_max",
        "own_min", "reason", "touched_seq", "unc_ms", "vector", "writer",
    )  # fmt: skip

    def __init__(self, movement: Movement, lines: tuple[Line, ...], rules: Rules, fixes: Corrections) -> None:
        self.writer = writer = movement.writer
        self.epoch, self.unc_ms, self.vector = movement.epoch, movement.unc_ms, movement.vector
        self.location, self.reason = movement.location, movement.reason
        self.is_stated = movement.stated is not None
        self.lines, self.fixes = lines, fixes
        self.lag = rules.lag(movement.location, movement.reason) if rules.lag_ms else 0
        self.fix = fixes.get((writer, movement.epoch)) if fixes else None
        bound = movement.unc_ms if self.fix is None else self.fix.unc_ms
        known: int | None = None
        touched = 0
        before_ms: int | None = None
        after_ms: int | None = None
        own_min: int | None = None
        own_max: int | None = None
        is_later_than_some = is_unknown = False
        is_later_than_all = True
        for line in lines:
            counter, basis_hi = line.writer, line.basis_hi
            of_writer = line.basis_lo.get(writer, 0)
            known = of_writer if known is None or of_writer < known else known
            touched = max(touched, basis_hi.get(writer, 0))
            last_held = basis_hi.get(counter, 0)
            if counter == writer:
                own_min = last_held if own_min is None else min(own_min, last_held)
                own_max = last_held if own_max is None else max(own_max, last_held)
            elif movement.vector.get(counter, 0) > last_held:
                is_later_than_some = True
            else:
                is_later_than_all = False
            line_bound = line.bound(fixes)
            if counter == writer and line.epoch == movement.epoch and not self.is_stated:
                margin = 0  # one clock read both, so its error cancels
            elif bound is None or line_bound is None:
                is_unknown = True
                continue
            else:
                margin = bound + line_bound
            line_lo, line_hi = line.span(fixes)
            before_ms = line_lo - margin if before_ms is None else min(before_ms, line_lo - margin)
            after_ms = line_hi + margin if after_ms is None else max(after_ms, line_hi + margin)
        self.known_seq, self.touched_seq = known or 0, touched
        self.own_min, self.own_max = own_min, own_max
        self.is_later_than_some_other, self.is_later_than_all_others = is_later_than_some, is_later_than_all
        self.before_ms, self.after_ms, self.is_unknown = before_ms or 0, after_ms or 0, is_unknown

    def takes(self, movement: Movement) -> bool:
        """Tell whether a movement has all in common with the first."""
        return (
            self.vector is movement.vector
            and self.unc_ms == movement.unc_ms
            and self.writer == movement.writer
            and self.epoch == movement.epoch
            and self.reason == movement.reason
            and self.location == movement.location
            and not self.is_stated
            and movement.stated is None
        )

    def relate(self, movement: Movement, policy: Policy) -> Verdict:
        """Return a movement's relation to these looks by rules 1 to 4."""
        seq = movement.seq
        lo, hi = self._interval(movement)
        if self.is_unknown:
            order = _UNKNOWN
        elif hi < self.before_ms:
            order = _EARLIER
        else:
            order = _LATER_BY_CLOCK if lo > self.after_ms else _OVERLAP
        if seq <= self.known_seq:
            return _KNOWN_CONTRADICTED if order == _LATER_BY_CLOCK else _KNOWN
        is_stated, lag = self.is_stated, self.lag
        if self.is_later_than_all_others and not is_stated and (self.own_max is None or seq > self.own_max):
            if lag == 0:
                return _LATER_CONTRADICTED if order == _EARLIER else _LATER
            if order == _LATER_BY_CLOCK:
                return _CLOCK_AFTER
            # The lag explains an overlap but not a clock that runs backwards; the category's pick stands for both.
            return self._doubt(
                movement, policy, Ground.CLOCK, is_forced=order == _UNKNOWN, contradicted=order == _EARLIER
            )
        if order == _EARLIER:
            is_later_than_some = self.is_later_than_some_other or (self.own_min is not None and seq > self.own_min)
            if is_later_than_some and lag == 0 and not is_stated:
                return self._doubt(movement, policy, Ground.GUARD, is_forced=True, contradicted=True)
            return _CLOCK_BACKDATED if is_stated and is_later_than_some else _CLOCK_BEFORE
        if order == _LATER_BY_CLOCK:
            if seq <= self.touched_seq:
                return self._doubt(movement, policy, Ground.GUARD, is_forced=True, contradicted=True)
            return _CLOCK_AFTER
        return self._doubt(movement, policy, Ground.CLOCK, is_forced=order == _UNKNOWN, contradicted=False)

    def _interval(self, movement: Movement) -> tuple[int, int]:
        lo, hi = movement.stated or (movement.wall_ms - self.lag, movement.wall_ms)
        return (lo, hi) if self.fix is None else (lo - self.fix.offset_ms, hi - self.fix.offset_ms)

    def _doubt(
        self, movement: Movement, policy: Policy, ground: Ground, *, is_forced: bool, contradicted: bool
    ) -> Verdict:
        counts_after = movement.quantity < 0
        if not is_forced and policy.ambiguous is AmbiguousPick.MIDPOINT:
            lo, hi = self._interval(movement)
            line_lo, line_hi = hull(self.lines, self.fixes)
            if lo + hi != line_lo + line_hi:
                counts_after = lo + hi > line_lo + line_hi
        return Verdict(Side.AMBIGUOUS, counts_after, ground, is_contradicted=contradicted)


def hull(lines: Iterable[Line], fixes: Corrections) -> tuple[int, int]:
    """Return the first and the last touch over several looks, by the corrected clocks."""
    spans = [line.span(fixes) for line in lines]
    return min(lo for lo, _ in spans), max(hi for _, hi in spans)


def expanded_hull(lines: Iterable[Line], fixes: Corrections) -> tuple[int, int] | None:
    """Return the hull widened by each clock's bound; None where a clock is unknown."""
    lows: list[int] = []
    highs: list[int] = []
    for line in lines:
        bound = line.bound(fixes)
        if bound is None:
            return None
        lo, hi = line.span(fixes)
        lows.append(lo - bound)
        highs.append(hi + bound)
    return min(lows), max(highs)
