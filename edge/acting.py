"""Who acts: what this node may write, the role that a person may claim here, and the product that a person named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from edge.catalog import find_product
from edge.node import Node, Writing
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.base import Permission, Rank, Vector
from schema.kinds.organisation import OperatorDefined
from schema.rows import StaffRole
from sync.version_vector import seqs

RANK_OF_ROLE: Final[Mapping[str, Rank]] = {
    StaffRole.CASHIER: Rank.CLERK,
    StaffRole.DRIVER: Rank.CLERK,
    StaffRole.SUPERVISOR: Rank.SUPERVISOR,
    StaffRole.STOCK_KEEPER: Rank.SUPERVISOR,
    StaffRole.SHOP_MANAGER: Rank.SUPERVISOR,
    StaffRole.AUDITOR: Rank.AUDITOR,
    StaffRole.ADMINISTRATOR: Rank.ADMIN,
    StaffRole.OWNER: Rank.ADMIN,
}
_ACTS: Final[Mapping[Permission, str]] = {
    Permission.TRADE: "sell",
    Permission.STOCK: "receive, adjust or transfer goods",
    Permission.COUNT: "count stock",
    Permission.RESOLVE: "settle conflicts",
}


def check_permission(node: Node, writing: Writing, permission: Permission) -> Rank:
    """Return the highest role that this node's grant covers; an entry without it would stay without effect.

    Raises RefusalError `not_permitted`. Selling is never asked: a sale is recorded whatever the grant says.
    """
    authority = node.organisation.authority(node.connection, writing.stream())
    order = authority.permissions.get(permission.value)
    if order is None:
        raise RefusalError("not_permitted", f"this node may not {_ACTS[permission]}: ask the administrator for a grant")
    return tuple(Rank)[min(order, Rank.ADMIN.order)]


def acting_rank(node: Node, writing: Writing, permission: Permission, operator: str) -> Rank:
    """Return the role that an operator claims: the person's own, and never more than the node's grant covers.

    Without an operator, or with one whom this node does not know, the entry claims the lowest role for a count.
    A resolution is signed by the node itself then, in the role of its grant.
    """
    most = check_permission(node, writing, permission)
    person = node.organisation.newest(node.connection, OperatorDefined, operator) if operator else None
    if person is None:
        return most if permission is Permission.RESOLVE and not operator else Rank.CLERK
    held = RANK_OF_ROLE.get(person.role, Rank.CLERK)
    return min(held, most, key=lambda rank: rank.order)


def held_vector(node: Node) -> Vector:
    """Return all that this node holds of its location's scope, as looks and resolutions state it."""
    return tuple(sorted(seqs(node.replica.log.heads(node.config.scope)).items()))


def next_entry_id(node: Node, writing: Writing) -> EntryId:
    """Name the entry that the node will append next in its location's scope."""
    stream = writing.stream()
    row = node.replica.log.stream(stream)
    return EntryId(stream, (row.head.seq if row else 0) + 1)


class NamedProduct(NamedTuple):
    """The product that a person named by code or barcode, with the base quantity of what was named."""

    code: str
    name: str
    factor_milli: int
    is_weighed: bool
    is_known: bool


def named_product(node: Node, code: str, unit: str = "") -> NamedProduct:
    """Find the product that a person named; an unknown code stands for itself, goods are never turned away."""
    found = find_product(node, code)
    if found is None:
        if unit:
            raise RefusalError("product_unknown", f"{code} is not in the catalogue: leave the unit out")
        return NamedProduct(code, code, 1000, is_weighed=False, is_known=False)
    product = found.product
    factor = product.factor_milli(unit or found.unit)
    if factor is None:
        raise RefusalError("unit_unknown", f"{product.name} is not kept by {unit}")
    return NamedProduct(product.code, product.name, factor, product.is_weighed, is_known=True)


def base_quantity(product: NamedProduct, quantity_milli: int) -> int:
    """Return a quantity of the named unit in base units; raises RefusalError for a broken piece."""
    total, rest = divmod(product.factor_milli * quantity_milli, 1000)
    if rest or (product.is_known and not product.is_weighed and total % 1000):
        raise RefusalError("quantity_invalid", f"{product.name} is kept in whole pieces")
    return total
