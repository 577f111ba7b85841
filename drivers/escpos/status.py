"""Owns what a printer says about itself: the answers to `DLE EOT n` and `GS r 1`, read bit by bit.

Sources: Epson ESC/POS command reference, "DLE EOT (real-time status)", "DLE DC4 (fn = 1)", "GS r (transmit status)".
`DLE EOT` is answered at once, even by a printer that is offline; `GS r` is answered in its turn, so its answer proves
that all that was sent before has been taken from the buffer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from drivers.errors import DeviceFault

ASK_PRINTER, ASK_OFFLINE, ASK_ERROR, ASK_PAPER = 1, 2, 3, 4
QUESTIONS: Final = (ASK_PRINTER, ASK_OFFLINE, ASK_ERROR, ASK_PAPER)
CONFIRM: Final = b"\x1dr\x01"
"""Ask for the paper sensor in turn: the answer stands for everything before it."""


def real_time_pulse(pin: int) -> bytes:
    """Return `DLE DC4 1 m t`, which opens the drawer on pin 2 or 5 on reception, whatever waits in the buffer.

    Like all real-time commands it must not stand inside another command. The pulse lasts 100 ms.
    """
    return b"\x10\x14\x01" + bytes([pin == 5, 1])


def queued_pulse(pin: int) -> bytes:
    """Return `ESC p m t1 t2`, which every printer knows and obeys in its turn."""
    return b"\x1bp" + bytes([pin == 5]) + b"22"


class Paper(StrEnum):
    """How much paper there is."""

    ADEQUATE = "adequate"
    NEAR_END = "near-end"
    OUT = "out"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """The state of a printer at one moment; None where it did not say."""

    is_online: bool | None = None
    paper: Paper = Paper.UNKNOWN
    is_cover_open: bool | None = None
    is_drawer_high: bool | None = None
    """The level of pin 3 of the drawer's socket; what it means depends on the drawer."""
    error: DeviceFault | None = None

    @property
    def fault(self) -> DeviceFault | None:
        """Return what keeps the printer from printing, the most helpful first; None when it is ready."""
        if self.is_cover_open:
            return DeviceFault.COVER_OPEN
        if self.paper is Paper.OUT:
            return DeviceFault.PAPER_OUT
        if self.error is not None:
            return self.error
        return DeviceFault.OFFLINE if self.is_online is False else None


def question(number: int) -> bytes:
    """Return `DLE EOT n`."""
    return b"\x10\x04" + bytes([number])


def is_answer(byte: int) -> bool:
    """Tell whether a byte can be an answer to `DLE EOT`: bits 1 and 4 set, 0 and 7 clear. XON, XOFF are not."""
    return byte & 0x93 == 0x12


def is_confirmation(byte: int) -> bool:
    """Tell whether a byte can be an answer to `GS r 1`: bits 4 and 7 clear."""
    return byte & 0x90 == 0


def status_from(answers: Mapping[int, int]) -> PrinterStatus:
    """Read the bytes that came back, by the number of their question; a missing one leaves its part unknown."""
    is_online = is_drawer_high = is_cover_open = None
    paper, error = Paper.UNKNOWN, None
    if (byte := answers.get(ASK_PRINTER)) is not None:
        is_online, is_drawer_high = not byte & 0x08, bool(byte & 0x04)
    if (byte := answers.get(ASK_PAPER)) is not None:
        paper = Paper.OUT if byte & 0x60 else Paper.NEAR_END if byte & 0x0C else Paper.ADEQUATE
    if (byte := answers.get(ASK_OFFLINE)) is not None:
        is_cover_open = bool(byte & 0x04)
        if byte & 0x20:  # printing stopped at the paper's end
            paper = Paper.OUT
        if byte & 0x40:
            error = DeviceFault.BROKEN
    if (byte := answers.get(ASK_ERROR)) is not None:
        if byte & 0x20:
            error = DeviceFault.BROKEN
        elif byte & 0x08:
            error = DeviceFault.CUTTER
        elif byte & 0x40:
            error = DeviceFault.OVERHEATED
    return PrinterStatus(is_online, paper, is_cover_open, is_drawer_high, error)
