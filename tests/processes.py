"""Starts the command as a person would, always from this checkout, wherever the tests were started."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
RUN: Final = "from schema.command_line import main; main()"
HANG_S: Final = 900
"""After so long a command is given up; none needs a twentieth of it."""


def command(*words: str) -> list[str]:
    """Return the argument list of `edgetill …`."""
    return [sys.executable, "-c", RUN, *words]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with this checkout first, and nothing of a user's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGETILL_")}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(more or {})}


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in the repository's root; keywords are further environment variables."""
    return subprocess.run(
        command(*words), cwd=ROOT, env=environment(more), capture_output=True, text=True, timeout=HANG_S, check=False
    )


@contextmanager
def serving_hub(directory: Path, *options: str, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `edgetill hub serve` and yield its process and address; it is ended as a service is."""
    words = ("hub", "serve", "--hub", str(directory), "--port", str(port), *options)
    with subprocess.Popen(
        command(*words), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    ) as running:  # fmt: skip
        assert running.stdout is not None
        line = running.stdout.readline()
        found = re.fullmatch(r"listening on (\S+)\n", line)
        assert found, line
        try:
            yield running, found[1]
        finally:
            if running.poll() is None:
                running.terminate()


@contextmanager
def started(*words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command and yield its process, whose output is read line by line; it is ended afterwards."""
    with subprocess.Popen(
        command(*words), cwd=ROOT, env=environment(more), stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()
