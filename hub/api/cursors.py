"""Cursors and pages: a page begins after the key that the last one ended with, so an index serves it at any size.

A cursor is opaque to its holder. It holds a place and no permission: what may be seen is asked anew on every page.
Rows that are added or removed between two pages move no other row to another page.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from schema.database import Connection
from schema.errors import RefusalError

PAGE_MAX: Final = 1000
CURSOR_CHARACTERS_MAX: Final = 400
_INTEGER_MAX: Final = 2**63 - 1
Place = tuple[int | str, ...]


def encode_cursor(place: Sequence[int | str]) -> str:
    """Write the key of a page's last row as the cursor of the page after it."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(list(place))).rstrip(b"=").decode()


def decode_cursor(text: str, kinds: Sequence[type[int] | type[str]]) -> Place | None:
    """Read a cursor as (kind, …); None for the first page. Raises RefusalError `cursor_invalid`."""
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        place = msgspec.msgpack.decode(raw, type=list[int | str])
    except (msgspec.MsgspecError, UnicodeError, binascii.Error, ValueError):
        place = []
    is_fine = [type(value) for value in place] == list(kinds) and all(
        "\0" not in value if isinstance(value, str) else abs(value) <= _INTEGER_MAX for value in place
    )
    if not is_fine:
        raise RefusalError("cursor_invalid", "this cursor is not one that a page of this listing gave out")
    return tuple(place)


def keyset(
    connection: Connection,
    select: str,
    where: str,
    parameters: Sequence[Any],
    key: Sequence[str],
    after: Place | None,
    limit: int,
    scope_nos: Collection[int] | None,
) -> list[Any]:
    """Return the next rows of a table in the order of `key`, whose first column is the number of a scope.

    Where some scopes alone are wanted each is read by itself, so that the index's order is the page's own.
    """
    columns, marks = ", ".join(key), ", ".join("?" * len(key))
    if scope_nos is None:
        place, values = (f" AND ({columns}) > ({marks})", list(after)) if after is not None else ("", [])
        return connection.execute(
            f"{select} WHERE {where}{place} ORDER BY {columns} LIMIT ?", (*parameters, *values, limit)
        ).fetchall()
    rest, rest_marks = ", ".join(key[1:]), ", ".join("?" * (len(key) - 1))
    found: list[Any] = []
    for number in sorted(scope_nos):
        if after is not None and number < int(after[0]):
            continue
        is_begun = after is not None and number == after[0]
        place, values = (f" AND ({rest}) > ({rest_marks})", list(after or ())[1:]) if is_begun else ("", [])
        found += connection.execute(
            f"{select} WHERE {where} AND {key[0]} = ?{place} ORDER BY {rest} LIMIT ?",
            (*parameters, number, *values, limit - len(found)),
        ).fetchall()
        if len(found) >= limit:
            break
    return found
