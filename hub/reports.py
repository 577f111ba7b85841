"""What the hub's JSON API reads: sales, stock and conflicts, page by page, for holders of a token."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec
import sqlalchemy as sa

from hub import tables
from hub.findings import list_findings
from hub.store import HubStore
from hub.tokens import Tokens, TokenStanding
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import LocationId, location_scope

PAGE_MAX: Final = 1000


class SaleListed(msgspec.Struct, frozen=True):
    """One completed sale or refund; `total_minor` is positive either way, `kind` says which."""

    id: str
    kind: str
    location: str
    receipt_number: str
    business_date: str
    operator: str
    line_count: int
    total_minor: int


class SalesPage(msgspec.Struct, frozen=True):
    """Some sales; `next` is the cursor of the page after, absent on the last."""

    sales: list[SaleListed]
    next: str | None = None


class StockListed(msgspec.Struct, frozen=True):
    """Stock on hand of a product at a location in thousandths of its base unit; a range where there is doubt."""

    location: str
    product: str
    value_milli: int
    lo_milli: int
    hi_milli: int


class StockPage(msgspec.Struct, frozen=True):
    """Some stock figures."""

    stock: list[StockListed]
    next: str | None = None


class ConflictListed(msgspec.Struct, frozen=True):
    """What the rules found: its code, its status (info, auto, open) and what it is about."""

    id: str
    location: str
    code: str
    status: str
    subject: str
    detail: str = ""


class ConflictsPage(msgspec.Struct, frozen=True):
    """Some conflicts."""

    conflicts: list[ConflictListed]
    next: str | None = None


class EvidenceListed(msgspec.Struct, frozen=True):
    """One entry behind a finding, and what it moved."""

    entry: str
    location: str
    amount: int
    at_ms: int
    approver: str


class FindingListed(msgspec.Struct, frozen=True):
    """What all locations together show to be wrong: its kind, what it is about, and how much is at stake.

    Amounts are minor units, points where `balance` is member-points.
    """

    id: str
    kind: str
    balance: str
    subject: str
    amount: int
    state: str
    locations: list[str]
    evidence: list[EvidenceListed]


class FindingsPage(msgspec.Struct, frozen=True):
    """Some findings, most at stake first."""

    findings: list[FindingListed]
    next: str | None = None


class StockReader(Protocol):
    """Reads the stock fold's tables for the API; pages are ordered by their cursor, which is the reader's own."""

    def stock(
        self, connection: Connection, location: str | None, product: str | None, after: str | None, limit: int
    ) -> tuple[list[StockListed], str | None]:
        """Return some figures and the cursor of the page after."""
        ...

    def conflicts(
        self, connection: Connection, location: str | None, status: str | None, after: str | None, limit: int
    ) -> tuple[list[ConflictListed], str | None]:
        """Return some conflicts and the cursor of the page after."""
        ...


class Reports:
    """Answers the JSON API from projections; `stock` reads the stock fold, where one is plugged in."""

    def __init__(self, store: HubStore, tokens: Tokens, stock: StockReader | None = None) -> None:
        self._store = store
        self._tokens = tokens
        self._stock = stock

    def authorise(self, header: str | None) -> TokenStanding:
        """Return what the token in an Authorization header stands for; raises RefusalError as `Tokens.authorise`."""
        return self._tokens.authorise(header)

    def sales(self, *, location: str | None, business_date: str | None, cursor: str | None, limit: int) -> SalesPage:
        """Return some sales in the order of their streams; raises RefusalError `cursor_invalid`."""
        s = tables.sale.c
        query = (
            sa.select(
                s.scope_no, s.stream_no, s.seq, tables.scope.c.scope, tables.stream.c.node,
                tables.stream.c.incarnation, s.kind, s.receipt_number, s.business_date, s.operator, s.line_count,
                s.total_minor,
            )
            .join(tables.scope, tables.scope.c.scope_no == s.scope_no)
            .join(
                tables.stream,
                sa.and_(tables.stream.c.scope_no == s.scope_no, tables.stream.c.stream_no == s.stream_no),
            )
            .order_by(s.scope_no, s.stream_no, s.seq)
            .limit(limit + 1)
        )  # fmt: skip
        if location is not None:
            query = query.where(tables.scope.c.scope == location_scope(LocationId(location)))
        if business_date is not None:
            query = query.where(s.business_date == business_date)
        if cursor is not None:
            query = query.where(sa.tuple_(s.scope_no, s.stream_no, s.seq) > sa.tuple_(*_cursor(cursor)))
        with self._store.reading() as connection:
            rows = connection.execute(query).all()
        page = [
            SaleListed(
                f"{r.scope}:{r.node}.{r.incarnation}:{r.seq}",
                r.kind,
                r.scope[4:],
                r.receipt_number,
                r.business_date,
                r.operator,
                r.line_count,
                r.total_minor,
            )
            for r in rows[:limit]
        ]
        last = rows[limit - 1] if len(rows) > limit else None
        return SalesPage(page, f"{last[0]}.{last[1]}.{last[2]}" if last is not None else None)

    def stock(self, *, location: str | None, product: str | None, cursor: str | None, limit: int) -> StockPage:
        """Return some stock figures; none while no stock fold is plugged in."""
        if self._stock is None:
            return StockPage([])
        with self._store.snapshot() as replica:
            return StockPage(*self._stock.stock(replica.connection, location, product, cursor, limit))

    def conflicts(self, *, location: str | None, status: str | None, cursor: str | None, limit: int) -> ConflictsPage:
        """Return some conflicts; none while no stock fold is plugged in."""
        if self._stock is None:
            return ConflictsPage([])
        with self._store.snapshot() as replica:
            return ConflictsPage(*self._stock.conflicts(replica.connection, location, status, cursor, limit))

    def findings(self, *, kind: str | None, location: str | None, cursor: str | None, limit: int) -> FindingsPage:
        """Return some findings; raises RefusalError `cursor_invalid`."""
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 9):
            raise RefusalError("cursor_invalid", "this cursor is not one that a page gave out")
        start = int(cursor or 0)
        with self._store.snapshot() as replica:
            found = list_findings(replica.connection, kind=kind, location=location)
        page = [
            FindingListed(
                one.finding,
                one.kind.value,
                one.balance,
                one.subject,
                one.amount,
                one.state,
                list(one.locations),
                [EvidenceListed(e.entry, e.location, e.amount, e.hlc_ms, e.approver) for e in one.evidence],
            )
            for one in found[start : start + limit]
        ]
        return FindingsPage(page, str(start + limit) if len(found) > start + limit else None)


def _cursor(text: str) -> tuple[int, int, int]:
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) <= 15 for part in parts):
        raise RefusalError("cursor_invalid", "this cursor is not one that a page gave out")
    return int(parts[0]), int(parts[1]), int(parts[2])
