"""Owns one receipt printer: its state before and after each job, and the honest answer to "is it on paper?".

There are three answers. `NOT_PRINTED`: nothing was handed over, try again whenever you like. `PRINTED`: the printer
said so. `UNCONFIRMED`: some bytes went out and the printer fell silent, ran out of paper or vanished; only a person can
look. A one-way printer (plain file, cheap adapter) never says anything: `HANDED_OVER`. Retrying is the caller's matter,
for only it can mark the second paper as a copy.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from drivers.errors import DeviceError, DeviceFault, NoAnswerError
from drivers.escpos.code_page import PAPER_80MM, PrinterProfile
from drivers.escpos.document import PrintDocument
from drivers.escpos.job import FLUSH, PrintJob, job_of
from drivers.escpos.picture import Typeface
from drivers.escpos.status import (
    ASK_PRINTER,
    CONFIRM,
    QUESTIONS,
    PrinterStatus,
    is_answer,
    is_confirmation,
    question,
    queued_pulse,
    real_time_pulse,
    status_from,
)
from drivers.link import BackOff, Link, Reconnection, drain

CHUNK: Final = 512
ANSWER_S: Final = 1.0
CONFIRM_S: Final = 12.0
"""Long enough for the longest receipt of a slow printer at 9600 baud after its buffer has filled."""
DRAWER_S: Final = 1.0


class Outcome(StrEnum):
    """What is known about a job afterwards."""

    PRINTED = "printed"
    HANDED_OVER = "handed-over"
    NOT_PRINTED = "not-printed"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class PrintReport:
    """How a job ended; `error` says why it did not end well, `lacks_font` that hanzi were drawn without a font."""

    outcome: Outcome
    before: PrinterStatus | None = None
    after: PrinterStatus | None = None
    error: DeviceError | None = None
    lacks_font: bool = False

    @property
    def may_be_on_paper(self) -> bool:
        """Tell whether printing it again could make a second paper."""
        return self.outcome is not Outcome.NOT_PRINTED


class DrawerMove(StrEnum):
    """What a drawer did after its pulse."""

    OPENED = "opened"
    WAS_OPEN = "was-open"
    UNKNOWN = "unknown"
    """There is no sensor to ask."""


class _Pulse:
    """A wish to open the drawer while another thread holds the printer."""

    def __init__(self, pin: int) -> None:
        self.pin = pin
        self.is_served = threading.Event()
        self.error: DeviceError | None = None


class ReceiptPrinter:
    """A printer behind a link. One thread at a time; others wait, only the drawer does not."""

    def __init__(
        self,
        link: Link,
        profile: PrinterProfile = PAPER_80MM,
        *,
        typeface: Typeface | None = None,
        back_off: BackOff | None = None,
        answer_s: float = ANSWER_S,
        confirm_s: float = CONFIRM_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.profile = profile
        self._typeface = typeface
        self._answer_s, self._confirm_s, self._monotonic = answer_s, confirm_s, monotonic
        self._way = Reconnection(link, back_off, monotonic)
        self._turn = threading.Lock()
        self._was_cut_off = False
        self._pulses: deque[_Pulse] = deque()

    @property
    def name(self) -> str:
        """Return the printer's address."""
        return self._way.link.name

    def close(self) -> None:
        """Close the link; the next job opens it again."""
        with self._turn:
            self._way.link.close()

    def expect_rest(self) -> None:
        """Say that another program was cut off in the middle of a job: the printer may still wait for its rest."""
        self._was_cut_off = True

    def status(self, *, at_once: bool = False) -> PrinterStatus:
        """Ask how the printer is; raises `DeviceError` when it cannot be reached or does not answer at all.

        A one-way printer gives an empty status. `at_once` does not wait out the back-off.
        """
        with self._turn, self._way.opened(at_once=at_once) as link:
            return self._ask(link) if self.profile.answers_status else PrinterStatus()

    def _ask(self, link: Link) -> PrinterStatus:
        drain(link)
        answers: dict[int, int] = {}
        for number in QUESTIONS:
            if (byte := self._answer(link, number)) is not None:
                answers[number] = byte
            elif not answers:
                raise NoAnswerError(DeviceFault.SILENT, self.name, "no answer to DLE EOT")
        return status_from(answers)

    def _answer(self, link: Link, number: int) -> int | None:
        link.write(question(number))
        return self._wait_for(link, is_answer, self._answer_s)

    def _wait_for(self, link: Link, wanted: Callable[[int], bool], within_s: float) -> int | None:
        until = self._monotonic() + within_s
        while (left := until - self._monotonic()) > 0:
            self._serve_pulses(link)
            for byte in link.read(64, timeout_s=min(left, 0.1)):
                if wanted(byte):
                    return byte
        return None

    def _serve_pulses(self, link: Link) -> None:
        """Open the drawer for another thread, between two commands of what this one sends."""
        while self._pulses:
            try:
                wish = self._pulses.popleft()
            except IndexError:  # its own thread took it back
                return
            try:
                link.write(real_time_pulse(wish.pin) if self.profile.has_real_time_pulse else queued_pulse(wish.pin))
            except DeviceError as error:
                wish.error = error
                raise
            finally:
                wish.is_served.set()

    def job(self, document: PrintDocument) -> PrintJob:
        """Return the bytes of a document for this printer; raises ValueError for a code that cannot fit."""
        return job_of(document, self.profile, self._typeface)

    def print(self, document: PrintDocument, *, at_once: bool = False) -> PrintReport:
        """Print a document; never raises `DeviceError`, the report says it."""
        return self.send(self.job(document), at_once=at_once)

    def send(self, job: PrintJob, *, at_once: bool = False) -> PrintReport:
        """Print the bytes of a job that was prepared before."""
        with self._turn:
            before: PrinterStatus | None = None
            try:
                with self._way.opened(at_once=at_once) as link:
                    if self.profile.answers_status:
                        before = self._ask(link)
                        if before.fault is not None:
                            raise DeviceError(before.fault, self.name)
            except DeviceError as error:
                return PrintReport(Outcome.NOT_PRINTED, before, None, error, job.lacks_font)
            return self._hand_over(job, before)

    def _hand_over(self, job: PrintJob, before: PrinterStatus | None) -> PrintReport:
        after: PrinterStatus | None = None
        try:
            with self._way.opened() as link:
                if self._was_cut_off:
                    # The printer may still wait for the rest of a picture and would swallow the beginning of this job.
                    link.write(FLUSH)
                    self._was_cut_off = False
                self._send(link, job)
                if not self.profile.answers_status:
                    return PrintReport(Outcome.HANDED_OVER, lacks_font=job.lacks_font)
                after = self._confirmed(link) if self.profile.confirms_jobs else self._ask(link)
                if after.fault is not None:
                    raise DeviceError(after.fault, self.name)
        except DeviceError as error:
            # What was handed over may still have been lost on its way: the next job ends whatever command it cut off.
            self._was_cut_off = True
            # Even a write that failed at its first byte may have left some of it in a driver's buffer.
            return PrintReport(Outcome.UNCONFIRMED, before, after, error, job.lacks_font)
        return PrintReport(Outcome.PRINTED, before, after, None, job.lacks_font)

    def _send(self, link: Link, job: PrintJob) -> None:
        begin = 0
        for end in (*job.ends, len(job.data)):
            # Small commands go together, large ones in portions; in between the drawer may be opened.
            if end - begin < CHUNK and end < len(job.data):
                continue
            for place in range(begin, end, CHUNK):
                link.write(job.data[place : min(place + CHUNK, end)])
            begin = end
            self._serve_pulses(link)

    def _confirmed(self, link: Link) -> PrinterStatus:
        """Wait until the printer has worked through the job, looking now and then whether it has stopped for good."""
        link.write(CONFIRM)
        until = self._monotonic() + self._confirm_s
        while self._monotonic() < until:
            if self._wait_for(link, is_confirmation, min(self._answer_s, self._confirm_s)) is not None:
                return self._ask(link)
            status = self._ask_beside_confirmation(link)
            if status is None:
                return self._ask(link)
            if status.fault is not None:
                return status
        raise NoAnswerError(DeviceFault.UNCONFIRMED, self.name, "no confirmation")

    def _ask_beside_confirmation(self, link: Link) -> PrinterStatus | None:
        """Ask the status while a confirmation may still come; None when it came."""
        answers: dict[int, int] = {}
        for number in QUESTIONS:
            link.write(question(number))
            byte = self._wait_for(link, lambda byte: is_answer(byte) or is_confirmation(byte), self._answer_s)
            if byte is None:
                continue
            if is_confirmation(byte):
                return None
            answers[number] = byte
        if not answers:
            raise NoAnswerError(DeviceFault.UNCONFIRMED, self.name, "silent after the job")
        return status_from(answers)

    def open_drawer(self, pin: int = 2, *, at_once: bool = False) -> DrawerMove:
        """Open the drawer and look whether it opened; raises `DeviceError`, with `drawer.jammed` when it did not.

        It waits for no job: while another thread prints, the pulse is slipped in between two of its commands. A
        printer that is offline (no paper, cover open) gets the real-time pulse where it knows it.
        """
        wish = _Pulse(pin)
        self._pulses.append(wish)
        while True:
            if self._turn.acquire(blocking=False):
                try:
                    if not self._take_back(wish):
                        break
                    with self._way.opened(at_once=at_once) as link:
                        return self._open_drawer(link, pin)
                finally:
                    self._turn.release()
            if wish.is_served.wait(0.02):
                break
        wish.is_served.wait()
        if wish.error is not None:
            raise wish.error
        # The other thread only gave the pulse; what came of it is seen when the printer is free.
        if not self._has_sensor or not self._turn.acquire(timeout=DRAWER_S):
            return DrawerMove.UNKNOWN
        try:
            with self._way.opened(at_once=at_once) as link:
                return self._see_open(link)
        finally:
            self._turn.release()

    def _take_back(self, wish: _Pulse) -> bool:
        """Take a wish off the list; False where it has been served, or is being served."""
        try:
            self._pulses.remove(wish)
        except ValueError:
            return False
        return True

    def _open_drawer(self, link: Link, pin: int) -> DrawerMove:
        answers = self.profile.answers_status
        if answers:
            drain(link)
        state = self._answer(link, ASK_PRINTER) if answers else None
        is_stuck = answers and (state is None or bool(state & 0x08))
        was_open = self._drawer_position(state) if self._has_sensor else None
        in_time = is_stuck and self.profile.has_real_time_pulse
        link.write(real_time_pulse(pin) if in_time else queued_pulse(pin))
        if answers and state is None:
            raise NoAnswerError(DeviceFault.SILENT, self.name, "no answer to DLE EOT")
        if was_open is None:
            return DrawerMove.UNKNOWN
        return DrawerMove.WAS_OPEN if was_open else self._see_open(link)

    @property
    def _has_sensor(self) -> bool:
        return self.profile.has_drawer_sensor and self.profile.answers_status

    def _see_open(self, link: Link) -> DrawerMove:
        until = self._monotonic() + DRAWER_S
        while True:
            if self._drawer_position(self._answer(link, ASK_PRINTER)):
                return DrawerMove.OPENED
            if self._monotonic() >= until:
                raise DeviceError(DeviceFault.DRAWER_JAMMED, self.name)
            time.sleep(0.05)

    def _drawer_position(self, byte: int | None) -> bool | None:
        return None if byte is None else bool(byte & 0x04) is self.profile.is_drawer_open_high
