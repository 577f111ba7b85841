"""The node's read models of people: who tried to sign in, and what moved their balances."""

from __future__ import annotations

from collections.abc import Sequence

from schema.database import Connection
from schema.kinds.balances import BalanceMove, BalanceMoved, BalanceOpened, BalancePaid
from schema.kinds.base import Payload
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


def balance_moves(payload: Payload | None) -> tuple[BalanceMove, ...]:
    """Return the changes of balances that an entry tells of."""
    match payload:
        case BalanceOpened():
            return (BalanceMove(payload.balance, payload.subject, payload.amount),)
        case BalanceMoved() | BalancePaid():
            return payload.moves
        case _:
            return ()


class BalanceProjection:
    """Changes of balances that this node holds, one row each; `edge.balances` adds them up."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        rows = [
            (move.balance, move.subject, scope_no, e.stream_no, e.seq, part, move.amount)
            for e in entries
            for part, move in enumerate(balance_moves(e.payload))
        ]
        if rows:
            connection.executemany(
                "INSERT INTO balance_move (balance, subject, scope_no, stream_no, seq, part, amount)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        rows = [
            (move.balance, move.subject, scope_no, e.stream_no, e.seq)
            for e in entries
            for move in balance_moves(e.payload)
        ]
        if rows:
            connection.executemany(
                "DELETE FROM balance_move WHERE balance = ? AND subject = ? AND scope_no = ? AND stream_no = ?"
                " AND seq = ?",
                rows,
            )
