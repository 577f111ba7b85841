"""What the hub knows of people reaches the tills that need it: by a real hub, over its real line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.clock_source import machine_clock
from edge.joining import join
from edge.node import Node
from edge.signing_in import operators, sign_in
from edge.sync_agent import HttpLine, SyncReport, sync_once
from hub.enrolment import Profile
from hub.operators import define_operator
from hub.own_log import parse_location
from hub.service import Hub, init_hub, open_hub, serving
from schema.errors import RefusalError

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
