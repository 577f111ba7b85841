"""A till whose terminal is closed ends, keeps its basket, and does not go on in the dark."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from pathlib import Path

from tests.bench.large_shop import make_shop
from tests.processes import command, environment

START_S, END_S = 60.0, 20.0


def test_a_till_that_ignores_hang_ups_ends_when_its_terminal_is_closed(tmp_path: Path) -> None:
    directory = make_shop(tmp_path / "shop", 20)
    ours, theirs = pty.openpty()
    till = subprocess.Popen(
        ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *command("till", "--node", str(directory), "--no-sync")],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**environment({}), "TERM": "xterm-256color", "LANG": "C.UTF-8"},
    )
    try:
        os.close(theirs)
        os.set_blocking(ours, False)
        painted, until = b"", time.monotonic() + START_S
        while "工号".encode() not in painted and time.monotonic() < until:
            try:
                painted += os.read(ours, 65_536)
            except BlockingIOError:
                time.sleep(0.05)
        assert "工号".encode() in painted
        assert till.poll() is None
        os.close(ours)
        till.wait(END_S)
    finally:
        till.kill()
        till.wait()
