"""What a paper about goods says, read back from the entries of one act: what moved, and what a delivery came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.catalog import find_product
from edge.deliveries import location_name
from edge.node import Node
from edge.papers import pages_of
from edge.signing_in import operator_name
from edge.suppliers import supplier_name
from schema.kinds.base import StockMove
from schema.kinds.buying import DeliveryChecked, DeliveryLine
from schema.kinds.stock import GoodsReceived, StockAdjusted, TransferDispatched, TransferReceived
from schema.rules.stock_slips import GoodsPaper, GoodsSlip, SlipLine

if TYPE_CHECKING:
    from sync.entry import Entry

_NEIGHBOURS: Final = 4
"""Behind the receipt of goods stand at most what was written off and what the delivery came to."""
GoodsMoved = GoodsReceived | TransferReceived | TransferDispatched | StockAdjusted


def goods_slip(node: Node, payload: GoodsMoved, entry: Entry | None) -> GoodsSlip:
    """Return what the paper of an entry says; what a delivery came to stands beside it in the same operation."""
    checked = None if entry is None else _checked(node, entry)
    facts: tuple[tuple[str, str], ...]
    match payload:
        case GoodsReceived():
            reference = "" if checked is None else checked.reference
            document = payload.document if payload.document != reference else ""
            facts = (
                ("supplier", supplier_name(node, payload.supplier)), ("order-number", reference),
                ("delivery-note", document),
            )  # fmt: skip
            return GoodsSlip(
                kind=GoodsPaper.RECEIVED, facts=facts, lines=_lines(node, payload.moves, checked), note=payload.note,
                is_partly=checked is not None and bool(reference) and not checked.is_final,
            )  # fmt: skip
        case TransferReceived():
            facts = (("transfer-number", payload.transfer), ("from-location", location_name(node, payload.origin)))
            return GoodsSlip(
                kind=GoodsPaper.ARRIVED, facts=facts, lines=_lines(node, _shelved(payload.moves, checked), checked),
                note=payload.note, is_partly=not payload.is_final,
            )  # fmt: skip
        case TransferDispatched():
            facts = (
                ("transfer-number", payload.transfer), ("from-location", location_name(node, node.config.location)),
                ("to-location", location_name(node, payload.destination)),
            )  # fmt: skip
            is_own = entry is not None and entry.stream.node == node.config.node_id
            pages = pages_of(node, entry) if entry is not None and is_own else ()
            return GoodsSlip(
                kind=GoodsPaper.DISPATCHED, facts=facts, lines=_lines(node, payload.moves, None), note=payload.note,
                pages=tuple(pages),
            )  # fmt: skip
        case StockAdjusted():
            return GoodsSlip(
                kind=GoodsPaper.ADJUSTED, reason=payload.reason,
                facts=(("approver", operator_name(node, payload.approver) if payload.approver else ""),),
                lines=_lines(node, payload.moves, None), note=payload.note,
            )  # fmt: skip


def _checked(node: Node, entry: Entry) -> DeliveryChecked | None:
    operation = entry.body.operation or str(entry.id)
    for seq in range(entry.body.seq + 1, entry.body.seq + 1 + _NEIGHBOURS):
        beside = node.replica.log.entry(entry.stream, seq)
        if beside is None or beside.body.operation != operation:
            return None
        if isinstance(beside.payload, DeliveryChecked):
            return beside.payload
    return None


def _shelved(moves: tuple[StockMove, ...], checked: DeliveryChecked | None) -> tuple[StockMove, ...]:
    """Return what of a transfer went onto the shelf: its movements hold what was broken as well."""
    broken = {} if checked is None else {line.product: line.damaged_milli for line in checked.lines}
    kept: list[StockMove] = []
    for move in reversed(moves):  # what is broken was appended behind what is good
        off = min(broken.get(move.product, 0), move.quantity_milli)
        if off:
            broken[move.product] -= off
        if off < move.quantity_milli or not off:
            kept.append(msgspec.structs.replace(move, quantity_milli=move.quantity_milli - off))
    return tuple(reversed(kept))


def _lines(node: Node, moves: tuple[StockMove, ...], checked: DeliveryChecked | None) -> tuple[SlipLine, ...]:
    """Return a line for each movement, and for each product that was awaited and did not come.

    What is damaged, short or over stands with a product's first line.
    """
    told: dict[str, DeliveryLine] = {} if checked is None else {line.product: line for line in checked.lines}
    damaged = {product: line.damaged_milli for product, line in told.items()}
    lines: list[SlipLine] = []
    said: set[str] = set()
    for move in moves:
        quantity = abs(move.quantity_milli)
        if move.product in said:
            lines.append(_line(node, move, quantity, None, 0))
            continue
        said.add(move.product)
        lines.append(_line(node, move, quantity, told.get(move.product), damaged.get(move.product, 0)))
    for product, line in told.items():
        if product not in said and (line.expected_milli or line.damaged_milli):
            lines.append(_line(node, StockMove(product, 0), 0, line, line.damaged_milli))
    return tuple(lines)


def _line(node: Node, move: StockMove, quantity: int, told: DeliveryLine | None, damaged: int) -> SlipLine:
    found = find_product(node, move.product)
    name = move.product if found is None else f"{found.product.name} {found.product.spec}".strip()
    return SlipLine(
        name=name, product=move.product, unit="" if found is None else found.product.unit_name,
        quantity_milli=quantity, lot=move.lot, expiry=move.expiry, damaged_milli=damaged,
        short_milli=0 if told is None else told.expected_milli - told.received_milli - told.damaged_milli,
        reason="" if told is None else told.reason, damage="" if told is None else told.damage,
    )  # fmt: skip
