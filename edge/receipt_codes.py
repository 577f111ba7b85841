"""The signed code on a receipt: written with the sale, and read back offline at any till of the organisation.

It holds entry, digest, total and the writer's signature, so that a till which has never heard of the sale can tell that
it is genuine and what was paid. In base 32 a QR code keeps it in its compact alphanumeric mode.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final, NamedTuple

import msgspec

from edge.node import Node
from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import EntryId, Stream
from sync.signing import is_signed, receipt_message

_LENGTH_MIN: Final = 150
"""A digest and a signature alone are 96 bytes, 154 characters."""
_decode: Final = msgspec.msgpack.Decoder(tuple[str, str, int, bytes, int, bytes]).decode


class ReceiptCode(NamedTuple):
    """What a code says: the entry, its digest, and the amount on the paper; `signature` is over all of it."""

    entry: EntryId
    digest: bytes
    total_minor: int
    signature: bytes


def write_receipt_code(node: Node, entry: EntryId, digest: bytes, total_minor: int) -> bytes:
    """Return the code of an own entry."""
    stream, seq = entry
    signature = node.signer.sign(receipt_message(stream, seq, digest, total_minor))
    return encode((stream.scope, stream.writer, seq, digest, total_minor, signature))


def code_text(code: bytes) -> str:
    """Return a code as it is printed."""
    return base64.b32encode(code).decode().rstrip("=")


def read_receipt_code(text: str) -> ReceiptCode | None:
    """Read a code from its printed form; None for anything else. It is not verified yet."""
    written = "".join(text.split()).upper()
    if len(written) < _LENGTH_MIN or not written.isascii() or not written.isalnum():
        return None
    try:
        content = base64.b32decode(written + "=" * (-len(written) % 8))
        scope, writer, seq, digest, total, signature = _decode(content)
        stream = Stream.parse(f"{scope}:{writer}")
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        return None
    return ReceiptCode(EntryId(stream, seq), digest, total, signature)


def is_receipt_code(text: str) -> bool:
    """Tell whether a text has the form of a receipt's code."""
    return read_receipt_code(text) is not None


def verify_receipt_code(node: Node, code: ReceiptCode) -> None:
    """Check a code's signature with the organisation's keys, offline.

    Raises RefusalError: `code_unverified` (this till has not heard of the one that printed it yet), `code_forged` (also
    where the organisation has let that till's later entries go: a stolen key prints receipts, too).
    """
    stream, seq = code.entry
    node.organisation.refresh(node.connection)
    key = node.organisation.public_key(node.connection, stream.node)
    if key is None:
        raise RefusalError(
            "code_unverified", "this till does not know the one that printed the receipt yet: ask a supervisor"
        )
    authority = node.organisation.authority(node.connection, stream)
    is_revoked = authority.last_seq is not None and seq > authority.last_seq
    message = receipt_message(stream, seq, code.digest, code.total_minor)
    if is_revoked or not authority.permissions or not is_signed(key, code.signature, message):
        raise RefusalError("code_forged", "the receipt's code is not genuine: keep the receipt and ask a supervisor")
