"""Owns devices that are not there: a printer that shows its paper, a drawer, a scanner, a scale and a display.

They are shipped, for a demonstration on a machine without devices and for training. The printer reads the very bytes
that a real one would get; scanner and scale stand on pseudo-terminals, so the till opens them like serial ports, and
they can be unplugged and plugged in again under the same name.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Final

from PIL import Image

from drivers.display import COLUMNS, PriceMode
from drivers.escpos.code_page import PAPER_80MM, PrinterProfile
from drivers.escpos.interpreter import Interpreter, Mark, PrintedLine, PrintedPaper, PrintedPicture
from drivers.escpos.picture import Typeface
from drivers.link import MemoryLink
from drivers.scale import Reading, WeighState


class SimulatedPrinter:
    """A printer with a drawer: prints on paper in memory, answers for its state, and can be brought into trouble."""

    def __init__(self, profile: PrinterProfile = PAPER_80MM, *, typeface: Typeface | None = None) -> None:
        self.profile = profile
        self.lines_left: int | None = None
        """Lines of text or bands of dots until the paper is out; None never ends."""
        self.is_near_end = False
        self.is_cover_open = False
        self.is_cutter_stuck = False
        self.is_silent = False
        """Takes bytes and neither prints nor answers: switched off behind a live adapter."""
        self.is_drawer_open = False
        self.is_drawer_jammed = False
        self.pulses: list[int] = []
        self._typeface = typeface
        self._turn = threading.RLock()
        self._links: list[MemoryLink] = []
        self._marks_seen = 0
        self._interpreter = Interpreter(
            profile, typeface=typeface, answer_status=self._status, on_pulse=self._pulse, may_print=self._may_print
        )

    @property
    def unknown(self) -> list[bytes]:
        """Return the commands that the printer did not understand."""
        return self._interpreter.unknown

    @property
    def waiting(self) -> int:
        """Return how many bytes wait in the buffer, for instance for paper."""
        return self._interpreter.waiting

    def receive(self, data: bytes) -> bytes:
        """Take bytes as from a cable and return the answers."""
        with self._turn:
            return b"" if self.is_silent else self._interpreter.receive(data)

    def link(self) -> MemoryLink:
        """Return a link that ends in this printer."""
        link = MemoryLink(self.receive, name=f"simulated:{self.profile.name}")
        self._links.append(link)
        return link

    def load_paper(self, lines: int | None = None) -> None:
        """Put paper in and close the cover: the printer goes on where it stopped."""
        with self._turn:
            self.lines_left, self.is_cover_open, self.is_near_end, self.is_cutter_stuck = lines, False, False, False
            answers = self._interpreter.receive()
        for link in self._links:
            if answers and link.is_open:
                link.feed(answers)

    def close_drawer(self) -> None:
        """Push the drawer shut."""
        self.is_drawer_open = False

    def take_paper(self) -> PrintedPaper:
        """Tear off what was printed so far."""
        with self._turn:
            torn, self._interpreter.paper = self._interpreter.paper, PrintedPaper(self.profile)
            self._marks_seen = 0
        return torn

    @property
    def paper(self) -> PrintedPaper:
        """Return what hangs out of the printer."""
        return self._interpreter.paper

    def picture(self) -> Image.Image:
        """Return the paper as a picture."""
        return self._interpreter.paper.picture(self._typeface)

    def save(self, path: Path) -> None:
        """Write the paper as a PNG file, and its text beside it."""
        self.picture().save(path, "PNG")
        path.with_suffix(".txt").write_text(self.paper.text() + "\n", "utf-8")

    def _may_print(self) -> bool:
        marks: list[Mark] = self._interpreter.paper.marks
        if self.lines_left is not None:
            new = marks[self._marks_seen :]
            self.lines_left -= sum(isinstance(mark, PrintedLine | PrintedPicture) for mark in new)
            self.lines_left = max(self.lines_left, 0)
        self._marks_seen = len(marks)
        return not (self.lines_left == 0 or self.is_cover_open or self.is_cutter_stuck)

    def _pulse(self, pin: int) -> None:
        self.pulses.append(pin)
        if not self.is_drawer_jammed:
            self.is_drawer_open = True

    def _status(self, question: bytes) -> bytes:
        is_out = self.lines_left == 0
        if question[:2] == b"\x1dr":
            return bytes([(0x03 if self.is_near_end else 0) | (0x0C if is_out else 0)])
        is_offline = is_out or self.is_cover_open or self.is_cutter_stuck
        match question[2]:
            case 1:
                is_high = self.is_drawer_open is self.profile.is_drawer_open_high
                return bytes([0x12 | (0x04 if is_high else 0) | (0x08 if is_offline else 0)])
            case 2:
                cover, paper = (0x04 if self.is_cover_open else 0), (0x20 if is_out else 0)
                return bytes([0x12 | cover | paper | (0x40 if self.is_cutter_stuck else 0)])
            case 3:
                return bytes([0x12 | (0x08 if self.is_cutter_stuck else 0)])
            case 4:
                return bytes([0x12 | (0x0C if self.is_near_end or is_out else 0) | (0x60 if is_out else 0)])
            case _:
                return b""


class PrinterServer:
    """A simulated printer on a TCP port of this machine, as network printers offer at 9100."""

    def __init__(self, printer: SimulatedPrinter, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._printer = printer
        self._listening = socket.create_server((host, port))
        self._listening.settimeout(0.1)
        self.host, self.port = self._listening.getsockname()[:2]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"prints at {self.port}", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Return the address as the settings write it."""
        return f"tcp://{self.host}:{self.port}"

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listening.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(0.1)
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        while not self._ending.is_set():
            try:
                data = connection.recv(4096)
            except TimeoutError:
                continue
            if not data:
                return
            if answers := self._printer.receive(data):
                connection.sendall(answers)

    def close(self) -> None:
        """Switch it off."""
        self._ending.set()
        self._thread.join(timeout=2)
        self._listening.close()


class PseudoTerminal:
    """A serial port that ends in this process, under a name that stays when it is unplugged and plugged in again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._master: int | None = None
        self._slave: int | None = None
        self.plug_in()

    @property
    def address(self) -> str:
        """Return the address as the settings write it."""
        return f"serial:{self.path}"

    def plug_in(self) -> None:
        """Make the port appear."""
        import tty

        if self._master is not None:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        """Make the port vanish: whoever has it open gets an error."""
        self.path.unlink(missing_ok=True)
        for fd in (self._master, self._slave):
            if fd is not None:
                os.close(fd)
        self._master = self._slave = None

    def send(self, data: bytes) -> None:
        """Let bytes arrive at the till; nobody listening, or nothing plugged in, loses them."""
        if self._master is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)

    def receive(self, timeout_s: float) -> bytes:
        """Return what the till has written."""
        if (master := self._master) is None:
            time.sleep(timeout_s)
            return b""
        with contextlib.suppress(OSError, ValueError):
            ready, _, _ = select.select([master], [], [], timeout_s)
            return os.read(master, 4096) if ready else b""
        return b""


class SimulatedScanner:
    """A serial scanner on a pseudo-terminal."""

    def __init__(self, path: Path, *, suffix: str = "\r") -> None:
        self.port = PseudoTerminal(path)
        self._suffix = suffix

    @property
    def address(self) -> str:
        """Return the address as the settings write it."""
        return self.port.address

    def scan(self, code: str) -> None:
        """Read a code."""
        self.port.send((code + self._suffix).encode())

    def close(self) -> None:
        """Take it away."""
        self.port.unplug()


class ScaleSpeech:
    """What a scale with a load says, in each protocol; the other side of `drivers.scale`, without a port."""

    def __init__(self, protocol: str = "toledo-8217") -> None:
        if protocol not in _SPEECHES:
            raise ValueError(f"no protocol {protocol!r}")
        self.protocol = protocol
        self.reading = Reading(WeighState.ZERO, 0)

    def answer(self, asked: bytes) -> bytes:
        """Return the answer to what the till sent; nothing for a scale that talks by itself."""
        return _SPEECHES[self.protocol](self.reading, asked)

    def talk(self) -> bytes:
        """Return what a continuous scale says unasked."""
        return _continuous(self.reading) if self.protocol == "continuous" else b""


class SimulatedScale:
    """A scale on a pseudo-terminal, with a thread that answers or talks."""

    def __init__(self, path: Path, protocol: str = "toledo-8217", *, period_s: float = 0.1) -> None:
        self.port = PseudoTerminal(path)
        self.speech = ScaleSpeech(protocol)
        self._period_s = period_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simulated scale", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Return the address as the settings write it."""
        return self.port.address

    def load(self, grams: int, state: WeighState | None = None) -> None:
        """Put a weight on it; the state follows from the weight unless it is given."""
        natural = WeighState.NEGATIVE if grams < 0 else WeighState.ZERO if grams == 0 else WeighState.STABLE
        self.speech.reading = Reading(state or natural, grams)

    def _run(self) -> None:
        while not self._ending.is_set():
            asked = self.port.receive(self._period_s)
            if answer := self.speech.answer(asked) if asked else self.speech.talk():
                with contextlib.suppress(OSError):
                    self.port.send(answer)

    def close(self) -> None:
        """Take it away."""
        self._ending.set()
        self._thread.join(timeout=2)
        self.port.unplug()


def _kilograms(grams: int, digits: int) -> str:
    return f"{abs(grams) // 1000:0{digits}d}.{abs(grams) % 1000:03d}"


def _toledo(reading: Reading, asked: bytes) -> bytes:
    if b"W" not in asked:
        return b""
    status = {
        WeighState.UNSTABLE: 0x41,
        WeighState.OVERLOADED: 0x42,
        WeighState.NEGATIVE: 0x44,
        WeighState.ZERO: 0x50,
    }.get(reading.state)
    if status is not None:
        return b"\x02?" + bytes([status]) + b"\r"
    return b"\x02" + _kilograms(reading.grams or 0, 2).encode() + b"\r"


def _cas(reading: Reading, asked: bytes) -> bytes:
    answer = b"\x06" if b"\x05" in asked else b""
    if b"\x11" in asked:
        sign = "F" if reading.state is WeighState.OVERLOADED else "-" if (reading.grams or 0) < 0 else " "
        state = "U" if reading.state is WeighState.UNSTABLE else "S"
        body = f"{state}{sign}{_kilograms(reading.grams or 0, 2)}kg".encode()
        answer += b"\x01\x02" + body + bytes([reduce(lambda check, byte: check ^ byte, body, 0)]) + b"\x03\x04"
    return answer


def _continuous(reading: Reading) -> bytes:
    if reading.state is WeighState.OVERLOADED:
        return b"OL,GS,+99.999 kg\r\n"
    state = "US" if reading.state is WeighState.UNSTABLE else "ST"
    sign = "-" if (reading.grams or 0) < 0 else "+"
    return f"{state},GS,{sign}{_kilograms(reading.grams or 0, 4)} kg\r\n".encode()


_SPEECHES: Final[dict[str, Callable[[Reading, bytes], bytes]]] = {
    "toledo-8217": _toledo,
    "cas": _cas,
    "continuous": lambda _, __: b"",
}


class SimulatedDisplay:
    """A customer display that reads its bytes: two lines of text, or a figure with its lamp."""

    def __init__(self) -> None:
        self.lines = [" " * COLUMNS, " " * COLUMNS]
        self.mode = PriceMode.NONE
        self.unknown = bytearray()
        self._buffer = b""
        self._row = self._column = 0

    def receive(self, data: bytes) -> bytes:
        """Take bytes in any portions; a display answers nothing."""
        self._buffer += data
        while self._buffer and (used := self._step(self._buffer)):
            self._buffer = self._buffer[used:]
        return b""

    def link(self) -> MemoryLink:
        """Return a link that ends in this display."""
        return MemoryLink(self.receive, name="simulated:display")

    def _clear(self) -> None:
        self.lines = [" " * COLUMNS, " " * COLUMNS]
        self.mode, self._row, self._column = PriceMode.NONE, 0, 0

    def _step(self, data: bytes) -> int:
        """Read one command or character; 0 when its rest is still to come."""
        match data[0], data[1:2]:
            case (0x0C, _):
                self._clear()
                return 1
            case (0x1B | 0x1F, b""):
                return 0
            case (0x1B, b"@"):
                self._clear()
                return 2
            case (0x1B, b"Q"):
                end = data.find(b"\r")
                if end < 0:
                    return 0
                text = data[3:end].decode("gb18030", "replace")
                self.lines[0 if data[2:3] == b"A" else 1] = text.ljust(COLUMNS - sum(not c.isascii() for c in text))
                return end + 1
            case (0x1B, b"s"):
                if len(data) < 3:
                    return 0
                self.mode = PriceMode(data[2] - 0x30)
                return 3
            case (0x1B, b"l") | (0x1F, b"$"):
                if len(data) < 4:
                    return 0
                self._column, self._row = data[2] - 1, data[3] - 1
                return 4
            case (0x1B, b"*") | (0x1F, b"X"):
                return 3 if len(data) >= 3 else 0
            case (byte, _) if byte >= 0x81:
                if len(data) < 2:
                    return 0
                self._put(data[:2].decode("gb18030", "replace"), 2)
                return 2
            case (byte, _) if 0x20 <= byte < 0x7F:
                self._put(chr(byte), 1)
                return 1
            case (byte, _):
                self.unknown.append(byte)
                return 1

    def _put(self, char: str, width: int) -> None:
        """Overwrite at the cursor, counting columns; at the end of a line the next one follows."""
        cells = [cell for one in self.lines[self._row] for cell in ((one,) if one.isascii() else (one, ""))]
        cells[self._column : self._column + width] = [char] + [""] * (width - 1)
        self.lines[self._row] = "".join(cells[:COLUMNS])
        self._column += width
        if self._column >= COLUMNS:
            self._column, self._row = 0, (self._row + 1) % 2
