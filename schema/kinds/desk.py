"""Entries of the hub's desk: who did what there, wishes that a shop count again, and findings that were dealt with."""

from __future__ import annotations

from schema.kinds.base import Amount, Code, Kind, Payload, Permission, Text


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


class FindingSettled(Payload, frozen=True):
    """A person dealt with what was found across locations, as it stood: were more at stake, it would wait again."""

    finding: Code
    amount_minor: Amount
    operator: Code
    note: Text = ""


def _role(payload: RecountAsked) -> str:
    return payload.role


KINDS = (
    Kind("act.recorded", ActRecorded, Permission.HUB),
    Kind("recount.asked", RecountAsked, Permission.HUB, rank=_role),
    Kind("finding.settled", FindingSettled, Permission.HUB),
)
