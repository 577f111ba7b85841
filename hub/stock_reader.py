"""Reads stock figures and conflicts for the JSON API from the folds' tables."""

from __future__ import annotations

from typing import Any

import msgspec

from hub.reports import ConflictListed, StockListed
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import LocationId, location_scope
from sync.conflicts import Conflict


class TableStockReader:
    """Pages by (scope number, key); every statement is bounded by its page."""

    def stock(
        self, connection: Connection, location: str | None, product: str | None, after: str | None, limit: int
    ) -> tuple[list[StockListed], str | None]:
        """Return some figures and the cursor of the page after."""
        where, parameters = "is_present = 1", []
        if product is not None:
            where, parameters = f"{where} AND product = ?", [product]
        rows, following = _page(
            connection,
            "SELECT s.scope, t.scope_no, t.product, t.value, t.lo, t.hi FROM stock t"
            f" JOIN scope s ON s.scope_no = t.scope_no WHERE {where}",
            parameters,
            "t.product",
            location,
            after,
            limit,
        )
        return [StockListed(row[0][4:], row[2], row[3], row[4], row[5]) for row in rows], following

    def conflicts(
        self, connection: Connection, location: str | None, status: str | None, after: str | None, limit: int
    ) -> tuple[list[ConflictListed], str | None]:
        """Return some conflicts and the cursor of the page after."""
        where, parameters = "1 = 1", []
        if status is not None:
            where, parameters = "t.status = ?", [status.upper()]
        rows, following = _page(
            connection,
            "SELECT s.scope, t.scope_no, t.conflict, t.content FROM conflict t"
            f" JOIN scope s ON s.scope_no = t.scope_no WHERE {where}",
            parameters,
            "t.conflict",
            location,
            after,
            limit,
        )
        found = []
        for scope, _, identity, content in rows:
            one = msgspec.msgpack.decode(bytes(content), type=Conflict)
            detail = " ".join(one.refs)
            found.append(ConflictListed(identity, scope[4:], one.code.value, one.status.value.lower(), one.key, detail))
        return found, following


def _page(
    connection: Connection,
    select: str,
    parameters: list[Any],
    order: str,
    location: str | None,
    after: str | None,
    limit: int,
) -> tuple[list[Any], str | None]:
    sql = select
    if location is not None:
        sql, parameters = f"{sql} AND s.scope = ?", [*parameters, location_scope(LocationId(location))]
    if after is not None:
        number, dot, key = after.partition(".")
        if not dot or not number.isdecimal():
            raise RefusalError("cursor_invalid", "this cursor is not one that a page gave out")
        sql = f"{sql} AND (t.scope_no > ? OR (t.scope_no = ? AND {order} > ?))"
        parameters = [*parameters, int(number), int(number), key]
    sql = f"{sql} ORDER BY t.scope_no, {order} LIMIT ?"
    rows = connection.execute(sql, (*parameters, limit + 1)).fetchall()
    last = rows[limit - 1] if len(rows) > limit else None
    return rows[:limit], f"{last[1]}.{last[2]}" if last is not None else None
