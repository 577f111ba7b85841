"""Owns the settings of a till's devices: `devices.toml` in the node's directory, read once and handed down.

A till without the file has no devices and sells all the same. Unknown keys and addresses that cannot be understood
are refused with the file's name, so that a typing error is found when it is made.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from drivers.display import DisplayKind
from drivers.errors import DeviceError
from drivers.escpos.code_page import PROFILES, PrinterProfile
from drivers.link import link_from_address
from drivers.scale import PROTOCOLS
from schema.errors import RefusalError
from schema.files import write_private

DEVICES_FILE: Final = "devices.toml"
HOLD_MINUTES: Final = 30


class DeviceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all: the address as `drivers.link.link_from_address` reads it."""

    address: str


class PrinterSettings(DeviceSettings, frozen=True, kw_only=True):
    """A receipt printer and the drawer behind it. What is None follows from `profile`, the paper's width and fonts.

    `drawer_sensor` is the level of the drawer's switch while it is open. A `shared` network printer is let go after
    each job, for others. Receipts that waited longer than `hold_minutes` are not printed by themselves any more.
    """

    profile: str = "80mm"
    columns: int | None = None
    has_hanzi: bool | None = None
    has_native_qr: bool | None = None
    has_native_barcodes: bool | None = None
    has_cutter: bool | None = None
    answers_status: bool | None = None
    confirms_jobs: bool | None = None
    drawer_pin: Literal[2, 5] = 2
    drawer_sensor: Literal["none", "high", "low"] = "none"
    logo: str = ""
    shared: bool = False
    hold_minutes: int = HOLD_MINUTES

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ValueError(f"profile is one of {', '.join(PROFILES)}")
        if self.columns is not None and not 24 <= self.columns <= 64:
            raise ValueError("columns are 24 to 64")
        if self.hold_minutes < 1:
            raise ValueError("hold_minutes is 1 or more")

    def printer_profile(self) -> PrinterProfile:
        """Return what this printer does by itself."""
        base = PROFILES[self.profile]
        if self.address.startswith("file:") and not self.address.removeprefix("file:").startswith(("/dev/", "///dev/")):
            base = base.on_file()
        names = ("columns", "has_hanzi", "has_native_qr", "has_native_barcodes", "has_cutter", "answers_status",
                 "confirms_jobs")  # fmt: skip
        told: dict[str, Any] = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.drawer_sensor != "none":
            told |= {"has_drawer_sensor": True, "is_drawer_open_high": self.drawer_sensor == "high"}
        return replace(base, **told)


class ScannerSettings(DeviceSettings, frozen=True, kw_only=True):
    """A scanner at a serial port; `suffix` is off for one that ends a code with nothing but silence."""

    suffix: bool = True


class ScaleSettings(DeviceSettings, frozen=True, kw_only=True):
    """A scale at a serial port, and the language it speaks."""

    protocol: str = "toledo-8217"

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol is one of {', '.join(PROTOCOLS)}")


class DisplaySettings(DeviceSettings, frozen=True, kw_only=True):
    """A customer display; `hanzi` for panels that show GB18030, others get pinyin."""

    kind: DisplayKind = DisplayKind.CD5220
    hanzi: bool = False


class DevicesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The devices of one till."""

    printer: PrinterSettings | None = None
    scanners: tuple[ScannerSettings, ...] = ()
    scale: ScaleSettings | None = None
    display: DisplaySettings | None = None

    def each(self) -> list[DeviceSettings]:
        """Return every device that is set up."""
        return [one for one in (self.printer, *self.scanners, self.scale, self.display) if one is not None]


def read_devices(directory: Path) -> DevicesConfig:
    """Read a node's devices; none where there is no file. Raises RefusalError `devices_invalid`."""
    path = directory / DEVICES_FILE
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        scanner = values.pop("scanner", None)
        if scanner is not None:
            values["scanners"] = scanner if isinstance(scanner, list) else [scanner]
        config = msgspec.convert(values, DevicesConfig)
        for one in config.each():
            link_from_address(one.address)
    except FileNotFoundError:
        return DevicesConfig()
    except DeviceError as error:
        reason = f"the address {error.device!r} cannot be understood"
        raise RefusalError("devices_invalid", f"{path}: {reason}", file=path.name, reason=reason) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as error:  # msgspec's own are ValueErrors
        raise RefusalError("devices_invalid", f"{path}: {error}", file=path.name, reason=str(error)) from None
    return config


def write_devices(directory: Path, config: DevicesConfig) -> None:
    """Write a node's devices."""
    write_private(directory / DEVICES_FILE, toml_of(config).encode())


def toml_of(config: DevicesConfig) -> str:
    """Return devices as TOML; what has its default value is left out."""
    lines: list[str] = []
    tables: list[tuple[str, DeviceSettings | None]] = [
        ("[printer]", config.printer),
        *(("[[scanner]]", one) for one in config.scanners),
        ("[scale]", config.scale),
        ("[display]", config.display),
    ]
    for name, one in tables:
        if one is None:
            continue
        lines.append(name)
        plain = type(one)(address=one.address)
        for field in one.__struct_fields__:
            value = getattr(one, field)
            if field == "address" or value != getattr(plain, field):
                lines.append(f"{field} = {msgspec.json.encode(value).decode()}")
        lines.append("")
    return "\n".join(lines)
