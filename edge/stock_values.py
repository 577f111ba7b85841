"""What goods are worth at this location: the cost at which they last came in, else the price at which they are sold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from edge.catalog import price_at, product_of
from edge.node import Node
from schema.kinds.stock import GoodsReceived
from schema.rules.rounding import divide
from sync.log_tables import StreamRow


class Worth(NamedTuple):
    """What 1,000 thousandths of a product are worth in minor units, and whether that is a cost or a selling price."""

    minor: int
    is_cost: bool

    def of(self, quantity_milli: int) -> int:
        """Return what a quantity is worth, rounded half up."""
        return divide(self.minor * quantity_milli, 1000)


class Worths:
    """Finds what goods are worth; made for one report, it reads no entry twice."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._scope_no = node.replica.log.scope_no(node.config.scope)
        self._rows: dict[int, StreamRow] = {row.stream_no: row for row in node.replica.log.streams(node.config.scope)}
        self._costs: dict[tuple[int, int], tuple[int, dict[str, int]]] = {}
        self._now_ms = node.now_ms()

    def of(self, product: str) -> Worth | None:
        """Return the worth of a product; None where it has neither a cost nor a price here."""
        cost = self._last_cost(product)
        if cost is not None:
            return Worth(cost, is_cost=True)
        found = product_of(self._node, product)
        price = None if found is None else price_at(found, "", self._now_ms)
        return None if price is None else Worth(divide(price.price_minor * 1000, price.per.milli), is_cost=False)

    def all(self, products: Iterable[str]) -> dict[str, Worth]:
        """Return the worth of each product that has one."""
        return {product: worth for product in products if (worth := self.of(product)) is not None}

    def _last_cost(self, product: str) -> int | None:
        places = self._node.connection.execute(
            "SELECT DISTINCT m.stream_no, m.seq FROM movement m JOIN stock s ON s.scope_no = m.scope_no"
            " AND s.key_no = m.key_no WHERE s.scope_no = ? AND s.product = ? AND m.quantity > 0",
            (self._scope_no, product),
        ).fetchall()
        told: list[tuple[int, int]] = []
        for place in places:
            at_ms, costs = self._costs_at(place)
            if product in costs:
                told.append((at_ms, costs[product]))
        return max(told)[1] if told else None

    def _costs_at(self, place: tuple[int, int]) -> tuple[int, dict[str, int]]:
        """Return when an entry was written, and what it says that goods cost."""
        known = self._costs.get(place)
        if known is None:
            row = self._rows.get(place[0])
            entry = None if row is None else self._node.replica.log.entry_at(row, place[1])
            if entry is None or not isinstance(entry.payload, GoodsReceived):
                known = (0, {})
            else:
                known = (entry.body.wall_ms + entry.body.hlc_ahead_ms, dict(entry.payload.costs))
            self._costs[place] = known
        return known
