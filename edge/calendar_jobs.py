"""What a node does by the calendar: old entries leave at night; sync runs on the monotonic clock and never waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from edge.cache import prune_old
from edge.clock_source import ClockSource
from edge.node import Node
from schema.errors import EdgetillError

PRUNE_HOUR: Final = 3
PRUNE_MINUTE: Final = 30


def start_calendar(
    directory: Path, clock: ClockSource, time_zone: str, tell: Callable[[str], None]
) -> BackgroundScheduler:
    """Start the node's calendar jobs in a thread of their own; the caller shuts the scheduler down.

    A job that was missed while the machine slept runs once when it wakes. Each opens the node for itself.
    """
    scheduler = BackgroundScheduler(timezone=time_zone)
    scheduler.add_job(
        lambda: prune_at_night(directory, clock, tell),
        CronTrigger(hour=PRUNE_HOUR, minute=PRUNE_MINUTE, timezone=time_zone),
        id="prune",
        coalesce=True,
        max_instances=1,
        misfire_grace_time=None,
    )
    scheduler.start()
    return scheduler


def prune_at_night(directory: Path, clock: ClockSource, tell: Callable[[str], None]) -> None:
    """Let old entries leave; what stands in the way is told and tried again the next night."""
    try:
        with Node(directory, clock=clock) as node:
            pruned = prune_old(node)
        if pruned.left:
            tell(f"{pruned.left} entries below the hub's frontier have left this node")
    except EdgetillError as error:
        tell(f"old entries stay for now: {error.message}")
