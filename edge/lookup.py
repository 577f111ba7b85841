"""Answers what a cashier is asked: what it costs, whether there is any, here and elsewhere, and what was bought."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from edge.catalog import find_product, price_at
from edge.elsewhere import ElsewhereStock, stock_elsewhere
from edge.node import Node
from edge.stock import OnHand, on_hand
from schema.catalogue import decode_timeline
from schema.codec import decode_body, decode_payload
from schema.errors import RefusalError
from schema.kinds.balances import BalancePaid
from schema.kinds.organisation import EntryRecovered
from schema.kinds.trading import Refund, Sale
from sync.entry import Entry

SALE, REFUND, PAYMENT = "sale", "refund", "payment"
RECEIPTS_MAX: Final = 200


class UnitPrice(NamedTuple):
    """What one selling unit costs: `price_minor` is None where it is to be asked.

    `next_ms` is when the price changes next, `next_minor` to what; None where nothing is scheduled.
    """

    unit: str
    name: str
    factor_milli: int
    price_minor: int | None
    per_milli: int
    source: str
    next_ms: int | None
    next_minor: int | None


class ProductLook(msgspec.Struct, frozen=True):
    """All that a till knows of a product: `edge.stock.why` explains the figure, `elsewhere` has its age with each."""

    code: str
    name: str
    spec: str
    category: str
    is_active: bool
    barcodes: tuple[tuple[str, str], ...]
    prices: tuple[UnitPrice, ...]
    stock: OnHand
    elsewhere: tuple[ElsewhereStock, ...]


def look_up(node: Node, code: str) -> ProductLook:
    """Look a product up by code or barcode; raises RefusalError `product_unknown`."""
    found = find_product(node, code)
    if found is None:
        raise RefusalError("product_unknown", f"{code} is not in the catalogue", product=code)
    product, now_ms = found.product, node.now_ms()
    units = [("", product.unit_name, 1000), *((unit.unit, unit.unit, unit.factor_milli) for unit in product.units)]
    prices = []
    for unit, name, factor in units:
        chosen = price_at(found, unit, now_ms)
        name_of_unit = unit or product.unit
        coming = _next_price(found.timelines.get(name_of_unit, found.standard.get(name_of_unit)), now_ms)
        prices.append(
            UnitPrice(
                unit, name, factor, None if chosen is None else chosen.price_minor,
                1000 if chosen is None else chosen.per.milli, "" if chosen is None else chosen.source.value, *coming,
            )
        )  # fmt: skip
    return ProductLook(
        code=product.code,
        name=product.name,
        spec=product.spec,
        category=product.category,
        is_active=product.is_active,
        barcodes=product.barcodes,
        prices=tuple(prices),
        stock=on_hand(node, product.code)[0],
        elsewhere=tuple(stock_elsewhere(node, product.code)),
    )


def _next_price(timeline: str | None, now_ms: int) -> tuple[int | None, int | None]:
    """Return the next price for everyone that starts after a moment."""
    coming = [step for step in decode_timeline(timeline) if step.from_ms > now_ms and not step.tier]
    if not coming:
        return None, None
    step = min(coming, key=lambda one: one.from_ms)
    return step.from_ms, step.price_minor


class ReceiptLook(NamedTuple):
    """A receipt in a list: `kind` is sale, refund or payment; `total_minor` is negative for money given back."""

    number: str
    entry: str
    kind: str
    business_date: str
    wall_ms: int
    total_minor: int
    operator: str
    member: str


def last_receipts(node: Node, limit: int = 20, *, till: str = "") -> list[ReceiptLook]:
    """List the newest receipts of a till (this one's where none is named), payments among them, the newest first."""
    till, limit = till or node.config.till, min(limit, RECEIPTS_MAX)
    found: list[ReceiptLook] = []
    for table in ("receipt", "payment"):
        found += _looks(
            node,
            f"SELECT number, scope_no, stream_no, seq FROM {table} WHERE number >= ? AND number < ?"
            " ORDER BY stream_no DESC, seq DESC LIMIT ?",
            (f"{till}-", f"{till}.", limit),
        )
    return sorted(found, key=lambda look: look.wall_ms, reverse=True)[:limit]


def purchases(node: Node, person: str, limit: int = 50) -> list[ReceiptLook]:
    """List what a customer bought and returned at this location, at any of its tills, the newest first."""
    found = _looks(
        node,
        "SELECT number, scope_no, stream_no, seq FROM purchase WHERE member = ?"
        " ORDER BY business_date DESC, seq DESC LIMIT ?",
        (person, min(limit, RECEIPTS_MAX)),
    )
    return sorted(found, key=lambda look: look.wall_ms, reverse=True)


def _looks(node: Node, sql: str, parameters: tuple[object, ...]) -> list[ReceiptLook]:
    """Read the entries whose numbers and places a query gives; what has left this node is left out."""
    streams = {(row.scope_no, row.stream_no): row for row in node.replica.log.streams(node.config.scope)}
    found = []
    for number, scope_no, stream_no, seq in node.connection.execute(sql, parameters).fetchall():
        row = streams.get((scope_no, stream_no))
        entry = None if row is None else node.replica.log.entry_at(row, seq)
        look = None if entry is None else _look(number, entry)
        if look is not None:
            found.append(look)
    return found


def _look(number: str, entry: Entry) -> ReceiptLook | None:
    payload, body = entry.payload, entry.body
    if isinstance(payload, EntryRecovered):
        body = decode_body(payload.body)
        payload = decode_payload(body)
    match payload:
        case Sale():
            kind, total = SALE, payload.total_minor
        case Refund():
            kind, total = REFUND, -payload.total_minor
        case BalancePaid():
            kind, total = PAYMENT, payload.total_minor
        case _:
            return None
    return ReceiptLook(
        number, str(entry.id), kind, payload.business_date, body.wall_ms, total, payload.operator, payload.member
    )
