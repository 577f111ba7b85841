"""The hub over HTTP beside the sync endpoint: bounded bodies, work in threads, and every refusal as a Problem.

Bodies are read raw and decoded by ourselves: nothing of a request is believed before its signature fits, and a
framework's typed parameters would decode it twice. Messages other than the session's own travel unframed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.response import Stream

from hub.api.serving import API_PREFIX, problem_response
from hub.ingest import Credentials
from hub.pages.desk import wants_page
from hub.snapshots import parse_range
from hub.sync_route import BODY_BYTES_MAX, read_bounded, status_of
from hub.workers import RETRY_SECONDS, Workers
from schema.codec import encode
from schema.errors import EdgetillError, RefusalError
from sync.sealing import CARRIED_BYTES_MAX
from sync.transport import (
    BROUGHT_PATH,
    CONTENT_TYPE,
    ENROL_PATH,
    NODE_HEADER,
    NONCE_HEADER,
    ORGANISATION_PATH,
    SIGNATURE_HEADER,
    SNAPSHOT_PATH,
    EnrolRequest,
    OrganisationCard,
    Problem,
)

if TYPE_CHECKING:
    from hub.service import Hub

__all__ = ["Workers", "create_app", "read_body"]

_WIRE_PATHS: Final = frozenset({ENROL_PATH, ORGANISATION_PATH, SNAPSHOT_PATH, BROUGHT_PATH})
_CHUNK_BYTES: Final = 256 * 1024
_CODES: Final[Mapping[int, str]] = {404: "path_unknown", 405: "method_unknown"}

AnyRequest = Request[Any, Any, Any]
_log = logging.getLogger("edgetill.hub")


async def read_body(request: AnyRequest, limit: int = BODY_BYTES_MAX) -> bytes:
    """Return the body; raises RefusalError `body_too_large` or `body_slow`, never holding more than the limit."""
    return await read_bounded(request.stream(), limit)


def _credentials(request: AnyRequest) -> Credentials:
    headers = request.headers
    return Credentials(headers.get(NODE_HEADER, ""), headers.get(NONCE_HEADER, ""), headers.get(SIGNATURE_HEADER, ""))


def _problem(request: AnyRequest, status: int, code: str, message: str) -> Response[bytes]:
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
    problem = Problem(code[:96], message[:1000])
    if request.url.path in _WIRE_PATHS:
        return Response(encode(problem), status_code=status, media_type=CONTENT_TYPE, headers=headers)
    content = msgspec.json.encode({"code": problem.code, "message": problem.message})
    return Response(content, status_code=status, media_type="application/json", headers=headers)


def _on_ours(request: AnyRequest, error: EdgetillError) -> Response[bytes]:
    status = status_of(error)
    is_ours_to_tell = status < HTTPStatus.INTERNAL_SERVER_ERROR
    return _problem(
        request, status, error.code, error.message if is_ours_to_tell else "the hub needs its administrator"
    )


def _on_framework(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    code = _CODES.get(error.status_code, "request_malformed")
    return _problem(request, error.status_code, code, error.detail or code)


def _api_problem(error: HTTPException) -> Response[bytes]:
    code = _CODES.get(error.status_code, "request_malformed")
    answer = problem_response(RefusalError(code, error.detail or code), status=error.status_code)
    for name, value in (error.headers or {}).items():
        if name.lower() == "allow":
            answer.headers[name] = value
    return answer


def _on_bug(request: AnyRequest, error: Exception) -> Response[bytes]:
    _log.error("a request failed in a way that was not foreseen", exc_info=error)
    return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "the hub failed; its log says how")


def create_app(hub: Hub) -> Litestar:
    """Return the hub's web application."""
    workers = hub.workers

    @post(ENROL_PATH, status_code=HTTPStatus.OK, request_max_body_size=None, include_in_schema=False)
    async def enrol(request: AnyRequest) -> Response[bytes]:
        body = await read_body(request, 4096)
        try:
            wish = msgspec.msgpack.decode(body, type=EnrolRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RefusalError("message_malformed", f"the request cannot be read: {error}") from None
        peer = request.client.host if request.client else ""
        response = await workers.run(lambda: hub.enrolment.redeem(wish, peer))
        return Response(encode(response), media_type=CONTENT_TYPE)

    @post(BROUGHT_PATH, status_code=HTTPStatus.OK, request_max_body_size=None, include_in_schema=False)
    async def brought(request: AnyRequest) -> Response[bytes]:
        body, credentials = await read_body(request, CARRIED_BYTES_MAX), _credentials(request)

        def work() -> bytes:
            from hub.brought import take_brought

            bearer = hub.ingest.authenticate(credentials, BROUGHT_PATH, body)
            return encode(take_brought(hub, body, bearer.node))

        return Response(await workers.run(work), media_type=CONTENT_TYPE)

    @get(ORGANISATION_PATH, include_in_schema=False)
    async def organisation() -> Response[bytes]:
        card: OrganisationCard = await workers.run(hub.card)
        return Response(encode(card), media_type=CONTENT_TYPE)

    @get(SNAPSHOT_PATH, include_in_schema=False)
    async def snapshot(request: AnyRequest) -> Response[Any]:
        credentials, if_range = _credentials(request), request.headers.get("if-range")
        standing = await workers.run(lambda: hub.ingest.authenticate(credentials, SNAPSHOT_PATH, b""))
        found = await workers.run(lambda: hub.snapshots.find(standing.location, if_range, hub.now_ms()))
        wanted = request.headers.get("range") if if_range in {None, found.etag} else None
        try:
            part = parse_range(wanted, found.size)
        except ValueError:
            raise RefusalError("range_invalid", f"the snapshot has {found.size} bytes") from None
        first, last = part or (0, found.size - 1)
        headers = {"ETag": found.etag, "Accept-Ranges": "bytes", "Content-Length": str(last - first + 1)}
        if part is not None:
            headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
        status = HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT
        chunks = _read_chunks(found.path, first, last)
        return Stream(chunks, status_code=status, media_type=CONTENT_TYPE, headers=headers)

    def on_framework(request: AnyRequest, error: HTTPException) -> Response[bytes]:
        path = request.url.path
        if path.startswith(API_PREFIX) and path not in _WIRE_PATHS:
            return _api_problem(error)
        return hub.desk.error_page(request, error.status_code) if wants_page(request) else _on_framework(request, error)

    return Litestar(
        [enrol, brought, organisation, snapshot, *hub.api.handlers(), *hub.desk.handlers()],
        openapi_config=None,
        exception_handlers={EdgetillError: _on_ours, HTTPException: on_framework, Exception: _on_bug},
        lifespan=[hub.lifespan],
        logging_config=None,
    )


async def _read_chunks(path: Path, first: int, last: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        left = last - first + 1
        while left > 0:
            chunk = await asyncio.to_thread(file.read, min(_CHUNK_BYTES, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk
