"""Who the chain buys from, and how much of a product a location should always have: records that the hub keeps.

Suppliers are records of one shared document, minimums of one document for each location and category: two people who
edit one of them without knowing of each other leave a conflict that the desk shows.
"""

from __future__ import annotations

from edge.node import Node
from schema.catalogue import Supplier, minimums_document, supplier_documents
from sync.document_projection import decode_fields


def suppliers(node: Node, *, with_inactive: bool = False) -> list[Supplier]:
    """Return the suppliers, by name."""
    rows = node.connection.execute(
        "SELECT record, fields FROM record WHERE document >= ? AND document < ? ORDER BY record", supplier_documents()
    ).fetchall()
    found = [Supplier.from_fields(str(code), decode_fields(bytes(fields))) for code, fields in rows]
    return sorted((one for one in found if one.is_active or with_inactive), key=lambda one: (one.name, one.code))


def supplier_name(node: Node, code: str) -> str:
    """Return what a supplier is called; the code itself, or the name that was typed, where there is no record."""
    return next((one.name for one in suppliers(node, with_inactive=True) if one.code == code), code)


def minimums(node: Node) -> dict[str, int]:
    """Return the minimum stock at this location by product, in thousandths of the base unit.

    What is set for the location holds before what the product's own record says for the whole chain.
    """
    found: dict[str, int] = {}
    own = minimums_document(node.config.location, "")
    for document, code, fields in node.connection.execute(
        "SELECT document, record, fields FROM record WHERE document LIKE 'products/%' OR"
        " (document >= ? AND document < ?) ORDER BY document DESC",
        (own, f"{own[:-1]}0"),
    ).fetchall():
        value = decode_fields(bytes(fields)).get("minimum")
        if isinstance(value, int) and not isinstance(value, bool):
            if str(document).startswith(own):
                found[str(code)] = value
            else:
                found.setdefault(str(code), value)
    return {code: value for code, value in found.items() if value > 0}
