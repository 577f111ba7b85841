"""Replicas on databases in memory and a quiet line between them: what tests of sync need."""

from __future__ import annotations

from typing import Any

import sqlcipher3.dbapi2 as sqlcipher

from schema.database import migrate, read_migrations
from schema.errors import RefusalError
from schema.identity import ORG, Scope, Stream
from schema.kinds.base import Payload, StockMove
from schema.kinds.organisation import AuthorityGranted, OrganisationFounded, ScopeGrant
from schema.kinds.stock import StockAdjusted
from sync.entry import Entry
from sync.messages import Batch, ClockReport, Refusal, decode_request, decode_response, encode_request, encode_response
from sync.organisation import Organisation
from sync.reissue import ReissueProjection
from sync.replica import Moment, Replica
from sync.session import ClientSession, SessionResult, Subscription, reply
from sync.signing import SigningKey
from sync.stock_projection import core_folds
from sync.verification import verify_batch

HOME = Scope("loc/A")
HUB = SigningKey(bytes(31) + b"h")
ALL = ("trade", "stock", "count", "resolve", "catalogue.write")


class Party:
    """One replica with its key; a hub answers, a node asks."""

    def __init__(self, signer: SigningKey, image: Any = None) -> None:
        self.signer = signer
        self.incarnation = 1
        self.now = 1_000
        self.connection = sqlcipher.connect(":memory:", isolation_level=None)
        if image is not None:
            image.backup(self.connection)
        else:
            migrate(self.connection, read_migrations("replica"))
        organisation = Organisation(HUB.node, HUB.public)
        folds = (*core_folds(organisation), ReissueProjection())
        self.replica = Replica(self.connection, organisation, folds)

    def twin(self) -> Party:
        """Copy the disk: the same key and the same log."""
        other = Party(self.signer, self.connection)
        other.incarnation, other.now = self.incarnation, self.now
        return other

    def stream(self, scope: Scope = HOME) -> Stream:
        return Stream(scope, self.signer.node, self.incarnation)

    def moment(self) -> Moment:
        self.now += 1_000
        return Moment(self.now, 5, 0)

    def append(self, payload: Payload, scope: Scope = HOME) -> Entry:
        return self.replica.append(self.stream(scope), payload, self.moment())

    def move(self, pieces: int, product: str = "P") -> Entry:
        return self.append(StockAdjusted("found", "o", (StockMove(product, pieces * 1000),)))

    def stock(self, product: str = "P") -> int | None:
        row = self.connection.execute(
            "SELECT value FROM stock JOIN scope USING (scope_no) WHERE scope = ? AND product = ? AND is_present = 1",
            (HOME, product),
        ).fetchone()
        return None if row is None else int(row[0]) // 1000

    def ingest(self, batches: tuple[Batch, ...]) -> list[Refusal]:
        refusals = []
        for batch in batches:
            try:
                admitted = self.replica.admit(batch)
                if admitted is not None:
                    self.replica.store(verify_batch(*admitted))
            except RefusalError as error:
                refusals.append(Refusal(str(batch.stream), batch.first_seq, error.code, error.message))
        return refusals


def grant(hub: Party, signer: SigningKey, permissions: tuple[str, ...] = ALL, rank: str = "supervisor") -> None:
    """Let a node write in the location's scope, and notices everywhere."""
    scopes = (ScopeGrant(HOME, permissions, rank), ScopeGrant("loc/*", ("notice",), "clerk"))
    hub.append(AuthorityGranted(signer.node, signer.public, "n", "A", "A1", scopes), ORG)


def fleet(*permissions: str) -> tuple[Party, Party, Party]:
    """Return a hub and two nodes of one location that it enrolled."""
    hub = Party(HUB)
    hub.append(OrganisationFounded("X", HUB.public), ORG)
    nodes = [Party(SigningKey(bytes(31) + name)) for name in (b"1", b"2")]
    for node in nodes:
        grant(hub, node.signer, permissions or ALL)
        sync(node, hub)
    return hub, nodes[0], nodes[1]


def sync(client: Party, server: Party, subscriptions: tuple[Subscription, ...] | None = None) -> SessionResult:
    """Run a session on a quiet line; the frames are real."""
    session = ClientSession(client.signer, "1", subscriptions or (Subscription(ORG), Subscription(HOME)))
    request = session.open(client.replica, ClockReport(0, 0, 5))
    for _ in range(100):
        asked = decode_request(encode_request(request))
        refusals = server.ingest(asked.batches)
        response = reply(
            server.replica, asked, release="1", me=server.signer.node, wall_ms=0, signer=server.signer,
            refusals=refusals, may_read={s.scope: not s.own_only for s in asked.scopes},
        )  # fmt: skip
        response = decode_response(encode_response(response))
        client.ingest(response.batches)
        following = session.next(client.replica, ClockReport(0, 0, 5), request, response)
        if following is None:
            return session.result
        request = following
    raise AssertionError("the session never ends")
