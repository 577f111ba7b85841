"""Customers and members: found by a keyed hash of the phone number, everything else sealed under the person's key."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from hub.operators import person_key, seal_for
from hub.own_log import OwnLog, read_state, write_state
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.organisation import CustomerDefined, PersonForgotten
from schema.rows import CustomerRow
from sync.elsewhere import slot_of
from sync.people import Profile, masked, phone_hash, read_profile, unseal, wrap_key, write_profile
from sync.replica import Replica

MEMBERS_VERSION: Final = "members_version"
"""Which state of the members' keys the hub is at: statements of them are told anew when it moves."""
TIER_MAX: Final = 32
_PHONE_KEY: Final = "phone_key"


def read_phone_key(connection: Connection) -> bytes:
    """Return the organisation's key of phone hashes; empty where none was made yet."""
    return bytes.fromhex(read_state(connection, _PHONE_KEY) or "")


def phone_key(connection: Connection) -> bytes:
    """Return the organisation's key of phone hashes, making it at the first time."""
    known = read_phone_key(connection)
    if not known:
        known = secrets.token_bytes(32)
        write_state(connection, _PHONE_KEY, known.hex())
    return known


def known_customers(replica: Replica) -> dict[str, str]:
    """Return the phone number of each customer by code, for those whose key is here: a forgotten one is not."""
    return {profile.code: profile.phone for _, profile in _profiles(replica)}


def people_by_code(replica: Replica) -> dict[str, str]:
    """Return the person of each customer code that is known and not forgotten."""
    return {profile.code: person for person, profile in _profiles(replica)}


def list_customers(replica: Replica) -> list[CustomerKnown]:
    """Return every customer who was not forgotten, by code."""
    defined = replica.organisation.newest_each(replica.connection, CustomerDefined)
    return sorted(
        (
            CustomerKnown(person, profile.code, profile.name, defined[person].phone_masked, defined[person].price_list)
            for person, profile in _profiles(replica)
        ),
        key=lambda one: (one.code, one.person),
    )


def set_price_list(replica: Replica, own_log: OwnLog, person: str, price_list: str) -> None:
    """Have a customer pay the prices of a list (a tier of the price lists; empty: everyone's), within `org`'s lock.

    Raises RefusalError `person_unknown` or `price_list_invalid`.
    """
    price_list = price_list.strip()
    if len(price_list) > TIER_MAX:
        raise RefusalError("price_list_invalid", f"the name of a price list has at most {TIER_MAX} characters")
    defined = replica.organisation.newest(replica.connection, CustomerDefined, person)
    if defined is None or replica.organisation.newest(replica.connection, PersonForgotten, person) is not None:
        raise RefusalError("person_unknown", f"there is no customer {person}")
    if defined.price_list != price_list:
        own_log.append(replica, ORG, msgspec.structs.replace(defined, price_list=price_list))


class CustomerKnown(NamedTuple):
    """A customer as the administrator sees them."""

    person: str
    code: str
    name: str
    phone_masked: str
    tier: str


def read_customer(replica: Replica, person: str) -> CustomerKnown:
    """Return what is known of a customer; raises RefusalError `person_unknown`."""
    for one, profile in _profiles(replica):
        if one == person:
            defined = replica.organisation.newest(replica.connection, CustomerDefined, person)
            assert defined is not None
            return CustomerKnown(person, profile.code, profile.name, defined.phone_masked, defined.price_list)
    raise RefusalError("person_unknown", f"there is no customer {person}")


def _profiles(replica: Replica) -> Iterator[tuple[str, Profile]]:
    connection = replica.connection
    keys = {person: bytes(key) for person, key in connection.execute("SELECT person, key FROM person_key").fetchall()}
    for one in replica.organisation.newest_each(connection, CustomerDefined).values():
        if one.person in keys:
            yield one.person, read_profile(unseal(keys[one.person], one.person, one.sealed_profile))


def people_by_hash(replica: Replica) -> dict[bytes, str]:
    """Return the person of each phone hash, without those who asked to be forgotten: who comes back is somebody new."""
    connection, organisation = replica.connection, replica.organisation
    forgotten = organisation.newest_each(connection, PersonForgotten)
    known = organisation.newest_each(connection, CustomerDefined).values()
    return {one.phone_hash: one.person for one in known if one.person not in forgotten}


def record_customer(replica: Replica, own_log: OwnLog, row: CustomerRow, known: dict[bytes, str]) -> str:
    """Append a customer; one with the same phone number is defined anew. Returns the person's random id.

    `known` are the people by hash, which the caller reads once for many rows; it learns this one.
    """
    connection = replica.connection
    hashed = phone_hash(phone_key(connection), row.phone or f"code:{row.code}")
    person = known.get(hashed) or f"p{base64.b32encode(secrets.token_bytes(10)).decode('ascii').lower()}"
    known[hashed] = person
    profile = Profile(row.code, row.name, row.phone, row.birthday, row.address)
    sealed = seal_for(connection, person, write_profile(profile))
    own_log.append(replica, ORG, CustomerDefined(person, hashed, masked(row.phone), sealed, row.tier))
    if row.phone:
        wrapped = wrap_key(phone_key(connection), row.phone, person, person_key(connection, person))
        connection.execute(
            "INSERT INTO member_key (person, slot, wrapped) VALUES (?, ?, ?)"
            " ON CONFLICT (person) DO UPDATE SET wrapped = excluded.wrapped",
            (person, slot_of(person), wrapped),
        )
        _members_changed(connection)
    return person


def forget_person(replica: Replica, own_log: OwnLog, person: str) -> None:
    """Forget a member: the key goes from here and, with the next exchange, from every till; balances stay unnamed.

    Raises RefusalError `person_unknown`, also for one that was forgotten already.
    """
    connection = replica.connection
    if person not in people_by_hash(replica).values():
        raise RefusalError("person_unknown", f"there is no customer {person}")
    for table in ("person_key", "member_key"):
        connection.execute(f"DELETE FROM {table} WHERE person = ?", (person,))
    own_log.append(replica, ORG, PersonForgotten(person))
    _members_changed(connection)


def find_person(replica: Replica, text: str) -> str:
    """Return the person whom an administrator names by phone number, customer code or id.

    Raises RefusalError `person_unknown`.
    """
    wanted = text.strip()
    known = people_by_hash(replica)
    hashed = phone_hash(read_phone_key(replica.connection), wanted)
    person = wanted if wanted in known.values() else known.get(hashed) or people_by_code(replica).get(wanted)
    if person is None:
        raise RefusalError("person_unknown", f"there is no customer {wanted}")
    return person


def _members_changed(connection: Connection) -> None:
    write_state(connection, MEMBERS_VERSION, str(int(read_state(connection, MEMBERS_VERSION) or 0) + 1))
