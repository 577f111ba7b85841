"""How well a node would survive: copies at neighbours, a backup that was proven, room on the disk, what is missing."""

from __future__ import annotations

from typing import Final

import msgspec

from edge.backup_target import backup_row
from edge.disk_space import DiskRoom, disk_room
from edge.encryption import is_encrypted
from edge.lan_copies import lan_copies
from edge.missing import MissingRange, missing_ranges
from edge.node import Node
from edge.store import foreseen
from schema.files import free_bytes

PROOF_OLD_MS: Final = 26 * 3_600_000
"""A proof is tried each hour: one that is older than a day and a bit was missed."""
NEIGHBOUR_AWAY_MS: Final = 120_000


class BackupSaid(msgspec.Struct, frozen=True):
    """The backup in a word: `state` is off, never, proven, old or failing."""

    state: str
    target: str = ""
    proven_ms: int = 0
    copy_ms: int = 0
    """Until when the copy has everything of this node's own."""
    behind: int = 0
    problem: str = ""
    message: str = ""


class Survival(msgspec.Struct, frozen=True):
    """What would be left of this node if its machine were gone now; a few small reads, for a line of a screen."""

    own_entries: int
    on_second_till: int
    """Own entries of the location, from the first on, that a neighbour holds."""
    neighbours: int
    """Neighbours that were met within two minutes."""
    backup: BackupSaid
    disk: DiskRoom
    free_bytes: int
    missing: tuple[MissingRange, ...]
    is_encrypted: bool
    twin_ms: int
    """When another machine was last met that runs with this node's key; 0 for never."""


def survival(node: Node) -> Survival:
    """Read how well a node would survive; it changes nothing."""
    now_ms = node.clock_source().wall_ms
    copies = lan_copies(node)
    with foreseen(node.store.path):
        near = node.connection.execute(
            "SELECT count(*) FROM lan_peer WHERE last_ms > ? AND node <> ?",
            (now_ms - NEIGHBOUR_AWAY_MS, node.config.node),
        ).fetchone()[0]
        twin = node.connection.execute(
            "SELECT problem_ms FROM lan_peer WHERE node = ? AND problem = 'twin_met'", (node.config.node,)
        ).fetchone()
    return Survival(
        copies.own,
        copies.copied,
        int(near),
        _backup(node, now_ms),
        disk_room(node.directory),
        free_bytes(node.directory),
        missing_ranges(node),
        is_encrypted(node.directory),
        0 if twin is None else int(twin[0]),
    )


def _backup(node: Node, now_ms: int) -> BackupSaid:
    if not node.config.backup:
        return BackupSaid("off")
    row = backup_row(node)
    if row is None or not row.checked_ms:
        return BackupSaid("never", node.config.backup)
    state = "failing" if row.problem else "old" if now_ms - row.proven_ms > PROOF_OLD_MS else "proven"
    return BackupSaid(state, node.config.backup, row.proven_ms, row.copy_ms, row.behind, row.problem, row.message)
