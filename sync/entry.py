"""Entries in their chain: the digest that binds each to all before it."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec

from schema.codec import Body
from schema.identity import EntryId, Stream
from schema.kinds.base import Payload

_GENESIS = b"edgetill-stream-1\0"


class Entry(msgspec.Struct, frozen=True):
    """One entry as a replica holds it; `payload` is None when this release does not know the kind."""

    stream: Stream
    encoded: bytes
    digest: bytes
    body: Body
    payload: Payload | None

    @property
    def id(self) -> EntryId:
        """The entry's identity."""
        return EntryId(self.stream, self.body.seq)

    @property
    def hlc(self) -> tuple[int, int]:
        """The hybrid logical time (ms, counter)."""
        return (self.body.wall_ms + self.body.hlc_ahead_ms, self.body.hlc_counter)


@lru_cache(maxsize=4096)
def genesis(stream: Stream) -> bytes:
    """Return the digest that stands before the first entry: it binds the chain to its stream."""
    return hashlib.sha256(_GENESIS + str(stream).encode()).digest()


def chain(previous: bytes, encoded: bytes) -> bytes:
    """Return the digest of an entry: SHA-256 over the previous digest and the entry's bytes."""
    return hashlib.sha256(previous + encoded).digest()
