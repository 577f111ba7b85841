"""Seals what a stranger carries: a bundle that only the hub can read, and its answer that only one node can read.

The reader's signing key serves as the address: its Curve25519 form (RFC 7748's birational map of RFC 8032's point) is
known to whoever seals, the hub's since a node joined and the node's by its grant, so no further key has to reach
anybody. Each sealing makes one key by X25519 with a fresh key of its own and HKDF-SHA256, and uses it once
(ChaCha20-Poly1305). Entropy is a parameter.
"""

from __future__ import annotations

import hashlib
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schema.codec import encode
from schema.errors import RefusalError
from schema.kinds.base import Code, Count, Millis
from sync.messages import Message
from sync.signing import SigningKey, is_signed, statement_message

MAGIC: Final = b"edgetill-carried-1\0"
ANSWER_MAGIC: Final = b"edgetill-answer-1\0"
CARRIED_BYTES_MAX: Final = 16 * 1024 * 1024
"""More than a shop sells in 30 days; what is larger goes by stick to the hub itself."""
ANSWER_BYTES_MAX: Final = 2 * 1024 * 1024
"""So much of the hub's answer goes back at once, in one frame on a shop's network; the rest goes with the next."""
_P: Final = 2**255 - 19
_NONCE: Final = bytes(12)


class CarriedHead(Message, frozen=True):
    """What the bearer may know: whose organisation it is for, who wrote it, when, and how many entries it has."""

    root: Code
    writer: Code
    location: Code
    made_ms: Millis
    entries: Count


class SealedBundle(Message, frozen=True):
    """A bundle that only the hub reads; the writer's signature covers all of it."""

    head: CarriedHead
    ephemeral: bytes
    sealed: bytes
    signature: bytes

    @property
    def name(self) -> str:
        """Name the bundle by its content: the same one twice has the same name."""
        return _digest(self.head, self.ephemeral, self.sealed).hex()[:32]


class AnswerHead(Message, frozen=True):
    """What the bearer of an answer may know: which node it is for, where, when it was made, and its entries."""

    root: Code
    reader: Code
    location: Code
    made_ms: Millis
    entries: Count


class SealedAnswer(Message, frozen=True):
    """The hub's answer to a bundle that was brought: only the node that wrote the bundle reads it."""

    head: AnswerHead
    ephemeral: bytes
    sealed: bytes
    signature: bytes

    @property
    def name(self) -> str:
        """Name the answer by its content: the same one twice has the same name."""
        return _digest(self.head, self.ephemeral, self.sealed).hex()[:32]


SealedT = TypeVar("SealedT", SealedBundle, SealedAnswer)


def _digest(head: Message, ephemeral: bytes, sealed: bytes) -> bytes:
    return hashlib.sha256(encode(head) + ephemeral + sealed).digest()


def _public_of(signing_key: bytes) -> X25519PublicKey:
    """Return the Curve25519 form of an Ed25519 public key: u = (1 + y) / (1 − y)."""
    y = int.from_bytes(signing_key, "little") & ((1 << 255) - 1)
    if y % _P == 1:
        raise RefusalError("carried_damaged", "this is no key that anything could be sealed to")
    u = (1 + y) * pow(1 - y, -1, _P) % _P
    return X25519PublicKey.from_public_bytes(u.to_bytes(32, "little"))


def _private_of(signer: SigningKey) -> X25519PrivateKey:
    """Return the Curve25519 form of an Ed25519 private key: the first half of its seed's SHA-512."""
    scalar = hashlib.sha512(signer.private.private_bytes_raw()).digest()[:32]
    return X25519PrivateKey.from_private_bytes(scalar)


def _key(shared: bytes, ephemeral: bytes, signing_key: bytes, magic: bytes) -> bytes:
    return HKDF(SHA256(), 32, ephemeral + signing_key, magic).derive(shared)


def _seal(content: bytes, head: Message, reader_key: bytes, magic: bytes, entropy: bytes) -> tuple[bytes, bytes]:
    own = X25519PrivateKey.from_private_bytes(entropy)
    ephemeral = own.public_key().public_bytes_raw()
    key = _key(own.exchange(_public_of(reader_key)), ephemeral, reader_key, magic)
    return ephemeral, ChaCha20Poly1305(key).encrypt(_NONCE, content, encode(head))


def _open(sealed: SealedBundle | SealedAnswer, reader: SigningKey, magic: bytes) -> bytes:
    try:
        shared = _private_of(reader).exchange(X25519PublicKey.from_public_bytes(sealed.ephemeral))
        key = _key(shared, sealed.ephemeral, reader.public, magic)
        return ChaCha20Poly1305(key).decrypt(_NONCE, sealed.sealed, encode(sealed.head))
    except (InvalidTag, ValueError):
        raise RefusalError("carried_damaged", "this is damaged, or was sealed to another than its reader") from None


def _read(file: bytes, magic: bytes, form: type[SealedT]) -> SealedT:
    try:
        return msgspec.msgpack.decode(file[len(magic) :], type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RefusalError("carried_damaged", "this bundle is damaged: have it written again") from None


def seal_bundle(content: bytes, head: CarriedHead, hub_key: bytes, writer: SigningKey, entropy: bytes) -> bytes:
    """Return a bundle sealed to the hub as a file; `entropy` is 32 fresh random bytes.

    Raises RefusalError `carried_large`.
    """
    ephemeral, sealed = _seal(content, head, hub_key, MAGIC, entropy)
    signature = writer.sign(statement_message("carried", _digest(head, ephemeral, sealed)))
    file = MAGIC + encode(SealedBundle(head, ephemeral, sealed, signature))
    if len(file) > CARRIED_BYTES_MAX:
        raise too_large(len(file))
    return file


def too_large(size: int) -> RefusalError:
    """Return the refusal of a bundle that nobody carries."""
    most = CARRIED_BYTES_MAX // 1_000_000
    return RefusalError(
        "carried_large", f"this bundle has {size // 1_000_000} MB, and at most {most} MB are carried: bring it to the"
        " hub on a stick", megabytes=size // 1_000_000, most=most,
    )  # fmt: skip


def read_sealed(file: bytes) -> SealedBundle:
    """Read a file as whoever carries it does; raises RefusalError `carried_large`, `carried_foreign` by form."""
    if len(file) > CARRIED_BYTES_MAX:
        raise too_large(len(file))
    if not file.startswith(MAGIC):
        raise RefusalError("carried_malformed", "this file is no bundle that is sealed to a hub")
    return _read(file, MAGIC, SealedBundle)


def is_whole(bundle: SealedBundle, writer_key: bytes) -> bool:
    """Tell whether a bundle is what its writer sealed, byte for byte."""
    message = statement_message("carried", _digest(bundle.head, bundle.ephemeral, bundle.sealed))
    return is_signed(writer_key, bundle.signature, message)


def open_bundle(bundle: SealedBundle, hub: SigningKey) -> bytes:
    """Return what was sealed to the hub; raises RefusalError `carried_damaged`."""
    return _open(bundle, hub, MAGIC)


def seal_answer(content: bytes, head: AnswerHead, reader_key: bytes, hub: SigningKey, entropy: bytes) -> bytes:
    """Return the hub's answer sealed to the node that it is for; `entropy` is 32 fresh random bytes."""
    ephemeral, sealed = _seal(content, head, reader_key, ANSWER_MAGIC, entropy)
    signature = hub.sign(statement_message("answer", _digest(head, ephemeral, sealed)))
    return ANSWER_MAGIC + encode(SealedAnswer(head, ephemeral, sealed, signature))


def read_answer(file: bytes) -> SealedAnswer:
    """Read an answer as whoever carries it does; raises RefusalError `answer_malformed`, `carried_damaged`."""
    if not file.startswith(ANSWER_MAGIC) or len(file) > ANSWER_BYTES_MAX:
        raise RefusalError("answer_malformed", "this is no answer of a hub to a bundle that was brought")
    return _read(file, ANSWER_MAGIC, SealedAnswer)


def is_answer_whole(answer: SealedAnswer, hub_key: bytes) -> bool:
    """Tell whether an answer is what the hub sealed, byte for byte."""
    message = statement_message("answer", _digest(answer.head, answer.ephemeral, answer.sealed))
    return is_signed(hub_key, answer.signature, message)


def open_answer(answer: SealedAnswer, reader: SigningKey) -> bytes:
    """Return what the hub sealed to this node; raises RefusalError `carried_damaged`."""
    return _open(answer, reader, ANSWER_MAGIC)
