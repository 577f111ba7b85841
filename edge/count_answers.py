"""What a counter is asked about goods between paper and shelf: deliveries not keyed yet, returns not put back yet.

The answers go with every line of a session that is recorded here afterwards (`absorbs`, `not_absorbs`); lines of this
till that were recorded before are stated once more with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from edge.counting import ABSORBS, NOT_ABSORBS, OpenLook, check_open, record
from edge.deliveries import expected_deliveries
from edge.node import Node, Writing
from edge.recorded_lines import RecordedLine, recorded_lines
from schema.errors import RefusalError
from schema.kinds.trading import Refund

RETURNS_MS: Final = 86_400_000
"""Goods that came back longer ago are on the shelf, or somebody has noticed."""
RETURNS_MAX: Final = 20
_NONE: Final = "none"


class PaperKind(StrEnum):
    """What lies between paper and shelf."""

    DELIVERY = "delivery"
    """Goods on the road to here; they may stand on the shelf already, though nobody has keyed them."""
    RETURN = "return"
    """Goods that customers brought back; they are keyed, and may lie at the till still."""


class PendingPaper(msgspec.Struct, frozen=True):
    """A paper that a counter is asked about; `name` is the transfer or the refund's entry, `label` what people call it.

    `is_partly`: a part of the delivery was keyed, so that only a delivery note's number can name the rest.
    """

    kind: PaperKind
    name: str
    label: str
    origin: str
    products: tuple[str, ...]
    quantity_milli: int
    at_ms: int
    is_partly: bool = False


def pending_papers(node: Node, session: str, *, with_answered: bool = False) -> list[PendingPaper]:
    """Return what is to be asked about for a session and was not answered at this till, the oldest first.

    Only goods of the plan are asked about; a session without a plan may meet any.
    """
    plan = set(check_open(node, session).products)
    rows = node.connection.execute("SELECT DISTINCT name FROM count_answer WHERE session = ?", (session,)).fetchall()
    answered = set() if with_answered else {str(name) for (name,) in rows}
    found = [*_deliveries(node), *_returns(node)]
    return sorted(
        (one for one in found if one.name not in answered and (not plan or plan & set(one.products))),
        key=lambda one: (one.kind, one.at_ms, one.name),
    )


def _deliveries(node: Node) -> list[PendingPaper]:
    now_ms = node.clock_source().wall_ms
    return [
        PendingPaper(
            PaperKind.DELIVERY, one.reference, one.reference, one.source_name or one.source,
            tuple(line.product for line in one.lines if line.left_milli > 0),
            sum(max(0, line.left_milli) for line in one.lines), now_ms - (one.age_ms or 0), one.is_partly,
        )
        for one in expected_deliveries(node)
        if any(line.left_milli > 0 for line in one.lines)
    ]  # fmt: skip


def _returns(node: Node) -> list[PendingPaper]:
    rows = {row.stream_no: row for row in node.replica.log.streams(node.config.scope)}
    since_ms = node.clock_source().wall_ms - RETURNS_MS
    found: list[PendingPaper] = []
    for stream_no, row in rows.items():
        places = node.connection.execute(
            "SELECT seq FROM receipt WHERE scope_no = ? AND stream_no = ? AND is_refund = 1 ORDER BY seq DESC LIMIT ?",
            (row.scope_no, stream_no, RETURNS_MAX),
        ).fetchall()
        for (seq,) in places:
            entry = node.replica.log.entry_at(row, seq)
            if entry is None or not isinstance(entry.payload, Refund) or entry.body.wall_ms < since_ms:
                continue
            back = [move for move in entry.payload.moves if move.quantity_milli > 0]
            if back:
                found.append(
                    PendingPaper(
                        PaperKind.RETURN, str(entry.id), entry.payload.receipt_number, "",
                        tuple(dict.fromkeys(move.product for move in back)),
                        sum(move.quantity_milli for move in back), entry.body.wall_ms,
                    )
                )  # fmt: skip
    return found


class Answer(NamedTuple):
    """Whether the goods of a paper are on the shelf; `note` names the part of a delivery that is, where not all are."""

    paper: PendingPaper
    is_on_shelf: bool
    note: str = ""


def answer_papers(node: Node, session: str, answers: Sequence[Answer], *, operator: str = "") -> None:
    """Keep what was said about papers for a session; lines of this till that are recorded already say it too.

    Raises RefusalError `delivery_partly_keyed` for a delivery of which a part was keyed, named as a whole.
    """
    with node.write() as writing:
        check_open(node, session)
        declared: set[str] = set()
        for paper, is_on_shelf, note in answers:
            said = _NONE
            if paper.kind is PaperKind.DELIVERY and is_on_shelf:
                if paper.is_partly and not note:
                    raise RefusalError(
                        "delivery_partly_keyed",
                        f"a part of {paper.label} was received already: name the delivery note of the rest",
                        transfer=paper.label,
                    )  # fmt: skip
                said = ABSORBS
            elif paper.kind is PaperKind.RETURN and not is_on_shelf:
                said = NOT_ABSORBS
            if said != _NONE:
                declared |= set(paper.products)
            _keep(node, session, paper, note or paper.name, said)
            if note and note != paper.name:  # so that the paper itself is not asked about again
                _keep(node, session, paper, paper.name, _NONE)
        _say_again(node, writing, session, declared, operator)


def is_said_on_shelf(node: Node, session: str, paper: PendingPaper) -> bool:
    """Tell what was answered about a paper, else what is usual: a delivery is on its way, a return is back."""
    row = node.connection.execute(
        "SELECT answer FROM count_answer WHERE session = ? AND name = ? LIMIT 1", (session, paper.name)
    ).fetchone()
    if paper.kind is PaperKind.DELIVERY:
        return row is not None and row[0] == ABSORBS
    return row is None or row[0] != NOT_ABSORBS


def _keep(node: Node, session: str, paper: PendingPaper, name: str, said: str) -> None:
    node.connection.executemany(
        "INSERT INTO count_answer (session, name, product, answer) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session, name, product) DO UPDATE SET answer = excluded.answer",
        [(session, name, product, said) for product in paper.products],
    )


def _say_again(node: Node, writing: Writing, session: str, products: set[str], operator: str) -> None:
    """State recorded lines of this till once more: the same looks, now with what was declared."""
    own = writing.stream().writer
    believed: dict[tuple[str, str], RecordedLine] = {}
    for line in recorded_lines(node, session):
        place = (line.product, line.zone)
        if line.product in products and (place not in believed or line.beats(believed[place])):
            believed[place] = line
    looks = [
        OpenLook(
            one.product, session, one.zone, one.lo_ms, one.hi_ms, one.basis_lo, one.basis_hi, one.quantity_milli,
            one.operator,
        )
        for one in believed.values()
        if one.writer == own and one.clock_epoch == writing.moment.clock_epoch
    ]  # fmt: skip
    if looks:
        record(node, writing, looks, session, operator, takes_waiting=False)
