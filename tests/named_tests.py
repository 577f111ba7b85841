"""Names the tests that there are, so that lists of tests cannot go stale."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent


def named_tests() -> set[str]:
    """Return `path::function` of every test function under `tests/`, as pytest would name it without parameters."""
    return {
        f"{path.relative_to(TESTS.parent).as_posix()}::{statement.name}"
        for path in TESTS.rglob("test_*.py")
        for statement in ast.parse(path.read_text("utf-8")).body
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith("test_")
    }
