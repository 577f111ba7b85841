"""Rebuilds every projection from the log beside the one in use, compares the two, and names what differs.

Facts are never changed, so a figure that the log does not give is wrong, and the log can mend it. The rebuild is a
second database with the same migrations to which the entries arrive anew, stream by stream, through the same folds;
scopes and streams keep their local numbers there, so rows compare as they are, and keys compare by product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from schema.codec import verify_body
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import ORG
from sync.documents import DocumentState
from sync.entry import chain
from sync.key_state import canonical_state
from sync.log_tables import ZERO_DIGEST, LogTables, StreamRow
from sync.organisation import Organisation
from sync.replica import Replica
from sync.signing import is_signed, seal_message
from sync.verification import VerifiedBatch

BATCH_ENTRIES: Final = 1_000
EXAMPLES_MAX: Final = 5

RestoreBalance = Callable[[Connection, Connection, int], None]
"""Brings what stands at the cut of a pruned scope (by its number) from one database into the other."""


class StreamDamage(msgspec.Struct, frozen=True):
    """Entries of a stream that are not those that were chained: from the first that fails to the head."""

    stream: str
    first_seq: int
    last_seq: int
    code: str
    message: str


class Difference(msgspec.Struct, frozen=True):
    """How one table differs from what the log gives; examples are rows as text."""

    table: str
    missing: int
    surplus: int
    missing_examples: tuple[str, ...]
    surplus_examples: tuple[str, ...]


class TableView(NamedTuple):
    """How a projection's table is read for comparison, in a total order, and which stored columns it covers.

    `sql` has `{scopes}` where rows of scopes that cannot be judged are left out; `is_scoped` is false for tables
    that do not tell their scope: they are compared only when every scope can be judged.
    """

    table: str
    sql: str
    is_scoped: bool = True
    read: Callable[[Sequence[Any]], tuple[Any, ...]] = tuple


def _document_row(row: Sequence[Any]) -> tuple[Any, ...]:
    document, state = row
    hashes = sorted(DocumentState.from_bytes(bytes(state)).hashes)
    return document, len(hashes), b"".join(hashes)


def _stock_row(row: Sequence[Any]) -> tuple[Any, ...]:
    *shown, state = row
    return (*shown, None if state is None else canonical_state(bytes(state)))


def _plain(table: str, columns: str, *, is_scoped: bool = True) -> TableView:
    where = " WHERE {scopes}" if is_scoped else ""
    return TableView(table, f"SELECT {columns} FROM {table}{where} ORDER BY {columns}", is_scoped)


CORE_VIEWS: Final = (
    TableView("scope", "SELECT scope, fold_digest FROM scope WHERE {scopes} ORDER BY scope"),
    _plain("seen", "scope_no, stream_no, writer, seq, seen_seq"),
    _plain("inert", "scope_no, stream_no, seq"),
    _plain("recovered", "scope_no, digest, stream_no, seq"),
    _plain("organisation_fact", "kind, subject, hlc_ms, hlc_counter, writer, seq, payload", is_scoped=False),
    TableView("document", "SELECT document, state FROM document ORDER BY document", False, _document_row),
    _plain("record", "document, record, fields", is_scoped=False),
    _plain("document_conflict", "conflict, document, record, field, content", is_scoped=False),
    TableView(
        "stock",
        "SELECT scope_no, product, value, lo, hi, state FROM stock WHERE is_present = 1 AND {scopes}"
        " ORDER BY scope_no, product",
        read=_stock_row,
    ),
    TableView(
        "movement",
        "SELECT m.scope_no, s.product, m.stream_no, m.seq, m.line, m.quantity FROM movement m JOIN stock s"
        " ON s.scope_no = m.scope_no AND s.key_no = m.key_no WHERE {m.scopes}"
        " ORDER BY m.scope_no, s.product, m.stream_no, m.seq, m.line",
    ),
    _plain("stock_fact", "scope_no, about, subject, stream_no, seq"),
    _plain("transfer_paper", "scope_no, transfer, product, stream_no, seq, touches"),
    _plain("transfer", "scope_no, transfer, product, transit, state"),
    _plain("right_figure", "scope_no, product, available, promised, state"),
    _plain("corrected_epoch", "scope_no, writer, clock_epoch"),
    _plain("conflict", "scope_no, conflict, code, status, subject, content"),
    _plain("key_balance", "scope_no, product, cut_id, hlc_ms, hlc_counter, writer, seq, content"),
    _plain("scope_cut", "scope_no, cut_id, heads, settled, parts, is_declared"),
    _plain("cut_part", "scope_no, cut_id, part"),
    _plain("cut_keep", "scope_no, cut_id, writer, first_seq, last_seq"),
)
"""The projections of every replica. `wall_peak` only narrows a search and may hold more than is needed."""
_REBUILT_ALONG: Final = ("wall_peak",)


def find_damage(connection: Connection, row: StreamRow) -> StreamDamage | None:
    """Recompute a stream's chain from its base; return from where on it is not what was chained."""
    digest, seq = row.base.digest, row.base.seq

    def damaged(first_seq: int, code: str, message: str) -> StreamDamage:
        return StreamDamage(str(row.stream), first_seq, max(first_seq, row.head.seq), code, message)

    while True:
        chunk = connection.execute(
            "SELECT seq, digest, body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq > ? ORDER BY seq LIMIT ?",
            (row.scope_no, row.stream_no, seq, BATCH_ENTRIES),
        ).fetchall()
        for found_seq, found_digest, body in chunk:
            if found_seq != seq + 1:
                return damaged(seq + 1, "log_gap", f"{row.stream} has no entry {seq + 1}")
            encoded = bytes(body)
            digest, seq = chain(digest, encoded), found_seq
            if digest != bytes(found_digest):
                return damaged(seq, "log_altered", f"entry {row.stream}:{seq} is not the one that was chained")
            try:
                verify_body(encoded)
            except RefusalError as error:
                return damaged(seq, error.code, f"entry {row.stream}:{seq} cannot be read")
        if len(chunk) < BATCH_ENTRIES:
            break
    if (seq, digest) != tuple(row.head):
        return damaged(min(seq, row.head.seq) + 1, "log_head", f"{row.stream} ends at {seq}, not at {row.head.seq}")
    return None


def put_back(connection: Connection, row: StreamRow, brought: Mapping[int, bytes]) -> int:
    """Replace a stream's damaged entries by those that `brought` holds by number; returns how many.

    The chain is the proof: nothing is written unless it ends in the head that this replica knows, so that neither
    another branch nor a forged entry gets in. Where nothing was brought, what is stored must fit.
    """
    rows = connection.execute(
        "SELECT seq, digest, body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq > ?",
        (row.scope_no, row.stream_no, row.base.seq),
    ).fetchall()
    stored = {int(seq): (bytes(digest), bytes(body)) for seq, digest, body in rows}
    digest = row.base.digest
    wrong: list[tuple[int, int, int, bytes, bytes]] = []
    for seq in range(row.base.seq + 1, row.head.seq + 1):
        body = brought[seq] if seq in brought else stored.get(seq, (b"", b""))[1]
        digest = chain(digest, body)
        if stored.get(seq) != (digest, body):
            wrong.append((row.scope_no, row.stream_no, seq, digest, body))
    if digest != row.head.digest:
        return 0
    connection.executemany(
        "INSERT INTO entry (scope_no, stream_no, seq, digest, body) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (scope_no, stream_no, seq) DO UPDATE SET digest = excluded.digest, body = excluded.body",
        wrong,
    )
    return len(wrong)


def find_bad_seals(log: LogTables, connection: Connection, organisation: Organisation, row: StreamRow) -> list[int]:
    """Return the sequence numbers at which a kept seal is not the writer's signature over what stands there."""
    seals = log.seals(row, 0)
    if not seals:
        return []
    key = organisation.public_key(connection, row.stream.node)
    bad = []
    for seq, signature in seals:
        digest = log.digest_at(row, seq)
        if digest is None:  # below the cut of pruning: what it signed has left
            continue
        if key is None or not is_signed(key, signature, seal_message(row.stream, seq, digest)):
            bad.append(seq)
    return bad


class Rebuild:
    """A second database on which the log's entries arrive anew, in transactions of its owner."""

    def __init__(
        self,
        source: Connection,
        target: Connection,
        replica: Replica,
        *,
        leave_out: Iterable[str] = (),
        restore: RestoreBalance | None = None,
    ) -> None:
        """Bind both; `replica` folds onto `target`, which has the same migrations and no rows."""
        self._source = source
        self._target = target
        self._replica = replica
        self._left_out = set(leave_out)
        self._restore = restore
        self._restored: set[int] = set()

    def catch_up(self) -> int:
        """Fold what the log holds beyond what arrived here already, the organisation's facts first; returns entries."""
        log = LogTables(self._source)
        scopes = log.scopes()
        folded = 0
        for scope in sorted(scopes, key=lambda name: (name != ORG, name)):
            number = scopes[scope]
            self._target.execute(
                "INSERT INTO scope (scope_no, scope, fold_digest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (number, scope, ZERO_DIGEST),
            )
            rows = log.streams(scope)
            for row in rows:
                self._target.execute(
                    "INSERT INTO stream (scope_no, stream_no, node, incarnation, head_seq, head_digest, base_seq,"
                    " base_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (number, row.stream_no, row.stream.node, row.stream.incarnation, *row.base, *row.base),
                )
            if self._restore is not None and number not in self._restored and any(row.base.seq for row in rows):
                self._restore(self._source, self._target, number)
            self._restored.add(number)
            for row in rows:
                if str(row.stream) not in self._left_out:
                    folded += self._follow(log, row)
        return folded

    def _follow(self, log: LogTables, row: StreamRow) -> int:
        here = self._replica.log.stream(row.stream)
        assert here is not None
        entries = log.entries(row, here.head.seq)
        folded = 0
        while part := list(islice(entries, BATCH_ENTRIES)):
            self._replica.store(VerifiedBatch(row.stream, part, b""), is_whole=False)
            folded += len(part)
        return folded


def compare(
    held: Connection, rebuilt: Connection, views: Iterable[TableView], unjudged: Iterable[int] = ()
) -> tuple[list[Difference], list[str]]:
    """Compare tables of two databases row by row; returns the differences and the tables that cannot be judged."""
    left_out = sorted(unjudged)
    differences: list[Difference] = []
    skipped: list[str] = []
    for view in views:
        if left_out and not view.is_scoped:
            skipped.append(view.table)
            continue
        numbers = ", ".join(map(str, left_out))
        sql = view.sql
        for name in ("", "m."):
            condition = f"{name}scope_no NOT IN ({numbers})" if left_out else "1 = 1"
            sql = sql.replace(f"{{{name}scopes}}", condition)
        difference = _compare(view, _rows(held, sql, view), _rows(rebuilt, sql, view))
        if difference is not None:
            differences.append(difference)
    return differences, skipped


def _rows(connection: Connection, sql: str, view: TableView) -> Iterator[tuple[Any, ...]]:
    cursor: Any = connection.execute(sql)
    while part := cursor.fetchmany(2_000):
        for row in part:
            yield view.read(row)


def _compare(view: TableView, held: Iterator[tuple[Any, ...]], rebuilt: Iterator[tuple[Any, ...]]) -> Difference | None:
    """Walk two sorted sequences of rows; a row on one side alone is missing or surplus."""
    missing = surplus = 0
    missing_examples: list[str] = []
    surplus_examples: list[str] = []
    mine, theirs = next(held, None), next(rebuilt, None)
    while mine is not None or theirs is not None:
        if mine == theirs:
            mine, theirs = next(held, None), next(rebuilt, None)
        elif theirs is None or (mine is not None and _order(mine) < _order(theirs)):
            assert mine is not None
            surplus += 1
            if len(surplus_examples) < EXAMPLES_MAX:
                surplus_examples.append(_spell(mine))
            mine = next(held, None)
        else:
            missing += 1
            if len(missing_examples) < EXAMPLES_MAX:
                missing_examples.append(_spell(theirs))
            theirs = next(rebuilt, None)
    if not missing and not surplus:
        return None
    return Difference(view.table, missing, surplus, tuple(missing_examples), tuple(surplus_examples))


def _order(row: tuple[Any, ...]) -> tuple[tuple[int, Any], ...]:
    """Order rows as the database does: null, numbers, text by its bytes, blobs."""
    return tuple(
        (0, 0)
        if value is None
        else (1, value)
        if isinstance(value, int)
        else (2, value.encode())
        if isinstance(value, str)
        else (3, bytes(value))
        for value in row
    )


def _spell(row: tuple[Any, ...]) -> str:
    return ", ".join(
        bytes(value).hex()[:16] if isinstance(value, bytes | bytearray | memoryview) else str(value) for value in row
    )


def replace_projections(held: Connection, rebuilt: Connection, tables: Iterable[str]) -> None:
    """Put the rebuilt tables in place of those held, inside the caller's transaction."""
    for table in (*tables, *_REBUILT_ALONG):
        if table == "scope":
            rows = rebuilt.execute("SELECT fold_digest, scope_no FROM scope").fetchall()
            held.executemany("UPDATE scope SET fold_digest = ? WHERE scope_no = ?", rows)
            continue
        cursor: Any = rebuilt.execute(f"SELECT * FROM {table}")
        columns = [column[0] for column in cursor.description]
        held.execute(f"DELETE FROM {table}")
        marks = ", ".join("?" * len(columns))
        while part := cursor.fetchmany(2_000):
            held.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", part)
    walls = rebuilt.execute("SELECT wall_max_ms, peak_ms, scope_no, stream_no FROM stream").fetchall()
    held.executemany("UPDATE stream SET wall_max_ms = ?, peak_ms = ? WHERE scope_no = ? AND stream_no = ?", walls)
    held.execute("UPDATE scope SET version = version + 1 WHERE scope = ?", (ORG,))
