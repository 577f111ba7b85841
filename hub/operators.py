"""Operators: who works at tills, their sealed names, and the PIN verifiers that nodes of their locations receive.

The log names a person by a random id and holds the name as ciphertext; key and verifier live in tables beside it,
so that forgetting a person is deleting a row, and a stolen log gives no PIN to guess at.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from hub.own_log import OwnLog
from hub.store import HubStore
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, is_code
from schema.kinds.organisation import LocationDefined, OperatorDefined, SettingDefined
from schema.settings import NAME_OF, RouteRules, read_setting
from sync.elsewhere import OperatorSecret, OperatorSecrets
from sync.people import NONCE_BYTES, seal
from sync.replica import Replica

ROLES: Final = (
    "cashier", "driver", "supervisor", "stock_keeper", "shop_manager", "auditor", "administrator", "owner",
)  # fmt: skip


def define_operator(
    store: HubStore,
    own_log: OwnLog,
    *,
    number: str,
    name: str,
    role: str,
    locations: Sequence[str],
    pin: str,
    is_active: bool = True,
) -> str:
    """Define an operator, or redefine the one with this number; returns the operator's random id.

    Raises RefusalError `operator_invalid`, `role_unknown`, `pin_invalid` or `location_unknown`.
    """
    if not is_code(number) or not name.strip() or len(name) > 200:
        raise RefusalError("operator_invalid", "an operator has a number of letters and digits, and a name")
    if role not in ROLES:
        raise RefusalError("role_unknown", f"{role!r} is no role: {', '.join(ROLES)}")
    if not (pin.isascii() and pin.isdecimal() and 4 <= len(pin) <= 12):
        raise RefusalError("pin_invalid", "a PIN has 4 to 12 digits")
    verifier = make_verifier(pin)
    with store.transaction(ORG) as replica:
        return record_operator(
            replica,
            own_log,
            number=number,
            name=name,
            role=role,
            locations=locations,
            verifier=verifier,
            is_active=is_active,
        )


def record_operator(
    replica: Replica,
    own_log: OwnLog,
    *,
    number: str,
    name: str,
    role: str,
    locations: Sequence[str],
    verifier: str | None,
    is_active: bool = True,
) -> str:
    """Append an operator whose PIN verifier was made before the transaction; returns the operator's random id.

    Without a verifier the PIN stays as it is; nodes hear of the change all the same.

    Raises RefusalError `location_unknown`.
    """
    connection, organisation = replica.connection, replica.organisation
    known_locations = organisation.newest_each(connection, LocationDefined)
    for location in locations:
        if location not in known_locations:
            raise RefusalError("location_unknown", f"there is no location {location!r}")
    known = organisation.newest_each(connection, OperatorDefined)
    operator = next((o.operator for o in known.values() if o.number == number), "")
    operator = operator or f"o{base64.b32encode(secrets.token_bytes(10)).decode('ascii').lower()}"
    sealed = seal_for(connection, operator, name)
    own_log.append(replica, ORG, OperatorDefined(operator, number, role, tuple(locations), sealed, is_active))
    if verifier is None:
        connection.execute(
            "UPDATE operator_verifier SET changed_ms = ? WHERE operator = ?", (own_log.now_ms(), operator)
        )
        return operator
    connection.execute(
        "INSERT INTO operator_verifier (operator, verifier, changed_ms) VALUES (?, ?, ?)"
        " ON CONFLICT (operator) DO UPDATE SET verifier = excluded.verifier, changed_ms = excluded.changed_ms",
        (operator, verifier, own_log.now_ms()),
    )
    return operator


def make_verifier(pin: str) -> str:
    """Return what a PIN is checked against, in the PHC string format (Argon2id, RFC 9106's second choice)."""
    return Argon2id(
        salt=secrets.token_bytes(16), length=32, iterations=3, lanes=4, memory_cost=64 * 1024
    ).derive_phc_encoded(pin.encode("ascii"))


def person_key(connection: Connection, person: str) -> bytes:
    """Return the key that seals what is known of a person, making it at the first time."""
    row = connection.execute("SELECT key FROM person_key WHERE person = ?", (person,)).fetchone()
    if row is not None:
        return bytes(row[0])
    key = ChaCha20Poly1305.generate_key()
    connection.execute("INSERT INTO person_key (person, key) VALUES (?, ?)", (person, key))
    return key


def seal_for(connection: Connection, person: str, text: str) -> bytes:
    """Return a text sealed under a person's key, which is made at the first time."""
    return seal(person_key(connection, person), person, text, secrets.token_bytes(NONCE_BYTES))


def operator_secrets(replica: Replica, location: LocationId, phone_key: bytes) -> OperatorSecrets:
    """Return the verifiers and keys of a location's operators, not dated yet."""
    connection = replica.connection
    rows = connection.execute(
        "SELECT v.operator, v.verifier, k.key FROM operator_verifier AS v"
        " JOIN person_key AS k ON k.person = v.operator ORDER BY v.operator"
    ).fetchall()
    defined = replica.organisation.newest_each(connection, OperatorDefined)
    secrets_here = tuple(
        OperatorSecret(operator, verifier, bytes(key))
        for operator, verifier, key in rows
        if operator in defined and defined[operator].is_active and location in defined[operator].locations
    )
    return OperatorSecrets(location, 0, secrets_here, phone_key, _route_keys(replica, location))


def _route_keys(replica: Replica, location: LocationId) -> tuple[tuple[str, bytes], ...]:
    """Return the keys of the customers on a location's route; one who was forgotten has none."""
    connection = replica.connection
    defined = replica.organisation.newest(connection, SettingDefined, f"{NAME_OF[RouteRules]}/{location}")
    if defined is None or not defined.value:
        return ()
    people = sorted(stop.person for stop in read_setting(RouteRules, defined.value).stops)
    found = [(one, connection.execute("SELECT key FROM person_key WHERE person = ?", (one,)).fetchone())
             for one in people]  # fmt: skip
    return tuple((person, bytes(row[0])) for person, row in found if row is not None)


def remove_operator(store: HubStore, own_log: OwnLog, number: str) -> str:
    """Let an operator work nowhere any more; returns the id. Raises RefusalError `operator_unknown`."""
    with store.transaction(ORG) as replica:
        known = replica.organisation.newest_each(replica.connection, OperatorDefined).values()
        found = next((one for one in known if one.number == number and one.is_active), None)
        if found is None:
            raise RefusalError("operator_unknown", f"no operator who works here has the number {number}")
        own_log.append(
            replica, ORG,
            OperatorDefined(found.operator, number, found.role, (), found.sealed_name, is_active=False),
        )  # fmt: skip
        replica.connection.execute("DELETE FROM operator_verifier WHERE operator = ?", (found.operator,))
    return found.operator
