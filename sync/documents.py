"""Shared, mutable master data as Automerge documents whose changes travel as log entries.

A document (the products of one category, a price list, promotions) is a flat root map: record and field name a
scalar. The state of a document is a pure function of the set of changes and of the facts of the entries that
carried them; order and repetition do not matter. This is the one module that touches the merge library: it
receives only changes that `document_change` has understood, keeps their history compactly and must agree on it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import automerge.core
import msgspec

from schema.errors import CorruptionError, RefusalError
from schema.kinds.catalogue import ChangeStamp, DocumentChange, RecordSets
from sync.document_change import (
    ACTOR_BYTES,
    HASH_BYTES,
    Assignment,
    DecodedChange,
    OperationId,
    Scalar,
    check_assignment,
    decode_change,
    encode_change,
)
from sync.document_conflicts import Candidate, DocumentConflict, by_precedence

PAYLOAD_BYTES_MAX = 48 * 1024
RECORDS_MAX = 1_000


class Delivery(msgspec.Struct, frozen=True, array_like=True):
    """A change as an entry brought it; `may_reissue` only where the entry's authority is the hub's."""

    change: DocumentChange
    stamp: ChangeStamp
    may_reissue: bool = False

    @property
    def author_stamp(self) -> ChangeStamp:
        """The stamp that the fold uses: the author's, also where the hub brought the change."""
        return self.change.origin or self.stamp


class RefusedChange(msgspec.Struct, frozen=True):
    """A change that was not applied, and why: `code` is stable."""

    delivery: Delivery
    code: str
    message: str


class PendingChange(NamedTuple):
    """A change that waits for others."""

    hash: bytes
    missing: tuple[bytes, ...]


class DocumentDelta(msgspec.Struct, frozen=True):
    """What one `apply` changed: winning values (None is deleted), conflicts, and what was not applied."""

    records: dict[str, dict[str, Scalar]]
    raised: tuple[DocumentConflict, ...]
    cleared: tuple[str, ...]
    refused: tuple[RefusedChange, ...]
    pending: tuple[PendingChange, ...]


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    version: int
    document: str
    library: bytes
    stamps: tuple[tuple[bytes, ChangeStamp], ...]
    shadowed: tuple[bytes, ...]
    pending: tuple[Delivery, ...]
    barred: tuple[bytes, ...]


class _Change:
    """A change that counts; its assignments are decoded again in the rare case that they are needed."""

    __slots__ = ("actor", "ancestors", "deps", "hash", "index", "max_op", "raw", "seq", "stamp")

    def __init__(self, index: int, decoded: DecodedChange, raw: bytes, stamp: ChangeStamp, ancestors: int) -> None:
        self.index = index
        self.hash = decoded.hash
        self.actor = decoded.actor
        self.seq = decoded.seq
        self.max_op = decoded.max_op
        self.deps = decoded.deps
        self.raw = raw
        self.stamp = stamp
        self.ancestors = ancestors  # A bit for each change that this one builds on, itself included.

    def decoded(self) -> DecodedChange:
        return decode_change(self.raw)


_Operation: TypeAlias = tuple[_Change, int, Scalar]  # (change, counter, value)
_Key: TypeAlias = tuple[str, str]
_View: TypeAlias = tuple[bool, Scalar, DocumentConflict | None]
_ABSENT: _View = (False, None, None)
_NO_OPERATIONS: tuple[_Operation, ...] = ()


def actor_id(document: str, writer: str) -> bytes:
    """Derive the actor (16 bytes) of a stream's `node.incarnation` in one document.

    It names the document too, so a change cannot be passed off as another document's.
    """
    return hashlib.sha256(f"edgetill document actor\n{document}\n{writer}".encode()).digest()[:ACTOR_BYTES]


class DocumentState:
    """One document: the fold of the changes that came so far, kept incrementally."""

    def __init__(self, document: str) -> None:
        self.document = document
        self._changes: list[_Change] = []
        self._by_hash: dict[bytes, _Change] = {}
        self._by_seq: dict[tuple[bytes, int], list[_Change]] = {}
        self._heads: set[bytes] = set()
        self._live: dict[_Key, tuple[_Operation, ...]] = {}
        self._past: dict[_Key, tuple[_Operation, ...]] = {}
        self._pending: dict[bytes, list[tuple[Delivery, DecodedChange]]] = {}
        self._waiting: dict[bytes, set[bytes]] = {}
        self._barred: set[bytes] = set()
        self._library: automerge.core.Document | None = None
        self._stored = b""
        self._shadow = 0

    # ---- reading

    @property
    def hashes(self) -> frozenset[bytes]:
        """The changes that count."""
        return frozenset(self._by_hash)

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The changes that no other builds on."""
        return tuple(sorted(self._heads))

    @property
    def record_count(self) -> int:
        """The records that were ever named, the deleted included."""
        return len({record for record, _ in self._live})

    def value(self, record: str, field: str) -> Scalar:
        """Return the winning value; None for what is deleted or was never set."""
        return self._view((record, field))[1]

    def records(self) -> dict[str, dict[str, Scalar]]:
        """Return all winning values by record and field, in order; deleted ones are None."""
        result: dict[str, dict[str, Scalar]] = {}
        for key in sorted(self._live):
            result.setdefault(key[0], {})[key[1]] = self._view(key)[1]
        return result

    def conflicts(self) -> tuple[DocumentConflict, ...]:
        """Return the open conflicts in the order of record and field."""
        views = (self._view(key)[2] for key in sorted(self._live) if len(self._live[key]) > 1)
        return tuple(conflict for conflict in views if conflict is not None)

    def pending(self) -> tuple[PendingChange, ...]:
        """Return the changes that wait, each with the hashes that it misses."""
        return tuple(
            PendingChange(change_hash, tuple(dep for dep in held[0][1].deps if dep not in self._by_hash))
            for change_hash, held in sorted(self._pending.items())
        )

    def stamp(self, change_hash: bytes) -> ChangeStamp | None:
        """Return the author's stamp of a change that counts: what the hub needs for a reissue."""
        change = self._by_hash.get(change_hash)
        return change.stamp if change else None

    # ---- applying

    def apply(self, deliveries: Iterable[Delivery]) -> DocumentDelta:
        """Take in changes in any order; what is invalid is refused by name and leaves the rest alone."""
        before: dict[_Key, _View] = {}
        refused: list[RefusedChange] = []
        count_before = len(self._changes)
        ready: deque[tuple[Delivery, DecodedChange | None]] = deque((delivery, None) for delivery in deliveries)
        while ready:
            delivery, decoded = ready.popleft()
            try:
                if decoded is None:
                    decoded = decode_change(delivery.change.change)
                    self._check_identity(delivery, decoded)
                if decoded.hash in self._barred:
                    raise _library_refused()
                if any(dep not in self._by_hash for dep in decoded.deps):
                    self._hold(delivery, decoded)
                    continue
                ancestors, replaced = self._check(decoded)
                self._check_claims(delivery.change, decoded, replaced)
            except RefusalError as error:
                refused.append(RefusedChange(delivery, error.code, error.message))
                continue
            known = self._by_hash.get(decoded.hash)
            if known is not None:
                self._restamp(known, delivery.author_stamp, before)
                continue
            self._admit(decoded, delivery.change.change, delivery.author_stamp, ancestors, replaced, before)
            ready.extendleft(reversed(self._wake(decoded.hash)))
        if len(self._changes) > count_before:
            self._merge(count_before, refused)
        return self._delta(before, tuple(refused))

    def _check_identity(self, delivery: Delivery, decoded: DecodedChange) -> None:
        change = delivery.change
        if change.document != self.document:
            raise RefusalError("document.other_document", f"The change is not for {self.document}.")
        if change.hash != decoded.hash:
            raise RefusalError("document.hash_differs", "The change's bytes have another hash than is claimed.")
        if change.origin is not None and not delivery.may_reissue:
            raise RefusalError("document.origin_forbidden", "Only the hub may bring another's change.")
        if decoded.actor != actor_id(self.document, delivery.author_stamp.writer):
            raise RefusalError("document.actor_foreign", "The change was not made by the entry's author.")

    def _check(self, decoded: DecodedChange) -> tuple[int, list[tuple[_Change, ...]]]:
        """Judge a change by what it builds on alone, so that the order of arrival has no say.

        Return the changes that it builds on and, for each assignment, the changes that it replaces.
        """
        ancestors = max_op = 0
        for dep in decoded.deps:
            found = self._by_hash[dep]
            ancestors |= found.ancestors
            max_op = max(max_op, found.max_op)
        if decoded.start_op != max_op + 1:
            raise RefusalError("document.sequence_broken", "The change's operations do not follow on what it knew.")
        if self._known(ancestors, decoded.actor, decoded.seq):
            raise RefusalError("document.sequence_broken", "The change repeats a number of its author.")
        if decoded.seq > 1 and len(self._known(ancestors, decoded.actor, decoded.seq - 1)) != 1:
            raise RefusalError("document.sequence_broken", "The change does not follow on its author's last one.")
        replaced: list[tuple[_Change, ...]] = []
        for one in decoded.assignments:
            if not one.replaces:
                replaced.append(())
                continue
            key = (one.record, one.field)
            candidates = self._live.get(key, _NO_OPERATIONS) + self._past.get(key, _NO_OPERATIONS)
            found_all: list[_Change] = []
            for counter, actor in one.replaces:
                matches = [
                    change
                    for change, at, _ in candidates
                    if at == counter and change.actor == actor and ancestors >> change.index & 1
                ]
                if not matches:
                    raise RefusalError("document.predecessor_unknown", "The change replaces what it did not know.")
                found_all += matches
            replaced.append(tuple(sorted(found_all, key=lambda change: change.hash)))
        return ancestors, replaced

    def _known(self, ancestors: int, actor: bytes, seq: int) -> list[_Change]:
        return [one for one in self._by_seq.get((actor, seq), ()) if ancestors >> one.index & 1]

    def _check_claims(
        self, change: DocumentChange, decoded: DecodedChange, replaced: list[tuple[_Change, ...]]
    ) -> None:
        claims = _claims(decoded, [tuple(one.hash for one in changes) for changes in replaced])
        if (change.fields, change.sets, change.replaced) != claims:
            raise RefusalError("document.claims_differ", "The change does not do what its entry says.")

    def _hold(self, delivery: Delivery, decoded: DecodedChange) -> None:
        held = self._pending.setdefault(decoded.hash, [])
        if all(delivery != other for other, _ in held):
            held.append((delivery, decoded))
        for dep in decoded.deps:
            if dep not in self._by_hash:
                self._waiting.setdefault(dep, set()).add(decoded.hash)

    def _wake(self, arrived: bytes) -> list[tuple[Delivery, DecodedChange | None]]:
        woken: list[tuple[Delivery, DecodedChange | None]] = []
        for change_hash in sorted(self._waiting.pop(arrived, ())):
            held = self._pending.get(change_hash)
            if held and all(dep in self._by_hash for dep in held[0][1].deps):
                woken += self._pending.pop(change_hash)
        return woken

    def _admit(
        self,
        decoded: DecodedChange,
        raw: bytes,
        stamp: ChangeStamp,
        ancestors: int,
        replaced: list[tuple[_Change, ...]],
        before: dict[_Key, _View] | None,
    ) -> None:
        index = len(self._changes)
        change = _Change(index, decoded, raw, stamp, ancestors | 1 << index)
        self._changes.append(change)
        self._by_hash[change.hash] = change
        siblings = self._by_seq.setdefault((change.actor, change.seq), [])
        siblings.append(change)
        self._heads.difference_update(decoded.deps)
        self._heads.add(change.hash)
        live, past, counter = self._live, self._past, decoded.start_op
        for (record, field, value, _), gone in zip(decoded.assignments, replaced, strict=True):
            key = (record, field)
            old = live.get(key)
            if before is not None and key not in before:
                before[key] = _ABSENT if old is None else self._view(key)
            new: _Operation = (change, counter, value)
            if old is None:
                live[key] = (new,)
            else:
                kept = tuple([one for one in old if one[0] not in gone])
                if len(kept) < len(old):
                    past[key] = past.get(key, _NO_OPERATIONS) + tuple([one for one in old if one[0] in gone])
                live[key] = (*kept, new)
            counter += 1

    def _restamp(self, change: _Change, stamp: ChangeStamp, before: dict[_Key, _View] | None) -> None:
        """Of several entries with one change the earliest is the author's, whichever comes first."""
        if stamp.age >= change.stamp.age:
            return
        if before is not None:
            for one in change.decoded().assignments:
                key = (one.record, one.field)
                if key not in before:
                    before[key] = self._view(key)
        change.stamp = stamp

    def _view(self, key: _Key) -> _View:
        live = self._live.get(key)
        if live is None:
            return _ABSENT
        if len(live) == 1:
            return (True, live[0][2], None)
        candidates = by_precedence(Candidate(change.hash, value, change.stamp) for change, _, value in live)
        return (True, candidates[0].value, DocumentConflict(self.document, *key, candidates))

    def _delta(self, before: dict[_Key, _View], refused: tuple[RefusedChange, ...]) -> DocumentDelta:
        records: dict[str, dict[str, Scalar]] = {}
        raised: list[DocumentConflict] = []
        cleared: list[str] = []
        for key in sorted(before):
            was_present, old_value, old_conflict = before[key]
            is_present, value, conflict = self._view(key)
            if is_present != was_present or not _is_same(value, old_value):
                records.setdefault(key[0], {})[key[1]] = value
            if conflict is not None and conflict != old_conflict:
                raised.append(conflict)
            elif conflict is None and old_conflict is not None:
                cleared.append(old_conflict.id)
        return DocumentDelta(records, tuple(raised), tuple(cleared), refused, self.pending())

    # ---- the merge library

    def _merge(self, count_before: int, refused: list[RefusedChange]) -> None:
        """Give the library what was admitted; what it cannot take is taken back by name."""
        fresh = self._changes[count_before:]
        shadow = self._shadowed()
        if shadow != self._shadow:
            base, raws = b"", [one.raw for one in self._changes if not shadow >> one.index & 1]
        else:
            base, raws = self._stored, [one.raw for one in fresh if not shadow >> one.index & 1]
        stored = base + b"".join(raws)
        loaded = _load(stored)
        if loaded is not None and loaded[1] == self._library_heads(shadow):
            self._library, self._stored, self._shadow = loaded[0], stored, shadow
            return
        self._take_back(count_before, refused)

    def _shadowed(self) -> int:
        """Choose which branches of a fork the library does not see: it knows one change per actor and number.

        The fold itself shows both branches; only the compact history leaves one out, by the greater hash.
        """
        losers = 0
        for siblings in self._by_seq.values():
            if len(siblings) > 1:
                least = min(siblings, key=lambda one: one.hash)
                for one in siblings:
                    if one is not least:
                        losers |= 1 << one.index
        if not losers:
            return 0
        return sum(1 << one.index for one in self._changes if one.ancestors & losers)

    def _library_heads(self, shadow: int) -> set[bytes]:
        if not shadow:
            return self._heads
        seen = [one for one in self._changes if not shadow >> one.index & 1]
        return {one.hash for one in seen} - {dep for one in seen for dep in one.deps}

    def _take_back(self, count_before: int, refused: list[RefusedChange]) -> None:
        """Find what the library refuses, one by one, and rebuild this document from everything else."""
        good = DocumentState(self.document)
        good._barred = set(self._barred)
        held = [pair for pairs in self._pending.values() for pair in pairs]
        for one in self._changes:
            payload = self._payload(one)
            delivery = Delivery(payload, one.stamp, may_reissue=True)
            if any(dep not in good._by_hash for dep in one.deps):
                good._hold(delivery, one.decoded())
                continue
            if one.index >= count_before and not _takes(one, good):
                good._barred.add(one.hash)
                error = _library_refused()
                refused.append(RefusedChange(delivery, error.code, error.message))
                continue
            decoded = one.decoded()
            ancestors, replaced = good._check(decoded)
            good._admit(decoded, one.raw, one.stamp, ancestors, replaced, None)
        for pair in held:
            good._hold(*pair)
        good._reload()
        self.__dict__.update(good.__dict__)

    def _reload(self) -> None:
        self._shadow = self._shadowed()
        self._stored = b"".join(one.raw for one in self._changes if not self._shadow >> one.index & 1)
        loaded = _load(self._stored)
        if loaded is None or loaded[1] != self._library_heads(self._shadow):
            raise CorruptionError("document.history_broken", f"The history of {self.document} does not load.")
        self._library = loaded[0]

    def _payload(self, change: _Change) -> DocumentChange:
        decoded = change.decoded()
        _, replaced = self._check(decoded)
        hashes = [tuple(one.hash for one in changes) for changes in replaced]
        return _payload(self.document, decoded, change.raw, hashes)

    # ---- keeping

    def to_bytes(self) -> bytes:
        """Save: the library's compact history, the stamps, and what waits."""
        if self._library is not None:
            self._stored = bytes(self._library.save())
        body = msgspec.msgpack.encode(
            _Saved(
                version=1,
                document=self.document,
                library=self._stored,
                stamps=tuple((one.hash, one.stamp) for one in self._changes),
                shadowed=tuple(one.raw for one in self._changes if self._shadow >> one.index & 1),
                pending=tuple(pair[0] for _, pairs in sorted(self._pending.items()) for pair in pairs),
                barred=tuple(sorted(self._barred)),
            )
        )
        return hashlib.sha256(body).digest() + body

    @classmethod
    def from_bytes(cls, data: bytes) -> DocumentState:
        """Load what `to_bytes` saved; raises CorruptionError, and then the entries rebuild it."""
        body = data[HASH_BYTES:]
        if hashlib.sha256(body).digest() != data[:HASH_BYTES]:
            raise CorruptionError("document.state_broken", "The saved document is damaged.")
        try:
            saved = msgspec.msgpack.decode(body, type=_Saved)
            if saved.version != 1:
                raise CorruptionError("document.state_unknown", f"State version {saved.version} is not known.")
            state = cls(saved.document)
            loaded = _load(saved.library)
            if loaded is None:
                raise CorruptionError("document.state_broken", f"The history of {saved.document} does not load.")
            stamps = dict(saved.stamps)
            raws = [bytes(one.bytes) for one in loaded[0].get_changes([])]
            for raw in [*raws, *saved.shadowed]:
                decoded = decode_change(raw)
                ancestors, replaced = state._check(decoded)
                state._admit(decoded, raw, stamps[decoded.hash], ancestors, replaced, None)
            if len(stamps) != len(state._changes):
                raise CorruptionError("document.state_broken", f"Changes of {saved.document} are missing.")
            for delivery in saved.pending:
                state._hold(delivery, decode_change(delivery.change.change))
        except (msgspec.MsgspecError, UnicodeDecodeError, RefusalError, KeyError) as error:
            raise CorruptionError("document.state_broken", "The saved document contradicts itself.") from error
        state._barred = set(saved.barred)
        state._library, state._stored, state._shadow = loaded[0], saved.library, state._shadowed()
        return state

    # ---- authoring (see `edit`)

    def _cursor(self, writer: str) -> tuple[bytes, int, int]:
        actor = actor_id(self.document, writer)
        seq = max((one.seq for one in self._changes if one.actor == actor), default=0)
        if len(self._by_seq.get((actor, seq), ())) > 1:
            raise RefusalError("document.actor_forked", "This node's history is forked: it needs a new incarnation.")
        return actor, seq + 1, max((one.max_op for one in self._changes), default=0) + 1


def edit(
    history: DocumentState,
    assignments: Mapping[tuple[str, str], Scalar],
    *,
    writer: str,
    time_ms: int,
    role: str = "clerk",
) -> list[DocumentChange]:
    """Write an edit as changes for entries of the stream `writer`, each at most 48 KiB; `history` stays as it is.

    `assignments` map (record, field) to a value; a value that holds already and is not in dispute is left out, and
    one in dispute is settled, because the change replaces every candidate. `role` is what the author acts as.
    The same input gives the same bytes.
    Raises RefusalError (`document.value_forbidden`, `document.records_too_many`, `document.actor_forked`).
    """
    pairs: list[tuple[_Key, tuple[_Operation, ...], Scalar]] = []
    for key in sorted(assignments):
        value = assignments[key]
        check_assignment(*key, value)
        live = history._live.get(key, _NO_OPERATIONS)
        if len(live) == 1 and _is_same(live[0][2], value):
            continue
        pairs.append((key, live, value))
    if len({record for record, _ in history._live} | {key[0] for key, _, _ in pairs}) > RECORDS_MAX:
        raise RefusalError("document.records_too_many", f"{history.document} would exceed {RECORDS_MAX} records.")
    actor, seq, start_op = history._cursor(writer)
    deps: tuple[bytes, ...] = history.heads
    result: list[DocumentChange] = []
    parts = [pairs] if pairs else []
    while parts:
        part = parts.pop()
        ops = [_assignment(key, live, value) for key, live, value in part]
        raw, change_hash = encode_change(actor, seq, start_op, time_ms, deps, ops)
        decoded = DecodedChange(change_hash, actor, seq, start_op, time_ms, deps, tuple(ops))
        replaced = [tuple(sorted(change.hash for change, _, _ in live)) for _, live, _ in part]
        payload = msgspec.structs.replace(_payload(history.document, decoded, raw, replaced), role=role)
        if len(msgspec.msgpack.encode(payload)) > PAYLOAD_BYTES_MAX and len(part) > 1:
            middle = _middle(part)
            parts += [part[middle:], part[:middle]]
            continue
        result.append(payload)
        deps, seq, start_op = (change_hash,), seq + 1, start_op + len(ops)
    return result


def _assignment(key: _Key, live: tuple[_Operation, ...], value: Scalar) -> Assignment:
    ids: set[OperationId] = {(counter, change.actor) for change, counter, _ in live}
    return Assignment(*key, value, tuple(sorted(ids)))


def _middle(part: list[tuple[_Key, tuple[_Operation, ...], Scalar]]) -> int:
    """Split between two records where that is possible."""
    middle = len(part) // 2
    for split in sorted(range(1, len(part)), key=lambda at: abs(at - middle)):
        if part[split][0][0] != part[split - 1][0][0]:
            return split
    return middle


def _payload(document: str, decoded: DecodedChange, raw: bytes, replaced: list[tuple[bytes, ...]]) -> DocumentChange:
    return DocumentChange(document, raw, decoded.hash, *_claims(decoded, replaced))


def _claims(
    decoded: DecodedChange, replaced: list[tuple[bytes, ...]]
) -> tuple[tuple[str, ...], tuple[RecordSets, ...], tuple[bytes, ...]]:
    """Derive the one way to state what a change does: neighbours of one record together, names as they appear."""
    field_index: dict[str, int] = {}
    hash_index: dict[bytes, int] = {}
    sets: list[RecordSets] = []
    record: str | None = None
    fields: list[int] = []
    replaces: list[tuple[int, ...]] = []
    for one, hashes in zip(decoded.assignments, replaced, strict=True):
        if one.record != record:
            if record is not None:
                sets.append(RecordSets(record, tuple(fields), tuple(replaces) if any(replaces) else ()))
            record, fields, replaces = one.record, [], []
        fields.append(field_index.setdefault(one.field, len(field_index)))
        replaces.append(tuple([hash_index.setdefault(name, len(hash_index)) for name in hashes]) if hashes else ())
    if record is not None:
        sets.append(RecordSets(record, tuple(fields), tuple(replaces) if any(replaces) else ()))
    return tuple(field_index), tuple(sets), tuple(hash_index)


def _is_same(left: Scalar, right: Scalar) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _library_refused() -> RefusalError:
    return RefusalError("document.library_refused", "The merge library cannot take the change.")


def _load(data: bytes) -> tuple[automerge.core.Document, set[bytes]] | None:
    """Load a history, with its heads; None when the library refuses or panics (its panic is no Exception)."""
    try:
        library = automerge.core.Document.load(data)
        return library, {bytes(head) for head in library.get_heads()}
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException:
        return None


def _takes(change: _Change, good: DocumentState) -> bool:
    """Tell whether the library takes a change on top of exactly what that change builds on."""
    ancestors = 0
    for dep in change.deps:
        ancestors |= good._by_hash[dep].ancestors
    known = [one for one in good._changes if ancestors >> one.index & 1]
    if len({(one.actor, one.seq) for one in known}) < len(known):
        return True  # It builds on both branches of a fork, so the library never sees it.
    loaded = _load(b"".join([*(one.raw for one in known), change.raw]))
    return loaded is not None and loaded[1] == {change.hash}
