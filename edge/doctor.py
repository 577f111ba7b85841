"""Examines a node: the file, every stream's chain and seals, and every figure against a rebuild from the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlcipher3.dbapi2 as sqlcipher
import sqlite_utils

from edge.cache import restoring
from edge.catalogue_index import index_catalogue
from edge.node import Node
from edge.projections import own_folds
from edge.store import foreseen, node_migrations
from edge.trade_projections import TRADE_TABLES
from schema.database import migrate
from schema.errors import CorruptionError
from schema.files import read_given
from schema.identity import Stream
from sync.bundle import read_bundle
from sync.log_tables import LogTables
from sync.organisation import Organisation
from sync.refold import (
    CORE_VIEWS,
    Difference,
    Rebuild,
    StreamDamage,
    TableView,
    compare,
    find_bad_seals,
    find_damage,
    put_back,
    replace_projections,
)
from sync.replica import Replica
from sync.stock_projection import core_folds

OWN_VIEWS: Final = (
    TableView(
        "receipt",
        "SELECT number, scope_no, stream_no, seq, is_refund, total_minor FROM receipt WHERE {scopes}"
        " ORDER BY number, scope_no, stream_no, seq",
    ),
    TableView("replayed", "SELECT source, number FROM replayed ORDER BY source, number", False),
    TableView(
        "returned",
        "SELECT original, line, refund, quantity_milli, amount_minor FROM returned ORDER BY original, line, refund",
        False,
    ),
    TableView(
        "shift",
        "SELECT shift, business_date, operator, float_minor, sales, sales_minor, refunds, refunds_minor, cash_minor,"
        " counted_minor, expected_minor FROM shift ORDER BY shift",
        False,
    ),
    TableView(
        "shift_event",
        "SELECT shift, scope_no, stream_no, seq, kind, operator, amount_minor, expected_minor FROM shift_event"
        " WHERE {scopes} ORDER BY shift, scope_no, stream_no, seq",
    ),
    TableView(
        "count_session",
        "SELECT session, scope_no, stream_no, seq, is_opening, wall_ms, operator, plan FROM count_session"
        " WHERE {scopes} ORDER BY session, scope_no, stream_no, seq",
    ),
    TableView(
        "sign_in",
        "SELECT operator, scope_no, stream_no, seq, outcome, approver, hlc_ms, hlc_counter, writer, wall_ms,"
        " clock_epoch FROM sign_in WHERE {scopes} ORDER BY operator, scope_no, stream_no, seq",
    ),
    TableView(
        "balance_move",
        "SELECT balance, subject, scope_no, stream_no, seq, part, amount FROM balance_move WHERE {scopes}"
        " ORDER BY balance, subject, scope_no, stream_no, seq, part",
    ),
    TableView("member", "SELECT phone_hash, person FROM member ORDER BY phone_hash, person", False),
    *(
        TableView(
            table,
            f"SELECT scope_no, stream_no, seq, {columns} FROM {table} WHERE {{scopes}}"
            f" ORDER BY scope_no, stream_no, seq{', part' if columns.startswith('part,') else ''}",
        )
        for table, columns in TRADE_TABLES.items()
    ),
    TableView(
        "buying_fact",
        "SELECT scope_no, stream_no, seq, kind, subject, content FROM buying_fact WHERE {scopes}"
        " ORDER BY scope_no, stream_no, seq",
    ),
    TableView(
        "buying",
        "SELECT scope_no, number, about, state, source, since_ms, content FROM buying WHERE {scopes}"
        " ORDER BY scope_no, number",
    ),
    TableView("barcode", "SELECT barcode, product, unit FROM barcode ORDER BY barcode, product, unit", False),
    TableView(
        "product_index", "SELECT product, article, words, initials, pinyin FROM product_index ORDER BY product", False
    ),
)
"""The projections that only a node keeps."""
_MEANING: Final = {
    "scope": "fold digests", "seen": "what streams had heard of each other", "inert": "entries without effect",
    "recovered": "entries brought back after a fork",
    "organisation_fact": "facts of the organisation", "document": "shared documents", "record": "catalogue records",
    "document_conflict": "catalogue conflicts", "stock": "stock figures", "movement": "stock movements",
    "stock_fact": "counts and resolutions", "transfer_paper": "papers of transfers", "transfer": "goods on the road",
    "corrected_epoch": "corrected clocks", "right_figure": "rights on shared stock",
    "conflict": "conflicts", "receipt": "receipts",
    "replayed": "replayed baskets", "returned": "returned goods", "shift": "shift totals",
    "shift_event": "shift events", "key_balance": "opening balances",
    "scope_cut": "cuts", "cut_part": "parts of balances",
    "cut_keep": "entries kept below cuts", "count_session": "count sessions", "barcode": "barcodes",
    "sign_in": "sign-ins", "balance_move": "changes of balances", "member": "members by number",
    "product_index": "the search index",
    "payment": "payments", "refunded": "refunds", "purchase": "customers' purchases",
    "unknown_tender": "payments of unknown outcome", "settled_tender": "settled payments",
    "parked_basket": "parked baskets", "taken_basket": "parked baskets that were taken", "voided_line": "voided lines",
    "drawer_opening": "drawer openings", "closed_day": "closed days", "product_draft": "drafts of products",
    "buying_fact": "words on orders", "buying": "orders and drafts", "dated_goods": "goods with a date",
    "counted_goods": "counted products",
    "van_settlement": "settlements of vans",
}  # fmt: skip


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong, as a sentence; `code` is stable."""

    code: str
    sentence: str


class Examination(msgspec.Struct, frozen=True):
    """What the doctor found. `is_mended` when the projections were replaced by the rebuilt ones."""

    is_healthy: bool
    findings: tuple[Finding, ...]
    damages: tuple[StreamDamage, ...]
    differences: tuple[Difference, ...]
    unjudged: tuple[str, ...]
    """Tables that could not be compared: part of the log behind them was pruned or is damaged."""
    streams: int
    entries: int
    seals: int
    refolded: int
    refold_seconds: float
    is_mended: bool = False

    @property
    def entries_per_second(self) -> int:
        """How fast the log was folded anew."""
        return int(self.refolded / self.refold_seconds) if self.refold_seconds else 0


def examine(node: Node, *, mend: bool = False, bytes_check: bool = True) -> Examination:
    """Verify the file, the chains and seals, and every projection against the log; `mend` puts the rebuilt in place.

    The log is only read. A damaged chain is named with its range (`put_back_entries` mends it); figures are
    not replaced while one is damaged, for they were folded from what the log had said. A pruned scope is refolded
    from what stands at its cut.
    """
    findings = _check_file(node) if bytes_check else []
    try:
        with foreseen(node.store.path):
            return _examine(node, findings, mend=mend)
    except CorruptionError as error:  # pages that cannot be read at all: nothing more can be judged
        findings.append(Finding(error.code, error.message))
        return Examination(False, tuple(findings), (), (), (), 0, 0, 0, 0, 0.0)


def _examine(node: Node, findings: list[Finding], *, mend: bool) -> Examination:
    search = _check_search(node)
    findings += search
    log = LogTables(node.connection)
    damages, seals, streams, entries = _check_log(node, log, findings)
    damaged_numbers = {
        number for scope, number in log.scopes().items() if any(d.stream.startswith(f"{scope}:") for d in damages)
    }
    with _scratch() as scratch:
        findings += _check_tables(node, scratch)
        organisation = Organisation(node.config.root, node.config.root_public_key)
        documents, stock = core_folds(organisation, index_catalogue)
        replica = Replica(scratch, organisation, [documents, stock, *own_folds()])
        rebuild = Rebuild(
            node.connection,
            scratch,
            replica,
            leave_out=[damage.stream for damage in damages],
            restore=restoring(replica),
        )
        began = time.perf_counter()
        refolded = rebuild.catch_up()
        seconds = time.perf_counter() - began
        unjudged = damaged_numbers
        with node.store.reading():
            refolded += rebuild.catch_up()
            differences, skipped = compare(node.connection, scratch, (*CORE_VIEWS, *OWN_VIEWS), unjudged)
        findings += [_differs(one) for one in differences]
        is_mended = False
        if mend and search:
            with node.store.transaction() as connection:
                sqlite_utils.Database(connection)["product_index"].rebuild_fts()
            is_mended = True
        if mend and differences and not unjudged:
            with node.store.transaction():
                rebuild.catch_up()
                replace_projections(node.connection, scratch, [view.table for view in (*CORE_VIEWS, *OWN_VIEWS)])
            node.organisation.refresh(node.connection)
            node.stock.forget()
            is_mended = True
    if mend and differences and unjudged:
        findings.append(
            Finding("not_mended", "the figures were left as they are: part of the log that they rest on is not here")
        )
    return Examination(
        not findings, tuple(findings), tuple(damages), tuple(differences), tuple(skipped), streams, entries, seals,
        refolded, seconds, is_mended,
    )  # fmt: skip


def put_back_entries(node: Node, file: Path) -> int:
    """Take damaged entries out of a bundle, which the hub or a neighbour wrote; returns how many were put back.

    Raises RefusalError for a file that cannot be read. What the chain does not prove is left as it is.
    """
    _, parts = read_bundle(read_given(file))
    log = LogTables(node.connection)
    rows = [row for scope in sorted(log.scopes()) for row in log.streams(scope)]
    damaged = {row.stream: row for row in rows if find_damage(node.connection, row) is not None}
    brought: dict[Stream, dict[int, bytes]] = {stream: {} for stream in damaged}
    for batches in parts:
        for batch in batches:
            if batch.stream in brought:
                brought[batch.stream].update(enumerate(batch.entries, batch.first_seq))
    with node.write():
        return sum(put_back(node.connection, row, brought[stream]) for stream, row in damaged.items())


def _check_file(node: Node) -> list[Finding]:
    try:
        rows = node.connection.execute("PRAGMA integrity_check(20)").fetchall()
    except (sqlcipher.DatabaseError, UnicodeDecodeError) as error:
        return [Finding("file_damaged", f"the file is damaged ({error}): restore the backup")]
    return [
        Finding("file_damaged", f"the file is damaged ({row[0]}): restore the backup") for row in rows if row[0] != "ok"
    ]


def _check_tables(node: Node, scratch: Any) -> list[Finding]:
    """Compare how tables, indexes and triggers are defined with what the migrations make of an empty file."""
    wanted, found = (dict(one.execute(_DEFINED).fetchall()) for one in (scratch, node.connection))
    return [
        Finding("table_damaged", f"{name} is defined in another way: restore the backup")
        for name, definition in sorted(wanted.items())
        if found.get(name) != definition
    ]


def _check_search(node: Node) -> list[Finding]:
    """Compare the full-text index with the products that it was made of, by FTS5's own check."""
    try:
        with node.store.transaction() as connection:
            connection.execute("INSERT INTO product_text (product_text, rank) VALUES ('integrity-check', 1)")
    except (CorruptionError, sqlcipher.DatabaseError):
        return [Finding("search_damaged", "the search for products does not fit the products: mend it")]
    return []


def _check_log(node: Node, log: LogTables, findings: list[Finding]) -> tuple[list[StreamDamage], int, int, int]:
    damages: list[StreamDamage] = []
    seals = streams = entries = 0
    for scope in sorted(log.scopes()):
        for row in log.streams(scope):
            streams += 1
            entries += row.head.seq - row.base.seq
            damage = find_damage(node.connection, row)
            if damage is not None:
                damages.append(damage)
                findings.append(
                    Finding(
                        damage.code,
                        f"{damage.message}: entries {damage.first_seq} to {damage.last_seq} of {damage.stream}"
                        f" are to come again from the hub, by `edgetill hub bundle export {node.config.node} FILE`"
                        " there and `edgetill doctor --mend --from FILE` here",
                    )
                )
                continue
            seals += len(log.seals(row, 0))
            if row.sealed_seq > max((seq for seq, _ in log.seals(row, row.base.seq)), default=row.base.seq):
                findings.append(
                    Finding(
                        "seal_missing",
                        f"seals of {row.stream} up to entry {row.sealed_seq} are gone: until they come again with"
                        " `edgetill doctor --mend`, its entries cannot be passed on from here",
                    )
                )
            bad = find_bad_seals(log, node.connection, node.organisation, row)
            findings += [
                Finding("seal_invalid", f"the seal of {row.stream} at entry {seq} is not its node's signature")
                for seq in bad
            ]
    return damages, seals, streams, entries


def _differs(one: Difference) -> Finding:
    what = _MEANING.get(one.table, one.table)
    parts = []
    if one.surplus:
        parts.append(f"{one.surplus} held that the log does not give (such as {one.surplus_examples[0]})")
    if one.missing:
        parts.append(f"{one.missing} that the log gives are missing (such as {one.missing_examples[0]})")
    return Finding("projection_differs", f"{what} differ from the log: {'; '.join(parts)}")


_DEFINED: Final = "SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL"


@contextmanager
def _scratch() -> Iterator[Any]:
    """Open a private database that spills to a temporary file and is gone when it is closed."""
    connection = sqlcipher.connect("", isolation_level=None)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536", "recursive_triggers = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        migrate(connection, node_migrations())
        yield connection
    finally:
        connection.close()
