"""What a fold receives: effective entries with their vector, whatever way they came into the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec

from schema.codec import Body, decode_body, decode_payload, kind_of
from schema.database import Connection
from schema.identity import EntryId, Stream
from schema.kinds.base import Payload, Permission, Vector
from schema.kinds.organisation import EntryRecovered

_COUNTS_AGAIN: Final = {Permission.TRADE, Permission.STOCK, Permission.NOTICE}
"""What a copy of a node did with goods and money counts; its counts, verdicts and catalogue wait for a person."""


class Effective(msgspec.Struct, frozen=True):
    """One effective entry as folds read it.

    For a recovered entry the identity is its new place in the log; payload, clock and vector are the original's.
    """

    stream: Stream
    stream_no: int
    seq: int
    payload: Payload
    wall_ms: int
    unc_ms: int | None
    clock_epoch: int
    hlc: tuple[int, int]
    vector: Mapping[str, int]
    operation: str
    digest: bytes

    @property
    def writer(self) -> str:
        """The stream's name within its scope."""
        return self.stream.writer

    @property
    def id(self) -> EntryId:
        """The entry's identity."""
        return EntryId(self.stream, self.seq)


class Fold(Protocol):
    """A read model kept in the transaction that stores the entries; rebuilt from the log it must be identical."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new effective entries of one stream, in the order of the stream."""
        ...

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back entries that lost their authority."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A fold that remembers between transactions what the tables said."""

    def forget(self) -> None:
        """Drop what was remembered."""
        ...


def as_effective(
    stream: Stream, stream_no: int, body: Body, payload: Payload, vector: Mapping[str, int], digest: bytes
) -> Effective:
    """Return an entry as folds read it; a recovered one whose goods or money moved reads as the original."""
    hlc = (body.wall_ms + body.hlc_ahead_ms, body.hlc_counter)
    if isinstance(payload, EntryRecovered):
        original = decode_body(payload.body)
        content = decode_payload(original)
        kind = kind_of(original)
        if content is not None and kind is not None and kind.permission in _COUNTS_AGAIN:
            return Effective(
                stream, stream_no, body.seq, content, original.wall_ms, original.unc_ms, original.clock_epoch, hlc,
                dict(payload.vector), original.operation, digest,
            )  # fmt: skip
    return Effective(
        stream, stream_no, body.seq, payload, body.wall_ms, body.unc_ms, body.clock_epoch, hlc, vector,
        body.operation, digest,
    )  # fmt: skip


def advance(vector: Mapping[str, int], seen: Vector) -> Mapping[str, int]:
    """Return a stream's vector after an entry that tells what it has newly seen: the maximum so far."""
    if not seen:
        return vector
    further = dict(vector)
    for writer, seq in seen:
        further[writer] = max(seq, further.get(writer, 0))
    return further
