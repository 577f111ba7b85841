"""Files that a person names: read and written whole, or refused in one sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from schema.errors import RefusalError

FREE_BYTES_MIN: Final = 64 * 1024
"""With less than this SQLite cannot even open its write-ahead log, and calls that an I/O error."""


def free_bytes(directory: Path) -> int:
    """Return the bytes that this user may still write on a directory's disk."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def is_disk_full(path: Path) -> bool:
    """Tell whether the disk that holds a file has no room left."""
    return free_bytes(path if path.exists() else path.parent) < FREE_BYTES_MIN


def read_given(file: Path) -> bytes:
    """Return a file's bytes; raises RefusalError `file_unreadable`."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise RefusalError("file_unreadable", f"{file} cannot be read: {error.strerror}") from None


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read, whole or not at all, and durably.

    Raises RefusalError `file_unwritable`.
    """
    temporary = path.with_suffix(path.suffix + ".new")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary.is_file():
            temporary.unlink()
        raise RefusalError("file_unwritable", f"{path} cannot be written: {error.strerror}") from None
