"""What a shop's till hands to a van and what the van keeps: never twice, never another's, and nothing from liars."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from edge import carrying, handing_out
from edge.applying import Pace
from edge.carried_answers import answer_for, carried_answers, give_answer, keep_answer, take_answer
from edge.carried_files import CARRIED_FOLDER
from edge.carrying import aboard_of, bundle_file, carried, hand_over, keep, seal_for_hub, take_along
from edge.handing_out import Outbox, handed_out
from edge.hub_held import held_by_hub, note_held
from edge.lan_carry import VisitReport, answer_visit, visit
from edge.lan_copies import peers_seen
from edge.line_state import note_line
from edge.node import Node
from edge.status import node_status
from edge.stock import QuantityRequest, dispatch_transfer
from schema.codec import encode
from schema.errors import RefusalError, TransientError
from schema.kinds.organisation import AuthorityRevoked, LocationDefined, SettingDefined
from schema.settings import CarryRules, write_setting
from sync.bundle import BundleHeader, read_bundle, write_bundle
from sync.messages import frame, scope_vector
from sync.sealing import (
    MAGIC,
    AnswerHead,
    CarriedHead,
    open_answer,
    open_bundle,
    read_answer,
    read_sealed,
    seal_answer,
    seal_bundle,
)
from sync.transport import BroughtAnswer
from sync.visiting import (
    PIECE_BYTES,
    AnswerBrought,
    AnswerTaken,
    Offered,
    Piece,
    PieceAsked,
    VisitAnswered,
    VisitAsked,
    VisitRefused,
    VisitReply,
    decode_reply,
    encode_visit,
)
from tests.edge.shops import HUB, START_MS, Shops, carry, key_of, sell_pieces

ResultT = TypeVar("ResultT")
Tamper = Callable[[VisitReply], VisitReply]


@pytest.fixture
def shop(shops: Shops) -> Node:
    shops.tell(LocationDefined("V", "Van", "van"))
    node = shops.make_node("A1", "A")
    for _ in range(5):
        sell_pieces(node)
    return node


@pytest.fixture
def van(shops: Shops, shop: Node) -> Node:
    return shops.make_node("V1", "V")


def as_it_is(reply: VisitReply) -> VisitReply:
    return reply


def meet(
    van: Node, shop: Node, outbox: Outbox | None = None, *, is_leaving: bool = False, tamper: Tamper = as_it_is,
    breaks_at: int | None = None,
) -> VisitReport | None:  # fmt: skip
    """Let a van visit a till, on a line that may lie or break at its n-th frame."""
    box, frames = outbox or Outbox(), 0

    async def line(body: bytes) -> bytes:
        nonlocal frames
        frames += 1
        if frames == breaks_at:
            raise TransientError("peer_gone", "the line is gone")
        answered = answer_visit(shop, van.config.node_id, "10.0.0.7", body, box, Pace())
        return encode_visit(tamper(decode_reply(answered)))

    async def work(piece: Callable[[], ResultT]) -> ResultT:
        return piece()

    return asyncio.run(visit(van, shop.config.node_id, line, work, is_leaving=is_leaving))


def entries_aboard(van: Node) -> list[int]:
    return [one.entries for one in carried(van) if not one.handed_ms]


def inside(van: Node, bundle: str) -> dict[str, tuple[int, int]]:
    """Open a bundle as the hub does; returns first and last entry by writer of the shop's scope."""
    opened = open_bundle(read_sealed(bundle_file(van, bundle).read_bytes()), HUB)
    found: dict[str, tuple[int, int]] = {}
    for batches in read_bundle(opened)[1]:
        for batch in batches:
            first, last = batch.first_seq, batch.first_seq + len(batch.entries) - 1
            known = found.get(batch.stream.writer)
            found[batch.stream.writer] = (known[0] if known else first, last)
    return found


def hub_says(node: Node, *scopes: str, wall_ms: int = START_MS + 1, upto: int | None = None) -> bytes:
    """Return the hub's answer to a node: it holds all that the node recorded of its place, or the first entries."""
    vectors = []
    for scope in scopes or (node.config.scope,):
        heads = node.replica.log.heads(scope)
        if upto is not None:
            for row in node.replica.log.streams(scope):
                digest = node.replica.log.digest_at(row, upto)
                assert digest is not None
                heads[row.stream.writer] = heads[row.stream.writer]._replace(seq=upto, digest=digest)
        vectors.append(scope_vector(scope, heads))
    header = BundleHeader(1, "0.1.0", HUB.node, node.config.node, wall_ms, tuple(vectors))
    content = b"".join(write_bundle(header, (), HUB))
    head = AnswerHead(HUB.node, node.config.node, node.config.location, wall_ms, 0)
    return seal_answer(content, head, node.signer.public, HUB, wall_ms.to_bytes(32, "big"))


# What is handed out.


def test_a_van_takes_what_a_shop_recorded_and_can_read_none_of_it(shop: Node, van: Node) -> None:
    report = meet(van, shop)
    assert report is not None
    assert report.taken is not None
    assert (report.location, report.taken.entries, report.taken.writer) == ("A", 5, shop.config.node)
    content = bundle_file(van, report.taken.bundle).read_bytes()
    row = shop.replica.log.streams("loc/A")[0]
    for _, body in shop.replica.log.bodies(row, 0, 10):
        assert body not in content
    assert inside(van, report.taken.bundle) == {f"{shop.config.node}.1": (1, 5)}
    [handed] = handed_out(shop)
    assert (handed.bearer, handed.entries, handed.size) == (van.config.node, 5, len(content))
    again = meet(van, shop)
    assert again is not None
    assert again.taken is None
    assert again.refused == ""


def test_a_bundle_of_many_pieces_comes_whole(shop: Node, van: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing_out, "PIECE_BYTES", 100)
    asked: list[Piece] = []

    def seen(reply: VisitReply) -> VisitReply:
        if isinstance(reply, Piece):
            asked.append(reply)
        return reply

    report = meet(van, shop, tamper=seen)
    assert report is not None
    assert report.taken is not None
    assert len(asked) > 2
    assert inside(van, report.taken.bundle) == {f"{shop.config.node}.1": (1, 5)}


def test_one_till_hands_out_what_the_others_of_its_shop_recorded(shops: Shops, shop: Node, van: Node) -> None:
    other = shops.make_node("A2", "A")
    for _ in range(3):
        sell_pieces(other)
    carry(other, shop)
    report = meet(van, shop)
    assert report is not None
    assert report.taken is not None
    assert inside(van, report.taken.bundle) == {f"{shop.config.node}.1": (1, 5), f"{other.config.node}.1": (1, 3)}
    sell_pieces(other)
    carry(shop, other)
    second = meet(van, other)
    assert second is not None
    assert second.taken is not None
    assert inside(van, second.taken.bundle) == {f"{other.config.node}.1": (4, 4)}, "the rest is aboard already"
    # The first is sealed anew: what it leaves out must be in the other, without a gap.
    sell_pieces(shop)
    third = meet(van, shop, is_leaving=True)
    assert third is not None
    assert third.taken is not None
    assert inside(van, third.taken.bundle) == {f"{shop.config.node}.1": (1, 6), f"{other.config.node}.1": (1, 3)}


def test_a_newer_bundle_of_a_till_replaces_the_older_one_and_not_with_every_sale(
    shops: Shops, shop: Node, van: Node
) -> None:
    elapsed_s = 0.0
    outbox = Outbox(lambda: elapsed_s)
    meet(van, shop, outbox)
    [first] = carried(van)
    sell_pieces(shop)
    meet(van, shop, outbox)
    assert entries_aboard(van) == [5], "it has just been sealed"
    shops.pass_minutes(2)
    elapsed_s += 120
    meet(van, shop, outbox)
    assert entries_aboard(van) == [6]
    assert not bundle_file(van, first.bundle).exists()
    sell_pieces(shop)
    meet(van, shop, outbox, is_leaving=True)
    assert entries_aboard(van) == [7], "whoever leaves takes what there is"


def test_where_sealing_takes_long_even_a_van_that_leaves_gets_what_was_just_sealed(
    shops: Shops, shop: Node, van: Node
) -> None:
    elapsed_s, each_s = 0.0, 0.0

    def monotonic_s() -> float:
        nonlocal elapsed_s
        elapsed_s += each_s
        return elapsed_s

    outbox = Outbox(monotonic_s)
    each_s = 4.0  # two readings of the clock apart: so long it takes
    meet(van, shop, outbox)
    each_s = 0.0
    sell_pieces(shop)
    elapsed_s += 10
    meet(van, shop, outbox, is_leaving=True)
    assert entries_aboard(van) == [5], "it has the bundle that was sealed a moment ago"
    second = shops.make_node("V2", "V")
    meet(second, shop, outbox)
    assert entries_aboard(second) == [5], "and so has another van"
    elapsed_s += 60
    meet(van, shop, outbox, is_leaving=True)
    assert entries_aboard(van) == [6]


def test_a_shop_that_reaches_the_hub_hands_nothing_out(shop: Node, van: Node) -> None:
    note_line(shop, "")
    with shop.write():
        shop.connection.execute("UPDATE node_state SET last_exchange_ms = ?", (shop.now_ms(),))
    assert meet(van, shop, is_leaving=True) == VisitReport(shop.config.node, "A")
    note_line(shop, "hub_unreachable")
    meet(van, shop)
    assert entries_aboard(van) == [5]


def test_what_the_hub_is_known_to_hold_is_not_handed_out(shop: Node, van: Node) -> None:
    heads = shop.replica.log.heads("loc/A")
    with shop.write():
        note_held(shop.connection, [scope_vector("loc/A", heads)], START_MS)
    assert meet(van, shop) == VisitReport(shop.config.node, "A")
    sell_pieces(shop)
    report = meet(van, shop)
    assert report is not None
    assert report.taken is not None
    assert inside(van, report.taken.bundle) == {f"{shop.config.node}.1": (6, 6)}


def test_another_branch_at_the_hub_counts_as_nothing_held(shop: Node, van: Node) -> None:
    writer = f"{shop.config.node}.1"
    with shop.write():
        note_held(shop.connection, [msgspec.structs.replace(
            scope_vector("loc/A", {}), heads=((writer, 3, bytes(32)),))], START_MS)  # fmt: skip
    assert held_by_hub(shop, "loc/A") == {}
    report = meet(van, shop)
    assert report is not None
    assert report.taken is not None
    assert inside(van, report.taken.bundle) == {writer: (1, 5)}


def test_a_bundle_that_came_as_a_file_does_not_replace_what_speaks_for_a_whole_shop(
    shops: Shops, shop: Node, van: Node, tmp_path: Path
) -> None:
    other = shops.make_node("A2", "A")
    sell_pieces(other)
    carry(other, shop)
    file = tmp_path / "a1.sealed"
    seal_for_hub(shop, file)
    take_along(van, file)
    shops.pass_minutes(1)
    meet(van, shop)
    assert entries_aboard(van) == [6], "what came by the network has all that the file had"
    shops.pass_minutes(1)
    sell_pieces(shop)
    seal_for_hub(shop, file)
    take_along(van, file)
    assert sorted(entries_aboard(van)) == [6, 6]


def test_notices_to_other_places_go_along(shops: Shops, shop: Node, van: Node) -> None:
    dispatch_transfer(shop, "B", [QuantityRequest("P0001", 2_000)])
    report = meet(van, shop)
    assert report is not None
    assert report.taken is not None
    assert report.taken.entries == 7
    scopes = {span.scope for one in aboard_of(van, "A") for span in one.spans}
    assert scopes == {"loc/A", "loc/B"}


# Who may carry.


@pytest.mark.parametrize(
    ("rules", "may"),
    [
        (CarryRules(), True),
        (CarryRules(vans=("V",)), True),
        (CarryRules(vans=("V9",)), False),
        (CarryRules(hands_out=False), False),
    ],
)
def test_a_setting_says_which_vans_may_carry(shops: Shops, shop: Node, van: Node, rules: CarryRules, may: bool) -> None:
    written = write_setting(rules)
    shops.tell(SettingDefined(written.name, "A", written.value))
    report = meet(van, shop)
    assert report is not None
    assert (report.taken is not None, report.refused) == (may, "" if may else "carry_forbidden")


def test_only_vans_of_another_place_carry(shops: Shops, shop: Node, van: Node) -> None:
    other, warehouse = shops.make_node("A2", "A"), shops.make_node("W1", "W")
    sell_pieces(van)
    for caller, called in ((warehouse, shop), (other, shop), (shop, van)):
        assert meet(caller, called) is None, "it does not even ask"
        body = encode_visit(VisitAsked(1, "0.1.0", caller.config.node))
        answered = decode_reply(answer_visit(called, caller.config.node_id, "", body, Outbox(), Pace()))
        assert isinstance(answered, VisitRefused)
        assert answered.code == "carry_forbidden"


def test_a_van_that_has_left_gets_nothing_and_visits_nobody_that_has(shops: Shops, shop: Node, van: Node) -> None:
    body = encode_visit(VisitAsked(1, "0.1.0", van.config.node))
    shops.tell(AuthorityRevoked(van.config.node, ()))
    answered = decode_reply(answer_visit(shop, van.config.node_id, "", body, Outbox(), Pace()))
    assert isinstance(answered, VisitRefused)
    assert answered.code == "node_revoked"
    with pytest.raises(RefusalError) as refused:
        meet(van, shop)
    assert refused.value.code == "node_revoked"


# The way back.


def handed(van: Node, shop: Node, answer: bytes) -> BroughtAnswer:
    """Hand what is aboard to a hub that answers so."""
    given = BroughtAnswer("b" * 32, 5, is_new=True, answer=answer)
    assert hand_over(van, lambda _: encode(given)) == 1
    return given


def test_the_hubs_answer_comes_back_and_tells_the_shop_what_the_hub_holds(shop: Node, van: Node) -> None:
    meet(van, shop)
    handed(van, shop, hub_says(shop))
    assert [one.outcome for one in carried(van)] == ["taken:5"]
    assert [(one.reader, one.handed_ms) for one in carried_answers(van)] == [(shop.config.node, 0)]
    assert node_status(shop).waiting == 5
    report = meet(van, shop)
    assert report is not None
    assert (report.answered, report.taken) == ("0", None)
    assert node_status(shop).waiting == 0
    [kept] = carried_answers(van)
    assert (kept.outcome, kept.size) == ("taken", 0)
    sell_pieces(shop)
    assert node_status(shop).waiting == 1
    meet(van, shop)
    assert entries_aboard(van) == [1], "only what is new since"


def test_an_answer_is_brought_before_anything_is_taken(shop: Node, van: Node) -> None:
    meet(van, shop)
    handed(van, shop, hub_says(shop, upto=3))
    report = meet(van, shop)
    assert report is not None
    assert report.taken is not None
    assert inside(van, report.taken.bundle) == {f"{shop.config.node}.1": (4, 5)}


def test_an_older_answer_undoes_no_newer_one(shop: Node, van: Node) -> None:
    older, newer = hub_says(shop, upto=2), hub_says(shop, wall_ms=START_MS + 9)
    take_answer(shop, newer)
    take_answer(shop, older)
    assert node_status(shop).waiting == 0
    for answer in (newer, older):
        keep_answer(van, answer)
    found = answer_for(van, shop.config.node)
    assert found is not None
    assert meet(van, shop) == VisitReport(shop.config.node, "A"), "the shop has heard as much: it wants none of it"


def test_an_answer_for_another_or_of_another_or_damaged_is_refused_by_name(shops: Shops, shop: Node, van: Node) -> None:
    other = shops.make_node("A2", "A")
    sell_pieces(other)
    theirs = hub_says(other)
    for content, code in (
        (theirs, "answer_other"),
        (hub_says(shop)[:-7], "carried_damaged"),
        (bytes([*hub_says(shop)[:-1], 0xFF]), "carried_damaged"),
        (b"PK\x03\x04", "answer_malformed"),
        (foreign_answer(shop), "carried_foreign"),
    ):
        with pytest.raises(RefusalError) as refused:
            take_answer(shop, content)
        assert refused.value.code == code
        body = encode_visit(AnswerBrought(content))
        answered = decode_reply(answer_visit(shop, van.config.node_id, "10.0.0.7", body, Outbox(), Pace()))
        assert isinstance(answered, VisitRefused)
        assert answered.code == code
    assert [seen.problem for seen in peers_seen(shop)] == ["carried_foreign"], "the van is remembered"
    assert node_status(shop).waiting == 5
    keep_answer(van, foreign_answer(shop))
    assert carried_answers(van) == []


def foreign_answer(shop: Node) -> bytes:
    stranger = key_of("another hub")
    head = AnswerHead(stranger.node, shop.config.node, "A", START_MS, 0)
    return seal_answer(b"", head, shop.signer.public, stranger, bytes(range(32)))


def test_an_answer_goes_by_file_where_there_is_no_network(shop: Node, van: Node, tmp_path: Path) -> None:
    from edge.bundles import import_bundle

    meet(van, shop)
    handed(van, shop, hub_says(shop))
    give_answer(van, shop.config.node, tmp_path / "answer")
    assert import_bundle(shop, tmp_path / "answer") == (0, [])
    assert node_status(shop).waiting == 0
    with pytest.raises(RefusalError) as refused:
        give_answer(van, shop.config.node, tmp_path / "again")
    assert refused.value.code == "answer_missing"


def test_what_was_sealed_to_a_node_is_opened_by_no_other(shops: Shops, shop: Node, van: Node) -> None:
    answer = read_answer(hub_says(shop))
    with pytest.raises(RefusalError):
        open_answer(answer, van.signer)
    with pytest.raises(RefusalError):
        open_answer(answer, HUB)


# Peers that lie, and lines that break.


def offered_by(shop: Node, content: bytes, **changes: Any) -> Offered:
    name = read_sealed(content).name
    return msgspec.structs.replace(Offered(name, len(content), 1, ()), **changes)


def bundle_of(writer: Node | None = None, *, root: str = HUB.node, location: str = "A", key: str = "") -> bytes:
    """Seal a bundle as a node of a place does, or a stranger with a key of its own."""
    signer = key_of(key) if writer is None else writer.signer
    head = CarriedHead(root, signer.node, location, START_MS, 1)
    return seal_bundle(b"content", head, HUB.public, signer, bytes(range(32)))


def lying(shop: Node, content: bytes) -> Tamper:
    """Let a till offer other bytes than its own bundle, piece by piece as honestly as can be."""

    def tamper(reply: VisitReply) -> VisitReply:
        match reply:
            case VisitAnswered():
                return msgspec.structs.replace(reply, offered=offered_by(shop, content))
            case VisitRefused(code="carried_gone"):
                return Piece(read_sealed(content).name, 0, content[:PIECE_BYTES])
            case _:
                return reply

    return tamper


def test_a_till_that_offers_what_is_not_its_own_is_refused_by_name(shops: Shops, shop: Node, van: Node) -> None:
    other = shops.make_node("A2", "A")
    lies = {
        "carried_other": bundle_of(other),
        "carried_foreign": bundle_of(key="x", root=key_of("another hub").node),
        "carried_unknown": bundle_of(key="nobody"),
        "carried_own": bundle_of(van),
        "carried_damaged": bytes([*bundle_of(shop)[:-1], 0xFF]),
    }
    for code, content in lies.items():
        with pytest.raises(RefusalError) as refused:
            meet(van, shop, tamper=lying(shop, content))
        assert refused.value.code == code
    with pytest.raises(RefusalError) as refused:
        meet(van, shop, tamper=lying(shop, bundle_of(shop, location="B")))
    assert refused.value.code == "carried_other"
    assert carried(van) == []
    assert not list((van.directory / CARRIED_FOLDER).glob("*"))


def _as_another(reply: VisitReply) -> VisitReply:
    return msgspec.structs.replace(reply, node="aaaaaaaaaaaa") if isinstance(reply, VisitAnswered) else reply


def _another_piece(reply: VisitReply) -> VisitReply:
    return msgspec.structs.replace(reply, offset=7) if isinstance(reply, Piece) else reply


def _another_bundle(reply: VisitReply) -> VisitReply:
    return msgspec.structs.replace(reply, bundle="a" * 32) if isinstance(reply, Piece) else reply


def _too_long(reply: VisitReply) -> VisitReply:
    return msgspec.structs.replace(reply, content=bytes(PIECE_BYTES)) if isinstance(reply, Piece) else reply


def _cut(reply: VisitReply) -> VisitReply:
    if isinstance(reply, VisitAnswered) and reply.offered is not None:
        smaller = msgspec.structs.replace(reply.offered, size=reply.offered.size - 1)
        return msgspec.structs.replace(reply, offered=smaller)
    return reply


def _something_else(_: VisitReply) -> VisitReply:
    return AnswerTaken(3)


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (_as_another, "node_mismatch"),
        (_another_piece, "message_malformed"),
        (_another_bundle, "message_malformed"),
        (_too_long, "message_malformed"),
        (_cut, "message_malformed"),
        (_something_else, "message_malformed"),
    ],
)
def test_a_till_that_says_what_it_should_not_is_let_go_and_nothing_is_kept(
    shop: Node, van: Node, tamper: Tamper, code: str
) -> None:
    with pytest.raises(RefusalError) as refused:
        meet(van, shop, tamper=tamper)
    assert refused.value.code == code
    assert carried(van) == []


def test_a_line_that_breaks_anywhere_loses_nothing(shop: Node, van: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing_out, "PIECE_BYTES", 100)
    outbox = Outbox()
    for frame_no in range(1, 8):
        with pytest.raises(TransientError):
            meet(van, shop, outbox, breaks_at=frame_no)
        assert carried(van) == []
        assert handed_out(shop) == []
    meet(van, shop, outbox)
    assert entries_aboard(van) == [5]
    handed(van, shop, hub_says(shop))
    for frame_no in (1, 2, 3):
        with pytest.raises(TransientError):
            meet(van, shop, outbox, breaks_at=frame_no)
    meet(van, shop, outbox)
    assert node_status(shop).waiting == 0
    assert entries_aboard(van) == []


@pytest.mark.parametrize(
    "body",
    [
        frame(b"\x91\xa5visit"),
        frame(encode(("visit", 1, "r", "x", (), None, 5))),
        frame(encode(("piece", "not a bundle", 0))),
        frame(encode(("answer", bytes(3_000_000)))),
        frame(encode(("whatever",))),
    ],
)
def test_what_is_no_message_of_a_visit_is_refused(shop: Node, van: Node, body: bytes) -> None:
    with pytest.raises(RefusalError) as refused:
        answer_visit(shop, van.config.node_id, "", body, Outbox(), Pace())
    assert refused.value.code == "message_malformed"


def test_a_van_that_asks_in_anothers_name_or_for_what_is_not_there_is_refused(shop: Node, van: Node) -> None:
    def ask(message: VisitAsked | PieceAsked, outbox: Outbox) -> VisitReply:
        return decode_reply(answer_visit(shop, van.config.node_id, "", encode_visit(message), outbox, Pace()))

    with pytest.raises(RefusalError) as refused:
        ask(VisitAsked(1, "0.1.0", shop.config.node), Outbox())
    assert refused.value.code == "node_mismatch"
    with pytest.raises(RefusalError) as unknown:
        ask(VisitAsked(9, "9.0", van.config.node), Outbox())
    assert unknown.value.code == "protocol_unknown"
    gone = ask(PieceAsked("a" * 32, 0), Outbox())
    assert isinstance(gone, VisitRefused)
    assert gone.code == "carried_gone"
    outbox = Outbox()
    answered = ask(VisitAsked(1, "0.1.0", van.config.node), outbox)
    assert isinstance(answered, VisitAnswered)
    assert answered.offered is not None
    with pytest.raises(RefusalError):
        ask(PieceAsked(answered.offered.bundle, answered.offered.size), outbox)


def test_what_a_van_has_no_room_for_is_said_and_the_rest_goes_on(
    shop: Node, van: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "CARRIED_TOTAL_MAX", 100)
    report = meet(van, shop)
    assert report is not None
    assert (report.taken, report.refused) == (None, "carried_full")
    assert not list((van.directory / CARRIED_FOLDER).glob("*"))


def test_a_disk_that_is_nearly_full_takes_nothing_of_others(
    shop: Node, van: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.disk_space.free_bytes", lambda _: 1_000_000)
    with pytest.raises(TransientError) as refused:
        meet(van, shop)
    assert refused.value.code == "disk_tight"
    assert carried(van) == []


def test_what_an_earlier_release_kept_in_its_table_is_handed_over(shop: Node, van: Node, tmp_path: Path) -> None:
    seal_for_hub(shop, tmp_path / "file")
    kept = keep(van, (tmp_path / "file").read_bytes())
    file = bundle_file(van, kept.bundle)
    with van.store.transaction() as connection:
        connection.execute("UPDATE carried_bundle SET content = ?, size = 0", (file.read_bytes(),))
    file.unlink()
    sent: list[bytes] = []

    def send(content: bytes) -> bytes:
        sent.append(content)
        return encode(BroughtAnswer(kept.bundle, 5, is_new=True))

    assert hand_over(van, send) == 1
    assert sent[0].startswith(MAGIC)


def test_a_bundle_whose_bytes_are_gone_is_said_to_be_lost(shop: Node, van: Node) -> None:
    meet(van, shop)
    bundle_file(van, carried(van)[0].bundle).unlink()
    assert hand_over(van, lambda _: b"") == 0
    assert carried(van)[0].outcome == "lost"
    meet(van, shop)
    assert entries_aboard(van) == [5], "the shop hands it out again"


def test_what_a_program_that_died_left_behind_is_swept(shop: Node, van: Node) -> None:
    meet(van, shop)
    folder = van.directory / CARRIED_FOLDER
    for name, age_s in (("left.sealed", 7_200), ("left.sealed.new", 7_200), ("being.written.new", 60)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age_s,) * 2)
    with pytest.raises(TransientError):
        hand_over(van, _no_line)
    assert sorted(one.name for one in folder.iterdir()) == sorted(
        ["being.written.new", bundle_file(van, carried(van)[0].bundle).name]
    )


def _no_line(_: bytes) -> bytes:
    raise TransientError("hub_unreachable", "no line")


def test_an_encrypted_van_keeps_what_it_carries_under_its_own_key_too(
    shop: Node, van: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.carried_files.data_key", lambda _: b"k" * 32)
    meet(van, shop)
    [one] = carried(van)
    kept = bundle_file(van, one.bundle).read_bytes()
    assert shop.config.node.encode() not in kept, "not even whose it is"
    sent: list[bytes] = []

    def send(content: bytes) -> bytes:
        sent.append(content)
        return encode(BroughtAnswer(one.bundle, 5, is_new=True, answer=hub_says(shop)))

    assert hand_over(van, send) == 1
    assert read_sealed(sent[0]).head.writer == shop.config.node
    [answer] = (van.directory / CARRIED_FOLDER).iterdir()
    assert shop.config.node.encode() not in answer.read_bytes()
    meet(van, shop)
    assert node_status(shop).waiting == 0
    monkeypatch.setattr("edge.carried_files.data_key", lambda _: b"another key".ljust(32))
    sell_pieces(shop)
    meet(van, shop)
    monkeypatch.setattr("edge.carried_files.data_key", lambda _: None)
    assert hand_over(van, send) == 0
    assert carried(van)[0].outcome == "lost", "it cannot be read any more: the shop hands it out again"
