"""Counting stock: looks begin at the first touch of the shelf and take their basis there, never at the posting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from edge.acting import NamedProduct, acting_rank, base_quantity, held_vector, named_product, next_entry_id
from edge.node import Node, Writing
from edge.print_jobs import queue_receipt
from edge.recorded_lines import recorded_lines
from schema.codec import encode
from schema.errors import RefusalError
from schema.kinds.base import Permission, Vector
from schema.kinds.counting import CountClosed, CountOpened, CountRecorded, Look
from sync.explanation import explain_stock, product_name

CLOCK_BOUND_MS_MAX: Final = 60_000
"""Above this the counter is told that the clock is too doubtful to order a count by."""
ABSORBS: Final = "absorbs"
NOT_ABSORBS: Final = "not_absorbs"


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
    operator: str = ""


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
    entry: str = ""
    """The entry that closed it: its paper is the variance report."""


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
            check_open(node, session, zone)
        return begin(node, writing, named_product(node, product).code, session, zone)


def begin(
    node: Node, writing: Writing, product: str, session: str, zone: str, *, operator: str = "",
    since_ms: int | None = None, quantity_milli: int = 0,
) -> OpenLook:  # fmt: skip
    """Begin a look in an open transaction; one that goes on from an earlier line has its quantity and first moment."""
    now, basis = writing.moment.wall_ms, encode(held_vector(node))
    first = now if since_ms is None else min(since_ms, now)
    node.connection.execute(
        "INSERT INTO look (product, session, zone, lo_ms, hi_ms, basis_lo, basis_hi, quantity_milli, operator)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (product, session, zone, first, now, basis, basis, quantity_milli, operator),
    )
    look = look_at(node, product, session, zone)
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
    look = look_at(node, named.code, session, zone)
    if look is None:
        raise RefusalError("look_missing", f"the count of {named.name} was not begun")
    return see(node, writing, look, look.quantity_milli + base_quantity(named, quantity_milli), named.name)


def see(node: Node, writing: Writing, look: OpenLook, total_milli: int, name: str) -> OpenLook:
    """State in an open transaction what was seen of a begun look in all; its end moves to this moment."""
    if total_milli < 0:
        raise RefusalError("count_negative", f"there cannot be less than no {name} on the shelf", name=name)
    basis, hi_ms = held_vector(node), max(look.lo_ms, writing.moment.wall_ms)
    node.connection.execute(
        "UPDATE look SET quantity_milli = ?, hi_ms = ?, basis_hi = ? WHERE product = ? AND session = ? AND zone = ?",
        (total_milli, hi_ms, encode(basis), look.product, look.session, look.zone),
    )
    return msgspec.structs.replace(look, quantity_milli=total_milli, hi_ms=hi_ms, basis_hi=basis)


def drop_look(node: Node, product: str, *, session: str = "", zone: str = "") -> None:
    """Forget a begun look: nothing of it was recorded."""
    with node.write():
        node.connection.execute(
            "DELETE FROM look WHERE product = ? AND session = ? AND zone = ?",
            (named_product(node, product).code, session, zone),
        )


def look_at(node: Node, product: str, session: str, zone: str) -> OpenLook | None:
    """Return a begun look; None where there is none."""
    found = _looks(node, "product = ? AND session = ? AND zone = ?", (product, session, zone))
    return found[0] if found else None


def _looks(node: Node, where: str, parameters: Sequence[str]) -> list[OpenLook]:
    rows = node.connection.execute(
        "SELECT product, session, zone, lo_ms, hi_ms, basis_lo, basis_hi, quantity_milli, operator FROM look"
        f" WHERE {where} ORDER BY session, product, zone",
        parameters,
    ).fetchall()
    return [
        OpenLook(p, s, z, lo, hi, _vector(bytes(basis_lo)), _vector(bytes(basis_hi)), quantity, operator)
        for p, s, z, lo, hi, basis_lo, basis_hi, quantity, operator in rows
    ]


def _vector(encoded: bytes) -> Vector:
    return msgspec.msgpack.decode(encoded, type=Vector)


def open_looks(node: Node, session: str | None = None) -> list[OpenLook]:
    """List the looks that were begun and not recorded."""
    if session is None:
        return _looks(node, "product <> ''", ())
    return _looks(node, "product <> '' AND session = ?", (session,))


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
        return record(node, writing, looks, session, operator, absorbs, not_absorbs)[0]


def record(
    node: Node, writing: Writing, looks: Iterable[OpenLook], session: str, operator: str = "",
    absorbs: Sequence[str] = (), not_absorbs: Sequence[str] = (), *, takes_waiting: bool = True,
) -> tuple[RecordedCount, ...]:  # fmt: skip
    """Record looks in an open transaction: an entry for each product and person, all folded together.

    A look is of whoever began it, else of `operator`. What was answered about deliveries and returns goes with it.
    Waiting lines of the same places are taken with it, unless they are none of these (`takes_waiting`).
    """
    by_product: dict[tuple[str, str], list[OpenLook]] = {}
    for look in looks:
        by_product.setdefault((look.product, look.operator or operator), []).append(look)
    ranks = {who: acting_rank(node, writing, Permission.COUNT, who) for who in {who for _, who in by_product}}
    answers = answers_of(node, session) if session else {}
    payloads = []
    for (product, who), lines in sorted(by_product.items()):
        declared = answers.get(product, {})
        payloads.append(
            CountRecorded(
                product, ranks[who].value, who,
                tuple(Look(k.quantity_milli, k.lo_ms, k.hi_ms, k.basis_lo, k.basis_hi, k.zone) for k in lines), session,
                _local_names(node, (*absorbs, *declared.get(ABSORBS, ()))),
                _local_names(node, (*not_absorbs, *declared.get(NOT_ABSORBS, ()))),
            )
        )  # fmt: skip
    entries = writing.append_all(payloads)
    if takes_waiting:
        node.connection.executemany(
            "DELETE FROM look WHERE product = ? AND session = ? AND zone = ?",
            [(k.product, session, k.zone) for lines in by_product.values() for k in lines],
        )
    unc_ms = writing.moment.unc_ms
    return tuple(
        RecordedCount(
            str(entry.id),
            session or f"{entry.stream.writer}:{entry.body.seq}",
            payload.product,
            sum(line.quantity_milli for line in payload.looks),
            unc_ms,
            unc_ms is None or unc_ms > CLOCK_BOUND_MS_MAX,
        )
        for entry, payload in zip(entries, payloads, strict=True)
    )


def answers_of(node: Node, session: str) -> dict[str, dict[str, list[str]]]:
    """Return what was answered here for a count: by product and answer the names of papers and entries."""
    found: dict[str, dict[str, list[str]]] = {}
    rows = node.connection.execute("SELECT product, answer, name FROM count_answer WHERE session = ?", (session,))
    for product, answer, name in rows.fetchall():
        found.setdefault(product, {}).setdefault(answer, []).append(name)
    return found


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
            check_open(node, session, zone)
        elif zone:
            raise RefusalError("zone_alone", "a zone belongs to a count by zones: open one with `count open --zone`")
        named = named_product(node, product)
        begin(node, writing, named.code, session, zone, operator=operator)
        look = _touch(node, writing, named, quantity_milli, session, zone)
        if session:
            return look
        looks = _looks(node, "product = ? AND session = ?", (named.code, ""))
        return record(node, writing, looks, "", operator, absorbs, not_absorbs)[0]


def record_looks(node: Node, session: str, *, operator: str = "") -> tuple[RecordedCount, ...]:
    """Record all lines of a session that wait at this till: another till may close the session."""
    with node.write() as writing:
        looks = open_looks(node, session)
        if not looks:
            raise RefusalError("look_missing", f"no line of {session} waits at this till")
        return record(node, writing, looks, session, operator)


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
        if session_of(node, name) is not None:
            raise RefusalError("session_exists", f"the count {name} was opened already")
        entry = writing.append(CountOpened(name, tuple(zones), planned, operator))
    return CountSession(name, tuple(zones), planned, operator, entry.body.wall_ms, None)


def count_sessions(node: Node, *, with_closed: bool = False) -> list[CountSession]:
    """List the count sessions of this location, the oldest first."""
    names = [
        str(name)
        for (name,) in node.connection.execute("SELECT DISTINCT session FROM count_session ORDER BY session").fetchall()
    ]
    found = [one for name in names if (one := session_of(node, name)) is not None]
    return sorted(
        (one for one in found if with_closed or one.closed_ms is None), key=lambda one: (one.opened_ms, one.session)
    )


def session_of(node: Node, session: str) -> CountSession | None:
    """Return a count session as all its tills planned it; None where no opening of it is here."""
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


def check_open(node: Node, session: str, zone: str | None = None) -> CountSession:
    """Return an open session that has a zone (None: whichever).

    Raises RefusalError `session_unknown`, `session_closed` or `zone_unknown`.
    """
    found = session_of(node, session)
    if found is None:
        raise RefusalError("session_unknown", f"there is no count {session} here", session=session)
    if found.closed_ms is not None:
        raise RefusalError("session_closed", f"the count {session} is closed: open another one", session=session)
    if zone is not None and (zone != "" if not found.zones else zone not in found.zones):
        zones = ", ".join(found.zones) or "none"
        raise RefusalError("zone_unknown", f"the zones of {session} are {zones}", session=session, zones=zones)
    return found


def close_session(
    node: Node, session: str, *, operator: str = "", confirm_zeros: bool = False, prints: bool = False
) -> ClosedSession:
    """End a session: record its open looks, and explicit zero lines for what was planned and not found.

    Products without a line in a zone are returned first; nothing is written until the zeros are confirmed. Where the
    till `prints`, the variance report goes to the printer.
    """
    with node.write() as writing:
        missing, recorded = _settle(node, writing, check_open(node, session), operator, confirm_zeros=confirm_zeros)
        if missing and not confirm_zeros:
            return ClosedSession(session, False, missing)
        acting_rank(node, writing, Permission.COUNT, operator)
        entry = str(writing.append(CountClosed(session, operator)).id)
        node.connection.execute("DELETE FROM look WHERE session = ?", (session,))
        node.connection.execute("DELETE FROM count_answer WHERE session = ?", (session,))
        if prints:
            queue_receipt(writing, entry)
    return ClosedSession(session, True, missing, recorded, entry)


def settle_session(
    node: Node, session: str, *, operator: str = "", confirm_zeros: bool = False
) -> tuple[MissingLine, ...]:
    """Record what waits here and, confirmed, the explicit zeros, and leave the session open for recounts.

    Returns the lines that were missing; with `confirm_zeros` they are zeros now, else nothing of them was written.
    """
    with node.write() as writing:
        plan = check_open(node, session)
        missing, _ = _settle(node, writing, plan, operator, confirm_zeros=confirm_zeros)
        if missing and not confirm_zeros and (looks := open_looks(node, session)):
            record(node, writing, looks, session, operator)
    return missing


def _settle(
    node: Node, writing: Writing, plan: CountSession, operator: str, *, confirm_zeros: bool
) -> tuple[tuple[MissingLine, ...], tuple[RecordedCount, ...]]:
    session = plan.session
    looks = open_looks(node, session)
    missing = missing_lines(node, plan, looks)
    if missing and not confirm_zeros:
        return missing, ()
    if missing:
        lo_ms, basis_lo = _opened_at(node, session)
        now, basis = writing.moment.wall_ms, held_vector(node)
        looks += [
            OpenLook(line.product, session, line.zone, min(lo_ms, now), now, basis_lo, basis, 0) for line in missing
        ]
    return missing, record(node, writing, looks, session, operator) if looks else ()


def _opened_at(node: Node, session: str) -> tuple[int, Vector]:
    """Return when the walk through the shelves began, and what was known then: the moment of the opening entry."""
    scope_no, stream_no, seq, wall_ms = node.connection.execute(
        "SELECT scope_no, stream_no, seq, wall_ms FROM count_session WHERE session = ? AND is_opening = 1"
        " ORDER BY wall_ms, scope_no, stream_no, seq LIMIT 1",
        (session,),
    ).fetchone()
    rows = node.replica.log.streams(node.config.scope)
    row = next(one for one in rows if (one.scope_no, one.stream_no) == (scope_no, stream_no))
    seen = {**node.replica.log.vector_at(row, seq), row.stream.writer: int(seq)}
    return int(wall_ms), tuple(sorted(seen.items()))


def missing_lines(node: Node, plan: CountSession, looks: Iterable[OpenLook]) -> tuple[MissingLine, ...]:
    """Return the lines that a session lacks: planned products and those that some zone has (未盘)."""
    have = {(look.product, look.zone) for look in looks}
    have |= {(line.product, line.zone) for line in recorded_lines(node, plan.session)}
    products = dict.fromkeys([*plan.products, *sorted({product for product, _ in have})])
    lacking = [(product, zone) for product in products for zone in plan.zones or ("",) if (product, zone) not in have]
    names = {product: product_name(node.connection, product) for product in {product for product, _ in lacking}}
    return tuple(MissingLine(product, names[product], zone) for product, zone in lacking)


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
