"""Owns how a till comes up: the terminal it finds, the one till per node, its sync process, its devices, its end."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from schema.errors import RefusalError
from schema.rules.promotion_terms import Language

LOCK_FILE: Final = "till.lock"
LOCK_WAIT_S: Final = 3.0
"""So long a till waits for the one before it to go: a browser that loads its page anew, a restart in haste."""
FRAMES_PER_S: Final = "250"
"""Textual paints at most so often; its own 60 would let a scan wait 16 ms for nothing."""
ESCAPE_MS: Final = "25"
DEMO_VARIABLE: Final = "EDGETILL_DEMO"
"""Set for a till of the demonstration: its sign-in names the people and their PINs."""
SWITCH_S: Final = 0.001
"""How long another thread may hold the interpreter while a key waits."""


class LaunchOptions(NamedTuple):
    """What the command line said."""

    directory: Path
    demo: bool = False
    web: bool = False
    port: int = 8400
    language: str = ""
    theme: str = ""
    syncs: bool = True
    location: str = ""


def has_hanzi(environment: Mapping[str, str]) -> bool:
    """Tell whether the terminal can show Chinese: the bare Linux console has no hanzi, an ASCII locale sends none."""
    if "TEXTUAL_DRIVER" in environment:
        return True
    if environment.get("TERM", "") in {"linux", "vt100", "vt220", "dumb"}:
        return False
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    return locale.upper() not in {"C", "POSIX"}


def is_terminal_gone() -> bool:
    """Tell whether the terminal that this program was started in has been closed."""
    try:
        termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)  # of no terminal at all, as in a browser, it says another thing
    return False


def launch(options: LaunchOptions) -> None:
    """Open the till; raises RefusalError with what is in the way."""
    if not options.web and not sys.stdin.isatty() and "TEXTUAL_DRIVER" not in os.environ:
        raise RefusalError("terminal_missing", "the till needs a terminal: run it there, or with --web for a browser")
    if options.language not in {"", *Language}:
        raise RefusalError("language_unknown", f"{options.language!r} is no language of the till: zh or en")
    with ExitStack() as stack:
        if options.demo:
            from pos_tui.demonstration import SHOP, demonstration

            demo = stack.enter_context(demonstration(options.directory, _tell, options.location or SHOP))
            options = options._replace(directory=demo.till, demo=False)
            os.environ[DEMO_VARIABLE] = "1"
        if options.web:
            from pos_tui.web import serve

            serve(options)
        else:
            os.environ.setdefault("TEXTUAL_FPS", FRAMES_PER_S)
            os.environ.setdefault("ESCDELAY", ESCAPE_MS)
            sys.setswitchinterval(SWITCH_S)
            _run(options)


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _run(options: LaunchOptions) -> None:
    """Open the node and run its till until the cashier closes it; Textual is imported with its settings in place."""
    from edge.clock_source import clock_from_environment
    from edge.devices_config import read_devices
    from edge.node import Node
    from edge.peripherals import Peripherals
    from pos_tui.app import TillApp
    from pos_tui.preferences import read_preferences
    from pos_tui.sync_process import SyncProcess
    from pos_tui.till import Till

    with ExitStack() as stack:
        stack.enter_context(one_till(options.directory))
        clock = clock_from_environment()
        node = stack.enter_context(Node(options.directory, clock=clock))
        preferences = read_preferences(options.directory)
        shows_hanzi = has_hanzi(os.environ)
        language = Language(options.language or preferences.language)
        till = Till(node, language=language if shows_hanzi else Language.EN)
        config = read_devices(options.directory)
        till.has_printer = config.printer is not None
        devices = stack.enter_context(
            Peripherals(options.directory, config, clock=clock, same_scan_guard_ms=till.rules.same_scan_guard_ms)
        )
        if options.syncs:
            stack.enter_context(SyncProcess(options.directory))
        people: tuple[str, ...] = ()
        if os.environ.get(DEMO_VARIABLE):
            from pos_tui.demonstration import people as people_of_demo

            people = people_of_demo(node.config.location)
        app = TillApp(
            till,
            theme=options.theme or preferences.theme,
            devices=devices,
            people=people,
            has_hanzi=shows_hanzi,
            is_program=True,
        )
        app.run()
    if app.return_code:  # Whoever started the till is told that it failed: Textual has shown why.
        raise SystemExit(app.return_code)


@contextmanager
def one_till(directory: Path) -> Iterator[None]:
    """Hold the node for this till; raises RefusalError `till_running` where another one has it."""
    if not directory.is_dir():
        yield  # The node's own sentence says what is missing.
        return
    with (directory / LOCK_FILE).open("a") as file:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise RefusalError(
                        "till_running", f"a till is already open on {directory}: close it there first"
                    ) from None
                time.sleep(0.1)
        yield
