"""Which observations of a key stand: sessions put together zone by zone, choices of persons, what supersedes what.

A session's zone counted twice is settled here, because the line that is believed becomes part of the
observation; whether two concurrent lines agree depends on the movements between them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from sync.relation import Line, Observation, Relating
from sync.resolutions import undominated, winner
from sync.stock_facts import (
    Accept,
    Corrections,
    Count,
    Disagreement,
    Movement,
    Policy,
    Side,
    entry_id,
    knows,
)


class ZoneFinding(msgspec.Struct, frozen=True, array_like=True):
    """What became of a zone that was counted more than once without either counter knowing of the other."""

    session: str
    zone: str | None
    agrees: bool
    refs: tuple[str, ...]


class Gathered(msgspec.Struct):
    """All observations of a key, with what putting its sessions together brought to light.

    `widening[id]` is how far a contested session's range reaches below and above its own lines.
    `contested` are the looks whose comparison may change with the next movement; `unopened` the sessions
    that have lines here but whose plan has not arrived.
    """

    observations: list[Observation]
    widening: dict[str, tuple[int, int]]
    zone_findings: list[ZoneFinding]
    incomplete: list[str]
    contested: list[tuple[Line, ...]]
    unopened: list[str]


class Standing(msgspec.Struct):
    """The observations that the persons' choices leave, and those of them that none supersedes."""

    left: list[Observation]
    final: list[Observation]
    disagreeing: tuple[str, ...]

    def prior(self, observation: Observation, fixes: Corrections) -> Observation | None:
        """Return the latest observation that this one supersedes."""
        earlier = [one for one in self.left if one.id != observation.id and observation.supersedes(one)]
        return max(earlier, key=lambda one: one.moment(fixes), default=None)

    def chain(self, observation: Observation, fixes: Corrections) -> list[Observation]:
        """Return the observation, the latest that it supersedes, and so on."""
        links = [observation]
        seen = {observation.id}
        while (prior := self.prior(links[-1], fixes)) is not None and prior.id not in seen:
            links.append(prior)
            seen.add(prior.id)
        return links


def gather(
    counts: Iterable[Count],
    zones_of: Mapping[str, tuple[str, ...]],
    movements: Sequence[Movement],
    relating: Relating,
    policy: Policy,
) -> Gathered:
    """Put a key's counts together into observations; `zones_of` gives the plan of each opened session."""
    gathered = Gathered([], {}, [], [], [], [])
    sessions: dict[str, list[Count]] = defaultdict(list)
    for count in sorted(counts, key=lambda one: (one.writer, one.seq, one.line)):
        if count.session is not None:
            sessions[count.session].append(count)
        else:
            gathered.observations.append(plain_observation(count))
    for session, members in sorted(sessions.items()):
        plan = zones_of.get(session)
        if plan is None:
            gathered.unopened.append(session)
            continue
        by_zone: dict[str | None, list[Line]] = defaultdict(list)
        for count in members:
            for look in count.looks:
                by_zone[look.zone].append(Line.of(count, look))
        if not by_zone or any(zone not in by_zone for zone in plan):
            gathered.incomplete.append(session)
            continue
        chosen: list[Line] = []
        below = above = 0
        for zone, lines in sorted(by_zone.items(), key=lambda entry: entry[0] or ""):
            line, (lower, upper) = _settle_zone(session, zone, lines, movements, relating, policy, gathered)
            chosen.append(line)
            below += lower
            above += upper
        gathered.observations.append(
            Observation(
                session,
                tuple(chosen),
                tuple(sorted({(count.writer, count.seq) for count in members})),
                tuple(sorted({name for count in members for name in count.absorbs})),
                tuple(sorted({name for count in members for name in count.not_absorbs})),
                (session,),
            )
        )
        if below or above:
            gathered.widening[session] = below, above
    return gathered


def plain_observation(count: Count) -> Observation:
    """Make an observation of a count outside any session."""
    return Observation(
        count.id,
        tuple(Line.of(count, look) for look in count.looks),
        ((count.writer, count.seq),),
        tuple(sorted(count.absorbs)),
        tuple(sorted(count.not_absorbs)),
        tuple(sorted({count.id, entry_id(count.writer, count.seq), f"{count.writer}:{count.seq}#{count.line}"})),
    )


def stand(observations: Sequence[Observation], accepts: Sequence[Accept]) -> Standing:
    """Apply the persons' choices: the target of the ruling one stays, and every count that it had not seen."""
    left = list(observations)
    disagreeing: tuple[str, ...] = ()
    ruling = winner(accepts)
    if ruling is not None:
        rivals = undominated(accepts)
        if len({one.observation for one in rivals}) > 1:
            disagreeing = tuple(entry_id(writer, seq) for writer, seq in sorted((r.writer, r.seq) for r in rivals))
        if any(ruling.observation in one.names for one in left):
            left = [one for one in left if ruling.observation in one.names or not _was_seen(ruling, one)]
    final = [one for one in left if not any(other.id != one.id and other.supersedes(one) for other in left)]
    return Standing(left, final, disagreeing)


def _was_seen(ruling: Accept, observation: Observation) -> bool:
    return all(
        seq < ruling.seq if writer == ruling.writer else knows(ruling.vector, writer, seq)
        for writer, seq in observation.entries
    )


def _settle_zone(
    session: str,
    zone: str | None,
    lines: Sequence[Line],
    movements: Sequence[Movement],
    relating: Relating,
    policy: Policy,
    gathered: Gathered,
) -> tuple[Line, tuple[int, int]]:
    """Choose the line of a zone; return it with how far the rivals reach below and above it."""
    fixes = relating.fixes
    rivals = [
        one
        for one in lines
        if not any(knows(other.basis_lo, one.writer, one.seq) for other in lines if other is not one)
    ] or list(lines)
    if len(rivals) == 1:
        return rivals[0], (0, 0)

    def moment(line: Line) -> tuple[int, str, int, int]:
        return sum(line.span(fixes)), line.writer, line.seq, line.line

    touching = [one for one in movements if one.zone is None or one.zone == zone]
    agrees = all(
        _lines_agree(one, other, touching, relating, policy)
        for place, one in enumerate(rivals)
        for other in rivals[place + 1 :]
    )
    refs = tuple(entry_id(writer, seq) for writer, seq in sorted({(line.writer, line.seq) for line in rivals}))
    gathered.zone_findings.append(ZoneFinding(session, zone, agrees, refs))
    gathered.contested.append(tuple(rivals))
    if agrees:
        return max(rivals, key=moment), (0, 0)
    estimates = {id(line): _estimate(line, touching, relating, policy) for line in rivals}
    match policy.disagreement:
        case Disagreement.LOWEST:
            chosen = min(rivals, key=lambda line: (estimates[id(line)], moment(line)))
        case Disagreement.AUTHORITY:
            chosen = max(rivals, key=lambda line: (line.rank, moment(line)))
        case _:
            chosen = max(rivals, key=moment)
    reach = [estimate - estimates[id(chosen)] for estimate in estimates.values()]
    return chosen, (min(0, *reach), max(0, *reach))


def _estimate(line: Line, touching: Iterable[Movement], relating: Relating, policy: Policy) -> int:
    return line.quantity + sum(
        one.quantity for one in touching if relating.relate_lines(one, (line,), policy).counts_after
    )


def _lines_agree(a: Line, b: Line, touching: Iterable[Movement], relating: Relating, policy: Policy) -> bool:
    lowest = highest = a.quantity - b.quantity
    for movement in touching:
        of_a = relating.relate_lines(movement, (a,), policy).side
        of_b = relating.relate_lines(movement, (b,), policy).side
        quantity = movement.quantity
        if Side.AMBIGUOUS in (of_a, of_b):
            lowest -= abs(quantity)
            highest += abs(quantity)
        elif of_a is not of_b:
            shift = quantity if of_a is Side.AFTER else -quantity
            # A movement without a zone may or may not have touched this one.
            lowest += shift if movement.zone is not None else min(0, shift)
            highest += shift if movement.zone is not None else max(0, shift)
    return max(0, lowest, -highest) <= policy.tolerance(a.quantity, b.quantity)
