"""What the hub does with one sync request: admits its batches one by one, measures the asker's clock, answers.

Each batch is verified outside the write transaction and stored under its scope's lock; a batch that is refused is
named in the answer and its evidence kept, and the other streams of the request go on. All of it is blocking code
for a worker thread; HTTP is `hub.sync_endpoint`'s affair.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from hub.clock_fixes import ClockFixes
from hub.contacts import Contact, Contacts
from hub.own_log import OwnLog
from hub.pruning import Pruning
from hub.standing import Standing, read_standing
from hub.statements import Statements
from hub.store import HubStore
from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import ORG, NodeId, Scope
from sync.clock import ClockMeasurement
from sync.entry import Entry, genesis
from sync.messages import Batch, Refusal, Request, Response, decode_request, encode_response
from sync.replica import Replica
from sync.session import reply
from sync.signing import SigningKey
from sync.transport import SYNC_PATH, is_request_signed
from sync.verification import VerifiedBatch, verify_batch
from sync.version_vector import seqs, vector_digest

BATCH_BYTES_MAX: Final = 3 * 1024 * 1024
"""Nodes cut at 1.5 MiB; a seal that spans more could not be passed on in one answer."""
REPLY_BYTES_MAX: Final = 2 * 1024 * 1024
EVIDENCE_BYTES_MAX: Final = 64 * 1024
QUARANTINE_PER_STREAM_MAX: Final = 100
_NONCES_MAX: Final = 65_536
_WITHOUT_EVIDENCE: Final = frozenset({"gap", "node_unknown", "scope_forbidden", "batch_too_large"})
"""Refusals that prove nothing against the stream: it comes again, or should never have come from here."""

AfterIngest = Callable[[Sequence[Entry]], None]


class Credentials(NamedTuple):
    """The headers that say who asks, as they came."""

    node: str
    nonce: str
    signature: str


class Ingest:
    """Answers sync requests; one object serves many threads."""

    def __init__(
        self,
        store: HubStore,
        own_log: OwnLog,
        signer: SigningKey,
        release: str,
        contacts: Contacts,
        pruning: Pruning,
        statements: Statements,
        after_ingest: AfterIngest | None = None,
        busy_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self._own_log = own_log
        self._signer = signer
        self._release = release
        self._contacts = contacts
        self._clock_fixes = ClockFixes(pruning)
        self._pruning = pruning
        self._statements = statements
        self._after_ingest = after_ingest
        self._busy_ms = busy_ms
        self._nonces: OrderedDict[str, None] = OrderedDict()
        self._nonces_lock = threading.Lock()

    def authenticate(self, credentials: Credentials, path: str, body: bytes) -> Standing:
        """Return who asks.

        Raises RefusalError `credentials_missing`, `node_unknown`, `signature_invalid` or `node_revoked`.
        """
        if not credentials.node or not credentials.signature or not 0 < len(credentials.nonce) <= 64:
            raise RefusalError("credentials_missing", "the request does not say who signed it")
        standing = self._standing(credentials.node)
        hub = self._signer.node
        if not is_request_signed(standing.key, hub, path, body, credentials.nonce, credentials.signature):
            raise RefusalError("signature_invalid", "the request's signature does not fit it")
        return _who_stays(standing)

    def _standing(self, node: str) -> Standing:
        with self._store.snapshot() as replica:
            return read_standing(replica, NodeId(node))

    def standing_of(self, node: str) -> Standing:
        """Return a node that may take part; raises RefusalError `node_unknown` or `node_revoked`."""
        return _who_stays(self._standing(node))

    def handle(self, credentials: Credentials, body: bytes, received_ms: int) -> bytes:
        """Answer one request; raises RefusalError for what is wrong with it as a whole, TransientError when busy."""
        try:
            standing = self.authenticate(credentials, SYNC_PATH, body)
        except RefusalError as error:
            if error.code != "node_unknown" or not self._restore_enrolments(body):
                raise
            standing = self.authenticate(credentials, SYNC_PATH, body)
        request = decode_request(body)
        if request.node != standing.node:
            raise RefusalError("node_mismatch", "the request was signed by another node than it names")
        may_read = standing.may_read([state.scope for state in request.scopes])
        for state in request.scopes:
            if state.scope not in may_read or not (state.own_only or may_read[state.scope]):
                raise RefusalError("scope_forbidden", f"the node {standing.node} may not hold the scope {state.scope}")
        stored, refusals = self.take(request.batches, standing, received_ms)
        measurement = self._measure(request, credentials.nonce, received_ms, len(body))
        if request.topics:
            self._statements.renew(standing.location, self._own_log.now_ms())
        with self._store.snapshot() as replica:
            response = reply(
                replica,
                request,
                release=self._release,
                me=self._signer.node,
                wall_ms=self._own_log.now_ms(),
                signer=self._signer,
                refusals=refusals,
                may_read=may_read,
            )
            room = min(request.bytes_max, REPLY_BYTES_MAX) - sum(len(e) for b in response.batches for e in b.entries)
            now_ms = self._own_log.now_ms()
            told = self._statements.answer(replica, standing.location, request.topics, room, now_ms)
            vectors = _stated_vectors(replica, request)
        response = msgspec.structs.replace(response, **told._asdict(), busy_ms=self._busy_ms())
        return self._answered(request, response, vectors, stored, measurement, received_ms, len(body))

    def take(self, batches: Sequence[Batch], standing: Standing, noted_ms: int) -> tuple[int, list[Refusal]]:
        """Store what a node brings; a stream that is refused is named and the others go on. Returns entries stored."""
        stored = 0
        refusals: list[Refusal] = []
        for batch in batches:
            try:
                self._check_scope(batch, standing)
                stored += self._take(batch)
            except RefusalError as error:
                refusals.append(self._refuse(batch, error, noted_ms))
        return stored, refusals

    def _answered(
        self,
        request: Request,
        response: Response,
        vectors: Mapping[str, Mapping[str, int]],
        stored: int,
        measurement: ClockMeasurement | None,
        received_ms: int,
        bytes_in: int,
    ) -> bytes:
        answer = encode_response(response)
        self._contacts.note(
            Contact(
                node=request.node,
                last_ms=received_ms,
                release=request.release,
                entries=stored,
                bytes_in=bytes_in,
                bytes_out=len(answer),
                measurement=measurement,
                status=request.status,
                vectors=vectors,
            )
        )
        return answer

    def _check_scope(self, batch: Batch, standing: Standing) -> None:
        readable = standing.may_read([batch.scope])
        if batch.scope == ORG:
            # The organisation's scope is the hub's alone; a node only brings back what a restored hub lost.
            is_allowed = batch.node == self._signer.node
        else:
            is_allowed = readable.get(batch.scope, False) or (batch.scope in readable and batch.node == standing.node)
        if not is_allowed:
            raise RefusalError("scope_forbidden", f"the node {standing.node} may not bring {batch.stream}")

    def _restore_enrolments(self, body: bytes) -> bool:
        """Take the hub's own entries of `org` from a node that it does not know.

        A hub restored from an older copy has lost grants; what it once signed proves itself, whoever brings it.
        """
        stored = 0
        for batch in decode_request(body).batches:
            if batch.scope == ORG and batch.node == self._signer.node:
                try:
                    stored += self._take(batch)
                except RefusalError:
                    continue
        return stored > 0

    def _take(self, batch: Batch) -> int:
        """Store what is new of a batch; returns how many entries that was."""
        if sum(map(len, batch.entries)) > BATCH_BYTES_MAX:
            raise RefusalError("batch_too_large", "a batch is larger than what another node could be sent")
        with self._store.snapshot() as replica:
            admitted = replica.admit(batch)
        if admitted is None:
            return 0
        verified = verify_batch(*admitted)
        with self._store.transaction(Scope(batch.scope)) as replica:
            if not _follows(replica, verified, admitted[1]):
                # Another request moved the head meanwhile.
                again = replica.admit(batch)
                if again is None:
                    return 0
                verified = verify_batch(*again)
            replica.store(verified)
            self._pruning.after_store(replica, Scope(batch.scope), verified.entries)
            if batch.node == self._signer.node:
                self._own_log.met_more(replica.connection, batch.incarnation)
        if self._after_ingest is not None:
            self._after_ingest(verified.entries)
        return len(verified.entries)

    def _refuse(self, batch: Batch, error: RefusalError, noted_ms: int) -> Refusal:
        stream = str(batch.stream)
        if error.code not in _WITHOUT_EVIDENCE:
            evidence = encode(batch)[:EVIDENCE_BYTES_MAX]
            with self._store.transaction(Scope(batch.scope)) as replica:
                count = replica.connection.execute(
                    "SELECT count(*) FROM quarantine WHERE stream = ?", (stream,)
                ).fetchone()[0]
                if count < QUARANTINE_PER_STREAM_MAX:
                    replica.log.quarantine(stream, batch.first_seq, error.code, error.message, evidence, noted_ms)
                if error.code == "fork" and batch.node == self._signer.node:
                    # A copy of this hub wrote there: what comes next must not continue either branch.
                    self._own_log.met_more(replica.connection, batch.incarnation)
        return Refusal(stream[:96], batch.first_seq, error.code, error.message[:1000])

    def _measure(self, request: Request, nonce: str, received_ms: int, size: int) -> ClockMeasurement | None:
        with self._nonces_lock:
            is_replay = nonce in self._nonces
            self._nonces[nonce] = None
            while len(self._nonces) > _NONCES_MAX:
                self._nonces.popitem(last=False)
        # A request taken from the line and sent again changes nothing, but its clock would be a lie.
        if is_replay:
            return None
        return self._clock_fixes.judge(self._store, request, received_ms, size)


def _who_stays(standing: Standing) -> Standing:
    if standing.is_revoked:
        raise RefusalError("node_revoked", f"the node {standing.node} has left the organisation")
    return standing


def _stated_vectors(replica: Replica, request: Request) -> dict[str, dict[str, int]]:
    """Return what a node says that it holds of the locations' scopes: in full, or by a digest that fits."""
    full = {vector.scope: vector for vector in request.vectors if not vector.own_only}
    stated: dict[str, dict[str, int]] = {}
    for state in request.scopes:
        if state.own_only or state.scope == ORG:
            continue
        if state.scope in full:
            stated[state.scope] = seqs(full[state.scope].vector)
        elif vector_digest(heads := replica.log.heads(state.scope)) == state.digest:
            stated[state.scope] = seqs(heads)
    return stated


def _follows(replica: Replica, verified: VerifiedBatch, previous: bytes) -> bool:
    row = replica.log.stream(verified.stream)
    first = verified.entries[0].body.seq
    if row is None:
        return first == 1 and previous == genesis(verified.stream)
    return (row.head.seq + 1, row.head.digest) == (first, previous)
