"""Links open, vanish and come back with typed errors, and addresses say exactly one thing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.errors import DeviceError, DeviceFault, LinkDownError, NoAnswerError
from drivers.link import (
    BackOff,
    FileLink,
    LinkReader,
    MemoryLink,
    NetworkLink,
    SerialLink,
    link_from_address,
    serial_ports,
)
from drivers.simulated import PseudoTerminal
from tests.drivers.fault_links import eventually


@pytest.mark.parametrize(
    ("address", "kind", "name"),
    [
        ("serial:/dev/ttyUSB0?baud=9600&bits=7&parity=e&flow=rtscts", SerialLink, "serial:/dev/ttyUSB0"),
        ("serial:COM3", SerialLink, "serial:COM3"),
        ("tcp://10.0.0.8:9100", NetworkLink, "tcp://10.0.0.8:9100"),
        ("tcp://printer.shop", NetworkLink, "tcp://printer.shop:9100"),
        ("file:/dev/usb/lp0", FileLink, "file:/dev/usb/lp0"),
        ("file:///dev/usb/lp0", FileLink, "file:/dev/usb/lp0"),
    ],
)
def test_an_address_names_its_link(address: str, kind: type, name: str) -> None:
    link = link_from_address(address)
    assert isinstance(link, kind)
    assert link.name == name
    assert not link.is_open


@pytest.mark.parametrize(
    "address",
    ["", "serial:", "serial:/dev/x?bauds=1", "serial:/dev/x?bits=9",
     "serial:/dev/x?flow=maybe", "serial:/dev/x?baud=fast", "tcp://", "file:",
     "tcp://h:99999", "usb:printer", "usb:04b8", "http://x", "tcp://h/p", "usb:04b8:0e15?speed=2"],
)  # fmt: skip
def test_an_address_that_says_nothing_clear_is_refused(address: str) -> None:
    with pytest.raises(DeviceError) as caught:
        link_from_address(address)
    assert caught.value.code == "device.address"


def test_a_serial_port_is_held_alone_and_its_unplugging_is_typed(tmp_path: Path) -> None:
    port = PseudoTerminal(tmp_path / "tty")
    link, other = link_from_address(port.address), link_from_address(port.address)
    link.open()
    with pytest.raises(LinkDownError) as busy:
        other.open()
    assert busy.value.fault is DeviceFault.BUSY
    port.send(b"abc")
    assert link.read(timeout_s=1) == b"abc"
    assert link.read(timeout_s=0) == b""
    link.write(b"W")
    assert port.receive(1) == b"W"
    port.unplug()
    with pytest.raises(LinkDownError) as gone:
        link.read(timeout_s=1)
    assert gone.value.fault is DeviceFault.UNPLUGGED
    assert not link.is_open
    with pytest.raises(LinkDownError) as absent:
        link.open()
    assert absent.value.fault is DeviceFault.ABSENT
    for use in (lambda: link.read(timeout_s=0), lambda: link.write(b"x")):
        with pytest.raises(LinkDownError):
            use()
    port.plug_in()
    link.open()
    port.send(b"again")
    assert link.read(timeout_s=1) == b"again"
    link.close()
    port.unplug()


def test_what_came_before_opening_is_discarded(tmp_path: Path) -> None:
    port = PseudoTerminal(tmp_path / "tty")
    port.send(b"stale scan\r")
    link = link_from_address(port.address)
    link.open()
    assert link.read(timeout_s=0.05) == b""
    link.close()
    port.unplug()


def test_an_unplugged_device_file_never_becomes_a_plain_file() -> None:
    with pytest.raises(LinkDownError) as caught:
        FileLink("/dev/edgetill-no-such-printer").open()
    assert caught.value.fault is DeviceFault.ABSENT
    assert not Path("/dev/edgetill-no-such-printer").exists()


def test_a_device_file_that_takes_nothing_gives_up_in_time(tmp_path: Path) -> None:
    path = tmp_path / "lp0"
    os.mkfifo(path)
    link = FileLink(str(path), write_s=0.1)
    link.open()
    with pytest.raises(NoAnswerError) as caught:
        link.write(b"x" * 1_000_000)
    assert caught.value.fault is DeviceFault.SILENT
    link.close()


def test_a_network_device_that_is_not_there_is_absent() -> None:
    with pytest.raises(LinkDownError) as caught:
        NetworkLink("127.0.0.1", 1, connect_s=0.5).open()
    assert caught.value.fault is DeviceFault.ABSENT


def test_waiting_doubles_to_its_limit_and_starts_anew_after_a_success() -> None:
    back_off = BackOff(0.5, 3)
    assert [back_off.failed() for _ in range(5)] == [0.5, 1, 2, 3, 3]
    back_off.succeeded()
    assert back_off.failed() == 0.5


def test_a_reader_tells_each_change_once_and_survives_every_unplugging() -> None:
    link = MemoryLink()
    link.unplug()
    heard: list[bytes] = []
    states: list[DeviceFault | None] = []
    reader = LinkReader(
        link,
        heard.append,
        lambda error: states.append(error.fault if error is not None else None),
        back_off=BackOff(0.002, 0.004),
        read_s=0.01,
    )
    reader.start()
    eventually(lambda: states == [DeviceFault.ABSENT])
    link.plug_in()
    eventually(lambda: states[-1] is None)
    link.feed(b"one")
    eventually(lambda: heard == [b"one"])
    link.unplug()
    eventually(lambda: len(states) >= 3 and states[-1] is not None)
    link.plug_in()
    eventually(lambda: states[-1] is None)
    link.feed(b"two")
    eventually(lambda: heard[-1] == b"two")
    reader.stop()
    assert not link.is_open


def test_the_ports_of_this_machine_can_be_listed() -> None:
    assert all(port.address.startswith("serial:") for port in serial_ports())
