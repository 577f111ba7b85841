"""The facts and settings from which stock on hand is folded, as plain values without I/O.

A fact is what one line of an entry says. `writer` is the stream's name inside its scope (node and
incarnation), `seq` its place there, `vector` what the writer's node held when it appended the entry.
Facts are created by the ten thousand, so they are flat structs whose vectors are shared, not copied.
Clock readings are milliseconds of the writer's own raw clock; quantities are signed integers in the
product's unit. Nothing here is ever a float.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple, TypeAlias

import msgspec

Vector: TypeAlias = Mapping[str, int]
"""For each writer the highest sequence number held; what is missing is zero."""


class Key(NamedTuple):
    """The place of one stock figure: a product at a location."""

    location: str
    product: str

    def __str__(self) -> str:
        return f"{self.location}/{self.product}"


class Rank(IntEnum):
    """How much weight a person's word has in counts, lowest first."""

    CLERK = 0
    SUPERVISOR = 1
    AUDITOR = 2
    ADMIN = 3


class Side(StrEnum):
    """On which side of an observation a movement lies."""

    BEFORE = "BEFORE"
    AFTER = "AFTER"
    AMBIGUOUS = "AMBIGUOUS"


class Disagreement(StrEnum):
    """Which of several concurrent counts gives the book figure while they disagree."""

    LATEST = "latest"
    AUTHORITY = "authority"
    LOWEST = "lowest"
    AVERAGE = "average"
    MANUAL = "manual"


class AmbiguousPick(StrEnum):
    """Which side the book figure assumes for a movement that no rule could order."""

    MIDPOINT = "midpoint"
    CONSERVATIVE = "conservative"


class Status(StrEnum):
    """What a conflict asks for: nothing, a look, or a person's decision."""

    INFO = "INFO"
    AUTO = "AUTO"
    OPEN = "OPEN"


class ConflictCode(StrEnum):
    """The stable names of everything that the rules report beside a figure."""

    LATE_ABSORBED = "LATE_ABSORBED"
    BACKDATED_ABSORBED = "BACKDATED_ABSORBED"
    CLOCK_VIOLATION = "CLOCK_VIOLATION"
    CLOCK_CORRECTED = "CLOCK_CORRECTED"
    COUNT_AGREE = "COUNT_AGREE"
    COUNT_DISAGREE = "COUNT_DISAGREE"
    ZONE_AGREE = "ZONE_AGREE"
    ZONE_RECOUNT = "ZONE_RECOUNT"
    SESSION_INCOMPLETE = "SESSION_INCOMPLETE"
    AMBIGUOUS_ORDER = "AMBIGUOUS_ORDER"
    NEGATIVE_STOCK = "NEGATIVE_STOCK"
    RESOLUTION_DISAGREE = "RESOLUTION_DISAGREE"
    TRANSFER_SHORT = "TRANSFER_SHORT"
    TRANSFER_OVER = "TRANSFER_OVER"
    TRANSIT_AWAITING_SHIP = "TRANSIT_AWAITING_SHIP"
    TRANSIT_IMPLICIT_RECEIPT = "TRANSIT_IMPLICIT_RECEIPT"
    TRANSIT_SUSPECT_DOUBLE = "TRANSIT_SUSPECT_DOUBLE"
    ESCROW_DEFICIT = "ESCROW_DEFICIT"
    ESCROW_OVERSPENT = "ESCROW_OVERSPENT"


DISPATCH_REASON = "ship"
"""The one reason that makes a transfer's movement a dispatch; any other is a receipt."""


class Movement(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A signed change of stock at one key.

    `stated` is the interval that a person gave for paper keyed in later, read on the writer's clock.
    `unc_ms` is the writer's bound on its clock error; None means that the clock was unknown.
    """

    writer: str
    seq: int
    line: int
    location: str
    product: str
    quantity: int
    reason: str
    wall_ms: int
    unc_ms: int | None
    epoch: int
    vector: Mapping[str, int]
    zone: str | None = None
    document: str | None = None
    transfer: str | None = None
    destination: str | None = None
    is_final: bool = False
    stated: tuple[int, int] | None = None

    @property
    def id(self) -> str:
        """Return `writer:seq#line`, or plain `writer:seq` for the first line."""
        return line_id(self.writer, self.seq, self.line)

    @property
    def key(self) -> Key:
        """Return the place whose stock this moves."""
        return Key(self.location, self.product)


class Notice(Movement, frozen=True, gc=False, array_like=True):
    """The other location's side of a transfer: the same line, without effect on the stock of `location` here."""


class Look(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One line of a count: what was seen between the first and the last touch of the shelf."""

    quantity: int
    lo: int
    hi: int
    basis_lo: Mapping[str, int]
    basis_hi: Mapping[str, int]
    zone: str | None = None


class Count(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One entry's looks at one key, with what the counter declared about goods not yet keyed or reshelved."""

    writer: str
    seq: int
    line: int
    location: str
    product: str
    rank: Rank
    wall_ms: int
    unc_ms: int | None
    epoch: int
    vector: Mapping[str, int]
    looks: tuple[Look, ...]
    session: str | None = None
    absorbs: tuple[str, ...] = ()
    not_absorbs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Return `writer:seq#line`, or plain `writer:seq` for the first line."""
        return line_id(self.writer, self.seq, self.line)

    @property
    def key(self) -> Key:
        """Return the place that was counted."""
        return Key(self.location, self.product)


class SessionOpen(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The plan of a count by zones at a location: it counts only when every zone has a line."""

    writer: str
    seq: int
    wall_ms: int
    vector: Mapping[str, int]
    location: str
    session: str
    zones: tuple[str, ...]


class Accept(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A person's choice of the observation to believe at a key."""

    writer: str
    seq: int
    wall_ms: int
    vector: Mapping[str, int]
    rank: Rank
    location: str
    product: str
    observation: str


class Void(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Takes a wrong entry, or one line of it, out; a voided Void gives it back."""

    writer: str
    seq: int
    wall_ms: int
    vector: Mapping[str, int]
    rank: Rank
    target: str


class Classify(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A person's verdict on one pair of movement (or whole entry) and observation."""

    writer: str
    seq: int
    wall_ms: int
    vector: Mapping[str, int]
    rank: Rank
    movement: str
    observation: str
    side: Side


class ClockFix(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The hub's measurement of one clock epoch: its offset from true time, and the bound on that figure."""

    writer: str
    seq: int
    wall_ms: int
    vector: Mapping[str, int]
    target_writer: str
    target_epoch: int
    offset_ms: int
    unc_ms: int


class Grant(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A part of the writer's right to promise a product, given to another stream."""

    writer: str
    seq: int
    location: str
    product: str
    quantity: int
    holder: str


class RightMove(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The hub moved a right from a stream that can no longer spend it; an empty holder or successor is the home."""

    writer: str
    seq: int
    location: str
    product: str
    quantity: int
    holder: str
    successor: str


class Promise(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Goods promised to somebody: it spends the right of its writer."""

    writer: str
    seq: int
    location: str
    product: str
    quantity: int
    promise: str


class PromiseEnd(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A promise is over: fulfilled, cancelled or expired."""

    writer: str
    seq: int
    location: str
    product: str
    promise: str
    outcome: str


Resolution: TypeAlias = Accept | Void | Classify
RightFact: TypeAlias = Grant | RightMove | Promise | PromiseEnd
Fact: TypeAlias = Movement | Notice | Count | SessionOpen | Accept | Void | Classify | ClockFix | RightFact


class Policy(msgspec.Struct, frozen=True):
    """How one category of products wants its doubts settled; tolerance in the product's unit and in millionths."""

    tolerance_abs: int = 0
    tolerance_ppm: int = 0
    disagreement: Disagreement = Disagreement.LATEST
    ambiguous: AmbiguousPick = AmbiguousPick.MIDPOINT
    step: int = 1

    def tolerance(self, a: int, b: int) -> int:
        """Return the gap that two figures may have and still be called equal."""
        return max(self.tolerance_abs, self.tolerance_ppm * max(abs(a), abs(b)) // 1_000_000)


class Rules(msgspec.Struct, frozen=True):
    """The settings that the fold is given from outside: a policy per product, delays per location and reason.

    `lag_ms[location][reason]` is the longest time between the shelf and the till; `homes[location]` names the nodes
    of that place, which keep the right to all that was given to nobody else.
    """

    default: Policy = Policy()
    policies: Mapping[str, Policy] = {}
    lag_ms: Mapping[str, Mapping[str, int]] = {}
    homes: Mapping[str, Collection[str]] = {}

    def policy(self, product: str) -> Policy:
        """Return the policy of a product's category."""
        return self.policies.get(product, self.default)

    def lag(self, location: str, reason: str) -> int:
        """Return the longest delay between shelf and record, in milliseconds."""
        lags = self.lag_ms.get(location)
        return lags.get(reason, 0) if lags else 0


class Correction(NamedTuple):
    """What to subtract from a clock epoch's readings, and the bound that replaces the node's own."""

    offset_ms: int
    unc_ms: int


Corrections: TypeAlias = Mapping[tuple[str, int], Correction]
"""By (writer, clock epoch): the measured errors."""


def entry_id(writer: str, seq: int) -> str:
    """Name an entry within its scope."""
    return f"{writer}:{seq}"


def line_id(writer: str, seq: int, line: int) -> str:
    """Name one line of an entry; the first goes by the entry's own name."""
    return f"{writer}:{seq}#{line}" if line else f"{writer}:{seq}"


def parse_target(text: str) -> tuple[str, int, int | None]:
    """Read `writer:seq` or `writer:seq#line`; raises ValueError for anything else."""
    writer, _, place = text.rpartition(":")
    seq, hash_mark, line = place.partition("#")
    if not writer or not seq.isdecimal() or (hash_mark and not line.isdecimal()):
        raise ValueError(f"{text!r} names no entry")
    return writer, int(seq), int(line) if hash_mark else None


def names_line(names: Iterable[str], writer: str, seq: int, line: int) -> bool:
    """Tell whether some name is that of the entry or of exactly this line."""
    return entry_id(writer, seq) in names or f"{writer}:{seq}#{line}" in names


def names_movement(names: tuple[str, ...], movement: Movement) -> bool:
    """Tell whether a declaration names a movement by its entry, line, document or transfer."""
    return (
        (movement.transfer is not None and movement.transfer in names)
        or (movement.document is not None and movement.document in names)
        or names_line(names, movement.writer, movement.seq, movement.line)
    )


def knows(vector: Vector, writer: str, seq: int) -> bool:
    """Tell whether an entry is at or below a vector."""
    return vector.get(writer, 0) >= seq
