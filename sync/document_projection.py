"""Shared documents as one of a replica's folds: the merged state, and its records as they read now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from schema.catalogue import Scalar, category_of
from schema.codec import encode
from schema.database import Connection
from schema.identity import ORG
from schema.kinds.base import Rank
from schema.kinds.catalogue import ChangeStamp, DocumentChange
from sync.document_conflicts import DocumentConflict
from sync.documents import Delivery, DocumentDelta, DocumentState
from sync.effective import Effective
from sync.organisation import Organisation

_fields_decoder = msgspec.msgpack.Decoder(dict[str, str | int | bool | None])
_ORDERS: Mapping[str, int] = {rank.value: rank.order for rank in Rank}
RecordsChanged = Callable[[Connection, str, Mapping[str, Mapping[str, Scalar]]], None]
"""Called with a document and, for each changed record, all its fields as they read now; empty for a deleted one."""


class DocumentProjection:
    """Folds `document.changed` entries of `org` and of the locations here into one state per document."""

    def __init__(self, organisation: Organisation, on_change: Sequence[RecordsChanged] = ()) -> None:
        self._organisation = organisation
        self._on_change = on_change

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        del scope_no
        changes: dict[str, list[Delivery]] = {}
        for entry in entries:
            if isinstance(entry.payload, DocumentChange):
                changes.setdefault(entry.payload.document, []).append(self.delivery(entry))
        for document in sorted(changes):
            state = read_document(connection, document)
            self._store(connection, document, state, state.apply(changes[document]))

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Rebuild the documents of entries that lost their authority from the entries that have it."""
        del scope_no
        documents = {e.payload.document for e in entries if isinstance(e.payload, DocumentChange)}
        gone = {(e.stream, e.seq) for e in entries}
        for document in sorted(documents):
            before = read_document(connection, document)
            kept = [self.delivery(e) for e in effective_changes(connection, document) if (e.stream, e.seq) not in gone]
            state = DocumentState(document)
            delta = state.apply(kept)
            names = {*before.records(), *delta.records}
            self._store(connection, document, state, msgspec.structs.replace(delta, records={n: {} for n in names}))

    def delivery(self, entry: Effective) -> Delivery:
        """Return a change with the stamp of its entry: the rank is that of the role it claims, and holds."""
        assert isinstance(entry.payload, DocumentChange)
        rank = _ORDERS.get(entry.payload.role, 0)
        stamp = ChangeStamp(rank, *entry.hlc, entry.writer, entry.seq)
        is_hub = entry.stream.node == self._organisation.root and entry.stream.scope == ORG
        return Delivery(entry.payload, stamp, may_reissue=is_hub)

    def _store(self, connection: Connection, document: str, state: DocumentState, delta: DocumentDelta) -> None:
        connection.execute(
            "INSERT INTO document (document, state) VALUES (?, ?)"
            " ON CONFLICT (document) DO UPDATE SET state = excluded.state",
            (document, state.to_bytes()),
        )
        conflicts = {c.id: c for c in state.conflicts()}
        connection.execute("DELETE FROM document_conflict WHERE document = ?", (document,))
        connection.executemany(
            "INSERT INTO document_conflict (conflict, document, record, field, content) VALUES (?, ?, ?, ?, ?)",
            [(c.id, document, c.record, c.field, encode(c)) for c in conflicts.values()],
        )
        if not delta.records:
            return
        changed = read_records(connection, document, delta.records)
        if any(not fields for fields in delta.records.values()):
            whole = state.records()
            changed = {name: dict(whole.get(name, {})) for name in delta.records}
        else:
            for name, fields in delta.records.items():
                record = changed.setdefault(name, {})
                for field, value in fields.items():
                    if value is None:
                        record.pop(field, None)
                    else:
                        record[field] = value
        connection.executemany(
            "INSERT INTO record (document, record, fields) VALUES (?, ?, ?)"
            " ON CONFLICT (document, record) DO UPDATE SET fields = excluded.fields",
            [(document, name, encode(dict(sorted(fields.items())))) for name, fields in changed.items() if fields],
        )
        connection.executemany(
            "DELETE FROM record WHERE document = ? AND record = ?",
            [(document, name) for name, fields in changed.items() if not fields],
        )
        if category_of(document) is not None:
            self._organisation.bump(connection)
        for listener in self._on_change:
            listener(connection, document, changed)


def read_document(connection: Connection, document: str) -> DocumentState:
    """Return a document's state; an empty one where nothing of it is here."""
    row = connection.execute("SELECT state FROM document WHERE document = ?", (document,)).fetchone()
    return DocumentState(document) if row is None else DocumentState.from_bytes(bytes(row[0]))


def read_records(connection: Connection, document: str, names: Iterable[str]) -> dict[str, dict[str, Scalar]]:
    """Return the records of a document that are here, by name."""
    found: dict[str, dict[str, Scalar]] = {}
    wanted = list(names)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        marks = ", ".join("?" * len(part))
        for name, fields in connection.execute(
            f"SELECT record, fields FROM record WHERE document = ? AND record IN ({marks})",
            (document, *part),
        ).fetchall():
            found[name] = decode_fields(bytes(fields))
    return found


def records_digest(connection: Connection) -> bytes:
    """Return 32 bytes that are equal where two replicas read the same records."""
    digest = hashlib.sha256()
    rows = connection.execute("SELECT document, record, fields FROM record ORDER BY document, record").fetchall()
    for document, record, fields in rows:
        digest.update(encode((document, record, bytes(fields))))
    return digest.digest()


def decode_fields(encoded: bytes) -> dict[str, Scalar]:
    """Return the fields of a stored record."""
    return _fields_decoder.decode(encoded)


def document_conflicts(connection: Connection) -> list[DocumentConflict]:
    """Return every open conflict of shared documents here."""
    rows = connection.execute("SELECT content FROM document_conflict ORDER BY document, record, field").fetchall()
    return [msgspec.msgpack.decode(bytes(row[0]), type=DocumentConflict) for row in rows]


def effective_changes(connection: Connection, document: str) -> list[Effective]:
    """Return the effective entries that change a document, read back from the log."""
    from sync.replica import effective_entries

    return [
        e
        for e in effective_entries(connection)
        if isinstance(e.payload, DocumentChange) and e.payload.document == document
    ]
