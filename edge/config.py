"""A node's settings: `node.toml` is read once, unknown keys are refused, and the values are handed down."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

import msgspec

from edge.encryption import data_key, open_text, seal_text
from schema.errors import RefusalError
from schema.files import write_private
from schema.identity import LocationId, NodeId, Scope, location_scope
from sync.signing import SigningKey

CONFIG_FILE: Final = "node.toml"
KEY_FILE: Final = "node.key"
TOKEN_FILE: Final = "node.token"  # noqa: S105 - the name of a file
DATABASE_FILE: Final = "node.db"
CERTIFICATE_FILE: Final = "node.crt"


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a node is and whom it trusts; written at enrolment."""

    node: str
    name: str
    location: str
    till: str
    organisation: str
    hub_address: str
    hub: str
    root_key: str
    ca_pem: str
    currency: str
    time_zone: str
    day_cut_hour: int
    price_list: str = "standard"
    lease_days: int | None = None
    cache_days: int = 30
    lan: bool = True
    """Whether tills of the location find each other and exchange entries without the hub."""
    lan_host: str = ""
    """The address to listen on; every one of this machine where it is empty."""
    lan_port: int = 8444
    lan_peers: tuple[str, ...] = ()
    """Neighbours as host:port, where they cannot be found by multicast."""
    backup: str = ""
    """Where the backup goes: a folder, `sftp://user@host/path` or `s3://bucket/path`; none where it is empty."""

    @property
    def node_id(self) -> NodeId:
        """The node's id."""
        return NodeId(self.node)

    @property
    def root(self) -> NodeId:
        """The organisation's root node."""
        return NodeId(self.hub)

    @property
    def root_public_key(self) -> bytes:
        """The organisation's key, pinned at enrolment."""
        return bytes.fromhex(self.root_key)

    @property
    def scope(self) -> Scope:
        """The scope of the node's own location."""
        return location_scope(LocationId(self.location))


def read_config(directory: Path) -> NodeConfig:
    """Read a node's settings; raises RefusalError with what is wrong and where."""
    path = directory / CONFIG_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RefusalError(
            "node_missing", f"there is no node in {directory}: use `edgetill join ADDRESS CODE` first"
        ) from None
    return decode_config(content, str(path))


def decode_config(content: bytes, path: str = CONFIG_FILE) -> NodeConfig:
    """Read settings from their bytes; raises RefusalError `config_invalid`."""
    try:
        return msgspec.convert(tomllib.loads(content.decode("utf-8")), NodeConfig)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise RefusalError("config_invalid", f"{path}: {error}") from None


def write_config(directory: Path, config: NodeConfig) -> None:
    """Write a node's settings as TOML (JSON strings are TOML strings)."""
    lines = [
        f"{name} = {msgspec.json.encode(value).decode()}"
        for name, value in msgspec.to_builtins(config).items()
        if value is not None
    ]
    write_private(directory / CONFIG_FILE, "\n".join(lines).encode() + b"\n")


def read_key(directory: Path) -> SigningKey:
    """Read the node's private key, which lies outside the database; raises RefusalError."""
    return SigningKey(read_seed(directory))


def read_seed(directory: Path) -> bytes:
    """Read the 32 bytes that make the node's private key; raises RefusalError."""
    try:
        seed = bytes.fromhex(open_text(directory, (directory / KEY_FILE).read_text("ascii").strip(), KEY_FILE))
    except FileNotFoundError:
        raise RefusalError(
            "key_missing", f"{directory / KEY_FILE} is missing: use `edgetill recover-key` with its passphrase"
        ) from None
    except ValueError:
        raise RefusalError("key_invalid", f"{directory / KEY_FILE} holds no key") from None
    if len(seed) != 32:
        raise RefusalError("key_invalid", f"{directory / KEY_FILE} holds no key")
    return seed


def write_key(directory: Path, seed: bytes) -> None:
    """Write the node's private key, sealed where the node is encrypted at rest."""
    write_private(directory / KEY_FILE, seal_text(data_key(directory), seed.hex(), KEY_FILE).encode())
