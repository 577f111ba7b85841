"""A skipped test is no passed test where continuous integration runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.named_tests import named_tests
from tests.skip_policy import allowed_skips

ROOT = Path(__file__).parents[1]
ALLOWED = "tests/schema/test_tax.py::test_single_included_taxes_rounded_per_line_agree_with_odoo"
SKIPPED = "import pytest\n\n\ndef {}():\n    pytest.skip('no such program')\n"


def run_pytest(folder: Path, name: str, *, is_ci: bool, workers: int = 0) -> subprocess.CompletedProcess[str]:
    """Run one skipped test of that name in a folder of its own."""
    path, _, function = name.partition("::")
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_text(SKIPPED.format(function), "utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}}
    environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **({"CI": "true"} if is_ci else {})}
    command = [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "tests.skip_policy"]
    command += ["-p", "no:cacheprovider", "--rootdir", str(folder)]
    command += ["-p", "xdist", "-n", str(workers)] if workers else []
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "is_ci", "workers", "status"),
    [
        ("tests/hub/test_any.py::test_something_else", True, 0, 1),
        ("tests/hub/test_any.py::test_something_else", True, 1, 1),
        ("tests/hub/test_any.py::test_something_else", False, 0, 0),
        (ALLOWED, True, 0, 0),
    ],
)
def test_a_skip_that_nobody_allowed_fails_the_run_of_continuous_integration(
    tmp_path: Path, name: str, is_ci: bool, workers: int, status: int
) -> None:
    done = run_pytest(tmp_path, name, is_ci=is_ci, workers=workers)
    assert done.returncode == status, done.stdout + done.stderr
    assert (f"{name}: Skipped: no such program" in done.stdout) == bool(status)


def test_every_skip_that_is_allowed_names_a_test() -> None:
    assert allowed_skips() <= named_tests()
