"""Keeps the desk's list of products: searchable by part of a name, pinyin, code or barcode, page by page.

It is derived from the records of the shared documents in the transaction that changes them, like every projection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from schema.catalogue import Product, Scalar, category_of
from schema.database import Connection
from schema.rules.barcodes import canonical_code
from schema.rules.pinyin import search_key
from sync.document_projection import decode_fields

PAGE_MAX = 200


class ProductListed(msgspec.Struct, frozen=True):
    """One product in brief."""

    code: str
    category: str
    name: str
    is_active: bool
    spec: str = ""


class CategoryListed(msgspec.Struct, frozen=True):
    """A category with how many products it has."""

    category: str
    products: int


def haystack(product: Product) -> str:
    """Return the text in which a search looks: code, name, specification, pinyin, article number and barcodes."""
    key = search_key(product.name)
    parts = [product.code, product.name, product.spec, key.initials, key.full, product.article]
    return " ".join([*parts, *(code for code, _ in product.barcodes)]).lower()


def index_products(connection: Connection, document: str, changed: Mapping[str, Mapping[str, Scalar]]) -> None:
    """Follow changed records of a document; a record without fields is gone."""
    category = category_of(document)
    if category is None or not changed:
        return
    names = [(name, document) for name in changed]
    connection.executemany("DELETE FROM product_index WHERE product = ? AND document = ?", names)
    connection.executemany("DELETE FROM product_barcode WHERE product = ? AND document = ?", names)
    products = [Product.from_fields(name, category, fields) for name, fields in changed.items() if fields]
    connection.executemany(
        "INSERT INTO product_index (product, document, category, name, spec, is_active, haystack)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(p.code, document, category, p.name, p.spec, int(p.is_active), haystack(p)) for p in products],
    )
    connection.executemany(
        "INSERT INTO product_barcode (barcode, product, document) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(canonical_code(code), p.code, document) for p in products for code, _ in p.barcodes],
    )


def rebuild_products(connection: Connection) -> int:
    """Derive the list anew from all records; returns how many products it has."""
    connection.execute("DELETE FROM product_index")
    connection.execute("DELETE FROM product_barcode")
    records: dict[str, dict[str, Mapping[str, Scalar]]] = {}
    rows = connection.execute("SELECT document, record, fields FROM record WHERE document LIKE 'products/%'").fetchall()
    for document, record, fields in rows:
        records.setdefault(str(document), {})[str(record)] = decode_fields(bytes(fields))
    for document, changed in records.items():
        index_products(connection, document, changed)
    return len(rows)


def find_products(
    connection: Connection,
    text: str = "",
    *,
    category: str = "",
    with_inactive: bool = False,
    after: str = "",
    offset: int = 0,
    limit: int = 50,
) -> list[ProductListed]:
    """List products by code, from the one after `after` on; every word of the text must be found somewhere."""
    narrowed, parameters = matching(text, category=category)
    active = "" if with_inactive else " AND is_active = 1"
    rows = connection.execute(
        "SELECT product, category, name, is_active, spec FROM product_index"
        f" WHERE {narrowed} AND product > ?{active} ORDER BY product, document LIMIT ? OFFSET ?",
        (*parameters, after, min(limit, PAGE_MAX), offset),
    ).fetchall()
    return [ProductListed(str(r[0]), str(r[1]), str(r[2]), bool(r[3]), str(r[4])) for r in rows]


def matching(text: str, *, category: str = "") -> tuple[str, list[object]]:
    """Return a condition on `product_index`, with its parameters: every word is found somewhere in a product."""
    where, parameters = ["1 = 1"], list[object]()
    if category:
        where.append("category = ?")
        parameters.append(category)
    for word in text.lower().split():
        where.append("haystack LIKE ? ESCAPE '!'")
        parameters.append(f"%{_literal(word)}%")
    return " AND ".join(where), parameters


def _literal(word: str) -> str:
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def categories(connection: Connection) -> list[CategoryListed]:
    """List the categories that have products."""
    rows = connection.execute(
        "SELECT category, count(*) FROM product_index GROUP BY category ORDER BY category"
    ).fetchall()
    return [CategoryListed(str(row[0]), int(row[1])) for row in rows]


def owners_of(connection: Connection, barcodes: Iterable[str]) -> dict[str, list[str]]:
    """Return which products bear each of some barcodes."""
    wanted = sorted({canonical_code(code) for code in barcodes})
    found: dict[str, list[str]] = {}
    for start in range(0, len(wanted), 500):
        part: Sequence[str] = wanted[start : start + 500]
        marks = ", ".join("?" * len(part))
        rows = connection.execute(
            f"SELECT barcode, product FROM product_barcode WHERE barcode IN ({marks}) ORDER BY barcode, product", part
        ).fetchall()
        for barcode, product in rows:
            found.setdefault(str(barcode), []).append(str(product))
    return found
