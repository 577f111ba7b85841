"""Fills the desk's tables from the log where a database has entries that were stored before there was a desk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

import msgspec

from hub.activity import ActivityFold
from hub.inbox_fold import InboxFold
from hub.own_log import read_state, write_state
from hub.store import HubStore
from schema.database import Connection
from schema.identity import ORG, Scope, scope_location
from sync.conflicts import Conflict, ConflictChanges
from sync.effective import Effective
from sync.replica import Replica, effective_entries
from sync.stock_fold import FoldChanges
from sync.stock_tables import StockTables

_STATE: Final = "desk_tables"
_FORM: Final = "1"
"""Another number has every hub fill its tables anew at its next start."""
_TABLES: Final = ("desk_act", "finding_settlement", "sales_quarter", "use_hour", "last_cost", "inbox", "settlement")
_BATCH: Final = 1_000


def fill_desk_tables(store: HubStore, now_ms: Callable[[], int]) -> bool:
    """Fill the tables unless that was done; tells whether it was now. Several processes may try at once."""
    with store.snapshot() as replica:
        if read_state(replica.connection, _STATE) == _FORM:
            return False
    with store.transaction(ORG) as replica:
        if read_state(replica.connection, _STATE) == _FORM:
            return False
        _fill(replica, now_ms)
        write_state(replica.connection, _STATE, _FORM)
    return True


def _fill(replica: Replica, now_ms: Callable[[], int]) -> None:
    connection = replica.connection
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table}")
    activity, inbox = ActivityFold(), InboxFold(now_ms)
    numbers = replica.log.scopes()
    for stream, entries in groupby(effective_entries(connection), key=lambda entry: entry.stream):
        batch: list[Effective] = []
        for entry in entries:
            batch.append(entry)
            if len(batch) == _BATCH:
                _apply(connection, numbers[stream.scope], batch, activity, inbox)
                batch = []
        if batch:
            _apply(connection, numbers[stream.scope], batch, activity, inbox)
    inbox.forget()
    rows = connection.execute(
        "SELECT s.scope, c.scope_no, c.content FROM conflict c JOIN scope s ON s.scope_no = c.scope_no"
    ).fetchall()
    for scope, scope_no, content in rows:
        location = scope_location(scope)
        if location is not None:
            one = msgspec.msgpack.decode(bytes(content), type=Conflict)
            tables = StockTables(connection, scope_no, Scope(scope), location)
            inbox.follow(connection, tables, FoldChanges({}, {}, ConflictChanges([one], [], [])))


def _apply(
    connection: Connection, scope_no: int, batch: Sequence[Effective], activity: ActivityFold, inbox: InboxFold
) -> None:
    activity.apply(connection, scope_no, batch)
    inbox.apply(connection, scope_no, batch)
