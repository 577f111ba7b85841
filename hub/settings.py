"""Settings of the chain and of its locations: defined here, read by tills; what a till could not read is refused."""

from __future__ import annotations

from typing import NamedTuple

from hub.own_log import OwnLog
from hub.setting_desk import define_setting as record_setting
from hub.setting_desk import inherit_setting
from hub.store import HubStore
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.organisation import LocationDefined, SettingDefined
from schema.settings import SETTINGS, ElsewhereRules, check_setting, write_setting
from sync.replica import Replica


class SettingListed(NamedTuple):
    """A setting as it stands: of one location, or of the chain where `location` is empty; `value` is its JSON.

    A setting that nobody defined has the program's own defaults.
    """

    name: str
    location: str
    value: str
    is_defined: bool


def define_setting(store: HubStore, own_log: OwnLog, name: str, value: bytes, location: str = "") -> None:
    """Define a setting of the chain, or of one location; the last definition holds.

    Raises RefusalError `setting_unknown`, `setting_invalid`, `location_unknown`, or what a receipt's template may not
    hold.
    """
    setting = check_setting(name, value)
    if isinstance(setting, ElsewhereRules) and location:
        raise RefusalError("setting_invalid", f"setting {name} is of the whole chain", reason="of the whole chain")
    with store.transaction(ORG) as replica:
        if location and location not in replica.organisation.newest_each(replica.connection, LocationDefined):
            raise RefusalError("location_unknown", f"there is no location {location!r}")
        record_setting(replica, own_log, setting, location)


def let_follow(store: HubStore, own_log: OwnLog, name: str, location: str) -> None:
    """Let a location follow the chain's setting again; raises RefusalError `setting_unknown` or `location_unknown`."""
    check_setting(name, b"{}")
    with store.transaction(ORG) as replica:
        if location not in replica.organisation.newest_each(replica.connection, LocationDefined):
            raise RefusalError("location_unknown", f"there is no location {location!r}")
        inherit_setting(replica, own_log, name, location)


def list_settings(replica: Replica) -> list[SettingListed]:
    """Return every setting of the chain, and each that a location has of its own."""
    defined = replica.organisation.newest_each(replica.connection, SettingDefined)
    listed = [
        SettingListed(one.name, one.location, one.value.decode("utf-8", "replace"), is_defined=True)
        for one in defined.values()
        if one.value  # an empty one follows the chain again
    ]
    named = {one.name for one in listed if not one.location}
    listed += [
        SettingListed(name, "", write_setting(kind()).value.decode(), is_defined=False)
        for name, kind in SETTINGS.items()
        if name not in named
    ]
    return sorted(listed)
