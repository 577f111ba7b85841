"""A founded hub, served from a thread, and nodes that have joined it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from hub.enrolment import Profile
from hub.own_log import parse_location
from hub.service import Founded, Hub, init_hub, open_hub, serving
from sync.signing import SigningKey
from tests.hub.databases import SQLITE, fresh_postgresql
from tests.hub.fleet import FleetNode, join

LOCATIONS = [parse_location(text) for text in ("A:Riverside:shop", "B:Old Town:shop", "W:Warehouse:warehouse")]


@pytest.fixture
def database(database_kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Name an empty database for a hub: a file in its directory, or one on the tests' own server."""
    if database_kind == SQLITE:
        yield "hub.db"
        return
    with fresh_postgresql(request.getfixturevalue("postgresql")) as url:
        yield url


@pytest.fixture
def founded(tmp_path: Path, database: str) -> tuple[Path, Founded]:
    """Found a hub."""
    directory = tmp_path / "hub"
    return directory, init_hub(directory, name="Lantern Stores", locations=LOCATIONS, database=database)


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
