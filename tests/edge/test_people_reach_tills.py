"""What the hub knows of people reaches the tills that need it: by a real hub, over its real line."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.applying import Pace, apply_batches
from edge.balances import balance
from edge.bundles import import_bundle
from edge.clock_source import machine_clock
from edge.doctor import examine
from edge.elsewhere import stock_elsewhere
from edge.joining import join
from edge.members import find_member, member_card
from edge.node import Node
from edge.signing_in import operators, sign_in
from edge.stock import QuantityRequest, adjust_stock
from edge.sync_agent import HttpLine, SyncReport, sync_once
from hub.balances import balances_of
from hub.bundles import export_bundle
from hub.customers import forget_person, people_by_code
from hub.enrolment import Profile
from hub.importing import append_rows
from hub.operators import define_operator
from hub.own_log import parse_location
from hub.service import Hub, init_hub, open_hub, serving
from schema.amounts import Milli
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, ProductId
from schema.kinds.balances import BalanceMove, BalanceMoved
from schema.kinds.organisation import SettingDefined
from schema.rows import BalanceKind, CustomerRow, OpeningBalanceRow, OpeningStockRow, Row
from schema.settings import ElsewhereRules, write_setting
from sync.elsewhere import HeldStatements

LOCATIONS = [parse_location(text) for text in ("A:Riverside:shop", "B:Old Town:shop")]
Enrol = Callable[[str, str], Node]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    init_hub(tmp_path / "hub", name="Lantern Stores", locations=LOCATIONS)
    opened = open_hub(tmp_path / "hub")
    yield opened
    opened.close()


@pytest.fixture
def enrol(hub: Hub, tmp_path: Path) -> Iterator[Enrol]:
    nodes: list[Node] = []

    def enrol_node(till: str = "A1", location: str = "A") -> Node:
        issued = hub.enrolment.invite(profile=Profile.TILL, location=location, name=till, till=till)
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


def define(hub: Hub, number: str, role: str, *locations: str, pin: str = "4711", is_active: bool = True) -> str:
    return define_operator(
        hub.store,
        hub.own_log,
        number=number,
        name=f"员工{number}",
        role=role,
        locations=locations,
        pin=pin,
        is_active=is_active,
    )


def bring(hub: Hub, *rows: Row) -> None:
    append_rows(hub, rows)


def member(phone: str = "13800001234", name: str = "林敏秀", code: str = "M1") -> CustomerRow:
    return CustomerRow(code=code, name=name, phone=phone, tier="gold", address="文三路 1 号")


def set_intervals(hub: Hub, balance_seconds: int = 0, stock_minutes: int = 0) -> None:
    """Let the hub tell at once what changed, or only now and then."""
    name, value = write_setting(ElsewhereRules(balance_seconds=balance_seconds, stock_minutes=stock_minutes))
    with hub.store.transaction(ORG) as replica:
        hub.own_log.append(replica, ORG, SettingDefined(name, "", value))


def move(node: Node, amount: int, person: str, kind: BalanceKind = BalanceKind.MEMBER_POINTS) -> None:
    with node.write() as writing:
        writing.append(BalanceMoved((BalanceMove(kind.value, person, amount),), "spent", "R1"))


def person_of(hub: Hub, code: str = "M1") -> str:
    with hub.store.snapshot() as replica:
        return people_by_code(replica)[code]


def test_a_till_that_has_just_joined_signs_its_people_in_with_the_hub_gone(hub: Hub, enrol: Enrol) -> None:
    define(hub, "1001", "cashier", "A")
    define(hub, "1002", "cashier", "B")
    node = enrol("A1", "A")
    assert sign_in(node, "1001", "4711").name == "员工1001"
    assert [one.number for one in operators(node)] == ["1001"]  # of the other shop's people it has no PIN


def test_a_changed_role_a_new_pin_and_a_removal_hold_from_the_next_sync(hub: Hub, enrol: Enrol) -> None:
    define(hub, "1001", "cashier", "A")
    define(hub, "1003", "cashier", "A")
    node = enrol("A1", "A")
    define(hub, "1001", "supervisor", "A", pin="0815")
    define(hub, "1003", "cashier", "A", is_active=False)
    assert sign_in(node, "1001", "4711").role == "cashier"
    sync(node)
    assert sign_in(node, "1001", "0815").role == "supervisor"
    for number, code in (("1001", "pin_wrong"), ("1003", "sign_in_unknown")):
        with pytest.raises(RefusalError) as refused:
            sign_in(node, number, "4711")
        assert refused.value.code == code


def test_a_member_is_found_by_phone_with_name_and_tier_on_a_till_without_network(hub: Hub, enrol: Enrol) -> None:
    bring(hub, member(), member("+86 139-0000-4321", "杨杰", "M2"))
    node = enrol("A1", "A")
    card = find_member(node, " 138-0000 1234 ")
    assert (card.masked, card.name, card.tier) == ("138****1234", "林敏秀", "gold")
    assert card.person == person_of(hub)
    assert find_member(node, "１３９００００４３２１").name == "杨杰"
    assert member_card(node, card.person).name == ""  # without the number nobody reads the name
    with pytest.raises(RefusalError) as refused:
        find_member(node, "13800009999")
    assert (refused.value.code, refused.value.facts) == ("member_unknown", {"phone": "138****9999"})


def test_a_stolen_till_tells_no_name_and_no_number_of_a_member(hub: Hub, enrol: Enrol) -> None:
    bring(hub, member())
    node = enrol("A1", "A")
    find_member(node, "13800001234")
    node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    content = node.store.path.read_bytes()
    with hub.store.snapshot() as replica:
        key = replica.connection.execute("SELECT key FROM person_key WHERE person = ?", (person_of(hub),)).fetchone()[0]
    for secret in ("林敏秀".encode(), b"13800001234", "文三路".encode(), bytes(key)):
        assert secret not in content


def test_a_member_who_asks_to_be_forgotten_is_gone_from_every_till_with_the_next_sync(hub: Hub, enrol: Enrol) -> None:
    bring(hub, member())
    node = enrol("A1", "A")
    person = person_of(hub)
    move(node, 30, person)
    with hub.store.transaction(ORG) as replica:
        forget_person(replica, hub.own_log, person)
    assert find_member(node, "13800001234").name == "林敏秀"
    sync(node)
    with pytest.raises(RefusalError) as refused:
        find_member(node, "13800001234")
    assert refused.value.code == "member_unknown"
    rows = node.connection.execute("SELECT statement FROM elsewhere WHERE topic LIKE 'members/%'").fetchall()
    assert all(person.encode() not in bytes(row[0]) for row in rows)
    assert balance(node, BalanceKind.MEMBER_POINTS, person).amount == 30  # what the entries say stays, of nobody
    bring(hub, member())  # who comes back is somebody new
    sync(node)
    assert find_member(node, "13800001234").person != person


def test_a_key_goes_with_the_entry_alone_before_the_hub_is_heard_of_again(hub: Hub, enrol: Enrol) -> None:
    bring(hub, member())
    node = enrol("A1", "A")
    person = person_of(hub)
    with hub.store.transaction(ORG) as replica:
        forget_person(replica, hub.own_log, person)
        heads = node.replica.log.heads(ORG)
        batches, _ = replica.outgoing(ORG, heads, 1 << 20, hub.identity.signer)
    apply_batches(node, batches, Pace())  # by a stick: entries, no statements
    rows = node.connection.execute("SELECT statement FROM elsewhere WHERE topic LIKE 'members/%'").fetchall()
    assert rows
    assert all(person.encode() not in bytes(row[0]) for row in rows)


def test_a_balance_moved_at_one_shop_is_known_at_the_other_with_its_age(hub: Hub, enrol: Enrol) -> None:
    bring(hub, member(), OpeningBalanceRow(kind=BalanceKind.MEMBER_POINTS, subject="M1", amount=100))
    set_intervals(hub)
    here, there = enrol("A1", "A"), enrol("B1", "B")
    person = person_of(hub)
    assert [find_member(node, "13800001234").points for node in (here, there)] == [100, 100]
    move(here, -30, person)
    assert [find_member(node, "13800001234").points for node in (here, there)] == [70, 100]
    sync(here)
    assert find_member(here, "13800001234").points == 70
    sync(there)
    card = find_member(there, "13800001234")
    assert card.points == 70
    assert card.age_ms is not None
    assert card.age_ms < 60_000
    assert card.is_fresh
    sync(here)
    assert balance(here, BalanceKind.MEMBER_POINTS, person)[::2] == (70, 0)  # told, and counted once


def test_two_shops_that_spend_the_same_points_offline_agree_on_what_is_left(hub: Hub, enrol: Enrol) -> None:
    bring(hub, member(), OpeningBalanceRow(kind=BalanceKind.MEMBER_BALANCE, subject="M1", amount=10_000))
    set_intervals(hub)
    nodes = [enrol("A1", "A"), enrol("A2", "A"), enrol("B1", "B")]
    for node in nodes:
        move(node, -8_000, person_of(hub), BalanceKind.MEMBER_BALANCE)
    for _ in range(2):
        for node in nodes:
            sync(node)
    assert {find_member(node, "13800001234").stored_minor for node in nodes} == {-14_000}
    assert all(examine(node).is_healthy for node in nodes)


@pytest.mark.parametrize("seed", range(3))
def test_each_till_shows_what_the_hub_holds_and_what_its_shop_did_since_and_nothing_twice(
    hub: Hub, enrol: Enrol, seed: int
) -> None:
    bring(hub, member())
    set_intervals(hub)
    rng = random.Random(seed)
    nodes = [enrol("A1", "A"), enrol("A2", "A"), enrol("B1", "B")]
    person = person_of(hub)
    shown = [0, 0, 0]
    for _ in range(40):
        number = rng.randrange(3)
        node = nodes[number]
        if rng.random() < 0.6:
            amount = rng.randint(-50, 50)
            move(node, amount, person)
            shown[number] += amount
        else:
            sync(node)
            with hub.store.snapshot() as replica:
                shown[number] = balances_of(replica.connection, person).get(BalanceKind.MEMBER_POINTS.value, 0)
        assert balance(node, BalanceKind.MEMBER_POINTS, person).amount == shown[number]


def test_what_changes_often_is_told_only_now_and_then_and_its_age_says_so(hub: Hub, enrol: Enrol) -> None:
    bring(hub, member(), OpeningBalanceRow(kind=BalanceKind.MEMBER_POINTS, subject="M1", amount=100))
    set_intervals(hub, balance_seconds=3600)
    here, there = enrol("A1", "A"), enrol("B1", "B")
    move(here, -30, person_of(hub))
    sync(here)
    sync(there)
    told = find_member(there, "13800001234")
    assert told.points == 100
    set_intervals(hub, balance_seconds=0)
    sync(there)
    assert find_member(there, "13800001234").points == 70


def test_stock_of_the_other_shops_is_known_with_its_age_and_zero_is_a_figure(hub: Hub, enrol: Enrol) -> None:
    stock = [OpeningStockRow(location=LocationId("B"), product=ProductId(f"P{n}"), quantity_milli=Milli(n * 1000))
             for n in range(1, 600)]  # fmt: skip
    bring(hub, *stock)
    set_intervals(hub)
    here, there = enrol("A1", "A"), enrol("B1", "B")
    hub.contacts.flush()
    sync(here)
    (shop,) = stock_elsewhere(here, "P7")
    assert (shop.location, shop.name, shop.value_milli, shop.lo_milli, shop.hi_milli) == (
        "B", "Old Town", 7000, 7000, 7000,
    )  # fmt: skip
    assert shop.age_ms(here.now_ms()) < 60_000
    assert [one.value_milli for one in stock_elsewhere(here, "no such goods")] == [0]
    adjust_stock(there, "wastage", [QuantityRequest("P7", 2000)])
    before = topics_of(here)
    sync(there)
    sync(here)
    assert [one.value_milli for one in stock_elsewhere(here, "P7")] == [5000]
    changed = {topic for topic, digest in topics_of(here).items() if before.get(topic) != digest}
    assert len({topic for topic in changed if topic.startswith("stock/")}) == 1  # one bucket of several went


def test_stock_of_a_shop_that_fell_silent_is_as_old_as_its_silence(hub: Hub, enrol: Enrol) -> None:
    bring(hub, OpeningStockRow(location=LocationId("B"), product=ProductId("P1"), quantity_milli=Milli(1000)))
    set_intervals(hub)
    here, _ = enrol("A1", "A"), enrol("B1", "B")
    hub.contacts.flush()
    hour_ms = 3_600_000
    with hub.store.transaction(None) as replica:
        replica.connection.execute(
            "UPDATE node_contact SET last_ms = last_ms - ? WHERE node <> ?", (5 * hour_ms, here.config.node)
        )
    sync(here)
    (shop,) = stock_elsewhere(here, "P1")
    assert 5 * hour_ms <= shop.age_ms(here.now_ms()) < 6 * hour_ms


def topics_of(node: Node) -> dict[str, bytes]:
    return HeldStatements(node.connection).topics("stock/B") | {
        topic: bytes(digest)
        for topic, digest in node.connection.execute("SELECT topic, digest FROM elsewhere_topic").fetchall()
    }


def test_a_stick_brings_balances_and_stock_but_no_key_of_anybody(hub: Hub, enrol: Enrol, tmp_path: Path) -> None:
    node = enrol("A1", "A")
    define(hub, "1001", "cashier", "A")
    bring(
        hub,
        member(),
        OpeningBalanceRow(kind=BalanceKind.MEMBER_POINTS, subject="M1", amount=100),
        OpeningStockRow(location=LocationId("B"), product=ProductId("P1"), quantity_milli=Milli(3000)),
    )
    set_intervals(hub)
    stick = tmp_path / "stick"
    export_bundle(hub, node.config.node, stick)
    assert import_bundle(node, stick)[0] > 0
    assert find_member(node, "13800001234").points == 100
    assert find_member(node, "13800001234").name == ""
    assert [one.value_milli for one in stock_elsewhere(node, "P1")] == [3000]
    assert operators(node) == ()
    sync(node)
    assert find_member(node, "13800001234").name == "林敏秀"
    assert [one.number for one in operators(node)] == ["1001"]


def test_a_session_with_nothing_to_say_is_one_short_round_trip(hub: Hub, enrol: Enrol) -> None:
    bring(hub, member(), *(
        OpeningStockRow(location=LocationId(at), product=ProductId(f"P{n}"), quantity_milli=Milli(1000))
        for at in ("A", "B") for n in range(2000)
    ))  # fmt: skip
    node, _ = enrol("A1", "A"), enrol("B1", "B")
    sync(node)
    report = sync(node)
    assert report.round_trips == 1
    assert report.bytes_sent + report.bytes_received < 800


def test_statements_larger_than_one_answer_come_in_several(hub: Hub, enrol: Enrol) -> None:
    bring(hub, *(
        OpeningStockRow(location=LocationId("B"), product=ProductId(f"P{n:020d}"), quantity_milli=Milli(n * 1000))
        for n in range(1, 4000)
    ))  # fmt: skip
    node = enrol("A1", "A")
    line = HttpLine(node)
    with node.store.transaction() as connection:
        connection.execute("DELETE FROM elsewhere")
        connection.execute("DELETE FROM elsewhere_topic")
    try:
        report = sync_once(node, line, bytes_max=4096)
    finally:
        line.close()
    assert report.round_trips > 5
    assert [one.value_milli for one in stock_elsewhere(node, f"P{77:020d}")] == [77_000]
    assert sync(node).round_trips == 1


def test_a_hub_whose_clock_was_set_back_still_replaces_what_tills_hold(hub: Hub, enrol: Enrol) -> None:
    define(hub, "1001", "cashier", "A")
    node = enrol("A1", "A")
    now_ms = hub.own_log.now_ms
    hub.own_log.now_ms = lambda: now_ms() - 7_200_000
    define(hub, "1001", "cashier", "A", pin="0815")
    sync(node)
    assert sign_in(node, "1001", "0815").number == "1001"
