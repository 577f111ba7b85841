"""What an import is about: its tables, what is found wrong in a file, and what the organisation has already."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from schema.errors import RefusalError
from schema.rows import (
    BaseUnit,
    Row,
)
from schema.rules.tax import TaxClass


class ImportKind(StrEnum):
    """The tables that can be imported."""

    PRODUCTS = "products"
    PRICES = "prices"
    PROMOTIONS = "promotions"
    OPERATORS = "operators"
    CUSTOMERS = "customers"
    OPENING_STOCK = "opening-stock"
    OPENING_BALANCES = "opening-balances"


class Severity(StrEnum):
    """What a finding means for its row."""

    ERROR = "error"
    """The row cannot be imported."""
    WARNING = "warning"
    """The row is imported with the repair that the message states."""


class Finding(msgspec.Struct, frozen=True):
    """One thing wrong in a file. `code` is stable, for translation; `line` is the file's line, the header included.

    Values of secret or personal columns are masked.
    """

    severity: Severity
    code: str
    line: int
    column: str
    value: str
    message: str


class ImportRefusedError(RefusalError):
    """The file has rows that cannot be imported; all findings are attached."""

    def __init__(self, findings: tuple[Finding, ...], columns: Mapping[str, str]) -> None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        first = errors[0]
        super().__init__(
            "import.refused",
            f"nothing was imported: {len(errors)} errors, the first in line {first.line}: {first.message}",
        )
        self.findings = findings
        self.columns = dict(columns)


class Existing(msgspec.Struct, frozen=True, kw_only=True):
    """What the organisation has already; empty sets of categories or tiers mean that any may be named.

    `products` maps product codes to their base unit, `barcodes` maps canonical codes to the product that has them.
    """

    products: Mapping[str, BaseUnit] = {}
    barcodes: Mapping[str, str] = {}
    units: Mapping[str, frozenset[str]] = {}
    """The names of the selling units of each product, its base unit's name included."""
    categories: frozenset[str] = frozenset()
    category_names: Mapping[str, str] = {}
    """Codes of categories by the names that files call them."""
    locations: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    promotions: frozenset[str] = frozenset()


class ImportDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken where a file says nothing."""

    tax_class: TaxClass = TaxClass.VAT13
    category: str = ""
    location: str = ""
    zone: datetime.tzinfo = datetime.timezone(datetime.timedelta(hours=8), "Asia/Shanghai")
    """The zone of dates in the file; China has one zone and no summer time."""


class Imported(msgspec.Struct, frozen=True):
    """A checked file: the rows to append in one operation, the findings, and the columns that were read.

    `columns` maps fields to header words; `skipped` counts rows left out on request.
    """

    kind: ImportKind
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    columns: Mapping[str, str]
    read: int
    skipped: int
