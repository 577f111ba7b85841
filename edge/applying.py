"""Applies what came from elsewhere to the node's file without ever being in a sale's way.

A till and the agent write the same file, so the agent's transactions are bounded to a few milliseconds and it
pauses as long; what it stores is verified before the write lock is taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from edge.disk_space import check_others_room
from edge.node import Node
from edge.store import foreseen
from schema.errors import RefusalError
from sync.branches import must_renew
from sync.elsewhere import OPERATORS_TOPIC, HeldStatements, OperatorSecrets, read_as_of
from sync.entry import chain, genesis
from sync.messages import Batch, Refusal, Statement
from sync.signing import is_signed, statement_message
from sync.verification import VerifiedBatch, verify_batch
from sync.version_vector import Head

SLICE_MS: Final = 8
BULK_ENTRIES: Final = 2_000
STATEMENTS_PER_SLICE: Final = 16
EVIDENCE_BYTES_MAX: Final = 64 * 1024
EVIDENCES_MAX: Final = 1_000
"""So many refused batches are kept: a peer that sends nothing else cannot fill the disk."""
_QUARANTINED: Final = frozenset(
    {"fork", "seal_invalid", "chain_broken", "entry_malformed", "entry_float", "entry_not_canonical", "entry_too_large"}
)


class Pace:
    """How much goes into one transaction: adapts to the slice on a trading node, everything in bulk on a new one.

    What is counted, entries or bytes, is its owner's: it begins with `first` and never takes more than `most`.
    """

    def __init__(self, first: int = 4_096, most: int = 256 * 1024, *, is_bulk: bool = False) -> None:
        self._is_bulk = is_bulk
        self._most = most
        self._allowance = first

    @property
    def allowance(self) -> int:
        """How much the next transaction takes."""
        return self._allowance

    def count(self, sizes: Sequence[int]) -> int:
        """Return how many of these, in order, the next transaction takes: at least one.

        An entry's bytes say what it costs within a factor of five, be it a sale or a change of five hundred products.
        """
        if self._is_bulk:
            return min(len(sizes), BULK_ENTRIES)
        total = 0
        for number, size in enumerate(sizes):
            total += size
            if total > self._allowance and number:
                return number
        return len(sizes)

    def note(self, amount: int, took_ms: float) -> None:
        """Learn from a transaction, and pause as long as it held the lock."""
        if self._is_bulk:
            return
        each_ms = took_ms / max(1, amount)
        wanted = int(SLICE_MS / each_ms) if each_ms > 0 else self._allowance * 2
        self._allowance = max(1, min(wanted, self._allowance * 2, self._most))
        time.sleep(max(took_ms, 1) / 1000)


def apply_batches(node: Node, batches: Iterable[Batch], pace: Pace) -> tuple[int, list[Refusal]]:
    """Verify and store batches; a stream that is refused is named and the others go on. Returns entries stored."""
    stored = 0
    refusals: list[Refusal] = []
    for batch in batches:
        check_others_room(node.directory)
        try:
            stored += _apply(node, batch, pace)
        except RefusalError as error:
            refusals.append(Refusal(str(batch.stream), batch.first_seq, error.code, error.message))
            if error.code in _QUARANTINED:
                _quarantine(node, batch, error)
    return stored, refusals


def _apply(node: Node, batch: Batch, pace: Pace) -> int:
    if must_renew(node.config.node_id, node.state().incarnation, [batch.stream]) and _is_news(node, batch):
        with node.write() as writing:  # others hold more of my stream than I do: this file is an older copy
            if must_renew(node.config.node_id, writing.state.incarnation, [batch.stream]):
                node.new_incarnation(writing)
    stored = 0
    while True:
        with foreseen(node.store.path):
            admitted = node.replica.admit(batch)
        if admitted is None:
            return stored
        verified = verify_batch(*admitted)
        stored += (done := _store(node, verified, pace))
        # Hub and neighbours bring the same entries: what another line stored meanwhile is admitted anew.
        if done == len(verified.entries):
            return stored


def _store(node: Node, verified: VerifiedBatch, pace: Pace) -> int:
    """Store entries in slices; returns how many, fewer than all where another connection moved the stream's head."""
    entries = verified.entries
    sizes = [len(entry.encoded) for entry in entries]
    position = 0
    while position < len(entries):
        count = pace.count(sizes[position:])
        part = entries[position : position + count]
        is_last = position + count == len(entries)
        began = time.perf_counter()
        with node.write():
            row = node.replica.log.stream(verified.stream)
            head = Head(0, genesis(verified.stream)) if row is None else row.head
            if head.seq + 1 != part[0].body.seq or chain(head.digest, part[0].encoded) != part[0].digest:
                return position
            node.replica.store(VerifiedBatch(verified.stream, part, verified.seal), is_whole=is_last)
        pace.note(sum(sizes[position : position + count]), (time.perf_counter() - began) * 1000)
        position += count
    return position


def _is_news(node: Node, batch: Batch) -> bool:
    row = node.replica.log.stream(batch.stream)
    return row is None or batch.first_seq + len(batch.entries) - 1 > row.head.seq


def _quarantine(node: Node, batch: Batch, error: RefusalError) -> None:
    evidence = b"".join(batch.entries)[:EVIDENCE_BYTES_MAX] + batch.seal
    with node.write() as writing:
        if node.connection.execute("SELECT count(*) FROM quarantine").fetchone()[0] >= EVIDENCES_MAX:
            return
        node.replica.log.quarantine(
            str(batch.stream), batch.first_seq, error.code, error.message, evidence, writing.moment.wall_ms
        )


def keep_statements(node: Node, statements: Sequence[Statement]) -> None:
    """Keep digests of elsewhere that the hub signed, for this location, and that are newer than those here."""
    key = node.config.root_public_key
    signed = [
        s for s in statements if is_signed(key, s.signature, statement_message(s.topic, s.content)) and _is_for(node, s)
    ]
    for start in range(0, len(signed), STATEMENTS_PER_SLICE):
        with node.write():
            HeldStatements(node.connection).keep(signed[start : start + STATEMENTS_PER_SLICE])


def _is_for(node: Node, statement: Statement) -> bool:
    """Tell whether a statement is of the time that it names, and not of another location's operators."""
    if read_as_of(statement.content) != statement.as_of_ms:
        return False
    if statement.topic != OPERATORS_TOPIC:
        return True
    try:
        told = msgspec.msgpack.decode(statement.content, type=OperatorSecrets)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return told.location == node.config.location
