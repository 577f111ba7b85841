"""Shifts of a till: who took the drawer over with what float, and what was counted in it at the end."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.acting import check_permission
from edge.allowing import allow
from edge.limits import Act
from edge.node import Node
from edge.print_jobs import queue_receipt
from edge.selling import trading_day
from schema.errors import RefusalError
from schema.kinds.base import Permission
from schema.kinds.tills import DrawerOpened
from schema.kinds.trading import CashMoved, ShiftClosed, ShiftOpened
from schema.rules.card_numbers import refuse_card_number


class ShiftState(msgspec.Struct, frozen=True):
    """A shift in money: `expected_minor` is float and cash movements; `counted_minor` is None while it is open."""

    shift: str
    business_date: str
    operator: str
    float_minor: int
    sales: int
    sales_minor: int
    refunds: int
    refunds_minor: int
    cash_minor: int
    expected_minor: int
    counted_minor: int | None
    is_open: bool

    @property
    def variance_minor(self) -> int | None:
        """Counted minus expected cash; None while the shift is open."""
        return None if self.counted_minor is None else self.counted_minor - self.expected_minor


_SHIFT = (
    "SELECT shift, business_date, operator, float_minor, sales, sales_minor, refunds, refunds_minor, cash_minor,"
    " counted_minor, EXISTS (SELECT 1 FROM shift_event e WHERE e.shift = shift.shift AND e.kind = 'opened') FROM shift"
)


def shifts(node: Node, business_date: str | None = None) -> list[ShiftState]:
    """List this location's shifts, of one trading day where named."""
    where, parameters = ("", ()) if business_date is None else (" WHERE business_date = ?", (business_date,))
    rows = node.connection.execute(f"{_SHIFT}{where} ORDER BY business_date, shift", parameters).fetchall()
    return [_state(row) for row in rows]


def _state(row: Sequence[object]) -> ShiftState:
    *facts, counted, was_opened = row
    is_open = bool(was_opened) and counted is None
    expected = int(str(row[3])) + int(str(row[8]))
    return msgspec.convert(
        dict(zip(ShiftState.__struct_fields__, [*facts, expected, counted, is_open], strict=True)), ShiftState
    )


def _open_shift_of_till(node: Node) -> ShiftState | None:
    till = node.config.till
    rows = node.connection.execute(
        f"{_SHIFT} WHERE counted_minor IS NULL AND substr(shift, 1, ?) = ? ORDER BY shift DESC",
        (len(till) + 1, f"{till}-"),
    ).fetchall()
    return next((state for row in rows if (state := _state(row)).is_open), None)


def current_shift(node: Node) -> ShiftState | None:
    """Return this till's open shift; None when nobody opened one."""
    return _open_shift_of_till(node)


def open_shift(node: Node, *, operator: str = "", float_minor: int = 0) -> ShiftState:
    """Take the drawer over with a float."""
    if float_minor < 0:
        raise RefusalError("amount_invalid", "a float is not negative")
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        if (known := _open_shift_of_till(node)) is not None:
            raise RefusalError("shift_open", f"the shift {known.shift} is still open: close it first",
                               shift=known.shift)  # fmt: skip
        date = writing.business_date
        taken = node.connection.execute(
            "SELECT count(DISTINCT shift) FROM shift_event WHERE kind = 'opened' AND business_date = ?"
            " AND substr(shift, 1, ?) = ?",
            (date, len(node.config.till) + 1, f"{node.config.till}-"),
        ).fetchone()
        shift = f"{node.config.till}-{date}-{int(taken[0]) + 1:02d}"
        writing.append(ShiftOpened(shift, date, operator, float_minor))
        opened = _open_shift_of_till(node)
    assert opened is not None
    return opened


def close_shift(
    node: Node,
    counted_minor: int,
    *,
    operator: str = "",
    denominations: Sequence[tuple[int, int]] = (),
    approver: str = "",
) -> ShiftState:
    """Close the till's shift (交班) with the cash that was counted blind; what was expected is kept beside it."""
    if counted_minor < 0:
        raise RefusalError("amount_invalid", "counted cash is not negative")
    if denominations and sum(value * pieces for value, pieces in denominations) != counted_minor:
        raise RefusalError("denominations_differ", "the notes and coins do not add up to what was counted")
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        state = _open_shift_of_till(node)
        if state is None:
            raise RefusalError("shift_missing", "no shift is open at this till")
        writing.append(
            ShiftClosed(state.shift, operator, counted_minor, state.expected_minor, tuple(denominations), approver)
        )
        row = node.connection.execute(f"{_SHIFT} WHERE shift = ?", (state.shift,)).fetchone()
    return _state(row)


def pay_in(
    node: Node, amount_minor: int, reason: str, *, operator: str = "", note: str = "", prints: bool = False
) -> str:
    """Put cash into the drawer without a sale; returns the entry."""
    return _move_cash(node, amount_minor, 1, reason, operator, note, "", prints)


def pay_out(
    node: Node, amount_minor: int, reason: str, *, operator: str = "", note: str = "", approver: str = "",
    prints: bool = False,
) -> str:  # fmt: skip
    """Take cash out of the drawer without a sale; returns the entry. Raises RefusalError `approval_needed`."""
    return _move_cash(node, amount_minor, -1, reason, operator, note, approver, prints)


def _move_cash(
    node: Node, amount_minor: int, sign: int, reason: str, operator: str, note: str, approver: str, prints: bool
) -> str:
    if amount_minor <= 0 or not reason:
        raise RefusalError("amount_invalid", "say how much cash, and why")
    refuse_card_number(f"{reason} {note}", lambda _: False)
    if sign < 0:
        approver = allow(node, operator, (approver,), Act.PAY_OUT, amount_minor) or approver
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        state = _open_shift_of_till(node)
        if state is None:
            raise RefusalError("shift_missing", "no shift is open at this till")
        entry = writing.append(CashMoved(state.shift, operator, sign * amount_minor, reason, note, approver))
        if prints:
            queue_receipt(writing, str(entry.id))
    return str(entry.id)


def open_drawer(node: Node, reason: str, *, operator: str = "", approver: str = "") -> str:
    """Note that the drawer is opened with no sale, and why, before it is; returns the entry.

    Raises RefusalError `reason_missing`, `approval_needed`.
    """
    if not reason.strip():
        raise RefusalError("reason_missing", "say why the drawer is opened")
    refuse_card_number(reason, lambda _: False)
    allowed = allow(node, operator, (approver,), Act.DRAWER)
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        shift = trading_day(node, writing.business_date).shift
        return str(writing.append(DrawerOpened(shift, operator, reason.strip()[:60], allowed or approver)).id)
