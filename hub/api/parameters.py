"""Parameters that several routes of the API share."""

from __future__ import annotations

from typing import Annotated

import msgspec

from hub.api.cursors import CURSOR_CHARACTERS_MAX, PAGE_MAX

_TEXT = r"^[^\x00]*$"
LocationFilter = Annotated[str, msgspec.Meta(description="of this location alone", max_length=96, pattern=_TEXT)]
ProductFilter = Annotated[str, msgspec.Meta(description="of this product alone", max_length=96, pattern=_TEXT)]
Filter = Annotated[str, msgspec.Meta(max_length=96, pattern=_TEXT)]
Cursor = Annotated[
    str,
    msgspec.Meta(
        description="`next` of the page before; empty for the first", max_length=CURSOR_CHARACTERS_MAX, pattern=_TEXT
    ),
]
Limit = Annotated[int, msgspec.Meta(description="rows of a page", ge=1, le=PAGE_MAX)]
Day = Annotated[str, msgspec.Meta(description="a business date such as 2026-05-17", pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=96, pattern=_TEXT)]
Note = Annotated[str, msgspec.Meta(max_length=500, pattern=_TEXT)]
Next = Annotated[str | None, msgspec.Meta(description="the cursor of the page after; null on the last")]
Millis = Annotated[int, msgspec.Meta(description="milliseconds since 1970-01-01 UTC")]
