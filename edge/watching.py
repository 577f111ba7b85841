"""What a node does beside the exchange with its hub for as long as it is watched over: calendar, neighbours, backup."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from edge.calendar_jobs import start_calendar
from edge.lan import among_neighbours
from edge.node import Node


@contextmanager
def watching(node: Node, tell: Callable[[str], None]) -> Iterator[None]:
    """Run a node's companions for the time of a block; a request to terminate ends it as an interrupt does."""
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGTERM, _interrupt)
            stack.callback(signal.signal, signal.SIGTERM, before)
        calendar = start_calendar(node.directory, node.clock_source, node.config.time_zone, tell)
        stack.callback(calendar.shutdown, wait=False)
        stack.enter_context(among_neighbours(node, tell))
        yield


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
