"""The digest of a fold, by which two replicas that hold the same entries prove to show the same figures.

It is a sum modulo 2^256, so that a changed key costs one subtraction and one addition, whatever the
number of keys; a key without any fact contributes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from sync.conflicts import Conflict
from sync.stock_facts import Key, Status

MODULUS = 1 << 256

_encode = msgspec.msgpack.Encoder().encode
_sha256 = hashlib.sha256
_to_int = int.from_bytes


def figure_term(key: Key, value: int, lo: int, hi: int) -> int:
    """Return what one key's figure contributes."""
    return _to_int(_sha256(_encode((key[0], key[1], value, lo, hi))).digest(), "big")


def conflict_term(conflict: Conflict) -> int:
    """Return what a conflict contributes: nothing unless it is open."""
    if conflict.status is not Status.OPEN:
        return 0
    return _to_int(_sha256(_encode(conflict.id)).digest(), "big")


def fold_digest(figures: Iterable[tuple[Key, int, int, int]], conflicts: Iterable[Conflict]) -> int:
    """Return the digest of a whole fold."""
    total = sum(figure_term(*figure) for figure in figures) + sum(conflict_term(one) for one in conflicts)
    return total % MODULUS
