"""Customers and members: found by a keyed hash of the phone number, everything else sealed under the person's key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

import msgspec

from hub.operators import person_key, seal, unseal
from hub.own_log import OwnLog, read_state, write_state
from schema.codec import encode
from schema.database import Connection
from schema.identity import ORG
from schema.kinds.organisation import CustomerDefined
from schema.rows import CustomerRow
from sync.replica import Replica

_PHONE_KEY = "phone_key"


def phone_key(connection: Connection) -> bytes:
    """Return the organisation's key of phone hashes, making it at the first time."""
    known = read_state(connection, _PHONE_KEY)
    if known is None:
        known = secrets.token_hex(32)
        write_state(connection, _PHONE_KEY, known)
    return bytes.fromhex(known)


def phone_hash(key: bytes, phone: str) -> bytes:
    """Return the keyed hash under which a member is found."""
    return hmac.new(key, phone.strip().encode(), hashlib.sha256).digest()


def masked(phone: str) -> str:
    """Return a phone number as it is shown: 138****1234."""
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 8 else "****"


def known_customers(replica: Replica) -> dict[str, str]:
    """Return the phone number of each customer by code, for those whose key is here: a forgotten one is not."""
    connection = replica.connection
    keys = {person: bytes(key) for person, key in connection.execute("SELECT person, key FROM person_key").fetchall()}
    found: dict[str, str] = {}
    for one in replica.organisation.newest_each(connection, CustomerDefined).values():
        if one.person in keys:
            profile = base64.b64decode(unseal(keys[one.person], one.person, one.sealed_profile))
            code, _, phone, *_ = msgspec.msgpack.decode(profile, type=tuple[str, ...])
            found[code] = phone
    return found


def record_customer(replica: Replica, own_log: OwnLog, row: CustomerRow) -> str:
    """Append a customer; one with the same phone number is defined anew. Returns the person's random id."""
    connection = replica.connection
    hashed = phone_hash(phone_key(connection), row.phone or f"code:{row.code}")
    known = replica.organisation.newest_each(connection, CustomerDefined)
    person = next((c.person for c in known.values() if c.phone_hash == hashed), "")
    person = person or f"p{base64.b32encode(secrets.token_bytes(10)).decode('ascii').lower()}"
    profile = encode((row.code, row.name, row.phone, row.birthday, row.address))
    sealed = seal(person_key(connection, person), person, base64.b64encode(profile).decode())
    own_log.append(replica, ORG, CustomerDefined(person, hashed, masked(row.phone), sealed, row.tier))
    return person
