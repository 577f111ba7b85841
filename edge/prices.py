"""Price changes at a node: they apply here at once, travel as entries, and wait for their time offline."""

from __future__ import annotations

from edge.catalog import find_product, price_at
from edge.node import Node
from edge.settings import selling_list
from schema.errors import RefusalError
from sync.catalogue_edits import set_price


def change_price(node: Node, code: str, price_minor: int, *, unit: str = "", from_ms: int | None = None) -> str:
    """Set a price at this location from a moment on (now where none is given); returns the entry's id.

    Raises RefusalError for an unknown product, a node that may not change prices, or a price that stands already.
    """
    found = find_product(node, code)
    if found is None:
        raise RefusalError("product_unknown", f"{code} is not in the catalogue")
    current = price_at(found, unit or found.unit, node.now_ms())
    with node.write() as writing:
        start_ms = writing.clock.wall_ms - writing.clock.offset_ms if from_ms is None else from_ms
        entries = set_price(
            node.replica,
            writing.stream(),
            writing.moment,
            found.product,
            unit or found.unit,
            price_minor,
            start_ms,
            per_milli=current.per.milli if current else 1000,
            price_list=selling_list(node),
        )
        if not entries:
            raise RefusalError("price_unchanged", f"{found.product.name} costs that already")
        return str(entries[0].id)
