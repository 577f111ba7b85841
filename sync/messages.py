"""The messages of a sync session and their frame; HTTP, the LAN and a file on a USB stick carry the same bytes.

Requests hold all that an answer depends on, so that any process of the hub may answer any of them. A frame is
a fixed header with the lengths that it declares, then one zstd frame; nothing is decoded beyond its caps.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
import zstandard

from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import NodeId, Scope, Stream
from schema.kinds.base import Code, Count, Millis, Text
from sync.version_vector import Head, VersionVector

PROTOCOL: Final = 1
FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest frame, compressed or not, that a receiver takes."""
COMPRESSION_LEVEL: Final = 9
PATIENT_LEVEL: Final = 12
"""For a node's requests: it packs the next part of a backlog while the hub works on this one."""
_MAGIC: Final = b"ETS1"
_HEADER: Final = struct.Struct(">4sII")
FRAME_HEADER_BYTES: Final = _HEADER.size
_SCOPES_MAX: Final = 5_000
_STREAMS_MAX: Final = 20_000
_TOPICS_MAX: Final = 100_000
_ENTRIES_MAX: Final = 50_000
_PLAIN_BYTES: Final = 200

Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
ShortDigest = Annotated[bytes, msgspec.Meta(max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class Message(msgspec.Struct, array_like=True, frozen=True):
    """Base of what crosses the line; a later release may add fields at the end."""


class ScopeState(Message, frozen=True):
    """One scope in brief; with `own_only` it means the speaker's own streams alone (notices to other places)."""

    scope: Code
    digest: ShortDigest
    own_only: bool = False


class ScopeVector(Message, frozen=True):
    """A scope's version vector in full: (writer, seq, head digest) for each stream."""

    scope: Code
    heads: Annotated[tuple[tuple[Code, Count, Digest], ...], msgspec.Meta(max_length=_STREAMS_MAX)]
    own_only: bool = False

    @property
    def vector(self) -> dict[str, Head]:
        """The heads by writer."""
        return {writer: Head(seq, digest) for writer, seq, digest in self.heads}


class Batch(Message, frozen=True):
    """Consecutive entries of one stream with the seal of the last; the receiver supplies the digest before."""

    scope: Code
    node: Code
    incarnation: Count
    first_seq: Count
    entries: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=_ENTRIES_MAX)]
    seal: Signature

    @property
    def stream(self) -> Stream:
        """The stream these entries belong to."""
        return Stream(Scope(self.scope), NodeId(self.node), self.incarnation)


class StreamBase(Message, frozen=True):
    """Where a stream begins for a replica that holds an opening balance instead of the entries up to here."""

    scope: Code
    writer: Code
    seq: Count
    digest: Digest


class KeptEntry(Message, frozen=True):
    """An entry at or below its stream's base that still matters."""

    scope: Code
    writer: Code
    seq: Count
    digest: Digest
    body: bytes


class SeenRow(Message, frozen=True):
    """A component of a stream's vector from one of its entries on: what the vectors of kept entries are made of."""

    scope: Code
    writer: Code
    seq: Count
    of_writer: Code
    seen_seq: Count


class Refusal(Message, frozen=True):
    """A stream that was refused, by name; the others go on."""

    stream: Code
    seq: Count
    code: Code
    message: Text


class ClockReport(Message, frozen=True):
    """A node's clock when it sent: wall time, epoch, its own bound, and the round trip it measured last."""

    wall_ms: Millis
    epoch: Count
    unc_ms: Count | None
    round_trip_ms: Count | None = None


NO_CLOCK: Final = ClockReport(0, 0, None)
"""What a request says that was packed before its time: nothing is measured by it."""


class ForkProbe(Message, frozen=True):
    """Digests of the speaker's own stream at some places, newest first, to find where a branch begins."""

    stream: Code
    places: Annotated[tuple[tuple[Count, Digest], ...], msgspec.Meta(max_length=128)]


class Request(Message, frozen=True):
    """One step of the side that opened the session."""

    protocol: Count
    release: Code
    node: Code
    scopes: Annotated[tuple[ScopeState, ...], msgspec.Meta(max_length=_SCOPES_MAX)]
    clock: ClockReport
    vectors: Annotated[tuple[ScopeVector, ...], msgspec.Meta(max_length=_SCOPES_MAX)] = ()
    batches: tuple[Batch, ...] = ()
    bytes_max: Count = 262_144
    probes: tuple[ForkProbe, ...] = ()
    topics: Annotated[tuple[tuple[Code, ShortDigest], ...], msgspec.Meta(max_length=_TOPICS_MAX)] = ()
    """Statements of elsewhere that the speaker holds.

    In the session's first request one digest over all families, under the empty name; later each family that differs
    (its name and a slash, no digest), and its topics with theirs.
    """
    status: tuple[tuple[Code, Code], ...] = ()


class Statement(Message, frozen=True):
    """A digest of elsewhere: replaceable, signed by the hub, no entry."""

    topic: Code
    content: bytes
    signature: Signature
    as_of_ms: Millis


class Response(Message, frozen=True):
    """The answer to one request; `vectors` holds just the scopes that differ after the request was applied."""

    protocol: Count
    release: Code
    node: Code
    wall_ms: Millis
    vectors: Annotated[tuple[ScopeVector, ...], msgspec.Meta(max_length=_SCOPES_MAX)] = ()
    batches: tuple[Batch, ...] = ()
    has_more: bool = False
    refusals: tuple[Refusal, ...] = ()
    fold_digests: tuple[tuple[Code, ShortDigest], ...] = ()
    branches: tuple[tuple[Code, Count], ...] = ()
    statements: tuple[Statement, ...] = ()
    busy_ms: Count = 0
    families: tuple[tuple[Code, ShortDigest], ...] = ()
    """The families of statements that the asking side ought to hold, where its digest over all of them is another."""
    ages_ms: tuple[tuple[Code, Count], ...] = ()
    """How long ago what the statements say of balances and stock still held, where that is not now."""


_request_decoder = msgspec.msgpack.Decoder(Request)
_response_decoder = msgspec.msgpack.Decoder(Response)


def frame(content: bytes, level: int = COMPRESSION_LEVEL) -> bytes:
    """Compress one message into its frame."""
    packed = content
    if len(content) > _PLAIN_BYTES:
        # A compressor of its own for each frame (35 µs): one shared by threads crashes the process.
        packed = zstandard.ZstdCompressor(level=level, write_content_size=False).compress(content)
    if len(packed) >= len(content):
        packed = content
    return _HEADER.pack(_MAGIC, len(content), len(packed)) + packed


def unframe(data: bytes) -> bytes:
    """Return the content of exactly one frame; raises RefusalError by name, having decoded no more than declared."""
    contents = list(unframe_all(data))
    if len(contents) != 1:
        raise RefusalError("frame_malformed", "one frame was expected")
    return contents[0]


def unframe_all(data: bytes) -> Iterator[bytes]:
    """Yield the contents of consecutive frames (a bundle); raises RefusalError at the first that is not whole."""
    offset = 0
    while offset < len(data):
        length, packed_length = _lengths(data, offset)
        offset += _HEADER.size
        packed = data[offset : offset + packed_length]
        if len(packed) < packed_length:
            raise RefusalError("frame_truncated", "the frame is shorter than it declares")
        offset += packed_length
        yield packed if packed_length == length else _decompress(packed, length)


def first_bytes(data: bytes, count: int) -> bytes:
    """Return how the content of a frame begins, by which kinds of messages differ; empty for what is no frame."""
    try:
        length, packed_length = _lengths(data, 0)
        packed = data[_HEADER.size : _HEADER.size + packed_length]
        if packed_length == length:
            return packed[:count]
        with zstandard.ZstdDecompressor(max_window_size=FRAME_BYTES_MAX * 2).stream_reader(packed) as reader:
            return bytes(reader.read(count))
    except (RefusalError, zstandard.ZstdError):
        return b""


def frame_length(header: bytes) -> int:
    """Return how many bytes follow a frame's header; raises RefusalError before anything of it is read."""
    return _lengths(header, 0)[1]


def _lengths(data: bytes, offset: int) -> tuple[int, int]:
    if len(data) - offset < _HEADER.size:
        raise RefusalError("frame_truncated", "the frame ends before its header does")
    magic, length, packed_length = _HEADER.unpack_from(data, offset)
    if magic != _MAGIC:
        raise RefusalError("frame_malformed", "these bytes are no edgetill frame")
    if length > FRAME_BYTES_MAX or packed_length > length:
        raise RefusalError("frame_too_large", "the frame declares more than a receiver takes")
    return length, packed_length


def _decompress(packed: bytes, length: int) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=FRAME_BYTES_MAX * 2).stream_reader(packed) as reader:
            content = reader.read(length + 1)
    except zstandard.ZstdError as error:
        raise RefusalError("frame_malformed", f"the frame cannot be decompressed: {error}") from None
    if len(content) != length:
        raise RefusalError("frame_bomb", "the frame holds another length than it declares")
    return content


def encode_request(request: Request) -> bytes:
    """Return the request's frame."""
    return frame(encode(request), PATIENT_LEVEL)


def encode_response(response: Response) -> bytes:
    """Return the response's frame."""
    return frame(encode(response))


def decode_request(data: bytes) -> Request:
    """Read a request from outside; raises RefusalError by name."""
    try:
        request = _request_decoder.decode(unframe(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusalError("message_malformed", f"the request cannot be read: {error}") from None
    if request.protocol != PROTOCOL:
        raise RefusalError("protocol_unknown", f"protocol {request.protocol} is not spoken here")
    return request


def decode_response(data: bytes) -> Response:
    """Read a response; raises RefusalError by name."""
    try:
        return _response_decoder.decode(unframe(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusalError("message_malformed", f"the response cannot be read: {error}") from None


def scope_vector(scope: str, vector: VersionVector, *, own_only: bool = False) -> ScopeVector:
    """Put a vector into a message."""
    return ScopeVector(scope, tuple((w, h.seq, h.digest) for w, h in sorted(vector.items())), own_only)
