"""Stock figures as the desk lists them: by location and product, a page at a time, with what is in doubt."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from hub.activity import EVERYWHERE
from hub.product_index import matching
from schema.database import Connection

KINDS: Final = ("negative", "doubt", "zero")


class StockRow(NamedTuple):
    """A product's figure at a location, in thousandths of its base unit."""

    location: str
    product: str
    name: str
    category: str
    value: int
    lo: int
    hi: int
    cost_minor: int | None

    @property
    def value_minor(self) -> int | None:
        """What it is worth at its last received cost."""
        return None if self.cost_minor is None or self.value < 0 else self.value * self.cost_minor // 1000


def list_stock(
    connection: Connection,
    scope_nos: Collection[int],
    *,
    text: str = "",
    category: str = "",
    kind: str = "",
    offset: int = 0,
    limit: int = 50,
) -> list[StockRow]:
    """List figures by product, then location, of those locations alone; `kind` narrows to what needs a look."""
    marks = ", ".join("?" * len(scope_nos)) or "NULL"
    where = [f"k.scope_no IN ({marks})", "k.is_present = 1"]
    parameters: list[object] = [EVERYWHERE, *sorted(scope_nos)]
    if text or category:
        narrowed, words = matching(text, category=category)
        where.append(f"k.product IN (SELECT product FROM product_index WHERE {narrowed})")
        parameters += words
    match kind:
        case "negative":
            where.append("k.value < 0")
        case "doubt":
            where.append("k.lo <> k.hi")
        case "zero":
            where.append("k.value = 0")
        case _:
            pass
    rows = connection.execute(
        "SELECT s.scope, k.product, k.value, k.lo, k.hi, coalesce(c.cost_minor, e.cost_minor)"
        " FROM stock k JOIN scope s ON s.scope_no = k.scope_no"
        " LEFT JOIN last_cost c ON c.scope_no = k.scope_no AND c.product = k.product"
        " LEFT JOIN last_cost e ON e.scope_no = ? AND e.product = k.product"
        f" WHERE {' AND '.join(where)} ORDER BY k.product, k.scope_no LIMIT ? OFFSET ?",
        (*parameters, limit, offset),
    ).fetchall()
    names = product_names(connection, {str(row[1]) for row in rows})
    return [
        StockRow(
            str(scope)[4:], str(product), *names.get(str(product), (str(product), "")), int(value), int(lo), int(hi),
            None if cost is None else int(cost),
        )
        for scope, product, value, lo, hi, cost in rows
    ]  # fmt: skip


def product_names(connection: Connection, products: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return (name with size, category) of products; one that the catalogue does not have is left out."""
    found: dict[str, tuple[str, str]] = {}
    wanted = sorted(products)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        marks = ", ".join("?" * len(part))
        for product, name, spec, category in connection.execute(
            f"SELECT product, name, spec, category FROM product_index WHERE product IN ({marks})"
            " ORDER BY product, document DESC",
            part,
        ).fetchall():
            found[str(product)] = (f"{name} {spec}".strip(), str(category))
    return found
