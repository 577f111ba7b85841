"""Owns the ways to a device: serial port, network socket, device file, USB printer, memory; and how each comes back.

Everything above a link is a pure framer of bytes, so a link is the only thing that can block, vanish or lie. Four
rules hold for all of them: `write` hands over everything or raises, `read` returns as soon as anything is there and
`b""` when time is up, a device that goes away raises `LinkDownError`, and a closed link can be opened again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from drivers.errors import DeviceError, DeviceFault, LinkDownError, NoAnswerError

READ_S: Final = 0.3
"""How long a reader thread waits for bytes before it looks whether it should end."""
WRITE_S: Final = 5.0
"""How long a device may refuse bytes (a printer without paper holds them back) before we stop offering."""


FLOWS: Final = ("none", "xonxoff", "rtscts", "dsrdtr")
"""Who holds the other back on a serial line, and how; receipt printers mostly use `dsrdtr` at their DTR line."""


class Link(Protocol):
    """A way to one device."""

    @property
    def name(self) -> str:
        """Return the address as the settings write it."""

    @property
    def is_open(self) -> bool:
        """Tell whether `open` succeeded and nothing has failed since."""

    def open(self) -> None:
        """Open the way, once; raise `LinkDownError` when it cannot be opened now."""

    def write(self, data: bytes) -> None:
        """Hand over all of it; raise `LinkDownError` or `NoAnswerError` when only a part or nothing was taken."""

    def read(self, limit: int = 4096, *, timeout_s: float = READ_S) -> bytes:
        """Return what is there within the time, at most `limit` bytes; nothing in time is `b""`."""

    def close(self) -> None:
        """Close the way; closing twice is fine."""


def fault_of(error: BaseException, *, was_open: bool) -> DeviceFault:
    """Name what an operating system's error means for a device."""
    number = getattr(error, "errno", None)
    match number:
        case errno.EACCES | errno.EPERM:
            return DeviceFault.FORBIDDEN
        case errno.EBUSY | errno.EAGAIN:
            return DeviceFault.BUSY
    if "exclusively lock" in str(error):
        return DeviceFault.BUSY
    return DeviceFault.UNPLUGGED if was_open else DeviceFault.ABSENT


class SerialLink:
    """A serial port through pyserial, held exclusively; opening discards what was scanned or weighed before."""

    def __init__(
        self,
        port: str,
        baud: int = 9600,
        *,
        bits: int = 8,
        parity: str = "N",
        stop: int = 1,
        flow: str = "none",
        write_s: float = WRITE_S,
    ) -> None:
        if flow not in FLOWS:
            raise ValueError(f"flow control is one of {', '.join(FLOWS)}, not {flow!r}")
        self._port, self._baud, self._bits, self._parity, self._stop = port, baud, bits, parity, stop
        self._flow = flow
        self._write_s = write_s
        self._serial: Any = None

    @property
    def name(self) -> str:
        """Return the address as the settings write it."""
        return f"serial:{self._port}"

    @property
    def is_open(self) -> bool:
        """Tell whether the port is held."""
        return self._serial is not None

    def open(self) -> None:
        """Hold the port, discard stale bytes."""
        import serial

        if self._serial is not None:
            return
        try:
            self._serial = serial.Serial(
                self._port,
                self._baud,
                bytesize=self._bits,
                parity=self._parity,
                stopbits=self._stop,
                xonxoff=self._flow == "xonxoff",
                rtscts=self._flow == "rtscts",
                dsrdtr=self._flow == "dsrdtr",
                timeout=READ_S,
                write_timeout=self._write_s,
                exclusive=True,
            )
            self._serial.reset_input_buffer()
        except (OSError, ValueError) as error:
            self.close()
            raise LinkDownError(fault_of(error, was_open=False), self.name, str(error)) from error

    def _lost(self, error: BaseException) -> LinkDownError:
        self.close()
        return LinkDownError(DeviceFault.UNPLUGGED, self.name, str(error))

    def write(self, data: bytes) -> None:
        """Hand over all bytes within the time for writing."""
        import serial

        if (port := self._serial) is None:
            raise LinkDownError(DeviceFault.UNPLUGGED, self.name)
        try:
            port.write(data)
        except serial.SerialTimeoutException as error:
            raise NoAnswerError(DeviceFault.SILENT, self.name, "takes no bytes") from error
        except (OSError, TypeError, AttributeError) as error:  # the latter two: closed by another thread meanwhile
            raise self._lost(error) from error

    def read(self, limit: int = 4096, *, timeout_s: float = READ_S) -> bytes:
        """Wait for a first byte, then take what else has arrived."""
        if (port := self._serial) is None:
            raise LinkDownError(DeviceFault.UNPLUGGED, self.name)
        try:
            if port.timeout != timeout_s:
                port.timeout = timeout_s
            first: bytes = port.read(1)
            waiting = min(port.in_waiting, limit - 1) if first else 0
            return first + (port.read(waiting) if waiting else b"")
        except (OSError, TypeError, AttributeError) as error:
            raise self._lost(error) from error

    def close(self) -> None:
        """Let the port go."""
        port, self._serial = self._serial, None
        if port is not None:
            with contextlib.suppress(OSError, TypeError):
                port.close()


class NetworkLink:
    """A TCP connection to a printer's raw port or to a serial device server."""

    def __init__(self, host: str, port: int = 9100, *, connect_s: float = 3.0, write_s: float = WRITE_S) -> None:
        self._host, self._port, self._connect_s, self._write_s = host, port, connect_s, write_s
        self._socket: socket.socket | None = None

    @property
    def name(self) -> str:
        """Return the address as the settings write it."""
        return f"tcp://{self._host}:{self._port}"

    @property
    def is_open(self) -> bool:
        """Tell whether the connection stands, as far as is known."""
        return self._socket is not None

    def open(self) -> None:
        """Connect."""
        if self._socket is not None:
            return
        try:
            self._socket = socket.create_connection((self._host, self._port), self._connect_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            raise LinkDownError(DeviceFault.ABSENT, self.name, str(error)) from error

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise LinkDownError(DeviceFault.UNPLUGGED, self.name)
        return self._socket

    def _lost(self, error: BaseException | str) -> LinkDownError:
        self.close()
        return LinkDownError(DeviceFault.UNPLUGGED, self.name, str(error))

    def write(self, data: bytes) -> None:
        """Hand all bytes to the network; that the peer took them is known only by its answer."""
        connected = self._connected()
        try:
            connected.settimeout(self._write_s)
            connected.sendall(data)
        except TimeoutError as error:
            # An unknown part was sent: what follows on this connection would be read in its middle.
            self.close()
            raise NoAnswerError(DeviceFault.SILENT, self.name, "takes no bytes") from error
        except OSError as error:
            raise self._lost(error) from error

    def read(self, limit: int = 4096, *, timeout_s: float = READ_S) -> bytes:
        """Return what has arrived; the peer's closing is a lost link."""
        connected = self._connected()
        try:
            connected.settimeout(max(timeout_s, 0.001))
            data = connected.recv(limit)
        except TimeoutError:
            return b""
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise self._lost("closed by the device")
        return data

    def close(self) -> None:
        """Disconnect."""
        connected, self._socket = self._socket, None
        if connected is not None:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            connected.close()


class FileLink:
    """A device file such as a line printer's, or a plain file to which jobs are appended."""

    def __init__(self, path: str, *, write_s: float = WRITE_S) -> None:
        self._path, self._write_s = path, write_s
        self._fd: int | None = None
        self._answers = False

    @property
    def name(self) -> str:
        """Return the address as the settings write it."""
        return f"file:{self._path}"

    @property
    def is_open(self) -> bool:
        """Tell whether the file is open."""
        return self._fd is not None

    def open(self) -> None:
        """Open for appending; a device file also for reading where it allows that."""
        if self._fd is not None:
            return
        try:
            try:
                is_device = not stat.S_ISREG(os.stat(self._path).st_mode)  # noqa: PTH116 - one look at what it is
            except FileNotFoundError:
                is_device = False
            if not is_device:
                if self._path.startswith("/dev/"):  # an unplugged device must not become a file of its name
                    raise FileNotFoundError(errno.ENOENT, "no such device", self._path)
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
                self._answers = False
                return
            common = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                self._fd, self._answers = os.open(self._path, os.O_RDWR | common), True
            except OSError:
                self._fd, self._answers = os.open(self._path, os.O_WRONLY | common), False
        except OSError as error:
            raise LinkDownError(fault_of(error, was_open=False), self.name, str(error)) from error

    def _opened(self) -> int:
        if self._fd is None:
            raise LinkDownError(DeviceFault.UNPLUGGED, self.name)
        return self._fd

    def _lost(self, error: BaseException) -> LinkDownError:
        self.close()
        return LinkDownError(DeviceFault.UNPLUGGED, self.name, str(error))

    def write(self, data: bytes) -> None:
        """Write all bytes, waiting while the device is full."""
        fd, rest, until = self._opened(), memoryview(data), time.monotonic() + self._write_s
        try:
            while rest:
                try:
                    rest = rest[os.write(fd, rest) :]
                except BlockingIOError:
                    left = until - time.monotonic()
                    if left <= 0:
                        raise NoAnswerError(DeviceFault.SILENT, self.name, "takes no bytes") from None
                    select.select([], [fd], [], min(left, READ_S))
        except OSError as error:
            raise self._lost(error) from error

    def read(self, limit: int = 4096, *, timeout_s: float = READ_S) -> bytes:
        """Return what a device answers; a plain file never answers."""
        fd = self._opened()
        if not self._answers:
            return b""
        try:
            ready, _, _ = select.select([fd], [], [], timeout_s)
            return os.read(fd, limit) if ready else b""
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost(error) from error

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):
                os.close(fd)


class UsbPrinterLink:
    """A USB receipt printer through python-escpos, which needs `pyusb` and libusb; endpoints as most printers have."""

    def __init__(self, vendor: int, product: int, *, in_endpoint: int = 0x82, out_endpoint: int = 0x01) -> None:
        self._vendor, self._product, self._in, self._out = vendor, product, in_endpoint, out_endpoint
        self._usb: Any = None

    @property
    def name(self) -> str:
        """Return the address as the settings write it."""
        return f"usb:{self._vendor:04x}:{self._product:04x}"

    @property
    def is_open(self) -> bool:
        """Tell whether the printer is claimed."""
        return self._usb is not None

    def open(self) -> None:
        """Find and claim the printer."""
        if self._usb is not None:
            return
        from drivers.escpos.library import library

        transport: Any = library().Usb
        if not transport.is_usable():
            raise LinkDownError(DeviceFault.ADDRESS, self.name, "USB needs the Python package pyusb and libusb")
        printer = transport(self._vendor, self._product, timeout=int(WRITE_S * 1000), in_ep=self._in, out_ep=self._out)
        try:
            printer.open()
        except Exception as error:  # the backends of pyusb each raise their own
            raise LinkDownError(fault_of(error, was_open=False), self.name, str(error)) from error
        self._usb = printer

    def _lost(self, error: BaseException) -> LinkDownError:
        self.close()
        return LinkDownError(DeviceFault.UNPLUGGED, self.name, str(error))

    def write(self, data: bytes) -> None:
        """Send all bytes to the printer's output endpoint."""
        if self._usb is None:
            raise LinkDownError(DeviceFault.UNPLUGGED, self.name)
        try:
            self._usb._raw(data)
        except Exception as error:
            if getattr(error, "errno", None) == errno.ETIMEDOUT:
                raise NoAnswerError(DeviceFault.SILENT, self.name, "takes no bytes") from error
            raise self._lost(error) from error

    def read(self, limit: int = 4096, *, timeout_s: float = READ_S) -> bytes:
        """Return what the printer's input endpoint holds."""
        if self._usb is None:
            raise LinkDownError(DeviceFault.UNPLUGGED, self.name)
        try:
            return bytes(self._usb.device.read(self._in, limit, max(int(timeout_s * 1000), 1)))
        except Exception as error:
            if getattr(error, "errno", None) == errno.ETIMEDOUT:
                return b""
            raise self._lost(error) from error

    def close(self) -> None:
        """Release the printer."""
        printer, self._usb = self._usb, None
        if printer is not None:
            with contextlib.suppress(Exception):
                printer.close()


class MemoryLink:
    """A link that ends in this process: keeps what was written and answers through `respond`."""

    def __init__(self, respond: Callable[[bytes], bytes] | None = None, *, name: str = "memory:") -> None:
        self._name, self._respond = name, respond
        self._incoming = bytearray()
        self._arrived = threading.Condition()
        self.written = bytearray()
        self.is_plugged_in = True
        self._is_open = False

    @property
    def name(self) -> str:
        """Return the address as the settings write it."""
        return self._name

    @property
    def is_open(self) -> bool:
        """Tell whether it is open."""
        return self._is_open

    def open(self) -> None:
        """Open, unless it is unplugged; stale bytes are gone."""
        if not self.is_plugged_in:
            raise LinkDownError(DeviceFault.ABSENT, self.name)
        with self._arrived:
            self._incoming.clear()
        self._is_open = True

    def _check(self) -> None:
        if not self.is_plugged_in or not self._is_open:
            self._is_open = False
            raise LinkDownError(DeviceFault.UNPLUGGED, self.name)

    def write(self, data: bytes) -> None:
        """Keep the bytes and queue the answer to them."""
        self._check()
        self.written += data
        if self._respond is not None and (answer := self._respond(data)):
            self.feed(answer)

    def feed(self, data: bytes) -> None:
        """Let bytes arrive, as from the device."""
        with self._arrived:
            self._incoming += data
            self._arrived.notify_all()

    def read(self, limit: int = 4096, *, timeout_s: float = READ_S) -> bytes:
        """Return what was fed or answered."""
        self._check()
        with self._arrived:
            self._arrived.wait_for(lambda: self._incoming or not self.is_plugged_in, timeout_s)
            data = bytes(self._incoming[:limit])
            del self._incoming[:limit]
        if not data:
            self._check()
        return data

    def unplug(self) -> None:
        """Make every use fail until `plug_in`."""
        with self._arrived:
            self.is_plugged_in = False
            self._arrived.notify_all()

    def plug_in(self) -> None:
        """Let it be opened again."""
        self.is_plugged_in = True

    def close(self) -> None:
        """Close."""
        self._is_open = False


def link_from_address(address: str) -> Link:
    """Return the closed link that a setting names; raises `DeviceError` with `device.address`.

    `serial:/dev/ttyUSB0?baud=9600&bits=7&parity=E&stop=1&flow=dsrdtr` · `tcp://10.0.0.8:9100` · `file:/dev/usb/lp0` ·
    `usb:04b8:0e15` (vendor and product in hexadecimal; `?in=82&out=01` for other endpoints).
    """
    try:
        scheme, _, rest = address.partition(":")
        parts = urlsplit(address)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        match scheme:
            case "serial":
                port = unquote(rest.partition("?")[0])
                baud, bits = int(options.pop("baud", 9600)), int(options.pop("bits", 8))
                parity, stop = options.pop("parity", "N").upper(), int(options.pop("stop", 1))
                flow = options.pop("flow", "none")
                if port and bits in (7, 8) and parity in ("N", "E", "O") and stop in (1, 2) and not options:
                    return SerialLink(port, baud, bits=bits, parity=parity, stop=stop, flow=flow)
            case "tcp":
                if parts.hostname and not options and parts.path in ("", "/"):
                    return NetworkLink(parts.hostname, parts.port or 9100)
            case "file":
                if (path := unquote(rest.removeprefix("//"))) and not options:
                    return FileLink(path)
            case "usb":
                vendor, _, product = rest.partition("?")[0].partition(":")
                inward, outward = int(options.pop("in", "82"), 16), int(options.pop("out", "01"), 16)
                if not options:
                    return UsbPrinterLink(int(vendor, 16), int(product, 16), in_endpoint=inward, out_endpoint=outward)
    except ValueError as error:
        raise DeviceError(DeviceFault.ADDRESS, address, str(error)) from error
    raise DeviceError(DeviceFault.ADDRESS, address)


def drain(link: Link) -> None:
    """Throw away what is still on its way from before, so that it is not taken for an answer; a babbler is bounded."""
    for _ in range(64):
        if not link.read(timeout_s=0):
            return


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A serial port that this machine has now."""

    address: str
    description: str


def serial_ports() -> list[SerialPort]:
    """List the serial ports of this machine, with what their makers call them."""
    from serial.tools import list_ports

    found = ((str(port.device), str(port.description or "")) for port in list_ports.comports())
    return sorted((SerialPort(f"serial:{device}", text) for device, text in found), key=lambda port: port.address)


@dataclass(slots=True)
class BackOff:
    """How long to wait before the next attempt: doubling from `first_s` to `longest_s`, anew after a success."""

    first_s: float = 0.2
    longest_s: float = 5.0
    _next_s: float = 0.0

    def failed(self) -> float:
        """Note a failure and return the seconds to wait."""
        wait_s = self._next_s or self.first_s
        self._next_s = min(wait_s * 2, self.longest_s)
        return min(wait_s, self.longest_s)

    def succeeded(self) -> None:
        """Start again from the shortest wait."""
        self._next_s = 0.0


class Reconnection:
    """Keeps a link open for a device that is asked now and then; within the back-off it fails at once, not slowly."""

    def __init__(
        self, link: Link, back_off: BackOff | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.link = link
        self._back_off = back_off or BackOff()
        self._monotonic = monotonic
        self._not_before = float("-inf")
        self._last: DeviceError | None = None

    @contextlib.contextmanager
    def opened(self, *, at_once: bool = False) -> Iterator[Link]:
        """Yield the open link; `at_once` ignores the back-off, for a person who presses "try again"."""
        if not self.link.is_open:
            if self._last is not None and not at_once and self._monotonic() < self._not_before:
                raise self._last
            try:
                self.link.open()
            except DeviceError as error:
                self._last, self._not_before = error, self._monotonic() + self._back_off.failed()
                raise
            self._last = None
            self._back_off.succeeded()
        try:
            yield self.link
        except LinkDownError:
            self.link.close()
            raise


class LinkReader:
    """A thread that keeps a link open and hands on whatever arrives; it survives every unplugging.

    `on_bytes` gets each chunk; `on_state` gets None when the device is there and the error when it is not, once per
    change. Both run in the reader's thread and must not block.
    """

    def __init__(
        self,
        link: Link,
        on_bytes: Callable[[bytes], None],
        on_state: Callable[[DeviceError | None], None] | None = None,
        *,
        back_off: BackOff | None = None,
        on_silence: Callable[[], None] | None = None,
        read_s: float = READ_S,
    ) -> None:
        self._link, self._on_bytes, self._on_state, self._on_silence = link, on_bytes, on_state, on_silence
        self._back_off = back_off or BackOff()
        self._read_s = read_s
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: DeviceFault | str | None = "nothing yet"

    def start(self) -> None:
        """Begin to read."""
        if self._thread is None:
            self._ending.clear()
            self._thread = threading.Thread(target=self._run, name=f"reads {self._link.name}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and close the link."""
        self._ending.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2 + self._read_s)
        self._link.close()

    def _tell(self, error: DeviceError | None) -> None:
        fault = error.fault if error is not None else None
        if fault != self._told:
            self._told = fault
            if self._on_state is not None:
                self._on_state(error)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                if not self._link.is_open:
                    self._link.open()
                    self._back_off.succeeded()
                    self._tell(None)
                data = self._link.read(timeout_s=self._read_s)
            except DeviceError as error:
                self._link.close()
                self._tell(error)
                self._ending.wait(self._back_off.failed())
                continue
            if data:
                self._on_bytes(data)
            elif self._on_silence is not None:
                self._on_silence()
