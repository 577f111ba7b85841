"""Takes the hub's database to another kind: from SQLite to PostgreSQL when a chain outgrows one file, and back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hub.copying import CopyReport, Progress, check_empty, copy_rows, prove, states_of, tables_of
from hub.identity import HubIdentity
from hub.pool import StoreConnection
from hub.service import Hub, default_folds, store_of
from hub.store import parse_database
from schema.errors import RefusalError


def copy_database(hub: Hub, database: str, *, progress: Progress | None = None) -> CopyReport:
    """Copy a hub's database into an empty one, and prove that both show the same.

    Raises RefusalError `target_same` or `target_not_empty`; CorruptionError where the copy shows something else.
    """
    identity = hub.identity
    if _place(identity, database) == _place(identity, identity.settings.database):
        raise RefusalError("target_same", "this is the database that the hub has already")
    settings = msgspec.structs.replace(identity.settings, database=database)
    target = store_of(HubIdentity(identity.directory, settings, identity.signer), default_folds)
    try:
        with hub.store.snapshot() as original:
            source: StoreConnection = original.connection  # type: ignore[assignment]
            tables = tables_of(source, is_postgresql=hub.store.is_postgresql)
            stated = states_of(original)
            with target.transaction(None) as copy:
                check_empty(copy.connection, tables)
                rows = copy_rows(source, copy.connection, tables, progress=progress)
                copy.forget()
                prove(copy, stated)
    finally:
        target.close()
    return CopyReport(len(tables), rows, stated)


def _place(identity: HubIdentity, database: str) -> str:
    name = parse_database(database)
    return name if "://" in name else str((identity.directory / Path(name)).resolve())
