"""The high-water mark: outside of the node's file, how far its own entries had come when they were acknowledged.

A file that ends before the mark is an older one put back in its place, or one whose write-ahead log rotted: SQLite
takes the first record that does not fit for the log's end and says nothing of those behind it. The mark is written
when a commit has returned, and never synced: after a cut of the power it may lag behind, never run ahead.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from pathlib import Path
from typing import Final, NamedTuple

MARK_FILE: Final = "node.mark"
_FORM: Final = re.compile(rb"(\d{1,10}) (\d{1,19}) ([0-9a-f]{8})\n *")
_BYTES: Final = 48


class Mark(NamedTuple):
    """How far the node's own stream of its location had come."""

    incarnation: int
    seq: int


class HighWater:
    """The mark of one directory, its file held open: a sale waits for one write of it, about 2 µs."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / MARK_FILE
        self._number: int | None = None

    def rise(self, mark: Mark) -> None:
        """Write the mark over the one before; without room for it the older one stays, which says less, nothing false.

        A few bytes in place: two programs may do so at once, for either's mark is true.
        """
        text = b"%d %d" % mark
        line = (b"%s %08x\n" % (text, zlib.crc32(text))).ljust(_BYTES)
        try:
            if self._number is None:
                self._number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._number, line, 0)
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        number, self._number = self._number, None
        if number is not None:
            with contextlib.suppress(OSError):
                os.close(number)


def read_mark(directory: Path) -> Mark | None:
    """Return the mark; None where there is none, or where it rotted itself."""
    try:
        found = _FORM.fullmatch((directory / MARK_FILE).read_bytes())
    except OSError:
        return None
    if found is None or zlib.crc32(b"%s %s" % (found[1], found[2])) != int(found[3], 16):
        return None
    return Mark(int(found[1]), int(found[2]))
