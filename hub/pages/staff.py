"""The pages of operators: who works at which tills, in which role, with which PIN."""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.accounts import Right, operator_name
from hub.operators import make_verifier, record_operator
from hub.pages.visits import Answer, Routes, Visit
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.organisation import OperatorDefined
from schema.rows import StaffRole

routes = Routes()
PIN_DIGITS: Final = (4, 12)
_SHOP_ROLES: Final = (StaffRole.CASHIER, StaffRole.DRIVER, StaffRole.STOCK_KEEPER, StaffRole.SUPERVISOR)
_CHAIN_ROLES: Final = (*_SHOP_ROLES, StaffRole.SHOP_MANAGER, StaffRole.AUDITOR)
_DESK_ROLES: Final = frozenset({StaffRole.ADMINISTRATOR.value, StaffRole.OWNER.value})
"""People of the desk have their own page: an account, not a PIN, lets them in."""


class Worker(NamedTuple):
    """An operator as the list shows them."""

    defined: OperatorDefined
    name: str
    is_editable: bool


def _roles(visit: Visit) -> tuple[StaffRole, ...]:
    return _SHOP_ROLES if visit.is_bound else _CHAIN_ROLES


def _may_edit(visit: Visit, defined: OperatorDefined) -> bool:
    """Tell whether the account may change an operator: within its own roles, and nobody who works elsewhere too."""
    return (
        visit.may(Right.STAFF)
        and defined.role not in _DESK_ROLES
        and defined.role in {role.value for role in _roles(visit)}
        and all(visit.sees(location) for location in defined.locations)
    )


@routes.get("/operators", Right.READ)
def operators(visit: Visit) -> Answer:
    """List the people of the locations that the account sees."""
    with visit.read() as replica:
        known = replica.organisation.newest_each(replica.connection, OperatorDefined)
        seen = [one for one in known.values() if not visit.is_bound or any(visit.sees(at) for at in one.locations)]
        rows = [Worker(one, operator_name(replica, one), _may_edit(visit, one)) for one in seen]
    rows.sort(key=lambda row: (not row.defined.is_active, row.defined.locations, row.defined.number))
    return visit.render("operators.html", rows=rows)


@routes.get("/operator-new", Right.STAFF)
def new_operator(visit: Visit) -> Answer:
    """Ask for a new operator."""
    visit.form.fill({"role": StaffRole.CASHIER.value, "active": "1"})
    return _page(visit, None, 200)


@routes.get("/operators/{number:str}", Right.STAFF)
def operator(visit: Visit) -> Answer:
    """Show an operator's form."""
    with visit.read() as replica:
        known = _find(visit, replica.organisation.newest_each(replica.connection, OperatorDefined))
        name = operator_name(replica, known)
    visit.form.fill(
        {"name": name, "role": known.role, "at": " ".join(known.locations), "active": "1" if known.is_active else ""}
    )
    return _page(visit, known, 200)


def _find(visit: Visit, known: dict[str, OperatorDefined]) -> OperatorDefined:
    found = next((one for one in known.values() if one.number == visit.params["number"]), None)
    if found is None or not _may_edit(visit, found):
        raise RefusalError("operator_unknown", "there is no operator of this number whom you could change")
    return found


def _page(visit: Visit, known: OperatorDefined | None, status: int) -> Answer:
    return visit.render(
        "operator_form.html", status=status, known=known,
        roles=[(role.value, visit.t(f"role.{role.value}")) for role in _roles(visit)],
        places=[(code, found.name) for code, found in visit.locations.items()],
    )  # fmt: skip


@routes.post("/operator-new", Right.STAFF)
def add_operator(visit: Visit) -> Answer:
    """Define an operator with a PIN."""
    return _save(visit, None)


@routes.post("/operators/{number:str}", Right.STAFF)
def change_operator(visit: Visit) -> Answer:
    """Change an operator; without a new PIN the old one stays."""
    with visit.read() as replica:
        known = _find(visit, replica.organisation.newest_each(replica.connection, OperatorDefined))
    return _save(visit, known)


def _save(visit: Visit, known: OperatorDefined | None) -> Answer:
    form = visit.form
    number = known.number if known else form.code("number")
    name = form.required("name", characters_max=100)
    role = form.one_of("role", {one.value for one in _roles(visit)})
    places = form.some_of("at", set(visit.locations))
    pin = form.text("pin")
    if not pin and known is None:
        form.wrong("pin", "form.missing")
    if pin and not (pin.isascii() and pin.isdecimal() and PIN_DIGITS[0] <= len(pin) <= PIN_DIGITS[1]):
        form.wrong("pin", "operator.pin_malformed")
    if form.is_valid:
        verifier = make_verifier(pin) if pin else None
        try:
            with visit.change(ORG, "operator.set", number) as change:
                others = change.replica.organisation.newest_each(change.replica.connection, OperatorDefined)
                if known is None and any(one.number == number for one in others.values()):
                    raise RefusalError("operator_exists", f"number {number} is taken", number=number)
                record_operator(
                    change.replica, change.own_log, number=number, name=name, role=role, locations=places,
                    verifier=verifier, is_active=form.flag("active"),
                )  # fmt: skip
            return visit.redirect("/operators", done="done.operator_saved")
        except RefusalError as error:
            form.refuse(error, {"operator_exists": "number"}.get(error.code, ""))
    return _page(visit, known, 422)
