"""Entries that change shared documents, and the facts of the entry that a document's fold uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schema.kinds.base import Code, Kind, Payload, Permission


class ChangeStamp(msgspec.Struct, frozen=True, array_like=True, order=False):
    """Who made a change, and when: the entry's facts that the fold uses.

    `rank` is the author's role's (higher decides), (`l`, `c`) the hybrid logical time, `writer` the stream's
    `node.incarnation`, `seq` the entry's number in that stream.
    """

    rank: int
    l: int  # noqa: E741 - the name that the hybrid-clock paper gives it
    c: int
    writer: str
    seq: int

    @property
    def precedence(self) -> tuple[int, int, int, str, int]:
        """Order by who wins: the greatest does."""
        return (self.rank, self.l, self.c, self.writer, self.seq)

    @property
    def age(self) -> tuple[int, int, str, int, int]:
        """Order by who came first: of several entries that carry one change the least is the author's."""
        return (self.l, self.c, self.writer, self.seq, self.rank)


class RecordSets(Payload, frozen=True):
    """The fields of one record that a change assigns.

    `fields` index the payload's `fields`; `replaces` is empty when no field replaces anything, and else has, for
    each field, the indexes in the payload's `replaced`.
    """

    record: str
    fields: tuple[int, ...]
    replaces: tuple[tuple[int, ...], ...] = ()


class ClaimedSet(NamedTuple):
    """One assignment as the payload claims it: `replaces` are hashes of changes."""

    record: str
    field: str
    replaces: tuple[bytes, ...]


class DocumentChange(Payload, frozen=True):
    """The payload of `document.changed`: one raw change and what it claims to do, which must be what it does.

    `origin` is set by the hub alone, when it reissues a change in another scope: the author's own stamp. `role` is
    what the author acts as: authority must cover it, and of concurrent values the higher rank's holds.
    """

    document: str
    change: bytes
    hash: bytes
    fields: tuple[str, ...]
    sets: tuple[RecordSets, ...]
    replaced: tuple[bytes, ...] = ()
    origin: ChangeStamp | None = None
    role: Code = "clerk"

    def assignments(self) -> Iterator[ClaimedSet]:
        """Spell the sets out, one for each record and field; for a payload that `apply` did not refuse."""
        for one in self.sets:
            replaces = one.replaces or ((),) * len(one.fields)
            for field, indexes in zip(one.fields, replaces, strict=True):
                yield ClaimedSet(one.record, self.fields[field], tuple(self.replaced[index] for index in indexes))


def reissued(change: DocumentChange, author: ChangeStamp) -> DocumentChange:
    """Return the payload with which the hub brings an author's change into another scope: the same bytes."""
    return msgspec.structs.replace(change, origin=change.origin or author)


def _role(payload: DocumentChange) -> str:
    return payload.role


KINDS = (Kind("document.changed", DocumentChange, Permission.CATALOGUE, rank=_role),)
