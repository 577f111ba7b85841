"""Vans' rounds at the hub: the customers of each in their order; a van knows them by name while they are on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hub.customers import find_person
from hub.own_log import OwnLog
from hub.settings import record_setting
from schema.errors import RefusalError
from schema.kinds.organisation import LocationDefined, SettingDefined
from schema.settings import NAME_OF, RouteRules, RouteStop, read_setting, write_setting
from sync.replica import Replica


class RouteListed(NamedTuple):
    """A van with its round."""

    location: str
    name: str
    rules: RouteRules


def read_routes(replica: Replica) -> list[RouteListed]:
    """Return every van with its round, by code."""
    connection, organisation = replica.connection, replica.organisation
    found = []
    for place in organisation.newest_each(connection, LocationDefined).values():
        if place.type == "van":
            defined = organisation.newest(connection, SettingDefined, f"{NAME_OF[RouteRules]}/{place.location}")
            rules = read_setting(RouteRules, defined.value if defined is not None and defined.value else None)
            found.append(RouteListed(place.location, place.name, rules))
    return sorted(found)


def read_route(replica: Replica, location: str) -> RouteListed:
    """Return one van's round; raises RefusalError `van_unknown`."""
    found = next((one for one in read_routes(replica) if one.location == location), None)
    if found is None:
        raise RefusalError("van_unknown", f"{location!r} is no van", location=location)
    return found


def record_route(
    replica: Replica, own_log: OwnLog, location: str, stops: Sequence[tuple[str, str]], warehouse: str | None = None
) -> RouteRules:
    """Define a van's round within the caller's transaction on `org`: (customer, note) in the order of the stops.

    A customer is named by phone number, code or id. Without `warehouse` the one that was said before stays. Raises
    RefusalError `van_unknown`, `person_unknown`, `location_unknown` or `setting_invalid`.
    """
    known = read_route(replica, location)
    home = known.rules.warehouse if warehouse is None else warehouse
    if home and home not in replica.organisation.newest_each(replica.connection, LocationDefined):
        raise RefusalError("location_unknown", f"there is no location {home!r}")
    try:
        rules = RouteRules(
            stops=tuple(RouteStop(find_person(replica, who), note.strip()) for who, note in stops), warehouse=home
        )
    except ValueError as error:
        raise RefusalError("setting_invalid", f"route: {error}", reason=str(error)) from None
    record_setting(replica, own_log, *write_setting(rules), location)
    return rules
