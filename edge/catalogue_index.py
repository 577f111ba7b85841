"""Keeps what products are found by, in the transaction that changes them: barcodes, articles, words and pinyin.

Search is SQLite's own FTS5 over prepared words: each Chinese character is one, so that a part of a name is a phrase,
and pinyin stands there from every character on, so that its middle is a prefix. Measured with 100,000 goods a
keystroke costs at most a few milliseconds, and a product 70 µs when it is stored.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from schema.catalogue import Product, Scalar, category_of
from schema.database import Connection
from schema.rules.pinyin import search_starts
from sync.document_projection import decode_fields

INDEX_RULES: Final = 1
"""Raise it whenever words or pinyin are made otherwise: every node then indexes its products anew at its next start."""
_WORD: Final = re.compile(r"[a-z0-9]+|[^\W_a-z0-9]")


def words_of(text: str) -> list[str]:
    """Return a text's words: one for each Chinese character, and runs of Latin letters and digits in lower case."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def index_catalogue(connection: Connection, document: str, records: Mapping[str, Mapping[str, Scalar]]) -> None:
    """Follow a change of a shared document: a new version for readers, and the index of the products that changed.

    A product that moves between categories stands in both documents for a while, so it is read from all of them; a
    barcode may name several products until the hub settles which.
    """
    connection.execute("UPDATE catalogue_state SET version = version + 1")
    if category_of(document) is None:
        return
    names = list(records)
    for start in range(0, len(names), 500):
        _index(connection, names[start : start + 500])


def _index(connection: Connection, names: Sequence[str]) -> None:
    marks = ", ".join("?" * len(names))
    rows = connection.execute(
        f"SELECT document, record, fields FROM record WHERE record IN ({marks}) ORDER BY record, document", names
    ).fetchall()
    found: list[tuple[str, str, dict[str, Scalar]]] = []
    for document, product, fields in rows:
        category = category_of(document)
        if category is not None:
            found.append((category, product, decode_fields(bytes(fields))))
    connection.executemany("DELETE FROM barcode WHERE product = ?", [(product,) for product in names])
    connection.executemany(
        "INSERT INTO barcode (barcode, product, unit) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (name[8:], product, unit)
            for _, product, fields in found
            for name, unit in fields.items()
            if name.startswith("barcode:") and isinstance(unit, str)
        ],
    )
    connection.executemany("DELETE FROM product_index WHERE product = ?", [(product,) for product in names])
    firsts: dict[str, Product] = {}
    for category, code, fields in found:
        firsts.setdefault(code, Product.from_fields(code, category, fields))
    connection.executemany(
        "INSERT INTO product_index (product, article, words, initials, pinyin) VALUES (?, ?, ?, ?, ?)",
        [_row(product) for product in firsts.values() if product.is_active],
    )


def _row(product: Product) -> tuple[str, str, str, str, str]:
    starts = search_starts(product.name)
    words = " ".join(words_of(f"{product.name} {product.spec}"))
    return product.code, product.article.lstrip("0"), words, " ".join(starts.initials), " ".join(starts.full)


def ensure_index(connection: Connection) -> None:
    """Index every product anew where an earlier release did it by other rules, or not at all."""
    (rules,) = connection.execute("SELECT index_rules FROM catalogue_state").fetchone()
    if rules == INDEX_RULES:
        return
    connection.execute("DELETE FROM product_index")
    for names in _product_names(connection):
        _index(connection, names)
    connection.execute("UPDATE catalogue_state SET index_rules = ?, version = version + 1", (INDEX_RULES,))


def _product_names(connection: Connection) -> Iterable[list[str]]:
    after = ""
    while True:
        rows = connection.execute(
            "SELECT DISTINCT record FROM record WHERE record > ? AND substr(document, 1, 9) = 'products/'"
            " ORDER BY record LIMIT 500",
            (after,),
        ).fetchall()
        if not rows:
            return
        yield [record for (record,) in rows]
        after = rows[-1][0]
