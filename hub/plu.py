"""The file that label scales are filled from: a row for every product that has a number on the scale.

Columns, in this order: `plu` (the number on the scale, digits), `code` (the product's code), `name` (with its size),
`unit` (kg for weighed goods, pc for others), `price` (of a kilogram or a piece, in major units with two decimals),
`shelf_days` (how long it keeps, empty where unknown), `tax` (the class in per cent). The text is UTF-8 with a byte
order mark, or GB18030; lines end in CR LF, cells are quoted where they must be (RFC 4180). A cell that a spreadsheet
would run as a formula has an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
from typing import Final

import msgspec

from hub.catalogue import UnitPrices
from schema.amounts import format_money
from schema.catalogue import DEFAULT_LIST, Product, category_of, decode_timeline
from schema.database import Connection
from sync.document_projection import decode_fields

COLUMNS: Final = ("plu", "code", "name", "unit", "price", "shelf_days", "tax")
ENCODINGS: Final = ("utf-8-sig", "gb18030")
_RISKY: Final = ("=", "+", "-", "@", "\t", "\r")


class PluRow(msgspec.Struct, frozen=True):
    """One product on the scale; `price_minor` is None where it has no price now: such a row is left out of the file."""

    plu: str
    code: str
    name: str
    unit: str
    price_minor: int | None
    shelf_days: int | None
    tax: str


def plu_rows(connection: Connection, moment_ms: int, price_list: str = DEFAULT_LIST) -> list[PluRow]:
    """Return the products with a number on the scale, by that number, at the price of the moment."""
    products: dict[str, tuple[Product, int | None]] = {}
    timelines: dict[str, dict[str, object]] = {}
    for document, record, encoded in connection.execute(
        "SELECT document, record, fields FROM record WHERE document LIKE 'products/%' OR document LIKE ?"
        " ORDER BY document DESC",
        (f"prices/{price_list}/%",),
    ).fetchall():
        fields = decode_fields(bytes(encoded))
        category = category_of(str(document))
        if category is None:
            timelines.setdefault(str(record), {}).update(fields)
        elif fields.get("article"):
            days = fields.get("shelf_days")
            product = Product.from_fields(str(record), category, fields)
            products[str(record)] = (product, days if isinstance(days, int) else None)
    rows = []
    for code, (product, days) in products.items():
        timeline = timelines.get(code, {}).get(product.unit)
        steps = decode_timeline(timeline if isinstance(timeline, str) else None)
        step = UnitPrices(price_list, product.unit, steps).current(moment_ms)
        price = None if step is None else step.price_minor * 1000 // step.per_milli
        if product.is_active:
            unit = "kg" if product.is_weighed else "pc"
            name = f"{product.name} {product.spec}".strip()
            rows.append(PluRow(product.article, code, name, unit, price, days, product.tax_class))
    return sorted(rows, key=lambda row: (len(row.plu), row.plu, row.code))


def plu_file(rows: list[PluRow], encoding: str = ENCODINGS[0]) -> bytes:
    """Write the rows that have a price as the file that this module describes."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for row in rows:
        if row.price_minor is not None:
            days = "" if row.shelf_days is None else str(row.shelf_days)
            cells = (row.plu, row.code, row.name, row.unit, format_money(row.price_minor), days, row.tax)
            writer.writerow([f"'{cell}" if cell.startswith(_RISKY) else cell for cell in cells])
    return stream.getvalue().encode(encoding, "replace")
