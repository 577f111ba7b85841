"""Who may open what: every route of the desk, tried as each role, and as a shop manager of another location."""

from __future__ import annotations

import re

import httpx
import pytest

from hub.accounts import RIGHTS, Right
from hub.inbox import InboxFilter, list_inbox
from hub.pages.every import every_route
from hub.pages.visits import Route
from hub.service import Hub
from schema.identity import ORG
from tests.hub.conflicting import Chain
from tests.hub.desk import DeskClient, make_account, text_of

ROUTES = every_route()
OF_A = ("河边店", "Riverside", "A1 till", "A2 till")
"""Words that name what belongs to location A alone."""
PUBLIC = {"/sign-in", "/first-run", "/certificate", "/certificate/root.crt"}


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


class World:
    """A chain with conflicts, and addresses of what belongs to location A."""

    def __init__(self, hub: Hub, client: httpx.Client) -> None:
        self.hub = hub
        self.chain = Chain(hub, client)
        self.chain.everything()
        self.chain.refunded_twice()
        with hub.store.snapshot() as replica:
            rows = list_inbox(replica, InboxFilter(), 0, 50)
        self.conflict = next(row.id for row in rows if row.location == "A")
        for role, locations in (("owner", ()), ("administrator", ()), ("auditor", ()), ("shop_manager", ("B",))):
            make_account(hub, role.replace("_", "-"), role, locations)

    def address(self, route: Route) -> str:
        """Return the route's address about something of location A."""
        values = {
            "location": "A", "conflict": self.conflict, "product": "11001", "node": self.chain.a1.signer.node,
            "replay": "x", "login": "owner",
        }  # fmt: skip

        def fill(match: re.Match[str]) -> str:
            return values.get(match[1], "11001")

        return re.sub(r"\{(\w+):\w+\}", fill, route.path)


@pytest.fixture
def world(hub: Hub, client: httpx.Client) -> World:
    return World(hub, client)


def signed_in(client: httpx.Client, role: str) -> DeskClient:
    desk = DeskClient(client)
    client.cookies.clear()
    assert desk.sign_in(role.replace("_", "-")).status_code == 303
    return desk


def digests(hub: Hub) -> list[tuple[str, int]]:
    """Return how many entries each scope has: whatever changes anything appends one."""
    with hub.store.snapshot() as replica:
        rows = replica.connection.execute(
            "SELECT s.scope, sum(t.head_seq) FROM scope s JOIN stream t ON t.scope_no = s.scope_no GROUP BY s.scope"
        ).fetchall()
        tables = [
            (table, int(replica.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))
            for table in ("account", "api_token", "invitation")
        ]
    return sorted([(str(scope), int(count)) for scope, count in rows] + tables)


def test_without_an_account_nothing_but_the_sign_in_is_shown(world: World, client: httpx.Client) -> None:
    stranger = DeskClient(client)
    for route in ROUTES:
        if route.right is None:
            assert route.path in PUBLIC
        elif route.method == "GET":
            answer = stranger.get(world.address(route))
            assert answer.headers.get("location", "").startswith("/sign-in"), named(route)
        else:
            assert stranger.post(world.address(route)).status_code == 401, named(route)


@pytest.mark.parametrize("role", sorted(RIGHTS))
def test_a_role_opens_what_it_has_the_right_to_and_nothing_else(world: World, client: httpx.Client, role: str) -> None:
    desk = signed_in(client, role)
    before = digests(world.hub)
    for route in ROUTES:
        if route.right is None or route.path in {"/sign-out", "/account"}:
            continue
        if route.right in RIGHTS[role]:
            if route.method == "GET" and role != "shop_manager":
                answer = desk.get(world.address(route))
                assert answer.status_code in {200, 303, 404, 422}, (named(route), text_of(answer))
        else:
            answer = desk.get(world.address(route)) if route.method == "GET" else desk.post(world.address(route))
            assert answer.status_code == 403, named(route)
    assert digests(world.hub) == before


def test_an_auditor_has_no_right_that_changes_anything() -> None:
    assert RIGHTS["auditor"] == {Right.READ, Right.READ_ALL}
    # One's own session and password, and a basket that is only tried on promotions.
    own = {"/sign-out", "/account", "/promotions/try"}
    changing = [route for route in ROUTES if route.method == "POST" and route.right in RIGHTS["auditor"]]
    assert {route.path for route in changing} <= own


def test_a_shop_manager_sees_nothing_of_another_location_on_any_route(world: World, client: httpx.Client) -> None:
    desk = signed_in(client, "shop_manager")
    for route in ROUTES:
        if route.method != "GET" or route.right not in RIGHTS["shop_manager"]:
            continue
        answer = desk.get(world.address(route))
        shown = text_of(answer)
        assert not [word for word in OF_A if word in shown], (named(route), shown)
        asked = desk.get(f"{world.address(route)}?location=A")
        assert asked.status_code in {403, 303}, named(route)
    assert "老城店" in text_of(desk.get("/")) or "Old Town" in text_of(desk.get("/"))


def test_a_shop_manager_changes_nothing_of_another_location_on_any_route(world: World, client: httpx.Client) -> None:
    desk = signed_in(client, "shop_manager")
    before = digests(world.hub)
    fields = {
        "act": "recount", "version": "x", "location": "A", "conflict": f"A/{world.conflict}", "target": "x",
        "name": "x", "code": "x", "reason": "x", "number": "9", "role": "cashier", "pin": "1234", "at": "A",
    }  # fmt: skip
    for route in ROUTES:
        if route.method != "POST" or route.right is None or route.path in {"/sign-out", "/account"}:
            continue
        for sent in (fields, {**fields, "location": ""}):
            answer = desk.post(world.address(route), sent)
            assert answer.status_code in {303, 403, 404, 409, 422}, (named(route), text_of(answer))
    assert digests(world.hub) == before


def test_a_form_without_its_token_changes_nothing_on_any_route(world: World, client: httpx.Client) -> None:
    desk = signed_in(client, "owner")
    before = digests(world.hub)
    for route in ROUTES:
        if route.method == "POST" and route.right is not None:
            desk.csrf = "not-the-token"
            assert desk.post(world.address(route), {"act": "recount"}).status_code == 403, named(route)
    assert digests(world.hub) == before
    with world.hub.store.snapshot() as replica:
        assert replica.log.scope_no(ORG) is not None
