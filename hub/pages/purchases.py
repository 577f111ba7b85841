"""The pages of what is bought: orders with what came of them, drafts that shops made, goods asked of another shop."""

from __future__ import annotations

import hashlib

from hub.accounts import Right
from hub.minimums import below_minimum
from hub.pages.forms import Form
from hub.pages.visits import Answer, Routes, Visit
from hub.purchasing import (
    ListedBuying,
    ask_transfer,
    close_order,
    decline_draft,
    find_order,
    line_names,
    list_buying,
    list_suppliers,
    place_order,
    read_lines,
    write_lines,
)
from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, location_scope
from sync.buying import About, Buying, BuyingState
from sync.replica import Replica

routes = Routes()
_STATES = {
    "open": (BuyingState.OPEN, BuyingState.PARTLY), "received": (BuyingState.RECEIVED,),
    "closed": (BuyingState.CLOSED,),
}  # fmt: skip
_FIELD_OF = {
    "order_line": "lines", "order_empty": "lines", "order_long": "lines", "product_unknown": "lines",
    "unit_unknown": "lines", "supplier_unknown": "supplier", "location_unknown": "source", "location_own": "source",
}  # fmt: skip


@routes.get("/orders", Right.READ)
def orders(visit: Visit) -> Answer:
    """List orders, and above them the drafts of shops that wait for an answer."""
    page, location = visit.paging(), visit.query.text("location")
    state = visit.query.choice("state", _STATES)
    places = [location] if location else list(visit.locations)
    with visit.read() as replica:
        wanted = _STATES.get(state, ())
        rows = page.cut(list_buying(replica, About.ORDER, places, wanted, offset=page.offset, limit=page.size + 1))
        drafts = list_buying(replica, About.DRAFT, places, [BuyingState.OPEN], limit=50)
        asked = list_buying(replica, About.TRANSFER, places, [BuyingState.OPEN], limit=50)
    return visit.render("orders.html", rows=rows, page=page, drafts=drafts, asked=asked, states=list(_STATES))


@routes.get("/order-new", Right.CATALOGUE)
def new_order(visit: Visit) -> Answer:
    """Ask for a new order; a shop's draft, or what is below its minimum, fills the form."""
    location, draft = visit.query.text("location"), visit.query.text("draft")
    filled = {"location": location, "supplier": visit.query.text("supplier")}
    if location and draft:
        with visit.read() as replica:
            known = find_order(replica, location, draft, About.DRAFT).known
        filled |= {
            "draft": draft, "supplier": known.source, "note": known.note,
            "lines": _lines_of(visit, known),
        }  # fmt: skip
    elif location and visit.query.text("fill") == "below":
        with visit.read() as replica:
            short = [(code, quantity, None) for code, quantity in below_minimum(replica, location)]
            filled["lines"] = write_lines(replica.connection, short)
    visit.form.fill(filled)
    return _form_page(visit, visit.form, None, 200)


def _lines_of(visit: Visit, known: Buying, *, with_costs: bool = False) -> str:
    with visit.read() as replica:
        return _written(replica, known, with_costs=with_costs)


def _written(replica: Replica, known: Buying, *, with_costs: bool) -> str:
    return write_lines(
        replica.connection,
        [(one.product, one.ordered_milli, one.cost_minor if with_costs else None) for one in known.lines
         if one.ordered_milli]
    )  # fmt: skip


def _form_page(visit: Visit, form: Form, known: ListedBuying | None, status: int) -> Answer:
    with visit.read() as replica:
        suppliers = [(one.code, f"{one.name} ({one.code})") for one in list_suppliers(replica.connection)]
    return visit.render("order_form.html", status=status, form=form, known=known, suppliers=suppliers)


@routes.post("/order-new", Right.CATALOGUE)
def add_order(visit: Visit) -> Answer:
    """Place an order; the location's nodes hear of it with their next exchange."""
    form = visit.form
    location = form.one_of("location", set(visit.locations))
    return _place(visit, form, location, None)


def _place(visit: Visit, form: Form, location: str, known: ListedBuying | None) -> Answer:
    supplier = form.required("supplier", text="form.choose")
    due = form.date("due", is_required=False)
    note = form.required("note", is_required=False)
    if form.is_valid:
        try:
            number = "" if known is None else known.known.number
            with visit.change(location_scope(LocationId(location)), "order.place", number or location) as change:
                if known is not None:
                    form.check_version(_version(find_order(change.replica, location, number)))
                lines = read_lines(change.replica.connection, form.shown("lines"))
                number = place_order(
                    change.replica, change.own_log, location, lines, supplier=supplier,
                    operator=visit.account.operator, due=due, note=note, draft=form.text("draft"), number=number,
                )  # fmt: skip
            done = "done.order_changed" if known is not None else "done.order_placed"
            return visit.redirect(f"/orders/{location}/{number}", done=done)
        except RefusalError as error:
            form.refuse(error, _FIELD_OF.get(error.code, ""))
    return _form_page(visit, form, known, 422)


def _version(listed: ListedBuying) -> str:
    return hashlib.sha256(encode(listed.known)).hexdigest()[:16]


@routes.get("/orders/{location:str}/{number:str}", Right.READ)
def order(visit: Visit) -> Answer:
    """Show an order with what came of it, delivery by delivery."""
    return _order_page(visit, visit.form, 200)


def _order_page(visit: Visit, form: Form, status: int) -> Answer:
    location, number = visit.params["location"], visit.params["number"]
    with visit.read() as replica:
        listed = find_order(replica, location, number)
        names = line_names(replica.connection, listed.known)
    return visit.render("order.html", status=status, form=form, listed=listed, order=listed.known, names=names)


@routes.get("/orders/{location:str}/{number:str}/edit", Right.CATALOGUE)
def edit_order(visit: Visit) -> Answer:
    """Show the form of an open order."""
    with visit.read() as replica:
        listed = find_order(replica, visit.params["location"], visit.params["number"])
    known = listed.known
    visit.form.fill(
        {
            "location": listed.location, "supplier": known.source, "due": known.due, "note": known.note,
            "lines": _lines_of(visit, known, with_costs=True),
            "version": _version(listed),
        }
    )  # fmt: skip
    return _form_page(visit, visit.form, listed, 200)


@routes.post("/orders/{location:str}/{number:str}/edit", Right.CATALOGUE)
def change_order(visit: Visit) -> Answer:
    """Change an open order: what was ordered before is replaced, what came of it stays."""
    location = visit.params["location"]
    with visit.read() as replica:
        listed = find_order(replica, location, visit.params["number"])
    return _place(visit, visit.form, location, listed)


@routes.post("/orders/{location:str}/{number:str}/close", Right.CATALOGUE)
def end_order(visit: Visit) -> Answer:
    """Close an order: nothing more of it is expected."""
    form, location, number = visit.form, visit.params["location"], visit.params["number"]
    note = form.required("note", is_required=False)
    try:
        with visit.change(location_scope(LocationId(location)), "order.close", number) as change:
            close_order(change.replica, change.own_log, location, number, operator=visit.account.operator, note=note)
        return visit.redirect(f"/orders/{location}/{number}", done="done.order_closed")
    except RefusalError as error:
        form.refuse(error)
        return _order_page(visit, form, 409)


# Drafts of shops.


@routes.get("/goods-drafts/{location:str}/{number:str}", Right.READ)
def goods_draft(visit: Visit) -> Answer:
    """Show what a shop wants, with the ways to answer it."""
    return _draft_page(visit, visit.form, 200)


def _draft_page(visit: Visit, form: Form, status: int) -> Answer:
    location = visit.params["location"]
    with visit.read() as replica:
        listed = find_order(replica, location, visit.params["number"], About.DRAFT)
        names = line_names(replica.connection, listed.known)
    known = listed.known
    form.fill({"source": known.source, "lines": _lines_of(visit, known)})
    places = [(code, place.name) for code, place in visit.locations.items() if code != location]
    return visit.render(
        "goods_draft.html", status=status, form=form, listed=listed, draft=known, names=names, places=places
    )


@routes.post("/goods-drafts/{location:str}/{number:str}/decline", Right.CATALOGUE)
def refuse_draft(visit: Visit) -> Answer:
    """Answer a draft with no, and why."""
    form, location, number = visit.form, visit.params["location"], visit.params["number"]
    note = form.required("reason")
    if form.is_valid:
        try:
            with visit.change(location_scope(LocationId(location)), "draft.decline", number) as change:
                decline_draft(
                    change.replica, change.own_log, location, number, operator=visit.account.operator, note=note
                )
            return visit.redirect("/orders", done="done.draft_declined")
        except RefusalError as error:
            form.refuse(error)
    return _draft_page(visit, form, 422)


@routes.post("/goods-drafts/{location:str}/{number:str}/ask", Right.CATALOGUE)
def ask_for_goods(visit: Visit) -> Answer:
    """Ask another location to send the goods; its nodes show it where they send."""
    form, location, number = visit.form, visit.params["location"], visit.params["number"]
    source = form.required("source", text="form.choose")
    note = form.required("note", is_required=False)
    if form.is_valid:
        try:
            with visit.change(ORG, "transfer.ask", number) as change:
                lines = read_lines(change.replica.connection, form.shown("lines"))
                ask_transfer(
                    change.replica, change.own_log, location, source, lines, operator=visit.account.operator,
                    draft=number, note=note,
                )  # fmt: skip
            return visit.redirect("/orders", done="done.transfer_asked")
        except RefusalError as error:
            form.refuse(error, _FIELD_OF.get(error.code, ""))
    return _draft_page(visit, form, 422)


@routes.post("/asked-transfers/{location:str}/{number:str}/close", Right.CATALOGUE)
def end_asked(visit: Visit) -> Answer:
    """Take back what was asked of a location."""
    location, number = visit.params["location"], visit.params["number"]
    with visit.change(location_scope(LocationId(location)), "transfer.unask", number) as change:
        close_order(
            change.replica, change.own_log, location, number, operator=visit.account.operator, about=About.TRANSFER
        )
    return visit.redirect("/orders", done="done.asked_closed")
