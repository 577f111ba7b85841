"""One request of the API as its function sees it, and how functions declare what they serve."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from hub.api.callers import Caller
from hub.tokens import TokenScope
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, Scope, location_scope
from sync.replica import Replica

if TYPE_CHECKING:
    from hub.own_log import OwnLog
    from hub.service import Hub

TAGS_PATTERN: Final = r"^[!-~][ -~]*$"
Method = Literal["GET", "POST", "PUT", "DELETE"]
StructT = TypeVar("StructT", bound=msgspec.Struct)
_encode: Final = msgspec.json.Encoder().encode


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


class Call:
    """A request whose token, parameters and body fit the route; `replica` reads one state of the database.

    In a write it is the write transaction's own, and whatever is appended belongs to one act of the token's.
    """

    def __init__(
        self,
        hub: Hub,
        caller: Caller,
        replica: Replica,
        own_log: OwnLog,
        *,
        query: msgspec.Struct,
        path: msgspec.Struct,
        body: msgspec.Struct | None,
        precondition: str = "",
    ) -> None:
        self.hub = hub
        self.caller = caller
        self.replica = replica
        self.own_log = own_log
        self.now_ms = own_log.now_ms()
        self.made_at = ""
        """The address of what a write made."""
        self._query = query
        self._path = path
        self._body = body
        self._precondition = precondition

    def query(self, kind: type[StructT]) -> StructT:
        """Return the query's parameters."""
        return _as(self._query, kind)

    def path(self, kind: type[StructT]) -> StructT:
        """Return the path's parameters."""
        return _as(self._path, kind)

    def body(self, kind: type[StructT]) -> StructT:
        """Return what was sent."""
        return _as(self._body, kind)

    def scope_nos(self, location: str) -> frozenset[int] | None:
        """Return the numbers of the scopes to read: of one location, else of all that are seen (None: of all)."""
        wanted = {location} if location else self.caller.locations
        if wanted is None:
            return None
        found = (self.replica.log.scope_no(location_scope(LocationId(code))) for code in wanted)
        return frozenset(number for number in found if number is not None)

    def location_names(self) -> dict[int, str]:
        """Return the codes of locations by the numbers of their scopes."""
        return {number: scope[4:] for scope, number in self.replica.log.scopes().items()}

    @property
    def has_precondition(self) -> bool:
        """Tell whether the request names the state that it was made from."""
        return bool(self._precondition.strip())

    def check_match(self, current: msgspec.Struct) -> None:
        """Refuse a write that was made from another state than this; raises RefusalError `etag_stale`."""
        wanted = self._precondition.strip()
        if wanted and wanted != "*" and etag_of(encode_answer(current)) not in tags_of(wanted):
            raise RefusalError("etag_stale", "this was changed meanwhile: read it again, then decide anew")


def _as(value: msgspec.Struct | None, kind: type[StructT]) -> StructT:
    assert isinstance(value, kind), "a route declares what its function reads"
    return value


def encode_answer(answer: msgspec.Struct) -> bytes:
    """Write an answer as it is sent."""
    return _encode(answer)


def etag_of(content: bytes) -> str:
    """Return the tag of an answer: the digest of its bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def tags_of(header: str) -> set[str]:
    """Return the tags that a precondition names, weak or strong."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


Work = Callable[[Call], msgspec.Struct]


class Write(NamedTuple):
    """How a route changes something: what act the log records, under which lock, and whether it must name a state."""

    act: Callable[[msgspec.Struct, msgspec.Struct | None], str]
    lock: Callable[[msgspec.Struct, msgspec.Struct | None], Scope]
    needs_match: bool


class Route(NamedTuple):
    """One method of one path."""

    method: Method
    path: str
    scope: TokenScope
    work: Work
    query: type[msgspec.Struct]
    params: type[msgspec.Struct]
    body: type[msgspec.Struct] | None
    answer: type[msgspec.Struct]
    status: int
    write: Write | None

    @property
    def name(self) -> str:
        """The route's name among operations."""
        return f"{self.method.lower()}_{self.work.__name__}"


class Routes:
    """The routes of one module."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def get(
        self,
        path: str,
        scope: TokenScope,
        *,
        answer: type[msgspec.Struct],
        query: type[msgspec.Struct] = Nothing,
        params: type[msgspec.Struct] = Nothing,
    ) -> Callable[[Work], Work]:
        """Declare what is read."""

        def declare(work: Work) -> Work:
            self.all.append(Route("GET", path, scope, work, query, params, None, answer, 200, None))
            return work

        return declare

    def write(
        self,
        method: Literal["POST", "PUT", "DELETE"],
        path: str,
        scope: TokenScope,
        *,
        answer: type[msgspec.Struct],
        act: str | Callable[[msgspec.Struct, msgspec.Struct | None], str],
        query: type[msgspec.Struct] = Nothing,
        params: type[msgspec.Struct] = Nothing,
        body: type[msgspec.Struct] | None = None,
        status: int = 200,
        lock: Callable[[msgspec.Struct, msgspec.Struct | None], Scope] = lambda _path, _body: ORG,
        needs_match: bool = False,
    ) -> Callable[[Work], Work]:
        """Declare what changes something; the catalogue's lock is the organisation's."""
        named = act if callable(act) else (lambda _path, _body: act)

        def declare(work: Work) -> Work:
            write = Write(named, lock, needs_match)
            self.all.append(Route(method, path, scope, work, query, params, body, answer, status, write))
            return work

        return declare


def location_named(*given: msgspec.Struct | None) -> list[str]:
    """Return the locations that a request names outright in its path, query or body."""
    found = [getattr(one, "location", "") for one in given if one is not None]
    return [location for location in found if location]


def subject_of(params: msgspec.Struct, body: msgspec.Struct | None) -> str:
    """Return what an act was done to, for the audit trail."""
    fields: Mapping[str, Any] = msgspec.structs.asdict(params) or ({} if body is None else msgspec.structs.asdict(body))
    named = [str(fields[name]) for name in ("location", "conflict", "code") if fields.get(name)]
    return "/".join(named)[:96]
