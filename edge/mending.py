"""Brings back what bit rot took of a node's log: from what is left of it, and from the hub or a neighbour.

The chain is the only witness that is believed. A stream's head is read off the entries where these prove it; entries
are put back only where the chain with them ends in the head that was known; a seal only where it is its writer's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import NamedTuple

import msgspec

from edge.hub_line import HubLine
from edge.lan_visit import ask_neighbours
from edge.node import RELEASE, Node
from schema.errors import EdgetillError
from schema.identity import ORG
from sync.entry import chain, genesis
from sync.log_tables import StreamRow
from sync.messages import (
    NO_CLOCK,
    PROTOCOL,
    Request,
    Response,
    ScopeState,
    decode_response,
    encode_request,
    scope_vector,
)
from sync.refold import find_damage, put_back
from sync.signing import is_signed, seal_message
from sync.transport import SYNC_PATH
from sync.version_vector import Head, vector_digest

BYTES_MAX = 1024 * 1024
ROUNDS_MAX = 10_000

Fetching = Generator[Request, Response, int]
"""Yields requests, is sent their answers, and returns how many entries and seals were put back."""


class Mended(NamedTuple):
    """What was brought back."""

    heads: int
    seals: int
    fetched: int


def mend_log(node: Node, *, peers: Iterable[str] = (), search_s: float = 0.0) -> Mended:
    """Bring back all that can be of a node's log; whatever cannot stays as it is and is found by the next examination.

    The hub is asked first, then the neighbours; neither is asked where nothing is wrong.
    """
    heads = mend_heads(node)
    seals = seal_again(node)
    fetched = 0
    if is_lacking(node):
        fetched += _from_hub(node)
    if is_lacking(node):
        fetched += ask_neighbours(node, lambda: fetch_again(node), peers, search_s=search_s)
    return Mended(heads, seals, fetched)


def is_lacking(node: Node) -> bool:
    """Tell whether entries or seals are to come again."""
    return any(_lacks_from(node, row) is not None for row in node.replica.rows())


def mend_heads(node: Node) -> int:
    """Set heads that rotted to the last entry that the chain proves; returns how many.

    A head beyond the last entry is believed, for then it is the entries that are gone, unless its own digest is that of
    the last entry: then only its number rotted.
    """
    mended = 0
    with node.write():
        for row in list(node.replica.rows()):
            end = _end_of(node, row)
            if end is None or end == row.head:
                continue
            if row.head.seq > end.seq and row.head.digest != end.digest:
                continue
            node.connection.execute(
                "UPDATE stream SET head_seq = ?, head_digest = ? WHERE scope_no = ? AND stream_no = ?",
                (end.seq, end.digest, row.scope_no, row.stream_no),
            )
            mended += 1
    return mended


def _end_of(node: Node, row: StreamRow) -> Head | None:
    """Return where a stream's entries end by their chain; None where the chain breaks before."""
    digest, seq = row.base.digest, row.base.seq
    while found := node.connection.execute(
        "SELECT seq, digest, body FROM entry WHERE scope_no = ? AND stream_no = ? AND seq > ? ORDER BY seq LIMIT 1000",
        (row.scope_no, row.stream_no, seq),
    ).fetchall():
        for found_seq, found_digest, body in found:
            digest = chain(digest, bytes(body))
            if found_seq != seq + 1 or digest != bytes(found_digest):
                return None
            seq = found_seq
    return Head(seq, digest)


def missing_seals_from(node: Node, row: StreamRow) -> int | None:
    """Return the entry from which on seals that were here are gone; None where none is."""
    if row.sealed_seq <= row.base.seq:
        return None
    found = node.connection.execute(
        "SELECT max(seq) FROM seal WHERE scope_no = ? AND stream_no = ?", (row.scope_no, row.stream_no)
    ).fetchone()[0]
    return None if found == row.sealed_seq else max(found or 0, row.base.seq) + 1


def seal_again(node: Node) -> int:
    """Seal the heads of this node's own streams whose seals are gone; returns how many."""
    sealed = 0
    with node.write():
        for row in list(node.replica.rows()):
            if row.stream.node != node.config.node_id or missing_seals_from(node, row) is None:
                continue
            digest = node.replica.log.digest_at(row, row.sealed_seq)
            if digest is not None:
                message = seal_message(row.stream, row.sealed_seq, digest)
                node.replica.log.put_seal(row, row.sealed_seq, node.signer.sign(message))
                sealed += 1
    return sealed


def _lacks_from(node: Node, row: StreamRow) -> int | None:
    """Return the first entry that has to come again, with its seal; None where all is well."""
    damage = find_damage(node.connection, row)
    seals = missing_seals_from(node, row)
    return min((seq for seq in (damage.first_seq if damage else None, seals) if seq is not None), default=None)


def fetch_again(node: Node) -> Fetching:
    """Ask for what the log lacks, scope by scope, as if this node had only what stands before it."""
    brought = 0
    for scope in (ORG, node.config.scope):
        rows = {row.stream.writer: row for row in node.replica.log.streams(scope)}
        lacking = {writer: first for writer, row in rows.items() if (first := _lacks_from(node, row)) is not None}
        if not lacking:
            continue
        heads = node.replica.log.heads(scope)
        for writer, first in lacking.items():
            heads.pop(writer, None)
            digest = node.replica.log.digest_at(rows[writer], first - 1)
            if first > 1 and digest is not None:
                heads[writer] = Head(first - 1, digest)
        bodies: dict[str, dict[int, bytes]] = {writer: {} for writer in lacking}
        seals: dict[str, dict[int, bytes]] = {writer: {} for writer in lacking}
        for _ in range(ROUNDS_MAX):
            response = yield Request(
                PROTOCOL, RELEASE, node.config.node, (ScopeState(scope, vector_digest(heads)),), NO_CLOCK,
                (scope_vector(scope, heads),), bytes_max=BYTES_MAX,
            )  # fmt: skip
            has_moved = False
            for batch in response.batches:
                writer = batch.stream.writer
                known = heads.get(writer, Head(0, genesis(batch.stream)))
                if batch.scope != scope or writer not in lacking or batch.first_seq != known.seq + 1:
                    continue
                digest, seq = known.digest, known.seq
                for encoded in batch.entries:
                    digest, seq = chain(digest, encoded), seq + 1
                    bodies[writer][seq] = encoded
                heads[writer] = Head(seq, digest)
                seals[writer][seq] = batch.seal
                has_moved = True
            if not has_moved:
                break
        with node.write():
            for writer, row in rows.items():
                if writer in lacking:
                    brought += put_back(node.connection, row, bodies[writer])
                    brought += _put_seals(node, row, seals[writer])
    return brought


def _put_seals(node: Node, row: StreamRow, seals: dict[int, bytes]) -> int:
    key = node.organisation.public_key(node.connection, row.stream.node)
    known = {seq for seq, _ in node.replica.log.seals(row, 0)}
    put = 0
    for seq, signature in seals.items():
        digest = node.replica.log.digest_at(row, seq) if seq <= row.head.seq else None
        if key is None or digest is None or seq in known:
            continue
        if is_signed(key, signature, seal_message(row.stream, seq, digest)):
            node.replica.log.put_seal(row, seq, signature)
            put += 1
    # Seals stand where the other side cut its batches: the highest that is here now is what others may be given.
    node.connection.execute(
        "UPDATE stream SET sealed_seq = coalesce((SELECT max(seq) FROM seal WHERE seal.scope_no = stream.scope_no"
        " AND seal.stream_no = stream.stream_no), 0) WHERE scope_no = ? AND stream_no = ?",
        (row.scope_no, row.stream_no),
    )
    return put


def _from_hub(node: Node) -> int:
    try:
        line = HubLine(node.config.hub_address, node.config.ca_pem)
    except EdgetillError:
        return 0
    fetching = fetch_again(node)
    try:
        request = next(fetching)
        while True:
            body = encode_request(request)
            answered = line.post_signed(node.signer, node.config.hub, SYNC_PATH, body)
            request = fetching.send(decode_response(answered))
    except StopIteration as done:
        return int(done.value)
    except (EdgetillError, msgspec.MsgspecError):
        return 0
    finally:
        line.close()
