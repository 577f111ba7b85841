"""A token of one location never sees or changes another's: tried on every route of the API that there is."""

from __future__ import annotations

import re

import httpx
import msgspec
import pytest

from hub.api.calls import Route
from hub.api.every import every_route
from hub.inbox import InboxFilter, list_inbox
from hub.service import Hub
from hub.tokens import TokenScope, create_token
from tests.hub.conflicting import Chain
from tests.hub.desk import make_account

ROUTES = every_route()
EVERYTHING = [scope.value for scope in TokenScope]


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


class World:
    """A chain with conflicts, tokens of B and of everywhere, and addresses of what belongs to A."""

    def __init__(self, hub: Hub, client: httpx.Client) -> None:
        self.hub, self.client = hub, client
        self.chain = Chain(hub, client)
        self.chain.everything()
        self.chain.refunded_twice()
        with hub.store.snapshot() as replica:
            rows = list_inbox(replica, InboxFilter(), 0, 50)
        self.conflict = next(row.id for row in rows if row.location == "A")
        with hub.store.transaction(None) as replica:
            self.of_b = create_token(replica.connection, "b", 0, scopes=EVERYTHING, locations=["B"])
            self.of_all = create_token(replica.connection, "all", 0, scopes=EVERYTHING)
        sold = client.get("/v1/sales", params={"location": "A"}, headers=self.headers(self.of_all)).json()["sales"]
        self.entry = sold[0]["entry"]
        found = client.get("/v1/findings", headers=self.headers(self.of_all)).json()["findings"]
        self.refunded = next(one["subject"] for one in found if one["kind"] == "refund_exceeds")
        self.of_a = ("loc/A", '"A"', "A1-", "A2-", self.conflict, *(one["entry"] for one in sold))
        """Words that no answer for B may hold."""

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": "k", "If-Match": "*"}

    def address(self, route: Route) -> str:
        """Return the route's address about something of location A; codes are of a product that is there."""
        values = {"location": "A", "conflict": self.conflict, "entry": self.entry}
        return re.sub(r"\{(\w+):\w+\}", lambda found: values.get(found[1], "11001"), route.path)

    def ask(self, route: Route, token: str, **query: str) -> httpx.Response:
        body = None if route.body is None else example(route.body)
        return self.client.request(
            route.method, self.address(route), params=query, json=body, headers=self.headers(token)
        )

    def entries(self) -> list[tuple[str, int]]:
        with self.hub.store.snapshot() as replica:
            return replica.connection.execute("SELECT scope_no, sum(head_seq) FROM stream GROUP BY scope_no").fetchall()


def example(kind: type[msgspec.Struct]) -> dict[str, object]:
    """Return a body that fits: what a route that is added later needs is seen when it does not."""
    known = {
        "code": "N-1", "category": "drinks", "name": "x", "price_minor": 100, "act": "recount", "location": "A",
        "product": "11001",
    }  # fmt: skip
    fields = msgspec.structs.fields(kind)
    return {one.name: known[one.name] for one in fields if one.required or one.name in {"act", "location"}}


@pytest.fixture
def world(hub: Hub, client: httpx.Client) -> World:
    return World(hub, client)


def test_a_token_of_one_location_sees_nothing_of_another_on_any_route(world: World) -> None:
    shown = 0
    for route in ROUTES:
        if route.write is not None:
            continue
        whole = world.ask(route, world.of_all)
        assert whole.status_code == 200, (named(route), whole.text)
        answer = world.ask(route, world.of_b)
        is_of_a = "{location:" in route.path
        assert answer.status_code == (403 if is_of_a else 200), (named(route), answer.text)
        # B itself refunded a sale of A, and knows that one's name from the receipt.
        text = answer.text.replace(world.refunded, "")
        assert not [word for word in world.of_a if word in text], (named(route), text)
        shown += bool([word for word in world.of_a if word in whole.text])
        if "location" in route.query.__struct_fields__:
            assert world.ask(route, world.of_b, location="A").status_code == 403, named(route)
            assert world.ask(route, world.of_b, location="B").status_code == 200, named(route)
    assert shown >= 5  # the words are such as answers hold where they may


def test_a_token_of_one_location_changes_nothing_of_another_on_any_route(world: World) -> None:
    before = world.entries()
    for route in ROUTES:
        if route.write is not None:
            answer = world.ask(
                route, world.of_b, **({"unit": "pc", "from_ms": "1"} if route.method == "DELETE" else {})
            )
            assert answer.status_code == 403, (named(route), answer.text)
    assert world.entries() == before


def test_a_token_that_only_reads_changes_nothing_and_one_that_reads_nothing_sees_nothing(world: World) -> None:
    before = world.entries()
    with world.hub.store.transaction(None) as replica:
        reader = create_token(replica.connection, "reader", 0, scopes=["read"])
        writer = create_token(replica.connection, "writer", 0, scopes=["catalogue", "settle"])
    for route in ROUTES:
        if route.write is not None:
            assert world.ask(route, reader).status_code == 403, named(route)
        else:
            assert world.ask(route, writer).status_code == 403, named(route)
        assert world.ask(route, "nobody").status_code == 401, named(route)
    assert world.entries() == before


def test_a_token_whose_maker_lost_every_location_sees_none(world: World) -> None:
    operator = make_account(world.hub, "wang", "shop_manager", ["B"])
    with world.hub.store.transaction(None) as replica:
        token = create_token(replica.connection, "w", 0, scopes=EVERYTHING, locations=["A"], operator=operator)
    headers = world.headers(token)
    assert world.client.get("/v1/sales", headers=headers).json()["sales"] == []
    assert world.client.get("/v1/stock", headers=headers).json()["stock"] == []
    assert world.client.get("/v1/conflicts", headers=headers).json()["conflicts"] == []
    assert world.client.get("/v1/locations", headers=headers).json()["locations"] == []
    assert world.client.get("/v1/sales", params={"location": "A"}, headers=headers).status_code == 403
