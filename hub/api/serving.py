"""Serves the API: tokens, preconditions, idempotency and problems around every route.

Work is done in threads of the API's own, so that neither a wave of syncing nodes nor the desk waits for it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from litestar import HttpMethod, Request, Response, get, route
from litestar.handlers import HTTPRouteHandler

from hub.api.answers import KEY_CHARACTERS_MAX, StoredAnswer, claim, fingerprint, keep
from hub.api.callers import Caller, caller_of
from hub.api.calls import TAGS_PATTERN, Call, Route, Write, encode_answer, etag_of, location_named, subject_of, tags_of
from hub.api.description import describe
from hub.api.every import every_route
from hub.api.problems import PROBLEM_TYPE, problem_of, problem_status
from hub.sync_route import read_bounded
from hub.workers import RETRY_SECONDS, Workers
from schema.errors import EdgetillError, RefusalError
from schema.kinds.desk import ActRecorded
from sync.replica import Replica

if TYPE_CHECKING:
    from hub.service import Hub

API_PREFIX: Final = "/v1/"
BODY_BYTES_MAX: Final = 256 * 1024
DESCRIPTION_PATHS: Final = ("/v1/openapi.json", "/v1/openapi/openapi.json", "/v1/openapi")
_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{KEY_CHARACTERS_MAX}}}")
_TAGS: Final = re.compile(TAGS_PATTERN)
_HEADERS: Final = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
_log = logging.getLogger("edgetill.hub")
AnyRequest = Request[Any, Any, Any]


class Asked(NamedTuple):
    """A request as it came, before anything of it is believed."""

    route: Route
    token: str | None
    address: str
    query: str
    params: Mapping[str, str]
    body: bytes
    key: str
    match: str
    none_match: str


class Answered(NamedTuple):
    """What goes back: an empty `content` with status 304."""

    status: int
    content: bytes
    etag: str = ""
    location: str = ""
    is_replayed: bool = False


class Api:
    """The API of one hub; `threads` answer at a time, `waiting_max` more requests may wait."""

    def __init__(self, hub: Hub, *, threads: int = 4, waiting_max: int = 64) -> None:
        self._hub = hub
        self.workers = Workers(threads=threads, waiting_max=waiting_max)
        self.routes = every_route()

    def handlers(self) -> list[HTTPRouteHandler]:
        """Return a handler for every route, and one for the description."""
        by_path: dict[str, list[Route]] = {}
        for one in self.routes:
            by_path.setdefault(one.path, []).append(one)
        return [self._description(), *(self._handler(path, routes) for path, routes in by_path.items())]

    def _description(self) -> HTTPRouteHandler:
        content = msgspec.json.encode(describe(self.routes))

        @get(list(DESCRIPTION_PATHS), include_in_schema=False, name="api description")
        async def description() -> Response[bytes]:
            return Response(content, media_type="application/json", headers={"ETag": etag_of(content)})

        return description

    def _handler(self, path: str, routes: Sequence[Route]) -> HTTPRouteHandler:
        # One handler for all methods of a path: so OPTIONS and what is not served name them all.
        by_method: dict[str, Route] = {one.method: one for one in routes}

        @route(
            path,
            http_method=[HttpMethod(one.method) for one in routes],
            include_in_schema=False,
            request_max_body_size=None,
            name=f"api {path}",
        )
        async def handle(request: AnyRequest) -> Response[bytes]:
            try:
                asked = await _asked(request, by_method[str(request.method)])
                answered = await self.workers.run(lambda: self._answer(asked))
            except EdgetillError as error:
                return problem_response(error)
            except Exception as error:
                _log.error("a request failed in a way that was not foreseen", exc_info=error)
                return problem_response(None)
            return _response(answered)

        return handle

    def _answer(self, asked: Asked) -> Answered:
        one = asked.route
        token = self._hub.tokens.authorise(asked.token)
        with self._hub.store.snapshot() as replica:
            caller = caller_of(replica, token)
            caller.check(one.scope)
            query = _parsed(asked.query, one)
            params = _convert(dict(asked.params), one.params, "path")
            body = _decoded(asked.body, one)
            for location in location_named(params, query, body):
                caller.check_sees(location)
            if one.write is None:
                call = Call(self._hub, caller, replica, self._hub.own_log, query=query, path=params, body=body)
                content = encode_answer(one.work(call))
                etag = etag_of(content)
                if asked.none_match and ("*" in asked.none_match or etag in tags_of(asked.none_match)):
                    return Answered(HTTPStatus.NOT_MODIFIED, b"", etag)
                return Answered(one.status, content, etag)
        return self._change(asked, one.write, caller, query, params, body)

    def _change(
        self,
        asked: Asked,
        write: Write,
        caller: Caller,
        query: msgspec.Struct,
        params: msgspec.Struct,
        body: msgspec.Struct | None,
    ) -> Answered:
        one, own_log = asked.route, self._hub.own_log
        if not _KEY.fullmatch(asked.key):
            raise RefusalError(
                "idempotency_key_missing",
                f"a write needs a header Idempotency-Key: a new one of 1 to {KEY_CHARACTERS_MAX} characters",
            )
        if write.needs_match and not asked.match:
            raise RefusalError(
                "etag_missing", "this needs a header If-Match: the ETag of what the change was made from"
            )
        request = fingerprint(one.method, asked.address, asked.match, asked.body)
        scope = write.lock(params, body)

        def work(replica: Replica) -> Answered:
            connection = replica.connection
            # What the caller may do is asked again under the lock: a token that is taken back stops at once.
            now = caller_of(replica, self._hub.tokens.known(replica, asked.token))
            now.check(one.scope)
            done = claim(connection, caller.name, asked.key, request, own_log.now_ms())
            if done is not None:
                return Answered(done.status, done.content, etag_of(done.content), done.location, is_replayed=True)
            act = write.act(params, body)
            entry = own_log.append(
                replica, scope, ActRecorded(now.operator, act, subject_of(params, body), f"API: {now.name}")
            )
            with replica.belonging_to(str(entry.id)):
                call = Call(
                    self._hub, now, replica, own_log, query=query, path=params, body=body, precondition=asked.match
                )
                content = encode_answer(one.work(call))
            keep(connection, caller.name, asked.key, StoredAnswer(one.status, call.made_at, content))
            return Answered(one.status, content, etag_of(content), call.made_at)

        return self._hub.store.attempt(scope, work)


async def _asked(request: AnyRequest, one: Route) -> Asked:
    headers = request.headers
    body = b""
    if one.write is not None:
        body = await read_bounded(request.stream(), BODY_BYTES_MAX)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if one.body is not None and kind != "application/json":
            raise RefusalError("media_type_unknown", "the body is JSON: Content-Type: application/json")
    match = headers.get("if-match")
    if match is not None and not _TAGS.fullmatch(match):
        raise RefusalError("parameter_invalid", "If-Match names no ETag")
    query = request.scope["query_string"].decode("latin-1")
    return Asked(
        one,
        headers.get("authorization"),
        f"{request.url.path}?{query}",
        query,
        {name: str(value) for name, value in request.path_params.items()},
        body,
        headers.get("idempotency-key", ""),
        match or "",
        headers.get("if-none-match", ""),
    )


def _parsed(query: str, one: Route) -> msgspec.Struct:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError:
        raise RefusalError("parameter_invalid", "the query cannot be read") from None
    values = dict(pairs)
    known = {field.name for field in msgspec.structs.fields(one.query)}
    for name, _ in pairs:
        if name not in known:
            raise RefusalError("parameter_unknown", f"there is no parameter {name[:60]!r} here", parameter=name[:60])
    if len(values) < len(pairs):
        raise RefusalError("parameter_twice", "a parameter stands in the query twice")
    return _convert(values, one.query, "query")


def _convert(values: Mapping[str, str], kind: type[msgspec.Struct], part: str) -> msgspec.Struct:
    if any("\0" in value or (not value.isascii() and _is_broken(value)) for value in values.values()):
        raise RefusalError("parameter_invalid", f"the {part} holds a character that no text has")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise RefusalError("parameter_invalid", f"{part}: {error}") from None


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _decoded(body: bytes, one: Route) -> msgspec.Struct | None:
    if one.body is None:
        if body.strip():
            raise RefusalError("body_invalid", "nothing is to be sent here")
        return None
    try:
        decoded = msgspec.json.decode(body, type=one.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusalError("body_invalid", f"{error}"[:500]) from None
    if b"\\u0000" in msgspec.json.encode(decoded):
        raise RefusalError("body_invalid", "a text holds a character that no text has")
    return decoded


def _response(answered: Answered) -> Response[bytes]:
    headers = {**_HEADERS, "ETag": answered.etag}
    if answered.location:
        headers["Location"] = answered.location
    if answered.is_replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(answered.content, status_code=answered.status, media_type="application/json", headers=headers)


def problem_response(error: EdgetillError | None, *, status: int | None = None) -> Response[bytes]:
    """Return a failure as a problem (RFC 9457); None stands for what was not foreseen."""
    found = problem_status(error) if status is None else HTTPStatus(status)
    headers = dict(_HEADERS)
    if found is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if found in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["Retry-After"] = str(RETRY_SECONDS)
    content = encode_answer(problem_of(error, found))
    return Response(content, status_code=found, media_type=PROBLEM_TYPE, headers=headers)


__all__ = ["API_PREFIX", "Api", "problem_response"]
