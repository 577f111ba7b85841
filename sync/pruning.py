"""Pruning: old entries leave a replica while every figure stays, and come to stand under a balance instead.

An opening balance is already part of the fold of every replica that holds it, so that taking away what it made
history changes nothing; that is derived again, and asserted, for everything that a slice touches. Each slice is a
transaction of its own and leaves a whole replica behind, so pruning may stop anywhere and go on at any time.

Only a location's scope is pruned. In `org` a shared document's saved state holds its own history, and grants and
policies are few: what may leave there would have to be decided document by document, so nothing of it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from schema.codec import decode_body, kind_of
from schema.errors import RefusalError
from schema.identity import Scope, Stream, scope_location
from sync.effective import Effective, as_effective
from sync.log_tables import LogTables, StreamRow
from sync.messages import KeptEntry, SeenRow, StreamBase
from sync.replica import Replica
from sync.standing_balances import CompleteCut, StandingBalances
from sync.stock_facts import Key
from sync.stock_fold import StockFold
from sync.stock_projection import StockProjection
from sync.stock_tables import StockTables
from sync.version_vector import Head

PRUNED_KINDS: Final = frozenset(
    {
        "sale.completed",
        "refund.completed",
        "shift.opened",
        "cash.moved",
        "shift.closed",
        "day.closed",
        "sign_in.recorded",
        "balance.moved",
        "balance.paid",
        "basket.parked",
        "basket.taken",
        "drawer.opened",
        "line.voided",
        "product.drafted",
        "tender.settled",
        "stock.received",
        "stock.adjusted",
        "stock.repacked",
        "stock.opened",
        "transfer.dispatched",
        "transfer.received",
        "transfer.noticed",
        "count.recorded",
        "opening.balance",
        "frontier.declared",
    }
)
"""Kinds of which a balance says all that is to be said; whatever else lies below a cut stays, however old."""

Leaving = Callable[[Sequence[Effective]], None]
"""Told the entries that are about to leave, in the transaction that takes them."""


class Cut(NamedTuple):
    """How far one scope may be pruned here, and how many entries lie at or below it still to be looked at."""

    complete: CompleteCut
    waiting: int


def may_prune(replica: Replica, scope: str) -> Cut:
    """Return how far a scope may be pruned.

    Raises RefusalError: `scope_not_pruned` (only a location's scope is), `balance_missing` (no complete opening
    balance is here), `frontier_missing` (the hub did not declare that its backup holds that cut), `cut_ahead`
    (this replica does not hold everything at or below the cut, or holds another branch there).
    """
    number = replica.log.scope_no(scope)
    location = scope_location(Scope(scope))
    if location is None:
        raise RefusalError("scope_not_pruned", "only what happened at a location leaves, never the organisation's log")
    complete = StandingBalances(replica.connection, number, location).complete() if number is not None else None
    if complete is None:
        raise RefusalError("balance_missing", f"no complete opening balance of {scope} is here: nothing may leave")
    if not complete.is_declared:
        raise RefusalError("frontier_missing", f"the hub has not declared that a backup holds {scope} up to the cut")
    rows = {row.stream.writer: row for row in replica.log.streams(scope)}
    waiting = 0
    for writer, head in complete.heads.items():
        row = rows.get(writer)
        if row is None or row.head.seq < head.seq:
            raise RefusalError("cut_ahead", f"{scope}:{writer} is not here up to {head.seq}: sync first")
        if row.base.seq > head.seq:
            continue
        if replica.log.digest_at(row, head.seq) != head.digest:
            raise RefusalError("cut_ahead", f"{scope}:{writer} is another branch here than under the cut")
        waiting += head.seq - row.base.seq
    return Cut(complete, waiting)


def prune_slice(replica: Replica, stock: StockProjection, scope: str, entries_max: int, leaving: Leaving) -> int:
    """Look at up to `entries_max` of the oldest entries and let go those that may leave; 0 when none are left.

    Runs in its owner's transaction. Raises what `may_prune` raises, and RefusalError `figures_differ` when
    anything derived from what stays is not what it was: the owner rolls back and nothing has changed.
    """
    complete = may_prune(replica, scope).complete
    for row in replica.log.streams(scope):
        head = complete.heads.get(row.stream.writer)
        if head is not None and row.base.seq < head.seq:
            return _prune_stream(replica, stock, row, head, entries_max, leaving)
    return 0


def prune(replica: Replica, stock: StockProjection, scope: str, leaving: Leaving | None = None) -> int:
    """Prune all that may leave of a scope in the owner's one transaction; returns how many entries were looked at."""
    done = 0
    while looked := prune_slice(replica, stock, scope, 500, leaving or (lambda _: None)):
        done += looked
    return done


def _prune_stream(
    replica: Replica, stock: StockProjection, row: StreamRow, head: Head, entries_max: int, leaving: Leaving
) -> int:
    connection = replica.connection
    scope = row.stream.scope
    location = scope_location(scope)
    assert location is not None
    tables = StockTables(connection, row.scope_no, scope, location)
    inert = replica.log.inert(row)
    found = list(replica.log.entries(row, row.base.seq, min(head.seq, row.base.seq + entries_max)))
    gone: list[Effective] = []
    for entry in found:
        kind = kind_of(entry.body)
        if kind is None or kind.name not in PRUNED_KINDS or entry.payload is None or entry.body.seq in inert:
            continue
        vector = replica.log.vector_at(row, entry.body.seq)
        if all(tables.is_history(fact) for fact in tables.facts_at(row.stream_no, entry.body.seq)):
            gone.append(as_effective(row.stream, row.stream_no, entry.body, entry.payload, vector, entry.digest))
    if gone:
        leaving(gone)
    products, transfers = tables.drop(row.stream_no, [entry.seq for entry in gone])
    last = found[-1]
    connection.executemany(
        "DELETE FROM entry WHERE scope_no = ? AND stream_no = ? AND seq = ?",
        [(row.scope_no, row.stream_no, entry.seq) for entry in gone],
    )
    connection.execute(
        "DELETE FROM seal WHERE scope_no = ? AND stream_no = ? AND seq <= ?",
        (row.scope_no, row.stream_no, last.body.seq),
    )
    connection.execute(
        "UPDATE stream SET base_seq = ?, base_digest = ? WHERE scope_no = ? AND stream_no = ?",
        (last.body.seq, last.digest, row.scope_no, row.stream_no),
    )
    _thin_seen(replica.log, row, last.body.seq)
    again = StockTables(connection, row.scope_no, scope, location)
    changes = StockFold(again, stock.rules(connection)).stand([Key(location, p) for p in sorted(products)], transfers)
    conflicts = changes.conflicts
    if changes.digest_change or changes.transfers or conflicts.raised or conflicts.changed or conflicts.cleared:
        names = ", ".join(sorted({key.product for key in changes.figures} | {p for _, p in changes.transfers}))
        raise RefusalError(
            "figures_differ", f"the balance of {scope} does not give what its entries give ({names}): nothing left"
        )
    return len(found)


def _thin_seen(log: LogTables, row: StreamRow, upto_seq: int) -> None:
    """Keep of what a stream had seen only what the vectors of its remaining entries and of its base are made of.

    `row` is the stream as it was before: up to its base this was done already, but for the base itself.
    """
    kept = log.stored_upto(row, upto_seq)
    start = max((seq for seq in kept if seq <= row.base.seq), default=0)
    rows = [one for one in log.seen_upto(row, upto_seq) if one[0] > start]
    best: dict[str, tuple[int, int]] = {w: (seen, 0) for w, seen in log.vector_at(row, start).items()}
    wanted: set[tuple[int, str]] = set()
    at = 0
    for place in [*(seq for seq in kept if seq > start), upto_seq]:
        while at < len(rows) and rows[at][0] <= place:
            seq, writer, seen = rows[at]
            if seen > best.get(writer, (-1, 0))[0]:
                best[writer] = (seen, seq)
            at += 1
        wanted.update((seq, writer) for writer, (_, seq) in best.items())
    log.delete_seen(row, [(writer, seq) for seq, writer, _ in rows if (seq, writer) not in wanted])


# What stays below a cut, for another replica to stand on.


def foundation(replica: Replica, scope: str) -> tuple[list[StreamBase], list[KeptEntry], list[SeenRow]]:
    """Return what a new replica needs of a scope below its complete and declared cut; empty without one.

    On a replica that never pruned it is what would stay if it did.
    """
    try:
        complete = may_prune(replica, scope).complete
    except RefusalError:
        return [], [], []
    location = scope_location(Scope(scope))
    assert location is not None
    bases: list[StreamBase] = []
    kept: list[KeptEntry] = []
    seen: list[SeenRow] = []
    for row in replica.log.streams(scope):
        head = complete.heads.get(row.stream.writer)
        base = row.base if head is None or row.base.seq > head.seq else head
        if base.seq == 0:
            continue
        tables = StockTables(replica.connection, row.scope_no, Scope(scope), location)
        bases.append(StreamBase(scope, row.stream.writer, base.seq, base.digest))
        staying = list(_staying(replica, tables, row, base.seq))
        kept += staying
        before: dict[str, int] = {}
        for place in sorted({*(one.seq for one in staying), base.seq}):
            vector = replica.log.vector_at(row, place)
            news = sorted((w, s) for w, s in vector.items() if s > before.get(w, 0))
            seen += [SeenRow(scope, row.stream.writer, place, writer, seq) for writer, seq in news]
            before = vector
    return bases, kept, seen


def _staying(replica: Replica, tables: StockTables, row: StreamRow, upto_seq: int) -> Iterator[KeptEntry]:
    inert = replica.log.inert(row)
    for entry in replica.log.entries(row, 0, upto_seq):
        kind, seq = kind_of(entry.body), entry.body.seq
        may_leave = kind is not None and kind.name in PRUNED_KINDS and entry.payload is not None and seq not in inert
        if may_leave and all(tables.is_history(fact) for fact in tables.facts_at(row.stream_no, seq)):
            continue
        yield KeptEntry(row.stream.scope, row.stream.writer, seq, entry.digest, entry.encoded)


def found(replica: Replica, bases: Iterable[StreamBase], kept: Iterable[KeptEntry], seen: Iterable[SeenRow]) -> None:
    """Let streams of a new replica begin at their bases, with the entries that stay below them.

    The balances themselves come as entries, like everything above. Raises RefusalError `foundation_late` where a
    stream has entries already, `foundation_malformed` for what names no stream here.
    """
    rows: dict[tuple[str, str], StreamRow] = {}
    for base in bases:
        stream = _stream(base.scope, base.writer)
        row = replica.log.ensure_stream(stream, Head(base.seq, base.digest))
        if row.head != Head(base.seq, base.digest) or row.base != row.head:
            raise RefusalError("foundation_late", f"{stream} has entries here already")
        rows[base.scope, base.writer] = row
    for one in seen:
        row = _row(rows, one.scope, one.writer)
        replica.log.put_seen(row, one.seq, one.of_writer, one.seen_seq)
    for entry in kept:
        row = _row(rows, entry.scope, entry.writer)
        if not 0 < entry.seq <= row.base.seq or decode_body(entry.body).seq != entry.seq:
            raise RefusalError("foundation_malformed", f"{row.stream} has no entry {entry.seq} below its base")
        replica.store_kept(row, entry.seq, entry.digest, entry.body)


def _stream(scope: str, writer: str) -> Stream:
    try:
        return Stream.parse(f"{scope}:{writer}")
    except ValueError:
        raise RefusalError("foundation_malformed", f"{scope}:{writer} names no stream") from None


def _row(rows: dict[tuple[str, str], StreamRow], scope: str, writer: str) -> StreamRow:
    row = rows.get((scope, writer))
    if row is None:
        raise RefusalError("foundation_malformed", f"{scope}:{writer} has no base")
    return row


def seed_from(source: Replica, fresh: Replica) -> None:
    """Put under an empty replica what lies below the bases of another: what a refold from the log starts with.

    Store the entries above the bases next, in any order; every table of stock is then the same.
    """
    for scope in source.log.scopes():
        seed_scope(source.log, fresh, scope)


def seed_scope(log: LogTables, fresh: Replica, scope: str) -> None:
    """Put under one scope of an empty replica what lies below its bases in another's log."""
    bases: list[StreamBase] = []
    kept: list[KeptEntry] = []
    seen: list[SeenRow] = []
    for row in log.streams(scope):
        if not row.base.seq:
            continue
        writer = row.stream.writer
        bases.append(StreamBase(scope, writer, row.base.seq, row.base.digest))
        seen += [SeenRow(scope, writer, seq, of, upto) for seq, of, upto in log.seen_upto(row, row.base.seq)]
        kept += [
            KeptEntry(scope, writer, entry.body.seq, entry.digest, entry.encoded)
            for entry in log.entries(row, 0, row.base.seq)
        ]
    found(fresh, bases, kept, seen)
