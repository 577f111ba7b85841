"""Replays another system's log as sales of this node: each basket is one sale, once, however often it is replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from edge.clock_source import ScriptedClock, parse_time
from edge.node import Node
from edge.returns import ReturnRequest, find_sale
from edge.selling import Completed, LineRequest, refund, refund_without_receipt, sell
from edge.settings import selling_list
from schema.amounts import Minor
from schema.catalogue import Product, category_of, decode_timeline
from schema.errors import RefusalError
from schema.replay import CatalogueMapping, ReplayBasket, ReplayDirt, ReplayFormat, ReplayReader
from schema.rows import BaseUnit, ProductRow, SellingUnit
from schema.rules.rounding import PricePer
from schema.rules.tax import TaxClass
from sync.document_projection import decode_fields

_PIECE: Final = 1000


class ReplayedBasket(msgspec.Struct, frozen=True):
    """A basket that is durable now."""

    source_id: str
    receipt_number: str
    entry: str
    is_refund: bool
    total_minor: int


class RefusedBasket(msgspec.Struct, frozen=True):
    """A basket that could not be replayed, and why."""

    source_id: str
    code: str
    message: str


class ReplayReport(msgspec.Struct):
    """What a replay came to."""

    sales: int = 0
    refunds: int = 0
    skipped: int = 0
    lines: int = 0
    total_minor: int = 0
    refused: list[RefusedBasket] = []
    dirt: list[ReplayDirt] = []


def last_reading_ms(directory: Path) -> int:
    """Return what the node's clock read when it was last written down: a recorded day goes on from there.

    A scripted clock that began earlier would be a clock that was set back.
    """
    with Node(directory, is_read_only=True) as node:
        return node.state().clock.wall_ms


def catalogue_rows(node: Node) -> list[ProductRow]:
    """Return the products that this node could sell now, with their price where one is set, for a mapping."""
    prices: dict[str, dict[str, str]] = {}
    prefix = f"prices/{selling_list(node)}/"
    found: dict[str, Product] = {}
    for document, record, encoded in node.connection.execute(
        "SELECT document, record, fields FROM record ORDER BY document, record"
    ).fetchall():
        category = category_of(document)
        fields = decode_fields(bytes(encoded))
        if category is not None:
            found.setdefault(record, Product.from_fields(record, category, fields))
        elif document.startswith(prefix):
            prices.setdefault(record, {}).update({k: v for k, v in fields.items() if isinstance(v, str)})
    rows = []
    for code, product in sorted(found.items()):
        timelines = prices.get(code, {})
        if not product.is_active or product.unit not in timelines:
            continue
        steps = decode_timeline(timelines[product.unit])
        rows.append(
            ProductRow(
                code=product.code,
                name=product.name,
                category=product.category,
                tax_class=TaxClass(product.tax_class) if product.tax_class in set(TaxClass) else TaxClass.VAT13,
                unit=BaseUnit.KILOGRAM if product.is_weighed else BaseUnit.PIECE,
                is_weighed=product.is_weighed,
                price_minor=Minor(steps[-1].price_minor) if steps else None,
                price_per=PricePer.PIECE,
                units=tuple(
                    SellingUnit(unit.unit, unit.factor_milli)  # type: ignore[arg-type]
                    for unit in product.units
                    if unit.unit in timelines and unit.factor_milli >= _PIECE
                ),
            )
        )
    return rows


def replay(
    node: Node,
    source_format: ReplayFormat,
    lines: Iterable[str],
    *,
    clock: ScriptedClock | None = None,
    date: str = "",
    map_catalogue: bool = False,
    limit: int | None = None,
    operator: str = "",
    on_basket: Callable[[ReplayedBasket], None] | None = None,
    on_read: Callable[[], None] | None = None,
) -> ReplayReport:
    """Replay baskets as sales and refunds; a basket that is recorded here already is skipped.

    With a `clock` it is moved to each basket's minute on `date` (on its own date where none is given).
    `on_basket` hears of a basket when it is durable; `limit` counts baskets of the log.
    """
    reader = ReplayReader(source_format, lines)
    mapping = None
    if map_catalogue:
        rows = catalogue_rows(node)
        if not rows:
            raise RefusalError("catalogue_empty", "this node has no products with prices to map onto yet")
        mapping = CatalogueMapping(rows)
    report = ReplayReport()
    for number, basket in enumerate(reader):
        if limit is not None and number >= limit:
            break
        if on_read is not None:
            on_read()
        source = f"{source_format.value}:{basket.source_id}"
        if _known(node, source) is not None:
            report.skipped += 1
            continue
        if clock is not None:
            clock.move_to(moment_of(basket, date, node.config.time_zone))
        try:
            completed = _replay(node, basket, source, source_format, mapping, operator)
        except RefusalError as error:
            if error.code in {"disk_full", "file_read_only"}:
                raise
            report.refused.append(RefusedBasket(basket.source_id, error.code, error.message))
            continue
        report.sales += not basket.is_refund
        report.refunds += basket.is_refund
        report.lines += len(basket.lines)
        report.total_minor += -completed.total_minor if basket.is_refund else completed.total_minor
        if on_basket is not None:
            on_basket(
                ReplayedBasket(
                    basket.source_id, completed.receipt_number, completed.entry, basket.is_refund,
                    completed.total_minor,
                )
            )  # fmt: skip
    report.dirt = reader.dirt
    return report


def moment_of(basket: ReplayBasket, date: str, time_zone: str) -> int:
    """Return the moment of a basket's minute on a day, in milliseconds."""
    minute = timedelta(minutes=basket.minute)
    day = datetime.fromisoformat(date or basket.day)
    return parse_time((day + minute).isoformat(), time_zone)


def _known(node: Node, source: str) -> str | None:
    row = node.connection.execute("SELECT number FROM replayed WHERE source = ? ORDER BY number", (source,)).fetchone()
    return None if row is None else str(row[0])


def _requests(basket: ReplayBasket, mapping: CatalogueMapping | None) -> list[LineRequest]:
    if mapping is None:
        return [
            LineRequest(line.source_code, line.quantity_milli, price_minor=line.unit_price_minor)
            for line in basket.lines
        ]
    mapped = [mapping.line(line) for line in basket.lines]
    return [LineRequest(line.product.code, line.quantity_milli, line.unit) for line in mapped]


def _replay(
    node: Node,
    basket: ReplayBasket,
    source: str,
    source_format: ReplayFormat,
    mapping: CatalogueMapping | None,
    operator: str,
) -> Completed:
    requests = _requests(basket, mapping)
    if not basket.is_refund:
        return sell(node, requests, operator=operator, source=source)
    original = basket.original_source_id
    number = _known(node, f"{source_format.value}:{original}") if original else None
    if number is not None:
        returns = _returns_of(node, number, requests)
        if returns is not None:
            return refund(node, number, returns, operator=operator, source=source)
    return refund_without_receipt(node, requests, operator=operator, source=source)


def _returns_of(node: Node, number: str, requests: Iterable[LineRequest]) -> list[ReturnRequest] | None:
    """Find the lines of the original sale that come back; None where the log takes back more than was sold."""
    from edge.catalog import find_product

    original = find_sale(node, number)
    left = {
        place: line.quantity_milli - original.returned_milli.get(place, 0)
        for place, line in enumerate(original.sale.lines)
    }
    returns: dict[int, int] = {}
    for request in requests:
        found = find_product(node, request.product)
        product = found.product.code if found is not None else request.product
        wanted = request.quantity_milli
        for place, line in enumerate(original.sale.lines):
            if (line.product, line.unit) != (product, request.unit) or line.kit_parent is not None or not wanted:
                continue
            taken = min(wanted, left[place])
            if taken > 0:
                left[place] -= taken
                wanted -= taken
                returns[place] = returns.get(place, 0) + taken
        if wanted:
            return None
    return [ReturnRequest(place, quantity) for place, quantity in sorted(returns.items())]
