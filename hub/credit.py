"""Customers' own limits of credit at the hub: what each may owe, what of it is owed, and who was given the rest.

The hub is the home of credit. It gives nodes parts of a limit as rights; a node lends no more than it was given. So
what is owed and what nodes may still lend never exceed the limit, however long they do not hear of each other. What a
customer pays elsewhere makes room here again, and room is given out anew.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.findings import note_credit_due
from hub.own_log import OwnLog
from hub.standing import newest_stream
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, NodeId, location_scope
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked
from schema.kinds.rights import RightGranted
from schema.kinds.vans import CreditLimited
from schema.rows import BalanceKind
from sync.elsewhere import slot_of
from sync.replica import Replica
from sync.rights import CREDIT_PREFIX
from sync.stock_facts import Key
from sync.stock_tables import StockTables

LIMIT_MAX: Final = 10_000_000_000
"""A hundred million 元: more is a mistyped amount."""


class CreditShare(NamedTuple):
    """What one stream of a node may still lend; `is_written_off` where its node has left the fleet."""

    location: str
    node: str
    name: str
    writer: str
    left_minor: int
    is_written_off: bool


class CreditStanding(NamedTuple):
    """A customer's credit: `limit_minor` is None where the chain's limit applies; `room_minor` may still be given."""

    person: str
    limit_minor: int | None
    owed_minor: int
    shares: tuple[CreditShare, ...]

    @property
    def room_minor(self) -> int:
        """What may still be given to nodes."""
        given = sum(max(0, one.left_minor) for one in self.shares if not one.is_written_off)
        return max(0, (self.limit_minor or 0) - max(0, self.owed_minor) - given)


def read_credit(replica: Replica, person: str) -> CreditStanding:
    """Return how a customer's credit stands."""
    connection, organisation = replica.connection, replica.organisation
    limited = organisation.newest(connection, CreditLimited, person)
    (owed,) = connection.execute(
        "SELECT coalesce(sum(amount), 0) FROM balance WHERE slot = ? AND subject = ? AND balance = ?",
        (slot_of(person), person, BalanceKind.CUSTOMER_CREDIT.value),
    ).fetchone()
    limit = limited.limit_minor if limited is not None else None
    return CreditStanding(person, limit, int(owed), _shares(replica, person) if limited is not None else ())


def _shares(replica: Replica, person: str) -> tuple[CreditShare, ...]:
    connection, organisation = replica.connection, replica.organisation
    revoked = organisation.newest_each(connection, AuthorityRevoked)
    grants = organisation.newest_each(connection, AuthorityGranted)
    found: list[CreditShare] = []
    for location in sorted({grant.location for grant in grants.values()}):
        scope = location_scope(LocationId(location))
        number = replica.log.scope_no(scope)
        if number is None:
            continue
        key = Key(LocationId(location), CREDIT_PREFIX + person)
        figure = StockTables(connection, number, scope, LocationId(location)).load_rights([key]).get(key)
        for writer, left in figure.held if figure is not None else ():
            node = writer.rpartition(".")[0]
            name = grants[node].name if node in grants else node
            found.append(CreditShare(location, node, name, writer, left, node in revoked))
    return tuple(found)


def record_limit(replica: Replica, own_log: OwnLog, person: str, limit_minor: int | None, operator: str = "") -> None:
    """Set what a customer may owe, within the caller's transaction on `org`; None follows the chain's setting again.

    Raises RefusalError `limit_invalid`. A limit below what is owed or given lends nothing more; what nodes were given
    before stays theirs.
    """
    if limit_minor is not None and not 0 <= limit_minor <= LIMIT_MAX:
        raise RefusalError("limit_invalid", "a limit of credit is nothing or an amount")
    known = replica.organisation.newest(replica.connection, CreditLimited, person)
    if known is not None and known.limit_minor == limit_minor:
        return
    own_log.append(replica, ORG, CreditLimited(person, limit_minor, operator))
    note_credit_due(replica.connection)


def record_share(
    replica: Replica, own_log: OwnLog, person: str, node: str, amount_minor: int, operator: str = ""
) -> None:
    """Give a node the right to lend a part of a customer's limit, within the caller's transaction on `org`.

    `node` is a node's id, its till's number, or a location with one node. Raises RefusalError `limit_missing`,
    `credit_room` (facts: room_minor), `node_unknown` or `node_revoked`.
    """
    standing = read_credit(replica, person)
    if standing.limit_minor is None:
        raise RefusalError("limit_missing", "give the customer a limit of their own first")
    if not 0 < amount_minor <= standing.room_minor:
        raise RefusalError(
            "credit_room",
            f"only {standing.room_minor / 100:.2f} of this customer's limit is neither owed nor given",
            room_minor=standing.room_minor,
            room=f"{standing.room_minor / 100:.2f}",
        )
    grant = find_node(replica, node)
    scope = location_scope(LocationId(grant.location))
    holder = newest_stream(replica, NodeId(grant.node), scope).writer
    replica.log.ensure_scope(scope)
    own_log.append(replica, scope, RightGranted(CREDIT_PREFIX + person, amount_minor, holder, operator))


def find_node(replica: Replica, name: str) -> AuthorityGranted:
    """Find a node by its id, its till's number or a location that has only one; raises RefusalError."""
    grants = replica.organisation.newest_each(replica.connection, AuthorityGranted)
    revoked = replica.organisation.newest_each(replica.connection, AuthorityRevoked)
    if name in revoked:
        raise RefusalError("node_revoked", f"the node {name} has left the fleet")
    here = [one for one in grants.values() if one.node not in revoked]
    for found in ([one for one in here if one.node == name], [one for one in here if one.till == name],
                  [one for one in here if one.location == name]):  # fmt: skip
        if len(found) == 1:
            return found[0]
    raise RefusalError("node_unknown", f"{name!r} names no node, or several: say its id or its till's number")
