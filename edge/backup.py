"""The backup as it runs: the replication program is kept going, an encrypted node copies itself, and both are proven.

The program is a child of the process that watches over the node. Should that process be killed, its child lives on and
holds a lock by which the next one knows it, ends it, and starts its own: two never write one replica.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from edge.backup_proof import begin_anew, clear_proofs
from edge.backup_target import backup_row, keep_files, program, replica_address
from edge.clock_source import ClockSource
from edge.config import DATABASE_FILE
from edge.encrypted_copy import CARRIER_FILE, drop_carrier
from edge.encryption import handed_down, is_encrypted
from edge.node import Node
from schema.command_line import EXIT_CORRUPT
from schema.errors import EdgetillError, RefusalError
from schema.files import write_private

CONFIG_FILE: Final = "litestream.yml"
LOCK_FILE: Final = "backup.lock"
ADDRESS_FILE: Final = "backup.address"
LOOK_S: Final = 1.0
RESTART_S: Final = (1.0, 60.0)
FIRST_PROOF_S: Final = 20.0
PROOF_AFTER_TROUBLE_S: Final = 120.0
COPY_EVERY_S: Final = 60.0
TOLD_EVERY_S: Final = 300.0
ANEW_EVERY_S: Final = 10.0
_UNUSABLE: Final = frozenset(
    {"backup_missing", "backup_unreadable", "backup_damaged", "backup_foreign", "backup_behind"}
)
_STANDS_STILL: Final = ("level=ERROR", 'msg="sync error"', "ltx file corrupted")
"""Words of a line in which the program says that its notes beside the file are damaged: it replicates no more then."""
_RUN: Final = "from schema.command_line import main; main()"

Tell = Callable[[str], None]


def child_words(directory: Path, *words: str) -> list[str]:
    """Return the argument list of one of this command's own verbs on a node, at the lowest priority."""
    return ["nice", "-n", "10", sys.executable, "-c", _RUN, *words, "--node", str(directory)]


def settings_text(database: Path, address: str) -> str:
    """Return the replication program's settings; paths are written as quoted YAML (JSON is YAML)."""
    import msgspec

    def quoted(text: str) -> str:
        return msgspec.json.encode(text).decode()

    return "\n".join(
        [
            "snapshot:",
            "  interval: 12h",
            "  retention: 168h",
            "dbs:",
            f"  - path: {quoted(str(database))}",
            "    replica:",
            f"      url: {quoted(address)}",
            "      sync-interval: 1s",
            "",
        ]
    )


class BackupKeeper:
    """Keeps one node's backup going from `start` to `stop`."""

    def __init__(
        self,
        directory: Path,
        clock: ClockSource,
        tell: Tell,
        *,
        first_proof_s: float = FIRST_PROOF_S,
        copy_every_s: float = COPY_EVERY_S,
    ) -> None:
        self._directory = directory.resolve()
        self._clock = clock
        self._tell = tell
        self._told_s: dict[str, float] = {}
        self._first_proof_s, self._copy_every_s = first_proof_s, copy_every_s
        self._is_stopping = threading.Event()
        self._is_proof_wanted = threading.Event()
        self._is_stuck = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backup", daemon=True)
        self._lock: int | None = None
        self._child: subprocess.Popen[str] | None = None
        self._copier: subprocess.Popen[str] | None = None
        self._prover: subprocess.Popen[str] | None = None
        self._address = ""
        self._next_anew_s = 0.0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def prove_soon(self) -> None:
        """Ask for a proof at the next look: what the calendar does each hour."""
        self._is_proof_wanted.set()

    def stop(self) -> None:
        """End the program, which replicates what it has before it goes."""
        self._is_stopping.set()
        self._thread.join(30)

    def _say(self, text: str, topic: str = "") -> None:
        now_s = time.monotonic()
        if now_s - self._told_s.get(topic or text, -TOLD_EVERY_S) >= TOLD_EVERY_S:
            self._told_s[topic or text] = now_s
            self._tell(text)

    def _run(self) -> None:
        pause_s = RESTART_S[0]
        while not self._is_stopping.is_set():
            try:
                with Node(self._directory, clock=self._clock) as node:
                    self._keep(node)
            except RefusalError as error:
                self._say(f"no backup: {error.message}")
                pause_s = RESTART_S[1]
            except (EdgetillError, OSError) as error:
                self._say(f"the backup stands still: {error}")
                pause_s = min(pause_s * 2, RESTART_S[1])
            finally:
                self._end_children()
            self._is_stopping.wait(pause_s)

    def _keep(self, node: Node) -> None:
        clear_proofs(self._directory)
        keep_files(node)
        self._take_lock()
        next_proof_s = time.monotonic() + self._first_proof_s
        next_start_s, pause_s = 0.0, RESTART_S[0]
        while not self._is_stopping.wait(LOOK_S):
            now_s = time.monotonic()
            address = replica_address(node, backup_row(node))
            if self._child is not None and self._child.poll() is not None:
                self._say(f"the replication program ended with status {self._child.returncode}: starting it again")
                self._end(self._child)
                self._child, next_start_s, pause_s = None, now_s + pause_s, min(pause_s * 2, RESTART_S[1])
            elif self._child is not None and address != self._address:
                self._end(self._child)
                self._child = None
            if self._child is None and now_s >= next_start_s:
                self._replicate(address)
            self._look_after_copier(node)
            if self._is_stuck.is_set():
                self._is_stuck.clear()
                self._begin_anew(node)
            if self._prover is None and (now_s >= next_proof_s or self._is_proof_wanted.is_set()):
                self._is_proof_wanted.clear()
                self._prover = self._begin_child("backup", "check")
            if self._prover is not None and self._prover.poll() is not None:
                self._prover = None
                is_proven = self._hear_proof(node)
                pause_s = RESTART_S[0] if is_proven else pause_s
                next_proof_s = time.monotonic() + (math.inf if is_proven else PROOF_AFTER_TROUBLE_S)

    def _hear_proof(self, node: Node) -> bool:
        row = backup_row(node)
        if row is None or not row.problem:
            return row is not None
        self._say(f"the backup cannot be used: {row.message} [{row.problem}]", row.problem)
        if row.problem in _UNUSABLE:
            self._begin_anew(node)
        return False

    def _begin_anew(self, node: Node) -> None:
        """Leave the backup as it is for another one, unless that is what was just done."""
        now_s = time.monotonic()
        if now_s >= self._next_anew_s:
            self._next_anew_s = now_s + ANEW_EVERY_S
            begin_anew(node)
            self._say("another backup is begun beside it", f"anew {now_s}")

    def _take_lock(self) -> None:
        """Hold the lock that a replication program inherits; one that outlived its parent is ended first."""
        if self._lock is not None:
            return
        number = os.open(self._directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        for wait_s in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0):
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._lock = number
                return
            except BlockingIOError:
                _end_orphan(number, str(self._directory / CONFIG_FILE))
                time.sleep(wait_s)
        os.close(number)
        raise OSError("another program holds the backup of this node")

    def _replicate(self, address: str) -> None:
        assert self._lock is not None
        database = self._directory / (CARRIER_FILE if is_encrypted(self._directory) else DATABASE_FILE)
        marker = self._directory / ADDRESS_FILE
        if not marker.exists() or marker.read_text("utf-8") != address:
            # What the program remembers beside the file belongs to another replica, and so may what was wrong with
            # that: an encrypted copy is made anew from the node's file, which it is compared with by digests alone.
            shutil.rmtree(self._directory / f".{database.name}-litestream", ignore_errors=True)
            self._drop_carrier()
            write_private(marker, address.encode())
        if not database.exists():
            return
        if address.startswith("file://"):
            Path(address.removeprefix("file://")).mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._directory / CONFIG_FILE, settings_text(database, address).encode())
        words = [program(), "replicate", "-no-expand-env", "-config", str(self._directory / CONFIG_FILE)]
        self._child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            pass_fds=(self._lock,), process_group=0,
        )  # fmt: skip
        os.pwrite(self._lock, f"{self._child.pid:<20}".encode(), 0)
        self._address = address
        assert self._child.stdout is not None
        threading.Thread(target=self._listen, args=(self._child.stdout,), daemon=True).start()

    def _listen(self, output: IO[str]) -> None:
        """Pass on what the program complains of; the rest of its words are for nobody."""
        with suppress(ValueError):
            for line in output:
                if all(word in line for word in _STANDS_STILL):
                    self._is_stuck.set()
                if "level=ERROR" in line or "level=WARN" in line:
                    self._say(f"the replication program says: {line.strip()[:300]}", line.partition("msg=")[2][:40])

    def _look_after_copier(self, node: Node) -> None:
        if not is_encrypted(self._directory):
            return
        if self._copier is not None and self._copier.poll() is not None:
            self._say(f"the copy of the encrypted file ended with status {self._copier.returncode}: starting it again")
            if self._copier.returncode == EXIT_CORRUPT:  # the carrier is: no copy of the file mends it
                self._begin_anew(node)
            self._copier = None
        if self._copier is None:
            self._copier = self._begin_child("backup", "copy", "--every", str(self._copy_every_s))

    def _drop_carrier(self) -> None:
        if self._copier is not None:
            self._end(self._copier)
            self._copier = None
        drop_carrier(self._directory)

    def _begin_child(self, *words: str) -> subprocess.Popen[str]:
        with handed_down(self._directory) as (environment, descriptors):
            return subprocess.Popen(
                child_words(self._directory, *words), env={**os.environ, **environment}, pass_fds=descriptors,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
                process_group=0,
            )  # fmt: skip

    def _end(self, child: subprocess.Popen[str]) -> None:
        with suppress(ProcessLookupError):
            child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)
        if child.stdout is not None:
            child.stdout.close()

    def _end_children(self) -> None:
        for child in (self._prover, self._copier, self._child):
            if child is not None:
                self._end(child)
        self._prover = self._copier = self._child = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _end_orphan(lock: int, config: str) -> None:
    """End the program that outlived its parent, if the number in the lock is still that of one on this node."""
    text = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
    if not text.isdecimal():
        return
    with suppress(OSError):
        if config.encode() in Path(f"/proc/{text}/cmdline").read_bytes().split(b"\0"):
            os.kill(int(text), signal.SIGTERM)


@contextmanager
def backed_up(node: Node, tell: Tell) -> Iterator[BackupKeeper | None]:
    """Keep a node's backup going for the time of a block; nothing happens where its settings name none."""
    if not node.config.backup:
        yield None
        return
    keeper = BackupKeeper(node.directory, node.clock_source, tell)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()
