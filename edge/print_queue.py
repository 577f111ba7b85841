"""Owns the thread that brings waiting paper to the printer, in order, and never in the way of a sale.

It has connections of its own, reads and writes in transactions of a millisecond and holds none while the printer
works. Only one process of a node prints at a time; a lock on a file, which the system lets go when a process dies,
sees to it, and tells the next one that what is still `printing` was cut off.
"""

from __future__ import annotations

import contextlib
import fcntl
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from drivers.errors import DeviceError
from drivers.escpos.document import PrintDocument, Raster
from drivers.escpos.job import PrintJob
from drivers.escpos.printer import Outcome, PrintReport, ReceiptPrinter
from drivers.escpos.status import Paper, PrinterStatus
from edge.clock_source import ClockSource, machine_clock
from edge.config import DATABASE_FILE
from edge.device_events import (
    Condition,
    DeviceEvent,
    DeviceRole,
    DeviceState,
    PaperFailed,
    PaperPrinted,
    PaperUnknown,
)
from edge.devices_config import HOLD_MINUTES
from edge.node import Node
from edge.print_jobs import JobState, PrintJobRow, jobs, tidy
from edge.receipts import Copy, receipt_document, report_document
from edge.store import Store, foreseen
from schema.errors import EdgetillError, TransientError

LOCK_FILE: Final = "print.lock"
POLL_S: Final = 1.0
"""How often the list is looked at where nobody says that something was added."""
WATCH_S: Final = 5.0
"""How often a printer that is well is asked how it is."""
AGAIN_S: Final = 0.9
"""How soon one in trouble is asked again."""
STOP_S: Final = 3.0
LITTLE_PAPER: Final = "printer.little_paper"
ELSEWHERE: Final = "print.elsewhere"
TOO_LATE: Final = "print.late"
UNPRINTABLE: Final = "print.unprintable"
BROKEN: Final = "print.broken"
MINUTE_MS: Final = 60_000


class PrintQueue:
    """Prints what waits at one node. `on_event` and `on_state` (the printer's changes) are called from its thread."""

    def __init__(
        self,
        directory: Path,
        printer: ReceiptPrinter,
        *,
        on_event: Callable[[DeviceEvent], object] = lambda _: None,
        on_state: Callable[[DeviceState], None] = lambda _: None,
        clock: ClockSource = machine_clock,
        hold_minutes: int = HOLD_MINUTES,
        logo: Raster | None = None,
        is_shared: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.printer = printer
        self.state = DeviceState(DeviceRole.PRINTER, Condition.STARTING, address=printer.name)
        self._directory, self._clock, self._monotonic = directory, clock, monotonic
        self._on_event, self._on_state = on_event, on_state
        self._hold_ms = hold_minutes * MINUTE_MS
        self._logo, self._is_shared = logo, is_shared
        self._at_once: deque[PrintDocument] = deque()
        self._waking = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock: IO[str] | None = None
        self._node: Node | None = None
        self._store: Store | None = None
        self._watch_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # The thread.

    def start(self, *, after_s: float = 0.0) -> None:
        """Begin to print; `after_s` leaves the machine to those who start with it."""
        if self._thread is None:
            self._ending.clear()
            self._thread = threading.Thread(target=self._run, args=(after_s,), name="prints receipts", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after the job in hand, and let printer and file go.

        A printer that hangs is waited for no longer than a moment: its thread ends when it can, and lets go then.
        """
        self._ending.set()
        self._waking.set()
        thread, self._thread = self._thread, None
        if thread is None:
            self._let_go()
        else:
            thread.join(timeout=STOP_S)

    def wake(self) -> None:
        """Say that something was added: the next look is now."""
        self._waking.set()

    def print_now(self, document: PrintDocument) -> None:
        """Print a document that is no entry (training, a test page): it waits in memory alone."""
        self._at_once.append(document)
        self.wake()

    def _run(self, after_s: float) -> None:
        self._ending.wait(after_s)
        try:
            self._print_on()
        finally:
            self._let_go()

    def _print_on(self) -> None:
        while not self._ending.is_set():
            try:
                with foreseen(self._directory / DATABASE_FILE):
                    if self.turn():
                        continue
                    self._watch()
            except EdgetillError as error:  # the file is busy, the disk is full: paper waits, sales go on
                self._tell(Condition.FAULT, error.code)
            except Exception as error:  # whatever it is, the next receipt gets its chance
                self._tell(Condition.FAULT, f"{BROKEN} {type(error).__name__}")
            self._waking.wait(POLL_S)
            self._waking.clear()

    def run_until_idle(self) -> int:
        """Print all that waits, in the caller's thread, until nothing more can be; returns how many were printed."""
        printed = 0
        while self.turn():
            printed += 1
        return printed

    # One job.

    def turn(self) -> bool:
        """Deal with the oldest job that waits; False where there is nothing to do, or it cannot be done now."""
        if not self._take_hold():
            self._tell(Condition.FAULT, ELSEWHERE)
            return False
        assert self._store is not None
        if self._at_once:
            return self._print_at_once()
        waiting = self._first_waiting()
        if waiting is None:
            return False
        if self._clock().wall_ms - waiting.queued_ms > self._hold_ms:
            self._settle(waiting, JobState.FAILED, TOO_LATE)
            self._on_event(PaperFailed(waiting.job, waiting.entry, TOO_LATE))
            return True
        if self.state.condition is Condition.FAULT and not self._is_well():
            return False
        try:
            prepared = self._prepare(waiting)
        except TransientError:
            raise
        except (EdgetillError, ValueError, LookupError, TypeError) as error:
            # One receipt that cannot be laid out holds up no other.
            fault = error.code if isinstance(error, EdgetillError) else UNPRINTABLE
            self._settle(waiting, JobState.FAILED, fault)
            self._on_event(PaperFailed(waiting.job, waiting.entry, fault))
            return True
        if not self._settle(waiting, JobState.PRINTING, ""):
            return True  # a person dropped it meanwhile
        return self._conclude(waiting, self.printer.send(prepared))

    def _first_waiting(self) -> PrintJobRow | None:
        assert self._store is not None
        return next(iter(jobs(self._store.connection, JobState.WAITING)), None)

    def _prepare(self, job: PrintJobRow) -> PrintJob:
        """Return a job's bytes, from what is stored now."""
        node = self._node
        assert node is not None
        copy = Copy(self.printer.profile.columns, is_reprint=job.is_copy)
        with node.store.reading() as connection:
            node.organisation.refresh(connection)
            report = job.report
            if report is not None:
                laid = report_document(node, report, copy, job.queued_ms)
            else:
                laid = receipt_document(node, job.entry, columns=copy.columns, is_reprint=job.is_copy)
        return self.printer.job(laid.document(self._logo))

    def _conclude(self, job: PrintJobRow, report: PrintReport) -> bool:
        fault = report.error.code if report.error is not None else ""
        match report.outcome:
            case Outcome.PRINTED | Outcome.HANDED_OVER:
                self._settle(job, JobState.PRINTED, "")
                self._note(report)
                self._on_event(PaperPrinted(job.job, job.entry, report.lacks_font))
            case Outcome.NOT_PRINTED:
                self._settle(job, JobState.WAITING, fault)
                self._note(report)
                return False
            case Outcome.UNCONFIRMED:
                self._settle(job, JobState.UNKNOWN, fault)
                self._note(report)
                self._on_event(PaperUnknown(job.job, job.entry, fault))
        if self._is_shared:
            self.printer.close()
        return True

    def _print_at_once(self) -> bool:
        if self.state.condition is Condition.FAULT and not self._is_well():
            return False
        report = self.printer.print(self._at_once[0])
        self._note(report)
        if report.may_be_on_paper:
            self._at_once.popleft()
        return report.may_be_on_paper

    def _settle(self, job: PrintJobRow, state: JobState, fault: str) -> bool:
        """Note a job's state durably; False where a person dealt with it meanwhile."""
        assert self._store is not None
        before = (JobState.WAITING,) if state in (JobState.PRINTING, JobState.FAILED) else (JobState.PRINTING,)
        with self._store.transaction() as connection:
            row = connection.execute("SELECT state FROM print_job WHERE job = ?", (job.job,)).fetchone()
            if row is None or row[0] not in before:
                return False
            connection.execute("UPDATE print_job SET state = ?, fault = ? WHERE job = ?", (state.value, fault, job.job))
            if state is JobState.PRINTED:
                tidy(connection)
        return True

    # The printer's state.

    def _is_well(self) -> bool:
        """Ask a printer that was in trouble whether it can print again, before a job is given to it."""
        try:
            status = self.printer.status()
        except DeviceError as error:
            self._tell(Condition.FAULT, error.code)
            return False
        finally:
            self._watch_at = self._monotonic() + AGAIN_S
        if status.fault is not None:
            self._tell(Condition.FAULT, status.fault.value)
            return False
        self._tell(*_paper_left(status))
        return True

    def _note(self, report: PrintReport) -> None:
        if report.error is not None:
            self._tell(Condition.FAULT, report.error.code)
        else:
            self._tell(*_paper_left(report.after or report.before))
        self._watch_at = self._monotonic() + (AGAIN_S if report.error is not None else WATCH_S)

    def _watch(self) -> None:
        """Look now and then whether the printer is there and has paper; one in trouble is looked at more often."""
        is_faulty = self.state.condition is Condition.FAULT
        now = self._monotonic()
        if self._lock is None or now < self._watch_at or (self._is_shared and not is_faulty):
            return
        if self._is_well():
            self._watch_at = now + WATCH_S
        if self._is_shared:
            self.printer.close()

    def _tell(self, condition: Condition, fault: str = "") -> None:
        state = DeviceState(DeviceRole.PRINTER, condition, fault, self.printer.name)
        if state != self.state:
            self.state = state
            self._on_state(state)

    # The file.

    def _take_hold(self) -> bool:
        """Become the one that prints at this node; False while another process is."""
        if self._lock is not None:
            return True
        lock = (self._directory / LOCK_FILE).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        try:
            self._store = Store(self._directory / DATABASE_FILE)
            self._node = Node(self._directory, clock=self._clock, is_read_only=True)
            self._lock = lock
            self._recover()
        except BaseException:
            self._let_go()
            lock.close()
            raise
        return True

    def _recover(self) -> None:
        """What is still being printed was cut off when its process died: nobody knows what of it is on paper."""
        assert self._store is not None
        cut_off = jobs(self._store.connection, JobState.PRINTING)
        if cut_off:
            self.printer.expect_rest()
        with self._store.transaction() as connection:
            connection.execute(
                "UPDATE print_job SET state = ?, fault = ? WHERE state = ?",
                (JobState.UNKNOWN.value, "printer.unconfirmed", JobState.PRINTING.value),
            )
            tidy(connection)
        asked = [*cut_off, *jobs(self._store.connection, JobState.UNKNOWN)]
        for job in {each.job: each for each in asked}.values():
            self._on_event(PaperUnknown(job.job, job.entry, job.fault or "printer.unconfirmed"))

    def _let_go(self) -> None:
        self.printer.close()
        for one in (self._node, self._store, self._lock):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.close()
        self._node = self._store = self._lock = None


def _paper_left(status: PrinterStatus | None) -> tuple[Condition, str]:
    if status is not None and status.paper is Paper.NEAR_END:
        return Condition.ATTENTION, LITTLE_PAPER
    return Condition.READY, ""
