"""The pages of suppliers: listed, added, edited; edits that met are shown with those of products."""

from __future__ import annotations

from hub.accounts import Right
from hub.pages.forms import Form
from hub.pages.visits import Answer, Routes, Visit
from hub.purchasing import SupplierView, find_supplier, list_suppliers, save_supplier
from schema.catalogue import Supplier
from schema.errors import RefusalError
from schema.identity import ORG
from sync.document_projection import document_conflicts

routes = Routes()
_FIELD_OF = {"supplier_code": "code", "supplier_exists": "code", "supplier_name": "name"}


@routes.get("/suppliers", Right.READ)
def suppliers(visit: Visit) -> Answer:
    """List suppliers."""
    with_inactive = bool(visit.query.text("all"))
    with visit.read() as replica:
        rows = list_suppliers(replica.connection, with_inactive=with_inactive)
        clashing = {c.record for c in document_conflicts(replica.connection) if c.document.startswith("suppliers/")}
    return visit.render("suppliers.html", rows=rows, all=with_inactive, clashing=clashing)


@routes.get("/supplier-new", Right.CATALOGUE)
def new_supplier(visit: Visit) -> Answer:
    """Ask for a new supplier."""
    visit.form.fill({"lead_days": "1"})
    return _page(visit, None, 200)


@routes.get("/suppliers/{code:str}", Right.READ)
def supplier(visit: Visit) -> Answer:
    """Show a supplier's record."""
    with visit.read() as replica:
        view = find_supplier(replica.connection, visit.params["code"])
    known = view.supplier
    visit.form.fill(
        {
            "name": known.name, "contact": known.contact, "phone": known.phone, "tax_number": known.tax_number,
            "lead_days": str(known.lead_days), "note": known.note, "active": "1" if known.is_active else "",
        }
    )  # fmt: skip
    return _page(visit, view, 200)


def _page(visit: Visit, view: SupplierView | None, status: int) -> Answer:
    return visit.render(
        "supplier.html", status=status, view=view, version=view.version if view else "",
        may_edit=visit.may("catalogue"),
    )  # fmt: skip


@routes.post("/supplier-new", Right.CATALOGUE)
def add_supplier(visit: Visit) -> Answer:
    """Add a supplier."""
    return _save(visit, visit.form.code("code"), None)


@routes.post("/suppliers/{code:str}", Right.CATALOGUE)
def change_supplier(visit: Visit) -> Answer:
    """Save a supplier; a form that someone else overtook is refused."""
    with visit.read() as replica:
        view = find_supplier(replica.connection, visit.params["code"])
    return _save(visit, visit.params["code"], view)


def _save(visit: Visit, code: str, view: SupplierView | None) -> Answer:
    form = visit.form
    made = _read(form, code, is_new=view is None)
    status = 422
    if form.is_valid:
        try:
            with visit.change(ORG, "supplier.change" if view else "supplier.add", code) as change:
                save_supplier(change.replica, change.own_log, made, form.text("version"), is_new=view is None)
            return visit.redirect("/suppliers", done="done.supplier_saved")
        except RefusalError as error:
            form.refuse(error, _FIELD_OF.get(error.code, ""))
            status = 409 if error.code == "record_changed" else 422
    return _page(visit, view, status)


def _read(form: Form, code: str, *, is_new: bool) -> Supplier:
    return Supplier(
        code=code, name=form.required("name"), contact=form.required("contact", is_required=False),
        phone=form.required("phone", is_required=False, characters_max=40),
        tax_number=form.required("tax_number", is_required=False, characters_max=40),
        lead_days=form.whole("lead_days", is_required=False, highest=365),
        note=form.required("note", is_required=False), is_active=is_new or form.flag("active"),
    )  # fmt: skip
