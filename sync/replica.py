"""One replica of the log with its folds: appends own entries, admits others', and gives out what others lack.

Every method runs inside a transaction of its owner, so that entries, cursor and every figure move together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar

from schema.codec import encode_body, kind_of, verify_body
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import EntryId, NodeId, Stream
from schema.kinds.base import Payload
from schema.kinds.organisation import EntryRecovered
from sync.authority import Authority
from sync.clock import Timestamp, tick
from sync.effective import Effective, Fold, Remembering, advance, as_effective
from sync.entry import Entry, chain, genesis
from sync.log_tables import LogTables, StreamRow
from sync.messages import Batch
from sync.organisation import Organisation, changes_authority
from sync.signing import SigningKey, is_signed, seal_message
from sync.verification import VerifiedBatch
from sync.version_vector import Head, VersionVector

FoldT = TypeVar("FoldT")
UNKNOWN_KIND: Final = "unknown_kind"
UNSETTLED: Final = "recovery_unsettled"


class Moment(NamedTuple):
    """The writer's clock at an append: raw wall time, the bound on its error, and the clock epoch."""

    wall_ms: int
    unc_ms: int | None
    clock_epoch: int


class Replica:
    """The log and the folds of one database; `folds` run in their order after the organisation's facts."""

    def __init__(self, connection: Connection, organisation: Organisation, folds: Sequence[Fold]) -> None:
        self.connection = connection
        self.organisation = organisation
        self.log = LogTables(connection)
        self.on_append: Callable[[Entry], None] | None = None
        """Told of every entry that is appended here, inside its transaction."""
        self._folds = folds
        self._operation = ""

    @contextmanager
    def belonging_to(self, operation: str) -> Iterator[None]:
        """Have the entries that are appended within this block, and name no operation of their own, share this one."""
        before, self._operation = self._operation, operation
        try:
            yield
        finally:
            self._operation = before

    def forget(self) -> None:
        """Drop what was remembered: the owner's transaction was rolled back, and numbers may be given again."""
        self.log.forget()
        self.organisation.forget()
        for fold in self._folds:
            if isinstance(fold, Remembering):
                fold.forget()

    def fold(self, kind: type[FoldT]) -> FoldT:
        """Return the fold of this kind."""
        return next(fold for fold in self._folds if isinstance(fold, kind))

    def append(self, stream: Stream, payload: Payload, moment: Moment, operation: str = "") -> Entry:
        """Append one entry to an own stream and fold it; the caller commits, and only then is it a fact.

        Raises RefusalError when the payload breaks a bound of its kind.
        """
        return self.append_all(stream, [payload], moment, operation)[0]

    def append_all(
        self, stream: Stream, payloads: Sequence[Payload], moment: Moment, operation: str = ""
    ) -> list[Entry]:
        """Append entries to an own stream, folded together: many lines of one act cost a fraction of one by one.

        Raises RefusalError when a payload breaks a bound of its kind.
        """
        self.organisation.refresh(self.connection)
        rows = self.log.streams(stream.scope)
        own = next((row for row in rows if row.stream == stream), None)
        if own is None:
            own = self.log.ensure_stream(stream)
        # A new stream tells all that is here, others what is new since; what was told stays told, also where a
        # branch has left the log since.
        is_first = own.head.seq == 0
        others = [row for row in rows if row.stream != stream]
        news = [row for row in others if row.head.seq > (0 if is_first else row.announced_seq)]
        told = {row.stream.writer: max(row.head.seq, 0 if is_first else row.announced_seq) for row in others}
        vector = {writer: seq for writer, seq in told.items() if seq}
        hlc = max((row.hlc for row in rows), default=(0, 0))
        digest, seen = own.head.digest, tuple(sorted((row.stream.writer, row.head.seq) for row in news))
        entries: list[Entry] = []
        for seq, payload in enumerate(payloads, own.head.seq + 1):
            hlc = tick(Timestamp(*hlc), moment.wall_ms)
            encoded, body = encode_body(
                payload,
                seq=seq,
                wall_ms=moment.wall_ms,
                hlc=hlc,
                unc_ms=moment.unc_ms,
                clock_epoch=moment.clock_epoch,
                seen=() if entries else seen,
                operation=operation or self._operation,
            )
            digest = chain(digest, encoded)
            entries.append(Entry(stream, encoded, digest, body, payload))
        if not entries:
            return entries
        self.log.insert(own, entries, None, hlc)
        for row in news:
            self.log.announce(row)
        self._fold_new(own, entries, vector, is_own=True)
        if self.on_append is not None:
            for entry in entries:
                self.on_append(entry)
        return entries

    def admit(self, batch: Batch) -> tuple[Batch, bytes, bytes] | None:
        """Return the part of a batch that is new here, the digest before it, and the key that must have sealed it.

        None when all of it is here already: delivering an entry again changes nothing. Raises RefusalError:
        `gap` (an entry before it is missing), `node_unknown` (no grant names the node yet), `fork` (another
        entry stands here at the same place, both under the node's seal: a proof).
        """
        stream = batch.stream
        row = self.log.stream(stream)
        head = row.head if row else Head(0, b"")
        if batch.first_seq > head.seq + 1:
            raise RefusalError("gap", f"{stream} is here up to {head.seq}; entry {head.seq + 1} is missing")
        if batch.first_seq < 1:
            raise RefusalError("stream_malformed", f"{stream} has no entry {batch.first_seq}")
        self.organisation.refresh(self.connection)
        key = self.organisation.public_key(self.connection, stream.node)
        if key is None:
            raise RefusalError("node_unknown", f"no grant names the node {stream.node}")
        if row is None:
            return batch, genesis(stream), key
        overlap = head.seq - batch.first_seq + 1
        skipped = min(overlap, len(batch.entries))
        digest = self.log.digest_at(row, batch.first_seq - 1)
        for offset, encoded in enumerate(batch.entries[:skipped]):
            if digest is None:  # below the cut of pruning: the part above decides
                break
            digest = chain(digest, encoded)
            known = self.log.digest_at(row, batch.first_seq + offset)
            if known is not None and known != digest:
                self._raise_fork(row, batch, batch.first_seq + offset, key)
        if skipped == len(batch.entries):
            return None
        rest = Batch(batch.scope, batch.node, batch.incarnation, head.seq + 1, batch.entries[skipped:], batch.seal)
        return rest, head.digest, key

    def _raise_fork(self, row: StreamRow, batch: Batch, seq: int, key: bytes) -> None:
        digest = self.log.digest_at(row, batch.first_seq - 1)
        assert digest is not None
        for encoded in batch.entries:
            digest = chain(digest, encoded)
        last = batch.first_seq + len(batch.entries) - 1
        if not is_signed(key, batch.seal, seal_message(row.stream, last, digest)):
            raise RefusalError("seal_invalid", f"the seal of {row.stream} does not fit these entries")
        raise RefusalError("fork", f"{row.stream} has two entries {seq}: a copy of that node is writing too")

    def store(self, verified: VerifiedBatch, *, is_whole: bool = True) -> None:
        """Store and fold verified entries that follow the stream's head; `is_whole` when the seal covers the last."""
        row = self.log.ensure_stream(verified.stream)
        entries = verified.entries
        assert entries[0].body.seq == row.head.seq + 1, "admit() trims a batch to what follows the head"
        self.organisation.refresh(self.connection)
        last = entries[-1]
        vector = self.log.vector_at(row, row.head.seq)
        self.log.insert(row, entries, verified.seal if is_whole else None, max(row.hlc, last.hlc))
        self._fold_new(row, entries, vector)

    def store_kept(self, row: StreamRow, seq: int, digest: bytes, body: bytes) -> None:
        """Store and fold one entry that stays below a stream's base; its vector's components are here already."""
        entry = self.log.put_kept(row, seq, digest, body)
        vector = {**self.log.vector_at(row, seq)}
        self.organisation.refresh(self.connection)
        self._fold_new(row, [entry], vector)

    def _fold_new(
        self, row: StreamRow, entries: Sequence[Entry], vector: Mapping[str, int], *, is_own: bool = False
    ) -> None:
        authority = self.organisation.authority(self.connection, row.stream)
        objections: list[tuple[int, str]] = []
        folded: list[Effective] = []
        for entry in entries:
            vector = advance(vector, entry.body.seen)
            if isinstance(entry.payload, EntryRecovered):
                objections.append((entry.body.seq, UNSETTLED))
            elif objection := _objection(authority, entry):
                objections.append((entry.body.seq, objection))
            else:
                assert entry.payload is not None
                folded.append(as_effective(row.stream, row.stream_no, entry.body, entry.payload, vector, entry.digest))
        if objections:
            self.log.mark_inert(row, objections)
        if folded:
            self._apply(row, folded)
        recovered = [(e.body.seq, e.payload.digest) for e in entries if isinstance(e.payload, EntryRecovered)]
        if recovered:
            self.log.note_recovered(row, recovered)
        # Nobody can have recovered an entry that is only being written now.
        arrived = [] if is_own else [e.digest for e in entries]
        if arrived or recovered:
            self.settle_recovered(row.stream.scope, (*arrived, *(d for _, d in recovered)))

    def settle_recovered(self, scope: str, digests: Iterable[bytes]) -> int:
        """Judge the recoveries of entries by their digests: each has effect once; returns how many changed.

        None has effect while the entry stands in its own place after all; of several, written by copies that did
        not know of each other, the first by writer and sequence number does.
        """
        number = self.log.scope_no(scope)
        if number is None or not self.log.has_recovered(number):
            return 0
        changed = 0
        for digest in digests:
            places = self.log.recovered(number, digest)
            if not places:
                continue
            rows = {row.stream_no: row for row in self.log.streams(scope)}
            held = sorted((rows[stream_no].stream.writer, seq, rows[stream_no]) for stream_no, seq in places)
            is_settled = False
            for _, seq, row in held:
                entry = self.log.entry_at(row, seq)
                assert entry is not None
                assert isinstance(entry.payload, EntryRecovered)
                objection = _objection(self.organisation.authority(self.connection, row.stream), entry)
                if not objection:
                    objection = "recovered_twice" if is_settled else self._standing(entry.payload)
                    is_settled = True
                changed += self._rejudge_entry(row, entry, objection)
        return changed

    def _standing(self, payload: EntryRecovered) -> str:
        origin = EntryId.parse(payload.origin)
        row = self.log.stream(origin.stream)
        is_here = row is not None and self.log.digest_at(row, origin.seq) == payload.digest
        return "stands_anyway" if is_here else ""

    def _rejudge_entry(self, row: StreamRow, entry: Entry, objection: str) -> int:
        seq = entry.body.seq
        known = self.log.inert_reason(row, seq)
        if known == objection:
            return 0
        assert entry.payload is not None
        vector = self.log.vector_at(row, seq)
        judged = (
            [as_effective(row.stream, row.stream_no, entry.body, entry.payload, vector, entry.digest)]
            if not (known and objection)
            else []
        )
        self.log.clear_inert(row, [seq])
        if objection:
            self.log.mark_inert(row, [(seq, objection)])
        if judged and objection:
            self.retract(row, judged)
        elif judged:
            self._apply(row, judged)
        return len(judged)

    def _apply(self, row: StreamRow, entries: Sequence[Effective]) -> None:
        judged = {node: self._authorities(node) for node in sorted(changes_authority(entries))}
        self.organisation.fold(self.connection, entries)
        for fold in self._folds:
            fold.apply(self.connection, row.scope_no, entries)
        for node, before in judged.items():
            # A grant that only gives a node another name leaves every entry of its as it was judged.
            if self._authorities(node) != before:
                self.rejudge(row_filter=node)

    def _authorities(self, node: NodeId) -> list[Authority]:
        return [
            self.organisation.authority(self.connection, row.stream) for row in self.rows() if row.stream.node == node
        ]

    def rejudge(self, row_filter: NodeId | None = None, reason: str | None = None) -> int:
        """Judge stored entries anew: of one node after its authority changed, or those inert for one reason.

        Returns how many entries became effective or inert.
        """
        changed = 0
        for scope in self.log.scopes():
            for row in self.log.streams(scope):
                if row_filter is not None and row.stream.node != row_filter:
                    continue
                inert = self.log.inert(row)
                if reason is not None and reason not in inert.values():
                    continue
                changed += self._rejudge_stream(row, inert)
        return changed

    def _rejudge_stream(self, row: StreamRow, inert: Mapping[int, str]) -> int:
        authority = self.organisation.authority(self.connection, row.stream)
        gained: list[Effective] = []
        lost: list[Effective] = []
        marks: list[tuple[int, str]] = []
        recovered: list[bytes] = []
        for entry, vector in _with_vectors(self.log, row):
            seq = entry.body.seq
            if isinstance(entry.payload, EntryRecovered):
                recovered.append(entry.payload.digest)
                continue
            known = inert.get(seq, "")
            objection = _objection(authority, entry)
            if bool(objection) == bool(known):
                continue
            assert entry.payload is not None
            judged = as_effective(row.stream, row.stream_no, entry.body, entry.payload, vector, entry.digest)
            (lost if objection else gained).append(judged)
            if objection:
                marks.append((seq, objection))
        if lost:
            self.log.mark_inert(row, marks)
            self.retract(row, lost)
        if gained:
            self.log.clear_inert(row, [e.seq for e in gained])
            self._apply(row, gained)
        return len(lost) + len(gained) + self.settle_recovered(row.stream.scope, recovered)

    def retract(self, row: StreamRow, entries: Sequence[Effective]) -> None:
        """Take entries of one stream back out of every fold."""
        self.organisation.retract(self.connection, entries)
        for fold in self._folds:
            fold.retract(self.connection, row.scope_no, entries)
        for node in sorted(changes_authority(entries)):
            self.rejudge(row_filter=node)

    def outgoing(
        self,
        scope: str,
        theirs: VersionVector,
        bytes_max: int,
        signer: SigningKey | None,
        only_node: NodeId | None = None,
    ) -> tuple[list[Batch], bool]:
        """Return batches of what another replica's vector lacks, and whether there is more.

        A batch ends at an entry whose seal is here, or at any entry of an own stream, which is sealed now.
        A stream of which they need what was pruned here, or of which they hold another branch, is left out.
        """
        batches: list[Batch] = []
        room = bytes_max
        has_more = False
        for row in self.log.streams(scope):
            if only_node is not None and row.stream.node != only_node:
                continue
            start = theirs.get(row.stream.writer, Head(0, b""))
            if start.seq >= row.head.seq or start.seq < row.base.seq:
                continue
            if start.seq and self.log.digest_at(row, start.seq) != start.digest:
                continue
            if room <= 0:
                return batches, True
            is_own = signer is not None and signer.node == row.stream.node
            batch, size, left = self._cut(row, start.seq, room, signer if is_own else None)
            has_more = has_more or left
            if batch is not None:
                batches.append(batch)
                room -= size
        return batches, has_more

    def _cut(
        self, row: StreamRow, after_seq: int, room: int, signer: SigningKey | None
    ) -> tuple[Batch | None, int, bool]:
        seals = {} if signer else dict(self.log.seals(row, after_seq))
        if signer is None and not seals:
            return None, 0, False
        bodies: list[bytes] = []
        size = sealed_size = sealed_count = 0
        seq = after_seq
        while True:
            chunk = self.log.bodies(row, seq, 500)
            for found, body in chunk:
                if size + len(body) > room and (sealed_count or (signer and bodies)):
                    chunk = []
                    break
                bodies.append(body)
                size += len(body) + 3
                seq = found
                if signer is not None or found in seals:
                    sealed_count, sealed_size = len(bodies), size
            if len(chunk) < 500:
                break
        if not sealed_count:
            return None, 0, False
        last = after_seq + sealed_count
        if signer is not None:
            digest = self.log.digest_at(row, last)
            assert digest is not None
            signature = signer.sign(seal_message(row.stream, last, digest))
        else:
            signature = seals[last]
        stream = row.stream
        reach = row.head.seq if signer is not None else max(seals)
        batch = Batch(
            stream.scope, stream.node, stream.incarnation, after_seq + 1, tuple(bodies[:sealed_count]), signature
        )
        return batch, sealed_size, last < reach

    def unpark(self) -> int:
        """Fold entries that an older release had parked for their unknown kind; returns how many."""
        return self.rejudge(reason=UNKNOWN_KIND)

    def rows(self) -> Iterable[StreamRow]:
        """Yield every stream here."""
        for scope in sorted(self.log.scopes()):
            yield from self.log.streams(scope)


def _objection(authority: Authority, entry: Entry) -> str:
    """Return why an entry has no effect by itself; a recovered one needs what its original needed."""
    kind, payload, seq = kind_of(entry.body), entry.payload, entry.body.seq
    if isinstance(payload, EntryRecovered):
        try:
            body, payload = verify_body(payload.body)
            origin = EntryId.parse(entry.payload.origin)  # type: ignore[union-attr]
        except (RefusalError, ValueError):
            return "recovered_malformed"
        if origin.stream.node != entry.stream.node or origin.stream.scope != entry.stream.scope:
            return "recovered_foreign"
        kind = kind_of(body)
    if kind is None or payload is None:
        return UNKNOWN_KIND
    return authority.objection(kind, payload, seq)


def effective_entries(connection: Connection) -> Iterator[Effective]:
    """Yield every stored entry that is not inert, stream by stream, as folds read it."""
    log = LogTables(connection)
    for scope in sorted(log.scopes()):
        for row in log.streams(scope):
            yield from stream_effective(log, row)


def _with_vectors(log: LogTables, row: StreamRow) -> Iterator[tuple[Entry, Mapping[str, int]]]:
    """Yield a stream's stored entries with their vectors, in order: those kept below its base first."""
    if row.base.seq:
        for entry in log.entries(row, 0, row.base.seq):
            yield entry, log.vector_at(row, entry.body.seq)
    vector: Mapping[str, int] = log.vector_at(row, row.base.seq)
    for entry in log.entries(row, row.base.seq):
        vector = advance(vector, entry.body.seen)
        yield entry, vector


def stream_effective(log: LogTables, row: StreamRow) -> Iterator[Effective]:
    """Yield a stream's stored entries that are not inert, in order."""
    inert = log.inert(row)
    for entry, vector in _with_vectors(log, row):
        if entry.body.seq not in inert and entry.payload is not None:
            yield as_effective(row.stream, row.stream_no, entry.body, entry.payload, vector, entry.digest)
