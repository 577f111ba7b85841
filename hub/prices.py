"""What a product costs in the standard price list, and what it last cost to buy: for estimates of money at stake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hub.activity import EVERYWHERE
from schema.catalogue import DEFAULT_LIST, decode_timeline
from schema.database import Connection
from sync.document_projection import decode_fields

_AT_ONCE: Final = 500


def standard_price(connection: Connection, scope_no: int, product: str) -> int:
    """Return minor units per 1,000 thousandths of the base unit: the list price, else the last cost, else 0.

    The newest step of the timeline is taken whatever the time is: this weighs conflicts and prices nothing.
    """
    return standard_prices(connection, scope_no, [product]).get(product, 0)


def standard_prices(connection: Connection, scope_no: int, products: Sequence[str]) -> dict[str, int]:
    """Return the same for many products at once; those without price and cost are left out."""
    found: dict[str, int] = {}
    for start in range(0, len(products), _AT_ONCE):
        part = list(products[start : start + _AT_ONCE])
        marks = ", ".join("?" * len(part))
        rows = connection.execute(
            f"SELECT record, fields FROM record WHERE record IN ({marks}) AND document LIKE ? ORDER BY document",
            (*part, f"prices/{DEFAULT_LIST}/%"),
        ).fetchall()
        for product, fields in rows:
            price = _newest_price(bytes(fields)) if product not in found else None
            if price is not None:
                found[product] = price
        rows = connection.execute(
            f"SELECT product, cost_minor FROM last_cost WHERE product IN ({marks}) AND scope_no IN (?, ?)"
            " ORDER BY scope_no DESC",
            (*part, EVERYWHERE, scope_no),
        ).fetchall()
        for product, cost_minor in rows:
            found.setdefault(product, int(cost_minor))
    return found


def _newest_price(fields: bytes) -> int | None:
    timelines = decode_fields(fields)
    for unit in ("pc", "kg"):
        steps = [step for step in decode_timeline(timelines.get(unit)) if not step.tier]
        if steps and steps[-1].per_milli:
            return steps[-1].price_minor * 1000 // steps[-1].per_milli
    return None
