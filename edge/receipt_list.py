"""Lists receipts for the screen: the last ones of this till, and what a member bought."""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.node import Node
from schema.identity import EntryId, NodeId, Scope, Stream
from schema.kinds.balances import BalancePaid
from schema.kinds.trading import Refund, Sale

RECENT: Final = 50
SALE, REFUND, PAYMENT = "sale", "refund", "payment"


class ListedReceipt(NamedTuple):
    """A receipt as a list shows it; `kind` is sale, refund or payment, `pieces` counts lines."""

    entry: str
    number: str
    kind: str
    total_minor: int
    wall_ms: int
    operator: str
    pieces: int


def recent_receipts(node: Node, limit: int = RECENT) -> list[ListedReceipt]:
    """List this till's last receipts, the newest first."""
    sql = (
        "SELECT s.scope, t.node, t.incarnation, r.seq FROM"
        " (SELECT scope_no, stream_no, seq FROM receipt UNION SELECT scope_no, stream_no, seq FROM payment) r"
        " JOIN stream t ON t.scope_no = r.scope_no AND t.stream_no = r.stream_no AND t.node = ?"
        " JOIN scope s ON s.scope_no = r.scope_no ORDER BY t.incarnation DESC, r.seq DESC LIMIT ?"
    )
    return _listed(node, node.connection.execute(sql, (node.config.node, limit)).fetchall())


def purchases(node: Node, member: str, limit: int = RECENT) -> list[ListedReceipt]:
    """List what a member bought and returned at this location, the newest first, as far as it is here."""
    sql = (
        "SELECT s.scope, t.node, t.incarnation, p.seq FROM purchase p"
        " JOIN stream t ON t.scope_no = p.scope_no AND t.stream_no = p.stream_no"
        " JOIN scope s ON s.scope_no = p.scope_no"
        " WHERE p.member = ? ORDER BY p.business_date DESC, p.seq DESC LIMIT ?"
    )
    return _listed(node, node.connection.execute(sql, (member, limit)).fetchall())


def _listed(node: Node, rows: list[tuple[str, str, int, int]]) -> list[ListedReceipt]:
    found: list[ListedReceipt] = []
    for scope, name, incarnation, seq in rows:
        place = EntryId(Stream(Scope(scope), NodeId(name), int(incarnation)), int(seq))
        entry = node.replica.log.entry(place.stream, place.seq)
        if entry is None:
            continue
        match entry.payload:
            case Sale() as sold:
                facts = (SALE, sold.total_minor, len(sold.lines))
            case Refund() as sold:
                facts = (REFUND, -sold.total_minor, len(sold.lines))
            case BalancePaid() as sold:
                facts = (PAYMENT, sold.total_minor, 0)
            case _:
                continue
        kind, total, lines = facts
        found.append(
            ListedReceipt(str(place), sold.receipt_number, kind, total, entry.body.wall_ms, sold.operator, lines)
        )
    return found
