"""Customers and rounds at the desk: found, given a price list and credit, put on a round, and forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from hub.customers import find_person, list_customers
from hub.own_log import parse_location
from hub.registry import define_location
from hub.routes import read_route
from hub.service import Hub
from schema.kinds.organisation import AuthorityGranted
from schema.kinds.rights import RightGranted
from schema.kinds.vans import CreditLimited
from tests.hub.conftest import Enrol
from tests.hub.desk import DeskClient, at_the_desk, make_account, text_of


@pytest.fixture
def desk(hub: Hub, client: httpx.Client) -> Iterator[DeskClient]:
    make_account(hub)
    with at_the_desk(str(client.base_url)) as signed_in:
        yield signed_in


@pytest.fixture
def person(desk: DeskClient, hub: Hub) -> str:
    answer = desk.post("/customer-new", {"code": "C001", "name": "王记小卖部", "phone": "13800000001",
                                              "address": "桥头村", "price_list": "wholesale"})  # fmt: skip
    assert answer.status_code == 303
    with hub.store.snapshot() as replica:
        return find_person(replica, "C001")


def test_a_customer_is_found_by_code_name_or_whole_number_and_by_no_part_of_it(desk: DeskClient, person: str) -> None:
    for wanted, is_found in (("C001", True), ("王记", True), ("13800000001", True), ("138", False), ("nobody", False)):
        assert ("王记小卖部" in text_of(desk.get(f"/customers?q={wanted}"))) is is_found, wanted
    page = text_of(desk.get(f"/customers/{person}"))
    assert "138****0001" in page
    assert "13800000001" not in page


def test_a_price_list_a_limit_and_its_parts_are_given_at_the_desk(
    desk: DeskClient, hub: Hub, enrol: Enrol, person: str
) -> None:
    node = enrol()
    assert desk.post(f"/customers/{person}/price-list", {"price_list": "vip"}).status_code == 303
    early = desk.post(f"/customers/{person}/share", {"node": node.signer.node, "amount": "10"})
    assert early.status_code == 422
    assert desk.post(f"/customers/{person}/credit", {"limit": "500"}).status_code == 303
    assert desk.post(f"/customers/{person}/share", {"node": node.signer.node, "amount": "300"}).status_code == 303
    beyond = desk.post(f"/customers/{person}/share", {"node": node.signer.node, "amount": "201"})
    assert beyond.status_code == 422
    assert "200.00" in text_of(beyond)
    with hub.store.snapshot() as replica:
        assert [one.tier for one in list_customers(replica)] == ["vip"]
        limited = replica.organisation.newest(replica.connection, CreditLimited, person)
        assert limited is not None
        assert limited.limit_minor == 50_000
        location = replica.organisation.newest_each(replica.connection, AuthorityGranted)[node.signer.node].location
        [row] = [row for row in replica.log.streams(f"loc/{location}") if row.stream.node == hub.identity.node]
        assert any(isinstance(entry.payload, RightGranted) for entry in replica.log.entries(row))
    assert "300.00" in text_of(desk.get(f"/customers/{person}"))
    assert desk.post(f"/customers/{person}/credit", {"limit": ""}).status_code == 303
    with hub.store.snapshot() as replica:
        limited = replica.organisation.newest(replica.connection, CreditLimited, person)
        assert limited is not None
        assert limited.limit_minor is None


def test_a_round_is_written_as_codes_a_line_and_says_which_is_unknown(desk: DeskClient, hub: Hub, person: str) -> None:
    define_location(hub.store, hub.own_log, parse_location("V:Van one:van"))
    assert desk.post("/rounds/V", {"stops": "C001=后门\n", "warehouse": "W"}).status_code == 303
    with hub.store.snapshot() as replica:
        rules = read_route(replica, "V").rules
    assert [(stop.person, stop.note) for stop in rules.stops] == [(person, "后门")]
    assert rules.warehouse == "W"
    assert "王记小卖部" in text_of(desk.get("/rounds/V"))
    wrong = desk.post("/rounds/V", {"stops": "C999", "warehouse": ""})
    assert wrong.status_code == 422
    assert "C999" in wrong.text
    assert desk.get("/rounds/A").status_code in {404, 422}


def test_a_customer_who_is_forgotten_is_named_nowhere_any_more(desk: DeskClient, hub: Hub, person: str) -> None:
    assert re.search("王记", desk.get("/customers").text)
    assert desk.post(f"/customers/{person}/forget").status_code == 303
    assert "王记" not in desk.get("/customers").text
    with hub.store.snapshot() as replica:
        assert list_customers(replica) == []
