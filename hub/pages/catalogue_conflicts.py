"""The page of edits that met: two people changed one field without knowing of each other, and one value is to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hub.accounts import Right
from hub.acts import author_of
from hub.catalogue import CatalogueDesk
from hub.pages.forms import Form
from hub.pages.inbox import names_of
from hub.pages.visits import Answer, Routes, Visit
from hub.stock_list import product_names
from schema.amounts import format_quantity
from schema.catalogue import DEFAULT_LIST, PriceStep, Scalar, decode_timeline
from schema.errors import RefusalError
from schema.identity import ORG, NodeId, Stream, is_code
from schema.kinds.catalogue import ChangeStamp
from schema.kinds.organisation import AuthorityGranted
from sync.document_conflicts import Candidate, DocumentConflict
from sync.document_projection import document_conflicts
from sync.replica import Replica

routes = Routes()
_EPOCH_MS = 86_400_000
"""A price from the first day of all on has always held."""


@routes.get("/catalogue-conflicts", Right.READ)
def conflicts(visit: Visit) -> Answer:
    """Show edits of one field that did not know of each other, side by side."""
    return _conflicts_page(visit, visit.form, 200)


def _conflicts_page(visit: Visit, form: Form, status: int) -> Answer:
    with visit.read() as replica:
        found = document_conflicts(replica.connection)
        rows = shown_conflicts(visit, replica, found[:200])
    return visit.render("catalogue_conflicts.html", status=status, form=form, rows=rows, count=len(found))


class ConflictShown(NamedTuple):
    """A conflict in words: what it is about with its address, and each candidate as (value, who and when, change).

    `name` is the product's, empty for others; `where` the price list or the location that the field is of.
    """

    id: str
    record: str
    name: str
    kind: str
    where: str
    field: str
    address: str
    candidates: list[tuple[str, str, str]]


def shown_conflicts(visit: Visit, replica: Replica, conflicts: Sequence[DocumentConflict]) -> list[ConflictShown]:
    """Say conflicts in words, their candidates with who stands behind each."""
    names = {one.change: _author(replica, one.stamp) for conflict in conflicts for one in conflict.candidates}
    goods = product_names(replica.connection, {one.record for one in conflicts if _place_of(one) == "products"})
    return [_told(visit, one, names, goods.get(one.record, ("", ""))[0]) for one in conflicts]


def _place_of(conflict: DocumentConflict) -> str:
    """Return whose page a conflict is about: prices and minimums are a product's."""
    kind = conflict.document.partition("/")[0]
    return kind if kind in {"suppliers", "promotions"} else "products"


def _author(replica: Replica, stamp: ChangeStamp) -> str:
    """Return who made a change: a person at the desk, else the node."""
    node, _, incarnation = stamp.writer.rpartition(".")
    granted = replica.organisation.newest(replica.connection, AuthorityGranted, node)
    if granted is not None:
        return granted.name
    operator = author_of(replica, Stream(ORG, NodeId(node), int(incarnation)), stamp.seq)
    return names_of(replica, {operator}).get(operator, "hub")


def _told(visit: Visit, conflict: DocumentConflict, names: Mapping[bytes, str], name: str) -> ConflictShown:
    kind, _, rest = conflict.document.partition("/")
    of = rest.partition("/")[0]
    where = visit.location_name(of) if kind == "minimums" else of if kind == "prices" and of != DEFAULT_LIST else ""
    candidates = [
        (_value_shown(visit, kind, one.value), _edited(visit, one, names), one.change.hex())
        for one in conflict.candidates
    ]
    field = _field_shown(visit, kind, conflict.field)
    address = f"/{_place_of(conflict)}/{conflict.record}"
    return ConflictShown(conflict.id, conflict.record, name, kind, where, field, address, candidates)


def _edited(visit: Visit, one: Candidate, names: Mapping[bytes, str]) -> str:
    return visit.t("conflicts.edited", time=visit.rendering.when(one.stamp.l), who=names[one.change])


def _field_shown(visit: Visit, kind: str, field: str) -> str:
    for name in (f"product.{field}", f"products.{field}", f"suppliers.{field}"):
        if kind != "prices" and visit.t.has(name):
            return visit.t(name)
    return field


def _value_shown(visit: Visit, kind: str, value: Scalar) -> str:
    """Write a value as people read it: a timeline of prices as its prices, a quantity in base units."""
    if value is None or value == "":
        return visit.t("conflicts.none_of_it")
    if kind == "prices":
        return "; ".join(_step_shown(visit, step) for step in decode_timeline(value)[-4:])
    if kind == "minimums" and isinstance(value, int):
        return format_quantity(value)
    return str(value)


@routes.post("/catalogue-conflicts", Right.CATALOGUE)
def settle_conflict(visit: Visit) -> Answer:
    """Settle a conflict by one of its values."""
    form = visit.form
    conflict, chosen = form.text("conflict"), form.text("change")
    try:
        with visit.change(ORG, "catalogue.settle", conflict) as change:
            CatalogueDesk(change.replica, change.own_log).settle(conflict, _bytes(chosen))
        back = form.text("back")
        where = f"/products/{back}" if is_code(back) else "/catalogue-conflicts"
        return visit.redirect(where, done="done.conflict_settled")
    except RefusalError as error:
        form.refuse(error)
        return _conflicts_page(visit, form, 409)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _step_shown(visit: Visit, step: PriceStep) -> str:
    price = visit.rendering.money(step.price_minor)
    details = [visit.rendering.when(step.from_ms)] if step.from_ms > _EPOCH_MS else []
    details += [step.tier] if step.tier else []
    return f"{price} ({', '.join(details)})" if details else price
