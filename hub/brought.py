"""Sealed bundles that another node brought: opened here alone, taken in like the writer's own session, and answered.

The answer goes back with the bearer, sealed to the writer: up to where the hub holds what it recorded, and what is new
for it. What was refused is noted too, so that the desk can say whose bundle never got in, and why.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from hub.bundles import bundle_for
from hub.standing import Standing
from schema.errors import RefusalError
from schema.identity import NodeId, is_code
from sync.bundle import BundleHeader, is_bundle_signed, read_bundle
from sync.messages import Refusal
from sync.replica import Replica
from sync.sealing import (
    ANSWER_BYTES_MAX,
    AnswerHead,
    CarriedHead,
    is_whole,
    open_bundle,
    read_sealed,
    seal_answer,
)
from sync.transport import BroughtAnswer

if TYPE_CHECKING:
    from hub.service import Hub

REFUSED: Final = "refused:"
_NOTHING_TAKEN: Final = "(brought_bundle.entries = 0 AND brought_bundle.outcome <> 'taken')"
"""Of such a bundle nothing came in: when it comes again it is looked at again."""
REFUSED_KEPT: Final = 500
"""So many bundles that were refused stay named: a node that brings nothing else fills no disk."""
ANSWER_PLAIN_MAX: Final = ANSWER_BYTES_MAX - 640 * 1024
"""Below this another part of the answer is begun; with its statements it then still fits into a frame."""
ANSWER_STATEMENTS_MAX: Final = 384 * 1024


class Brought(NamedTuple):
    """A bundle that was brought: who wrote it, who bore it, how many entries were new, what became of it, and when.

    `told` is how many entries its writer says that it has, `made_ms` when, by that node's clock; of one that could
    not be read writer and location are empty. `answered` is the answer's size in bytes.
    """

    bundle: str
    writer: str
    bearer: str
    entries: int
    outcome: str
    at_ms: int
    location: str
    made_ms: int
    told: int
    size: int
    answered: int

    @property
    def refusal(self) -> str:
        """The code of what was refused, of all or of a part; empty where everything was taken."""
        return self.outcome.removeprefix(REFUSED) if self.outcome.startswith(REFUSED) else ""


def take_brought(hub: Hub, content: bytes, bearer: str) -> BroughtAnswer:
    """Take in a sealed bundle that a node brought; bringing it again changes nothing and says the same.

    Raises RefusalError `carried_malformed`, `carried_damaged`, `carried_foreign`, `carried_large`, and of its writer
    `node_unknown` or `node_revoked`; that is noted.
    """
    head: CarriedHead | None = None
    name = hashlib.sha256(content).hexdigest()[:32]
    try:
        bundle = read_sealed(content)
        head, name = bundle.head, bundle.name
        if head.root != hub.identity.node:
            raise RefusalError("carried_foreign", "this bundle is of another organisation")
        standing = hub.ingest.standing_of(head.writer)
        if not is_whole(bundle, standing.key):
            raise RefusalError("carried_damaged", "this bundle is damaged: have it written again")
        opened = open_bundle(bundle, hub.identity.signer)
        header, _ = read_bundle(opened)
        if header.writer != head.writer or not is_bundle_signed(opened, NodeId(header.writer), standing.key):
            raise RefusalError("carried_damaged", "what is inside this bundle is not its writer's")
    except RefusalError as error:
        _note_refused(hub, name, head, bearer, error, len(content))
        raise
    known = _known(hub, name)
    entries, refused = known if known is not None else _take(hub, opened, standing)
    answer = _answer(hub, header, standing)
    if known is None:
        outcome = f"{REFUSED}{refused}" if refused else "taken"
        _note(
            hub,
            Brought(
                name, head.writer, bearer, entries, outcome[:96], hub.now_ms(), head.location, head.made_ms,
                head.entries, len(content), len(answer),
            ),
        )  # fmt: skip
    return BroughtAnswer(name, entries, is_new=known is None, refused=refused[:96], answer=answer)


def _known(hub: Hub, bundle: str) -> tuple[int, str] | None:
    """Return how many entries a bundle brought and what of it was refused; None where it was not taken in yet."""
    with hub.store.snapshot() as replica:
        row = replica.connection.execute(
            f"SELECT entries, outcome FROM brought_bundle WHERE bundle = ? AND NOT {_NOTHING_TAKEN}",
            (bundle,),
        ).fetchone()
    return None if row is None else (int(row[0]), str(row[1]).removeprefix(REFUSED) if row[1] != "taken" else "")


def _take(hub: Hub, opened: bytes, standing: Standing) -> tuple[int, str]:
    stored = 0
    refusals: list[Refusal] = []
    for batches in read_bundle(opened)[1]:
        found, refused = hub.ingest.take(batches, standing, hub.now_ms())
        stored += found
        refusals += refused
    return stored, refusals[0].code if refusals else ""


def _answer(hub: Hub, asked: BundleHeader, standing: Standing) -> bytes:
    """Return the answer to a bundle, sealed to its writer; what has no room in it comes with the next."""
    now_ms = hub.now_ms()
    content, entries = bundle_for(
        hub, standing, asked.vectors, bytes_max=ANSWER_PLAIN_MAX, statement_bytes_max=ANSWER_STATEMENTS_MAX
    )
    head = AnswerHead(hub.identity.node, standing.node, standing.location, now_ms, entries)
    sealed = seal_answer(content, head, standing.key, hub.identity.signer, secrets.token_bytes(32))
    return sealed if len(sealed) <= ANSWER_BYTES_MAX else b""


def _note_refused(hub: Hub, bundle: str, head: CarriedHead | None, bearer: str, error: RefusalError, size: int) -> None:
    # What a head that proved nothing claims is shown as claimed, in the form that a code may have.
    writer = head.writer if head is not None and is_code(head.writer) else ""
    location = head.location if head is not None and is_code(head.location) else ""
    made_ms, told = (head.made_ms, head.entries) if head is not None else (0, 0)
    outcome = f"{REFUSED}{error.code}"[:96]
    _note(hub, Brought(bundle, writer, bearer, 0, outcome, hub.now_ms(), location, made_ms, told, size, 0))
    with hub.store.transaction(None) as replica:
        replica.connection.execute(
            f"DELETE FROM brought_bundle WHERE {_NOTHING_TAKEN} AND bundle NOT IN (SELECT bundle"
            f" FROM brought_bundle WHERE {_NOTHING_TAKEN} ORDER BY at_ms DESC, bundle LIMIT ?)",
            (REFUSED_KEPT,),
        )


def _note(hub: Hub, one: Brought) -> None:
    with hub.store.transaction(None) as replica:
        replica.connection.execute(
            "INSERT INTO brought_bundle (bundle, writer, bearer, entries, outcome, at_ms, location, made_ms, told,"
            " size, answered) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bundle) DO UPDATE SET"
            " bearer = excluded.bearer, entries = excluded.entries, outcome = excluded.outcome,"
            " at_ms = excluded.at_ms, answered = excluded.answered"
            f" WHERE {_NOTHING_TAKEN}",
            tuple(one),
        )


def list_brought(hub: Hub, limit: int = 100) -> list[Brought]:
    """Return the bundles that were brought, the newest first."""
    with hub.store.snapshot() as replica:
        return read_brought(replica, limit)


def read_brought(replica: Replica, limit: int) -> list[Brought]:
    """Return the bundles that were brought, the newest first, of the state that a replica reads."""
    rows = replica.connection.execute(
        "SELECT bundle, writer, bearer, entries, outcome, at_ms, location, made_ms, told, size, answered"
        " FROM brought_bundle ORDER BY at_ms DESC, bundle LIMIT ?",
        (limit,),
    ).fetchall()
    return [Brought(*row) for row in rows]
