"""The node's read models of people: who tried to sign in."""

from __future__ import annotations

from collections.abc import Sequence

from schema.database import Connection
from schema.kinds.tills import SignInRecorded
from sync.effective import Effective


class SignInProjection:
    """Sign-ins at this location by operator, as they came; `edge.signing_in` says what they mean."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        rows = [
            (
                e.payload.operator, scope_no, e.stream_no, e.seq, e.payload.outcome, e.payload.approver, *e.hlc,
                e.writer, e.wall_ms, e.clock_epoch,
            )
            for e in entries
            if isinstance(e.payload, SignInRecorded)
        ]  # fmt: skip
        if rows:
            connection.executemany(
                "INSERT INTO sign_in (operator, scope_no, stream_no, seq, outcome, approver, hlc_ms, hlc_counter,"
                " writer, wall_ms, clock_epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        rows = [
            (e.payload.operator, scope_no, e.stream_no, e.seq) for e in entries if isinstance(e.payload, SignInRecorded)
        ]
        if rows:
            connection.executemany(
                "DELETE FROM sign_in WHERE operator = ? AND scope_no = ? AND stream_no = ? AND seq = ?", rows
            )
