"""Owns the van's round: whether this location is one, its stops in their order, and what a driver sees of a customer.

Names of the route's customers come with the hub's statement for this location, beside the log, so that forgetting one
takes the name off the van with the next exchange.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from edge.lookup import ReceiptLook, purchases
from edge.members import MemberCard, member_card
from edge.node import Node
from edge.settings import setting
from schema.errors import CorruptionError, RefusalError
from schema.kinds.organisation import CustomerDefined, LocationDefined
from schema.settings import RouteRules
from sync.elsewhere import OPERATORS_TOPIC, HeldStatements, OperatorSecrets
from sync.people import Profile, read_profile, unseal

VAN: Final = "van"
_LAST: Final = 5


class Stop(NamedTuple):
    """A customer on the round: `place` counts from 1, `is_done` since the last settlement.

    `card` has balance, limit and price list; `sold_minor` and `collected_minor` are what this day brought there.
    """

    place: int
    card: MemberCard
    address: str
    note: str
    is_done: bool
    sold_minor: int
    collected_minor: int


def is_van(node: Node) -> bool:
    """Tell whether this node's location is a van."""
    return location_type(node) == VAN


def location_type(node: Node) -> str:
    """Return what kind of place this node's location is: shop, warehouse or van; empty where nobody has said yet."""
    node.organisation.refresh(node.connection)
    defined = node.organisation.newest(node.connection, LocationDefined, node.config.location)
    return "" if defined is None else defined.type


def home_of(node: Node) -> str:
    """Return the warehouse that this van loads from: the setting's, else the only one; empty where nobody said."""
    chosen = setting(node, RouteRules).warehouse
    if chosen:
        return chosen
    known = node.organisation.newest_each(node.connection, LocationDefined).values()
    found = [one.location for one in known if one.type == "warehouse"]
    return found[0] if len(found) == 1 else ""


def stops(node: Node) -> list[Stop]:
    """Return the round in its order; a customer who asked to be forgotten has left it."""
    from edge.van_settlement import since_settled

    keys = _keys(node)
    sold: dict[str, int] = {}
    collected: dict[str, int] = {}
    for payload in since_settled(node):
        member = getattr(payload, "member", "")
        if not member:
            continue
        total = getattr(payload, "total_minor", 0)
        match type(payload).__name__:
            case "Sale":
                sold[member] = sold.get(member, 0) + total
            case "Refund":
                sold[member] = sold.get(member, 0) - total
            case "BalancePaid":
                collected[member] = collected.get(member, 0) + total
            case _:
                continue
    found: list[Stop] = []
    for place, stop in enumerate(setting(node, RouteRules).stops, 1):
        try:
            profile = _profile(node, keys, stop.person)
            card = member_card(node, stop.person, profile.name if profile else "")
        except RefusalError:
            continue
        is_done = stop.person in sold or stop.person in collected
        address = profile.address if profile else ""
        found.append(
            Stop(place, card, address, stop.note, is_done, sold.get(stop.person, 0), collected.get(stop.person, 0))
        )
    return found


def stop_of(node: Node, place: int) -> Stop:
    """Return a stop by its place; raises RefusalError `stop_unknown`."""
    found = next((one for one in stops(node) if one.place == place), None)
    if found is None:
        raise RefusalError("stop_unknown", f"the round has no stop {place}", stop=place)
    return found


def last_purchases(node: Node, person: str) -> list[ReceiptLook]:
    """Return what a customer bought from this van lately, the newest first."""
    return purchases(node, person, _LAST)


def _keys(node: Node) -> dict[str, bytes]:
    held = HeldStatements(node.connection).read(OPERATORS_TOPIC)
    return {} if held is None else dict(msgspec.msgpack.decode(held[0], type=OperatorSecrets).customers)


def _profile(node: Node, keys: dict[str, bytes], person: str) -> Profile | None:
    node.organisation.refresh(node.connection)
    defined = node.organisation.newest(node.connection, CustomerDefined, person)
    key = keys.get(person)
    if defined is None or key is None:
        return None
    try:
        return read_profile(unseal(key, person, defined.sealed_profile))
    except (CorruptionError, msgspec.MsgspecError, ValueError):  # sealed anew; the next exchange brings its key
        return None
