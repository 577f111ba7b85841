"""What holds for every test: which may be skipped where, in what order they run, and on which databases."""

from __future__ import annotations

import signal

import pytest

from tests.hub.databases import postgresql, pytest_generate_tests
from tests.skip_policy import pytest_configure

__all__ = [
    "postgresql", "pytest_collection_modifyitems", "pytest_configure", "pytest_generate_tests", "pytest_sessionstart",
]  # fmt: skip


def pytest_sessionstart() -> None:
    """Hear interrupts also in the background, where a shell has them ignored: programs under test inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long tests first: left for the end, one of them would keep a single worker busy alone."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
