"""Customers and members: found by a keyed hash of the phone number, everything else sealed under the person's key."""

from __future__ import annotations

import base64
import secrets

from hub.operators import seal_for
from hub.own_log import OwnLog, read_state, write_state
from schema.database import Connection
from schema.identity import ORG
from schema.kinds.organisation import CustomerDefined
from schema.rows import CustomerRow
from sync.people import Profile, masked, phone_hash, read_profile, unseal, write_profile
from sync.replica import Replica

_PHONE_KEY = "phone_key"


def phone_key(connection: Connection) -> bytes:
    """Return the organisation's key of phone hashes, making it at the first time."""
    known = read_state(connection, _PHONE_KEY)
    if known is None:
        known = secrets.token_hex(32)
        write_state(connection, _PHONE_KEY, known)
    return bytes.fromhex(known)


def known_customers(replica: Replica) -> dict[str, str]:
    """Return the phone number of each customer by code, for those whose key is here: a forgotten one is not."""
    connection = replica.connection
    keys = {person: bytes(key) for person, key in connection.execute("SELECT person, key FROM person_key").fetchall()}
    found: dict[str, str] = {}
    for one in replica.organisation.newest_each(connection, CustomerDefined).values():
        if one.person in keys:
            profile = read_profile(unseal(keys[one.person], one.person, one.sealed_profile))
            found[profile.code] = profile.phone
    return found


def record_customer(replica: Replica, own_log: OwnLog, row: CustomerRow) -> str:
    """Append a customer; one with the same phone number is defined anew. Returns the person's random id."""
    connection = replica.connection
    hashed = phone_hash(phone_key(connection), row.phone or f"code:{row.code}")
    known = replica.organisation.newest_each(connection, CustomerDefined)
    person = next((c.person for c in known.values() if c.phone_hash == hashed), "")
    person = person or f"p{base64.b32encode(secrets.token_bytes(10)).decode('ascii').lower()}"
    profile = Profile(row.code, row.name, row.phone, row.birthday, row.address)
    sealed = seal_for(connection, person, write_profile(profile))
    own_log.append(replica, ORG, CustomerDefined(person, hashed, masked(row.phone), sealed, row.tier))
    return person
