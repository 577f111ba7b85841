"""The API against its own description: whatever is sent, it answers as `/v1/openapi.json` says, and never fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from hub.api.description import describe
from hub.api.every import every_route
from hub.inbox import InboxFilter, list_inbox
from hub.own_log import parse_location
from hub.service import init_hub, open_hub, serving
from tests.hub.conflicting import Chain
from tests.hub.databases import POSTGRESQL, SQLITE, fresh_postgresql

EXAMPLES: Final = 8
schema = schemathesis.openapi.from_dict(describe(every_route()))
# What fits the description may still be refused for what it means: a cursor that no page gave out, a unit not known.
schema.config.checks.positive_data_acceptance.enabled = False
# Without If-Match a change is answered 428 (RFC 6585), which the library does not expect.
schema.config.checks.missing_required_header.expected_statuses = [*(str(s) for s in (400, 401, 403, 415, 422, 428))]


@pytest.fixture(scope="module", params=[SQLITE, POSTGRESQL])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """A served chain: its address, a token for everything, and a conflict's id."""
    if request.param == SQLITE:
        yield from serve_chain(tmp_path_factory.mktemp("api") / "hub", "hub.db")
        return
    with fresh_postgresql(request.getfixturevalue("postgresql")) as url:
        yield from serve_chain(tmp_path_factory.mktemp("api") / "hub", url)


def serve_chain(directory: Path, database: str) -> Iterator[tuple[str, str, str]]:
    locations = [parse_location(f"{code}:{code}:shop") for code in "ABW"]
    founded = init_hub(directory, name="Lantern Stores", locations=locations, database=database)
    hub = open_hub(directory)
    try:
        with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            Chain(hub, client).everything()
            with hub.store.snapshot() as replica:
                conflict = list_inbox(replica, InboxFilter(), 0, 1)[0].id
            yield url, founded.token, conflict
    finally:
        hub.close()


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_whatever_is_asked_the_api_answers_as_it_describes_itself(
    case: schemathesis.Case[Any], served: tuple[str, str, str]
) -> None:
    url, token, _ = served
    response = case.call(base_url=url, headers={"Authorization": f"Bearer {token}"})
    case.validate_response(response)
