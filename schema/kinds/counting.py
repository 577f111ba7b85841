"""Entries of stock counts: sessions, looks at the shelf, and the resolutions of conflicts."""

from __future__ import annotations

from schema.kinds.base import Amount, Code, Count, Kind, Millis, Payload, Permission, Text, Vector


class Look(Payload, frozen=True):
    """One look at a shelf: [lo_ms, hi_ms] are its first and last touch by the node's clock.

    The bases are the version vectors over the scope that the counter's node held at those moments: taken
    at the touch, never at the posting of the count.
    """

    quantity_milli: Amount
    lo_ms: Millis
    hi_ms: Millis
    basis_lo: Vector
    basis_hi: Vector
    zone: Code = ""


class CountRecorded(Payload, frozen=True):
    """What a person counted of one product; `absorbs` names what is already on the shelf though not yet keyed."""

    product: Code
    role: Code
    operator: Code
    looks: tuple[Look, ...]
    session: Code = ""
    absorbs: tuple[Code, ...] = ()
    not_absorbs: tuple[Code, ...] = ()


class CountOpened(Payload, frozen=True):
    """A zone session: it counts only when every zone has a line."""

    session: Code
    zones: tuple[Code, ...]
    products: tuple[Code, ...]
    operator: Code


class CountClosed(Payload, frozen=True):
    """A session ended; explicit zero lines stand before this entry, none is implied by it."""

    session: Code
    operator: Code


class CountAccepted(Payload, frozen=True):
    """Believe this observation (an entry id within the scope, or a session)."""

    product: Code
    observation: Code
    role: Code
    operator: Code
    vector: Vector
    note: Text = ""


class EntryVoided(Payload, frozen=True):
    """Take a wrong entry, or one line of it, out of every fold of stock; a void may target a void."""

    target: Code
    role: Code
    operator: Code
    vector: Vector
    note: Text = ""


class MovementClassified(Payload, frozen=True):
    """Fix one pair: the movement is BEFORE or AFTER the observation."""

    movement: Code
    observation: Code
    relation: Code
    role: Code
    operator: Code
    vector: Vector
    note: Text = ""


class ClockFixed(Payload, frozen=True):
    """The hub measured a node's clock: `offset_ms` is node clock minus true time in that clock epoch."""

    writer: Code
    clock_epoch: Count
    offset_ms: Millis
    unc_ms: Millis


def _role(payload: CountRecorded | CountAccepted | EntryVoided | MovementClassified) -> str:
    return payload.role


KINDS = (
    Kind("count.recorded", CountRecorded, Permission.COUNT, rank=_role),
    Kind("count.opened", CountOpened, Permission.COUNT),
    Kind("count.closed", CountClosed, Permission.COUNT),
    Kind("count.accepted", CountAccepted, Permission.RESOLVE, rank=_role),
    Kind("entry.voided", EntryVoided, Permission.RESOLVE, rank=_role),
    Kind("movement.classified", MovementClassified, Permission.RESOLVE, rank=_role),
    Kind("clock.fixed", ClockFixed, Permission.HUB),
)
