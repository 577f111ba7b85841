"""The inbox as pages read it: conflicts by state, location, category, kind and money at stake, a page at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from hub.inbox_fold import DONE
from hub.product_index import matching
from hub.stock_list import product_names
from schema.errors import RefusalError
from schema.identity import LocationId, location_scope
from sync.conflicts import Conflict
from sync.replica import Replica

STATES: Final = ("OPEN", "AUTO", "INFO", DONE)
"""What waits for a person, what a rule settled, what is only told, and what is gone."""
ORDERS: Final = ("stake", "newest")


class InboxFilter(NamedTuple):
    """What is wanted; `scope_nos` are the locations that may be seen (None: all)."""

    state: str = "OPEN"
    scope_nos: Collection[int] | None = None
    category: str = ""
    code: str = ""
    stake_min_minor: int = 0
    search: str = ""
    order: str = "stake"


class InboxRow(NamedTuple):
    """A conflict in the list."""

    location: str
    scope_no: int
    conflict: Conflict
    id: str
    state: str
    product: str
    product_name: str
    category: str
    stake_minor: int
    raised_ms: int
    changed_ms: int
    is_reopened: bool
    settled: tuple[int, int] | None
    """Stream number and seq of the decision that took it away."""


_COLUMNS: Final = (
    "s.scope, i.scope_no, i.content, i.conflict, i.state, i.product, i.category, i.stake_minor, i.raised_ms,"
    " i.changed_ms, i.is_reopened, i.settled_stream_no, i.settled_seq"
)
_FROM: Final = "FROM inbox i JOIN scope s ON s.scope_no = i.scope_no"


def list_inbox(replica: Replica, wanted: InboxFilter, offset: int, limit: int) -> list[InboxRow]:
    """Return some conflicts in their order: the most money first, or the newest."""
    where, parameters = _where(wanted)
    order = "i.stake_minor DESC, i.changed_ms DESC" if wanted.order == "stake" else "i.changed_ms DESC"
    rows = replica.connection.execute(
        f"SELECT {_COLUMNS} {_FROM} WHERE {where} ORDER BY {order}, i.conflict LIMIT ? OFFSET ?",
        (*parameters, limit, offset),
    ).fetchall()
    names = product_names(replica.connection, {str(row[5]) for row in rows})
    return [_row(names, row) for row in rows]


def count_inbox(replica: Replica, wanted: InboxFilter) -> dict[str, int]:
    """Return how many conflicts the other filters leave in each state."""
    where, parameters = _where(wanted, with_state=False)
    rows = replica.connection.execute(
        f"SELECT i.state, count(*) FROM inbox i WHERE {where} GROUP BY i.state", parameters
    ).fetchall()
    counted = {str(state): int(count) for state, count in rows}
    return {state: counted.get(state, 0) for state in STATES}


def find_conflict(replica: Replica, location: str, conflict: str) -> InboxRow:
    """Return one conflict, whatever its state; raises RefusalError `conflict_unknown`."""
    row = replica.connection.execute(
        f"SELECT {_COLUMNS} {_FROM} WHERE s.scope = ? AND i.conflict = ?",
        (location_scope(LocationId(location)), conflict),
    ).fetchone()
    if row is None:
        raise RefusalError("conflict_unknown", "there is no such conflict at this location")
    return _row(product_names(replica.connection, [str(row[5])]), row)


def following(replica: Replica, wanted: InboxFilter, but: str) -> InboxRow | None:
    """Return the first conflict of a list that is not this one: what to look at next."""
    found = list_inbox(replica, wanted, 0, 2)
    return next((row for row in found if row.id != but), None)


def _where(wanted: InboxFilter, *, with_state: bool = True) -> tuple[str, list[Any]]:
    clauses = ["1 = 1"]
    parameters: list[Any] = []
    if with_state:
        clauses.append("i.state = ?")
        parameters.append(wanted.state)
    if wanted.scope_nos is not None:
        marks = ", ".join("?" * len(wanted.scope_nos)) or "NULL"
        clauses.append(f"i.scope_no IN ({marks})")
        parameters += sorted(wanted.scope_nos)
    for column, value in (("category", wanted.category), ("code", wanted.code)):
        if value:
            clauses.append(f"i.{column} = ?")
            parameters.append(value)
    if wanted.stake_min_minor:
        clauses.append("i.stake_minor >= ?")
        parameters.append(wanted.stake_min_minor)
    if wanted.search:
        narrowed, words = matching(wanted.search)
        clauses.append(f"i.product IN (SELECT product FROM product_index WHERE {narrowed})")
        parameters += words
    return " AND ".join(clauses), parameters


def _row(names: Mapping[str, tuple[str, str]], row: Sequence[Any]) -> InboxRow:
    scope, scope_no, content, identity, state, product, category, stake, raised, changed, reopened, stream_no, seq = row
    return InboxRow(
        scope[4:],
        int(scope_no),
        msgspec.msgpack.decode(bytes(content), type=Conflict),
        str(identity),
        str(state),
        str(product),
        names.get(str(product), (str(product), ""))[0],
        str(category),
        int(stake),
        int(raised),
        int(changed),
        bool(reopened),
        None if seq is None else (int(stream_no), int(seq)),
    )
