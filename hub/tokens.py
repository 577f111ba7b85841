"""Tokens of the JSON API: what each may do and where; shown once, stored hashed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from hub.store import HubStore
from schema.database import Connection
from schema.errors import RefusalError
from sync.replica import Replica

NAME_CHARACTERS_MAX: Final = 60


class TokenScope(StrEnum):
    """What a token is for."""

    READ = "read"
    """Stock, sales, products, prices, conflicts: see them."""
    CATALOGUE = "catalogue"
    """Change products and prices."""
    SETTLE = "settle"
    """Settle conflicts."""


class TokenStanding(msgspec.Struct, frozen=True):
    """Who asks the API; `locations` is empty for a token that is bound to none, `operator` who made it."""

    name: str
    scopes: frozenset[str]
    locations: frozenset[str]
    operator: str = ""
    expires_ms: int | None = None
    created_ms: int = 0


class Tokens:
    """Knows the tokens; one object serves many threads."""

    def __init__(self, store: HubStore, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms

    def authorise(self, header: str | None) -> TokenStanding:
        """Return what the token in an Authorization header stands for.

        Raises RefusalError `token_missing`, `token_unknown` or `token_expired`.
        """
        with self._store.snapshot() as replica:
            return self.known(replica, header)

    def known(self, replica: Replica, header: str | None) -> TokenStanding:
        """Return the same within the caller's transaction."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RefusalError("token_missing", "this needs a token: Authorization: Bearer …")
        row = replica.connection.execute(f"{_SELECT} WHERE token_hash = ?", (token_hash(token),)).fetchone()
        if row is None:
            raise RefusalError("token_unknown", "this token is not known here")
        standing = _standing(row)
        if standing.expires_ms is not None and standing.expires_ms <= self._now_ms():
            raise RefusalError("token_expired", "this token has expired: ask for a new one")
        return standing

    def listed(self) -> list[TokenStanding]:
        """Return every token by name, without itself."""
        with self._store.snapshot() as replica:
            rows = replica.connection.execute(f"{_SELECT} ORDER BY name").fetchall()
        return [_standing(row) for row in rows]


_SELECT: Final = "SELECT name, scopes, locations, operator, expires_ms, created_ms FROM api_token"


def _standing(row: Sequence[object]) -> TokenStanding:
    name, scopes, locations, operator, expires_ms, created_ms = row
    return TokenStanding(
        str(name),
        frozenset(msgspec.json.decode(str(scopes), type=list[str])),
        frozenset(msgspec.json.decode(str(locations), type=list[str])),
        str(operator),
        None if expires_ms is None else int(str(expires_ms)),
        int(str(created_ms)),
    )


def token_hash(token: str) -> bytes:
    """Return what is stored of a token."""
    return hashlib.sha256(b"edgetill-token-1\0" + token.encode("utf-8", "replace")).digest()


def check_reach(scopes: Sequence[str], locations: Sequence[str]) -> None:
    """Raise RefusalError `token_catalogue_everywhere` for a token of some locations that shall change the catalogue.

    The catalogue is the whole chain's, so such a token could never do what it says.
    """
    if locations and TokenScope.CATALOGUE.value in scopes:
        raise RefusalError(
            "token_catalogue_everywhere",
            "the catalogue is the whole chain's: a token that changes it is bound to no location",
        )


def token_maker(replica: Replica, login: str) -> str:
    """Return the operator whose account makes a token: of that login, or the only owner's.

    Raises RefusalError `account_missing` where there is no account yet, `account_unknown`, `token_maker_unnamed`
    where several owners could be meant, or `token_maker_forbidden` for one who may make no tokens.
    """
    from hub.accounts import OWNER, RIGHTS, Right
    from schema.kinds.organisation import OperatorDefined

    rows = replica.connection.execute("SELECT login, operator FROM account ORDER BY login").fetchall()
    defined = {
        str(known): replica.organisation.newest(replica.connection, OperatorDefined, str(operator))
        for known, operator in rows
    }
    active = {known: one for known, one in defined.items() if one is not None and one.is_active}
    if not active:
        raise RefusalError(
            "account_missing", "nobody has an account yet: make the owner's with `edgetill hub account add LOGIN NAME`"
        )
    if login and login not in active:
        raise RefusalError("account_unknown", f"nobody signs in as {login}", login=login)
    owners = [known for known, one in active.items() if one.role == OWNER]
    if not login and len(owners) != 1:
        names = ", ".join(owners or active)
        raise RefusalError("token_maker_unnamed", f"say who makes the token with --by: {names}", names=names)
    maker = active[login or owners[0]]
    if Right.ACCOUNTS not in RIGHTS.get(maker.role, frozenset()):
        raise RefusalError(
            "token_maker_forbidden", f"{login} may make no tokens: an owner or administrator does", login=login
        )
    return str(maker.operator)


def create_token(
    connection: Connection,
    name: str,
    now_ms: int,
    *,
    scopes: Sequence[str] = (TokenScope.READ,),
    locations: Sequence[str] = (),
    operator: str = "",
    expires_ms: int | None = None,
) -> str:
    """Make a token for the JSON API; the old one of that name stops working. It is shown once and stored hashed.

    Raises RefusalError `token_name_invalid`.
    """
    if not name.strip() or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise RefusalError("token_name_invalid", f"a token's name has 1 to {NAME_CHARACTERS_MAX} characters")
    token = secrets.token_urlsafe(32)
    connection.execute(
        "INSERT INTO api_token (name, token_hash, created_ms, scopes, locations, operator, expires_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET token_hash = excluded.token_hash,"
        " created_ms = excluded.created_ms, scopes = excluded.scopes, locations = excluded.locations,"
        " operator = excluded.operator, expires_ms = excluded.expires_ms",
        (
            name.strip(), token_hash(token), now_ms, msgspec.json.encode(sorted(map(str, scopes))).decode(),
            msgspec.json.encode(sorted(locations)).decode(), operator, expires_ms,
        ),
    )  # fmt: skip
    return token


def delete_token(connection: Connection, name: str) -> None:
    """Have a token stop working; raises RefusalError `token_unknown`."""
    if connection.execute("DELETE FROM api_token WHERE name = ? RETURNING name", (name,)).fetchone() is None:
        raise RefusalError("token_unknown", "there is no token of this name")
