"""Python looks for garbage only where nobody waits for the file."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from edge.garbage import uncollected
from edge.node import Node


@pytest.fixture(params=[True, False])
def was_on(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield bool(request.param)
    (gc.enable if before else gc.disable)()


def test_no_garbage_is_collected_while_the_file_is_locked(node: Node, was_on: bool) -> None:
    with node.write():
        assert not gc.isenabled()
    assert gc.isenabled() is was_on


def test_a_block_that_fails_leaves_the_collector_as_it_was(was_on: bool) -> None:
    with pytest.raises(KeyError), uncollected():
        raise KeyError
    assert gc.isenabled() is was_on
