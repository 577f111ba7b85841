"""The desk's work on what is bought: suppliers, orders placed by hand or from a shop's draft, and what came of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from hub.catalogue import CatalogueDesk, version_of, view_product
from hub.own_log import OwnLog
from hub.product_index import owners_of
from hub.stock_list import product_names
from schema.amounts import format_money, format_quantity, parse_money, parse_quantity
from schema.catalogue import SUPPLIERS, Supplier, supplier_documents
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import LocationId, Scope, is_code, location_scope, scope_location
from schema.kinds.buying import DraftAnswered, OrderClosed, OrderLine, OrderPlaced, TransferAsked
from schema.kinds.organisation import LocationDefined
from schema.rules.barcodes import canonical_code
from sync.buying import About, Buying, BuyingState, find_buying, read_buying
from sync.catalogue_edits import DocumentPlaces
from sync.document_projection import decode_fields
from sync.entry import Entry
from sync.replica import Replica

LINES_MAX: Final = 500
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]{1,3})?)(\D*)")
NAME_CHARS_MAX: Final = 200


class SupplierView(msgspec.Struct, frozen=True):
    """A supplier with what names its state, for an edit."""

    supplier: Supplier
    version: str


def list_suppliers(connection: Connection, *, with_inactive: bool = False) -> list[Supplier]:
    """Return the suppliers, by name."""
    rows = connection.execute(
        "SELECT record, fields FROM record WHERE document >= ? AND document < ? ORDER BY record", supplier_documents()
    ).fetchall()
    found = [Supplier.from_fields(str(code), decode_fields(bytes(fields))) for code, fields in rows]
    return sorted((one for one in found if one.is_active or with_inactive), key=lambda one: (one.name, one.code))


def supplier_names(connection: Connection) -> dict[str, str]:
    """Return what suppliers are called, by code."""
    return {one.code: one.name for one in list_suppliers(connection, with_inactive=True)}


def find_supplier(connection: Connection, code: str) -> SupplierView:
    """Return one supplier; raises RefusalError `supplier_unknown`."""
    row = connection.execute(
        "SELECT fields FROM record WHERE record = ? AND document >= ? AND document < ? ORDER BY document",
        (code, *supplier_documents()),
    ).fetchone()
    if row is None:
        raise RefusalError("supplier_unknown", f"there is no supplier {code}", supplier=code)
    fields = decode_fields(bytes(row[0]))
    return SupplierView(Supplier.from_fields(code, fields), version_of(fields))


def save_supplier(
    replica: Replica, own_log: OwnLog, supplier: Supplier, version: str = "", *, is_new: bool = False
) -> list[Entry]:
    """Write a supplier's record in the caller's transaction of `org`.

    Raises RefusalError `supplier_code`, `supplier_exists`, `supplier_name`, and `record_changed` where someone else
    changed it since `version`.
    """
    if not is_code(supplier.code):
        raise RefusalError("supplier_code", "a supplier's code has letters, digits and hyphens alone")
    if not supplier.name.strip() or len(supplier.name) > NAME_CHARS_MAX:
        raise RefusalError("supplier_name", f"a supplier has a name of at most {NAME_CHARS_MAX} characters")
    known = {one.code for one in list_suppliers(replica.connection, with_inactive=True)}
    if is_new and supplier.code in known:
        raise RefusalError("supplier_exists", f"{supplier.code} exists already", supplier=supplier.code)
    document = DocumentPlaces(replica.connection).place(SUPPLIERS, supplier.code)
    return CatalogueDesk(replica, own_log).put_record(document, supplier.code, supplier.fields(), version)


# Lines as people type them.


def read_lines(connection: Connection, text: str) -> tuple[OrderLine, ...]:
    """Read `CODE QUANTITY COST` lines: `11006 24 1.50`, `6901234567892 2箱`; the cost is of one base unit.

    What follows a `#` is a remark: filled forms name the product there.

    Raises RefusalError `order_line` (with the line), `order_empty`, `order_long`, `product_unknown`.
    """
    lines: list[OrderLine] = []
    for number, raw in enumerate(text.splitlines(), 1):
        words = raw.partition("#")[0].split()
        if words:
            lines.append(_read_line(connection, number, words))
    if not lines:
        raise RefusalError("order_empty", "an order has at least one line")
    if len(lines) > LINES_MAX:
        raise RefusalError("order_long", f"an order has at most {LINES_MAX} lines", lines=LINES_MAX)
    return tuple(lines)


def _read_line(connection: Connection, number: int, words: Sequence[str]) -> OrderLine:
    def wrong() -> RefusalError:
        text = " ".join(words)[:60]
        return RefusalError(
            "order_line", f"line {number}, {text!r}: write CODE QUANTITY COST", number=number, text=text
        )

    if not 2 <= len(words) <= 3:
        raise wrong()
    product = view_product(connection, _code_of(connection, words[0])).product
    matched = _QUANTITY.fullmatch(words[1])
    if matched is None:
        raise wrong()
    factor = product.factor_milli(matched[2]) if matched[2] != product.unit_name else 1000
    try:
        quantity, rest = divmod(int(parse_quantity(matched[1])) * (factor or 0), 1000)
        cost = int(parse_money(words[2])) if len(words) > 2 else None
    except ValueError:
        raise wrong() from None
    if factor is None:
        raise RefusalError("unit_unknown", f"{product.name} is not kept by {matched[2]}", product=product.name,
                           unit=matched[2])  # fmt: skip
    if rest or quantity <= 0 or (not product.is_weighed and quantity % 1000) or (cost is not None and cost < 0):
        raise wrong()
    return OrderLine(product.code, quantity, cost)


def _code_of(connection: Connection, text: str) -> str:
    if connection.execute("SELECT 1 FROM product_index WHERE product = ?", (text,)).fetchone() is not None:
        return text
    owners = owners_of(connection, [text]).get(canonical_code(text), [])
    return owners[0] if owners else text


def write_lines(connection: Connection, lines: Sequence[tuple[str, int, int | None]]) -> str:
    """Write (product, base quantity, cost) as a form shows them, each with its name: what `read_lines` reads."""
    names = product_names(connection, {product for product, _, _ in lines})
    return "\n".join(
        f"{product} {format_quantity(quantity)}"
        + ("" if cost is None else f" {format_money(cost)}")
        + (f"  # {names[product][0]}" if product in names else "")
        for product, quantity, cost in lines
    )


# Orders.


class ListedBuying(msgspec.Struct, frozen=True):
    """An order, draft or asked transfer with where it belongs."""

    location: str
    known: Buying
    source_name: str

    @property
    def share_ppm(self) -> int:
        """How much of what was ordered has come, in parts per million by quantity, in whole per cent."""
        wanted = sum(line.ordered_milli for line in self.known.lines)
        came = sum(min(line.received_milli, line.ordered_milli) for line in self.known.lines)
        return came * 100 // wanted * 10_000 if wanted else 0


def list_buying(
    replica: Replica,
    about: About,
    locations: Collection[str],
    states: Collection[BuyingState] = (),
    *,
    offset: int = 0,
    limit: int = 51,
) -> list[ListedBuying]:
    """List what is known of some locations, the newest first."""
    scopes = {
        number: code
        for code in locations
        if (number := replica.log.scope_no(location_scope(LocationId(code)))) is not None
    }
    suppliers = supplier_names(replica.connection)
    places = replica.organisation.newest_each(replica.connection, LocationDefined)
    found = read_buying(replica.connection, scopes, about, states, limit=limit, offset=offset)
    return [ListedBuying(scopes[number], one, _source(one, suppliers, places)) for number, one in found]


def _source(one: Buying, suppliers: dict[str, str], places: dict[str, LocationDefined]) -> str:
    code = one.destination or one.source
    if one.purpose == "transfer":
        return places[code].name if code in places else code
    return suppliers.get(code, code)


def find_order(replica: Replica, location: str, number: str, about: About = About.ORDER) -> ListedBuying:
    """Return one order, draft or asked transfer of a location; raises RefusalError `order_unknown`."""
    scope_no = replica.log.scope_no(location_scope(LocationId(location)))
    one = find_buying(replica.connection, scope_no, number)
    if one is None or one.about is not about:
        raise RefusalError("order_unknown", f"there is no {about.value} {number} at {location}", order=number)
    suppliers = supplier_names(replica.connection)
    places = replica.organisation.newest_each(replica.connection, LocationDefined)
    return ListedBuying(location, one, _source(one, suppliers, places))


def line_names(connection: Connection, known: Buying) -> dict[str, str]:
    """Return the names of an order's products, by code."""
    return {code: name for code, (name, _) in product_names(connection, {line.product for line in known.lines}).items()}


def place_order(
    replica: Replica,
    own_log: OwnLog,
    location: str,
    lines: Sequence[OrderLine],
    *,
    supplier: str,
    operator: str,
    due: str = "",
    note: str = "",
    draft: str = "",
    number: str = "",
) -> str:
    """Place an order for a location, or change an open one (`number`); returns its number.

    The caller holds the lock of the location's scope. A draft that it answers is closed with it. Raises RefusalError
    `supplier_unknown`, `order_empty`, `order_unknown`, `order_closed`, `draft_answered`.
    """
    scope = location_scope(LocationId(location))
    if not lines:
        raise RefusalError("order_empty", "an order has at least one line")
    find_supplier(replica.connection, supplier)
    if number:
        known = find_order(replica, location, number).known
        if not known.is_open:
            raise RefusalError("order_closed", f"{number} is not open any more", order=number)
        draft = known.reference
    else:
        _check_unanswered(replica, location, draft)
        number = _number(replica, scope, "PO")
    own_log.append(replica, scope, OrderPlaced(number, supplier, operator, tuple(lines), due, draft, note))
    if draft and find_order(replica, location, draft, About.DRAFT).known.state is BuyingState.OPEN:
        own_log.append(replica, scope, DraftAnswered(draft, operator, "ordered", number))
    return number


def _check_unanswered(replica: Replica, location: str, draft: str) -> None:
    if draft and find_order(replica, location, draft, About.DRAFT).known.state is not BuyingState.OPEN:
        raise RefusalError("draft_answered", f"{draft} was answered meanwhile", draft=draft)


def _number(replica: Replica, scope: Scope, mark: str) -> str:
    """Return the next number of a scope, whose lock the caller holds."""
    replica.log.ensure_scope(scope)
    start = f"{mark}-{scope_location(scope)}-"
    (count,) = replica.connection.execute(
        "SELECT count(DISTINCT subject) FROM buying_fact WHERE scope_no = ? AND subject >= ? AND subject < ?",
        (replica.log.scope_no(scope), start, f"{start[:-1]}."),
    ).fetchone()
    return f"{start}{int(count) + 1:04d}"


def close_order(
    replica: Replica, own_log: OwnLog, location: str, number: str, *, operator: str, note: str = "",
    about: About = About.ORDER,
) -> Entry:  # fmt: skip
    """Say that nothing more of an order or asked transfer is expected; one of which nothing came is cancelled.

    Raises RefusalError `order_unknown`, `order_closed`.
    """
    known = find_order(replica, location, number, about).known
    if known.state is BuyingState.CLOSED:
        raise RefusalError("order_closed", f"{number} is not open any more", order=number)
    outcome = "done" if known.deliveries else "cancelled"
    return own_log.append(replica, location_scope(LocationId(location)), OrderClosed(number, operator, outcome, note))


def decline_draft(replica: Replica, own_log: OwnLog, location: str, draft: str, *, operator: str, note: str) -> Entry:
    """Answer a draft with no, and why; the shop sees both. Raises RefusalError `order_unknown`, `draft_answered`."""
    _check_unanswered(replica, location, draft)
    scope = location_scope(LocationId(location))
    return own_log.append(replica, scope, DraftAnswered(draft, operator, "declined", "", note))


def ask_transfer(
    replica: Replica,
    own_log: OwnLog,
    location: str,
    source: str,
    lines: Sequence[OrderLine],
    *,
    operator: str,
    draft: str = "",
    note: str = "",
) -> str:
    """Ask a location to send goods to another under a new number, which its dispatch will bear; returns the number.

    The caller holds the lock of `org`, which covers both. Raises RefusalError `location_unknown`, `location_own`,
    `order_empty`, `draft_answered`.
    """
    places = replica.organisation.newest_each(replica.connection, LocationDefined)
    if source not in places or location not in places:
        raise RefusalError("location_unknown", f"there is no location {source!r}")
    if source == location:
        raise RefusalError("location_own", "a transfer goes between two locations")
    if not lines:
        raise RefusalError("order_empty", "an order has at least one line")
    _check_unanswered(replica, location, draft)
    scope = location_scope(LocationId(source))
    number = _number(replica, scope, "TR")
    own_log.append(replica, scope, TransferAsked(number, location, operator, tuple(lines), draft, note))
    if draft:
        own_log.append(
            replica, location_scope(LocationId(location)), DraftAnswered(draft, operator, "asked", number, note)
        )
    return number
