"""Owns when Python may look for garbage: not while the file is locked, for others wait for it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave Python's garbage alone for a block that makes next to none.

    To look for it takes an agent a tenth of a second now and then, in which a till could not sell; and a fifth of
    loading a snapshot.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
