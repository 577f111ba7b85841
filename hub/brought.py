"""Sealed bundles that another node brought: opened here alone, taken in like the writer's own session, once."""

from __future__ import annotations

from typing import NamedTuple

from hub.service import Hub
from schema.errors import RefusalError
from schema.identity import NodeId
from sync.bundle import is_bundle_signed, read_bundle
from sync.messages import Refusal
from sync.sealing import is_whole, open_bundle, read_sealed
from sync.transport import BroughtAnswer


class Brought(NamedTuple):
    """A bundle that was brought: who wrote it, who bore it, how many entries were new, what became of it, and when."""

    bundle: str
    writer: str
    bearer: str
    entries: int
    outcome: str
    at_ms: int


def take_brought(hub: Hub, content: bytes, bearer: str) -> BroughtAnswer:
    """Take in a sealed bundle that a node brought; bringing it again changes nothing and says the same.

    Raises RefusalError `carried_malformed`, `carried_damaged`, `carried_foreign`, `carried_large`, and of its writer
    `node_unknown` or `node_revoked`.
    """
    bundle = read_sealed(content)
    if bundle.head.root != hub.identity.node:
        raise RefusalError("carried_foreign", "this bundle is of another organisation")
    with hub.store.snapshot() as replica:
        row = replica.connection.execute(
            "SELECT entries FROM brought_bundle WHERE bundle = ?", (bundle.name,)
        ).fetchone()
    if row is not None:
        return BroughtAnswer(bundle.name, int(row[0]), is_new=False)
    standing = hub.ingest.standing_of(bundle.head.writer)
    if not is_whole(bundle, standing.key):
        raise RefusalError("carried_damaged", "this bundle is damaged: have it written again")
    opened = open_bundle(bundle, hub.identity.signer)
    header, parts = read_bundle(opened)
    if header.writer != bundle.head.writer or not is_bundle_signed(opened, NodeId(header.writer), standing.key):
        raise RefusalError("carried_damaged", "what is inside this bundle is not its writer's")
    stored = 0
    refusals: list[Refusal] = []
    for batches in parts:
        found, refused = hub.ingest.take(batches, standing, hub.now_ms())
        stored += found
        refusals += refused
    outcome = f"refused:{refusals[0].code}" if refusals else "taken"
    with hub.store.transaction(None) as replica:
        replica.connection.execute(
            "INSERT INTO brought_bundle (bundle, writer, bearer, entries, outcome, at_ms) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (bundle.name, bundle.head.writer, bearer, stored, outcome[:96], hub.now_ms()),
        )
    return BroughtAnswer(bundle.name, stored, is_new=True)


def list_brought(hub: Hub, limit: int = 100) -> list[Brought]:
    """Return the bundles that were brought, the newest first."""
    with hub.store.snapshot() as replica:
        rows = replica.connection.execute(
            "SELECT bundle, writer, bearer, entries, outcome, at_ms FROM brought_bundle"
            " ORDER BY at_ms DESC, bundle LIMIT ?",
            (limit,),
        ).fetchall()
    return [Brought(*row) for row in rows]
