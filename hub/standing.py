"""Who a node is in the organisation: its key, what it may hold, and whether it has left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hub.enrolment import EVERY_LOCATION
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, NodeId, Scope, Stream, is_code, location_scope, scope_location
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked
from sync.replica import Replica


class Standing(NamedTuple):
    """One node as the organisation's facts describe it."""

    node: NodeId
    key: bytes
    grants: tuple[AuthorityGranted, ...]
    is_revoked: bool

    @property
    def location(self) -> LocationId:
        """The location that the node joined at."""
        return LocationId(self.grants[-1].location)

    def may_read(self, scopes: Iterable[str]) -> dict[str, bool]:
        """Return those of these scopes that the node may hold: True in full, False its own streams alone."""
        granted = {scope.scope for grant in self.grants for scope in grant.scopes}
        full = {ORG, *(location_scope(LocationId(grant.location)) for grant in self.grants), *granted}
        found: dict[str, bool] = {}
        for scope in scopes:
            if scope in full and scope != EVERY_LOCATION:
                found[scope] = True
            elif EVERY_LOCATION in granted and _is_location(scope):
                found[scope] = False
        return found


def _is_location(scope: str) -> bool:
    location = scope_location(Scope(scope))
    return location is not None and is_code(location)


def read_standing(replica: Replica, node: NodeId) -> Standing:
    """Return a node's standing; raises RefusalError `node_unknown`."""
    connection, organisation = replica.connection, replica.organisation
    grants = tuple(organisation.all(connection, AuthorityGranted, node))
    if not grants:
        raise RefusalError("node_unknown", f"no grant names the node {node}")
    return Standing(node, grants[0].public_key, grants, bool(organisation.all(connection, AuthorityRevoked, node)))


def newest_stream(replica: Replica, node: NodeId, scope: Scope) -> Stream:
    """Return the stream of a scope that a node writes now: of the newest incarnation that the hub heard of anywhere."""
    heard = [row.stream.incarnation for row in replica.rows() if row.stream.node == node and row.head.seq]
    return Stream(scope, node, max(heard, default=1))
