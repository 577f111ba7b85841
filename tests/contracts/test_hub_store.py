"""What every store of the hub must do, whichever database is behind it."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import sqlalchemy as sa
import sqlcipher3.dbapi2 as sqlcipher
from psycopg import errors

import hub
from hub import tables
from hub.own_log import OwnLog
from hub.sales import SalesFold
from hub.store import HubStore, SqlStore, open_store
from schema.errors import EdgetillError, RefusalError
from schema.identity import ORG, NodeId, Scope
from schema.kinds.organisation import LocationDefined, PolicySet
from sync.organisation import Organisation
from sync.replica import Replica
from sync.signing import SigningKey
from tests.hub.databases import fresh_postgresql
from tests.hub.fleet import now_ms, sale

SIGNER = SigningKey(bytes(range(32)))
LOG = OwnLog(SIGNER.node, now_ms)
SCOPE = Scope("loc/A")
HANG_S = 120

Opener = Callable[[], SqlStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    is_server = request.param == "postgresql"
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
