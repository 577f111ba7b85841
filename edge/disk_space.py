"""Room on the disk: it is watched before it runs out, and a reserve keeps sales going when it has.

A file of 16 MiB is kept beside the node's own. When the disk is as good as full it is given up, and a till sells on
for thousands of sales; when that is used up too, a sale is refused in a clear sentence and nothing of it is recorded.
"""

from __future__ import annotations

import contextlib
import os
from enum import StrEnum
from pathlib import Path
from typing import Final

from schema.errors import RefusalError, TransientError
from schema.files import free_bytes

RESERVE_FILE: Final = "node.reserve"
RESERVE_BYTES: Final = 16 * 1024 * 1024
WARNING_BYTES: Final = 500 * 1000 * 1000
IMPORT_BYTES: Final = 100 * 1000 * 1000
OTHERS_BYTES: Final = 24 * 1024 * 1024
"""Below this a node takes no more entries of others: what is left is for its own sales."""
GIVEN_UP_BYTES: Final = 4 * 1024 * 1024
"""Below this the reserve is given up: one transaction, with the checkpoint after it, needs less."""


class DiskRoom(StrEnum):
    """How much room is left, as a screen says it."""

    ENOUGH = "enough"
    LOW = "low"
    TIGHT = "tight"
    RESERVE = "reserve"


def disk_room(directory: Path) -> DiskRoom:
    """Tell how much room is left: a warning below 500 MB, no imports below 100 MB, the reserve in use."""
    free = free_bytes(directory)
    if free < IMPORT_BYTES:
        has_reserve = (directory / RESERVE_FILE).exists()
        return DiskRoom.TIGHT if has_reserve or free >= IMPORT_BYTES // 2 else DiskRoom.RESERVE
    return DiskRoom.LOW if free < WARNING_BYTES else DiskRoom.ENOUGH


def check_import_room(directory: Path) -> None:
    """Raise RefusalError `disk_tight` where an import could take the room that sales need."""
    free = free_bytes(directory)
    if free < IMPORT_BYTES:
        raise RefusalError(
            "disk_tight",
            f"only {free // 1_000_000} MB are left on the disk: free some space before bringing more in",
            megabytes=free // 1_000_000,
        )


def check_others_room(directory: Path) -> None:
    """Raise TransientError `disk_tight` where entries of others would take what is left for the node's own."""
    if free_bytes(directory) < OTHERS_BYTES:
        raise TransientError("disk_tight", "the disk is nearly full: what others recorded waits until there is room")


def keep_reserve(directory: Path) -> bool:
    """Set the reserve aside where there is room for it and tell whether it is there; never a reason to stop."""
    file = directory / RESERVE_FILE
    with contextlib.suppress(OSError):
        if file.exists() and file.stat().st_size >= RESERVE_BYTES:
            return True
        if free_bytes(directory) < RESERVE_BYTES * 2:
            return False
        number = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(number, 0, RESERVE_BYTES)
        finally:
            os.close(number)
        return True
    return False


def give_up_reserve(directory: Path, *, is_urgent: bool = False) -> bool:
    """Give the reserve up when the disk is as good as full (or at once); tells whether room was made by that."""
    file = directory / RESERVE_FILE
    try:
        if not is_urgent and free_bytes(directory) >= GIVEN_UP_BYTES:
            return False
        file.unlink()
    except OSError:
        return False
    return True
