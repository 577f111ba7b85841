"""What tills leave for the hub to finish: goods sold without a catalogue entry, and tenders of unknown outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from hub.product_index import owners_of
from schema.database import Connection
from schema.identity import Scope, scope_location
from schema.kinds.balances import BalancePaid
from schema.kinds.tills import ProductDrafted, TenderSettled
from schema.kinds.trading import Refund, Sale
from schema.rules.barcodes import canonical_code
from sync.effective import Effective

UNKNOWN: Final = "unknown"


class DraftFold:
    """Keeps one row for every draft that a till sent."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """List new drafts."""
        rows = [
            (
                scope_no, e.stream_no, e.seq, p.barcode, p.name, p.price_minor, p.operator, p.document, e.wall_ms,
            )
            for e in entries
            if isinstance(p := e.payload, ProductDrafted)
        ]  # fmt: skip
        if rows:
            connection.executemany(
                "INSERT INTO product_draft (scope_no, stream_no, seq, barcode, name, price_minor, operator, document,"
                " wall_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take drafts off the list that lost their authority."""
        _drop(connection, "product_draft", scope_no, [e for e in entries if isinstance(e.payload, ProductDrafted)])


class TenderFold:
    """Keeps tenders of unknown outcome, and what was said of them later, whichever came first."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """List new tenders and outcomes."""
        tenders = [row for e in entries for row in _unknown_tenders(scope_no, e)]
        if tenders:
            connection.executemany(
                "INSERT INTO open_tender (scope_no, stream_no, seq, tender, entry, kind, means, amount_minor,"
                " reference, receipt_number, business_date, operator) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                tenders,
            )
        outcomes = [
            (
                scope_no, e.stream_no, e.seq, p.sale, p.tender, p.outcome, p.reference, p.operator, p.note, *e.hlc,
                e.writer,
            )
            for e in entries
            if isinstance(p := e.payload, TenderSettled)
        ]  # fmt: skip
        if outcomes:
            connection.executemany(
                "INSERT INTO tender_outcome (scope_no, stream_no, seq, entry, tender, outcome, reference, operator,"
                " note, hlc_ms, hlc_counter, writer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                outcomes,
            )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back what lost its authority."""
        _drop(
            connection, "open_tender", scope_no,
            [e for e in entries if isinstance(e.payload, Sale | Refund | BalancePaid)],
        )  # fmt: skip
        _drop(connection, "tender_outcome", scope_no, [e for e in entries if isinstance(e.payload, TenderSettled)])


def _unknown_tenders(scope_no: int, entry: Effective) -> list[tuple[object, ...]]:
    payload = entry.payload
    if not isinstance(payload, Sale | Refund | BalancePaid):
        return []
    kind = "sale" if isinstance(payload, Sale) else "refund" if isinstance(payload, Refund) else "payment"
    return [
        (
            scope_no, entry.stream_no, entry.seq, number, str(entry.id), kind, tender.means, tender.amount_minor,
            tender.reference, payload.receipt_number, payload.business_date, payload.operator,
        )
        for number, tender in enumerate(payload.tenders)
        if tender.state == UNKNOWN
    ]  # fmt: skip


def _drop(connection: Connection, table: str, scope_no: int, entries: Sequence[Effective]) -> None:
    if entries:
        connection.executemany(
            f"DELETE FROM {table} WHERE scope_no = ? AND stream_no = ? AND seq = ?",
            [(scope_no, e.stream_no, e.seq) for e in entries],
        )


class DraftListed(NamedTuple):
    """Goods that the catalogue lacks, by barcode: how often and where they were sold, at what price, the newest name.

    `price_minor` is the price that was keyed last; `low_minor` and `high_minor` what was keyed at all.
    """

    barcode: str
    name: str
    price_minor: int
    low_minor: int
    high_minor: int
    times: int
    locations: tuple[str, ...]
    last_ms: int


def list_drafts(connection: Connection) -> list[DraftListed]:
    """Return the drafts that no product answers yet, the most often sold first."""
    rows = connection.execute(
        "SELECT d.barcode, d.name, d.price_minor, s.scope, d.wall_ms FROM product_draft d"
        " JOIN scope s ON s.scope_no = d.scope_no ORDER BY d.barcode, d.wall_ms, d.scope_no, d.stream_no, d.seq"
    ).fetchall()
    owners = owners_of(connection, {canonical_code(row[0]) for row in rows})
    drafts: dict[str, DraftListed] = {}
    for barcode, name, price, scope, wall_ms in rows:
        if owners.get(canonical_code(barcode)):
            continue
        location = scope_location(Scope(scope)) or ""
        before = drafts.get(barcode)
        drafts[barcode] = DraftListed(
            barcode,
            name or (before.name if before else ""),
            int(price),
            min(int(price), before.low_minor if before else int(price)),
            max(int(price), before.high_minor if before else int(price)),
            1 + (before.times if before else 0),
            tuple(sorted({location, *(before.locations if before else ())})),
            int(wall_ms),
        )
    return sorted(drafts.values(), key=lambda one: (-one.times, one.barcode))


class TenderListed(NamedTuple):
    """A tender whose outcome the till did not know; `outcome` is empty while nobody has settled it."""

    entry: str
    tender: int
    location: str
    kind: str
    means: str
    amount_minor: int
    reference: str
    receipt_number: str
    business_date: str
    operator: str
    outcome: str
    settled_by: str
    note: str


def list_tenders(connection: Connection, *, is_open: bool = False, location: str | None = None) -> list[TenderListed]:
    """Return tenders whose outcome was unknown, oldest first; only those still open, or of one location, if asked."""
    said: dict[tuple[str, int], tuple[str, str, str, str]] = {}
    for entry, tender, outcome, reference, operator, note in connection.execute(
        "SELECT entry, tender, outcome, reference, operator, note FROM tender_outcome"
        " ORDER BY hlc_ms, hlc_counter, writer, seq"
    ).fetchall():
        said[entry, int(tender)] = (outcome, reference, operator, note)
    rows = connection.execute(
        "SELECT t.entry, t.tender, s.scope, t.kind, t.means, t.amount_minor, t.reference, t.receipt_number,"
        " t.business_date, t.operator FROM open_tender t JOIN scope s ON s.scope_no = t.scope_no"
        " ORDER BY t.business_date, t.receipt_number, t.entry, t.tender"
    ).fetchall()
    listed = []
    for entry, tender, scope, kind, means, amount, reference, number, date, operator in rows:
        outcome, found, settled_by, note = said.get((entry, int(tender)), ("", "", "", ""))
        at = scope_location(Scope(scope)) or ""
        if (is_open and outcome) or (location is not None and at != location):
            continue
        listed.append(
            TenderListed(
                entry, int(tender), at, kind, means, int(amount), found or reference, number, date, operator, outcome,
                settled_by, note,
            )
        )  # fmt: skip
    return listed
