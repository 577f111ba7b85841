"""A migration runs whole or not at all, wherever it breaks; a newer file and an affected SQLite are refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlcipher3.dbapi2 as sqlcipher

from edge.store import Store
from schema.database import for_postgresql, is_affected_sqlite, migrate, read_migrations, split_statements
from schema.errors import RefusalError

PARTS = ("replica", "node")


class Breaks:
    """A connection that fails at its N-th statement."""

    def __init__(self, connection: Any, at: int) -> None:
        self._connection = connection
        self._left = at

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        self._left -= 1
        if self._left < 0:
            raise sqlcipher.OperationalError("disk I/O error")
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        raise AssertionError("a migration is statements")


def schema_of(connection: Any) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    return found


def migrated(connection: Any, through: Any = None) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrate(through or connection, read_migrations(*PARTS))
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def test_a_migration_broken_at_any_statement_leaves_what_was_there_and_runs_again() -> None:
    whole = sqlcipher.connect(":memory:", isolation_level=None)
    migrated(whole)
    expected = schema_of(whole)
    count = sum(len(statements) for _, statements in read_migrations(*PARTS)) + len(read_migrations(*PARTS)) + 2
    for at in range(count):
        connection = sqlcipher.connect(":memory:", isolation_level=None)
        with pytest.raises(sqlcipher.OperationalError):
            migrated(connection, Breaks(connection, at))
        assert schema_of(connection) == []
        migrated(connection)
        assert schema_of(connection) == expected
        connection.close()


def test_a_file_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "node.db")
    store.connection.execute("INSERT INTO migration (name, digest) VALUES ('node/9999_tomorrow.sql', 'x')")
    store.close()
    before = (tmp_path / "node.db").read_bytes()
    with pytest.raises(RefusalError) as refused:
        Store(tmp_path / "node.db")
    assert refused.value.code == "database_newer"
    assert (tmp_path / "node.db").read_bytes() == before


def test_a_migration_that_was_applied_in_another_form_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "node.db")
    store.connection.execute("UPDATE migration SET digest = 'other' WHERE name LIKE 'node/0001%'")
    store.close()
    with pytest.raises(RefusalError) as refused:
        Store(tmp_path / "node.db")
    assert refused.value.code == "database_changed"


@pytest.mark.parametrize(
    ("version", "is_affected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 4), False),
    ],
)
def test_a_sqlite_with_the_wal_reset_race_is_known_by_its_version(
    version: tuple[int, int, int], is_affected: bool
) -> None:
    assert is_affected_sqlite(version) is is_affected


def test_a_node_does_not_open_its_file_with_an_affected_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlcipher, "sqlite_version_info", (3, 40, 1))
    with pytest.raises(RefusalError) as refused:
        Store(tmp_path / "node.db")
    assert refused.value.code == "sqlite_affected"
    assert not (tmp_path / "node.db").exists()


def test_every_commit_of_a_node_is_synced_to_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path / "node.db")
    assert store.connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert store.connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_statements_are_split_at_their_ends_alone() -> None:
    script = (
        "-- one; two\nCREATE TABLE a (b TEXT);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END;\n"
    )
    assert [s.split()[1] for s in split_statements(script)] == ["TABLE", "TRIGGER"]


def test_a_table_means_the_same_on_postgresql() -> None:
    translated = for_postgresql("CREATE TABLE a (b INTEGER NOT NULL, c BLOB, PRIMARY KEY (b)) STRICT, WITHOUT ROWID")
    assert translated == "CREATE TABLE a (b BIGINT NOT NULL, c BYTEA, PRIMARY KEY (b))"
