"""Reads dates as people key them on a keypad: 20261231, 261231, 2026-12-31."""

from __future__ import annotations

import datetime
import re

from edge.keyed import plain_width
from schema.errors import RefusalError

_FORMS = (
    re.compile(r"(?P<y>\d{4})[-./]?(?P<m>\d\d)[-./]?(?P<d>\d\d)"),
    re.compile(r"(?P<y>\d\d)(?P<m>\d\d)(?P<d>\d\d)"),
    re.compile(r"(?P<y>\d{4})[-./](?P<m>\d{1,2})[-./](?P<d>\d{1,2})"),
)


def keyed_date(text: str) -> str:
    """Return a keyed date as ISO text; raises RefusalError `date_malformed`."""
    plain = plain_width(text).strip()
    for form in _FORMS:
        matched = form.fullmatch(plain)
        if matched is not None:
            year = int(matched["y"])
            full = year if year >= 1000 else 2000 + year
            try:
                return datetime.date(full, int(matched["m"]), int(matched["d"])).isoformat()
            except ValueError:
                break
    raise RefusalError("date_malformed", "a date is keyed as 20261231 or 261231", text=plain[:20])
