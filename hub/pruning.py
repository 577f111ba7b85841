"""The hub's part in pruning: it cuts a location's scope, states the balance there, and amends it when it must.

Figures never depend on who pruned: a balance is part of the fold on every replica. The hub alone keeps the whole
log, so it alone can say what a balance should have been when a later entry reaches below its cut; it then appends
the amended balance of those keys, before the resolution or clock fix that asked for it, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from hub.own_log import OwnLog
from hub.store import HubStore
from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import NodeId, Scope, Stream, location_scope, scope_location
from schema.kinds.base import Payload, Permission
from schema.kinds.counting import ClockFixed, CountAccepted, EntryVoided, MovementClassified
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked, FrontierDeclared
from schema.kinds.organisation import OpeningBalance as BalancePart
from sync.effective import Effective
from sync.entry import Entry
from sync.fold import FactSet, OpeningBalance, fold_set
from sync.key_state import KeyBalance
from sync.log_tables import StreamRow
from sync.opening_balance import Carried, amend_key, carry
from sync.replica import Replica
from sync.standing_balances import runs_of
from sync.stock_facts import (
    Accept,
    Classify,
    ClockFix,
    Count,
    Fact,
    Key,
    Movement,
    Rules,
    Vector,
    Void,
    knows,
    parse_target,
)
from sync.stock_facts_of import stock_facts_of
from sync.stock_projection import StockProjection
from sync.stock_tables import StockTables

DAYS_KEPT: Final = 30
DAY_MS: Final = 86_400_000
PART_BYTES: Final = 5 * 1024
"""Balances of one part: few enough that a till derives their keys afresh within one short transaction."""
KEY_BYTES_MAX: Final = 40 * 1024
"""A key that needs more is kept whole: one entry could not carry it."""
RUNS_PER_PART: Final = 500

LastCheckedBackup = Callable[[Replica, Scope], Vector]
"""What the hub's last backup that was restored on trial holds of a scope: no cut lies above it."""


def held_now(replica: Replica, scope: Scope) -> Vector:
    """Take what the hub itself holds for its last checked backup, where no disk can fail: in simulations."""
    return {writer: head.seq for writer, head in replica.log.heads(scope).items()}


def held_by_backup(replica: Replica, scope: Scope) -> Vector:
    """Return what the last backup that was restored on trial holds; raises RefusalError `backup_missing`."""
    row = replica.connection.execute("SELECT vector FROM checked_backup WHERE scope = ?", (scope,)).fetchone()
    if row is None:
        raise RefusalError(
            "backup_missing",
            f"no checked backup holds anything of {scope}: run `edgetill hub backup` before nodes let entries go",
        )
    return msgspec.msgpack.decode(bytes(row[0]), type=dict[str, int])


def keep_checked(replica: Replica, vectors: Mapping[str, Mapping[str, int]], taken_ms: int) -> None:
    """Note what a backup holds that was restored on trial: from now on nothing above it is cut."""
    replica.connection.execute("DELETE FROM checked_backup WHERE taken_ms <= ?", (taken_ms,))
    replica.connection.executemany(
        "INSERT INTO checked_backup (scope, vector, taken_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(scope, encode(dict(vector)), taken_ms) for scope, vector in sorted(vectors.items())],
    )


class PruningReport(NamedTuple):
    """What one cut came to: keys carried and kept whole, entries below the cut, those of them that stay."""

    scope: str
    keys: int
    keys_whole: int
    entries_below: int
    entries_kept: int
    parts: int


class Pruning:
    """Cuts scopes and amends balances; `backup` says what may be cut at all."""

    def __init__(
        self, store: HubStore, own_log: OwnLog, now_ms: Callable[[], int], backup: LastCheckedBackup = held_now
    ) -> None:
        self._store = store
        self._own_log = own_log
        self._now_ms = now_ms
        self._backup = backup

    def cut_location(self, location: str, *, older_than_days: int = DAYS_KEPT) -> PruningReport:
        """Append balance and frontier for all that is older, in one transaction.

        Raises RefusalError: `days_invalid`, `location_unknown`, or `nothing_older`.
        """
        if older_than_days < 1:
            raise RefusalError("days_invalid", "at least the entries of the last day stay")
        scope = location_scope(location)  # type: ignore[arg-type]
        with self._store.transaction(scope) as replica:
            if replica.log.scope_no(scope) is None:
                raise RefusalError("location_unknown", f"there is no location {location}")
            return self.cut(replica, scope, self._now_ms() - older_than_days * DAY_MS)

    def cut(self, replica: Replica, scope: Scope, before_ms: int, settled: Vector | None = None) -> PruningReport:
        """Append balance and frontier at the last causally closed cut before a moment; the caller holds the lock."""
        rows = {row.stream.writer: row for row in replica.log.streams(scope)}
        tables = _tables(replica, scope)
        earlier = tables.balances.complete()
        cut = closed_cut(replica, rows, before_ms, self._backup(replica, scope))
        was = earlier.vector if earlier is not None else {}
        cut = {writer: max(seq, was.get(writer, 0)) for writer, seq in {**was, **cut}.items()}
        if cut == was:
            raise RefusalError("nothing_older", f"nothing of {scope} is older than what was cut before")
        known = settled if settled is not None else known_by_counters(replica, scope)
        carried, keys_whole = self._carry(replica, tables, cut, known)
        heads = tuple((writer, seq, _digest(replica, rows[writer], seq)) for writer, seq in sorted(cut.items()))
        parts = _parts(heads, carried)
        digest = _fold_digest(replica, scope)
        for part in parts:
            self._own_log.append(replica, scope, part)
        self._own_log.append(replica, scope, FrontierDeclared(heads))
        if _fold_digest(replica, scope) != digest:
            raise RefusalError("figures_differ", f"the balance of {scope} would change a figure: nothing was cut")
        return PruningReport(
            scope,
            len(carried.balance.keys),
            keys_whole,
            sum(cut.values()),
            sum(last - first + 1 for part in parts for _, first, last in part.kept),
            len(parts),
        )

    @staticmethod
    def _carry(
        replica: Replica, tables: StockTables, cut: Mapping[str, int], known: Vector | None
    ) -> tuple[Carried, int]:
        """Carry the keys at a cut, and keep whole those whose figure the balance would not give back."""
        stock = replica.fold(StockProjection)
        rules = stock.rules(replica.connection)
        facts = tables.facts_in_sight()
        earlier = _earlier(tables)
        whole: set[Key] = set()
        before = fold_set(facts, rules, earlier)
        while True:
            carried = carry(facts, rules, cut, known, earlier, location=tables.location, whole=frozenset(whole))
            visible = _visible(facts, carried)
            after = fold_set(visible, rules, carried.balance)
            large = {one.key for one in carried.balance.keys if len(encode(one)) > KEY_BYTES_MAX and not one.kept_at}
            differing = {
                key
                for key in before.figures.keys() | after.figures.keys()
                if _shown(before.figures.get(key)) != _shown(after.figures.get(key)) or key in after.reaching_below
            }
            differing -= {key for key in differing if key in before.reaching_below}
            new = (large | differing) - whole
            if not new:
                kept_whole = {key for key in before.figures if all(key != one.key for one in carried.balance.keys)}
                return carried, len(kept_whole)
            whole |= new

    # What reaches below a cut.

    def append(self, replica: Replica, scope: Scope, payload: Payload) -> Entry:
        """Append a resolution or clock fix of the hub's, and before it whatever balance it asks to be amended."""
        rows = replica.log.streams(scope)
        incarnation = self._own_log.incarnation(replica.connection)
        stream = Stream(scope, self._own_log.node, incarnation)
        own = next((row for row in rows if row.stream == stream), None)
        vector = {row.stream.writer: row.head.seq for row in rows if row.stream != stream and row.head.seq}
        foreseen = Effective(
            stream, own.stream_no if own else 0, (own.head.seq if own else 0) + 1_000, payload, self._now_ms(), 0, 0,
            (self._now_ms(), 0), vector, "", b"",
        )  # fmt: skip
        facts = stock_facts_of(foreseen)
        self.amend(replica, scope, self._reached_by(replica, scope, [payload]), facts)
        return self._own_log.append(replica, scope, payload)

    def after_store(self, replica: Replica, scope: Scope, entries: Sequence[Entry]) -> int:
        """Amend what entries from elsewhere reached below a cut, in the transaction that stored them."""
        if scope_location(scope) is None:
            return 0
        products = replica.fold(StockProjection).take_reaching_below().pop(scope, set())
        resolutions = [e.payload for e in entries if isinstance(e.payload, _RESOLUTIONS)]
        if resolutions:
            products = products | self._reached_by(replica, scope, resolutions)
        return self.amend(replica, scope, products)

    def _reached_by(self, replica: Replica, scope: Scope, payloads: Iterable[Payload | None]) -> set[str]:
        tables = _tables(replica, scope)
        if not tables.balances.bound:
            return set()
        whole = _tables(replica, scope, sees_history=True)
        found: set[str] = set()
        for payload in payloads:
            match payload:
                case CountAccepted():
                    found.add(payload.product)
                case EntryVoided():
                    found |= _products_at(tables, whole, payload.target)
                case MovementClassified():
                    found |= _products_at(tables, whole, payload.movement)
                case ClockFixed() if _has_epoch_below(replica, scope, tables, payload):
                    found.update(tables.balances.products())
                case _:
                    continue
        return found

    def amend(self, replica: Replica, scope: Scope, products: Collection[str], facts: Sequence[Fact] = ()) -> int:
        """Append what the balances of some products should say now, where that is another thing; returns how many.

        `facts` are those about to be appended. A key that is kept whole has nothing to amend.
        """
        location = scope_location(scope)
        if not products or location is None:
            return 0
        tables = _tables(replica, scope)
        rules = replica.fold(StockProjection).rules(replica.connection)
        by_cut: dict[bytes, list[bytes]] = {}
        for product in sorted(products):
            stand = tables.balances.of(product)
            if stand is None:
                continue
            key = Key(location, product)
            amended = amended_balance(replica, scope, key, rules, stand.balance, facts)
            stored = tables.balances.stored(product)
            if stored is None:
                continue
            if stored.kept_at is None:
                amended = msgspec.structs.replace(amended, kept_at=None)
            content = encode(amended)
            if content != encode(stored) and len(content) <= KEY_BYTES_MAX:
                by_cut.setdefault(stand.cut_id, []).append(content)
        for cut_id, contents in by_cut.items():
            heads, settled = tables.balances.heads_of(cut_id)
            for part in _packed(contents):
                self._own_log.append(replica, scope, BalancePart(heads, 0, 0, part, settled))
        return sum(map(len, by_cut.values()))


_RESOLUTIONS: Final = (CountAccepted, EntryVoided, MovementClassified, ClockFixed)


def amended_balance(
    replica: Replica, scope: Scope, key: Key, rules: Rules, stands: KeyBalance, facts: Sequence[Fact]
) -> KeyBalance:
    """Return what a balance at the same cut says when all is known that is known now.

    What above the cut needs it is carried too, with what the movements below the cut add to it.
    """
    assert stands.kept_at is not None
    cut, settled = stands.kept_at
    whole = _tables(replica, scope, sees_history=True)
    gathered: list[Fact] = [one for one in whole.movements(key) if knows(cut, one.writer, one.seq)]
    gathered += [one for one in whole.papers_touching(key) if knows(cut, one.writer, one.seq)]
    counts, accepts = list(whole.counts(key)), list(whole.accepts(key))
    gathered += [*whole.sessions(key.location), *whole.voids(), *whole.classifications(), *whole.clock_fixes()]
    coming = [one for one in facts if not isinstance(one, Accept)]
    early: list[Fact] = [one for one in counts if knows(cut, one.writer, one.seq)]
    early += [one for one in accepts if knows(cut, one.writer, one.seq)]
    held_below = FactSet([*gathered, *early, *coming], rules)
    held = FactSet([*gathered, *counts, *accepts, *facts], rules)
    if key not in held.keys:
        return KeyBalance(key.location, key.product, 0, (), stands.closed, stands.kept_at)
    now = held.material(key)
    now.cut, now.settled = cut, settled
    balance = amend_key(held_below.material(key), held_below, now, held)
    below = {one.session for one in counts if one.session is not None and knows(cut, one.writer, one.seq)}
    closed = tuple(sorted(below.union(stands.closed)))
    return msgspec.structs.replace(balance, closed=closed, kept_at=stands.kept_at)


def closed_cut(replica: Replica, rows: Mapping[str, StreamRow], before_ms: int, backup: Vector) -> dict[str, int]:
    """Return the greatest cut of entries older than a moment that holds all that its entries had seen.

    An entry is as old as its hybrid time says, which is never earlier than what its writer had seen.
    """
    cut: dict[str, int] = {}
    for writer, row in rows.items():
        cut[writer] = min(last_before(replica, row, before_ms), backup.get(writer, 0))
    is_closed = False
    while not is_closed:
        is_closed = True
        for writer, row in rows.items():
            for seq, of_writer, seen in replica.log.seen_upto(row, cut[writer]):
                if seen > cut.get(of_writer, 0):
                    cut[writer] = seq - 1
                    is_closed = False
                    break
    return {writer: seq for writer, seq in cut.items() if seq}


def last_before(replica: Replica, row: StreamRow, before_ms: int) -> int:
    """Return the last entry of a stream whose hybrid time lies before a moment; 0 where none does."""
    # Hybrid times ascend along a stream.
    low, high = 0, row.head.seq
    while low < high:
        middle = (low + high + 1) // 2
        entry = replica.log.entry_at(row, middle)
        if entry is not None and entry.hlc[0] < before_ms:
            low = middle
        else:
            high = middle - 1
    return low


def known_by_counters(replica: Replica, scope: Scope) -> dict[str, int] | None:
    """Return the greatest vector that every node which may still count here is known to hold.

    Known is what its streams said they had seen, and what it stated when it last spoke with the hub; a node that
    joined and was never heard of holds nothing. None where nobody but the hub may count.
    """
    lowest: dict[str, int] | None = None
    for node in counters(replica, scope):
        held: dict[str, int] = _stated(replica, node, scope)
        for row in replica.log.streams(scope):
            if row.stream.node == node:
                seen = replica.log.vector_at(row, row.head.seq)
                for writer, seq in (*seen.items(), (row.stream.writer, row.head.seq)):
                    held[writer] = max(seq, held.get(writer, 0))
        if lowest is None:
            lowest = held
        else:
            lowest = {w: min(seq, held[w]) for w, seq in lowest.items() if w in held}
    return lowest


def counters(replica: Replica, scope: Scope) -> list[NodeId]:
    """Return the nodes, other than the hub, that may append a count in a scope."""
    connection = replica.connection
    revoked = replica.organisation.newest_each(connection, AuthorityRevoked)
    found = []
    for node in sorted(replica.organisation.newest_each(connection, AuthorityGranted)):
        if node in revoked or node == replica.organisation.root:
            continue
        authority = replica.organisation.authority(connection, Stream(scope, NodeId(node), 1))
        if Permission.COUNT.value in authority.permissions:
            found.append(NodeId(node))
    return found


def _stated(replica: Replica, node: NodeId, scope: Scope) -> dict[str, int]:
    row = replica.connection.execute(
        "SELECT vector FROM node_vector WHERE node = ? AND scope = ?", (node, scope)
    ).fetchone()
    return {} if row is None else msgspec.msgpack.decode(bytes(row[0]), type=dict[str, int])


def _tables(replica: Replica, scope: Scope, *, sees_history: bool = False) -> StockTables:
    number, location = replica.log.scope_no(scope), scope_location(scope)
    assert number is not None
    assert location is not None
    return StockTables(replica.connection, number, scope, location, sees_history=sees_history)


def _earlier(tables: StockTables) -> OpeningBalance | None:
    complete = tables.balances.complete()
    if complete is None:
        return None
    keys = tuple(stand.balance for p in tables.balances.products() if (stand := tables.balances.of(p)) is not None)
    return OpeningBalance(complete.vector, complete.settled, keys)


def _visible(facts: Iterable[Fact], carried: Carried) -> list[Fact]:
    cut = carried.balance.cut
    return [one for one in facts if not knows(cut, one.writer, one.seq) or (one.writer, one.seq) in carried.must_keep]


def _shown(figure: object) -> object:
    if figure is None:
        return None
    conflicts = [(one.id, one.status) for one in figure.conflicts if one.status != "INFO"]  # type: ignore[attr-defined]
    return figure.value, figure.lo, figure.hi, sorted(conflicts)  # type: ignore[attr-defined]


def _parts(heads: tuple[tuple[str, int, bytes], ...], carried: Carried) -> list[BalancePart]:
    cut = carried.balance.cut
    settled = tuple(sorted(carried.balance.settled.items()))
    runs = runs_of(one for one in carried.must_keep if knows(cut, *one))
    kept = [tuple(runs[at : at + RUNS_PER_PART]) for at in range(0, len(runs), RUNS_PER_PART)]
    balances = _packed([encode(one) for one in carried.balance.keys])
    contents: list[tuple[tuple[tuple[str, int, int], ...], tuple[bytes, ...]]] = [(one, ()) for one in kept]
    contents += [((), one) for one in balances]
    contents = contents or [((), ())]
    return [
        BalancePart(heads, number, len(contents), keys, settled, stay) for number, (stay, keys) in enumerate(contents)
    ]


def _packed(contents: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    parts: list[list[bytes]] = []
    size = PART_BYTES
    for content in contents:
        if size + len(content) > PART_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(content)
        size += len(content)
    return [tuple(part) for part in parts]


def _digest(replica: Replica, row: StreamRow, seq: int) -> bytes:
    digest = replica.log.digest_at(row, seq)
    assert digest is not None
    return digest


def _fold_digest(replica: Replica, scope: Scope) -> bytes:
    row = replica.connection.execute("SELECT fold_digest FROM scope WHERE scope = ?", (scope,)).fetchone()
    return bytes(row[0])


def _products_at(tables: StockTables, whole: StockTables, target: str, path: frozenset[str] = frozenset()) -> set[str]:
    """Return the products whose balance may say another thing when an entry goes or comes back."""
    try:
        writer, seq, _ = parse_target(target)
    except ValueError:
        return set()
    if target in path:
        return set()
    found: set[str] = set()
    for fact in whole.facts_of(writer, seq):
        match fact:
            case Movement() | Count():
                stand = tables.balances.of(fact.product)
                carried = stand.balance.carried if stand is not None else ()
                if tables.lies_below(fact) or any((writer, seq) in one.observation.entries for one in carried):
                    found.add(fact.product)
            case Accept():
                found.add(fact.product)
            case Classify():
                found |= _products_at(tables, whole, fact.movement, path | {target})
            case Void():
                found |= _products_at(tables, whole, fact.target, path | {target})
            case ClockFix():
                found.update(tables.balances.products())
            case _:
                continue
    return found


def _has_epoch_below(replica: Replica, scope: Scope, tables: StockTables, fix: ClockFixed) -> bool:
    below = tables.balances.bound.get(fix.writer, 0)
    if not below:
        return False
    row = replica.log.stream(Stream(scope, NodeId(fix.writer.rpartition(".")[0]), _incarnation(fix.writer)))
    entry = replica.log.entry_at(row, below) if row is not None else None
    return entry is None or entry.body.clock_epoch >= fix.clock_epoch


def _incarnation(writer: str) -> int:
    number = writer.rpartition(".")[2]
    return int(number) if number.isdecimal() else 0
