"""A till's devices are one file: read whole or refused with a sentence, and absent it means no devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.display import DisplayKind
from edge.devices_config import (
    DEVICES_FILE,
    DevicesConfig,
    DisplaySettings,
    PrinterSettings,
    ScaleSettings,
    ScannerSettings,
    read_devices,
    write_devices,
)
from schema.errors import RefusalError

WHOLE = """
[printer]
address = "tcp://192.168.1.50:9100"
profile = "58mm"
drawer_sensor = "low"
logo = "logo.png"

[[scanner]]
address = "serial:/dev/ttyACM0"
[[scanner]]
address = "serial:/dev/ttyUSB1?baud=115200"
suffix = false

[scale]
address = "serial:/dev/ttyS0?bits=7&parity=E"

[display]
address = "serial:/dev/ttyUSB0?baud=2400"
kind = "led8"
"""


def write(directory: Path, text: str) -> None:
    (directory / DEVICES_FILE).write_text(text, "utf-8")


def test_without_a_file_there_are_no_devices(tmp_path: Path) -> None:
    assert read_devices(tmp_path) == DevicesConfig()
    assert DevicesConfig().each() == []


def test_a_whole_file_is_read_and_written_alike(tmp_path: Path) -> None:
    write(tmp_path, WHOLE)
    config = read_devices(tmp_path)
    assert config == DevicesConfig(
        printer=PrinterSettings(address="tcp://192.168.1.50:9100", profile="58mm", drawer_sensor="low",
                                logo="logo.png"),
        scanners=(
            ScannerSettings(address="serial:/dev/ttyACM0"),
            ScannerSettings(address="serial:/dev/ttyUSB1?baud=115200", suffix=False),
        ),
        scale=ScaleSettings(address="serial:/dev/ttyS0?bits=7&parity=E"),
        display=DisplaySettings(address="serial:/dev/ttyUSB0?baud=2400", kind=DisplayKind.LED8),
    )  # fmt: skip
    write_devices(tmp_path, config)
    assert read_devices(tmp_path) == config
    write(tmp_path, '[scanner]\naddress = "serial:/dev/ttyACM0"\n')
    assert read_devices(tmp_path).scanners == (ScannerSettings(address="serial:/dev/ttyACM0"),)


@pytest.mark.parametrize(
    "text",
    [
        "[printer]\nadress = 'tcp://x'",
        "[printer]\n",
        "[printer]\naddress = 'tcp://x'\nprofile = '90mm'",
        "[printer]\naddress = 'tcp://x'\ncolumns = 8",
        "[printer]\naddress = 'tcp://x'\nhold_minutes = 0",
        "[printer]\naddress = 'tcp://x'\ndrawer_pin = 3",
        "[printer]\naddress = 'somewhere'",
        "[printer]\naddress = 'serial:/dev/ttyS0?boud=9600'",
        "[scale]\naddress = 'serial:/dev/ttyS0'\nprotocol = 'morse'",
        "[display]\naddress = 'serial:/dev/ttyS0'\nkind = 'cinema'",
        "[toaster]\naddress = 'serial:/dev/ttyS0'",
        "[printer",
        "printer = 3",
        "scanner = [1]",
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_files_name(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(RefusalError) as refused:
        read_devices(tmp_path)
    assert refused.value.code == "devices_invalid"
    assert refused.value.facts["file"] == DEVICES_FILE
    assert refused.value.facts["reason"]


def test_a_profile_says_what_a_printer_can_and_the_file_what_this_one_cannot() -> None:
    base = PrinterSettings(address="tcp://x").printer_profile()
    assert (base.columns, base.has_hanzi, base.answers_status, base.has_drawer_sensor) == (48, True, True, False)
    told = PrinterSettings(address="tcp://x", columns=42, has_hanzi=False, drawer_sensor="high").printer_profile()
    assert (told.columns, told.has_hanzi, told.has_drawer_sensor, told.is_drawer_open_high) == (42, False, True, True)
    assert not PrinterSettings(address="file:paper.escpos").printer_profile().answers_status
    assert PrinterSettings(address="file:/dev/usb/lp0").printer_profile().answers_status
    assert not PrinterSettings(address="file:/dev/usb/lp0", answers_status=False).printer_profile().answers_status
