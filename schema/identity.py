"""The ids by which edgetill names nodes, streams, entries, places and people.

Every id is a short string that a person can read out on the telephone; structure is parsed in this
module alone. Entry ids are the only ids that order anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final, NamedTuple, NewType

NodeId = NewType("NodeId", str)
LocationId = NewType("LocationId", str)
ProductId = NewType("ProductId", str)
OperatorId = NewType("OperatorId", str)
PersonId = NewType("PersonId", str)
OperationId = NewType("OperationId", str)
Scope = NewType("Scope", str)

ORG = Scope("org")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


CATEGORY_CHARS_MAX: Final = 160
CATEGORY_PATTERN: Final = r"[^\s#\x00-\x1f\x7f]+( [^\s#\x00-\x1f\x7f]+)*"
"""What a category may be called, in whatever script (饮料, drinks, Food/Sweets); `#` continues its document."""
_CATEGORY = re.compile(CATEGORY_PATTERN)


def node_id(public_key: bytes) -> NodeId:
    """Derive a node's id from its Ed25519 public key (32 bytes): 12 base-32 characters, 60 bits of SHA-256."""
    return NodeId(base64.b32encode(hashlib.sha256(public_key).digest()[:8])[:12].decode().lower())


def location_scope(location: LocationId) -> Scope:
    """Name the scope that holds what happens at one location."""
    return Scope(f"loc/{location}")


def scope_location(scope: Scope) -> LocationId | None:
    """Return the location of a location's scope; None for `org`."""
    return LocationId(scope[4:]) if scope.startswith("loc/") else None


def is_code(text: str) -> bool:
    """Tell whether a text may serve as a location's, product's or operator's code (1 to 32 plain characters)."""
    return _CODE.fullmatch(text) is not None


def is_category(text: str) -> bool:
    """Tell whether a text may serve as a category: 1 to 160 characters as shops write it, single spaces, no `#`."""
    return len(text) <= CATEGORY_CHARS_MAX and _CATEGORY.fullmatch(text) is not None


def nearest_category(text: str) -> str:
    """Return a text as a category; empty where nothing is left of it."""
    return " ".join(re.sub(r"[#\x00-\x1f\x7f]", "-", text).split())[:CATEGORY_CHARS_MAX].rstrip()


class Stream(NamedTuple):
    """One writer's gapless sequence in one scope: (scope, node, incarnation)."""

    scope: Scope
    node: NodeId
    incarnation: int

    def __str__(self) -> str:
        return f"{self.scope}:{self.writer}"

    @property
    def writer(self) -> str:
        """The stream's name within its scope, `node.incarnation`: what vectors and count rules call a node."""
        return f"{self.node}.{self.incarnation}"

    @classmethod
    def parse(cls, text: str) -> Stream:
        """Read `scope:node.incarnation`; raises ValueError for anything else."""
        scope, _, writer = text.rpartition(":")
        node, _, incarnation = writer.rpartition(".")
        if not scope or not node or not incarnation.isdecimal() or len(incarnation) > 15:
            raise ValueError(f"{text!r} names no stream")
        return cls(Scope(scope), NodeId(node), int(incarnation))


class EntryId(NamedTuple):
    """The one identity of a business fact: its stream and its sequence number (1, 2, 3 …)."""

    stream: Stream
    seq: int

    def __str__(self) -> str:
        return f"{self.stream}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> EntryId:
        """Read `scope:node.incarnation:seq`; raises ValueError for anything else."""
        stream, _, seq = text.rpartition(":")
        if not seq.isdecimal() or len(seq) > 15:
            raise ValueError(f"{text!r} names no entry")
        return cls(Stream.parse(stream), int(seq))
