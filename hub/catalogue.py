"""The desk's work on products and prices: views with all that a form shows, and edits that refuse what is wrong.

An edit names the version that its form was made from; a record that someone changed meanwhile is refused, so that
nobody overwrites what they never saw. Edits made without the network are no such case: they meet as a conflict.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from hub.own_log import OwnLog
from hub.product_index import owners_of
from schema.catalogue import (
    DEFAULT_LIST,
    PriceStep,
    Product,
    Scalar,
    category_of,
    decode_timeline,
    encode_timeline,
)
from schema.codec import encode
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import ORG, Stream, is_category, is_code
from schema.rules.barcodes import CodeKind, read_code
from schema.rules.rounding import PricePer
from schema.rules.tax import TaxClass
from sync.catalogue_edits import CatalogueEdit, edit_document
from sync.document_conflicts import DocumentConflict
from sync.document_projection import decode_fields, document_conflicts, read_records
from sync.entry import Entry
from sync.replica import Moment, Replica

NAME_CHARS_MAX: Final = 200
PRICE_MINOR_MAX: Final = 100_000_000
_FISCAL_CODE: Final = re.compile(r"\d{19}")
_UNIT: Final = re.compile(r"\S{1,20}")
"""A selling unit is called as people call it: 箱, case."""
_PERS: Final = frozenset(member.milli for member in PricePer)
EXTRA_FIELDS: Final[Mapping[str, type]] = {
    "fiscal": str, "supplier": str, "minimum": int, "brand": str, "origin": str, "shelf_days": int,
}  # fmt: skip
"""Fields that the desk keeps beside what tills read: 税收分类编码, supplier, minimum (thousandths), shelf life."""


class UnitPrices(msgspec.Struct, frozen=True):
    """The prices of one selling unit in one list, the newest start last."""

    price_list: str
    unit: str
    steps: tuple[PriceStep, ...]

    def current(self, moment_ms: int) -> PriceStep | None:
        """Return the price for everyone that holds at a moment."""
        valid = [
            s for s in self.steps
            if not s.tier and s.from_ms <= moment_ms and (s.until_ms is None or moment_ms < s.until_ms)
        ]  # fmt: skip
        return max(valid, key=lambda s: s.from_ms, default=None)

    def scheduled(self, moment_ms: int) -> tuple[PriceStep, ...]:
        """Return the prices that are still to come."""
        return tuple(s for s in self.steps if s.from_ms > moment_ms)


class ProductView(msgspec.Struct, frozen=True):
    """A product as its page shows it; `version` is what an edit of it names."""

    product: Product
    extras: Mapping[str, Scalar]
    prices: tuple[UnitPrices, ...]
    conflicts: tuple[DocumentConflict, ...]
    version: str


def view_product(connection: Connection, code: str) -> ProductView:
    """Return all that is known of a product; raises RefusalError `product_unknown`."""
    rows = connection.execute(
        "SELECT document, fields FROM record WHERE record = ? ORDER BY document", (code,)
    ).fetchall()
    product, extras, fields = None, dict[str, Scalar](), dict[str, Scalar]()
    prices: list[UnitPrices] = []
    for document, encoded in rows:
        category = category_of(str(document))
        values = decode_fields(bytes(encoded))
        if category is not None and product is None:
            fields = values
            product = Product.from_fields(code, category, fields)
            extras = {name: fields[name] for name in EXTRA_FIELDS if name in fields}
        elif str(document).startswith("prices/"):
            price_list = str(document).split("/")[1]
            prices += [UnitPrices(price_list, unit, decode_timeline(text)) for unit, text in sorted(values.items())]
    if product is None:
        raise RefusalError("product_unknown", f"{code} is not in the catalogue", product=code)
    conflicts = tuple(each for each in document_conflicts(connection) if each.record == code)
    return ProductView(product, extras, tuple(prices), conflicts, version_of(fields))


def current_prices(
    connection: Connection, codes: Sequence[str], moment_ms: int, price_list: str = DEFAULT_LIST
) -> dict[str, PriceStep]:
    """Return what one base unit of some products costs everyone at a moment, where it has a price."""
    marks = ", ".join("?" * len(codes))
    rows = connection.execute(
        f"SELECT record, document, fields FROM record WHERE record IN ({marks})", list(codes)
    ).fetchall() if codes else []  # fmt: skip
    units: dict[str, str] = {}
    timelines: dict[str, dict[str, Scalar]] = {}
    for record, document, encoded in rows:
        fields = decode_fields(bytes(encoded))
        if category_of(str(document)) is not None:
            units[str(record)] = str(fields.get("unit") or "pc")
        elif str(document).startswith(f"prices/{price_list}/"):
            timelines.setdefault(str(record), {}).update(fields)
    found: dict[str, PriceStep] = {}
    for code, unit in units.items():
        step = UnitPrices(price_list, unit, decode_timeline(timelines.get(code, {}).get(unit))).current(moment_ms)
        if step is not None:
            found[code] = step
    return found


def version_of(fields: Mapping[str, Scalar]) -> str:
    """Return what names the state of a record: the same for the same fields."""
    return hashlib.sha256(encode(dict(sorted(fields.items())))).hexdigest()[:16]


def price_lists(connection: Connection) -> list[str]:
    """List the price lists that there are, the standard one first."""
    rows = connection.execute("SELECT DISTINCT document FROM record WHERE document LIKE 'prices/%'").fetchall()
    return sorted({DEFAULT_LIST, *(str(row[0]).split("/")[1] for row in rows)}, key=lambda name: (name != DEFAULT_LIST,
                                                                                                 name))  # fmt: skip


class CatalogueDesk:
    """Edits of the catalogue in one write transaction of `org`; what it appends shares the caller's operation."""

    def __init__(self, replica: Replica, own_log: OwnLog) -> None:
        self._replica = replica
        self._connection = replica.connection
        self._now_ms = own_log.now_ms()
        self._stream = Stream(ORG, own_log.node, own_log.incarnation(replica.connection))
        self._moment = Moment(self._now_ms, 0, 0)

    def add_product(self, product: Product, extras: Mapping[str, Scalar] | None = None) -> list[Entry]:
        """Define a new product; raises RefusalError by what is wrong with it."""
        if not is_code(product.code):
            raise RefusalError("product_code", "a product's code has letters, digits and hyphens alone")
        row = self._connection.execute("SELECT 1 FROM product_index WHERE product = ?", (product.code,)).fetchone()
        if row is not None:
            raise RefusalError("product_exists", f"{product.code} exists already", product=product.code)
        if not is_category(product.category):
            raise RefusalError("category_invalid", "a category has 1 to 160 characters, single spaces and no #")
        return self._put(product, extras or {})

    def version(self, code: str) -> str:
        """Return what an edit of a product that is made from its present state names."""
        return view_product(self._connection, code).version

    def change_product(self, product: Product, extras: Mapping[str, Scalar], version: str) -> list[Entry]:
        """Change a product's fields; nothing is appended where all of them hold already.

        Raises RefusalError `record_changed` where someone else changed it since `version`, with that change's values.
        """
        known = view_product(self._connection, product.code)
        if known.version != version:
            raise RefusalError(
                "record_changed", f"{product.name} was changed by someone else meanwhile: look at it again",
                product=product.code,
            )  # fmt: skip
        return self._put(product, extras)

    def _put(self, product: Product, extras: Mapping[str, Scalar]) -> list[Entry]:
        check_product(product, extras)
        self._check_parts(product)
        articles = self._deposit_articles(product)
        owners = owners_of(self._connection, (code for code, _ in product.barcodes))
        for barcode, products in owners.items():
            other = next((each for each in products if each != product.code), None)
            if other is not None:
                raise RefusalError(
                    "barcode_taken", f"the barcode {barcode} belongs to {other} already", barcode=barcode, product=other
                )
        edit = CatalogueEdit(self._replica, self._stream, self._moment)
        edit.put_product(product, extras)
        for article in articles:
            edit.put_product(msgspec.structs.replace(article, is_deposit=True))
        return edit.append()

    def _check_parts(self, product: Product) -> None:
        """Refuse a kit of what is not there, of itself, or of another kit: a till takes parts from the shelf once."""
        for part in product.parts:
            try:
                known = view_product(self._connection, part.product).product
            except RefusalError:
                known = None
            if known is None or known.parts or part.product == product.code:
                raise RefusalError("kit_part", f"{part.product} cannot be a part of a kit", product=part.product)

    def _deposit_articles(self, product: Product) -> list[Product]:
        """Return the articles that are to be known as such; refuses one that is not there, or bears a deposit itself.

        An article that is charged with goods is what customers bring back empty, so nobody has to say that twice.
        """
        found = []
        for one in product.deposits:
            if product.factor_milli(one.unit) is None:
                raise RefusalError(
                    "unit_unknown", f"{product.name} is not sold by {one.unit}", product=product.name, unit=one.unit
                )
            try:
                article = view_product(self._connection, one.product).product
            except RefusalError:
                article = None
            if (
                article is None or article.code == product.code or article.parts or article.deposits
                or product.is_deposit or one.quantity_milli <= 0
            ):  # fmt: skip
                raise RefusalError(
                    "deposit_article", f"{one.product} cannot be charged as a deposit with {product.name}",
                    article=one.product, product=product.name,
                )  # fmt: skip
            if not article.is_deposit:
                found.append(article)
        return found

    def set_price(self, code: str, unit: str, step: PriceStep, price_list: str = DEFAULT_LIST) -> list[Entry]:
        """Set or schedule a price; every node applies it at its minute, online or not.

        Raises RefusalError `price_past` for a start that lies in the past, `price_window` for an end before it,
        `price_invalid`, `price_per` and `unit_unknown`.
        """
        product = view_product(self._connection, code).product
        if not 0 <= step.price_minor <= PRICE_MINOR_MAX:
            raise RefusalError("price_invalid", "a price is not negative")
        if step.from_ms < self._now_ms - 60_000:
            raise RefusalError("price_past", "this start lies in the past: a price holds from now on, or later")
        if step.until_ms is not None and step.until_ms <= step.from_ms:
            raise RefusalError("price_window", "a price ends after it begins")
        if step.per_milli not in _PERS:
            raise RefusalError("price_per", "a price is per piece, kilogram, 500 g or 100 g")
        if product.factor_milli(unit) is None:
            raise RefusalError("unit_unknown", f"{product.name} is not sold by {unit}", product=product.name, unit=unit)
        if not is_code(price_list):
            raise RefusalError("price_list_invalid", "a price list's code has letters, digits and hyphens alone")
        edit = CatalogueEdit(self._replica, self._stream, self._moment, price_list)
        edit.put_price(code, unit or product.unit, step)
        return edit.append()

    def withdraw_price(self, code: str, unit: str, from_ms: int, tier: str = "", price_list: str = DEFAULT_LIST
                       ) -> list[Entry]:  # fmt: skip
        """Take a scheduled price back before it begins; raises RefusalError `price_begun` for any other."""
        known = next(
            (p for p in view_product(self._connection, code).prices if (p.price_list, p.unit) == (price_list, unit)),
            None,
        )
        kept = [s for s in (known.steps if known else ()) if (s.from_ms, s.tier) != (from_ms, tier)]
        if known is None or len(kept) == len(known.steps) or from_ms <= self._now_ms:
            raise RefusalError("price_begun", "only a price that has not begun can be taken back")
        document = self._price_document(code, price_list)
        return edit_document(
            self._replica, self._stream, self._moment, document, {(code, unit): encode_timeline(kept)}
        )  # fmt: skip

    def _price_document(self, code: str, price_list: str) -> str:
        row = self._connection.execute(
            "SELECT document FROM record WHERE record = ? AND document LIKE ? ORDER BY document",
            (code, f"prices/{price_list}/%"),
        ).fetchone()
        assert row is not None, "a price that was found has a record"
        return str(row[0])

    def settle(self, conflict: str, change: bytes) -> list[Entry]:
        """Settle two edits of one field by the value of one of them; raises RefusalError `conflict_settled`."""
        found = next((each for each in document_conflicts(self._connection) if each.id == conflict), None)
        chosen = next((one for one in found.candidates if one.change == change), None) if found else None
        if found is None or chosen is None:
            raise RefusalError("conflict_settled", "this conflict was settled meanwhile")
        return edit_document(
            self._replica, self._stream, self._moment, found.document, {(found.record, found.field): chosen.value}
        )

    def put_record(self, document: str, record: str, fields: Mapping[str, Scalar], version: str = "") -> list[Entry]:
        """Write a record of another document (a promotion, a supplier); refuses a stale `version` as products do."""
        known = read_records(self._connection, document, [record]).get(record, {})
        if known and version and version_of(known) != version:
            raise RefusalError(
                "record_changed", f"{record} was changed by someone else meanwhile: look at it again", product=record
            )
        return edit_document(
            self._replica, self._stream, self._moment, document,
            {(record, name): value for name, value in fields.items()},
        )  # fmt: skip

    def change_prices(self, changes: Iterable[tuple[str, str, PriceStep]], price_list: str = DEFAULT_LIST
                      ) -> list[Entry]:  # fmt: skip
        """Set many prices at once, such as a category's by a share; the caller checked them."""
        edit = CatalogueEdit(self._replica, self._stream, self._moment, price_list)
        for code, unit, step in changes:
            edit.put_price(code, unit, step)
        return edit.append()


def check_product(product: Product, extras: Mapping[str, Scalar]) -> None:
    """Refuse what no product may be: RefusalError by the field that is wrong."""
    if not product.name.strip() or len(product.name) > NAME_CHARS_MAX:
        raise RefusalError("product_name", f"a product has a name of at most {NAME_CHARS_MAX} characters")
    if product.tax_class not in set(TaxClass):
        raise RefusalError("tax_class_unknown", f"the tax classes are {', '.join(TaxClass)}")
    names = [product.unit, *(each.unit for each in product.units)]
    if len(set(names)) != len(names) or not all(_UNIT.fullmatch(name) for name in names):
        raise RefusalError("units_invalid", "every unit has a code of its own")
    if any(each.factor_milli <= 0 for each in product.units):
        raise RefusalError("factor_invalid", "a unit holds more than nothing of the base unit")
    _check_barcodes(product, names)
    for name, value in extras.items():
        kind = EXTRA_FIELDS.get(name)
        if kind is None or (value is not None and type(value) is not kind):
            raise RefusalError("field_unknown", f"a product has no field {name} of that kind", field=name)
    fiscal, minimum = extras.get("fiscal"), extras.get("minimum")
    if isinstance(fiscal, str) and fiscal and not _FISCAL_CODE.fullmatch(fiscal):
        raise RefusalError("fiscal_code", "a tax classification code (税收分类编码) has 19 digits")
    if isinstance(minimum, int) and minimum < 0:
        raise RefusalError("minimum_invalid", "a minimum stock is not negative")


def _check_barcodes(product: Product, units: Sequence[str]) -> None:
    seen = set[str]()
    for code, unit in product.barcodes:
        read = read_code(code)
        if read.kind in {CodeKind.BAD_CHECK_DIGIT, CodeKind.UNREADABLE}:
            raise RefusalError("barcode_invalid", f"{code} is no barcode: its last digit does not fit", barcode=code)
        if read.canonical in seen:
            raise RefusalError("barcode_twice", f"{code} stands here twice", barcode=code)
        seen.add(read.canonical)
        if unit not in units:
            raise RefusalError("unit_unknown", f"{product.name} is not sold by {unit}", product=product.name, unit=unit)
