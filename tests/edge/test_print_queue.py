"""Paper follows every sale, in order, once; what nobody can know is asked, and a second paper is marked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

from drivers.errors import DeviceFault
from drivers.escpos.code_page import PAPER_58MM, PAPER_80MM, PAPER_80MM_LATIN, PrinterProfile
from drivers.escpos.picture import Typeface
from drivers.escpos.printer import ReceiptPrinter
from drivers.link import BackOff, FileLink, Link
from drivers.simulated import SimulatedPrinter
from edge import print_queue
from edge.config import DATABASE_FILE
from edge.device_desks import logo_of
from edge.device_events import Condition, DeviceEvent, PaperFailed, PaperPrinted, PaperUnknown
from edge.devices_config import PrinterSettings
from edge.node import Node
from edge.print_jobs import (
    KEPT,
    OPEN_MAX,
    JobState,
    QueueState,
    answer,
    drop,
    jobs,
    queue_receipt,
    queue_report,
    queue_state,
    reprint,
    retry,
    tidy,
)
from edge.print_queue import BUSY, ELSEWHERE, LITTLE_PAPER, LOCK_FILE, TOO_LATE, UNPRINTABLE, PrintQueue
from edge.receipts import Copy, report_document
from edge.selling import complete_sale
from schema.errors import RefusalError
from schema.rules.slips import Report, ReportKind
from tests.drivers.fault_links import Hang, OneByteAtATime, Passing, Unplug, eventually
from tests.edge.paper_shops import COLA, chinese_shop, lines_of, sell_plain
from tests.edge.shops import Shops

NO_FONT = Typeface(None, None)


class Desk:
    """A till with a simulated printer, and what its queue told."""

    def __init__(self, node: Node, profile: PrinterProfile = PAPER_58MM) -> None:
        self.node = node
        self.device = SimulatedPrinter(profile, typeface=NO_FONT)
        self.events: list[DeviceEvent] = []
        self.queue = self.make_queue(self.device.link())

    def make_queue(self, link: Link, profile: PrinterProfile | None = None) -> PrintQueue:
        printer = ReceiptPrinter(
            link, profile or self.device.profile, typeface=NO_FONT, back_off=BackOff(0.01, 0.02), answer_s=0.05,
            confirm_s=0.3,
        )  # fmt: skip
        self.queue = PrintQueue(self.node.directory, printer, on_event=self.events.append, clock=self.node.clock_source)
        return self.queue

    def sell(self, pieces: int = 1) -> str:
        """Sell, with paper; returns the receipt's number."""
        return complete_sale(self.node, lines_of(self.node, (COLA, pieces * 1000)), prints=True).receipt_number

    def states(self) -> list[JobState]:
        return [job.state for job in jobs(self.node.connection)]

    def papers(self) -> list[str]:
        """Return the numbers on the paper, each with * where it is marked as a copy."""
        found, is_copy = [], False
        for line in self.device.paper.lines():
            if "补打" in line:
                is_copy = True
            if line.startswith("单号："):
                found.append(line.removeprefix("单号：") + ("*" if is_copy else ""))
                is_copy = False
        return found


@pytest.fixture
def shop(shops: Shops) -> Node:
    return chinese_shop(shops)


@pytest.fixture
def desk(shop: Node) -> Iterator[Desk]:
    made = Desk(shop)
    yield made
    made.queue.stop()


def test_receipts_are_printed_in_the_order_of_their_sales(desk: Desk) -> None:
    numbers = [desk.sell(), desk.sell(2), desk.sell(3)]
    assert queue_state(desk.node.connection) == QueueState(3, 0, 0)
    assert desk.queue.run_until_idle() == 3
    assert desk.papers() == numbers
    assert desk.states() == [JobState.PRINTED] * 3
    assert [type(event) for event in desk.events] == [PaperPrinted] * 3
    assert desk.queue.state.condition is Condition.READY
    assert desk.device.unknown == []


def test_a_sale_that_was_not_recorded_leaves_no_paper(desk: Desk) -> None:
    def fail() -> None:
        with desk.node.write() as writing:
            queue_receipt(writing, "loc/A:x.1:1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert jobs(desk.node.connection) == []


def test_paper_costs_the_sale_one_row(desk: Desk) -> None:
    said: list[str] = []
    desk.node.connection.set_trace_callback(said.append)  # type: ignore[attr-defined]
    desk.sell()
    desk.node.connection.set_trace_callback(None)  # type: ignore[attr-defined]
    assert len([sql for sql in said if "print_job" in sql]) == 1


def test_a_queue_started_by_the_till_prints_when_it_is_woken(desk: Desk) -> None:
    desk.queue.start()
    number = desk.sell()
    desk.queue.wake()
    eventually(lambda: desk.papers() == [number])
    desk.queue.stop()
    assert desk.states() == [JobState.PRINTED]


def test_paper_that_ends_in_the_middle_is_asked_about_and_its_second_print_is_marked(desk: Desk) -> None:
    desk.device.lines_left = 5
    number = desk.sell()
    desk.queue.run_until_idle()
    assert desk.states() == [JobState.UNKNOWN]
    [asked] = [event for event in desk.events if isinstance(event, PaperUnknown)]
    assert asked.fault == "printer.paper_out"
    assert desk.queue.state.fault == "printer.paper_out"
    desk.device.load_paper()
    desk.device.take_paper()
    answer(desk.node, asked.job, was_printed=False)
    assert desk.queue.run_until_idle() == 1
    assert desk.papers() == [f"{number}*"]


def test_a_receipt_that_the_cashier_saw_is_not_printed_again(desk: Desk) -> None:
    desk.device.lines_left = 5
    desk.sell()
    desk.queue.run_until_idle()
    desk.device.load_paper()
    answer(desk.node, 1, was_printed=True)
    assert desk.queue.run_until_idle() == 0
    assert desk.states() == [JobState.PRINTED]
    with pytest.raises(RefusalError) as refused:
        answer(desk.node, 1, was_printed=False)
    assert refused.value.code == "print_job_settled"


def test_without_paper_receipts_wait_unprinted_and_unasked_and_follow_by_themselves(desk: Desk) -> None:
    desk.device.lines_left = 0
    numbers = [desk.sell(), desk.sell()]
    for _ in range(5):
        assert desk.queue.run_until_idle() == 0
    assert desk.states() == [JobState.WAITING] * 2
    assert desk.queue.state.fault == "printer.paper_out"
    assert desk.events == []
    desk.device.load_paper()
    assert desk.queue.run_until_idle() == 2
    assert desk.papers() == numbers


def test_a_printer_in_trouble_costs_no_write_a_second(desk: Desk) -> None:
    desk.device.is_cover_open = True
    desk.sell()
    desk.queue.run_until_idle()
    before = (desk.node.directory / f"{DATABASE_FILE}-wal").stat().st_size
    for _ in range(20):
        desk.queue.turn()
    assert (desk.node.directory / f"{DATABASE_FILE}-wal").stat().st_size == before


def test_little_paper_is_told_before_it_ends(desk: Desk) -> None:
    desk.device.is_near_end = True
    desk.sell()
    desk.queue.run_until_idle()
    assert (desk.queue.state.condition, desk.queue.state.fault) == (Condition.ATTENTION, LITTLE_PAPER)


@pytest.mark.parametrize("after", [20, 200, 600])
def test_a_printer_unplugged_during_a_receipt_is_asked_about_and_the_next_receipt_is_printed(
    desk: Desk, after: int
) -> None:
    desk.make_queue(Unplug(desk.device.link(), 12 + after))
    first, second = desk.sell(), desk.sell()
    eventually(lambda: desk.queue.run_until_idle() == 0 and desk.states()[1] is JobState.PRINTED)
    assert desk.states() == [JobState.UNKNOWN, JobState.PRINTED]
    assert desk.papers()[-1] == second
    answer(desk.node, 1, was_printed=False)
    desk.queue.run_until_idle()
    assert desk.papers()[-1] == f"{first}*"
    assert desk.device.unknown == []


def test_a_printer_that_hangs_is_asked_about_in_bounded_time(desk: Desk) -> None:
    desk.make_queue(Hang(desk.device.link(), 12 + 100))
    desk.sell()
    began = time.monotonic()
    desk.queue.run_until_idle()
    assert time.monotonic() - began < 10
    assert desk.states() == [JobState.UNKNOWN]
    assert desk.queue.state.condition is Condition.FAULT


def test_a_line_that_carries_one_byte_at_a_time_prints_the_same_paper(desk: Desk) -> None:
    desk.sell()
    desk.queue.run_until_idle()
    whole = desk.device.take_paper().lines()
    desk.queue.stop()
    desk.make_queue(OneByteAtATime(desk.device.link()))
    reprint(desk.node, "A1-1-000001")
    desk.queue.run_until_idle()
    assert [line for line in desk.device.paper.lines() if "补打" not in line] == whole


@pytest.mark.parametrize("profile", [PAPER_80MM, PAPER_80MM_LATIN], ids=["80 mm", "no hanzi"])
def test_other_printers_print_too(shop: Node, profile: PrinterProfile) -> None:
    desk = Desk(shop, profile)
    desk.sell()
    assert desk.queue.run_until_idle() == 1
    assert desk.device.unknown == []
    if not profile.has_hanzi:
        assert "[*]" in desk.device.paper.text(), "hanzi are pictures"
        [printed] = desk.events
        assert isinstance(printed, PaperPrinted)
        assert printed.lacks_font
    desk.queue.stop()


def test_a_one_way_printer_is_believed(desk: Desk, tmp_path: Path) -> None:
    desk.make_queue(FileLink(str(tmp_path / "paper.escpos")), PAPER_58MM.on_file())
    desk.sell()
    assert desk.queue.run_until_idle() == 1
    assert desk.states() == [JobState.PRINTED]
    assert b"A1-1-000001" in (tmp_path / "paper.escpos").read_bytes()


def test_a_receipt_that_cannot_be_laid_out_holds_up_no_other(desk: Desk) -> None:
    with desk.node.write() as writing:
        queue_receipt(writing, f"{writing.stream()}:999999")
        queue_receipt(writing, "no entry at all")
    number = desk.sell()
    desk.queue.run_until_idle()
    assert desk.states() == [JobState.FAILED, JobState.FAILED, JobState.PRINTED]
    assert {event.fault for event in desk.events if isinstance(event, PaperFailed)} <= {"receipt_unknown", UNPRINTABLE}
    assert desk.papers() == [number]


def test_a_receipt_that_waited_too_long_is_printed_only_when_a_person_wants_it(shops: Shops, desk: Desk) -> None:
    desk.device.lines_left = 0
    number = desk.sell()
    desk.queue.run_until_idle()
    shops.pass_minutes(31)
    desk.device.load_paper()
    desk.queue.run_until_idle()
    assert desk.papers() == []
    [failed] = [event for event in desk.events if isinstance(event, PaperFailed)]
    assert failed.fault == TOO_LATE
    retry(desk.node, failed.job)
    desk.queue.run_until_idle()
    assert desk.papers() == [number], "nothing of it was on paper: no mark"


def test_what_a_person_dropped_is_not_printed(desk: Desk) -> None:
    desk.sell()
    second = desk.sell()
    drop(desk.node, 1)
    desk.queue.run_until_idle()
    assert desk.papers() == [second]
    with pytest.raises(RefusalError):
        drop(desk.node, 2)
    with pytest.raises(RefusalError):
        retry(desk.node, 99)


def test_a_reprint_is_marked_and_an_unknown_receipt_refused(desk: Desk) -> None:
    sold = sell_plain(desk.node)
    reprint(desk.node, sold.receipt_number)
    desk.queue.run_until_idle()
    assert desk.papers() == [f"{sold.receipt_number}*"]
    with pytest.raises(RefusalError) as refused:
        reprint(desk.node, "A1-1-999999")
    assert refused.value.code == "receipt_unknown"


def test_reports_are_printed_with_the_figures_of_their_moment(desk: Desk) -> None:
    report = Report(kind=ReportKind.X, till="A1", business_date="2026-03-02", sales=3, sales_minor=1_050)
    with desk.node.write() as writing:
        queue_report(writing, report)
    desk.queue.run_until_idle()
    text = desk.device.paper.text()
    assert "当班报表" in text
    assert "10.50" in text
    assert "2026-03-02 08:00" in text


def test_paper_on_no_list_is_printed_first_and_waits_for_the_printer(desk: Desk) -> None:
    report = Report(kind=ReportKind.X, till="A1", business_date="2026-03-02")
    desk.device.lines_left = 0
    desk.queue.print_now(report_document(desk.node, report, Copy(32)).document())
    desk.sell()
    desk.queue.run_until_idle()
    assert desk.device.paper.lines() == []
    desk.device.load_paper()
    assert desk.queue.run_until_idle() == 2
    assert "当班报表" in desk.device.paper.lines()[0]


def test_what_a_dead_process_was_printing_is_asked_about_and_never_printed_silently(desk: Desk) -> None:
    first, second = desk.sell(), desk.sell()
    with desk.node.store.transaction() as connection:
        connection.execute("UPDATE print_job SET state = 'printing' WHERE job = 1")
    desk.queue.run_until_idle()
    assert desk.states() == [JobState.UNKNOWN, JobState.PRINTED]
    assert [event.job for event in desk.events if isinstance(event, PaperUnknown)] == [1]
    assert desk.papers() == [second]
    answer(desk.node, 1, was_printed=False)
    desk.queue.run_until_idle()
    assert desk.papers() == [second, f"{first}*"]


def test_a_command_that_a_dead_process_cut_off_swallows_no_later_receipt(desk: Desk) -> None:
    desk.sell()
    desk.queue.turn()
    desk.queue.stop()
    (desk.node.directory / LOCK_FILE).write_bytes(BUSY)
    desk.device.receive(b"\x1d(k\xcd\x001P0" + b"S2SWY33D")
    desk.make_queue(desk.device.link())
    assert not desk.queue.turn(), "this one dies as well, before it prints anything"
    desk.queue.stop()
    desk.make_queue(desk.device.link())
    number = desk.sell()
    desk.queue.run_until_idle()
    assert desk.papers()[-1] == number
    assert "谢谢惠顾" in desk.device.paper.text().split(number)[1]
    assert (desk.node.directory / LOCK_FILE).read_bytes() == b"", "from here on nothing needs to be flushed"


def test_an_open_question_is_asked_again_after_a_restart(desk: Desk) -> None:
    desk.device.lines_left = 5
    desk.sell()
    desk.queue.run_until_idle()
    desk.queue.stop()
    desk.events.clear()
    desk.make_queue(desk.device.link())
    desk.queue.run_until_idle()
    [asked] = [event for event in desk.events if isinstance(event, PaperUnknown)]
    assert (asked.job, asked.fault) == (1, "printer.paper_out")


def test_only_one_process_of_a_node_prints(desk: Desk) -> None:
    desk.queue.turn()
    other = Desk(desk.node)
    number = desk.sell()
    assert other.queue.run_until_idle() == 0
    assert other.queue.state.fault == ELSEWHERE
    desk.queue.stop()
    assert other.queue.run_until_idle() == 1
    assert other.papers() == [number]
    other.queue.stop()


class Slow(Passing):
    """A printer that takes its time, while which the test sells."""

    def __init__(self, inner: Link) -> None:
        super().__init__(inner)
        self.is_writing = threading.Event()
        self.may_go_on = threading.Event()

    def write(self, data: bytes) -> None:
        if len(data) > 100:
            self.is_writing.set()
            assert self.may_go_on.wait(10)
        self.inner.write(data)


def test_no_sale_waits_for_paper(desk: Desk) -> None:
    link = Slow(desk.device.link())
    desk.make_queue(link)
    desk.sell()
    desk.queue.start()
    assert link.is_writing.wait(10)
    began = time.monotonic()
    numbers = [desk.sell() for _ in range(5)]
    assert time.monotonic() - began < 5
    drop(desk.node, 2)
    link.may_go_on.set()
    eventually(lambda: desk.states()[-1] is JobState.PRINTED)
    assert desk.papers()[1:] == numbers[1:]


def test_a_till_that_ends_waits_for_no_printer_that_hangs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(print_queue, "STOP_S", 0.2)
    link = Slow(desk.device.link())
    desk.make_queue(link)
    number = desk.sell()
    desk.queue.start()
    assert link.is_writing.wait(10)
    began = time.monotonic()
    desk.queue.stop()
    assert time.monotonic() - began < 5
    assert desk.states() == [JobState.PRINTING]
    later = Desk(desk.node)
    assert later.queue.run_until_idle() == 0
    assert later.queue.state.fault == ELSEWHERE, "the other one still prints"
    link.may_go_on.set()
    eventually(lambda: desk.states() == [JobState.PRINTED])
    assert desk.papers() == [number]
    second = desk.sell()
    eventually(lambda: later.queue.run_until_idle() == 1)
    assert later.papers() == [second]
    later.queue.stop()


def test_the_list_stays_short(desk: Desk) -> None:
    with desk.node.write() as writing:
        for place in range(KEPT + OPEN_MAX + 50):
            queue_receipt(writing, f"e{place}")
    connection = desk.node.connection
    with desk.node.store.transaction():
        connection.execute("UPDATE print_job SET state = 'printed' WHERE job <= 20")
        tidy(connection)
    kept = jobs(connection)
    assert len(kept) == OPEN_MAX
    assert kept[-1].entry == f"e{KEPT + OPEN_MAX + 49}"
    with desk.node.store.transaction():
        connection.execute("UPDATE print_job SET state = 'printed'")
        tidy(connection)
    assert len(jobs(connection)) == KEPT


def test_the_shops_logo_stands_above_each_receipt_and_a_broken_one_stops_none(desk: Desk, tmp_path: Path) -> None:
    Image.new("1", (64, 24), 0).save(tmp_path / "logo.png")
    (tmp_path / "text.png").write_text("no picture")
    settings = PrinterSettings(address="tcp://x", profile="58mm", logo="logo.png")
    desk.queue = PrintQueue(
        desk.node.directory, ReceiptPrinter(desk.device.link(), PAPER_58MM, typeface=NO_FONT),
        clock=desk.node.clock_source, logo=logo_of(tmp_path, settings),
    )  # fmt: skip
    number = desk.sell()
    desk.queue.run_until_idle()
    assert desk.device.paper.lines()[0].strip() == "[*]"
    assert desk.papers() == [number]
    for broken in ("text.png", "nothing.png", ""):
        assert logo_of(tmp_path, replace(settings, logo=broken)) is None


def test_a_shared_printer_is_let_go_after_each_receipt(desk: Desk) -> None:
    link = desk.device.link()
    desk.queue = PrintQueue(
        desk.node.directory, ReceiptPrinter(link, PAPER_58MM, typeface=NO_FONT), clock=desk.node.clock_source,
        is_shared=True,
    )  # fmt: skip
    desk.sell()
    assert desk.queue.run_until_idle() == 1
    assert not link.is_open


def test_a_job_is_noted_before_its_first_byte_leaves(desk: Desk) -> None:
    seen: list[list[JobState]] = []

    class Watching(Passing):
        def write(self, data: bytes) -> None:
            if len(data) > 100 and not seen:
                seen.append(desk.states())
            self.inner.write(data)

    desk.make_queue(Watching(desk.device.link()))
    desk.sell()
    desk.queue.run_until_idle()
    assert seen == [[JobState.PRINTING]]
    assert desk.states() == [JobState.PRINTED]


def test_a_faulty_printer_names_its_fault_as_a_stable_code(desk: Desk) -> None:
    desk.device.is_silent = True
    desk.sell()
    desk.queue.run_until_idle()
    assert desk.queue.state.fault == DeviceFault.SILENT.value
