"""Owns trying a device once, as a person does who sets a till up: is it there, does it work, what is to be done.

It opens ports for itself, so a till that runs at the same time is seen as "held by another program".
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from drivers.display import CustomerDisplay, DisplayEncoder, DisplayKind, PriceMode
from drivers.errors import DeviceError
from drivers.escpos.code_page import PROFILES
from drivers.link import Link, link_from_address
from drivers.scale import PROTOCOLS, Scale
from drivers.scanner import Scan, SerialScanner
from edge.device_desks import printer_of, state_of, trial_page
from edge.device_events import Condition, DeviceRole, DeviceState, fault_sentence
from edge.devices_config import (
    DevicesConfig,
    DeviceSettings,
    DisplaySettings,
    PrinterSettings,
    ScaleSettings,
    ScannerSettings,
)
from edge.print_queue import LITTLE_PAPER
from schema.errors import RefusalError
from schema.rules.promotion_terms import Language
from schema.texts import Texts

ROLES: Final = ("printer", "drawer", "scanner", "scale", "display")
EXPLAINED: Final = ("printer", "scanner", "scale", "display")


class Trial(NamedTuple):
    """What is to be tried: a device's role, where its settings are not the node's, and how long to wait."""

    what: str
    address: str = ""
    profile: str = "80mm"
    protocol: str = "toledo-8217"
    within_s: float = 15.0


class Outcome(NamedTuple):
    """What came of it, in one sentence."""

    is_well: bool
    sentence: str


# Is it there?


def check_devices(config: DevicesConfig, opener: Callable[[str], Link] = link_from_address) -> list[DeviceState]:
    """Return how each device is that is set up; asks printers and scales, opens the ports of the others."""
    states = []
    if config.printer is not None:
        states.append(_check_printer(config.printer, opener))
    for scanner in config.scanners:
        states.append(_check_port(DeviceRole.SCANNER, scanner, opener))
    if config.scale is not None:
        scale = Scale(opener(config.scale.address), PROTOCOLS[config.scale.protocol]())
        states.append(_checked(DeviceRole.SCALE, config.scale.address, scale.read, scale.close))
    if config.display is not None:
        states.append(_check_port(DeviceRole.DISPLAY, config.display, opener))
    return states


def _check_printer(settings: PrinterSettings, opener: Callable[[str], Link]) -> DeviceState:
    printer = printer_of(settings, opener)
    try:
        status = printer.status(at_once=True)
    except DeviceError as error:
        return state_of(DeviceRole.PRINTER, settings.address, error)
    finally:
        printer.close()
    if status.fault is not None:
        return DeviceState(DeviceRole.PRINTER, Condition.FAULT, status.fault.value, settings.address)
    if status.paper == "near-end":
        return DeviceState(DeviceRole.PRINTER, Condition.ATTENTION, LITTLE_PAPER, settings.address)
    return DeviceState(DeviceRole.PRINTER, Condition.READY, "", settings.address)


def _check_port(role: DeviceRole, settings: DeviceSettings, opener: Callable[[str], Link]) -> DeviceState:
    link = opener(settings.address)
    return _checked(role, settings.address, link.open, link.close)


def _checked(role: DeviceRole, address: str, use: Callable[[], object], close: Callable[[], None]) -> DeviceState:
    try:
        use()
    except DeviceError as error:
        return state_of(role, address, error)
    finally:
        close()
    return state_of(role, address, None)


# Does it work?


def try_device(config: DevicesConfig | None, trial: Trial, texts: Texts) -> Outcome:
    """Use a device once; without `config` the trial's address says where. Raises RefusalError for a wrong word."""
    if trial.what not in ROLES:
        raise RefusalError("device_unknown", f"{trial.what!r} is none of {', '.join(ROLES)}")
    settings = _settings(config, trial)
    name = texts(f"device.{trial.what}")
    try:
        return _try(settings, trial, texts)
    except DeviceError as error:
        return Outcome(False, fault_sentence(texts, error.code, name))


def _settings(config: DevicesConfig | None, trial: Trial) -> DeviceSettings:
    role = "printer" if trial.what == "drawer" else trial.what
    if config is None:
        kinds: dict[str, Callable[[], DeviceSettings]] = {
            "printer": lambda: PrinterSettings(address=trial.address, profile=trial.profile),
            "scanner": lambda: ScannerSettings(address=trial.address),
            "scale": lambda: ScaleSettings(address=trial.address, protocol=trial.protocol),
            "display": lambda: DisplaySettings(address=trial.address),
        }
        try:
            link_from_address(trial.address)
            return kinds[role]()
        except (DeviceError, ValueError) as error:
            raise RefusalError("devices_invalid", str(error), file=trial.address, reason=str(error)) from None
    found: DeviceSettings | None = getattr(config, role) if role != "scanner" else next(iter(config.scanners), None)
    if found is None:
        raise RefusalError("device_unset", f"no {role} is set up: write it into devices.toml, or give --address")
    return found


def _try(settings: DeviceSettings, trial: Trial, texts: Texts) -> Outcome:
    match settings:
        case PrinterSettings() if trial.what == "drawer":
            return _try_drawer(settings, texts)
        case PrinterSettings():
            return _try_printer(settings, texts)
        case ScannerSettings():
            return _try_scanner(settings, trial, texts)
        case ScaleSettings():
            scale = Scale(link_from_address(settings.address), PROTOCOLS[settings.protocol]())
            try:
                grams = scale.weigh(trial.within_s)
            finally:
                scale.close()
            return Outcome(True, texts("trial.scale", grams=grams))
        case DisplaySettings():
            return _try_display(settings, texts)
        case _:
            raise AssertionError(settings)


def _try_printer(settings: PrinterSettings, texts: Texts) -> Outcome:
    printer = printer_of(settings, link_from_address)
    try:
        report = printer.print(trial_page(printer.profile, settings.address), at_once=True)
    finally:
        printer.close()
    if report.error is not None:
        sentence = fault_sentence(texts, report.error.code, texts("device.printer"))
        return Outcome(False, texts("trial.printer_partly" if report.may_be_on_paper else "trial.failed", why=sentence))
    told = texts("trial.printer" if report.after is not None else "trial.printer_unasked")
    return Outcome(True, f"{told}\n{texts('trial.no_font')}" if report.lacks_font else told)


def _try_drawer(settings: PrinterSettings, texts: Texts) -> Outcome:
    printer = printer_of(settings, link_from_address)
    try:
        moved = printer.open_drawer(settings.drawer_pin, at_once=True)
    finally:
        printer.close()
    return Outcome(True, texts(f"trial.drawer_{moved.value.replace('-', '_')}"))


def _try_scanner(settings: ScannerSettings, trial: Trial, texts: Texts) -> Outcome:
    scans: queue.Queue[Scan | DeviceError] = queue.Queue()
    scanner = SerialScanner(
        link_from_address(settings.address), scans.put, lambda error: scans.put(error) if error else None,
        silence_ends=not settings.suffix,
    )  # fmt: skip
    scanner.start()
    until = time.monotonic() + trial.within_s
    try:
        while (left := until - time.monotonic()) > 0:
            try:
                heard = scans.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(heard, DeviceError):
                raise heard
            return Outcome(True, texts("trial.scanner", code=heard.text, aim=heard.aim or "-"))
    finally:
        scanner.stop()
    return Outcome(False, texts("trial.scanner_nothing"))


def _try_display(settings: DisplaySettings, texts: Texts) -> Outcome:
    encoder = DisplayEncoder(settings.kind, has_hanzi=settings.hanzi)
    display = CustomerDisplay(link_from_address(settings.address), encoder)
    try:
        if settings.kind is DisplayKind.LED8:
            display.show_price(PriceMode.TOTAL, "1234.56")
        else:
            display.show("欢迎光临 0123456789" if settings.hanzi else "WELCOME 0123456789AB", "1234.56")
    finally:
        display.close()
    return Outcome(True, texts("trial.display"))


# What is to be done?


def explanation(what: str, language: Language) -> str:
    """Return what to write into devices.toml for a device (all of them without a name), and what faults mean."""
    if what and what not in EXPLAINED:
        raise RefusalError("device_unknown", f"{what!r} is none of {', '.join(EXPLAINED)}")
    texts = Texts("schema", language)
    parts = []
    for role in (what,) if what else EXPLAINED:
        facts = {"profiles": ", ".join(PROFILES), "protocols": ", ".join(PROTOCOLS),
                 "kinds": ", ".join(DisplayKind)}  # fmt: skip
        lines = [f"{texts(f'device.{role}').upper()}", *texts(f"explain.{role}", **facts).split("|")]
        lines += ["", *_EXAMPLES[role].splitlines(), ""]
        device = texts(f"device.{role}")
        lines += [f"  {fault:<22} {fault_sentence(texts, fault, device)}" for fault in _FAULTS[role]]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


_COMMON: Final = ("device.absent", "device.busy", "device.forbidden", "device.silent", "device.garbled")
_FAULTS: Final = {
    "printer": (*_COMMON[:4], "printer.paper_out", "printer.cover_open", "printer.offline", "printer.cutter",
                "printer.unconfirmed", "drawer.jammed"),
    "scanner": _COMMON[:3],
    "scale": (*_COMMON, "scale.unstable", "scale.overloaded", "scale.negative", "scale.empty"),
    "display": _COMMON[:3],
}  # fmt: skip
_EXAMPLES: Final = {
    "printer": '  [printer]\n  address = "usb:04b8:0e15"        # file:/dev/usb/lp0, tcp://192.168.1.50:9100,\n'
    '                                  # serial:/dev/ttyUSB0?baud=38400&flow=dsrdtr\n  profile = "80mm"\n'
    '  drawer_sensor = "none"           # high or low: the level while the drawer is open',
    "scanner": '  [[scanner]]\n  address = "serial:/dev/ttyACM0"\n  suffix = true',
    "scale": '  [scale]\n  address = "serial:/dev/ttyS0?baud=9600&bits=7&parity=E"\n  protocol = "toledo-8217"',
    "display": '  [display]\n  address = "serial:/dev/ttyUSB1?baud=2400"\n  kind = "cd5220"\n  hanzi = false',
}
