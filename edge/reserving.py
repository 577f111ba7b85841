"""Putting goods aside: promises on shared stock by the node's own right, rights given away, and credit as a right.

A reservation never stops a sale of goods that a customer holds in the hand; where such a sale takes what was put aside,
the conflict says so. A customer's credit is the same bounded counter: the hub gives each van a part of it, and the van
promises no more than it was given, however long it is alone.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from edge.acting import base_quantity, check_permission, named_product
from edge.node import Node, Writing
from edge.store import foreseen
from schema.amounts import format_money
from schema.errors import RefusalError
from schema.identity import EntryId, NodeId, Stream
from schema.kinds.base import Permission
from schema.kinds.organisation import AuthorityRevoked
from schema.kinds.rights import PromiseEnded, PromiseMade, RightGranted
from sync.rights import CREDIT_PREFIX, RightsFigure
from sync.stock_facts import Key
from sync.stock_tables import StockTables

OUTCOMES: Final = ("fulfilled", "cancelled", "expired")


class Reservation(msgspec.Struct, frozen=True):
    """Goods that are put aside; quantities in thousandths of the base unit, times in Unix milliseconds."""

    promise: str
    product: str
    quantity_milli: int
    until_ms: int
    made_ms: int
    customer: str
    document: str
    note: str
    operator: str
    writer: str
    is_own: bool
    is_overdue: bool


class Availability(msgspec.Struct, frozen=True):
    """What may be promised of a product here: the least that is on hand, less others' rights and open promises."""

    product: str
    on_hand_lo: int
    available: int
    promised: int
    held_elsewhere: tuple[tuple[str, int], ...]


def availability(node: Node, product: str) -> Availability:
    """Return what may be promised of a product at this location."""
    code = named_product(node, product).code
    with foreseen(node.store.path):
        lo, figure = _standing(node, code)
    if figure is None:
        return Availability(code, lo, lo, 0, ())
    return Availability(code, lo, figure.available, figure.promised, figure.held)


def _standing(node: Node, product: str) -> tuple[int, RightsFigure | None]:
    key = Key(node.config.location, product)
    tables = _tables(node)
    row = tables.load_figures([key]).get(key)
    return row.lo if row is not None else 0, tables.load_rights([key]).get(key)


def _tables(node: Node) -> StockTables:
    number = node.replica.log.scope_no(node.config.scope)
    return StockTables(node.connection, number or 0, node.config.scope, node.config.location)


def reserve(
    node: Node,
    product: str,
    quantity_milli: int,
    *,
    until_ms: int = 0,
    unit: str = "",
    customer: str = "",
    document: str = "",
    operator: str = "",
    note: str = "",
) -> Reservation:
    """Put goods aside; raises RefusalError `promise_exceeded` where no more of them may be promised from here."""
    if quantity_milli <= 0:
        raise RefusalError("quantity_invalid", "a quantity is more than nothing")
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        named = named_product(node, product, unit)
        quantity = base_quantity(named, quantity_milli)
        lo, figure = _standing(node, named.code)
        left = lo if figure is None else figure.available
        if quantity > left:
            raise RefusalError(
                "promise_exceeded",
                f"only {max(0, left) / 1000:g} of {named.code} may be promised here",
                product=named.code,
                left_milli=max(0, left),
            )
        payload = PromiseMade(secrets.token_hex(6), named.code, quantity, until_ms, operator, customer, document, note)
        entry = writing.append(payload)
        return _told(node, payload, entry.stream.writer, entry.body.wall_ms, writing.moment.wall_ms)


def end_reservation(
    node: Node, promise: str, outcome: str, *, operator: str = "", document: str = "", note: str = ""
) -> str:
    """Say that a promise was fulfilled or cancelled, or has expired; returns the entry's id.

    Raises RefusalError `promise_unknown` or `outcome_unknown`.
    """
    if outcome not in OUTCOMES:
        raise RefusalError("outcome_unknown", f"a reservation ends {', '.join(OUTCOMES)}")
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        found = next((one for one in _open(node, writing.moment.wall_ms) if one.promise == promise), None)
        if found is None:
            raise RefusalError("promise_unknown", f"no open reservation {promise!r} is here", promise=promise)
        return str(_end(writing, found, outcome, operator, document, note))


def _end(
    writing: Writing, promise: Reservation, outcome: str, operator: str = "", document: str = "", note: str = ""
) -> EntryId:
    return writing.append(PromiseEnded(promise.promise, promise.product, outcome, operator, document, note)).id


def expire_due(node: Node) -> int:
    """End promises whose time has passed: this node's own, and those of nodes that have left; returns how many.

    The others' owners end theirs.
    """
    now_ms = node.clock_source().wall_ms
    node.organisation.refresh(node.connection)
    left = node.organisation.newest_each(node.connection, AuthorityRevoked)
    due = [one for one in reservations(node) if one.is_overdue and (one.is_own or _node_of(one) in left)]
    if not due:
        return 0
    with node.write() as writing:
        still = {one.promise for one in _open(node, now_ms)}
        for one in due:
            if one.promise in still:
                _end(writing, one, "expired")
    return len(due)


def _node_of(one: Reservation) -> str:
    return one.writer.rpartition(".")[0]


def reservations(node: Node) -> list[Reservation]:
    """Return the open promises of this location, the first to end first."""
    with foreseen(node.store.path):
        return _open(node, node.clock_source().wall_ms)


def _open(node: Node, now_ms: int) -> list[Reservation]:
    number = node.replica.log.scope_no(node.config.scope)
    rows = node.connection.execute(
        "SELECT DISTINCT stream_no, seq FROM stock_fact WHERE scope_no = ? AND about = 'right'", (number,)
    ).fetchall()
    streams = {row.stream_no: row for row in node.replica.log.streams(node.config.scope)}
    made: list[Reservation] = []
    ended: set[str] = set()
    for stream_no, seq in rows:
        entry = node.replica.log.entry_at(streams[stream_no], seq)
        if entry is None:
            continue
        if isinstance(entry.payload, PromiseEnded):
            ended.add(entry.payload.promise)
        elif isinstance(entry.payload, PromiseMade):
            writer = streams[stream_no].stream.writer
            made.append(_told(node, entry.payload, writer, entry.body.wall_ms, now_ms))
    found = [one for one in made if one.promise not in ended and not one.product.startswith(CREDIT_PREFIX)]
    return sorted(found, key=lambda one: (one.until_ms or 1 << 60, one.made_ms, one.promise))


def _told(node: Node, payload: PromiseMade, writer: str, made_ms: int, now_ms: int) -> Reservation:
    return Reservation(
        payload.promise, payload.product, payload.quantity_milli, payload.until_ms, made_ms, payload.customer,
        payload.document, payload.note, payload.operator, writer, writer.rpartition(".")[0] == node.config.node,
        bool(payload.until_ms) and payload.until_ms <= now_ms,
    )  # fmt: skip


def grant_right(
    node: Node, product: str, quantity_milli: int, holder: str, *, operator: str = "", note: str = ""
) -> str:
    """Give another node the right to promise goods of this location; returns the entry's id.

    `holder` is a node's id or name, the hub's too. Raises RefusalError `promise_exceeded` beyond what may be promised
    here, `holder_unknown` for a node that has written nothing here yet.
    """
    with node.write() as writing:
        check_permission(node, writing, Permission.STOCK)
        code = named_product(node, product).code
        lo, figure = _standing(node, code)
        left = lo if figure is None else figure.available
        if not 0 < quantity_milli <= left:
            raise RefusalError(
                "promise_exceeded",
                f"only {max(0, left) / 1000:g} of {code} may be promised here",
                product=code,
                left_milli=max(0, left),
            )
        return str(writing.append(RightGranted(code, quantity_milli, _holder(node, holder), operator, note)).id)


def _holder(node: Node, name: str) -> str:
    """Return the newest stream of a node in this location's scope: rights belong to streams."""
    if name == "hub":
        name = node.config.hub
    found = [row.stream for row in node.replica.log.streams(node.config.scope) if row.stream.node == name]
    if not found:
        if name == node.config.hub:
            return Stream(node.config.scope, NodeId(name), 1).writer
        raise RefusalError("holder_unknown", f"{name!r} has written nothing at this location yet", holder=name)
    return max(found, key=lambda stream: stream.incarnation).writer


def credit_left(node: Node, person: str) -> int:
    """Return what this node may still sell to a customer on account, in minor units: what it was given, less spent."""
    key = Key(node.config.location, CREDIT_PREFIX + person)
    with foreseen(node.store.path):
        figure = _tables(node).load_rights([key]).get(key)
        mine = Stream(node.config.scope, node.config.node_id, node.state().incarnation).writer
    return 0 if figure is None else max(0, dict(figure.held).get(mine, 0))


def spend_credit(
    node: Node, writing: Writing, person: str, amount_minor: int, document: str, operation: str = ""
) -> str:
    """Spend a customer's credit within the transaction of a sale on account; returns the promise's id.

    It is appended after what the customer is charged: whoever knows a part of both believes too little credit, never
    too much. Raises RefusalError `credit_exceeded` beyond what this node was given: two vans can never spend the same.
    """
    left = credit_left(node, person)
    if not 0 < amount_minor <= left:
        raise RefusalError(
            "credit_exceeded",
            f"only {format_money(left)} of this customer's credit is here",
            left=format_money(left),
            left_minor=left,
        )
    promise = secrets.token_hex(6)
    payload = PromiseMade(promise, CREDIT_PREFIX + person, amount_minor, 0, customer=person, document=document)
    writing.append(payload, operation=operation)
    return promise


def return_credit(
    node: Node, writing: Writing, person: str, amount_minor: int, document: str = "", operation: str = ""
) -> int:
    """Take back what this node had spent of a customer's credit, for a refund or what the customer pays here.

    The node's own promises end, the oldest first; of one that is larger the rest is promised anew. What was spent
    elsewhere comes back as the hub's new grant. Returns what came back. Append it before the entry that lowers what
    is owed, so that whoever knows a part of both never believes too much credit.
    """
    left = amount_minor
    for one in _own_spending(node, writing, person):
        if left <= 0:
            break
        ended = PromiseEnded(one.promise, one.product, "cancelled", document=document)
        writing.append(ended, operation=operation)
        if one.quantity_milli > left:
            rest = PromiseMade(
                secrets.token_hex(6), one.product, one.quantity_milli - left, 0, customer=person, document=one.document
            )
            writing.append(rest, operation=operation)
        left -= min(left, one.quantity_milli)
    return amount_minor - max(0, left)


def _own_spending(node: Node, writing: Writing, person: str) -> list[PromiseMade]:
    """Return the promises of a customer's credit that this node's stream has made and not ended, the oldest first."""
    row = node.replica.log.stream(writing.stream())
    if row is None:
        return []
    places = node.connection.execute(
        "SELECT DISTINCT seq FROM stock_fact WHERE scope_no = ? AND stream_no = ? AND about = 'right' ORDER BY seq",
        (row.scope_no, row.stream_no),
    ).fetchall()
    made: dict[str, PromiseMade] = {}
    for (seq,) in places:
        entry = node.replica.log.entry_at(row, seq)
        payload = None if entry is None else entry.payload
        if isinstance(payload, PromiseMade) and payload.product == CREDIT_PREFIX + person:
            made[payload.promise] = payload
        elif isinstance(payload, PromiseEnded):
            made.pop(payload.promise, None)
    return list(made.values())
