"""The verbs of devices and receipts, as a person types them who sets a till up or looks for a receipt."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from drivers.simulated import PrinterServer, PseudoTerminal, SimulatedPrinter, SimulatedScale, SimulatedScanner
from drivers.usb import UsbPrinter, usb_printers
from edge.commands import commands
from edge.device_check import EXPLAINED
from edge.devices_config import DEVICES_FILE, DevicesConfig, PrinterSettings, ScaleSettings, read_devices, write_devices
from edge.node import Node
from edge.simulated_counter import SimulatedCounter, lent_to
from schema.errors import RefusalError
from tests.drivers.fault_links import eventually
from tests.edge.paper_shops import chinese_shop, sell_promoted
from tests.edge.shops import Shops
from tests.processes import ROOT, command, environment

CLOCK = "2026-03-02T08:10:00+08:00"
Type = Callable[..., Result]


@pytest.fixture
def shop(shops: Shops) -> Node:
    return chinese_shop(shops)


@pytest.fixture
def typed(shop: Node) -> Type:
    """Type a command at the till; a refusal is raised."""
    app = typer.Typer(pretty_exceptions_enable=False)
    commands(app)

    def type_in(*words: str, status: int = 0) -> Result:
        env = {"EDGETILL_NODE": str(shop.directory), "EDGETILL_CLOCK": CLOCK, "COLUMNS": "200"}
        result = CliRunner().invoke(app, list(words), env=env)
        if isinstance(result.exception, RefusalError):
            raise result.exception
        assert result.exit_code == status, result.output + repr(result.exception)
        return result

    return type_in


@pytest.fixture
def printer() -> Iterator[tuple[SimulatedPrinter, str]]:
    device = SimulatedPrinter()
    server = PrinterServer(device)
    yield device, server.address
    server.close()


def test_a_till_without_devices_says_so(typed: Type) -> None:
    assert "Nothing is set up" in typed("devices").stdout
    assert json.loads(typed("devices", "list", "--json").stdout)["devices"] == []


def test_each_device_that_is_set_up_is_listed_with_its_state(
    typed: Type, shop: Node, printer: tuple[SimulatedPrinter, str], tmp_path: Path
) -> None:
    scale = SimulatedScale(tmp_path / "scale")
    device, address = printer
    config = DevicesConfig(printer=PrinterSettings(address=address), scale=ScaleSettings(address=scale.address))
    write_devices(shop.directory, config)
    told = typed("devices", "list").stdout
    assert "The printer is ready" in told
    assert "The scale is ready" in told
    device.lines_left = 0
    scale.close()
    told = typed("devices", "list", "--language", "zh").stdout
    assert "打印机没纸了" in told
    assert "找不到电子秤" in told
    states = json.loads(typed("devices", "list", "--json").stdout)["devices"]
    assert [state["fault"] for state in states] == ["printer.paper_out", "device.absent"]


def test_a_printer_is_tried_with_a_page_and_the_outcome_said(
    typed: Type, printer: tuple[SimulatedPrinter, str]
) -> None:
    device, address = printer
    assert "confirmed" in typed("devices", "test", "printer", "--address", address).stdout
    assert "打印测试" in device.paper.text()
    assert "￥88.80" in device.paper.text()
    device.lines_left = 3
    assert "may be printed in part" in typed("devices", "test", "printer", "--address", address, status=1).stdout
    device.load_paper()
    device.is_cover_open = True
    told = typed("devices", "test", "printer", "--address", address, "--language", "zh", status=1).stdout
    assert "盖子开着" in told
    assert "没有打印" in told


def test_drawer_scale_scanner_and_display_are_tried(
    typed: Type, printer: tuple[SimulatedPrinter, str], tmp_path: Path
) -> None:
    device, address = printer
    assert "The pulse was sent" in typed("devices", "test", "drawer", "--address", address).stdout
    eventually(lambda: device.pulses == [2])
    scale = SimulatedScale(tmp_path / "scale", "cas")
    scale.load(1234)
    words = ("devices", "test", "scale", "--address", scale.address, "--protocol", "cas", "--within", "2")
    assert "1234 g" in typed(*words).stdout
    scale.load(0)
    assert "Nothing is on the scale" in typed(*words, status=1).stdout
    scale.close()
    display = PseudoTerminal(tmp_path / "display")
    assert "1234.56" in typed("devices", "test", "display", "--address", display.address).stdout
    assert b"WELCOME" in display.receive(1)
    display.unplug()
    scanner = SimulatedScanner(tmp_path / "scanner")
    scan = ("devices", "test", "scanner", "--address", scanner.address, "--within", "0.3")
    assert "serial mode" in typed(*scan, status=1).stdout
    scanner.close()
    assert "is not there" in typed(*scan, status=1).stdout


def test_what_cannot_be_tried_is_refused(typed: Type) -> None:
    for words, code in (
        (("devices", "test", "toaster"), "device_unknown"),
        (("devices", "test", "printer"), "device_unset"),
        (("devices", "test", "printer", "--address", "somewhere"), "devices_invalid"),
        (("devices", "test", "printer", "--address", "tcp://x", "--profile", "90mm"), "devices_invalid"),
        (("devices", "explain", "toaster"), "device_unknown"),
        (("receipts", "print"), "device_unset"),
        (("receipts", "show", "A1-1-999999"), "receipt_unknown"),
    ):
        with pytest.raises(RefusalError) as refused:
            typed(*words)
        assert refused.value.code == code


@pytest.mark.parametrize("language", ["zh", "en"])
def test_each_device_is_explained_with_what_to_write(typed: Type, language: str, tmp_path: Path) -> None:
    for what in EXPLAINED:
        told = typed("devices", "explain", what, "--language", language).stdout
        assert "{" not in told
        assert "explain." not in told
        example = "\n".join(line.strip() for line in told.splitlines() if " = " in line or line.strip().startswith("["))
        settings = "\n".join(line for line in example.splitlines() if "。" not in line and ": " not in line[:12])
        start = settings.index("[")
        (tmp_path / DEVICES_FILE).write_text(settings[start:], "utf-8")
        assert len(read_devices(tmp_path).each()) == 1, settings


def test_sales_typed_with_print_come_out_and_can_be_looked_up_and_printed_again(
    typed: Type, shop: Node, tmp_path: Path
) -> None:
    file = tmp_path / "paper.escpos"
    write_devices(shop.directory, DevicesConfig(printer=PrinterSettings(address=f"file:{file}", profile="58mm")))
    typed("sell", "2*11001", "--print", "--operator", "op-wang")
    typed("refund", "A1-1-000001", "--line", "1*1", "--print")
    assert [line.split()[1:3] for line in typed("receipts", "jobs").stdout.splitlines()] == [
        ["waiting", "A1-1-000001"], ["waiting", "A1-1-000002"],
    ]  # fmt: skip
    assert typed("receipts", "print").stdout.startswith("2 printed")
    assert typed("receipts", "print", "A1-1-000001").stdout.startswith("1 printed")
    shown = typed("devices", "picture", str(file), "--profile", "58mm").stdout
    assert shown.count("\n单号：A1-1-000001") == 2
    assert shown.count("补打") == 1
    assert "退货单" in shown
    assert file.with_suffix(".png").stat().st_size > 1000
    assert "可口可乐 500ml" in typed("receipts", "show", "A1-1-000001").stdout
    assert "Cashier: 1013" in typed("receipts", "show", "A1-1-000001", "--language", "en").stdout


def test_a_receipt_of_unknown_outcome_is_answered(
    typed: Type, shop: Node, printer: tuple[SimulatedPrinter, str]
) -> None:
    device, address = printer
    write_devices(shop.directory, DevicesConfig(printer=PrinterSettings(address=address)))
    device.lines_left = 4
    typed("sell", "11001", "--print")
    told = typed("receipts", "print", status=1).stdout
    assert "1 to be answered" in told
    assert "out of paper" in told
    assert json.loads(typed("receipts", "jobs", "--json").stdout)["state"] == "unknown"
    device.load_paper()
    device.take_paper()
    typed("receipts", "answer", "1", "--missing")
    assert typed("receipts", "print").stdout.startswith("1 printed")
    assert "补打" in device.paper.text()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_counter_is_simulated_until_it_is_ended(shop: Node, tmp_path: Path, end: signal.Signals) -> None:
    words = command("devices", "simulate", "--directory", str(tmp_path / "sim"), "--node", str(shop.directory))
    with subprocess.Popen(
        words, cwd=ROOT, env=environment({"PYTHONUNBUFFERED": "1"}), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as running:  # fmt: skip
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            eventually((shop.directory / DEVICES_FILE).exists, 20)
            config = read_devices(shop.directory)
            assert len(config.each()) == 4
            running.stdin.write("weigh 345\nsing\npaper low\n")
            running.stdin.flush()
            lines = iter(running.stdout.readline, "")
            assert any("345 g" in line for line in lines)
            assert any("type: scan" in line for line in lines)
            assert any("little paper" in line for line in lines)
        finally:
            running.send_signal(end)
            try:
                running.wait(timeout=20)
            finally:
                running.kill()
    assert not (shop.directory / DEVICES_FILE).exists(), "what was written for the time is taken away again"


def test_devices_of_a_nodes_own_are_not_replaced_by_simulated_ones(shop: Node, tmp_path: Path) -> None:
    own = DevicesConfig(printer=PrinterSettings(address="tcp://192.168.1.50:9100"))
    simulated = DevicesConfig(printer=PrinterSettings(address="tcp://127.0.0.1:9"))
    with lent_to(shop.directory, simulated):
        assert read_devices(shop.directory) == simulated
        with lent_to(shop.directory, simulated):  # what a killed one left behind is no hindrance
            pass
    assert read_devices(shop.directory) == DevicesConfig()
    write_devices(shop.directory, own)
    with pytest.raises(RefusalError) as refused, lent_to(shop.directory, simulated):
        pass
    assert refused.value.code == "devices_present"
    assert read_devices(shop.directory) == own


def test_the_simulated_counter_keeps_each_paper_as_a_picture(tmp_path: Path, shop: Node) -> None:
    papers: list[Path] = []
    with SimulatedCounter(tmp_path / "sim", profile="58mm", on_paper=papers.append) as counter:
        from drivers.link import link_from_address
        from edge.device_desks import printer_of
        from edge.receipts import receipt_document

        settings = counter.config().printer
        assert settings is not None
        desk = printer_of(settings, link_from_address)
        laid = receipt_document(shop, sell_promoted(shop).entry, columns=32)
        desk.print(laid.document())
        eventually(lambda: len(papers) == 1)
        desk.print(laid.document())
        desk.close()
    assert [path.name for path in papers] == ["paper-0001.png", "paper-0002.png"]
    assert "A1-1-000001" in papers[0].with_suffix(".txt").read_text("utf-8")
    with pytest.raises(RefusalError):
        SimulatedCounter(tmp_path, profile="90mm")


def test_usb_printers_are_found_by_their_class(tmp_path: Path) -> None:
    def write(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    facts: dict[str, Any] = {"idVendor": "04b8", "idProduct": "0e15", "manufacturer": "EPSON", "product": "TM-T20II"}
    for name, value in facts.items():
        write(f"1-2/{name}", value)
    write("1-2:1.0/bInterfaceClass", "07")
    (tmp_path / "1-2:1.0" / "usbmisc" / "lp0").mkdir(parents=True)
    write("1-3/idVendor", "dead")
    write("1-3:1.0/bInterfaceClass", "03")
    write("1-4:1.0/bInterfaceClass", "07")
    assert usb_printers(tmp_path) == [UsbPrinter("usb:04b8:0e15", "EPSON TM-T20II", "file:/dev/usb/lp0")]
    assert usb_printers(tmp_path / "nothing") == []
