"""Which resolutions are in force: voids of voids, the winning choice, the winning measurement of a clock.

Every order here is total, so that replicas which hold the same set decide alike: what knew the other
wins; of concurrent ones the higher rank, then the later time, then writer and sequence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from sync.stock_facts import (
    Accept,
    Classify,
    ClockFix,
    Correction,
    Movement,
    Resolution,
    Side,
    Void,
    entry_id,
    knows,
    line_id,
    names_line,
)

_R = TypeVar("_R", Accept, Classify, ClockFix)


def effective_targets(voids: Iterable[Void]) -> frozenset[str]:
    """Return the names that VOIDs in force take out; a VOID that is itself taken out has no force."""
    ordered = {(void.writer, void.seq): void for void in voids}
    by_target: dict[str, list[Void]] = defaultdict(list)
    for void in ordered.values():
        by_target[void.target].append(void)
    settled: dict[str, bool] = {}

    def in_force(void: Void, path: frozenset[str]) -> bool:
        name = entry_id(void.writer, void.seq)
        if name in settled:
            return settled[name]
        against = [*by_target.get(name, ()), *by_target.get(f"{name}#0", ())]
        # Who targets an entry has seen it, so a path that returns to itself is a forgery and decides nothing.
        force = not any(
            entry_id(other.writer, other.seq) not in path and in_force(other, path | {name}) for other in against
        )
        if not path:
            settled[name] = force
        return force

    return frozenset(void.target for void in ordered.values() if in_force(void, frozenset()))


def is_voided(taken_out: frozenset[str], writer: str, seq: int, line: int = 0) -> bool:
    """Tell whether the names taken out include an entry or exactly this line of it."""
    return bool(taken_out) and names_line(taken_out, writer, seq, line)


def dominates(later: Resolution | ClockFix, earlier: Resolution | ClockFix) -> bool:
    """Tell whether one entry had seen the other."""
    if later.writer == earlier.writer:
        return later.seq > earlier.seq
    return knows(later.vector, earlier.writer, earlier.seq)


def undominated(resolutions: Sequence[_R]) -> list[_R]:
    """Return those that no other one had seen."""
    return [one for one in resolutions if not any(dominates(other, one) for other in resolutions)]


def winner(resolutions: Sequence[_R]) -> _R | None:
    """Return the one that rules: undominated, then by rank, time, writer, sequence."""
    return max(undominated(resolutions) or resolutions, key=_precedence, default=None)


def _precedence(one: Accept | Classify | ClockFix) -> tuple[int, int, str, int]:
    rank = 0 if isinstance(one, ClockFix) else int(one.rank)
    return rank, one.wall_ms, one.writer, one.seq


def corrections(fixes: Iterable[ClockFix]) -> dict[tuple[str, int], Correction]:
    """Return for each measured clock epoch what the causally last measurement says."""
    by_epoch: dict[tuple[str, int], list[ClockFix]] = defaultdict(list)
    for fix in fixes:
        by_epoch[fix.target_writer, fix.target_epoch].append(fix)
    found = {epoch: winner(rivals) for epoch, rivals in by_epoch.items()}
    return {epoch: Correction(fix.offset_ms, fix.unc_ms) for epoch, fix in found.items() if fix is not None}


class Classifications:
    """The persons' verdicts on pairs of movement and observation."""

    def __init__(self, resolutions: Iterable[Classify] = ()) -> None:
        """Group verdicts by the movement that they name."""
        self._by_movement: dict[str, list[Classify]] = defaultdict(list)
        for one in resolutions:
            self._by_movement[one.movement].append(one)

    def __bool__(self) -> bool:
        return bool(self._by_movement)

    def decide(self, movement: Movement, observation_names: tuple[str, ...]) -> Side | None:
        """Return the verdict in force on a pair, or None where nobody decided."""
        writer, seq, line = movement.writer, movement.seq, movement.line
        names = {entry_id(writer, seq), line_id(writer, seq, line), f"{writer}:{seq}#{line}"}
        found = [
            one for name in names for one in self._by_movement.get(name, ()) if one.observation in observation_names
        ]
        ruling = winner(found)
        return None if ruling is None else ruling.side
