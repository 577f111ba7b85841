"""Records counts from a spreadsheet: all its lines or none, and every fault named by its line."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from edge.acting import base_quantity, held_vector, named_product
from edge.counting import OpenLook, RecordedCount, check_open, record, session_of
from edge.node import Node
from schema.amounts import parse_quantity
from schema.errors import RefusalError
from schema.tabular import read_table

_COLUMNS: Final = {
    "product": ("product", "code", "barcode", "sku", "商品", "商品编码", "编码", "条码"),
    "quantity": ("quantity", "qty", "counted", "数量", "盘点数量", "实盘数量"),
    "zone": ("zone", "shelf", "区域", "货架"),
}


def import_counts(
    node: Node, name: str, content: bytes, *, session: str = "", operator: str = ""
) -> tuple[RecordedCount, ...]:
    """Record the counts of a CSV or Excel sheet (product, quantity and, in a session, zone): all lines or none.

    The look of each line is the moment of the import: import before selling on. Raises RefusalError
    `count_import` that names every line at fault.
    """
    table = read_table(PurePath(name).name, content)
    places: dict[str, int] = {}
    for column, names in _COLUMNS.items():
        found = [place for place, cell in enumerate(table.header) if cell.strip().lower() in names]
        if found:
            places[column] = found[0]
    if lacking := [column for column in ("product", "quantity") if column not in places]:
        raise RefusalError("count_columns", f"{table.name} lacks the column {' and '.join(lacking)}")
    faults: list[str] = []
    totals: dict[tuple[str, str], int] = {}
    with node.write() as writing:
        plan = session_of(node, session) if session else None
        if session:
            check_open(node, session)
        for line, cells in table.rows:
            zone = cells[places["zone"]].strip() if "zone" in places else ""
            try:
                totals_key, quantity = _count_line(node, cells[places["product"]], cells[places["quantity"]], zone)
                if plan is not None and (zone not in plan.zones if plan.zones else zone != ""):
                    raise ValueError(f"the zones of {session} are {', '.join(plan.zones) or 'none'}")
                totals[totals_key] = totals.get(totals_key, 0) + quantity
            except (RefusalError, ValueError) as error:
                faults.append(f"line {line}: {error}")
        faults += [f"line {line}: more cells than the header has" for line in table.overlong]
        if faults or not totals:
            shown = "; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if len(faults) > 10 else "")
            raise RefusalError("count_import", f"{table.name} was not imported: {shown or 'it has no lines'}")
        now, basis = writing.moment.wall_ms, held_vector(node)
        looks = [
            OpenLook(product, session, zone, now, now, basis, basis, quantity)
            for (product, zone), quantity in sorted(totals.items())
        ]
        return record(node, writing, looks, session, operator)


def _count_line(node: Node, product: str, quantity: str, zone: str) -> tuple[tuple[str, str], int]:
    if not product.strip():
        raise ValueError("no product")
    named = named_product(node, product.strip())
    if not named.is_known:
        raise ValueError(f"{product.strip()} is not in the catalogue")
    amount = parse_quantity(quantity)
    if amount < 0:
        raise ValueError("a counted quantity is not negative")
    return (named.code, zone), base_quantity(named, amount)
