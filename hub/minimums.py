"""How much of a product a location should always have, and what is below it: records of one document a category."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from hub.catalogue import CatalogueDesk, version_of
from hub.own_log import OwnLog
from hub.product_index import matching
from hub.stock_list import product_names
from schema.catalogue import minimums_document
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import LocationId, location_scope
from sync.buying import About, BuyingState, read_buying
from sync.document_projection import decode_fields, read_records
from sync.entry import Entry
from sync.replica import Replica

FIELD = "minimum"


class MinimumRow(msgspec.Struct, frozen=True):
    """A product at a location: what is set for the chain and for the place (None: nothing), and what is there."""

    product: str
    name: str
    category: str
    chain_milli: int | None
    own_milli: int | None
    on_hand_milli: int
    version: str

    @property
    def minimum_milli(self) -> int:
        """What holds: the location's own before the chain's."""
        own = self.own_milli if self.own_milli is not None else self.chain_milli
        return own or 0

    @property
    def is_below(self) -> bool:
        """Tell whether less is there than should be."""
        return self.on_hand_milli < self.minimum_milli


def list_minimums(
    replica: Replica, location: str, *, text: str = "", category: str = "", offset: int = 0, limit: int = 51
) -> list[MinimumRow]:
    """List products with their minimums at a location, by code."""
    connection = replica.connection
    narrowed, parameters = matching(text, category=category)
    rows = connection.execute(
        f"SELECT product, document FROM product_index WHERE {narrowed} AND is_active = 1"
        " ORDER BY product, document LIMIT ? OFFSET ?",
        (*parameters, limit, offset),
    ).fetchall()
    return _rows(replica, location, {str(product): str(document) for product, document in rows})


def _rows(replica: Replica, location: str, documents: dict[str, str]) -> list[MinimumRow]:
    connection = replica.connection
    names = product_names(connection, documents)
    by_document: dict[str, list[str]] = {}
    for product, document in documents.items():
        by_document.setdefault(document, []).append(product)
    chain: dict[str, int] = {}
    own: dict[str, dict[str, str | int | bool | None]] = {}
    for document, products in by_document.items():
        for code, fields in read_records(connection, document, products).items():
            if isinstance(value := fields.get(FIELD), int):
                chain[code] = value
        own |= read_records(connection, minimums_document(location, document.partition("/")[2]), products)
    number = replica.log.scope_no(location_scope(LocationId(location)))
    stock = _stock(connection, number, documents)
    rows = []
    for product in documents:
        value = own.get(product, {}).get(FIELD)
        name, category = names.get(product, (product, ""))
        rows.append(
            MinimumRow(
                product, name, category, chain.get(product), value if isinstance(value, int) else None,
                stock.get(product, 0), version_of(own.get(product, {})),
            )
        )  # fmt: skip
    return rows


def _stock(connection: Connection, scope_no: int | None, products: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    wanted = sorted(products)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        rows = connection.execute(
            f"SELECT product, value FROM stock WHERE scope_no = ? AND product IN ({', '.join('?' * len(part))})",
            (scope_no, *part),
        ).fetchall()
        found |= {str(product): int(value) for product, value in rows}
    return found


def set_minimum(
    replica: Replica, own_log: OwnLog, location: str, product: str, minimum_milli: int | None, version: str
) -> list[Entry]:
    """Set a location's minimum of a product, or let it follow the chain's (None), in a transaction of `org`.

    Raises RefusalError `product_unknown`, `minimum_invalid`, `record_changed`.
    """
    if minimum_milli is not None and minimum_milli < 0:
        raise RefusalError("minimum_invalid", "a minimum stock is not negative")
    row = replica.connection.execute(
        "SELECT document FROM product_index WHERE product = ? ORDER BY document", (product,)
    ).fetchone()
    if row is None:
        raise RefusalError("product_unknown", f"{product} is not in the catalogue", product=product)
    document = minimums_document(location, str(row[0]).partition("/")[2])
    return CatalogueDesk(replica, own_log).put_record(document, product, {FIELD: minimum_milli}, version)


def below_minimum(replica: Replica, location: str) -> list[tuple[str, int]]:
    """Return (product, base quantity) of what is missing to its minimum after all that is ordered, by code."""
    connection = replica.connection
    documents: dict[str, str] = {}
    start = minimums_document(location, "")
    for document, record, fields in connection.execute(
        "SELECT document, record, fields FROM record WHERE document LIKE 'products/%'"
    ).fetchall():
        if isinstance(decode_fields(bytes(fields)).get(FIELD), int):
            documents[str(record)] = str(document)
    for document, record in connection.execute(
        "SELECT document, record FROM record WHERE document >= ? AND document < ?", (start, f"{start[:-1]}0")
    ).fetchall():
        documents.setdefault(str(record), f"products/{str(document).removeprefix(start)}")
    number = replica.log.scope_no(location_scope(LocationId(location)))
    coming: dict[str, int] = {}
    for _, order in read_buying(connection, [number or 0], About.ORDER, (BuyingState.OPEN, BuyingState.PARTLY)):
        for line in order.lines:
            coming[line.product] = coming.get(line.product, 0) + line.left_milli
    missing = []
    for row in sorted(_rows(replica, location, documents), key=lambda one: one.product):
        short = row.minimum_milli - row.on_hand_milli - coming.get(row.product, 0)
        if short > 0:
            missing.append((row.product, -(-short // 1000) * 1000))
    return missing
