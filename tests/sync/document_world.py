"""Several writers of one document, each with its own replica: the traffic for the documents' tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from schema.kinds.catalogue import ChangeStamp, DocumentChange, reissued
from sync.document_change import Scalar, decode_change
from sync.documents import Delivery, DocumentState, edit

DOCUMENT = "products/drinks"


def wrap(content: bytes, kind: int = 1, body: bytes | None = None) -> bytes:
    """Put a change's content into a chunk with a true checksum."""
    digest = hashlib.sha256(b"\x01" + uleb(len(content)) + content).digest()
    body = content if body is None else body
    return b"\x85\x6f\x4a\x83" + digest[:4] + bytes([kind]) + uleb(len(body)) + body


def uleb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class Writer:
    """One node's stream: it edits what its own replica holds."""

    def __init__(self, name: str, rank: int) -> None:
        self.name = name
        self.rank = rank
        self.seq = 0
        self.time = 0
        self.replica = DocumentState(DOCUMENT)
        self.sent: list[Delivery] = []

    def set(self, assignments: dict[tuple[str, str], Scalar], time: int | None = None) -> list[Delivery]:
        self.time = self.time + 1 if time is None else time
        made = []
        for change in edit(self.replica, assignments, writer=self.name, time_ms=self.time):
            self.seq += 1
            made.append(Delivery(change, ChangeStamp(self.rank, self.time, 0, self.name, self.seq)))
        delta = self.replica.apply(made)
        assert not delta.refused
        assert {one.change.hash for one in made} <= self.replica.hashes
        self.sent += made
        return made

    def receive(self, deliveries: Sequence[Delivery]) -> None:
        delta = self.replica.apply(deliveries)
        assert not delta.refused


def by_hub(delivery: Delivery, seq: int = 1) -> Delivery:
    """Bring a change as the hub does, under its own stamp with the author's inside."""
    return Delivery(reissued(delivery.change, delivery.stamp), ChangeStamp(9, 999, 0, "hub.1", seq), may_reissue=True)


def picture(state: DocumentState) -> bytes:
    """Everything that replicas with the same set must agree on."""
    stamps = [(one, state.stamp(one)) for one in sorted(state.hashes)]
    return msgspec.msgpack.encode((state.records(), state.conflicts(), state.heads, stamps, state.pending()))


def naive_candidates(deliveries: Sequence[Delivery]) -> dict[tuple[str, str], dict[bytes, Scalar]]:
    """The undominated assignments, straight from the definition."""
    changes = {delivery.change.hash: delivery.change for delivery in deliveries}
    gone: set[tuple[tuple[str, str], bytes]] = set()
    values: dict[tuple[str, str], dict[bytes, Scalar]] = {}
    for change_hash, change in changes.items():
        for claim in change.assignments():
            gone |= {((claim.record, claim.field), one) for one in claim.replaces}
        for one in decode_change(change.change).assignments:
            values.setdefault((one.record, one.field), {})[change_hash] = one.value
    return {
        key: {change_hash: value for change_hash, value in by_change.items() if (key, change_hash) not in gone}
        for key, by_change in values.items()
    }


def with_change(delivery: Delivery, change: DocumentChange) -> Delivery:
    return msgspec.structs.replace(delivery, change=change)
