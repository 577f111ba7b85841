"""The fleet as its administrator sees it: which nodes there are, when each spoke last, and how one leaves."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from hub.node_rights import record_write_off
from hub.own_log import OwnLog
from hub.pruning import last_before
from hub.standing import read_standing
from hub.store import HubStore
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, NodeId, location_scope
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked, LocationDefined
from sync.replica import Replica

NAME_CHARACTERS_MAX: Final = 200
_SILENT: Final = (None, None, None, 0, 0, 0, "{}")
"""What stands of a node that never spoke, in the columns' order."""
_decode_status = msgspec.json.Decoder(dict[str, str]).decode


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


def list_nodes(replica: Replica) -> list[NodeListed]:
    """Return every node that ever joined, by location and till."""
    connection = replica.connection
    contacts = {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT node, last_ms, offset_ms, release, entries, bytes_in, bytes_out, status FROM node_contact"
        ).fetchall()
    }
    grants = replica.organisation.newest_each(connection, AuthorityGranted)
    revoked = replica.organisation.newest_each(connection, AuthorityRevoked)
    listed = []
    for node, grant in grants.items():
        last_ms, offset_ms, release, entries, bytes_in, bytes_out, status = contacts.get(node, _SILENT)
        listed.append(
            NodeListed(
                node, grant.name, grant.location, grant.till, node in revoked, last_ms, offset_ms, release, entries,
                bytes_in, bytes_out, _decode_status(status),
            )
        )  # fmt: skip
    return sorted(listed, key=lambda node: (node.location, node.till, node.node))


def revoke_node(store: HubStore, own_log: OwnLog, node: str, reason: str, operator: str = "") -> AuthorityRevoked:
    """Take a node out of the fleet at what the hub holds of its streams now.

    Raises RefusalError `node_unknown` or `node_revoked`.
    """
    with store.transaction(ORG) as replica:
        return record_revocation(replica, own_log, node, reason, operator=operator)


def record_revocation(
    replica: Replica, own_log: OwnLog, node: str, reason: str, *, before_ms: int | None = None, operator: str = ""
) -> AuthorityRevoked:
    """Take a node out within the caller's transaction on `org`; with `before_ms`, at its last entries before then.

    An entry is as old as its hybrid time says. What the node may still promise of shared goods is written off with it,
    in the name of `operator`. Raises RefusalError `node_unknown` or `node_revoked`.
    """
    standing = read_standing(replica, NodeId(node))
    if standing.is_revoked:
        raise RefusalError("node_revoked", f"the node {node} has left already")
    lasts = []
    for row in replica.rows():
        if row.stream.node == standing.node and row.head.seq:
            seq = row.head.seq if before_ms is None else last_before(replica, row, before_ms)
            lasts.append((row.stream.scope, row.stream.writer, seq))
    revocation = AuthorityRevoked(node, tuple(lasts), reason)
    own_log.append(replica, ORG, revocation)
    record_write_off(replica, own_log, node, operator)
    return revocation


def entries_from(replica: Replica, node: str, before_ms: int) -> int:
    """Return how many entries a revocation at a moment would leave without effect."""
    return sum(
        row.head.seq - last_before(replica, row, before_ms)
        for row in replica.rows()
        if row.stream.node == node and row.head.seq
    )


def rename_node(replica: Replica, own_log: OwnLog, node: str, name: str) -> AuthorityGranted:
    """Give a node another name within the caller's transaction on `org`; what it may write stays as it is.

    Raises RefusalError `node_unknown`, `node_revoked` or `name_invalid`.
    """
    standing = read_standing(replica, NodeId(node))
    if standing.is_revoked:
        raise RefusalError("node_revoked", f"the node {node} has left already")
    if not name.strip() or len(name) > NAME_CHARACTERS_MAX:
        raise RefusalError("name_invalid", f"a name has 1 to {NAME_CHARACTERS_MAX} characters")
    newest = standing.grants[-1]
    renamed = msgspec.structs.replace(newest, name=name.strip())
    own_log.append(replica, ORG, renamed)
    return renamed


def define_location(store: HubStore, own_log: OwnLog, location: LocationDefined) -> None:
    """Define a location, or redefine the one with this code."""
    with store.transaction(ORG) as replica:
        own_log.append(replica, ORG, location)
        replica.log.ensure_scope(location_scope(LocationId(location.location)))
