"""Owns what a node hands to a van that visits its place: its bundle sealed to the hub, and who may bear it.

Nothing is handed out while the hub is reached over this node's own line, nor what the hub is known to hold or the van
has aboard. A bundle that grew is sealed anew, but the less often the longer that takes; sealing runs in a thread of
the program that syncs, and reads the file part by part.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from edge.bundles import content_above
from edge.carrying import seal
from edge.hub_held import held_by_hub
from edge.line_state import line_state
from edge.node import Node
from edge.settings import setting
from edge.sync_agent import subscriptions
from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import ORG, NodeId
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked, LocationDefined
from schema.settings import CarryRules
from sync.sealing import CARRIED_BYTES_MAX, read_sealed
from sync.version_vector import Head
from sync.visiting import PIECE_BYTES, Aboard, Offered, Piece, PieceAsked, reached

VAN: Final = "van"
LINE_FRESH_MS: Final = 60_000
"""Whoever spoke with the hub so lately brings it everything itself."""
RENEW_S: Final = 60.0
RENEW_SHARE: Final = 100
"""A bundle is sealed anew no more often than once in a minute, and in a hundred times what it took."""
SLOW_S: Final = 1.0
LEAVING_SHARE: Final = 10
"""For a van that leaves it is sealed anew at once; where that takes longer than a second, in ten times what it took."""
OUTBOX_MAX: Final = 2
KEPT: Final = 200
_Heads = Mapping[str, Mapping[str, Head]]


class HandedOut(NamedTuple):
    """A bundle that a van took from here: which van's node, how many entries and bytes, and when."""

    bundle: str
    bearer: str
    entries: int
    size: int
    at_ms: int


def van_of(node: Node, peer: NodeId) -> str:
    """Return the van that a peer is a node of, as this node knows the organisation; empty where it is none.

    Raises RefusalError `node_revoked`.
    """
    organisation, connection = node.organisation, node.connection
    organisation.refresh(connection)
    if organisation.all(connection, AuthorityRevoked, peer):
        raise RefusalError("node_revoked", f"the node {peer} has left the organisation")
    for grant in organisation.all(connection, AuthorityGranted, peer):
        place = organisation.newest(connection, LocationDefined, grant.location)
        if place is not None and place.type == VAN:
            return str(grant.location)
    return ""


def check_bearer(node: Node, peer: NodeId) -> None:
    """Let a van of another place carry for this one; raises RefusalError `carry_forbidden` or `node_revoked`."""
    van, rules = van_of(node, peer), setting(node, CarryRules)
    if not van or van == node.config.location or not rules.hands_out or (rules.vans and van not in rules.vans):
        raise RefusalError("carry_forbidden", f"the node {peer} is no van that carries for this place", node=peer)


class _Sealed(NamedTuple):
    """A bundle with what it began at, when it was sealed by the monotonic clock, and how long that took."""

    content: bytes
    offered: Offered
    starts: bytes
    ends: bytes
    at_s: float
    took_s: float

    def is_good(self, starts: bytes, ends: bytes, now_s: float, *, is_leaving: bool) -> bool:
        """Tell whether this is handed out again: it has all that there is, or a newer one would cost too much now."""
        if starts != self.starts:
            return False
        fresh_s = max(RENEW_S, self.took_s * RENEW_SHARE)
        if is_leaving:
            fresh_s = self.took_s * LEAVING_SHARE if self.took_s > SLOW_S else 0.0
        return ends == self.ends or now_s - self.at_s < fresh_s


class Outbox:
    """The bundles that were sealed last, so that two vans get the same one and a broken line begins again cheaply."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._sealed: list[_Sealed] = []

    def offer(self, node: Node, aboard: Sequence[Aboard], *, is_leaving: bool) -> Offered | None:
        """Return the bundle for a van with this aboard; None where there is nothing that it should take now."""
        if _has_line(node):
            return None
        with node.store.reading():
            starts = _starts(node, [one for one in aboard if one.writer != node.config.node])
            if not _lacking(node, starts):
                return None
            mine = [one for one in aboard if one.writer == node.config.node]
            if mine and not _lacking(node, _starts(node, aboard)):
                return None
            begins, ends = _named(starts), _named({scope: node.replica.log.heads(scope) for scope in starts})
        took_s = max((one.took_s for one in self._sealed), default=0.0)
        age_ms = node.clock_source().wall_ms - max((one.made_ms for one in mine), default=0)
        if mine and not is_leaving and 0 <= age_ms < 1000 * max(RENEW_S, took_s * RENEW_SHARE):
            return None
        now_s = self._monotonic_s()
        good = (one for one in self._sealed if one.is_good(begins, ends, now_s, is_leaving=is_leaving))
        offered = (next(good, None) or self._seal(node, starts, begins, ends)).offered
        return None if any(offered.spans == one.spans for one in mine) else offered

    def _seal(self, node: Node, starts: _Heads, begins: bytes, ends: bytes) -> _Sealed:
        began_s = self._monotonic_s()
        content, spans, entries = content_above(node, starts, CARRIED_BYTES_MAX - 64 * 1024)
        sealed = seal(node, content, entries)
        now_s = self._monotonic_s()
        offered = Offered(read_sealed(sealed).name, len(sealed), entries, spans)
        made = _Sealed(sealed, offered, begins, ends, now_s, now_s - began_s)
        self._sealed = [made, *self._sealed[: OUTBOX_MAX - 1]]
        return made

    def piece(self, node: Node, peer: NodeId, asked: PieceAsked) -> Piece:
        """Return a part of an offered bundle; the last one is noted as handed out. Raises RefusalError `carried_gone`.

        What lies beyond a bundle's end is `message_malformed`.
        """
        found = next((one for one in self._sealed if one.offered.bundle == asked.bundle), None)
        if found is None:
            raise RefusalError("carried_gone", "this bundle is not offered any more: ask anew")
        content = found.content[asked.offset : asked.offset + PIECE_BYTES]
        if not content:
            raise RefusalError("message_malformed", "the bundle ends before what is asked of it")
        if asked.offset + len(content) == len(found.content):
            _note_handed(node, found.offered, peer)
        return Piece(asked.bundle, asked.offset, content)


def _has_line(node: Node) -> bool:
    line, last_ms = line_state(node), node.state().last_exchange_ms
    return line is not None and not line.fault and 0 <= node.now_ms() - last_ms < LINE_FRESH_MS


def _starts(node: Node, aboard: Sequence[Aboard]) -> dict[str, dict[str, Head]]:
    """Return, by scope and writer, up to where the hub holds what is here or a van has it aboard without a gap."""
    starts: dict[str, dict[str, Head]] = {}
    spans = [span for one in aboard for span in one.spans]
    for scope in _scopes(node):
        held = held_by_hub(node, scope)
        reach = reached({(scope, w): h.seq for w, h in held.items()}, [s for s in spans if s.scope == scope])
        for row in node.replica.log.streams(scope):
            writer = row.stream.writer
            seq = min(reach.get((scope, writer), 0), row.head.seq)
            digest = node.replica.log.digest_at(row, seq) if seq > held.get(writer, Head(0, b"")).seq else None
            if digest is not None:
                held[writer] = Head(seq, digest)
        starts[scope] = held
    return starts


def _scopes(node: Node) -> list[str]:
    """Return the scopes that a node hands out of: its location's, and those where it wrote notices."""
    return [subscription.scope for subscription in subscriptions(node) if subscription.scope != ORG]


def _lacking(node: Node, starts: _Heads) -> bool:
    for scope, held in starts.items():
        only = None if scope == node.config.scope else node.config.node_id
        for writer, head in node.replica.log.heads(scope, only).items():
            if head.seq > held.get(writer, Head(0, b"")).seq:
                return True
    return False


def _named(heads: _Heads) -> bytes:
    """Name where streams begin or end."""
    told = [(scope, w, head.seq) for scope, found in sorted(heads.items()) for w, head in sorted(found.items())]
    return hashlib.sha256(encode(told)).digest()


def _note_handed(node: Node, offered: Offered, peer: NodeId) -> None:
    with node.store.transaction() as connection:
        connection.execute(
            "INSERT INTO handed_out (bundle, bearer, entries, size, at_ms) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (bundle, bearer) DO UPDATE SET at_ms = excluded.at_ms",
            (offered.bundle, peer, offered.entries, offered.size, node.clock_source().wall_ms),
        )
        connection.execute(
            "DELETE FROM handed_out WHERE (bundle, bearer) NOT IN"
            " (SELECT bundle, bearer FROM handed_out ORDER BY at_ms DESC, bundle LIMIT ?)",
            (KEPT,),
        )


def handed_out(node: Node) -> list[HandedOut]:
    """Return what vans took from here, the latest first."""
    rows = node.connection.execute(
        "SELECT bundle, bearer, entries, size, at_ms FROM handed_out ORDER BY at_ms DESC, bundle, bearer"
    ).fetchall()
    return [HandedOut(*row) for row in rows]
