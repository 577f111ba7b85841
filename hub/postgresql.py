"""PostgreSQL as the hub's store speaks to it: its binary protocol, prepared statements and writes in bulk.

Ingest spends its time between statements and the driver, so this goes straight to libpq through psycopg's own
wrapper: every statement is prepared once per connection, values travel in binary, and the rows of one `executemany`
go in one statement (COPY for many new rows, `unnest` for few and for updates). What callers write is the SQL that
SQLite understands too.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import errors, pq
from psycopg.adapt import Transformer

from hub.pool import UndoneError
from schema.database import Rows
from schema.errors import CorruptionError, EdgetillError, RefusalError, TransientError
from sync.replica import Replica

LOCK_MS: Final = 5_000
"""So long a transaction waits for a lock before the asking node is told that the hub is busy."""
CONNECT_S: Final = 5
_IDLE_IN_TRANSACTION_MS: Final = 10 * 60_000
_SILENT_S: Final = 30
"""After so long without a sign of life the other side is asked for one: a machine that lost its power holds no lock."""
_PLANS_MAX: Final = 400
_FINE: Final = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COPY_IN}
_COPY_ROWS_MIN: Final = 40
_BULK_ROWS_MIN: Final = 2

_INT8, _INT4, _INT2, _BOOL, _TEXT, _VARCHAR, _BYTEA, _FLOAT8 = 20, 23, 21, 16, 25, 1043, 17, 701
_ARRAYS: Final = {1016: _INT8, 1009: _TEXT, 1001: _BYTEA, 1007: _INT4}
_NULL: Final = b"\xff\xff\xff\xff"
_pack_int8: Final = struct.Struct(">q").pack
_pack_length: Final = struct.Struct(">i").pack
_pack_int8_cell: Final = struct.Struct(">iq").pack
_pack_array_head: Final = struct.Struct(">iiiii").pack

SETTINGS: Final = (
    f"SET lock_timeout = {LOCK_MS}; SET idle_in_transaction_session_timeout = {_IDLE_IN_TRANSACTION_MS};"
    f" SET tcp_keepalives_idle = {_SILENT_S}; SET tcp_user_timeout = {_SILENT_S * 1000}; SET jit = off;"
    # Every statement asks by key. A plan made while a table was small must not scan it once it has grown.
    " SET enable_seqscan = off"
)
_BEGIN_READING: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_WRITING: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED"
_BEGIN_STEADY: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ"


class FetchedRows:
    """What a statement returned, all of it here already."""

    __slots__ = ("_next", "_rows")

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        self._next = 0

    def fetchone(self) -> Any:
        """Return the next row; None after the last."""
        if self._next >= len(self._rows):
            return None
        self._next += 1
        return self._rows[self._next - 1]

    def fetchall(self) -> list[Any]:
        """Return the rows that were not yet fetched."""
        rows, self._next = self._rows[self._next :] if self._next else self._rows, len(self._rows)
        return rows


_NO_ROWS: Final = FetchedRows([])


class _Plan(NamedTuple):
    """A statement prepared on one connection."""

    name: bytes
    encoders: tuple[Callable[[Any], bytes], ...]
    groups: tuple[int, ...] | None
    """How many of the caller's values each parameter takes, where a list of them became one array."""
    has_rows: bool


class _Bulk(NamedTuple):
    """A statement for many rows: `sql` takes one array per column, `copied` are table and columns where COPY fits."""

    sql: str
    types: tuple[int, ...]
    copied: str | None
    unique: tuple[int, ...]
    """The columns by which no two rows may be the same, for one statement changes a row once."""


class PostgresqlConnection:
    """One connection; statements use `?` and the SQL that both databases share.

    Without `syncs_disk` a commit does not wait for the disk: for readers, and for what may be lost.
    """

    def __init__(self, conninfo: str, *, syncs_disk: bool = True) -> None:
        self._raw = psycopg.connect(
            conninfo,
            autocommit=True,
            client_encoding="UTF8",
            connect_timeout=CONNECT_S,
            keepalives_idle=_SILENT_S,
            tcp_user_timeout=_SILENT_S * 1000,
        )
        self._pg = self._raw.pgconn
        self._transformer = Transformer(self._raw)
        self._plans: dict[str, _Plan] = {}
        self._bulks: dict[str, _Bulk | None] = {}
        self._tables: dict[str, dict[str, int]] = {}
        self._made = 0
        self.replica: Replica | None = None
        self._plain(SETTINGS.encode())
        if not syncs_disk:
            self._plain(b"SET synchronous_commit = off")

    # Transactions.

    def begin(self, *, writes: bool, is_steady: bool = False) -> None:
        """Begin a transaction: over one state of the database, or writing at what is committed now."""
        self._plain((_BEGIN_STEADY if is_steady else _BEGIN_WRITING) if writes else _BEGIN_READING)

    def commit(self) -> None:
        """Commit."""
        self._plain(b"COMMIT")

    def rollback(self) -> None:
        """Roll back; a connection that cannot even do that is no longer usable."""
        if self._pg.status == pq.ConnStatus.OK and self._pg.transaction_status != pq.TransactionStatus.IDLE:
            try:
                self._plain(b"ROLLBACK")
            except psycopg.Error:
                self._raw.close()

    @property
    def is_usable(self) -> bool:
        """Tell whether another transaction may begin here."""
        return self._pg.status == pq.ConnStatus.OK and self._pg.transaction_status == pq.TransactionStatus.IDLE

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    def _plain(self, sql: bytes) -> None:
        self._check(self._pg.exec_(sql))

    def _check(self, result: pq.abc.PGresult) -> pq.abc.PGresult:
        if result.status in _FINE:
            return result
        raise self._error(result)

    def _error(self, result: pq.abc.PGresult) -> psycopg.Error:
        if self._pg.status != pq.ConnStatus.OK:
            # What libpq itself says of a lost line has no state, by which errors are told apart.
            return psycopg.OperationalError(result.get_error_message() or "the line to the database was lost")
        return errors.error_from_result(result)

    # One statement.

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Run one statement and return its rows."""
        plan = self._plans.get(sql)
        if plan is None:
            if not parameters and not _DATA_STATEMENT.match(sql):
                self._plain(sql.encode())
                return _NO_ROWS
            plan = self._prepare(sql)
        if plan.groups is not None:
            parameters = _grouped(parameters, plan.groups)
        values = [None if v is None else e(v) for e, v in zip(plan.encoders, parameters, strict=True)]
        return self._run(plan, values)

    def _run(self, plan: _Plan, values: list[bytes | None]) -> FetchedRows:
        values_here: Any = values  # the library declares values alone, but takes None for a NULL
        result = self._check(self._pg.exec_prepared(plan.name, values_here, [1] * len(values), 1))
        if not plan.has_rows:
            return _NO_ROWS
        self._transformer.set_pgresult(result, format=pq.Format.BINARY)
        return FetchedRows(self._transformer.load_rows(0, result.ntuples, tuple))

    def _prepare(self, sql: str) -> _Plan:
        text, groups = _for_postgresql(sql)
        plan = self._plans[sql] = self._prepared(text, groups)
        return plan

    def _prepared(self, text: str, groups: tuple[int, ...] | None) -> _Plan:
        if len(self._plans) >= _PLANS_MAX:
            self._plans.clear()
            self._plain(b"DEALLOCATE ALL")
        self._made += 1
        name = b"e%d" % self._made
        self._check(self._pg.prepare(name, text.encode()))
        described = self._check(self._pg.describe_prepared(name))
        encoders = tuple(_encoder(described.param_type(at)) for at in range(described.nparams))
        return _Plan(name, encoders, groups, bool(described.nfields))

    def stream(self, sql: str, at_once: int) -> Iterator[list[Any]]:
        """Yield the rows of a statement in parts, through a cursor of the open transaction."""
        self._plain(f"DECLARE streamed NO SCROLL CURSOR FOR {sql}".encode())
        while True:
            fetch = f"FETCH FORWARD {at_once} FROM streamed".encode()
            result = self._check(self._pg.exec_params(fetch, None, result_format=pq.Format.BINARY))
            if not result.ntuples:
                break
            self._transformer.set_pgresult(result, format=pq.Format.BINARY)
            yield self._transformer.load_rows(0, result.ntuples, tuple)
        self._plain(b"CLOSE streamed")

    # Many rows.

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        """Run one statement for many rows, in as few round trips as it allows."""
        rows = rows if isinstance(rows, list) else list(rows)
        bulk = self._bulk(sql) if len(rows) >= _BULK_ROWS_MIN else None
        if bulk is None or (bulk.unique and len({tuple(row[at] for at in bulk.unique) for row in rows}) < len(rows)):
            for row in rows:
                self.execute(sql, row)
            return
        columns = [_cells(oid, column) for oid, column in zip(bulk.types, zip(*rows, strict=True), strict=True)]
        if bulk.copied is not None and len(rows) >= _COPY_ROWS_MIN:
            self._copy(bulk.copied, columns, len(rows))
            return
        plan = self._plans.get(bulk.sql) or self._plans.setdefault(bulk.sql, self._prepared(bulk.sql, None))
        self._run(plan, [_array(oid, cells) for oid, cells in zip(bulk.types, columns, strict=True)])

    def _copy(self, target: str, columns: Sequence[Sequence[bytes]], count: int) -> None:
        head = struct.pack(">h", len(columns))
        data = b"".join(chain.from_iterable(zip((head,) * count, *columns, strict=True)))
        self._check(self._pg.exec_(f"COPY {target} FROM STDIN (FORMAT binary)".encode()))
        self._pg.put_copy_data(_COPY_HEAD + data + b"\xff\xff")
        self._pg.put_copy_end()
        failed: pq.abc.PGresult | None = None
        while (result := self._pg.get_result()) is not None:
            if result.status != pq.ExecStatus.COMMAND_OK:
                failed = result
        if failed is not None:
            raise self._error(failed)

    def _bulk(self, sql: str) -> _Bulk | None:
        if sql not in self._bulks:
            self._bulks[sql] = self._make_bulk(sql)
        return self._bulks[sql]

    def _make_bulk(self, sql: str) -> _Bulk | None:
        """Return a statement's form for many rows; None for what is none of the plain shapes."""
        if found := _INSERT.fullmatch(sql):
            table, alias, names, values, rest = found.groups()
            given = [name for name, value in zip(names.split(", "), values.split(", "), strict=True) if value == "?"]
            updated = _CONFLICT_UPDATE.match(rest)
            keys = updated[1].split(", ") if updated else []
            if "?" in rest or not set(keys) <= set(given):
                return None
            types = self._types(table, given)
            places = iter(range(len(given)))
            selected = ", ".join(f"v.c{next(places)}" if value == "?" else value for value in values.split(", "))
            source = f"SELECT {selected} FROM {_unnested(types)}"
            text = f"INSERT INTO {table}{alias or ''} ({names}) {source}{rest}"
            copied = f"{table} ({names})" if len(given) == values.count(", ") + 1 and not rest else None
            return _Bulk(text, types, copied, tuple(given.index(name) for name in keys))
        if found := _UPDATE.fullmatch(sql):
            table = found[1]
            changed = [_ASSIGNED.fullmatch(part) for part in found[2].split(", ")]
            where = [_ASSIGNED.fullmatch(part) for part in found[3].split(" AND ")]
            if not all(changed) or not all(where):
                return None
            columns = [part[1] for part in (*changed, *where) if part]
            types = self._types(table, columns)
            sets = ", ".join(f"{name} = v.c{at}" for at, name in enumerate(columns[: len(changed)]))
            tests = range(len(changed), len(columns))
            text = f"UPDATE {table} AS t SET {sets} FROM {_unnested(types)} WHERE {_matched(columns, tests)}"
            return _Bulk(text, types, None, tuple(tests))
        if found := _DELETE.fullmatch(sql):
            table = found[1]
            where = [_ASSIGNED.fullmatch(part) for part in found[2].split(" AND ")]
            if not all(where):
                return None
            columns = [part[1] for part in where if part]
            types = self._types(table, columns)
            tests = range(len(columns))
            text = f"DELETE FROM {table} AS t USING {_unnested(types)} WHERE {_matched(columns, tests)}"
            return _Bulk(text, types, None, ())
        return None

    def _types(self, table: str, columns: Sequence[str]) -> tuple[int, ...]:
        known = self._tables.get(table)
        if known is None:
            rows = self.execute(
                "SELECT attname::text, atttypid::bigint FROM pg_attribute"
                " WHERE attrelid = ?::text::regclass AND attnum > 0 AND NOT attisdropped",
                (table,),
            ).fetchall()
            known = self._tables[table] = dict(rows)
        return tuple(known[name] for name in columns)


_DATA_STATEMENT: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_INSERT: Final = re.compile(r"INSERT INTO (\w+)( AS \w+)? \(([\w, ]+)\) VALUES \(([?\d, ]+)\)(.*)", re.DOTALL)
_UPDATE: Final = re.compile(r"UPDATE (\w+) SET (.+?) WHERE (.+)", re.DOTALL)
_DELETE: Final = re.compile(r"DELETE FROM (\w+) WHERE (.+)", re.DOTALL)
_ASSIGNED: Final = re.compile(r"(\w+) = \?")
_CONFLICT_UPDATE: Final = re.compile(r" ON CONFLICT \(([\w, ]+)\) DO UPDATE")
_LIST: Final = re.compile(r"\bIN \((\?(?:, \?)*)\)|\?")
_COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_ARRAY_OF: Final = {oid: array for array, oid in _ARRAYS.items()}
_ARRAY_NAMES: Final = {_INT8: "int8[]", _TEXT: "text[]", _BYTEA: "bytea[]", _INT4: "int4[]"}


def _unnested(types: Sequence[int]) -> str:
    source = ", ".join(f"${at}::{_ARRAY_NAMES[oid]}" for at, oid in enumerate(types, 1))
    return f"unnest({source}) AS v({', '.join(f'c{at}' for at in range(len(types)))})"


def _matched(columns: Sequence[str], places: Iterable[int]) -> str:
    return " AND ".join(f"t.{columns[at]} = v.c{at}" for at in places)


def _for_postgresql(sql: str) -> tuple[str, tuple[int, ...] | None]:
    """Number a statement's parameters; a list of them becomes one array, so that its length makes no new statement."""
    groups: list[int] = []

    def numbered(found: re.Match[str]) -> str:
        marks = found[1]
        groups.append(marks.count("?") if marks else 1)
        return f"= ANY(${len(groups)})" if marks else f"${len(groups)}"

    text = _LIST.sub(numbered, sql)
    has_lists = " IN (" in sql and "= ANY($" in text
    return text, tuple(groups) if has_lists else None


def _grouped(parameters: Sequence[Any], groups: Sequence[int]) -> list[Any]:
    # A list of one is told from a single value by its parameter's type, which is an array's.
    found: list[Any] = []
    at = 0
    for size in groups:
        found.append(parameters[at] if size == 1 else parameters[at : at + size])
        at += size
    return found


def _encoder(oid: int) -> Callable[[Any], bytes]:
    match oid:
        case 20:
            return _pack_int8
        case 25 | 1043:
            return str.encode
        case 17:
            return bytes
        case 23:
            return struct.Struct(">i").pack
        case 21:
            return struct.Struct(">h").pack
        case 16:
            return lambda value: b"\x01" if value else b"\x00"
        case 701:
            return struct.Struct(">d").pack
        case _ if oid in _ARRAYS:
            of = _ARRAYS[oid]
            return lambda values: _array(of, _cells(of, values if isinstance(values, list | tuple) else (values,)))
        case _:
            raise AssertionError(f"a parameter of type {oid} has no encoding here")


def _cells(oid: int, values: Sequence[Any]) -> list[bytes]:
    """Return values as they travel in rows and arrays: each with its length before it."""
    if oid == _INT8:
        if None in values:
            return [_NULL if v is None else _pack_int8_cell(8, v) for v in values]
        return [_pack_int8_cell(8, v) for v in values]
    if oid == _TEXT:
        values = [None if v is None else v.encode() for v in values]
    elif oid == _INT4:
        values = [None if v is None else struct.pack(">i", v) for v in values]
    else:
        assert oid == _BYTEA, oid
    return [_NULL if v is None else _pack_length(len(v)) + v for v in values]


def _array(oid: int, cells: Sequence[bytes]) -> bytes:
    has_null = 1 if _NULL in cells else 0
    return _pack_array_head(1, has_null, oid, len(cells), 1) + b"".join(cells)


def as_ours(error: Exception) -> EdgetillError | None:
    """Return a driver's error as what the caller must do; None for what nobody foresaw."""
    match error:
        case errors.DataError():
            return RefusalError("entry_unstorable", "an entry holds text that this database cannot store")
        case errors.DeadlockDetected() | errors.SerializationFailure():
            return UndoneError("store_busy", "two transactions stood in each other's way: try again")
        case errors.FeatureNotSupported() if "cached plan" in str(error):
            return UndoneError("store_busy", "the database's tables have just been changed: try again")
        case errors.LockNotAvailable() | errors.QueryCanceled() | errors.TooManyConnections():
            return TransientError("store_busy", "the store is busy: try again")
        case errors.DiskFull():
            return TransientError("store_full", "the database's disk is full: nothing was recorded; free some space")
        case errors.ReadOnlySqlTransaction():
            return TransientError("store_read_only", "the hub's database is read-only: nothing was recorded")
        case errors.IoError():
            return CorruptionError("store_damaged", f"the database's disk fails: {_first_line(error)}")
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return CorruptionError("store_corrupt", f"the store contradicts itself: {_first_line(error)}")
        case errors.InvalidPassword() | errors.InvalidAuthorizationSpecification() | errors.InvalidCatalogName():
            return RefusalError("database_refused", f"the database refuses the hub: {_first_line(error)}")
        case psycopg.InterfaceError() | psycopg.OperationalError():
            # Without a state it is the line itself; with one of these the server is going or not yet there.
            return TransientError("store_away", f"the database cannot be reached: {_first_line(error)}")
        case _:
            return None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
