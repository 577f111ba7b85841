"""Sales, stock and locations as other software reads them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from hub.api.calls import Call, Routes
from hub.api.cursors import decode_cursor, encode_cursor, keyset
from hub.api.parameters import Cursor, Day, Limit, LocationFilter, Millis, Name, Next, ProductFilter
from hub.tokens import TokenScope
from schema.errors import RefusalError
from schema.identity import EntryId, LocationId, location_scope
from schema.kinds.organisation import LocationDefined
from schema.kinds.trading import Refund, Sale

routes = Routes()
_SALE: Final = (
    "SELECT t.scope_no, t.stream_no, t.seq, t.kind, t.receipt_number, t.business_date, t.operator, t.line_count,"
    " t.total_minor FROM sale t"
)
_SCOPES_AT_ONCE: Final = 500


class SalesQuery(msgspec.Struct, frozen=True):
    """Which sales."""

    location: LocationFilter = ""
    business_date: Day = ""
    cursor: Cursor = ""
    limit: Limit = 100


class SaleListed(msgspec.Struct, frozen=True):
    """One completed sale or refund; `total_minor` is positive either way, `kind` says which."""

    id: str
    kind: str
    location: str
    entry: Annotated[str, msgspec.Meta(description="with `location`, the path of the sale in full")]
    receipt_number: str
    business_date: str
    operator: str
    line_count: int
    total_minor: int


class SalesPage(msgspec.Struct, frozen=True):
    """Some sales, in the order of the tills that wrote them."""

    sales: list[SaleListed]
    next: Next = None


class SalePath(msgspec.Struct, frozen=True):
    """One sale."""

    location: Name
    entry: Annotated[str, msgspec.Meta(description="the stream and number of its entry, such as abcdefghijkl.1:17",
                                       max_length=96, pattern=r"^[a-z2-7]{12}\.[0-9]{1,15}:[0-9]{1,15}$")]  # fmt: skip


class SaleLineTold(msgspec.Struct, frozen=True):
    """One line of a receipt: quantity in thousandths of its unit, money in minor units with tax and discounts."""

    product: str
    unit: str
    quantity_milli: int
    amount_minor: int
    tax_class: str
    name: str = ""
    price_minor: int | None = None
    discount_minor: int = 0


class TenderTold(msgspec.Struct, frozen=True):
    """How an amount was paid."""

    means: str
    amount_minor: int
    reference: str


class SaleTold(msgspec.Struct, frozen=True):
    """A sale or refund in full; `original` is the sale that a refund is for."""

    id: str
    kind: str
    location: str
    receipt_number: str
    business_date: str
    shift: str
    operator: str
    total_minor: int
    at_ms: Millis
    lines: list[SaleLineTold]
    tenders: list[TenderTold]
    original: str = ""


@routes.get("/v1/sales", TokenScope.READ, query=SalesQuery, answer=SalesPage)
def list_sales(call: Call) -> SalesPage:
    """List completed sales and refunds."""
    query = call.query(SalesQuery)
    where, parameters = ("t.business_date = ?", [query.business_date]) if query.business_date else ("1 = 1", [])
    after = decode_cursor(query.cursor, (int, int, int))
    key = ("t.scope_no", "t.stream_no", "t.seq")
    connection = call.replica.connection
    rows = keyset(
        connection, _SALE, where, parameters, key, after, query.limit + 1, call.scope_nos(query.location)
    )  # fmt: skip
    page = rows[: query.limit]
    places, writers = call.location_names(), _writers(call, page)
    found = []
    for scope_no, stream_no, seq, kind, receipt, date, operator, lines, total in page:
        place, entry = places[scope_no], f"{writers[scope_no, stream_no]}:{seq}"
        found.append(
            SaleListed(f"loc/{place}:{entry}", kind, place, entry, receipt, date, operator, int(lines), int(total))
        )
    return SalesPage(found, encode_cursor(page[-1][:3]) if len(rows) > query.limit else None)


def _writers(call: Call, rows: list[Any]) -> dict[tuple[int, int], str]:
    found: dict[tuple[int, int], str] = {}
    for scope_no, stream_no in {(row[0], row[1]) for row in rows}:
        node, incarnation = call.replica.connection.execute(
            "SELECT node, incarnation FROM stream WHERE scope_no = ? AND stream_no = ?", (scope_no, stream_no)
        ).fetchone()
        found[scope_no, stream_no] = f"{node}.{incarnation}"
    return found


@routes.get("/v1/sales/{location:str}/{entry:str}", TokenScope.READ, params=SalePath, answer=SaleTold)
def read_sale(call: Call) -> SaleTold:
    """Return one sale or refund in full."""
    path = call.path(SalePath)
    try:
        place = EntryId.parse(f"{location_scope(LocationId(path.location))}:{path.entry}")
        entry = call.replica.log.entry(place.stream, place.seq)
    except ValueError:
        entry = None
    payload = entry.payload if entry is not None else None
    if entry is None or not isinstance(payload, Sale | Refund):
        raise RefusalError("sale_unknown", "there is no such sale at this location")
    lines = [
        SaleLineTold(
            line.product, line.unit, line.quantity_milli, line.amount_minor, line.tax_class, line.name,
            line.price_minor, sum(each.share_minor for each in line.discounts),
        )
        for line in payload.lines
    ] if isinstance(payload, Sale) else [
        SaleLineTold(line.product, line.unit, line.quantity_milli, line.amount_minor, line.tax_class)
        for line in payload.lines
    ]  # fmt: skip
    return SaleTold(
        str(entry.id), "sale" if isinstance(payload, Sale) else "refund", path.location, payload.receipt_number,
        payload.business_date, payload.shift, payload.operator, payload.total_minor, entry.body.wall_ms, lines,
        [TenderTold(each.means, each.amount_minor, each.reference) for each in payload.tenders],
        payload.original if isinstance(payload, Refund) else "",
    )  # fmt: skip


class StockQuery(msgspec.Struct, frozen=True):
    """Which figures."""

    location: LocationFilter = ""
    product: ProductFilter = ""
    cursor: Cursor = ""
    limit: Limit = 100


class StockListed(msgspec.Struct, frozen=True):
    """Stock on hand of a product at a location in thousandths of its base unit; a range where there is doubt."""

    location: str
    product: str
    value_milli: int
    lo_milli: int
    hi_milli: int


class StockPage(msgspec.Struct, frozen=True):
    """Some stock figures."""

    stock: list[StockListed]
    next: Next = None


@routes.get("/v1/stock", TokenScope.READ, query=StockQuery, answer=StockPage)
def list_stock(call: Call) -> StockPage:
    """List stock on hand by location and product."""
    query = call.query(StockQuery)
    after = decode_cursor(query.cursor, (int, str))
    scope_nos, places = call.scope_nos(query.location), call.location_names()
    select = "SELECT t.scope_no, t.product, t.value, t.lo, t.hi FROM stock t"
    connection, limit = call.replica.connection, query.limit + 1
    if query.product:
        rows: list[Any] = []
        begin = int(after[0]) + 1 if after is not None else 0
        wanted = [n for n in sorted(places if scope_nos is None else scope_nos) if n >= begin]
        for start in range(0, len(wanted), _SCOPES_AT_ONCE):
            part = wanted[start : start + _SCOPES_AT_ONCE]
            rows += connection.execute(
                f"{select} WHERE t.is_present = 1 AND t.product = ? AND t.scope_no IN ({', '.join('?' * len(part))})"
                " ORDER BY t.scope_no LIMIT ?",
                (query.product, *part, limit - len(rows)),
            ).fetchall()
            if len(rows) >= limit:
                break
    else:
        rows = keyset(connection, select, "t.is_present = 1", (), ("t.scope_no", "t.product"), after, limit, scope_nos)
    page = rows[: query.limit]
    return StockPage(
        [StockListed(places[row[0]], str(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in page],
        encode_cursor(page[-1][:2]) if len(rows) > query.limit else None,
    )


class StockPath(msgspec.Struct, frozen=True):
    """One figure."""

    location: Name
    product: Name


@routes.get("/v1/stock/{location:str}/{product:str}", TokenScope.READ, params=StockPath, answer=StockListed)
def read_stock(call: Call) -> StockListed:
    """Return the stock of one product at one location."""
    path = call.path(StockPath)
    number = call.replica.log.scope_no(location_scope(LocationId(path.location)))
    row = call.replica.connection.execute(
        "SELECT value, lo, hi FROM stock WHERE scope_no = ? AND product = ? AND is_present = 1", (number, path.product)
    ).fetchone() if number is not None else None  # fmt: skip
    if row is None:
        raise RefusalError("stock_unknown", "this location has never had that product")
    return StockListed(path.location, path.product, int(row[0]), int(row[1]), int(row[2]))


class LocationListed(msgspec.Struct, frozen=True):
    """A shop, warehouse or van."""

    location: str
    name: str
    kind: str


class LocationsPage(msgspec.Struct, frozen=True):
    """The locations that the token may see."""

    locations: list[LocationListed]
    next: Next = None


@routes.get("/v1/locations", TokenScope.READ, answer=LocationsPage)
def list_locations(call: Call) -> LocationsPage:
    """List the locations that the token may see."""
    every = call.replica.organisation.newest_each(call.replica.connection, LocationDefined)
    return LocationsPage(
        [LocationListed(code, every[code].name, every[code].type) for code in sorted(every) if call.caller.sees(code)]
    )
