"""Balances over all locations (points, stored value, gift cards, credit, uses of coupons) as folds by scope."""

from __future__ import annotations

from collections.abc import Sequence

from schema.database import Connection
from schema.kinds.balances import balance_moves
from sync.effective import Effective
from sync.elsewhere import slot_of


class BalanceFold:
    """Keeps one row for every effective change, and the sums by scope."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Add new changes."""
        rows = [
            (
                scope_no, e.stream_no, e.seq, part, move.balance, move.subject, move.amount, e.operation,
                getattr(e.payload, "approver", ""), *e.hlc, e.writer,
            )
            for e in entries
            for part, move in enumerate(balance_moves(e.payload))
        ]  # fmt: skip
        if not rows:
            return
        connection.executemany(
            "INSERT INTO balance_change (scope_no, stream_no, seq, part, balance, subject, amount, operation, approver,"
            " hlc_ms, hlc_counter, writer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        self._add_up(connection, scope_no, entries, 1)

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back changes that lost their authority."""
        moving = [e for e in entries if balance_moves(e.payload)]
        if not moving:
            return
        connection.executemany(
            "DELETE FROM balance_change WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            [(scope_no, e.stream_no, e.seq) for e in moving],
        )
        self._add_up(connection, scope_no, moving, -1)

    @staticmethod
    def _add_up(connection: Connection, scope_no: int, entries: Sequence[Effective], sign: int) -> None:
        totals: dict[tuple[str, str], int] = {}
        last: dict[tuple[int, int], int] = {}
        for e in entries:
            for move in balance_moves(e.payload):
                key = (move.balance, move.subject)
                totals[key] = totals.get(key, 0) + sign * move.amount
                place = (slot_of(move.subject), e.stream_no)
                last[place] = max(last.get(place, 0), e.seq)
        connection.executemany(
            "INSERT INTO balance AS b (scope_no, balance, subject, slot, amount) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (scope_no, balance, subject) DO UPDATE SET amount = b.amount + excluded.amount",
            [(scope_no, kind, about, slot_of(about), amount) for (kind, about), amount in sorted(totals.items())],
        )
        # What was taken back stays below the cut: it is as much included as what stands.
        connection.executemany(
            "INSERT INTO balance_slot AS s (scope_no, slot, stream_no, seq, version) VALUES (?, ?, ?, ?, 1)"
            " ON CONFLICT (scope_no, slot, stream_no) DO UPDATE SET version = s.version + 1,"
            " seq = CASE WHEN s.seq > excluded.seq THEN s.seq ELSE excluded.seq END",
            [(scope_no, slot, stream_no, seq) for (slot, stream_no), seq in sorted(last.items())],
        )


def balances_of(connection: Connection, subject: str) -> dict[str, int]:
    """Return a subject's balances over all locations, by kind."""
    rows = connection.execute(
        "SELECT balance, sum(amount) FROM balance WHERE subject = ? GROUP BY balance ORDER BY balance", (subject,)
    ).fetchall()
    return {str(kind): int(amount) for kind, amount in rows}
