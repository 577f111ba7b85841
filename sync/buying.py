"""Orders, drafts and deliveries as a fold: what was ordered, what came of it, and what became of each draft.

The same rows stand at node and hub. Every state is judged from the set of what was said of a number, whatever the
order of arrival: a delivery that was checked before its order came is counted once the order is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from schema.codec import decode_as, encode
from schema.database import Connection
from schema.kinds.base import Payload
from schema.kinds.buying import (
    DeliveryChecked,
    DeliveryLine,
    DraftAnswered,
    OrderClosed,
    OrderDrafted,
    OrderLine,
    OrderPlaced,
    TransferAsked,
)
from sync.effective import Effective

Fact = OrderPlaced | OrderClosed | OrderDrafted | DraftAnswered | TransferAsked | DeliveryChecked
_KINDS: Final[dict[str, type[Fact]]] = {
    "placed": OrderPlaced, "closed": OrderClosed, "drafted": OrderDrafted, "answered": DraftAnswered,
    "asked": TransferAsked, "checked": DeliveryChecked,
}  # fmt: skip
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


class BuyingState(StrEnum):
    """Where an order, a draft or an asked transfer stands."""

    OPEN = "open"
    PARTLY = "partly"
    """Something of it came, and more is expected."""
    RECEIVED = "received"
    """All of it came, or who took it in said that no more is expected."""
    CLOSED = "closed"
    """The hub closed or cancelled it."""
    ANSWERED = "answered"
    """A draft: the hub ordered, or asked the other location."""
    DECLINED = "declined"


class About(StrEnum):
    """What a number names."""

    ORDER = "order"
    DRAFT = "draft"
    TRANSFER = "transfer"


class OrderedLine(msgspec.Struct, frozen=True, array_like=True):
    """One product of an order with what came of it, in base units; `ordered_milli` is 0 for what nobody ordered."""

    product: str
    ordered_milli: int
    received_milli: int = 0
    damaged_milli: int = 0
    cost_minor: int | None = None

    @property
    def left_milli(self) -> int:
        """What is still to come."""
        return max(0, self.ordered_milli - self.received_milli)


class CheckedDelivery(msgspec.Struct, frozen=True, array_like=True):
    """One delivery as it was checked at the door."""

    receipt: str
    operator: str
    at_ms: int
    is_final: bool
    note: str
    lines: tuple[DeliveryLine, ...]


class Buying(msgspec.Struct, frozen=True, array_like=True):
    """All that is known of one number; `source` is the supplier, or the location that goods are wanted from.

    Of an asked transfer `destination` is where the goods are wanted. `reference` is what answered a draft, and the
    draft that an order answers.
    """

    number: str
    about: About
    state: BuyingState
    source: str
    purpose: str
    destination: str
    operator: str
    since_ms: int
    due: str
    reference: str
    note: str
    outcome: str
    answer: str
    lines: tuple[OrderedLine, ...]
    deliveries: tuple[CheckedDelivery, ...]

    @property
    def is_open(self) -> bool:
        """Tell whether something is still awaited."""
        return self.state in {BuyingState.OPEN, BuyingState.PARTLY}

    @property
    def value_minor(self) -> int:
        """What was ordered at the agreed costs."""
        return sum(line.ordered_milli * (line.cost_minor or 0) // 1000 for line in self.lines)


class Said(msgspec.Struct, frozen=True):
    """One thing that was said of a number, and when by its writer's clock."""

    fact: Fact
    wall_ms: int


_decode = msgspec.msgpack.Decoder(Buying).decode


def judge(number: str, said: Sequence[Said]) -> Buying | None:
    """Judge a number by all that was said of it, oldest first; None before its first word is here."""
    openings = [
        (one.fact, one.wall_ms) for one in said if isinstance(one.fact, OrderPlaced | OrderDrafted | TransferAsked)
    ]
    if not openings:
        return None
    fact, first_ms = openings[-1][0], openings[0][1]
    closed = next((one.fact for one in reversed(said) if isinstance(one.fact, OrderClosed)), None)
    answered = next((one.fact for one in reversed(said) if isinstance(one.fact, DraftAnswered)), None)
    deliveries = tuple(_told(one.fact, one.wall_ms) for one in said if isinstance(one.fact, DeliveryChecked))
    lines = _lines(fact.lines, deliveries)
    match fact:
        case OrderPlaced():
            about, purpose, source, destination = About.ORDER, "order", fact.supplier, ""
            due, reference = fact.due, fact.draft
            state = _order_state(lines, deliveries, closed)
        case OrderDrafted():
            about, purpose, source, destination = About.DRAFT, fact.purpose, fact.source, ""
            due, reference = "", answered.reference if answered else ""
            state = _draft_state(answered)
        case TransferAsked():
            about, purpose, source, destination = About.TRANSFER, "transfer", "", fact.destination
            due, reference = "", fact.draft
            state = BuyingState.CLOSED if closed is not None else BuyingState.OPEN
    outcome = closed.outcome if closed is not None else answered.outcome if answered is not None else ""
    answer = closed.note if closed is not None else answered.note if answered is not None else ""
    return Buying(
        number, about, state, source, purpose, destination, fact.operator, first_ms, due, reference, fact.note,
        outcome, answer, lines, deliveries,
    )  # fmt: skip


def _told(checked: DeliveryChecked, at_ms: int) -> CheckedDelivery:
    return CheckedDelivery(checked.receipt, checked.operator, at_ms, checked.is_final, checked.note, checked.lines)


def _lines(ordered: Iterable[OrderLine], deliveries: Iterable[CheckedDelivery]) -> tuple[OrderedLine, ...]:
    wanted: dict[str, int] = {}
    costs: dict[str, int | None] = {}
    received: dict[str, int] = {}
    damaged: dict[str, int] = {}
    for line in ordered:
        wanted[line.product] = wanted.get(line.product, 0) + line.quantity_milli
        costs.setdefault(line.product, line.cost_minor)
    for delivery in deliveries:
        for checked in delivery.lines:
            received[checked.product] = received.get(checked.product, 0) + checked.received_milli
            damaged[checked.product] = damaged.get(checked.product, 0) + checked.damaged_milli
    products = dict.fromkeys([*wanted, *received])
    return tuple(
        OrderedLine(p, wanted.get(p, 0), received.get(p, 0), damaged.get(p, 0), costs.get(p)) for p in products
    )


def _order_state(
    lines: Sequence[OrderedLine], deliveries: Sequence[CheckedDelivery], closed: OrderClosed | None
) -> BuyingState:
    if closed is not None:
        return BuyingState.CLOSED
    if any(delivery.is_final for delivery in deliveries) or (deliveries and not any(one.left_milli for one in lines)):
        return BuyingState.RECEIVED
    return BuyingState.PARTLY if deliveries else BuyingState.OPEN


def _draft_state(answered: DraftAnswered | None) -> BuyingState:
    if answered is None:
        return BuyingState.OPEN
    return BuyingState.DECLINED if answered.outcome == "declined" else BuyingState.ANSWERED


def _subject(payload: Payload) -> str:
    match payload:
        case OrderPlaced() | OrderClosed():
            return payload.order
        case OrderDrafted() | DraftAnswered():
            return payload.draft
        case TransferAsked():
            return payload.transfer
        case DeliveryChecked():
            return payload.reference
        case _:
            return ""


class BuyingFold:
    """Keeps `buying_fact` and `buying`."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        found = [(e, subject) for e in entries if (subject := _subject(e.payload))]
        if not found:
            return
        connection.executemany(
            "INSERT INTO buying_fact (scope_no, stream_no, seq, kind, subject, wall_ms, hlc_ms, hlc_counter, writer,"
            " content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                (scope_no, e.stream_no, e.seq, _NAMES[type(e.payload)], subject, e.wall_ms, *e.hlc,  # type: ignore[index]
                 e.writer, encode(e.payload))
                for e, subject in found
            ],
        )  # fmt: skip
        self._judge(connection, scope_no, {subject for _, subject in found})

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take entries off that lost their authority."""
        gone = [(scope_no, e.stream_no, e.seq) for e in entries if _subject(e.payload)]
        if gone:
            connection.executemany("DELETE FROM buying_fact WHERE scope_no = ? AND stream_no = ? AND seq = ?", gone)
            self._judge(connection, scope_no, {_subject(e.payload) for e in entries} - {""})

    @staticmethod
    def _judge(connection: Connection, scope_no: int, subjects: set[str]) -> None:
        for number in sorted(subjects):
            rows = connection.execute(
                "SELECT kind, wall_ms, content FROM buying_fact WHERE scope_no = ? AND subject = ?"
                " ORDER BY hlc_ms, hlc_counter, writer, seq",
                (scope_no, number),
            ).fetchall()
            said = [Said(decode_as(_KINDS[str(kind)], bytes(content)), int(wall)) for kind, wall, content in rows]
            judged = judge(number, said)
            if judged is None:
                connection.execute("DELETE FROM buying WHERE scope_no = ? AND number = ?", (scope_no, number))
                continue
            connection.execute(
                "INSERT INTO buying (scope_no, number, about, state, source, since_ms, content)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope_no, number) DO UPDATE SET about = excluded.about,"
                " state = excluded.state, source = excluded.source, since_ms = excluded.since_ms,"
                " content = excluded.content",
                (scope_no, number, judged.about.value, judged.state.value, judged.source, judged.since_ms,
                 encode(judged)),
            )  # fmt: skip


def read_buying(
    connection: Connection,
    scope_nos: Iterable[int],
    about: About | None = None,
    states: Iterable[BuyingState] = (),
    *,
    limit: int = 500,
    offset: int = 0,
) -> list[tuple[int, Buying]]:
    """Return (scope number, what is known) of some scopes, the newest first."""
    numbers, wanted = sorted(scope_nos), [state.value for state in states]
    where = [f"scope_no IN ({', '.join('?' * len(numbers)) or 'NULL'})"]
    parameters: list[object] = [*numbers]
    if about is not None:
        where.append("about = ?")
        parameters.append(about.value)
    if wanted:
        where.append(f"state IN ({', '.join('?' * len(wanted))})")
        parameters += wanted
    rows = connection.execute(
        f"SELECT scope_no, content FROM buying WHERE {' AND '.join(where)}"
        " ORDER BY since_ms DESC, number DESC LIMIT ? OFFSET ?",
        (*parameters, limit, offset),
    ).fetchall()
    return [(int(number), _decode(bytes(content))) for number, content in rows]


def find_buying(connection: Connection, scope_no: int | None, number: str) -> Buying | None:
    """Return what is known of a number in a scope; None where nothing is."""
    row = connection.execute(
        "SELECT content FROM buying WHERE scope_no = ? AND number = ?", (scope_no, number)
    ).fetchone()
    return None if row is None else _decode(bytes(row[0]))


def deliveries_of(connection: Connection, scope_no: int | None, number: str) -> list[CheckedDelivery]:
    """Return the checked deliveries of a number, oldest first, whether or not its order or dispatch is here."""
    rows = connection.execute(
        "SELECT wall_ms, content FROM buying_fact WHERE scope_no = ? AND subject = ? AND kind = 'checked'"
        " ORDER BY hlc_ms, hlc_counter, writer, seq",
        (scope_no, number),
    ).fetchall()
    return [_told(decode_as(DeliveryChecked, bytes(content)), int(wall_ms)) for wall_ms, content in rows]
