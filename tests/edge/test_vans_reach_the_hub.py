"""A van and a real hub over its real line: rounds and credit come down, settlements and others' bundles go up."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge import carrying
from edge.account_payments import repay
from edge.basket import EMPTY, Basket, BasketLine, Member, add, set_member
from edge.cache import LEASE_LAPSED
from edge.carrying import carried, hand_over, keep, seal_for_hub, take_along
from edge.clock_source import machine_clock
from edge.joining import join
from edge.members import member_card
from edge.node import Node
from edge.returns import find_sale
from edge.selling import LineRequest, sell
from edge.status import is_lease_lapsed, node_status
from edge.stock import QuantityRequest, open_stock, receive_goods
from edge.sync_agent import HttpLine, SyncReport, sync_once
from edge.tendering import Payment, complete
from edge.van_route import stops
from edge.van_settlement import settle_van
from hub.brought import list_brought, take_brought
from hub.credit import CreditStanding, read_credit, record_limit, record_share
from hub.customers import find_person, forget_person, set_price_list
from hub.enrolment import Profile
from hub.importing import append_rows
from hub.own_log import parse_location
from hub.registry import revoke_node
from hub.report_tables import Question, settlements
from hub.routes import record_route
from hub.service import Hub, init_hub, open_hub, serving
from hub.settings import record_setting
from schema.errors import RefusalError, TransientError
from schema.identity import ORG
from schema.rows import CustomerRow
from tests.edge.shops import carry

LOCATIONS = [
    parse_location(text) for text in ("A:Riverside:shop", "W:Warehouse:warehouse", "V:Van one:van", "V2:Van two:van")
]
Enrol = Callable[[str, str], Node]
TEA, TEA_PRICE = "tea", 350


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    init_hub(tmp_path / "hub", name="Lantern Stores", locations=LOCATIONS)
    opened = open_hub(tmp_path / "hub")
    with opened.store.transaction(ORG) as replica:  # what changed is told at once
        record_setting(replica, opened.own_log, "elsewhere", b'{"balance_seconds":0,"stock_minutes":0}')
    yield opened
    opened.close()


@pytest.fixture
def enrol(hub: Hub, tmp_path: Path) -> Iterator[Enrol]:
    nodes: list[Node] = []

    def enrol_node(till: str, location: str) -> Node:
        issued = hub.enrolment.invite(profile=Profile.VAN, location=location, name=till, till=till)
        join(tmp_path / till, url, issued.invitation, machine_clock)
        nodes.append(Node(tmp_path / till))
        return nodes[-1]

    with serving(hub) as url:
        yield enrol_node
    for node in nodes:
        node.close()


def sync(node: Node) -> SyncReport:
    line = HttpLine(node)
    try:
        return sync_once(node, line)
    finally:
        line.close()


def store(hub: Hub) -> str:
    """Define a customer who is on the round of V, and return the person."""
    append_rows(hub, (CustomerRow(code="C1", name="王记小卖部", phone="13800000001", address="桥头村"),))
    with hub.store.transaction(ORG) as replica:
        record_route(replica, hub.own_log, "V", [("C1", "带空瓶")], "W")
        return find_person(replica, "C1")


def give(hub: Hub, person: str, **shares: int) -> None:
    with hub.store.transaction(ORG) as replica:
        for till, amount in shares.items():
            record_share(replica, hub.own_log, person, till, amount)


def limit(hub: Hub, person: str, amount_minor: int | None) -> None:
    with hub.store.transaction(ORG) as replica:
        record_limit(replica, hub.own_log, person, amount_minor)


def standing(hub: Hub, person: str) -> CreditStanding:
    with hub.store.snapshot() as replica:
        return read_credit(replica, person)


def lend(node: Node, person: str, pieces: int) -> None:
    card = member_card(node, person)
    line = BasketLine(TEA, "Tea", quantity_milli=pieces * 1000, override_minor=TEA_PRICE, is_known=False)
    basket: Basket = set_member(add(EMPTY, line), Member(card.person, card.masked, card.name, card.tier))
    complete(node, basket, [Payment("account", pieces * TEA_PRICE)], attempt=secrets.token_hex(8))


# The round and credit.


def test_the_round_comes_to_its_van_by_name_and_to_no_other(hub: Hub, enrol: Enrol) -> None:
    van, shop = enrol("V1", "V"), enrol("A1", "A")
    person = store(hub)
    for node in (van, shop):
        sync(node)
    (stop,) = stops(van)
    assert (stop.card.name, stop.address, stop.note) == ("王记小卖部", "桥头村", "带空瓶")
    held = shop.connection.execute("SELECT statement FROM elsewhere WHERE topic = 'operators'").fetchone()
    key = hub_key(hub, person)
    assert key not in bytes(held[0])
    with hub.store.transaction(ORG) as replica:
        set_price_list(replica, hub.own_log, person, "wholesale")
    sync(van)
    assert stops(van)[0].card.tier == "wholesale"
    with hub.store.transaction(ORG) as replica:
        forget_person(replica, hub.own_log, person)
    sync(van)
    assert stops(van) == []
    held = van.connection.execute("SELECT statement FROM elsewhere WHERE topic = 'operators'").fetchone()
    assert key not in bytes(held[0])


def hub_key(hub: Hub, person: str) -> bytes:
    with hub.store.snapshot() as replica:
        return bytes(replica.connection.execute("SELECT key FROM person_key WHERE person = ?", (person,)).fetchone()[0])


def test_the_hub_gives_no_more_of_a_limit_than_is_neither_owed_nor_given(hub: Hub, enrol: Enrol) -> None:
    one, other = enrol("V1", "V"), enrol("V9", "V2")
    person = store(hub)
    limit(hub, person, 10_000)
    give(hub, person, V1=6_000, V9=4_000)
    with pytest.raises(RefusalError) as refused:
        give(hub, person, V1=1)
    assert (refused.value.code, refused.value.facts["room_minor"]) == ("credit_room", 0)
    for node in (one, other):
        sync(node)
    lend(one, person, 10)  # 35.00, while the line is down
    lend(other, person, 10)
    with pytest.raises(RefusalError) as exceeded:
        lend(other, person, 2)
    assert exceeded.value.code == "credit_exceeded"
    repay(one, person, 1_500, attempt="a1")
    for node in (one, other):
        sync(node)
    now = standing(hub, person)
    assert (now.owed_minor, now.room_minor) == (7_000 - 1_500, 0)
    assert {share.writer.partition(".")[0]: share.left_minor for share in now.shares} == {
        str(one.config.node): 6_000 - 3_500 + 1_500, str(other.config.node): 500,
    }  # fmt: skip


def test_what_is_paid_elsewhere_makes_room_that_the_hub_gives_anew(hub: Hub, enrol: Enrol) -> None:
    van, shop = enrol("V1", "V"), enrol("A1", "A")
    person = store(hub)
    limit(hub, person, 3_500)
    give(hub, person, V1=3_500)
    sync(van)
    lend(van, person, 10)
    sync(van)
    sync(shop)
    repay(shop, person, 3_500, attempt="a1")
    sync(shop)
    assert standing(hub, person).room_minor == 3_500
    give(hub, person, V1=3_500)
    sync(van)
    lend(van, person, 10)


# Settlements.


def test_a_settlement_made_with_the_hub_away_is_in_its_reports_when_it_is_back(hub: Hub, enrol: Enrol) -> None:
    van = enrol("V1", "V")
    open_stock(van, [QuantityRequest(TEA, 24_000)])
    sell(van, [LineRequest(TEA, 4_000, "", TEA_PRICE)])
    done = settle_van(van, allows_uncounted=True)
    assert sync(van).mismatched_folds == []
    with hub.store.snapshot() as replica:
        asked = Question("2000-01-01", "2199-01-01", ["V"], ZoneInfo("Asia/Shanghai"))
        rows = settlements(replica.connection, asked).rows
    assert [(row[1], row[2], row[5]) for row in rows] == [("V", done.settlement, 4 * TEA_PRICE)]


# What a van carries for others.


@pytest.fixture
def shop(enrol: Enrol) -> Node:
    """A shop without a line that has recorded something since it joined."""
    node = enrol("A1", "A")
    receive_goods(node, [QuantityRequest(TEA, 48_000)], note="老王送来的货")
    for _ in range(20):
        sell(node, [LineRequest(TEA, 1_000, "", TEA_PRICE)])
    return node


def test_a_van_brings_the_hub_what_a_shop_without_a_line_sold_and_cannot_read_it(
    hub: Hub, enrol: Enrol, shop: Node, tmp_path: Path
) -> None:
    van, file = enrol("V1", "V"), tmp_path / "a1.sealed"
    assert seal_for_hub(shop, file) == 21
    content = file.read_bytes()
    plain = shop.replica.log.entry_at(shop.replica.log.streams("loc/A")[0], 1)
    assert plain is not None
    assert plain.encoded not in content
    assert "老王送来的货".encode() not in content
    taken = take_along(van, file)
    assert (taken.location, taken.entries, taken.handed_ms) == ("A", 21, 0)
    assert take_along(van, file) == taken
    assert [one.bundle for one in carried(van)] == [taken.bundle]
    assert sync(van).handed_over == 1
    (done,) = carried(van)
    assert (done.outcome, done.size) == ("taken:21", 0)
    with hub.store.snapshot() as replica:
        assert replica.log.heads("loc/A") == shop.replica.log.heads("loc/A")
    (brought,) = list_brought(hub)
    assert (brought.writer, brought.bearer, brought.entries) == (shop.config.node, van.config.node, 21)
    assert sync(shop).entries_sent == 0  # the hub has it all


def test_the_same_bundle_brought_by_two_vans_is_taken_in_once(
    hub: Hub, enrol: Enrol, shop: Node, tmp_path: Path
) -> None:
    one, other, file = enrol("V1", "V"), enrol("V9", "V2"), tmp_path / "a1.sealed"
    seal_for_hub(shop, file)
    for van in (one, other):
        take_along(van, file)
        assert sync(van).handed_over == 1
        take_along(van, file)  # a bundle that was handed over is not carried again
        assert sync(van).handed_over == 0
    assert len(list_brought(hub)) == 1
    seal_for_hub(shop, file)  # the same entries sealed anew are another bundle with nothing new in it
    assert take_brought(hub, file.read_bytes(), "x").entries == 0


def test_bad_bundles_are_refused_each_in_a_clear_sentence(
    hub: Hub, enrol: Enrol, shop: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    van, file = enrol("V1", "V"), tmp_path / "a1.sealed"
    seal_for_hub(shop, file)
    content = file.read_bytes()

    def refusal(data: bytes) -> str:
        with pytest.raises(RefusalError) as refused:
            keep(van, data)
        return refused.value.code

    assert refusal(b"PK\x03\x04 a holiday photo") == "carried_malformed"
    assert refusal(content[:-20]) == "carried_damaged"
    for place in range(40, len(content), max(1, len(content) // 60)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        assert refusal(bytes(damaged)) in {"carried_damaged", "carried_foreign", "carried_unknown", "carried_own"}
    mine = tmp_path / "mine.sealed"
    sell(van, [LineRequest(TEA, 1_000, "", TEA_PRICE)])
    seal_for_hub(van, mine)
    assert refusal(mine.read_bytes()) == "carried_own"
    monkeypatch.setattr(carrying, "CARRIED_TOTAL_MAX", len(content) - 1)
    assert refusal(content) == "carried_full"
    monkeypatch.setattr("sync.sealing.CARRIED_BYTES_MAX", len(content) - 1)
    assert refusal(content) == "carried_large"
    assert carried(van) == []


def test_a_bundle_of_another_organisation_is_let_in_nowhere(hub: Hub, enrol: Enrol, tmp_path: Path) -> None:
    van = enrol("V1", "V")
    init_hub(tmp_path / "theirs", name="Other Stores", locations=LOCATIONS)
    theirs = open_hub(tmp_path / "theirs")
    try:
        with serving(theirs) as url:
            issued = theirs.enrolment.invite(profile=Profile.TILL, location="A", name="X1", till="X1")
            join(tmp_path / "X1", url, issued.invitation, machine_clock)
        with Node(tmp_path / "X1") as stranger:
            sell(stranger, [LineRequest(TEA, 1_000, "", TEA_PRICE)])
            seal_for_hub(stranger, tmp_path / "x1.sealed")
    finally:
        theirs.close()
    with pytest.raises(RefusalError) as refused:
        take_along(van, tmp_path / "x1.sealed")
    assert refused.value.code == "carried_foreign"
    with pytest.raises(RefusalError) as at_the_hub:
        take_brought(hub, (tmp_path / "x1.sealed").read_bytes(), "x")
    assert at_the_hub.value.code == "carried_foreign"


def test_a_bundle_waits_aboard_while_the_line_fails_and_is_given_up_when_its_writer_was_revoked(
    hub: Hub, enrol: Enrol, shop: Node, tmp_path: Path
) -> None:
    van, file = enrol("V1", "V"), tmp_path / "a1.sealed"
    seal_for_hub(shop, file)
    take_along(van, file)

    def fails(_: bytes) -> bytes:
        raise TransientError("hub_unreachable", "no line")

    with pytest.raises(TransientError):
        hand_over(van, fails)
    assert [one.handed_ms for one in carried(van)] == [0]
    revoke_node(hub.store, hub.own_log, shop.config.node, "stolen")
    assert sync(van).handed_over == 1
    assert carried(van)[0].outcome == "refused:node_revoked"
    with hub.store.snapshot() as replica:
        assert not any(row.stream.node == shop.config.node and row.head.seq for row in replica.rows())


# A stolen van.


def test_the_rights_of_a_stolen_van_are_written_off_for_all_to_see_and_may_be_given_to_others(
    hub: Hub, enrol: Enrol
) -> None:
    stolen, other = enrol("V1", "V"), enrol("V9", "V2")
    person = store(hub)
    limit(hub, person, 10_000)
    give(hub, person, V1=10_000)
    sync(stolen)
    lend(stolen, person, 10)
    sync(stolen)
    assert standing(hub, person).room_minor == 0
    revoke_node(hub.store, hub.own_log, stolen.config.node, "stolen")
    now = standing(hub, person)
    assert [(share.left_minor, share.is_written_off) for share in now.shares] == [(6_500, True)]
    assert (now.owed_minor, now.room_minor) == (3_500, 6_500)
    give(hub, person, V9=6_500)
    sync(other)
    lend(other, person, 10)
    with pytest.raises(RefusalError) as refused:
        give(hub, person, V1=1)
    assert refused.value.code in {"credit_room", "node_unknown", "node_revoked"}


def test_what_a_stolen_van_recorded_before_stays_and_what_it_records_later_waits_for_a_person(
    hub: Hub, enrol: Enrol, tmp_path: Path
) -> None:
    stolen, other = enrol("V1", "V"), enrol("V2", "V")
    open_stock(stolen, [QuantityRequest(TEA, 24_000)])
    sell(stolen, [LineRequest(TEA, 4_000, "", TEA_PRICE)])
    sync(stolen)
    revoke_node(hub.store, hub.own_log, stolen.config.node, "stolen")
    sell(stolen, [LineRequest(TEA, 1_000, "", TEA_PRICE)])
    with pytest.raises(RefusalError) as refused:
        sync(stolen)
    assert refused.value.code == "node_revoked"
    with hub.store.snapshot() as replica:
        figure = replica.connection.execute("SELECT value FROM stock WHERE product = ?", (TEA,)).fetchone()
    assert figure[0] == 20_000
    sync(other)
    assert other.connection.execute("SELECT value FROM stock WHERE product = ?", (TEA,)).fetchone()[0] == 20_000


def test_a_stolen_van_asks_for_a_managers_code_as_soon_as_it_hears_that_it_has_left(hub: Hub, enrol: Enrol) -> None:
    stolen = enrol("V1", "V")
    sync(stolen)
    assert not node_status(stolen).is_lease_lapsed
    revoke_node(hub.store, hub.own_log, stolen.config.node, "stolen")
    with pytest.raises(RefusalError):
        sync(stolen)
    assert node_status(stolen).is_lease_lapsed
    sold = sell(stolen, [LineRequest(TEA, 1_000, "", TEA_PRICE)])  # never during a sale, which says so instead
    assert find_sale(stolen, sold.receipt_number).sale.flags == (LEASE_LAPSED,)


def test_a_van_that_hears_nothing_asks_after_thirty_days_and_a_shop_never_does(hub: Hub, enrol: Enrol) -> None:
    van, shop = enrol("V1", "V"), enrol("A1", "A")
    for node in (van, shop):
        sync(node)
        last_ms = node.state().last_exchange_ms
        for days, lapsed in ((29, False), (31, node is van)):
            assert is_lease_lapsed(node, last_ms, last_ms + days * 86_400_000) is lapsed


def test_what_a_stolen_van_recorded_after_it_left_is_kept_without_effect_and_named(
    hub: Hub, enrol: Enrol, tmp_path: Path
) -> None:
    """Its neighbour in the van heard of a later sale before the hub said that the laptop was gone."""
    stolen, other = enrol("V1", "V"), enrol("V2", "V")
    open_stock(stolen, [QuantityRequest(TEA, 24_000)])
    sync(stolen)
    sell(stolen, [LineRequest(TEA, 5_000, "", TEA_PRICE)])
    carry(stolen, other)
    revoke_node(hub.store, hub.own_log, stolen.config.node, "stolen")
    sync(other)
    for connection in (other.connection, None):
        if connection is None:
            with hub.store.snapshot() as replica:
                value = replica.connection.execute("SELECT value FROM stock WHERE product = ?", (TEA,)).fetchone()[0]
                inert = replica.connection.execute("SELECT count(*), min(reason) FROM inert").fetchone()
        else:
            value = connection.execute("SELECT value FROM stock WHERE product = ?", (TEA,)).fetchone()[0]
            inert = connection.execute("SELECT count(*), min(reason) FROM inert").fetchone()
        assert value == 24_000
        assert (inert[0] > 0, inert[1]) == (True, "revoked")
