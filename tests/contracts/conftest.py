"""The databases that every store of the hub is tested on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from tests.hub.databases import own_server, postgresql_programs, server_url


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A PostgreSQL server for the whole run: the one that the environment names, or one of the tests' own."""
    named, programs = server_url(), postgresql_programs()
    if named is None and programs is None:
        pytest.skip("no PostgreSQL is installed here: `make system-packages`")
    with nullcontext(named) if named or programs is None else own_server(programs) as url:
        assert url is not None
        yield url
