"""A conflict's evidence as values: what was seen and moved, by whose clock, who knew what, and what may be decided."""

from __future__ import annotations

from typing import NamedTuple

from hub.inbox import InboxRow
from sync.stock_facts import Policy


class Shown(NamedTuple):
    """A figure and its range."""

    value: int
    lo: int
    hi: int


class LookTold(NamedTuple):
    """One look at the shelf by the corrected clock; `bound_ms` is None where the clock was unknown."""

    writer: str
    node: str
    quantity: int
    zone: str
    lo_ms: int
    hi_ms: int
    bound_ms: int | None


class ObservationTold(NamedTuple):
    """A count that the figure may rest on; `known` are (writer, seq, ms) of the last entry held of each stream."""

    id: str
    entries: tuple[str, ...]
    quantity: int
    rank: str
    operators: tuple[str, ...]
    looks: tuple[LookTold, ...]
    known: tuple[tuple[str, int, int], ...]
    variance: int
    figure: Shown
    gives_value: bool

    @property
    def nodes(self) -> str:
        """The counters' nodes."""
        return ", ".join(dict.fromkeys(look.node for look in self.looks))

    @property
    def last_ms(self) -> int:
        """The last touch of the shelf."""
        return max(look.hi_ms for look in self.looks)


class MovementTold(NamedTuple):
    """A movement by the corrected clock, with its verdict against the count that gives the figure."""

    id: str
    entry: str
    writer: str
    node: str
    reason: str
    document: str
    quantity: int
    at_ms: int
    bound_ms: int | None
    side: str
    ground: str
    counts_after: bool
    is_contradicted: bool
    is_about: bool
    """The conflict names it."""


class PaperTold(NamedTuple):
    """A paper of a transfer as this location holds it: its own, or the other side's notice."""

    id: str
    act: str
    location: str
    node: str
    quantity: int
    at_ms: int
    is_final: bool
    is_notice: bool
    is_correctable: bool


class Choice(NamedTuple):
    """Something a person may decide, and the figure that it would give; None where it cannot be told beforehand."""

    act: str
    target: str
    observation: str
    figure: Shown | None
    is_rules: bool = False


class Decision(NamedTuple):
    """What a person decided about the product before."""

    kind: str
    target: str
    operator: str
    role: str
    at_ms: int
    entry: str


class Case(NamedTuple):
    """A conflict with all that a person needs to settle it."""

    row: InboxRow
    figure: Shown
    policy: Policy
    observations: tuple[ObservationTold, ...]
    movements: tuple[MovementTold, ...]
    earlier: tuple[int, int]
    """How many movements lie before what is shown, and their sum."""
    later: tuple[int, int]
    papers: tuple[PaperTold, ...]
    choices: tuple[Choice, ...]
    decisions: tuple[Decision, ...]
    overtaken: tuple[str, ...]
    """Counts and movements that the last decision had not seen: why the conflict came back."""
    version: str
    """Another text once anything that was shown has changed."""
