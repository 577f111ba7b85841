"""Fixtures of a node's tests: shops whose clocks run as the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.node import Node
from tests.edge.shops import Shops


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[Shops]:
    """An organisation without any node yet."""
    made = Shops(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make_node(shops: Shops) -> Callable[..., Node]:
    """Enrols tills."""
    return shops.make_node


@pytest.fixture
def node(shops: Shops) -> Node:
    """One till in shop A."""
    return shops.make_node()
