"""A hub on a bad day: its database goes away, its disk is full, a migration breaks; pages say so and nodes go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub import postgresql as postgresql_store
from hub import sqlite as sqlite_store
from hub.own_log import parse_location
from hub.pool import StoreConnection
from hub.service import Hub, init_hub, open_hub, serving
from hub.store import PARTS, SqlStore, parse_database
from hub.tokens import create_token
from schema.database import migrate, read_migrations
from schema.errors import TransientError
from sync.messages import encode_request
from tests.hub.conflicting import Chain
from tests.hub.databases import POSTGRESQL, OwnServer, postgresql_programs
from tests.hub.desk import DeskClient, at_the_desk, make_account, text_of
from tests.hub.fleet import receipts_at

COLA = {
    "code": "D-1",
    "category": "drinks",
    "name": "可乐",
    "unit": "pc",
    "unit_name": "瓶",
    "tax": "13",
    "active": "1",
}
SOLD = 300
"""So many sales no corner of a full file holds."""
PLACES = ("A:Riverside:shop", "B:Old Town:shop", "W:Warehouse:warehouse")


def tries_everything(desk: DeskClient, chain: Chain, token: str, words: str) -> None:
    """Ask for what changes something: the page keeps what was typed, the API says when to come again, nodes wait."""
    page = desk.post("/product-new", COLA)
    assert page.status_code in {422, 503}, page.status_code
    assert words in text_of(page)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    told = desk.http.post("/v1/products", json={"code": "D-2", "category": "drinks", "name": "x"}, headers=headers)
    assert (told.status_code, told.headers["retry-after"]) == (503, "2"), told.text
    assert told.headers["content-type"] == "application/problem+json"
    for _ in range(SOLD):
        chain.sell(chain.a1, "11006", 1)
    body = chain.a1.request([chain.a1.batch()])
    assert chain.a1.send(chain.client, encode_request(body)).status_code == 429


def goes_on(desk: DeskClient, chain: Chain, token: str) -> None:
    """Do the same again: nothing was half done before, and all of it is done now."""
    assert desk.get("/products/D-1").status_code == 404
    desk.get("/product-new")
    assert desk.post("/product-new", COLA).status_code == 303
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    told = desk.http.post("/v1/products", json={"code": "D-2", "category": "drinks", "name": "x"}, headers=headers)
    assert told.status_code == 201, told.text
    before = len(receipts_at(chain.hub, "A"))
    assert chain.a1.sync(chain.client).is_complete
    assert len(receipts_at(chain.hub, "A")) == before + SOLD


def prepared(hub: Hub, client: httpx.Client) -> tuple[Chain, str]:
    chain = Chain(hub, client)
    chain.negative()
    chain.a1.sync(client)
    make_account(hub)
    with hub.store.transaction(None) as replica:
        return chain, create_token(replica.connection, "t", 0, scopes=["read", "catalogue"])


def test_a_database_that_went_away_is_said_on_the_page_and_everything_goes_on_when_it_is_back(tmp_path: Path) -> None:
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("no PostgreSQL is installed here: `make system-packages`")
    server = OwnServer(programs)
    try:
        server.start()
        directory = tmp_path / "hub"
        init_hub(directory, name="Lantern", locations=[parse_location(one) for one in PLACES], database=server.url)
        hub = open_hub(directory)
        try:
            with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
                chain, token = prepared(hub, client)
                with at_the_desk(url) as desk:
                    assert desk.get("/").status_code == 200
                    server.stop()
                    away = desk.get("/inbox")
                    assert away.status_code == 503
                    assert "database cannot be reached" in text_of(away)
                    # Also to somebody whose language no page was ever shown in.
                    chinese = desk.http.get("/", headers={"accept": "text/html", "accept-language": "zh"})
                    assert (chinese.status_code, "数据库" in chinese.text) == (503, True)
                    tries_everything(desk, chain, token, "database cannot be reached")
                    server.start()
                    assert desk.get("/inbox").status_code == 200
                    goes_on(desk, chain, token)
        finally:
            hub.close()
    finally:
        server.remove()


@pytest.mark.on_sqlite
def test_a_full_disk_is_said_on_the_page_and_everything_goes_on_when_there_is_room(
    hub: Hub, client: httpx.Client
) -> None:
    chain, token = prepared(hub, client)
    assert isinstance(hub.store, SqlStore)
    with at_the_desk(str(client.base_url)) as desk:
        desk.get("/product-new")
        # A file that may not grow is to SQLite what a disk without room is: "database or disk is full".
        with hub.store._writers.lease() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        assert free < 40
        fill(hub)
        tries_everything(desk, chain, token, "disk is full")
        assert desk.get("/inbox").status_code == 200
        with hub.store._writers.lease() as connection:
            connection.execute("PRAGMA max_page_count = 1000000")
            connection.execute("DELETE FROM hub_state WHERE key = 'ballast'")
        goes_on(desk, chain, token)


def fill(hub: Hub) -> None:
    """Use up what room the file still has within its pages."""
    size = 4_000_000
    while size > 10:
        try:
            with hub.store.transaction(None) as replica:
                replica.connection.execute(
                    "INSERT INTO hub_state (key, value) VALUES ('ballast', ?)"
                    " ON CONFLICT (key) DO UPDATE SET value = value || excluded.value",
                    ("x" * size,),
                )
        except TransientError:
            size //= 2


class Breaks:
    """A connection that fails at its N-th statement."""

    def __init__(self, connection: StoreConnection, at: int) -> None:
        self._connection = connection
        self._left = at

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        self._left -= 1
        if self._left < 0:
            raise OSError("no space left on device")
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        raise AssertionError("a migration is statements")


@pytest.fixture
def connection(database: str, database_kind: str, tmp_path: Path) -> Iterator[StoreConnection]:
    opened: StoreConnection = (
        postgresql_store.PostgresqlConnection(parse_database(database))
        if database_kind == POSTGRESQL
        else sqlite_store.SqliteConnection(tmp_path / database, reads_only=False)
    )
    yield opened
    opened.close()


def test_a_migration_of_a_hub_broken_at_any_statement_leaves_its_data_and_runs_again(
    connection: StoreConnection, database_kind: str
) -> None:
    is_postgresql = database_kind == POSTGRESQL
    every = read_migrations(*PARTS, *(["postgresql"] if is_postgresql else []))
    before = [one for one in every if not one[0].startswith("hub/") or one[0] < "hub/0003"]
    later = sum(len(statements) + 1 for name, statements in every if (name, statements) not in before)
    assert later > 40

    def state() -> tuple[list[Any], list[Any]]:
        connection.begin(writes=False)
        try:
            names = connection.execute("SELECT name FROM migration ORDER BY name").fetchall()
            return names, connection.execute("SELECT name, created_ms FROM api_token ORDER BY name").fetchall()
        finally:
            connection.rollback()

    connection.begin(writes=True)
    migrate(connection, before, is_postgresql=is_postgresql)
    for number in range(5):
        connection.execute(
            "INSERT INTO api_token (name, token_hash, created_ms) VALUES (?, ?, ?)", (f"t{number}", b"h", number)
        )
    connection.commit()
    old = state()
    for at in range(2, later + 2):  # the first two ask what is there
        connection.begin(writes=True)
        with pytest.raises(OSError, match="no space"):
            migrate(Breaks(connection, at), every, is_postgresql=is_postgresql)
        connection.rollback()
        assert state() == old
    connection.begin(writes=True)
    migrate(connection, every, is_postgresql=is_postgresql)
    connection.commit()
    names, tokens = state()
    assert len(names) == len(every)
    assert tokens == old[1]
