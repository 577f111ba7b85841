"""What a node's streams hold of shared goods and credit, and how an administrator moves what cannot be spent any more.

A right belongs to a stream. One whose node was stolen, or goes on in a new incarnation after a restore, keeps what it
held from everybody else; so the hub moves it, by entries that say what, how much and who decided: home to the stock's
own place (it is written off), or to the stream that goes on. What the stream had spent before, and the hub had not
heard of, still counts when it comes: then more is spent than was held, and a conflict says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from hub.activity import EVERYWHERE
from hub.own_log import OwnLog
from hub.standing import newest_stream, read_standing
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import LocationId, NodeId, Scope, location_scope, scope_location
from schema.kinds.rights import RightMoved
from sync.replica import Replica
from sync.rights import CREDIT_PREFIX, RightsFigure

_NOBODY: Final = "nobody"


class RightHeld(NamedTuple):
    """A right of one stream: of a product in thousandths, or (`is_credit`) of a customer's credit in minor units.

    `product` is the person's id where it is credit; `is_earlier` where the stream's node goes on in a newer one.
    """

    location: str
    product: str
    writer: str
    quantity: int
    value_minor: int | None
    is_credit: bool
    is_earlier: bool


class RightTaken(NamedTuple):
    """A right that was moved from a node's stream; to `successor`, or home (written off) where that is empty."""

    location: str
    product: str
    quantity: int
    value_minor: int | None
    successor: str
    operator: str
    at_ms: int
    is_credit: bool


class NodeRights(NamedTuple):
    """What a node's streams hold, what was taken from them, and what of that was not given anew to anybody."""

    held: tuple[RightHeld, ...]
    taken: tuple[RightTaken, ...]
    to_give: tuple[RightTaken, ...]

    @property
    def stock(self) -> tuple[RightHeld, ...]:
        """The rights on goods."""
        return tuple(one for one in self.held if not one.is_credit)

    @property
    def has_credit(self) -> bool:
        """Tell whether any of it is a customer's credit, which is told under the customer's name."""
        return any(one.is_credit for one in self.held) or any(one.is_credit for one in self.taken)

    @property
    def earlier(self) -> tuple[RightHeld, ...]:
        """What streams hold that their node no longer writes."""
        return tuple(one for one in self.held if one.is_earlier)


def read_rights(replica: Replica, node: str) -> NodeRights:
    """Return how a node stands with rights; raises RefusalError `node_unknown`."""
    read_standing(replica, NodeId(node))
    taken: list[RightTaken] = []
    left: dict[tuple[str, str], RightTaken] = {}
    for location, at_ms, moved in _moves(replica, node):
        is_credit = moved.product.startswith(CREDIT_PREFIX)
        told = RightTaken(
            location, moved.product.removeprefix(CREDIT_PREFIX), moved.quantity_milli, moved.value_minor,
            moved.successor, moved.operator, at_ms, is_credit,
        )  # fmt: skip
        place = (location, moved.product)
        if _node_of(moved.holder) == node:
            taken.append(told)
        before = left[place].quantity if place in left else 0
        if not moved.holder:
            left[place] = told._replace(quantity=before - told.quantity)
        elif not moved.successor and not is_credit:
            left[place] = told._replace(quantity=before + told.quantity)
    to_give = tuple(one for _, one in sorted(left.items()) if one.quantity > 0)
    return NodeRights(tuple(_held(replica, node)), tuple(taken), to_give)


def _held(replica: Replica, node: str) -> Iterator[RightHeld]:
    newest = newest_stream(replica, NodeId(node), Scope("")).incarnation
    rows = replica.connection.execute(
        "SELECT s.scope, r.scope_no, r.product, r.state FROM right_figure r JOIN scope s ON s.scope_no = r.scope_no"
        " ORDER BY s.scope, r.product"
    ).fetchall()
    for scope, scope_no, product, state in rows:
        location = scope_location(Scope(scope))
        figure = msgspec.msgpack.decode(bytes(state), type=RightsFigure)
        for writer, quantity in figure.held:
            if _node_of(writer) != node or quantity <= 0 or location is None:
                continue
            is_credit = str(product).startswith(CREDIT_PREFIX)
            worth = quantity if is_credit else _worth(replica.connection, int(scope_no), str(product), quantity)
            yield RightHeld(
                str(location), str(product).removeprefix(CREDIT_PREFIX), writer, quantity, worth, is_credit,
                int(writer.rpartition(".")[2]) < newest,
            )  # fmt: skip


def _moves(replica: Replica, node: str) -> Iterator[tuple[str, int, RightMoved]]:
    """Yield (location, when, move) of every right that was moved from a node's streams, or given anew for them."""
    connection = replica.connection
    for row in replica.rows():
        location = scope_location(row.stream.scope)
        if location is None or row.stream.node != replica.organisation.root:
            continue
        for (seq,) in connection.execute(
            "SELECT DISTINCT seq FROM stock_fact WHERE scope_no = ? AND stream_no = ? AND about = 'right' ORDER BY seq",
            (row.scope_no, row.stream_no),
        ).fetchall():
            entry = replica.log.entry_at(row, seq)
            moved = None if entry is None else entry.payload
            if entry is None or not isinstance(moved, RightMoved):
                continue
            if node in {_node_of(moved.holder), _node_of(moved.origin)}:
                yield str(location), entry.hlc[0], moved


def _node_of(writer: str) -> str:
    return writer.rpartition(".")[0] or _NOBODY


def _worth(connection: Connection, scope_no: int, product: str, quantity: int) -> int | None:
    """Return what goods are worth at the cost at which they last came in, at this place or else anywhere."""
    rows = connection.execute(
        "SELECT scope_no, cost_minor FROM last_cost WHERE product = ? AND scope_no IN (?, ?)",
        (product, scope_no, EVERYWHERE),
    ).fetchall()
    costs = {int(where): int(cost) for where, cost in rows if cost is not None}
    cost = costs.get(scope_no, costs.get(EVERYWHERE))
    return None if cost is None else quantity * cost // 1000


def record_write_off(replica: Replica, own_log: OwnLog, node: str, operator: str = "") -> tuple[RightHeld, ...]:
    """Write off what a node that has left holds of goods, within the caller's transaction on `org`; returns it.

    What it held of customers' credit needs no entry: a limit counts no share of a node that has left. Raises
    RefusalError `node_unknown`, or `node_present` where the node is still of the fleet.
    """
    standing = read_standing(replica, NodeId(node))
    if not standing.is_revoked:
        raise RefusalError("node_present", "only rights of a node that has left can be written off: revoke it first")
    held = read_rights(replica, node).stock
    for one in held:
        moved = RightMoved(one.product, one.quantity, one.writer, "", "", operator, one.value_minor)
        _append(replica, own_log, one.location, moved)
    return held


def record_handing(
    replica: Replica, own_log: OwnLog, node: str, successor: str, operator: str = ""
) -> tuple[RightHeld | RightTaken, ...]:
    """Hand a node's rights to the stream that goes on for it, within the caller's transaction on `org`.

    `successor` is the node itself where it was restored (its earlier streams' goods and credit go to its newest), or
    the one that replaces a node that has left: that gets what was written off, as far as so much may still be promised
    at its place. Returns what was handed on. Raises RefusalError `node_unknown`, `node_revoked` where the successor
    has left, `node_present` where the node has not, `rights_missing` where there is nothing to hand on.
    """
    standing, heir = read_standing(replica, NodeId(node)), read_standing(replica, NodeId(successor))
    if heir.is_revoked:
        raise RefusalError("node_revoked", f"the node {successor} has left the fleet")
    done: list[RightHeld | RightTaken] = []
    if node == successor:
        for one in read_rights(replica, node).earlier:
            name = f"{CREDIT_PREFIX}{one.product}" if one.is_credit else one.product
            to = _stream_of(replica, successor, one.location)
            value = None if one.is_credit else one.value_minor
            _append(replica, own_log, one.location, RightMoved(name, one.quantity, one.writer, to, "", operator, value))
            done.append(one)
    else:
        if not standing.is_revoked:
            raise RefusalError("node_present", "a node that is still of the fleet keeps its rights: revoke it first")
        record_write_off(replica, own_log, node, operator)
        for given in read_rights(replica, node).to_give:
            quantity = min(given.quantity, _available(replica, given.location, given.product))
            if quantity <= 0:
                continue
            part = given._replace(quantity=quantity, value_minor=_share(given, quantity))
            to = _stream_of(replica, successor, given.location)
            origin = f"{node}.{newest_stream(replica, NodeId(node), Scope('')).incarnation}"
            moved = RightMoved(given.product, quantity, "", to, origin, operator, part.value_minor)
            _append(replica, own_log, given.location, moved)
            done.append(part)
    if not done:
        raise RefusalError("rights_missing", "there is nothing to hand on, or none of it may be promised any more")
    return tuple(done)


def _share(given: RightTaken, quantity: int) -> int | None:
    return None if given.value_minor is None else given.value_minor * quantity // max(1, given.quantity)


def _available(replica: Replica, location: str, product: str) -> int:
    row = replica.connection.execute(
        "SELECT available FROM right_figure WHERE scope_no = ? AND product = ?",
        (replica.log.scope_no(location_scope(LocationId(location))), product),
    ).fetchone()
    return 0 if row is None else int(row[0])


def _stream_of(replica: Replica, node: str, location: str) -> str:
    return newest_stream(replica, NodeId(node), location_scope(LocationId(location))).writer


def _append(replica: Replica, own_log: OwnLog, location: str, moved: RightMoved) -> None:
    scope = location_scope(LocationId(location))
    replica.log.ensure_scope(scope)
    own_log.append(replica, scope, moved)
