"""Encryption at rest: a random data key opens a node's file and its private key, and a passphrase opens the data key.

The vault lies beside the file and holds the data key twice, wrapped under the passphrase and under the recovery
passphrase that `join` showed (Argon2id). A process asks once: a parent's pipe, systemd's credential, a descriptor that
the environment names, or a person at the terminal. What is derived stays in that process's memory.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from schema.errors import RefusalError
from schema.files import write_private

VAULT_FILE: Final = "node.vault"
CREDENTIAL: Final = "edgetill-passphrase"
PASSPHRASE_FD: Final = "EDGETILL_PASSPHRASE_FD"  # noqa: S105 - the name of a variable
KEY_FD: Final = "EDGETILL_KEY_FD"
PASSPHRASE_CHARACTERS_MIN: Final = 10
DELAY_S: Final = 2.0
"""A wrong passphrase costs this much more than its derivation, and twice as much each further time."""
TRIES: Final = 3
_KEY_BYTES: Final = 32
_SEALED: Final = "sealed:"
_SEALED_BYTES: Final = b"edgetill-at-rest-1\0"
_PERSON, _RECOVERY = b"edgetill-vault-passphrase-1", b"edgetill-vault-recovery-1"
_FILE: Final = b"edgetill-file-1\0"


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data key under one passphrase, with how that is stretched."""

    salt: bytes
    nonce: bytes
    wrapped: bytes
    iterations: Annotated[int, msgspec.Meta(ge=1, le=64)] = 3
    memory_kib: Annotated[int, msgspec.Meta(ge=8, le=4 * 1024 * 1024)] = 64 * 1024

    def open(self, passphrase: str, purpose: bytes) -> bytes | None:
        """Return the data key; None for another passphrase."""
        try:
            stretched = _stretch(passphrase, self.salt, self.iterations, self.memory_kib)
            return ChaCha20Poly1305(stretched).decrypt(self.nonce, self.wrapped, purpose)
        except InvalidTag:
            return None


class Vault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lies beside an encrypted file: two ways to its key. It is worth nothing without one of the passphrases."""

    version: int
    passphrase: Slot
    recovery: Slot


def _stretch(passphrase: str, salt: bytes, iterations: int, memory_kib: int) -> bytes:
    return Argon2id(salt=salt, length=32, iterations=iterations, lanes=1, memory_cost=memory_kib).derive(
        passphrase.encode()
    )


def _slot(key: bytes, passphrase: str, purpose: bytes) -> Slot:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    bare = Slot(salt, nonce, b"")
    stretched = _stretch(passphrase, salt, bare.iterations, bare.memory_kib)
    return Slot(salt, nonce, ChaCha20Poly1305(stretched).encrypt(nonce, key, purpose))


def is_encrypted(directory: Path) -> bool:
    """Tell whether a node's directory is encrypted at rest."""
    return (directory / VAULT_FILE).exists()


def found_vault(directory: Path, passphrase: str, recovery_passphrase: str, key: bytes | None = None) -> bytes:
    """Make a vault with a new data key (or for a given one) and return the key; raises RefusalError."""
    check_passphrase(passphrase)
    key = key or secrets.token_bytes(_KEY_BYTES)
    vault = Vault(1, _slot(key, passphrase, _PERSON), _slot(key, recovery_passphrase, _RECOVERY))
    write_private(directory / VAULT_FILE, msgspec.json.encode(vault) + b"\n")
    adopt_key(directory, key)
    return key


def check_passphrase(passphrase: str) -> None:
    """Raise RefusalError `passphrase_weak` for one that is soon guessed."""
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise RefusalError(
            "passphrase_weak",
            f"a passphrase has at least {PASSPHRASE_CHARACTERS_MIN} characters",
            least=PASSPHRASE_CHARACTERS_MIN,
        )


def change_passphrase(directory: Path, passphrase: str) -> None:
    """Wrap the data key under another passphrase; the old one opens nothing any more."""
    check_passphrase(passphrase)
    key = data_key(directory)
    if key is None:
        raise RefusalError("not_encrypted", f"the node in {directory} is not encrypted at rest")
    vault = read_vault(directory)
    changed = msgspec.structs.replace(vault, passphrase=_slot(key, passphrase, _PERSON))
    write_private(directory / VAULT_FILE, msgspec.json.encode(changed) + b"\n")
    adopt_key(directory, key)


def read_vault(directory: Path) -> Vault:
    """Read a directory's vault; raises RefusalError `vault_invalid`."""
    return decode_vault((directory / VAULT_FILE).read_bytes())


def decode_vault(content: bytes) -> Vault:
    """Read a vault's bytes; raises RefusalError `vault_invalid`."""
    try:
        return msgspec.json.decode(content, type=Vault)
    except (msgspec.MsgspecError, ValueError):
        raise RefusalError("vault_invalid", f"{VAULT_FILE} cannot be read: take it from the backup") from None


def open_vault(vault: Vault, passphrase: str, *, tried: int = 0) -> bytes:
    """Return the data key under a passphrase or the recovery passphrase.

    Raises RefusalError `passphrase_wrong` after a delay that grows with what was `tried` before.
    """
    key = vault.passphrase.open(passphrase, _PERSON) or vault.recovery.open(passphrase.strip().lower(), _RECOVERY)
    if key is None:
        time.sleep(DELAY_S * 2 ** min(tried, 5))
        raise RefusalError("passphrase_wrong", "this passphrase does not open the node")
    return key


def data_key(directory: Path) -> bytes | None:
    """Return the key of an encrypted node's file, asking once in this process; None for a node that is not encrypted.

    Raises RefusalError `passphrase_needed` where nobody can be asked, `passphrase_wrong` or `vault_invalid`.
    """
    try:
        vault = (directory / VAULT_FILE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RefusalError("vault_invalid", f"{directory / VAULT_FILE} cannot be read: {error.strerror}") from None
    return _known(str(directory.resolve()), hashlib.sha256(vault).digest()).key(lambda: _ask(directory, vault))


class _Known:
    """The key of one vault once it was asked for."""

    def __init__(self) -> None:
        self._key: bytes | None = None

    def key(self, ask: Callable[[], bytes]) -> bytes:
        if self._key is None:
            self._key = ask()
        return self._key


@lru_cache(maxsize=16)
def _known(directory: str, vault_digest: bytes) -> _Known:  # noqa: ARG001 - what the cache is keyed by
    return _Known()


def adopt_key(directory: Path, key: bytes) -> None:
    """Remember the key of a directory's vault, so that nobody is asked for it in this process."""
    vault = (directory / VAULT_FILE).read_bytes()
    _known(str(directory.resolve()), hashlib.sha256(vault).digest()).key(lambda: key)


def forget_keys() -> None:
    """Forget every key that this process was given: the next opening asks again."""
    _known.cache_clear()


def _ask(directory: Path, content: bytes) -> bytes:
    if (inherited := _from_descriptor(KEY_FD)) is not None:
        try:
            key = bytes.fromhex(inherited)
        except ValueError:
            key = b""
        if len(key) == _KEY_BYTES:
            return key
    vault = decode_vault(content)
    given = _from_credential() or _from_descriptor(PASSPHRASE_FD)
    if given is not None:
        return open_vault(vault, given)
    for tried in range(TRIES):
        passphrase = _from_terminal(f"passphrase of {directory.name}: ")
        try:
            return open_vault(vault, passphrase, tried=tried)
        except RefusalError as error:
            if tried == TRIES - 1:
                raise
            sys.stderr.write(f"{error.message}\n")
    raise AssertionError("the last try raises")


def _from_credential() -> str | None:
    """Return what systemd's LoadCredential gave to this service."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    file = Path(folder) / CREDENTIAL
    return file.read_text("utf-8").rstrip("\r\n") if folder and file.is_file() else None


def _from_descriptor(variable: str) -> str | None:
    """Return what a descriptor that the environment names gives, to its end; it can be read once."""
    number = os.environ.pop(variable, "")
    if not number.isdecimal():
        return None
    try:
        with os.fdopen(int(number), "rb") as file:
            return file.read(4096).decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise RefusalError("passphrase_needed", f"{variable} names no descriptor that can be read") from None


def _from_terminal(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise RefusalError(
            "passphrase_needed",
            f"this node is encrypted: type its passphrase at a terminal, or hand it over by {PASSPHRASE_FD}",
        )
    return getpass.getpass(prompt)


def ask_passphrase(prompt: str) -> str:
    """Ask a person for a passphrase, or take it from where a service manager put it."""
    return _from_credential() or _from_descriptor(PASSPHRASE_FD) or _from_terminal(prompt)


def ask_new_passphrase() -> str:
    """Ask a person twice for a new passphrase, or take it from the descriptor that the environment names."""
    given = _from_credential() or _from_descriptor(PASSPHRASE_FD)
    if given is not None:
        return given
    passphrase = _from_terminal("new passphrase: ")
    if _from_terminal("once more: ") != passphrase:
        raise RefusalError("passphrase_differs", "the two passphrases differ")
    return passphrase


@contextmanager
def handed_down(directory: Path) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Give a child process the key of a node without asking again: environment and descriptors to pass to it."""
    key = data_key(directory)
    if key is None:
        yield {}, ()
        return
    reading, writing = os.pipe()
    try:
        os.write(writing, key.hex().encode())
        os.close(writing)
        yield {KEY_FD: str(reading)}, (reading,)
    finally:
        os.close(reading)


def pragmas(key: bytes | None) -> list[str]:
    """Return the statements that come before any other on a connection to a file under this key."""
    if key is None:
        return []
    # The library writes what it cannot decrypt to the error channel; `edge.store` says it in a sentence.
    return ["PRAGMA cipher_log_level = NONE", f"PRAGMA key = \"x'{key.hex()}'\""]


def seal_text(key: bytes | None, content: str, name: str) -> str:
    """Return a small file's text as it may lie beside an encrypted file: sealed under the data key, bound to a name."""
    if key is None:
        return content
    nonce = secrets.token_bytes(12)
    return _SEALED + (nonce + ChaCha20Poly1305(key).encrypt(nonce, content.encode(), _FILE + name.encode())).hex()


def open_text(directory: Path, content: str, name: str) -> str:
    """Return what `seal_text` sealed; text that is not sealed as it is. Raises RefusalError `file_sealed`."""
    if not content.startswith(_SEALED):
        return content
    key = data_key(directory)
    try:
        raw = bytes.fromhex(content[len(_SEALED) :])
        if key is None:
            raise ValueError
        return ChaCha20Poly1305(key).decrypt(raw[:12], raw[12:], _FILE + name.encode()).decode()
    except (ValueError, InvalidTag):
        raise RefusalError("file_sealed", f"{name} is sealed under another key than this node's") from None


def seal_bytes(key: bytes | None, content: bytes, name: str) -> bytes:
    """Return a large file's bytes as `seal_text` does a small one's text."""
    if key is None:
        return content
    nonce = secrets.token_bytes(12)
    return _SEALED_BYTES + nonce + ChaCha20Poly1305(key).encrypt(nonce, content, _FILE + name.encode())


def open_bytes(key: bytes | None, content: bytes, name: str) -> bytes:
    """Return what `seal_bytes` sealed; bytes that are not sealed as they are. Raises RefusalError `file_sealed`."""
    if not content.startswith(_SEALED_BYTES):
        return content
    raw = content[len(_SEALED_BYTES) :]
    try:
        if key is None:
            raise ValueError
        return ChaCha20Poly1305(key).decrypt(raw[:12], raw[12:], _FILE + name.encode())
    except (ValueError, InvalidTag):
        raise RefusalError("file_sealed", f"{name} is sealed under another key than this node's") from None


def write_guarded(directory: Path, name: str, content: bytes) -> None:
    """Write a private file of a node (a draft, a queue) that an encrypted node keeps sealed."""
    text = seal_text(data_key(directory), content.hex(), name)
    write_private(directory / name, content if not text.startswith(_SEALED) else text.encode())


def read_guarded(directory: Path, name: str) -> bytes | None:
    """Read what `write_guarded` wrote; None where there is no such file. Raises RefusalError `file_sealed`."""
    try:
        content = (directory / name).read_bytes()
    except FileNotFoundError:
        return None
    if not content.startswith(_SEALED.encode()):
        return content
    return bytes.fromhex(open_text(directory, content.decode("ascii"), name))
