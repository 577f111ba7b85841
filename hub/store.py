"""The hub's store: engine, transactions and locks over SQLite or PostgreSQL, handing out replicas of the log.

SQLAlchemy Core owns connections, transactions and what reports read; the replica's statements go straight to the
driver through a thin adapter, because ingest spends its time there. Nothing outside this module knows which of the
two databases answers.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import sqlalchemy as sa
import sqlcipher3.dbapi2 as sqlite_driver
from sqlalchemy.pool import QueuePool

from schema.database import is_affected_sqlite, migrate, read_migrations
from schema.errors import CorruptionError, EdgetillError, RefusalError, TransientError
from schema.files import is_disk_full
from schema.identity import ORG, Scope
from sync.effective import Fold
from sync.organisation import Organisation
from sync.replica import Replica

BUSY_TIMEOUT_MS: Final = 5_000
_READERS: Final = 8
_REPLICA: Final = "edgetill.replica"
_WRITES: Final = "edgetill_writes"


class HubStore(Protocol):
    """What the hub asks of its store; every implementation passes one contract suite."""

    def transaction(self, scope: Scope | None) -> AbstractContextManager[Replica]:
        """Open a write transaction that holds the scope's lock; it commits whole or leaves no trace.

        Locking `org` locks every scope, because grants and policies judge entries everywhere anew; None locks
        no scope, for the hub's own tables beside the log. Raises TransientError `store_busy` when the lock is
        not to be had in time.
        """
        ...

    def snapshot(self) -> AbstractContextManager[Replica]:
        """Open a read transaction over one state of the database."""
        ...

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Open a read transaction for Core selects."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class DriverConnection:
    """The driver's own statements as `schema.database.Connection`: `?` and the SQL that both databases share."""

    def __init__(self, raw: Any, *, is_postgresql: bool) -> None:
        self._raw = raw
        self._is_postgresql = is_postgresql
        self._translated: dict[str, str] = {}

    def _sql(self, sql: str) -> str:
        if not self._is_postgresql:
            return sql
        found = self._translated.get(sql)
        if found is None:
            found = self._translated[sql] = sql.replace("%", "%%").replace("?", "%s")
        return found

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """Run one statement and return its rows."""
        return self._raw.execute(self._sql(sql), parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        """Run one statement for many rows."""
        if self._is_postgresql:
            return self._raw.cursor().executemany(self._sql(sql), list(rows))
        return self._raw.executemany(sql, rows)


class SqlStore:
    """The store on a SQLAlchemy engine; SQLite writes through one connection and reads through others."""

    def __init__(
        self,
        writer: sa.Engine,
        reader: sa.Engine,
        organisation: Callable[[], Organisation],
        folds: Callable[[Organisation], Sequence[Fold]],
        file: Path | None = None,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._organisation = organisation
        self._folds = folds
        self._file = file
        self._is_postgresql = writer.dialect.name == "postgresql"
        # SQLite has one writer at a time: waiting here in turn costs less than its polling of the file's lock.
        self._turn: AbstractContextManager[Any] | None = None if self._is_postgresql else threading.Lock()
        self._known_scopes: set[Scope] = set()
        self._migrate()

    def _migrate(self) -> None:
        with self._begun(self._writer, writes=True) as connection:
            driver = self._driver(connection)
            if self._is_postgresql:
                driver.execute("SELECT pg_advisory_xact_lock(1161971028)")
            migrate(driver, read_migrations("replica", "hub"), is_postgresql=self._is_postgresql)
            Replica(driver, self._organisation(), ()).log.ensure_scope(ORG)

    def _driver(self, connection: sa.Connection) -> DriverConnection:
        return DriverConnection(connection.connection.dbapi_connection, is_postgresql=self._is_postgresql)

    def _replica(self, connection: sa.Connection) -> Replica:
        # One replica per connection, so that what it remembers of numbers and grants is never shared by threads.
        replica = connection.info.get(_REPLICA)
        if replica is None:
            organisation = self._organisation()
            replica = Replica(self._driver(connection), organisation, self._folds(organisation))
            connection.info[_REPLICA] = replica
        assert isinstance(replica, Replica)
        replica.organisation.refresh(replica.connection)
        return replica

    @contextmanager
    def _begun(self, engine: sa.Engine, *, writes: bool) -> Iterator[sa.Connection]:
        try:
            with engine.connect().execution_options(**{_WRITES: writes}) as connection:
                try:
                    with connection.begin():
                        yield connection
                except BaseException:
                    # Numbers and versions given in a transaction that never was must not be believed again.
                    connection.info.pop(_REPLICA, None)
                    raise
        except sa.exc.TimeoutError as error:
            raise TransientError("store_busy", "every connection of the store is in use: try again") from error
        except EdgetillError:
            raise
        except Exception as error:
            ours = _as_ours(error, self._file)
            if ours is None:
                raise
            raise ours from error

    @contextmanager
    def transaction(self, scope: Scope | None) -> Iterator[Replica]:
        """Open a write transaction that holds the scope's lock."""
        if self._turn is None:
            self._ensure_scope(scope)
            with self._locked(scope) as replica:
                yield replica
            return
        with self._turn, self._locked(scope) as replica:
            yield replica

    def _ensure_scope(self, scope: Scope | None) -> None:
        # Giving a scope its number locks the whole table: in a transaction of its own, which then waits for nobody.
        if scope is None or scope in self._known_scopes:
            return
        with self._begun(self._writer, writes=True) as connection:
            replica = self._replica(connection)
            if replica.log.scope_no(scope) is None:
                replica.connection.execute("LOCK TABLE scope IN SHARE ROW EXCLUSIVE MODE")
                replica.log.ensure_scope(scope)
        self._known_scopes.add(scope)

    @contextmanager
    def _locked(self, scope: Scope | None) -> Iterator[Replica]:
        with self._begun(self._writer, writes=True) as connection:
            replica = self._replica(connection)
            if self._is_postgresql and scope is not None:
                _lock_rows(replica, scope)
                replica.organisation.refresh(replica.connection)
            yield replica

    @contextmanager
    def snapshot(self) -> Iterator[Replica]:
        """Open a read transaction over one state of the database."""
        with self._begun(self._reader, writes=False) as connection:
            yield self._replica(connection)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a read transaction for Core selects."""
        with self._begun(self._reader, writes=False) as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._writer.dispose()
        self._reader.dispose()


def _as_ours(error: Exception, file: Path | None) -> EdgetillError | None:
    """Return a driver's error as what the caller must do; by class name, which DB-API 2.0 fixes for every driver."""
    names = {parent.__name__ for parent in type(error).__mro__}
    text = str(error.orig) if isinstance(error, sa.exc.DBAPIError) else str(error)
    if "DataError" in names:
        return RefusalError("entry_unstorable", "an entry holds text that this database cannot store")
    if "OperationalError" in names and re.search(r"locked|busy|could not serialize|deadlock", text):
        return TransientError("store_busy", "the store is busy: try again")
    is_full = "disk I/O" in text and file is not None and is_disk_full(file)
    if is_full or re.search(r"disk is full|No space left", text):
        return TransientError("store_full", "the hub's disk is full: nothing was recorded; free some space")
    if "OperationalError" in names and re.search(r"readonly|read-only|unable to open", text):
        return TransientError("store_read_only", "the hub's database is read-only: nothing was recorded")
    if "OperationalError" in names and "disk I/O" in text:
        return CorruptionError("store_damaged", f"the hub's disk fails: {text}")
    if "DatabaseError" in names and re.search(r"malformed|not a database", text):
        return CorruptionError("store_corrupt", f"the store contradicts itself: {text}")
    return None


def _lock_rows(replica: Replica, scope: Scope) -> None:
    connection = replica.connection
    if scope == ORG:
        connection.execute("SELECT scope_no FROM scope ORDER BY scope_no FOR UPDATE").fetchall()
        connection.execute("SELECT stream_no FROM stream ORDER BY scope_no, stream_no FOR UPDATE").fetchall()
        return
    number = replica.log.ensure_scope(scope)
    connection.execute("SELECT scope_no FROM scope WHERE scope_no = ? FOR UPDATE", (number,)).fetchall()
    connection.execute(
        "SELECT stream_no FROM stream WHERE scope_no = ? ORDER BY stream_no FOR UPDATE", (number,)
    ).fetchall()


def open_store(
    url: str, folder: Path, organisation: Callable[[], Organisation], folds: Callable[[Organisation], Sequence[Fold]]
) -> SqlStore:
    """Open the store that a URL names: a file name within the hub's folder, or `postgresql+psycopg://…`.

    Raises RefusalError for a SQLite that may corrupt its file, and for a database newer than this release.
    """
    if url.startswith("postgresql"):
        try:
            writer = sa.create_engine(url, isolation_level="READ COMMITTED", pool_size=_READERS)
        except ModuleNotFoundError:
            raise RefusalError("driver_missing", "PostgreSQL needs the package psycopg, which is not here") from None
        reader = writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return SqlStore(writer, reader, organisation, folds)
    if "://" in url:
        raise RefusalError("database_unknown", f"the store runs on a SQLite file or PostgreSQL, not on {url}")
    if is_affected_sqlite(sqlite_driver.sqlite_version_info):
        raise RefusalError("sqlite_affected", f"SQLite {sqlite_driver.sqlite_version} may corrupt this file")
    path = folder / url
    return SqlStore(
        _sqlite_engine(path, connections=1, read_only=False),
        _sqlite_engine(path, connections=_READERS, read_only=True),
        organisation,
        folds,
        path,
    )


def _sqlite_engine(path: Path, *, connections: int, read_only: bool) -> sa.Engine:
    def connect() -> Any:
        raw = sqlite_driver.connect(str(path), isolation_level=None, check_same_thread=False, cached_statements=256)
        raw.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("PRAGMA recursive_triggers=ON")
        raw.execute("PRAGMA cache_size=-65536")
        if read_only:
            raw.execute("PRAGMA query_only=ON")
        state = (raw.execute("PRAGMA journal_mode").fetchone()[0], raw.execute("PRAGMA synchronous").fetchone()[0])
        if state != ("wal", 2):
            raise CorruptionError("store_unsafe", f"SQLite runs with {state}: an acknowledged entry could be lost")
        return raw

    engine = sa.create_engine(
        "sqlite://",
        module=sqlite_driver,
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_MS / 1000,
    )

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
