"""A sync session without I/O: what each side says next, given what it holds and what it heard.

hello (one digest per scope) → vectors of the scopes that differ → batches each way until neither has more; every
answer carries the answering side's fold digests. The version vector is stated afresh in each step and nothing is
remembered on the other's behalf, so a peer that lost its data is simply sent what it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from schema.errors import RefusalError
from schema.identity import ORG, NodeId, Stream
from sync.log_tables import ZERO_DIGEST
from sync.messages import PROTOCOL, ClockReport, ForkProbe, Refusal, Request, Response, ScopeState, ScopeVector
from sync.messages import scope_vector as as_message
from sync.replica import Replica
from sync.signing import SigningKey
from sync.version_vector import Head, VersionVector, vector_digest

BATCH_BYTES_MIN: Final = 64 * 1024
BATCH_BYTES_MAX: Final = 1536 * 1024
"""Batches grow while the line carries them: a reply is never larger than what the asking side said it takes."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A scope that a node holds; `own_only` for another location's scope, where it only writes notices."""

    scope: str
    own_only: bool = False


@dataclass(slots=True)
class SessionResult:
    """What came of a session so far."""

    entries_sent: int = 0
    entries_received: int = 0
    round_trips: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    unequal_scopes: list[str] = field(default_factory=list)
    mismatched_folds: list[str] = field(default_factory=list)
    forked: list[Stream] = field(default_factory=list)
    is_complete: bool = False


def fold_digests(replica: Replica) -> dict[str, bytes]:
    """Return the fold digest of every scope here."""
    rows = replica.connection.execute("SELECT scope, fold_digest FROM scope").fetchall()
    return {str(scope): bytes(digest) for scope, digest in rows}


def _only(subscription: Subscription | ScopeState | ScopeVector, node: NodeId) -> NodeId | None:
    return node if subscription.own_only else None


class ClientSession:
    """The side that opened the session; its owner applies each response's batches before the next step."""

    def __init__(
        self, signer: SigningKey, release: str, subscriptions: Sequence[Subscription], *, bytes_max: int | None = None
    ) -> None:
        self._signer = signer
        self._release = release
        self._subscriptions = {s.scope: s for s in subscriptions}
        self._bytes_max = bytes_max or BATCH_BYTES_MIN
        self._is_adaptive = bytes_max is None
        self._refused: set[str] = set()
        self._is_first = True
        self.result = SessionResult()

    def open(self, replica: Replica, clock: ClockReport) -> Request:
        """Return the first request: one digest per scope."""
        return self._request(replica, clock, {}, ())

    def _request(
        self,
        replica: Replica,
        clock: ClockReport,
        theirs: Mapping[str, VersionVector],
        probes: tuple[ForkProbe, ...],
    ) -> Request:
        states: list[ScopeState] = []
        vectors: list[ScopeVector] = []
        batches = []
        room = self._bytes_max
        self._has_more = False
        for scope, subscription in self._subscriptions.items():
            only = _only(subscription, self._signer.node)
            mine = replica.log.heads(scope, only)
            states.append(ScopeState(scope, vector_digest(mine), subscription.own_only))
            if scope not in theirs:
                continue
            vectors.append(as_message(scope, mine, own_only=subscription.own_only))
            if room > 0:
                known = self._without_refused(scope, theirs[scope], mine)
                found, more = replica.outgoing(scope, known, room, self._signer, only)
                batches += found
                room -= sum(len(entry) for batch in found for entry in batch.entries)
                self._has_more = self._has_more or more
            else:
                self._has_more = True
        self.result.entries_sent += sum(len(batch.entries) for batch in batches)
        self.result.round_trips += 1
        return Request(
            PROTOCOL, self._release, self._signer.node, tuple(states), clock, tuple(vectors), tuple(batches),
            self._bytes_max, probes,
        )  # fmt: skip

    def _without_refused(self, scope: str, theirs: VersionVector, mine: VersionVector) -> VersionVector:
        refused = {w: h for w, h in mine.items() if f"{scope}:{w}" in self._refused}
        return {**theirs, **refused}

    def next(self, replica: Replica, clock: ClockReport, request: Request, response: Response) -> Request | None:
        """Return the next request after the response's batches were applied here; None when the session is over."""
        result = self.result
        result.entries_received += sum(len(batch.entries) for batch in response.batches)
        for refusal in response.refusals:
            result.refusals.append(refusal)
            self._refused.add(refusal.stream)
        if self._is_adaptive and (response.batches or request.batches):
            self._bytes_max = min(self._bytes_max * 2, BATCH_BYTES_MAX)
        theirs = {v.scope: v.vector for v in response.vectors}
        result.unequal_scopes = []
        result.forked = []
        for scope, vector in theirs.items():
            subscription = self._subscriptions.get(scope)
            if subscription is None:
                continue
            mine = replica.log.heads(scope, _only(subscription, self._signer.node))
            result.forked += own_forks(replica, scope, vector, self._signer.node)
            if vector_digest(mine) != vector_digest(vector):
                result.unequal_scopes.append(scope)
        is_first, self._is_first = self._is_first, False
        moved = bool(request.batches or response.batches)
        if result.forked or not result.unequal_scopes or not (is_first or moved):
            result.is_complete = not result.unequal_scopes and not result.forked
            self._compare_folds(replica, response)
            return None
        return self._request(replica, clock, theirs, ())

    def _compare_folds(self, replica: Replica, response: Response) -> None:
        if ORG in self.result.unequal_scopes:
            return
        mine = fold_digests(replica)
        for scope, digest in response.fold_digests:
            subscription = self._subscriptions.get(scope)
            if subscription is None or subscription.own_only or scope in self.result.unequal_scopes:
                continue
            if mine.get(scope, ZERO_DIGEST) != digest:
                self.result.mismatched_folds.append(scope)


def own_forks(replica: Replica, scope: str, theirs: VersionVector, me: NodeId) -> list[Stream]:
    """Return own streams of which the other side holds another branch: a copy of this node wrote there."""
    forked = []
    for row in replica.log.streams(scope):
        if row.stream.node != me:
            continue
        head = theirs.get(row.stream.writer)
        if head is not None and 0 < head.seq <= row.head.seq:
            digest = replica.log.digest_at(row, head.seq)
            if digest is not None and digest != head.digest:
                forked.append(row.stream)
    return forked


def probe(replica: Replica, stream: Stream) -> ForkProbe:
    """Return digests of an own stream at ever wider distances from its head, to find where a branch begins."""
    row = replica.log.stream(stream)
    assert row is not None
    places: list[tuple[int, bytes]] = []
    step, seq = 1, row.head.seq
    while seq > row.base.seq:
        digest = replica.log.digest_at(row, seq)
        if digest is not None:
            places.append((seq, digest))
        seq, step = seq - step, step * 2
    if row.base.seq:
        places.append((row.base.seq, row.base.digest))
    return ForkProbe(str(stream), tuple(places))


def locate(replica: Replica, asked: ForkProbe) -> int:
    """Return the highest of the probed places that is the same here; 0 when none is."""
    try:
        stream = Stream.parse(asked.stream)
    except ValueError:
        raise RefusalError("stream_malformed", "the probe names no stream") from None
    row = replica.log.stream(stream)
    if row is None:
        return 0
    return next((seq for seq, d in asked.places if seq <= row.head.seq and replica.log.digest_at(row, seq) == d), 0)


def left_out(replica: Replica, scope: str, theirs: VersionVector, only: NodeId | None = None) -> list[Refusal]:
    """Return, by name, the streams of which the other side asks for entries that have left this replica."""
    return [
        Refusal(str(row.stream), row.base.seq, "pruned", "entries up to here are balanced: the hub still has them")
        for row in replica.log.streams(scope)
        if theirs.get(row.stream.writer, Head(0, b"")).seq < row.base.seq and only in {None, row.stream.node}
    ]


def reply(
    replica: Replica,
    request: Request,
    *,
    release: str,
    me: NodeId,
    wall_ms: int,
    signer: SigningKey | None,
    refusals: Sequence[Refusal] = (),
    may_read: Mapping[str, bool],
) -> Response:
    """Return the answer to a request whose batches were applied before.

    `may_read` gives the scopes that the asking node may hold, True where it may hold all of it and False where
    only its own streams; a scope beyond that is refused by name. Raises RefusalError `scope_forbidden`.
    """
    asker = NodeId(request.node)
    stated = {v.scope: v for v in request.vectors}
    vectors: list[ScopeVector] = []
    batches = []
    room = min(request.bytes_max, BATCH_BYTES_MAX)
    has_more = False
    gone: list[Refusal] = []
    for state in request.scopes:
        if state.scope not in may_read or not (state.own_only or may_read[state.scope]):
            raise RefusalError("scope_forbidden", f"the node {asker} may not hold the scope {state.scope}")
        only = asker if state.own_only else None
        mine = replica.log.heads(state.scope, only)
        if vector_digest(mine) == state.digest:
            continue
        known = stated.get(state.scope)
        vectors.append(as_message(state.scope, mine, own_only=state.own_only))
        if known is None:
            continue
        theirs = known.vector
        if room <= 0:
            has_more = has_more or any(h.seq > theirs.get(w, Head(0, b"")).seq for w, h in mine.items())
            continue
        gone += left_out(replica, state.scope, theirs, only)
        found, more = replica.outgoing(state.scope, theirs, room, signer, only)
        batches += found
        has_more = has_more or more
        room -= sum(len(entry) for batch in found for entry in batch.entries)
    digests = fold_digests(replica)
    return Response(
        PROTOCOL,
        release,
        me,
        wall_ms,
        tuple(vectors),
        tuple(batches),
        has_more,
        (*refusals, *gone),
        tuple((s.scope, digests[s.scope]) for s in request.scopes if not s.own_only and s.scope in digests),
        tuple((p.stream, locate(replica, p)) for p in request.probes),
    )
