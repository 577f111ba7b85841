"""Remembers what a till has read of the catalogue for as long as nothing there changed: products, prices, promotions.

Pricing a basket of fifty lines anew at every scan reads no record twice. What is remembered is valid for one version,
which moves with every change of a shared document, whoever stored it: the till itself or its agent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from schema.catalogue import DEFAULT_LIST, Product, category_of
from schema.database import Connection
from schema.rules.promotion_terms import Promotion, read_terms
from sync.document_projection import decode_fields

PRODUCTS_MAX: Final = 1_024
"""The different goods of an hour or two: more than these are not kept in memory, about 4 KB each."""
PROMOTIONS: Final = "promotions/standard"
_CHANGED = "SELECT (SELECT version FROM catalogue_state), (SELECT version FROM scope WHERE scope = 'org')"


class FoundProduct(NamedTuple):
    """A product as it reads now, with its price fields by selling unit, those of the location's price list."""

    product: Product
    timelines: dict[str, str]
    unit: str
    """The selling unit that the scanned barcode names; empty for the base unit."""
    standard: dict[str, str] = {}  # noqa: RUF012 - never changed
    """The standard list's fields where the location sells at another: what that has no price for goes by these."""


class KnownCatalogue:
    """What one node has read of the catalogue's records; `refresh` comes before each reading."""

    def __init__(self, price_list: Callable[[], str]) -> None:
        self._price_list = price_list
        self._prices = self._standard = _prices_of(DEFAULT_LIST)
        self._version: tuple[int, int] | None = None
        self._products: dict[str, FoundProduct | None] = {}
        self._promotions: tuple[Promotion, ...] | None = None

    def forget(self) -> None:
        """Drop what was read: a transaction was rolled back, and its version may come to mean something else."""
        self._version = None

    def refresh(self, connection: Connection) -> None:
        """Drop what was read before the catalogue last changed."""
        row = connection.execute(_CHANGED).fetchone()
        version = (int(row[0]), int(row[1] or 0))
        if version != self._version:
            self._version = version
            self._prices = _prices_of(self._price_list())
            self._products.clear()
            self._promotions = None

    def product(self, connection: Connection, code: str) -> FoundProduct | None:
        """Return the product of a code, in its base unit; None where nothing here has it."""
        if code in self._products:
            return self._products[code]
        if len(self._products) >= PRODUCTS_MAX:
            self._products.clear()
        found = self._products[code] = self._read(connection, code)
        return found

    def _read(self, connection: Connection, code: str) -> FoundProduct | None:
        rows = connection.execute(
            "SELECT document, fields FROM record WHERE record = ? ORDER BY document", (code,)
        ).fetchall()
        product: Product | None = None
        timelines: dict[str, str] = {}
        standard: dict[str, str] = {}
        for document, fields in rows:
            category = category_of(document)
            if category is not None and product is None:
                product = Product.from_fields(code, category, decode_fields(bytes(fields)))
            elif document.startswith((self._prices, self._standard)):
                kept = timelines if document.startswith(self._prices) else standard
                kept |= {k: v for k, v in decode_fields(bytes(fields)).items() if isinstance(v, str)}
        return None if product is None else FoundProduct(product, timelines, "", standard)

    def promotions(self, connection: Connection) -> tuple[Promotion, ...]:
        """Return every promotion whose terms can be read and applied, in the order of their codes."""
        if self._promotions is None:
            rows = connection.execute(
                "SELECT record, fields FROM record WHERE document = ? OR (document > ? AND document < ?)"
                " ORDER BY record, document",
                (PROMOTIONS, f"{PROMOTIONS}#", f"{PROMOTIONS}$"),
            ).fetchall()
            read = (read_terms(decode_fields(bytes(fields)).get("terms")) for _, fields in rows)
            self._promotions = tuple(promotion for promotion in read if promotion is not None)
        return self._promotions


def _prices_of(price_list: str) -> str:
    return f"prices/{price_list}/"
