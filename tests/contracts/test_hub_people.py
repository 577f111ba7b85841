"""Balances, findings, drafts, tenders and statements do the same on every database, also under concurrent writers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest

from hub.balances import BalanceFold, balances_of
from hub.customers import find_person, forget_person, people_by_hash, record_customer
from hub.findings import FindingKind, FindingsFold, list_findings, note_credit_due, settle_findings
from hub.own_log import OwnLog
from hub.product_index import index_products
from hub.sales import SalesFold
from hub.statements import Statements
from hub.store import HubStore, open_store
from hub.till_reads import DraftFold, TenderFold, list_drafts, list_tenders
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, Scope
from schema.kinds.balances import BalanceMove, BalanceMoved, BalanceOpened
from schema.kinds.base import Payload, StockMove
from schema.kinds.organisation import LocationDefined, SettingDefined
from schema.kinds.stock import StockOpened
from schema.kinds.tills import ProductDrafted, TenderSettled
from schema.rows import CustomerRow
from schema.settings import ElsewhereRules, write_setting
from sync.elsewhere import (
    ALL_FAMILIES,
    BalancesTold,
    MemberKeys,
    OperatorSecrets,
    StockTold,
    asking,
    content_digest,
    digest_of,
)
from sync.messages import Statement
from sync.organisation import Organisation
from sync.signing import SigningKey, is_signed, statement_message
from sync.stock_projection import core_folds
from tests.hub.databases import fresh_postgresql
from tests.hub.fleet import sale

SIGNER = SigningKey(bytes(range(32)))
NOW = 1_790_000_000_000
LOG = OwnLog(SIGNER.node, lambda: NOW)
A, B = Scope("loc/A"), Scope("loc/B")
HANG_S = 120


@pytest.fixture(params=["sqlite", "postgresql"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], HubStore]]:
    is_server = request.param == "postgresql"
    with fresh_postgresql(request.getfixturevalue("postgresql")) if is_server else nullcontext("hub.db") as url:
        opened: list[HubStore] = []

        def open_one() -> HubStore:
            store = open_store(
                url,
                tmp_path,
                lambda: Organisation(SIGNER.node, SIGNER.public),
                lambda organisation: (
                    *core_folds(organisation, index_products), SalesFold(), BalanceFold(), FindingsFold(), DraftFold(),
                    TenderFold(),
                ),
            )  # fmt: skip
            opened.append(store)
            return store

        yield open_one
        for store in opened:
            store.close()


@pytest.fixture
def store(opener: Callable[[], HubStore]) -> HubStore:
    store = opener()
    name, value = write_setting(ElsewhereRules(balance_seconds=0, stock_minutes=0))
    for fact in (LocationDefined("A", "A", "shop"), LocationDefined("B", "B", "shop"), SettingDefined(name, "", value)):
        append(store, ORG, fact)
    return store


def append(store: HubStore, scope: Scope, payload: Payload, operation: str = "") -> str:
    with store.transaction(scope) as replica:
        return str(LOG.append(replica, scope, payload, operation).id)


def moved(store: HubStore, scope: Scope, kind: str, subject: str, amount: int) -> str:
    return append(store, scope, BalanceMoved((BalanceMove(kind, subject, amount),), "spent", "R"))


def answer(store: HubStore, location: str, *topics: tuple[str, bytes], room: int = 1 << 20) -> dict[str, Statement]:
    statements = Statements(store, SIGNER)
    statements.renew(LocationId(location), NOW)
    with store.snapshot() as replica:
        told = statements.answer(replica, statements.look(replica, LocationId(location)), topics, room, NOW)
    assert all(
        is_signed(SIGNER.public, one.signature, statement_message(one.topic, one.content)) for one in told.statements
    )
    return {one.topic: one for one in told.statements}


def families(store: HubStore, location: str) -> dict[str, bytes]:
    statements = Statements(store, SIGNER)
    statements.renew(LocationId(location), NOW)
    with store.snapshot() as replica:
        look = statements.look(replica, LocationId(location))
        told = statements.answer(replica, look, ((ALL_FAMILIES, b""),), 0, NOW)
        same = statements.answer(replica, look, ((ALL_FAMILIES, digest_of(dict(told.families))),), 0, NOW)
    assert not same.families
    return dict(told.families)


def test_balances_are_told_with_the_cut_that_they_include(store: HubStore) -> None:
    append(store, ORG, BalanceOpened("member-points", "p1", 100))
    moved(store, A, "member-points", "p1", -30)
    moved(store, B, "member-points", "p1", -20)
    moved(store, B, "till-cash", "T1", 500)
    ((topic, statement),) = answer(store, "A", (asking("balances"), b"")).items()
    told = msgspec.msgpack.decode(statement.content, type=BalancesTold)
    assert told.amounts == (("member-points", "p1", 50),)
    assert {(scope, seq) for scope, _, seq in told.cut} == {("org", 4), ("loc/A", 1), ("loc/B", 2)}
    held = (topic, content_digest(statement.content))
    assert answer(store, "A", (asking("balances"), b""), held) == {}
    moved(store, A, "member-points", "p1", -50)
    changed = answer(store, "A", (asking("balances"), b""), held)[topic]
    assert msgspec.msgpack.decode(changed.content, type=BalancesTold).amounts == ()
    assert changed.as_of_ms > statement.as_of_ms  # although the clock stood still: tills keep the newest


def test_only_the_bucket_that_changed_is_told_again(store: HubStore) -> None:
    for number in range(300):
        append(store, ORG, BalanceOpened("member-points", f"p{number}", 1 + number))
    told = answer(store, "A", (asking("balances"), b""))
    assert len(told) == 4
    assert sum(len(msgspec.msgpack.decode(one.content, type=BalancesTold).amounts) for one in told.values()) == 300
    moved(store, A, "member-points", "p7", 5)
    held = [(topic, content_digest(one.content)) for topic, one in told.items()]
    assert len(answer(store, "A", (asking("balances"), b""), *held)) == 1
    assert len(answer(store, "A", (asking("balances"), b""), room=100)) == 1


def test_each_location_has_its_operators_and_the_others_stock(store: HubStore) -> None:
    append(store, B, StockOpened("", (StockMove("P1", 7_000), StockMove("P2", 0)), "D"))
    assert set(families(store, "A")) == {"operators", "members", "balances", "places", "stock/B"}
    assert set(families(store, "B")) == {"operators", "members", "balances", "places", "stock/A"}
    (stock,) = answer(store, "A", (asking("stock/B"), b"")).values()
    assert msgspec.msgpack.decode(stock.content, type=StockTold).figures == (("P1", 7_000, 7_000, 7_000),)
    (operators,) = answer(store, "A", (asking("operators"), b"")).values()
    told = msgspec.msgpack.decode(operators.content, type=OperatorSecrets)
    assert (told.location, len(told.phone_key)) == ("A", 32)
    assert answer(store, "A", (asking("stock/A"), b"")) == {}


def test_a_forgotten_member_leaves_the_statement_and_the_tables(store: HubStore) -> None:
    with store.transaction(ORG) as replica:
        known = people_by_hash(replica)
        person = record_customer(replica, LOG, CustomerRow(code="M1", name="林", phone="13800001234"), known)
    (statement,) = answer(store, "A", (asking("members"), b"")).values()
    assert [who for who, _ in msgspec.msgpack.decode(statement.content, type=MemberKeys).keys] == [person]
    with store.transaction(ORG) as replica:
        assert find_person(replica, "13800001234") == find_person(replica, "M1") == person
        forget_person(replica, LOG, person)
    (after,) = answer(store, "A", (asking("members"), b"")).values()
    assert msgspec.msgpack.decode(after.content, type=MemberKeys).keys == ()
    with store.snapshot() as replica:
        for table in ("person_key", "member_key"):
            assert replica.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0
        with pytest.raises(RefusalError, match="no customer"):
            find_person(replica, "M1")


def test_findings_drafts_and_tenders_are_derived_alike(store: HubStore) -> None:
    append(store, ORG, BalanceOpened("member-balance", "p1", 10_000))
    moved(store, A, "member-balance", "p1", -8_000)
    moved(store, B, "member-balance", "p1", -8_000)
    moved(store, A, "customer-credit", "p1", 10)
    append(store, A, ProductDrafted("6901", "面包", 350, "o"))
    (tender,) = sale("R1").tenders
    unknown = msgspec.structs.replace(sale("R1"), tenders=(msgspec.structs.replace(tender, state="unknown"),))
    entry = append(store, A, unknown)
    with store.transaction(ORG) as replica:
        note_credit_due(replica.connection)
    assert settle_findings(store, NOW) > 0
    assert settle_findings(store, NOW) == 0
    with store.snapshot() as replica:
        found = list_findings(replica.connection)
        assert [(one.kind, one.amount) for one in found] == [
            (FindingKind.OVERSPENT, 6_000), (FindingKind.CREDIT_EXCEEDED, 10),
        ]  # fmt: skip
        assert [one.barcode for one in list_drafts(replica.connection)] == ["6901"]
        assert [one.entry for one in list_tenders(replica.connection, is_open=True)] == [entry]
    append(store, A, TenderSettled(entry, 0, "confirmed", "o"))
    with store.snapshot() as replica:
        assert list_tenders(replica.connection, is_open=True) == []


def test_what_concurrent_writers_of_several_shops_move_is_found_whoever_judges(opener: Callable[[], HubStore]) -> None:
    stores = [opener(), opener()]
    append(stores[0], ORG, BalanceOpened("member-balance", "p1", 1_000))
    failures: list[BaseException] = []

    def write(number: int) -> None:
        store, scope = stores[number % 2], (A, B, Scope("loc/C"))[number % 3]
        try:
            for turn in range(8):
                moved(store, scope, "member-balance", "p1", -100)
                if turn % 3 == number % 3:
                    settle_findings(store, NOW)
                    Statements(store, SIGNER).renew(LocationId("A"), NOW)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
    assert not any(thread.is_alive() for thread in threads)
    assert not failures
    settle_findings(stores[1], NOW)
    with stores[0].snapshot() as replica:
        (one,) = list_findings(replica.connection)
        assert (one.amount, set(one.locations)) == (3_800, {"A", "B", "C"})
        assert balances_of(replica.connection, "p1") == {"member-balance": -3_800}
        assert replica.connection.execute("SELECT count(*) FROM finding_due").fetchone()[0] == 0
