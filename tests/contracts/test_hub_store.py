"""What every store of the hub must do, whichever database is behind it."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
import sqlcipher3.dbapi2 as sqlcipher
from psycopg import errors

import hub
from hub import pool, tables
from hub import postgresql as postgresql_store
from hub import sqlite as sqlite_store
from hub.own_log import OwnLog
from hub.pool import UndoneError
from hub.sales import SalesFold
from hub.store import NONCES_KEPT_MS, HubStore, SqlStore, forget_nonces, open_store, parse_database
from schema.errors import EdgetillError, RefusalError, TransientError
from schema.identity import ORG, NodeId, Scope
from schema.kinds.organisation import LocationDefined, PolicySet
from sync.organisation import Organisation
from sync.replica import Replica
from sync.signing import SigningKey
from tests.hub.databases import POSTGRESQL, fresh_postgresql
from tests.hub.fleet import now_ms, sale

SIGNER = SigningKey(bytes(range(32)))
LOG = OwnLog(SIGNER.node, now_ms)
SCOPE = Scope("loc/A")
HANG_S = 120

Opener = Callable[[], SqlStore]


@pytest.fixture
def opener(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    is_server = database_kind == POSTGRESQL
    with fresh_postgresql(request.getfixturevalue("postgresql")) if is_server else nullcontext("hub.db") as url:
        yield from _opener(url, tmp_path)


def _opener(url: str, folder: Path) -> Iterator[Opener]:
    opened: list[SqlStore] = []

    def open_one() -> SqlStore:
        store = open_store(url, folder, lambda: Organisation(SIGNER.node, SIGNER.public), lambda _: (SalesFold(),))
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Opener) -> SqlStore:
    return opener()


def count(store: HubStore) -> int:
    with store.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(tables.sale)).scalar_one())


def append_sale(store: HubStore, number: str) -> None:
    with store.transaction(SCOPE) as replica:
        LOG.append(replica, SCOPE, sale(number))


@contextmanager
def rolled_back(store: HubStore, scope: Scope) -> Iterator[Replica]:
    """Open a transaction that fails after its body."""
    with contextlib.suppress(ZeroDivisionError), store.transaction(scope) as replica:
        yield replica
        raise ZeroDivisionError


def test_a_transaction_commits_whole(store: HubStore) -> None:
    append_sale(store, "1")
    assert count(store) == 1
    with store.snapshot() as replica:
        (row,) = replica.log.streams(SCOPE)
        assert replica.log.verify_chain(row) == 1


def test_a_failed_transaction_leaves_no_trace_and_the_next_one_is_right(store: HubStore) -> None:
    with rolled_back(store, SCOPE) as replica:
        LOG.append(replica, SCOPE, sale("1"))
    with store.transaction(Scope("loc/B")) as replica:
        LOG.append(replica, Scope("loc/B"), sale("b"))
    append_sale(store, "2")
    assert count(store) == 2
    with store.snapshot() as replica:
        assert sorted(replica.log.scopes()) == ["loc/A", "loc/B", "org"]
        assert [row.head.seq for row in replica.rows()] == [1, 1]


def test_a_grant_of_a_failed_transaction_is_not_believed(store: HubStore) -> None:
    with rolled_back(store, ORG) as replica:
        LOG.append(replica, ORG, LocationDefined("A", "never", "shop"))
        assert replica.organisation.newest(replica.connection, LocationDefined, "A")
    with store.transaction(ORG) as replica:
        LOG.append(replica, ORG, LocationDefined("B", "is", "shop"))
        assert set(replica.organisation.newest_each(replica.connection, LocationDefined)) == {"B"}


def test_a_snapshot_sees_one_state(store: HubStore) -> None:
    append_sale(store, "1")
    with store.snapshot() as replica:
        before = replica.log.heads(SCOPE)
        append_sale(store, "2")
        assert replica.log.heads(SCOPE) == before
    with store.snapshot() as replica:
        assert replica.log.heads(SCOPE) != before


def test_a_snapshot_cannot_write(store: HubStore) -> None:
    append_sale(store, "1")
    with pytest.raises(Exception, match=r"readonly|read-only"), store.snapshot() as replica:
        replica.connection.execute("DELETE FROM sale")
    assert count(store) == 1


def test_many_writers_of_one_scope_make_one_chain(opener: Opener) -> None:
    stores = [opener(), opener()]
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for number in range(10):
                append_sale(stores[writer % 2], f"{writer}-{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with stores[0].snapshot() as replica:
        (row,) = replica.log.streams(SCOPE)
        assert replica.log.verify_chain(row) == 60
    assert count(stores[1]) == 60


def test_writers_of_several_scopes_and_of_the_organisation_do_not_block_each_other_for_ever(opener: Opener) -> None:
    stores = [opener(), opener()]
    failures: list[BaseException] = []
    policy = PolicySet("", tolerance_milli=0, tolerance_ppm=0, disagreement="latest", ambiguous="midpoint")

    def write(writer: int) -> None:
        scope = ORG if writer == 0 else Scope(f"loc/{writer}")
        try:
            for number in range(10):
                with stores[writer % 2].transaction(scope) as replica:
                    LOG.append(replica, scope, policy if scope == ORG else sale(str(number)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
    assert not any(thread.is_alive() for thread in threads)
    assert not failures
    with stores[0].snapshot() as replica:
        assert sorted(replica.log.verify_chain(row) for row in replica.rows()) == [10] * 5


def test_a_store_opened_again_holds_the_same(opener: Opener) -> None:
    first = opener()
    append_sale(first, "1")
    first.close()
    assert count(opener()) == 1


def test_a_bound_broken_in_a_transaction_refuses_the_entry(store: HubStore) -> None:
    with pytest.raises(RefusalError), store.transaction(SCOPE) as replica:
        LOG.append(replica, SCOPE, sale("x" * 200))
    assert count(store) == 0


def test_an_unknown_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match="SQLite file or PostgreSQL"):
        open_store("mysql://x", tmp_path, lambda: Organisation(SIGNER.node, SIGNER.public), lambda _: ())


@pytest.mark.parametrize(
    ("on_sqlite", "on_postgresql", "code"),
    [
        (sqlcipher.OperationalError("database or disk is full"), errors.DiskFull("no space left"), "store_full"),
        (sqlcipher.OperationalError("disk I/O error"), errors.IoError("could not read block 7"), "store_damaged"),
        (
            sqlcipher.OperationalError("attempt to write a readonly database"),
            errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
            "store_read_only",
        ),
    ],
    ids=["full", "failing", "read-only"],
)
def test_a_disk_that_takes_no_more_is_one_sentence_and_nodes_try_again(
    store: SqlStore, on_sqlite: Exception, on_postgresql: Exception, code: str
) -> None:
    with pytest.raises(EdgetillError) as raised, store.transaction(SCOPE):
        raise on_postgresql if store.is_postgresql else on_sqlite
    assert raised.value.code == code
    assert "sqlalche" not in raised.value.message


def test_a_postgresql_without_its_driver_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "hub.postgresql", raising=False)
    monkeypatch.delattr(hub, "postgresql", raising=False)
    with pytest.raises(RefusalError) as refused:
        open_store("postgresql+psycopg://nobody@/none", tmp_path, lambda: Organisation(NodeId("h"), b""), lambda _: ())
    assert refused.value.code == "driver_missing"


STATEMENTS = [
    "INSERT INTO person_key (person, key) VALUES (?, ?)",
    "INSERT INTO person_key (person, key) VALUES (?, ?) ON CONFLICT DO NOTHING",
    "INSERT INTO person_key AS p (person, key) VALUES (?, ?) ON CONFLICT (person) DO UPDATE SET key = excluded.key",
]


def people(store: HubStore) -> list[tuple[str, bytes]]:
    with store.snapshot() as replica:
        rows = replica.connection.execute("SELECT person, key FROM person_key ORDER BY person").fetchall()
    return [(str(person), bytes(key)) for person, key in rows]


@pytest.mark.parametrize("count", [1, 2, 39, 40, 300])
def test_many_rows_arrive_as_they_are_however_many_there_are(store: SqlStore, count: int) -> None:
    rows = [(f"人{number:04d}'\\\t\n\"", bytes([number % 256]) * (number % 70)) for number in range(count)]
    for sql in STATEMENTS:
        with store.transaction(None) as replica:
            replica.connection.execute("DELETE FROM person_key")
            replica.connection.executemany(sql, rows)
        assert people(store) == sorted(rows)


@pytest.mark.parametrize("count", [3, 60])
def test_rows_that_name_one_another_do_what_they_do_one_after_the_other(store: SqlStore, count: int) -> None:
    rows = [(f"p{number % (count // 3)}", bytes([number])) for number in range(count)]
    upsert = STATEMENTS[2]
    with store.transaction(None) as replica:
        replica.connection.executemany(STATEMENTS[1], rows)
    assert dict(people(store)) == dict(reversed(rows))
    with store.transaction(None) as replica:
        replica.connection.executemany(upsert, rows)
    assert dict(people(store)) == dict(rows)
    with store.transaction(None) as replica:
        replica.connection.executemany(
            "UPDATE person_key SET key = ? WHERE person = ?", [(k, p) for p, k in rows[::-1]]
        )
    assert dict(people(store)) == dict(reversed(rows))
    with store.transaction(None) as replica:
        replica.connection.executemany("DELETE FROM person_key WHERE person = ?", [(p,) for p, _ in rows[: count // 2]])
    assert dict(people(store)) == {p: k for p, k in reversed(rows) if p not in {p for p, _ in rows[: count // 2]}}
    with pytest.raises(Exception, match=r"(?i)unique"), store.transaction(None) as replica:
        replica.connection.executemany(STATEMENTS[0], rows)


def test_rows_with_nothing_in_a_column_and_rows_with_constants_arrive(store: SqlStore) -> None:
    for count in (2, 50):
        with store.transaction(None) as replica:
            replica.connection.execute("DELETE FROM node_contact")
            replica.connection.executemany(
                "INSERT INTO node_contact (node, last_ms, offset_ms, offset_unc_ms, release, entries, bytes_in,"
                " bytes_out, status) VALUES (?, ?, ?, ?, ?, 0, 0, 7, ?)",
                [(f"n{n:02d}", -n, None if n % 2 else n << 40, None, "", "") for n in range(count)],
            )
        with store.reading() as connection:
            rows = connection.execute(sa.select(tables.node_contact).order_by(tables.node_contact.c.node)).all()
        assert [tuple(row)[1:8] for row in rows] == [
            (-n, None if n % 2 else n << 40, None, "", 0, 0, 7) for n in range(count)
        ]


def test_a_list_of_any_length_is_asked_for(store: SqlStore) -> None:
    with store.transaction(None) as replica:
        replica.connection.executemany(STATEMENTS[0], [(f"p{n}", b"") for n in range(500)])
    with store.snapshot() as replica:
        for count in (1, 2, 499):
            marks = ", ".join("?" * count)
            sql = f"SELECT person FROM person_key WHERE key = ? AND person IN ({marks}) AND person <> ?"
            wanted = [f"p{n}" for n in range(count)]
            assert len(replica.connection.execute(sql, (b"", *wanted, "p0")).fetchall()) == count - 1


def test_an_unstorable_text_is_refused_by_name(store: SqlStore) -> None:
    if not store.is_postgresql:  # SQLite stores it
        return
    for rows in ([("a\0b", b"")], [("a\0b", b""), ("c", b"")], [(f"p{n}\0", b"") for n in range(50)]):
        with pytest.raises(RefusalError) as refused, store.transaction(None) as replica:
            replica.connection.executemany(STATEMENTS[0], rows)
        assert refused.value.code == "entry_unstorable"
    assert people(store) == []


def test_a_request_is_new_to_all_processes_once(opener: Opener) -> None:
    first = opener()
    second = opener() if first.is_postgresql else first
    assert first.is_first("n1", 1_000)
    assert not second.is_first("n1", 2_000)
    assert second.is_first("n2", 2_000)
    assert not first.is_first("n2", 2_000)


def test_nonces_are_forgotten_after_a_day(postgresql: str, tmp_path: Path) -> None:
    with fresh_postgresql(postgresql) as url:
        for opened in _opener(url, tmp_path):
            store = opened()
            assert store.is_first("old", 0)
            assert store.is_first("new", NONCES_KEPT_MS)
            store.attempt(None, lambda replica: forget_nonces(replica.connection, NONCES_KEPT_MS + 1))
            assert store.is_first("old", NONCES_KEPT_MS + 1)
            assert not store.is_first("new", NONCES_KEPT_MS + 1)


def test_a_lock_that_is_held_for_too_long_is_busy(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "WAIT_S", 0.2)
    monkeypatch.setattr(postgresql_store, "SETTINGS", postgresql_store.SETTINGS.replace("5000;", "200;", 1))
    monkeypatch.setattr(sqlite_store, "BUSY_TIMEOUT_MS", 200)
    first, second = opener(), opener()
    with first.transaction(SCOPE) as replica:
        LOG.append(replica, SCOPE, sale("1"))
        with pytest.raises(TransientError) as busy:
            append_sale(second, "2")
        assert busy.value.code == "store_busy"
    append_sale(second, "2")
    assert count(first) == 2


def on_postgresql(server: str, folder: Path) -> Iterator[tuple[SqlStore, str]]:
    with fresh_postgresql(server) as url:
        for opened in _opener(url, folder):
            yield opened(), url


def test_transactions_in_each_others_way_are_done_again_until_both_are_done(postgresql: str, tmp_path: Path) -> None:
    for store, _ in on_postgresql(postgresql, tmp_path):
        with store.transaction(None) as replica:
            replica.connection.executemany(STATEMENTS[0], [("a", b""), ("b", b"")])
        meeting = threading.Barrier(2, timeout=HANG_S)
        tries: list[str] = []

        def work(replica: Replica, order: str, meeting: threading.Barrier = meeting, tries: list[str] = tries) -> None:
            tries.append(order)
            for person in order:
                replica.connection.execute("UPDATE person_key SET key = key || ? WHERE person = ?", (b"x", person))
                if person == order[0] and tries.count(order) == 1:
                    meeting.wait()

        threads = [
            threading.Thread(target=store.attempt, args=(None, lambda replica, order=order: work(replica, order)))
            for order in ("ab", "ba")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG_S)
        assert len(tries) == 3, "one of the two was undone once"
        assert people(store) == [("a", b"xx"), ("b", b"xx")]


def test_a_database_that_went_away_is_busy_and_is_back_without_a_restart(postgresql: str, tmp_path: Path) -> None:
    for store, url in on_postgresql(postgresql, tmp_path):
        append_sale(store, "1")
        with store.reading() as connection:
            connection.execute(sa.select(tables.sale)).all()
        with gone(postgresql, url):
            refused: list[str] = []
            for ask in (partial(append_sale, store, "2"), partial(count, store), partial(store.is_first, "n", 0)):
                try:
                    ask()
                except TransientError as error:
                    refused.append(error.code)
            assert refused == ["store_away"] * 3
            with pytest.raises(TransientError), store.snapshot():
                pass
        append_sale(store, "2")
        assert count(store) == 2
        # Lost in the middle of a transaction, and as it commits.
        with pytest.raises(TransientError), store.transaction(SCOPE) as replica:  # noqa: PT012
            LOG.append(replica, SCOPE, sale("3"))
            terminate(postgresql, url)
            LOG.append(replica, SCOPE, sale("4"))
        with pytest.raises(TransientError), store.transaction(SCOPE) as replica:  # noqa: PT012
            LOG.append(replica, SCOPE, sale("3"))
            terminate(postgresql, url)
        append_sale(store, "3")
        assert count(store) == 3


def terminate(server: str, url: str) -> None:
    """End every connection to a database, as a restart of its server does."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    name = sa.make_url(url).database
    with engine.connect() as connection:
        connection.exec_driver_sql(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
        )
    engine.dispose()


@contextmanager
def gone(server: str, url: str) -> Iterator[None]:
    """Have a database take no connection for a while."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    name = sa.make_url(url).database
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        terminate(server, url)
        yield
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    engine.dispose()


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        ("hub.db", "hub.db"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgres://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require"),
        ("postgresql+psycopg://u@h/d", "postgresql://u@h/d"),
    ],
)
def test_a_database_is_named_in_one_way(given: str, opened: str) -> None:
    assert parse_database(given) == opened


def test_a_postgresql_that_refuses_is_one_sentence_without_its_password(postgresql: str, tmp_path: Path) -> None:
    url = sa.make_url(postgresql).set(drivername="postgresql", database="none_such", password="hidden")
    with pytest.raises(EdgetillError) as refused:
        open_store(
            url.render_as_string(hide_password=False), tmp_path, lambda: Organisation(NodeId("h"), b""), lambda _: ()
        )
    assert refused.value.code in {"database_refused", "store_away"}
    assert "hidden" not in refused.value.message


def test_a_steady_transaction_sees_one_state_and_is_undone_where_another_changed_what_it_writes(
    postgresql: str, tmp_path: Path
) -> None:
    for store, _ in on_postgresql(postgresql, tmp_path):
        with store.transaction(None) as replica:
            replica.connection.executemany(STATEMENTS[0], [("a", b""), ("b", b"")])
        with pytest.raises(UndoneError), store.transaction(None, is_steady=True) as steady:  # noqa: PT012
            before = steady.connection.execute("SELECT person, key FROM person_key ORDER BY person").fetchall()
            with store.transaction(None) as replica:
                replica.connection.execute("UPDATE person_key SET key = ? WHERE person = ?", (b"x", "a"))
            assert steady.connection.execute("SELECT person, key FROM person_key ORDER BY person").fetchall() == before
            steady.connection.execute("UPDATE person_key SET key = ? WHERE person = ?", (b"y", "b"))
            steady.connection.execute("UPDATE person_key SET key = ? WHERE person = ?", (b"y", "a"))
        assert people(store) == [("a", b"x"), ("b", b"")]
