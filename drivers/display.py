"""Owns the customer display: two lines of twenty characters on a serial vacuum fluorescent or liquid crystal panel.

Two languages cover nearly all: Epson's (DM-D110/210 command reference: CLR, `US $`, `US X`) and CD5220, which most
others emulate (`ESC Q A`, `ESC Q B`, `ESC l`). The small eight-digit Chinese panels (LED8, 客显) show one figure with a
lamp beside 单价, 总计, 收款 or 找零 and take `ESC Q A` and `ESC s n`. Panels with hanzi take GB18030; others get ASCII.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import Final

from drivers.escpos.code_page import printable
from drivers.escpos.document import Align, display_width, pad
from drivers.link import BackOff, Link, Reconnection

COLUMNS: Final = 20
LINES: Final = 2


class DisplayKind(StrEnum):
    """The language of a display."""

    EPSON = "epson"
    CD5220 = "cd5220"
    LED8 = "led8"


class PriceMode(IntEnum):
    """Which lamp stands beside the figure of an LED8 panel; the figure of `ESC s n`."""

    NONE = 0
    UNIT_PRICE = 1
    TOTAL = 2
    RECEIVED = 3
    CHANGE = 4


def ascii_of(text: str) -> str:
    """Return what a display without hanzi can show: accents dropped, full-width forms narrowed, hanzi left out."""
    folded = unicodedata.normalize("NFKD", printable(text).replace("￥", "Y"))
    plain = "".join(char for char in folded if char.isascii() and char.isprintable())
    return re.sub(" {2,}", " ", plain).strip(" ")


def fitted(text: str, align: Align = Align.LEFT, columns: int = COLUMNS) -> str:
    """Return the text at exactly so many columns: cut without halving a hanzi, padded with spaces."""
    while display_width(text) > columns:
        text = text[:-1]
    return pad(text, columns, align)


class DisplayEncoder:
    """Turns lines and figures into a display's bytes.

    `romanise` may give a reading of hanzi (pinyin) for displays without them; it gets the text and returns ASCII.
    """

    def __init__(
        self,
        kind: DisplayKind = DisplayKind.CD5220,
        *,
        has_hanzi: bool = False,
        romanise: Callable[[str], str] | None = None,
    ) -> None:
        self.kind = kind
        self._has_hanzi = has_hanzi
        self._romanise = romanise

    def start(self) -> bytes:
        """Initialise: the display forgets what it showed."""
        return b"\x1b@" + self.clear()

    def clear(self) -> bytes:
        """Clear everything."""
        return b"\x0c"

    def cursor(self, column: int, line: int) -> bytes:
        """Move the cursor; columns and lines count from 1."""
        if not (1 <= column <= COLUMNS and 1 <= line <= LINES):
            raise ValueError(f"column {column}, line {line} is not on the display")
        return (b"\x1f$" if self.kind is DisplayKind.EPSON else b"\x1bl") + bytes([column, line])

    def brightness(self, level: int) -> bytes:
        """Set the brightness, 1 to 4."""
        if not 1 <= level <= 4:
            raise ValueError("brightness is 1 to 4")
        return (b"\x1fX" if self.kind is DisplayKind.EPSON else b"\x1b*") + bytes([level])

    def encoded(self, text: str) -> str:
        """Return the text with what this display has, still as text."""
        text = printable(text).replace("\n", " ")
        if self._has_hanzi or text.isascii():
            return text
        return ascii_of(self._romanise(text) if self._romanise is not None else text)

    def lines(self, upper: str, lower: str, *, lower_align: Align = Align.RIGHT) -> bytes:
        """Show two lines; on an LED8 panel there is room for neither."""
        if self.kind is DisplayKind.LED8:
            return b""
        codec = "gb18030" if self._has_hanzi else "ascii"
        first = fitted(self.encoded(upper)).encode(codec)
        second = fitted(self.encoded(lower), lower_align).encode(codec)
        if self.kind is DisplayKind.EPSON:
            return self.cursor(1, 1) + first + self.cursor(1, 2) + second
        return b"\x1bQA" + first + b"\r\x1bQB" + second + b"\r"

    def price(self, mode: PriceMode, figure: str, label: str = "") -> bytes:
        """Show one figure (`12.50`) as a price, total, cash received or change; `label` names it on text panels."""
        if not re.fullmatch(r"-?\d{1,8}(\.\d{1,3})?", figure, re.ASCII):
            raise ValueError(f"{figure!r} is no figure for a display")
        if self.kind is DisplayKind.LED8:
            if len(figure.replace(".", "")) > 8:
                raise ValueError(f"{figure} has more digits than the display")
            return b"\x1bQA" + figure.encode() + b"\r\x1bs" + str(int(mode)).encode()
        return self.lines(label or _LABELS[mode], figure)


_LABELS: Final = {
    PriceMode.NONE: "",
    PriceMode.UNIT_PRICE: "PRICE",
    PriceMode.TOTAL: "TOTAL",
    PriceMode.RECEIVED: "RECEIVED",
    PriceMode.CHANGE: "CHANGE",
}


class CustomerDisplay:
    """A display on a link; initialised each time it comes back."""

    def __init__(self, link: Link, encoder: DisplayEncoder, *, back_off: BackOff | None = None) -> None:
        self.encoder = encoder
        self._way = Reconnection(link, back_off)
        self._is_started = False
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """Return the display's address."""
        return self._way.link.name

    def show(self, upper: str, lower: str = "", *, lower_align: Align = Align.RIGHT) -> None:
        """Show two lines; raises `DeviceError` when the display is away."""
        self._send(self.encoder.lines(upper, lower, lower_align=lower_align))

    def show_price(self, mode: PriceMode, figure: str, label: str = "") -> None:
        """Show one figure; raises `DeviceError` when the display is away."""
        self._send(self.encoder.price(mode, figure, label))

    def clear(self) -> None:
        """Show nothing."""
        self._send(self.encoder.clear())

    def close(self) -> None:
        """Let the port go."""
        with self._turn:
            self._way.link.close()
            self._is_started = False

    def _send(self, data: bytes) -> None:
        with self._turn:
            self._is_started = self._is_started and self._way.link.is_open
            with self._way.opened() as link:
                link.write(data if self._is_started else self.encoder.start() + data)
                self._is_started = True
