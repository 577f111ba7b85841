"""The fleet as its administrator sees it: which nodes there are, when each spoke last, and how one leaves."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from hub import tables
from hub.own_log import OwnLog
from hub.standing import read_standing
from hub.store import HubStore
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, NodeId, location_scope
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked, LocationDefined


class NodeListed(NamedTuple):
    """A node as `edgetill hub nodes` shows it."""

    node: str
    name: str
    location: str
    till: str
    is_revoked: bool
    last_ms: int | None
    offset_ms: int | None
    release: str | None
    entries: int
    bytes_in: int
    bytes_out: int
    status: dict[str, str]


def list_nodes(store: HubStore) -> list[NodeListed]:
    """Return every node that ever joined, by location and till."""
    with store.reading() as connection:
        contacts = {row.node: row for row in connection.execute(sa.select(tables.node_contact))}
    with store.snapshot() as replica:
        grants = replica.organisation.newest_each(replica.connection, AuthorityGranted)
        revoked = replica.organisation.newest_each(replica.connection, AuthorityRevoked)
    listed = []
    for node, grant in grants.items():
        contact = contacts.get(node)
        listed.append(
            NodeListed(
                node,
                grant.name,
                grant.location,
                grant.till,
                node in revoked,
                contact.last_ms if contact else None,
                contact.offset_ms if contact else None,
                contact.release if contact else None,
                contact.entries if contact else 0,
                contact.bytes_in if contact else 0,
                contact.bytes_out if contact else 0,
                msgspec.json.decode(contact.status) if contact else {},
            )
        )
    return sorted(listed, key=lambda node: (node.location, node.till, node.node))


def revoke_node(store: HubStore, own_log: OwnLog, node: str, reason: str) -> AuthorityRevoked:
    """Take a node out of the fleet at what the hub holds of its streams now.

    Raises RefusalError `node_unknown` or `node_revoked`.
    """
    with store.transaction(ORG) as replica:
        standing = read_standing(replica, NodeId(node))
        if standing.is_revoked:
            raise RefusalError("node_revoked", f"the node {node} has left already")
        lasts = tuple(
            (row.stream.scope, row.stream.writer, row.head.seq)
            for row in replica.rows()
            if row.stream.node == standing.node and row.head.seq
        )
        revocation = AuthorityRevoked(node, lasts, reason)
        own_log.append(replica, ORG, revocation)
    return revocation


def define_location(store: HubStore, own_log: OwnLog, location: LocationDefined) -> None:
    """Define a location, or redefine the one with this code."""
    with store.transaction(ORG) as replica:
        own_log.append(replica, ORG, location)
        replica.log.ensure_scope(location_scope(LocationId(location.location)))
