"""Owns how money goes back: to the tenders that it came from, in their order, less what went back already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from edge.node import Node
from schema.identity import EntryId, NodeId, Scope, Stream
from schema.kinds.trading import Refund, Sale, Tender

EXCHANGE: Final = "exchange"
"""The means by which a refund pays for the sale that comes with it: no money moves."""
CASH: Final = "cash"


def refunds_of(node: Node, original: str) -> list[Refund]:
    """Return the refunds of a sale that are here, those of other tills included; what was pruned is left out."""
    rows = node.connection.execute(
        "SELECT s.scope, t.node, t.incarnation, r.seq FROM refunded r JOIN scope s ON s.scope_no = r.scope_no"
        " JOIN stream t ON t.scope_no = r.scope_no AND t.stream_no = r.stream_no WHERE r.original = ?"
        " ORDER BY r.scope_no, r.stream_no, r.seq",
        (original,),
    ).fetchall()
    found = []
    for scope, name, incarnation, seq in rows:
        place = EntryId(Stream(Scope(scope), NodeId(name), int(incarnation)), int(seq))
        entry = node.replica.log.entry(place.stream, place.seq)
        if entry is not None and isinstance(entry.payload, Refund):
            found.append(entry.payload)
    return found


def refunded_minor(node: Node, original: str) -> int:
    """Return what has been given back for a sale in all, as far as it is known here."""
    row = node.connection.execute(
        "SELECT coalesce(sum(total_minor), 0) FROM refunded WHERE original = ?", (original,)
    ).fetchone()
    return int(row[0])


def by_means(tenders: Sequence[Tender]) -> dict[str, int]:
    """Add tenders up by their means."""
    sums: dict[str, int] = {}
    for tender in tenders:
        sums[tender.means] = sums.get(tender.means, 0) + tender.amount_minor
    return sums


def back_to(sale: Sale, before: Mapping[str, int], total_minor: int, *, state: str = "confirmed") -> tuple[Tender, ...]:
    """Give an amount back to a sale's tenders in their order, less what went back `before`; the rest in cash.

    `state` is that of refunds that an outside service carries out.
    """
    left = dict(before)
    rest = total_minor
    back: list[Tender] = []
    for tender in sale.tenders:
        gone = min(left.get(tender.means, 0), tender.amount_minor)
        left[tender.means] = left.get(tender.means, 0) - gone
        amount = min(rest, tender.amount_minor - gone)
        if amount > 0 and tender.means not in {CASH, EXCHANGE}:
            back.append(Tender(tender.means, amount, 0, tender.reference, state if tender.state else ""))
            rest -= amount
        elif amount > 0:
            rest -= amount
            back.append(Tender(CASH, amount))
    if rest or not back:
        back.append(Tender(CASH, rest))
    return _merged(back)


def _merged(tenders: Sequence[Tender]) -> tuple[Tender, ...]:
    """Put the cash of several tenders together."""
    cash = sum(tender.amount_minor for tender in tenders if tender.means == CASH)
    others = [tender for tender in tenders if tender.means != CASH]
    has_cash = any(tender.means == CASH for tender in tenders)
    return (*others, Tender(CASH, cash)) if has_cash and (cash or not others) else tuple(others)
