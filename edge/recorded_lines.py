"""Reads what the tills of a location have recorded in a count session, and which line of a zone is believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from edge.node import Node
from schema.codec import decode_body, decode_payload
from schema.kinds.base import Vector
from schema.kinds.counting import CountRecorded
from sync.stock_facts import Count
from sync.stock_fold import StockFold
from sync.stock_tables import StockTables


class RecordedLine(NamedTuple):
    """A line of a session that some till has recorded; its moments are of that till's clock."""

    product: str
    zone: str
    quantity_milli: int
    operator: str
    writer: str
    stream_no: int
    seq: int
    wall_ms: int
    clock_epoch: int
    lo_ms: int
    hi_ms: int
    basis_lo: Vector
    basis_hi: Vector

    def beats(self, other: RecordedLine) -> bool:
        """Tell whether this line is believed where both are of one zone: it knew the other, or is the later one."""
        if dict(self.basis_lo).get(other.writer, 0) >= other.seq:
            return True
        if dict(other.basis_lo).get(self.writer, 0) >= self.seq:
            return False
        return (self.lo_ms + self.hi_ms, self.writer, self.seq) > (other.lo_ms + other.hi_ms, other.writer, other.seq)


def recorded_lines(
    node: Node, session: str, after: Mapping[int, int] | None = None, *, product: str = ""
) -> list[RecordedLine]:
    """Return the recorded lines of a session that no VOID took out, of one product where named.

    `after` gives by stream what is known already.
    """
    log, scope_no = node.replica.log, node.replica.log.scope_no(node.config.scope)
    if scope_no is None:
        return []
    named = StockTables(node.connection, scope_no, node.config.scope, node.config.location).named_entries()
    about = ("count", product) if product else ("session_count", session)
    found: list[RecordedLine] = []
    for row in log.streams(node.config.scope):
        places = node.connection.execute(
            "SELECT s.seq, e.body FROM stock_fact s JOIN entry e ON e.scope_no = s.scope_no"
            " AND e.stream_no = s.stream_no AND e.seq = s.seq"
            " WHERE s.scope_no = ? AND s.about = ? AND s.subject = ? AND s.stream_no = ? AND s.seq > ?"
            " ORDER BY s.seq",
            (scope_no, *about, row.stream_no, (after or {}).get(row.stream_no, 0)),
        ).fetchall()
        for seq, encoded in places:
            if (row.stream.writer, seq) in named and _is_voided(node, row.stream.writer, seq):
                continue
            body = decode_body(bytes(encoded))
            payload = decode_payload(body)
            if isinstance(payload, CountRecorded) and payload.session == session:
                found += [
                    RecordedLine(
                        payload.product, k.zone, k.quantity_milli, payload.operator, row.stream.writer, row.stream_no,
                        seq, body.wall_ms, body.clock_epoch, k.lo_ms, k.hi_ms, k.basis_lo, k.basis_hi,
                    )
                    for k in payload.looks
                ]  # fmt: skip
    return found


def _is_voided(node: Node, writer: str, seq: int) -> bool:
    scope_no = node.replica.log.scope_no(node.config.scope)
    assert scope_no is not None
    tables = StockTables(node.connection, scope_no, node.config.scope, node.config.location)
    fold = StockFold(tables, node.stock.rules(node.connection))
    return not fold.standing([fact for fact in tables.facts_of(writer, seq) if isinstance(fact, Count)])
