"""How others' products failed between replicas, and what ours does instead."""

from __future__ import annotations

from typing import Any

import pytest

from schema.codec import encode
from schema.identity import ORG
from sync.document_projection import decode_fields, read_document
from sync.documents import edit
from sync.messages import ClockReport, Request, Response, decode_response, encode_request, encode_response
from sync.organisation import Organisation
from sync.replica import Replica
from sync.session import BATCH_BYTES_MAX, ClientSession, Subscription, reply
from sync.stock_projection import core_folds
from sync.verification import verify_batch
from tests.power_cuts import Failing, PowerCutError
from tests.sync.replicas import HOME, HUB, Party, fleet, sync

YEARS_MS = 10 * 365 * 86_400_000
SUBSCRIPTIONS = (Subscription(ORG), Subscription(HOME))


def held(party: Party) -> list[tuple[str, int, int]]:
    """Return per stream what the party says that it holds, and how many entries of it there are."""
    return [
        (row.stream.writer, row.head.seq, sum(1 for _ in party.replica.log.bodies(row, 0, 1 << 30)))
        for row in party.replica.log.streams(HOME)
    ]


def test_what_a_replica_says_it_holds_and_the_entries_are_stored_in_one_transaction() -> None:
    _, node, other = fleet()
    for _ in range(5):
        node.move(1)
    batches, _ = node.replica.outgoing(HOME, other.replica.log.heads(HOME), 1 << 20, node.signer)
    before = held(other)
    cuts = 0
    while True:
        organisation = Organisation(HUB.node, HUB.public)
        replica = Replica(Failing(other.connection, cuts), organisation, core_folds(organisation))
        other.connection.execute("BEGIN")
        try:
            for batch in batches:
                admitted = replica.admit(batch)
                assert admitted is not None
                replica.store(verify_batch(*admitted))
        except PowerCutError:
            other.connection.execute("ROLLBACK")
            assert held(other) == before
            cuts += 1
            continue
        other.connection.execute("COMMIT")
        break
    assert cuts > 3
    assert all(head == count for _, head, count in held(other))
    assert other.stock() == 5


def test_a_peer_that_lost_its_data_is_sent_all_of_it_again() -> None:
    hub, node, other = fleet()
    for party in (node, other):
        party.move(2)
        sync(party, hub)
    assert sync(node, hub).is_complete
    blank = Party(node.signer)
    result = sync(blank, hub)
    assert result.is_complete
    assert blank.replica.log.heads(HOME) == hub.replica.log.heads(HOME)
    assert blank.stock() == hub.stock() == 4


def test_a_relay_passes_on_the_original_signed_bytes() -> None:
    hub, first, relay = fleet()
    third = Party(HUB)  # a replica that only ever speaks with the relay
    first.move(3)
    sync(relay, first)  # neighbours, without the hub
    sync(relay, third)
    (row,) = first.replica.log.streams(HOME)
    there = third.replica.log.stream(row.stream)
    assert there is not None
    assert list(third.replica.log.bodies(there, 0, 10)) == list(first.replica.log.bodies(row, 0, 10))
    assert there.head == row.head
    sync(relay, hub)
    assert hub.stock() == third.stock() == 3


def test_a_node_that_was_away_for_years_brings_its_sales_and_no_deleted_record_back() -> None:
    hub, node, other = fleet()

    def set_price(value: int | None) -> None:
        state = read_document(hub.connection, "prices/standard/x")
        for change in edit(state, {("P", "pc"): value}, writer=hub.stream(ORG).writer, time_ms=1):
            hub.append(change, ORG)

    def prices(party: Party) -> list[Any]:
        rows = party.connection.execute("SELECT record, fields FROM record").fetchall()
        return [(record, decode_fields(bytes(fields)).get("pc")) for record, fields in rows]

    set_price(100)
    for party in (node, other):
        sync(party, hub)
    assert prices(node) == [("P", 100)]
    node.move(-1)
    set_price(None)
    other.move(5)
    sync(other, hub)
    for party in (hub, other, node):
        party.now += YEARS_MS
    assert sync(node, hub).is_complete
    sync(other, hub)
    assert prices(node) == prices(other) == prices(hub)
    assert ("P", 100) not in prices(node)
    assert node.stock() == other.stock() == hub.stock() == 4


@pytest.mark.parametrize("wall_ms", [0, 1_000_000 + YEARS_MS])
def test_a_clock_that_is_years_off_stops_no_sync(wall_ms: int) -> None:
    hub, node, other = fleet()
    node.now = wall_ms
    node.move(2)
    result = sync(node, hub)
    assert (result.is_complete, result.refusals) == (True, [])
    other.move(1)
    sync(other, hub)
    assert sync(node, hub).is_complete
    assert node.stock() == hub.stock() == 3


def asked(session: ClientSession, node: Party, hub: Party, request: Request) -> tuple[Response, Request | None]:
    """Let the hub answer one request."""
    refusals = hub.ingest(request.batches)
    response = reply(
        hub.replica, request, release="1", me=hub.signer.node, wall_ms=0, signer=hub.signer, refusals=refusals,
        may_read={ORG: True, HOME: True},
    )  # fmt: skip
    response = decode_response(encode_response(response))
    node.ingest(response.batches)
    return response, session.next(node.replica, ClockReport(0, 0, 5), request, response)


def test_a_long_backlog_goes_in_bounded_batches_and_goes_on_where_the_line_broke() -> None:
    hub, node, _ = fleet()
    count, bytes_max = 1_500, 8 * 1024
    for _ in range(count):
        node.move(1)
    sent = 0
    for cut_after in (3, 3, 1_000):
        session = ClientSession(node.signer, "1", SUBSCRIPTIONS, bytes_max=bytes_max)
        request: Request | None = session.open(node.replica, ClockReport(0, 0, 5))
        for _ in range(cut_after):
            assert request is not None
            bodies = [body for batch in request.batches for body in batch.entries]
            assert sum(map(len, bodies)) <= 2 * bytes_max < BATCH_BYTES_MAX
            assert len(encode_request(request)) < 4 * bytes_max
            sent += len(bodies)
            _, request = asked(session, node, hub, request)
            if request is None:
                break
    assert sent == count, "what had arrived was sent again"
    assert hub.stock() == node.stock() == count


def test_a_session_with_nothing_to_say_costs_one_round_trip_however_many_records_there_are() -> None:
    hub, node, _ = fleet()
    state = read_document(hub.connection, "products/x")
    wanted: dict[tuple[str, str], str | int | bool | None] = {(f"P{n}", "name"): f"Product {n}" for n in range(900)}
    for change in edit(state, wanted, writer=hub.stream(ORG).writer, time_ms=1):
        hub.append(change, ORG)
    sync(node, hub)
    assert node.connection.execute("SELECT count(*) FROM record").fetchone()[0] == 900
    assert node.connection.execute("SELECT count(*) FROM document").fetchone()[0] == 1
    session = ClientSession(node.signer, "1", SUBSCRIPTIONS)
    request = session.open(node.replica, ClockReport(0, 0, 5))
    response, following = asked(session, node, hub, request)
    assert following is None
    assert len(encode(request)) + len(encode(response)) < 2_048
