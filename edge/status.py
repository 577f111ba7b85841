"""How a node is doing: what it holds of whom, how old its cache is, how good its clock is, and what waits."""

from __future__ import annotations

from typing import Final

import msgspec

from edge.line_state import line_state
from edge.node import RELEASE, Node
from edge.survival import Survival, survival
from schema.identity import ORG
from schema.kinds.organisation import LocationDefined
from sync.clock import observe
from sync.document_projection import records_digest
from sync.explanation import NodeNames
from sync.log_tables import ZERO_DIGEST
from sync.replica import UNKNOWN_KIND
from sync.session import fold_digests
from sync.version_vector import vector_digest

FRESH_SHARE: Final = 10
"""A cache is fresh for a tenth of the days that it may be old, three of thirty."""
DAY_MS: Final = 86_400_000


class StreamStatus(msgspec.Struct, frozen=True):
    """What is here of one writer."""

    scope: str
    node: str
    writer: str
    entries: int
    last_seq: int
    last_ms: int
    is_own: bool


class ScopeStatus(msgspec.Struct, frozen=True):
    """A scope by the digests that replicas compare: equal vectors must mean equal figures."""

    scope: str
    entries: int
    vector: str
    fold: str


class NodeStatus(msgspec.Struct, frozen=True):
    """A node at one glance."""

    release: str
    node: str
    name: str
    location: str
    till: str
    incarnation: int
    now_ms: int
    last_exchange_ms: int | None
    exchange_age_ms: int | None
    cache: str
    """never, fresh, ageing or old, by the last exchange."""
    is_lease_lapsed: bool
    """The node has traded alone for longer than it was lent; it sells on, and its sales say so."""
    streams: tuple[StreamStatus, ...]
    entries: int
    own_entries: int
    waiting: int
    """Own entries that the hub did not have when the last exchange ended."""
    clock_bound_ms: int | None
    clock_offset_ms: int
    clock_epoch: int
    open_conflicts: int
    parked: int
    inert: dict[str, int]
    quarantined: int
    products: int
    next_receipt: int
    scopes: tuple[ScopeStatus, ...]
    catalogue: str
    """The digest of every record of the shared documents as it reads here."""
    survival: Survival


VAN: Final = "van"
VAN_LEASE_DAYS: Final = 30
"""The cache's own 30 days: never shorter, unless an administrator says so."""
REVOKED: Final = "node_revoked"
"""How a hub answers a node that was taken out of the fleet."""


def is_lease_lapsed(node: Node, last_exchange_ms: int, now_ms: int) -> bool:
    """Tell whether the node has traded alone for longer than its lease, or was told that it left the fleet.

    The node's own setting goes before its location's. A shop without either has no lease; a van, which may be stolen
    with all that is in it, has one of as many days as it keeps its cache.
    """
    days = node.config.lease_days
    if days is None:
        location = node.organisation.newest(node.connection, LocationDefined, node.config.location)
        days = location.lease_days if location is not None else None
        if days is None and location is not None and location.type == VAN and last_exchange_ms:
            days = VAN_LEASE_DAYS  # one that never met its hub was not lent anything: joining is an exchange
    line = line_state(node)
    if line is not None and line.fault == REVOKED:
        return True
    return days is not None and now_ms - last_exchange_ms > days * DAY_MS


def node_status(node: Node) -> NodeStatus:
    """Read a node's status; it changes nothing."""
    with node.store.reading() as connection:
        state = node.state()
        reading = node.clock_source()
        clock = observe(state.clock, reading)
        names = NodeNames(connection, node.organisation)
        streams = tuple(
            StreamStatus(
                row.stream.scope, names.of(row.stream.writer), row.stream.writer, row.head.seq - row.base.seq,
                row.head.seq, row.hlc[0], row.stream.node == node.config.node_id,
            )
            for row in node.replica.rows()
        )  # fmt: skip
        inert = {
            str(reason): int(count)
            for reason, count in connection.execute(
                "SELECT reason, count(*) FROM inert GROUP BY reason ORDER BY reason"
            ).fetchall()
        }
        scope_no = node.replica.log.scope_no(node.config.scope)

        def number(sql: str, *parameters: object) -> int:
            return int(connection.execute(sql, parameters).fetchone()[0])

        exchange = state.last_exchange_ms or None
        age = None if exchange is None else max(0, clock.wall_ms - clock.offset_ms - exchange)
        return NodeStatus(
            release=RELEASE,
            node=node.config.node,
            name=node.config.name,
            location=node.config.location,
            till=node.config.till,
            incarnation=state.incarnation,
            now_ms=clock.wall_ms,
            last_exchange_ms=exchange,
            exchange_age_ms=age,
            cache=cache_age(age, node.config.cache_days),
            is_lease_lapsed=is_lease_lapsed(node, state.last_exchange_ms, clock.wall_ms - clock.offset_ms),
            streams=streams,
            entries=sum(stream.entries for stream in streams),
            own_entries=sum(stream.entries for stream in streams if stream.is_own),
            waiting=max(0, own_total(node) - number("SELECT coalesce(max(acknowledged), 0) FROM node_state")),
            clock_bound_ms=clock.bound_ms(),
            clock_offset_ms=clock.offset_ms,
            clock_epoch=clock.epoch,
            open_conflicts=number("SELECT count(*) FROM conflict WHERE scope_no = ? AND status = 'OPEN'", scope_no),
            parked=inert.get(UNKNOWN_KIND, 0),
            inert={reason: count for reason, count in inert.items() if reason != UNKNOWN_KIND},
            quarantined=number("SELECT count(*) FROM quarantine"),
            products=number("SELECT count(*) FROM record WHERE substr(document, 1, 9) = 'products/'"),
            next_receipt=state.receipt_next,
            scopes=_scopes(node),
            catalogue=records_digest(connection).hex(),
            survival=survival(node),
        )


def _scopes(node: Node) -> tuple[ScopeStatus, ...]:
    digests = fold_digests(node.replica)
    return tuple(
        ScopeStatus(
            scope,
            sum(row.head.seq for row in node.replica.log.streams(scope)),
            vector_digest(node.replica.log.heads(scope)).hex(),
            digests.get(scope, ZERO_DIGEST).hex(),
        )
        for scope in (ORG, node.config.scope)
    )


def own_total(node: Node) -> int:
    """Return how many entries this node has written in all, in every scope and incarnation."""
    return sum(row.head.seq for row in node.replica.rows() if row.stream.node == node.config.node_id)


def cache_age(age_ms: int | None, cache_days: int) -> str:
    """Name the age of what the node knows from elsewhere: never, fresh, ageing or old."""
    if age_ms is None:
        return "never"
    if age_ms <= cache_days * DAY_MS // FRESH_SHARE:
        return "fresh"
    return "ageing" if age_ms <= cache_days * DAY_MS else "old"
