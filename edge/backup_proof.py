"""Proves a backup by restoring it: only a copy that was put together, opened and examined counts as one.

A program that replicates can say that all is well while what it wrote is gone; so the newest state is restored into a
folder that is thrown away, and its file, chains, seals and figures are examined as a node's own are.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from edge.backup_target import BackupRow, backup_row, fetch_replica, replica_address
from edge.clock_source import ClockSource
from edge.config import CONFIG_FILE, DATABASE_FILE, KEY_FILE, TOKEN_FILE, decode_config
from edge.doctor import examine
from edge.encrypted_copy import is_carrier, unpack_carrier
from edge.encryption import VAULT_FILE, adopt_key, data_key, is_encrypted
from edge.node import Node
from edge.store import foreseen
from schema.errors import CorruptionError, RefusalError, TransientError
from schema.files import free_bytes
from sync.version_vector import Head

GRACE_MS: Final = 120_000
"""What was written longer ago than this has to be in a copy; an encrypted node copies itself once a minute."""
_PROOF_PREFIX: Final = ".proof-"


class Proof(msgspec.Struct, frozen=True):
    """What a restore for proof came to; entries are the node's own."""

    address: str
    is_proven: bool
    problem: str
    message: str
    entries: int
    behind: int
    copy_ms: int
    checked_ms: int
    seconds: float


def prove(node: Node, clock: ClockSource) -> Proof:
    """Restore the newest copy into a folder that is thrown away, examine it, and note what came of it.

    Raises RefusalError `backup_off` on a node without one.
    """
    if not node.config.backup:
        raise RefusalError("backup_off", "this node has no backup: set one with `edgetill backup set`")
    began = time.perf_counter()
    row = backup_row(node)
    address = replica_address(node, row)
    heads = _own_heads(node)
    now_ms = clock().wall_ms
    problem, message = "", ""
    entries, behind, copy_ms = 0, 0, 0
    try:
        with tempfile.TemporaryDirectory(prefix=f"{_PROOF_PREFIX}{os.getpid()}-", dir=node.directory) as folder:
            _check_room(node, Path(folder))
            copied = _restore_for_proof(node, address, Path(folder), clock)
        entries = sum(head.seq for head in copied.values())
        behind = sum(max(0, head.seq - copied.get(key, Head(0, b"")).seq) for key, head in heads.items())
        copy_ms = _complete_until_ms(node, heads, copied, now_ms)
        if now_ms - copy_ms > GRACE_MS:
            age_minutes = (now_ms - copy_ms) // 60_000
            raise RefusalError(
                "backup_behind",
                f"the backup lacks {behind} entries, the first of them {age_minutes} min old",
                behind=behind,
                minutes=age_minutes,
            )
    except (RefusalError, TransientError, CorruptionError) as error:
        problem, message = error.code, error.message
    proof = Proof(address, not problem, problem, message, entries, behind, copy_ms, now_ms, time.perf_counter() - began)
    _note(node, proof, row)
    return proof


def _own_heads(node: Node) -> dict[str, Head]:
    return {str(row.stream): row.head for row in node.replica.rows() if row.stream.node == node.config.node_id}


def _check_room(node: Node, folder: Path) -> None:
    needed = sum(file.stat().st_size for file in node.directory.glob(f"{DATABASE_FILE}*")) * 2
    if free_bytes(folder) < needed:
        raise TransientError("backup_no_room", "the disk has no room to try a restore")


def _restore_for_proof(node: Node, address: str, folder: Path, clock: ClockSource) -> dict[str, Head]:
    """Return the heads of the node's own streams in the copy once it has been examined."""
    file = folder / DATABASE_FILE
    if is_encrypted(node.directory):
        fetch_replica(address, folder / "carrier.db")
        if not is_carrier(folder / "carrier.db"):
            raise RefusalError("backup_unreadable", f"what lies at {address} is no copy of an encrypted node")
        unpack_carrier(folder / "carrier.db", file)
        if (folder / VAULT_FILE).read_bytes() != (node.directory / VAULT_FILE).read_bytes():
            raise TransientError("backup_vault_old", "the backup still opens with an earlier passphrase")
        key = data_key(node.directory)
        assert key is not None
        adopt_key(folder, key)
    else:
        fetch_replica(address, file)
    for name in (CONFIG_FILE, KEY_FILE, TOKEN_FILE):
        shutil.copy(node.directory / name, folder / name)
    try:
        with Node(folder, clock=clock) as copy:
            found = examine(copy)
            if not found.is_healthy:
                raise RefusalError("backup_damaged", f"the copy is damaged: {found.findings[0].sentence}")
            return _compare(node, copy)
    except CorruptionError as error:
        raise RefusalError("backup_damaged", f"the copy is damaged: {error.message}") from None


def _compare(node: Node, copy: Node) -> dict[str, Head]:
    """Return the copy's own heads; raises RefusalError `backup_foreign` for a copy of another history."""
    row = copy.connection.execute("SELECT content FROM kept_file WHERE name = ?", (CONFIG_FILE,)).fetchone()
    if row is None or decode_config(bytes(row[0])).node != node.config.node:
        raise RefusalError("backup_foreign", "the copy is another node's")
    heads = _own_heads(copy)
    for row in node.replica.rows():
        head = heads.get(str(row.stream))
        if head is not None and head.seq <= row.head.seq:
            digest = node.replica.log.digest_at(row, head.seq)
            if digest is not None and digest != head.digest:
                raise RefusalError("backup_foreign", f"the copy holds another branch of {row.stream}")
    return heads


def _complete_until_ms(node: Node, heads: dict[str, Head], copied: dict[str, Head], now_ms: int) -> int:
    """Return until when the copy has all of the node's own entries: the time of the first that it lacks, or now."""
    until_ms = now_ms
    for row in node.replica.rows():
        key = str(row.stream)
        held = max(copied.get(key, Head(0, b"")).seq, row.base.seq)
        if key in heads and held < heads[key].seq:
            entry = node.replica.log.entry_at(row, held + 1)
            if entry is not None:
                until_ms = min(until_ms, entry.body.wall_ms)
    return until_ms


def _note(node: Node, proof: Proof, row: BackupRow | None) -> None:
    proven_ms = proof.checked_ms if proof.is_proven else (row.proven_ms if row is not None else 0)
    copy_ms = proof.copy_ms or (row.copy_ms if row is not None else 0)
    means = "encrypted copy" if is_encrypted(node.directory) else "litestream"
    with foreseen(node.store.path), node.store.transaction():
        node.connection.execute(
            "INSERT INTO backup_state (only, target, means, checked_ms, proven_ms, copy_ms, entries, behind, problem,"
            " message) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (only) DO UPDATE SET target = excluded.target,"
            " means = excluded.means, checked_ms = excluded.checked_ms, proven_ms = excluded.proven_ms,"
            " copy_ms = excluded.copy_ms, entries = excluded.entries, behind = excluded.behind,"
            " problem = excluded.problem, message = excluded.message",
            (
                node.config.backup, means, proof.checked_ms, proven_ms, copy_ms, proof.entries, proof.behind,
                proof.problem, proof.message[:1000],
            ),
        )  # fmt: skip


def begin_anew(node: Node) -> None:
    """Leave a replica that cannot be used as it is, and let the next start make another beside it."""
    with foreseen(node.store.path), node.store.transaction():
        node.connection.execute(
            "INSERT INTO backup_state (only, target, means, generation) VALUES (1, ?, '', 2)"
            " ON CONFLICT (only) DO UPDATE SET generation = generation + 1",
            (node.config.backup,),
        )


def clear_proofs(directory: Path) -> None:
    """Remove what a proof that was killed left behind."""
    for folder in directory.glob(f"{_PROOF_PREFIX}*"):
        number = folder.name.removeprefix(_PROOF_PREFIX).partition("-")[0]
        if not Path(f"/proc/{number}").exists():
            shutil.rmtree(folder, ignore_errors=True)
