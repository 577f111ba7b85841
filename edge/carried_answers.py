"""Owns the way back: the hub's answers that a van carries, and what the node that they are for takes out of them.

An answer says up to where the hub holds what the node recorded, and brings what is new for it. It is sealed to that
node; a newer one for the same node takes an older one's place, for it leaves out only what that node said it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from edge.applying import Pace, apply_batches, keep_statements
from edge.carried_files import keep_file, read_file, remove_file
from edge.hub_held import note_held, own_held, said_ms
from edge.node import Node
from schema.errors import RefusalError
from schema.files import write_private
from schema.identity import ORG, NodeId
from sync.bundle import is_bundle_signed, read_bundle
from sync.messages import Refusal
from sync.sealing import SealedAnswer, is_answer_whole, open_answer, read_answer

KEPT: Final = 50


class CarriedAnswer(NamedTuple):
    """An answer aboard: for which node and place, its entries and bytes; `handed_ms` 0 while it waits.

    `made_ms` is when the hub made it, by the hub's clock.
    """

    answer: str
    reader: str
    location: str
    entries: int
    size: int
    made_ms: int
    taken_ms: int
    handed_ms: int
    outcome: str


class AnswerRead(NamedTuple):
    """What an answer brought here: entries that were new, and streams that were refused."""

    entries: int
    refusals: list[Refusal]


# The van's side.


def keep_answer(node: Node, content: bytes) -> None:
    """Keep an answer that the hub gave along; one that is not the hub's own is let go."""
    try:
        answer = _checked(node, content)
    except RefusalError:
        return
    head = answer.head
    keep_file(node.directory, _named(answer.name), content)
    with node.store.transaction() as connection:
        gone = connection.execute(
            "DELETE FROM carried_answer WHERE reader = ? AND made_ms <= ? AND answer <> ? RETURNING answer",
            (head.reader, head.made_ms, answer.name),
        ).fetchall()
        connection.execute(
            "INSERT INTO carried_answer (answer, reader, location, entries, size, made_ms, taken_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (answer) DO NOTHING",
            (
                answer.name, head.reader, head.location, head.entries, len(content), head.made_ms,
                node.clock_source().wall_ms,
            ),
        )  # fmt: skip
    for (name,) in gone:
        remove_file(node.directory, _named(name))


def _named(answer: str) -> str:
    return f"{answer}.answer"


def carried_answers(node: Node) -> list[CarriedAnswer]:
    """Return the answers aboard, and those that were handed over lately, what waits first."""
    rows = node.connection.execute(
        "SELECT answer, reader, location, entries, size, made_ms, taken_ms, handed_ms, outcome FROM carried_answer"
        " ORDER BY handed_ms > 0, handed_ms DESC, taken_ms, answer LIMIT ?",
        (KEPT * 10,),
    ).fetchall()
    return [CarriedAnswer(*row) for row in rows]


def answer_for(node: Node, reader: str) -> tuple[CarriedAnswer, bytes] | None:
    """Return the answer that waits here for a node, with its bytes."""
    waiting = [one for one in carried_answers(node) if one.reader == reader and not one.handed_ms]
    for one in waiting:
        content = read_file(node.directory, _named(one.answer))
        if content is not None:
            return one, content
        settle_answer(node, one.answer, "lost")  # the database is an older copy's
    return None


def give_answer(node: Node, reader: str, file: Path) -> CarriedAnswer:
    """Write the answer that waits for a node to a file, for a shop without a network; raises RefusalError."""
    found = answer_for(node, reader)
    if found is None:
        raise RefusalError("answer_missing", f"no answer of the hub to {reader} is aboard", reader=reader)
    write_private(file, found[1])
    settle_answer(node, found[0].answer, "file")
    return found[0]


def settle_answer(node: Node, answer: str, outcome: str) -> None:
    """Note what became of an answer; its bytes stay only while it waits."""
    with node.store.transaction() as connection:
        connection.execute(
            "UPDATE carried_answer SET handed_ms = ?, outcome = ?, size = 0 WHERE answer = ?",
            (max(1, node.clock_source().wall_ms), outcome[:96], answer),
        )
        connection.execute(
            "DELETE FROM carried_answer WHERE handed_ms > 0 AND answer NOT IN (SELECT answer FROM carried_answer"
            " WHERE handed_ms > 0 ORDER BY handed_ms DESC, answer LIMIT ?)",
            (KEPT,),
        )
    remove_file(node.directory, _named(answer))


# The side that it is for.


def take_answer(node: Node, content: bytes, bearer: str = "", pace: Pace | None = None) -> AnswerRead:
    """Take in the hub's answer to this node; taking it twice changes nothing. `bearer` names the van, if any.

    Raises RefusalError `answer_malformed`, `carried_damaged`, `carried_foreign`, `answer_other` (for another node).
    """
    answer = _checked(node, content)
    if answer.head.reader != node.config.node:
        told = f"this answer is for the node {answer.head.reader}"
        raise RefusalError("answer_other", told, reader=answer.head.reader)
    opened = open_answer(answer, node.signer)
    header, parts = read_bundle(opened)
    if not is_bundle_signed(opened, NodeId(node.config.root), node.config.root_public_key):
        raise RefusalError("carried_damaged", "what is inside this answer is not the hub's")
    stored, refusals, pace = 0, list[Refusal](), pace or Pace()
    scopes = {ORG, node.config.scope}
    for batches in parts:
        found, refused = apply_batches(node, [batch for batch in batches if batch.scope in scopes], pace)
        stored += found
        refusals += refused
    keep_statements(node, header.statements)
    with node.write():
        if header.wall_ms > said_ms(node):
            note_held(node.connection, header.vectors, header.wall_ms, bearer)
            node.connection.execute("UPDATE node_state SET acknowledged = ?", (own_held(node),))
    return AnswerRead(stored, refusals)


def _checked(node: Node, content: bytes) -> SealedAnswer:
    answer = read_answer(content)
    if answer.head.root != node.config.root:
        raise RefusalError("carried_foreign", "this answer is of another organisation's hub")
    if not is_answer_whole(answer, node.config.root_public_key):
        raise RefusalError("carried_damaged", "this answer is damaged: it comes again with the next bundle")
    return answer
