"""How what is known of people is sealed, found and shown: alike at the hub that writes it and the till that reads it.

The log names a person by a random id; names and profiles are ciphertext under the person's own key, which lies beside
the log, so that deleting one row makes every copy unreadable. Entropy is a parameter.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from schema.codec import encode
from schema.errors import CorruptionError

NONCE_BYTES: Final = 12
_WRAPPING_NONCE: Final = bytes(NONCE_BYTES)


def seal(key: bytes, person: str, text: str, nonce: bytes) -> bytes:
    """Return a text as ciphertext (nonce first) that only the person's key opens; a nonce serves once."""
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, text.encode(), person.encode())


def unseal(key: bytes, person: str, sealed: bytes) -> str:
    """Return what was sealed under a person's key; raises CorruptionError where the key does not fit."""
    try:
        opened = ChaCha20Poly1305(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], person.encode())
    except (InvalidTag, ValueError):
        raise CorruptionError("person_unreadable", f"the key of {person} does not open what is sealed") from None
    return opened.decode()


def plain_phone(phone: str) -> str:
    """Return a phone number as it is hashed, however it was typed: no blanks, dashes, full-width digits, nor +86."""
    number = "".join(char for char in unicodedata.normalize("NFKC", phone) if not (char.isspace() or char in "-()"))
    return number.removeprefix("+86")


def phone_hash(key: bytes, phone: str) -> bytes:
    """Return the keyed hash under which a member is found."""
    return hmac.new(key, plain_phone(phone).encode(), hashlib.sha256).digest()


def masked(phone: str) -> str:
    """Return a phone number as it is shown: 138****1234."""
    phone = plain_phone(phone)
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 8 else "****"


def wrap_key(phone_key: bytes, phone: str, person: str, key: bytes) -> bytes:
    """Return a person's key locked under the phone number that the person tells at the till.

    A till holds such keys of all members, yet reads the profile of none whose number it was not told. The locking key
    serves for this one plaintext, so that its nonce may stand still and the same input gives the same bytes.
    """
    return ChaCha20Poly1305(_wrapping_key(phone_key, phone, person)).encrypt(_WRAPPING_NONCE, key, person.encode())


def unwrap_key(phone_key: bytes, phone: str, person: str, wrapped: bytes) -> bytes:
    """Return a person's key; raises CorruptionError where the phone number is another."""
    try:
        opener = ChaCha20Poly1305(_wrapping_key(phone_key, phone, person))
        return opener.decrypt(_WRAPPING_NONCE, wrapped, person.encode())
    except (InvalidTag, ValueError):
        raise CorruptionError("person_unreadable", f"this number does not open the key of {person}") from None


def _wrapping_key(phone_key: bytes, phone: str, person: str) -> bytes:
    return hmac.new(
        phone_key, b"\0".join((b"key", person.encode(), plain_phone(phone).encode())), hashlib.sha256
    ).digest()


class Profile(NamedTuple):
    """What is known of a member or customer beside the clear facts of its entry."""

    code: str
    name: str
    phone: str
    birthday: str = ""
    address: str = ""


def write_profile(profile: Profile) -> str:
    """Write a profile as the text that is sealed."""
    return base64.b64encode(encode(tuple(profile))).decode()


def read_profile(text: str) -> Profile:
    """Read what `write_profile` wrote; a later release may have added fields."""
    values = msgspec.msgpack.decode(base64.b64decode(text), type=tuple[str, ...])
    return Profile(*values[: len(Profile._fields)])
