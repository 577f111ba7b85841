"""What this location wants: drafts of orders and of transfers made here, offline too, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.acting import base_quantity, check_permission, named_product, next_entry_id
from edge.catalog import find_product
from edge.deliveries import location_name
from edge.goods_in_hand import let_go
from edge.node import Node
from edge.stock import QuantityRequest, check_elsewhere
from edge.suppliers import supplier_name
from schema.errors import RefusalError
from schema.kinds.base import Permission
from schema.kinds.buying import OrderDrafted, OrderLine
from sync.buying import About, BuyingState, read_buying

PURPOSES: Final = ("order", "transfer")


class GoodsDraft(msgspec.Struct, frozen=True):
    """A draft that was made here, and what became of it: open, answered or declined; `answer` is the hub's note."""

    draft: str
    purpose: str
    source: str
    source_name: str
    state: str
    reference: str
    note: str
    answer: str
    drafted_ms: int
    lines: tuple[tuple[str, str, int], ...]
    """(product, name, base quantity)."""


class AskedTransfer(msgspec.Struct, frozen=True):
    """Goods that the hub wants sent from here to another location, under a number that the dispatch takes."""

    transfer: str
    destination: str
    destination_name: str
    note: str
    asked_ms: int
    lines: tuple[tuple[str, str, int], ...]


def draft_goods(
    node: Node,
    purpose: str,
    requests: Sequence[QuantityRequest],
    *,
    source: str = "",
    operator: str = "",
    note: str = "",
    in_hand: str = "",
) -> str:
    """Draft an order from a supplier, or a transfer from another location; returns the draft's number.

    The hub picks it up with the next exchange. Raises RefusalError `purpose_unknown`, `goods_missing`,
    `location_own`, `location_unknown`.
    """
    if purpose not in PURPOSES:
        raise RefusalError("purpose_unknown", f"a draft is for {' or '.join(PURPOSES)}")
    if not requests:
        raise RefusalError("goods_missing", "name at least one product and its quantity")
    if purpose == "transfer" and source:
        check_elsewhere(node, source, "come from")
    lines: dict[str, int] = {}
    for request in requests:
        if request.quantity_milli <= 0:
            raise RefusalError("quantity_invalid", "a quantity is more than nothing")
        product = named_product(node, request.product, request.unit)
        lines[product.code] = lines.get(product.code, 0) + base_quantity(product, request.quantity_milli)
    with node.write() as writing:
        check_permission(node, writing, Permission.STOCK)
        first = next_entry_id(node, writing)
        draft = f"R-{node.config.till}-{first.stream.incarnation}-{first.seq}"
        wanted = tuple(OrderLine(product, quantity) for product, quantity in lines.items())
        writing.append(OrderDrafted(draft, purpose, source, operator, wanted, note))
        let_go(writing.connection, in_hand)
    return draft


def goods_drafts(node: Node, limit: int = 50) -> list[GoodsDraft]:
    """Return the newest drafts of this location."""
    with node.store.reading() as connection:
        number = node.replica.log.scope_no(node.config.scope)
        found = read_buying(connection, [number or 0], About.DRAFT, limit=limit)
        return [
            GoodsDraft(
                one.number, one.purpose, one.source,
                (location_name if one.purpose == "transfer" else supplier_name)(node, one.source), one.state.value,
                one.reference, one.note, one.answer, one.since_ms,
                tuple((line.product, _name(node, line.product), line.ordered_milli) for line in one.lines),
            )
            for _, one in found
        ]  # fmt: skip


def asked_transfers(node: Node) -> list[AskedTransfer]:
    """Return what the hub wants sent from here and nobody has dispatched yet, the longest waiting first."""
    with node.store.reading() as connection:
        number = node.replica.log.scope_no(node.config.scope)
        found = read_buying(connection, [number or 0], About.TRANSFER, [BuyingState.OPEN])
        begun = {
            str(row[0])
            for row in connection.execute("SELECT DISTINCT transfer FROM transfer WHERE scope_no = ?", (number,))
            .fetchall()
        }  # fmt: skip
        return [
            AskedTransfer(
                one.number, one.destination, location_name(node, one.destination), one.note, one.since_ms,
                tuple((line.product, _name(node, line.product), line.ordered_milli) for line in one.lines),
            )
            for _, one in sorted(found, key=lambda each: each[1].since_ms)
            if one.number not in begun
        ]  # fmt: skip


def _name(node: Node, product: str) -> str:
    found = find_product(node, product)
    return product if found is None else f"{found.product.name} {found.product.spec}".strip()
