"""Enrolment: a new node makes its key, redeems an invitation, and starts from the hub's signed snapshot."""

from __future__ import annotations

import base64
import os
import secrets
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge.applying import Pace, apply_batches, keep_statements
from edge.backup_target import keep_files
from edge.clock_source import ClockSource
from edge.config import (
    CERTIFICATE_FILE,
    CONFIG_FILE,
    DATABASE_FILE,
    KEY_FILE,
    NodeConfig,
    read_config,
    read_key,
    read_seed,
    write_config,
    write_key,
)
from edge.encryption import DELAY_S, data_key, found_vault, is_encrypted, open_vault, read_vault
from edge.garbage import uncollected
from edge.hub_line import HubLine, meet, read_problem
from edge.node import RELEASE, Node
from edge.store import Store, foreseen
from edge.sync_agent import HttpLine, sync_once
from schema.codec import encode
from schema.errors import RefusalError, TransientError
from schema.files import write_private
from sync.bundle import is_bundle_signed, read_bundle, read_kept
from sync.clock import anchored, measure
from sync.pruning import found
from sync.signing import SigningKey
from sync.transport import ENROL_PATH, SNAPSHOT_PATH, EnrolRequest, EnrolResponse, Invitation, enrol_proof, sign_request

SNAPSHOT_FILE: Final = "snapshot.part"
_CHUNK: Final = 1024 * 1024
Progress = Callable[[int, int], None]
"""Called with what is done and the whole, in bytes of the snapshot."""


class Joined(msgspec.Struct, frozen=True):
    """A node that has joined: what it is called, and the passphrase under which a copy of its key is sealed."""

    node: str
    name: str
    location: str
    till: str
    organisation: str
    recovery_passphrase: str


def join(
    directory: Path,
    address: str,
    invitation_text: str,
    clock: ClockSource,
    *,
    passphrase: str | None = None,
    progress: Progress | None = None,
) -> Joined:
    """Enrol a node in a new directory and load its snapshot; with a passphrase, encrypted at rest from the first byte.

    A second call after a broken line goes on where the first stopped. Raises RefusalError (a wrong, used or expired
    code, an untrusted hub) or TransientError (no line); a directory that was only begun holds no node yet.
    """
    if (directory / CONFIG_FILE).exists():
        raise RefusalError("node_exists", f"{directory} holds a node already")
    try:
        invitation = Invitation.parse(invitation_text)
    except ValueError as error:
        raise RefusalError("code_malformed", str(error)) from None
    card = meet(address, invitation.fingerprint)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    recovery = base64.b32encode(secrets.token_bytes(15)).decode().lower()
    _encrypt(directory, passphrase, recovery)
    signer = _key(directory)
    line = HubLine(address, card.ca_pem)
    try:
        sent_ms = clock().wall_ms
        proof = signer.sign(enrol_proof(invitation.code, signer.public))
        request = EnrolRequest(invitation.code, signer.public, proof, RELEASE, sent_ms)
        answer = _read_enrolment(line.post(ENROL_PATH, encode(request)))
        received_ms = clock().wall_ms
        if answer.root_key != card.public_key or answer.node != signer.node:
            raise RefusalError("hub_untrusted", "the hub enrolled another node, or names another organisation")
        config = NodeConfig(
            answer.node, answer.name, answer.location, answer.till, answer.organisation, address, answer.hub,
            answer.root_key.hex(), answer.ca_pem, answer.currency, answer.time_zone, answer.day_cut_hour,
        )  # fmt: skip
        write_private(directory / CERTIFICATE_FILE, answer.certificate_pem.encode())
        snapshot = _download(directory, line, signer, answer.hub, progress)
        write_config(directory, config)
        with Node(directory, clock=clock) as node:
            with node.write() as writing:
                renewed = anchored(writing.clock, measure(sent_ms, answer.wall_ms, received_ms))
                node.connection.execute("UPDATE node_state SET clock = ?", (encode(renewed),))
                keep_sealed_key(node, recovery)
            _load(node, snapshot, answer.root_key)
            _exchange(node)
            keep_files(node)
        (directory / SNAPSHOT_FILE).unlink(missing_ok=True)
    finally:
        line.close()
    return Joined(config.node, config.name, config.location, config.till, config.organisation, recovery)


def _read_enrolment(content: bytes) -> EnrolResponse:
    try:
        return msgspec.msgpack.decode(content, type=EnrolResponse)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RefusalError("hub_refused", "the hub's answer to the invitation cannot be read") from None


def _encrypt(directory: Path, passphrase: str | None, recovery: str) -> None:
    """Make the vault of a new node, or open that of one whose enrolment broke off, before anything else is written."""
    if passphrase is None:
        if is_encrypted(directory):
            raise RefusalError("join_encrypted", f"{directory} was begun with --encrypt: go on so, or take another")
        return
    if (directory / KEY_FILE).exists() and not is_encrypted(directory):
        raise RefusalError("join_unencrypted", f"{directory} was begun without --encrypt: go on so, or take another")
    begun = open_vault(read_vault(directory), passphrase) if is_encrypted(directory) else None
    found_vault(directory, passphrase, recovery, begun)


def _key(directory: Path) -> SigningKey:
    if not (directory / KEY_FILE).exists():
        write_key(directory, secrets.token_bytes(32))
    return read_key(directory)


def _download(directory: Path, line: HubLine, signer: SigningKey, hub: str, progress: Progress | None) -> bytes:
    """Fetch the snapshot in ranges; what arrived stays in the directory, so a broken line costs only the rest.

    An encrypted node keeps it in memory: nothing in clear may touch its disk.
    """
    if is_encrypted(directory):
        with BytesIO() as part:
            _fetch(part, "", lambda _: None, line, signer, hub, progress)
            return part.getvalue()
    path, etag_file = directory / SNAPSHOT_FILE, directory / (SNAPSHOT_FILE + ".etag")
    etag = etag_file.read_text("ascii") if etag_file.exists() and path.exists() else ""
    if not etag:
        path.unlink(missing_ok=True)
    with path.open("ab") as file:
        _fetch(file, etag, lambda text: etag_file.write_text(text, "ascii"), line, signer, hub, progress)
    etag_file.unlink(missing_ok=True)
    return path.read_bytes()


def _fetch(
    file: BinaryIO,
    etag: str,
    keep_etag: Callable[[str], object],
    line: HubLine,
    signer: SigningKey,
    hub: str,
    progress: Progress | None,
) -> None:
    """Append to a file what is missing of the snapshot that `etag` names, or begin with the newest."""
    done = file.seek(0, os.SEEK_END)
    total = done + 1
    while done < total:
        headers = sign_request(signer, hub, SNAPSHOT_PATH, b"", secrets.token_hex(8))
        headers["range"] = f"bytes={done}-{done + _CHUNK - 1}"
        if etag:
            headers["if-range"] = etag
        response = line.get(SNAPSHOT_PATH, headers)
        if response.status_code == 200:
            _empty(file)
            file.write(response.content)
            return
        if response.status_code == 429 or response.status_code >= 500:
            raise TransientError("hub_busy", "the hub cannot give its snapshot now: try again")
        if response.status_code != 206:
            raise read_problem(response)
        if etag and response.headers.get("etag") != etag:
            _empty(file)
            done, etag = 0, ""
            continue
        etag = response.headers.get("etag", "")
        keep_etag(etag)
        file.write(response.content)
        file.flush()
        done += len(response.content)
        size = response.headers.get("content-range", "").rpartition("/")[2]
        if not response.content or not size.isdecimal():
            raise TransientError("snapshot_broken", "the hub sent a part of its snapshot that fits nowhere")
        total = int(size)
        if progress is not None:
            progress(done, total)


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _load(node: Node, snapshot: bytes, root_key: bytes) -> None:
    if not is_bundle_signed(snapshot, node.config.root, root_key):
        raise RefusalError("snapshot_invalid", "the snapshot is not signed by the hub")
    header, parts = read_bundle(snapshot)
    pace = Pace(is_bulk=True)
    bases = [base for base in header.bases if not node.replica.log.streams(base.scope)]
    if bases:
        kept, seen = read_kept(snapshot)
        with node.write():
            found(node.replica, bases, kept, seen)
    with uncollected():
        for batches in parts:
            _, refusals = apply_batches(node, batches, pace)
            if refusals:
                raise RefusalError(refusals[0].code, refusals[0].message)
    keep_statements(node, header.statements)
    with node.write():
        node.connection.execute("UPDATE node_state SET last_exchange_ms = ?", (header.wall_ms,))


def _exchange(node: Node) -> None:
    """Fetch what travels by the line alone, such as operators' PINs; what fails now is told by the next sync."""
    line = HttpLine(node)
    try:
        sync_once(node, line, is_bulk=True)
    except (TransientError, RefusalError):
        return
    finally:
        line.close()


def keep_sealed_key(node: Node, passphrase: str) -> None:
    """Keep a copy of the key in the file, and so in its backups, that only the recovery passphrase opens."""
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    wrapped = ChaCha20Poly1305(_stretch(passphrase, salt)).encrypt(
        nonce, read_seed(node.directory), node.config.node.encode()
    )
    with foreseen(node.store.path):
        node.connection.execute("UPDATE node_state SET sealed_key = ?", (salt + nonce + wrapped,))


def recover_key(directory: Path, passphrase: str) -> str:
    """Write a lost node key anew from the copy in the node's database; returns the node's id.

    Raises RefusalError `key_exists`, `passphrase_wrong`, or `key_missing` where no copy was kept.
    """
    config = read_config(directory)
    if (directory / KEY_FILE).exists():
        raise RefusalError("key_exists", f"{directory / KEY_FILE} is there: move it away if it is not this node's")
    store = Store(directory / DATABASE_FILE, is_read_only=True, key=data_key(directory))
    try:
        with foreseen(store.path):
            row = store.connection.execute("SELECT sealed_key FROM node_state").fetchone()
    finally:
        store.close()
    if row is None or row[0] is None:
        raise RefusalError("key_missing", f"{store.path} holds no copy of the key")
    seed = open_sealed_key(bytes(row[0]), passphrase.strip().lower(), config.node)
    write_key(directory, seed)
    return config.node


def open_sealed_key(sealed: bytes, passphrase: str, node: str) -> bytes:
    """Return the 32-byte seed that a backup holds; raises RefusalError for a wrong passphrase."""
    salt, nonce, wrapped = sealed[:16], sealed[16:28], sealed[28:]
    try:
        return ChaCha20Poly1305(_stretch(passphrase, salt)).decrypt(nonce, wrapped, node.encode())
    except InvalidTag:
        time.sleep(DELAY_S)
        raise RefusalError("passphrase_wrong", "this passphrase does not open the key") from None


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Argon2id(salt=salt, length=32, iterations=3, lanes=1, memory_cost=64 * 1024).derive(passphrase.encode())
