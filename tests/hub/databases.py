"""Databases for tests: a SQLite file, or a fresh PostgreSQL database on a server of the tests' own.

Where PostgreSQL is installed, a test run starts a server in a temporary folder, listening on a socket there alone;
the environment may name another server instead. A test that takes `database_kind`, or a hub made on it, runs on
SQLite; in the modules listed here, which are about what the hub stores, it runs on both.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

ON_BOTH: Final = frozenset(
    {
        "test_api", "test_api_isolation", "test_backups", "test_brought", "test_bundles", "test_copying",
        "test_enrolment",
        "test_findings", "test_hard_days", "test_hub_store", "test_inbox", "test_ingest", "test_processes",
        "test_pruning", "test_service", "test_spine", "test_why",
    }
)  # fmt: skip
SQLITE, POSTGRESQL = "sqlite", "postgresql"
SERVER_VARIABLE: Final = "EDGETILL_TEST_POSTGRESQL"
START_S_MAX: Final = 60


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of some modules on both databases, but those marked `on_sqlite`."""
    if "database_kind" not in metafunc.fixturenames:
        return
    is_on_both = metafunc.module.__name__.rpartition(".")[2] in ON_BOTH
    is_marked = metafunc.definition.get_closest_marker("on_sqlite") is not None
    metafunc.parametrize("database_kind", [SQLITE, POSTGRESQL] if is_on_both and not is_marked else [SQLITE])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A PostgreSQL server for the whole run: the one that the environment names, or one of the tests' own."""
    named, programs = server_url(), postgresql_programs()
    if named is None and programs is None:
        pytest.skip("no PostgreSQL is installed here: `make system-packages`")
    with nullcontext(named) if named or programs is None else own_server(programs) as url:
        assert url is not None
        yield url


def server_url() -> str | None:
    """Return the server to test on, such as `postgresql+psycopg://user@host/postgres`; None without one."""
    return os.environ.get(SERVER_VARIABLE) or None


def postgresql_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL that is installed; None where there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(path.parts[-3]) if path.parts[-3].isdecimal() else 0,
    )
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


@contextmanager
def own_server(programs: Path, *, is_durable: bool = False) -> Iterator[str]:
    """Start a server that forgets everything, and yield its URL; PostgreSQL refuses to run as root.

    A server for tests never waits for the disk; `is_durable` makes one as people run it.
    """
    server = OwnServer(programs, is_durable=is_durable)
    try:
        server.start()
        yield server.url
    finally:
        server.remove()


class OwnServer:
    """A server in a temporary folder that may be stopped and started again."""

    def __init__(self, programs: Path, *, is_durable: bool = False) -> None:
        self._programs = programs
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="edgetill-pg-"))
        self._sync = "on" if is_durable else "off"
        self._server: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        words = ["-D", str(self._folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        made = subprocess.run(
            [str(programs / "initdb"), *words, "--no-sync"], user=self._user, cwd=self._folder, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        self.url = f"postgresql+psycopg://postgres@/postgres?host={self._folder}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = (
            "listen_addresses=", f"fsync={self._sync}", f"unix_socket_directories={self._folder}", "max_connections=60",
        )  # fmt: skip
        words = ["-D", str(self._folder / "data"), *(word for one in settings for word in ("-c", one))]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [str(self._programs / "postgres"), *words], user=self._user, cwd=self._folder, stdout=log, stderr=log
            )
        _wait(self.url, self._server, self._folder / "log")

    def stop(self) -> None:
        """Stop it at once: every connection breaks (PostgreSQL's fast shutdown)."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait()
            self._server = None

    def remove(self) -> None:
        """Stop it and forget all that it held."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    engine = sa.create_engine(url)
    tries = START_S_MAX * 20
    for left in range(tries, -1, -1):
        try:
            engine.connect().close()
            break
        except sa.exc.OperationalError:
            if not left or server.poll() is not None:
                raise AssertionError(log.read_text("utf-8", errors="replace")) from None
            time.sleep(0.05)
    engine.dispose()


@contextmanager
def fresh_postgresql(server: str) -> Iterator[str]:
    """Yield the URL of a new database and drop it afterwards."""
    name = f"edgetill_{secrets.token_hex(6)}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        engine.dispose()
