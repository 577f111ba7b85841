"""The fold behind the inbox: every conflict of stock with what pages filter by, and people's decisions beside them.

It hears what the stock fold reports, in the same transaction. What is gone stays as a row in state DONE, so that the
inbox can say who settled it, and notice when a late entry brings it back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from hub.prices import standard_price, standard_prices
from schema.catalogue import category_of
from schema.database import Connection
from schema.identity import Scope, scope_location
from schema.kinds.counting import CountAccepted, EntryVoided, MovementClassified
from schema.kinds.desk import RecountAsked
from sync.conflicts import Conflict
from sync.effective import Effective
from sync.stock_facts import (
    DISPATCH_REASON,
    Accept,
    Classify,
    ConflictCode,
    Count,
    Key,
    Movement,
    Status,
    Void,
    parse_target,
)
from sync.stock_fold import FoldChanges
from sync.stock_tables import StockTables

DONE: Final = "DONE"
_TRANSFER_CODES: Final = frozenset(
    {ConflictCode.TRANSFER_SHORT, ConflictCode.TRANSFER_OVER, ConflictCode.TRANSIT_IMPLICIT_RECEIPT}
)
_WIDE_CODES: Final = frozenset(
    {
        ConflictCode.COUNT_DISAGREE, ConflictCode.AMBIGUOUS_ORDER, ConflictCode.ZONE_RECOUNT,
        ConflictCode.RESOLUTION_DISAGREE, ConflictCode.TRANSIT_SUSPECT_DOUBLE,
    }
)  # fmt: skip
Decision = CountAccepted | EntryVoided | MovementClassified | RecountAsked


class InboxFold:
    """Keeps `inbox` and `settlement`; stands before the stock fold, which tells it of conflicts through `follow`."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._deciding: dict[tuple[int, str], tuple[int, int]] = {}

    def forget(self) -> None:
        """Forget the decisions of the batch that is being folded."""
        self._deciding.clear()

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Note people's decisions by the products that they bear on."""
        self._deciding.clear()
        for entry in entries:
            payload = entry.payload
            if not isinstance(payload, Decision):
                continue
            target, kind = _target(payload)
            products = self._products(connection, scope_no, entry.stream.scope, payload) or {""}
            connection.executemany(
                "INSERT INTO settlement (scope_no, product, stream_no, seq, kind, target, operator, role, at_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    (
                        scope_no, product, entry.stream_no, entry.seq, kind, target, payload.operator, payload.role,
                        entry.wall_ms,
                    )
                    for product in sorted(products)
                ],
            )  # fmt: skip
            if not isinstance(payload, RecountAsked):
                self._deciding.update(((scope_no, product), (entry.stream_no, entry.seq)) for product in products)

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take decisions back that lost their authority."""
        connection.executemany(
            "DELETE FROM settlement WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            [(scope_no, e.stream_no, e.seq) for e in entries if isinstance(e.payload, Decision)],
        )

    @staticmethod
    def _products(connection: Connection, scope_no: int, scope: Scope, payload: Decision) -> set[str]:
        match payload:
            case CountAccepted() | RecountAsked():
                return {payload.product}
            case EntryVoided():
                target = payload.target
            case MovementClassified():
                target = payload.movement
        location = scope_location(scope)
        if location is None:
            return set()
        return products_of(StockTables(connection, scope_no, scope, location), target)

    def follow(self, connection: Connection, tables: StockTables, changes: FoldChanges) -> None:
        """Hear how the conflicts of one scope changed."""
        conflicts = changes.conflicts
        number, now_ms = tables.scope_no, self._now_ms()
        for one in conflicts.cleared:
            decision = self._deciding.get((number, product_of(one)), (None, None))
            connection.execute(
                "UPDATE inbox SET state = ?, changed_ms = ?, settled_stream_no = ?, settled_seq = ?"
                " WHERE scope_no = ? AND conflict = ?",
                (DONE, now_ms, *decision, number, one.id),
            )
        for one in conflicts.raised:
            if _is_judged_here(tables, one):
                self._raise(connection, tables, changes, one, now_ms)
        for one in conflicts.changed:
            connection.execute(
                "UPDATE inbox SET state = ?, stake_minor = ?, changed_ms = ?, content = ?"
                " WHERE scope_no = ? AND conflict = ?",
                (
                    one.status.value, self._stake(connection, tables, changes, one), now_ms, _encode(one), number,
                    one.id,
                ),
            )  # fmt: skip
        self._follow_negative(connection, tables, changes)

    def _raise(
        self, connection: Connection, tables: StockTables, changes: FoldChanges, one: Conflict, now_ms: int
    ) -> None:
        number, product = tables.scope_no, product_of(one)
        row = connection.execute(
            "SELECT settled_seq FROM inbox WHERE scope_no = ? AND conflict = ?", (number, one.id)
        ).fetchone()
        was_settled = row is not None and row[0] is not None
        is_reopened = one.status is Status.OPEN and (was_settled or overtakes(connection, number, product, one))
        connection.execute(
            "INSERT INTO inbox (scope_no, conflict, code, state, product, category, subject, stake_minor, raised_ms,"
            " changed_ms, is_reopened, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (scope_no, conflict) DO UPDATE SET state = excluded.state, category = excluded.category,"
            " stake_minor = excluded.stake_minor, raised_ms = excluded.raised_ms, changed_ms = excluded.changed_ms,"
            " is_reopened = excluded.is_reopened, content = excluded.content, settled_stream_no = NULL,"
            " settled_seq = NULL",
            (
                number, one.id, one.code.value, one.status.value, product, category_at(connection, product),
                one.subject, self._stake(connection, tables, changes, one), now_ms, now_ms, int(is_reopened),
                _encode(one),
            ),
        )  # fmt: skip

    @staticmethod
    def _stake(connection: Connection, tables: StockTables, changes: FoldChanges, one: Conflict) -> int:
        if one.status is Status.INFO:
            return 0
        quantity = _quantity_at_stake(tables, changes, one)
        if quantity == 0:
            return 0
        return abs(quantity) * standard_price(connection, tables.scope_no, product_of(one)) // 1000

    @staticmethod
    def _follow_negative(connection: Connection, tables: StockTables, changes: FoldChanges) -> None:
        # A figure that sinks further below zero changes no conflict, but what is at stake.
        below = {
            key: figure.value for key, figure in changes.figures.items() if figure is not None and figure.value < 0
        }
        if not below:
            return
        number = tables.scope_no
        prices = standard_prices(connection, number, sorted({key.product for key in below}))
        connection.executemany(
            "UPDATE inbox SET stake_minor = ? WHERE scope_no = ? AND conflict = ? AND state = ?",
            [
                (-value * prices.get(key.product, 0) // 1000, number, _negative_at(key).id, Status.OPEN.value)
                for key, value in below.items()
            ],
        )


def _negative_at(key: Key) -> Conflict:
    return Conflict(ConflictCode.NEGATIVE_STOCK, Status.OPEN, str(key))


def product_of(conflict: Conflict) -> str:
    """Return the product that a conflict is about; empty for a clock's."""
    place, _, about = conflict.key.partition("/")
    return "" if place == "*clock" else about


def category_at(connection: Connection, product: str) -> str:
    """Return a product's category as it is now; empty where the catalogue has none."""
    rows = connection.execute("SELECT document FROM record WHERE record = ? ORDER BY document", (product,)).fetchall()
    return next((c for (document,) in rows if (c := category_of(document)) is not None), "")


def products_of(tables: StockTables, target: str, depth: int = 4) -> set[str]:
    """Return the products that an entry moves or counts, or that the decision it is bears on."""
    try:
        writer, seq, _ = parse_target(target)
    except ValueError:
        return set()
    found: set[str] = set()
    for fact in tables.facts_of(writer, seq):
        match fact:
            case Movement() | Count() | Accept():
                found.add(fact.product)
            case Classify() if depth:
                found |= products_of(tables, fact.movement, depth - 1)
            case Void() if depth:
                found |= products_of(tables, fact.target, depth - 1)
            case _:
                continue
    return found


def overtakes(connection: Connection, scope_no: int, product: str, conflict: Conflict) -> bool:
    """Tell whether a conflict concerns a count that a person had chosen or placed a movement against."""
    about = {*conflict.refs, conflict.subject, *conflict.subject.split()}
    rows = connection.execute(
        "SELECT target FROM settlement WHERE scope_no = ? AND product = ? AND kind IN ('accept', 'classify')",
        (scope_no, product),
    ).fetchall()
    return any(target in about for (target,) in rows)


def _is_judged_here(tables: StockTables, conflict: Conflict) -> bool:
    """Tell whether a conflict belongs to this location: a transfer's papers are judged by its receiver alone."""
    if not conflict.key.startswith("*transit/"):
        return True
    return any(
        (paper.destination if paper.reason == DISPATCH_REASON else paper.location) == tables.location
        for paper in tables.papers([(conflict.subject, product_of(conflict))])
    )


def _target(payload: Decision) -> tuple[str, str]:
    match payload:
        case CountAccepted():
            return payload.observation, "accept"
        case EntryVoided():
            return payload.target, "void"
        case MovementClassified():
            return payload.observation, "classify"
        case RecountAsked():
            return payload.product, "recount"


def _quantity_at_stake(tables: StockTables, changes: FoldChanges, one: Conflict) -> int:
    product = product_of(one)
    if one.code in _TRANSFER_CODES:
        papers = list(tables.papers([(one.subject, product)]))
        dispatched = -sum(paper.quantity for paper in papers if paper.reason == DISPATCH_REASON)
        return dispatched - sum(paper.quantity for paper in papers if paper.reason != DISPATCH_REASON)
    if one.code not in _WIDE_CODES and one.code is not ConflictCode.NEGATIVE_STOCK:
        return 0
    key = Key(tables.location, product)
    figure = changes.figures.get(key) or tables.load_figures([key]).get(key)
    if figure is None:
        return 0
    return figure.value if one.code is ConflictCode.NEGATIVE_STOCK else figure.hi - figure.lo


def _encode(conflict: Conflict) -> bytes:
    return msgspec.msgpack.encode(conflict)
