"""One session between neighbours: the same messages as with the hub, answered and asked from this node's own file.

A neighbour is no hub: its clock is noted and not believed, it settles no fork, and what it says it holds is a word on
a screen. Entries that it brings prove themselves by their writers' seals, so a relay can add nothing of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

import msgspec

from edge.applying import Pace, apply_batches
from edge.lan_copies import note_copies, note_peer
from edge.lan_identity import may_exchange
from edge.node import RELEASE, Node
from edge.sync_agent import clock_report
from schema.errors import RefusalError, TransientError
from schema.identity import ORG, NodeId, Stream
from sync.branches import must_renew
from sync.clock import measure
from sync.messages import (
    PROTOCOL,
    Refusal,
    Request,
    Response,
    ScopeVector,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from sync.session import ClientSession, Subscription, reply

BYTES_MAX: Final = 128 * 1024
"""So much a step brings, that a sale never waits long behind another till's backlog."""
STEPS_MAX: Final = 64
"""A session that goes on for longer makes way for the next."""
INSTANCE: Final = "instance"
INCARNATION: Final = "incarnation"
WHOLE: Final = ""
"""In place of a stream: the refusal is of the session as a whole."""

ResultT = TypeVar("ResultT")
Carry = Callable[[bytes], Awaitable[bytes]]


class Work(Protocol):
    """Runs what touches the file where that may take its time."""

    def __call__(self, work: Callable[[], ResultT], /) -> Awaitable[ResultT]:
        """Run one piece of work and return what it returns."""
        ...


class PeerReport(msgspec.Struct):
    """What one session with a neighbour came to."""

    peer: str
    is_complete: bool = False
    entries_sent: int = 0
    entries_received: int = 0
    refusals: list[Refusal] = []
    mismatched_folds: list[str] = []
    has_renewed: bool = False
    """This node met more, or other, of its own entries and began a new incarnation."""


def refusing(node: Node, error: RefusalError) -> bytes:
    """Return the answer to a request that is refused as a whole."""
    refusal = Refusal(WHOLE, 0, error.code[:96], error.message[:1000])
    return encode_response(
        Response(PROTOCOL, RELEASE, node.config.node, node.clock_source().wall_ms, refusals=(refusal,))
    )


def answer(node: Node, peer: NodeId, address: str, instance: str, body: bytes, pace: Pace) -> bytes:
    """Answer one request of a neighbour whose certificate TLS has verified.

    Raises RefusalError `message_malformed`, `node_mismatch`, `node_revoked`, `scope_forbidden`, `peer_self` or
    `twin_met`; nothing of such a request is stored.
    """
    request = decode_request(body)
    if request.node != peer:
        raise RefusalError("node_mismatch", "the neighbour's request names another node than its certificate")
    if peer == node.config.node_id:
        meet_self(node, dict(request.status), instance)
    scopes = may_exchange(node, peer)
    if wanted := [state.scope for state in request.scopes if state.scope not in scopes or state.own_only]:
        raise RefusalError("scope_forbidden", f"the node {peer} may not have the scope {wanted[0]} from here")
    mine = [batch for batch in request.batches if batch.scope in scopes]
    _, refusals = apply_batches(node, mine, pace)
    with node.store.reading():
        response = reply(
            node.replica,
            request,
            release=RELEASE,
            me=node.config.node_id,
            wall_ms=node.clock_source().wall_ms,
            signer=node.signer,
            refusals=refusals,
            may_read=dict.fromkeys(scopes, True),
        )
        held = stated_own(node, request.vectors)
        if any(state.scope == node.config.scope for state in request.scopes) and node.config.scope not in {
            vector.scope for vector in response.vectors
        }:
            held = own_heads(node)  # both hold the same
    note_peer(node, peer, address, request.release, None)
    note_copies(node, peer, held, is_whole=False)
    return encode_response(response)


def meet_self(node: Node, status: dict[str, str], instance: str) -> None:
    """Judge a caller with this node's own key; raises RefusalError `peer_self` for this very process.

    Raises `twin_met` for another machine: one of both is a copy. Where both still write the same stream this one
    begins a new incarnation, and so does the other when it hears of it.
    """
    if status.get(INSTANCE) == instance:
        raise RefusalError("peer_self", "this is the node itself")
    _part_from_twin(node, status.get(INCARNATION, ""))
    raise RefusalError("twin_met", f"another machine runs with the key of {node.config.node}: one of both is a copy")


def _part_from_twin(node: Node, incarnation: str) -> bool:
    with node.write() as writing:
        is_same = incarnation == str(writing.state.incarnation)
        if is_same:
            node.new_incarnation(writing)
    return is_same


def stated_own(node: Node, vectors: Sequence[ScopeVector]) -> dict[int, int]:
    """Return up to where a vector holds this node's own entries of its location: {incarnation: seq}."""
    held: dict[int, int] = {}
    for one in vectors:
        if one.scope == node.config.scope:
            for row in node.replica.log.streams(one.scope):
                head = one.vector.get(row.stream.writer)
                is_own = row.stream.node == node.config.node_id
                if is_own and head is not None and node.replica.log.digest_at(row, head.seq) == head.digest:
                    held[row.stream.incarnation] = head.seq
    return held


def own_heads(node: Node) -> dict[int, int]:
    """Return this node's own streams of its location: {incarnation: seq}."""
    heads = node.replica.log.heads(node.config.scope, node.config.node_id)
    return {int(writer.rpartition(".")[2]): head.seq for writer, head in heads.items()}


async def exchange(
    node: Node, peer: NodeId, address: str, instance: str, carry: Carry, work: Work, *, is_org_only: bool = False
) -> PeerReport:
    """Exchange with a neighbour until neither side has more, of all that it may have or of `org` alone.

    `carry` sends a frame and returns the answer's; `work` runs what touches the file. Raises TransientError when the
    line breaks, RefusalError when the neighbour refuses the session.
    """
    caller = _Caller(node, peer, address, instance, is_org_only=is_org_only)
    request: Request | None = await work(caller.open)
    for _ in range(STEPS_MAX):
        assert request is not None
        sent_ms = node.clock_source().wall_ms
        body = await carry(encode_request(request))
        received_ms = node.clock_source().wall_ms
        request = await work(partial(caller.step, request, body, sent_ms, received_ms))
        if request is None:
            break
    return caller.report


class _Caller:
    """The side that opened the session; each method is one piece of work on the file."""

    def __init__(self, node: Node, peer: NodeId, address: str, instance: str, *, is_org_only: bool) -> None:
        self._is_org_only = is_org_only or peer == node.config.node_id
        self._node = node
        self._peer = peer
        self._address = address
        self._instance = instance
        self._pace = Pace()
        self._own: dict[int, int] = {}
        self.report = PeerReport(peer)
        self._session: ClientSession

    def open(self) -> Request:
        node = self._node
        scopes = [ORG] if self._is_org_only else may_exchange(node, self._peer)
        self._session = ClientSession(
            node.signer, RELEASE, [Subscription(scope) for scope in scopes], bytes_max=BYTES_MAX
        )
        with node.store.reading():
            self._note_own()
            return self._named(self._session.open(node.replica, clock_report(node, None)))

    def _named(self, request: Request) -> Request:
        status = ((INSTANCE, self._instance), (INCARNATION, str(self._node.state().incarnation)))
        return msgspec.structs.replace(request, status=status)

    def _note_own(self) -> None:
        self._own = own_heads(self._node)

    def step(self, request: Request, body: bytes, sent_ms: int, received_ms: int) -> Request | None:
        node, report = self._node, self.report
        response = decode_response(body)
        if whole := next((refusal for refusal in response.refusals if refusal.stream == WHOLE), None):
            if whole.code == "twin_met":
                report.has_renewed = _part_from_twin(node, str(dict(request.status).get(INCARNATION)))
            raise RefusalError(whole.code, whole.message)
        if response.node != self._peer:
            raise RefusalError("node_mismatch", "the neighbour's answer names another node than its certificate")
        if response.busy_ms:
            raise TransientError("peer_busy", f"{self._peer} is busy")
        asked = {state.scope for state in request.scopes}
        _, refused = apply_batches(node, [batch for batch in response.batches if batch.scope in asked], self._pace)
        report.refusals += refused
        note_peer(node, self._peer, self._address, response.release, measure(sent_ms, response.wall_ms, received_ms))
        if node.config.scope in asked:
            note_copies(node, self._peer, self._held(response), is_whole=True)
        with node.store.reading():
            self._note_own()
            following = self._session.next(node.replica, clock_report(node, received_ms - sent_ms), request, response)
        result = self._session.result
        report.entries_sent, report.entries_received = result.entries_sent, result.entries_received
        report.is_complete, report.mismatched_folds = result.is_complete, result.mismatched_folds
        if following is None:
            report.refusals += result.refusals
            met: list[Stream] = [*result.ahead, *(parting.stream for parting in result.parted)]
            report.has_renewed = self._renew(met)
            return None
        return self._named(following)

    def _held(self, response: Response) -> dict[int, int]:
        """Return what the answer says of own entries: the whole of what was stated where it shows no difference."""
        scope = self._node.config.scope
        if scope in {vector.scope for vector in response.vectors}:
            return stated_own(self._node, response.vectors)
        return self._own

    def _renew(self, met: list[Stream]) -> bool:
        """Begin a new incarnation where the neighbour holds more, or other, of this node than this file does.

        Which branch stands is the hub's to say; here the node only stops writing where another wrote.
        """
        node = self._node
        if not met or not must_renew(node.config.node_id, node.state().incarnation, met):
            return False
        with node.write() as writing:
            if must_renew(node.config.node_id, writing.state.incarnation, met):
                node.new_incarnation(writing)
        return True
