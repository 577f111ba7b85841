"""Finds products as the cashier types: a part of the name, pinyin initials or full pinyin, a code or a barcode.

Every word that was typed must be found. What starts with the words comes before what has them further on, and shorter
names before longer ones, so that the plain bottle stands above the gift box.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.catalog import price_at, product_of
from edge.catalogue_index import words_of
from edge.keyed import plain_width
from edge.node import Node
from schema.rules.pinyin import FULL_MAX, INITIALS_MAX

WORDS_MAX: Final = 8
"""Words of what was typed that are looked for; more are a pasted text."""
POOL: Final = 300
"""Goods of one kind of match that are ranked: only a letter or two matches more, and nobody reads on then."""
_TEXT: Final = "SELECT length(p.words), p.product FROM product_text t JOIN product_index p ON p.product_no = t.rowid"


class SearchHit(msgspec.Struct, frozen=True):
    """A product as the list shows it: `unit_name` and `price_minor` (None: to be asked) are of the base unit.

    `per_milli` is the quantity that the price buys; `barcode` is the first of that unit.
    """

    code: str
    name: str
    spec: str
    unit_name: str
    price_minor: int | None
    barcode: str
    per_milli: int = 1000
    is_weighed: bool = False


def search(node: Node, typed: str, limit: int = 50) -> list[SearchHit]:
    """Return the products that a typed text may mean, the likeliest first; nothing for a text without any word."""
    text = plain_width(typed).strip()
    if not text:
        return []
    codes = _by_code(node, text)
    if len(codes) < limit:
        codes += _by_words(node, text)
    moment_ms = node.now_ms()
    hits: list[SearchHit] = []
    for code in dict.fromkeys(codes):
        hit = hit_of(node, code, moment_ms)
        if hit is not None:
            hits.append(hit)
            if len(hits) == limit:
                break
    return hits


def hit_of(node: Node, code: str, moment_ms: int) -> SearchHit | None:
    """Return one product as a list shows it; None when it is not here any more."""
    found = product_of(node, code)
    if found is None:
        return None
    product = found.product
    price = price_at(found, "", moment_ms)
    barcode = next((code for code, unit in product.barcodes if unit in {"", product.unit}), "")
    return SearchHit(
        product.code, product.name, product.spec, product.unit_name,
        None if price is None else price.price_minor, barcode,
        1000 if price is None else price.per.milli, product.is_weighed,
    )  # fmt: skip


def _by_code(node: Node, text: str) -> list[str]:
    """Return the products whose code, article or barcode begins with the text: exact ones first."""
    if not text.isascii() or " " in text:
        return []
    connection = node.connection
    after = text[:-1] + chr(ord(text[-1]) + 1)
    found = [
        code
        for sql in (
            "SELECT product FROM product_index WHERE product >= ? AND product < ? ORDER BY product LIMIT 50",
            "SELECT product FROM barcode WHERE barcode >= ? AND barcode < ? ORDER BY barcode LIMIT 50",
        )
        for (code,) in connection.execute(sql, (text, after)).fetchall()
    ]
    upper = text.upper()
    if upper != text:
        sql = "SELECT product FROM product_index WHERE product >= ? AND product < ? ORDER BY product LIMIT 50"
        rows = connection.execute(sql, (upper, upper[:-1] + chr(ord(upper[-1]) + 1))).fetchall()
        found += [code for (code,) in rows]
    if text.isdecimal():
        sql = "SELECT product FROM product_index WHERE article = ? AND article <> '' ORDER BY product"
        found = [code for (code,) in connection.execute(sql, (text.lstrip("0"),)).fetchall()] + found
    return found


def _by_words(node: Node, text: str) -> list[str]:
    runs = _runs(text)
    if not runs:
        return []
    first, *rest = (_condition(run) for run in runs)
    also = "".join(f" AND ({condition})" for condition in rest)
    starts = _condition(runs[0], is_start=True)
    matches = [f"({starts}){also}", f"({first}){also}"]
    found: list[str] = []
    for match in matches:
        rows = node.connection.execute(f"{_TEXT} WHERE t.product_text MATCH ? LIMIT {POOL}", (match,)).fetchall()
        found += [code for _, code in sorted(rows)]
        if len(rows) == POOL:  # What merely has it somewhere comes after these, and nobody reads as far.
            break
    return found


def _runs(text: str) -> list[list[str]]:
    """Split a text into what must be found: characters that follow each other, and Latin words or numbers."""
    runs: list[list[str]] = []
    for part in text.split():
        chinese: list[str] = []
        for word in words_of(part):
            if word.isascii():
                chinese = []
                runs.append([word])
            elif chinese:
                chinese.append(word)
            else:
                chinese = [word]
                runs.append(chinese)
    return runs[:WORDS_MAX]


def _condition(run: list[str], *, is_start: bool = False) -> str:
    """Write one run as an FTS5 condition; its words hold nothing but letters, digits and Chinese characters."""
    mark = "^ " if is_start else ""
    if not run[0].isascii():
        return f'words : {mark}"{" ".join(run)}"'
    word = run[0]
    if word[0].isdecimal():
        return f'words : {mark}"{word}" *'
    columns = {"initials": word[:INITIALS_MAX], "pinyin": word[:FULL_MAX], "words": word}
    if len(word) == 1:
        del columns["pinyin"]  # A single letter begins the same names' initials.
    return " OR ".join(f'{column} : {mark}"{part}" *' for column, part in columns.items())
