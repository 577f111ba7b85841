"""Who serves a hub's directory shares a lock on it, so that nobody replaces its database underneath."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from schema.errors import RefusalError

LOCK_FILE: Final = "hub.lock"


@contextmanager
def serving_from(directory: Path) -> Iterator[None]:
    """Hold the directory together with other serving processes; raises RefusalError `hub_restoring`."""
    with (directory / LOCK_FILE).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusalError(
                "hub_restoring", f"a backup is being restored in {directory}: serve when it is done"
            ) from None
        yield


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold the directory alone; raises RefusalError `hub_serving` while a hub serves from it."""
    with (directory / LOCK_FILE).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusalError(
                "hub_serving", f"a hub serves from {directory}: end it before its database is replaced"
            ) from None
        yield
