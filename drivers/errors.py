"""Owns the ways in which a device fails its user: each has a stable code that a screen turns into one calm sentence.

A device never decides about a sale. Whoever catches a `DeviceError` attends to the device and tries again; what was
sold stands. The words for people live in the screens' catalogues; the text here is for logs.
"""

from __future__ import annotations

from enum import StrEnum


class DeviceFault(StrEnum):
    """What is wrong, as a code that never changes its meaning."""

    ABSENT = "device.absent"
    """Nothing answers at this address: not plugged in, switched off, wrong name."""
    BUSY = "device.busy"
    """Another program holds the port."""
    FORBIDDEN = "device.forbidden"
    """This user may not open the port."""
    UNPLUGGED = "device.unplugged"
    """It was there and went away."""
    SILENT = "device.silent"
    """It is connected and did not answer, or took no bytes, in time."""
    GARBLED = "device.garbled"
    """It answered with bytes that make no sense: wrong speed, parity or protocol."""
    ADDRESS = "device.address"
    """The address in the settings cannot be understood, or this machine lacks what it needs."""
    PAPER_OUT = "printer.paper_out"
    COVER_OPEN = "printer.cover_open"
    OFFLINE = "printer.offline"
    CUTTER = "printer.cutter"
    OVERHEATED = "printer.overheated"
    BROKEN = "printer.broken"
    """An error that the printer itself cannot recover from: switch it off and on."""
    UNCONFIRMED = "printer.unconfirmed"
    """All or part of a job was handed over, and nobody knows whether it is on paper: ask the cashier."""
    DRAWER_JAMMED = "drawer.jammed"
    """The pulse was sent and the drawer did not open."""
    SCALE_UNSTABLE = "scale.unstable"
    SCALE_OVERLOADED = "scale.overloaded"
    SCALE_NEGATIVE = "scale.negative"
    SCALE_EMPTY = "scale.empty"


class DeviceError(Exception):
    """Report that a device needs attention; `fault` is what to show, `device` whose it is."""

    def __init__(self, fault: DeviceFault, device: str, detail: str = "") -> None:
        super().__init__(f"{device}: {fault}" + (f" ({detail})" if detail else ""))
        self.fault = fault
        self.device = device
        self.detail = detail

    @property
    def code(self) -> str:
        """Return the stable code."""
        return self.fault.value


class LinkDownError(DeviceError):
    """Report that the way to a device is closed: reconnect with back-off. Bytes in flight may have arrived or not."""


class NoAnswerError(DeviceError):
    """Report that the way is open and the other side kept silent or took nothing for too long."""
