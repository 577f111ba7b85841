"""A printer tells honestly how it is and whether a job is on paper, over every kind of bad line."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from drivers.errors import DeviceError, DeviceFault, NoAnswerError
from drivers.escpos.code_page import PAPER_58MM, PAPER_80MM, PROFILES, PrinterProfile
from drivers.escpos.document import Cut, DrawerPulse, Picture, PrintDocument, Raster, Text, document_of
from drivers.escpos.picture import Typeface
from drivers.escpos.printer import DrawerMove, Outcome, PrintReport, ReceiptPrinter
from drivers.escpos.status import Paper, PrinterStatus, is_answer, is_confirmation, status_from
from drivers.link import BackOff, FileLink, Link, MemoryLink, NetworkLink, link_from_address
from drivers.simulated import PrinterServer, SimulatedPrinter
from tests.drivers.fault_links import Hang, Noise, OneByteAtATime, Passing, RandomLoss, Unplug, WithDelays, eventually
from tests.drivers.receipts import chinese_receipt
from tests.processes import ROOT, environment

NO_FONT = Typeface(None, None)
SHORT = document_of([Text("你好"), Cut()])


class SlowLine(Passing):
    """A slow line, so that another thread gets its turn between any two portions."""

    def write(self, data: bytes) -> None:
        time.sleep(0.002)
        self.inner.write(data)


LONG = document_of([*(Text(f"第 {number} 行") for number in range(40)), Cut()])
SENSING = PrinterProfile("80 mm with drawer", has_drawer_sensor=True)


def printer_on(
    link: Link, profile: PrinterProfile = PAPER_80MM, *, answer_s: float = 0.08, confirm_s: float = 0.4
) -> ReceiptPrinter:
    return ReceiptPrinter(
        link, profile, typeface=NO_FONT, back_off=BackOff(0.01, 0.02), answer_s=answer_s, confirm_s=confirm_s
    )


def test_a_receipt_is_printed_and_the_printer_confirms_it() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    report = printer_on(device.link()).print(chinese_receipt())
    assert report.outcome is Outcome.PRINTED
    assert report.error is None
    assert report.before == PrinterStatus(True, Paper.ADEQUATE, False, False, None)
    assert report.after == PrinterStatus(True, Paper.ADEQUATE, False, True, None), "its pulse opened the drawer"
    assert device.pulses == [2]
    assert device.unknown == []
    assert "青山村便利店" in device.paper.text()


@pytest.mark.parametrize(
    ("trouble", "fault"),
    [
        ({"lines_left": 0}, DeviceFault.PAPER_OUT),
        ({"is_cover_open": True}, DeviceFault.COVER_OPEN),
        ({"is_cutter_stuck": True}, DeviceFault.CUTTER),
        ({"is_silent": True}, DeviceFault.SILENT),
    ],
    ids=["no paper", "cover", "cutter", "silent"],
)
def test_trouble_before_a_job_means_that_nothing_was_sent(trouble: dict[str, object], fault: DeviceFault) -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    for name, value in trouble.items():
        setattr(device, name, value)
    link = device.link()
    report = printer_on(link).print(SHORT)
    assert report.outcome is Outcome.NOT_PRINTED
    assert not report.may_be_on_paper
    assert report.error is not None
    assert report.error.fault is fault
    assert b"\x1b@" not in link.written
    device.is_silent = False
    device.load_paper()
    assert printer_on(link).print(SHORT).outcome is Outcome.PRINTED


def test_paper_that_ends_in_the_middle_of_a_receipt_is_unconfirmed_and_goes_on_when_loaded() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    device.lines_left = 10
    printer = printer_on(device.link())
    report = printer.print(LONG)
    assert report.outcome is Outcome.UNCONFIRMED
    assert report.error is not None
    assert report.error.fault is DeviceFault.PAPER_OUT
    assert len(device.paper.lines()) == 10
    assert device.waiting
    assert printer.status().paper is Paper.OUT
    device.load_paper()
    assert len(device.paper.lines()) == 40
    assert printer.print(SHORT).outcome is Outcome.PRINTED, "the late confirmation is not taken for a new one"


def test_little_paper_is_told_and_printed_on() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    device.is_near_end = True
    report = printer_on(device.link()).print(SHORT)
    assert report.outcome is Outcome.PRINTED
    assert report.after is not None
    assert report.after.paper is Paper.NEAR_END


@pytest.mark.parametrize("after", [0, 13, 100, 250])
def test_a_printer_unplugged_during_a_job_is_unconfirmed_and_prints_again_when_it_is_back(after: int) -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    printer = printer_on(Unplug(device.link(), 12 + after))
    report = printer.print(LONG)
    assert report.outcome is Outcome.UNCONFIRMED
    assert report.error is not None
    assert report.error.fault is DeviceFault.UNPLUGGED
    assert printer.print(LONG).outcome is Outcome.PRINTED


def test_a_picture_that_was_cut_off_does_not_swallow_the_next_receipt() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    picture = Picture(Raster(576, 40, b"\x55" * 72 * 40))
    printer = printer_on(Unplug(device.link(), 12 + 500))
    assert printer.print(document_of([picture])).outcome is Outcome.UNCONFIRMED
    assert device.waiting
    assert printer.print(SHORT).outcome is Outcome.PRINTED
    assert "你好" in device.paper.text()
    assert device.unknown == []


def test_a_printer_unplugged_before_a_job_printed_nothing() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    printer = printer_on(Unplug(device.link(), 5, comes_back=False))
    assert printer.print(LONG).outcome is Outcome.NOT_PRINTED
    again = printer.print(LONG, at_once=True)
    assert again.outcome is Outcome.NOT_PRINTED
    assert again.error is not None
    assert again.error.fault is DeviceFault.ABSENT
    assert device.paper.lines() == []


def test_a_printer_that_hangs_during_a_job_gives_the_till_back_in_bounded_time() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    began = time.monotonic()
    report = printer_on(Hang(device.link(), 12 + 60)).print(LONG)
    assert report.outcome is Outcome.UNCONFIRMED
    assert time.monotonic() - began < 10


def test_a_printer_that_falls_silent_after_the_job_is_unconfirmed() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    link = MemoryLink(
        lambda data: b"" if b"\x1dr\x01" in data or link.written.count(b"\x1dr") else device.receive(data)
    )
    report = printer_on(link).print(SHORT)
    assert report.outcome is Outcome.UNCONFIRMED
    assert report.error is not None
    assert report.error.fault is DeviceFault.UNCONFIRMED


@pytest.mark.parametrize(
    "wrap",
    [OneByteAtATime, WithDelays, lambda link: Noise(link, 0.3, noise=b"\x11\x13\xff\x80")],
    ids=["one byte at a time", "with delays", "XON, XOFF and noise"],
)
def test_a_crooked_line_changes_nothing(wrap: Callable[[Link], Link]) -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    report = printer_on(wrap(device.link()), answer_s=0.3).print(chinese_receipt())
    assert report.outcome is Outcome.PRINTED
    assert device.unknown == []


@pytest.mark.parametrize("seed", range(6))
def test_lost_answers_never_make_a_lie(seed: int) -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    report = printer_on(RandomLoss(device.link(), 0.4, seed)).print(SHORT)
    if report.outcome is Outcome.PRINTED:
        assert "你好" in device.paper.text()
    if report.outcome is Outcome.NOT_PRINTED:
        assert device.paper.lines() == []


def test_a_network_printer_prints_dies_and_comes_back_without_a_restart() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    server = PrinterServer(device)
    printer = printer_on(NetworkLink(server.host, server.port), answer_s=0.5, confirm_s=2.0)
    assert printer.print(chinese_receipt()).outcome is Outcome.PRINTED
    server.close()
    assert printer.print(SHORT).outcome is Outcome.NOT_PRINTED, "the first writes after a peer is gone seem to succeed"
    assert printer.print(SHORT, at_once=True).outcome is Outcome.NOT_PRINTED
    again = PrinterServer(device, port=server.port)
    try:
        eventually(lambda: printer.print(SHORT).outcome is Outcome.PRINTED)
    finally:
        printer.close()
        again.close()


def test_a_file_takes_jobs_one_after_the_other_and_confirms_nothing(tmp_path: object) -> None:
    path = f"{tmp_path}/receipts.escpos"
    printer = printer_on(FileLink(path), PAPER_58MM.on_file())
    assert printer.print(SHORT).outcome is Outcome.HANDED_OVER
    assert printer.print(SHORT).outcome is Outcome.HANDED_OVER
    assert printer.status() == PrinterStatus()
    printer.close()
    with open(path, "rb") as file:  # noqa: PTH123
        assert file.read() == printer.job(SHORT).data * 2


def test_the_drawer_opens_is_seen_open_and_a_jammed_one_is_told() -> None:
    device = SimulatedPrinter(SENSING, typeface=NO_FONT)
    printer = printer_on(device.link(), SENSING)
    assert printer.open_drawer() is DrawerMove.OPENED
    assert printer.open_drawer() is DrawerMove.WAS_OPEN
    device.close_drawer()
    device.is_drawer_jammed = True
    with pytest.raises(DeviceError) as caught:
        printer.open_drawer(5)
    assert caught.value.code == "drawer.jammed"
    assert device.pulses == [2, 2, 5]
    assert printer_on(device.link()).open_drawer() is DrawerMove.UNKNOWN


@pytest.mark.parametrize("trouble", [{"lines_left": 0}, {"is_cover_open": True}, {"is_cutter_stuck": True}])
def test_the_drawer_opens_at_once_while_the_printer_is_stuck(trouble: dict[str, object]) -> None:
    device = SimulatedPrinter(SENSING, typeface=NO_FONT)
    for name, value in trouble.items():
        setattr(device, name, value)
    assert printer_on(device.link(), SENSING).open_drawer() is DrawerMove.OPENED
    assert device.pulses == [2]
    device.load_paper()
    assert device.pulses == [2], "no second pulse waits in the buffer"


def test_the_drawer_waits_for_no_job_that_is_stuck_in_its_middle() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    device.lines_left = 3
    printer = printer_on(device.link(), answer_s=5.0, confirm_s=10.0)
    reports: list[PrintReport] = []
    thread = threading.Thread(target=lambda: reports.append(printer.print(LONG)))
    thread.start()
    eventually(lambda: bool(device.waiting))
    began = time.monotonic()
    printer.open_drawer(5)
    assert time.monotonic() - began < 4
    assert device.pulses == [5]
    thread.join()
    assert reports[0].outcome is Outcome.UNCONFIRMED
    device.load_paper()
    assert device.pulses == [5]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_drawer_opened_while_a_receipt_is_printed_spoils_neither(profile: PrinterProfile) -> None:
    quiet = SimulatedPrinter(profile, typeface=NO_FONT)
    printer_on(quiet.link(), profile).print(chinese_receipt())
    device = SimulatedPrinter(profile, typeface=NO_FONT)
    printer = printer_on(SlowLine(device.link()), profile)
    ending = threading.Event()

    def press() -> None:
        while not ending.is_set():
            printer.open_drawer(5)

    thread = threading.Thread(target=press)
    thread.start()
    assert printer.print(chinese_receipt()).outcome in (Outcome.PRINTED, Outcome.HANDED_OVER)
    ending.set()
    thread.join()
    assert device.unknown == []
    assert device.paper.lines() == quiet.paper.lines()
    assert 5 in device.pulses


def test_a_printer_that_is_off_says_so_when_the_drawer_is_asked_for() -> None:
    device = SimulatedPrinter(typeface=NO_FONT)
    device.is_silent = True
    with pytest.raises(DeviceError) as caught:
        printer_on(device.link()).open_drawer()
    assert caught.value.fault is DeviceFault.SILENT
    gone = printer_on(Unplug(device.link(), 0, comes_back=False))
    with pytest.raises(DeviceError):
        gone.open_drawer()
    with pytest.raises(DeviceError) as caught:
        gone.open_drawer(at_once=True)
    assert caught.value.fault is DeviceFault.ABSENT


@pytest.mark.parametrize(
    ("answers", "status", "fault"),
    [
        ({1: 0x12, 2: 0x12, 3: 0x12, 4: 0x12}, PrinterStatus(True, Paper.ADEQUATE, False, False), None),
        ({1: 0x16, 2: 0x12, 3: 0x12, 4: 0x1E}, PrinterStatus(True, Paper.NEAR_END, False, True), None),
        ({1: 0x1A, 2: 0x32, 4: 0x7E}, PrinterStatus(False, Paper.OUT, False, False), DeviceFault.PAPER_OUT),
        ({1: 0x1A, 2: 0x16, 4: 0x12}, PrinterStatus(False, Paper.ADEQUATE, True, False), DeviceFault.COVER_OPEN),
        (
            {1: 0x1A, 2: 0x52, 3: 0x1A, 4: 0x12},
            PrinterStatus(False, Paper.ADEQUATE, False, False, DeviceFault.CUTTER),
            DeviceFault.CUTTER,
        ),
        ({3: 0x32}, PrinterStatus(error=DeviceFault.BROKEN), DeviceFault.BROKEN),
        ({3: 0x52}, PrinterStatus(error=DeviceFault.OVERHEATED), DeviceFault.OVERHEATED),
        ({1: 0x1A}, PrinterStatus(False, is_drawer_high=False), DeviceFault.OFFLINE),
        ({}, PrinterStatus(), None),
    ],
)
def test_status_bytes_are_read_as_the_reference_says(
    answers: dict[int, int], status: PrinterStatus, fault: DeviceFault | None
) -> None:
    assert status_from(answers) == status
    assert status.fault is fault


def test_no_byte_is_both_an_answer_and_a_confirmation_and_flow_control_is_neither() -> None:
    assert not [byte for byte in range(256) if is_answer(byte) and is_confirmation(byte)]
    assert not [byte for byte in (0x11, 0x13) if is_answer(byte) or is_confirmation(byte)]


def test_a_silent_printer_fails_by_its_silence_and_again_at_once_within_the_back_off() -> None:
    link = MemoryLink()
    with pytest.raises(NoAnswerError) as caught:
        printer_on(link).status()
    assert caught.value.fault is DeviceFault.SILENT
    link = MemoryLink()
    link.unplug()
    printer = ReceiptPrinter(link, back_off=BackOff(30, 30))
    for _ in range(2):
        with pytest.raises(DeviceError) as away:
            printer.status()
        assert away.value.fault is DeviceFault.ABSENT
    link.plug_in()
    with pytest.raises(DeviceError) as early:
        printer.status()
    assert early.value.fault is DeviceFault.ABSENT


def test_printing_writes_nothing_on_the_screen_and_leaves_logging_alone(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import logging, tempfile, pathlib; from drivers.escpos.job import job_of;"
        " from drivers.escpos.code_page import PAPER_58MM_SIMPLE as p; from tests.drivers.receipts import *;"
        " job_of(chinese_receipt(), p); assert not logging.getLogger().handlers;"
        " assert not list(pathlib.Path(tempfile.gettempdir()).iterdir())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment({"TMPDIR": str(_empty_folder())}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    printer_on(SimulatedPrinter(typeface=NO_FONT).link()).print(PrintDocument((DrawerPulse(), Text("你"))))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().level == logging.WARNING


def _empty_folder() -> str:
    import tempfile

    return tempfile.mkdtemp()


def test_a_usb_printer_without_the_usb_library_is_told_as_such() -> None:
    with pytest.raises(DeviceError) as caught:
        link_from_address("usb:04b8:0e15").open()
    assert caught.value.fault in (DeviceFault.ADDRESS, DeviceFault.ABSENT, DeviceFault.FORBIDDEN)
