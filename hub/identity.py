"""The hub's directory: its settings, the organisation's key, and the certificates made from it.

The organisation's root key is the hub node's key and lies outside the database and its backups. X.509 certificates
under it carry no dates that matter: what is trusted is the pinned key, and a node whose clock fell back to 1970 must
still be able to reach the hub that will correct it. A node leaves the fleet by an entry, never by a date.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import secrets
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from schema.errors import RefusalError
from schema.files import write_private
from schema.identity import NodeId
from sync.signing import SigningKey

SETTINGS_FILE: Final = "hub.toml"
KEY_FILE: Final = "hub.key"
CA_FILE: Final = "ca.pem"
TLS_KEY_FILE: Final = "tls.key"
TLS_CHAIN_FILE: Final = "tls.pem"
TLS_ROOT_FILE: Final = "tls-root.pem"
SNAPSHOTS_FOLDER: Final = "snapshots"
RECORD_FILE: Final = "hub.heads"
DATABASE_VARIABLE: Final = "EDGETILL_HUB_DATABASE"
DEFAULT_ADDRESS: Final = "127.0.0.1:8443"
DEFAULT_DATABASE: Final = "hub.db"

_NOT_BEFORE: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


class HubSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `hub.toml` says; `address` is host:port as nodes reach it, `database` a file name or a PostgreSQL URL."""

    name: str
    address: str = DEFAULT_ADDRESS
    database: str = DEFAULT_DATABASE

    @property
    def host(self) -> str:
        """The host of the address."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of the address."""
        return int(self.address.rpartition(":")[2])


class HubIdentity:
    """A hub's directory once it is read: who the hub is and what it signs with."""

    def __init__(self, directory: Path, settings: HubSettings, signer: SigningKey) -> None:
        self.directory = directory
        self.settings = settings
        self.signer = signer

    @property
    def node(self) -> NodeId:
        """The hub's node id."""
        return self.signer.node

    @property
    def ca_pem(self) -> str:
        """The organisation's certificate, which nodes pin."""
        return (self.directory / CA_FILE).read_text("ascii")

    def issue(self, public_key: bytes, name: str, uris: Sequence[str]) -> str:
        """Return a node's certificate (PEM): its key, its id and what it may do, as a LAN peer verifies offline."""
        return _certificate(
            self.signer.private,
            issuer=self.settings.name,
            subject=name,
            public_key=Ed25519PublicKey.from_public_bytes(public_key),
            names=[x509.DNSName(name), *(x509.UniformResourceIdentifier(uri) for uri in uris)],
        )

    def renew_tls(self, *hosts: str) -> tuple[Path, Path]:
        """Write a server certificate for these hosts and the loopback; returns (key file, chain file).

        Its key is on P-256 and so is the key that signs it, because no browser knows Ed25519, and the desk is read in
        browsers. The organisation's own key, which nodes pin, signs that one. It signs itself as well, for browsers to
        trust, and is forgotten at once: what they trust can never vouch for anything but this certificate. So both
        stay as they are for as long as these hosts are among theirs.
        """
        key_file, chain_file = self.directory / TLS_KEY_FILE, self.directory / TLS_CHAIN_FILE
        loaded = serialization.load_pem_private_key(key_file.read_bytes(), None) if key_file.exists() else None
        if not isinstance(loaded, EllipticCurvePrivateKey):
            # Earlier releases had an Ed25519 key. Nodes pin the organisation's key above it, so this one may change.
            loaded = generate_private_key(SECP256R1())
            content = loaded.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            beside = key_file.with_suffix(f".{secrets.token_hex(4)}")
            _write_secret(beside, content)
            beside.replace(key_file)
        wanted = [
            _general_name(host)
            for host in dict.fromkeys([self.settings.host, *hosts, "localhost", "127.0.0.1", "::1"])
            if host
        ]
        if self._serves(wanted, loaded.public_key()):
            return key_file, chain_file
        between = generate_private_key(SECP256R1())
        issued = _authority(self.signer.private, self.settings.name, between.public_key())
        chain = _certificate(
            between,
            issuer=self.settings.name,
            subject=self.node,
            public_key=loaded.public_key(),
            names=[*wanted, x509.DNSName(self.node)],
        )
        _replace_text(self.directory / TLS_ROOT_FILE, _authority(between, self.settings.name))
        # Written beside and moved: a hub that starts meanwhile reads a whole chain. The organisation's own certificate
        # is not part of it: nodes pin it, and Chromium lets nobody past a chain with an Ed25519 certificate inside.
        _replace_text(chain_file, chain + issued)
        return key_file, chain_file

    def _serves(self, names: Sequence[x509.GeneralName], key: EllipticCurvePublicKey) -> bool:
        """Tell whether the certificate that is there is for these names and this key, under what browsers trust."""
        try:
            leaf, issued = x509.load_pem_x509_certificates((self.directory / TLS_CHAIN_FILE).read_bytes())
            issued.verify_directly_issued_by(x509.load_pem_x509_certificate(self.ca_pem.encode()))
            leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(self.browser_pem.encode()))
            known = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        return leaf.public_key() == key and set(names) <= set(known)

    @property
    def browser_pem(self) -> str:
        """The certificate that a browser trusts so as to know this hub; raises FileNotFoundError before `renew_tls`."""
        return (self.directory / TLS_ROOT_FILE).read_text("ascii")

    @property
    def browser_fingerprint(self) -> str:
        """The SHA-256 of what a browser is to trust, in pairs of hexadecimal digits as browsers show it."""
        digest = x509.load_pem_x509_certificate(self.browser_pem.encode()).fingerprint(SHA256())
        return digest.hex(":").upper()


def found_directory(directory: Path, settings: HubSettings, seed: bytes) -> HubIdentity:
    """Make a hub's directory with its settings and key; raises RefusalError `hub_exists` where one is already."""
    if (directory / SETTINGS_FILE).exists() or (directory / KEY_FILE).exists():
        raise RefusalError("hub_exists", f"{directory} holds a hub already")
    _check_address(settings.address)
    directory.mkdir(parents=True, exist_ok=True)
    # The database beside the key holds PIN verifiers and the keys of people.
    directory.chmod(0o700)
    signer = SigningKey(seed)
    _write_secret(directory / KEY_FILE, seed.hex().encode() + b"\n")
    (directory / CA_FILE).write_text(_authority(signer.private, settings.name), "ascii")
    identity = HubIdentity(directory, settings, signer)
    identity.renew_tls()
    lines = [
        "# The hub reads this file once, when it starts.",
        f"name = {_toml(settings.name)}",
        "# Host and port as the nodes reach the hub.",
        f"address = {_toml(settings.address)}",
        "# A file name in this folder, or postgresql://user@host/database.",
        f"database = {_toml(settings.database)}",
    ]
    write_private(directory / SETTINGS_FILE, ("\n".join(lines) + "\n").encode())
    return identity


def load_identity(directory: Path, database: str | None = None) -> HubIdentity:
    """Read a hub's directory; `database`, or the environment, may name another database than its settings do.

    Raises RefusalError `hub_missing`, `settings_invalid`, `key_exposed` or `key_invalid`.
    """
    try:
        text = (directory / SETTINGS_FILE).read_text("utf-8")
        key_file = directory / KEY_FILE
        mode = key_file.stat().st_mode
        secret = key_file.read_text("ascii").strip()
    except OSError as error:
        raise RefusalError("hub_missing", f"{directory} holds no hub: {error.strerror or error}") from None
    try:
        settings = msgspec.convert(tomllib.loads(text), HubSettings)
        _check_address(settings.address)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RefusalError("settings_invalid", f"{SETTINGS_FILE} cannot be read: {error}") from None
    if other := database or os.environ.get(DATABASE_VARIABLE):
        settings = msgspec.structs.replace(settings, database=other)
    if mode & 0o077:
        raise RefusalError("key_exposed", f"others may read {KEY_FILE}: restrict it to its owner (mode 600)")
    try:
        return HubIdentity(directory, settings, SigningKey(bytes.fromhex(secret)))
    except ValueError:
        raise RefusalError("key_invalid", f"{KEY_FILE} holds no key") from None


def remember_database(directory: Path, database: str) -> None:
    """Have a hub's settings name this database from now on; the rest of the file stays as it is."""
    file = directory / SETTINGS_FILE
    text = file.read_text("utf-8")
    line = f"database = {_toml(database)}"
    text, found = re.subn(r"(?m)^database\s*=.*$", lambda _: line, text, count=1)
    # A database's address may hold a password.
    write_private(file, (text if found else f"{text.rstrip()}\n{line}\n").encode())


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) < 65536:
        raise RefusalError("settings_invalid", f"{address!r} is no host:port")


def _toml(text: str) -> str:
    # A JSON string without escapes beyond TOML's is a TOML basic string.
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def _replace_text(path: Path, text: str) -> None:
    beside = path.with_suffix(f".{secrets.token_hex(4)}")
    beside.write_text(text, "ascii")
    beside.replace(path)


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host.encode("idna").decode("ascii"))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _authority(
    key: Ed25519PrivateKey | EllipticCurvePrivateKey, name: str, other: EllipticCurvePublicKey | None = None
) -> str:
    """Return the organisation's own certificate under a key, or one for another key of it.

    Both have the organisation's name: a certificate between is issued by its own subject, and so does not count
    against the length of path that earlier releases wrote into what nodes pin (RFC 5280, 4.2.1.9).
    """
    public = key.public_key() if other is None else other
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, SHA256() if isinstance(key, EllipticCurvePrivateKey) else None)
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _certificate(
    key: Ed25519PrivateKey | EllipticCurvePrivateKey,
    *,
    issuer: str,
    subject: str,
    public_key: Ed25519PublicKey | EllipticCurvePublicKey,
    names: Sequence[x509.GeneralName],
) -> str:
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, SHA256() if isinstance(key, EllipticCurvePrivateKey) else None)
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
