"""Owns the bytes of a print job: a document for a profile, always the same bytes for the same document.

Commands come from python-escpos where it is right (initialise, native QR, drawer, cut); text, columns, barcodes and
pictures are written here, as the library replaces hanzi, accepts wrong check digits or writes to the screen.
Sources: Epson ESC/POS command reference (`GS !`, `GS k`, `GS v 0`, `FS &`, `FS .`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, assert_never

from drivers.escpos.code_page import GETA, PrinterProfile, encoded, fits_font
from drivers.escpos.document import (
    NORMAL,
    Align,
    Columns,
    Cut,
    DrawerPulse,
    Feed,
    Line,
    LinearCode,
    Picture,
    PrintDocument,
    QrCode,
    Raster,
    Row,
    Rule,
    Size,
    Symbology,
    Text,
    lay_out,
)
from drivers.escpos.library import library
from drivers.escpos.picture import Typeface, code_raster, default_typeface, line_raster

BAND: Final = 48
"""Rows of dots in one `GS v 0`: small printers have buffers of a few kilobytes."""
FLUSH: Final = bytes(4096)
"""Ends a command that was cut off: longer than any of ours, white as dots, ignored as characters."""
LINE_GAP: Final = 6
"""White dots below a drawn line, so that it stands like a printed one (30 dots a line)."""
LINES_TO_TEAR: Final = 4
_ALIGNED: Final = {Align.LEFT: 0, Align.CENTRE: 1, Align.RIGHT: 2}
_LEVELS: Final = {"L": 0, "M": 1, "Q": 2, "H": 3}


@dataclass(frozen=True, slots=True)
class PrintJob:
    """The bytes of one job. `lacks_font`: hanzi had to be drawn, and this machine has no font for them.

    `ends` are the places where a command ends and another may be slipped in.
    """

    data: bytes
    lacks_font: bool = False
    ends: tuple[int, ...] = ()


class _Writer:
    def __init__(self, profile: PrinterProfile, typeface: Typeface | None) -> None:
        self._profile = profile
        self._given_typeface = typeface
        self._printer: Any = library().Dummy()
        self._in_hanzi: bool | None = None
        self._align = Align.LEFT
        self._is_bold = False
        self._size = NORMAL
        self._lacks_font = False
        self._ends: list[int] = []
        self._printer.hw("INIT")

    @property
    def _typeface(self) -> Typeface:
        if self._given_typeface is None:
            self._given_typeface = default_typeface()
        return self._given_typeface

    def job(self) -> PrintJob:
        return PrintJob(self._printer.output, self._lacks_font, tuple(self._ends))

    def _end_command(self) -> None:
        self._ends.append(len(self._printer.output))

    def _raw(self, data: bytes) -> None:
        self._printer._raw(data)

    def _hanzi(self, wanted: bool) -> None:
        """Switch the hanzi mode; a printer without hanzi would print the command's letters, so it never gets one."""
        if self._profile.has_hanzi and self._in_hanzi is not wanted:
            self._raw(b"\x1c&" if wanted else b"\x1c.")
            self._in_hanzi = wanted

    def _aligned(self, align: Align) -> None:
        if align is not self._align:
            self._raw(b"\x1ba" + bytes([_ALIGNED[align]]))
            self._align = align

    def _styled(self, is_bold: bool, size: Size) -> None:
        if is_bold is not self._is_bold:
            self._raw(b"\x1bE" + bytes([is_bold]))
            self._is_bold = is_bold
        if size != self._size:
            self._raw(b"\x1d!" + bytes([(size.wide - 1) << 4 | (size.tall - 1)]))
            self._size = size

    def write(self, row: Row) -> None:
        self._write(row)
        self._end_command()

    def _write(self, row: Row) -> None:
        match row:
            case Text() | Columns() | Rule():
                for line in lay_out(row, self._profile.columns):
                    self._line(line)
            case Picture():
                self._raster(row.raster.cropped(self._profile.dots), row.align)
            case LinearCode():
                self._linear(row)
            case QrCode():
                self._qr(row)
            case Feed():
                self._raw(b"\n" * row.lines)
            case Cut():
                self._hanzi(False)
                if self._profile.has_cutter:
                    self._printer.cut("PART" if row.is_partial else "FULL")
                else:
                    self._raw(b"\n" * LINES_TO_TEAR)
            case DrawerPulse():
                self._hanzi(False)
                self._printer.cashdraw(row.pin)
            case _:
                assert_never(row)

    def _line(self, line: Line) -> None:
        text = line.text
        if not fits_font(text, self._profile):
            if self._typeface.has_hanzi or not self._profile.has_hanzi:
                self._lacks_font |= not self._typeface.has_hanzi
                drawn = line_raster(line, self._typeface, self._profile.dots)
                spaced = drawn.bits + bytes((drawn.width + 7) // 8 * LINE_GAP)
                self._raster(Raster(drawn.width, drawn.height + LINE_GAP, spaced), Align.LEFT)
                return
            text = "".join(char if fits_font(char, self._profile) else GETA for char in text)
        self._aligned(Align.LEFT)
        self._hanzi(True)
        self._styled(line.is_bold, line.size)
        self._raw(encoded(text) + b"\n")

    def _raster(self, raster: Raster, align: Align) -> None:
        self._hanzi(False)
        self._styled(False, NORMAL)
        self._aligned(align)
        stride = (raster.width + 7) // 8
        for top in range(0, raster.height, BAND):
            rows = min(BAND, raster.height - top)
            head = b"\x1dv0\x00" + stride.to_bytes(2, "little") + rows.to_bytes(2, "little")
            self._raw(head + raster.bits[top * stride : (top + rows) * stride])
            self._end_command()

    def _linear(self, code: LinearCode) -> None:
        data = _code_128_data(code.data) if code.symbology is Symbology.CODE_128 else code.full_data.encode()
        modules = 113 if code.symbology is Symbology.EAN_13 else _code_128_modules(code.data)
        module = min(code.module, self._profile.dots // modules)
        if not self._profile.has_native_barcodes or module < 2 or len(data) > 255:
            self._raster(code_raster(code, self._typeface, self._profile.dots), code.align)
            return
        self._hanzi(False)
        self._styled(False, NORMAL)
        self._aligned(code.align)
        kind = 67 if code.symbology is Symbology.EAN_13 else 73
        self._raw(b"\x1dh" + bytes([code.height]) + b"\x1dw" + bytes([module]))
        self._raw(b"\x1dH" + bytes([2 if code.shows_text else 0]) + b"\x1df\x00")
        self._raw(b"\x1dk" + bytes([kind, len(data)]) + data + b"\n")

    def _qr(self, code: QrCode) -> None:
        module = min(code.module, self._profile.dots // _qr_modules(code))
        if not self._profile.has_native_qr or module < 3:
            self._raster(code_raster(code, self._typeface, self._profile.dots), code.align)
            return
        self._hanzi(False)
        self._aligned(code.align)
        self._printer.qr(code.data, ec=_LEVELS[code.level], size=module, native=True)
        self._raw(b"\n")


def _code_128_data(data: str) -> bytes:
    """Return the data of `GS k 73`: set C for an even number of digits, else set B, in which `{` is doubled."""
    if data.isdigit() and len(data) % 2 == 0:
        return b"{C" + bytes(int(data[place : place + 2]) for place in range(0, len(data), 2))
    return b"{B" + data.replace("{", "{{").encode("ascii")


def _code_128_modules(data: str) -> int:
    """Return the width in modules with quiet zones: 11 for start, each symbol and check; 13 for stop; 10 each side."""
    symbols = len(data) // 2 if data.isdigit() and len(data) % 2 == 0 else len(data)
    return 11 * (symbols + 2) + 13 + 20


def _qr_modules(code: QrCode) -> int:
    """Return the width in modules with quiet zones, or more than any paper has when no QR code can hold the data."""
    import qrcode
    from qrcode.exceptions import DataOverflowError

    fit = qrcode.QRCode(error_correction={"L": 1, "M": 0, "Q": 3, "H": 2}[code.level])
    fit.add_data(code.data.encode())
    try:
        return int(fit.best_fit(start=1)) * 4 + 17 + 8
    except (DataOverflowError, ValueError) as error:
        raise ValueError(f"{len(code.data)} characters are too many for a QR code") from error


def job_of(document: PrintDocument, profile: PrinterProfile, typeface: Typeface | None = None) -> PrintJob:
    """Return the bytes of a document for a printer; raises ValueError for a code that cannot fit on its paper."""
    writer = _Writer(profile, typeface)
    for row in document.rows:
        writer.write(row)
    return writer.job()
