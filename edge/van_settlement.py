"""Owns a van's settlement at its node: what belongs to it, how it stands now, and the entry that states it.

All that the location's log holds above the vector of the last settlement belongs to the next one, whichever till wrote
it and whenever it came: nothing is settled twice, and nothing falls between two days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from edge.acting import check_permission, held_vector, next_entry_id
from edge.catalog import find_product, price_at
from edge.node import Node, Writing
from edge.print_jobs import queue_receipt
from edge.shifts import current_shift
from edge.store import foreseen
from edge.van_route import is_van
from schema.codec import decode_body, decode_payload
from schema.errors import RefusalError
from schema.identity import EntryId, NodeId, Scope, Stream
from schema.kinds import KIND_OF
from schema.kinds.base import Payload, Permission
from schema.kinds.counting import CountRecorded, EntryVoided
from schema.kinds.organisation import EntryRecovered
from schema.kinds.vans import VanSettled
from schema.rules.van_settlement import Settlement, settle


class Standing(NamedTuple):
    """How a van stands since its last settlement; `uncounted` are products aboard that nobody counted.

    `is_idle`: nothing at all has happened.
    """

    settlement: Settlement
    previous: str
    uncounted: tuple[str, ...]
    is_shift_open: bool
    is_idle: bool


def last_settlement(node: Node) -> tuple[EntryId, VanSettled] | None:
    """Return the newest settlement of this location, with its entry; None before the first."""
    row = node.connection.execute(
        "SELECT s.scope, t.node, t.incarnation, v.seq FROM van_settlement v JOIN scope s ON s.scope_no = v.scope_no"
        " JOIN stream t ON t.scope_no = v.scope_no AND t.stream_no = v.stream_no WHERE s.scope = ?"
        " ORDER BY v.hlc_ms DESC, v.hlc_counter DESC, t.node DESC, v.seq DESC LIMIT 1",
        (node.config.scope,),
    ).fetchone()
    if row is None:
        return None
    place = EntryId(Stream(Scope(row[0]), NodeId(row[1]), int(row[2])), int(row[3]))
    entry = node.replica.log.entry(place.stream, place.seq)
    if entry is None:  # it is older than what this node keeps
        return None
    payload = entry.payload
    if isinstance(payload, EntryRecovered):
        payload = decode_payload(decode_body(payload.body))
    return (place, payload) if isinstance(payload, VanSettled) else None


def since_settled(node: Node) -> list[Payload]:
    """Return what this location's log tells since the last settlement; what was taken back as wrong is left out."""
    known = last_settlement(node)
    return list(_since(node, known[1] if known else None))


def _since(node: Node, known: VanSettled | None) -> Iterator[Payload]:
    upto = dict(known.vector) if known is not None else {}
    found: list[tuple[str, Payload]] = []
    voided: set[str] = set()
    for row in node.replica.log.streams(node.config.scope):
        authority = node.organisation.authority(node.connection, row.stream)
        after = max(row.base.seq, upto.get(row.stream.writer, 0))
        for entry in node.replica.log.entries(row, after):
            payload = entry.payload
            if isinstance(payload, EntryRecovered):
                payload = decode_payload(decode_body(payload.body))
            if payload is None or authority.objection(KIND_OF[type(payload)], payload, entry.body.seq):
                continue
            if isinstance(payload, EntryVoided):
                voided.add(payload.target)
            found.append((f"{row.stream.writer}:{entry.body.seq}", payload))
    for name, payload in found:
        if name not in voided:
            yield payload


def standing(node: Node) -> Standing:
    """Say how the van stands; raises RefusalError `van_missing` at a location that is none."""
    _check_van(node)
    with foreseen(node.store.path):
        return _standing(node)


def _check_van(node: Node) -> None:
    if not is_van(node):
        raise RefusalError("van_missing", f"{node.config.location} is no van: its location is of another kind")


def _standing(node: Node) -> Standing:
    known = last_settlement(node)
    previous = known[1] if known else None
    payloads = list(_since(node, previous))
    opening = {line.product: line.left_milli for line in previous.lines if line.left_milli} if previous else {}
    counted = {payload.product for payload in payloads if isinstance(payload, CountRecorded)}
    book = _book(node)
    closing = {product: book.get(product, 0) for product in counted}
    touched = {*opening, *counted, *book}
    found = settle(opening, payloads, closing, _prices(node, touched))
    uncounted = tuple(line.product for line in found.lines if line.closing_milli is None and line.book_milli)
    return Standing(found, str(known[0]) if known else "", uncounted, current_shift(node) is not None,
                    not payloads)  # fmt: skip


def _book(node: Node) -> dict[str, int]:
    number = node.replica.log.scope_no(node.config.scope)
    rows = node.connection.execute(
        "SELECT product, value FROM stock WHERE scope_no = ? AND is_present = 1", (number,)
    ).fetchall()
    return {str(product): int(value) for product, value in rows}


def _prices(node: Node, products: set[str]) -> Mapping[str, tuple[int, int]]:
    now_ms = node.now_ms()
    prices: dict[str, tuple[int, int]] = {}
    for product in products:
        found = find_product(node, product)
        chosen = price_at(found, "", now_ms) if found is not None else None
        if chosen is not None:
            prices[product] = (chosen.list_minor, chosen.per.milli)
    return prices


def settle_van(
    node: Node, *, operator: str = "", approver: str = "", note: str = "", allows_uncounted: bool = False,
    prints: bool = False,
) -> VanSettled:  # fmt: skip
    """Settle the van's day: one durable entry with every product and the money; the next day begins after it.

    Raises RefusalError `shift_open` (count the drawer first), `van_uncounted` where goods are aboard that nobody
    counted (facts: count) unless they may stay aboard by the book, `van_settled` where nothing happened since the
    last settlement, and `van_missing`.
    """
    _check_van(node)
    with node.write() as writing:
        check_permission(node, writing, Permission.TRADE)
        now = _standing(node)
        if now.is_shift_open:
            shift = current_shift(node)
            name = shift.shift if shift is not None else ""
            raise RefusalError("shift_open", f"the shift {name} is still open: close it first", shift=name)
        if now.is_idle:
            raise RefusalError("van_settled", "nothing has happened since the last settlement")
        if now.uncounted and not allows_uncounted:
            raise RefusalError(
                "van_uncounted", f"{len(now.uncounted)} products aboard were not counted: count them, or let them"
                " stay aboard by the book", count=len(now.uncounted),
            )  # fmt: skip
        payload = _payload(node, writing, now, operator, approver, note)
        entry = writing.append(payload)
        if prints:
            queue_receipt(writing, str(entry.id))
    return payload


def _payload(node: Node, writing: Writing, now: Standing, operator: str, approver: str, note: str) -> VanSettled:
    found = now.settlement
    first = next_entry_id(node, writing)
    upto = dict(held_vector(node))
    upto[first.stream.writer] = first.seq  # the settlement itself
    return VanSettled(
        f"S-{node.config.till}-{first.stream.incarnation}-{first.seq}", now.previous, writing.business_date, operator,
        tuple(sorted(upto.items())), found.lines, found.means, found.sales, found.refunds, found.cash_expected_minor,
        found.cash_counted_minor, found.deposits_minor, found.empties_minor, approver, note,
    )  # fmt: skip


def settlement_entry(node: Node, settlement: str = "") -> str:
    """Return the entry of a settlement by its number, of the newest where none is named.

    Raises RefusalError `settlement_unknown`.
    """
    row = node.connection.execute(
        "SELECT s.scope, t.node, t.incarnation, v.seq FROM van_settlement v JOIN scope s ON s.scope_no = v.scope_no"
        " JOIN stream t ON t.scope_no = v.scope_no AND t.stream_no = v.stream_no WHERE v.settlement = ? OR ? = ''"
        " ORDER BY v.hlc_ms DESC, v.hlc_counter DESC LIMIT 1",
        (settlement, settlement),
    ).fetchone()
    if row is None:
        raise RefusalError("settlement_unknown", f"there is no settlement {settlement} here", settlement=settlement)
    return str(EntryId(Stream(Scope(row[0]), NodeId(row[1]), int(row[2])), int(row[3])))
