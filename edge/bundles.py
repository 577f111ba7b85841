"""Bundles at a node: what the hub may lack goes into a file, and what a file brings is verified like a session's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edge.applying import Pace, apply_batches, keep_statements
from edge.carried_answers import take_answer
from edge.disk_space import check_import_room
from edge.node import RELEASE, Node
from edge.sync_agent import subscriptions
from schema.files import read_given, write_private
from schema.identity import NodeId
from sync.bundle import BundleHeader, parts_above, read_bundle, write_bundle
from sync.messages import Batch, Refusal, scope_vector
from sync.sealing import ANSWER_MAGIC
from sync.session import Subscription
from sync.version_vector import VersionVector
from sync.visiting import Span

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
            scope_vector(s.scope, node.replica.log.heads(s.scope, _only(node, s)), own_only=s.own_only) for s in held
        )
        header = BundleHeader(1, RELEASE, me, "", node.clock_source().wall_ms, vectors)
        content = b"".join(write_bundle(header, parts(), node.signer))
    return content, count


def content_above(
    node: Node, starts: Mapping[str, VersionVector], bytes_max: int
) -> tuple[bytes, tuple[Span, ...], int]:
    """Return a bundle of what stands here above some heads, what it has, and its entries; cut before `bytes_max`.

    Of its location a node hands out all that it holds, for one till speaks for those that are off; elsewhere its own.
    The file is read part by part, so that no view of it stays open for long.
    """
    spans: dict[tuple[str, str], Span] = {}
    size = count = 0

    def parts() -> Iterator[tuple[Batch, ...]]:
        nonlocal count
        for scope, theirs in starts.items():
            only = None if scope == node.config.scope else node.config.node_id
            found = parts_above(node.replica, scope, theirs, PART_BYTES, node.signer, only)
            while size < bytes_max - 2 * PART_BYTES:
                with node.store.reading():
                    batches = next(found, None)
                if batches is None:
                    break
                for batch in batches:
                    upto = batch.first_seq + len(batch.entries) - 1
                    place = (scope, batch.stream.writer)
                    above = spans[place].above if place in spans else batch.first_seq - 1
                    spans[place] = Span(*place, above, upto)
                    count += len(batch.entries)
                yield batches

    with node.store.reading():
        vectors = tuple(
            scope_vector(s.scope, node.replica.log.heads(s.scope, _only(node, s)), own_only=s.own_only)
            for s in subscriptions(node)
        )
    header = BundleHeader(1, RELEASE, node.config.node_id, "", node.clock_source().wall_ms, vectors)
    pieces: list[bytes] = []
    for piece in write_bundle(header, parts(), node.signer):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces), tuple(spans.values()), count


def _only(node: Node, subscription: Subscription) -> NodeId | None:
    return node.config.node_id if subscription.own_only else None


def import_bundle(node: Node, file: Path) -> tuple[int, list[Refusal]]:
    """Apply a bundle's entries of the scopes that this node holds; returns how many were new, and what was refused.

    A van brings the hub's answer as a sealed file: it is opened here, for nobody else can.
    """
    check_import_room(node.directory)
    content = read_given(file)
    if content.startswith(ANSWER_MAGIC):
        return take_answer(node, content)
    header, parts = read_bundle(content)
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
