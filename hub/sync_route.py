"""The sync endpoint as a bare ASGI application before the framework's: thousands of nodes ask there, mostly nothing.

A framework's routing and request objects would cost more than the hub's whole answer to a node that is in step.
Bodies are read raw and bounded; nothing of a request is believed before its signature fits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from hub.ingest import Credentials
from hub.workers import RETRY_SECONDS, Workers
from schema.codec import encode
from schema.errors import EdgetillError, RefusalError, TransientError
from sync.messages import FRAME_BYTES_MAX
from sync.transport import CONTENT_TYPE, NODE_HEADER, NONCE_HEADER, SIGNATURE_HEADER, SYNC_PATH, Problem

if TYPE_CHECKING:
    from hub.service import Hub

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Application(Protocol):
    """What ASGI calls an application."""

    async def __call__(self, scope: Any, receive: Any, send: Any, /) -> None: ...


BODY_BYTES_MAX: Final = FRAME_BYTES_MAX + 64
DISCARDED_BYTES_MAX: Final = 16 * 1024 * 1024
"""So much of a body that is too large is read and dropped, so that its sender reads the answer instead of a reset."""
BODY_SECONDS_MAX: Final = 60

STATUS: Final = {
    "credentials_missing": HTTPStatus.UNAUTHORIZED,
    "node_unknown": HTTPStatus.UNAUTHORIZED,
    "signature_invalid": HTTPStatus.UNAUTHORIZED,
    "token_missing": HTTPStatus.UNAUTHORIZED,
    "token_unknown": HTTPStatus.UNAUTHORIZED,
    "node_revoked": HTTPStatus.FORBIDDEN,
    "node_mismatch": HTTPStatus.FORBIDDEN,
    "scope_forbidden": HTTPStatus.FORBIDDEN,
    "proof_invalid": HTTPStatus.FORBIDDEN,
    "code_unknown": HTTPStatus.NOT_FOUND,
    "path_unknown": HTTPStatus.NOT_FOUND,
    "code_used": HTTPStatus.CONFLICT,
    "till_taken": HTTPStatus.CONFLICT,
    "code_expired": HTTPStatus.GONE,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "body_slow": HTTPStatus.REQUEST_TIMEOUT,
    "method_unknown": HTTPStatus.METHOD_NOT_ALLOWED,
    "range_invalid": HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
}
_log = logging.getLogger("edgetill.hub")


async def read_bounded(chunks: AsyncIterator[bytes], limit: int = BODY_BYTES_MAX) -> bytes:
    """Return a whole body; raises RefusalError `body_too_large` or `body_slow`, never holding more than the limit."""
    kept: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in chunks:
                size += len(chunk)
                if size <= limit:
                    kept.append(chunk)
                elif size > DISCARDED_BYTES_MAX:
                    break
                else:
                    kept.clear()
    except TimeoutError:
        raise RefusalError("body_slow", "the body did not arrive in time") from None
    if size > limit:
        raise RefusalError("body_too_large", f"a body is at most {limit} bytes")
    return b"".join(kept)


def status_of(error: EdgetillError) -> HTTPStatus:
    """Return the status that tells a node what to do about a failure: a busy hub is never a failing one."""
    if isinstance(error, TransientError):
        return HTTPStatus.TOO_MANY_REQUESTS
    if isinstance(error, RefusalError):
        return STATUS.get(error.code, HTTPStatus.BAD_REQUEST)
    _log.critical("the hub must stop: %s [%s]", error.message, error.code)
    return HTTPStatus.INTERNAL_SERVER_ERROR


class SyncRoute:
    """Answers the sync endpoint and hands everything else to the application behind it."""

    def __init__(self, hub: Hub, behind: Application) -> None:
        self._hub = hub
        self._workers: Workers = hub.workers
        self._behind = behind

    async def __call__(self, scope: Any, receive: Receive, send: Send, /) -> None:
        """Serve one connection's request as ASGI has it."""
        if scope["type"] != "http" or scope["path"] != SYNC_PATH:
            await self._behind(scope, receive, send)
            return
        try:
            content, status = await self._answer(scope, receive), HTTPStatus.OK
        except EdgetillError as error:
            status = status_of(error)
            message = error.message if status < HTTPStatus.INTERNAL_SERVER_ERROR else "the hub needs its administrator"
            content = encode(Problem(error.code[:96], message[:1000]))
        except Exception:
            _log.exception("a request failed in a way that was not foreseen")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            content = encode(Problem("internal", "the hub failed; its log says how"))
        headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", b"%d" % len(content))]
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            headers.append((b"retry-after", b"%d" % RETRY_SECONDS))
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Any, receive: Receive) -> bytes:
        if scope["method"] != "POST":
            raise RefusalError("method_unknown", "a node posts here")
        # The clock is read before the body arrives: how long that takes is no error of the node's clock.
        received_ms = self._hub.now_ms()
        if self._workers.is_full:
            raise TransientError("busy", "the hub is busy: try again in a moment")
        body = await read_bounded(_chunks(receive))
        headers = dict(scope["headers"])
        credentials = Credentials(
            *(headers.get(name, b"").decode("latin-1") for name in (_NODE_HEADER, _NONCE_HEADER, _SIGNATURE_HEADER))
        )
        return await self._workers.run(lambda: self._hub.ingest.handle(credentials, body, received_ms))


_NODE_HEADER: Final = NODE_HEADER.encode()
_NONCE_HEADER: Final = NONCE_HEADER.encode()
_SIGNATURE_HEADER: Final = SIGNATURE_HEADER.encode()


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusalError("body_slow", "the line broke before the body was whole")
        yield message.get("body", b"")
        if not message.get("more_body"):
            return
