"""The desk's imports: a file is kept while a person looks at what it would do, taken whole or not at all, and undone.

An undo puts back what the import replaced, field by field, and only where nobody changed it since. People cannot be
unmade by an undo: an operator is deactivated, a member is forgotten, each on its own page.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hub.import_terms import Imported, ImportKind, ImportRefusedError
from hub.importing import FILE_BYTES_MAX, append_checked, preview_content
from hub.own_log import OwnLog
from schema.catalogue import Scalar
from schema.codec import encode
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import EntryId, Stream
from schema.kinds.base import Rank
from schema.kinds.catalogue import DocumentChange
from schema.kinds.counting import EntryVoided
from schema.kinds.stock import StockOpened
from sync.catalogue_edits import edit_document
from sync.document_projection import read_records
from sync.entry import Entry
from sync.replica import Moment, Replica
from sync.version_vector import seqs

if TYPE_CHECKING:
    from hub.service import Hub

KEPT_MS: Final = 7 * 86_400_000
"""A file that was only looked at is dropped after a week."""
UNDOABLE: Final = frozenset({ImportKind.PRODUCTS, ImportKind.PRICES, ImportKind.PROMOTIONS, ImportKind.OPENING_STOCK})


class ImportFile(msgspec.Struct, frozen=True):
    """An uploaded file and what became of it; times in milliseconds, `taken_ms` None while it is only looked at."""

    file_id: str
    kind: str
    name: str
    uploaded_ms: int
    operator: str
    taken_ms: int | None
    rows_taken: int
    operation: str
    undone_ms: int | None

    @property
    def is_undoable(self) -> bool:
        """Tell whether it was taken, can be undone and was not yet."""
        return self.taken_ms is not None and self.undone_ms is None and self.kind in UNDOABLE


class _Undo(msgspec.Struct, frozen=True, array_like=True):
    """What an import set: (document, record, field, value before, value after), and the entries of opening stock."""

    fields: tuple[tuple[str, str, str, Scalar, Scalar], ...]
    entries: tuple[str, ...]


class Undone(msgspec.Struct, frozen=True):
    """What an undo did: fields put back, and those that someone changed since and that stay."""

    restored: int
    kept: int


_COLUMNS: Final = "file_id, kind, name, uploaded_ms, operator, taken_ms, rows_taken, operation, undone_ms"


def keep_file(connection: Connection, kind: str, name: str, content: bytes, operator: str, now_ms: int) -> str:
    """Keep an uploaded file to look at; returns its id. Raises RefusalError `import_unknown` or `file_too_large`."""
    if kind not in set(ImportKind):
        raise RefusalError("import_unknown", f"{kind!r} cannot be imported: {', '.join(ImportKind)}")
    if len(content) > FILE_BYTES_MAX:
        raise RefusalError("file_too_large", f"{name} is larger than 64 MB: split it")
    connection.execute("DELETE FROM import_file WHERE taken_ms IS NULL AND uploaded_ms < ?", (now_ms - KEPT_MS,))
    file_id = secrets.token_hex(8)
    connection.execute(
        "INSERT INTO import_file (file_id, kind, name, content, uploaded_ms, operator) VALUES (?, ?, ?, ?, ?, ?)",
        (file_id, kind, name[:200], content, now_ms, operator),
    )
    return file_id


def import_files(connection: Connection, limit: int = 50) -> list[ImportFile]:
    """List the latest files, the newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM import_file ORDER BY uploaded_ms DESC, file_id LIMIT ?", (limit,)
    ).fetchall()
    return [_file(row) for row in rows]


def find_file(connection: Connection, file_id: str) -> ImportFile:
    """Return one file; raises RefusalError `import_missing`."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM import_file WHERE file_id = ?", (file_id,)).fetchone()
    if row is None:
        raise RefusalError("import_missing", "this file is not here any more: upload it again")
    return _file(row)


def _file(row: Any) -> ImportFile:
    return msgspec.convert(dict(zip(ImportFile.__struct_fields__, row, strict=True)), ImportFile)


def check_file(
    replica: Replica, file: ImportFile, *, location: str = "", skip_bad_rows: bool = False
) -> Imported | ImportRefusedError:
    """Read what a kept file would do: its typed rows, or every finding that speaks against it."""
    row = replica.connection.execute("SELECT content FROM import_file WHERE file_id = ?", (file.file_id,)).fetchone()
    if row is None or row[0] is None:
        raise RefusalError("import_missing", "this file is not here any more: upload it again")
    try:
        return preview_content(
            replica, ImportKind(file.kind), file.name, bytes(row[0]), location=location, skip_bad_rows=skip_bad_rows
        )
    except ImportRefusedError as error:
        return error


def take_file(
    hub: Hub, replica: Replica, before: Replica, file: ImportFile, imported: Imported, *, operator: str,
    operation: str, verifiers: Mapping[str, str],
) -> int:  # fmt: skip
    """Append a checked file's rows in the caller's transaction; `before` reads the state that they replace.

    Returns the entries. Raises RefusalError `import_taken` where the file was taken meanwhile.
    """
    connection = replica.connection
    if find_file(connection, file.file_id).taken_ms is not None:
        raise RefusalError("import_taken", "this file was imported already")
    heads = {row.stream: row.head.seq for row in replica.rows() if row.stream.node == hub.own_log.node}
    entries = append_checked(hub, replica, imported.rows, operator=operator, document=file.name[:90],
                             verifiers=verifiers)  # fmt: skip
    undo = _undo_of(replica, before, heads, hub.own_log)
    connection.execute(
        "UPDATE import_file SET taken_ms = ?, rows_taken = ?, operation = ?, undo = ?, content = NULL"
        " WHERE file_id = ?",
        (hub.now_ms(), len(imported.rows), operation, encode(undo), file.file_id),
    )
    return entries


def _undo_of(replica: Replica, before: Replica, heads: Mapping[Stream, int], own_log: OwnLog) -> _Undo:
    fields: dict[tuple[str, str, str], Scalar] = {}
    stock: list[str] = []
    for entry in _appended(replica, heads, own_log):
        if isinstance(entry.payload, DocumentChange):
            document = entry.payload.document
            assigned = [(one.record, one.field) for one in entry.payload.assignments()]
            known = read_records(before.connection, document, {record for record, _ in assigned})
            for record, field in assigned:
                fields.setdefault((document, record, field), known.get(record, {}).get(field))
        elif isinstance(entry.payload, StockOpened):
            stock.append(str(entry.id))
    after: dict[str, dict[str, dict[str, Scalar]]] = {}
    for document in {document for document, _, _ in fields}:
        after[document] = read_records(replica.connection, document, {r for d, r, _ in fields if d == document})
    return _Undo(
        tuple((d, r, f, value, after[d].get(r, {}).get(f)) for (d, r, f), value in fields.items()), tuple(stock)
    )


def _appended(replica: Replica, heads: Mapping[Stream, int], own_log: OwnLog) -> list[Entry]:
    found: list[Entry] = []
    for row in replica.rows():
        if row.stream.node == own_log.node:
            found += replica.log.entries(row, heads.get(row.stream, 0))
    return found


def undo_import(replica: Replica, own_log: OwnLog, file: ImportFile, *, operator: str, rank: Rank) -> Undone:
    """Put back what an import replaced, in the caller's transaction of `org`.

    Raises RefusalError `import_final` for a file that cannot be undone, or was already.
    """
    connection = replica.connection
    row = connection.execute(
        "SELECT undo FROM import_file WHERE file_id = ? AND undone_ms IS NULL", (file.file_id,)
    ).fetchone()
    if row is None or row[0] is None or not file.is_undoable:
        raise RefusalError("import_final", "this import cannot be undone")
    undo = msgspec.msgpack.decode(bytes(row[0]), type=_Undo)
    stream = own_log.stream(connection)
    moment = Moment(own_log.now_ms(), 0, 0)
    restored = kept = 0
    by_document: dict[str, dict[tuple[str, str], Scalar]] = {}
    for document in {field[0] for field in undo.fields}:
        now = read_records(connection, document, {field[1] for field in undo.fields if field[0] == document})
        for of_document, record, field, before, after in undo.fields:
            if of_document != document:
                continue
            if now.get(record, {}).get(field) == after:
                by_document.setdefault(document, {})[record, field] = before
                restored += 1
            else:
                kept += 1
    for document in sorted(by_document):
        edit_document(replica, stream, moment, document, by_document[document])
    for name in undo.entries:
        place = EntryId.parse(name)
        vector = tuple(sorted(seqs(replica.log.heads(place.stream.scope)).items()))
        own_log.append(
            replica, place.stream.scope, EntryVoided(name, rank.value, operator, vector, f"undo {file.name}"[:200])
        )
        restored += 1
    connection.execute("UPDATE import_file SET undone_ms = ? WHERE file_id = ?", (own_log.now_ms(), file.file_id))
    return Undone(restored, kept)
