"""Where a node reads time: the machine's clocks, or a scripted one for rehearsals, demonstrations and replays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schema.errors import RefusalError
from schema.rehearsal import rehearsal_clock_ms
from sync.clock import ClockReading

ClockSource = Callable[[], ClockReading]


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def machine_clock() -> ClockReading:
    """Read the machine: CLOCK_BOOTTIME counts suspends, so that a sleep is no step of the wall clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return ClockReading(time.time_ns() // 1_000_000, time.clock_gettime_ns(clock) // 1_000_000, _boot_id())


class ScriptedClock:
    """A clock that starts at a given time and runs on, or is moved by its owner; it never reads the real date."""

    def __init__(self, start_ms: int, *, boot_id: str = "scripted") -> None:
        self._start_ms = start_ms
        self._origin_ms = time.monotonic_ns() // 1_000_000
        self._boot_id = boot_id

    def move_to(self, wall_ms: int) -> None:
        """Let the clock read this time now; it never runs backwards."""
        self._start_ms = max(wall_ms, self().wall_ms)
        self._origin_ms = time.monotonic_ns() // 1_000_000

    def __call__(self) -> ClockReading:
        """Read the clock; the monotonic part moves with the wall."""
        wall_ms = self._start_ms + time.monotonic_ns() // 1_000_000 - self._origin_ms
        return ClockReading(wall_ms, wall_ms, self._boot_id)


def clock_from_environment() -> ClockSource:
    """Return the machine's clock, or a scripted one where the environment gives its start."""
    start_ms = rehearsal_clock_ms()
    return machine_clock if start_ms is None else ScriptedClock(start_ms, boot_id=f"scripted-{os.getpid()}")


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise RefusalError("zone_unknown", f"{name!r} is no time zone") from None


def business_date(wall_ms: int, time_zone: str, day_cut_hour: int) -> str:
    """Return the trading day of a moment: a day ends at its cut hour, in the location's zone."""
    return _date_of_minute(wall_ms // 60_000, time_zone, day_cut_hour)


@lru_cache(maxsize=64)
def _date_of_minute(minute: int, time_zone: str, day_cut_hour: int) -> str:
    # A day changes at a full minute in every zone, so one answer serves all the sales of a minute.
    moment = datetime.fromtimestamp(minute * 60, _zone(time_zone)) - timedelta(hours=day_cut_hour)
    return moment.date().isoformat()


def local_time(wall_ms: int, time_zone: str) -> datetime:
    """Return a moment as the location's wall clock shows it."""
    return datetime.fromtimestamp(wall_ms / 1000, _zone(time_zone))


def parse_time(text: str, time_zone: str) -> int:
    """Read an ISO 8601 time, the location's zone where none is given; raises RefusalError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RefusalError("time_malformed", f"{text!r} is no time: write 2026-11-23T06:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_zone(time_zone))
    return int(moment.timestamp() * 1000)
