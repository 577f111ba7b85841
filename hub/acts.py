"""Who did what at the desk: the acts of the log, and the entries that belong to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hub.pruning import last_before
from schema.errors import RefusalError
from schema.identity import EntryId, Stream
from sync.entry import Entry
from sync.replica import Replica

REACH_MS = 60_000
"""The entries of one act are appended within one transaction: none lies further from it than this."""


class Act(NamedTuple):
    """One act; `operation` is the id of its entry, which those that belong to it share."""

    at_ms: int
    operator: str
    act: str
    subject: str
    operation: str


def list_acts(replica: Replica, *, operator: str = "", act: str = "", offset: int = 0, limit: int = 50) -> list[Act]:
    """List acts, the newest first; of one person, or of one kind (`conflict` stands for all `conflict.…`)."""
    where, parameters = ["1 = 1"], list[object]()
    if operator:
        where.append("operator = ?")
        parameters.append(operator)
    if act:
        where.append("act LIKE ?")
        parameters.append(f"{act}.%")
    rows = replica.connection.execute(
        "SELECT at_ms, operator, act, subject, operation FROM desk_act"
        f" WHERE {' AND '.join(where)} ORDER BY at_ms DESC, scope_no, seq DESC LIMIT ? OFFSET ?",
        (*parameters, limit, offset),
    ).fetchall()
    return [Act(int(at_ms), str(who), str(what), str(about), str(of)) for at_ms, who, what, about, of in rows]


def author_of(replica: Replica, stream: Stream, seq: int) -> str:
    """Return the operator in whose act an entry of the hub was appended; empty where nobody's is known."""
    entry = replica.log.entry(stream, seq)
    if entry is None:
        return ""
    row = replica.connection.execute(
        "SELECT operator FROM desk_act WHERE operation = ?", (entry.body.operation or str(entry.id),)
    ).fetchone()
    return "" if row is None else str(row[0])


def find_act(replica: Replica, operation: str) -> tuple[Act, Sequence[Entry]]:
    """Return an act and the entries that belong to it, itself first; raises RefusalError `act_unknown`."""
    row = replica.connection.execute(
        "SELECT at_ms, operator, act, subject, operation FROM desk_act WHERE operation = ?", (operation,)
    ).fetchone()
    if row is None:
        raise RefusalError("act_unknown", "there is no such act")
    own = EntryId.parse(operation)
    first = replica.log.entry(own.stream, own.seq)
    assert first is not None, "the fold lists acts that are here"
    found: list[Entry] = [first]
    for stream in replica.rows():
        if stream.stream.node != own.stream.node:
            continue
        start = own.seq if stream.stream == own.stream else last_before(replica, stream, first.hlc[0] - REACH_MS)
        for entry in replica.log.entries(stream, start):
            if entry.hlc[0] > first.hlc[0] + REACH_MS:
                break
            if entry.body.operation == operation:
                found.append(entry)
    return Act(*row), found
