"""What holds for every test: which may be skipped where."""

from __future__ import annotations

from tests.skip_policy import pytest_configure

__all__ = ["pytest_configure"]
