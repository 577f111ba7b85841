"""The line to the hub: HTTP with pinned TLS; every failure says whether to try again."""

from __future__ import annotations

import secrets
import ssl
import time
from typing import Final, NamedTuple

import httpx
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schema.errors import RefusalError, TransientError
from schema.identity import node_id
from sync.messages import FRAME_BYTES_MAX
from sync.signing import SigningKey
from sync.transport import (
    CONTENT_TYPE,
    ORGANISATION_PATH,
    OrganisationCard,
    Problem,
    fingerprint,
    sign_request,
)

CONNECT_S: Final = 5.0
READ_S: Final = 60.0
REPLY_BYTES_MAX: Final = FRAME_BYTES_MAX * 2
RESOURCE_BYTES_MAX: Final = 1024 * 1024 * 1024
"""A whole snapshot comes at once where the hub has no longer the one that was begun."""


class Reply(NamedTuple):
    """What the hub answered, with its whole body."""

    status_code: int
    headers: httpx.Headers
    content: bytes


class HubLine:
    """A kept-alive connection to one hub address; counts the bytes of bodies and heads that it moved."""

    def __init__(self, address: str, ca_pem: str) -> None:
        self.address = address.rstrip("/")
        url = httpx.URL(self.address)
        if url.scheme == "http" and url.host not in {"127.0.0.1", "localhost", "::1"}:
            raise RefusalError("address_insecure", "only a hub on this machine may be reached without TLS")
        if url.scheme not in {"http", "https"}:
            raise RefusalError("address_invalid", f"{address} is no address of a hub: write https://host:port")
        self._client = httpx.Client(
            base_url=self.address,
            verify=_pinned(ca_pem) if url.scheme == "https" else True,
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            trust_env=False,
        )
        # A session with nothing to say is mostly heads: what HTTP/1.1 takes for granted is not said.
        for name in ("accept", "accept-encoding", "connection", "user-agent"):
            self._client.headers.pop(name, None)
        self.bytes_sent = 0
        self.bytes_received = 0

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
        """Send a body; returns the reply's. Raises TransientError (no line, busy) or RefusalError by name."""
        return self._read(self._request("POST", path, body, headers or {}))

    def post_signed(self, signer: SigningKey, hub: str, path: str, body: bytes) -> bytes:
        """Send a body that proves who asks."""
        return self.post(path, body, sign_request(signer, hub, path, body, secrets.token_hex(8)))

    def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        """Ask for a resource; the caller reads status and body."""
        return self._request("GET", path, b"", headers or {}, RESOURCE_BYTES_MAX)

    def _request(
        self, method: str, path: str, body: bytes, headers: dict[str, str], bytes_max: int = REPLY_BYTES_MAX
    ) -> Reply:
        if method == "POST":
            headers = {**headers, "content-type": CONTENT_TYPE}
        try:
            with self._client.stream(method, path, content=body or None, headers=headers) as response:
                content = _read_bounded(response, bytes_max)
        except httpx.TransportError as error:
            raise TransientError("hub_unreachable", f"the hub at {self.address} cannot be reached: {error}") from error
        self.bytes_sent += len(body) + _head_bytes(response.request.headers)
        self.bytes_received += len(content) + _head_bytes(response.headers)
        return Reply(response.status_code, response.headers, content)

    def _read(self, response: Reply) -> bytes:
        if response.status_code == 429:
            reason = read_problem(response).message
            raise TransientError("hub_busy", f"{reason}; it asks to wait {response.headers.get('retry-after')} s")
        if response.status_code >= 500:
            raise TransientError("hub_failing", f"the hub failed with status {response.status_code}")
        if response.status_code >= 400:
            raise read_problem(response)
        return response.content

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _read_bounded(response: httpx.Response, bytes_max: int) -> bytes:
    """Read a body as it came, never more than a node takes, whatever its head declares."""
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > bytes_max:
            raise RefusalError("reply_too_large", "the hub's reply is larger than a node takes")
    return bytes(content)


def read_problem(response: Reply) -> RefusalError:
    """Return the refusal that a response tells of."""
    try:
        problem = msgspec.msgpack.decode(response.content, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return RefusalError("hub_refused", f"the hub refused with status {response.status_code}")
    return RefusalError(problem.code, problem.message)


def _head_bytes(headers: httpx.Headers) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.raw) + 40


def _pinned(ca_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=ca_pem)
    return context


def meet(address: str, expected_fingerprint: str) -> OrganisationCard:
    """Ask a hub who it is, and trust the answer only if it fits the invitation's fingerprint.

    Raises RefusalError `hub_untrusted` when the key, or the certificate authority, is another.
    """
    try:
        url = address.rstrip("/") + ORGANISATION_PATH
        with (
            httpx.Client(verify=False, timeout=CONNECT_S, trust_env=False) as client,  # noqa: S501 - pinned below
            client.stream("GET", url) as response,
        ):
            content = _read_bounded(response, REPLY_BYTES_MAX)
    except httpx.TransportError as error:
        raise TransientError("hub_unreachable", f"the hub at {address} cannot be reached: {error}") from error
    except httpx.UnsupportedProtocol:
        raise RefusalError("address_invalid", f"{address} is no address of a hub: write https://host:port") from None
    try:
        card = msgspec.msgpack.decode(content, type=OrganisationCard)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RefusalError("hub_untrusted", f"what answers at {address} is no hub") from None
    if fingerprint(card.public_key) != expected_fingerprint or node_id(card.public_key) != card.hub:
        raise RefusalError("hub_untrusted", "the hub's key is not the one that the invitation names")
    if card.ca_pem:
        authority = x509.load_pem_x509_certificate(card.ca_pem.encode())
        key = authority.public_key()
        if not isinstance(key, Ed25519PublicKey) or key.public_bytes_raw() != card.public_key:
            raise RefusalError("hub_untrusted", "the hub's certificates are not the organisation's")
        authority.verify_directly_issued_by(authority)
    return card


def back_off_s(attempt: int) -> float:
    """Return how long to wait after a failed attempt: doubling from one second to a minute, with jitter."""
    return min(60.0, 2.0**attempt) * (0.5 + secrets.randbelow(1000) / 2000)


def monotonic_ms() -> int:
    """Return the monotonic clock in milliseconds: the agent's own loops never read the wall clock."""
    return time.monotonic_ns() // 1_000_000
