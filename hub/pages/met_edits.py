"""Edits that met, in people's words: which product, which field, what each side wrote, when and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hub.pages.visits import Visit
from hub.stock_list import product_names
from schema.amounts import format_quantity
from schema.catalogue import Scalar, decode_timeline
from sync.document_conflicts import DocumentConflict
from sync.explanation import NodeNames
from sync.replica import Replica


class SideTold(NamedTuple):
    """What one side wrote, line by line."""

    change: str
    lines: tuple[str, ...]
    at_ms: int
    by: str


class EditsTold(NamedTuple):
    """One field that two sides changed; the first of `sides` holds until a person chooses."""

    id: str
    record: str
    name: str
    what: str
    is_product: bool
    sides: tuple[SideTold, ...]


def tell_edits(visit: Visit, replica: Replica, found: Sequence[DocumentConflict]) -> list[EditsTold]:
    """Return conflicts of shared documents as the page shows them."""
    names = NodeNames(replica.connection, replica.organisation)
    products = product_names(replica.connection, {one.record for one in found})
    return [
        EditsTold(
            one.id,
            one.record,
            products.get(one.record, (one.record, ""))[0],
            _what(visit, one),
            one.record in products,
            tuple(
                SideTold(side.change.hex(), _lines(visit, one, side.value), side.stamp.l, names.of(side.stamp.writer))
                for side in one.candidates
            ),
        )
        for one in found
    ]


def _what(visit: Visit, one: DocumentConflict) -> str:
    kind, _, rest = one.document.partition("/")
    if kind == "prices":
        return visit.t("conflicts.price_of", unit=one.field, list=rest.partition("/")[0])
    part, _, of = one.field.partition(":")
    known = {"unit": "product.units", "barcode": "product.barcodes"}.get(part if of else "", f"product.{part}")
    words = visit.t(known) if visit.t.has(known) else part
    return f"{words} {of}".strip()


def _lines(visit: Visit, one: DocumentConflict, value: Scalar) -> tuple[str, ...]:
    if one.document.startswith("prices/"):
        return tuple(
            f"{visit.rendering.money(step.price_minor)}"
            + (f" / {format_quantity(step.per_milli)}" if step.per_milli != 1000 else "")
            + (f" {step.tier}" if step.tier else "")
            + (f" · {visit.t('price.from')} {visit.rendering.when(step.from_ms)}" if step.from_ms else "")
            for step in decode_timeline(value)
        ) or ("–",)
    if isinstance(value, bool):
        return (visit.t("yes" if value else "no"),)
    if isinstance(value, int) and one.field.startswith(("unit:", "minimum")):
        return (format_quantity(value),)
    return ("–" if value is None else str(value),)
