"""Drives a program in a pseudo-terminal as a person sits at it: keys go in, what is painted is read with its time.

Everything is single-threaded, so that reading is never late because of parsing: what comes is read and stamped until
the program is silent for a moment, and only then shown to the emulated screen, piece by piece.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import pyte
from wcwidth import wcwidth as width

SILENCE_S: Final = 0.002
"""So long nothing comes before what came is looked at."""
HANG_S: Final = 20.0
"""After so long without the expected text the program is said to hang."""
SCAN_GAP_S: Final = 0.002
"""A scanner that types leaves so much between two keys."""
KEYS: Final[Mapping[str, str]] = {
    "enter": "\r", "escape": "\x1b", "backspace": "\x7f", "tab": "\t", "delete": "\x1b[3~",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F",
    "pageup": "\x1b[5~", "pagedown": "\x1b[6~",
    "f1": "\x1bOP", "f2": "\x1bOQ", "f3": "\x1bOR", "f4": "\x1bOS", "f5": "\x1b[15~", "f6": "\x1b[17~",
    "f7": "\x1b[18~", "f8": "\x1b[19~", "f9": "\x1b[20~", "f10": "\x1b[21~", "f11": "\x1b[23~", "f12": "\x1b[24~",
}  # fmt: skip
Lines = Sequence[str]


class _Piece(NamedTuple):
    read_ns: int
    data: bytes


class HungError(AssertionError):
    """The program did not paint what was expected; the message shows what it did paint."""


class Terminal:
    """A program on a pseudo-terminal of its own; `keys_sent` counts the keys that a person pressed."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], *, columns: int = 80, rows: int = 24
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._pending: list[_Piece] = []
        self.keys_sent = 0
        self.exit_status: int | None = None
        inherited = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}
        variables = {**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.started_ns = time.monotonic_ns()
        self.pid, self._master = os.forkpty()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.execvpe(words[0], list(words), variables)
            finally:
                os._exit(127)
        os.set_blocking(self._master, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Keys

    def press(self, *keys: str) -> int:
        """Press keys, by name or character, as one write; returns when the last was about to be written (ns)."""
        self.keys_sent += len(keys)
        return self._write("".join(KEYS.get(key, key) for key in keys))

    def type(self, text: str, gap_s: float = 0.0) -> int:
        """Type a text, a key for each character, with a pause between two keys."""
        sent_ns = 0
        for place, key in enumerate(text):
            if place and gap_s:
                self.settle(gap_s)
            sent_ns = self.press(key)
        return sent_ns

    def scan(self, code: str) -> int:
        """Scan a code as a scanner types it, Enter included; returns when that Enter was about to be written (ns).

        A scan is no key that a person presses.
        """
        for key in code:
            self._write(key)
            self._pause(SCAN_GAP_S)
        return self._write("\r")

    def _write(self, text: str) -> int:
        data = text.encode()
        sent_ns = time.monotonic_ns()
        while data:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                self._read(0.01)
        return sent_ns

    # What is painted

    @property
    def lines(self) -> Lines:
        """The lines on the screen; a hanzi on two columns is one character."""
        return [self._line(y) for y in range(self._screen.lines)]

    def _line(self, y: int) -> str:
        row = self._screen.buffer[y]
        shown: list[str] = []
        is_second_half = False
        for x in range(self._screen.columns):
            char = row[x].data
            if not is_second_half:
                shown.append(char or " ")  # The first half of a hanzi was painted over.
            is_second_half = bool(char) and not is_second_half and width(char[0]) == 2
        return "".join(shown)

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(line.rstrip() for line in self.lines)

    def wait_for(self, *texts: str, absent: Sequence[str] = (), timeout_s: float = HANG_S) -> int:
        """Wait until all texts are on the screen, each within a line, and none of `absent`; returns when (ns).

        That is when the bytes arrived after which the screen shows them; a text that stands there already is from
        before. Raises HungError.
        """

        def is_there(lines: Lines) -> bool:
            whole = "\n".join(lines)
            return all(text in whole for text in texts) and not any(text in whole for text in absent)

        what = " and ".join(repr(text) for text in texts)
        return self.wait_until(is_there, what, timeout_s=timeout_s)

    def wait_until(self, is_there: Callable[[Lines], bool], what: str, *, timeout_s: float = HANG_S) -> int:
        """Wait until the lines are as wanted; returns when they were (ns). Raises HungError."""
        deadline = time.monotonic() + timeout_s
        if not self._pending and is_there(self.lines):
            return time.monotonic_ns()
        while True:
            while self._pending:
                piece = self._pending.pop(0)
                self._show(piece)
                if is_there(self.lines):
                    return piece.read_ns
            left_s = deadline - time.monotonic()
            if left_s <= 0 or (not self._read(left_s) and self.exit_status is not None):
                ended = "" if self.exit_status is None else f", and ended with {self.exit_status}"
                raise HungError(f"the screen does not show {what}{ended}:\n{self.text}")

    def settle(self, seconds: float) -> None:
        """Let the program paint for so long."""
        self._pause(seconds)
        self._show_all()

    def silence(self, silence_s: float = 0.1, timeout_s: float = HANG_S) -> None:
        """Wait until the program has painted nothing for so long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._read(silence_s):
            pass
        self._show_all()

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, and tell the program."""
        self._show_all()
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0 and self.exit_status is None:
            self._read(left_s)

    def _show_all(self) -> None:
        while self._pending:
            self._show(self._pending.pop(0))

    def _show(self, piece: _Piece) -> None:
        self._stream.feed(piece.data)

    def _read(self, timeout_s: float) -> bool:
        """Read and stamp all that comes until a moment's silence; False when nothing came within the time."""
        came = False
        wait_s = timeout_s
        while select.select([self._master], [], [], max(0.0, wait_s))[0]:
            try:
                data = os.read(self._master, 1 << 16)
            except BlockingIOError:
                continue
            except OSError:  # The other side is closed: the program has ended.
                data = b""
            if not data:
                self._reap(block=True)
                return came
            self._pending.append(_Piece(time.monotonic_ns(), data))
            came, wait_s = True, SILENCE_S
        return came

    # The process

    def memory_mb(self) -> float:
        """Return the memory that the program holds (resident set, MB of 2^20 bytes)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def kill(self) -> None:
        """End the program as a power cut would."""
        if self.exit_status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._reap(block=True)

    def wait(self, timeout_s: float = HANG_S) -> int:
        """Wait until the program has ended by itself; returns its exit status. Raises HungError."""
        deadline = time.monotonic() + timeout_s
        while self.exit_status is None:
            if time.monotonic() > deadline:
                raise HungError(f"the program does not end:\n{self.text}")
            self._read(0.05)
            self._reap(block=False)
        self._show_all()
        return self.exit_status

    def close(self) -> None:
        """End the program if it still runs, and the terminal."""
        if self.exit_status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(HungError):
                self.wait(3)
            self.kill()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _reap(self, *, block: bool) -> None:
        if self.exit_status is None:
            pid, status = os.waitpid(self.pid, 0 if block else os.WNOHANG)
            if pid:
                self.exit_status = os.waitstatus_to_exitcode(status)
