"""What a product costs in the standard price list, and what it last cost to buy: for estimates of money at stake."""

from __future__ import annotations

from schema.catalogue import DEFAULT_LIST, decode_timeline
from schema.database import Connection
from sync.document_projection import decode_fields


def standard_price(connection: Connection, scope_no: int, product: str) -> int:
    """Return minor units per 1,000 thousandths of the base unit: the list price, else the last cost, else 0.

    The newest step of the timeline is taken whatever the time is: this weighs conflicts and prices nothing.
    """
    rows = connection.execute(
        "SELECT fields FROM record WHERE record = ? AND document LIKE ? ORDER BY document",
        (product, f"prices/{DEFAULT_LIST}/%"),
    ).fetchall()
    for (fields,) in rows:
        timelines = decode_fields(bytes(fields))
        for unit in ("pc", "kg"):
            steps = [step for step in decode_timeline(timelines.get(unit)) if not step.tier]
            if steps and steps[-1].per_milli:
                return steps[-1].price_minor * 1000 // steps[-1].per_milli
    row = connection.execute(
        "SELECT cost_minor FROM last_cost WHERE scope_no = ? AND product = ?", (scope_no, product)
    ).fetchone()
    return int(row[0]) if row is not None else 0
