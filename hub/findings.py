"""What only all locations together can show: the same money spent twice, a coupon used twice, a sale refunded twice.

A finding is derived from the set of entries, never from the order in which they came: whatever an entry tells of is
judged anew, over all locations, after its transaction, and a finding goes when the entries no longer show it. Sales
are not stopped by any of it; a person at the desk decides what follows.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from hub.own_log import write_state
from hub.store import HubStore
from schema.codec import decode_body, decode_payload, encode
from schema.database import Connection
from schema.identity import EntryId, NodeId, Scope, Stream, scope_location
from schema.kinds.balances import balance_moves
from schema.kinds.base import Payload
from schema.kinds.organisation import SettingDefined
from schema.kinds.trading import Refund, Sale
from schema.kinds.vans import CreditLimited
from schema.rows import BalanceKind
from schema.rules.promotions import REASON
from schema.settings import NAME_OF, LoyaltyRules, read_setting
from sync.effective import Effective
from sync.elsewhere import slot_of
from sync.replica import Replica

EVIDENCE_MAX: Final = 50
_NEIGHBOURS: Final = 12
"""Entries of one operation follow each other in their stream; there are never more than these of a refund."""
PER_TRANSACTION: Final = 500
OPEN: Final = "open"
WHOLE: Final = -1
"""In place of a line's position: money given back against no line of the sale."""
_REFUND: Final = "refund"
_SETTLING: Final = "findings_settling"


class FindingKind(StrEnum):
    """What was found."""

    OVERSPENT = "overspent"
    """More stored value, bonus, points or gift card was spent than there was."""
    CREDIT_EXCEEDED = "credit_exceeded"
    COUPON_REUSED = "coupon_reused"
    REFUND_EXCEEDS = "refund_exceeds"
    """More came back of a sale than was sold, as when one signed code is refunded in two shops."""


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """One entry behind a finding: what it moved, and when by its writer's hybrid clock."""

    entry: str
    location: str
    amount: int
    hlc_ms: int
    approver: str = ""


class Finding(msgspec.Struct, frozen=True):
    """What is wrong, where, by which entries, and how much is at stake.

    `amount` is minor units, points for `member-points`. `subject` is the person, card, coupon or sale; `balance` is
    empty for a sale. Of a coupon the amount is all that promotions gave in the later sales: it was at most that.
    """

    finding: str
    kind: FindingKind
    balance: str
    subject: str
    amount: int
    locations: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    state: str = OPEN
    raised_ms: int = 0


_SPENT_DOWN: Final = frozenset(
    {BalanceKind.MEMBER_POINTS, BalanceKind.MEMBER_BALANCE, BalanceKind.MEMBER_BONUS, BalanceKind.GIFT_CARD}
)
_JUDGED: Final = {*(kind.value for kind in _SPENT_DOWN), BalanceKind.CUSTOMER_CREDIT.value, BalanceKind.COUPON.value}


def _balance_subject(balance: str, subject: str) -> str:
    return f"{balance}:{subject}"


class FindingsFold:
    """Keeps what came back of sales, and notes in the entry's own transaction what is to be judged anew."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Note new entries."""
        returned = [
            (scope_no, e.stream_no, e.seq, line, e.payload.original, quantity, amount)
            for e in entries
            if isinstance(e.payload, Refund) and e.payload.original
            for line, (quantity, amount) in _returned(e.payload).items()
        ]
        if returned:
            connection.executemany(
                "INSERT INTO returned_line (scope_no, stream_no, seq, line, original, quantity_milli, amount_minor)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                returned,
            )
        _note_due(connection, scope_no, entries, 0)

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        connection.executemany(
            "DELETE FROM returned_line WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            [(scope_no, e.stream_no, e.seq) for e in entries if isinstance(e.payload, Refund)],
        )
        # A number of its own: the note of when the entry came may be being worked off at this very moment.
        _note_due(connection, scope_no, entries, 1 + secrets.randbelow(1 << 52))


def _note_due(connection: Connection, scope_no: int, entries: Sequence[Effective], turn: int) -> None:
    rows = [(scope_no, e.stream_no, e.seq, turn, subject) for e in entries for subject in sorted(_subjects(e))]
    if rows:
        connection.executemany(
            "INSERT INTO finding_due (scope_no, stream_no, seq, turn, subject) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            rows,
        )


def _subjects(entry: Effective) -> set[str]:
    payload = entry.payload
    if isinstance(payload, Refund):
        return {_balance_subject(_REFUND, payload.original)} if payload.original else set()
    return {_balance_subject(m.balance, m.subject) for m in balance_moves(payload) if m.balance in _JUDGED}


def _returned(refund: Refund) -> dict[int, tuple[int, int]]:
    totals: dict[int, tuple[int, int]] = {}
    for line in refund.lines:
        at = WHOLE if line.original_line is None else line.original_line
        quantity, amount = totals.get(at, (0, 0))
        totals[at] = (quantity + line.quantity_milli, amount + line.amount_minor)
    # What was given back in all may differ from the sum of its lines: the difference stands against no line.
    rest = refund.total_minor - sum(amount for _, amount in totals.values())
    if rest:
        quantity, amount = totals.get(WHOLE, (0, 0))
        totals[WHOLE] = (quantity, amount + rest)
    return totals


def settle_findings(store: HubStore, now_ms: int) -> int:
    """Judge anew what entries told of since the last time; returns how many subjects were judged.

    Idempotent: a hub that died before it does it at its next start, and doing it twice changes nothing.
    """
    judged = 0
    while True:
        with store.snapshot() as replica:
            if not _is_due(replica.connection):
                return judged
        with store.transaction(None) as replica:
            done = _settle_some(replica, now_ms)
        judged += done
        if done < PER_TRANSACTION:
            return judged


def note_credit_due(connection: Connection) -> None:
    """Have all credit judged again, in the transaction that changes the limit."""
    rows = connection.execute(
        "SELECT DISTINCT subject FROM balance WHERE balance = ?", (BalanceKind.CUSTOMER_CREDIT.value,)
    ).fetchall()
    turn = secrets.randbelow(1 << 52)
    connection.executemany(
        "INSERT INTO finding_due (scope_no, stream_no, seq, turn, subject) VALUES (0, 0, 0, ?, ?)",
        [(turn, _balance_subject(BalanceKind.CUSTOMER_CREDIT.value, subject)) for (subject,) in sorted(rows)],
    )


def _is_due(connection: Connection) -> bool:
    if connection.execute("SELECT 1 FROM finding_due LIMIT 1").fetchone() is not None:
        return True
    originals = connection.execute("SELECT original FROM refund_waiting").fetchall()
    return any(_is_stored(connection, original) for (original,) in originals)


def _is_stored(connection: Connection, original: str) -> bool:
    try:
        entry = EntryId.parse(original)
    except ValueError:
        return False
    row = connection.execute(
        "SELECT 1 FROM stream t JOIN scope s ON s.scope_no = t.scope_no"
        " WHERE s.scope = ? AND t.node = ? AND t.incarnation = ? AND t.head_seq >= ?",
        (entry.stream.scope, entry.stream.node, entry.stream.incarnation, entry.seq),
    ).fetchone()
    return row is not None


def _settle_some(replica: Replica, now_ms: int) -> int:
    connection = replica.connection
    # One process at a time: what is read below is then newer than whatever another has written.
    write_state(connection, _SETTLING, str(now_ms))
    due = connection.execute(
        "SELECT scope_no, stream_no, seq, turn, subject FROM finding_due"
        " ORDER BY scope_no, stream_no, seq, turn, subject LIMIT ?",
        (PER_TRANSACTION,),
    ).fetchall()
    subjects = {str(row[4]) for row in due}
    for (original,) in connection.execute("SELECT original FROM refund_waiting").fetchall():
        if _is_stored(connection, original):
            subjects.add(_balance_subject(_REFUND, original))
    for subject in sorted(subjects):
        _keep(connection, subject, judge(replica, subject), now_ms)
    connection.executemany(
        "DELETE FROM finding_due WHERE scope_no = ? AND stream_no = ? AND seq = ? AND turn = ? AND subject = ?",
        [tuple(row) for row in due],
    )
    return len(due)


def _keep(connection: Connection, subject: str, found: Finding | None, now_ms: int) -> None:
    if found is None:
        connection.execute("DELETE FROM finding WHERE finding = ?", (subject,))
        return
    connection.execute(
        "INSERT INTO finding (finding, kind, subject, amount, state, raised_ms, content) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (finding) DO UPDATE SET kind = excluded.kind, amount = excluded.amount,"
        " content = excluded.content",
        (
            subject, found.kind.value, found.subject, found.amount, found.state, now_ms,
            encode((found.balance, found.locations, found.evidence)),
        ),
    )  # fmt: skip


def judge(replica: Replica, subject: str) -> Finding | None:
    """Return what the entries here show of one subject; None where nothing is wrong."""
    balance, _, about = subject.partition(":")
    if balance == _REFUND:
        return _judge_refunds(replica, subject, about)
    total = _total(replica.connection, balance, about)
    if balance == BalanceKind.COUPON.value:
        return _judge_coupon(replica, subject, about)
    if balance == BalanceKind.CUSTOMER_CREDIT.value:
        return _judge_credit(replica, subject, about, total)
    if total >= 0:
        return None
    spends = [change for change in _changes(replica, balance, about) if change.amount < 0]
    evidence = _newest(spends, -total)
    return _found(subject, FindingKind.OVERSPENT, balance, about, -total, evidence)


class _Change(NamedTuple):
    """A change of a balance in the order of the hybrid clock."""

    hlc_ms: int
    hlc_counter: int
    scope: str
    writer: str
    seq: int
    part: int
    amount: int
    operation: str
    approver: str

    @property
    def evidence(self) -> Evidence:
        location = scope_location(Scope(self.scope)) or ""
        return Evidence(f"{self.scope}:{self.writer}:{self.seq}", location, self.amount, self.hlc_ms, self.approver)


def _total(connection: Connection, balance: str, subject: str) -> int:
    row = connection.execute(
        "SELECT coalesce(sum(amount), 0) FROM balance WHERE slot = ? AND subject = ? AND balance = ?",
        (slot_of(subject), subject, balance),
    ).fetchone()
    return int(row[0])


def _changes(replica: Replica, balance: str, subject: str) -> list[_Change]:
    rows = replica.connection.execute(
        "SELECT c.hlc_ms, c.hlc_counter, s.scope, c.writer, c.seq, c.part, c.amount, c.operation, c.approver"
        " FROM balance_change c JOIN scope s ON s.scope_no = c.scope_no WHERE c.balance = ? AND c.subject = ?",
        (balance, subject),
    ).fetchall()
    return sorted(_Change(*row) for row in rows)


def _newest(changes: Sequence[_Change], stake: int) -> list[Evidence]:
    """Return the newest changes that come to the stake, and the newest one of another place, which they followed."""
    taken: list[_Change] = []
    rest = list(changes)
    while rest and len(taken) < EVIDENCE_MAX and abs(sum(one.amount for one in taken)) < stake:
        taken.append(rest.pop())
    scopes = {one.scope for one in taken}
    other = next((one for one in reversed(rest) if one.scope not in scopes), rest[-1] if rest else None)
    if other is not None and len(scopes) == 1:
        taken.append(other)
    return [one.evidence for one in sorted(taken)]


def _judge_credit(replica: Replica, subject: str, about: str, total: int) -> Finding | None:
    defined = replica.organisation.newest(replica.connection, SettingDefined, f"{NAME_OF[LoyaltyRules]}/")
    limit = read_setting(LoyaltyRules, defined.value if defined else None).credit_limit_minor
    limited = replica.organisation.newest(replica.connection, CreditLimited, about)
    if limited is not None and limited.limit_minor is not None:
        limit = limited.limit_minor
    if total <= limit:
        return None
    balance = BalanceKind.CUSTOMER_CREDIT.value
    changes = [change for change in _changes(replica, balance, about) if change.amount > 0]
    evidence = _newest(changes, total - limit)
    # One shop that knew what was owed, and had it allowed, is no finding.
    if len({one.location for one in evidence}) < 2 and all(one.approver for one in evidence if one.location):
        return None
    return _found(subject, FindingKind.CREDIT_EXCEEDED, balance, about, total - limit, evidence)


def _judge_coupon(replica: Replica, subject: str, code: str) -> Finding | None:
    balance = BalanceKind.COUPON.value
    changes = _changes(replica, balance, code)
    uses = _standing_uses(replica, [one for one in changes if one.amount > 0], [c for c in changes if c.amount < 0])
    if len(uses) < 2:
        return None
    amount = sum(_given_by_promotions(replica, use.operation) for use in uses[1:])
    evidence = [use.evidence for use in uses[:EVIDENCE_MAX]]
    return _found(subject, FindingKind.COUPON_REUSED, balance, code, amount, evidence)


def _standing_uses(replica: Replica, uses: Sequence[_Change], backs: Sequence[_Change]) -> list[_Change]:
    """Return the uses of a coupon that were not given back with their sale.

    A sale that two shops refunded gave its coupon back once: what they gave back with it is another finding.
    """
    originals = set()
    unnamed = 0
    for back in backs:
        refund = _beside(replica, back, Refund)
        if isinstance(refund, Refund) and refund.original:
            originals.add(refund.original)
        else:
            unnamed += -back.amount
    standing = [use for use in uses if use.operation not in originals]
    unnamed += len(originals - {use.operation for use in uses})
    return standing[unnamed:]


def _beside(replica: Replica, change: _Change, kind: type[Payload]) -> Payload | None:
    """Return the payload of a kind that a change came with: it stands before it in its stream, in its operation."""
    writer, _, incarnation = change.writer.rpartition(".")
    row = replica.log.stream(Stream(Scope(change.scope), NodeId(writer), int(incarnation)))
    if row is None or not change.operation:
        return None
    for seq in range(change.seq - 1, max(0, change.seq - _NEIGHBOURS), -1):
        entry = replica.log.entry_at(row, seq)
        if entry is None or change.operation not in {entry.body.operation, str(entry.id)}:
            return None
        if isinstance(entry.payload, kind):
            return entry.payload
    return None


def _given_by_promotions(replica: Replica, operation: str) -> int:
    sale = _payload(replica, operation)
    if not isinstance(sale, Sale):
        return 0
    return sum(d.share_minor for line in sale.lines for d in line.discounts if d.reason == REASON)


def _payload(replica: Replica, entry: str) -> object:
    try:
        place = EntryId.parse(entry)
    except ValueError:
        return None
    row = replica.log.stream(place.stream)
    if row is None:
        return None
    found = replica.connection.execute(
        "SELECT body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq = ?",
        (row.scope_no, row.stream_no, place.seq),
    ).fetchone()
    return None if found is None else decode_payload(decode_body(bytes(found[0])))


def _judge_refunds(replica: Replica, subject: str, original: str) -> Finding | None:
    connection = replica.connection
    rows = connection.execute(
        "SELECT s.scope, t.node, t.incarnation, r.seq, r.line, r.quantity_milli, r.amount_minor, r.scope_no,"
        " r.stream_no FROM returned_line r JOIN scope s ON s.scope_no = r.scope_no"
        " JOIN stream t ON t.scope_no = r.scope_no AND t.stream_no = r.stream_no WHERE r.original = ?",
        (original,),
    ).fetchall()
    sale = _payload(replica, original)
    connection.execute("DELETE FROM refund_waiting WHERE original = ?", (original,))
    if not rows:
        return None
    if not isinstance(sale, Sale):
        if sale is None and not _is_stored(connection, original):
            connection.execute("INSERT INTO refund_waiting (original) VALUES (?) ON CONFLICT DO NOTHING", (original,))
        return None
    quantities: dict[int, int] = {}
    amounts: dict[int, int] = {}
    by_entry: dict[tuple[str, str, int, int, int], int] = {}
    for scope, node, incarnation, seq, line, quantity, amount, scope_no, stream_no in rows:
        quantities[line] = quantities.get(line, 0) + int(quantity)
        amounts[line] = amounts.get(line, 0) + int(amount)
        key = (scope, f"{node}.{incarnation}", seq, scope_no, stream_no)
        by_entry[key] = by_entry.get(key, 0) + int(amount)
    over = _over(sale, quantities, amounts)
    if not over:
        return None
    evidence = []
    for (scope, writer, seq, scope_no, stream_no), amount in by_entry.items():
        row = connection.execute(
            "SELECT body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq = ?", (scope_no, stream_no, seq)
        ).fetchone()
        body = decode_body(bytes(row[0]))
        payload = decode_payload(body)
        approver = payload.approver if isinstance(payload, Refund) else ""
        hlc_ms = body.wall_ms + body.hlc_ahead_ms
        evidence.append(
            Evidence(f"{scope}:{writer}:{seq}", scope_location(Scope(scope)) or "", amount, hlc_ms, approver)
        )
    evidence.sort(key=lambda one: (one.hlc_ms, one.entry))
    sold_at = scope_location(EntryId.parse(original).stream.scope) or ""
    return _found(subject, FindingKind.REFUND_EXCEEDS, "", original, over, evidence[-EVIDENCE_MAX:], sold_at)


def _over(sale: Sale, quantities: dict[int, int], amounts: dict[int, int]) -> int:
    """Return how much too much came back: beyond the total, or of lines of which more came back than was sold."""
    beyond = max(0, sum(amounts.values()) - sale.total_minor)
    by_line = 0
    for line, quantity in quantities.items():
        if line == WHOLE:
            continue
        sold = sale.lines[line] if 0 <= line < len(sale.lines) else None
        if sold is None:
            by_line += max(0, amounts[line])
        elif quantity > sold.quantity_milli > 0:
            by_line += max(1, amounts[line] - sold.amount_minor)
    return max(beyond, by_line)


def _found(
    subject: str,
    kind: FindingKind,
    balance: str,
    about: str,
    amount: int,
    evidence: Iterable[Evidence],
    sold_at: str = "",
) -> Finding:
    told = tuple(evidence)
    locations = tuple(sorted({one.location for one in told if one.location} | ({sold_at} if sold_at else set())))
    return Finding(subject, kind, balance, about, amount, locations, told)


_LISTED: Final = "SELECT finding, kind, subject, amount, state, raised_ms, content FROM finding"


def list_findings(connection: Connection, *, kind: str | None = None, location: str | None = None) -> list[Finding]:
    """Return what was found, most at stake first; of one kind, or touching one location, where named."""
    every = (_finding(row) for row in connection.execute(f"{_LISTED} ORDER BY finding").fetchall())
    found = [one for one in every if kind in {None, one.kind.value} and (location is None or location in one.locations)]
    return sorted(found, key=lambda one: (-one.amount, one.finding))


def findings_after(
    connection: Connection, after: tuple[int, str] | None, limit: int, *, kind: str = ""
) -> list[Finding]:
    """Return the next findings by amount, the largest first; `after` is amount and id of the last one that was read."""
    clauses, parameters = ["1 = 1"], list[object]()
    if kind:
        clauses.append("kind = ?")
        parameters.append(kind)
    if after is not None:
        clauses.append("(amount, finding) < (?, ?)")
        parameters += after
    rows = connection.execute(
        f"{_LISTED} WHERE {' AND '.join(clauses)} ORDER BY amount DESC, finding DESC LIMIT ?", (*parameters, limit)
    ).fetchall()
    return [_finding(row) for row in rows]


def _finding(row: Sequence[Any]) -> Finding:
    identity, of, subject, amount, state, raised_ms, content = row
    balance, locations, evidence = msgspec.msgpack.decode(
        bytes(content), type=tuple[str, tuple[str, ...], tuple[Evidence, ...]]
    )
    return Finding(identity, FindingKind(of), balance, subject, int(amount), locations, evidence, state, raised_ms)
