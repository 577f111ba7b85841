"""Copies a hub's database into another, SQLite or PostgreSQL, row by row over one state of it, and proves the copy.

Rows travel in parts of bounded size within one transaction on the other side: a copy that breaks off leaves nothing
there, and is simply begun again. The proof reads the copy alone: every chain is recomputed from its entries, every
fold digest from the figures and conflicts, and both must be what the original states.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from hub.pool import StoreConnection
from schema.database import Connection
from schema.errors import CorruptionError, RefusalError
from schema.identity import ORG, Scope, scope_location
from sync.conflicts import Conflict
from sync.fold_digest import fold_digest
from sync.replica import Replica
from sync.stock_facts import Key
from sync.version_vector import vector_digest

ROWS_AT_ONCE: Final = 2_000
_BYTES_ROWS_AT_ONCE: Final = 500
"""Of tables with blobs: an entry may have 64 KiB, a document's state some MiB."""
NOT_COPIED: Final = frozenset({"migration", "request_nonce"})
SECRET_TABLES: Final = frozenset({"person_key", "operator_verifier", "account", "desk_session", "sign_in_failure"})
"""What must not lie in a backup of the log: keys of people, and what a password or PIN could be guessed from."""

Progress = Callable[[str, int], None]
"""Called with a table and how many of its rows are copied."""
_decode_conflict: Final = msgspec.msgpack.Decoder(Conflict).decode


class ScopeState(NamedTuple):
    """What is to be equal of a scope: the digest of its vector, and that of its figures."""

    entries: int
    vector: bytes
    fold: bytes


class CopyReport(NamedTuple):
    """What was copied and proven."""

    tables: int
    rows: int
    scopes: dict[str, ScopeState]


class TableColumns(NamedTuple):
    """A table as it is copied; the columns are in the order of the original."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    has_bytes: bool


def tables_of(connection: Connection, *, is_postgresql: bool) -> list[TableColumns]:
    """Return the tables of a hub's database in the order of their names."""
    rows = connection.execute(_POSTGRESQL_TABLES if is_postgresql else _SQLITE_TABLES).fetchall()
    found: dict[str, list[tuple[str, str, int]]] = {}
    for table, column, kind, place in rows:
        found.setdefault(str(table), []).append((str(column), str(kind), int(place)))
    return [
        TableColumns(
            table,
            tuple(column for column, _, _ in columns),
            tuple(column for _, column in sorted((place, column) for column, _, place in columns if place)),
            any(kind in {"BLOB", "bytea"} for _, kind, _ in columns),
        )
        for table, columns in found.items()
        if table not in NOT_COPIED
    ]


_SQLITE_TABLES: Final = (
    "SELECT m.name, c.name, upper(c.type), c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c"
    " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY m.name, c.cid"
)
_POSTGRESQL_TABLES: Final = (
    "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL)::text,"
    " coalesce(array_position(i.indkey::bigint[], a.attnum::bigint), -1) + 1 FROM pg_class c"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
    " WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY 1, a.attnum"
)


def check_empty(connection: Connection, tables: Sequence[TableColumns]) -> None:
    """Raise RefusalError `target_not_empty` where a database holds more than its migrations put there."""
    for table in tables:
        rows = connection.execute(f"SELECT * FROM {table.name} LIMIT 2").fetchall()
        is_as_made = table.name == "scope" and len(rows) == 1 and rows[0][1] == ORG
        if rows and not is_as_made:
            raise RefusalError(
                "target_not_empty", f"the target holds data already (in {table.name}): name an empty one"
            )


def copy_rows(
    source: StoreConnection,
    target: Connection,
    tables: Sequence[TableColumns],
    *,
    left_out: Collection[str] = (),
    progress: Progress | None = None,
) -> int:
    """Copy every row of these tables but those left out; returns how many. The caller holds both transactions."""
    copied = 0
    target.execute("DELETE FROM scope")
    for table in tables:
        if table.name in left_out:
            continue
        names = ", ".join(table.columns)
        insert = f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(table.columns))})"
        count = 0
        at_once = _BYTES_ROWS_AT_ONCE if table.has_bytes else ROWS_AT_ONCE
        # In the order of its key a table grows at its end, on whichever side.
        order = f" ORDER BY {', '.join(table.key)}" if table.key else ""
        for rows in source.stream(f"SELECT {names} FROM {table.name}{order}", at_once):
            target.executemany(insert, rows)
            count += len(rows)
            if progress is not None:
                progress(table.name, count)
        kept = target.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
        if kept != count:
            raise CorruptionError("copy_differs", f"of {count} rows of {table.name} {kept} arrived")
        copied += count
    return copied


def states_of(replica: Replica) -> dict[str, ScopeState]:
    """Return what a database states of every scope."""
    found: dict[str, ScopeState] = {}
    for scope, number in sorted(replica.log.scopes().items()):
        heads = replica.log.heads(scope)
        row = replica.connection.execute("SELECT fold_digest FROM scope WHERE scope_no = ?", (number,)).fetchone()
        found[scope] = ScopeState(sum(h.seq for h in heads.values()), vector_digest(heads), bytes(row[0]))
    return found


def prove(replica: Replica, stated: Mapping[str, ScopeState]) -> None:
    """Prove a database to hold what was stated, from its entries and rows alone; raises CorruptionError by name."""
    if replica.log.scopes().keys() != stated.keys():
        raise CorruptionError("copy_differs", "the copy holds other scopes than the original")
    for scope, state in stated.items():
        for row in replica.log.streams(scope):
            replica.log.verify_chain(row)
        found = ScopeState(
            sum(head.seq for head in replica.log.heads(scope).values()),
            vector_digest(replica.log.heads(scope)),
            recomputed_digest(replica, Scope(scope)),
        )
        if found != state:
            raise CorruptionError("copy_differs", f"the copy of {scope} does not show what the original shows")


def recomputed_digest(replica: Replica, scope: Scope) -> bytes:
    """Return the fold digest of a scope as its figures and conflicts say, whatever the scope's own row says."""
    number, location = replica.log.scope_no(scope), scope_location(scope)
    connection = replica.connection
    conflicts = connection.execute("SELECT content FROM conflict WHERE scope_no = ?", (number,)).fetchall()
    total = fold_digest((), (_decode_conflict(bytes(row[0])) for row in conflicts))
    after = 0
    while location is not None:
        rows = connection.execute(
            "SELECT key_no, product, value, lo, hi, is_present FROM stock WHERE scope_no = ? AND key_no > ?"
            " ORDER BY key_no LIMIT 5000",
            (number, after),
        ).fetchall()
        total += fold_digest(((Key(location, row[1]), row[2], row[3], row[4]) for row in rows if row[5]), ())
        if len(rows) < 5000:
            break
        after = rows[-1][0]
    return (total % (1 << 256)).to_bytes(32, "big")
