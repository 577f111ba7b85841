"""Looks products and prices up in the node's cache: by code or barcode, at the price of the moment."""

from __future__ import annotations

import datetime
from functools import lru_cache

from edge.known_catalogue import FoundProduct
from edge.node import Node
from schema.catalogue import price_book
from schema.rules.barcodes import canonical_code
from schema.rules.pricing import ChosenPrice
from schema.rules.tax import SellerKind, SellerTax, TaxClass, applied_rate


def find_product(node: Node, code: str) -> FoundProduct | None:
    """Find a product by its code, or by any barcode of one of its units; None when nothing here has it."""
    found = product_of(node, code)
    if found is not None:
        return found
    return next((found for _, found in products_with(node, code)), None)


def product_of(node: Node, code: str, unit: str = "") -> FoundProduct | None:
    """Return the product of a code in one of its selling units; None when nothing here has it."""
    node.known.refresh(node.connection)
    found = node.known.product(node.connection, code)
    if found is None or unit in {"", found.product.unit}:
        return found
    return found._replace(unit=unit)


def products_with(node: Node, code: str) -> list[tuple[str, FoundProduct]]:
    """Return every product that has a barcode, with its code; several where the hub has not settled which."""
    barcode = canonical_code(code)
    rows = node.connection.execute(
        "SELECT product, unit FROM barcode WHERE barcode IN (?, ?) ORDER BY product, unit", (barcode, code)
    ).fetchall()
    found = ((product, product_of(node, product, unit)) for product, unit in rows)
    return [(product, one) for product, one in found if one is not None]


def price_at(found: FoundProduct, unit: str, moment_ms: int, tiers: frozenset[str] = frozenset()) -> ChosenPrice | None:
    """Choose the price of one selling unit at a moment; None when it has none and is to be asked."""
    name = unit or found.product.unit
    for timelines in (found.timelines, found.standard):
        timeline = timelines.get(name)
        if timeline is not None:
            book = price_book(found.product.code, name, timeline)
            chosen = book.price_at(found.product.code, name, moment_ms, tiers)
            if chosen is not None:
                return chosen
    return None


@lru_cache(maxsize=256)
def tax_bp(tax_class: str, business_date: str) -> int:
    """Return the tax rate of a class on a trading day in basis points (13 % is 1,300)."""
    if tax_class not in set(TaxClass):
        return 0
    day = datetime.date.fromisoformat(business_date)
    return applied_rate(TaxClass(tax_class), SellerTax(SellerKind.GENERAL), day).rate_ppm // 100
