"""Bundles at the hub: a node's stick is taken in like its session, and what the node lacks goes back on it.

Keys of people and PIN verifiers are left out of a file: a stick gets lost, so they travel over the line alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hub.standing import Standing
from schema.errors import RefusalError
from schema.files import read_given, write_private
from schema.identity import ORG, location_scope
from sync.bundle import BundleHeader, parts_above, read_bundle, write_bundle
from sync.messages import Batch, Refusal, ScopeVector, scope_vector
from sync.version_vector import VersionVector

if TYPE_CHECKING:
    from hub.service import Hub

PART_BYTES = 512 * 1024
STATEMENT_BYTES_MAX = 2 * 1024 * 1024
"""Statements travel in the file's first frame; what of the other shops' stock has no room waits for the line."""


def import_bundle(hub: Hub, file: Path) -> tuple[int, list[Refusal]]:
    """Store what a node's bundle brings; returns how many entries were new, and which streams were refused.

    Raises RefusalError by name, of the writer (`node_unknown`, `node_revoked`) or the file; what stood in whole
    parts before a file's broken end is kept.
    """
    header, parts = read_bundle(read_given(file))
    if header.writer == hub.identity.node:
        raise RefusalError("bundle_own", "this bundle was written here: import it at a node")
    standing = hub.ingest.standing_of(header.writer)
    stored = 0
    refusals: list[Refusal] = []
    for batches in parts:
        found, refused = hub.ingest.take(batches, standing, hub.now_ms())
        stored += found
        refusals += refused
    return stored, refusals


def export_bundle(hub: Hub, node: str, file: Path, answering: Path | None = None) -> int:
    """Write what a node may hold into a file; returns how many entries.

    `answering` is a bundle that the node wrote: what its header says that the node has is left out.
    """
    theirs: Mapping[str, VersionVector] = {}
    if answering is not None:
        asked, _ = read_bundle(read_given(answering))
        if asked.writer != node:
            raise RefusalError("bundle_other", f"{answering} was written by {asked.writer}, not by {node}")
        theirs = {vector.scope: vector.vector for vector in asked.vectors if not vector.own_only}
    stated = tuple(scope_vector(scope, vector) for scope, vector in theirs.items())
    content, count = bundle_for(hub, hub.ingest.standing_of(node), stated)
    write_private(file, content)
    return count


def bundle_for(
    hub: Hub,
    standing: Standing,
    stated: Sequence[ScopeVector],
    *,
    bytes_max: int | None = None,
    statement_bytes_max: int = STATEMENT_BYTES_MAX,
) -> tuple[bytes, int]:
    """Return a bundle of what a node may hold and does not state that it has, and its entries.

    No part is begun above `bytes_max`; the header says in any case up to where the hub holds each scope, and of the
    places where the node writes notices alone, how many of them are here.
    """
    theirs = {vector.scope: vector.vector for vector in stated if not vector.own_only}
    readable = standing.may_read([vector.scope for vector in stated])
    noticed = [vector.scope for vector in stated if vector.own_only and vector.scope in readable]
    size = count = 0
    scopes = (ORG, location_scope(standing.location))
    hub.statements.renew(standing.location, hub.now_ms())
    with hub.store.snapshot() as replica:

        def parts() -> Iterator[tuple[Batch, ...]]:
            nonlocal count
            part_bytes = PART_BYTES if bytes_max is None else min(PART_BYTES, bytes_max // 8)
            for scope in scopes:
                found = parts_above(replica, scope, theirs.get(scope, {}), part_bytes, hub.identity.signer)
                while bytes_max is None or size < bytes_max:
                    batches = next(found, None)
                    if batches is None:
                        break
                    count += sum(len(batch.entries) for batch in batches)
                    yield batches

        vectors = tuple(scope_vector(scope, replica.log.heads(scope)) for scope in scopes)
        vectors += tuple(scope_vector(s, replica.log.heads(s, standing.node), own_only=True) for s in noticed)
        told = hub.statements.for_a_stick(replica, standing.location, statement_bytes_max)
        header = BundleHeader(1, hub.release, hub.identity.node, standing.node, hub.now_ms(), vectors, told)
        pieces: list[bytes] = []
        for piece in write_bundle(header, parts(), hub.identity.signer):
            pieces.append(piece)
            size += len(piece)
    return b"".join(pieces), count
