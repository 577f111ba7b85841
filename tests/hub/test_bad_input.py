"""Whatever arrives at the hub, the refusal has a name, concerns that stream or request alone, and loses nothing."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
import zstandard

from hub.registry import revoke_node
from hub.service import Hub
from schema.codec import Body, encode
from schema.identity import ORG, Scope
from schema.kinds.organisation import PolicySet
from sync.entry import chain
from sync.messages import Batch, ScopeState, ScopeVector, encode_request, frame
from sync.signing import SigningKey, seal_message
from sync.transport import SYNC_PATH
from tests.hub.conftest import Enrol
from tests.hub.fleet import FleetNode, ProblemError, receipts_at, sale

Bytes = Callable[[FleetNode], bytes]


def held(hub: Hub, node: FleetNode) -> int:
    with hub.store.snapshot() as replica:
        row = replica.log.stream(node.stream())
        return row.head.seq if row else 0


def quarantined(hub: Hub) -> list[str]:
    with hub.store.snapshot() as replica:
        return [row[0] for row in replica.connection.execute("SELECT code FROM quarantine ORDER BY 1").fetchall()]


def sealed(node: FleetNode, bodies: list[bytes], *, scope: Scope | None = None) -> Batch:
    """Seal any bytes as the start of a node's stream: the node itself is the one that misbehaves."""
    from sync.entry import genesis

    stream = node.stream(scope)
    digest = genesis(stream)
    for body in bodies:
        digest = chain(digest, body)
    seal = node.signer.sign(seal_message(stream, len(bodies), digest))
    return Batch(stream.scope, stream.node, stream.incarnation, 1, tuple(bodies), seal)


def body_of(payload: Any, *, kind: str = "sale.completed", version: int = 1, **fields: Any) -> bytes:
    values: dict[str, Any] = {
        "seq": 1, "wall_ms": 1, "hlc_ahead_ms": 0, "hlc_counter": 0, "unc_ms": 0, "clock_epoch": 0, "seen": (),
        "operation": "", "kind": kind, "version": version, "payload": msgspec.Raw(encode(payload)),
    }  # fmt: skip
    return encode(Body(**{**values, **fields}))


def refused(client: httpx.Client, node: FleetNode, batch: Batch, beside: FleetNode) -> str:
    """Push a bad batch with a good one of another stream; return the refusal's code, the good one must be stored."""
    beside.append(sale("beside"))
    response = node.push(client, batch, beside.batch())
    assert len(response.refusals) == 1
    assert response.refusals[0].stream == str(batch.stream)[:96]
    return response.refusals[0].code


BROKEN: dict[str, tuple[str, Callable[[FleetNode], Batch]]] = {
    "a payload with a float": ("entry_float", lambda n: sealed(n, [body_of([1.5], kind="future.kind")])),
    "a quantity that is a float": (
        "entry_float", lambda n: sealed(n, [body_of(["d", "s", "o", [["P", 1.5]]], kind="stock.received")])
    ),
    "a quantity of 2^63": (
        "entry_malformed",
        lambda n: sealed(n, [body_of(["d", "s", "o", [["P", 2**63]]], kind="stock.received")]),
    ),
    "bad UTF-8": (
        "entry_malformed",
        lambda n: sealed(n, [body_of(["s", "d", "oXY", 1], kind="shift.opened").replace(b"oXY", b"o\xff\xfe")]),
    ),
    "no entry at all": ("entry_malformed", lambda n: sealed(n, [b"\x9b\x01not what it seems"])),
    "a number alone": ("entry_malformed", lambda n: sealed(n, [encode(1.5)])),
    "deep nesting": ("entry_malformed", lambda n: sealed(n, [body_of(_nested(200), kind="future.kind")])),
    "an entry above 64 KiB": (
        "entry_too_large", lambda n: sealed(n, [body_of("x" * 70_000, kind="future.kind")])
    ),
    "a longer encoding of the same": (
        "entry_not_canonical",
        lambda n: sealed(n, [body_of(["shift", "2026-11-22", "o", 1], kind="shift.opened")[:-1] + b"\xcc\x01"]),
    ),
    "a vector with one writer twice": (
        "entry_malformed", lambda n: sealed(n, [body_of([], kind="future.kind", seen=(("w.1", 1), ("w.1", 2)))])
    ),
    "the end of time": (
        "entry_malformed", lambda n: sealed(n, [body_of([], kind="future.kind", wall_ms=2**53 - 1)])
    ),
    "a sequence number out of place": (
        "chain_broken", lambda n: sealed(n, [body_of([], kind="future.kind", seq=7)])
    ),
}  # fmt: skip


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_entry_is_refused_by_name_kept_as_evidence_and_stops_no_other_stream(
    hub: Hub, client: httpx.Client, enrol: Enrol, case: str
) -> None:
    node, beside = enrol(), enrol()
    code, make = BROKEN[case]
    assert refused(client, node, make(node), beside) == code
    assert held(hub, node) == 0
    assert held(hub, beside) == 1
    assert quarantined(hub) == [code]


def test_a_forged_seal_is_refused(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node, beside = enrol(), enrol()
    node.append(sale("1"))
    batch = msgspec.structs.replace(node.batch(), seal=secrets.token_bytes(64))
    assert refused(client, node, batch, beside) == "seal_invalid"
    assert held(hub, node) == 0


def test_an_altered_entry_breaks_the_chain_of_what_follows(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node, beside = enrol(), enrol()
    node.append(sale("1"))
    node.append(sale("2", total_minor=700))
    batch = node.batch()
    altered = batch.entries[0].replace(b"\xcd\x01\xf4", b"\xcd\x01\xf5")
    assert altered != batch.entries[0]
    assert refused(client, node, msgspec.structs.replace(batch, entries=(altered, batch.entries[1])), beside) == (
        "seal_invalid"
    )


def test_a_gap_is_named_and_is_no_evidence_against_the_node(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node, beside = enrol(), enrol()
    node.append(sale("1"))
    node.append(sale("2"))
    assert refused(client, node, node.batch(1), beside) == "gap"
    assert quarantined(hub) == []
    node.push(client, node.batch())
    assert held(hub, node) == 2


def test_a_fork_is_proven_and_the_branch_held_stays(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node, beside = enrol(), enrol()
    node.append(sale("1"))
    node.push(client, node.batch())
    twin = sealed(node, [body_of(sale("other"))])
    assert refused(client, node, twin, beside) == "fork"
    assert quarantined(hub) == ["fork"]
    node.append(sale("2"))
    assert not node.push(client, node.batch(1)).refusals
    assert held(hub, node) == 2


def test_the_same_batch_again_changes_nothing(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node = enrol()
    node.append(sale("1"))
    for _ in range(3):
        assert not node.push(client, node.batch(), node.batch()).refusals
    assert len(receipts_at(hub, "A")) == 1


def test_an_unknown_kind_is_stored_and_forwarded(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node, beside = enrol(), enrol()
    node.push(client, sealed(node, [body_of(["anything", 1, {"k": b"v"}], kind="loyalty.invented", version=9)]))
    assert held(hub, node) == 1
    assert beside.sync(client).is_complete
    row = beside.replica.log.stream(node.stream())
    assert row is not None
    assert beside.replica.log.inert(row) == {1: "unknown_kind"}


def test_what_a_node_may_not_write_is_stored_inert(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node = enrol()
    policy = PolicySet("", tolerance_milli=1, tolerance_ppm=0, disagreement="latest", ambiguous="midpoint")
    assert not node.push(client, sealed(node, [body_of(policy, kind="policy.set")])).refusals
    with hub.store.snapshot() as replica:
        row = replica.log.stream(node.stream())
        assert row is not None
        assert replica.log.inert(row) == {1: "not_permitted"}
        assert len(replica.organisation.all(replica.connection, PolicySet, "")) == 1


def test_a_stream_of_another_scope_is_refused_alone(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node, beside, elsewhere = enrol(), enrol(), enrol("B")
    elsewhere.append(sale("1"))
    assert refused(client, node, elsewhere.batch(), beside) == "scope_forbidden"
    assert held(hub, elsewhere) == 0
    assert refused(client, node, sealed(node, [body_of([], kind="future.kind")], scope=ORG), beside) == (
        "scope_forbidden"
    )


def test_a_node_brings_its_own_notices_to_another_location(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    from schema.kinds.stock import TransferNoticed

    node = enrol()
    notice = TransferNoticed("dispatched", "T1", "A", "B", (), False, "x", ())
    batch = sealed(node, [body_of(notice, kind="transfer.noticed")], scope=Scope("loc/B"))
    response = node.exchange(client, node.request([batch], scopes=(ScopeState("loc/B", b"", own_only=True),)))
    assert not response.refusals
    assert [v.scope for v in response.vectors] == ["loc/B"]
    assert len(response.vectors[0].heads) == 1


def problem(act: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ProblemError) as caught:
        act()
    return caught.value.status, caught.value.code


def test_a_scope_that_a_node_may_not_hold_is_refused(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node = enrol()
    for scope in ("loc/B", "loc/*", "nonsense", "loc/../x"):
        request = node.request(scopes=(ScopeState(scope, b""),))
        body = encode_request(request)
        assert problem(partial(node.post, client, body)) == (403, "scope_forbidden")


def test_who_asks_must_prove_it(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node, other = enrol(), enrol()
    body = encode_request(node.request())
    stranger = SigningKey(secrets.token_bytes(32))
    assert problem(lambda: node.post(client, body, signer=stranger)) == (401, "node_unknown")
    assert problem(lambda: node.post(client, body, signer=other.signer)) == (403, "node_mismatch")
    reply = client.post(SYNC_PATH, content=body)
    assert (reply.status_code, b"credentials_missing" in reply.content) == (401, True)
    headers = {"x-edgetill-node": node.signer.node, "x-edgetill-nonce": "n", "x-edgetill-signature": "!!"}
    reply = client.post(SYNC_PATH, content=body, headers=headers)
    assert (reply.status_code, b"signature_invalid" in reply.content) == (401, True)


def test_a_revoked_node_is_refused_and_what_it_had_brought_stays(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node, beside = enrol(), enrol()
    node.append(sale("1"))
    node.push(client, node.batch())
    revoke_node(hub.store, hub.own_log, node.signer.node, "lost")
    node.append(sale("2"))
    assert problem(lambda: node.push(client, node.batch(1))) == (403, "node_revoked")
    # A peer of its shop may still carry what it wrote: it is stored, and inert.
    assert not beside.push(client, node.batch(1)).refusals
    assert len(receipts_at(hub, "A")) == 1
    with hub.store.snapshot() as replica:
        row = replica.log.stream(node.stream())
        assert row is not None
        assert replica.log.inert(row) == {2: "revoked"}


def _bomb(_: FleetNode) -> bytes:
    packed = zstandard.ZstdCompressor(level=19, write_content_size=False).compress(bytes(50_000_000))
    return struct.pack(">4sII", b"ETS1", 100_000, len(packed)) + packed


WHOLE: dict[str, tuple[int, str, Bytes]] = {
    "nothing": (400, "frame_malformed", lambda n: b""),
    "a truncated frame": (400, "frame_truncated", lambda n: encode_request(n.request())[:-5]),
    "half a header": (400, "frame_truncated", lambda n: b"ETS1\0"),
    "a bombed frame": (400, "frame_bomb", _bomb),
    "a frame that declares too much": (
        400, "frame_too_large", lambda n: struct.pack(">4sII", b"ETS1", 2**31, 5) + b"12345"
    ),
    "ten megabytes of random bytes": (413, "body_too_large", lambda n: secrets.token_bytes(10_000_000)),
    "random bytes": (400, "frame_malformed", lambda n: secrets.token_bytes(3_000)),
    "a frame of random bytes": (400, "message_malformed", lambda n: frame(secrets.token_bytes(3_000))),
    "two frames": (400, "frame_malformed", lambda n: encode_request(n.request()) * 2),
    "a vector of a million entries": (400, "frame_too_large", lambda n: _vector(n, 1_000_000)),
    "a vector of twenty-five thousand entries": (400, "message_malformed", lambda n: _vector(n, 25_000)),
    "another protocol": (400, "protocol_unknown", lambda n: encode_request(n.request(protocol=99))),
    "a number that no table holds": (
        400, "stream_malformed", lambda n: encode_request(n.request(probes=((f"org:x.{9 * 10**20}", ()),)))
    ),
}  # fmt: skip


def _vector(node: FleetNode, entries: int) -> bytes:
    heads = tuple((f"w{number}.1", 1, bytes(32)) for number in range(entries))
    return encode_request(node.request(vectors=(ScopeVector("org", heads),)))


@pytest.mark.parametrize("case", WHOLE)
def test_a_broken_request_is_refused_by_name(hub: Hub, client: httpx.Client, enrol: Enrol, case: str) -> None:
    node = enrol()
    status, code, make = WHOLE[case]
    body = make(node)
    assert problem(lambda: node.post(client, body)) == (status, code)
    node.append(sale("1"))
    assert not node.push(client, node.batch()).refusals


def test_every_cut_and_every_flipped_byte_of_a_request_is_answered_below_500(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    node = enrol()
    node.append(sale("1"))
    body = encode_request(node.request([node.batch()]))
    for position in range(0, len(body), 7):
        flipped = bytearray(body)
        flipped[position] ^= 0x55
        for broken in (bytes(flipped), body[:position]):
            assert node.send(client, broken).status_code < 500, position
