"""The hub's store: transactions, locks and snapshots over SQLite or PostgreSQL, handing out replicas of the log.

Ingest and use cases work on replicas over the driver's own connections, because they spend their time there;
reports read through SQLAlchemy Core. Nothing outside `hub.store`, `hub.sqlite` and `hub.postgresql` knows which of
the two databases answers.
"""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import sqlalchemy as sa
import sqlcipher3.dbapi2 as sqlite_driver
from sqlalchemy.pool import QueuePool

from hub import sqlite
from hub.pool import WAIT_S, Pool, StoreConnection, UndoneError
from schema.database import Connection, migrate, read_migrations
from schema.errors import EdgetillError, RefusalError, TransientError
from schema.identity import ORG, Scope
from sync.effective import Fold
from sync.entry import Entry
from sync.organisation import Organisation
from sync.replica import Replica

T = TypeVar("T")
BeforeCommit = Callable[[Sequence[Entry]], None]
"""Told of what the hub itself appended in a transaction, just before that commits."""

PARTS: Final = ("replica", "hub")
"""The migrations that make a hub's database; PostgreSQL has more, which say how it stores the same tables."""
NONCES_KEPT_MS: Final = 24 * 3_600_000
_MIGRATING_MS: Final = 10 * 60_000
_WRITERS: Final = 8
_READERS: Final = 8
_CORE_READERS: Final = 6
_TRIES: Final = 5
_NONCES_MAX: Final = 65_536


class HubStore(Protocol):
    """What the hub asks of its store; every implementation passes one contract suite.

    Any number of processes may work on one PostgreSQL database: nothing that matters is kept in memory.
    Every method raises TransientError where a later try may succeed: `store_busy`, `store_away` (the database
    cannot be reached), `store_full`, `store_read_only`.
    """

    @property
    def is_postgresql(self) -> bool:
        """Tell whether several processes may work on it, and in which form its catalogue lists the tables."""
        ...

    def transaction(self, scope: Scope | None, *, is_steady: bool = False) -> AbstractContextManager[Replica]:
        """Open a write transaction that holds the scope's lock; it commits whole or leaves no trace.

        Locking `org` locks every scope, because grants and policies judge entries everywhere anew; None locks
        no scope, for the hub's own tables beside the log. What is not locked may change between two statements,
        unless the transaction `is_steady`: then all of them see one state, and it is undone (`UndoneError`) where
        another process changed what it writes. Raises TransientError `store_busy` when the lock is not to be had
        in time.
        """
        ...

    def attempt(self, scope: Scope | None, work: Callable[[Replica], T]) -> T:
        """Do work in such a transaction, and again from its start where the database undid it for another's sake."""
        ...

    def snapshot(self) -> AbstractContextManager[Replica]:
        """Open a read transaction over one state of the database."""
        ...

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Open a read transaction for Core selects."""
        ...

    def is_first(self, nonce: str, now_ms: int) -> bool:
        """Note a request's nonce; tells whether no process of this hub noted it within the last day."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class SqlStore:
    """The store on pools of the driver's connections, with a SQLAlchemy engine beside them for reports."""

    def __init__(
        self,
        writers: Pool,
        readers: Pool,
        engine: sa.Engine,
        as_ours: Callable[[Exception], EdgetillError | None],
        organisation: Callable[[], Organisation],
        folds: Callable[[Organisation], Sequence[Fold]],
        *,
        is_postgresql: bool,
        before_commit: BeforeCommit | None = None,
    ) -> None:
        self._before_commit = before_commit
        self._writers = writers
        self._readers = readers
        self._engine = engine
        self._as_ours = as_ours
        self._organisation = organisation
        self._folds = folds
        self._is_postgresql = is_postgresql
        self._nonces: OrderedDict[str, None] = OrderedDict()
        self._nonces_lock = threading.Lock()
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @property
    def is_postgresql(self) -> bool:
        """Tell whether this is PostgreSQL."""
        return self._is_postgresql

    def _migrate(self) -> None:
        with self._writers.lease() as connection, self._begun(connection, writes=True):
            if self.is_postgresql:
                connection.execute(f"SET LOCAL lock_timeout = {_MIGRATING_MS}")
                connection.execute("SELECT 1 FROM pg_advisory_xact_lock(1161971028)")
            parts = (*PARTS, "postgresql") if self.is_postgresql else PARTS
            migrate(connection, read_migrations(*parts), is_postgresql=self.is_postgresql)
            Replica(connection, self._organisation(), ()).log.ensure_scope(ORG)

    def _replica(self, connection: StoreConnection) -> Replica:
        # One replica per connection, so that what it remembers of numbers and grants is never shared by threads.
        replica = connection.replica
        if replica is None:
            organisation = self._organisation()
            replica = connection.replica = Replica(connection, organisation, self._folds(organisation))
        return replica

    @contextmanager
    def _begun(self, connection: StoreConnection, *, writes: bool, is_steady: bool = False) -> Iterator[None]:
        """Run a transaction to its commit, and tell what went wrong in the store's own words."""
        try:
            connection.begin(writes=writes, is_steady=is_steady)
            yield
        except BaseException as error:
            # Numbers and versions given in a transaction that never was must not be believed again.
            if writes:
                connection.replica = None
            connection.rollback()
            self._raise_ours(error, connection)
            raise
        try:
            connection.commit()
        except Exception as error:
            connection.replica = None
            connection.rollback()
            self._raise_ours(error, connection)
            raise

    def _raise_ours(self, error: BaseException, connection: StoreConnection) -> None:
        if isinstance(error, EdgetillError) or not isinstance(error, Exception):
            return
        if not connection.is_usable:  # lost: those that wait beside it are of the same server
            self._writers.close()
            self._readers.close()
        ours = self._as_ours(error)
        if ours is not None:
            raise ours from error

    @contextmanager
    def transaction(self, scope: Scope | None, *, is_steady: bool = False) -> Iterator[Replica]:
        """Open a write transaction that holds the scope's lock."""
        with self._writers.lease() as connection, self._begun(connection, writes=True, is_steady=is_steady):
            replica = self._replica(connection)
            if self.is_postgresql and scope is not None:
                lock_rows(replica, scope)
            replica.organisation.settle(connection)
            appended: list[Entry] = []
            replica.on_append = appended.append
            yield replica
            if appended and self._before_commit is not None:
                self._before_commit(appended)

    def attempt(self, scope: Scope | None, work: Callable[[Replica], T]) -> T:
        """Do work in such a transaction, and again from its start where the database undid it for another's sake."""
        for left in range(_TRIES - 1, -1, -1):
            try:
                with self.transaction(scope) as replica:
                    return work(replica)
            except UndoneError:
                if not left:
                    raise
                time.sleep(random.random() / 20)  # noqa: S311 - so that two that met do not meet again
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def snapshot(self) -> Iterator[Replica]:
        """Open a read transaction over one state of the database."""
        with self._readers.lease() as connection, self._begun(connection, writes=False):
            replica = self._replica(connection)
            replica.organisation.settle(connection)
            yield replica

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a read transaction for Core selects."""
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except sa.exc.TimeoutError as error:
            raise TransientError("store_busy", "every connection of the store is in use: try again") from error
        except sa.exc.DBAPIError as error:
            ours = self._as_ours(error.orig) if isinstance(error.orig, Exception) else None
            if ours is None:
                raise
            raise ours from error

    def is_first(self, nonce: str, now_ms: int) -> bool:
        """Note a request's nonce; tells whether no process of this hub noted it before."""
        if not self.is_postgresql:  # one process serves a file
            with self._nonces_lock:
                is_new = nonce not in self._nonces
                self._nonces[nonce] = None
                while len(self._nonces) > _NONCES_MAX:
                    self._nonces.popitem(last=False)
            return is_new
        with self._readers.lease() as connection:
            try:
                noted = connection.execute(
                    "INSERT INTO request_nonce (nonce, noted_ms) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1",
                    (nonce, now_ms),
                ).fetchone()
            except Exception as error:
                self._raise_ours(error, connection)
                raise
        return noted is not None

    def close(self) -> None:
        """Close every connection."""
        self._writers.close()
        self._readers.close()
        self._engine.dispose()


def forget_nonces(connection: Connection, now_ms: int) -> None:
    """Forget nonces that are too old to be asked for."""
    connection.execute("DELETE FROM request_nonce WHERE noted_ms < ?", (now_ms - NONCES_KEPT_MS,))


def lock_rows(replica: Replica, scope: Scope) -> None:
    """Lock a scope's row, then the heads of its streams in order; for `org` the rows of all scopes."""
    connection, log = replica.connection, replica.log
    if scope == ORG:
        connection.execute("SELECT scope_no FROM scope ORDER BY scope_no FOR UPDATE")
        return
    number = log.scope_no(scope)
    if number is None:
        # Who gives a scope its number holds the row of `org`, so no two of them count from the same highest.
        connection.execute("SELECT scope_no FROM scope WHERE scope = ? FOR UPDATE", (ORG,))
        number = log.ensure_scope(scope)
    connection.execute(
        "WITH held AS (SELECT scope_no FROM scope WHERE scope_no = ? FOR UPDATE) SELECT stream_no FROM stream"
        " WHERE scope_no = (SELECT scope_no FROM held) ORDER BY stream_no FOR UPDATE",
        (number,),
    )


def parse_database(database: str) -> str:
    """Return a database as it is opened: a file name, or a PostgreSQL URL as libpq reads it.

    Raises RefusalError `database_unknown`.
    """
    scheme, found, rest = database.partition("://")
    if not found:
        return database
    if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise RefusalError("database_unknown", f"the store runs on a SQLite file or PostgreSQL, not on {scheme}://…")
    return f"postgresql://{rest}"


def open_store(
    database: str,
    folder: Path,
    organisation: Callable[[], Organisation],
    folds: Callable[[Organisation], Sequence[Fold]],
    before_commit: BeforeCommit | None = None,
) -> SqlStore:
    """Open the store that a setting names: a file name within the hub's folder, or `postgresql://…`.

    Raises RefusalError for a SQLite that may corrupt its file, for a database newer than this release and for one
    that refuses the hub; TransientError `store_away` where it cannot be reached.
    """
    name = parse_database(database)
    if name.startswith("postgresql://"):
        return _open_postgresql(name, organisation, folds, before_commit)
    sqlite.check_version()
    path = folder / name

    def as_ours(error: Exception) -> EdgetillError | None:
        return sqlite.as_ours(error, path)

    return SqlStore(
        Pool(lambda: sqlite.SqliteConnection(path, reads_only=False), 1, as_ours),
        Pool(lambda: sqlite.SqliteConnection(path, reads_only=True), _READERS, as_ours),
        _sqlite_engine(path),
        as_ours,
        organisation,
        folds,
        is_postgresql=False,
        before_commit=before_commit,
    )


def _open_postgresql(
    url: str,
    organisation: Callable[[], Organisation],
    folds: Callable[[Organisation], Sequence[Fold]],
    before_commit: BeforeCommit | None,
) -> SqlStore:
    try:
        from hub import postgresql
    except ImportError:
        raise RefusalError("driver_missing", "PostgreSQL needs the package psycopg, which is not here") from None
    writers = Pool(lambda: postgresql.PostgresqlConnection(url), _WRITERS, postgresql.as_ours)
    readers = Pool(lambda: postgresql.PostgresqlConnection(url, syncs_disk=False), _READERS, postgresql.as_ours)
    engine = sa.create_engine(
        url.replace("postgresql:", "postgresql+psycopg:", 1),
        isolation_level="REPEATABLE READ",
        pool_size=_CORE_READERS,
        max_overflow=0,
        pool_timeout=WAIT_S,
        pool_pre_ping=True,
        connect_args={"connect_timeout": postgresql.CONNECT_S},
    ).execution_options(postgresql_readonly=True)
    return SqlStore(
        writers,
        readers,
        engine,
        postgresql.as_ours,
        organisation,
        folds,
        is_postgresql=True,
        before_commit=before_commit,
    )


def _sqlite_engine(path: Path) -> sa.Engine:
    def connect() -> Any:
        return sqlite.connect(path, reads_only=True)

    engine = sa.create_engine(
        "sqlite://",
        module=sqlite_driver,
        creator=connect,
        poolclass=QueuePool,
        pool_size=_CORE_READERS,
        max_overflow=0,
        pool_timeout=WAIT_S,
    )

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
