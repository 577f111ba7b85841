"""Owns barcode scanners: frames out of a serial stream, and scans among the keys of a keyboard wedge.

Framing is pure: bytes or keys with their times go in, scans come out. What a code means is nobody's matter here; the
AIM prefix (ISO/IEC 15424, e.g. `]E0` EAN-13, `]C1` GS1-128, `]d2` GS1 DataMatrix, `]Q3` GS1 QR) is kept beside it.
"""

from __future__ import annotations

import itertools
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from drivers.errors import DeviceError
from drivers.link import BackOff, Link, LinkReader

GS: Final = "\x1d"
"""Ends a field of variable length in GS1 codes; belongs to the code."""
LENGTH_MAX: Final = 4096
"""A QR code holds at most 2,953 bytes (ISO/IEC 18004, version 40-L); anything longer is noise."""
_AIM: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_DROPPED: Final = {code: None for code in (*range(0x20), 0x7F) if code not in (0x1C, 0x1D, 0x1E, 0x1F, 0x04)}
_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


@dataclass(frozen=True, slots=True)
class Scan:
    """One read code: its text without the AIM prefix, and the prefix when the scanner sends it."""

    text: str
    aim: str = ""

    @property
    def full(self) -> str:
        """Return prefix and text, as a GS1 parser likes them."""
        return self.aim + self.text


def narrowed(text: str) -> str:
    """Return the text with full-width letters, digits and signs as ASCII; an input method may have widened them."""
    return text.translate(_FULL_WIDTH)


def scan_of(text: str) -> Scan | None:
    """Return the scan of a frame's text, or None when nothing is left of it."""
    found = _AIM.match(text)
    aim = found.group() if found else ""
    return Scan(text[len(aim) :], aim) if len(text) > len(aim) else None


class ScanFramer:
    """Cuts a stream into scans at CR, LF or CRLF, in whatever portions it comes.

    Codes are UTF-8, or GB18030 as Chinese scanners send it. STX, ETX and other controls are dropped, GS stays. A frame
    longer than any code is dropped whole, up to its end, and counted in `dropped`.
    """

    def __init__(self, length_max: int = LENGTH_MAX) -> None:
        self._length_max = length_max
        self._frame = bytearray()
        self._is_overlong = False
        self.dropped = 0

    def feed(self, data: bytes) -> list[Scan]:
        """Take bytes and return the scans that they complete."""
        scans = []
        for byte in data:
            if byte in (0x0D, 0x0A):
                scans += self.end()
            elif len(self._frame) >= self._length_max:
                self._is_overlong = True
            else:
                self._frame.append(byte)
        return scans

    def end(self) -> list[Scan]:
        """Take what has come as complete: for scanners without a suffix, after a silence."""
        frame = bytes(self._frame)
        is_overlong = self._is_overlong
        self.reset()
        if is_overlong:
            self.dropped += 1
            return []
        try:
            text = frame.decode("utf-8")
        except UnicodeDecodeError:
            text = frame.decode("gb18030", "replace")
        scan = scan_of(text.translate(_DROPPED).strip(" "))
        return [scan] if scan is not None else []

    def reset(self) -> None:
        """Forget a started frame: the line was cut in its middle."""
        self._frame.clear()
        self._is_overlong = False


class DuplicateGuard:
    """Swallows the same code again within a time; a window of 0 lets everything through.

    Each repetition starts the window anew, so a code left lying under a presentation scanner counts once.
    """

    def __init__(self, window_s: float = 0.6) -> None:
        self.window_s = window_s
        self._last: tuple[str, float] | None = None

    def admits(self, scan: Scan, at_s: float) -> bool:
        """Tell whether the scan counts, at a monotonic time."""
        is_repeated = self._last is not None and self._last[0] == scan.text and at_s - self._last[1] < self.window_s
        self._last = (scan.text, at_s)
        return not is_repeated


class Wedge(StrEnum):
    """What a key was part of."""

    TYPED = "typed"
    """Somebody types, or it cannot be told yet: the key does what it does."""
    SCANNED = "scanned"
    """This Enter ended a scan: take it, and remove its characters from where they were typed."""
    ECHO = "echo"
    """A second Enter right after a scan's (CRLF suffix, or an event seen twice): ignore it."""


@dataclass(frozen=True, slots=True)
class WedgeVerdict:
    """What a key was, with the scan that it ended and how many characters before it belong to that scan."""

    kind: Wedge
    scan: Scan | None = None
    typed_length: int = 0


_TYPED: Final = WedgeVerdict(Wedge.TYPED)
_KEY_NAMES: Final = {"enter": "\r", "return": "\r", "ctrl+j": "\r", "\n": "\r", "ctrl+right_square_bracket": GS}


class WedgeDetector:
    """Tells the bursts of a keyboard wedge from people, by the times of the keys.

    A scanner sends its keys less than 30 ms apart and Enter right behind; people need more than 80 ms. Between the two
    a busy machine may stretch a few gaps of a burst, so a burst is a run without a gap above `pause_s` whose median gap
    is below `burst_s`. Text that arrives as one event, or holds anything but ASCII after full-width forms are narrowed,
    was committed by an input method or pasted, and never is a scan.
    """

    def __init__(self, *, burst_s: float = 0.030, pause_s: float = 0.080, length_min: int = 4) -> None:
        self._burst_s, self._pause_s, self._length_min = burst_s, pause_s, length_min
        self._keys: deque[tuple[str, float]] = deque(maxlen=LENGTH_MAX)
        self._scanned_at_s = float("-inf")
        self._is_spoiled = False

    def key(self, key: str, at_s: float) -> WedgeVerdict:
        """Take a key: its character or its name (`enter`, `ctrl+right_square_bracket`), and when it was pressed."""
        char = _KEY_NAMES.get(key, key)
        if self._keys and at_s - self._keys[-1][1] > self._pause_s:
            self._forget()
        if char == "\r":
            return self._enter(at_s)
        narrow = narrowed(char)
        if len(char) != 1 or not (narrow.isascii() and (narrow.isprintable() or narrow in _KEPT)):
            # One event with several characters, hanzi, or a key that moves the cursor: this run is no scan any more.
            self._is_spoiled = True
        self._keys.append((narrow, at_s))
        return _TYPED

    def restart(self) -> None:
        """Begin a new run: the keys so far did something by themselves and belong to no scan.

        An Enter that follows them confirms something, however soon after a scan: it is not that scan's second suffix.
        """
        self._forget()
        self._scanned_at_s = float("-inf")

    def _enter(self, at_s: float) -> WedgeVerdict:
        keys, is_spoiled = list(self._keys), self._is_spoiled
        self._forget()
        if not keys and at_s - self._scanned_at_s <= self._pause_s:
            return WedgeVerdict(Wedge.ECHO)
        times = [*(at for _, at in keys), at_s]
        gaps = sorted(after - before for before, after in itertools.pairwise(times))
        if is_spoiled or len(keys) < self._length_min or gaps[len(gaps) // 2] > self._burst_s:
            return _TYPED
        scan = scan_of("".join(char for char, _ in keys).strip(" "))
        if scan is None:
            return _TYPED
        self._scanned_at_s = at_s
        return WedgeVerdict(Wedge.SCANNED, scan, len(keys))

    def _forget(self) -> None:
        self._keys.clear()
        self._is_spoiled = False


_KEPT: Final = (GS, "\x1c", "\x1e", "\x1f", "\x04")


class SerialScanner:
    """A scanner on a link: its scans and its comings and goings, told from the reader's thread.

    Opening discards what was scanned while nobody listened. `silence_ends` is for scanners without a suffix.
    """

    def __init__(
        self,
        link: Link,
        on_scan: Callable[[Scan], None],
        on_state: Callable[[DeviceError | None], None] | None = None,
        *,
        guard: DuplicateGuard | None = None,
        silence_ends: bool = False,
        back_off: BackOff | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._framer = ScanFramer()
        self._guard = guard or DuplicateGuard(0)
        self._on_scan, self._on_state, self._monotonic = on_scan, on_state, monotonic
        self._reader = LinkReader(
            link,
            self._arrived,
            self._changed,
            back_off=back_off,
            on_silence=self._silent if silence_ends else None,
            read_s=0.1 if silence_ends else 0.3,
        )

    def start(self) -> None:
        """Begin to listen."""
        self._reader.start()

    def stop(self) -> None:
        """Stop listening and let the port go."""
        self._reader.stop()

    def _changed(self, error: DeviceError | None) -> None:
        self._framer.reset()
        if self._on_state is not None:
            self._on_state(error)

    def _arrived(self, data: bytes) -> None:
        self._tell(self._framer.feed(data))

    def _silent(self) -> None:
        self._tell(self._framer.end())

    def _tell(self, scans: list[Scan]) -> None:
        for scan in scans:
            if self._guard.admits(scan, self._monotonic()):
                self._on_scan(scan)
