"""Owns the reading of ESC/POS bytes as a printer reads them: into paper that can be read as text and seen as a picture.

It knows what we send and what other programs commonly send; what it does not know is kept in `unknown`, so that a test
can insist on nothing. It takes bytes in any portions. Source: Epson ESC/POS command reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from PIL import Image, ImageDraw

from drivers.escpos.code_page import PAPER_80MM, PrinterProfile
from drivers.escpos.document import Align, Raster, Symbology, display_width
from drivers.escpos.picture import CELL_HEIGHT, Typeface, bars_image, default_typeface, image_from_raster, qr_image

LINE_DOTS: Final = 30
MARGIN_DOTS: Final = 24
TAB_COLUMNS: Final = 8
CODE_PAGES: Final = {
    0: "cp437", 2: "cp850", 3: "cp860", 4: "cp863", 5: "cp865", 13: "cp857", 14: "cp737", 15: "iso8859_7",
    16: "cp1252", 17: "cp866", 18: "cp852", 19: "cp858", 33: "cp775", 34: "cp855", 36: "cp862", 37: "cp864",
    45: "cp1250", 46: "cp1251", 47: "cp1253", 48: "cp1254", 49: "cp1255", 50: "cp1256", 51: "cp1257", 52: "cp1258",
}  # fmt: skip
_ALIGNS: Final = (Align.LEFT, Align.CENTRE, Align.RIGHT)
_ESC_LENGTHS: Final = {
    0x20: 1, 0x25: 1, 0x2D: 1, 0x32: 0, 0x33: 1, 0x3C: 0, 0x3D: 1, 0x3F: 1, 0x40: 0, 0x41: 1, 0x45: 1, 0x47: 1,
    0x4A: 1, 0x4D: 1, 0x52: 1, 0x53: 0, 0x54: 1, 0x56: 1, 0x61: 1, 0x64: 1, 0x69: 0, 0x6D: 0, 0x70: 3, 0x72: 1,
    0x74: 1, 0x75: 1, 0x76: 0, 0x7B: 1, 0x21: 1, 0x24: 2, 0x5C: 2, 0x63: 2,
}  # fmt: skip
"""Parameters of `ESC x` commands of fixed length."""
_GS_LENGTHS: Final = {
    0x21: 1, 0x42: 1, 0x48: 1, 0x4C: 2, 0x50: 2, 0x57: 2, 0x61: 1, 0x62: 1, 0x66: 1, 0x68: 1, 0x72: 1, 0x77: 1,
    0x49: 1, 0x2F: 1, 0x3A: 0,
}  # fmt: skip
_FS_LENGTHS: Final = {0x26: 0, 0x2E: 0, 0x21: 1, 0x2D: 1, 0x43: 1, 0x53: 2, 0x57: 1, 0x70: 2}


_REAL_TIME: Final = re.compile(rb"\x10\x04[\x01-\x04]|\x10\x14\x01[\x00\x01][\x01-\x08]")
_REAL_TIME_MAX: Final = 5


class _Incomplete(Exception):  # noqa: N818 - not an error: the rest of a command is still to come
    """The command goes on in bytes that have not arrived."""


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one look."""

    text: str
    is_bold: bool = False
    wide: int = 1
    tall: int = 1
    is_narrow: bool = False
    is_underlined: bool = False

    @property
    def columns(self) -> int:
        """Return how many columns the run takes."""
        return (len(self.text) if self.is_narrow else display_width(self.text)) * self.wide


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """A line of text, or of a picture sent in columns of dots."""

    runs: tuple[Run | Image.Image, ...]
    align: Align = Align.LEFT
    spacing: int = LINE_DOTS

    @property
    def text(self) -> str:
        """Return the text of the line."""
        return "".join(run.text for run in self.runs if isinstance(run, Run))


@dataclass(frozen=True, slots=True)
class PrintedPicture:
    """A picture or a code; `content` is what the code says."""

    image: Image.Image
    align: Align = Align.LEFT
    content: str = ""


@dataclass(frozen=True, slots=True)
class PaperFeed:
    """Paper moved by so many dots."""

    dots: int


@dataclass(frozen=True, slots=True)
class PaperCut:
    """The knife came down."""


Mark = PrintedLine | PrintedPicture | PaperFeed | PaperCut


@dataclass(slots=True)
class PrintedPaper:
    """What came out of a printer."""

    profile: PrinterProfile = PAPER_80MM
    marks: list[Mark] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return what is printed as lines of text, aligned; codes stand in brackets, pictures as `[*]`."""
        lines = []
        for mark in self.marks:
            match mark:
                case PrintedLine():
                    width = sum(run.columns for run in mark.runs if isinstance(run, Run))
                    lines.append((" " * self._indent(width, mark.align) + mark.text).rstrip(" "))
                case PrintedPicture():
                    text = f"[{mark.content or '*'}]"
                    lines.append(" " * self._indent(display_width(text), mark.align) + text)
                case PaperFeed() | PaperCut():
                    pass
        return lines

    def _indent(self, width: int, align: Align) -> int:
        gap = max(self.profile.columns - width, 0)
        return 0 if align is Align.LEFT else gap if align is Align.RIGHT else gap // 2

    def text(self) -> str:
        """Return the paper as text."""
        return "\n".join(self.lines())

    def picture(self, typeface: Typeface | None = None) -> Image.Image:
        """Return the paper as a picture, one pixel a dot, white margins around; cuts are dashed lines."""
        face = typeface or default_typeface()
        blocks = [self._block(mark, face) for mark in self.marks]
        height = sum(block.height for block, _ in blocks) + 2 * MARGIN_DOTS
        sheet = Image.new("1", (self.profile.dots + 2 * MARGIN_DOTS, height), 1)
        top = MARGIN_DOTS
        for block, align in blocks:
            gap = max(self.profile.dots - block.width, 0)
            left = 0 if align is Align.LEFT else gap if align is Align.RIGHT else gap // 2
            sheet.paste(
                block.crop((0, 0, min(block.width, self.profile.dots), block.height)), (MARGIN_DOTS + left, top)
            )
            top += block.height
        return sheet

    def _block(self, mark: Mark, face: Typeface) -> tuple[Image.Image, Align]:
        match mark:
            case PrintedPicture():
                return mark.image, mark.align
            case PaperFeed():
                return Image.new("1", (1, max(mark.dots, 1)), 1), Align.LEFT
            case PaperCut():
                cut = Image.new("1", (self.profile.dots, 25), 1)
                pen = ImageDraw.Draw(cut)
                for left in range(0, self.profile.dots, 24):
                    pen.line((left, 12, left + 11, 12), fill=0)
                return cut, Align.LEFT
            case PrintedLine():
                drawn = [
                    run
                    if isinstance(run, Image.Image)
                    else face.line(run.text, is_bold=run.is_bold, wide=run.wide, tall=run.tall, is_narrow=run.is_narrow)
                    for run in mark.runs
                ]
                height = max([mark.spacing, *(one.height for one in drawn)])
                baseline = max([CELL_HEIGHT, *(one.height for one in drawn)])
                line = Image.new("1", (max(sum(one.width for one in drawn), 1), height), 1)
                left = 0
                for one, run in zip(drawn, mark.runs, strict=True):
                    line.paste(one, (left, max(baseline - one.height, 0)))
                    if isinstance(run, Run) and run.is_underlined:
                        ImageDraw.Draw(line).line((left, baseline - 1, left + one.width - 1, baseline - 1), fill=0)
                    left += one.width
                return line, mark.align


class Interpreter:
    """Reads ESC/POS bytes in any portions onto paper; `receive` returns what the printer answers.

    `answer_status` gives the answer to `DLE EOT n` and `GS r n`; `on_pulse` hears of drawer pulses; `may_print` is
    asked before each command: while it is false the rest waits in the buffer, and only real-time commands are obeyed.
    As in real printers, the bytes of a question also go the way of all others, and may end up as dots of a picture.
    """

    def __init__(
        self,
        profile: PrinterProfile = PAPER_80MM,
        *,
        typeface: Typeface | None = None,
        answer_status: Callable[[bytes], bytes] | None = None,
        on_pulse: Callable[[int], None] | None = None,
        may_print: Callable[[], bool] | None = None,
    ) -> None:
        self.profile = profile
        self.paper = PrintedPaper(profile)
        self.unknown: list[bytes] = []
        self._typeface = typeface
        self._answer_status = answer_status or (lambda _: b"")
        self._on_pulse = on_pulse or (lambda _: None)
        self._may_print = may_print or (lambda: True)
        self._buffer = bytearray()
        self._place = 0
        self._answers = bytearray()
        self._tail = b""
        self._reset()

    def _reset(self) -> None:
        self._line: list[Run | Image.Image] = []
        self._align = Align.LEFT
        self._is_bold = self._is_underlined = False
        self._wide = self._tall = 1
        self._in_hanzi = self.profile.has_hanzi
        self._code_page = "cp437"
        self._spacing = LINE_DOTS
        self._bar_height, self._bar_module, self._bar_text = 162, 3, 0
        self._qr_module, self._qr_level, self._qr_data = 3, "L", b""
        self._graphics: Image.Image | None = None

    @property
    def waiting(self) -> int:
        """Return how many bytes stand in the buffer."""
        return len(self._buffer)

    def receive(self, data: bytes = b"") -> bytes:
        """Take bytes, print what can be printed, and return the answers."""
        # Real-time commands are obeyed on reception, even in the middle of a picture or without paper.
        heard = self._tail + data
        end = 0
        for found in _REAL_TIME.finditer(heard):
            end = found.end()
            if found.group()[1] == 0x14:
                self._on_pulse(5 if found.group()[3] else 2)
            else:
                self._answers += self._answer_status(found.group())
        self._tail = heard[end:][1 - _REAL_TIME_MAX :]
        self._buffer += data
        self._work()
        answers = bytes(self._answers)
        self._answers.clear()
        return answers

    def _work(self) -> None:
        while self._buffer and self._may_print():
            self._place = 0
            try:
                self._step()
            except _Incomplete:
                return
            except Exception:  # a code with impossible contents or sizes: a real printer prints nothing for it
                self._note_unknown()
            del self._buffer[: self._place]

    def _take(self, count: int) -> bytes:
        if len(self._buffer) - self._place < count:
            raise _Incomplete
        data = bytes(self._buffer[self._place : self._place + count])
        self._place += count
        return data

    def _byte(self) -> int:
        return self._take(1)[0]

    def _note_unknown(self) -> None:
        self.unknown.append(bytes(self._buffer[: self._place]))

    def _step(self) -> None:
        match self._byte():
            case 0x0A:
                self._end_line()
            case 0x0D | 0x00 | 0x18:
                pass
            case 0x0C:
                if self._line:
                    self._end_line()
            case 0x09:
                at = sum(run.columns for run in self._line if isinstance(run, Run))
                self._add(" " * (TAB_COLUMNS - at % TAB_COLUMNS))
            case 0x10:
                self._real_time()
            case 0x1B:
                self._escape()
            case 0x1D:
                self._group()
            case 0x1C:
                self._chinese()
            case byte if byte < 0x20 or byte == 0x7F:
                self._note_unknown()
            case byte if byte < 0x80:
                self._place -= 1
                self._ascii()
            case byte if self._in_hanzi and 0x81 <= byte <= 0xFE:
                second = self._byte()
                count = 2 if 0x30 <= second <= 0x39 else 0
                code = bytes([byte, second]) + self._take(count)
                self._add(code.decode("gb18030", "replace"))
            case byte:
                self._add(bytes([byte]).decode(self._code_page, "replace"), is_narrow=True)

    def _ascii(self) -> None:
        end = self._place
        while end < len(self._buffer) and 0x20 <= self._buffer[end] < 0x7F:
            end += 1
        self._add(self._take(end - self._place).decode("ascii"))

    def _add(self, text: str, *, is_narrow: bool = False) -> None:
        for char in text:
            run = Run(char, self._is_bold, self._wide, self._tall, is_narrow, self._is_underlined)
            used = sum(one.columns for one in self._line if isinstance(one, Run))
            if used + run.columns > self.profile.columns and self._line:
                self._end_line()
            last = self._line[-1] if self._line else None
            if isinstance(last, Run) and (last.is_bold, last.wide, last.tall, last.is_narrow, last.is_underlined) == (
                run.is_bold, run.wide, run.tall, run.is_narrow, run.is_underlined,
            ):  # fmt: skip
                run = Run(last.text + char, run.is_bold, run.wide, run.tall, run.is_narrow, run.is_underlined)
                self._line[-1] = run
            else:
                self._line.append(run)

    def _end_line(self) -> None:
        self.paper.marks.append(PrintedLine(tuple(self._line), self._align, self._spacing))
        self._line = []

    def _show(self, image: Image.Image, content: str = "") -> None:
        if self._line:
            self._end_line()
        self.paper.marks.append(PrintedPicture(image, self._align, content))

    def _real_time(self) -> None:
        match self._byte():
            case 0x04:
                self._take(1)
            case 0x05:
                self._byte()
            case 0x14:
                self._take(7 if self._byte() == 8 else 2)  # a pulse was given when it arrived
            case _:
                self._note_unknown()

    def _escape(self) -> None:
        command = self._byte()
        if command == 0x2A:
            self._columns_of_dots()
            return
        if command == 0x44:
            while self._byte():
                pass
            return
        if command not in _ESC_LENGTHS:
            self._note_unknown()
            return
        values = self._take(_ESC_LENGTHS[command])
        match command:
            case 0x40:
                self._reset()
            case 0x21:
                style = values[0]
                self._is_bold, self._is_underlined = bool(style & 0x08), bool(style & 0x80)
                self._tall, self._wide = (2 if style & 0x10 else 1), (2 if style & 0x20 else 1)
            case 0x2D:
                self._is_underlined = values[0] % 48 > 0
            case 0x32:
                self._spacing = LINE_DOTS
            case 0x33:
                self._spacing = values[0]
            case 0x45 | 0x47:
                self._is_bold = bool(values[0] & 1)
            case 0x4A:
                if self._line:
                    self._end_line()
                self.paper.marks.append(PaperFeed(values[0]))
            case 0x61 if values[0] % 48 < 3:
                self._align = _ALIGNS[values[0] % 48]
            case 0x64:
                if self._line:
                    self._end_line()
                self.paper.marks += [PaperFeed(LINE_DOTS)] * values[0]
            case 0x69 | 0x6D:
                self.paper.marks.append(PaperCut())
            case 0x70:
                self._on_pulse(5 if values[0] % 48 else 2)
            case 0x74:
                self._code_page = CODE_PAGES.get(values[0], "cp437")
            case _:
                pass

    def _columns_of_dots(self) -> None:
        mode, width = self._byte(), int.from_bytes(self._take(2), "little")
        tall = 3 if mode >= 32 else 1
        data = self._take(width * tall)
        image = Image.new("1", (width, tall * 8), 1)
        for left in range(width):
            column = int.from_bytes(data[left * tall : (left + 1) * tall], "big")
            for top in range(tall * 8):
                if column >> (tall * 8 - 1 - top) & 1:
                    image.putpixel((left, top), 0)
        scale_x, scale_y = (2 if mode in (0, 32) else 1), (1 if tall == 3 else 3)
        self._line.append(image.resize((image.width * scale_x, image.height * scale_y), Image.Resampling.NEAREST))

    def _group(self) -> None:
        command = self._byte()
        match command:
            case 0x28:
                kind, length = self._byte(), int.from_bytes(self._take(2), "little")
                self._extended(kind, self._take(length))
            case 0x6B:
                self._bars()
            case 0x76:
                _, scale = self._byte(), self._byte() % 48
                stride, height = int.from_bytes(self._take(2), "little"), int.from_bytes(self._take(2), "little")
                data = self._take(stride * height)
                if stride and height:
                    self._show(_scaled(Raster(stride * 8, height, data), 2 if scale & 1 else 1, 2 if scale & 2 else 1))
            case 0x56:
                mode = self._byte()
                if mode in (65, 66, 97, 98, 103, 104):
                    self._byte()
                self.paper.marks.append(PaperCut())
            case _ if command in _GS_LENGTHS:
                values = self._take(_GS_LENGTHS[command])
                match command:
                    case 0x21:
                        self._wide, self._tall = (values[0] >> 4 & 7) + 1, (values[0] & 7) + 1
                    case 0x48:
                        self._bar_text = values[0] % 48
                    case 0x68:
                        self._bar_height = values[0]
                    case 0x77:
                        self._bar_module = values[0]
                    case 0x72:
                        self._answers += self._answer_status(b"\x1dr" + values)
                    case _:
                        pass
            case _:
                self._note_unknown()

    def _extended(self, kind: int, data: bytes) -> None:
        if kind == 0x6B and data[:1] == b"1":
            match data[1]:
                case 67:
                    self._qr_module = data[2]
                case 69:
                    self._qr_level = "LMQH"[data[2] % 48]
                case 80:
                    self._qr_data = data[3:]
                case 81 if self._qr_data:
                    image = qr_image(self._qr_data, module=self._qr_module, level=self._qr_level)
                    self._show(image, self._qr_data.decode("utf-8", "replace"))
                case _:
                    pass
        elif kind == 0x4C and data[1:2] in (b"p", b"2", b"\x02"):
            if data[1:2] == b"p":
                width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
                self._graphics = _scaled(Raster(width, height, data[10:]), data[3], data[4])
            elif self._graphics is not None:
                self._show(self._graphics)
                self._graphics = None
        elif kind not in (0x41, 0x45, 0x48, 0x4B, 0x4C, 0x6B):
            self._note_unknown()

    def _bars(self) -> None:
        kind = self._byte()
        if kind <= 6:
            data = bytearray()
            while byte := self._byte():
                data.append(byte)
            kind += 65
        else:
            data = bytearray(self._take(self._byte()))
        text = _code_128_text(bytes(data)) if kind == 73 else data.decode("ascii", "replace")
        symbology = {67: Symbology.EAN_13, 73: Symbology.CODE_128}.get(kind)
        if symbology is Symbology.EAN_13 and not (len(text) in (12, 13) and text.isdigit()):
            self._note_unknown()
        elif symbology is None:
            # Drawn as what it says, so that the paper shows at least its place; receipts use the two above.
            self._add(f"[{text}]")
            self._end_line()
        else:
            face = self._typeface or default_typeface()
            image = bars_image(
                symbology, text, module=self._bar_module, height=self._bar_height,
                text=text if self._bar_text else None, typeface=face,
            )  # fmt: skip
            self._show(image, text)

    def _chinese(self) -> None:
        command = self._byte()
        if command not in _FS_LENGTHS:
            self._note_unknown()
            return
        values = self._take(_FS_LENGTHS[command])
        if not self.profile.has_hanzi:
            self._note_unknown()
        elif command == 0x26:
            self._in_hanzi = True
        elif command == 0x2E:
            self._in_hanzi = False
        elif command == 0x21:
            self._wide, self._tall = (2 if values[0] & 4 else 1), (2 if values[0] & 8 else 1)


def _scaled(raster: Raster, wide: int, tall: int) -> Image.Image:
    image = image_from_raster(raster)
    return image.resize((image.width * wide, image.height * tall), Image.Resampling.NEAREST)


def _code_128_text(data: bytes) -> str:
    """Return what the data of `GS k 73` says: `{A`, `{B`, `{C` choose a set, `{{` is a brace, set C holds pairs."""
    text, chosen, place = "", "B", 0
    while place < len(data):
        if data[place : place + 1] == b"{" and place + 1 < len(data):
            after = chr(data[place + 1])
            place += 2
            if after in "ABC":
                chosen = after
            elif after == "{":
                text += "{"
            continue
        text += f"{data[place]:02d}" if chosen == "C" else chr(data[place])
        place += 1
    return text


def paper_of(data: bytes, profile: PrinterProfile = PAPER_80MM, typeface: Typeface | None = None) -> PrintedPaper:
    """Return the paper that a printer makes of a job's bytes."""
    interpreter = Interpreter(profile, typeface=typeface)
    interpreter.receive(data)
    return interpreter.paper
