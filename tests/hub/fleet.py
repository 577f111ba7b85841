"""Nodes for the hub's tests: a replica in memory, a key, and requests over HTTP as an agent makes them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
import sqlcipher3.dbapi2 as sqlite_driver

from hub.service import Hub
from schema.codec import encode
from schema.database import migrate, read_migrations
from schema.identity import ORG, NodeId, Scope, Stream
from schema.kinds.base import Payload, StockMove
from schema.kinds.trading import Sale, SaleLine, Tender
from sync.entry import Entry
from sync.messages import Batch, ClockReport, Request, Response, decode_response, encode_request
from sync.organisation import Organisation
from sync.replica import Moment, Replica
from sync.session import ClientSession, SessionResult, Subscription
from sync.signing import SigningKey
from sync.transport import (
    ENROL_PATH,
    SYNC_PATH,
    EnrolRequest,
    EnrolResponse,
    Invitation,
    Problem,
    enrol_proof,
    sign_request,
)
from sync.verification import verify_batch

RELEASE = "test"


def receipts_at(hub: Hub, location: str) -> list[str]:
    """Return the receipt numbers of the sales and refunds that a hub holds of a location, by stream."""
    with hub.store.snapshot() as replica:
        rows = replica.connection.execute(
            "SELECT t.receipt_number FROM sale t JOIN scope s ON s.scope_no = t.scope_no WHERE s.scope = ?"
            " ORDER BY t.stream_no, t.seq",
            (f"loc/{location}",),
        ).fetchall()
    return [str(row[0]) for row in rows]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class ProblemError(Exception):
    """A refusal over HTTP as a test expects it."""

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"{status} {problem.code}: {problem.message}")
        self.status = status
        self.code = problem.code


def checked(response: httpx.Response) -> bytes:
    if response.status_code >= 300:
        raise ProblemError(response.status_code, msgspec.msgpack.decode(response.content, type=Problem))
    return response.content


def sale(number: str, *, lines: int = 1, product: str = "P1", total_minor: int = 500) -> Sale:
    line = SaleLine(product, "piece", 1000, 1000, 500, 500, 1000, "list", 500, "13", 1300, operator="o1")
    return Sale(
        number,
        "2026-11-22",
        "s1",
        "o1",
        (line,) * lines,
        (StockMove(product, -1000),) * lines,
        (Tender("cash", total_minor, total_minor),),
        total_minor,
    )


def join(client: httpx.Client, invitation: str, signer: SigningKey, *, code: str | None = None) -> EnrolResponse:
    """Redeem an invitation; raises ProblemError."""
    code = code or Invitation.parse(invitation).code
    request = EnrolRequest(code, signer.public, signer.sign(enrol_proof(code, signer.public)), RELEASE, now_ms())
    return msgspec.msgpack.decode(checked(client.post(ENROL_PATH, content=encode(request))), type=EnrolResponse)


class FleetNode:
    """A node that has joined; `incarnation` and `signer` may be changed to play tricks."""

    def __init__(self, signer: SigningKey, enrolled: EnrolResponse) -> None:
        self.signer = signer
        self.hub = enrolled.hub
        self.scope = Scope(f"loc/{enrolled.location}")
        self.incarnation = 1
        self.unc_ms: int | None = 0
        self.connection: Any = sqlite_driver.connect(":memory:", isolation_level=None, check_same_thread=False)
        migrate(self.connection, read_migrations("replica"))
        self.replica = Replica(self.connection, Organisation(NodeId(enrolled.hub), enrolled.root_key), ())
        self.replica.log.ensure_scope(ORG)
        self.subscriptions = [Subscription(scope, own) for scope, own in enrolled.subscriptions]

    def stream(self, scope: Scope | None = None) -> Stream:
        return Stream(scope or self.scope, self.signer.node, self.incarnation)

    def append(self, payload: Payload, scope: Scope | None = None) -> Entry:
        return self.replica.append(self.stream(scope), payload, Moment(now_ms(), 0, 0))

    def batch(self, after_seq: int = 0, scope: Scope | None = None) -> Batch:
        """Return this node's own entries above a place, sealed."""
        from sync.messages import Batch as Message
        from sync.signing import seal_message

        stream = self.stream(scope)
        row = self.replica.log.stream(stream)
        assert row is not None
        bodies = tuple(body for _, body in self.replica.log.bodies(row, after_seq, 100_000))
        seal = self.signer.sign(seal_message(stream, row.head.seq, row.head.digest))
        return Message(stream.scope, stream.node, stream.incarnation, after_seq + 1, bodies, seal)

    def request(self, batches: Sequence[Batch] = (), **fields: Any) -> Request:
        blank = ClientSession(self.signer, RELEASE, self.subscriptions).open(self.replica, self.clock())
        return msgspec.structs.replace(blank, batches=tuple(batches), **fields)

    def clock(self) -> ClockReport:
        return ClockReport(now_ms(), 0, self.unc_ms, 2)

    def send(self, client: httpx.Client, body: bytes, *, signer: SigningKey | None = None) -> httpx.Response:
        headers = sign_request(signer or self.signer, self.hub, SYNC_PATH, body, secrets.token_hex(16))
        return client.post(SYNC_PATH, content=body, headers=headers)

    def post(self, client: httpx.Client, body: bytes, *, signer: SigningKey | None = None) -> bytes:
        return checked(self.send(client, body, signer=signer))

    def exchange(self, client: httpx.Client, request: Request) -> Response:
        return decode_response(self.post(client, encode_request(request)))

    def push(self, client: httpx.Client, *batches: Batch) -> Response:
        return self.exchange(client, self.request(batches))

    def sync(self, client: httpx.Client) -> SessionResult:
        """Run one session to its end."""
        session = ClientSession(self.signer, RELEASE, self.subscriptions)
        request: Request | None = session.open(self.replica, self.clock())
        while request is not None:
            response = self.exchange(client, request)
            for batch in response.batches:
                admitted = self.replica.admit(batch)
                if admitted is not None:
                    self.replica.store(verify_batch(*admitted))
            request = session.next(self.replica, self.clock(), request, response)
        return session.result
