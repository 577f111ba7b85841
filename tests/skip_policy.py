"""Decides which tests may be skipped where `CI` is set: those that are named in `allowed_skips.txt`, no others.

A test that skips itself for want of a program or a library would otherwise be green for ever without having run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

ALLOWED: Final = Path(__file__).with_name("allowed_skips.txt")


def allowed_skips() -> set[str]:
    """Return the ids of the tests that may be skipped, without their parameters."""
    lines = (line.partition("#")[0].strip() for line in ALLOWED.read_text("utf-8").splitlines())
    return {line for line in lines if line}


class SkipPolicy:
    """Fails a run in which a test was skipped that is not on the list."""

    def __init__(self) -> None:
        self._allowed = allowed_skips()
        self._surprises: dict[str, str] = {}

    def _note(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        name = report.nodeid.partition("[")[0]
        if report.skipped and not hasattr(report, "wasxfail") and name not in self._allowed:
            reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._surprises[report.nodeid] = reason

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._surprises and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._surprises:
            terminalreporter.section("skipped, and not in tests/allowed_skips.txt")
            for name, reason in sorted(self._surprises.items()):
                terminalreporter.line(f"{name}: {reason}")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the skips where continuous integration says that it runs."""
    is_worker = hasattr(config, "workerinput")
    if os.environ.get("CI") and not is_worker and not config.pluginmanager.has_plugin("edgetill-skips"):
        config.pluginmanager.register(SkipPolicy(), "edgetill-skips")
