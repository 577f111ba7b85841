"""Names the other locations of the chain, as this node has heard of them."""

from __future__ import annotations

from edge.node import Node
from schema.kinds.organisation import LocationDefined


def other_places(node: Node) -> list[LocationDefined]:
    """Return every other location, by name."""
    node.organisation.refresh(node.connection)
    found = node.organisation.newest_each(node.connection, LocationDefined)
    others = [one for code, one in found.items() if code != node.config.location]
    return sorted(others, key=lambda one: (one.name, one.location))
