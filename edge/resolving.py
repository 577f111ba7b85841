"""Settling what the count rules could not: choosing a count, taking an entry out, placing a movement."""

from __future__ import annotations

import msgspec

from edge.acting import acting_rank, held_vector, named_product
from edge.node import Node, Writing
from schema.errors import RefusalError
from schema.identity import EntryId
from schema.kinds.base import Payload, Permission, Rank
from schema.kinds.counting import CountAccepted, CountRecorded, EntryVoided, MovementClassified
from sync.explanation import ToldConflict, told_conflicts
from sync.stock_facts import Side
from sync.stock_facts import parse_target as parse_place


class Resolved(msgspec.Struct, frozen=True):
    """A durable resolution and what it is about."""

    entry: str
    target: str
    role: str


def conflicts(node: Node, *, with_settled: bool = False) -> list[ToldConflict]:
    """Return this location's conflicts in words, those that wait for a person first."""
    with node.store.reading() as connection:
        told = told_conflicts(connection, node.organisation, node.config.scope)
    return [one for one in told if with_settled or one.status == "OPEN"]


def accept_count(node: Node, product: str, observation: str, *, operator: str = "", note: str = "") -> Resolved:
    """Believe one of several counts of a product: an entry of this location, or a session."""
    with node.write() as writing:
        rank = _deciding_rank(node, writing, operator)
        code = named_product(node, product).code
        name = _observation(node, code, observation)
        return _append(writing, CountAccepted(code, name, rank.value, operator, held_vector(node), note), name, rank)


def void_entry(node: Node, target: str, *, operator: str = "", note: str = "") -> Resolved:
    """Take a wrong entry, or one line of it, out of stock; voiding a void brings the entry back.

    A line is named as conflicts name it: `…#1` is the second, the entry's own name is the whole of it.
    """
    with node.write() as writing:
        rank = _deciding_rank(node, writing, operator)
        name = _place(node, target)
        return _append(writing, EntryVoided(name, rank.value, operator, held_vector(node), note), name, rank)


def classify_movement(
    node: Node, movement: str, observation: str, relation: str, *, operator: str = "", note: str = ""
) -> Resolved:
    """Say whether a movement came BEFORE a count (it holds it already) or AFTER it."""
    side = relation.strip().upper()
    if side not in {Side.BEFORE.value, Side.AFTER.value}:
        raise RefusalError("relation_unknown", "a movement is BEFORE or AFTER a count")
    with node.write() as writing:
        rank = _deciding_rank(node, writing, operator)
        moved = _place(node, movement)
        counted = _observation(node, None, observation)
        payload = MovementClassified(moved, counted, side, rank.value, operator, held_vector(node), note)
        return _append(writing, payload, moved, rank)


def _append(writing: Writing, payload: Payload, target: str, rank: Rank) -> Resolved:
    entry = writing.append(payload)
    return Resolved(str(entry.id), target, rank.value)


def _deciding_rank(node: Node, writing: Writing, operator: str) -> Rank:
    rank = acting_rank(node, writing, Permission.RESOLVE, operator)
    if rank is Rank.CLERK:
        raise RefusalError("role_too_low", "a supervisor settles conflicts: ask one to sign in")
    return rank


def _place(node: Node, target: str) -> str:
    """Return the scope's own name of an entry that is here: `writer:seq` or `writer:seq#line`.

    A receipt's number will do too. An operator resolves only what the node still holds.
    """
    row = node.connection.execute(
        "SELECT t.node, t.incarnation, r.seq FROM receipt r JOIN stream t ON t.scope_no = r.scope_no"
        " AND t.stream_no = r.stream_no WHERE r.number = ? ORDER BY r.scope_no, r.stream_no, r.seq",
        (target,),
    ).fetchone()
    name = f"{row[0]}.{row[1]}:{row[2]}" if row else target.removeprefix(f"{node.config.scope}:")
    try:
        writer, seq, _ = parse_place(name)
        place = EntryId.parse(f"{node.config.scope}:{writer}:{seq}")
    except ValueError:
        raise RefusalError("entry_unknown", f"{target!r} names no entry: copy it from the conflict") from None
    if node.replica.log.entry(place.stream, place.seq) is None:
        raise RefusalError("entry_unknown", f"there is no entry {target} at this location")
    return name


def _observation(node: Node, product: str | None, observation: str) -> str:
    row = node.connection.execute(
        "SELECT 1 FROM count_session WHERE session = ? AND is_opening = 1", (observation,)
    ).fetchone()
    if row is not None:
        return observation
    name = _place(node, observation)
    writer, seq, _ = parse_place(name)
    place = EntryId.parse(f"{node.config.scope}:{writer}:{seq}")
    entry = node.replica.log.entry(place.stream, place.seq)
    payload = entry.payload if entry is not None else None
    if not isinstance(payload, CountRecorded):
        raise RefusalError("count_unknown", f"{observation} is no count")
    if product is not None and payload.product != product:
        raise RefusalError("count_unknown", f"{observation} is no count of {product}")
    return payload.session or name
