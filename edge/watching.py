"""What a node does beside the exchange with its hub for as long as it is watched over: calendar, neighbours, backup."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from apscheduler.triggers.cron import CronTrigger

from edge.backup import backed_up
from edge.calendar_jobs import start_calendar
from edge.clock_source import ClockSource
from edge.lan import among_neighbours
from edge.node import Node
from edge.reserving import expire_due
from schema.errors import EdgetillError

WATCH_LOCK_FILE: Final = "watch.lock"
PROOF_MINUTE: Final = 17
"""Of every hour: then a backup is proven by restoring it."""


@contextmanager
def watching(node: Node, tell: Callable[[str], None], *, with_neighbours: bool = True) -> Iterator[threading.Event]:
    """Run a node's companions for the time of a block; yields what a request to terminate sets.

    The request also interrupts what is at work, but an interrupt can get lost in a library's callback: whoever waits
    in the block waits for the event.

    Two programs that both watch over a node would answer for each other: the second does without companions.
    """
    is_over = threading.Event()
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGTERM, lambda _number, _frame: _interrupt(is_over))
            stack.callback(signal.signal, signal.SIGTERM, before)
        if not _is_alone(node, stack):
            tell("another program watches over this node: it looks after neighbours and backup")
            yield is_over
            return
        calendar = start_calendar(node.directory, node.clock_source, node.config.time_zone, tell)
        stack.callback(calendar.shutdown, wait=False)
        calendar.add_job(
            lambda: end_promises(node.directory, node.clock_source, tell),
            CronTrigger(minute="*", timezone=node.config.time_zone),
            id="promises",
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        if with_neighbours:
            stack.enter_context(among_neighbours(node, tell))
        keeper = stack.enter_context(backed_up(node, tell))
        if keeper is not None:
            calendar.add_job(
                keeper.prove_soon,
                CronTrigger(minute=PROOF_MINUTE, timezone=node.config.time_zone),
                id="prove",
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )
        yield is_over


def end_promises(directory: Path, clock: ClockSource, tell: Callable[[str], None]) -> None:
    """End this node's promises whose time has passed; what stands in the way is tried again in a minute."""
    try:
        with Node(directory, clock=clock) as node:
            if ended := expire_due(node):
                tell(f"{ended} reservations have expired")
    except EdgetillError as error:
        tell(f"reservations stay for now: {error.message}")


def _is_alone(node: Node, stack: ExitStack) -> bool:
    number = os.open(node.directory / WATCH_LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, number)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _interrupt(is_over: threading.Event) -> None:
    if not is_over.is_set():
        is_over.set()
        raise KeyboardInterrupt
