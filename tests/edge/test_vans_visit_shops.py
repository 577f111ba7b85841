"""A van on a shop's network takes what the shop recorded, sealed to the hub, and brings the hub's answer back."""

from __future__ import annotations

import shutil
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.bundles import content_above
from edge.carried_answers import carried_answers
from edge.carrying import bundle_file, carried, seal, seal_for_hub, take_along
from edge.config import read_config
from edge.doctor import examine
from edge.handing_out import handed_out
from edge.hub_held import held_by_hub
from edge.lan_copies import peers_seen
from edge.lan_frames import read_frame
from edge.lan_identity import client_context
from edge.lan_visit import visit_shops
from edge.node import Node
from edge.settings import setting
from edge.status import node_status
from hub.brought import list_brought, take_brought
from hub.registry import revoke_node
from hub.service import Hub
from hub.settings import record_setting
from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import ORG
from schema.settings import StockRules
from sync.messages import frame
from sync.sealing import CARRIED_BYTES_MAX, read_sealed
from sync.version_vector import Head
from sync.visiting import VisitAsked, VisitRefused, decode_reply, encode_visit
from tests import processes
from tests.edge.households import Household, configure, introduce, opened, sync, until, watched
from tests.edge.shops import sell_pieces
from tests.edge.test_lan import Caller, neighbour


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path)


def place(household: Household, **tills: str) -> list[Path]:
    """Let tills join, by name and location; each has met the hub once, which then goes away."""
    with household.serving() as hub:
        directories = [household.enrol(hub, till, location) for till, location in tills.items()]
        for directory in directories:
            sync(directory)
        for directory in directories:
            sync(directory)
    introduce(directories)
    for directory in directories:  # what it said of its line is long ago
        with opened(directory) as node, node.write():
            node.connection.execute("UPDATE node_state SET last_exchange_ms = last_exchange_ms - 600000")
    return directories


def heads(node: Node) -> dict[str, int]:
    return {writer: head.seq for writer, head in node.replica.log.heads("loc/A").items()}


def hub_heads(hub: Hub) -> dict[str, int]:
    with hub.store.snapshot() as replica:
        return {writer: head.seq for writer, head in replica.log.heads("loc/A").items()}


@pytest.mark.long
def test_what_a_shop_without_a_line_sold_reaches_the_hub_by_a_van_and_its_answer_comes_back(
    household: Household,
) -> None:
    shop, van = place(household, A1="A", V1="V")
    with watched(shop), watched(van), opened(shop) as here, opened(van) as aboard:
        for _ in range(5):
            sell_pieces(here)
        until(lambda: [one.entries for one in carried(aboard)] == [5], "the shop's bundle is aboard")
        assert [one.bearer for one in handed_out(here)] == [aboard.config.node]
        content = bundle_file(aboard, carried(aboard)[0].bundle).read_bytes()
        assert read_sealed(content).head.writer == here.config.node
        assert heads(aboard) == {}, "the van reads none of it"
    with household.serving() as hub:
        assert sync(van).handed_over == 1
        assert hub_heads(hub) == heads_of(shop)
        [brought] = list_brought(hub)
        assert (brought.entries, brought.outcome, brought.location) == (5, "taken", "A")
    with opened(shop) as here:
        assert node_status(here).waiting == 5, "nobody has told the shop yet"
    with watched(shop), watched(van), opened(shop) as here, opened(van) as aboard:
        until(lambda: node_status(here).waiting == 0, "the hub's answer is back")
        until(lambda: [one.outcome for one in carried_answers(aboard)] == ["taken"], "the van knows it")
        assert {w: h.seq for w, h in held_by_hub(here, "loc/A").items()} == heads(here)
        assert [one.outcome for one in carried(aboard)] == ["taken:5"], "what the hub has is not carried again"
    for directory in (shop, van):
        with opened(directory) as node:
            assert examine(node).is_healthy


def heads_of(directory: Path) -> dict[str, int]:
    with opened(directory) as node:
        return heads(node)


def test_what_is_new_at_the_hub_comes_to_the_shop_with_the_van(household: Household) -> None:
    with household.serving() as hub:
        shop, second, van = [household.enrol(hub, name, at) for name, at in (("A1", "A"), ("A2", "A"), ("V1", "V"))]
        for directory in (shop, second, van, shop):
            sync(directory)
    introduce([shop, van])
    with opened(shop) as node:
        sell_pieces(node)
    lapse(shop)
    with neighbour(shop), neighbour(van), opened(van) as aboard:
        until(lambda: bool(carried(aboard)), "the bundle is aboard")
    with opened(second) as node:  # another till of the shop still has a line
        for _ in range(3):
            sell_pieces(node)
    with household.serving() as hub:
        sync(second)
        with hub.store.transaction(ORG) as replica:
            record_setting(replica, hub.own_log, "stock", b'{"expiring_days":3}')
        assert sync(van).handed_over == 1
    with neighbour(shop), neighbour(van), opened(shop) as here:
        until(lambda: len(heads(here)) == 2, "what the other till sold came by the van")
        until(lambda: setting(here, StockRules).expiring_days == 3, "and the setting of the chain")
        with opened(second) as there:
            until(lambda: node_status(here).waiting == 0, "all is at the hub")
            assert heads(here)[f"{there.config.node}.1"] == 3
        assert examine(here).is_healthy


def test_a_hub_restored_from_an_older_copy_gets_back_through_a_van_what_it_had_lost(household: Household) -> None:
    shop, van = place(household, A1="A", V1="V")
    older = household.folder / "older"
    shutil.copytree(household.hub_directory, older)

    def round_trip() -> list[str]:
        with neighbour(shop), opened(van) as aboard:
            visit_shops(aboard, search_s=0)
        with household.serving():
            sync(van)
        with neighbour(shop), opened(van) as aboard:
            visit_shops(aboard, search_s=0)
            return [one.outcome for one in carried(aboard)]

    with opened(shop) as here:
        for _ in range(3):
            sell_pieces(here)
        assert round_trip() == ["taken:3"]
        assert node_status(here).waiting == 0
        shutil.rmtree(household.hub_directory)
        shutil.copytree(older, household.hub_directory)
        for _ in range(2):
            sell_pieces(here)
        assert "refused:gap" in round_trip(), "the shop believed what the hub had said"
        assert node_status(here).waiting == 5, "and has heard that it holds nothing"
    with household.serving() as hub:
        sync(van)
        assert hub_heads(hub) == heads_of(shop)


def lapse(directory: Path) -> None:
    """Let the last exchange with the hub be long ago."""
    with opened(directory) as node, node.write():
        node.connection.execute("UPDATE node_state SET last_exchange_ms = last_exchange_ms - 600000")


def test_a_visit_is_a_verb_too_and_takes_what_there_is(household: Household) -> None:
    shop, van = place(household, A1="A", V1="V")
    with neighbour(shop), opened(shop) as here, opened(van) as aboard:
        sell_pieces(here)
        [report] = visit_shops(aboard, search_s=0)
        assert report.taken is not None
        assert (report.location, report.taken.entries) == ("A", 1)
        sell_pieces(here)
        [again] = visit_shops(aboard, search_s=0)
        assert again.taken is not None
        assert again.taken.entries == 2
        [nothing] = visit_shops(aboard, search_s=0)
        assert (nothing.taken, nothing.refused) == (None, "")
        with pytest.raises(RefusalError) as refused:
            visit_shops(here, search_s=0)
        assert refused.value.code == "van_only"
    with opened(van) as aboard:
        assert visit_shops(aboard, search_s=0) == [], "nobody answers, and nothing is lost"
        assert [one.entries for one in carried(aboard)] == [2]


def test_vans_and_shops_find_each_other_by_multicast(household: Household) -> None:
    shop, van = place(household, A1="A", V1="V")
    for directory in (shop, van):
        configure(directory, lan_peers=(), lan_host="")
    with neighbour(shop), neighbour(van), opened(shop) as here, opened(van) as aboard:
        sell_pieces(here)
        until(lambda: bool(carried(aboard)), "they found each other", 30)


def ask_of(van: Node, **changes: Any) -> bytes:
    return encode_visit(msgspec.structs.replace(VisitAsked(1, "0.1.0", van.config.node), **changes))


GARBAGE = {
    "a visit in another's name": lambda van: ask_of(van, node="aaaaaaaaaaaa"),
    "a visit of another protocol": lambda van: ask_of(van, protocol=77),
    "half a visit": lambda van: frame(b"\x97\xa5visit\x01"),
    "a piece of nothing": lambda van: frame(encode(("piece", "../../etc/passwd", 0))),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_van_that_sends_what_is_no_visit_is_let_go_and_not_heard_for_a_while(
    household: Household, garbage: str
) -> None:
    shop, van, other = place(household, A1="A", V1="V", V2="V2")
    with neighbour(shop), opened(shop) as here, opened(van) as liar, opened(other) as honest:
        sell_pieces(here)
        with Caller(shop, client_context(liar)) as caller:
            with suppress(ConnectionError, ssl.SSLError):
                caller.send(GARBAGE[garbage](liar))
            assert caller.read(), "it is told why"
            assert caller.read() == b""
        with Caller(shop, client_context(liar)) as again:
            with suppress(ConnectionError, ssl.SSLError):
                again.send(ask_of(liar))
            assert again.read() == b""
        [report] = visit_shops(honest, search_s=0)
        assert report.taken is not None
        until(lambda: liar.config.node in {seen.node for seen in peers_seen(here) if seen.problem}, "it is noted")


def test_a_van_that_stops_in_the_middle_holds_nobody_up(household: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_frame, "__kwdefaults__", {"frame_s": 1.0})
    shop, van, other = place(household, A1="A", V1="V", V2="V2")
    with neighbour(shop), opened(shop) as here, opened(van) as slow, opened(other) as honest:
        sell_pieces(here)
        whole = ask_of(slow)
        with Caller(shop, client_context(slow)) as caller:
            caller.send(whole[: len(whole) // 2])
            [report] = visit_shops(honest, search_s=0)
            assert report.taken is not None
            caller.line.settimeout(10)
            assert caller.read() == b"", "it is let go"
        assert [one.bearer for one in handed_out(here)] == [honest.config.node]


def test_a_van_that_floods_slows_itself_and_no_sale(household: Household) -> None:
    shop, van = place(household, A1="A", V1="V")
    with neighbour(shop), opened(shop) as here, opened(van) as eager:
        waits_s: list[float] = []
        answers = 0
        with Caller(shop, client_context(eager)) as caller:
            caller.line.settimeout(30)
            for _ in range(40):
                for _ in range(3):
                    caller.send(ask_of(eager, is_leaving=True))
                    answers += bool(caller.read())
                began = time.monotonic()
                sell_pieces(here)
                waits_s.append(time.monotonic() - began)
        assert answers == 120
        assert sorted(waits_s)[len(waits_s) * 9 // 10] < 0.5  # a moment of the machine's own is nobody's flood


def test_who_is_no_van_of_the_organisation_gets_no_bundle(household: Household) -> None:
    shop, warehouse = place(household, A1="A", W1="W")
    stranger = Household(household.folder / "elsewhere")
    [foreign] = place(stranger, V1="V")
    with neighbour(shop), opened(shop) as here:
        sell_pieces(here)
        with opened(warehouse) as caller_node, Caller(shop, client_context(caller_node)) as caller:
            caller.send(ask_of(caller_node))
            refused = decode_reply(caller.read())
            assert isinstance(refused, VisitRefused)
            assert refused.code == "carry_forbidden"
        with opened(foreign) as liar:
            context = client_context(liar)
            context.verify_mode = ssl.CERT_NONE
            with suppress(ConnectionError, ssl.SSLError), Caller(shop, context) as caller:
                caller.send(ask_of(liar))
                assert caller.read() == b""
        assert handed_out(here) == []


def test_a_revoked_van_is_given_nothing(household: Household) -> None:
    shop, van = place(household, A1="A", V1="V")
    with household.serving() as hub:
        revoke_node(hub.store, hub.own_log, read_config(van).node, "stolen")
        sync(shop)
    lapse(shop)
    with neighbour(shop), opened(shop) as here, opened(van) as stolen:
        sell_pieces(here)
        [report] = visit_shops(stolen, search_s=0)
        assert report.refused == "node_revoked"
        assert handed_out(here) == []
        assert carried(stolen) == []


# What the hub says of it.


def test_the_hub_tells_what_was_brought_and_what_was_refused(household: Household, tmp_path: Path) -> None:
    shop, van = place(household, A1="A", V1="V")
    with opened(shop) as here, opened(van) as aboard:
        sell_pieces(here)
        seal_for_hub(here, tmp_path / "a1")
        take_along(aboard, tmp_path / "a1")
        whole = (tmp_path / "a1").read_bytes()
    with household.serving() as hub:
        sync(van)
        for content, code in (
            (whole[:-9], "carried_damaged"),
            (whole[:200] + bytes(40) + whole[240:], "carried_damaged"),
            (b"PK", "carried_malformed"),
        ):
            with pytest.raises(RefusalError) as refused:
                take_brought(hub, content, "v" * 12)
            assert refused.value.code == code
        found = list_brought(hub)
        assert sorted(one.refusal for one in found) == ["", "carried_damaged", "carried_damaged", "carried_malformed"]
        [taken] = [one for one in found if not one.refusal]
        assert (taken.entries, taken.told, taken.location, taken.answered > 0) == (1, 1, "A", True)
        assert take_brought(hub, whole, "v" * 12).is_new is False


def test_a_refused_bundle_that_is_brought_again_after_all_is_taken(household: Household, tmp_path: Path) -> None:
    """A hub that was restored from an older copy may hear of a node again."""
    shop, _ = place(household, A1="A", V1="V")
    with opened(shop) as here:
        sell_pieces(here)
        sell_pieces(here)
        content, _, _ = content_above(here, {"loc/A": first_entry(here)}, CARRIED_BYTES_MAX)
        early = seal(here, content, 1)
        seal_for_hub(here, tmp_path / "all")
    with household.serving() as hub:
        answered = take_brought(hub, early, "v" * 12)
        assert (answered.entries, answered.refused) == (0, "gap")
        assert [one.refusal for one in list_brought(hub)] == ["gap"]
        assert take_brought(hub, (tmp_path / "all").read_bytes(), "v" * 12).entries == 2
        again = take_brought(hub, early, "v" * 12)
        assert (again.entries, again.refused) == (0, "")
        assert {one.refusal for one in list_brought(hub)} == {""}


def first_entry(node: Node) -> dict[str, Head]:
    [row] = node.replica.log.streams("loc/A")
    digest = node.replica.log.digest_at(row, 1)
    assert digest is not None
    return {row.stream.writer: Head(1, digest)}


# The verbs.


def test_the_verbs_of_carrying_say_what_is_aboard_and_what_became_of_it(household: Household) -> None:
    shop, van = place(household, A1="A", V1="V")
    with opened(shop) as here:
        sell_pieces(here)

    def told(*words: str) -> str:
        done = processes.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "no bundle of others is aboard" in told("van", "carry", "--node", str(van))
    with neighbour(shop):
        visited = told("van", "visit", "--search", "0", "--node", str(van))
        assert "A: 1 entries came aboard" in visited
    assert "waits" in told("van", "carry", "--node", str(van))
    handed = told("bundle", "handed", "--node", str(shop))
    assert "till V1" in handed
    assert "1 entries of this till are not known to be at the hub" in handed
    with household.serving():
        sync(van)
    assert "1 of 1 new" in told("hub", "brought", "--hub", str(household.hub_directory))
    aboard = told("van", "carry", "--node", str(van))
    assert "taken:1" in aboard
    assert "answer for till A1" in aboard
    file = household.folder / "answer"
    assert "is in" in told("van", "answer", "A1", str(file), "--node", str(van))
    told("bundle", "import", str(file), "--node", str(shop))
    assert "0 entries of this till are not known" in told("bundle", "handed", "--node", str(shop))
