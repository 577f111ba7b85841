"""Goods from the hub's desk to the till's screen and back: an order placed, the hub gone, goods short and damaged.

Hub, line and nodes are the product's own; while the hub is down the nodes work from what they hold, and between two
shops without a network goods go by the driver's paper alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edge.clock_source import machine_clock
from edge.deliveries import DeliveredLine, expected_by_paper, expected_delivery, receive_delivery
from edge.doctor import examine
from edge.drafting import asked_transfers, draft_goods, goods_drafts
from edge.joining import join
from edge.node import Node
from edge.papers import paper_pages, read_paper
from edge.stock import QuantityRequest, dispatch_transfer, on_hand, transfers_on_road
from edge.stock_lists import StockList, stock_list
from edge.suppliers import supplier_name
from edge.sync_agent import HttpLine, sync_once
from hub.catalogue import CatalogueDesk
from hub.enrolment import Profile
from hub.minimums import list_minimums, set_minimum
from hub.own_log import parse_location
from hub.purchasing import ask_transfer, find_order, list_buying, place_order, read_lines, save_supplier
from hub.service import Hub, init_hub, open_hub, serving
from schema.catalogue import Product, Supplier
from schema.errors import EdgetillError
from schema.identity import ORG, LocationId, ProductId, location_scope
from sync.buying import About, BuyingState

LOCATIONS = [parse_location(text) for text in ("A:Riverside:shop", "B:Old Town:shop", "W:Warehouse:warehouse")]
COLA, PEARS = "11006", "18003"
OPERATOR = "o1"


class Chain:
    """A hub that can be down, and nodes enrolled with it."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        self._folder = folder
        self._serving = ExitStack()
        self._port = 0
        self.nodes: list[Node] = []

    def go_up(self) -> str:
        url = self._serving.enter_context(serving(self.hub, port=self._port))
        self._port = urlsplit(url).port or 0
        return url

    def go_down(self) -> None:
        self._serving.close()

    def enrol(self, url: str, till: str, location: str, profile: Profile = Profile.TILL) -> Node:
        issued = self.hub.enrolment.invite(profile=profile, location=location, name=till, till=till)
        join(self._folder / till, url, issued.invitation, machine_clock)
        self.nodes.append(Node(self._folder / till))
        return self.nodes[-1]

    def close(self) -> None:
        self.go_down()
        for node in self.nodes:
            node.close()
        self.hub.close()


def sync(node: Node) -> None:
    line = HttpLine(node)
    try:
        sync_once(node, line)
    finally:
        line.close()


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    init_hub(tmp_path / "hub", name="Lantern Stores", locations=LOCATIONS)
    made = Chain(open_hub(tmp_path / "hub"), tmp_path)
    with made.hub.store.transaction(ORG) as replica:
        desk = CatalogueDesk(replica, made.hub.own_log)
        desk.add_product(Product(code=ProductId(COLA), category="drinks", name="可口可乐", unit_name="罐"))
        desk.add_product(
            Product(
                code=ProductId(PEARS), category="fruit", name="皇冠梨", unit="kg", unit_name="公斤", is_weighed=True
            )
        )
        save_supplier(replica, made.hub.own_log, Supplier(code="S01", name="杭州饮料"), is_new=True)
    yield made
    made.close()


def stock(node: Node) -> dict[str, int]:
    return {row.product: row.value for row in on_hand(node)}


def state(chain: Chain, number: str) -> BuyingState:
    with chain.hub.store.snapshot() as replica:
        return find_order(replica, "A", number).known.state


def test_an_order_reaches_the_shop_and_what_came_of_it_the_desk(chain: Chain) -> None:
    url = chain.go_up()
    till = chain.enrol(url, "A1", "A")
    with chain.hub.store.transaction(location_scope(LocationId("A"))) as replica:
        lines = read_lines(replica.connection, f"{COLA} 24 1.50\n{PEARS} 10.5 4.00")
        number = place_order(replica, chain.hub.own_log, "A", lines, supplier="S01", operator=OPERATOR)
    sync(till)
    chain.go_down()
    with pytest.raises(EdgetillError):
        sync(till)
    awaited = expected_delivery(till, number)
    assert supplier_name(till, awaited.source) == "杭州饮料"
    came = [
        DeliveredLine(COLA, 20_000, damaged_milli=2_000, damage="broken", lot="L1", expiry="2030-01-31"),
        DeliveredLine(PEARS, 10_500),
    ]
    receive_delivery(till, awaited, came, is_final=False, document="SD-1")
    assert stock(till) == {COLA: 20_000, PEARS: 10_500}
    assert examine(till).is_healthy
    assert state(chain, number) is BuyingState.OPEN, "the desk cannot know yet"
    chain.go_up()
    sync(till)
    assert state(chain, number) is BuyingState.PARTLY
    with chain.hub.store.snapshot() as replica:
        known = find_order(replica, "A", number).known
    assert [(line.received_milli, line.damaged_milli, line.left_milli) for line in known.lines] == [
        (20_000, 2_000, 4_000), (10_500, 0, 0),
    ]  # fmt: skip
    receive_delivery(till, expected_delivery(till, number), [DeliveredLine(COLA, 4_000)])
    sync(till)
    assert state(chain, number) is BuyingState.RECEIVED


def test_goods_go_between_two_shops_by_paper_while_neither_has_a_network(chain: Chain) -> None:
    url = chain.go_up()
    sender, receiver = chain.enrol(url, "W1", "W", Profile.WAREHOUSE), chain.enrol(url, "A1", "A")
    for node in (sender, receiver, sender):
        sync(node)
    chain.go_down()
    sent = dispatch_transfer(sender, "A", [QuantityRequest(COLA, 24_000), QuantityRequest(PEARS, 5_250)])
    [pages] = paper_pages(sender, sent.transfer)
    awaited = expected_by_paper(receiver, read_paper(receiver, pages))
    receive_delivery(receiver, awaited, [DeliveredLine(COLA, 23_000, damaged_milli=1_000, damage="broken"),
                                         DeliveredLine(PEARS, 5_000, reason="lost")])  # fmt: skip
    assert stock(receiver) == {COLA: 23_000, PEARS: 5_000}
    assert {row.product: row.transit_milli for row in transfers_on_road(sender)} == {COLA: 24_000, PEARS: 5_250}
    chain.go_up()
    for node in (sender, receiver, sender):
        sync(node)
    problems = {row.product: row.problem for row in transfers_on_road(sender, with_settled=True)}
    assert problems == {COLA: "", PEARS: "TRANSFER_SHORT"}
    assert stock(receiver) == {COLA: 23_000, PEARS: 5_000}, "the stream adds nothing to what the paper brought"
    assert examine(receiver).is_healthy


def test_a_draft_made_offline_is_picked_up_and_the_warehouse_is_asked(chain: Chain) -> None:
    url = chain.go_up()
    warehouse, till = chain.enrol(url, "W1", "W", Profile.WAREHOUSE), chain.enrol(url, "A1", "A")
    with chain.hub.store.transaction(ORG) as replica:
        [row] = list_minimums(replica, "A", text=COLA)
        set_minimum(replica, chain.hub.own_log, "A", COLA, 36_000, row.version)
    sync(till)
    chain.go_down()
    [low] = stock_list(till, StockList.BELOW)
    assert (low.product, low.suggested_milli) == (COLA, 36_000)
    draft = draft_goods(till, "transfer", [QuantityRequest(COLA, low.suggested_milli)], source="W")
    chain.go_up()
    sync(till)
    with chain.hub.store.transaction(ORG) as replica:
        [wanted] = list_buying(replica, About.DRAFT, ["A"], [BuyingState.OPEN])
        lines = read_lines(replica.connection, f"{COLA} 36")
        number = ask_transfer(
            replica, chain.hub.own_log, wanted.location, wanted.known.source, lines, operator=OPERATOR, draft=draft
        )
    for node in (warehouse, till):
        sync(node)
    [asked] = asked_transfers(warehouse)
    assert (asked.transfer, asked.destination) == (number, "A")
    assert [(one.state, one.reference) for one in goods_drafts(till)] == [("answered", number)]
    dispatch_transfer(warehouse, "A", [QuantityRequest(COLA, 36_000)], transfer=number)
    for node in (warehouse, till):
        sync(node)
    assert asked_transfers(warehouse) == []
    assert expected_delivery(till, number).source == "W"
