"""A session's promises: it ends, it compares only what is alike, and a rollback leaves nothing behind."""

from __future__ import annotations

from schema.identity import ORG
from schema.kinds.base import StockMove
from schema.kinds.organisation import PolicySet
from schema.kinds.stock import StockAdjusted
from sync.document_projection import read_document
from sync.documents import edit
from sync.messages import ClockReport
from sync.reissue import reissue
from sync.session import ClientSession, Subscription, reply
from tests.sync.replicas import HOME, Party, fleet, grant, sync


def test_a_sale_made_during_a_session_is_no_mismatch_of_folds() -> None:
    hub, node, _ = fleet()
    node.move(1)
    sync(node, hub)
    session = ClientSession(node.signer, "1", (Subscription(ORG), Subscription(HOME)))
    request = session.open(node.replica, ClockReport(0, 0, 5))
    response = reply(
        hub.replica, request, release="1", me=hub.signer.node, wall_ms=0, signer=hub.signer,
        may_read={ORG: True, HOME: True},
    )  # fmt: skip
    node.move(-1)
    assert session.next(node.replica, ClockReport(0, 0, 5), request, response) is None
    assert session.result.mismatched_folds == []


def test_a_grant_that_was_rolled_back_is_not_remembered() -> None:
    hub, node, other = fleet("trade")
    hub.connection.execute("BEGIN")
    grant(hub, node.signer)
    assert "stock" in hub.replica.organisation.authority(hub.connection, node.stream()).permissions
    hub.connection.execute("ROLLBACK")
    hub.replica.forget()
    hub.connection.execute("BEGIN")
    grant(hub, other.signer)
    hub.connection.execute("COMMIT")
    assert "stock" not in hub.replica.organisation.authority(hub.connection, node.stream()).permissions


def _price(party: Party, value: int, role: str) -> None:
    state = read_document(party.connection, "prices/standard/x")
    for change in edit(state, {("P", "pc"): value}, writer=party.stream().writer, time_ms=1, role=role):
        party.append(change)


def test_a_later_promotion_does_not_reorder_the_prices_in_dispute() -> None:
    hub, node, other = fleet()
    _price(node, 100, "clerk")
    _price(other, 200, "supervisor")
    sync(node, hub)
    sync(other, hub)
    reissue(hub.replica, hub.signer.node, 1, hub.moment())
    grant(hub, node.signer, rank="admin")
    late = Party(node.signer)
    for one in (node, other, late):
        sync(one, hub)
    sql = "SELECT content FROM document_conflict"
    shown = [one.connection.execute(sql).fetchall() for one in (hub, node, other, late)]
    assert len(shown[0]) == 1
    assert all(one == shown[0] for one in shown)
    assert read_document(hub.connection, "prices/standard/x").value("P", "pc") == 200


def test_a_change_of_the_catalogue_is_reissued_once_and_reaches_every_location() -> None:
    hub, node, _ = fleet()
    _price(node, 100, "clerk")
    sync(node, hub)
    assert len(reissue(hub.replica, hub.signer.node, 1, hub.moment())) == 1
    assert reissue(hub.replica, hub.signer.node, 1, hub.moment()) == []


def test_a_claimed_role_that_no_grant_covers_changes_no_price() -> None:
    hub, node, _ = fleet()
    _price(node, 100, "admin")
    sync(node, hub)
    assert read_document(hub.connection, "prices/standard/x").value("P", "pc") is None


def test_taking_back_an_entry_of_a_location_takes_back_no_fact_of_the_organisation() -> None:
    hub, _, _ = fleet()
    hub.append(PolicySet("x", 1, 0, "latest", "midpoint"), ORG)
    org = hub.replica.log.stream(hub.stream(ORG))
    assert org is not None
    for _ in range(org.head.seq):
        hub.append(StockAdjusted("found", "o", (StockMove("P", 1000),)))
    row = hub.replica.log.stream(hub.stream())
    assert row is not None
    from sync.replica import stream_effective

    hub.replica.retract(row, list(stream_effective(hub.replica.log, row)))
    assert hub.replica.organisation.newest(hub.connection, PolicySet, "x") is not None
    assert not hub.stock()
