"""Owns what a printer can print by itself: its profile, and the characters of its GB18030 font as bytes.

Chinese printers take GB18030 between `FS &` (hanzi mode on) and `FS .` (off); Epson's command reference describes both
under "Kanji commands". The font of a printer is smaller than the code: the two-byte part is always there, of the
four-byte part only ideographs may be. So everything is first folded to what fonts have, and what is left is either
drawn as a picture or replaced by the geta mark 〓, the sign for a missing type. The yen sign is the full-width ￥
(A3 A4): U+00A5 would become four bytes which printers show as two wrong characters.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

GETA: Final = "〓"
FOLDED: Final = {
    "¥": "￥",
    "\u00a0": " ",
    "\u2007": " ",
    "\u202f": " ",
    "\t": " ",
    "−": "-",
    "‐": "-",
    "‑": "-",
    "–": "-",
    "•": "·",
    "€": "EUR",
    "£": "￡",
    "©": "(C)",
    "®": "(R)",
    "™": "TM",
}
DOTS_PER_COLUMN: Final = 12
"""Font A of a 203 dpi printer: 12 dots a column, 24 dots a hanzi and a line's height."""


@dataclass(frozen=True, slots=True)
class PrinterProfile:
    """What a model does by itself; all else is sent to it as pictures."""

    name: str
    columns: int = 48
    has_hanzi: bool = True
    has_native_qr: bool = True
    has_native_barcodes: bool = True
    has_cutter: bool = True
    answers_status: bool = True
    """Answers `DLE EOT n`; false for one-way paths such as a plain file."""
    confirms_jobs: bool = True
    """Answers `GS r 1` in its turn, after all that was sent before it."""
    has_real_time_pulse: bool = True
    """Obeys `DLE DC4 1 m t`: the drawer opens at once, also while paper is out and bytes wait in the buffer."""
    has_drawer_sensor: bool = False
    is_drawer_open_high: bool = True
    """The level of the drawer's switch while it is open; drawers differ."""
    has_four_byte_hanzi: bool = False
    """The font has the ideographs which GB18030 writes with four bytes (extension A)."""

    @property
    def dots(self) -> int:
        """Return the printable width in dots."""
        return self.columns * DOTS_PER_COLUMN

    def on_file(self) -> PrinterProfile:
        """Return the same printer behind a path that never answers."""
        return replace(self, answers_status=False, confirms_jobs=False, has_drawer_sensor=False)


PAPER_80MM: Final = PrinterProfile("80 mm, hanzi")
PAPER_58MM: Final = PrinterProfile("58 mm, hanzi", columns=32, has_cutter=False)
PAPER_80MM_LATIN: Final = PrinterProfile("80 mm, no hanzi", has_hanzi=False)
PAPER_58MM_SIMPLE: Final = PrinterProfile(
    "58 mm, pictures only",
    columns=32,
    has_hanzi=False,
    has_native_qr=False,
    has_native_barcodes=False,
    has_cutter=False,
    confirms_jobs=False,
    has_real_time_pulse=False,
)
PROFILES: Final = {
    "80mm": PAPER_80MM,
    "58mm": PAPER_58MM,
    "80mm-latin": PAPER_80MM_LATIN,
    "58mm-simple": PAPER_58MM_SIMPLE,
}
"""The profiles that a setting can name."""


def _is_ideograph(char: str) -> bool:
    return unicodedata.category(char) == "Lo" and unicodedata.east_asian_width(char) == "W"


def _in_two_bytes(char: str) -> bool:
    """Tell whether every GB18030 font has the character."""
    try:
        return len(char.encode("gb18030")) <= 2
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


@lru_cache(maxsize=8192)
def _fold(char: str) -> str:
    if " " <= char <= "~" or char == "\n":
        return char
    if (known := FOLDED.get(char)) is not None:
        return known
    category = unicodedata.category(char)
    if category in ("Cc", "Cf", "Mn", "Me") or char == "\ufe0f":
        return ""
    if category == "Zs" and char != "\u3000":
        return " "
    if _in_two_bytes(char) or _is_ideograph(char):
        return char if category != "Co" else GETA
    plain = "".join(part for part in unicodedata.normalize("NFKD", char) if unicodedata.category(part) != "Mn")
    if plain and plain != char and all(_in_two_bytes(part) and part.isprintable() for part in plain):
        return plain
    return GETA


def printable(text: str) -> str:
    """Fold a text to characters that paper can carry; line ends stay, other controls never reach a printer."""
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(_fold(char) for char in composed)


def fits_font(text: str, profile: PrinterProfile) -> bool:
    """Tell whether the printer's own fonts have all characters of a printable text."""
    if text.isascii():
        return True
    if not profile.has_hanzi:
        return False
    return all(
        char.isascii() or _in_two_bytes(char) or (profile.has_four_byte_hanzi and ord(char) <= 0xFFFF) for char in text
    )


def encoded(text: str) -> bytes:
    """Return a printable text as GB18030."""
    return text.encode("gb18030")
