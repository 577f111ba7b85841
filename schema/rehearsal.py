"""The one way to let a program's clock read another time: for rehearsals, demonstrations and replays."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Final

from schema.errors import RefusalError

CLOCK_VARIABLE: Final = "EDGETILL_CLOCK"


def scripted_start_ms() -> int | None:
    """Return the time at which a scripted clock starts (ISO 8601 with offset in EDGETILL_CLOCK); None for the real one.

    Raises RefusalError for a text that is no time.
    """
    text = os.environ.get(CLOCK_VARIABLE, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RefusalError("clock_malformed", f"{CLOCK_VARIABLE} is no ISO 8601 time: {text!r}") from None
    if moment.tzinfo is None:
        raise RefusalError("clock_malformed", f"{CLOCK_VARIABLE} needs an offset, such as +08:00: {text!r}")
    return int(moment.timestamp() * 1000)
