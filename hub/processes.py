"""Several serving processes behind one address: they share the listening socket and nothing else that matters.

The same can be had with several `hub serve` on ports of their own behind any load balancer. Here the first process
only holds the socket and the others' lives: one that dies is replaced, and when the first goes, all go.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from hub.service import Hub, make_server, open_hub
from hub.serving_lock import serving_from
from schema.errors import EdgetillError, RefusalError

PROCESSES_MAX: Final = 64
BACKLOG: Final = 2_048
STOP_SECONDS: Final = 15
_SHORT_LIFE_SECONDS: Final = 5
_PAUSE_SECONDS_MAX: Final = 5
_log = logging.getLogger("edgetill.hub")


def settle_memory() -> None:
    """Have the garbage collector leave alone what stays, and come less often: ingest makes many short-lived values."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 25, 25)


def serve_alone(
    directory: Path,
    *,
    database: str | None,
    host: str | None,
    port: int | None,
    plain: bool,
    on_ready: Callable[[Hub, str], None],
) -> None:
    """Serve with this process until SIGTERM or SIGINT; raises RefusalError `not_listening` and those of `open_hub`."""
    opened = open_hub(directory, database=database)
    settings = opened.identity.settings
    host = host or settings.host
    try:
        port = settings.port if port is None else port
        server = make_server(opened, host=host, port=port, plain=plain, on_ready=lambda url: on_ready(opened, url))
        settle_memory()
        with serving_from(directory):
            server.run()
    finally:
        opened.close()
    if not server.started:
        raise RefusalError("not_listening", f"the hub cannot listen on {host}")


def serve_together(
    directory: Path,
    *,
    database: str | None,
    host: str | None,
    port: int | None,
    plain: bool,
    processes: int,
    on_ready: Callable[[Hub, str], None],
) -> None:
    """Serve with so many processes until SIGTERM or SIGINT.

    Raises RefusalError `processes_unsupported` on SQLite, whose one writer leaves them nothing to share,
    `processes_invalid`, `not_listening`, and what `open_hub` raises.
    """
    if not 1 <= processes <= PROCESSES_MAX:
        raise RefusalError("processes_invalid", f"a hub runs 1 to {PROCESSES_MAX} processes on one machine")
    # Opened once before the others exist: migrations run here, and a refusal is said once.
    opened = open_hub(directory, database=database)
    settings, is_shared = opened.identity.settings, opened.store.is_postgresql
    opened.close()
    if not is_shared:
        raise RefusalError(
            "processes_unsupported", "several processes need PostgreSQL: SQLite has one writer at a time"
        )
    host = host or settings.host
    listening = _listen(host, settings.port if port is None else port)
    family = _Family(lambda ready, alive: _child(directory, database, host, plain, listening, ready, alive))
    with serving_from(directory), listening, family.ending_on_signals():
        for _ in range(processes):
            family.start_one()
        scheme = "http" if plain else "https"
        bound = listening.getsockname()
        url = f"{scheme}://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}"
        opened = open_hub(directory, database=database)
        try:
            on_ready(opened, url)
        finally:
            opened.close()
        family.watch()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise RefusalError("not_listening", f"the hub cannot listen on {host}:{port}: {error.strerror}") from None


def _child(
    directory: Path, database: str | None, host: str, plain: bool, listening: socket.socket, ready: int, alive: int
) -> None:
    hub = open_hub(directory, database=database)
    server = make_server(hub, host=host, port=0, plain=plain, on_ready=lambda _: _say_ready(ready))

    def follow_parent() -> None:
        os.read(alive, 1)  # returns when the first process, which alone holds the other end, is gone
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow_parent, daemon=True).start()
    settle_memory()
    try:
        server.run(sockets=[listening])
    finally:
        hub.close()


def _say_ready(ready: int) -> None:
    os.write(ready, b"1")
    os.close(ready)


class _Family:
    """The processes that this one started."""

    def __init__(self, work: Callable[[int, int], None]) -> None:
        self._work = work
        self._started: dict[int, float] = {}
        self._short_lives = 0
        self._is_ending = False
        self._alive_end, self._alive = os.pipe()

    def start_one(self) -> None:
        """Start a process and wait until it serves; raises RefusalError `not_listening` when it does not."""
        ready, ready_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ready)
            os.close(self._alive)
            os._exit(_run(lambda: self._work(ready_end, self._alive_end)))
        os.close(ready_end)
        self._started[pid] = time.monotonic()
        said = os.read(ready, 1)
        os.close(ready)
        if not said and not self._is_ending:
            raise RefusalError("not_listening", "a process of the hub ended before it served: its message says why")

    def watch(self) -> None:
        """Replace processes that die, until this one is told to end; while its database is away none can start."""
        while not self._is_ending:
            pid, status = os.wait()
            began = self._started.pop(pid, 0.0)
            if self._was_told_to_end():
                break
            _log.error("process %d of the hub ended with status %d: another takes its place", pid, status)
            is_short = time.monotonic() - began < _SHORT_LIFE_SECONDS
            self._short_lives = self._short_lives + 1 if is_short else 0
            time.sleep(min(self._short_lives, _PAUSE_SECONDS_MAX))
            with contextlib.suppress(RefusalError):
                self.start_one()

    def _was_told_to_end(self) -> bool:
        return self._is_ending

    @contextlib.contextmanager
    def ending_on_signals(self) -> Iterator[None]:
        """End all processes on SIGTERM and SIGINT, and whenever this block is left."""

        def end(*_: object) -> None:
            self._is_ending = True
            self._tell(signal.SIGTERM)

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            end()
            self._wait()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _tell(self, number: int) -> None:
        for pid in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while self._started:
            for pid in list(self._started):
                with contextlib.suppress(ChildProcessError):
                    if os.waitpid(pid, os.WNOHANG) == (0, 0):
                        continue
                del self._started[pid]
            if time.monotonic() > deadline:
                self._tell(signal.SIGKILL)
            time.sleep(0.02)


def _run(work: Callable[[], None]) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        work()
    except EdgetillError as error:
        os.write(2, f"{error.message} [{error.code}]\n".encode())
        return 1
    except BaseException:
        _log.exception("a process of the hub failed")
        return 1
    return 0
