"""Brings document changes from the locations' scopes into the organisation's: the hub's part of a shared catalogue.

A shop's change applies at its own location at once. The hub appends the identical bytes in `org`, with the author's
own stamp, and from there every location hears of it; a change that stands there already is not brought again.
"""

from __future__ import annotations

from collections.abc import Sequence

from schema.database import Connection
from schema.identity import ORG, NodeId, Stream
from schema.kinds.catalogue import DocumentChange, reissued
from sync.document_projection import read_document
from sync.effective import Effective
from sync.entry import Entry
from sync.log_tables import LogTables
from sync.replica import Moment, Replica


class ReissueProjection:
    """A fold of the hub alone: which changes of documents came from a location, and which stand in `org`."""

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Note the changes among new entries of one stream."""
        for e in entries:
            if not isinstance(e.payload, DocumentChange):
                continue
            place = (e.payload.hash, e.payload.document, scope_no, e.stream_no, e.seq)
            if e.stream.scope == ORG:
                connection.execute(
                    "INSERT INTO document_change (hash, document, scope_no, stream_no, seq, is_in_org)"
                    " VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (hash) DO UPDATE SET is_in_org = 1",
                    place,
                )
            else:
                connection.execute(
                    "INSERT INTO document_change (hash, document, scope_no, stream_no, seq, is_in_org)"
                    " VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (hash) DO NOTHING",
                    place,
                )

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Forget changes of entries that lost their authority, unless they stand in `org`."""
        for e in entries:
            if isinstance(e.payload, DocumentChange):
                connection.execute(
                    "DELETE FROM document_change WHERE scope_no = ? AND stream_no = ? AND seq = ?"
                    " AND (is_in_org = 0 OR ?)",
                    (scope_no, e.stream_no, e.seq, int(e.stream.scope == ORG)),
                )


def has_changes_to_reissue(connection: Connection) -> bool:
    """Tell whether a location changed a document in a way that `org` does not know; perhaps one that still waits."""
    return connection.execute("SELECT 1 FROM document_change WHERE is_in_org = 0 LIMIT 1").fetchone() is not None


def reissue(replica: Replica, hub: NodeId, incarnation: int, moment: Moment) -> list[Entry]:
    """Append to `org` what locations changed and what counts there; returns the entries.

    Call it after changes were stored, and again at the next start: it finds what is left to do by itself. A change
    that still waits for others is brought with them.
    """
    rows = replica.connection.execute(
        "SELECT document, hash, scope_no, stream_no, seq FROM document_change WHERE is_in_org = 0"
        " ORDER BY document, scope_no, stream_no, seq"
    ).fetchall()
    if not rows:
        return []
    log = LogTables(replica.connection)
    streams = {(row.scope_no, row.stream_no): row for scope in log.scopes() for row in log.streams(scope)}
    done: list[Entry] = []
    for document in sorted({row[0] for row in rows}):
        state = read_document(replica.connection, document)
        for _, change_hash, scope_no, stream_no, seq in (row for row in rows if row[0] == document):
            stamp = state.stamp(bytes(change_hash))
            entry = log.entry_at(streams[scope_no, stream_no], seq)
            if stamp is None or entry is None or not isinstance(entry.payload, DocumentChange):
                continue
            done.append(replica.append(Stream(ORG, hub, incarnation), reissued(entry.payload, stamp), moment))
    return done
