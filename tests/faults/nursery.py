"""Runs the command `edgetill` in processes that die where a plan says: at a chosen write, inside one, or at a byte.

A program of its own (`python -m tests.faults.nursery`), so that a death costs a fork and not a start of Python: it
reads one order a line, forks a child that is the command, and tells when it was born and how it died. What the child
acknowledges goes to the same pipe in between. The product knows nothing of this: in the child alone, the function
that opens the database hands out connections that count their writes.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
import sqlcipher3.dbapi2 as sqlcipher

READS: Final = ("SELECT", "PRAGMA", "EXPLAIN")
HANG_S: Final = 300
"""After so long a child is given up; no plan needs a hundredth of it."""


class Death(StrEnum):
    """Where a process dies."""

    NEVER = "never"
    MOMENT = "moment"  # whoever watches it kills it, at a time of its choosing
    BEFORE = "before"  # ahead of the n-th write
    AFTER = "after"  # when the n-th write has been done
    WITHIN = "within"  # inside a write from the n-th on, after so many of SQLite's instructions
    BEFORE_COMMIT = "before-commit"
    AFTER_COMMIT = "after-commit"  # durable, but nobody has been told
    BYTE = "byte"  # the kernel ends it when a file would grow beyond so many bytes: a torn write inside a commit


class Order(msgspec.Struct, frozen=True):
    """What to run and how it dies."""

    words: tuple[str, ...]
    environment: dict[str, str]
    errors: str
    death: Death = Death.NEVER
    number: int = 0
    steps: int = 0


def die() -> int:
    """End this process as a power cut would end it: nothing is flushed, closed or rolled back."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


class Fate:
    """Counts the writes of a process and ends it at the one that was chosen."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._writes = 0
        self._commits = 0

    def run(self, connection: Any, sql: str, statement: Callable[[], Any]) -> Any:
        """Run one statement of a connection, or die around it."""
        if sql.lstrip()[:7].upper().startswith(READS):
            return statement()
        order = self._order
        is_commit = sql.strip().upper() == "COMMIT"
        self._writes += 1
        self._commits += is_commit
        if order.death is Death.BEFORE and self._writes == order.number:
            die()
        if order.death is Death.BEFORE_COMMIT and is_commit and self._commits == order.number:
            die()
        if order.death is Death.WITHIN and self._writes == order.number:
            connection.set_progress_handler(die, order.steps)
        done = statement()
        if order.death is Death.AFTER and self._writes == order.number:
            die()
        if order.death is Death.AFTER_COMMIT and is_commit and self._commits == order.number:
            die()
        return done


def doom(order: Order) -> None:
    """Let every connection that this process opens from now on obey the order."""
    if order.death is Death.BYTE:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.number, order.number))
        return
    if order.death in {Death.NEVER, Death.MOMENT}:
        return
    fate = Fate(order)
    really_connect = sqlcipher.connect

    class MortalConnection(sqlcipher.Connection):  # type: ignore[misc]
        def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
            return fate.run(self, sql, lambda: super(MortalConnection, self).execute(sql, parameters))

        def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Any:
            return fate.run(self, sql, lambda: super(MortalConnection, self).executemany(sql, rows))

    def connect(*arguments: Any, **options: Any) -> Any:
        return really_connect(*arguments, **options, factory=MortalConnection)

    sqlcipher.connect = connect


def be_the_command(order: Order) -> None:
    """Become the command in a forked child; its last word is its exit status."""
    signal.alarm(HANG_S)
    os.environ.update(order.environment)
    errors = os.open(order.errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(errors, 2)
    doom(order)
    sys.argv = ["edgetill", *order.words]
    from schema.command_line import main

    status = 1
    try:
        main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(status)


def serve() -> None:
    """Run the orders on standard input, one after the other."""
    for name in ("edge.commands", "edge.doctor", "edge.replaying", "hub.commands"):
        importlib.import_module(name)  # once, for all children

    for line in sys.stdin:
        order = msgspec.json.decode(line, type=Order)
        child = os.fork()
        if child == 0:
            os.write(1, f"born {os.getpid()}\n".encode())
            be_the_command(order)
        _, status = os.waitpid(child, 0)
        os.write(1, f"\ndead {os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    serve()
