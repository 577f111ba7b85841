"""Counting stock: looks begin at the first touch of the shelf and take their basis there, never at the posting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Final

import msgspec

from edge.acting import NamedProduct, acting_rank, base_quantity, held_vector, named_product, next_entry_id
from edge.node import Node, Writing
from schema.amounts import parse_quantity
from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.base import Permission, Vector
from schema.kinds.counting import CountClosed, CountOpened, CountRecorded, Look
from schema.tabular import read_table
from sync.explanation import explain_stock, product_name

CLOCK_BOUND_MS_MAX: Final = 60_000
"""Above this the counter is told that the clock is too doubtful to order a count by."""
_WALK: Final = ""
"""The product under which a session's own walk is kept: the look behind its explicit zero lines."""


class OpenLook(msgspec.Struct, frozen=True):
    """A look at the shelf that was begun and not yet recorded; quantity in base units."""

    product: str
    session: str
    zone: str
    lo_ms: int
    hi_ms: int
    basis_lo: Vector
    basis_hi: Vector
    quantity_milli: int


class RecordedCount(msgspec.Struct, frozen=True):
    """A durable count of one product, with the bound on this node's clock error (None: unknown)."""

    entry: str
    observation: str
    product: str
    quantity_milli: int
    unc_ms: int | None
    is_clock_doubtful: bool


class CountSession(msgspec.Struct, frozen=True):
    """A count by zones: what it planned, and when it was opened and closed."""

    session: str
    zones: tuple[str, ...]
    products: tuple[str, ...]
    operator: str
    opened_ms: int
    closed_ms: int | None


class MissingLine(msgspec.Struct, frozen=True):
    """A planned product without a line in a zone (未盘): closing writes that there was none."""

    product: str
    name: str
    zone: str


class ClosedSession(msgspec.Struct, frozen=True):
    """What came of closing: with `missing` and `is_closed` false nothing was written, and zeros are to be confirmed."""

    session: str
    is_closed: bool
    missing: tuple[MissingLine, ...]
    recorded: tuple[RecordedCount, ...] = ()


class CountVariance(msgspec.Struct, frozen=True):
    """Counted minus book at a count; derived, it shrinks when late sales arrive."""

    product: str
    name: str
    observation: str
    counted_milli: int
    variance_milli: int
    value: int
    lo: int
    hi: int


def begin_look(node: Node, product: str, *, session: str = "", zone: str = "") -> OpenLook:
    """Note the first touch of a shelf: the time and all that this node holds now. Beginning again changes nothing."""
    with node.write() as writing:
        if session:
            _check_open(node, session, zone)
        return _begin(node, writing, named_product(node, product).code, session, zone)


def _begin(node: Node, writing: Writing, product: str, session: str, zone: str) -> OpenLook:
    now, basis = writing.moment.wall_ms, encode(held_vector(node))
    sql = (
        "INSERT INTO look (product, session, zone, lo_ms, hi_ms, basis_lo, basis_hi, quantity_milli)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING"
    )
    node.connection.execute(sql, (product, session, zone, now, now, basis, basis))
    if session:  # the walk through the shelves begins with the first look of it at this node
        node.connection.execute(sql, (_WALK, session, "", now, now, basis, basis))
    look = _look(node, product, session, zone)
    assert look is not None
    return look


def touch_look(node: Node, product: str, quantity_milli: int, *, session: str = "", zone: str = "") -> OpenLook:
    """Add to a begun look what was seen (a barcode of a case adds a case's pieces; a negative quantity corrects).

    The look's end moves to this moment. Raises RefusalError `look_missing` when it was never begun.
    """
    with node.write() as writing:
        named = named_product(node, product)
        return _touch(node, writing, named, quantity_milli, session, zone)


def _touch(node: Node, writing: Writing, named: NamedProduct, quantity_milli: int, session: str, zone: str) -> OpenLook:
    look = _look(node, named.code, session, zone)
    if look is None:
        raise RefusalError("look_missing", f"the count of {named.name} was not begun")
    total = look.quantity_milli + base_quantity(named, quantity_milli)
    if total < 0:
        raise RefusalError("quantity_invalid", f"there cannot be less than no {named.name} on the shelf")
    node.connection.execute(
        "UPDATE look SET quantity_milli = ?, hi_ms = ?, basis_hi = ? WHERE product = ? AND session = ? AND zone = ?",
        (total, max(look.lo_ms, writing.moment.wall_ms), encode(held_vector(node)), named.code, session, zone),
    )
    touched = _look(node, named.code, session, zone)
    assert touched is not None
    return touched


def drop_look(node: Node, product: str, *, session: str = "", zone: str = "") -> None:
    """Forget a begun look: nothing of it was recorded."""
    with node.write():
        node.connection.execute(
            "DELETE FROM look WHERE product = ? AND session = ? AND zone = ?",
            (named_product(node, product).code, session, zone),
        )


def _look(node: Node, product: str, session: str, zone: str) -> OpenLook | None:
    found = _looks(node, "product = ? AND session = ? AND zone = ?", (product, session, zone))
    return found[0] if found else None


def _looks(node: Node, where: str, parameters: Sequence[str]) -> list[OpenLook]:
    rows = node.connection.execute(
        "SELECT product, session, zone, lo_ms, hi_ms, basis_lo, basis_hi, quantity_milli FROM look"
        f" WHERE {where} ORDER BY session, product, zone",
        parameters,
    ).fetchall()
    return [
        OpenLook(p, s, z, lo, hi, _vector(bytes(basis_lo)), _vector(bytes(basis_hi)), quantity)
        for p, s, z, lo, hi, basis_lo, basis_hi, quantity in rows
    ]


def _vector(encoded: bytes) -> Vector:
    return msgspec.msgpack.decode(encoded, type=Vector)


def open_looks(node: Node, session: str | None = None) -> list[OpenLook]:
    """List the looks that were begun and not recorded."""
    if session is None:
        return _looks(node, "product <> ?", (_WALK,))
    return _looks(node, "product <> ? AND session = ?", (_WALK, session))


def record_count(
    node: Node,
    product: str,
    *,
    session: str = "",
    operator: str = "",
    absorbs: Sequence[str] = (),
    not_absorbs: Sequence[str] = (),
) -> RecordedCount:
    """Record what was counted of a product: one entry from its open looks, in the role of the operator.

    `absorbs` names entries, documents or transfers that are on the shelf already though not yet keyed;
    `not_absorbs` what is keyed but not on the shelf (returns not yet put back).
    """
    with node.write() as writing:
        code = named_product(node, product).code
        looks = _looks(node, "product = ? AND session = ?", (code, session))
        if not looks:
            raise RefusalError("look_missing", f"the count of {product} was not begun")
        return _record(node, writing, code, looks, session, operator, absorbs, not_absorbs)


def _record(
    node: Node, writing: Writing, product: str, looks: Sequence[OpenLook], session: str, operator: str,
    absorbs: Sequence[str] = (), not_absorbs: Sequence[str] = (),
) -> RecordedCount:  # fmt: skip
    rank = acting_rank(node, writing, Permission.COUNT, operator)
    lines = tuple(Look(k.quantity_milli, k.lo_ms, k.hi_ms, k.basis_lo, k.basis_hi, k.zone) for k in looks)
    entry = writing.append(
        CountRecorded(
            product, rank.value, operator, lines, session, _local_names(node, absorbs), _local_names(node, not_absorbs)
        )
    )
    node.connection.execute("DELETE FROM look WHERE product = ? AND session = ?", (product, session))
    unc_ms = writing.moment.unc_ms
    return RecordedCount(
        str(entry.id),
        session or f"{entry.stream.writer}:{entry.body.seq}",
        product,
        sum(line.quantity_milli for line in lines),
        unc_ms,
        unc_ms is None or unc_ms > CLOCK_BOUND_MS_MAX,
    )


def _local_names(node: Node, names: Iterable[str]) -> tuple[str, ...]:
    """Name entries as the scope does, without the scope; documents and transfers stand as they are."""
    prefix = f"{node.config.scope}:"
    return tuple(sorted({name.removeprefix(prefix) for name in names if name}))


def count_product(
    node: Node,
    product: str,
    quantity_milli: int,
    *,
    session: str = "",
    zone: str = "",
    operator: str = "",
    absorbs: Sequence[str] = (),
    not_absorbs: Sequence[str] = (),
) -> OpenLook | RecordedCount:
    """Count a product in one go: without a session it is recorded, in a session the line waits to be recorded."""
    with node.write() as writing:
        if session:
            _check_open(node, session, zone)
        elif zone:
            raise RefusalError("zone_alone", "a zone belongs to a count by zones: open one with `count open --zone`")
        named = named_product(node, product)
        _begin(node, writing, named.code, session, zone)
        look = _touch(node, writing, named, quantity_milli, session, zone)
        if session:
            return look
        looks = _looks(node, "product = ? AND session = ?", (named.code, ""))
        return _record(node, writing, named.code, looks, "", operator, absorbs, not_absorbs)


def record_looks(node: Node, session: str, *, operator: str = "") -> tuple[RecordedCount, ...]:
    """Record all lines of a session that wait at this till: another till may close the session."""
    with node.write() as writing:
        by_product: dict[str, list[OpenLook]] = {}
        for look in _looks(node, "product <> ? AND session = ?", (_WALK, session)):
            by_product.setdefault(look.product, []).append(look)
        if not by_product:
            raise RefusalError("look_missing", f"no line of {session} waits at this till")
        return tuple(_record(node, writing, product, lines, session, operator) for product, lines in by_product.items())


# Sessions by zone.


def open_session(
    node: Node, zones: Sequence[str] = (), products: Sequence[str] = (), *, operator: str = "", session: str = ""
) -> CountSession:
    """Begin a count by zones: it counts only when every zone has a line for a product."""
    if len(set(zones)) != len(zones) or any(not zone.strip() for zone in zones):
        raise RefusalError("zones_invalid", "every zone has a name, and no two the same")
    with node.write() as writing:
        acting_rank(node, writing, Permission.COUNT, operator)
        planned = tuple(dict.fromkeys(named_product(node, product).code for product in products))
        first = next_entry_id(node, writing)
        name = session or f"C-{node.config.till}-{first.stream.incarnation}-{first.seq}"
        if _session(node, name) is not None:
            raise RefusalError("session_exists", f"the count {name} was opened already")
        entry = writing.append(CountOpened(name, tuple(zones), planned, operator))
        now, basis = writing.moment.wall_ms, encode(held_vector(node))
        node.connection.execute(
            "INSERT INTO look (product, session, zone, lo_ms, hi_ms, basis_lo, basis_hi, quantity_milli)"
            " VALUES (?, ?, '', ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
            (_WALK, name, now, now, basis, basis),
        )
    return CountSession(name, tuple(zones), planned, operator, entry.body.wall_ms, None)


def count_sessions(node: Node, *, with_closed: bool = False) -> list[CountSession]:
    """List the count sessions of this location, the oldest first."""
    names = [
        str(name)
        for (name,) in node.connection.execute("SELECT DISTINCT session FROM count_session ORDER BY session").fetchall()
    ]
    found = [one for name in names if (one := _session(node, name)) is not None]
    return sorted(
        (one for one in found if with_closed or one.closed_ms is None), key=lambda one: (one.opened_ms, one.session)
    )


def _session(node: Node, session: str) -> CountSession | None:
    rows = node.connection.execute(
        "SELECT is_opening, wall_ms, operator, plan FROM count_session WHERE session = ?"
        " ORDER BY is_opening DESC, wall_ms, scope_no, stream_no, seq",
        (session,),
    ).fetchall()
    if not rows or not rows[0][0]:
        return None
    zones: set[str] = set()
    products: dict[str, None] = {}
    for is_opening, _, _, plan in rows:
        if is_opening:
            some_zones, some_products = msgspec.msgpack.decode(
                bytes(plan), type=tuple[tuple[str, ...], tuple[str, ...]]
            )
            zones |= set(some_zones)
            products |= dict.fromkeys(some_products)
    closed = [wall_ms for is_opening, wall_ms, _, _ in rows if not is_opening]
    return CountSession(
        session, tuple(sorted(zones)), tuple(products), rows[0][2], rows[0][1], min(closed) if closed else None
    )


def _check_open(node: Node, session: str, zone: str) -> CountSession:
    found = _session(node, session)
    if found is None:
        raise RefusalError("session_unknown", f"there is no count {session} here")
    if found.closed_ms is not None:
        raise RefusalError("session_closed", f"the count {session} is closed: open another one")
    if zone != "" if not found.zones else zone not in found.zones:
        raise RefusalError("zone_unknown", f"the zones of {session} are {', '.join(found.zones) or 'none'}")
    return found


def close_session(node: Node, session: str, *, operator: str = "", confirm_zeros: bool = False) -> ClosedSession:
    """End a session: record its open looks, and explicit zero lines for what was planned and not found.

    Products without a line in a zone are returned first; nothing is written until the zeros are confirmed.
    """
    with node.write() as writing:
        plan = _check_open(node, session, _first_zone(node, session))
        looks = _looks(node, "product <> ? AND session = ?", (_WALK, session))
        missing = _missing(node, plan, looks)
        if missing and not confirm_zeros:
            return ClosedSession(session, False, missing)
        now, basis = writing.moment.wall_ms, held_vector(node)
        walk = _look(node, _WALK, session, "")
        lo_ms, basis_lo = (walk.lo_ms, walk.basis_lo) if walk else (now, basis)
        by_product: dict[str, list[OpenLook]] = {}
        for look in looks:
            by_product.setdefault(look.product, []).append(look)
        for line in missing:
            by_product.setdefault(line.product, []).append(
                OpenLook(line.product, session, line.zone, lo_ms, now, basis_lo, basis, 0)
            )
        recorded = tuple(
            _record(node, writing, product, lines, session, operator) for product, lines in sorted(by_product.items())
        )
        acting_rank(node, writing, Permission.COUNT, operator)
        writing.append(CountClosed(session, operator))
        node.connection.execute("DELETE FROM look WHERE session = ?", (session,))
    return ClosedSession(session, True, missing, recorded)


def _first_zone(node: Node, session: str) -> str:
    found = _session(node, session)
    return found.zones[0] if found is not None and found.zones else ""


def _missing(node: Node, plan: CountSession, looks: Iterable[OpenLook]) -> tuple[MissingLine, ...]:
    have = {(look.product, look.zone) for look in looks}
    scope_no = node.replica.log.scope_no(node.config.scope)
    places = node.connection.execute(
        "SELECT s.stream_no, s.seq, t.node, t.incarnation FROM stock_fact s JOIN stream t"
        " ON t.scope_no = s.scope_no AND t.stream_no = s.stream_no"
        " WHERE s.scope_no = ? AND s.about = 'session_count' AND s.subject = ?",
        (scope_no, plan.session),
    ).fetchall()
    for _, seq, name, incarnation in places:
        entry = node.replica.log.entry(EntryId.parse(f"{node.config.scope}:{name}.{incarnation}:{seq}").stream, seq)
        if entry is not None and isinstance(entry.payload, CountRecorded):
            have |= {(entry.payload.product, look.zone) for look in entry.payload.looks}
    products = dict.fromkeys([*plan.products, *sorted({product for product, _ in have})])
    return tuple(
        MissingLine(product, product_name(node.connection, product), zone)
        for product in products
        for zone in plan.zones or ("",)
        if (product, zone) not in have
    )


# Counts from a spreadsheet.

_COLUMNS: Final = {
    "product": ("product", "code", "barcode", "sku", "商品", "商品编码", "编码", "条码"),
    "quantity": ("quantity", "qty", "counted", "数量", "盘点数量", "实盘数量"),
    "zone": ("zone", "shelf", "区域", "货架"),
}


def import_counts(
    node: Node, name: str, content: bytes, *, session: str = "", operator: str = ""
) -> tuple[RecordedCount, ...]:
    """Record the counts of a CSV or Excel sheet (product, quantity and, in a session, zone): all lines or none.

    The look of each line is the moment of the import: import before selling on. Raises RefusalError
    `count_import` that names every line at fault.
    """
    table = read_table(PurePath(name).name, content)
    places: dict[str, int] = {}
    for column, names in _COLUMNS.items():
        found = [place for place, cell in enumerate(table.header) if cell.strip().lower() in names]
        if found:
            places[column] = found[0]
    if lacking := [column for column in ("product", "quantity") if column not in places]:
        raise RefusalError("count_columns", f"{table.name} lacks the column {' and '.join(lacking)}")
    faults: list[str] = []
    totals: dict[tuple[str, str], int] = {}
    with node.write() as writing:
        plan = _session(node, session) if session else None
        if session:
            _check_open(node, session, _first_zone(node, session))
        for line, cells in table.rows:
            zone = cells[places["zone"]].strip() if "zone" in places else ""
            try:
                totals_key, quantity = _count_line(node, cells[places["product"]], cells[places["quantity"]], zone)
                if plan is not None and (zone not in plan.zones if plan.zones else zone != ""):
                    raise ValueError(f"the zones of {session} are {', '.join(plan.zones) or 'none'}")
                totals[totals_key] = totals.get(totals_key, 0) + quantity
            except (RefusalError, ValueError) as error:
                faults.append(f"line {line}: {error}")
        faults += [f"line {line}: more cells than the header has" for line in table.overlong]
        if faults or not totals:
            shown = "; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if len(faults) > 10 else "")
            raise RefusalError("count_import", f"{table.name} was not imported: {shown or 'it has no lines'}")
        now, basis = writing.moment.wall_ms, held_vector(node)
        looks: dict[str, list[OpenLook]] = {}
        for (product, zone), quantity in sorted(totals.items()):
            looks.setdefault(product, []).append(OpenLook(product, session, zone, now, now, basis, basis, quantity))
        return tuple(_record(node, writing, product, lines, session, operator) for product, lines in looks.items())


def _count_line(node: Node, product: str, quantity: str, zone: str) -> tuple[tuple[str, str], int]:
    if not product.strip():
        raise ValueError("no product")
    named = named_product(node, product.strip())
    if not named.is_known:
        raise ValueError(f"{product.strip()} is not in the catalogue")
    amount = parse_quantity(quantity)
    if amount < 0:
        raise ValueError("a counted quantity is not negative")
    return (named.code, zone), base_quantity(named, amount)


# What a count came to.


def count_variances(node: Node, products: Sequence[str] | None = None) -> list[CountVariance]:
    """Report counted minus book for the count that gives each figure, the largest difference first."""
    with node.store.reading() as connection:
        scope_no = node.replica.log.scope_no(node.config.scope)
        if products is None:
            rows = connection.execute(
                "SELECT product FROM stock WHERE scope_no = ? AND state IS NOT NULL ORDER BY product", (scope_no,)
            ).fetchall()
            wanted = [str(row[0]) for row in rows]
        else:
            wanted = list(dict.fromkeys(named_product(node, product).code for product in products))
        now_ms = node.clock_source().wall_ms
        rules = node.stock.rules(connection)
        found = []
        for product in wanted:
            why = explain_stock(connection, node.organisation, rules, node.config.scope, product, now_ms)
            if not why.variances:
                continue
            observation, variance = why.variances[0]
            counted = next((c.quantity for c in why.counts if c.observation == observation), 0)
            found.append(CountVariance(product, why.name, observation, counted, variance, why.value, why.lo, why.hi))
    return sorted(found, key=lambda one: (-abs(one.variance_milli), one.product))
