"""Who calls the API: a token, the person who made it, and what both of them may do today."""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.accounts import BOUND_ROLES, RIGHTS, Right, rank_of
from hub.tokens import TokenScope, TokenStanding
from schema.errors import RefusalError
from schema.kinds.base import Rank
from schema.kinds.organisation import OperatorDefined
from sync.replica import Replica

_RIGHT: Final = {
    TokenScope.READ: Right.READ,
    TokenScope.CATALOGUE: Right.CATALOGUE,
    TokenScope.SETTLE: Right.SETTLE,
}


class Caller(NamedTuple):
    """What a request may do; `locations` is None where it is bound to none, `operator` empty for a machine's token."""

    name: str
    operator: str
    rank: Rank
    scopes: frozenset[TokenScope]
    locations: frozenset[str] | None

    def check(self, scope: TokenScope) -> None:
        """Raise RefusalError `token_forbidden` where the caller may not do this anywhere."""
        if scope not in self.scopes:
            raise RefusalError("token_forbidden", f"this token is not for that: it needs the scope {scope.value}")
        if scope is TokenScope.CATALOGUE and self.locations is not None:
            raise RefusalError("token_forbidden", "a token of some locations changes no catalogue: that is everybody's")

    def sees(self, location: str) -> bool:
        """Tell whether a location is the caller's."""
        return self.locations is None or location in self.locations

    def check_sees(self, location: str) -> None:
        """Raise RefusalError `location_forbidden` for a location that is not the caller's."""
        if not self.sees(location):
            raise RefusalError("location_forbidden", "this token is not for that location")


def caller_of(replica: Replica, token: TokenStanding) -> Caller:
    """Return what a token may do today: never more than the person who made it still may.

    Raises RefusalError `token_orphaned` where that person has no access any more.
    """
    scopes = frozenset(scope for scope in TokenScope if scope.value in token.scopes)
    locations = token.locations or None
    if not token.operator:
        return Caller(token.name, "", Rank.ADMIN, scopes, locations)
    defined = replica.organisation.newest(replica.connection, OperatorDefined, token.operator)
    if defined is None or not defined.is_active or defined.role not in RIGHTS:
        raise RefusalError("token_orphaned", "who made this token has no access any more: ask for a new one")
    scopes = frozenset(scope for scope in scopes if _RIGHT[scope] in RIGHTS[defined.role])
    if defined.role in BOUND_ROLES:
        own = frozenset(defined.locations)
        locations = own if locations is None else own & locations
    return Caller(token.name, token.operator, rank_of(defined.role), scopes, locations)
