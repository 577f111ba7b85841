"""What vans brought, at the hub: taken in once, answered to its writer alone, and told at the desk, refusals too."""

from __future__ import annotations

import secrets

import httpx
import pytest

from hub import brought as brought_module
from hub.brought import list_brought, take_brought
from hub.registry import revoke_node
from hub.service import Hub
from schema.errors import RefusalError
from schema.identity import ORG, NodeId
from schema.kinds.organisation import PolicySet
from schema.rules.promotion_terms import Language
from sync.bundle import BundleHeader, is_bundle_signed, parts_above, read_bundle, write_bundle
from sync.messages import scope_vector
from sync.sealing import ANSWER_BYTES_MAX, CarriedHead, is_answer_whole, open_answer, read_answer, seal_bundle
from sync.signing import SigningKey
from tests.hub.conftest import Enrol
from tests.hub.desk import DeskClient, make_account, text_of
from tests.hub.fleet import RELEASE, FleetNode, now_ms, sale

BEARER = "v" * 12


def sealed(hub: Hub, node: FleetNode, *, signer: SigningKey | None = None, above: int = 0, root: str = "") -> bytes:
    """Seal a node's own entries to the hub as its verb does, or as a liar who holds another key."""
    entries = 0
    row = node.replica.log.stream(node.stream())
    theirs = {}
    if row is not None and above:
        digest = node.replica.log.digest_at(row, above)
        assert digest is not None
        theirs = {row.stream.writer: row.head._replace(seq=above, digest=digest)}
    parts = list(parts_above(node.replica, node.scope, theirs, 4000, node.signer, node.signer.node))
    entries = sum(len(batch.entries) for part in parts for batch in part)
    heads = tuple(scope_vector(s, node.replica.log.heads(s)) for s in (ORG, node.scope))
    heads += (scope_vector("loc/B", {}, own_only=True),)
    header = BundleHeader(1, RELEASE, node.signer.node, "", now_ms(), heads)
    content = b"".join(write_bundle(header, parts, node.signer))
    head = CarriedHead(root or hub.identity.node, node.signer.node, node.scope.removeprefix("loc/"), now_ms(), entries)
    return seal_bundle(content, head, hub.identity.signer.public, signer or node.signer, secrets.token_bytes(32))


def refused(hub: Hub, content: bytes) -> str:
    with pytest.raises(RefusalError) as error:
        take_brought(hub, content, BEARER)
    return error.value.code


def test_an_answer_tells_the_writer_what_the_hub_holds_and_what_is_new_there(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    offline, neighbour = enrol(), enrol()
    for number in range(20):
        offline.append(sale(f"A1-{number}"))
        neighbour.append(sale(f"A2-{number}"))
    neighbour.sync(client)
    answered = take_brought(hub, sealed(hub, offline), BEARER)
    assert (answered.entries, answered.is_new, answered.refused) == (20, True, "")
    answer = read_answer(answered.answer)
    assert (answer.head.reader, answer.head.location) == (offline.signer.node, "A")
    assert is_answer_whole(answer, hub.identity.signer.public)
    opened = open_answer(answer, offline.signer)
    assert is_bundle_signed(opened, NodeId(hub.identity.node), hub.identity.signer.public)
    header, parts = read_bundle(opened)
    with hub.store.snapshot() as replica:
        held = replica.log.heads("loc/A")
    assert {v.scope: v.vector for v in header.vectors if not v.own_only}["loc/A"] == held
    assert [v.scope for v in header.vectors if v.own_only] == ["loc/B"]
    batches = [batch for part in parts for batch in part]
    assert {b.node for b in batches if b.scope == "loc/A"} == {neighbour.signer.node}
    assert sum(len(b.entries) for b in batches if b.scope == "loc/A") == 20
    assert answer.head.entries == sum(len(b.entries) for b in batches)
    with pytest.raises(RefusalError):
        open_answer(answer, neighbour.signer)
    again = take_brought(hub, sealed(hub, offline), BEARER)
    assert again.entries == 0
    assert again.answer


def test_an_answer_stays_small_and_the_rest_comes_with_the_next(
    hub: Hub, client: httpx.Client, enrol: Enrol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brought_module, "ANSWER_PLAIN_MAX", 12_000)
    offline, neighbour = enrol(), enrol()
    offline.append(sale("A1-1"))
    for number in range(300):
        neighbour.append(sale(f"A2-{number}", lines=5))
    neighbour.sync(client)
    got = 0
    for _ in range(40):
        answered = take_brought(hub, sealed(hub, offline), BEARER)
        assert len(answered.answer) < min(ANSWER_BYTES_MAX, 40_000)
        for part in read_bundle(open_answer(read_answer(answered.answer), offline.signer))[1]:
            for batch in part:
                got += len(batch.entries) if batch.scope == "loc/A" else 0
                admitted = offline.replica.admit(batch)
                if admitted is not None:
                    from sync.verification import verify_batch

                    offline.replica.store(verify_batch(*admitted))
        if got == 300:
            break
    assert got == 300


def test_what_is_refused_is_noted_and_bounded(hub: Hub, enrol: Enrol, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brought_module, "REFUSED_KEPT", 5)
    node, gone = enrol(), enrol()
    for one in (node, gone):
        one.append(sale("x-1"))
        one.append(sale("x-2"))
    revoke_node(hub.store, hub.own_log, gone.signer.node, "stolen")
    whole = sealed(hub, node)
    assert refused(hub, b"PK\x03\x04") == "carried_malformed"
    assert refused(hub, whole[:-30]) == "carried_damaged"
    assert refused(hub, sealed(hub, gone)) == "node_revoked"
    assert refused(hub, sealed(hub, node, root="aaaaaaaaaaaa")) == "carried_foreign"
    assert refused(hub, sealed(hub, node, signer=gone.signer)) == "carried_damaged"
    early = take_brought(hub, sealed(hub, node, above=1), BEARER)
    assert (early.entries, early.refused) == (0, "gap")
    assert take_brought(hub, whole, BEARER).entries == 2
    for number in range(8):
        refused(hub, f"noise {number}".encode())
    found = list_brought(hub)
    assert len(found) == 6
    [taken] = [one for one in found if not one.refusal]
    assert (taken.writer, taken.entries, taken.told, taken.location) == (node.signer.node, 2, 2, "A")


def test_the_desk_tells_what_was_brought_to_those_whom_it_concerns(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    make_account(hub, "lin", "owner")
    make_account(hub, "wei", "owner", language=Language.ZH)
    make_account(hub, "bo", "shop_manager", ["B"])
    shop, van = enrol("A"), enrol("W")
    desk = DeskClient(client)
    desk.sign_in()
    assert "No van has brought anything" in text_of(desk.get("/brought"))
    shop.append(sale("A1-1"))
    content = sealed(hub, shop)
    take_brought(hub, content, van.signer.node)
    with pytest.raises(RefusalError):
        take_brought(hub, content[:-5], van.signer.node)
    with hub.store.transaction(ORG) as replica:
        hub.own_log.append(replica, ORG, PolicySet("snacks", 0, 0, "latest", "midpoint"))
    page = text_of(desk.get("/brought"))
    assert "taken an answer went back" in page
    assert "1 of 1" in page
    assert "it is damaged: the shop seals another" in page
    assert "Riverside" in page
    assert "refused it is damaged" not in text_of(desk.get("/brought?state=taken"))
    assert "went back" not in text_of(desk.get("/brought?state=refused"))
    assert "/brought" in desk.get("/nodes").text
    with httpx.Client(base_url=client.base_url, timeout=30, trust_env=False) as other:
        manager = DeskClient(other)
        manager.sign_in("bo")
        assert "No van has brought anything" in text_of(manager.get("/brought")), "nothing of this is of their shop"
    with httpx.Client(base_url=client.base_url, timeout=30, trust_env=False) as other:
        chinese = DeskClient(other)
        chinese.sign_in("wei")
        page = text_of(chinese.get("/brought"))
        assert "已收下" in page
        assert "已损坏，请门店重新封一份" in page
