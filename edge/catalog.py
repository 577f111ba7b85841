"""Looks products and prices up in the node's cache: by code or barcode, at the price of the moment."""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import NamedTuple

from edge.node import Node
from schema.catalogue import Product, category_of, price_book
from schema.errors import RefusalError
from schema.rules.barcodes import canonical_code
from schema.rules.pricing import ChosenPrice
from schema.rules.tax import SellerKind, SellerTax, TaxClass, applied_rate
from sync.document_projection import decode_fields


class FoundProduct(NamedTuple):
    """A product as it reads now, with its price fields of the node's price list by selling unit."""

    product: Product
    timelines: dict[str, str]
    unit: str
    """The selling unit that the scanned barcode names; empty for the base unit."""


def find_product(node: Node, code: str) -> FoundProduct | None:
    """Find a product by its code, or by any barcode of one of its units; None when nothing here has it."""
    found = _by_code(node, code, "")
    if found is not None:
        return found
    try:
        barcode = canonical_code(code)
    except (RefusalError, ValueError):
        barcode = code
    rows = node.connection.execute(
        "SELECT product, unit FROM barcode WHERE barcode IN (?, ?) ORDER BY product, unit", (barcode, code)
    ).fetchall()
    for product, unit in rows:
        found = _by_code(node, product, unit)
        if found is not None:
            return found
    return None


def _by_code(node: Node, code: str, unit: str) -> FoundProduct | None:
    rows = node.connection.execute(
        "SELECT document, fields FROM record WHERE record = ? ORDER BY document", (code,)
    ).fetchall()
    product: Product | None = None
    timelines: dict[str, str] = {}
    prefix = f"prices/{node.config.price_list}/"
    for document, fields in rows:
        category = category_of(document)
        if category is not None and product is None:
            product = Product.from_fields(code, category, decode_fields(bytes(fields)))
        elif document.startswith(prefix):
            timelines |= {k: v for k, v in decode_fields(bytes(fields)).items() if isinstance(v, str)}
    if product is None:
        return None
    return FoundProduct(product, timelines, "" if unit == product.unit else unit)


def price_at(found: FoundProduct, unit: str, moment_ms: int, tiers: frozenset[str] = frozenset()) -> ChosenPrice | None:
    """Choose the price of one selling unit at a moment; None when it has none and is to be asked."""
    name = unit or found.product.unit
    timeline = found.timelines.get(name)
    if timeline is None:
        return None
    return price_book(found.product.code, name, timeline).price_at(found.product.code, name, moment_ms, tiers)


@lru_cache(maxsize=256)
def tax_bp(tax_class: str, business_date: str) -> int:
    """Return the tax rate of a class on a trading day in basis points (13 % is 1,300)."""
    if tax_class not in set(TaxClass):
        return 0
    day = datetime.date.fromisoformat(business_date)
    return applied_rate(TaxClass(tax_class), SellerTax(SellerKind.GENERAL), day).rate_ppm // 100
