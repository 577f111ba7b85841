"""Owns shop scales: three protocols as pure framers, and readings in whole grams.

* `Toledo8217` asks: Mettler Toledo "8217 Technical Manual", serial interface, 8213 protocol: `W` is answered by
  STX weight CR or STX `?` status CR. 9600 baud, 7 data bits, even parity in most shops.
* `CasPolled` asks: CAS "AP-1 / AD-1 / PD-II Owner's Manual", communication protocol: ENQ is answered by ACK, then DC1
  by SOH STX status sign weight unit BCC ETX EOT. 9600 baud, 8 data bits, no parity.
* `ContinuousAscii` listens: A&D "Standard format" (e.g. FG-K and AD-4401 Instruction Manuals) and CAS "22-byte format"
  (CI-2001A Owner's Manual): `ST,GS,+00012.5 kg` CR LF, several times a second.

Weights are decimal text and are turned into grams by whole-number arithmetic; half a gram goes away from zero.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import reduce
from typing import Final, Protocol

from drivers.errors import DeviceError, DeviceFault, NoAnswerError
from drivers.link import BackOff, Link, Reconnection, drain

FRAME_MAX: Final = 64
"""No frame of these protocols is longer; what is longer is noise."""


class Unit(StrEnum):
    """What a scale counts in."""

    GRAM = "g"
    KILOGRAM = "kg"
    POUND = "lb"
    OUNCE = "oz"


GRAMS: Final = {
    Unit.GRAM: Fraction(1),
    Unit.KILOGRAM: Fraction(1000),
    Unit.POUND: Fraction("453.59237"),
    Unit.OUNCE: Fraction("28.349523125"),
}
"""International avoirdupois pound of 1959, and its sixteenth."""


class WeighState(StrEnum):
    """Whether a reading may be sold by."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    ZERO = "zero"
    NEGATIVE = "negative"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a scale said: `grams` is None where it gave no figure."""

    state: WeighState
    grams: int | None = None
    is_net: bool = False

    @property
    def fault(self) -> DeviceFault | None:
        """Return why nothing can be sold by this reading, or None."""
        return _FAULTS.get(self.state)


_FAULTS: Final = {
    WeighState.UNSTABLE: DeviceFault.SCALE_UNSTABLE,
    WeighState.ZERO: DeviceFault.SCALE_EMPTY,
    WeighState.NEGATIVE: DeviceFault.SCALE_NEGATIVE,
    WeighState.OVERLOADED: DeviceFault.SCALE_OVERLOADED,
}


def grams_of(text: str, unit: Unit) -> int:
    """Return decimal text as whole grams; raises ValueError for anything else."""
    if not re.fullmatch(r"[+-]? *(\d+\.?\d*|\.\d+)", text, re.ASCII):
        raise ValueError(f"{text!r} is no weight")
    exact = Fraction(text.replace(" ", "")) * GRAMS[unit]
    magnitude = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return -magnitude if exact < 0 else magnitude


def _reading(grams: int, *, is_stable: bool, is_net: bool = False) -> Reading:
    if not is_stable:
        return Reading(WeighState.UNSTABLE, grams, is_net)
    state = WeighState.NEGATIVE if grams < 0 else WeighState.ZERO if grams == 0 else WeighState.STABLE
    return Reading(state, grams, is_net)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of some bytes: readings, and what must be sent next."""

    readings: tuple[Reading, ...] = ()
    reply: bytes = b""


class ScaleProtocol(Protocol):
    """A scale's language, without its port."""

    def ask(self) -> bytes:
        """Begin a new question: forget a started answer and return what to send; nothing for scales that just talk."""

    def feed(self, data: bytes) -> Exchange:
        """Take bytes in any portions."""


class Toledo8217:
    """Mettler Toledo 8217 and the many scales that speak like it; the unit is a setting of the scale."""

    _FRAME = re.compile(rb"\x02(?:\?(?P<status>[^\x00\r])|(?P<weight>[ 0-9.]{1,9})(?P<net>N?))\r")

    def __init__(self, unit: Unit = Unit.KILOGRAM) -> None:
        self._unit = unit
        self._buffer = b""

    def ask(self) -> bytes:
        """Ask for the weight."""
        self._buffer = b""
        return b"W"

    def feed(self, data: bytes) -> Exchange:
        """Take bytes in any portions; those of a scale set to even parity may come with bit 7 set."""
        self._buffer += bytes(byte & 0x7F for byte in data)
        readings = []
        end = 0
        for found in self._FRAME.finditer(self._buffer):
            end = found.end()
            if found["status"] is not None:
                readings.append(self._from_status(found["status"][0]))
                continue
            try:
                grams = grams_of(found["weight"].decode().replace(" ", ""), self._unit)
            except ValueError:
                continue
            readings.append(_reading(grams, is_stable=True, is_net=bool(found["net"])))
        self._buffer = self._buffer[end:][-FRAME_MAX:]
        return Exchange(tuple(readings))

    @staticmethod
    def _from_status(status: int) -> Reading:
        """Read the bits: 0 motion, 1 over capacity, 2 under zero, 3 outside zero range, 4 centre of zero, 5 net."""
        is_net = bool(status & 0x20)
        if status & 0x02:
            return Reading(WeighState.OVERLOADED, None, is_net)
        if status & 0x01:
            return Reading(WeighState.UNSTABLE, None, is_net)
        if status & 0x04:
            return Reading(WeighState.NEGATIVE, None, is_net)
        if status & 0x10:
            return Reading(WeighState.ZERO, 0, is_net)
        return Reading(WeighState.UNSTABLE, None, is_net)


class CasPolled:
    """CAS counter scales: a handshake, then one block with its check byte."""

    ENQ, ACK, DC1 = b"\x05", 0x06, b"\x11"
    _FRAME = re.compile(
        rb"\x01\x02(?P<body>(?P<state>[SU])(?P<sign>[ \-F])(?P<weight>[ 0-9.]{6})(?P<unit>kg|KG| g| G|lb|LB|oz|OZ))"
        rb"(?P<check>[\x00-\xff])\x03\x04",
        re.DOTALL,
    )

    def __init__(self) -> None:
        self._buffer = b""
        self._awaits_ack = False

    def ask(self) -> bytes:
        """Greet the scale."""
        self._buffer = b""
        self._awaits_ack = True
        return self.ENQ

    def feed(self, data: bytes) -> Exchange:
        """Take bytes in any portions; the ACK is replied to with DC1; a block with a wrong check byte is skipped."""
        reply = b""
        if self._awaits_ack and self.ACK in data:
            # It may as well be a check byte of a late block, so nothing before it is thrown away.
            self._awaits_ack = False
            reply = self.DC1
        self._buffer += data
        readings = []
        end = 0
        for found in self._FRAME.finditer(self._buffer):
            end = found.end()
            if reduce(lambda check, byte: check ^ byte, found["body"], 0) != found["check"][0]:
                continue
            if found["sign"] == b"F":
                readings.append(Reading(WeighState.OVERLOADED))
                continue
            sign = "-" if found["sign"] == b"-" else ""
            unit = Unit(found["unit"].decode().strip().lower())
            try:
                grams = grams_of(sign + found["weight"].decode().replace(" ", ""), unit)
            except ValueError:
                continue
            readings.append(_reading(grams, is_stable=found["state"] == b"S"))
        self._buffer = self._buffer[end:][-FRAME_MAX:]
        return Exchange(tuple(readings), reply)


class ContinuousAscii:
    """Scales that send a line several times a second; only whole lines count."""

    _LINE = re.compile(
        r"(?P<state>ST|US|OL|QT)(?:,(?P<kind>GS|NT|TR))?(?:,[^,]{1,4})*?,\s*"
        r"(?P<weight>[+-]?\s*[\d ]*\.?\d*)\s*(?P<unit>kg|g|lb|oz)?\s*",
        re.IGNORECASE | re.ASCII,
    )

    def __init__(self, unit: Unit = Unit.KILOGRAM) -> None:
        self._unit = unit
        self._buffer = b""
        self._is_whole = False

    def ask(self) -> bytes:
        """Send nothing; the line that is arriving may have lost its beginning."""
        self._buffer = b""
        self._is_whole = False
        return b""

    def feed(self, data: bytes) -> Exchange:
        """Take bytes in any portions."""
        *lines, self._buffer = re.split(rb"[\r\n]+", self._buffer + data)
        readings = []
        for line in lines:
            # What came first may be the end of a line whose beginning we did not hear: "00.5" for "+100.5".
            if self._is_whole and len(line) <= FRAME_MAX and (reading := self._read(line)) is not None:
                readings.append(reading)
            self._is_whole = True
        if len(self._buffer) > FRAME_MAX:
            self._buffer, self._is_whole = b"", False
        return Exchange(tuple(readings))

    def _read(self, line: bytes) -> Reading | None:
        text = line.decode("ascii", "replace").replace("\x02", "").replace("\x03", "").strip()
        found = self._LINE.fullmatch(text)
        if found is None:
            return Reading(WeighState.OVERLOADED) if text.upper().startswith("OL,") else None
        state, is_net = found["state"].upper(), (found["kind"] or "").upper() == "NT"
        if state == "OL":
            return Reading(WeighState.OVERLOADED, None, is_net)
        try:
            unit = Unit(found["unit"].lower()) if found["unit"] else self._unit
            grams = grams_of(found["weight"].replace(" ", ""), unit)
        except ValueError:
            return None
        return _reading(grams, is_stable=state != "US", is_net=is_net)


PROTOCOLS: Final[dict[str, Callable[[], ScaleProtocol]]] = {
    "toledo-8217": Toledo8217,
    "cas": CasPolled,
    "continuous": ContinuousAscii,
}
"""The protocols that a setting can name."""


class Scale:
    """A scale on a link, asked when something lies on it."""

    def __init__(
        self,
        link: Link,
        protocol: ScaleProtocol,
        *,
        answer_s: float = 0.6,
        period_s: float = 0.15,
        back_off: BackOff | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._protocol, self._answer_s, self._period_s = protocol, answer_s, period_s
        self._monotonic, self._sleep = monotonic, sleep
        self._way = Reconnection(link, back_off, monotonic)
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """Return the scale's address."""
        return self._way.link.name

    def close(self) -> None:
        """Let the port go; the next question opens it again."""
        with self._turn:
            self._way.link.close()

    def read(self) -> Reading:
        """Ask once and return the newest reading; raises `DeviceError` when the scale is away or silent."""
        with self._turn, self._way.opened() as link:
            drain(link)
            if question := self._protocol.ask():
                link.write(question)
            until = self._monotonic() + self._answer_s
            has_heard = False
            while (left := until - self._monotonic()) > 0:
                data = link.read(timeout_s=min(left, 0.1))
                has_heard = has_heard or bool(data)
                came = self._protocol.feed(data) if data else Exchange()
                if came.reply:
                    link.write(came.reply)
                if came.readings:
                    return came.readings[-1]
            if has_heard:
                raise NoAnswerError(DeviceFault.GARBLED, self.name, "answers in another protocol or speed")
            raise NoAnswerError(DeviceFault.SILENT, self.name, "no weight")

    def weigh(self, within_s: float = 3.0) -> int:
        """Return the grams of a stable weight; raises `DeviceError` saying why there is none within the time.

        Overload, an empty or negative scale are told at once: waiting does not mend them. A single garbled answer is
        asked again.
        """
        until = self._monotonic() + within_s
        while True:
            fault = DeviceFault.SCALE_UNSTABLE
            try:
                reading = self.read()
                if reading.state is WeighState.STABLE and reading.grams is not None:
                    return reading.grams
                if reading.fault not in (None, DeviceFault.SCALE_UNSTABLE):
                    raise DeviceError(reading.fault, self.name)
            except NoAnswerError as error:
                fault = error.fault
            if self._monotonic() >= until:
                raise DeviceError(fault, self.name)
            self._sleep(self._period_s)


class ScaleWatch:
    """A thread that asks a scale again and again and tells each change of reading or state; it survives unplugging."""

    def __init__(
        self,
        scale: Scale,
        on_reading: Callable[[Reading], None],
        on_state: Callable[[DeviceError | None], None] | None = None,
        *,
        period_s: float = 0.2,
    ) -> None:
        self._scale, self._on_reading, self._on_state, self._period_s = scale, on_reading, on_state, period_s
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask."""
        if self._thread is None:
            self._ending.clear()
            self._thread = threading.Thread(target=self._run, name=f"asks {self._scale.name}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and let the port go."""
        self._ending.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=3)
        self._scale.close()

    def _run(self) -> None:
        last: Reading | None = None
        told: DeviceFault | str | None = "nothing yet"
        while not self._ending.is_set():
            try:
                reading = self._scale.read()
            except DeviceError as error:
                last = None
                if error.fault != told:
                    told = error.fault
                    if self._on_state is not None:
                        self._on_state(error)
            else:
                if told is not None:
                    told = None
                    if self._on_state is not None:
                        self._on_state(None)
                if reading != last:
                    last = reading
                    self._on_reading(reading)
            self._ending.wait(self._period_s)
