"""Counting at the shelf: each touch of a line is one durable transaction, and a sheet keeps what a session holds.

A line waits at its till while it is being counted, and is recorded when nobody has touched it for a while: so the other
tills see it, and no till that breaks takes a morning's work with it. Who comes back to a recorded line goes on from it,
as long as nothing is known to have moved since it was begun; otherwise all of it is counted again in that zone, for a
piece that was sold meanwhile would be missed or taken twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from edge.counting import OpenLook, RecordedCount, begin, check_open, look_at, open_looks, record, see, session_of
from edge.node import Node, Writing
from edge.recorded_lines import RecordedLine, recorded_lines
from schema.errors import RefusalError
from schema.kinds.organisation import AuthorityGranted
from sync.explanation import product_name

LINES_AT_ONCE: Final = 40
"""So many lines are recorded in one go beside the counting: a scan that comes meanwhile waits for no more."""


class Touched(NamedTuple):
    """A line after a touch; `before_milli` is what was recorded of it earlier and is gone on from (None: nothing)."""

    look: OpenLook
    before_milli: int | None


def touch_line(
    node: Node, session: str, zone: str, product: str, quantity_milli: int, *,
    operator: str = "", is_total: bool = False, is_anew: bool = False,
) -> Touched:  # fmt: skip
    """Add to a line of a session what was seen (base units; negative takes back), or state it in all (`is_total`).

    The look and its basis are taken at the first touch. `is_anew` begins a recorded line again from nothing.

    Raises RefusalError `session_unknown`, `session_closed`, `zone_unknown`, `count_negative`, and `line_recorded`
    (facts: name, quantity_milli, till, is_moved) for a line that cannot be gone on with: another till recorded it, or
    goods moved since.
    """
    with node.write() as writing:
        check_open(node, session, zone)
        look = look_at(node, product, session, zone)
        before: int | None = None
        if look is None:
            known = None if is_anew else believed_line(node, session, zone, product)
            if known is None:
                look = begin(node, writing, product, session, zone, operator=operator)
            else:
                look = _go_on(node, writing, known, session, operator, is_total=is_total)
                before = known.quantity_milli
        total = quantity_milli if is_total else look.quantity_milli + quantity_milli
        return Touched(see(node, writing, look, total, product_name(node.connection, product)), before)


def believed_line(node: Node, session: str, zone: str, product: str) -> RecordedLine | None:
    """Return the recorded line of a product in a zone that is believed; None where none is recorded."""
    found: RecordedLine | None = None
    for line in recorded_lines(node, session, product=product):
        if line.zone == zone and (found is None or line.beats(found)):
            found = line
    return found


def check_second_person(node: Node, session: str, product: str, operator: str) -> None:
    """Let somebody count a product again who had not counted it; raises RefusalError `recount_same_person`."""
    if any(line.operator == operator for line in recorded_lines(node, session, product=product)):
        name = product_name(node.connection, product)
        raise RefusalError("recount_same_person", f"somebody else counts {name} again", name=name)


def _go_on(
    node: Node, writing: Writing, known: RecordedLine, session: str, operator: str, *, is_total: bool
) -> OpenLook:
    """Begin a look that goes on from a recorded line of this till, or say why it cannot be gone on with."""
    if is_total:  # all of it is stated now: what was recorded is only replaced
        return begin(node, writing, known.product, session, known.zone, operator=operator)
    is_own = known.writer == writing.stream().writer and known.clock_epoch == writing.moment.clock_epoch
    is_moved = _has_moved(node, known)
    if is_own and not is_moved and known.operator == operator:
        return begin(
            node, writing, known.product, session, known.zone, operator=operator, since_ms=known.lo_ms,
            quantity_milli=known.quantity_milli,
        )  # fmt: skip
    name = product_name(node.connection, known.product)
    raise RefusalError(
        "line_recorded", f"{name} is recorded in this zone already: count all of it again, or leave it",
        name=name, quantity_milli=known.quantity_milli, is_moved=is_moved,
        till=till_of(node, known.writer),
    )  # fmt: skip


def till_of(node: Node, writer: str) -> str:
    """Return the short name of the till that writes a stream, as its receipts have it; the node's id where unknown."""
    name = writer.rpartition(".")[0]
    grant = node.organisation.newest(node.connection, AuthorityGranted, name)
    return grant.till if grant is not None and grant.till else name[:8]


def _has_moved(node: Node, known: RecordedLine) -> bool:
    """Tell whether a movement of the product is here that the line's first touch had not heard of."""
    basis = dict(known.basis_lo)
    scope_no = node.replica.log.scope_no(node.config.scope)
    for row in node.replica.log.streams(node.config.scope):
        found = node.connection.execute(
            "SELECT 1 FROM movement m JOIN stock s ON s.scope_no = m.scope_no AND s.key_no = m.key_no"
            " WHERE s.scope_no = ? AND s.product = ? AND m.stream_no = ? AND m.seq > ? LIMIT 1",
            (scope_no, known.product, row.stream_no, basis.get(row.stream.writer, 0)),
        ).fetchone()
        if found is not None:
            return True
    return False


def drop_line(node: Node, session: str, zone: str, product: str) -> None:
    """Forget a line that waits at this till; what was recorded of it before stands."""
    with node.write():
        node.connection.execute(
            "DELETE FROM look WHERE product = ? AND session = ? AND zone = ?", (product, session, zone)
        )


def record_quiet_lines(
    node: Node, session: str, *, quiet_ms: int, keep: tuple[str, str] | None = None, limit: int = LINES_AT_ONCE
) -> tuple[RecordedCount, ...]:
    """Record some lines that nobody touched for so long, the longest first; `keep` (product, zone) stays in hand."""
    before_ms = node.clock_source().wall_ms - quiet_ms
    if not (quiet := _quiet(node, session, before_ms, keep, limit)):
        return ()
    with node.write() as writing:
        quiet = _quiet(node, session, before_ms, keep, limit)
        return record(node, writing, quiet, session) if quiet else ()


def _quiet(node: Node, session: str, before_ms: int, keep: tuple[str, str] | None, limit: int) -> list[OpenLook]:
    places = node.connection.execute(
        "SELECT product, zone FROM look WHERE session = ? AND product <> '' AND hi_ms <= ? ORDER BY hi_ms, product"
        " LIMIT ?",
        (session, before_ms, limit),
    ).fetchall()
    found = [look_at(node, product, session, zone) for product, zone in places if (product, zone) != keep]
    return [one for one in found if one is not None]


class SheetLine(NamedTuple):
    """One line as a sheet shows it; `till` names who recorded it, empty while it waits here. Times by its own clock."""

    product: str
    zone: str
    quantity_milli: int
    till: str
    operator: str
    at_ms: int


class CountSheet:
    """The lines of a session as this till knows them; `refresh` reads only what is new since it was asked before."""

    def __init__(self, node: Node, session: str) -> None:
        self.session = session
        self.lines: dict[tuple[str, str], SheetLine] = {}
        self._node = node
        self._recorded: dict[tuple[str, str], RecordedLine] = {}
        self._after: dict[int, int] = {}
        for look in open_looks(node, session):
            self.put(look)
        self.refresh()

    def put(self, look: OpenLook) -> SheetLine:
        """Take a line that waits at this till."""
        line = SheetLine(look.product, look.zone, look.quantity_milli, "", look.operator, look.hi_ms)
        self.lines[look.product, look.zone] = line
        return line

    def refresh(self) -> set[str]:
        """Read what was recorded since; returns the zones in which that changed anything."""
        news = recorded_lines(self._node, self.session, self._after)
        for line in news:
            self._after[line.stream_no] = max(self._after.get(line.stream_no, 0), line.seq)
            place = (line.product, line.zone)
            known = self._recorded.get(place)
            if known is None or line.beats(known):
                self._recorded[place] = line
        if news:
            waiting = {(look.product, look.zone) for look in open_looks(self._node, self.session)}
            for line in news:
                self._settle((line.product, line.zone), waiting)
        return {line.zone for line in news}

    def dropped(self, product: str, zone: str) -> None:
        """Note that a waiting line was forgotten: what was recorded of it shows again."""
        self._settle((product, zone), ())

    def _settle(self, place: tuple[str, str], waiting: Iterable[tuple[str, str]]) -> None:
        if place in waiting:
            return
        known = self._recorded.get(place)
        if known is None:
            self.lines.pop(place, None)
        else:
            self.lines[place] = SheetLine(
                known.product, known.zone, known.quantity_milli, till_of(self._node, known.writer), known.operator,
                known.hi_ms,
            )  # fmt: skip

    def of_zone(self, zone: str) -> list[SheetLine]:
        """Return the lines of a zone, the one that was touched last at the end."""
        return sorted(
            (line for line in self.lines.values() if line.zone == zone), key=lambda one: (one.at_ms, one.product)
        )

    def counted(self) -> dict[str, set[str]]:
        """Return the zones in which each product has a line."""
        found: dict[str, set[str]] = {}
        for product, zone in self.lines:
            found.setdefault(product, set()).add(zone)
        return found

    def waiting(self) -> int:
        """Return how many lines wait at this till."""
        return sum(1 for line in self.lines.values() if not line.till)


def is_open(node: Node, session: str) -> bool:
    """Tell whether a session is open, as far as this till knows."""
    found = session_of(node, session)
    return found is not None and found.closed_ms is None
