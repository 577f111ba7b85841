"""The node's read models of people: who tried to sign in, who is found by which number, and balances."""

from __future__ import annotations

from collections.abc import Sequence

from schema.database import Connection
from schema.kinds.balances import balance_moves
from schema.kinds.organisation import CustomerDefined, PersonForgotten
from schema.kinds.tills import SignInRecorded
from sync.effective import Effective
from sync.elsewhere import HeldStatements


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


class MemberProjection:
    """Members by the keyed hash of their phone number; the key of one who asks to be forgotten goes at once."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        del scope_no
        defined = [(p.phone_hash, p.person) for e in entries if isinstance(p := e.payload, CustomerDefined)]
        if defined:
            connection.executemany(
                "INSERT INTO member (phone_hash, person) VALUES (?, ?) ON CONFLICT DO NOTHING", defined
            )
        forgotten = {e.payload.person for e in entries if isinstance(e.payload, PersonForgotten)}
        if forgotten:
            HeldStatements(connection).forget(forgotten)

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        del scope_no
        connection.executemany(
            "DELETE FROM member WHERE phone_hash = ? AND person = ?",
            [(p.phone_hash, p.person) for e in entries if isinstance(p := e.payload, CustomerDefined)],
        )
