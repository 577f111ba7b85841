"""Verifies what another replica sent, before anything of it is stored: form, chain, seal and canonical bytes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from schema.codec import Body, verify_body
from schema.errors import RefusalError
from schema.identity import Stream
from sync.clock import HLC_COUNTER_MAX, HLC_MS_MAX
from sync.entry import Entry, chain
from sync.messages import Batch
from sync.signing import is_signed, seal_message


class VerifiedBatch(msgspec.Struct, frozen=True):
    """Entries of one stream that follow a known digest, with the seal over the last."""

    stream: Stream
    entries: Sequence[Entry]
    seal: bytes

    @property
    def last_seq(self) -> int:
        """Sequence number of the last entry."""
        return self.entries[-1].body.seq


def verify_batch(batch: Batch, previous: bytes, public_key: bytes) -> VerifiedBatch:
    """Return the batch's entries, chained onto `previous` (the digest of the entry before the first).

    Raises RefusalError: `stream_malformed`, the codes of `verify_body`, `chain_broken` when a sequence number
    is out of place, `seal_invalid` when the chain does not end in what the seal signs: the bytes, the
    previous digest or the key are not what the writer signed.
    """
    stream = batch.stream
    if not stream.scope or not stream.node or ":" in stream.node:
        raise RefusalError("stream_malformed", "the batch names no stream")
    entries: list[Entry] = []
    digest = previous
    for seq, encoded in enumerate(batch.entries, batch.first_seq):
        body, payload = verify_body(encoded)
        if body.seq != seq:
            raise RefusalError("chain_broken", f"{stream} has {body.seq} where {seq} belongs")
        _check_sense(body)
        digest = chain(digest, encoded)
        entries.append(Entry(stream, encoded, digest, body, payload))
    if not is_signed(public_key, batch.seal, seal_message(stream, batch.first_seq + len(entries) - 1, digest)):
        raise RefusalError("seal_invalid", f"the seal of {stream} does not fit these entries")
    return VerifiedBatch(stream, entries, batch.seal)


def _check_sense(body: Body) -> None:
    """Refuse what is well formed but no honest writer produces: storing or folding it could not end well."""
    seen = body.seen
    if len(seen) > 1 and any(one[0] >= other[0] for one, other in pairwise(seen)):
        raise RefusalError("entry_malformed", "an entry's vector is not in ascending order")
    if body.wall_ms + body.hlc_ahead_ms > HLC_MS_MAX or body.hlc_counter > HLC_COUNTER_MAX:
        raise RefusalError("entry_malformed", "an entry's hybrid time lies beyond the end of time")
