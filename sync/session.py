"""A sync session without I/O: what each side says next, given what it holds and what it heard.

hello (one digest per scope) → vectors of the scopes that differ → batches each way until neither has more; every
answer carries the answering side's fold digests. The version vector is stated afresh in each step and nothing is
remembered on the other's behalf, so a peer that lost its data is simply sent what it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from schema.errors import RefusalError
from schema.identity import ORG, NodeId, Scope, Stream
from sync.elsewhere import ALL_FAMILIES, CONFIRMED, HeldStatements, asking, digest_of
from sync.log_tables import ZERO_DIGEST
from sync.messages import (
    NO_CLOCK,
    PROTOCOL,
    Batch,
    ClockReport,
    ForkProbe,
    Refusal,
    Request,
    Response,
    ScopeState,
    ScopeVector,
)
from sync.messages import scope_vector as as_message
from sync.replica import Replica
from sync.signing import SigningKey
from sync.version_vector import Head, VersionVector, vector_digest

BATCH_BYTES_MIN: Final = 128 * 1024
BATCH_BYTES_MAX: Final = 2304 * 1024
"""Batches grow while the line carries them: a reply is never larger than what the asking side said it takes."""
_SCOPES_ASKED_MAX: Final = 500
PROBES_MAX: Final = 100
"""Streams that one session asks about; another session asks about the rest."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A scope that a node holds; `own_only` for another location's scope, where it only writes notices."""

    scope: str
    own_only: bool = False


class Parting(NamedTuple):
    """A stream of which the other side holds another branch, and a place up to which both are the same."""

    stream: Stream
    common_seq: int


@dataclass(slots=True)
class SessionResult:
    """What came of a session so far.

    `ahead` are own streams of which the other side holds more than is here: this replica is a restored copy.
    `confirmed_ms` is the time, by the other side's clock, up to which the statements held here are right, by what
    they are of (balances, stock); empty where they could not be brought up to date.
    """

    entries_sent: int = 0
    entries_received: int = 0
    round_trips: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    unequal_scopes: list[str] = field(default_factory=list)
    mismatched_folds: list[str] = field(default_factory=list)
    ahead: list[Stream] = field(default_factory=list)
    parted: list[Parting] = field(default_factory=list)
    is_complete: bool = False
    confirmed_ms: dict[str, int] = field(default_factory=dict)


def fold_digests(replica: Replica, scopes: Sequence[str] | None = None) -> dict[str, bytes]:
    """Return the fold digest of every scope here, or of those of these that are: a hub has thousands."""
    if scopes is None or len(scopes) > _SCOPES_ASKED_MAX:
        rows = replica.connection.execute("SELECT scope, fold_digest FROM scope").fetchall()
    else:
        marks = ", ".join("?" * len(scopes))
        sql = f"SELECT scope, fold_digest FROM scope WHERE scope IN ({marks})"
        rows = replica.connection.execute(sql, tuple(scopes)).fetchall() if scopes else []
    return {str(scope): bytes(digest) for scope, digest in rows}


def _only(subscription: Subscription | ScopeState | ScopeVector, node: NodeId) -> NodeId | None:
    return node if subscription.own_only else None


class ClientSession:
    """The side that opened the session; its owner applies each response's batches before the next step."""

    def __init__(
        self,
        signer: SigningKey,
        release: str,
        subscriptions: Sequence[Subscription],
        *,
        bytes_max: int | None = None,
        held: HeldStatements | None = None,
    ) -> None:
        """Begin; with `held` the session also brings statements of elsewhere up to date."""
        self._signer = signer
        self._release = release
        self._subscriptions = {s.scope: s for s in subscriptions}
        self._bytes_max = bytes_max or BATCH_BYTES_MIN
        self._is_adaptive = bytes_max is None
        self._refused: set[str] = set()
        self._standing: object = None
        self._probed: list[ForkProbe] = []
        self._offered: set[str] = set()
        self._theirs: Mapping[str, VersionVector] = {}
        self._prepared: Request | None = None
        self._expected: Mapping[str, VersionVector] = {}
        self._held = held
        self._families: Mapping[str, bytes] = {}
        self._statements_asked = False
        self.result = SessionResult()

    def open(self, replica: Replica, clock: ClockReport, status: tuple[tuple[str, str], ...] = ()) -> Request:
        """Return the first request: a digest per scope, one over the statements of elsewhere, and the node's status."""
        request = self._request(replica, clock, {}, ())
        if self._held is not None:
            request = msgspec.structs.replace(request, topics=((ALL_FAMILIES, digest_of(self._held.families())),))
        return self._sending(msgspec.structs.replace(request, status=status) if status else request, {})

    def _sending(self, request: Request, theirs: Mapping[str, VersionVector]) -> Request:
        """Note what goes on its way, and what the other side holds before it."""
        self._theirs = theirs
        self.result.entries_sent += sum(len(batch.entries) for batch in request.batches)
        self.result.round_trips += 1
        return request

    def _states(self, replica: Replica) -> list[ScopeState]:
        return [
            ScopeState(scope, vector_digest(replica.log.heads(scope, _only(one, self._signer.node))), one.own_only)
            for scope, one in self._subscriptions.items()
        ]

    def _request(
        self,
        replica: Replica,
        clock: ClockReport,
        theirs: Mapping[str, VersionVector],
        probes: tuple[ForkProbe, ...],
    ) -> Request:
        vectors = [
            as_message(scope, replica.log.heads(scope, _only(one, self._signer.node)), own_only=one.own_only)
            for scope, one in self._subscriptions.items()
            if scope in theirs
        ]
        batches = self._outgoing(replica, theirs)
        return Request(
            PROTOCOL,
            self._release,
            self._signer.node,
            tuple(self._states(replica)),
            clock,
            tuple(vectors),
            tuple(batches),
            self._bytes_max,
            probes,
        )

    def _outgoing(self, replica: Replica, theirs: Mapping[str, VersionVector]) -> list[Batch]:
        batches: list[Batch] = []
        room = self._bytes_max
        for scope, subscription in self._subscriptions.items():
            if scope in theirs and room > 0:
                only = _only(subscription, self._signer.node)
                known = self._without_refused(scope, theirs[scope], replica.log.heads(scope, only))
                found, _ = replica.outgoing(scope, known, room, self._signer, only)
                batches += found
                room -= sum(len(entry) for batch in found for entry in batch.entries)
        return batches

    def anticipate(self, replica: Replica, request: Request) -> Request | None:
        """Return the request that follows one on its way, should the other side take all of it; None at the end.

        It says nothing of the clock, so that it can be packed now: a backlog then costs the time of the slower
        side, not the sum of both. `next` returns this very object where it fits.
        """
        if request.batches:
            self._grow()
            self._expected = self._after(replica, request)
            prepared = self._request(replica, NO_CLOCK, self._expected, ())
            self._prepared = prepared if prepared.batches else None
        return self._prepared

    def _grow(self) -> None:
        if self._is_adaptive:
            self._bytes_max = min(self._bytes_max * 4, BATCH_BYTES_MAX)

    def _after(self, replica: Replica, request: Request) -> Mapping[str, VersionVector]:
        """Return the other side's vectors as they stand when it takes a request's batches."""
        theirs = {scope: dict(vector) for scope, vector in self._theirs.items()}
        for batch in request.batches:
            row = replica.log.stream(batch.stream)
            last = batch.first_seq + len(batch.entries) - 1
            digest = replica.log.digest_at(row, last) if row else None
            if digest is not None:
                theirs[batch.scope][batch.stream.writer] = Head(last, digest)
        return theirs

    def _without_refused(self, scope: str, theirs: VersionVector, mine: VersionVector) -> VersionVector:
        refused = {w: h for w, h in mine.items() if f"{scope}:{w}" in self._refused}
        return {**theirs, **refused}

    def next(self, replica: Replica, clock: ClockReport, request: Request, response: Response) -> Request | None:
        """Return the next request after the response's batches were applied here; None when the session is over."""
        result = self.result
        result.entries_received += sum(len(batch.entries) for batch in response.batches)
        for refusal in response.refusals:
            if refusal.stream not in self._offered:
                result.refusals.append(refusal)
            self._refused.add(refusal.stream)
        theirs = {v.scope: v.vector for v in response.vectors if v.scope in self._subscriptions}
        if self._prepared is None and (request.batches or response.batches):
            self._grow()
        prepared, self._prepared = self._prepared, None
        if response.refusals or any(theirs.get(scope) != vector for scope, vector in self._expected.items()):
            prepared = None
        result.unequal_scopes = []
        suspects: list[Stream] = []
        for scope, vector in theirs.items():
            only = _only(self._subscriptions[scope], self._signer.node)
            if vector_digest(replica.log.heads(scope, only)) != vector_digest(vector):
                result.unequal_scopes.append(scope)
            result.ahead += [s for s in own_ahead(replica, scope, vector, self._signer.node) if s not in result.ahead]
            suspects += differing(replica, scope, vector, only)
        result.parted += partings(replica, self._probed, response.branches)
        self._families = dict(response.families) or self._families
        if self._statements_asked:
            return self._next_statements(replica, clock, response)
        standing = [(s.scope, s.digest) for s in self._states(replica)], response.vectors
        is_moving, self._standing = standing != self._standing, standing
        if result.unequal_scopes and is_moving and not self._probed:
            following = prepared or self._request(replica, clock, theirs, ())
            return self._sending(following, theirs)
        if suspects and not self._probed:
            self._probed = [probe(replica, stream) for stream in suspects[:PROBES_MAX]]
            return self._sending(self._request(replica, clock, theirs, tuple(self._probed)), theirs)
        offer = self._offer(replica, clock, response.node)
        if offer is not None:
            return self._sending(offer, theirs)
        result.is_complete = not result.unequal_scopes
        self._compare_folds(replica, request, response)
        return self._next_statements(replica, clock, response)

    def _next_statements(self, replica: Replica, clock: ClockReport, response: Response) -> Request | None:
        """Return what asks for the statements that differ; None when none do, or the last answer brought none."""
        if self._held is None:
            return None
        held = self._held.families()
        differing = sorted(name for name, digest in self._families.items() if held.get(name) != digest)
        if not differing:
            ages_ms = dict(response.ages_ms)
            self.result.confirmed_ms = {name: response.wall_ms - ages_ms.get(name, 0) for name in CONFIRMED}
            return None
        if self._statements_asked and not response.statements:
            return None
        self._statements_asked = True
        topics: list[tuple[str, bytes]] = []
        for family in differing:
            topics += [(asking(family), b""), *sorted(self._held.topics(family).items())]
        self._grow()
        request = msgspec.structs.replace(self._request(replica, clock, {}, ()), topics=tuple(topics))
        return self._sending(request, self._theirs)

    def _offer(self, replica: Replica, clock: ClockReport, other: str) -> Request | None:
        """Return a request that shows the hub the branch of its own stream that it does not hold.

        It refuses it as a fork, and learns from it what a copy of it had written: that it appends again itself.
        """
        if other != replica.organisation.root:
            return None
        batches: list[Batch] = []
        for parting in self.result.parted:
            stream, common_seq = parting
            if stream.node != other or str(stream) in self._offered:
                continue
            row = replica.log.stream(stream)
            digest = replica.log.digest_at(row, common_seq) if row is not None else None
            self._offered.add(str(stream))
            if digest is not None:
                known = {**replica.log.heads(stream.scope), stream.writer: Head(common_seq, digest)}
                found, _ = replica.outgoing(stream.scope, known, BATCH_BYTES_MAX, None, stream.node)
                batches += found
        if not batches:
            return None
        return Request(
            PROTOCOL, self._release, self._signer.node, tuple(self._states(replica)), clock, (), tuple(batches),
            self._bytes_max,
        )  # fmt: skip

    def _compare_folds(self, replica: Replica, request: Request, response: Response) -> None:
        """Compare what both sides show of the scopes that they hold alike: a sale made meanwhile is no mismatch."""
        if response.release != self._release:
            return
        theirs = {state.scope: state.digest for state in request.scopes}
        theirs |= {v.scope: vector_digest(v.vector) for v in response.vectors}
        alike = {s.scope for s in self._states(replica) if s.digest == theirs.get(s.scope) and not s.own_only}
        if ORG not in alike:
            return
        mine = fold_digests(replica)
        self.result.mismatched_folds = [
            scope
            for scope, digest in response.fold_digests
            if scope in alike and mine.get(scope, ZERO_DIGEST) != digest
        ]


def own_ahead(replica: Replica, scope: str, theirs: VersionVector, me: NodeId) -> list[Stream]:
    """Return own streams of which the other side holds more than is here: an older copy of this node was restored."""
    mine = replica.log.heads(scope, me)
    ahead: list[Stream] = []
    for writer, head in sorted(theirs.items()):
        node, _, incarnation = writer.rpartition(".")
        if node == me and incarnation.isdecimal() and head.seq > mine.get(writer, Head(0, b"")).seq:
            ahead.append(Stream(Scope(scope), me, int(incarnation)))
    return ahead


def differing(replica: Replica, scope: str, theirs: VersionVector, only: NodeId | None = None) -> list[Stream]:
    """Return the streams of which the other side may hold another branch: its head stands in none of ours."""
    found: list[Stream] = []
    for row in replica.log.streams(scope):
        head = theirs.get(row.stream.writer)
        if head is None or not row.head.seq or (only is not None and row.stream.node != only):
            continue
        if head.seq < row.base.seq or head == row.head:
            continue
        if head.seq > row.head.seq or replica.log.digest_at(row, head.seq) != head.digest:
            found.append(row.stream)
    return found


def partings(replica: Replica, probes: Sequence[ForkProbe], branches: Sequence[tuple[str, int]]) -> list[Parting]:
    """Return what the other side's answers to probes say: where a branch of ours parts from theirs."""
    asked = {p.stream: p for p in probes}
    found: list[Parting] = []
    for name, common_seq in branches:
        if name not in asked:
            continue
        row = replica.log.stream(Stream.parse(name))
        places = dict(asked[name].places)
        is_unchanged = row is not None and all(replica.log.digest_at(row, s) == d for s, d in places.items())
        if row is not None and is_unchanged and row.base.seq <= common_seq < max(places, default=0):
            found.append(Parting(row.stream, common_seq))
    return found


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
    held: dict[str, VersionVector] | None = None,
) -> Response:
    """Return the answer to a request whose batches were applied before; `held` gathers the vectors that were read.

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
        if held is not None and only is None:
            held[state.scope] = mine
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
    digests = fold_digests(replica, [state.scope for state in request.scopes if not state.own_only])
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
