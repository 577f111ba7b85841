"""Owns finding USB printers on Linux, from what the kernel shows of its devices; nothing is opened or claimed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

USB_DEVICES: Final = Path("/sys/bus/usb/devices")
PRINTER_CLASS: Final = "07"
"""The USB device class of printers (USB-IF, Device Class Definition for Printing Devices 1.1)."""


@dataclass(frozen=True, slots=True)
class UsbPrinter:
    """A printer that is plugged in: its address without the kernel's driver, and through it where that is loaded."""

    address: str
    description: str
    device_file: str = ""


def usb_printers(devices: Path = USB_DEVICES) -> list[UsbPrinter]:
    """List the USB printers of this machine; none where the kernel shows no USB devices."""
    found = []
    for interface in sorted(devices.glob("*:*")):
        if _read(interface / "bInterfaceClass") != PRINTER_CLASS:
            continue
        device = devices / interface.name.partition(":")[0]
        vendor, product = _read(device / "idVendor"), _read(device / "idProduct")
        if not (vendor and product):
            continue
        name = " ".join(filter(None, (_read(device / "manufacturer"), _read(device / "product"))))
        nodes = sorted(path.name for path in (interface / "usbmisc").glob("lp*"))
        found.append(UsbPrinter(f"usb:{vendor}:{product}", name, f"file:/dev/usb/{nodes[0]}" if nodes else ""))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
