"""The node's own read models: receipts by number, what came back of them, and shifts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.till_projections import BalanceProjection, MemberProjection, SignInProjection
from edge.trade_projections import TradeProjection
from schema.codec import encode
from schema.database import Connection
from schema.kinds.balances import BalancePaid
from schema.kinds.counting import CountClosed, CountOpened
from schema.kinds.trading import CashMoved, Refund, Sale, ShiftClosed, ShiftOpened, Tender
from sync.buying import BuyingFold
from sync.effective import Effective, Fold


class ReceiptProjection:
    """Sales and refunds of this location by receipt number, and the quantities that came back of each line."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        receipts = [
            (e.payload.receipt_number, scope_no, e.stream_no, e.seq, isinstance(e.payload, Refund),
             e.payload.total_minor)
            for e in entries
            if isinstance(e.payload, Sale | Refund)
        ]  # fmt: skip
        if receipts:
            connection.executemany(
                "INSERT INTO receipt (number, scope_no, stream_no, seq, is_refund, total_minor)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                receipts,
            )
        refunds = [e for e in entries if isinstance(e.payload, Refund) and e.payload.original]
        if refunds:
            connection.executemany(
                "INSERT INTO returned (original, line, refund, quantity_milli, amount_minor)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [row for e in refunds for row in _returned(e)],
            )
        replayed = [
            (e.payload.source, e.payload.receipt_number)
            for e in entries
            if isinstance(e.payload, Sale | Refund) and e.payload.source
        ]
        if replayed:
            connection.executemany(
                "INSERT INTO replayed (source, number) VALUES (?, ?) ON CONFLICT DO NOTHING", replayed
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        connection.executemany(
            "DELETE FROM receipt WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            [(scope_no, e.stream_no, e.seq) for e in entries],
        )
        connection.executemany("DELETE FROM returned WHERE refund = ?", [(str(e.id),) for e in entries])
        connection.executemany(
            "DELETE FROM replayed WHERE source = ? AND number = ?",
            [
                (e.payload.source, e.payload.receipt_number)
                for e in entries
                if isinstance(e.payload, Sale | Refund) and e.payload.source
            ],
        )


def _returned(entry: Effective) -> list[tuple[str, int, str, int, int]]:
    assert isinstance(entry.payload, Refund)
    totals: dict[int, tuple[int, int]] = {}
    for line in entry.payload.lines:
        if line.original_line is not None:
            quantity, amount = totals.get(line.original_line, (0, 0))
            totals[line.original_line] = (quantity + line.quantity_milli, amount + line.amount_minor)
    return [(entry.payload.original, line, str(entry.id), q, a) for line, (q, a) in totals.items()]


class ShiftProjection:
    """What happened in each shift of this location, in money: sums and last words, whatever the order of arrival.

    With `table` it sums entries that leave the node; their last words stay in `shift_event`.
    """

    def __init__(self, table: str = "shift") -> None:
        self._table = table

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        self._fold(connection, scope_no, entries, 1)

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        self._fold(connection, scope_no, entries, -1)

    def _fold(self, connection: Connection, scope_no: int, entries: Sequence[Effective], sign: int) -> None:
        totals: dict[str, list[int]] = {}
        dates: dict[str, str] = {}
        told: list[tuple[str, Effective, tuple[str, str, str, int, int]]] = []
        for entry in entries:
            payload = entry.payload
            match payload:
                case Sale():
                    row = totals.setdefault(payload.shift, [0, 0, 0, 0, 0])
                    row[0] += sign
                    row[1] += sign * payload.total_minor
                    row[4] += sign * _cash(payload.tenders)
                    dates[payload.shift] = max(dates.get(payload.shift, ""), payload.business_date)
                case Refund():
                    row = totals.setdefault(payload.shift, [0, 0, 0, 0, 0])
                    row[2] += sign
                    row[3] += sign * payload.total_minor
                    row[4] -= sign * _cash(payload.tenders)
                    dates[payload.shift] = max(dates.get(payload.shift, ""), payload.business_date)
                case BalancePaid():
                    totals.setdefault(payload.shift, [0, 0, 0, 0, 0])[4] += sign * _cash(payload.tenders)
                    dates[payload.shift] = max(dates.get(payload.shift, ""), payload.business_date)
                case CashMoved():
                    totals.setdefault(payload.shift, [0, 0, 0, 0, 0])[4] += sign * payload.amount_minor
                    told.append((payload.shift, entry, ("cash", "", payload.operator, payload.amount_minor, 0)))
                case ShiftOpened():
                    totals.setdefault(payload.shift, [0, 0, 0, 0, 0])
                    dates[payload.shift] = max(dates.get(payload.shift, ""), payload.business_date)
                    told.append(
                        (
                            payload.shift,
                            entry,
                            ("opened", payload.business_date, payload.operator, payload.float_minor, 0),
                        )
                    )
                case ShiftClosed():
                    totals.setdefault(payload.shift, [0, 0, 0, 0, 0])
                    told.append(
                        (
                            payload.shift,
                            entry,
                            ("closed", "", payload.operator, payload.counted_minor, payload.expected_minor),
                        )
                    )
                case _:
                    continue
        if not totals:
            return
        connection.executemany(
            f"INSERT INTO {self._table} AS s (shift, business_date, operator, float_minor, sales, sales_minor, refunds,"
            " refunds_minor, cash_minor) VALUES (?, ?, '', 0, ?, ?, ?, ?, ?) ON CONFLICT (shift) DO UPDATE SET"
            " sales = s.sales + excluded.sales, sales_minor = s.sales_minor + excluded.sales_minor,"
            " refunds = s.refunds + excluded.refunds, refunds_minor = s.refunds_minor + excluded.refunds_minor,"
            " cash_minor = s.cash_minor + excluded.cash_minor,"
            " business_date = max(s.business_date, excluded.business_date)",
            [(shift, dates.get(shift, ""), *row) for shift, row in totals.items()],
        )
        if told and self._table == "shift":
            self._mark(connection, scope_no, told, sign)
        if sign < 0:
            connection.executemany(
                "DELETE FROM shift WHERE shift = ? AND sales = 0 AND refunds = 0"
                " AND NOT EXISTS (SELECT 1 FROM payment p WHERE p.shift = shift.shift)"
                " AND NOT EXISTS (SELECT 1 FROM shift_event e WHERE e.shift = shift.shift)",
                [(shift,) for shift in totals],
            )

    @staticmethod
    def _mark(
        connection: Connection,
        scope_no: int,
        told: Sequence[tuple[str, Effective, tuple[str, str, str, int, int]]],
        sign: int,
    ) -> None:
        if sign > 0:
            connection.executemany(
                "INSERT INTO shift_event (shift, scope_no, stream_no, seq, hlc_ms, hlc_counter, writer, kind,"
                " business_date, operator, amount_minor, expected_minor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                [(shift, scope_no, e.stream_no, e.seq, *e.hlc, e.writer, *facts) for shift, e, facts in told],
            )
        else:
            connection.executemany(
                "DELETE FROM shift_event WHERE shift = ? AND scope_no = ? AND stream_no = ? AND seq = ?",
                [(shift, scope_no, e.stream_no, e.seq) for shift, e, _ in told],
            )
        settle_shifts(connection, {shift for shift, _, _ in told})


def settle_shifts(connection: Connection, shifts: Iterable[str]) -> None:
    """Let each shift show its last words: who opened it with what float, and what was counted."""
    for shift in sorted(shifts):
        opened = _last_word(connection, shift, "opened")
        closed = _last_word(connection, shift, "closed")
        connection.execute(
            "UPDATE shift SET operator = ?, float_minor = ?, counted_minor = ?, expected_minor = ? WHERE shift = ?",
            (*(opened[:2] if opened else ("", 0)), *(closed[1:] if closed else (None, None)), shift),
        )


def _last_word(connection: Connection, shift: str, kind: str) -> tuple[str, int, int] | None:
    row = connection.execute(
        "SELECT operator, amount_minor, expected_minor FROM shift_event WHERE shift = ? AND kind = ?"
        " ORDER BY hlc_ms DESC, hlc_counter DESC, writer DESC, seq DESC LIMIT 1",
        (shift, kind),
    ).fetchone()
    return None if row is None else (str(row[0]), int(row[1]), int(row[2]))


class SessionProjection:
    """Count sessions of this location: what each planned, and whether it was closed."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        rows = []
        for e in entries:
            match e.payload:
                case CountOpened(session=session, operator=operator, zones=zones, products=products):
                    rows.append(
                        (session, scope_no, e.stream_no, e.seq, 1, e.wall_ms, operator, encode((zones, products)))
                    )
                case CountClosed(session=session, operator=operator):
                    rows.append((session, scope_no, e.stream_no, e.seq, 0, e.wall_ms, operator, b""))
                case _:
                    continue
        if rows:
            connection.executemany(
                "INSERT INTO count_session (session, scope_no, stream_no, seq, is_opening, wall_ms, operator, plan)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        connection.executemany(
            "DELETE FROM count_session WHERE session = ? AND scope_no = ? AND stream_no = ? AND seq = ?",
            [
                (e.payload.session, scope_no, e.stream_no, e.seq)
                for e in entries
                if isinstance(e.payload, CountOpened | CountClosed)
            ],
        )


def _cash(tenders: Sequence[Tender]) -> int:
    return sum(tender.amount_minor for tender in tenders if tender.means == "cash")


def own_folds() -> tuple[Fold, ...]:
    """Return the folds that a node keeps beside those of every replica, in their order."""
    return (
        ReceiptProjection(),
        ShiftProjection(),
        SessionProjection(),
        SignInProjection(),
        BalanceProjection(),
        MemberProjection(),
        TradeProjection(),
        BuyingFold(),
    )
