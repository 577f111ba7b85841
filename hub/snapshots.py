"""Snapshots for new nodes: a signed bundle of `org` and a location's scope in a file, sent from any byte on.

A file is named by the vectors that it holds and never changes, so a download that broke off goes on where it
stopped, even when the hub has moved on since: what came later is the tail that the first session brings. Where the
scope was cut, a new node stands on the opening balance: it gets what still matters below it, and what lies above.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from hub.store import HubStore
from schema.identity import ORG, LocationId, location_scope
from sync.bundle import BundleHeader, BundleKept, parts_above, write_bundle
from sync.messages import Batch, KeptEntry, SeenRow, scope_vector
from sync.pruning import foundation
from sync.replica import Replica
from sync.signing import SigningKey
from sync.version_vector import Head, vector_digest

PART_BYTES: Final = 512 * 1024
ROWS_PER_FRAME: Final = 10_000
KEPT_SECONDS: Final = 6 * 3600
_ETAG: Final = re.compile(r'"([0-9a-f]{32})"')
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class SnapshotFile(NamedTuple):
    """A whole snapshot on disk."""

    path: Path
    etag: str
    size: int


class Snapshots:
    """Makes and finds snapshot files."""

    def __init__(self, folder: Path, store: HubStore, signer: SigningKey, release: str) -> None:
        self._folder = folder
        self._store = store
        self._signer = signer
        self._release = release

    def find(self, location: LocationId, if_range: str | None, wall_ms: int) -> SnapshotFile:
        """Return the file that an interrupted download began with, while it is kept; else one of now."""
        folder = self._folder / hashlib.sha256(location.encode()).hexdigest()[:16]
        asked = _ETAG.fullmatch(if_range or "")
        if asked and (folder / f"{asked[1]}.bundle").is_file():
            return _described(folder / f"{asked[1]}.bundle")
        with self._store.snapshot() as replica:
            scopes = (ORG, location_scope(location))
            vectors = tuple(scope_vector(scope, replica.log.heads(scope)) for scope in scopes)
            digest = hashlib.sha256(b"".join(vector_digest(v.vector) for v in vectors)).hexdigest()[:32]
            path = folder / f"{digest}.bundle"
            if not path.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                bases, kept, seen = foundation(replica, location_scope(location))
                header = BundleHeader(1, self._release, self._signer.node, "", wall_ms, vectors, bases=tuple(bases))
                starts = {(base.scope, base.writer): Head(base.seq, base.digest) for base in bases}
                parts = self._parts(replica, scopes, starts)
                beside = folder / f"{digest}.{secrets.token_hex(4)}.part"
                with beside.open("wb") as file:
                    for piece in write_bundle(header, parts, self._signer, _kept(kept, seen)):
                        file.write(piece)
                beside.replace(path)
        _clear(folder, path)
        return _described(path)

    def _parts(
        self, replica: Replica, scopes: tuple[str, ...], starts: Mapping[tuple[str, str], Head]
    ) -> Iterator[tuple[Batch, ...]]:
        for scope in scopes:
            theirs = {writer: head for (of, writer), head in starts.items() if of == scope}
            yield from parts_above(replica, scope, theirs, PART_BYTES, self._signer)


def _kept(kept: Sequence[KeptEntry], seen: Sequence[SeenRow]) -> Iterator[BundleKept]:
    for at in range(0, len(seen), ROWS_PER_FRAME):
        yield BundleKept((), tuple(seen[at : at + ROWS_PER_FRAME]))
    part: list[KeptEntry] = []
    size = 0
    for entry in kept:
        if part and size + len(entry.body) > PART_BYTES:
            yield BundleKept(tuple(part), ())
            part, size = [], 0
        part.append(entry)
        size += len(entry.body) + 128
    if part:
        yield BundleKept(tuple(part), ())


def _described(path: Path) -> SnapshotFile:
    return SnapshotFile(path, f'"{path.stem}"', path.stat().st_size)


def _clear(folder: Path, newest: Path) -> None:
    # By the file's age alone: a download that takes longer than this starts again.
    for path in folder.iterdir():
        try:
            if path != newest and time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the (first, last) byte asked for; None when the whole is, ValueError when it lies outside."""
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if first > last:
        raise ValueError("the range lies outside the file")
    return first, last
