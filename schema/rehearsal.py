"""The one way to let a program's clock read another time: for rehearsals, demonstrations and replays."""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import Final

from schema.errors import RefusalError

CLOCK_VARIABLE: Final = "EDGETILL_CLOCK"


def rehearsal_clock_ms() -> int | None:
    """Return what a scripted clock reads now, in Unix milliseconds; None for the real one.

    EDGETILL_CLOCK holds an ISO 8601 time with offset, at which the clock started when the program did, or
    `TIME@MONOTONIC`: it read that time when the machine's monotonic clock read so many milliseconds, so that
    several programs share one rehearsed time. Raises RefusalError for a text that is neither.
    """
    text = os.environ.get(CLOCK_VARIABLE, "")
    if not text:
        return None
    start, at, origin = text.partition("@")
    try:
        moment = datetime.fromisoformat(start)
        origin_ms = int(origin) if at else _STARTED_MS
    except ValueError:
        raise RefusalError("clock_malformed", f"{CLOCK_VARIABLE} is no ISO 8601 time: {text!r}") from None
    if moment.tzinfo is None:
        raise RefusalError("clock_malformed", f"{CLOCK_VARIABLE} needs an offset, such as +08:00: {text!r}")
    return int(moment.timestamp() * 1000) + monotonic_ms() - origin_ms


def monotonic_ms() -> int:
    """Read the machine's monotonic clock, which all its programs share."""
    return time.monotonic_ns() // 1_000_000


_STARTED_MS: Final = monotonic_ms()
