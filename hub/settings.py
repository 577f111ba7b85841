"""Settings of the chain and of its locations: defined here, read by tills; what a till could not read is refused."""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.findings import note_credit_due
from hub.own_log import OwnLog
from hub.store import HubStore
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.organisation import LocationDefined, SettingDefined
from schema.rules.paper import COLUMNS_MIN
from schema.rules.receipt import ReceiptTemplate, unknown_names
from schema.settings import SETTINGS, ElsewhereRules, LoyaltyRules, ReceiptForm, check_setting, write_setting
from sync.entry import Entry
from sync.replica import Replica

COLUMNS_MAX: Final = 64


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

    Raises RefusalError `setting_unknown`, `setting_invalid` or `location_unknown`.
    """
    with store.transaction(ORG) as replica:
        record_setting(replica, own_log, name, value, location)


def let_follow(store: HubStore, own_log: OwnLog, name: str, location: str) -> None:
    """Let a location follow the chain's setting again; raises RefusalError `setting_unknown` or `location_unknown`."""
    check_setting(name, b"{}")
    with store.transaction(ORG) as replica:
        if location not in replica.organisation.newest_each(replica.connection, LocationDefined):
            raise RefusalError("location_unknown", f"there is no location {location!r}")
        inherit_setting(replica, own_log, name, location)


def record_setting(replica: Replica, own_log: OwnLog, name: str, value: bytes, location: str = "") -> Entry | None:
    """Append a setting in the caller's transaction of `org`; None where it holds already.

    Raises RefusalError as `define_setting`, and `template_name` or `template_columns` for a receipt.
    """
    setting = check_setting(name, value)
    if isinstance(setting, ReceiptForm):
        check_template(setting.template)
    if isinstance(setting, ElsewhereRules) and location:
        raise RefusalError("setting_invalid", f"setting {name} is of the whole chain", reason="of the whole chain")
    if location and location not in replica.organisation.newest_each(replica.connection, LocationDefined):
        raise RefusalError("location_unknown", f"there is no location {location!r}")
    known = replica.organisation.newest(replica.connection, SettingDefined, f"{name}/{location}")
    if known is not None and known.value == value:
        return None
    if isinstance(setting, LoyaltyRules):
        note_credit_due(replica.connection)
    return own_log.append(replica, ORG, SettingDefined(name, location, value))


def inherit_setting(replica: Replica, own_log: OwnLog, name: str, location: str) -> Entry:
    """Let a location follow the chain again, and the chain the program's defaults: an empty value counts as none."""
    return own_log.append(replica, ORG, SettingDefined(name, location, b""))


def check_template(template: ReceiptTemplate) -> None:
    """Refuse a receipt that no printer could print, or that names what no receipt can fill in."""
    if names := unknown_names(template):
        raise RefusalError("template_name", f"no receipt can fill {', '.join(names)}", name=names[0])
    if not COLUMNS_MIN <= template.columns <= COLUMNS_MAX:
        raise RefusalError("template_columns", f"paper has {COLUMNS_MIN} to {COLUMNS_MAX} columns")


def list_settings(replica: Replica) -> list[SettingListed]:
    """Return every setting of the chain, and each that a location has of its own."""
    defined = replica.organisation.newest_each(replica.connection, SettingDefined)
    listed = [
        SettingListed(one.name, one.location, one.value.decode("utf-8", "replace"), is_defined=True)
        for one in defined.values()
        if one.value
    ]
    named = {one.name for one in listed if not one.location}
    listed += [
        SettingListed(name, "", write_setting(kind()).value.decode(), is_defined=False)
        for name, kind in SETTINGS.items()
        if name not in named
    ]
    return sorted(listed)
