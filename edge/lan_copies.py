"""What the neighbours are known to hold of this node's entries, so that a screen can say "on a second till".

None of it is a fact of business: it is written without waiting for the disk, and a power cut costs it at most a
session, after which the neighbour says it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec

from edge.node import Node
from edge.store import foreseen
from schema.identity import EntryId, NodeId
from sync.clock import ClockMeasurement

NOTED_EVERY_MS: Final = 30_000
"""A neighbour that says nothing new is noted this often: the file is not written for every hello."""


class PeerSeen(msgspec.Struct, frozen=True):
    """One neighbour as it was last met; `offset_ms` is its clock minus this node's, where both were compared."""

    node: str
    name: str
    address: str
    release: str
    last_ms: int
    offset_ms: int | None
    offset_unc_ms: int | None
    held: int
    """How many of this node's entries it holds."""
    problem: str


class LanCopies(msgspec.Struct, frozen=True):
    """How much of what this node wrote at its location stands on another till."""

    own: int
    copied: int
    """Entries, from the first on, that at least one neighbour holds."""
    peers: int

    @property
    def waiting(self) -> int:
        """Entries that stand on this machine alone, as far as the neighbours are concerned."""
        return self.own - self.copied


@contextmanager
def _unsynced(node: Node) -> Iterator[None]:
    """Write without waiting for the disk; the next commit of anybody brings it there."""
    connection = node.store.connection
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        with node.store.transaction():
            yield
    finally:
        connection.execute("PRAGMA synchronous = FULL")


def note_copies(node: Node, peer: NodeId, held: Mapping[int, int], *, is_whole: bool) -> None:
    """Note up to where a neighbour holds own entries of each incarnation.

    With `is_whole` it said all that it holds: what it lost since is forgotten. Without, it only adds.
    """
    if peer == node.config.node_id:
        return
    with foreseen(node.store.path):
        known = dict(
            node.connection.execute("SELECT incarnation, seq FROM lan_copy WHERE peer = ?", (peer,)).fetchall()
        )
    said = {**dict.fromkeys(known, 0), **held} if is_whole else held
    news = [
        (peer, incarnation, seq)
        for incarnation, seq in sorted(said.items())
        if known.get(incarnation, 0) < seq or (is_whole and known.get(incarnation, 0) > seq)
    ]
    if news:
        with _unsynced(node):
            node.connection.executemany(
                "INSERT INTO lan_copy (peer, incarnation, seq) VALUES (?, ?, ?)"
                " ON CONFLICT (peer, incarnation) DO UPDATE SET seq = excluded.seq",
                news,
            )


def note_peer(node: Node, peer: NodeId, address: str, release: str, measured: ClockMeasurement | None) -> None:
    """Note that a neighbour was met, and its clock where it was compared with this one."""
    now_ms = node.clock_source().wall_ms
    with foreseen(node.store.path):
        row = node.connection.execute(
            "SELECT last_ms, offset_ms, offset_unc_ms, problem FROM lan_peer WHERE node = ?", (peer,)
        ).fetchone()
    is_recent = row is not None and 0 <= now_ms - row[0] < NOTED_EVERY_MS and not row[3]
    # The neighbour's wall clock minus ours: `measure` gives ours minus the other's.
    offset = (None, None) if measured is None else (-measured.offset_ms, measured.unc_ms)
    has_news = measured is not None and (row is None or row[2] is None or abs(row[1] + measured.offset_ms) > 2_000)
    if is_recent and not has_news:
        return
    with _unsynced(node):
        node.connection.execute(
            "INSERT INTO lan_peer (node, address, release, last_ms, offset_ms, offset_unc_ms) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (node) DO UPDATE SET address = excluded.address, release = excluded.release,"
            " last_ms = excluded.last_ms, offset_ms = coalesce(excluded.offset_ms, offset_ms),"
            " offset_unc_ms = coalesce(excluded.offset_unc_ms, offset_unc_ms), problem = ''",
            (peer, address, release, now_ms, *offset),
        )


def note_problem(node: Node, peer: NodeId, address: str, code: str) -> None:
    """Note what a neighbour that showed its certificate did wrong: the last of it, once a while."""
    now_ms = node.clock_source().wall_ms
    with foreseen(node.store.path):
        row = node.connection.execute("SELECT problem, problem_ms FROM lan_peer WHERE node = ?", (peer,)).fetchone()
    if row is not None and row[0] == code and 0 <= now_ms - row[1] < NOTED_EVERY_MS:
        return
    with _unsynced(node):
        node.connection.execute(
            "INSERT INTO lan_peer (node, address, release, last_ms, problem, problem_ms) VALUES (?, ?, '', 0, ?, ?)"
            " ON CONFLICT (node) DO UPDATE SET problem = excluded.problem, problem_ms = excluded.problem_ms",
            (peer, address, code, now_ms),
        )


def lan_copies(node: Node) -> LanCopies:
    """Return how much of this node's own log of its location another till holds; three small reads."""
    with foreseen(node.store.path):
        heads = dict(
            node.connection.execute(
                "SELECT s.incarnation, s.head_seq FROM stream s JOIN scope c ON c.scope_no = s.scope_no"
                " WHERE c.scope = ? AND s.node = ?",
                (node.config.scope, node.config.node),
            ).fetchall()
        )
        copies = dict(
            node.connection.execute("SELECT incarnation, max(seq) FROM lan_copy GROUP BY incarnation").fetchall()
        )
        peers = node.connection.execute("SELECT count(*) FROM lan_peer WHERE last_ms > 0").fetchone()[0]
    copied = sum(min(head, copies.get(incarnation, 0)) for incarnation, head in heads.items())
    return LanCopies(sum(heads.values()), copied, peers)


def is_on_second_till(node: Node, entry: EntryId) -> bool:
    """Tell whether a neighbour holds one of this node's entries of its location."""
    if entry.stream.scope != node.config.scope or entry.stream.node != node.config.node_id:
        return False
    with foreseen(node.store.path):
        row = node.connection.execute(
            "SELECT max(seq) FROM lan_copy WHERE incarnation = ?", (entry.stream.incarnation,)
        ).fetchone()
    return row[0] is not None and row[0] >= entry.seq


def peers_seen(node: Node) -> list[PeerSeen]:
    """Return the neighbours that were met, the latest first."""
    from sync.explanation import NodeNames

    names = NodeNames(node.connection, node.organisation)
    with foreseen(node.store.path):
        rows = node.connection.execute(
            "SELECT p.node, p.address, p.release, p.last_ms, p.offset_ms, p.offset_unc_ms, p.problem,"
            " (SELECT coalesce(sum(c.seq), 0) FROM lan_copy c WHERE c.peer = p.node)"
            " FROM lan_peer p ORDER BY p.last_ms DESC, p.node"
        ).fetchall()
    return [
        PeerSeen(peer, names.of(f"{peer}.1"), address, release, last_ms, offset_ms, unc_ms, held, problem)
        for peer, address, release, last_ms, offset_ms, unc_ms, problem, held in rows
    ]
