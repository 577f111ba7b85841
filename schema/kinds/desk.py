"""Entries of the hub's desk: who did what there, and the wish that a shop count again."""

from __future__ import annotations

from schema.kinds.base import Code, Kind, Payload, Permission, Text


class ActRecorded(Payload, frozen=True):
    """A person did something at the hub's desk: the author of the entries that share this one's operation.

    `act` names what was done (`count.accept`, `price.set`), `subject` what it was done to.
    """

    operator: Code
    act: Code
    subject: Code = ""
    note: Text = ""


class RecountAsked(Payload, frozen=True):
    """A person wants a product counted again at this location; a count that knew of it answers it."""

    product: Code
    operator: Code
    role: Code
    zone: Code = ""
    note: Text = ""


def _role(payload: RecountAsked) -> str:
    return payload.role


KINDS = (
    Kind("act.recorded", ActRecorded, Permission.HUB),
    Kind("recount.asked", RecountAsked, Permission.HUB, rank=_role),
)
