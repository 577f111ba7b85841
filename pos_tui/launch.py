"""Owns how a till comes up: the terminal it finds, the one till per node, its sync process, and its end."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pos_tui.sync_process import SyncProcess
from schema.errors import RefusalError
from schema.rules.promotion_terms import Language

if TYPE_CHECKING:
    from pos_tui.app import TillApp

LOCK_FILE: Final = "till.lock"
FRAMES_PER_S: Final = "250"
"""Textual paints at most so often; its own 60 would let a scan wait 16 ms for nothing."""
ESCAPE_MS: Final = "25"


class LaunchOptions(NamedTuple):
    """What the command line said."""

    directory: Path
    demo: bool = False
    web: bool = False
    port: int = 8400
    language: str = ""
    theme: str = ""
    syncs: bool = True


def has_hanzi(environment: Mapping[str, str]) -> bool:
    """Tell whether the terminal can show Chinese: the bare Linux console has no hanzi, an ASCII locale sends none."""
    if environment.get("TERM", "") in {"linux", "vt100", "vt220", "dumb"}:
        return False
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    return locale.upper() not in {"C", "POSIX"} or bool(environment.get("PYTHONUTF8"))


def launch(options: LaunchOptions) -> None:
    """Open the till; raises RefusalError with what is in the way."""
    if options.web:
        from pos_tui.web import serve

        serve(options)
        return
    if not sys.stdin.isatty() and "TEXTUAL_DRIVER" not in os.environ:
        raise RefusalError("terminal_missing", "the till needs a terminal: run it there, or with --web for a browser")
    people: tuple[str, ...] = ()
    os.environ.setdefault("TEXTUAL_FPS", FRAMES_PER_S)
    os.environ.setdefault("ESCDELAY", ESCAPE_MS)
    run(options, people)


def run(options: LaunchOptions, people: tuple[str, ...]) -> None:
    """Open the node and run its till until the cashier closes it."""
    from edge.clock_source import clock_from_environment
    from edge.node import Node
    from pos_tui.till import Till

    with one_till(options.directory), Node(options.directory, clock=clock_from_environment()) as node:
        sync = SyncProcess(options.directory) if options.syncs else None
        if sync is not None:
            sync.start()
        try:
            till = Till(node, language=Language(options.language or "zh"))
            app = make_app(till, options, people)
            app.run()
        finally:
            if sync is not None:
                sync.stop()


@contextmanager
def one_till(directory: Path) -> Iterator[None]:
    """Hold the node for this till; raises RefusalError `till_running` where another one has it."""
    if not directory.is_dir():
        yield  # The node's own sentence says what is missing.
        return
    with (directory / LOCK_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusalError("till_running", f"a till is already open on {directory}: close it first") from None
        yield


def make_app(till: object, options: LaunchOptions, people: tuple[str, ...]) -> TillApp:
    """Make the application; Textual is imported here, after its settings stand in the environment."""
    from pos_tui.app import TillApp
    from pos_tui.till import Till

    assert isinstance(till, Till)
    return TillApp(till, theme=options.theme or "dark")
