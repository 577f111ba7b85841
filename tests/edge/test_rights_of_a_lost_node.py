"""A stolen or restored node's rights on others' goods do not stay blocked: a person at the hub moves them, visibly."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edge.credit import credit_of
from edge.doctor import examine
from edge.reserving import availability, expire_due, grant_right, reservations, reserve
from edge.resolving import conflicts
from edge.stock import CostedRequest, QuantityRequest, dispatch_transfer, receive_goods, receive_transfer
from hub.credit import read_credit, record_limit, record_share
from hub.customers import find_person
from hub.importing import append_rows
from hub.node_rights import read_rights, record_handing, record_write_off
from hub.registry import record_revocation, revoke_node
from hub.service import Hub, serving
from schema.errors import RefusalError
from schema.identity import ORG, Scope
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked, ScopeGrant
from schema.kinds.rights import PromiseMade, RightMoved
from schema.rows import CustomerRow
from tests.edge.households import Household, opened, sync
from tests.edge.shops import WATER, carry
from tests.hub.desk import DeskClient, at_the_desk, make_account, text_of
from tests.processes import run

WAREHOUSE = Scope("loc/W")


class Place(NamedTuple):
    """A warehouse, and a shop whose till has the right to promise six of the warehouse's ten bottles."""

    household: Household
    hub: Hub
    warehouse: Path
    shop: Path

    @property
    def shop_node(self) -> str:
        return self.household.joined["B1"].node

    def left(self) -> int:
        with opened(self.warehouse) as node:
            assert examine(node).is_healthy
            return availability(node, WATER).available

    def codes(self) -> list[str]:
        with opened(self.warehouse) as node:
            return sorted(one.code for one in conflicts(node))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    household = Household(tmp_path)
    with household.serving() as hub:
        warehouse, shop = household.enrol(hub, "W1", "W"), household.enrol(hub, "B1", "B")
        with hub.store.transaction(ORG) as replica:  # it may promise goods of the warehouse
            known = replica.organisation.newest(replica.connection, AuthorityGranted, household.joined["B1"].node)
            assert known is not None
            scopes = (ScopeGrant("loc/W", ("trade",), "clerk"),)
            hub.own_log.append(replica, ORG, AuthorityGranted(*_identity(known), scopes))
        for directory in (warehouse, shop):
            sync(directory)
        with opened(warehouse) as node:
            receive_goods(node, [CostedRequest(WATER, 12_000, cost_minor=150)])
            sent = dispatch_transfer(node, "B", [QuantityRequest(WATER, 2000)], transfer="T1")
            assert sent.entry
        for directory in (warehouse, shop):
            sync(directory)
        with opened(shop) as node:  # with its receipt the till has a stream at the warehouse
            receive_transfer(node, "T1")
        for directory in (shop, warehouse):
            sync(directory)
        with opened(warehouse) as node:
            grant_right(node, WATER, 6000, household.joined["B1"].node)
            assert availability(node, WATER).available == 4000
        for directory in (warehouse, shop):
            sync(directory)
        yield Place(household, hub, warehouse, shop)


def _identity(known: AuthorityGranted) -> tuple[str, bytes, str, str, str]:
    return known.node, known.public_key, known.name, known.location, known.till


def promise(shop: Path, name: str, quantity: int) -> None:
    with opened(shop) as node, node.write() as writing:
        writing.append(PromiseMade(name, WATER, quantity, 0), WAREHOUSE)


@contextlib.contextmanager
def desk(place: Place) -> Iterator[DeskClient]:
    make_account(place.hub, name="王主管")
    with serving(place.hub) as url, at_the_desk(url) as signed_in:
        yield signed_in


def test_revoking_a_node_writes_off_what_it_may_promise_elsewhere_and_shows_it_with_its_author(place: Place) -> None:
    page = f"/nodes/{place.shop_node}"
    with desk(place) as client:
        assert f"{WATER} Water 仓库 6 ¥9.00" in text_of(client.get(page))
        done = client.post(page, {"act": "revoke", "reason": "stolen"})
        shown = text_of(client.follow(done))
        for words in (f"{WATER} Water", "6 · 仓库", "worth ¥9.00", "written off", "王主管"):
            assert words in shown, words
        acts = client.get("/acts").text
        link = re.search(r'href="(/acts/entries\?of=[^"]+)"', acts)
        assert link is not None
        told = text_of(client.get(link[1].replace("&amp;", "&")))
        for words in (
            "right.moved",
            "authority.revoked",
            '"value_minor": 900',
            '"quantity_milli": 6000',
        ):
            assert words in told, words
    sync(place.warehouse)
    assert place.left() == 10_000
    with place.hub.store.snapshot() as replica:
        assert read_rights(replica, place.shop_node).held == ()


def test_what_the_stolen_node_had_promised_before_still_counts_and_is_told_when_it_was_too_much(place: Place) -> None:
    promise(place.shop, "kept", 2000)
    sync(place.shop)
    promise(place.shop, "late", 1000)  # recorded before the theft, and heard of by nobody yet
    with opened(place.shop) as node, node.write() as writing:
        row = node.replica.log.stream(writing.stream(WAREHOUSE))
        assert row is not None
        last = (WAREHOUSE, writing.stream(WAREHOUSE).writer, row.head.seq)
    with place.hub.store.transaction(ORG) as replica:
        place.hub.own_log.append(replica, ORG, AuthorityRevoked(place.shop_node, (last,), "stolen"))
        written_off = record_write_off(replica, place.hub.own_log, place.shop_node, "o1")
    assert [(one.quantity, one.value_minor) for one in written_off] == [(4000, 600)]
    sync(place.warehouse)
    assert (place.left(), place.codes()) == (8000, [])
    with opened(place.shop) as stolen, opened(place.warehouse) as node:  # a neighbour had it, and brings it
        assert carry(stolen, node, WAREHOUSE) > 0
    sync(place.warehouse)
    assert (place.left(), place.codes()) == (7000, ["ESCROW_OVERSPENT"])
    with place.hub.store.snapshot() as replica:
        (code,) = replica.connection.execute("SELECT code FROM conflict WHERE code LIKE 'ESCROW%'").fetchone()
        assert code == "ESCROW_OVERSPENT"


def test_what_was_promised_after_the_moment_of_the_theft_is_written_off_whole(place: Place) -> None:
    before_ms = place.hub.now_ms()
    promise(place.shop, "theirs", 5000)
    sync(place.shop)
    with place.hub.store.snapshot() as replica:
        assert [one.quantity for one in read_rights(replica, place.shop_node).held] == [1000]
    with place.hub.store.transaction(ORG) as replica:
        record_revocation(replica, place.hub.own_log, place.shop_node, "stolen", before_ms=before_ms, operator="o1")
        assert [one.quantity for one in read_rights(replica, place.shop_node).taken] == [6000]
    sync(place.warehouse)
    assert (place.left(), place.codes()) == (10_000, [])


def test_a_right_that_reaches_the_hub_after_the_node_has_left_is_shown_and_written_off_too(place: Place) -> None:
    with opened(place.warehouse) as node:
        grant_right(node, WATER, 3000, place.shop_node)
    revoke_node(place.hub.store, place.hub.own_log, place.shop_node, "stolen", "o1")
    sync(place.warehouse)
    assert place.left() == 7000
    with desk(place) as client:
        page = f"/nodes/{place.shop_node}"
        assert "held by a node that has left" in text_of(client.get(page))
        assert client.post(page, {"act": "write_off"}).status_code == 303
        assert "held by a node that has left" not in text_of(client.get(page))
    sync(place.warehouse)
    assert place.left() == 10_000


def test_the_node_that_replaces_a_lost_one_is_given_its_share_once_and_no_more_than_there_is(place: Place) -> None:
    revoke_node(place.hub.store, place.hub.own_log, place.shop_node, "stolen", "o1")
    with desk(place) as client:
        page = f"/nodes/{place.shop_node}"
        assert "Once the new one has joined" in text_of(client.get(page))
        place.household.enrol(place.hub, "B2", "B")
        heir = place.household.joined["B2"].node
        assert "B2 till B2" in text_of(client.get(page))
        sync(place.warehouse)
        with opened(place.warehouse) as node:
            reserve(node, WATER, 8000)
        sync(place.warehouse)
        assert client.post(page, {"act": "hand_on", "successor": heir}).status_code == 303
        assert f"{WATER} Water 仓库 2 ¥3.00" in text_of(client.get(f"/nodes/{heir}"))
        again = client.post(page, {"act": "hand_on", "successor": heir})
        assert (again.status_code, "nothing to hand on" in text_of(again)) == (422, True)
    sync(place.warehouse)
    assert (place.left(), place.codes()) == (0, [])
    with opened(place.warehouse) as node:
        assert dict(availability(node, WATER).held_elsewhere)[f"{heir}.1"] == 2000


def test_a_restored_nodes_goods_and_credit_are_handed_on_to_its_new_stream(place: Place) -> None:
    append_rows(place.hub, (CustomerRow(code="C1", name="王记小卖部", phone="13800000001"),))
    with place.hub.store.transaction(ORG) as replica:
        person = find_person(replica, "C1")
        record_limit(replica, place.hub.own_log, person, 50_000)
        record_share(replica, place.hub.own_log, person, "B1", 30_000)
    sync(place.shop)
    with opened(place.shop) as node:
        assert credit_of(node, person).left_minor == 30_000
        with node.write() as writing:
            node.new_incarnation(writing)
        assert credit_of(node, person).left_minor == 0
        receive_goods(node, [QuantityRequest(WATER, 1000)])
    sync(place.shop)
    with desk(place) as client:
        page = f"/nodes/{place.shop_node}"
        shown = text_of(client.get(page))
        for words in ("王记小卖部 老城店 ¥300.00", "held from before it was restored"):
            assert words in shown, words
        assert client.post(page, {"act": "hand_on", "successor": place.shop_node}).status_code == 303
        assert "held from before it was restored" not in text_of(client.get(page))
    for directory in (place.shop, place.warehouse):
        sync(directory)
    with opened(place.shop) as node:
        assert credit_of(node, person).left_minor == 30_000
        assert examine(node).is_healthy
    assert (place.left(), place.codes()) == (4000, [])
    with place.hub.store.snapshot() as replica:
        assert read_credit(replica, person).room_minor == 20_000


def test_rights_are_moved_for_those_who_cannot_spend_them_and_for_nobody_else(place: Place) -> None:
    with place.hub.store.transaction(ORG) as replica:
        own_log, shop, warehouse = place.hub.own_log, place.shop_node, place.household.joined["W1"].node
        with pytest.raises(RefusalError) as present:
            record_write_off(replica, own_log, shop)
        assert present.value.code == "node_present"
        for to, code in ((warehouse, "node_present"), (shop, "rights_missing"), ("nobody", "node_unknown")):
            with pytest.raises(RefusalError) as refused:
                record_handing(replica, own_log, shop, to)
            assert refused.value.code == code


def test_a_node_that_writes_a_right_back_to_itself_moves_nothing(place: Place) -> None:
    with opened(place.warehouse) as node:
        with node.write() as writing:
            writing.append(RightMoved(WATER, 6000, f"{place.shop_node}.1"))
        assert availability(node, WATER).available == 4000


def test_the_goods_that_a_stolen_till_had_put_aside_are_free_again_when_their_time_has_passed(place: Place) -> None:
    with opened(place.shop) as stolen:
        receive_goods(stolen, [QuantityRequest(WATER, 5000)])
        reserve(stolen, WATER, 3000, until_ms=stolen.clock_source().wall_ms + 1)
    sync(place.shop)
    other = place.household.enrol(place.hub, "B2", "B")
    sync(other)
    with opened(other) as node:
        assert expire_due(node) == 0
    revoke_node(place.hub.store, place.hub.own_log, place.shop_node, "stolen")
    sync(other)
    with opened(other) as node:
        assert expire_due(node) == 1
        assert reservations(node) == []


def test_the_verbs_show_what_was_written_off_and_hand_it_on(place: Place) -> None:
    hub = ("--hub", str(place.household.hub_directory))
    assert "holds 6 P0001 at W, worth 9.00" in run("hub", "rights", place.shop_node, *hub).stdout
    left = run("hub", "revoke", place.shop_node, "--reason", "stolen", "--operator", "o1", *hub)
    assert "written off: 6 P0001 at W, worth 9.00" in left.stdout, left.stderr
    place.household.enrol(place.hub, "B2", "B")
    heir = place.household.joined["B2"].node
    told = json.loads(run("hub", "rights", place.shop_node, "--to", heir, "--json", *hub).stdout)
    assert (told["held"], told["to_give"], told["taken"][0]["quantity"]) == ([], [], 6000)
    assert "holds 6 P0001" in run("hub", "rights", heir, *hub).stdout
    refused = run("hub", "rights", place.shop_node, "--to", heir, *hub)
    assert (refused.returncode, "rights_missing" in refused.stderr) == (1, True)
