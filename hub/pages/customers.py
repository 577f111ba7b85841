"""The pages of customers and of vans' rounds: price list, own limit of credit and who may lend it, forgetting."""

from __future__ import annotations

from typing import Final

from hub.accounts import Right
from hub.balances import balances_of
from hub.credit import read_credit, record_limit, record_share
from hub.customers import (
    TIER_MAX,
    forget_person,
    list_customers,
    people_by_hash,
    phone_key,
    read_customer,
    record_customer,
    set_price_list,
)
from hub.pages.visits import Answer, Routes, Visit
from hub.routes import read_route, read_routes, record_route
from schema.amounts import format_money
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked
from schema.rows import CustomerRow
from sync.people import phone_hash

routes = Routes()
SHOWN_MAX: Final = 500
_MONEY: Final = frozenset({"member-balance", "member-bonus", "customer-credit"})


@routes.get("/customers", Right.READ_ALL)
def customers(visit: Visit) -> Answer:
    """List customers, of a code, name or whole phone number where one is asked for."""
    wanted = visit.query.text("q").strip()
    with visit.read() as replica:
        found = list_customers(replica)
        if wanted:
            by_phone = people_by_hash(replica).get(phone_hash(phone_key(replica.connection), wanted))
            word = wanted.lower()
            found = [one for one in found if word in f"{one.code} {one.name}".lower() or one.person == by_phone]
    return visit.render("customers.html", rows=found[:SHOWN_MAX], count=len(found), wanted=wanted)


@routes.get("/customer-new", Right.CATALOGUE)
def new_customer(visit: Visit) -> Answer:
    """Ask for a new customer."""
    return visit.render("customer_form.html")


@routes.post("/customer-new", Right.CATALOGUE)
def add_customer(visit: Visit) -> Answer:
    """Define a customer; everything personal is sealed, and one with the same phone number is defined anew."""
    form = visit.form
    row = CustomerRow(
        code=form.code("code"), name=form.required("name", characters_max=100), phone=form.text("phone").strip(),
        tier=form.text("price_list").strip()[:TIER_MAX], address=form.text("address").strip()[:200],
    )  # fmt: skip
    if form.is_valid:
        try:
            with visit.change(ORG, "customer.set", row.code) as change:
                person = record_customer(change.replica, change.own_log, row, people_by_hash(change.replica))
            return visit.redirect(f"/customers/{person}", done="done.customer_saved")
        except RefusalError as error:
            form.refuse(error)
    return visit.render("customer_form.html", status=422)


@routes.get("/customers/{person:str}", Right.READ_ALL)
def customer(visit: Visit) -> Answer:
    """Show a customer's card."""
    return _card(visit)


def _card(visit: Visit, status: int = 200) -> Answer:
    with visit.read() as replica:
        known = read_customer(replica, visit.params["person"])
        balances = balances_of(replica.connection, known.person)
        credit = read_credit(replica, known.person)
        revoked = replica.organisation.newest_each(replica.connection, AuthorityRevoked)
        grants = replica.organisation.newest_each(replica.connection, AuthorityGranted)
    nodes = sorted((one.location, one.till, node) for node, one in grants.items() if node not in revoked)
    limit = "" if credit.limit_minor is None else format_money(credit.limit_minor)
    visit.form.fill({"price_list": known.tier, "limit": limit} | dict(visit.form.pairs()))
    return visit.render(
        "customer.html", status=status, known=known, credit=credit, title=known.name or known.code,
        balances=[(kind, amount, kind in _MONEY) for kind, amount in balances.items()],
        nodes=[(node, f"{visit.location_name(at)} · {till}") for at, till, node in nodes],
    )  # fmt: skip


@routes.post("/customers/{person:str}/price-list", Right.CATALOGUE)
def save_price_list(visit: Visit) -> Answer:
    """Have a customer pay by a price list."""
    return _save(visit, "price_list")


@routes.post("/customers/{person:str}/credit", Right.CATALOGUE)
def save_limit(visit: Visit) -> Answer:
    """Set a customer's own limit; an empty one follows the chain's."""
    return _save(visit, "limit")


@routes.post("/customers/{person:str}/share", Right.CATALOGUE)
def save_share(visit: Visit) -> Answer:
    """Give a till or van the right to lend a part of the limit."""
    return _save(visit, "share")


def _save(visit: Visit, what: str) -> Answer:
    form, person = visit.form, visit.params["person"]
    limit = form.money("limit", is_required=False) if what == "limit" and form.text("limit").strip() else None
    share = form.money("amount", lowest=1) if what == "share" else None
    if form.is_valid:
        try:
            with visit.change(ORG, f"customer.{what}", person) as change:
                read_customer(change.replica, person)
                match what:
                    case "price_list":
                        set_price_list(change.replica, change.own_log, person, form.text("price_list"))
                    case "limit":
                        record_limit(change.replica, change.own_log, person, limit, visit.account.operator)
                    case _:
                        assert share is not None
                        node = form.text("node")
                        record_share(change.replica, change.own_log, person, node, share, visit.account.operator)
            return visit.redirect(f"/customers/{person}", done="done.customer_saved")
        except RefusalError as error:
            form.refuse(error, {"credit_room": "amount", "limit_missing": "amount", "price_list_invalid": "price_list",
                                "node_unknown": "node", "node_revoked": "node"}.get(error.code, ""))  # fmt: skip
    return _card(visit, 422)


@routes.post("/customers/{person:str}/forget", Right.CATALOGUE)
def forget(visit: Visit) -> Answer:
    """Forget a customer for good; balances stay, unnamed."""
    person = visit.params["person"]
    with visit.change(ORG, "customer.forget", person) as change:
        forget_person(change.replica, change.own_log, person)
    return visit.redirect("/customers", done="done.customer_forgotten")


@routes.get("/rounds", Right.READ_ALL)
def rounds(visit: Visit) -> Answer:
    """List the vans with their rounds."""
    with visit.read() as replica:
        found = read_routes(replica)
    return visit.render("rounds.html", rows=found)


@routes.get("/rounds/{location:str}", Right.READ_ALL)
def one_round(visit: Visit) -> Answer:
    """Show a van's round as a form."""
    return _round(visit)


def _round(visit: Visit, status: int = 200) -> Answer:
    with visit.read() as replica:
        found = read_route(replica, visit.params["location"])
        names = {one.person: one for one in list_customers(replica)}
    lines = [
        f"{names[stop.person].code}={stop.note}" if stop.note else names[stop.person].code
        for stop in found.rules.stops
        if stop.person in names
    ]
    visit.form.fill({"stops": "\n".join(lines), "warehouse": found.rules.warehouse} | dict(visit.form.pairs()))
    return visit.render(
        "round.html", status=status, found=found,
        stops=[(place, names.get(stop.person), stop.note) for place, stop in enumerate(found.rules.stops, 1)],
        places=[(code, place.name) for code, place in visit.locations.items() if place.type == "warehouse"],
    )  # fmt: skip


@routes.post("/rounds/{location:str}", Right.CATALOGUE)
def save_round(visit: Visit) -> Answer:
    """Save a van's round: a customer's code a line, with a note after an equals sign."""
    form, location = visit.form, visit.params["location"]
    lines = [line.strip() for line in form.text("stops").splitlines() if line.strip()]
    wanted = [(who.strip(), note) for who, _, note in (line.partition("=") for line in lines)]
    try:
        with visit.change(ORG, "round.set", location) as change:
            record_route(change.replica, change.own_log, location, wanted, form.text("warehouse"))
        return visit.redirect(f"/rounds/{location}", done="done.round_saved")
    except RefusalError as error:
        if error.code == "van_unknown":
            raise
        form.refuse(error, {"person_unknown": "stops", "setting_invalid": "stops"}.get(error.code, "warehouse"))
    return _round(visit, 422)
