"""Ed25519 keys and the messages that are signed: seals of streams, receipts and hub statements."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schema.codec import encode
from schema.identity import NodeId, Stream, node_id

_SEAL = b"edgetill-seal-1\0"
_RECEIPT = b"edgetill-receipt-1\0"
_STATEMENT = b"edgetill-statement-1\0"


class SigningKey:
    """A node's private key; 32 bytes of seed make it, so that entropy stays a parameter."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public: bytes = self._private.public_key().public_bytes_raw()
        self.node: NodeId = node_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message."""
        return self._private.sign(message)

    @property
    def private(self) -> Ed25519PrivateKey:
        """The key as `cryptography` holds it, for certificates."""
        return self._private


@lru_cache(maxsize=4096)
def _public(key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(key)


def is_signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the signature over the message was made with that key; malformed keys and signatures are not."""
    try:
        _public(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def seal_message(stream: Stream, seq: int, digest: bytes) -> bytes:
    """Return what a seal signs: this stream stood at this sequence number with this digest."""
    return _SEAL + encode((stream.scope, stream.node, stream.incarnation, seq, digest))


def receipt_message(stream: Stream, seq: int, digest: bytes, total_minor: int) -> bytes:
    """Return what a receipt's code signs: the entry and the amount on the paper."""
    return _RECEIPT + encode((stream.scope, stream.node, stream.incarnation, seq, digest, total_minor))


def statement_message(subject: str, content: bytes) -> bytes:
    """Return what signs any other statement (a snapshot, a digest of elsewhere); `subject` keeps uses apart."""
    return _STATEMENT + encode((subject, content))
