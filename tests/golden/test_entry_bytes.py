"""The canonical bytes of every entry kind are frozen: what is signed today must verify for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schema.codec import decode_effects, encode_body, verify_body
from schema.identity import NodeId, Scope, Stream
from schema.kinds import KIND_OF, KINDS
from sync.entry import chain, genesis
from sync.signing import SigningKey, is_signed, receipt_message, seal_message
from tests.golden.entry_samples import SAMPLES

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "entry_bytes.json").read_text("utf-8"))
STREAM = Stream(Scope("loc/A"), NodeId("abcdefghijkl"), 1)


def _encoded(name: str) -> bytes:
    number = list(SAMPLES).index(name) + 1
    encoded, _ = encode_body(
        SAMPLES[name],
        seq=number,
        wall_ms=1_790_000_000_000 + number,
        hlc=(1_790_000_000_005, number),
        unc_ms=250 if number % 2 else None,
        clock_epoch=3,
        seen=(("mnopqrstuvwx.2", 7),) if number == 1 else (),
        operation="loc/A:abcdefghijkl.1:1" if number == 2 else "",
    )
    return encoded


def test_every_kind_has_golden_bytes() -> None:
    assert {kind.name for kind in KINDS.values()} == set(SAMPLES) == {e["kind"] for e in GOLDEN["entries"]}


@pytest.mark.parametrize("name", SAMPLES)
def test_an_entry_encodes_to_its_golden_bytes_and_reads_back_whole(name: str) -> None:
    golden = next(bytes.fromhex(e["bytes"]) for e in GOLDEN["entries"] if e["kind"] == name)
    assert _encoded(name) == golden
    body, payload = verify_body(golden)
    assert body.kind == name
    assert payload == SAMPLES[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_movements_of_an_entry_are_those_of_its_whole_payload(name: str) -> None:
    """Who needs no more decodes a view of a payload; a field that moves must move in both."""
    payload = SAMPLES[name]
    effects = KIND_OF[type(payload)].effects
    body, _ = verify_body(_encoded(name))
    assert decode_effects(body) == (effects(payload) if effects is not None else None)


def test_the_views_of_payloads_are_those_of_trade() -> None:
    assert {kind.name for kind in KINDS.values() if kind.view is not None} == {"sale.completed", "refund.completed"}


def test_the_chain_and_its_seal_are_the_golden_ones() -> None:
    digest = genesis(STREAM)
    assert digest.hex() == GOLDEN["genesis"]
    for entry in GOLDEN["entries"]:
        digest = chain(digest, bytes.fromhex(entry["bytes"]))
        assert digest.hex() == entry["digest"]
    key = SigningKey(bytes(range(32)))
    assert (key.public.hex(), key.node) == (GOLDEN["key"], GOLDEN["node"])
    message = seal_message(STREAM, len(GOLDEN["entries"]), digest)
    assert key.sign(message).hex() == GOLDEN["seal"]
    assert is_signed(key.public, bytes.fromhex(GOLDEN["seal"]), message)
    first = bytes.fromhex(GOLDEN["entries"][0]["digest"])
    assert key.sign(receipt_message(STREAM, 1, first, 1990)).hex() == GOLDEN["receipt"]
