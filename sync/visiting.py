"""What a van and a node of another place say on that place's network: bundles go aboard, answers of the hub come back.

The van asks and the node answers, frame by frame, as neighbours do; all that is carried is sealed to its reader, and
the van reads none of it. A visit follows a session over `org`, so both know of each other's grants. What a request
says of a bundle aboard only spares the node from handing the same entries out twice: it is never the hub's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec

from schema.codec import encode
from schema.errors import RefusalError
from schema.kinds.base import Code, Count, Millis, Text
from sync.messages import Message, first_bytes, frame, unframe
from sync.sealing import ANSWER_BYTES_MAX, CARRIED_BYTES_MAX

PROTOCOL: Final = 1
PIECE_BYTES: Final = 256 * 1024
"""So much of a bundle goes over the line at a time."""
_SPANS_MAX: Final = 5_000
_ABOARD_MAX: Final = 500

BundleName = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Span(Message, frozen=True):
    """Entries of one stream that a bundle has: those after `above` up to `upto`."""

    scope: Code
    writer: Code
    above: Count
    upto: Count


class Aboard(Message, frozen=True):
    """A bundle of the visited place that waits aboard already: of which node, made when by that node's clock."""

    writer: Code
    made_ms: Millis
    spans: Annotated[tuple[Span, ...], msgspec.Meta(max_length=_SPANS_MAX)]


class VisitAsked(Message, frozen=True, tag="visit"):
    """What the van carries of this place already, and since when it has an answer of the hub for this node.

    `is_leaving`: somebody asked for what there is now, however little it is.
    """

    protocol: Count
    release: Code
    node: Code
    aboard: Annotated[tuple[Aboard, ...], msgspec.Meta(max_length=_ABOARD_MAX)] = ()
    answer_ms: Millis | None = None
    is_leaving: bool = False


class PieceAsked(Message, frozen=True, tag="piece"):
    """The part of an offered bundle from `offset` on."""

    bundle: BundleName
    offset: Count


class AnswerBrought(Message, frozen=True, tag="answer"):
    """An answer of the hub to the visited node, sealed to it."""

    content: Annotated[bytes, msgspec.Meta(max_length=ANSWER_BYTES_MAX)]


class Offered(Message, frozen=True):
    """A bundle that the node hands out, sealed to the hub."""

    bundle: BundleName
    size: Annotated[int, msgspec.Meta(ge=1, le=CARRIED_BYTES_MAX)]
    entries: Count
    spans: Annotated[tuple[Span, ...], msgspec.Meta(max_length=_SPANS_MAX)]


class VisitAnswered(Message, frozen=True, tag="visited"):
    """What the node hands out, None where the hub or the van has it all; whether it wants the answer aboard."""

    node: Code
    offered: Offered | None = None
    wants_answer: bool = False


class Piece(Message, frozen=True, tag="part"):
    """A part of a bundle."""

    bundle: BundleName
    offset: Count
    content: Annotated[bytes, msgspec.Meta(min_length=1, max_length=PIECE_BYTES)]


class AnswerTaken(Message, frozen=True, tag="taken"):
    """The node has read the answer: so many entries were new."""

    entries: Count


class VisitRefused(Message, frozen=True, tag="refused"):
    """Why the node gives or takes nothing."""

    code: Code
    message: Text


VisitRequest = VisitAsked | PieceAsked | AnswerBrought
VisitReply = VisitAnswered | Piece | AnswerTaken | VisitRefused
_requests: msgspec.msgpack.Decoder[VisitRequest] = msgspec.msgpack.Decoder(VisitAsked | PieceAsked | AnswerBrought)
_replies: msgspec.msgpack.Decoder[VisitReply] = msgspec.msgpack.Decoder(
    VisitAnswered | Piece | AnswerTaken | VisitRefused
)


def encode_visit(message: VisitRequest | VisitReply) -> bytes:
    """Return a message's frame."""
    return frame(encode(message))


def is_visit(data: bytes) -> bool:
    """Tell a visit's request from a session's by the first bytes of its frame: an array that begins with a name."""
    head = first_bytes(data, 2)
    return len(head) == 2 and head[0] & 0xF0 == 0x90 and head[1] & 0xE0 == 0xA0


def decode_visit(data: bytes) -> VisitRequest:
    """Read a request from outside; raises RefusalError by name."""
    try:
        request = _requests.decode(unframe(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusalError("message_malformed", f"the request cannot be read: {error}") from None
    if isinstance(request, VisitAsked) and request.protocol != PROTOCOL:
        raise RefusalError("protocol_unknown", f"protocol {request.protocol} is not spoken here")
    return request


def decode_reply(data: bytes) -> VisitReply:
    """Read what the visited node says; raises RefusalError by name."""
    try:
        return _replies.decode(unframe(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusalError("message_malformed", f"the answer cannot be read: {error}") from None


def reached(held: Mapping[tuple[str, str], int], aboard: Iterable[Span]) -> dict[tuple[str, str], int]:
    """Return up to where each stream is at the hub or aboard without a gap; `held` by (scope, writer) is the hub's.

    A bundle counts only where it goes on from what is held: what stands beyond a gap would be refused by the hub.
    """
    found = dict(held)
    for span in sorted(aboard, key=lambda one: (one.scope, one.writer, one.above)):
        place = (span.scope, span.writer)
        if span.above <= found.get(place, 0) < span.upto:
            found[place] = span.upto
    return found
