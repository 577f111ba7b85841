"""What travels around the session over HTTP: the paths, the signature of a request, and enrolment.

A request is signed by its node over the hub's id, the path, the body's digest and a nonce; so a request taken
from one line is worth nothing on another. TLS is pinned to the organisation's key, whose fingerprint the
invitation carries.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated, Final

import msgspec

from schema.codec import encode
from schema.kinds.base import Code, Count, Millis, Text
from sync.messages import Message, Signature
from sync.sealing import ANSWER_BYTES_MAX
from sync.signing import SigningKey, is_signed

SYNC_PATH: Final = "/v1/sync"
ENROL_PATH: Final = "/v1/enrol"
SNAPSHOT_PATH: Final = "/v1/snapshot"
ORGANISATION_PATH: Final = "/v1/organisation"
BROUGHT_PATH: Final = "/v1/brought"
NODE_HEADER: Final = "x-edgetill-node"
NONCE_HEADER: Final = "x-edgetill-nonce"
SIGNATURE_HEADER: Final = "x-edgetill-signature"
CONTENT_TYPE: Final = "application/x-edgetill"

PublicKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


def _request_message(hub: str, path: str, body: bytes, nonce: str) -> bytes:
    return b"edgetill-request-1\0" + encode((hub, path, hashlib.sha256(body).digest(), nonce))


def sign_request(signer: SigningKey, hub: str, path: str, body: bytes, nonce: str) -> dict[str, str]:
    """Return the headers that prove who asks; `nonce` is fresh and random, at most 64 characters."""
    signature = base64.b64encode(signer.sign(_request_message(hub, path, body, nonce))).decode()
    return {NODE_HEADER: signer.node, NONCE_HEADER: nonce, SIGNATURE_HEADER: signature}


def is_request_signed(public_key: bytes, hub: str, path: str, body: bytes, nonce: str, signature: str) -> bool:
    """Tell whether the headers fit the request."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    return is_signed(public_key, raw, _request_message(hub, path, body, nonce))


def fingerprint(public_key: bytes) -> str:
    """Return the organisation key's fingerprint as an invitation writes it: 26 base-32 characters, 128 bits."""
    return (
        base64.b32encode(hashlib.sha256(b"edgetill-fingerprint-1\0" + public_key).digest()[:17])[:26].decode().lower()
    )


class Invitation(msgspec.Struct, frozen=True):
    """What an administrator reads out: the one-time code and whom to trust."""

    code: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.code}-{self.fingerprint}"

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """Read an invitation; raises ValueError."""
        code, _, finger = text.strip().lower().partition("-")
        if len(code) != 26 or len(finger) != 26:
            raise ValueError("an invitation is two groups of 26 letters and digits")
        return cls(code, finger)


class OrganisationCard(Message, frozen=True):
    """Who the hub says it is, before anything is trusted: checked against the invitation's fingerprint."""

    name: Text
    hub: Code
    public_key: PublicKey
    ca_pem: Annotated[str, msgspec.Meta(max_length=10_000)]


class EnrolRequest(Message, frozen=True):
    """A node's wish to join; `proof` signs the code under the node's key."""

    code: Code
    public_key: PublicKey
    proof: Signature
    release: Code
    wall_ms: Millis


class EnrolResponse(Message, frozen=True):
    """What a node needs to know of itself; `subscriptions` are (scope, own streams only) pairs."""

    organisation: Text
    hub: Code
    root_key: PublicKey
    node: Code
    name: Text
    location: Code
    till: Code
    subscriptions: tuple[tuple[Code, bool], ...]
    certificate_pem: Annotated[str, msgspec.Meta(max_length=10_000)]
    ca_pem: Annotated[str, msgspec.Meta(max_length=10_000)]
    currency: Code
    time_zone: Code
    day_cut_hour: Count
    wall_ms: Millis


class Problem(Message, frozen=True):
    """The body of every refusal over HTTP: a stable code and one sentence."""

    code: Code
    message: Text


def enrol_proof(code: str, public_key: bytes) -> bytes:
    """Return what a joining node signs."""
    return b"edgetill-enrol-1\0" + encode((code, public_key))


class BroughtAnswer(Message, frozen=True):
    """What became of a sealed bundle that a node brought: how many of its entries were new; `is_new` the first time.

    `refused` is why a part of it was not taken. `answer` goes back to the bundle's writer, sealed to it.
    """

    bundle: Code
    entries: Count
    is_new: bool
    refused: Code = ""
    answer: Annotated[bytes, msgspec.Meta(max_length=ANSWER_BYTES_MAX)] = b""
