"""Databases for tests: a SQLite file, or a fresh PostgreSQL database on the server that the environment names."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

SERVER_VARIABLE: Final = "EDGETILL_TEST_POSTGRESQL"


def server_url() -> str | None:
    """Return the server to test on, such as `postgresql+psycopg://user@host/postgres`; None without one."""
    return os.environ.get(SERVER_VARIABLE) or None


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
