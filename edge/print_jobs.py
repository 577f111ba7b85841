"""Owns the list of paper that waits for the printer: durable, written with the sale, and honest about what is unknown.

A job is one row, inserted in the transaction of what it prints, so that no receipt is lost and none is printed of a
sale that was not recorded. Whoever prints notes `printing` before the first byte leaves: what a crash or a printer's
silence left there is `unknown`, and only a person can say whether it is on paper. A second paper of the same entry is
marked as a copy.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from edge.node import Node, Writing
from schema.codec import encode
from schema.database import Connection
from schema.errors import RefusalError
from schema.rules.slips import Report

KEPT: Final = 200
"""Jobs that are done stay for a while, so that the last receipts can be looked up and printed again."""
OPEN_MAX: Final = 500
"""More than this never wait: the oldest fail, and can be printed again from the list."""


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    PRINTING = "printing"
    PRINTED = "printed"
    UNKNOWN = "unknown"
    """It may be on paper, or a part of it: the cashier is asked."""
    FAILED = "failed"
    """It is not on paper, and nobody tries any more until a person says so."""
    DROPPED = "dropped"
    """A person decided that it need not be printed."""


OPEN: Final = (JobState.WAITING, JobState.PRINTING, JobState.UNKNOWN, JobState.FAILED)


class PrintJobRow(NamedTuple):
    """One job: `entry` is empty for a report, whose figures are `content`; `fault` is a device's or our own code."""

    job: int
    entry: str
    content: bytes | None
    is_copy: bool
    state: JobState
    fault: str
    queued_ms: int

    @property
    def report(self) -> Report | None:
        """Return the figures of a report; None for the paper of an entry."""
        return None if self.content is None else msgspec.msgpack.decode(self.content, type=Report)


class QueueState(NamedTuple):
    """How many jobs wait, and how many need a person."""

    waiting: int
    unknown: int
    failed: int


_COLUMNS: Final = "job, entry, content, is_copy, state, fault, queued_ms"


def queue_receipt(writing: Writing, entry: str, *, is_copy: bool = False) -> None:
    """Have the paper of an entry printed once this transaction has committed; one cheap row."""
    _insert(writing, entry, None, is_copy)


def queue_report(writing: Writing, report: Report, *, is_copy: bool = False) -> None:
    """Have a report printed once this transaction has committed."""
    _insert(writing, "", encode(report), is_copy)


def _insert(writing: Writing, entry: str, content: bytes | None, is_copy: bool) -> None:
    writing.connection.execute(
        "INSERT INTO print_job (entry, content, is_copy, state, fault, queued_ms) VALUES (?, ?, ?, ?, '', ?)",
        (entry, content, int(is_copy), JobState.WAITING.value, writing.clock.wall_ms),
    )


def reprint(node: Node, reference: str) -> None:
    """Print a stored receipt again, marked as a copy; raises RefusalError `receipt_unknown`."""
    from edge.receipts import stored_entry

    entry = str(stored_entry(node, reference).id)
    with node.write() as writing:
        queue_receipt(writing, entry, is_copy=True)


def jobs(connection: Connection, *states: JobState) -> list[PrintJobRow]:
    """Return jobs in their order; those of some states where named."""
    marks = ", ".join("?" * len(states))
    where = f" WHERE state IN ({marks})" if states else ""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM print_job{where} ORDER BY job", states).fetchall()
    return [_row(row) for row in rows]


def _row(row: tuple[object, ...]) -> PrintJobRow:
    job, entry, content, is_copy, state, fault, queued_ms = row
    assert isinstance(job, int)
    assert isinstance(queued_ms, int)
    kept = bytes(content) if isinstance(content, bytes | memoryview) else None
    return PrintJobRow(job, str(entry), kept, bool(is_copy), JobState(str(state)), str(fault), queued_ms)


def queue_state(connection: Connection) -> QueueState:
    """Count what is open."""
    counts = dict(connection.execute("SELECT state, count(*) FROM print_job GROUP BY state").fetchall())
    waiting = counts.get(JobState.WAITING.value, 0) + counts.get(JobState.PRINTING.value, 0)
    return QueueState(int(waiting), int(counts.get(JobState.UNKNOWN.value, 0)), int(counts.get(JobState.FAILED, 0)))


def answer(node: Node, job: int, *, was_printed: bool) -> None:
    """Say whether a job of unknown outcome is on paper; if not, it is printed again, marked as a copy.

    It is marked because a part of it, or all of it behind a jam, may be on paper after all.
    """
    _decide(node, job, (JobState.UNKNOWN,), JobState.PRINTED if was_printed else JobState.WAITING)


def retry(node: Node, job: int) -> None:
    """Try a job again that failed: nothing of it is on paper."""
    _decide(node, job, (JobState.FAILED,), JobState.WAITING)


def drop(node: Node, job: int) -> None:
    """Let a job be: nobody needs the paper. The receipt can still be printed from the list of receipts."""
    _decide(node, job, (JobState.WAITING, JobState.FAILED, JobState.UNKNOWN), JobState.DROPPED)


def _decide(node: Node, job: int, from_states: tuple[JobState, ...], state: JobState) -> None:
    now_ms = node.clock_source().wall_ms
    with node.store.transaction() as connection:
        row = connection.execute("SELECT state FROM print_job WHERE job = ?", (job,)).fetchone()
        if row is None or row[0] not in from_states:
            raise RefusalError("print_job_settled", "this receipt was dealt with meanwhile", job=job)
        is_copy = row[0] == JobState.UNKNOWN and state is JobState.WAITING
        # Its time begins anew: what a person just asked for is not too old to be printed.
        connection.execute(
            "UPDATE print_job SET state = ?, fault = '', is_copy = max(is_copy, ?), queued_ms = ? WHERE job = ?",
            (state.value, int(is_copy), now_ms, job),
        )


def tidy(connection: Connection) -> None:
    """Keep the list short: few that are done, and never so many that wait that a printer would run for hours."""
    connection.execute(
        "DELETE FROM print_job WHERE state IN (?, ?) AND job <= (SELECT max(job) FROM print_job) - ?",
        (JobState.PRINTED.value, JobState.DROPPED.value, KEPT),
    )
    connection.execute(
        "DELETE FROM print_job WHERE state IN (?, ?, ?) AND job NOT IN"
        " (SELECT job FROM print_job WHERE state IN (?, ?, ?) ORDER BY job DESC LIMIT ?)",
        (*_SETTLING, *_SETTLING, OPEN_MAX),
    )


_SETTLING: Final = (JobState.WAITING.value, JobState.FAILED.value, JobState.UNKNOWN.value)
