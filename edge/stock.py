"""Stock work at a location: goods in, out, over and on the road. Each use case is one durable transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from edge.acting import base_quantity, check_permission, held_vector, named_product, next_entry_id
from edge.catalog import find_product
from edge.goods_in_hand import let_go
from edge.node import Node, Writing
from edge.print_jobs import queue_receipt
from schema.errors import RefusalError
from schema.identity import LocationId, is_code, location_scope
from schema.kinds.base import Permission, StockMove
from schema.kinds.organisation import LocationDefined
from schema.kinds.stock import (
    GoodsReceived,
    StockAdjusted,
    StockOpened,
    StockRepacked,
    TransferDispatched,
    TransferNoticed,
    TransferReceived,
)
from sync.entry import Entry
from sync.explanation import StockExplanation, explain_stock
from sync.key_state import KeyState
from sync.stock_facts import DISPATCH_REASON, ConflictCode, Key, Movement, names_movement
from sync.stock_tables import StockTables
from sync.transit import TransferState

REASONS: Final[Mapping[str, int]] = {
    "wastage": -1, "damage": -1, "own_use": -1, "theft": -1, "gift": -1, "found": 1,
}  # fmt: skip
"""Why stock is adjusted, and whether goods leave (-1) or turn up (1)."""
STATED_MS_MAX: Final = 366 * 86_400_000
"""Paper keyed in later than this is a mistyped date."""


class QuantityRequest(msgspec.Struct, frozen=True):
    """What a person entered: a product's code or barcode and a positive quantity (thousandths of `unit`)."""

    product: str
    quantity_milli: int
    unit: str = ""
    lot: str = ""
    expiry: str = ""


class CostedRequest(QuantityRequest, frozen=True):
    """Goods received, with what 1,000 thousandths of the base unit cost, where it is known."""

    cost_minor: int | None = None


class Recorded(msgspec.Struct, frozen=True):
    """A durable entry of stock work and the movements that it made (base units, signed)."""

    entry: str
    moves: tuple[tuple[str, int], ...]
    transfer: str = ""


class OnHand(msgspec.Struct, frozen=True):
    """A stock figure: the book value, and the range that it lies in where clocks leave doubt."""

    product: str
    name: str
    unit: str
    value: int
    lo: int
    hi: int
    is_negative: bool


class TransferOnRoad(msgspec.Struct, frozen=True):
    """What is still on the road of one product of a transfer, as this location's papers tell it.

    `declared_milli` was found on the shelf by a count that named the transfer (as `declared_as`), and was not taken in
    by a receipt yet: it is on the road no more, and its receipt adds nothing to the stock.
    """

    transfer: str
    product: str
    origin: str
    destination: str
    dispatched_milli: int
    received_milli: int
    transit_milli: int
    dispatched_ms: int | None
    age_ms: int | None
    problem: str = ""
    declared_milli: int = 0
    declared_as: str = ""

    @property
    def awaited_milli(self) -> int:
        """What a receipt is still expected of: on the road, or counted already."""
        return self.transit_milli + self.declared_milli


Stated = tuple[int, int] | None
"""When it really happened, in milliseconds by this node's clock, where paper is keyed in later."""


def goods_moves(node: Node, requests: Sequence[QuantityRequest], sign: int) -> tuple[StockMove, ...]:
    """Return the movements of what a person entered, in base units, `sign` telling whether goods come or go."""
    if not requests:
        raise RefusalError("goods_missing", "name at least one product and its quantity")
    moves = []
    for request in requests:
        if request.quantity_milli <= 0:
            raise RefusalError("quantity_invalid", "a quantity is more than nothing")
        product = named_product(node, request.product, request.unit)
        quantity = base_quantity(product, request.quantity_milli)
        moves.append(StockMove(product.code, sign * quantity, request.lot, request.expiry))
    return tuple(moves)


def _check_stated(stated: Stated, writing: Writing) -> None:
    if stated is None:
        return
    first, last = stated
    now = writing.moment.wall_ms
    if first > last or last > now or first < now - STATED_MS_MAX:
        raise RefusalError("time_invalid", "the stated time lies in the past and begins before it ends")


def recorded(entry: object, moves: Sequence[StockMove], transfer: str = "") -> Recorded:
    """Return what was recorded, as a use case answers it."""
    return Recorded(str(entry), tuple((move.product, move.quantity_milli) for move in moves), transfer)


def receive_goods(
    node: Node,
    requests: Sequence[QuantityRequest],
    *,
    supplier: str = "",
    document: str = "",
    operator: str = "",
    stated: Stated = None,
    note: str = "",
) -> Recorded:
    """Take goods from a supplier in."""
    moves = goods_moves(node, requests, 1)
    costs = tuple(
        (move.product, request.cost_minor)
        for request, move in zip(requests, moves, strict=True)
        if isinstance(request, CostedRequest) and request.cost_minor is not None
    )
    if any(cost < 0 for _, cost in costs):
        raise RefusalError("cost_invalid", "a cost is not negative")
    with node.write() as writing:
        check_permission(node, writing, Permission.STOCK)
        _check_stated(stated, writing)
        entry = writing.append(GoodsReceived(document, supplier, operator, moves, costs, stated, note))
    return recorded(entry.id, moves)


def adjust_stock(
    node: Node,
    reason: str,
    requests: Sequence[QuantityRequest],
    *,
    operator: str = "",
    approver: str = "",
    document: str = "",
    stated: Stated = None,
    note: str = "",
    prints: bool = False,
    in_hand: str = "",
) -> Recorded:
    """Write goods off, or in where they were found, with a reason of `REASONS`; quantities are positive.

    It asks nobody's leave: people's limits are asked by `edge.adjusting.adjust_goods`, for screen and verb alike.
    """
    sign = REASONS.get(reason)
    if sign is None:
        raise RefusalError("reason_unknown", f"the reasons are {', '.join(REASONS)}")
    moves = goods_moves(node, requests, sign)
    with node.write() as writing:
        check_permission(node, writing, Permission.STOCK)
        _check_stated(stated, writing)
        entry = writing.append(StockAdjusted(reason, operator, moves, document, approver, stated, note))
        let_go(writing.connection, in_hand)
        if prints:
            queue_receipt(writing, str(entry.id))
    return recorded(entry.id, moves)


def repack(
    node: Node,
    taken: Sequence[QuantityRequest],
    made: Sequence[QuantityRequest],
    *,
    operator: str = "",
    note: str = "",
) -> Recorded:
    """Turn some goods into others: a case into bottles, parts into a hamper."""
    moves = (*goods_moves(node, taken, -1), *goods_moves(node, made, 1))
    with node.write() as writing:
        check_permission(node, writing, Permission.STOCK)
        entry = writing.append(StockRepacked(operator, moves, note))
    return recorded(entry.id, moves)


def open_stock(node: Node, requests: Sequence[QuantityRequest], *, operator: str = "", document: str = "") -> Recorded:
    """State the stock that the location starts with."""
    moves = goods_moves(node, requests, 1)
    with node.write() as writing:
        check_permission(node, writing, Permission.STOCK)
        entry = writing.append(StockOpened(operator, moves, document))
    return recorded(entry.id, moves)


def check_elsewhere(node: Node, location: str, what: str) -> None:
    """Refuse a location that goods cannot `what`: this one, and one that nobody has heard of."""
    if location == node.config.location:
        raise RefusalError("location_own", f"{location} is this location: a transfer goes between two")
    known = node.organisation.newest_each(node.connection, LocationDefined)
    if location not in known if known else not is_code(location):
        raise RefusalError("location_unknown", f"there is no location {location!r} that goods could {what}")


def dispatch_transfer(
    node: Node,
    destination: str,
    requests: Sequence[QuantityRequest],
    *,
    transfer: str = "",
    operator: str = "",
    document: str = "",
    stated: Stated = None,
    note: str = "",
    prints: bool = False,
    in_hand: str = "",
) -> Recorded:
    """Send goods to another location: the movement here and the notice there are one operation.

    The same `transfer` may be dispatched in several goes. Without one a new number is given. `in_hand` is the list that
    this records.
    """
    check_elsewhere(node, destination, "go to")
    moves = goods_moves(node, requests, -1)
    with node.write() as writing:
        check_permission(node, writing, Permission.STOCK)
        _check_stated(stated, writing)
        first = next_entry_id(node, writing)
        number = transfer or f"T-{node.config.till}-{first.stream.incarnation}-{first.seq}"
        payload = TransferDispatched(number, destination, operator, moves, document, stated, note)
        vector = held_vector(node)
        entry = writing.append(payload, operation=str(first))
        assert entry.id == first, "the transaction holds the stream's head"
        notice = TransferNoticed(
            "dispatched", number, node.config.location, destination, moves, False, str(first), vector, stated
        )
        writing.append(notice, location_scope(LocationId(destination)), str(first))
        let_go(writing.connection, in_hand)
        if prints:
            queue_receipt(writing, str(entry.id))
    return recorded(entry.id, moves, number)


def receive_transfer(
    node: Node,
    transfer: str,
    requests: Sequence[QuantityRequest] | None = None,
    *,
    origin: str = "",
    is_final: bool = True,
    operator: str = "",
    document: str = "",
    stated: Stated = None,
    note: str = "",
) -> Recorded:
    """Take the goods of a transfer in; the other location is told in the same operation.

    Without quantities all that its notice says is still on the road arrived, and what a count declared as on the shelf
    before: that is added to nothing. A final receipt says that no more is expected, also of the products that it does
    not name. Before any notice is here, say what came and from where.
    """
    if not transfer:
        raise RefusalError("transfer_missing", "name the transfer: it is on its paper")
    with node.write() as writing:
        check_permission(node, writing, Permission.STOCK)
        _check_stated(stated, writing)
        expected = waiting_rows(node, transfer)
        source = origin or next((row.origin for row in expected if row.origin), "")
        if not source:
            raise RefusalError(
                "transfer_unknown", f"no notice of {transfer} is here yet: say what came, and from which location"
            )
        check_elsewhere(node, source, "come from")
        waiting = {row.product: row.awaited_milli for row in expected if row.awaited_milli > 0}
        if requests is None:
            moves = tuple(StockMove(product, quantity) for product, quantity in sorted(waiting.items()))
            if not moves:
                raise RefusalError("transfer_complete", f"nothing of {transfer} is on the road: say what came")
        else:
            moves = goods_moves(node, requests, 1)
            if is_final:  # what is not named did not come: say so, or it would stay on the road for ever
                named = {move.product for move in moves}
                moves += tuple(StockMove(product, 0) for product in sorted(waiting) if product not in named)
        document, note = arrival_names(expected, document, note)
        payload = TransferReceived(transfer, source, operator, moves, is_final, document, stated, note)
        entry = append_arrival(node, writing, payload)
    return recorded(entry.id, moves, transfer)


def arrival_names(rows: Iterable[TransferOnRoad], document: str, note: str) -> tuple[str, str]:
    """Return the document and note of a receipt: where a count declared the goods under another name, that very name.

    By it the count rules know that the goods are in the count already; a number that was typed stands in the note.
    """
    declared = sorted({row.declared_as for row in rows if row.declared_as not in {"", row.transfer}})
    if not declared or document in declared:
        return document, note
    return declared[0], f"{document} {note}".strip()


def append_arrival(node: Node, writing: Writing, arrived: TransferReceived) -> Entry:
    """Append the receipt of a transfer and its notice to the other location, as one operation."""
    first = next_entry_id(node, writing)
    vector = held_vector(node)
    entry = writing.append(arrived, operation=str(first))
    assert entry.id == first, "the transaction holds the stream's head"
    notice = TransferNoticed(
        "received", arrived.transfer, node.config.location, arrived.origin, arrived.moves, arrived.is_final,
        str(first), vector, arrived.stated,
    )  # fmt: skip
    writing.append(notice, location_scope(LocationId(arrived.origin)), str(first))
    return entry


def _tables(node: Node) -> StockTables | None:
    scope_no = node.replica.log.scope_no(node.config.scope)
    if scope_no is None:
        return None
    return StockTables(node.connection, scope_no, node.config.scope, node.config.location)


def waiting_rows(node: Node, transfer: str) -> list[TransferOnRoad]:
    """Return what this location knows of a transfer to it, a row for each product; within the caller's view."""
    return [row for row in _transfers(node, transfer) if row.destination in {"", node.config.location}]


def transfers_on_road(node: Node, *, with_settled: bool = False) -> list[TransferOnRoad]:
    """List what is on the road from or to this location, oldest first; `with_settled` lists what arrived too."""
    with node.store.reading():
        rows = _transfers(node, None)
    shown = [row for row in rows if with_settled or row.transit_milli or row.problem]
    return sorted(shown, key=lambda row: (row.dispatched_ms or 0, row.transfer, row.product))


def _transfers(node: Node, transfer: str | None) -> list[TransferOnRoad]:
    tables = _tables(node)
    if tables is None:
        return []
    scope_no = node.replica.log.scope_no(node.config.scope)
    sql = "SELECT transfer, product FROM transfer WHERE scope_no = ?"
    parameters: tuple[object, ...] = (scope_no,)
    if transfer is not None:
        sql, parameters = f"{sql} AND transfer = ?", (scope_no, transfer)
    keys = [(str(t), str(p)) for t, p in node.connection.execute(f"{sql} ORDER BY transfer, product", parameters)
            .fetchall()]  # fmt: skip
    states = tables.load_transfers(keys)
    now_ms = node.clock_source().wall_ms
    rows = []
    for number, product in keys:
        papers = list(tables.papers([(number, product)]))
        dispatches = [paper for paper in papers if paper.reason == DISPATCH_REASON]
        receipts = [paper for paper in papers if paper.reason != DISPATCH_REASON]
        state = states[number, product]
        began = min((paper.wall_ms for paper in dispatches), default=None)
        rows.append(
            TransferOnRoad(
                number,
                product,
                *_ends(dispatches, receipts),
                -sum(paper.quantity for paper in dispatches),
                sum(paper.quantity for paper in receipts),
                state.transit,
                began,
                None if began is None else max(0, now_ms - began),
                state.conflict.code.value if state.conflict is not None else "",
                *_declared(tables, dispatches, receipts, state),
            )
        )
    return rows


def _declared(
    tables: StockTables, dispatches: Sequence[Movement], receipts: Sequence[Movement], state: TransferState
) -> tuple[int, str]:
    """Return how much counts found on the shelf that no receipt has taken in, and the name they declared it by."""
    if state.conflict is None or state.conflict.code is not ConflictCode.TRANSIT_IMPLICIT_RECEIPT:
        return 0, ""
    keys = [Key(one.destination, one.product) for one in dispatches if one.destination is not None]
    names = {
        name
        for row in tables.load_figures(keys).values()
        if row.state is not None
        for name in KeyState.from_bytes(row.state).declared
        if any(names_movement((name,), one) for one in dispatches)
    }
    transfer = dispatches[0].transfer or ""
    left = -sum(one.quantity for one in dispatches) - sum(one.quantity for one in receipts)
    return left, transfer if transfer in names else min(names, default="")


def _ends(dispatches: Sequence[Movement], receipts: Sequence[Movement]) -> tuple[str, str]:
    origin = next((paper.location for paper in dispatches), "")
    destination = next((paper.destination for paper in dispatches if paper.destination), "")
    return origin, destination or next((paper.location for paper in receipts), "")


def on_hand(node: Node, product: str | None = None) -> list[OnHand]:
    """Return the stock figures of this location: of one product by code or barcode, or of all that ever moved."""
    with node.store.reading() as connection:
        scope_no = node.replica.log.scope_no(node.config.scope)
        sql = "SELECT product, value, lo, hi FROM stock WHERE scope_no = ? AND is_present = 1"
        parameters: tuple[object, ...] = (scope_no,)
        if product is not None:
            code = named_product(node, product).code
            sql, parameters = f"{sql} AND product = ?", (scope_no, code)
        rows = connection.execute(f"{sql} ORDER BY product", parameters).fetchall()
        if product is not None and not rows:
            rows = [(code, 0, 0, 0)]
        return [_figure(node, *row) for row in rows]


def _figure(node: Node, product: str, value: int, lo: int, hi: int) -> OnHand:
    found = find_product(node, product)
    name, unit = (found.product.name, found.product.unit) if found else (product, "")
    return OnHand(product, name, unit, value, lo, hi, value < 0)


def why(node: Node, product: str) -> StockExplanation:
    """Explain one stock figure: the counts it rests on, what moved since by node and reason, and who is silent."""
    with node.store.reading() as connection:
        code = named_product(node, product).code
        return explain_stock(
            connection, node.organisation, node.stock.rules(connection), node.config.scope, code,
            node.clock_source().wall_ms,
        )  # fmt: skip
