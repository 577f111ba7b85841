"""What a replica holds of a scope: for each stream its last sequence number and the digest there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from schema.codec import encode


class Head(NamedTuple):
    """How far a stream reaches at a replica: 0 and the genesis digest for an empty one."""

    seq: int
    digest: bytes


VersionVector = Mapping[str, Head]
"""Heads by writer (`node.incarnation`) within one scope."""


def vector_digest(vector: VersionVector) -> bytes:
    """Return 16 bytes that are equal exactly when two vectors are: what a session opens with."""
    return hashlib.sha256(encode([(w, h.seq, h.digest) for w, h in sorted(vector.items())])).digest()[:16]


def seqs(vector: VersionVector) -> dict[str, int]:
    """Return the vector as the count rules read it: writer to sequence number."""
    return {writer: head.seq for writer, head in vector.items()}
