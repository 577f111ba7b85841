"""Backups of the hub: a database file that was restored on trial, and the keys, which lie elsewhere.

A backup is a SQLite file whatever the hub runs on, made from one state while the hub serves. It counts once its
chains and figures were proven from the file alone; only what the last such backup holds may be cut from the nodes
(`hub.pruning`). What must not lie beside the log goes into a file of its own that each backup replaces: the
organisation's key, people's keys, verifiers of PINs and passwords. So a forgotten person is forgotten there too.

A restored hub begins a new incarnation and gets back from its nodes what came after the backup.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import sqlcipher3.dbapi2 as driver

from hub.copying import NOT_COPIED, SECRET_TABLES, Progress, check_empty, copy_rows, prove, states_of, tables_of
from hub.identity import (
    CA_FILE,
    KEY_FILE,
    RECORD_FILE,
    SETTINGS_FILE,
    HubIdentity,
    HubSettings,
    found_directory,
    load_identity,
)
from hub.outer_record import OuterRecord
from hub.own_log import AWAITS_NODES, OwnLog, read_state, write_state
from hub.pool import StoreConnection
from hub.pruning import keep_checked
from hub.service import Hub, check_organisation, default_folds, store_of
from hub.serving_lock import alone
from hub.sqlite import SqliteConnection
from hub.store import SqlStore
from schema.codec import encode
from schema.errors import CorruptionError, RefusalError
from schema.files import read_given, write_private
from schema.identity import ORG
from sync.replica import Replica

KEPT: Final = 14
KEYS_FILE: Final = "hub.keys"
_NAME: Final = re.compile(r"hub-\d{8}T\d{6}Z(-\d+)?\.db")
_STATE: Final = "backup"
_VOLATILE: Final = frozenset({"desk_session", "sign_in_failure"})
"""Neither in the backup nor among the keys: nobody misses them."""


class BackupState(msgspec.Struct, frozen=True):
    """What a backup says of itself."""

    hub: str
    taken_ms: int
    release: str


class SecretTable(msgspec.Struct, frozen=True, array_like=True):
    """The rows of a table that is kept apart."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class HubKeys(msgspec.Struct, frozen=True):
    """What is kept apart from the database's backups; `checked_ms` is when the backup was taken that it goes with."""

    form: int
    hub: str
    seed: bytes
    settings: HubSettings
    ca_pem: str
    checked_ms: int
    tables: tuple[SecretTable, ...]


class BackupReport(NamedTuple):
    """A backup that was proven: where it is, when it was taken, and what it holds."""

    file: Path
    taken_ms: int
    scopes: int
    entries: int
    bytes: int


def back_up(
    hub: Hub, folder: Path, keys: Path | None, *, kept: int = KEPT, progress: Progress | None = None
) -> BackupReport:
    """Write a backup into a folder and the keys into another, prove it, and let pruning rely on it.

    Older backups beyond `kept` go. Raises RefusalError `keys_beside_backup`, `kept_invalid`, or CorruptionError
    where the backup does not show what the hub shows.
    """
    if kept < 1:
        raise RefusalError("kept_invalid", "at least the backup just made is kept")
    if keys is not None and (keys.resolve() == folder.resolve() or folder.resolve() in keys.resolve().parents):
        raise RefusalError("keys_beside_backup", "whoever gets at the backup must not find the keys beside it")
    folder.mkdir(parents=True, exist_ok=True)
    taken_ms = hub.now_ms()
    state = BackupState(hub.identity.node, taken_ms, hub.release)
    unproven = folder / f".{os.getpid()}.part"
    _remove(unproven)
    try:
        with hub.store.snapshot() as replica:
            stated = states_of(replica)
            vectors = _vectors(replica)
            secret = _read_secrets(replica)
            _write_database(hub, replica, unproven, progress)
        _finish(unproven, state)
        _prove_file(unproven, hub.identity, stated)
        if keys is not None:
            _write_keys(hub.identity, secret, taken_ms, keys)
        file = _named(folder, taken_ms)
        unproven.replace(file)
        _sync_folder(folder)
    finally:
        _remove(unproven)
    hub.store.attempt(None, lambda replica: keep_checked(replica, vectors, taken_ms))
    hub.note_checked(taken_ms)
    for old in sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))[:-kept]:
        old.unlink()
    entries = sum(one.entries for one in stated.values())
    return BackupReport(file, taken_ms, len(stated), entries, file.stat().st_size)


def _write_database(hub: Hub, replica: Replica, file: Path, progress: Progress | None) -> None:
    connection = replica.connection
    if isinstance(connection, SqliteConnection):
        connection.copy_into(file)
        return
    other = _store_on(file, hub.identity)
    try:
        tables = tables_of(connection, is_postgresql=True)
        with other.transaction(None) as copy:
            source: StoreConnection = connection  # type: ignore[assignment]
            copy_rows(source, copy.connection, tables, left_out=SECRET_TABLES, progress=progress)
    finally:
        other.close()


def _store_on(file: Path, identity: HubIdentity) -> SqlStore:
    settings = msgspec.structs.replace(identity.settings, database=file.name)
    return store_of(HubIdentity(file.parent, settings, identity.signer), default_folds)


def _finish(file: Path, state: BackupState) -> None:
    """Take out what is kept apart, have the file say what it is, and make it one file that is on the disk."""
    raw = driver.connect(str(file), isolation_level=None)
    try:
        raw.execute("PRAGMA secure_delete=ON")
        raw.execute("BEGIN IMMEDIATE")
        for table in sorted(SECRET_TABLES | NOT_COPIED - {"migration"}):
            raw.execute(f"DELETE FROM {table}")
        write_state(raw, _STATE, msgspec.json.encode(state).decode())
        raw.execute("COMMIT")
        raw.execute("PRAGMA journal_mode=DELETE").fetchall()
    finally:
        raw.close()
    file.chmod(0o600)
    with file.open("rb+") as written:
        os.fsync(written.fileno())


def _prove_file(file: Path, identity: HubIdentity, stated: Mapping[str, Any]) -> None:
    """Restore a backup on trial: a copy of the file is opened as a hub's database and proven from what it holds."""
    trial = file.with_name(f"{file.name}.trial")
    _remove(trial)
    try:
        shutil.copyfile(file, trial)
        raw = driver.connect(str(trial), isolation_level=None)
        try:
            (sound,) = raw.execute("PRAGMA integrity_check(1)").fetchone()
        finally:
            raw.close()
        if sound != "ok":
            raise CorruptionError("backup_damaged", f"the backup cannot be read back: {sound}")
        store = _store_on(trial, identity)
        try:
            check_organisation(store, identity)
            with store.snapshot() as replica:
                prove(replica, stated)
        finally:
            store.close()
    finally:
        _remove(trial)


def _read_secrets(replica: Replica) -> tuple[SecretTable, ...]:
    connection = replica.connection
    is_postgresql = not isinstance(connection, SqliteConnection)
    return tuple(
        SecretTable(
            table.name,
            table.columns,
            tuple(
                tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
                for row in connection.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}").fetchall()
            ),
        )
        for table in tables_of(connection, is_postgresql=is_postgresql)
        if table.name in SECRET_TABLES - _VOLATILE
    )


def _write_keys(identity: HubIdentity, secret: tuple[SecretTable, ...], taken_ms: int, keys: Path) -> None:
    keys.mkdir(parents=True, exist_ok=True)
    seed = identity.signer.private.private_bytes_raw()
    write_private(
        keys / KEYS_FILE, encode(HubKeys(1, identity.node, seed, identity.settings, identity.ca_pem, taken_ms, secret))
    )


def read_keys(file: Path) -> HubKeys:
    """Read a file of keys; raises RefusalError `keys_invalid`."""
    try:
        keys = msgspec.msgpack.decode(read_given(file), type=HubKeys)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RefusalError("keys_invalid", f"{file} holds no hub's keys: {error}") from None
    if keys.form != 1:
        raise RefusalError("keys_invalid", f"{file} was written by a newer release")
    return keys


def _named(folder: Path, taken_ms: int) -> Path:
    name = datetime.fromtimestamp(taken_ms / 1000, UTC).strftime("hub-%Y%m%dT%H%M%SZ")
    file, more = folder / f"{name}.db", 0
    while file.exists():
        more += 1
        file = folder / f"{name}-{more}.db"
    return file


def _remove(file: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + ending).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class RestoreReport(NamedTuple):
    """What a restored hub has: when its backup was taken, the incarnation that it goes on as, and what is missing."""

    hub: str
    taken_ms: int
    incarnation: int
    entries: int
    has_secrets: bool
    set_aside: Path | None


def restore(
    directory: Path,
    backup: Path | None,
    *,
    keys: Path | None = None,
    database: str | None = None,
    may_be_older: bool = False,
    progress: Progress | None = None,
) -> RestoreReport:
    """Put a backup into a hub's directory, or an empty database where `backup` is None: the nodes bring the rest.

    A directory without a hub is made from the keys. A present SQLite database is set aside, a PostgreSQL database
    must be empty. Raises RefusalError by name: `keys_missing`, `keys_foreign`, `backup_invalid`, `backup_foreign`,
    `backup_older` (than one that pruning relied on, unless it may be), `target_not_empty`, `hub_serving`.
    """
    read = None if keys is None else read_keys(keys)
    if not (directory / SETTINGS_FILE).exists():
        if read is None:
            raise RefusalError("keys_missing", f"{directory} holds no hub: name the file of its keys to make it")
        _check_present(backup)
        founded = found_directory(directory, read.settings, read.seed)
        (directory / CA_FILE).write_text(read.ca_pem, "ascii")
        founded.renew_tls()
    identity = load_identity(directory, database)
    if read is not None and read.hub != identity.node:
        raise RefusalError("keys_foreign", f"these are the keys of another hub than {KEY_FILE} in {directory} names")
    record = OuterRecord(directory / RECORD_FILE, identity.node)
    try:
        with alone(directory):
            return _restore(identity, record, backup, read, may_be_older=may_be_older, progress=progress)
    finally:
        record.close()


def _restore(
    identity: HubIdentity,
    record: OuterRecord,
    backup: Path | None,
    keys: HubKeys | None,
    *,
    may_be_older: bool,
    progress: Progress | None,
) -> RestoreReport:
    directory = identity.directory
    trial = directory / "hub.restoring"
    _remove(trial)
    taken_ms = 0
    try:
        if backup is not None:
            _check_present(backup)
            shutil.copyfile(backup, trial)
            taken_ms = _check_backup(trial, identity, record, keys, may_be_older=may_be_older)
        set_aside = None
        if "://" in identity.settings.database:
            store = store_of(identity, default_folds)
            try:
                _fill(store, trial if backup is not None else None, identity, progress)
            except BaseException:
                store.close()
                raise
        else:
            set_aside = _set_aside(directory / identity.settings.database)
            if backup is not None:
                trial.replace(directory / identity.settings.database)
            store = store_of(identity, default_folds)
    finally:
        _remove(trial)
    try:
        incarnation, entries = _go_on(store, identity, record, keys, taken_ms, is_empty=backup is None)
    finally:
        store.close()
    return RestoreReport(identity.node, taken_ms, incarnation, entries, keys is not None, set_aside)


def _check_present(backup: Path | None) -> None:
    if backup is not None and not backup.is_file():
        raise RefusalError("file_unreadable", f"{backup} cannot be read: there is no such file")


def _check_backup(
    trial: Path, identity: HubIdentity, record: OuterRecord, keys: HubKeys | None, *, may_be_older: bool
) -> int:
    """Prove a backup whole before anything is replaced by it; returns when it was taken."""
    raw = driver.connect(str(trial), isolation_level=None)
    try:
        said = read_state(raw, _STATE)
        (sound,) = raw.execute("PRAGMA integrity_check(1)").fetchone()
        state = msgspec.json.decode(said or "", type=BackupState)
    except (driver.DatabaseError, msgspec.MsgspecError):
        raise RefusalError("backup_invalid", "this file is no backup of a hub, or it is damaged") from None
    finally:
        raw.close()
    if sound != "ok":
        raise RefusalError("backup_invalid", f"the backup is damaged: {sound}")
    if state.hub != identity.node:
        raise RefusalError("backup_foreign", f"this is a backup of the hub {state.hub}, not of {identity.node}")
    checked_ms = max(record.checked_ms, keys.checked_ms if keys is not None else 0)
    if state.taken_ms < checked_ms and not may_be_older:
        when = datetime.fromtimestamp(checked_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        raise RefusalError(
            "backup_older",
            f"there is a later backup, of {when}, and nodes may have let go of what that one holds: restore that one,"
            " or say --older to do without what no node has any more",
        )
    store = _store_on(trial, identity)
    try:
        check_organisation(store, identity)
        with store.snapshot() as replica:
            prove(replica, states_of(replica))
    finally:
        store.close()
    # What an upgrade changed may still lie in the log beside the file, which does not move with it.
    raw = driver.connect(str(trial), isolation_level=None)
    try:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        raw.close()
    return state.taken_ms


def _fill(store: SqlStore, trial: Path | None, identity: HubIdentity, progress: Progress | None) -> None:
    with store.snapshot() as replica:
        tables = tables_of(replica.connection, is_postgresql=store.is_postgresql)
        check_empty(replica.connection, tables)
    if trial is None:
        return
    source = _store_on(trial, identity)
    try:
        with source.snapshot() as original, store.transaction(None) as copy:
            connection: StoreConnection = original.connection  # type: ignore[assignment]
            copy_rows(connection, copy.connection, tables, progress=progress)
            copy.forget()
            prove(copy, states_of(original))
    finally:
        source.close()


def _set_aside(file: Path) -> Path | None:
    if not file.exists():
        return None
    number = 1
    while (aside := file.with_name(f"{file.name}.before-{number}")).exists():
        number += 1
    for ending in ("-wal", "-shm"):
        beside = file.with_name(file.name + ending)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + ending))
    file.replace(aside)
    return aside


def _go_on(
    store: SqlStore, identity: HubIdentity, record: OuterRecord, keys: HubKeys | None, taken_ms: int, *, is_empty: bool
) -> tuple[int, int]:
    """Begin a new incarnation in a restored database, and bring back what is kept apart."""
    own_log = OwnLog(identity.node, lambda: 0, None)

    def work(replica: Replica) -> tuple[int, int]:
        connection = replica.connection
        above = max((row.stream.incarnation for row in replica.rows() if row.stream.node == identity.node), default=0)
        incarnation = own_log.begin_incarnation(connection, max(above, record.highest_incarnation))
        connection.execute("DELETE FROM hub_state WHERE key = ?", (_STATE,))
        if is_empty:
            write_state(connection, AWAITS_NODES, "1")
        else:
            keep_checked(replica, _vectors(replica), taken_ms)
        for table in keys.tables if keys is not None else ():
            _put_secrets(connection, table)
        return incarnation, sum(row.head.seq for row in replica.rows())

    incarnation, entries = store.attempt(ORG, work)
    with store.snapshot() as replica:
        record.start_again(replica.connection)
    return incarnation, entries


def _vectors(replica: Replica) -> dict[str, dict[str, int]]:
    return {scope: {w: h.seq for w, h in replica.log.heads(scope).items()} for scope in replica.log.scopes()}


def _put_secrets(connection: Any, table: SecretTable) -> None:
    assert table.table in SECRET_TABLES
    names = ", ".join(table.columns)
    marks = ", ".join("?" * len(table.columns))
    rows: Sequence[Sequence[Any]] = table.rows
    connection.executemany(f"INSERT INTO {table.table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING", list(rows))
