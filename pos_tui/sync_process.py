"""Owns the sync process beside the till: started with it, started again when it ends, stopped with it.

Till and agent share nothing but the node's file, so whatever happens to the line never slows a sale.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

START_AFTER_S: Final = 2.0
"""The till is painted first: on a small machine two programs that start at once keep the cashier waiting."""
AGAIN_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
STOP_S: Final = 3.0
LOG_FILE: Final = "sync.log"
LOG_BYTES_MAX: Final = 1 << 20


_PROGRAM: Final = (
    "import ctypes, os, signal; ctypes.CDLL(None).prctl(1, signal.SIGTERM);"
    " from schema.command_line import main; os.getppid() == 1 or main()"
)
"""Linux's PR_SET_PDEATHSIG: the process ends with the till, however the till ends."""


class SyncProcess:
    """A supervised `edgetill sync --watch`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="sync-process", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and keep it running."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it; what it had in hand is durable or not begun."""
        self._stopped.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _supervise(self) -> None:
        failures = 0
        self._stopped.wait(START_AFTER_S)
        while not self._stopped.is_set():
            with self._log() as log:
                words = [sys.executable, "-c", _PROGRAM, "sync", "--watch", "--node", str(self._directory)]
                self._process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
                if self._stopped.is_set():
                    self._process.terminate()
                self._process.wait()
            if self._stopped.wait(AGAIN_S[min(failures, len(AGAIN_S) - 1)]):
                return
            failures += 1

    def _log(self) -> IO[bytes]:
        path = self._directory / LOG_FILE
        with contextlib.suppress(OSError):
            if path.stat().st_size > LOG_BYTES_MAX:
                path.replace(path.with_suffix(".log.1"))
        return path.open("ab")
