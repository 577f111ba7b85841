"""Which of several concurrent values of one field holds, and how the disagreement is shown.

The rule is ours, not the merge library's, which prefers the side with more edits: the higher rank wins, then the
later hybrid time, then node and sequence number, so every replica that holds the same set names the same winner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from schema.kinds.catalogue import ChangeStamp
from sync.document_change import SEPARATOR, Scalar


class Candidate(msgspec.Struct, frozen=True, array_like=True):
    """One of the values in dispute, with the hash of the change that assigns it."""

    change: bytes
    value: Scalar
    stamp: ChangeStamp


class DocumentConflict(msgspec.Struct, frozen=True, array_like=True):
    """Several changes assigned one field without knowing of each other; `candidates` has the winner first."""

    document: str
    record: str
    field: str
    candidates: tuple[Candidate, ...]

    @property
    def id(self) -> str:
        """The same for the same field of the same record, however many candidates join: 24 hex digits."""
        name = SEPARATOR.join((self.document, self.record, self.field))
        return hashlib.sha256(name.encode()).hexdigest()[:24]

    @property
    def winner(self) -> Candidate:
        """The candidate whose value holds until a person decides."""
        return self.candidates[0]


def by_precedence(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Sort the candidates, the winner first; a total order, because hashes differ."""
    return tuple(sorted(candidates, key=lambda one: (one.stamp.precedence, one.change), reverse=True))
