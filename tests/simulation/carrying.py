"""Carrying: a van takes sealed bundles of other places to the hub and sealed answers back, through liars and damage.

What is carried is the product's own sealing; the hub judges it as it does over its line. Strangers hand in bundles of
another organisation, or in a name that is not theirs, and bits flip aboard: none of it may ever be opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from schema.errors import RefusalError
from schema.identity import NodeId
from sync.bundle import BundleHeader, read_bundle
from sync.sealing import (
    AnswerHead,
    CarriedHead,
    is_answer_whole,
    is_whole,
    open_answer,
    open_bundle,
    read_answer,
    read_sealed,
    seal_answer,
    seal_bundle,
)
from sync.signing import SigningKey
from sync.version_vector import Head, VersionVector
from sync.visiting import Span, reached

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World


class SealedAboard(NamedTuple):
    """A bundle in a van: whose it is, its bytes, and what its writer says that it has."""

    author: Machine
    data: bytes
    spans: tuple[Span, ...]


def load_bundle(world: World, van: Machine, node: Machine) -> None:
    """Let a van take a node's bundle aboard: what neither the hub, as the node last heard, nor the van has."""
    others = [s for one in van.aboard if one.author is not node and one.author.home == node.home for s in one.spans]
    content = world.bundle(node, world.hub, _starts(node, others))
    spans: dict[tuple[str, str], Span] = {}
    entries = 0
    for batches in read_bundle(content)[1]:
        for batch in batches:
            place, upto = (batch.scope, batch.stream.writer), batch.first_seq + len(batch.entries) - 1
            above = spans[place].above if place in spans else batch.first_seq - 1
            spans[place] = Span(*place, above, upto)
            entries += len(batch.entries)
    head = CarriedHead(world.hub_key.node, node.signer.node, node.location, world.now, entries)
    data = seal_bundle(content, head, world.hub_key.public, node.signer, world.rng.randbytes(32))
    van.aboard = [one for one in van.aboard if one.author is not node]
    van.aboard.append(SealedAboard(node, data, tuple(spans.values())))
    world.count("bundle aboard")


def _starts(node: Machine, others: list[Span]) -> dict[str, VersionVector]:
    """Return up to where what a node holds need not be handed out; `others` is aboard from its neighbours."""
    starts: dict[str, VersionVector] = {scope: dict(vector) for scope, vector in node.hub_vectors.items()}
    held = {(scope, writer): head.seq for scope, vector in starts.items() for writer, head in vector.items()}
    for (scope, writer), seq in reached(held, others).items():
        row = next((r for r in node.replica.log.streams(scope) if r.stream.writer == writer), None)
        digest = node.replica.log.digest_at(row, seq) if row is not None and seq <= row.head.seq else None
        if digest is not None and seq > held.get((scope, writer), 0):
            starts[scope] = {**starts.get(scope, {}), writer: Head(seq, digest)}
    return starts


def deliver_bundles(world: World, van: Machine) -> None:
    """Give the hub what a van carries of others, and take the answers along; a file may come twice, or never."""
    rng = world.rng
    waiting, van.aboard = van.aboard, []
    rng.shuffle(waiting)
    for one in waiting:
        if rng.random() < world.loss_chance:
            world.count("carried bundle lost")
            continue
        _hand_in_lies(world, one)
        header: BundleHeader | None = None
        for _ in range(2 if rng.random() < 0.2 else 1):
            header = _take(world, one.data)
        if header is None or one.author.is_dead:
            continue
        van.mail.append((one.author, _answer(world, one.author, header)))
        world.count("carried bundle delivered")


def _take(world: World, data: bytes) -> BundleHeader | None:
    """Let the hub take in what was brought; None where it refused it, or the power went."""
    opened = _open(world, data)
    return None if opened is None else world.read(world.hub, opened, is_calm=False)


def _open(world: World, data: bytes) -> bytes | None:
    """Open a sealed bundle as the hub does; None for one that it refuses."""
    hub = world.hub
    try:
        bundle = read_sealed(data)
        if bundle.head.root != world.hub_key.node:
            raise RefusalError("carried_foreign", "of another organisation")
        key = hub.replica.organisation.public_key(hub.disk, NodeId(bundle.head.writer))
        if key is None:  # also where the hub was restored from a copy that knows nothing of it
            raise RefusalError("node_unknown", "of a node that nobody knows")
        if not is_whole(bundle, key):
            raise RefusalError("carried_damaged", "not what its writer sealed")
        return open_bundle(bundle, world.hub_key)
    except RefusalError as error:
        world.count(f"sealed bundle refused {error.code}")
        return None


def _hand_in_lies(world: World, one: SealedAboard) -> None:
    """Hand the hub what resembles a bundle: of a stranger, in another's name, or with a bit that flipped."""
    rng = world.rng
    if rng.random() < 0.15:
        _must_refuse(world, world.damaged(one.data), "damaged")
    if rng.random() < 0.25:
        stranger = SigningKey(rng.randbytes(32))
        content = world.bundle(one.author, world.hub, {})
        foreign = CarriedHead(stranger.node, stranger.node, one.author.location, world.now, 1)
        lying = CarriedHead(world.hub_key.node, one.author.signer.node, one.author.location, world.now, 1)
        unknown = CarriedHead(world.hub_key.node, stranger.node, one.author.location, world.now, 1)
        for head, name in ((foreign, "foreign"), (lying, "in another's name"), (unknown, "of nobody")):
            sealed = seal_bundle(content, head, world.hub_key.public, stranger, rng.randbytes(32))
            _must_refuse(world, sealed, name)


def _must_refuse(world: World, data: bytes, what: str) -> None:
    world.count(f"sealed bundle {what}")
    if _open(world, data) is not None:
        world.fail(f"a sealed bundle that was {what} was opened")


def _answer(world: World, author: Machine, header: BundleHeader) -> bytes:
    stated: dict[str, VersionVector] = {v.scope: v.vector for v in header.vectors}
    content = world.bundle(world.hub, author, stated, asker=author)
    head = AnswerHead(world.hub_key.node, author.signer.node, author.location, world.now, 0)
    return seal_answer(content, head, author.signer.public, world.hub_key, world.rng.randbytes(32))


def hand_mail(world: World, van: Machine, node: Machine) -> None:
    """Give a node what a van brought it of the hub, however old; others try to read it in vain."""
    mine = [data for owner, data in van.mail if owner is node]
    for owner, data in van.mail:
        if owner.signer is not node.signer:
            _must_not_read(world, node, data)
    van.mail = [(owner, data) for owner, data in van.mail if owner is not node]
    for data in mine:
        if world.rng.random() < 0.2:
            if _open_answer(world, node, world.damaged(data)) is not None:
                world.fail("an answer that was damaged was opened")
            world.count("carried answer refused")
        opened = _open_answer(world, node, data)
        assert opened is not None, "what the hub sealed to a node it can read"
        header = world.read(node, opened, is_calm=False)
        if header is not None:
            node.hub_vectors = {v.scope: v.vector for v in header.vectors}
            world.count("carried answer read")


def _open_answer(world: World, node: Machine, data: bytes) -> bytes | None:
    """Open an answer as the node that it is for does; None for one that it refuses."""
    try:
        answer = read_answer(data)
        return open_answer(answer, node.signer) if is_answer_whole(answer, world.hub_key.public) else None
    except RefusalError:
        return None


def _must_not_read(world: World, node: Machine, data: bytes) -> None:
    try:
        open_answer(read_answer(data), node.signer)
    except RefusalError:
        world.count("answer for another")
    else:
        world.fail(f"{node.name} opened an answer to another node")
