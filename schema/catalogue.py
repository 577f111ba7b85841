"""The catalogue as records of shared documents: which document holds what, and the typed views of a record.

Documents are `products/<category>` (a record per product, independent fields) and `prices/<list>/<category>` (a
record per product, a field per selling unit: its whole timeline of prices as one scalar, because a price only
makes sense together with its unit and dates). A category of more than a thousand products goes on in a second
document, `products/<category>#2`. Beside them stand `suppliers/standard` and `minimums/<location>/<category>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from schema.amounts import Minor
from schema.identity import ProductId
from schema.rules.pricing import ListPrice, PriceBook
from schema.rules.rounding import PricePer

DEFAULT_LIST: Final = "standard"
HISTORY_MS: Final = 31 * 86_400_000
"""Prices that ended longer ago leave the timeline: a refund of the last 30 days is priced as sold."""
Scalar = str | int | bool | None


def products_document(category: str) -> str:
    """Name the document of a category's products."""
    return f"products/{category}"


def prices_document(price_list: str, category: str) -> str:
    """Name the document of a price list's prices for a category."""
    return f"prices/{price_list}/{category}"


def category_of(document: str) -> str | None:
    """Return the category whose products a document holds; None for other documents."""
    return document[9:].partition("#")[0] if document.startswith("products/") else None


SUPPLIERS: Final = "suppliers/standard"
"""The document of the suppliers; after a thousand it goes on in `suppliers/standard#2`."""


def supplier_documents() -> tuple[str, str]:
    """Return the names that the documents of suppliers lie between."""
    return "suppliers/", "suppliers0"


def minimums_document(location: str, category: str) -> str:
    """Name the document of a location's minimum stock for a category (`drinks`, `drinks#2`): a record per product.

    Its field `minimum` has thousandths of the base unit; 0 says that this location needs none.
    """
    return f"minimums/{location}/{category}"


class Supplier(msgspec.Struct, frozen=True, kw_only=True):
    """Who the chain buys from; independent fields merge by field."""

    code: str
    name: str
    contact: str = ""
    phone: str = ""
    tax_number: str = ""
    lead_days: int = 0
    note: str = ""
    is_active: bool = True

    def fields(self) -> dict[str, Scalar]:
        """Return the record's fields."""
        return {
            "name": self.name, "contact": self.contact, "phone": self.phone, "tax_number": self.tax_number,
            "lead_days": self.lead_days, "note": self.note, "active": self.is_active,
        }  # fmt: skip

    @classmethod
    def from_fields(cls, code: str, fields: Mapping[str, Scalar]) -> Supplier:
        """Read a record; a field of the wrong type counts as absent."""

        def text(name: str, default: str = "") -> str:
            value = fields.get(name)
            return value if isinstance(value, str) else default

        days = fields.get("lead_days")
        return cls(
            code=code, name=text("name", code) or code, contact=text("contact"), phone=text("phone"),
            tax_number=text("tax_number"), lead_days=days if isinstance(days, int) else 0, note=text("note"),
            is_active=fields.get("active") is not False,
        )  # fmt: skip


class UnitFactor(msgspec.Struct, frozen=True):
    """How a product is sold besides its base unit: the base quantity in one unit (thousandths)."""

    unit: str
    factor_milli: int


class KitPart(msgspec.Struct, frozen=True, array_like=True):
    """A product inside one base unit of a kit, in thousandths of that product's own base unit."""

    product: str
    quantity_milli: int


class Deposit(msgspec.Struct, frozen=True, array_like=True):
    """A deposit article (押金) that is charged with goods: so much of it for one base unit, or for one `unit` sold."""

    product: str
    quantity_milli: int
    unit: str = ""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product as tills read it. `unit` is the base unit, which `unit_name` calls as people do; `units` the others.

    A product with `parts` is a kit: it is sold under its own price, and its parts leave the shelf. `deposits` are
    charged with it; an article that `is_deposit` is itself what customers bring back empty.
    """

    code: ProductId
    category: str
    name: str
    unit: str = "pc"
    unit_name: str = "件"
    spec: str = ""
    tax_class: str = "13"
    is_weighed: bool = False
    article: str = ""
    is_active: bool = True
    units: tuple[UnitFactor, ...] = ()
    barcodes: tuple[tuple[str, str], ...] = ()
    parts: tuple[KitPart, ...] = ()
    deposits: tuple[Deposit, ...] = ()
    is_deposit: bool = False

    def factor_milli(self, unit: str) -> int | None:
        """Return the base quantity of one selling unit in thousandths; None when it is not sold so."""
        if unit in {"", self.unit}:
            return 1000
        return next((u.factor_milli for u in self.units if u.unit == unit), None)

    def fields(self) -> dict[str, Scalar]:
        """Return the record's fields."""
        fields: dict[str, Scalar] = {
            "name": self.name, "unit": self.unit, "unit_name": self.unit_name, "spec": self.spec, "tax": self.tax_class,
            "weighed": self.is_weighed, "article": self.article, "active": self.is_active,
        }  # fmt: skip
        if self.parts:
            fields["parts"] = msgspec.json.encode(self.parts).decode()
        if self.deposits:
            fields["deposits"] = msgspec.json.encode(self.deposits).decode()
        if self.is_deposit:
            fields["deposit"] = True
        fields |= {f"unit:{u.unit}": u.factor_milli for u in self.units}
        return fields | {f"barcode:{code}": unit for code, unit in self.barcodes}

    @classmethod
    def from_fields(cls, code: str, category: str, fields: Mapping[str, Scalar]) -> Product:
        """Read a record; a field of the wrong type counts as absent, so that no edit can stop a till."""

        def text(name: str, default: str) -> str:
            value = fields.get(name)
            return value if isinstance(value, str) else default

        return cls(
            code=ProductId(code),
            category=category,
            name=text("name", code),
            unit=text("unit", "pc"),
            unit_name=text("unit_name", "件"),
            spec=text("spec", ""),
            tax_class=text("tax", "13"),
            is_weighed=fields.get("weighed") is True,
            article=text("article", ""),
            is_active=fields.get("active") is not False,
            units=tuple(
                UnitFactor(name[5:], value)
                for name, value in sorted(fields.items())
                if name.startswith("unit:") and isinstance(value, int) and value > 0
            ),
            barcodes=tuple(
                (name[8:], value)
                for name, value in sorted(fields.items())
                if name.startswith("barcode:") and isinstance(value, str)
            ),
            parts=_read_parts(fields.get("parts")),
            deposits=_read_deposits(fields.get("deposits")),
            is_deposit=fields.get("deposit") is True,
        )


_decode_parts = msgspec.json.Decoder(tuple[KitPart, ...]).decode


def _read_parts(text: Scalar) -> tuple[KitPart, ...]:
    if not isinstance(text, str):
        return ()
    try:
        parts = _decode_parts(text)
    except msgspec.MsgspecError:
        return ()
    return parts if all(part.product and part.quantity_milli > 0 for part in parts) else ()


_decode_deposits = msgspec.json.Decoder(tuple[Deposit, ...]).decode


def _read_deposits(text: Scalar) -> tuple[Deposit, ...]:
    if not isinstance(text, str):
        return ()
    try:
        deposits = _decode_deposits(text)
    except msgspec.MsgspecError:
        return ()
    return deposits if all(one.product and one.quantity_milli > 0 for one in deposits) else ()


class PriceStep(msgspec.Struct, frozen=True, array_like=True):
    """One price of one selling unit: `price_minor` for `per_milli` of it, from a moment until another."""

    from_ms: int
    until_ms: int | None
    price_minor: int
    per_milli: int = 1000
    tier: str = ""


_decode_steps = msgspec.json.Decoder(tuple[PriceStep, ...]).decode


def encode_timeline(steps: Iterable[PriceStep]) -> str:
    """Write the timeline of one selling unit as the scalar that its field holds."""
    return msgspec.json.encode(sorted(steps, key=lambda s: (s.from_ms, s.tier, s.price_minor))).decode()


def decode_timeline(text: Scalar) -> tuple[PriceStep, ...]:
    """Read a timeline; what cannot be read holds no price, and the till asks for one."""
    if not isinstance(text, str):
        return ()
    try:
        return _decode_steps(text)
    except msgspec.MsgspecError:
        return ()


def with_step(text: Scalar, step: PriceStep, now_ms: int) -> str:
    """Return a timeline with one price added; what starts at the same moment is replaced, the long past leaves."""
    kept = [s for s in decode_timeline(text) if (s.from_ms, s.tier) != (step.from_ms, step.tier)]
    starts = sorted(s.from_ms for s in kept if s.tier == step.tier)
    current = max((at for at in starts if at <= now_ms - HISTORY_MS), default=0)
    return encode_timeline([*(s for s in kept if s.tier != step.tier or s.from_ms >= current), step])


@lru_cache(maxsize=8192)
def price_book(product: str, unit: str, timeline: str) -> PriceBook:
    """Return the prices of one selling unit, ready to choose from."""
    per = {member.milli: member for member in PricePer}
    return PriceBook(
        ListPrice(
            product=ProductId(product),
            unit=unit,
            price_minor=Minor(s.price_minor),
            per=per.get(s.per_milli, PricePer.PIECE),
            valid_from_ms=s.from_ms,
            valid_until_ms=s.until_ms,
            tier=s.tier,
        )
        for s in decode_timeline(timeline)
    )
