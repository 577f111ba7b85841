"""Neighbours hold each other's entries without a hub: real processes, real certificates, and callers that lie."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import lan_server
from edge.applying import Pace, apply_batches
from edge.clock_source import machine_clock
from edge.config import CERTIFICATE_FILE, read_config
from edge.doctor import examine
from edge.lan import LanService
from edge.lan_copies import is_on_second_till, lan_copies, peers_seen
from edge.lan_discovery import Address
from edge.lan_frames import read_frame
from edge.lan_identity import client_context, peer_of
from edge.node import RELEASE, Node
from edge.sync_agent import HttpLine, clock_report, sync_once
from hub.identity import load_identity
from hub.registry import revoke_node
from schema.errors import RefusalError
from schema.identity import ORG, EntryId, NodeId, Stream
from sync import verification
from sync.messages import (
    FRAME_BYTES_MAX,
    FRAME_HEADER_BYTES,
    Batch,
    Request,
    Response,
    ScopeState,
    decode_response,
    encode_request,
    frame,
    frame_length,
)
from sync.signing import SigningKey
from sync.version_vector import vector_digest
from tests.edge.households import Household, configure, introduce, opened, until, watched
from tests.edge.shops import figures, sell_pieces


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path)


def last_of(node: Node) -> EntryId:
    stream = Stream(node.config.scope, node.config.node_id, node.state().incarnation)
    row = node.replica.log.stream(stream)
    assert row is not None
    return EntryId(stream, row.head.seq)


def receipts(node: Node) -> set[str]:
    return {row[0] for row in node.connection.execute("SELECT number FROM receipt").fetchall()}


@contextmanager
def neighbour(directory: Path) -> Iterator[LanService]:
    """Let a node be among its neighbours within this process."""
    told: list[str] = []
    service = LanService(directory, machine_clock, told.append)
    service.start()
    assert not service.has_failed
    try:
        yield service
    finally:
        service.stop()


class Caller:
    """A connection to a node's port that says what a test wants said."""

    def __init__(self, directory: Path, context: ssl.SSLContext | None) -> None:
        plain = socket.create_connection(("127.0.0.1", read_config(directory).lan_port), timeout=10)
        self.line = context.wrap_socket(plain) if context else plain

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def send(self, content: bytes) -> None:
        self.line.sendall(content)

    def read(self) -> bytes:
        """Return the next frame; empty when the other side ended the line."""
        content = b""
        try:
            while len(content) < FRAME_HEADER_BYTES or len(content) < FRAME_HEADER_BYTES + frame_length(content):
                part = self.line.recv(65_536)
                if not part:
                    return b""
                content += part
        except (ConnectionError, ssl.SSLError):
            return b""
        return content

    def ask(self, request: Request) -> Response:
        self.send(encode_request(request))
        return decode_response(self.read())


def hello(node: Node, /, **changes: Any) -> Request:
    """Return what a node would say first, changed as a test says."""
    states = [ScopeState(s, vector_digest(node.replica.log.heads(s))) for s in (ORG, node.config.scope)]
    request = Request(1, RELEASE, node.config.node, tuple(states), clock_report(node, None))
    return msgspec.structs.replace(request, **changes)


# What honest neighbours do.


@pytest.mark.long
def test_a_sale_is_on_a_second_till_within_a_second_and_says_so_though_the_hub_is_down(household: Household) -> None:
    one, other = household.tills("A1", "A2")
    with watched(one), watched(other), opened(one) as here, opened(other) as there:
        sell_pieces(here)
        until(lambda: is_on_second_till(here, last_of(here)), "the tills met")
        waits = []
        for _ in range(40):
            sale = sell_pieces(here)
            last = last_of(here)
            waits.append(until(lambda: is_on_second_till(here, last), "the sale is on the second till", 10))  # noqa: B023
            assert sale.receipt_number in receipts(there)
        waits.sort()
        assert waits[-2] < 1.0, waits
        assert lan_copies(here).waiting == 0
        assert figures(there) == figures(here)
        assert [seen.name for seen in peers_seen(here)] == ["till A2"]
    for directory in (one, other):
        with opened(directory) as node:
            assert examine(node).is_healthy


@pytest.mark.long
def test_a_till_that_dies_mid_sale_is_whole_on_its_neighbours_who_pass_its_entries_on(household: Household) -> None:
    one, other, third = household.tills("A1", "A2", "A3")
    with watched(other):
        with watched(one) as dying, opened(one) as here:
            for _ in range(5):
                sell_pieces(here)
            until(lambda: lan_copies(here).copied == 5, "the second till has all five")
            sold = receipts(here)
            dying.send_signal(signal.SIGKILL)
            dying.wait(10)
        shutil.rmtree(one)  # the machine is gone, and so is its hub
        with watched(third), opened(third) as there:
            until(lambda: receipts(there) == sold, "the third till has them from the second")
            assert examine(there).is_healthy


def test_a_node_that_its_neighbour_has_never_heard_of_brings_its_own_grant(household: Household) -> None:
    [one] = household.tills("A1")
    with household.serving() as hub:
        late = household.enrol(hub, "A9")  # A1 does not speak with the hub again
    introduce([one, late])
    with neighbour(one), neighbour(late), opened(one) as here, opened(late) as there:
        sale = sell_pieces(there)
        until(lambda: sale.receipt_number in receipts(here), "the sale of the newcomer is here")
        assert examine(here).is_healthy


def test_a_node_of_another_location_exchanges_the_organisations_facts_alone(household: Household) -> None:
    with household.serving() as hub:
        shop, warehouse = household.enrol(hub, "A1"), household.enrol(hub, "W1", location="W")
    introduce([shop, warehouse])
    with neighbour(shop), neighbour(warehouse), opened(shop) as here, opened(warehouse) as there:
        sale = sell_pieces(here)
        until(lambda: {seen.node for seen in peers_seen(here)} == {there.config.node}, "they met")
        time.sleep(0.5)
        assert sale.receipt_number not in receipts(there)
        assert lan_copies(here).copied == 0
        with Caller(shop, client_context(there)) as caller:
            state = ScopeState(here.config.scope, b"")
            answered = caller.ask(hello(there, scopes=(state,)))
            assert [refusal.code for refusal in answered.refusals] == ["scope_forbidden"]
            assert not answered.vectors
            assert not answered.batches


def test_neighbours_find_each_other_by_multicast(household: Household) -> None:
    one, other = household.tills("A1", "A2")
    for directory in (one, other):
        configure(directory, lan_peers=(), lan_host="")
    with neighbour(one), neighbour(other), opened(one) as here:
        sell_pieces(here)
        until(lambda: lan_copies(here).copied == 1, "they found each other", 20)


def test_entries_that_two_lines_bring_at_once_are_stored_once(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = household.tills("A1", "A2")
    with opened(one) as here, opened(other) as agent, opened(other) as server:
        for _ in range(3):
            sell_pieces(here)
        batches, _ = here.replica.outgoing(here.config.scope, {}, 1 << 20, here.signer)

        def while_verifying(*admitted: Any) -> Any:
            monkeypatch.undo()
            assert apply_batches(server, batches, Pace()) == (3, [])
            return verification.verify_batch(*admitted)

        monkeypatch.setattr("edge.applying.verify_batch", while_verifying)
        assert apply_batches(agent, batches, Pace()) == (0, [])
        assert figures(agent) == figures(here)


def test_a_neighbour_that_lost_its_file_is_no_longer_said_to_hold_anything(household: Household) -> None:
    one, other = household.tills("A1", "A2")
    fresh = household.folder / "fresh"
    shutil.copytree(other, fresh)
    with neighbour(one), opened(one) as here:
        with neighbour(other):
            sell_pieces(here)
            until(lambda: lan_copies(here).copied == 1, "the second till has it")
        shutil.rmtree(other)
        shutil.copytree(fresh, other)
        configure(other, lan_peers=("127.0.0.1:1",))  # it does not ask
        with opened(one) as reader:
            service_of_the_past = neighbour(other)
            with service_of_the_past, opened(other) as there:
                until(lambda: bool(receipts(there)), "it is sent again what it lost")
                until(lambda: lan_copies(reader).copied == 1, "and holds it again")


# A copy of a node.


def test_a_twin_is_found_at_the_first_contact_and_both_go_on_in_streams_of_their_own(household: Household) -> None:
    one, twin = household.folder / "A1", household.folder / "twin"
    household.tills("A1")
    with opened(one) as node:
        sell_pieces(node)
        node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    shutil.copytree(one, twin)
    configure(twin, lan_port=read_config(one).lan_port + 1)
    introduce([one, twin])
    with neighbour(one), neighbour(twin), opened(one) as here, opened(twin) as there:
        until(lambda: min(here.state().incarnation, there.state().incarnation) > 1, "both noticed", 20)
        assert here.state().incarnation != there.state().incarnation
        sell_pieces(here)
        sell_pieces(there)
        assert not receipts(here) & receipts(there) - {"A1-1-000001"}
        time.sleep(1.0)  # met again, they do not begin anew without end
        kept = here.state().incarnation
        time.sleep(1.0)
        assert here.state().incarnation == kept


def test_a_restored_copy_learns_from_a_neighbour_that_it_is_one(household: Household) -> None:
    one, other = household.tills("A1", "A2")
    with opened(one) as node:
        sell_pieces(node)
        node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    copy = household.folder / "copy"
    shutil.copytree(one, copy)
    with neighbour(one), neighbour(other), opened(one) as node:
        for _ in range(3):
            sell_pieces(node)
        until(lambda: lan_copies(node).copied == 4, "the neighbour has all")
        sold = receipts(node)
    with opened(copy) as node:
        assert node.state().incarnation == 1, "the same machine: nothing else can tell"
    with neighbour(copy), neighbour(other), opened(copy) as node, opened(other) as there:
        until(lambda: node.state().incarnation > 1, "it learned")
        until(lambda: receipts(node) == sold, "and has back what it lacked")
        number = sell_pieces(node).receipt_number
        assert number not in sold
        until(lambda: number in receipts(there), "the neighbour takes the new stream")


# Callers that lie, flood, or stop.


def strangers(household: Household) -> dict[str, Callable[[], ssl.SSLContext | None]]:
    """Return ways to call without a certificate of this organisation."""

    def bare() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def foreign() -> ssl.SSLContext:
        stranger = Household(household.folder / "elsewhere")
        [directory] = stranger.tills("A1")
        with opened(directory) as node:
            context = client_context(node)
        context.verify_mode = ssl.CERT_NONE
        return context

    return {"nobody": lambda: None, "no certificate": bare, "another organisation's": foreign}


@pytest.mark.parametrize("kind", ["nobody", "no certificate", "another organisation's"])
def test_who_shows_no_certificate_of_the_organisation_gets_no_answer(household: Household, kind: str) -> None:
    one, other = household.tills("A1", "A2")
    context = strangers(household)[kind]()
    with neighbour(one), opened(other) as liar:
        sell_pieces(liar)
        answered = b""
        with suppress(ssl.SSLError, ConnectionError), Caller(one, context) as caller:
            caller.line.settimeout(8)
            caller.send(encode_request(hello(liar)))
            answered = caller.read()
        assert answered == b""
        with opened(one) as here:
            assert not receipts(here)
            assert not peers_seen(here)


def batch_of(node: Node) -> Batch:
    [batch], _ = node.replica.outgoing(node.config.scope, {}, 1 << 20, node.signer)
    return batch


LIES: dict[str, Callable[[Node, Node], tuple[Request, str]]] = {
    "another name than the certificate's": lambda liar, victim: (
        hello(liar, node=victim.config.hub),
        "node_mismatch",
    ),
    "a scope that is not its own": lambda liar, victim: (
        hello(liar, scopes=(ScopeState("loc/B", b""),)),
        "scope_forbidden",
    ),
    "entries of another node without its seal": lambda liar, victim: (
        hello(liar, batches=(msgspec.structs.replace(batch_of(liar), node=victim.config.node, incarnation=7),)),
        "seal_invalid",
    ),
    "an altered entry": lambda liar, victim: (
        hello(liar, batches=(msgspec.structs.replace(batch_of(liar), seal=bytes(64)),)),
        "seal_invalid",
    ),
    "entries of the organisation by itself": lambda liar, victim: (
        hello(liar, batches=(msgspec.structs.replace(batch_of(liar), scope=ORG, node=liar.config.hub),)),
        "fork",
    ),
    "a node that nobody knows": lambda liar, victim: (
        hello(liar, batches=(msgspec.structs.replace(batch_of(liar), node=NodeId("aaaaaaaaaaaa")),)),
        "node_unknown",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_neighbour_that_lies_is_refused_by_name_and_nothing_is_let_in(household: Household, lie: str) -> None:
    one, other = household.tills("A1", "A2")
    with neighbour(one), opened(one) as here, opened(other) as liar:
        sell_pieces(liar)
        before = here.connection.execute("SELECT count(*), sum(length(body)) FROM entry").fetchone()
        request, code = LIES[lie](liar, here)
        with Caller(one, client_context(liar)) as caller:
            answered = caller.ask(request)
        if code == "fork":  # whichever is found first: it stands elsewhere, or its seal fits nothing
            assert {refusal.code for refusal in answered.refusals} <= {"fork", "seal_invalid", "chain_broken", "gap"}
            assert answered.refusals
        else:
            assert [refusal.code for refusal in answered.refusals] == [code]
        assert here.connection.execute("SELECT count(*), sum(length(body)) FROM entry").fetchone() == before
        assert examine(here).is_healthy
        sell_pieces(here)


def test_a_revoked_node_is_not_heard_by_its_neighbours(household: Household) -> None:
    one, other = household.tills("A1", "A2")
    with household.serving() as hub, opened(one) as here:
        revoke_node(hub.store, hub.own_log, read_config(other).node_id, "stolen")
        line = HttpLine(here)
        assert sync_once(here, line).is_complete
        line.close()
    with neighbour(one), opened(one) as here, opened(other) as stolen:
        sell_pieces(stolen)
        with Caller(one, client_context(stolen)) as caller:
            answered = caller.ask(hello(stolen, batches=(batch_of(stolen),)))
            assert [refusal.code for refusal in answered.refusals] == ["node_revoked"]
        assert not receipts(here)


GARBAGE = {
    "noise": bytes(range(256)) * 8,
    "a frame that declares too much": b"ETS1" + (FRAME_BYTES_MAX + 1).to_bytes(4, "big") + (1).to_bytes(4, "big"),
    "a bomb": b"ETS1" + (1000).to_bytes(4, "big") + frame(bytes(300_000))[8:],
    "a frame of nothing that is a request": frame(b"\xc0"),
    "a request of another protocol": frame(msgspec.msgpack.encode([9, "x", "y", [], [0, 0, None, None]])),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_neighbour_that_sends_what_is_no_message_is_let_go_and_not_heard_for_a_while(
    household: Household, garbage: str
) -> None:
    one, other, third = household.tills("A1", "A2", "A3")
    with neighbour(one), opened(one) as here, opened(other) as liar, opened(third) as honest:
        with Caller(one, client_context(liar)) as caller:
            with suppress(ConnectionError, ssl.SSLError):
                caller.send(GARBAGE[garbage])
            first = caller.read()
            if first:
                assert decode_response(first).refusals
            assert caller.read() == b""
        with Caller(one, client_context(liar)) as again:
            with suppress(ConnectionError, ssl.SSLError):
                again.send(encode_request(hello(liar)))
            assert again.read() == b""
        with Caller(one, client_context(honest)) as caller:
            assert caller.ask(hello(honest)).node == here.config.node
        until(lambda: [seen.problem for seen in peers_seen(here) if seen.problem] != [], "it is noted who it was")


def test_a_neighbour_that_stops_in_the_middle_holds_nobody_up(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_frame, "__kwdefaults__", {"frame_s": 1.0})
    one, other, third = household.tills("A1", "A2", "A3")
    with neighbour(one), opened(other) as slow, opened(third) as honest:
        sell_pieces(slow)
        whole = encode_request(hello(slow, batches=(batch_of(slow),)))
        with Caller(one, client_context(slow)) as caller:
            caller.send(whole[: len(whole) // 2])
            with Caller(one, client_context(honest)) as other_line:
                assert other_line.ask(hello(honest)).node
            caller.line.settimeout(10)
            assert caller.read() == b"", "it is let go"
        with opened(one) as here:
            assert not receipts(here)


def test_callers_that_open_lines_and_say_nothing_keep_no_neighbour_out(household: Household) -> None:
    one, other = household.tills("A1", "A2")
    port = read_config(one).lan_port
    with neighbour(one), opened(other) as honest:
        silent = []
        for _ in range(lan_server.HANDSHAKES_PER_ADDRESS_MAX * 4):
            with suppress(OSError):
                silent.append(socket.create_connection(("127.0.0.1", port), timeout=2))
        try:
            began = time.monotonic()

            def gets_in() -> bool:
                try:
                    with Caller(one, client_context(honest)) as caller:
                        caller.line.settimeout(2)
                        return bool(caller.ask(hello(honest)).node)
                except (OSError, RefusalError):
                    time.sleep(0.1)
                    return False

            until(gets_in, "a neighbour gets in", 3 * lan_server.HANDSHAKE_S)
            assert time.monotonic() - began < 2 * lan_server.HANDSHAKE_S
        finally:
            for line in silent:
                line.close()


def test_a_neighbour_that_floods_slows_itself_and_no_sale(household: Household) -> None:
    one, other = household.tills("A1", "A2")
    with neighbour(one), opened(one) as here, opened(other) as eager:
        for _ in range(30):
            sell_pieces(eager)
        request = encode_request(hello(eager, batches=(batch_of(eager),)))
        waits_s: list[float] = []
        answers = 0
        with Caller(one, client_context(eager)) as caller:
            caller.line.settimeout(30)
            for _ in range(60):
                for _ in range(5):
                    caller.send(request)
                    answers += bool(caller.read())
                began = time.monotonic()
                sell_pieces(here)
                waits_s.append(time.monotonic() - began)
        assert answers
        assert sorted(waits_s)[len(waits_s) * 9 // 10] < 0.5  # a moment of the machine's own is nobody's flood
        assert len(receipts(here)) == 90


def test_a_certificate_of_another_node_does_not_arm_a_key(household: Household) -> None:
    one, other = household.tills("A1", "A2")
    shutil.copy(other / CERTIFICATE_FILE, one / CERTIFICATE_FILE)
    with opened(one) as node, pytest.raises(RefusalError) as refused:
        client_context(node)
    assert refused.value.code == "certificate_invalid"


def test_a_certificate_must_name_the_node_of_its_key(household: Household) -> None:
    one, other = household.tills("A1", "A2")
    identity = load_identity(household.hub_directory)
    with opened(other) as liar, opened(one) as here:
        forged = identity.issue(liar.signer.public, here.config.node, [f"edgetill:node/{here.config.node}"])
        (other / CERTIFICATE_FILE).write_text(forged, "ascii")
        with neighbour(one), Caller(one, client_context(liar)) as caller:
            with suppress(ConnectionError, ssl.SSLError):
                caller.send(encode_request(hello(liar, node=here.config.node)))
            assert caller.read() == b""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.7:99", Address("10.0.0.7", 99)),
        ("till-2", Address("till-2", 8444)),
        ("[fe80::1]:99", Address("fe80::1", 99)),
        ("fe80::1", Address("fe80::1", 8444)),
    ],
)
def test_neighbours_are_listed_as_host_and_port(text: str, expected: Address) -> None:
    assert Address.parse(text, 8444) == expected


@pytest.mark.parametrize("text", ["", ":1", "host:0", "host:99999", "host:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(RefusalError):
        Address.parse(text, 8444)


def test_a_key_that_signs_for_itself_is_no_node() -> None:
    with pytest.raises(RefusalError):
        peer_of(None)
    with pytest.raises(RefusalError):
        peer_of(SigningKey(bytes(32)).public)
