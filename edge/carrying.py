"""Owns bundles that a node carries for others: taken as a file or on a shop's network, kept sealed, handed to the hub.

A van that visits shops without a line takes their entries along. It cannot read them, keeps only so much of them, and
never lets them take the room that its own sales need: their bytes lie in files beside the node's own, and only what is
known of them in its tables.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from edge.carried_answers import keep_answer
from edge.carried_files import carried_file, keep_file, read_file, remove_file, sweep
from edge.disk_space import check_others_room
from edge.node import Node
from schema.codec import encode
from schema.errors import RefusalError
from schema.files import read_given, write_private
from schema.identity import NodeId
from sync.sealing import CARRIED_BYTES_MAX, CarriedHead, SealedBundle, is_whole, read_sealed, seal_bundle, too_large
from sync.transport import BroughtAnswer
from sync.visiting import Aboard, Span

CARRIED_TOTAL_MAX: Final = 64 * 1024 * 1024
KEPT: Final = 50
"""Bundles that were handed over stay named for a while, without their content."""
_decode_spans: Final = msgspec.msgpack.Decoder(tuple[Span, ...]).decode


class Carried(NamedTuple):
    """A bundle aboard: of which node and place, how many entries, since when; `handed_ms` 0 while it waits.

    `made_ms` is when its writer sealed it, by that node's clock; `size` in bytes, 0 once it was handed over.
    """

    bundle: str
    writer: str
    location: str
    entries: int
    size: int
    taken_ms: int
    handed_ms: int
    outcome: str
    made_ms: int


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
    write_private(file, seal(node, content, entries))
    return entries


def seal(node: Node, content: bytes, entries: int) -> bytes:
    """Seal a bundle of this node to the hub; raises RefusalError `carried_large`."""
    head = CarriedHead(node.config.root, node.config.node, node.config.location, node.clock_source().wall_ms, entries)
    return seal_bundle(content, head, node.config.root_public_key, node.signer, secrets.token_bytes(32))


def take_along(node: Node, file: Path) -> Carried:
    """Take a sealed bundle of another node aboard; taking it twice changes nothing.

    Raises RefusalError `carried_malformed`, `carried_damaged`, `carried_foreign` (of another organisation),
    `carried_unknown` (of a node that this one has not heard of), `carried_own`, `carried_large`, `carried_full`, and
    TransientError `disk_tight`.
    """
    if file.is_file() and file.stat().st_size > CARRIED_BYTES_MAX:
        raise too_large(file.stat().st_size)
    return keep(node, read_given(file))


def keep(node: Node, content: bytes, spans: Sequence[Span] = ()) -> Carried:
    """Keep the bytes of a sealed bundle, as `take_along` does; `spans` are what its writer says that it has.

    An older one of the same writer makes way. Of a file it is known alone that it has all that its writer recorded,
    so it does not replace what came over a network and has entries of other tills.
    """
    check_others_room(node.directory)
    bundle = check_sealed(node, content)
    known = next((one for one in carried(node) if one.bundle == bundle.name), None)
    if known is not None:
        return known
    head = bundle.head
    older = [
        name
        for name, their_spans in node.connection.execute(
            "SELECT bundle, spans FROM carried_bundle WHERE writer = ? AND handed_ms = 0 AND made_ms <= ?",
            (head.writer, head.made_ms),
        ).fetchall()
        if spans or not their_spans
    ]
    waiting = [one.size for one in carried(node) if not one.handed_ms and one.bundle not in older]
    if sum(waiting) + len(content) > CARRIED_TOTAL_MAX:
        raise RefusalError(
            "carried_full", "no more bundles fit aboard before these have reached the hub",
            most=CARRIED_TOTAL_MAX // 1_000_000,
        )  # fmt: skip
    keep_file(node.directory, _named(bundle.name), content)
    with node.store.transaction() as connection:
        connection.executemany("DELETE FROM carried_bundle WHERE bundle = ?", [(name,) for name in older])
        connection.execute(
            "INSERT INTO carried_bundle (bundle, writer, location, content, entries, taken_ms, size, made_ms, spans)"
            " VALUES (?, ?, ?, x'', ?, ?, ?, ?, ?) ON CONFLICT (bundle) DO NOTHING",
            (
                bundle.name, head.writer, head.location, head.entries, node.clock_source().wall_ms, len(content),
                head.made_ms, encode(tuple(spans)) if spans else b"",
            ),
        )  # fmt: skip
    for name in older:
        remove_file(node.directory, _named(name))
    return next(one for one in carried(node) if one.bundle == bundle.name)


def check_sealed(node: Node, content: bytes) -> SealedBundle:
    """Return a sealed bundle that may be carried; raises RefusalError as `take_along` does."""
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
    return bundle


def bundle_file(node: Node, bundle: str) -> Path:
    """Return where a bundle's bytes lie."""
    return carried_file(node.directory, _named(bundle))


def _named(bundle: str) -> str:
    return f"{bundle}.sealed"


def carried(node: Node) -> list[Carried]:
    """Return what is aboard or was handed over lately, what waits first."""
    rows = node.connection.execute(
        "SELECT bundle, writer, location, entries, max(size, length(content)), taken_ms, handed_ms, outcome, made_ms"
        " FROM carried_bundle ORDER BY handed_ms > 0, handed_ms DESC, taken_ms, bundle"
    ).fetchall()
    return [Carried(*row) for row in rows]


def aboard_of(node: Node, location: str) -> tuple[Aboard, ...]:
    """Return what waits here of a place, as its tills are told; of a file nobody knows what is in it."""
    rows = node.connection.execute(
        "SELECT writer, made_ms, spans FROM carried_bundle WHERE location = ? AND handed_ms = 0 AND length(spans) > 0"
        " ORDER BY bundle",
        (location,),
    ).fetchall()
    return tuple(Aboard(str(writer), int(made_ms), _decode_spans(bytes(spans))) for writer, made_ms, spans in rows)


def hand_over(node: Node, send: Callable[[bytes], bytes]) -> int:
    """Hand every bundle that waits to the hub; returns how many it took or refused for good.

    What the hub answers to a bundle's writer comes aboard. Raises TransientError where the line fails: what was not
    handed over waits for the next exchange.
    """
    done = 0
    _sweep(node)
    for one in carried(node):
        if one.handed_ms:
            continue
        content = _content(node, one.bundle)
        if content is None:  # another took its place meanwhile, or this file is an older copy
            _settle(node, one.bundle, "lost")
            continue
        answered = b""
        try:
            answer = msgspec.msgpack.decode(send(content), type=BroughtAnswer)
            outcome = f"refused:{answer.refused}" if answer.refused else f"taken:{answer.entries}"
            answered = answer.answer
        except RefusalError as error:
            if not _is_final(error):
                return done
            outcome = f"refused:{error.code}"
        except msgspec.MsgspecError:
            outcome = "refused:reply_malformed"
        if answered:
            keep_answer(node, answered)
        _settle(node, one.bundle, outcome)
        done += 1
    return done


def _content(node: Node, bundle: str) -> bytes | None:
    row = node.connection.execute("SELECT content FROM carried_bundle WHERE bundle = ?", (bundle,)).fetchone()
    if row is not None and row[0]:  # an earlier release kept it there
        return bytes(row[0])
    return read_file(node.directory, _named(bundle))


def _sweep(node: Node) -> None:
    rows = node.connection.execute(
        "SELECT bundle || '.sealed' FROM carried_bundle UNION ALL SELECT answer || '.answer' FROM carried_answer"
    ).fetchall()
    sweep(node.directory, {str(name) for (name,) in rows})


def _settle(node: Node, bundle: str, outcome: str) -> None:
    """Note what became of a bundle; its bytes are not needed any more."""
    with node.store.transaction() as connection:
        connection.execute(
            "UPDATE carried_bundle SET handed_ms = ?, outcome = ?, content = x'', size = 0 WHERE bundle = ?",
            (max(1, node.clock_source().wall_ms), outcome[:96], bundle),
        )
        connection.execute(
            "DELETE FROM carried_bundle WHERE handed_ms > 0 AND bundle NOT IN (SELECT bundle FROM carried_bundle"
            " WHERE handed_ms > 0 ORDER BY handed_ms DESC, bundle LIMIT ?)",
            (KEPT,),
        )
    remove_file(node.directory, _named(bundle))


def _is_final(error: RefusalError) -> bool:
    """Tell whether the hub would say the same of this bundle the next time; a hub of an older release may not."""
    return error.code == "node_revoked" or error.code.startswith(("carried_", "bundle_"))
