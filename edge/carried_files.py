"""Owns the files of what is carried: written in small parts that no sale waits for, and swept when nobody names them.

What lies in them is sealed to its reader. Of an encrypted node they are sealed under its data key besides, for their
heads name places and nodes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from edge.disk_space import check_others_room
from edge.encryption import data_key, open_bytes, seal_bytes
from schema.errors import RefusalError, TransientError

CARRIED_FOLDER: Final = "carried"
WRITTEN_BYTES: Final = 256 * 1024
SWEPT_AFTER_S: Final = 3_600.0
"""A file that no table names is being written, or was left by a program that died: after so long it is the latter."""


def carried_file(directory: Path, name: str) -> Path:
    """Return where something that is carried lies."""
    return directory / CARRIED_FOLDER / name


def keep_file(directory: Path, name: str, content: bytes) -> None:
    """Write what is carried in small parts, each durable, with a pause as long as it took: a sale's sync comes between.

    Raises TransientError `disk_tight`.
    """
    file = carried_file(directory, name)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    kept = memoryview(seal_bytes(data_key(directory), content, name))
    temporary = file.with_name(f"{file.name}.new")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", 0) as written:
            for offset in range(0, len(kept), WRITTEN_BYTES):
                check_others_room(directory)
                began_s = time.monotonic()
                written.write(kept[offset : offset + WRITTEN_BYTES])
                os.fdatasync(written.fileno())
                time.sleep(min(0.1, time.monotonic() - began_s))
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TransientError("disk_tight", f"what is carried cannot be written: {error.strerror}") from None
    except TransientError:
        temporary.unlink(missing_ok=True)
        raise


def read_file(directory: Path, name: str) -> bytes | None:
    """Return what was kept; None where it is gone, or was written under another key."""
    try:
        return open_bytes(data_key(directory), carried_file(directory, name).read_bytes(), name)
    except (OSError, RefusalError):
        return None


def remove_file(directory: Path, name: str) -> None:
    """Let something go that nobody waits for any more."""
    carried_file(directory, name).unlink(missing_ok=True)


def sweep(directory: Path, named: Collection[str]) -> None:
    """Remove what no table names: a program died between writing it and noting it."""
    folder = directory / CARRIED_FOLDER
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.name not in named and time.time() - file.stat().st_mtime > SWEPT_AFTER_S:
            file.unlink(missing_ok=True)
