"""Owns what devices tell the till: events as past-tense facts, the state of each device, and the sentence for it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from schema.texts import Texts


class DeviceRole(StrEnum):
    """What a device is for."""

    PRINTER = "printer"
    DRAWER = "drawer"
    SCANNER = "scanner"
    SCALE = "scale"
    DISPLAY = "display"


class Condition(StrEnum):
    """How a device is."""

    UNSET = "unset"
    """None is set up."""
    STARTING = "starting"
    """Nothing has been heard of it yet."""
    READY = "ready"
    ATTENTION = "attention"
    """It works, but not for long: little paper."""
    FAULT = "fault"


class DeviceState(NamedTuple):
    """The state of one device: `fault` is its stable code (`printer.paper_out`), empty where it is ready."""

    role: DeviceRole
    condition: Condition = Condition.UNSET
    fault: str = ""
    address: str = ""

    def sentence(self, texts: Texts) -> str:
        """Return one calm sentence that says how it is and, where something is wrong, what to do."""
        name = texts(f"device.{self.role.value}")
        if self.fault:
            return fault_sentence(texts, self.fault, name)
        return texts(f"device.is_{self.condition.value}", device=name)


def fault_sentence(texts: Texts, fault: str, device: str) -> str:
    """Return the sentence for a fault's code; `device` is the device's name in that language."""
    name = f"fault.{fault}"
    return texts(name if texts.has(name) else "fault.other", device=device, fault=fault)


class FigureKind(StrEnum):
    """Which figure stands on a customer display of digits: the lamp beside it."""

    NONE = "none"
    PRICE = "price"
    TOTAL = "total"
    RECEIVED = "received"
    CHANGE = "change"


class PeripheralStatus(NamedTuple):
    """Every device at one glance."""

    printer: DeviceState = DeviceState(DeviceRole.PRINTER)
    scanner: DeviceState = DeviceState(DeviceRole.SCANNER)
    scale: DeviceState = DeviceState(DeviceRole.SCALE)
    display: DeviceState = DeviceState(DeviceRole.DISPLAY)


class Scanned(NamedTuple):
    """A scanner read a code: its text, the AIM prefix where the scanner sends one, and whether it repeats the last."""

    text: str
    aim: str = ""
    is_repeated: bool = False

    @property
    def full(self) -> str:
        """Return prefix and text, as GS1 codes are told by them."""
        return self.aim + self.text


class Weighed(NamedTuple):
    """What the scale shows now: whole grams where it says a figure; a `fault` (`scale.unstable`) sells nothing."""

    grams: int | None
    fault: str = ""

    @property
    def is_settled(self) -> bool:
        """Tell whether goods may be sold by this weight."""
        return not self.fault and self.grams is not None and self.grams > 0


class DeviceChanged(NamedTuple):
    """A device came, went, or has another trouble than before."""

    state: DeviceState


class DrawerMoved(NamedTuple):
    """The drawer was sent its pulse: True where a sensor saw it open; a `fault` says why it may be shut."""

    is_open: bool | None
    fault: str = ""


class PaperPrinted(NamedTuple):
    """A job is on paper. `lacks_font`: hanzi were drawn as codes, for this machine has no font for them."""

    job: int
    entry: str
    lacks_font: bool = False


class PaperUnknown(NamedTuple):
    """Nobody knows whether a job is on paper: ask the cashier, then `print_jobs.answer`."""

    job: int
    entry: str
    fault: str


class PaperFailed(NamedTuple):
    """A job is not on paper and waits for a person: `print_jobs.retry` or `drop`."""

    job: int
    entry: str
    fault: str


DeviceEvent = Scanned | Weighed | DeviceChanged | DrawerMoved | PaperPrinted | PaperUnknown | PaperFailed
