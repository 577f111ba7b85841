"""A founded hub, served from a thread, and nodes that have joined it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from hub.enrolment import Profile
from hub.own_log import parse_location
from hub.service import Founded, Hub, init_hub, open_hub, serving
from sync.signing import SigningKey
from tests.hub.databases import fresh_postgresql, server_url
from tests.hub.fleet import FleetNode, join

LOCATIONS = [parse_location(text) for text in ("A:Riverside:shop", "B:Old Town:shop", "W:Warehouse:warehouse")]


@pytest.fixture
def founded(tmp_path: Path) -> Iterator[tuple[Path, Founded]]:
    """Found a hub on SQLite, or on PostgreSQL where the environment names a server."""
    directory, server = tmp_path / "hub", server_url()
    with fresh_postgresql(server) if server else nullcontext("hub.db") as database:
        yield directory, init_hub(directory, name="Lantern Stores", locations=LOCATIONS, database=database)


@pytest.fixture
def hub(founded: tuple[Path, Founded]) -> Iterator[Hub]:
    opened = open_hub(founded[0])
    yield opened
    opened.close()


@pytest.fixture
def client(hub: Hub) -> Iterator[httpx.Client]:
    with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield client


Enrol = Callable[..., FleetNode]


@pytest.fixture
def enrol(hub: Hub, client: httpx.Client) -> Enrol:
    tills = iter(f"T{number}" for number in range(1000))

    def enrol_node(location: str = "A", profile: Profile = Profile.TILL) -> FleetNode:
        till = next(tills)
        issued = hub.enrolment.invite(profile=profile, location=location, name=f"{location} {till}", till=till)
        signer = SigningKey(secrets.token_bytes(32))
        return FleetNode(signer, join(client, issued.invitation, signer))

    return enrol_node
