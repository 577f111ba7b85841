"""Locations: the shops, warehouses and vans of the chain."""

from __future__ import annotations

from hub.accounts import Right
from hub.own_log import LOCATION_TYPES
from hub.pages.visits import Answer, Routes, Visit
from schema.identity import ORG, LocationId, location_scope
from schema.kinds.organisation import LocationDefined

routes = Routes()
ZONES_MAX = 50
LEASE_DAYS_MAX = 365


@routes.get("/locations", Right.FLEET)
def locations(visit: Visit) -> Answer:
    """List the locations, with a form for another or for one to change."""
    code = visit.query.text("change")
    known = visit.locations.get(code)
    form = visit.form
    if known is not None:
        form.fill(
            {
                "code": known.location, "name": known.name, "type": known.type, "zones": "\n".join(known.zones),
                "lease_days": "" if known.lease_days is None else str(known.lease_days),
            }
        )  # fmt: skip
    return visit.render("locations.html", form=form, types=LOCATION_TYPES, changing=code if known else "")


@routes.post("/locations", Right.FLEET)
def define(visit: Visit) -> Answer:
    """Define a location, or redefine the one with this code."""
    form = visit.form
    code, name = form.code("code"), form.required("name")
    kind = form.one_of("type", LOCATION_TYPES)
    zones = tuple(dict.fromkeys(line.strip()[:96] for line in form.text("zones").splitlines() if line.strip()))
    lease = form.whole("lease_days", lowest=1, highest=LEASE_DAYS_MAX, is_required=False) or None
    if len(zones) > ZONES_MAX:
        form.wrong("zones", "form.out_of_range")
    if code in visit.locations and form.text("changing") != code:
        form.wrong("code", "locations.taken")
    if form.is_valid:
        known = visit.locations.get(code)
        with visit.change(ORG, "location.define", code, name) as change:
            change.append(LocationDefined(code, name, kind, known.lags if known else (), zones, lease))
            change.replica.log.ensure_scope(location_scope(LocationId(code)))
        return visit.redirect("/locations", done="done.location_saved")
    return visit.render("locations.html", status=422, types=LOCATION_TYPES, changing=form.text("changing"))
