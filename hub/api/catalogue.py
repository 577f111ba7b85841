"""Products and prices as other software reads and writes them: the desk's own use cases, with its own refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec

from hub.api.calls import Call, Routes
from hub.api.cursors import decode_cursor, encode_cursor
from hub.api.parameters import Cursor, Filter, Limit, Millis, Name, Next
from hub.catalogue import EXTRA_FIELDS, PRICE_MINOR_MAX, CatalogueDesk
from hub.product_index import matching, owners_of
from hub.tokens import TokenScope
from schema.catalogue import (
    DEFAULT_LIST,
    Deposit,
    KitPart,
    PriceStep,
    Product,
    Scalar,
    UnitFactor,
    category_of,
    decode_timeline,
)
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import CATEGORY_CHARS_MAX, CATEGORY_PATTERN, ProductId
from schema.rules.tax import TaxClass
from sync.document_projection import decode_fields

routes = Routes()
_MILLI_MAX: Final = 10**12
_AT_ONCE: Final = 500
_MOMENT_MAX: Final = 10**14
Code = Annotated[
    str, msgspec.Meta(description="letters, digits, dots and hyphens", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")
]
UnitCode = Annotated[str, msgspec.Meta(description="as people call it: pc, 箱", min_length=1, max_length=20,
                                       pattern=r"^[^\s\x00-\x1f\x7f]*$")]  # fmt: skip
Words = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Quantity = Annotated[int, msgspec.Meta(description="thousandths of the base unit", ge=1, le=_MILLI_MAX)]
TaxCode = Annotated[str, msgspec.Meta(description=", ".join(TaxClass), max_length=20, pattern=r"^[^\x00]*$")]


class UnitTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a product is sold besides its base unit: the base quantity in one unit."""

    unit: UnitCode
    factor_milli: Quantity


class BarcodeTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A barcode and the selling unit that bears it."""

    barcode: Annotated[str, msgspec.Meta(min_length=1, max_length=48, pattern=r"^[^\x00-\x1f\x7f]*$")]
    unit: UnitCode


class PartTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A product inside one unit of a kit."""

    product: Code
    quantity_milli: Quantity


class DepositTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An article (押金) that is charged with a product: so much of it for one base unit, or for one `unit` sold."""

    product: Code
    quantity_milli: Quantity = 1000
    unit: Annotated[str, msgspec.Meta(description="empty for the base unit", max_length=20,
                                      pattern=r"^[^\s\x00-\x1f\x7f]*$")] = ""  # fmt: skip


class ProductChanged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product as it shall be, whole: what is left out gets the value that stands here.

    `fiscal` is the 19-digit 税收分类编码; `minimum` the stock below which it is ordered, in thousandths.
    """

    category: Annotated[
        str,
        msgspec.Meta(
            description="in any script, without #", max_length=CATEGORY_CHARS_MAX, pattern=f"^{CATEGORY_PATTERN}$"
        ),
    ]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
    unit: UnitCode = "pc"
    unit_name: Annotated[str, msgspec.Meta(max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$")] = "件"
    spec: Words = ""
    tax_class: TaxCode = "13"
    is_weighed: bool = False
    article: Annotated[str, msgspec.Meta(max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    is_active: bool = True
    units: Annotated[list[UnitTold], msgspec.Meta(max_length=20)] = []
    barcodes: Annotated[list[BarcodeTold], msgspec.Meta(max_length=50)] = []
    parts: Annotated[list[PartTold], msgspec.Meta(max_length=50)] = []
    deposits: Annotated[list[DepositTold], msgspec.Meta(max_length=20)] = []
    is_deposit: Annotated[bool, msgspec.Meta(description="customers bring it back empty")] = False
    fiscal: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{19})?$")] = ""
    supplier: Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    minimum: Annotated[int, msgspec.Meta(ge=0, le=_MILLI_MAX)] = 0
    brand: Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    origin: Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    shelf_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0


class ProductMade(ProductChanged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new product, whole."""

    code: Code


class ProductTold(msgspec.Struct, frozen=True, kw_only=True):
    """A product as the catalogue has it."""

    code: str
    category: str
    name: str
    unit: str
    unit_name: str
    spec: str
    tax_class: str
    is_weighed: bool
    article: str
    is_active: bool
    units: list[UnitTold]
    barcodes: list[BarcodeTold]
    parts: list[PartTold]
    deposits: list[DepositTold] = []
    is_deposit: bool = False
    fiscal: str = ""
    supplier: str = ""
    minimum: int = 0
    brand: str = ""
    origin: str = ""
    shelf_days: int = 0


class ProductsQuery(msgspec.Struct, frozen=True):
    """Which products."""

    search: Annotated[Filter, msgspec.Meta(description="words of the name, pinyin, code or barcode")] = ""
    category: Filter = ""
    barcode: Annotated[str, msgspec.Meta(max_length=48, pattern=r"^[^\x00]*$")] = ""
    active: Annotated[bool, msgspec.Meta(description="without those that are not sold any more")] = False
    cursor: Cursor = ""
    limit: Limit = 100


class ProductsPage(msgspec.Struct, frozen=True):
    """Some products by code."""

    products: list[ProductTold]
    next: Next = None


class ProductPath(msgspec.Struct, frozen=True):
    """One product."""

    code: Name


def _records(connection: Connection, codes: Sequence[str]) -> dict[str, dict[str, Mapping[str, Scalar]]]:
    """Return the records of products by code and document."""
    found: dict[str, dict[str, Mapping[str, Scalar]]] = {code: {} for code in codes}
    for start in range(0, len(codes), _AT_ONCE):
        part = codes[start : start + _AT_ONCE]
        for record, document, fields in connection.execute(
            f"SELECT record, document, fields FROM record WHERE record IN ({', '.join('?' * len(part))})"
            " ORDER BY document",
            list(part),
        ).fetchall():
            found[str(record)][str(document)] = decode_fields(bytes(fields))
    return found


def _told(code: str, records: Mapping[str, Mapping[str, Scalar]]) -> ProductTold:
    for document, fields in records.items():
        category = category_of(document)
        if category is None or not fields:
            continue
        one = Product.from_fields(code, category, fields)
        texts = {name: str(fields.get(name) or "") for name in ("fiscal", "supplier", "brand", "origin")}
        return ProductTold(
            code=code, category=category, name=one.name, unit=one.unit, unit_name=one.unit_name, spec=one.spec,
            tax_class=one.tax_class, is_weighed=one.is_weighed, article=one.article, is_active=one.is_active,
            units=[UnitTold(each.unit, each.factor_milli) for each in one.units],
            barcodes=[BarcodeTold(barcode, unit) for barcode, unit in one.barcodes],
            parts=[PartTold(each.product, each.quantity_milli) for each in one.parts],
            deposits=[
                DepositTold(product=each.product, quantity_milli=each.quantity_milli, unit=each.unit)
                for each in one.deposits
            ],
            is_deposit=one.is_deposit,
            minimum=_whole(fields.get("minimum")), shelf_days=_whole(fields.get("shelf_days")), **texts,
        )  # fmt: skip
    raise RefusalError("product_unknown", f"{code} is not in the catalogue", product=code)


def _whole(value: Scalar) -> int:
    return value if type(value) is int else 0


def _page_of_codes(call: Call, where: str, parameters: Sequence[object], cursor: str, limit: int) -> list[str]:
    after = decode_cursor(cursor, (str,))
    place, values = (" AND product > ?", list(after)) if after is not None else ("", [])
    rows = call.replica.connection.execute(
        f"SELECT product FROM product_index WHERE {where}{place} GROUP BY product ORDER BY product LIMIT ?",
        (*parameters, *values, limit + 1),
    ).fetchall()
    return [str(row[0]) for row in rows]


@routes.get("/v1/products", TokenScope.READ, query=ProductsQuery, answer=ProductsPage)
def list_products(call: Call) -> ProductsPage:
    """List products."""
    query = call.query(ProductsQuery)
    where, parameters = matching(query.search, category=query.category)
    if query.active:
        where += " AND is_active = 1"
    if query.barcode:
        owners = [code for codes in owners_of(call.replica.connection, [query.barcode]).values() for code in codes]
        where += f" AND product IN ({', '.join('?' * len(owners)) or 'NULL'})"
        parameters += owners
    codes = _page_of_codes(call, where, parameters, query.cursor, query.limit)
    page = codes[: query.limit]
    records = _records(call.replica.connection, page)
    return ProductsPage(
        [_told(code, records[code]) for code in page],
        encode_cursor(page[-1:]) if len(codes) > query.limit else None,
    )


@routes.get("/v1/products/{code:str}", TokenScope.READ, params=ProductPath, answer=ProductTold)
def read_product(call: Call) -> ProductTold:
    """Return one product; its ETag is what a change of it names in If-Match."""
    return _read(call, call.path(ProductPath).code)


def _read(call: Call, code: str) -> ProductTold:
    return _told(code, _records(call.replica.connection, [code])[code])


@routes.write(
    "POST", "/v1/products", TokenScope.CATALOGUE, body=ProductMade, answer=ProductTold, status=201, act="product.add"
)
def add_product(call: Call) -> ProductTold:
    """Define a new product."""
    wanted = call.body(ProductMade)
    CatalogueDesk(call.replica, call.own_log).add_product(*_product(wanted.code, wanted, is_new=True))
    call.made_at = f"/v1/products/{wanted.code}"
    return _read(call, wanted.code)


@routes.write(
    "PUT", "/v1/products/{code:str}", TokenScope.CATALOGUE, params=ProductPath, body=ProductChanged,
    answer=ProductTold, act="product.change", needs_match=True,
)  # fmt: skip
def change_product(call: Call) -> ProductTold:
    """Replace a product by what is sent; it keeps its category."""
    code = call.path(ProductPath).code
    call.check_match(_read(call, code))
    desk = CatalogueDesk(call.replica, call.own_log)
    product, extras = _product(code, call.body(ProductChanged), is_new=False)
    desk.change_product(product, extras, desk.version(code))
    return _read(call, code)


def _product(code: str, wanted: ProductChanged, *, is_new: bool) -> tuple[Product, dict[str, Scalar]]:
    product = Product(
        code=ProductId(code), category=wanted.category, name=" ".join(wanted.name.split()), unit=wanted.unit,
        unit_name=wanted.unit_name.strip() or wanted.unit, spec=wanted.spec.strip(), tax_class=wanted.tax_class,
        is_weighed=wanted.is_weighed, article=wanted.article.strip(), is_active=wanted.is_active,
        units=tuple(UnitFactor(each.unit, each.factor_milli) for each in wanted.units),
        barcodes=tuple((each.barcode, each.unit) for each in wanted.barcodes),
        parts=tuple(KitPart(each.product, each.quantity_milli) for each in wanted.parts),
        deposits=tuple(Deposit(each.product, each.quantity_milli, each.unit) for each in wanted.deposits),
        is_deposit=wanted.is_deposit,
    )  # fmt: skip
    extras: dict[str, Scalar] = {name: getattr(wanted, name) or None for name in EXTRA_FIELDS if hasattr(wanted, name)}
    return product, {name: value for name, value in extras.items() if value is not None or not is_new}


class PriceTold(msgspec.Struct, frozen=True, kw_only=True):
    """A price of one selling unit in one list, from a moment until another: minor units for `per_milli` of it."""

    list: str
    unit: str
    from_ms: Millis
    until_ms: int | None
    price_minor: int
    per_milli: int
    tier: str


class ProductPrices(msgspec.Struct, frozen=True):
    """All prices of a product that were, are and will be, as every node has them."""

    product: str
    prices: list[PriceTold]


class PricesQuery(msgspec.Struct, frozen=True):
    """Which prices."""

    list: Annotated[Filter, msgspec.Meta(description="of this price list alone")] = ""
    category: Filter = ""
    cursor: Cursor = ""
    limit: Limit = 100


class PricesPage(msgspec.Struct, frozen=True):
    """The prices of some products, by code; those that have none are left out."""

    prices: list[ProductPrices]
    next: Next = None


class PriceSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price to set: from now on without `from_ms`, else scheduled; every node applies it at its minute, offline."""

    price_minor: Annotated[int, msgspec.Meta(ge=0, le=PRICE_MINOR_MAX)]
    unit: Annotated[str, msgspec.Meta(description="empty for the base unit", max_length=20, pattern=r"^[^\x00]*$")] = ""
    list: Code = DEFAULT_LIST
    from_ms: Annotated[int, msgspec.Meta(ge=0, le=_MOMENT_MAX)] | None = None
    until_ms: Annotated[int, msgspec.Meta(ge=0, le=_MOMENT_MAX)] | None = None
    per_milli: Annotated[int, msgspec.Meta(description="1000, 500 or 100", ge=1, le=1000)] = 1000
    tier: Annotated[str, msgspec.Meta(max_length=32, pattern=r"^[^\x00-\x20]*$")] = ""


class PriceQuery(msgspec.Struct, frozen=True):
    """Which price to take back."""

    unit: Name
    from_ms: Annotated[int, msgspec.Meta(ge=0, le=_MOMENT_MAX)]
    list: Code = DEFAULT_LIST
    tier: Filter = ""


def _prices(code: str, records: Mapping[str, Mapping[str, Scalar]], price_list: str = "") -> ProductPrices:
    found = []
    for document, fields in records.items():
        if not document.startswith(f"prices/{price_list}/" if price_list else "prices/"):
            continue
        found += [
            PriceTold(
                list=document.split("/")[1], unit=unit, from_ms=step.from_ms, until_ms=step.until_ms,
                price_minor=step.price_minor, per_milli=step.per_milli, tier=step.tier,
            )
            for unit, text in sorted(fields.items())
            for step in decode_timeline(text)
        ]  # fmt: skip
    return ProductPrices(code, found)


@routes.get("/v1/prices", TokenScope.READ, query=PricesQuery, answer=PricesPage)
def list_prices(call: Call) -> PricesPage:
    """List prices by product."""
    query = call.query(PricesQuery)
    where, parameters = matching("", category=query.category)
    codes = _page_of_codes(call, where, parameters, query.cursor, query.limit)
    page = codes[: query.limit]
    records = _records(call.replica.connection, page)
    found = [_prices(code, records[code], query.list) for code in page]
    return PricesPage(
        [one for one in found if one.prices], encode_cursor(page[-1:]) if len(codes) > query.limit else None
    )


@routes.get("/v1/products/{code:str}/prices", TokenScope.READ, params=ProductPath, answer=ProductPrices)
def read_prices(call: Call) -> ProductPrices:
    """Return all prices of a product."""
    return _read_prices(call, call.path(ProductPath).code)


def _read_prices(call: Call, code: str) -> ProductPrices:
    records = _records(call.replica.connection, [code])[code]
    _told(code, records)
    return _prices(code, records)


@routes.write(
    "POST", "/v1/products/{code:str}/prices", TokenScope.CATALOGUE, params=ProductPath, body=PriceSet,
    answer=ProductPrices, status=201, act="price.set",
)  # fmt: skip
def set_price(call: Call) -> ProductPrices:
    """Set or schedule a price; one that begins at the same moment is replaced."""
    code, wanted = call.path(ProductPath).code, call.body(PriceSet)
    if call.has_precondition:
        call.check_match(_read_prices(call, code))
    start_ms = call.now_ms if wanted.from_ms is None else wanted.from_ms
    step = PriceStep(start_ms, wanted.until_ms, wanted.price_minor, wanted.per_milli, wanted.tier)
    CatalogueDesk(call.replica, call.own_log).set_price(code, wanted.unit, step, wanted.list)
    call.made_at = f"/v1/products/{code}/prices"
    return _read_prices(call, code)


@routes.write(
    "DELETE", "/v1/products/{code:str}/prices", TokenScope.CATALOGUE, params=ProductPath, query=PriceQuery,
    answer=ProductPrices, act="price.withdraw",
)  # fmt: skip
def withdraw_price(call: Call) -> ProductPrices:
    """Take a scheduled price back before it begins."""
    code, which = call.path(ProductPath).code, call.query(PriceQuery)
    current = _read_prices(call, code)
    if call.has_precondition:
        call.check_match(current)
    CatalogueDesk(call.replica, call.own_log).withdraw_price(code, which.unit, which.from_ms, which.tier, which.list)
    return _read_prices(call, code)
