"""Devices of a till: what they say comes as events, anything may be unplugged, and the screen waits for none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from drivers.display import DisplayKind
from drivers.errors import DeviceFault
from drivers.link import BackOff, Link, link_from_address
from drivers.scale import WeighState
from drivers.simulated import (
    PrinterServer,
    PseudoTerminal,
    SimulatedDisplay,
    SimulatedPrinter,
    SimulatedScale,
    SimulatedScanner,
)
from edge import device_events
from edge.clock_source import machine_clock
from edge.device_events import (
    Condition,
    DeviceChanged,
    DeviceEvent,
    DeviceRole,
    DeviceState,
    DrawerMoved,
    FigureKind,
    PaperPrinted,
    Scanned,
    Weighed,
    fault_sentence,
)
from edge.devices_config import DevicesConfig, DisplaySettings, PrinterSettings, ScaleSettings, ScannerSettings
from edge.node import Node
from edge.peripherals import UNSET, Peripherals
from edge.print_queue import ELSEWHERE, LITTLE_PAPER, TOO_LATE, UNPRINTABLE
from edge.receipts import Copy, report_document
from edge.selling import complete_sale
from schema.rules.promotion_terms import Language
from schema.rules.slips import Report, ReportKind
from schema.texts import Texts, catalogue
from tests.drivers.fault_links import Noise, OneByteAtATime, Passing, WithDelays, eventually
from tests.edge.paper_shops import COLA, chinese_shop, lines_of
from tests.edge.shops import Shops

EventT = TypeVar("EventT")


class Counter:
    """A till's counter with its devices, and what they told."""

    def __init__(
        self,
        place: Path | Node,
        config: DevicesConfig,
        opener: Callable[[str], Link] = link_from_address,
        same_scan_guard_ms: int = 0,
    ) -> None:
        self.events: list[DeviceEvent] = []
        self.devices = Peripherals(
            place.directory if isinstance(place, Node) else place,
            config,
            clock=place.clock_source if isinstance(place, Node) else machine_clock,
            opener=opener,
            back_off=lambda: BackOff(0.01, 0.05),
            same_scan_guard_ms=same_scan_guard_ms,
        )

    def start(self) -> None:
        self.devices.start(self.events.append, printer_after_s=0)

    def told(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    def faults(self, role: DeviceRole) -> list[str]:
        """Return the faults of a device in the order in which they were told; empty where it was well."""
        return [event.state.fault for event in self.told(DeviceChanged) if event.state.role is role]


@pytest.fixture
def make_counter(tmp_path: Path) -> Iterator[Callable[..., Counter]]:
    made: list[Counter] = []

    def make(config: DevicesConfig, place: Path | Node = tmp_path, **options: object) -> Counter:
        counter = Counter(place, config, **options)  # type: ignore[arg-type]
        made.append(counter)
        counter.start()
        return counter

    yield make
    for counter in made:
        counter.devices.stop()


def test_a_till_without_devices_goes_on(make_counter: Callable[..., Counter]) -> None:
    counter = make_counter(DevicesConfig())
    assert {state.condition for state in counter.devices.status()} == {Condition.UNSET}
    assert counter.devices.weigh() == Weighed(None, UNSET)
    counter.devices.show("欢迎光临")
    counter.devices.watch_scale(True)
    counter.devices.receipt_queued()
    counter.devices.open_drawer()
    assert counter.events == [DrawerMoved(None, UNSET)]


def test_scans_come_as_events_and_a_scanner_comes_back_after_unplugging(
    tmp_path: Path, make_counter: Callable[..., Counter]
) -> None:
    scanner = SimulatedScanner(tmp_path / "scanner")
    counter = make_counter(DevicesConfig(scanners=(ScannerSettings(address=scanner.address),)))
    eventually(lambda: counter.devices.status().scanner.condition is Condition.READY)
    scanner.scan("6901028075763")
    eventually(lambda: counter.told(Scanned) == [Scanned("6901028075763")])
    scanner.port.unplug()
    eventually(lambda: counter.devices.status().scanner.condition is Condition.FAULT)
    scanner.port.plug_in()
    eventually(lambda: counter.devices.status().scanner.condition is Condition.READY)
    scanner.scan("]C10112345678901231")
    eventually(lambda: len(counter.told(Scanned)) == 2)
    assert counter.told(Scanned)[1].full == "]C10112345678901231"
    assert counter.faults(DeviceRole.SCANNER)[0] == ""
    scanner.close()


def test_a_scanner_that_was_never_there_is_found_when_it_is_plugged_in(
    tmp_path: Path, make_counter: Callable[..., Counter]
) -> None:
    counter = make_counter(DevicesConfig(scanners=(ScannerSettings(address=f"serial:{tmp_path / 'scanner'}"),)))
    eventually(lambda: counter.devices.status().scanner.fault == "device.absent")
    scanner = SimulatedScanner(tmp_path / "scanner")
    eventually(lambda: counter.devices.status().scanner.condition is Condition.READY)
    scanner.close()


@pytest.mark.parametrize("fault", [OneByteAtATime, WithDelays])
def test_scans_are_whole_however_they_arrive(
    tmp_path: Path, make_counter: Callable[..., Counter], fault: type[Passing]
) -> None:
    scanner = SimulatedScanner(tmp_path / "scanner")
    counter = make_counter(
        DevicesConfig(scanners=(ScannerSettings(address=scanner.address),)),
        opener=lambda address: fault(link_from_address(address)),
    )
    eventually(lambda: counter.devices.status().scanner.condition is Condition.READY)
    codes = [f"690102807{place:04d}" for place in range(10)]
    for code in codes:
        scanner.scan(code)
    eventually(lambda: [scan.text for scan in counter.told(Scanned)] == codes)
    scanner.close()


def test_the_same_scan_again_is_marked_and_not_swallowed(tmp_path: Path, make_counter: Callable[..., Counter]) -> None:
    scanner = SimulatedScanner(tmp_path / "scanner")
    config = DevicesConfig(scanners=(ScannerSettings(address=scanner.address),))
    counter = make_counter(config, same_scan_guard_ms=5_000)
    eventually(lambda: counter.devices.status().scanner.condition is Condition.READY)
    for code in ("1234", "1234", "5678"):
        scanner.scan(code)
    eventually(lambda: [scan.is_repeated for scan in counter.told(Scanned)] == [False, True, False])
    scanner.close()


def test_two_scanners_at_one_till_both_count_and_the_one_in_trouble_is_shown(
    tmp_path: Path, make_counter: Callable[..., Counter]
) -> None:
    one, two = SimulatedScanner(tmp_path / "one"), SimulatedScanner(tmp_path / "two")
    config = DevicesConfig(
        scanners=(ScannerSettings(address=one.address), ScannerSettings(address=two.address, suffix=False))
    )
    counter = make_counter(config)
    eventually(lambda: counter.devices.status().scanner.condition is Condition.READY)
    one.scan("1111")
    two.port.send(b"2222")
    eventually(lambda: {scan.text for scan in counter.told(Scanned)} == {"1111", "2222"})
    one.close()
    eventually(lambda: counter.devices.status().scanner.address == one.address)
    two.close()


@pytest.mark.parametrize("protocol", ["toledo-8217", "cas", "continuous"])
def test_a_scale_is_weighed_or_says_why_not(
    tmp_path: Path, make_counter: Callable[..., Counter], protocol: str
) -> None:
    scale = SimulatedScale(tmp_path / "scale", protocol, period_s=0.03)
    counter = make_counter(DevicesConfig(scale=ScaleSettings(address=scale.address, protocol=protocol)))
    scale.load(1234)
    eventually(lambda: counter.devices.weigh(1.0) == Weighed(1234))
    for grams, state, fault in (
        (500, WeighState.UNSTABLE, "scale.unstable"), (0, None, "scale.empty"), (-20, None, "scale.negative"),
        (31_000, WeighState.OVERLOADED, "scale.overloaded"),
    ):  # fmt: skip
        scale.load(grams, state)
        eventually(lambda fault=fault: counter.devices.weigh(0.1).fault == fault)  # type: ignore[misc]
    assert counter.devices.status().scale.condition is Condition.READY, "an empty scale is no broken scale"
    scale.port.unplug()
    assert counter.devices.weigh(0.2).fault in ("device.unplugged", "device.absent")
    eventually(lambda: counter.devices.status().scale.condition is Condition.FAULT)
    scale.port.plug_in()
    scale.load(20)
    eventually(lambda: counter.devices.weigh(0.5) == Weighed(20))
    scale.close()


def test_the_weight_is_told_while_goods_are_weighed_and_only_then(
    tmp_path: Path, make_counter: Callable[..., Counter]
) -> None:
    scale = SimulatedScale(tmp_path / "scale", period_s=0.03)
    counter = make_counter(DevicesConfig(scale=ScaleSettings(address=scale.address)))
    scale.load(100)
    eventually(lambda: counter.devices.status().scale.condition is Condition.READY)
    assert counter.told(Weighed) == []
    counter.devices.watch_scale(True)
    counter.devices.watch_scale(True)
    eventually(lambda: counter.told(Weighed)[-1:] == [Weighed(100)])
    assert counter.told(Weighed)[-1].is_settled
    scale.load(250, WeighState.UNSTABLE)
    eventually(lambda: counter.told(Weighed)[-1].fault == "scale.unstable")
    assert not counter.told(Weighed)[-1].is_settled
    counter.devices.watch_scale(False)
    heard = len(counter.told(Weighed))
    scale.load(300)
    time.sleep(0.4)
    assert len(counter.told(Weighed)) == heard
    scale.close()


def test_noise_on_the_line_never_becomes_a_weight(tmp_path: Path, make_counter: Callable[..., Counter]) -> None:
    scale = SimulatedScale(tmp_path / "scale", "cas", period_s=0.03)
    counter = make_counter(
        DevicesConfig(scale=ScaleSettings(address=scale.address, protocol="cas")),
        opener=lambda address: Noise(link_from_address(address), 0.1),
    )
    scale.load(1234)
    for _ in range(8):
        assert counter.devices.weigh(0.5).grams in (None, 1234)
    scale.close()


class Panel:
    """A customer display on a pseudo-terminal."""

    def __init__(self, path: Path) -> None:
        self.port = PseudoTerminal(path)
        self.display = SimulatedDisplay()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            self.display.receive(self.port.receive(0.02))

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.port.unplug()


def test_the_customer_sees_the_newest_line_also_after_the_display_was_away(
    tmp_path: Path, make_counter: Callable[..., Counter]
) -> None:
    panel = Panel(tmp_path / "display")
    counter = make_counter(DevicesConfig(display=DisplaySettings(address=panel.port.address, hanzi=True)))
    counter.devices.show("可口可乐 500ml", "3.50")
    eventually(lambda: panel.display.lines[0].startswith("可口可乐"))
    assert panel.display.lines[1].strip() == "3.50"
    panel.port.unplug()
    counter.devices.show("合计", "7.00")
    eventually(lambda: counter.devices.status().display.condition is Condition.FAULT)
    panel.port.plug_in()
    eventually(lambda: panel.display.lines[1].strip() == "7.00")
    assert counter.devices.status().display.condition is Condition.READY
    panel.close()


def test_a_display_without_hanzi_shows_pinyin_and_one_of_digits_the_figure(
    tmp_path: Path, make_counter: Callable[..., Counter]
) -> None:
    panel, digits = Panel(tmp_path / "display"), Panel(tmp_path / "digits")
    counter = make_counter(DevicesConfig(display=DisplaySettings(address=panel.port.address)))
    counter.devices.show("可口可乐 500ml", "3.50")
    eventually(lambda: panel.display.lines[0].strip() == "kekoukele 500ml")
    other = make_counter(DevicesConfig(display=DisplaySettings(address=digits.port.address, kind=DisplayKind.LED8)))
    other.devices.show("合计", "12.50", kind=FigureKind.TOTAL, amount_minor=1_250)
    eventually(lambda: "12.50" in "".join(digits.display.lines))
    assert digits.display.mode == 2
    assert other.devices.status().display.fault == ""
    panel.close()
    digits.close()


@pytest.fixture
def shop(shops: Shops) -> Node:
    return chinese_shop(shops)


def test_sales_are_printed_and_the_printers_troubles_told(shop: Node, make_counter: Callable[..., Counter]) -> None:
    device = SimulatedPrinter()
    server = PrinterServer(device)
    counter = make_counter(DevicesConfig(printer=PrinterSettings(address=server.address)), shop)
    complete_sale(shop, lines_of(shop, (COLA, 1000)), prints=True)
    counter.devices.receipt_queued()
    eventually(lambda: len(counter.told(PaperPrinted)) == 1)
    assert "A1-1-000001" in device.paper.text()
    device.is_near_end = True
    complete_sale(shop, lines_of(shop, (COLA, 1000)), prints=True)
    counter.devices.receipt_queued()
    eventually(lambda: counter.devices.status().printer.condition is Condition.ATTENTION)
    device.lines_left = 0
    complete_sale(shop, lines_of(shop, (COLA, 1000)), prints=True)
    counter.devices.receipt_queued()
    eventually(lambda: counter.devices.status().printer.fault == "printer.paper_out")
    device.load_paper()
    eventually(lambda: len(counter.told(PaperPrinted)) == 3)
    assert counter.devices.status().printer.condition is Condition.READY
    assert counter.faults(DeviceRole.PRINTER) == ["", "printer.little_paper", "printer.paper_out", ""]
    server.close()


def test_the_drawer_opens_before_the_paper_and_without_any(shop: Node, make_counter: Callable[..., Counter]) -> None:
    device = SimulatedPrinter()
    device.lines_left = 0
    server = PrinterServer(device)
    settings = PrinterSettings(address=server.address, drawer_sensor="high", drawer_pin=5)
    counter = make_counter(DevicesConfig(printer=settings), shop)
    complete_sale(shop, lines_of(shop, (COLA, 1000)), prints=True)
    counter.devices.receipt_queued()
    counter.devices.open_drawer()
    eventually(lambda: counter.told(DrawerMoved) == [DrawerMoved(True)])
    assert device.pulses == [5]
    assert device.paper.lines() == []
    device.close_drawer()
    device.is_drawer_jammed = True
    counter.devices.open_drawer()
    eventually(lambda: counter.told(DrawerMoved)[1:] == [DrawerMoved(False, "drawer.jammed")])
    server.close()
    counter.devices.open_drawer()
    eventually(lambda: len(counter.told(DrawerMoved)) == 3)
    assert counter.told(DrawerMoved)[2].fault in ("device.absent", "device.unplugged", "device.silent")


def test_training_paper_is_printed_and_kept_nowhere(shop: Node, make_counter: Callable[..., Counter]) -> None:
    device = SimulatedPrinter()
    server = PrinterServer(device)
    counter = make_counter(DevicesConfig(printer=PrinterSettings(address=server.address)), shop)
    report = Report(kind=ReportKind.X, till="A1", business_date="2026-03-02")
    counter.devices.print_now(report_document(shop, report, Copy(48, is_training=True)))
    eventually(lambda: "培训练习" in device.paper.text())
    counter.devices.print_trial()
    eventually(lambda: "打印测试" in device.paper.text())
    assert shop.connection.execute("SELECT count(*) FROM print_job").fetchone()[0] == 0
    server.close()


def test_other_settings_are_taken_up_while_the_till_goes_on(
    tmp_path: Path, make_counter: Callable[..., Counter]
) -> None:
    one, two = SimulatedScanner(tmp_path / "one"), SimulatedScanner(tmp_path / "two")
    counter = make_counter(DevicesConfig(scanners=(ScannerSettings(address=one.address),)))
    eventually(lambda: counter.devices.status().scanner.condition is Condition.READY)
    counter.devices.restart(DevicesConfig(scanners=(ScannerSettings(address=two.address),)))
    eventually(lambda: counter.devices.status().scanner == DeviceState(
        DeviceRole.SCANNER, Condition.READY, "", two.address))  # fmt: skip
    two.scan("2222")
    eventually(lambda: [scan.text for scan in counter.told(Scanned)] == ["2222"])
    one.close()
    two.close()


def test_no_call_of_the_screen_waits_for_a_device_that_hangs(
    shop: Node, tmp_path: Path, make_counter: Callable[..., Counter]
) -> None:
    class Dead(Passing):
        def open(self) -> None:
            time.sleep(3)
            self.inner.open()

        def write(self, data: bytes) -> None:
            time.sleep(3)

    port = PseudoTerminal(tmp_path / "port")
    config = DevicesConfig(
        printer=PrinterSettings(address=port.address), scanners=(ScannerSettings(address=port.address),),
        scale=ScaleSettings(address=port.address), display=DisplaySettings(address=port.address),
    )  # fmt: skip
    began = time.monotonic()
    counter = make_counter(config, shop, opener=lambda address: Dead(link_from_address(address)))
    devices = counter.devices
    for _ in range(50):
        devices.show("合计", "1.00")
        devices.receipt_queued()
        devices.watch_scale(True)
        devices.status()
    devices.open_drawer()
    assert time.monotonic() - began < 2.5
    port.unplug()


def faults() -> list[str]:
    return [*(fault.value for fault in DeviceFault), UNSET, ELSEWHERE, LITTLE_PAPER, TOO_LATE, UNPRINTABLE]


@pytest.mark.parametrize("language", list(Language))
def test_every_fault_has_one_calm_sentence(language: Language) -> None:
    texts = Texts("schema", language)
    for fault in faults():
        sentence = fault_sentence(texts, fault, texts("device.printer"))
        assert sentence != texts("fault.other", device=texts("device.printer"), fault=fault), fault
        assert "{" not in sentence
        assert len(sentence) <= 90
    for role in DeviceRole:
        for condition in Condition:
            assert texts.has(f"device.{role.value}")
            shown = DeviceState(role, condition).sentence(texts)
            assert condition in (Condition.FAULT, Condition.ATTENTION) or "{" not in shown
    assert device_events.fault_sentence(texts, "nonsense", "x").count("nonsense") == 1


def test_both_languages_have_the_same_texts() -> None:
    assert set(catalogue("schema", Language.ZH)) == set(catalogue("schema", Language.EN))
