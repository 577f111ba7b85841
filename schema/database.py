"""Connections as the replica sees them, and the migrations that make its tables, on SQLite and on PostgreSQL.

A migration is a file of plain statements that runs whole or not at all, statement by statement in one
transaction (`executescript` would commit what stands open before it).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, Final, Protocol

from schema.errors import RefusalError

SAFE_SQLITE: Final = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""First releases per line without the WAL-reset race that corrupts files with two connections."""


class Rows(Protocol):
    """What a statement returns."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """A connection inside its owner's transaction; statements use `?` and the SQL that both databases share."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows: ...
    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any: ...


def is_affected_sqlite(version: tuple[int, int, int]) -> bool:
    """Tell whether this SQLite release may corrupt a file that several connections write (3.7.0 to 3.51.2)."""
    if version < (3, 7, 0) or version >= SAFE_SQLITE[0]:
        return False
    return not any(version[:2] == fixed[:2] and version >= fixed for fixed in SAFE_SQLITE[1:])


def read_migrations(*parts: str) -> list[tuple[str, list[str]]]:
    """Return the shipped migrations of these parts as (name, statements), in the order they apply."""
    found: list[tuple[str, list[str]]] = []
    for part in parts:
        folder = files("schema") / "migrations" / part
        for file in sorted(folder.iterdir(), key=lambda f: f.name):
            if file.name.endswith(".sql"):
                found.append((f"{part}/{file.name}", split_statements(file.read_text("utf-8"))))
    return found


def split_statements(script: str) -> list[str]:
    """Split a migration into statements; comments go, triggers' bodies stay whole."""
    text = re.sub(r"--[^\n]*", "", script)
    statements: list[str] = []
    current = ""
    for piece in text.split(";"):
        current += piece
        if re.search(r"\bBEGIN\b", current) and not re.search(r"\bEND\s*$", current):
            current += ";"
            continue
        if current.strip():
            statements.append(current.strip())
        current = ""
    return statements


def for_postgresql(statement: str) -> str:
    """Translate a table definition: 64-bit integers, bytea, and no SQLite table options."""
    text = re.sub(r"\)\s*STRICT(\s*,\s*WITHOUT ROWID)?\s*$", ")", statement)
    return re.sub(r"\bBLOB\b", "BYTEA", re.sub(r"\bINTEGER\b", "BIGINT", text))


def migrate(
    connection: Connection, migrations: Sequence[tuple[str, list[str]]], *, is_postgresql: bool = False
) -> list[str]:
    """Apply what is missing inside the caller's transaction; returns the names applied.

    Raises RefusalError `database_newer` when the file knows migrations that this release does not, and
    `database_changed` when one was applied with other statements.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT NOT NULL PRIMARY KEY, digest TEXT NOT NULL)")
    applied = dict(connection.execute("SELECT name, digest FROM migration").fetchall())
    if newer := sorted(applied.keys() - {name for name, _ in migrations}):
        raise RefusalError("database_newer", f"this file was written by a newer release (it has {newer[0]})")
    done: list[str] = []
    for name, statements in migrations:
        digest = hashlib.sha256("\0".join(statements).encode()).hexdigest()
        if name in applied:
            if applied[name] != digest:
                raise RefusalError("database_changed", f"the migration {name} was applied in another form")
            continue
        for statement in statements:
            connection.execute(for_postgresql(statement) if is_postgresql else statement)
        connection.execute("INSERT INTO migration (name, digest) VALUES (?, ?)", (name, digest))
        done.append(name)
    return done
