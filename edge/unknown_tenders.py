"""The list of payments of which nobody knows yet whether the money came, and how each is cleared later."""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.acting import check_permission
from edge.node import Node
from schema.errors import RefusalError
from schema.kinds.base import Permission
from schema.kinds.tills import TenderSettled
from schema.rules.card_numbers import refuse_card_number

OUTCOMES: Final = ("confirmed", "failed")


class UnknownTender(NamedTuple):
    """A tender of a sale, refund or payment that an outside service left open; `part` is its place there."""

    entry: str
    part: int
    number: str
    business_date: str
    means: str
    amount_minor: int
    reference: str
    wall_ms: int


def unknown_tenders(node: Node) -> list[UnknownTender]:
    """List the open tenders of this location, the oldest first, those of its other tills included."""
    rows = node.connection.execute(
        "SELECT u.entry, u.part, u.number, u.business_date, u.means, u.amount_minor, u.reference, u.wall_ms"
        " FROM unknown_tender u WHERE NOT EXISTS"
        " (SELECT 1 FROM settled_tender s WHERE s.entry = u.entry AND s.part = u.part)"
        " ORDER BY u.wall_ms, u.entry, u.part"
    ).fetchall()
    return [UnknownTender(*row) for row in rows]


def settle_tender(
    node: Node, entry: str, part: int, outcome: str, *, operator: str = "", reference: str = "", note: str = ""
) -> str:
    """Say what became of an open tender: confirmed or failed; returns the entry's id.

    A tender that failed leaves the sale as it is: the money is missing, and the hub shows it. Raises RefusalError
    `tender_outcome`, or `tender_unknown` where nothing is open there.
    """
    if outcome not in OUTCOMES:
        raise RefusalError("tender_outcome", "a payment was confirmed, or it failed")
    refuse_card_number(f"{reference} {note}", lambda _: False)
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        if (entry, part) not in {(one.entry, one.part) for one in unknown_tenders(node)}:
            raise RefusalError("tender_unknown", "this payment is not open any more: look at the list again")
        return str(writing.append(TenderSettled(entry, part, outcome, operator, reference, note)).id)
