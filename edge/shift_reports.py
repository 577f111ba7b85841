"""Adds up what a shift or a till's business day came to, from the entries themselves: X, shift and Z reports.

Nothing is kept of a report but the close of a day: figures are found anew, so that an entry that arrives late is in
them, named as late, and the close keeps what it said at its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from edge.acting import check_permission
from edge.clock_source import local_time
from edge.node import Node
from edge.print_jobs import queue_report
from edge.settings import setting
from edge.shifts import ShiftState, current_shift, shifts
from edge.signing_in import operator_name
from edge.trade_projections import UNKNOWN
from schema.codec import decode_body, decode_payload
from schema.errors import RefusalError
from schema.kinds.balances import BalancePaid
from schema.kinds.base import Payload, Permission
from schema.kinds.organisation import EntryRecovered
from schema.kinds.trading import CashMoved, DayClosed, Refund, Sale, ShiftClosed
from schema.rules.pricing import PriceSource
from schema.rules.receipt import ROUNDING_REASON
from schema.rules.receipt_numbers import ReceiptNumber
from schema.rules.slips import CashEvent, OperatorSum, Report, ReportKind, TaxSum, TenderSum
from schema.settings import TillRules
from sync.entry import Entry

_SHIFT: Final = re.compile(r"(.+)-(\d{4}-\d\d-\d\d)(?:-\d+)?")


class Traded(NamedTuple):
    """One sale, refund or payment with its place: a report says who and when."""

    stream_no: int
    seq: int
    entry: str
    wall_ms: int
    payload: Sale | Refund | BalancePaid


class DayClose(NamedTuple):
    """One close of a till's business day, as it was stated then."""

    business_date: str
    stream_no: int
    seq: int
    operator: str
    first_receipt: str
    last_receipt: str
    sales_minor: int
    refunds_minor: int
    wall_ms: int


# What belongs to a shift or a day.


def _told(entry: Entry) -> tuple[Payload | None, int]:
    """Return what an entry says and when; one that was brought back after a fork says what the original said."""
    if isinstance(entry.payload, EntryRecovered):
        original = decode_body(entry.payload.body)
        return decode_payload(original), original.wall_ms
    return entry.payload, entry.body.wall_ms


def _read(node: Node, sql: str, parameters: Sequence[object]) -> Iterator[Traded]:
    """Yield the entries whose places a query names, one after the other: whoever has enough stops reading."""
    streams = {(row.scope_no, row.stream_no): row for row in node.replica.log.streams(node.config.scope)}
    cursor = node.store.connection.execute(sql, parameters)
    while rows := cursor.fetchmany(200):
        for scope_no, stream_no, seq in rows:
            row = streams.get((scope_no, stream_no))
            entry = None if row is None else node.replica.log.entry_at(row, seq)
            if entry is None:  # it has left this node: the totals of its shift hold it
                continue
            payload, wall_ms = _told(entry)
            if isinstance(payload, Sale | Refund | BalancePaid):
                yield Traded(int(stream_no), int(seq), str(entry.id), wall_ms, payload)


def _traded(
    node: Node, till: str, is_wanted: Callable[[Sale | Refund | BalancePaid], bool], wanted: int, payments: str, of: str
) -> list[Traded]:
    """Return what a till traded, in order: its newest entries are read until all that are counted are found."""
    found: list[Traded] = []
    newest_first = "SELECT scope_no, stream_no, seq FROM receipt WHERE number >= ? AND number < ? ORDER BY number DESC"
    if wanted:
        for one in _read(node, newest_first, (f"{till}-", f"{till}.")):
            if is_wanted(one.payload):
                found.append(one)
                if len(found) == wanted:
                    break
    found += _read(node, f"SELECT scope_no, stream_no, seq FROM payment WHERE {payments} = ?", (of,))
    return sorted(found, key=lambda one: (one.stream_no, one.seq))


def _shifts_of_day(node: Node, till: str, business_date: str) -> list[ShiftState]:
    name = f"{till}-{business_date}"
    return [state for state in shifts(node) if state.shift == name or state.shift.startswith(f"{name}-")]


# Sums.


class _Sums:
    """Adds sales, refunds and payments up as a report states them."""

    def __init__(self, node: Node, traded: Sequence[Traded]) -> None:
        self._node = node
        self.sales = self.refunds = self.sales_minor = self.refunds_minor = 0
        self.discounts_minor = self.rounding_minor = self.unknown = self.unknown_minor = 0
        self.cash_minor = 0
        self._tenders: dict[str, list[int]] = {}
        self._taxes: dict[tuple[str, int], int] = {}
        self._operators: dict[str, list[int]] = {}
        self._facts: dict[str, list[int]] = {}
        self._settled = {
            (str(entry), int(part))
            for entry, part in node.connection.execute("SELECT entry, part FROM settled_tender").fetchall()
        }
        for one in traded:
            self._add(one)

    def _add(self, one: Traded) -> None:
        payload = one.payload
        match payload:
            case Sale():
                self.sales += 1
                self.sales_minor += payload.total_minor
                self.rounding_minor += payload.rounding_minor
                person = self._operators.setdefault(payload.operator, [0, 0, 0, 0])
                person[0] += 1
                person[1] += payload.total_minor
                self._add_lines(payload)
            case Refund():
                self.refunds += 1
                self.refunds_minor += payload.total_minor
                person = self._operators.setdefault(payload.operator, [0, 0, 0, 0])
                person[2] += 1
                person[3] += payload.total_minor
                for line in payload.lines:
                    key = (line.tax_class, line.tax_bp)
                    self._taxes[key] = self._taxes.get(key, 0) - line.amount_minor
            case BalancePaid():
                self._fact(f"paid-{payload.reason}", payload.total_minor)
        for part, tender in enumerate(payload.tenders):
            amount = -tender.amount_minor if isinstance(payload, Refund) else tender.amount_minor
            sums = self._tenders.setdefault(tender.means, [0, 0, 0])
            sums[0] += 1
            sums[1 if amount >= 0 else 2] += abs(amount)
            if tender.means == "cash":
                self.cash_minor += amount
            if tender.state == UNKNOWN and (one.entry, part) not in self._settled:
                self.unknown += 1
                self.unknown_minor += amount

    def _add_lines(self, sale: Sale) -> None:
        for line in sale.lines:
            key = (line.tax_class, line.tax_bp)
            self._taxes[key] = self._taxes.get(key, 0) + line.amount_minor
            if line.price_source == PriceSource.OVERRIDE.value:
                self._fact("overrides", line.amount_minor)
            for discount in line.discounts:
                if discount.reason == "gift":
                    self._fact("gifts", discount.share_minor)
                if discount.reason != ROUNDING_REASON:
                    self.discounts_minor += discount.share_minor

    def _fact(self, word: str, amount_minor: int) -> None:
        fact = self._facts.setdefault(word, [0, 0])
        fact[0] += 1
        fact[1] += amount_minor

    @property
    def tenders(self) -> tuple[TenderSum, ...]:
        """The sums by means, cash first."""
        order = sorted(self._tenders, key=lambda means: (means != "cash", means))
        return tuple(TenderSum(means, *self._tenders[means]) for means in order)

    @property
    def taxes(self) -> tuple[TaxSum, ...]:
        """The sums by tax class and rate."""
        return tuple(TaxSum(name, rate, gross) for (name, rate), gross in sorted(self._taxes.items()) if gross)

    @property
    def operators(self) -> tuple[OperatorSum, ...]:
        """The sums by person."""
        return tuple(
            OperatorSum(operator_name(self._node, person), *sums) for person, sums in sorted(self._operators.items())
        )

    @property
    def facts(self) -> list[tuple[str, int, int | None]]:
        """Further figures, by their words on paper."""
        return [(word, count, amount) for word, (count, amount) in sorted(self._facts.items())]


# Shifts.


class _Event(NamedTuple):
    """One word on a shift beside its sales, with the entry that said it."""

    kind: str
    stream_no: int
    seq: int
    operator: str
    amount_minor: int
    payload: Payload | None
    wall_ms: int


def _events(node: Node, shift: str) -> list[_Event]:
    streams = {(row.scope_no, row.stream_no): row for row in node.replica.log.streams(node.config.scope)}
    rows = node.connection.execute(
        "SELECT kind, scope_no, stream_no, seq, operator, amount_minor, hlc_ms FROM shift_event WHERE shift = ?"
        " ORDER BY hlc_ms, hlc_counter, writer, seq",
        (shift,),
    ).fetchall()
    found = []
    for kind, scope_no, stream_no, seq, operator, amount, hlc_ms in rows:
        row = streams.get((scope_no, stream_no))
        entry = None if row is None else node.replica.log.entry_at(row, seq)
        payload, wall_ms = (None, int(hlc_ms)) if entry is None else _told(entry)
        found.append(_Event(kind, stream_no, seq, operator, amount, payload, wall_ms))
    return found


def shift_report(node: Node, shift: str = "", *, is_blind: bool | None = None) -> Report:
    """Return a shift's report (of the open one where none is named): an X while it is open, its slip afterwards.

    While it is open what the drawer should hold is left out where the shop counts blind. Late entries are in the
    figures and named. Raises RefusalError `shift_missing`, `shift_unknown`.
    """
    state = _state(node, shift)
    matched = _SHIFT.fullmatch(state.shift)
    till, date = (matched[1], matched[2]) if matched else (node.config.till, state.business_date)
    traded = _traded(
        node, till, lambda payload: payload.shift == state.shift, state.sales + state.refunds, "shift", state.shift
    )
    sums = _Sums(node, traded)
    events = _events(node, state.shift)
    opened = next((event for event in reversed(events) if event.kind == "opened"), None)
    closed = next((event for event in reversed(events) if event.kind == "closed"), None)
    is_hidden = closed is None and (setting(node, TillRules).counts_blind if is_blind is None else is_blind)
    numbers = _numbers(traded)
    facts = sums.facts + _voids(node, opened, closed) + _openings(node, state.shift)
    if closed is not None:
        facts += _late([one for one in traded if _is_after(one, closed)])
    moved = [event for event in events if event.kind == "cash"]
    return Report(
        kind=ReportKind.X if closed is None else ReportKind.SHIFT,
        till=till,
        business_date=date,
        shift=state.shift,
        operator=operator_name(node, state.operator) if state.operator else "",
        opened=_shown(node, opened),
        closed=_shown(node, closed),
        first_receipt=numbers[0] if numbers else "",
        last_receipt=numbers[-1] if numbers else "",
        sales=sums.sales,
        sales_minor=sums.sales_minor,
        refunds=sums.refunds,
        refunds_minor=sums.refunds_minor,
        discounts_minor=sums.discounts_minor,
        rounding_minor=sums.rounding_minor,
        tenders=sums.tenders,
        unknown_tenders=sums.unknown,
        unknown_minor=sums.unknown_minor,
        taxes=sums.taxes,
        operators=sums.operators,
        float_minor=state.float_minor,
        cash_events=tuple(_cash_event(node, event) for event in moved),
        expected_minor=None if is_hidden else state.expected_minor,
        counted_minor=state.counted_minor,
        denominations=closed.payload.denominations
        if closed is not None and isinstance(closed.payload, ShiftClosed)
        else (),
        facts=tuple(facts),
    )


def _state(node: Node, shift: str) -> ShiftState:
    if shift:
        found = next((state for state in shifts(node) if state.shift == shift), None)
        if found is None:
            raise RefusalError("shift_unknown", f"there is no shift {shift} here", shift=shift)
        return found
    current = current_shift(node)
    if current is None:
        raise RefusalError("shift_missing", "no shift is open at this till")
    return current


def _shown(node: Node, event: _Event | None) -> str:
    if event is None:
        return ""
    return local_time(event.wall_ms, node.config.time_zone).strftime("%Y-%m-%d %H:%M")


def _cash_event(node: Node, event: _Event) -> CashEvent:
    reason = event.payload.reason if isinstance(event.payload, CashMoved) else ""
    return CashEvent(event.amount_minor, reason, operator_name(node, event.operator) if event.operator else "")


def _is_after(one: Traded, closed: _Event) -> bool:
    """Tell whether an entry came after the close: later in its stream, or of another stream by its clock."""
    if one.stream_no == closed.stream_no:
        return one.seq > closed.seq
    return one.wall_ms > closed.wall_ms


def _late(late: Sequence[Traded]) -> list[tuple[str, int, int | None]]:
    return [("late", len(late), sum(_signed(one.payload) for one in late))] if late else []


def _signed(payload: Sale | Refund | BalancePaid) -> int:
    return -payload.total_minor if isinstance(payload, Refund) else payload.total_minor


def _numbers(traded: Sequence[Traded]) -> list[str]:
    """Return receipt numbers in their order, those of later series last."""
    return [one.payload.receipt_number for one in traded]


def _voids(node: Node, opened: _Event | None, closed: _Event | None) -> list[tuple[str, int, int | None]]:
    """Count the lines that were voided between the opening and the close, in the stream of the opening."""
    if opened is None:
        return []
    last = closed.seq if closed is not None and closed.stream_no == opened.stream_no else 1 << 62
    scope_no = node.replica.log.scope_no(node.config.scope)
    count, amount = node.connection.execute(
        "SELECT count(*), coalesce(sum(amount_minor), 0) FROM voided_line WHERE scope_no = ? AND stream_no = ?"
        " AND seq > ? AND seq < ?",
        (scope_no, opened.stream_no, opened.seq, last),
    ).fetchone()
    return [("voids", int(count), int(amount))] if count else []


def _openings(node: Node, shift: str) -> list[tuple[str, int, int | None]]:
    (count,) = node.connection.execute("SELECT count(*) FROM drawer_opening WHERE shift = ?", (shift,)).fetchone()
    return [("drawer-openings", int(count), None)] if count else []


# Business days.


def day_closes(node: Node, business_date: str, till: str = "") -> list[DayClose]:
    """List the closes of a till's business day (this till's where none is named), the first of them first."""
    till = till or node.config.till
    rows = node.connection.execute(
        "SELECT c.business_date, c.stream_no, c.seq, c.operator, c.first_receipt, c.last_receipt, c.sales_minor,"
        " c.refunds_minor, c.wall_ms, t.node FROM closed_day c JOIN stream t ON t.scope_no = c.scope_no"
        " AND t.stream_no = c.stream_no WHERE c.business_date = ? ORDER BY c.stream_no, c.seq",
        (business_date,),
    ).fetchall()
    found = []
    for *fields, name in rows:
        close = DayClose(*fields)
        is_of_till = _till_of(close.last_receipt) == till if close.last_receipt else name == node.config.node
        if is_of_till:
            found.append(close)
    return found


def _till_of(number: str) -> str:
    try:
        return ReceiptNumber.parse(number).till
    except ValueError:
        return ""


def _of_day(node: Node, till: str, business_date: str) -> list[Traded]:
    wanted = sum(state.sales + state.refunds for state in _shifts_of_day(node, till, business_date))
    found = _traded(
        node, till, lambda payload: payload.business_date == business_date, wanted, "business_date", business_date
    )
    return [one for one in found if _till_of(one.payload.receipt_number) == till]


def _is_covered(one: Traded, close: DayClose) -> bool:
    """Tell whether a close stated an entry: it stands before the close in its own stream."""
    return one.stream_no == close.stream_no and one.seq < close.seq


def open_days(node: Node) -> list[str]:
    """List the business days of this till, the oldest first, on which more was traded than their closes state."""
    traded: dict[str, tuple[int, int]] = {}
    for state in shifts(node):
        matched = _SHIFT.fullmatch(state.shift)
        if matched is not None and matched[1] == node.config.till:
            sales, refunds = traded.get(matched[2], (0, 0))
            traded[matched[2]] = (sales + state.sales_minor, refunds + state.refunds_minor)
    return [date for date in sorted(traded) if _stated(day_closes(node, date)) != traded[date]]


def _stated(closes: Sequence[DayClose]) -> tuple[int, int] | None:
    if not closes:
        return None
    return sum(close.sales_minor for close in closes), sum(close.refunds_minor for close in closes)


def day_report(node: Node, business_date: str = "", *, till: str = "") -> Report:
    """Return the Z report of a till's business day (this till's and today's where none is named).

    After a close later entries of the day are in the figures and named as late, with what they come to.
    """
    from edge.selling import today

    date, till = business_date or today(node, node.now_ms()), till or node.config.till
    traded = _of_day(node, till, date)
    closes = day_closes(node, date, till)
    return _day(node, till, date, traded, closes)


def _day(node: Node, till: str, date: str, traded: Sequence[Traded], closes: Sequence[DayClose]) -> Report:
    sums = _Sums(node, traded)
    states = _shifts_of_day(node, till, date)
    late = [one for one in traded if closes and not any(_is_covered(one, close) for close in closes)]
    numbers = _numbers(traded)
    counted = [state for state in states if state.counted_minor is not None]
    last = closes[-1] if closes else None
    shown = "" if last is None else local_time(last.wall_ms, node.config.time_zone).strftime("%Y-%m-%d %H:%M")
    openings = [fact for state in states for fact in _openings(node, state.shift)]
    count = sum(fact[1] for fact in openings)
    return Report(
        kind=ReportKind.Z,
        till=till,
        business_date=date,
        operator=operator_name(node, last.operator) if last is not None and last.operator else "",
        closed=shown,
        first_receipt=numbers[0] if numbers else "",
        last_receipt=numbers[-1] if numbers else "",
        sales=sums.sales,
        sales_minor=sums.sales_minor,
        refunds=sums.refunds,
        refunds_minor=sums.refunds_minor,
        discounts_minor=sums.discounts_minor,
        rounding_minor=sums.rounding_minor,
        tenders=sums.tenders,
        unknown_tenders=sums.unknown,
        unknown_minor=sums.unknown_minor,
        taxes=sums.taxes,
        operators=sums.operators,
        expected_minor=sum(state.expected_minor for state in counted) if counted else None,
        counted_minor=sum(state.counted_minor or 0 for state in counted) if counted else None,
        facts=(*sums.facts, *((("drawer-openings", count, None),) if count else ()), *_late(late)),
    )


def close_day(node: Node, business_date: str = "", *, operator: str = "", prints: bool = False) -> Report:
    """Close the till's business day (日结), the oldest that is open where none is named; returns its Z report.

    What is traded afterwards is stated by another close.

    Raises RefusalError `shift_open` (count the drawer first) or `day_closed` (nothing has happened since).
    """
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        date, till = business_date or min(open_days(node), default=writing.business_date), node.config.till
        still = next((state for state in _shifts_of_day(node, till, date) if state.is_open), None)
        if still is not None:
            raise RefusalError("shift_open", f"the shift {still.shift} is still open: close it first",
                               shift=still.shift)  # fmt: skip
        closes, traded = day_closes(node, date), _of_day(node, till, date)
        new = [one for one in traded if not any(_is_covered(one, close) for close in closes)]
        if closes and not new:
            raise RefusalError("day_closed", f"{date} is closed already, and nothing came after it", date=date)
        sums, numbers = _Sums(node, new), _numbers(new)
        writing.append(
            DayClosed(date, operator, numbers[0] if numbers else "", numbers[-1] if numbers else "",
                      sums.sales_minor, sums.refunds_minor)
        )  # fmt: skip
        report = _day(node, till, date, traded, day_closes(node, date))
        if prints:
            queue_report(writing, report)
    return report


def print_report(node: Node, report: Report, *, is_copy: bool = True) -> None:
    """Print a report, marked as a copy unless it is the first paper of it."""
    with node.write() as writing:
        queue_report(writing, report, is_copy=is_copy)
