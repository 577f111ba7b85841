"""What a node does about a machine that fails it: a file that is gone, a sync that failed, pages that rotted.

Nothing is repaired in silence. What cannot be trusted is not written to, and each failure is one sentence that says
what was not recorded and what to do.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlcipher3.dbapi2 as sqlcipher

from edge.config import DATABASE_FILE, TOKEN_FILE
from edge.store import SUSPECT_FILE, foreseen
from schema.errors import CorruptionError, EdgetillError, RefusalError
from schema.files import write_private
from schema.identity import NodeId
from sync.refold import find_damage
from sync.replica import Replica

if TYPE_CHECKING:
    from edge.node import Node

RESCUED_SUFFIX: Final = ".rescued"


def check_present(directory: Path) -> None:
    """Raise RefusalError `file_gone` for a node that had a file: an empty one would begin its numbers again."""
    if (directory / TOKEN_FILE).exists() and not (directory / DATABASE_FILE).exists():
        raise RefusalError(
            "file_gone",
            f"{directory / DATABASE_FILE} is gone: restore the backup into a new directory with `edgetill restore`",
            directory=str(directory),
        )


def verify_if_suspect(replica: Replica, node: NodeId, directory: Path) -> None:
    """Verify a file after a failure of the disk, before anything more is recorded in it.

    Raises CorruptionError `file_damaged` where its pages or the node's own entries do not fit together.
    """
    mark = directory / SUSPECT_FILE
    if not mark.exists():
        return
    verify(replica, node, directory / DATABASE_FILE)
    with suppress(OSError):
        mark.unlink()


def verify(replica: Replica, node: NodeId, path: Path) -> None:
    """Verify the file's pages and the chains of the node's own streams; raises CorruptionError `file_damaged`."""
    with foreseen(path):
        said = [row[0] for row in replica.connection.execute("PRAGMA quick_check(3)").fetchall()]
    if said != ["ok"]:
        raise CorruptionError("file_damaged", f"{path} is damaged ({said[0]}): restore the backup")
    for row in replica.rows():
        if row.stream.node == node and (damage := find_damage(replica.connection, row)) is not None:
            raise CorruptionError("file_damaged", f"{damage.message}: run `edgetill doctor --mend`")


def reopen(node: Node) -> Node:
    """Open a node's file anew after a failure, verify it, and return the new node; the old one is closed.

    Raises CorruptionError where the file does not hold what it should, RefusalError where it is gone.
    """
    from edge.node import Node as Fresh

    with suppress(EdgetillError, sqlcipher.Error):
        node.close()
    with suppress(OSError):
        write_private(node.directory / SUSPECT_FILE, b"")
    return Fresh(node.directory, clock=node.clock_source)


def rescue(node: Node) -> Path:
    """Write what an open connection still holds of a deleted file beside it; returns where.

    For a program that is still running when somebody deleted its file: the data lives as long as the program does.
    """
    target = node.store.path.with_name(node.store.path.name + RESCUED_SUFFIX)
    number = 1
    while target.exists():
        number += 1
        target = node.store.path.with_name(f"{node.store.path.name}{RESCUED_SUFFIX}-{number}")
    with foreseen(node.store.path):
        node.connection.execute("VACUUM INTO ?", (str(target),))
    return target
