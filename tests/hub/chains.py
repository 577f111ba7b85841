"""A small chain at work on a hub: sales, counts, a catalogue, conflicts; and all that a copy of it must show."""

from __future__ import annotations

from typing import Any

import httpx

from hub.customers import record_customer
from hub.enrolment import Profile
from hub.operators import define_operator
from hub.service import Hub
from schema.identity import ORG, Scope
from schema.kinds.base import StockMove
from schema.kinds.counting import CountRecorded, Look
from schema.kinds.organisation import AuthorityGranted
from schema.kinds.stock import GoodsReceived
from schema.rows import CustomerRow
from sync.document_projection import records_digest
from sync.documents import DocumentState, edit
from sync.session import fold_digests
from sync.signing import SigningKey
from sync.version_vector import vector_digest
from tests.hub.fleet import FleetNode, join, now_ms, sale

HOUR_MS = 3_600_000
MEMBER, PHONE, PIN = "李雷", "13800001234", "1357"


def enrolled(hub: Hub, client: httpx.Client, till: str, location: str = "A") -> FleetNode:
    """Let a till join; its clock is nobody's concern here."""
    issued = hub.enrolment.invite(profile=Profile.TILL, location=location, name=till, till=till)
    signer = SigningKey(f"key of {till}".encode().ljust(32, b"."))
    node = FleetNode(signer, join(client, issued.invitation, signer))
    node.unc_ms = HOUR_MS
    return node


def work(hub: Hub, client: httpx.Client, *nodes: FleetNode, rounds: int = 2) -> None:
    """Trade, receive and count; the last piece is sold twice, and two counts disagree."""
    for number in range(rounds):
        for node in nodes:
            mine = f"{node.signer.node}-{number}"
            node.append(GoodsReceived(mine, "s1", "o1", (StockMove("P1", 3_000), StockMove("饮料", 500))))
            node.append(sale(mine, lines=2))
            look = Look(number * 1_000, now_ms() - 1_000, now_ms(), (), ())
            node.append(CountRecorded("P1", "clerk", "o1", (look,)))
            node.append(sale(f"{mine}-2", product="P2"))
    for _ in range(2):
        for node in nodes:
            assert node.sync(client).is_complete
    hub.contacts.flush()


def teach(hub: Hub) -> None:
    """Give the hub a catalogue, a person at work and a member."""
    with hub.store.transaction(ORG) as replica:
        fields: dict[tuple[str, str], Any] = {("P1", "name"): "Water", ("P2", "name"): "苹果"}
        for change in edit(DocumentState("products/drinks"), fields, writer=f"{hub.identity.node}.1", time_ms=0):
            hub.own_log.append(replica, ORG, change)
    define_operator(hub.store, hub.own_log, number="1", name="王芳", role="cashier", locations=["A"], pin=PIN)
    with hub.store.transaction(ORG) as replica:
        record_customer(replica, hub.own_log, CustomerRow(code="c1", name=MEMBER, phone=PHONE), {})


def shown(hub: Hub) -> dict[str, Any]:
    """Return all by which two hubs compare."""
    with hub.store.snapshot() as replica:
        connection = replica.connection
        return {
            "vectors": {scope: vector_digest(replica.log.heads(scope)) for scope in replica.log.scopes()},
            "folds": fold_digests(replica),
            "chains": [replica.log.verify_chain(row) for row in replica.rows()],
            "catalogue": records_digest(connection),
            "grants": sorted(replica.organisation.newest_each(connection, AuthorityGranted)),
            "stock": sorted(
                connection.execute("SELECT scope_no, product, value, lo, hi FROM stock WHERE is_present = 1").fetchall()
            ),
            "inbox": sorted(connection.execute("SELECT scope_no, conflict, state FROM inbox").fetchall()),
            "sales": sorted(connection.execute("SELECT scope_no, stream_no, seq, total_minor FROM sale").fetchall()),
        }


def figures(hub: Hub, scope: str) -> list[tuple[str, int]]:
    """Return what a location has on hand."""
    with hub.store.snapshot() as replica:
        rows = replica.connection.execute(
            "SELECT product, value FROM stock WHERE scope_no = ? AND is_present = 1 ORDER BY product",
            (replica.log.scope_no(Scope(scope)),),
        ).fetchall()
    return [(str(product), int(value)) for product, value in rows]
