"""Restores a node on a new machine: from a backup, and from what the hub and the neighbours hold beyond it.

The restored node is built beside the directory that it will have and moved there whole. It goes on under a new
incarnation, in a series of receipts of its own, so that nothing it does can collide with what the lost machine did
after the backup. What is known to have existed and is nowhere to be found is named by range.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from edge.backup_target import KEPT_FILES, SEALED_FILE, fetch_replica, parse_target
from edge.clock_source import ClockSource
from edge.config import CONFIG_FILE, DATABASE_FILE, KEY_FILE, decode_config, read_key, write_key
from edge.doctor import examine
from edge.encrypted_copy import is_carrier, unpack_carrier
from edge.encryption import adopt_key, data_key, open_vault, read_vault
from edge.joining import open_sealed_key
from edge.lan_visit import SEARCH_S, visit_neighbours
from edge.missing import MissingRange, note_missing
from edge.node import Node
from edge.store import Store, foreseen
from edge.sync_agent import HttpLine, sync_once
from schema.errors import CorruptionError, EdgetillError, RefusalError
from schema.files import write_private

_BUILDING: Final = ".restoring"
_REPLICA: Final = re.compile(r"([a-z2-7]{12})-(\d+)-(\d+)")


class Restored(msgspec.Struct, frozen=True):
    """What a restore came to; own entries are those of the lost machine that are here now."""

    node: str
    name: str
    location: str
    till: str
    incarnation: int
    from_backup: int
    """Own entries that the backup held."""
    own_entries: int
    last_own_ms: int | None
    """When the lost machine recorded the last of them, by its clock."""
    heard_of_hub: str
    """Empty when the hub was asked; else why it was not."""
    neighbours: int
    missing: tuple[MissingRange, ...]
    is_healthy: bool
    findings: tuple[str, ...]


Tell = Callable[[str], None]


def find_replica(source: str) -> str:
    """Return the address of the replica, or file, that a source names.

    A folder with the backups of one node gives the newest of them. Raises RefusalError `backup_missing`,
    `backup_ambiguous` for a folder with several nodes' backups, or `target_invalid`.
    """
    if source.startswith(("s3://", "sftp://")):
        return parse_target(source)
    path = Path(source.removeprefix("file://")).absolute()
    if path.is_file():
        return str(path)
    if (path / "ltx").is_dir():
        return f"file://{path}"
    found = [folder for folder in path.glob("*") if _REPLICA.fullmatch(folder.name) and any(folder.rglob("*.ltx"))]
    if not found:
        raise RefusalError("backup_missing", f"there is no backup in {source}", target=source)
    if len({folder.name.partition("-")[0] for folder in found}) > 1:
        names = ", ".join(sorted(folder.name for folder in found))
        raise RefusalError("backup_ambiguous", f"{source} holds several nodes: name one of {names}", names=names)
    return f"file://{max(found, key=_newest_ms)}"


def _newest_ms(folder: Path) -> int:
    return max(file.stat().st_mtime_ns for file in folder.rglob("*.ltx"))


def restore(
    directory: Path,
    source: str,
    passphrase: str,
    clock: ClockSource,
    *,
    peers: Iterable[str] = (),
    search_s: float = SEARCH_S,
    tell: Tell = lambda _: None,
) -> Restored:
    """Make a node's directory anew from its backup, and fetch what hub and neighbours hold beyond it.

    `passphrase` is the recovery passphrase that `join` showed; for an encrypted node its own will do. Raises
    RefusalError `directory_in_use`, `passphrase_wrong`, `key_missing` or by name of what is wrong with the backup;
    nothing is left of such a restore. A hub or neighbour that cannot be reached is no error.
    """
    directory = directory.absolute()
    _check_free(directory)
    address = find_replica(source)
    building = directory.with_name(directory.name + _BUILDING)
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True, mode=0o700)
    try:
        tell(f"fetching {address}")
        _build(building, address, passphrase)
        key = data_key(building)
        _try_start(building, clock)
        _check_free(directory)
        building.replace(directory)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    if key is not None:
        adopt_key(directory, key)
    with Node(directory, clock=clock) as node:
        tell(f"{node.config.name} goes on under incarnation {node.state().incarnation}")
        from_backup = _own_count(node)
        heard = _ask_hub(node)
        visited = visit_neighbours(node, peers, search_s=search_s) if node.config.lan else []
        missing = note_missing(node)
        found = examine(node, mend=True)
        return Restored(
            node.config.node, node.config.name, node.config.location, node.config.till, node.state().incarnation,
            from_backup, _own_count(node), _last_own_ms(node), heard, len(visited), missing,
            found.is_healthy or (found.is_mended and not found.damages),
            tuple(finding.sentence for finding in found.findings),
        )  # fmt: skip


def _check_free(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RefusalError(
            "directory_in_use", f"{directory} is in use: restore into a new directory", directory=str(directory)
        )


def _build(building: Path, address: str, passphrase: str) -> None:
    """Put a whole node directory together, but for its token: so its first start begins an incarnation."""
    database = building / DATABASE_FILE
    fetched = building / "fetched.db"
    if address.startswith("/"):
        shutil.copyfile(address, fetched)
    else:
        fetch_replica(address, fetched)
    if is_carrier(fetched):
        unpack_carrier(fetched, database)
        fetched.unlink()
        adopt_key(building, open_vault(read_vault(building), passphrase))
    else:
        fetched.rename(database)
    database.chmod(0o600)
    _check_file(building)
    files, sealed_key = _read_kept(building)
    config = decode_config(files[CONFIG_FILE])
    for name, content in files.items():
        write_private(building / name, content)
    if not (building / KEY_FILE).exists():
        if sealed_key is None:
            raise RefusalError("key_missing", "the backup holds no copy of the node's key")
        write_key(building, open_sealed_key(sealed_key, passphrase.strip().lower(), config.node))
    if read_key(building).node != config.node:
        raise RefusalError("key_foreign", "the key in the backup belongs to another node")


def _check_file(building: Path) -> None:
    """Raise RefusalError `backup_damaged` for a file whose pages do not fit together."""
    try:
        store = Store(building / DATABASE_FILE, key=data_key(building))
        try:
            with foreseen(store.path):
                said = [row[0] for row in store.connection.execute("PRAGMA integrity_check(5)").fetchall()]
        finally:
            store.close()
    except CorruptionError as error:
        raise RefusalError("backup_damaged", f"the backup is damaged: {error.message}") from None
    if said != ["ok"]:
        raise RefusalError("backup_damaged", f"the backup is damaged: {said[0]}")


def _try_start(building: Path, clock: ClockSource) -> None:
    """Begin the incarnation while nothing stands in its place yet; raises RefusalError `backup_damaged`."""
    try:
        Node(building, clock=clock).close()
    except CorruptionError as error:
        raise RefusalError("backup_damaged", f"the backup is damaged: {error.message}") from None


def _read_kept(building: Path) -> tuple[dict[str, bytes], bytes | None]:
    store = Store(building / DATABASE_FILE, key=data_key(building))
    try:
        with foreseen(store.path):
            rows = store.connection.execute("SELECT name, content FROM kept_file").fetchall()
            files = {name: bytes(content) for name, content in rows if name in (*KEPT_FILES, SEALED_FILE)}
            row = store.connection.execute("SELECT sealed_key FROM node_state").fetchone()
            # How that backup was is nothing that the new machine's is.
            with store.transaction():
                store.connection.execute("DELETE FROM backup_state")
    finally:
        store.close()
    if CONFIG_FILE not in files:
        raise RefusalError("backup_unreadable", "the backup does not say whose it is")
    return files, None if row is None or row[0] is None else bytes(row[0])


def _own_rows(node: Node) -> list[tuple[int, int, int]]:
    """Return (seq, base, hlc ms) of the node's own streams of its location."""
    return [
        (row.head.seq, row.base.seq, row.hlc[0])
        for row in node.replica.log.streams(node.config.scope)
        if row.stream.node == node.config.node_id and row.head.seq
    ]


def _own_count(node: Node) -> int:
    return sum(seq for seq, _, _ in _own_rows(node))


def _last_own_ms(node: Node) -> int | None:
    return max((ms for _, _, ms in _own_rows(node)), default=None)


def _ask_hub(node: Node) -> str:
    """Exchange with the hub; returns why that was not possible, or nothing."""
    try:
        line = HttpLine(node)
        try:
            report = sync_once(node, line, is_bulk=True)
        finally:
            line.close()
    except EdgetillError as error:
        return error.message
    return "" if report.is_complete else "the hub does not have everything yet"
