"""Writes edits of the catalogue as entries: the hub in `org`, a node that may in its own location's scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from schema.catalogue import (
    DEFAULT_LIST,
    PriceStep,
    Product,
    Scalar,
    category_of,
    prices_document,
    products_document,
    with_step,
)
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import Stream
from schema.kinds.base import Permission
from sync.document_projection import decode_fields, read_document, read_records
from sync.documents import RECORDS_MAX, edit
from sync.entry import Entry
from sync.replica import Moment, Replica

_WHOLE_FIELDS: Final = frozenset({"parts", "deposits", "deposit"})
"""Fields that stand in a record only where they say something."""
Assignments = Mapping[tuple[str, str], Scalar]


def edit_document(
    replica: Replica, stream: Stream, moment: Moment, document: str, assignments: Assignments
) -> list[Entry]:
    """Append one document's edit; nothing where every value holds already.

    Raises RefusalError `not_permitted` for a stream that may not change the catalogue.
    """
    permissions = replica.organisation.authority(replica.connection, stream).permissions
    if Permission.CATALOGUE.value not in permissions:
        raise RefusalError("not_permitted", "only a node with the profile manager changes prices: ask the hub")
    state = read_document(replica.connection, document)
    changes = edit(state, assignments, writer=stream.writer, time_ms=moment.wall_ms)
    return [replica.append(stream, change, moment) for change in changes]


class DocumentPlaces:
    """Knows which document holds a record, and gives new records the first of a category that has room.

    A few records are asked for one by one, so that an edit costs the same in any catalogue; for `is_bulk`, such as an
    import, all places are read at once.
    """

    def __init__(self, connection: Connection, *, is_bulk: bool = False) -> None:
        self._connection = connection
        self._places: dict[tuple[str, str], str] = {}
        self._sizes: dict[str, int] = {}
        self._known: set[str] | None = set()
        if is_bulk:
            for document, record in connection.execute(
                "SELECT document, record FROM record ORDER BY document"
            ).fetchall():
                self._places.setdefault((document.partition("#")[0], record), document)
                self._sizes[document] = self._sizes.get(document, 0) + 1
            self._known = None
        self._category = {
            record: category for (_, record), document in self._places.items()
            if (category := category_of(document)) is not None
        }  # fmt: skip

    def category(self, product: str) -> str | None:
        """Return a product's category; None for a product that is not here."""
        self._look_up(product)
        return self._category.get(product)

    def place(self, base: str, record: str) -> str:
        """Return the document of a record within a series of documents (`products/drinks`, `products/drinks#2` …)."""
        self._look_up(record)
        known = self._places.get((base, record))
        if known is not None:
            return known
        number, document = 1, base
        while self._size(document) >= RECORDS_MAX:
            number += 1
            document = f"{base}#{number}"
        self._sizes[document] = self._size(document) + 1
        self._places[base, record] = document
        return document

    def _look_up(self, record: str) -> None:
        if self._known is None or record in self._known:
            return
        self._known.add(record)
        for (document,) in self._connection.execute(
            "SELECT document FROM record WHERE record = ? ORDER BY document", (record,)
        ).fetchall():
            self._places.setdefault((document.partition("#")[0], record), document)
            if (category := category_of(document)) is not None:
                self._category.setdefault(record, category)

    def _size(self, document: str) -> int:
        if document not in self._sizes and self._known is not None:
            row = self._connection.execute("SELECT count(*) FROM record WHERE document = ?", (document,)).fetchone()
            self._sizes[document] = int(row[0])
        return self._sizes.get(document, 0)


class CatalogueEdit:
    """Gathers edits of products and prices, then appends them document by document."""

    def __init__(
        self, replica: Replica, stream: Stream, moment: Moment, price_list: str = DEFAULT_LIST, *, is_bulk: bool = False
    ) -> None:
        self._replica = replica
        self._stream = stream
        self._moment = moment
        self._list = price_list
        self._places = DocumentPlaces(replica.connection, is_bulk=is_bulk)
        self._edits: dict[str, dict[tuple[str, str], Scalar]] = {}
        self._steps: dict[str, dict[str, list[tuple[str, PriceStep]]]] = {}
        self._new_categories: dict[str, str] = {}

    def put_product(self, product: Product) -> None:
        """Define a product, or change it; what it no longer has of units, barcodes, parts or deposits goes."""
        old = self._places.category(product.code)
        if old is not None and old != product.category:
            raise RefusalError("category_fixed", f"{product.code} is in category {old}: a product keeps its category")
        self._new_categories[product.code] = product.category
        document = self._places.place(products_document(product.category), product.code)
        fields = product.fields()
        known = read_records(self._replica.connection, document, [product.code]).get(product.code, {})
        gone = {
            name: None
            for name in known
            if (name.startswith(("unit:", "barcode:")) or name in _WHOLE_FIELDS) and name not in fields
        }
        for name, value in {**gone, **fields}.items():
            self._edits.setdefault(document, {})[product.code, name] = value

    def known(self, product: str) -> Product | None:
        """Return a product as it stood before these edits; None for one that is not here."""
        category = self._places.category(product)
        if category is None:
            return None
        document = self._places.place(products_document(category), product)
        return Product.from_fields(
            product, category, read_records(self._replica.connection, document, [product]).get(product, {})
        )

    def put_price(self, product: str, unit: str, step: PriceStep) -> None:
        """Set a price of one selling unit from a moment on; raises RefusalError for an unknown product."""
        category = self._new_categories.get(product) or self._places.category(product)
        if category is None:
            raise RefusalError("product_unknown", f"{product} is not in the catalogue")
        document = self._places.place(prices_document(self._list, category), product)
        self._steps.setdefault(document, {}).setdefault(product, []).append((unit, step))

    def append(self) -> list[Entry]:
        """Append everything gathered; the caller's transaction makes it one operation."""
        for document, products in self._steps.items():
            known = read_records(self._replica.connection, document, products)
            for product, steps in products.items():
                timelines = dict(known.get(product, {}))
                for unit, step in steps:
                    timelines[unit] = with_step(timelines.get(unit), step, self._moment.wall_ms)
                    self._edits.setdefault(document, {})[product, unit] = timelines[unit]
        entries: list[Entry] = []
        for document in sorted(self._edits, key=_products_first):
            edits = self._edits[document]
            entries += edit_document(self._replica, self._stream, self._moment, document, edits)
        return entries


def _products_first(document: str) -> tuple[bool, str]:
    return (category_of(document) is None, document)


def set_price(
    replica: Replica,
    stream: Stream,
    moment: Moment,
    product: Product,
    unit: str,
    price_minor: int,
    from_ms: int,
    *,
    per_milli: int = 1000,
    price_list: str = DEFAULT_LIST,
) -> list[Entry]:
    """Set one price; raises RefusalError for a unit that the product is not sold by, or a negative price."""
    if price_minor < 0:
        raise RefusalError("price_invalid", "a price is not negative")
    if product.factor_milli(unit) is None:
        raise RefusalError("unit_unknown", f"{product.name} is not sold by {unit}")
    gathered = CatalogueEdit(replica, stream, moment, price_list)
    gathered.put_price(product.code, unit or product.unit, PriceStep(from_ms, None, price_minor, per_milli))
    return gathered.append()


def products_here(connection: Connection) -> Iterable[Product]:
    """Yield every product of the catalogue, by code."""
    rows = connection.execute(
        "SELECT document, record, fields FROM record WHERE document LIKE 'products/%' ORDER BY record, document"
    ).fetchall()
    seen: set[str] = set()
    for document, record, fields in rows:
        category = category_of(document)
        if category is not None and record not in seen:
            seen.add(record)
            yield Product.from_fields(record, category, decode_fields(bytes(fields)))
