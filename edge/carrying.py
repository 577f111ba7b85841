"""Owns bundles that a node carries for others: taken as a file, kept sealed, handed to the hub with the next exchange.

A van that visits shops without a line takes their entries along. It cannot read them, keeps only so much of them, and
never lets them take the room that its own sales need.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from edge.disk_space import check_others_room
from edge.node import Node
from schema.errors import RefusalError
from schema.files import read_given, write_private
from schema.identity import NodeId
from sync.sealing import CARRIED_BYTES_MAX, CarriedHead, is_whole, read_sealed, seal_bundle
from sync.transport import BroughtAnswer

CARRIED_TOTAL_MAX: Final = 64 * 1024 * 1024
KEPT: Final = 50
"""Bundles that were handed over stay named for a while, without their content."""


class Carried(NamedTuple):
    """A bundle aboard: of which node and place, how many entries, since when; `handed_ms` 0 while it waits."""

    bundle: str
    writer: str
    location: str
    entries: int
    size: int
    taken_ms: int
    handed_ms: int
    outcome: str


@runtime_checkable
class Bearer(Protocol):
    """A line that can hand a sealed bundle to the hub."""

    def hand_over(self, body: bytes) -> bytes:
        """Send a bundle and return the reply; raises TransientError or RefusalError."""
        ...


def seal_for_hub(node: Node, file: Path) -> int:
    """Write this node's own entries to a file that only the hub can read, for whoever goes there; returns how many.

    Raises RefusalError `carried_large`.
    """
    from edge.bundles import bundle_content  # it knows what a node subscribes to, as the agent that calls this does

    content, entries = bundle_content(node)
    head = CarriedHead(node.config.root, node.config.node, node.config.location, node.clock_source().wall_ms, entries)
    sealed = seal_bundle(content, head, node.config.root_public_key, node.signer, secrets.token_bytes(32))
    write_private(file, sealed)
    return entries


def take_along(node: Node, file: Path) -> Carried:
    """Take a sealed bundle of another node aboard; taking it twice changes nothing.

    Raises RefusalError `carried_malformed`, `carried_damaged`, `carried_foreign` (of another organisation),
    `carried_unknown` (of a node that this one has not heard of), `carried_own`, `carried_large`, `carried_full`, and
    TransientError `disk_tight`.
    """
    if file.is_file() and file.stat().st_size > CARRIED_BYTES_MAX:
        from sync.sealing import too_large

        raise too_large(file.stat().st_size)
    return keep(node, read_given(file))


def keep(node: Node, content: bytes) -> Carried:
    """Keep the bytes of a sealed bundle, as `take_along` does."""
    check_others_room(node.directory)
    bundle = read_sealed(content)
    head = bundle.head
    if head.root != node.config.root:
        raise RefusalError("carried_foreign", "this bundle is of another organisation: its own van carries it")
    if head.writer == node.config.node:
        raise RefusalError("carried_own", "this bundle was written here: sync brings it to the hub")
    key = node.organisation.public_key(node.connection, NodeId(head.writer))
    if key is None:
        told = f"the node {head.writer} is not known here: sync once, then take it again"
        raise RefusalError("carried_unknown", told, writer=head.writer)
    if not is_whole(bundle, key):
        raise RefusalError("carried_damaged", "this bundle is damaged: have it written again")
    with node.store.transaction() as connection:
        if connection.execute("SELECT 1 FROM carried_bundle WHERE bundle = ?", (bundle.name,)).fetchone() is None:
            (kept,) = connection.execute("SELECT coalesce(sum(length(content)), 0) FROM carried_bundle").fetchone()
            if int(kept) + len(content) > CARRIED_TOTAL_MAX:
                raise RefusalError(
                    "carried_full", "no more bundles fit aboard before these have reached the hub",
                    most=CARRIED_TOTAL_MAX // 1_000_000,
                )  # fmt: skip
            connection.execute(
                "INSERT INTO carried_bundle (bundle, writer, location, content, entries, taken_ms)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (bundle.name, head.writer, head.location, content, head.entries, node.clock_source().wall_ms),
            )
    return next(one for one in carried(node) if one.bundle == bundle.name)


def carried(node: Node) -> list[Carried]:
    """Return what is aboard or was handed over lately, what waits first."""
    rows = node.connection.execute(
        "SELECT bundle, writer, location, entries, length(content), taken_ms, handed_ms, outcome FROM carried_bundle"
        " ORDER BY handed_ms > 0, handed_ms DESC, taken_ms, bundle"
    ).fetchall()
    return [Carried(*row) for row in rows]


def hand_over(node: Node, send: Callable[[bytes], bytes]) -> int:
    """Hand every bundle that waits to the hub; returns how many it took or refused for good.

    Raises TransientError where the line fails: what was not handed over waits for the next exchange.
    """
    done = 0
    for one in carried(node):
        if one.handed_ms:
            continue
        row = node.connection.execute("SELECT content FROM carried_bundle WHERE bundle = ?", (one.bundle,)).fetchone()
        try:
            answer = msgspec.msgpack.decode(send(bytes(row[0])), type=BroughtAnswer)
            outcome = f"taken:{answer.entries}"
        except RefusalError as error:
            if not _is_final(error):
                return done
            outcome = f"refused:{error.code}"
        except msgspec.MsgspecError:
            outcome = "refused:reply_malformed"
        with node.store.transaction() as connection:
            connection.execute(
                "UPDATE carried_bundle SET handed_ms = ?, outcome = ?, content = x'' WHERE bundle = ?",
                (max(1, node.clock_source().wall_ms), outcome, one.bundle),
            )
            connection.execute(
                "DELETE FROM carried_bundle WHERE handed_ms > 0 AND bundle NOT IN (SELECT bundle FROM carried_bundle"
                " WHERE handed_ms > 0 ORDER BY handed_ms DESC, bundle LIMIT ?)",
                (KEPT,),
            )
        done += 1
    return done


def _is_final(error: RefusalError) -> bool:
    """Tell whether the hub would say the same of this bundle the next time; a hub of an older release may not."""
    return error.code == "node_revoked" or error.code.startswith(("carried_", "bundle_"))
