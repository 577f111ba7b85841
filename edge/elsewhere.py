"""What lies at the other locations, as the hub last told this node, with the age of each figure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from edge.balances import confirmed_ms
from edge.node import Node
from schema.kinds.organisation import LocationDefined
from sync.elsewhere import PLACES_TOPIC, STOCK, HeldStatements, PlacesTold, StockTold, stock_family


class ElsewhereStock(NamedTuple):
    """Stock on hand of one product at another location in thousandths of its base unit; a range where there is doubt.

    `as_of_ms` is the time, by the hub's clock, up to which that location's tills are included: where one has been
    silent, as long ago as it spoke.
    """

    location: str
    name: str
    value_milli: int
    lo_milli: int
    hi_milli: int
    as_of_ms: int

    def age_ms(self, now_ms: int) -> int:
        """Return how old the figure is."""
        return max(0, now_ms - self.as_of_ms)


def stock_elsewhere(node: Node, product: str) -> list[ElsewhereStock]:
    """Return a product's stock at every other location of which the hub has told, most first; zero is a figure too."""
    held = HeldStatements(node.connection)
    places = held.read(PLACES_TOPIC)
    heard = dict(msgspec.msgpack.decode(places[0], type=PlacesTold).heard) if places else {}
    found: list[ElsewhereStock] = []
    node.organisation.refresh(node.connection)
    for location, defined in node.organisation.newest_each(node.connection, LocationDefined).items():
        told = held.read(stock_family(location), product) if location != node.config.location else None
        if told is None:
            continue
        figures = msgspec.msgpack.decode(told[0], type=StockTold)
        value, lo, hi = next(((v, lo, hi) for name, v, lo, hi in figures.figures if name == product), (0, 0, 0))
        as_of_ms = confirmed_ms(node, STOCK, figures.as_of_ms)
        spoke_ms = heard.get(location, as_of_ms)
        found.append(ElsewhereStock(location, defined.name, value, lo, hi, min(as_of_ms, spoke_ms)))
    return sorted(found, key=lambda one: (-one.value_milli, one.location))
