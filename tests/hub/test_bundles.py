"""Sticks that go from a node to the hub and back carry what a session would, and are refused where it would be."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from hub.bundles import export_bundle, import_bundle
from hub.registry import revoke_node
from hub.service import Hub
from schema.errors import RefusalError
from schema.identity import ORG
from sync.bundle import BundleHeader, parts_above, read_bundle, write_bundle
from sync.messages import scope_vector
from tests.hub.conftest import Enrol
from tests.hub.fleet import RELEASE, FleetNode, now_ms, receipts_at, sale


def stick_of(node: FleetNode, file: Path, *, is_cut: bool = False, writer: FleetNode | None = None) -> Path:
    """Write a node's own entries to a file as its bundle verb does; `writer` carries them under its own name."""
    signer = (writer or node).signer
    heads = tuple(scope_vector(s, node.replica.log.heads(s)) for s in (ORG, node.scope))
    header = BundleHeader(1, RELEASE, signer.node, "", now_ms(), heads)
    parts = parts_above(node.replica, node.scope, {}, 4000, node.signer, node.signer.node)
    pieces = list(write_bundle(header, parts, signer))
    file.write_bytes(b"".join(pieces[:-2] if is_cut else pieces))
    return file


def test_a_stick_brings_the_hub_what_a_node_sold_and_the_node_what_its_neighbour_sold(
    hub: Hub, client: httpx.Client, enrol: Enrol, tmp_path: Path
) -> None:
    offline, neighbour = enrol(), enrol()
    for number in range(50):
        offline.append(sale(f"A1-{number}"))
        neighbour.append(sale(f"A2-{number}"))
    neighbour.sync(client)
    stick = stick_of(offline, tmp_path / "there.bundle")
    assert import_bundle(hub, stick) == (50, [])
    assert import_bundle(hub, stick) == (0, [])
    assert len(receipts_at(hub, "A")) == 100

    whole = export_bundle(hub, offline.signer.node, tmp_path / "whole.bundle")
    answer = export_bundle(hub, offline.signer.node, tmp_path / "answer.bundle", stick)
    assert whole == answer + 50
    header, parts = read_bundle((tmp_path / "answer.bundle").read_bytes())
    offline.sync(client)
    assert {v.scope: v.vector for v in header.vectors} == {
        s: offline.replica.log.heads(s) for s in (ORG, offline.scope)
    }
    assert sum(len(batch.entries) for batches in parts for batch in batches) == answer


def test_a_stick_is_refused_by_name_and_what_stood_whole_before_its_broken_end_is_kept(
    hub: Hub, enrol: Enrol, tmp_path: Path
) -> None:
    node, stranger = enrol(), enrol(location="B")
    for number in range(50):
        node.append(sale(f"A1-{number}"))
    with pytest.raises(RefusalError) as refused:
        import_bundle(hub, stick_of(node, tmp_path / "cut.bundle", is_cut=True))
    assert refused.value.code == "bundle_truncated"
    assert 0 < len(receipts_at(hub, "A")) < 50

    stick = stick_of(node, tmp_path / "stranger.bundle", writer=stranger)
    stored, refusals = import_bundle(hub, stick)
    assert (stored, [refusal.code for refusal in refusals]) == (0, ["scope_forbidden"] * len(refusals))
    assert refusals

    (tmp_path / "noise").write_bytes(bytes(range(256)) * 4)
    export_bundle(hub, node.signer.node, tmp_path / "own.bundle")
    revoke_node(hub.store, hub.own_log, node.signer.node, "sold")
    found = {
        "noise": "frame_malformed",
        "own.bundle": "bundle_own",
        "cut.bundle": "node_revoked",
        "no": "file_unreadable",
    }
    for name, code in found.items():
        with pytest.raises(RefusalError) as refused:
            import_bundle(hub, tmp_path / name)
        assert refused.value.code == code
    with pytest.raises(RefusalError) as refused:
        export_bundle(hub, stranger.signer.node, tmp_path / "x", tmp_path / "cut.bundle")
    assert refused.value.code == "bundle_other"
