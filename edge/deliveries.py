"""Goods at the door: what is expected here, and what of it came, was damaged, or did not come.

An order's goods and a transfer's are checked alike. What a supplier's driver takes back never reaches the stock; what
of a transfer is broken is ours already, so it is taken in and written off in the same operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from edge.acting import base_quantity, check_permission, named_product
from edge.adjusting import value_minor
from edge.allowing import allow
from edge.catalog import find_product
from edge.goods_in_hand import let_go
from edge.limits import Act
from edge.node import Node, Writing
from edge.papers import TransferPaper
from edge.print_jobs import queue_receipt
from edge.stock import (
    Recorded,
    append_arrival,
    arrival_names,
    check_elsewhere,
    recorded,
    transfers_on_road,
    waiting_rows,
)
from edge.suppliers import supplier_name
from schema.errors import RefusalError
from schema.kinds.base import Permission, StockMove
from schema.kinds.buying import DeliveryChecked, DeliveryLine
from schema.kinds.organisation import LocationDefined
from schema.kinds.stock import GoodsReceived, StockAdjusted, TransferReceived
from sync.buying import About, BuyingState, deliveries_of, find_buying, read_buying

ORDER, TRANSFER, PAPER = "order", "transfer", "paper"
SHORT_REASONS: Final = ("not_sent", "lost", "other")
OVER_REASONS: Final = ("sent_more", "bonus", "other")
DAMAGES: Final = ("broken", "expired", "spoiled", "wrong", "other")
_AWAITED: Final = (BuyingState.OPEN, BuyingState.PARTLY)


class ExpectedLine(msgspec.Struct, frozen=True):
    """One product of a delivery that is awaited, in base units; `left_milli` is what is still to come."""

    product: str
    name: str
    unit: str
    ordered_milli: int
    left_milli: int
    cost_minor: int | None = None
    lot: str = ""
    expiry: str = ""


class Expected(msgspec.Struct, frozen=True):
    """A delivery that is awaited here: an order, a transfer whose notice is here, or one that its paper tells of.

    `source` is the supplier's or the location's code, `age_ms` how long it has been on the road or ordered. Of one that
    `is_counted` a count found goods on the shelf already: they are in the stock, and its receipt adds them to nothing.
    """

    reference: str
    kind: str
    source: str
    source_name: str
    age_ms: int | None
    due: str
    note: str
    is_partly: bool
    lines: tuple[ExpectedLine, ...]
    is_counted: bool = False


class DeliveredLine(msgspec.Struct, frozen=True):
    """What came of a product, as a person entered it: quantities in thousandths of `unit`.

    `quantity_milli` is good and goes onto the shelf; `cost_minor` is what 1,000 thousandths of the base unit cost.
    """

    product: str
    quantity_milli: int
    unit: str = ""
    lot: str = ""
    expiry: str = ""
    damaged_milli: int = 0
    damage: str = ""
    reason: str = ""
    cost_minor: int | None = None


class Difference(msgspec.Struct, frozen=True):
    """A product of which something else came than was expected, in base units."""

    product: str
    name: str
    unit: str
    expected_milli: int
    received_milli: int
    damaged_milli: int

    @property
    def short_milli(self) -> int:
        """What did not come at all; negative where more came."""
        return self.expected_milli - self.received_milli - self.damaged_milli


def expected_deliveries(node: Node) -> list[Expected]:
    """Return what is awaited here, transfers on the road first, the longest awaited first."""
    now_ms = node.clock_source().wall_ms
    with node.store.reading() as connection:
        number = node.replica.log.scope_no(node.config.scope)
        orders = [
            Expected(
                one.number, ORDER, one.source, supplier_name(node, one.source), max(0, now_ms - one.since_ms), one.due,
                one.note, one.state is BuyingState.PARTLY,
                tuple(_line(node, each.product, each.ordered_milli, each.left_milli, each.cost_minor)
                      for each in one.lines if each.ordered_milli),
            )
            for _, one in read_buying(connection, [number or 0], About.ORDER, _AWAITED)
        ]  # fmt: skip
    coming: dict[str, Expected] = {}
    for row in transfers_on_road(node):
        if row.destination != node.config.location or row.awaited_milli <= 0:
            continue
        line = _line(node, row.product, row.dispatched_milli, row.awaited_milli)
        known = coming.get(row.transfer)
        if known is None:
            coming[row.transfer] = Expected(
                row.transfer, TRANSFER, row.origin, location_name(node, row.origin), row.age_ms, "", "",
                row.received_milli > 0, (line,), row.declared_milli > 0,
            )  # fmt: skip
        else:
            coming[row.transfer] = msgspec.structs.replace(
                known, lines=(*known.lines, line), is_partly=known.is_partly or row.received_milli > 0,
                is_counted=known.is_counted or row.declared_milli > 0,
            )  # fmt: skip
    transfers = sorted(coming.values(), key=lambda one: (-(one.age_ms or 0), one.reference))
    return [*transfers, *sorted(orders, key=lambda one: (one.due or "9", -(one.age_ms or 0), one.reference))]


def expected_delivery(node: Node, reference: str) -> Expected:
    """Return one delivery that is awaited; raises RefusalError `delivery_unknown`."""
    found = next((one for one in expected_deliveries(node) if one.reference == reference), None)
    if found is None:
        raise RefusalError(
            "delivery_unknown", f"nothing called {reference} is awaited here: receive it without", reference=reference
        )
    return found


def expected_by_paper(node: Node, paper: TransferPaper) -> Expected:
    """Return what a verified paper announces; where its notice is here, what is still on the road.

    Raises RefusalError `transfer_complete` where it was taken in already: a paper is used once.
    """
    with node.store.reading():
        came = _came_by_paper(node, paper.transfer, _announced((p.product, p.quantity_milli) for p in paper.lines))
    known = next((one for one in expected_deliveries(node) if one.reference == paper.transfer), None)
    if known is not None:
        lots = {line.product: (line.lot, line.expiry) for line in paper.lines}
        lines = tuple(
            msgspec.structs.replace(line, lot=lots[line.product][0], expiry=lots[line.product][1])
            if line.product in lots else line
            for line in known.lines
        )  # fmt: skip
        return msgspec.structs.replace(known, lines=lines)
    lines = tuple(
        ExpectedLine(
            line.product, line.name, line.unit, line.quantity_milli,
            max(0, line.quantity_milli - came.get(line.product, 0)), None, line.lot, line.expiry,
        )
        for line in paper.lines
    )  # fmt: skip
    age_ms = max(0, node.clock_source().wall_ms - paper.dispatched_ms)
    return Expected(
        paper.transfer, PAPER, paper.origin, location_name(node, paper.origin), age_ms, "", "", bool(came), lines
    )


def _announced(lines: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Add up what a paper says of each product."""
    sums: dict[str, int] = {}
    for product, quantity in lines:
        sums[product] = sums.get(product, 0) + quantity
    return sums


def _came_by_paper(node: Node, transfer: str, announced: Mapping[str, int]) -> dict[str, int]:
    """Return what was taken in already of a transfer whose dispatch is not here, within the caller's view.

    Raises RefusalError `transfer_complete` where nothing more of it is awaited.
    """
    rows = waiting_rows(node, transfer)
    if any(row.dispatched_milli for row in rows):
        is_used, received = all(row.awaited_milli <= 0 for row in rows), dict[str, int]()
    else:
        received = {row.product: row.received_milli for row in rows}
        checks = deliveries_of(node.connection, node.replica.log.scope_no(node.config.scope), transfer)
        is_over = not checks or any(one.is_final for one in checks)
        is_used = bool(rows) and (is_over or all(received.get(p, 0) >= quantity for p, quantity in announced.items()))
    if is_used:
        raise RefusalError(
            "transfer_complete", f"nothing of {transfer} is on the road: it was taken in", transfer=transfer
        )
    return received


def location_name(node: Node, code: str) -> str:
    """Return what a location is called; its code where nobody told."""
    node.organisation.refresh(node.connection)
    found = node.organisation.newest(node.connection, LocationDefined, code)
    return code if found is None else found.name


def _line(node: Node, product: str, ordered: int, left: int, cost: int | None = None) -> ExpectedLine:
    found = find_product(node, product)
    name = product if found is None else f"{found.product.name} {found.product.spec}".strip()
    return ExpectedLine(product, name, "" if found is None else found.product.unit_name, ordered, left, cost)


# What came.


class _Came(msgspec.Struct):
    """What came of one product in base units, added up over its lines."""

    good: int = 0
    damaged: int = 0
    damage: str = ""
    reason: str = ""


class _Checked(msgspec.Struct, frozen=True):
    """A delivery as it was entered, in base units."""

    moves: tuple[StockMove, ...]
    damaged: tuple[StockMove, ...]
    came: dict[str, _Came]
    costs: tuple[tuple[str, int], ...]


def differences(node: Node, expected: Expected | None, lines: Iterable[DeliveredLine]) -> list[Difference]:
    """Return where what came is not what was expected; without anything expected only what is damaged."""
    came = _checked(node, lines).came
    awaited = _awaited(expected)
    found = []
    for product in dict.fromkeys([*awaited, *came]):
        one = came.get(product, _Came())
        wanted = awaited.get(product, 0) if expected is not None else one.good + one.damaged
        line = _line(node, product, 0, wanted)
        made = Difference(product, line.name, line.unit, wanted, one.good, one.damaged)
        if made.short_milli or made.damaged_milli:
            found.append(made)
    return found


def _awaited(expected: Expected | None) -> dict[str, int]:
    return {} if expected is None else _announced((line.product, line.left_milli) for line in expected.lines)


def _checked(node: Node, lines: Iterable[DeliveredLine]) -> _Checked:
    moves: list[StockMove] = []
    damaged: list[StockMove] = []
    came: dict[str, _Came] = {}
    costs: dict[str, int] = {}
    for line in lines:
        if line.quantity_milli < 0 or line.damaged_milli < 0:
            raise RefusalError("quantity_invalid", "a quantity is zero or more")
        if line.cost_minor is not None and line.cost_minor < 0:
            raise RefusalError("cost_invalid", "a cost is not negative")
        product = named_product(node, line.product, line.unit)
        good, bad = base_quantity(product, line.quantity_milli), base_quantity(product, line.damaged_milli)
        one = came.setdefault(product.code, _Came())
        one.good += good
        one.damaged += bad
        one.damage = one.damage or (line.damage if bad else "")
        one.reason = one.reason or line.reason
        if good:
            moves.append(StockMove(product.code, good, line.lot, line.expiry))
        if bad:
            damaged.append(StockMove(product.code, bad, line.lot, line.expiry))
        if line.cost_minor is not None:
            costs[product.code] = line.cost_minor
    received = {product for product, one in came.items() if one.good}
    return _Checked(tuple(moves), tuple(damaged), came, tuple((p, c) for p, c in costs.items() if p in received))


def receive_delivery(
    node: Node,
    expected: Expected | None,
    lines: Sequence[DeliveredLine],
    *,
    is_final: bool = True,
    supplier: str = "",
    document: str = "",
    operator: str = "",
    approver: str = "",
    note: str = "",
    prints: bool = False,
    in_hand: str = "",
) -> Recorded:
    """Take a delivery in as it came, beside what was expected of it; one durable operation, and its note.

    `is_final` says that no more of it will come; `in_hand` is the list that this records. Raises RefusalError
    `goods_missing` where nothing came and more is to come, `delivery_unknown` and `transfer_complete` for what is not
    awaited any more, `approval_needed` where damaged goods of a transfer are more than the operator may write off.
    """
    checked = _checked(node, lines)
    if not checked.came and (expected is None or not is_final):
        raise RefusalError("goods_missing", "name at least one product and its quantity")
    if expected is not None and expected.kind != ORDER:
        allowed = _allowed(node, checked, operator, approver)
        with node.write() as writing:
            check_permission(node, writing, Permission.STOCK)
            let_go(writing.connection, in_hand)
            return _arrive(node, writing, expected, checked, is_final, document, operator, allowed, note, prints)
    with node.write() as writing:
        check_permission(node, writing, Permission.STOCK)
        let_go(writing.connection, in_hand)
        if expected is not None:
            _check_awaited(node, expected.reference)
            supplier = expected.source
        return _receive(writing, expected, checked, is_final, supplier, document, operator, note, prints)


def _check_awaited(node: Node, reference: str) -> None:
    one = find_buying(node.connection, node.replica.log.scope_no(node.config.scope), reference)
    if one is None or one.state not in _AWAITED:
        raise RefusalError(
            "delivery_unknown", f"nothing called {reference} is awaited here: receive it without", reference=reference
        )


def _allowed(node: Node, checked: _Checked, operator: str, approver: str) -> str:
    if not checked.damaged:
        return approver
    worth = value_minor(node, ((move.product, move.quantity_milli) for move in checked.damaged))
    return allow(node, operator, (approver,), Act.ADJUST, worth) or approver


def _receive(
    writing: Writing, expected: Expected | None, checked: _Checked, is_final: bool, supplier: str,
    document: str, operator: str, note: str, prints: bool,
) -> Recorded:  # fmt: skip
    reference = "" if expected is None else expected.reference
    costs = checked.costs
    if expected is not None:  # what was agreed holds where nobody typed another cost
        typed = dict(costs)
        agreed = {line.product: line.cost_minor for line in expected.lines}
        received = dict.fromkeys(move.product for move in checked.moves)
        costs = tuple((p, cost) for p in received if (cost := typed.get(p, agreed.get(p))) is not None)
    received_entry = writing.append(GoodsReceived(document or reference, supplier, operator, checked.moves, costs,
                                                  None, note))  # fmt: skip
    _check_off(writing, expected, checked, str(received_entry.id), is_final, operator, note)
    if prints:
        queue_receipt(writing, str(received_entry.id))
    return recorded(received_entry.id, checked.moves)


def _arrive(
    node: Node, writing: Writing, expected: Expected, checked: _Checked, is_final: bool, document: str, operator: str,
    approver: str, note: str, prints: bool,
) -> Recorded:  # fmt: skip
    check_elsewhere(node, expected.source, "come from")
    _came_by_paper(node, expected.reference, _announced((e.product, e.ordered_milli) for e in expected.lines))
    moves = (*checked.moves, *checked.damaged)
    if is_final:  # what did not come is said, or it would stay on the road for ever
        missing = [line.product for line in expected.lines if not _of(checked, line.product)]
        moves += tuple(StockMove(product, 0) for product in missing)
    if not moves:
        raise RefusalError("goods_missing", "name at least one product and its quantity")
    document, note = arrival_names(waiting_rows(node, expected.reference), document, note)
    arrived = TransferReceived(expected.reference, expected.source, operator, moves, is_final, document, None, note)
    entry = append_arrival(node, writing, arrived)
    if checked.damaged:
        written_off = tuple(
            msgspec.structs.replace(move, quantity_milli=-move.quantity_milli) for move in checked.damaged
        )
        writing.append(
            StockAdjusted("damage", operator, written_off, expected.reference, approver, None, note),
            operation=str(entry.id),
        )
    _check_off(writing, expected, checked, str(entry.id), is_final, operator, note)
    if prints:
        queue_receipt(writing, str(entry.id))
    return recorded(entry.id, moves, expected.reference)


def _of(checked: _Checked, product: str) -> int:
    one = checked.came.get(product)
    return 0 if one is None else one.good + one.damaged


def _check_off(
    writing: Writing, expected: Expected | None, checked: _Checked, receipt: str, is_final: bool, operator: str,
    note: str,
) -> None:  # fmt: skip
    """Note what the delivery came to, where something was expected of it or is wrong with it."""
    awaited = _awaited(expected)
    if expected is None and not checked.damaged:
        return
    lines = []
    for product in dict.fromkeys([*awaited, *checked.came]):
        one = checked.came.get(product, _Came())
        wanted = awaited.get(product, 0) if expected is not None else one.good + one.damaged
        lines.append(DeliveryLine(product, wanted, one.good, one.damaged, one.reason, one.damage))
    reference = "" if expected is None else expected.reference
    writing.append(DeliveryChecked(reference, receipt, operator, tuple(lines), is_final, note), operation=receipt)
