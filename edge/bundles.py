"""Bundles at a node: what the hub may lack goes into a file, and what a file brings is verified like a session's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge.applying import Pace, apply_batches, keep_statements
from edge.disk_space import check_import_room
from edge.node import RELEASE, Node
from edge.sync_agent import subscriptions
from schema.files import read_given, write_private
from schema.identity import NodeId
from sync.bundle import BundleHeader, parts_above, read_bundle, write_bundle
from sync.messages import Batch, Refusal, scope_vector

PART_BYTES = 512 * 1024


def export_bundle(node: Node, file: Path, *, everything: bool = False) -> int:
    """Write the node's own entries (all entries here with `everything`) to a file; returns how many."""
    content, count = bundle_content(node, everything=everything)
    write_private(file, content)
    return count


def bundle_content(node: Node, *, everything: bool = False) -> tuple[bytes, int]:
    """Return a bundle of the node's own entries (all entries here with `everything`), and how many they are."""
    me = node.config.node_id
    count = 0

    def parts() -> Iterator[tuple[Batch, ...]]:
        nonlocal count
        for subscription in held:
            # What left this node lies below the hub's frontier: whoever lacks it gets it from the hub.
            rows = node.replica.log.streams(subscription.scope)
            theirs = {row.stream.writer: row.base for row in rows if row.base.seq}
            only = None if everything and not subscription.own_only else me
            for batches in parts_above(node.replica, subscription.scope, theirs, PART_BYTES, node.signer, only):
                count += sum(len(batch.entries) for batch in batches)
                yield batches

    with node.store.reading():
        held = subscriptions(node)
        vectors = tuple(
            scope_vector(s.scope, node.replica.log.heads(s.scope, me if s.own_only else None), own_only=s.own_only)
            for s in held
        )
        header = BundleHeader(1, RELEASE, me, "", node.clock_source().wall_ms, vectors)
        content = b"".join(write_bundle(header, parts(), node.signer))
    return content, count


def import_bundle(node: Node, file: Path) -> tuple[int, list[Refusal]]:
    """Apply a bundle's entries of the scopes that this node holds; returns how many were new, and what was refused."""
    check_import_room(node.directory)
    header, parts = read_bundle(read_given(file))
    scopes = {s.scope for s in subscriptions(node) if not s.own_only}
    stored = 0
    refusals: list[Refusal] = []
    pace = Pace()
    for batches in parts:
        mine = [batch for batch in batches if batch.scope in scopes]
        found, refused = apply_batches(node, mine, pace)
        stored += found
        refusals += refused
    if NodeId(header.writer) == node.config.root:
        keep_statements(node, header.statements)
    return stored, refusals
