"""Bundles: the batches of a session in a file, for a USB stick, a relay or a new node's snapshot.

A bundle is a header frame, frames of batches, and an end frame in which the writer signs the digest of all that
came before. Entries verify by their own seals; the end tells a whole file from a part of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import NodeId
from schema.kinds.base import Code, Count, Millis
from sync.messages import (
    Batch,
    ForkProbe,
    KeptEntry,
    Message,
    ScopeVector,
    SeenRow,
    Signature,
    Statement,
    StreamBase,
    frame,
    unframe_all,
)
from sync.replica import Replica
from sync.signing import SigningKey, is_signed, statement_message
from sync.version_vector import Head, VersionVector


class BundleHeader(Message, frozen=True, tag="header"):
    """Who wrote a bundle, for whom (empty: anyone), and the vectors that a holder has after applying it.

    `probes` and `branches` ask and answer where streams part, as in a session: the answer comes with the next file.
    """

    format: int
    release: Code
    writer: Code
    reader: Code
    wall_ms: Millis
    vectors: tuple[ScopeVector, ...]
    statements: tuple[Statement, ...] = ()
    probes: tuple[ForkProbe, ...] = ()
    branches: tuple[tuple[Code, Count], ...] = ()
    bases: tuple[StreamBase, ...] = ()


class BundleKept(Message, frozen=True, tag="kept"):
    """What still matters below the header's bases; only the hub's signature over the whole bundle vouches for it."""

    kept: tuple[KeptEntry, ...]
    seen: tuple[SeenRow, ...]


class BundlePart(Message, frozen=True, tag="part"):
    """Some batches; streams continue from part to part."""

    batches: tuple[Batch, ...]


class BundleEnd(Message, frozen=True, tag="end"):
    """The writer's signature over the SHA-256 of every byte before this frame."""

    signature: Signature


_Part = BundleHeader | BundleKept | BundlePart | BundleEnd
_decoder: msgspec.msgpack.Decoder[BundleHeader | BundleKept | BundlePart | BundleEnd] = msgspec.msgpack.Decoder(_Part)


def write_bundle(
    header: BundleHeader,
    parts: Iterable[tuple[Batch, ...]],
    signer: SigningKey,
    kept: Iterable[BundleKept] = (),
) -> Iterator[bytes]:
    """Yield the bytes of a bundle piece by piece."""
    digest = hashlib.sha256()
    for message in _messages(header, kept, parts):
        piece = frame(encode(message))
        digest.update(piece)
        yield piece
    yield frame(encode(BundleEnd(signer.sign(statement_message("bundle", digest.digest())))))


def parts_above(
    replica: Replica,
    scope: str,
    theirs: VersionVector,
    bytes_max: int,
    signer: SigningKey | None,
    only_node: NodeId | None = None,
) -> Iterator[tuple[Batch, ...]]:
    """Yield, in parts of bounded size, all that a reader lacks who holds `theirs` of a scope."""
    known = dict(theirs)
    while batches := replica.outgoing(scope, known, bytes_max, signer, only_node)[0]:
        yield tuple(batches)
        for batch in batches:
            row = replica.log.stream(batch.stream)
            last = batch.first_seq + len(batch.entries) - 1
            digest = replica.log.digest_at(row, last) if row else None
            assert digest is not None, "what was just cut from the log has a digest there"
            known[batch.stream.writer] = Head(last, digest)


def _messages(
    header: BundleHeader, kept: Iterable[BundleKept], parts: Iterable[tuple[Batch, ...]]
) -> Iterator[Message]:
    yield header
    yield from kept
    for batches in parts:
        yield BundlePart(batches)


def read_bundle(data: bytes) -> tuple[BundleHeader, Iterator[tuple[Batch, ...]]]:
    """Return a bundle's header and an iterator over its batches; raises RefusalError by name.

    The iterator raises `bundle_truncated` when the end is missing: what came before it was whole all the same.
    """
    contents = unframe_all(data)
    first = _decode(next(contents, b""))
    if not isinstance(first, BundleHeader) or first.format != 1:
        raise RefusalError("bundle_malformed", "this file is no edgetill bundle")
    return first, _parts(contents)


def _parts(contents: Iterator[bytes]) -> Iterator[tuple[Batch, ...]]:
    for content in contents:
        message = _decode(content)
        if isinstance(message, BundlePart):
            yield message.batches
        elif isinstance(message, BundleKept):
            continue
        elif isinstance(message, BundleEnd):
            return
        else:
            raise RefusalError("bundle_malformed", "a bundle has one header")
    raise RefusalError("bundle_truncated", "the bundle ends before its last part: copy the file again")


def read_kept(data: bytes) -> tuple[list[KeptEntry], list[SeenRow]]:
    """Return what a bundle brings below its bases; raises RefusalError by name."""
    kept: list[KeptEntry] = []
    seen: list[SeenRow] = []
    for content in unframe_all(data):
        message = _decode(content)
        if isinstance(message, BundleKept):
            kept += message.kept
            seen += message.seen
        elif not isinstance(message, BundleHeader):
            break
    return kept, seen


def _decode(content: bytes) -> BundleHeader | BundleKept | BundlePart | BundleEnd:
    try:
        return _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusalError("bundle_malformed", f"the bundle cannot be read: {error}") from None


def is_bundle_signed(data: bytes, writer: NodeId, public_key: bytes) -> bool:
    """Tell whether a whole bundle is signed by the node that its header names."""
    header, _ = read_bundle(data)
    if header.writer != writer:
        return False
    offsets = list(_frame_offsets(data))
    end = _decode(next(unframe_all(data[offsets[-1] :])))
    digest = hashlib.sha256(data[: offsets[-1]]).digest()
    return isinstance(end, BundleEnd) and is_signed(public_key, end.signature, statement_message("bundle", digest))


def _frame_offsets(data: bytes) -> Iterator[int]:
    offset = 0
    while offset < len(data):
        yield offset
        offset += 12 + int.from_bytes(data[offset + 8 : offset + 12], "big")
