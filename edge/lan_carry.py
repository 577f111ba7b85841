"""Both sides of a van's visit on a shop's network: what the shop's till answers, and what the van asks and keeps.

The line is the neighbours' own: both sides have shown the organisation's certificate, frames are bounded in bytes and
time, and what a caller costs is counted. A bundle is the peer's own or it is not kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from edge.applying import Pace
from edge.carried_answers import answer_for, settle_answer, take_answer
from edge.carrying import Carried, aboard_of, check_sealed, keep
from edge.handing_out import Outbox, check_bearer, van_of
from edge.hub_held import said_ms
from edge.lan_copies import note_problem
from edge.lan_session import Work
from edge.node import RELEASE, Node
from schema.errors import RefusalError
from schema.identity import NodeId
from schema.kinds.organisation import AuthorityGranted
from sync.visiting import (
    PROTOCOL,
    AnswerBrought,
    AnswerTaken,
    Offered,
    Piece,
    PieceAsked,
    VisitAnswered,
    VisitAsked,
    VisitRefused,
    VisitReply,
    VisitRequest,
    decode_reply,
    decode_visit,
    encode_visit,
)

Carry = Callable[[bytes], Awaitable[bytes]]
ReplyT = TypeVar("ReplyT", VisitAnswered, Piece, AnswerTaken)


class VisitReport(msgspec.Struct):
    """What one visit came to; `refused` says why nothing, or not all, changed hands."""

    peer: str
    location: str
    taken: Carried | None = None
    answered: str = ""
    """What the visited node said to the hub's answer: how many of its entries were new; empty where there was none."""
    refused: str = ""
    message: str = ""


# The shop's side.


def answer_visit(node: Node, peer: NodeId, address: str, body: bytes, outbox: Outbox, pace: Pace) -> bytes:
    """Answer one request of a van whose certificate TLS has verified.

    Raises RefusalError `message_malformed`, `protocol_unknown` or `node_mismatch` for what no van says; everything
    else that is refused is said in the answer, and the line goes on.
    """
    request = decode_visit(body)
    if isinstance(request, VisitAsked) and request.node != peer:
        raise RefusalError("node_mismatch", "the van's request names another node than its certificate")
    try:
        check_bearer(node, peer)
        return encode_visit(_answer(node, peer, request, outbox, pace))
    except RefusalError as error:
        if error.code == "message_malformed":
            raise
        if isinstance(request, AnswerBrought):  # its van had checked it: whoever brings such a thing is remembered
            note_problem(node, peer, address, error.code)
        return encode_visit(VisitRefused(error.code[:96], error.message[:1000]))


def _answer(node: Node, peer: NodeId, request: VisitRequest, outbox: Outbox, pace: Pace) -> VisitReply:
    match request:
        case VisitAsked(answer_ms=answer_ms) if answer_ms is not None and answer_ms > said_ms(node):
            # What the answer says decides what is still to be handed out: the van asks again after it.
            return VisitAnswered(node.config.node, None, wants_answer=True)
        case VisitAsked():
            return VisitAnswered(node.config.node, outbox.offer(node, request.aboard, is_leaving=request.is_leaving))
        case PieceAsked():
            return outbox.piece(node, peer, request)
        case AnswerBrought():
            return AnswerTaken(take_answer(node, request.content, peer, pace).entries)


# The van's side.


def is_visited(node: Node, peer: NodeId) -> bool:
    """Tell whether this is a van, and the peer a node of another place; raises RefusalError `node_revoked`."""
    if not van_of(node, node.config.node_id):
        return False
    van_of(node, peer)  # refuses a node that has left
    grants = node.organisation.all(node.connection, AuthorityGranted, peer)
    return bool(grants) and all(grant.location != node.config.location for grant in grants)


async def visit(node: Node, peer: NodeId, carry: Carry, work: Work, *, is_leaving: bool = False) -> VisitReport | None:
    """Bring a peer of another place the hub's answer and take its bundle aboard; None where there is nothing to ask.

    `carry` sends a frame and returns the answer's; `work` runs what touches the file. Raises TransientError when the
    line breaks or the disk is tight, RefusalError for a peer that says what it should not.
    """
    visitor = _Visitor(node, peer, is_leaving=is_leaving)
    asked = await work(visitor.ask)
    if asked is None:
        return None
    answered = _expect(VisitAnswered, await _say(carry, asked), visitor.report)
    if answered is not None and answered.wants_answer:
        content = await work(visitor.answer)
        if content is not None:
            taken = _expect(AnswerTaken, await _say(carry, AnswerBrought(content)), visitor.report)
            await work(partial(visitor.answered, taken))
        answered = _expect(VisitAnswered, await _say(carry, visitor.without_answer(asked)), visitor.report)
    if answered is not None:
        visitor.check(answered)
        if answered.offered is not None:
            content = await _fetch(carry, answered.offered, visitor.report)
            if content is not None:
                await work(partial(visitor.take, answered.offered, content))
    return visitor.report


async def _say(carry: Carry, request: VisitRequest) -> VisitReply:
    return decode_reply(await carry(encode_visit(request)))


def _expect(kind: type[ReplyT], reply: VisitReply, report: VisitReport) -> ReplyT | None:
    """Return a reply of the kind that belongs here; None where the peer refuses, which the report then says."""
    if isinstance(reply, VisitRefused):
        report.refused, report.message = reply.code, reply.message
        return None
    if not isinstance(reply, kind):
        raise RefusalError("message_malformed", "the node answers something else than was asked")
    return reply


async def _fetch(carry: Carry, offered: Offered, report: VisitReport) -> bytes | None:
    """Return an offered bundle, piece by piece, never more of it than was said."""
    content = bytearray()
    while len(content) < offered.size:
        piece = _expect(Piece, await _say(carry, PieceAsked(offered.bundle, len(content))), report)
        if piece is None:
            return None
        if piece.bundle != offered.bundle or piece.offset != len(content):
            raise RefusalError("message_malformed", "another part came than was asked for")
        content += piece.content
    if len(content) != offered.size:
        raise RefusalError("message_malformed", "more came than was offered")
    return bytes(content)


class _Visitor:
    """The van's side; each method but the plain ones is one piece of work on the file."""

    def __init__(self, node: Node, peer: NodeId, *, is_leaving: bool) -> None:
        self._node = node
        self._peer = peer
        self._is_leaving = is_leaving
        self._answer = ""
        self.report = VisitReport(peer, "")

    def ask(self) -> VisitAsked | None:
        """Return what to say first; None where this is no van, or the peer is of the same place or unknown."""
        node = self._node
        if not is_visited(node, self._peer):
            return None
        self.report.location = node.organisation.all(node.connection, AuthorityGranted, self._peer)[-1].location
        found = answer_for(node, self._peer)
        answer_ms = None if found is None else found[0].made_ms
        aboard = aboard_of(node, self.report.location)
        return VisitAsked(PROTOCOL, RELEASE, node.config.node, aboard, answer_ms, self._is_leaving)

    def without_answer(self, asked: VisitAsked) -> VisitAsked:
        """Return the same request after the answer was brought."""
        return msgspec.structs.replace(asked, answer_ms=None)

    def answer(self) -> bytes | None:
        """Return the answer that waits for the peer."""
        found = answer_for(self._node, self._peer)
        if found is None:
            return None
        self._answer = found[0].answer
        return found[1]

    def answered(self, taken: AnswerTaken | None) -> None:
        """Note what the peer said to the answer; what it refused would be refused again."""
        if taken is not None:
            self.report.answered = str(taken.entries)
        settle_answer(self._node, self._answer, f"refused:{self.report.refused}" if taken is None else "taken")

    def check(self, answered: VisitAnswered) -> None:
        """Refuse an answer in another's name."""
        if answered.node != self._peer:
            raise RefusalError("node_mismatch", "the node's answer names another than its certificate")

    def take(self, offered: Offered, content: bytes) -> None:
        """Keep the peer's bundle; raises RefusalError `carried_other` where it is not its own."""
        head = check_sealed(self._node, content).head
        if head.writer != self._peer or head.location != self.report.location:
            raise RefusalError("carried_other", f"{self._peer} offers what another wrote", node=self._peer)
        try:
            self.report.taken = keep(self._node, content, offered.spans)
        except RefusalError as error:
            if error.code != "carried_full":
                raise
            self.report.refused, self.report.message = error.code, error.message
