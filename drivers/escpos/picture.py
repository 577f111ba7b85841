"""Owns drawing for paper: text, barcodes and QR codes as dots, for printers that lack them and for simulated paper.

Hanzi need a font of this machine; `fonts-noto-cjk` and the usual others are found by their names. Without one, a
character is drawn as the four or five hexadecimal digits of its code point in its cell, in the manner of the "last
resort" fonts: ugly, but each character is different and can be looked up, where a row of empty boxes tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageFont

from drivers.escpos.code_page import DOTS_PER_COLUMN, printable
from drivers.escpos.document import Line, LinearCode, QrCode, Raster, Symbology, display_width

CELL_HEIGHT: Final = 24
CHINESE_FONTS: Final = (
    "NotoSansMonoCJK",
    "NotoSansCJK",
    "NotoSansSC",
    "SourceHanSans",
    "NotoSerifCJK",
    "wqy-zenhei",
    "wqy-microhei",
    "DroidSansFallback",
    "unifont",
    "msyh",
    "simhei",
    "simsun",
    "PingFang",
    "Hiragino Sans GB",
)
LATIN_FONTS: Final = ("DejaVuSansMono", "LiberationMono-Regular", "NotoSansMono-Regular", "consola", "Menlo")
FONT_FOLDERS: Final = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)
QUIET_MODULES: Final = {Symbology.EAN_13: 11, Symbology.CODE_128: 10}


def find_fonts(names: Sequence[str], folders: Iterable[str] = FONT_FOLDERS) -> list[Path]:
    """Return the font files whose names begin with one of `names`, the earlier names first, regular weights first."""
    files = [
        path
        for folder in folders
        for path in sorted(Path(folder).expanduser().rglob("*"))
        if path.suffix.lower() in (".ttf", ".ttc", ".otf", ".otc")
    ]
    ranked = [
        (order, "Bold" in path.stem or "Oblique" in path.stem, "Regular" not in path.stem, str(path), path)
        for path in files
        for order, name in enumerate(names)
        if path.stem.lower().startswith(name.lower())
    ]
    return [entry[-1] for entry in sorted(ranked)]


Glyph = Image.Image
FACES_MAX: Final = 16


def _is_mainland(family: str | None) -> bool:
    """Tell whether a face of a collection draws characters as they are written in mainland China."""
    return family is not None and family.endswith((" SC", " CN"))


class Typeface:
    """Draws characters into the cells of the paper's grid: 12 × 24 dots, wide ones 24 × 24."""

    def __init__(self, chinese: Path | None, latin: Path | None) -> None:
        self.chinese, self.latin = chinese, latin
        self._small = ImageFont.load_default(9)
        self._chinese = self._open(chinese, 22)
        self._latin = self._open(latin, 19)

    @staticmethod
    def _open(path: Path | None, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont | None:
        if path is None:
            return None
        try:
            first = ImageFont.truetype(str(path), size)
        except OSError:
            return None
        # A collection holds a face for each country; the same character has other strokes in Japan.
        for index in range(1, FACES_MAX if path.suffix.lower() in (".ttc", ".otc") else 1):
            if _is_mainland(first.getname()[0]):
                break
            try:
                face = ImageFont.truetype(str(path), size, index)
            except OSError:
                break
            if _is_mainland(face.getname()[0]):
                return face
        return first

    @property
    def has_hanzi(self) -> bool:
        """Tell whether hanzi look like hanzi."""
        return self._chinese is not None

    @lru_cache(maxsize=4096)  # noqa: B019 - typefaces are few and live as long as the program
    def glyph(self, char: str, columns: int) -> Glyph:
        """Return the character's cell of so many columns, black on white."""
        width = DOTS_PER_COLUMN * columns
        cell = Image.new("1", (width, CELL_HEIGHT), 1)
        if char.isspace():
            return cell
        pen = ImageDraw.Draw(cell)
        pen.fontmode = "1"
        if char.isascii():
            font = self._latin or ImageFont.load_default(18)
            pen.text((width / 2, 19), char, fill=0, font=font, anchor="ms")
        elif self._chinese is not None and not self._is_missing(char):
            pen.text((width / 2, 20), char, fill=0, font=self._chinese, anchor="ms")
        elif char == "￥":
            pen.text((width / 2, 19), "Y", fill=0, font=self._latin or ImageFont.load_default(18), anchor="ms")
            pen.line((6, 13, 17, 13), fill=0)
            pen.line((6, 16, 17, 16), fill=0)
        else:
            code = f"{ord(char):04X}"
            middle = (len(code) + 1) // 2
            for row, digits in enumerate((code[:middle], code[middle:])):
                pen.text((width / 2, 10 + 11 * row), digits, fill=0, font=self._small, anchor="ms")
        return cell

    def _is_missing(self, char: str) -> bool:
        """Tell whether the Chinese font would draw its box for missing characters."""
        font = self._chinese
        assert font is not None
        mask = font.getmask(char)
        box = font.getmask("\U0010fffe")
        return mask.size == box.size and bytes(mask) == bytes(box)

    def line(
        self, text: str, *, is_bold: bool = False, wide: int = 1, tall: int = 1, is_narrow: bool = False
    ) -> Image.Image:
        """Draw one line of printable text; `is_narrow` gives every character one column, as Latin code pages do."""
        columns = len(text) if is_narrow else display_width(text)
        drawn = Image.new("1", (max(columns, 1) * DOTS_PER_COLUMN, CELL_HEIGHT), 1)
        left = 0
        for char in text:
            glyph = self.glyph(char, 1 if is_narrow else display_width(char))
            drawn.paste(glyph, (left, 0))
            left += glyph.width
        if is_bold:
            shifted = Image.new("1", drawn.size, 1)
            shifted.paste(drawn, (1, 0))
            drawn = ImageChops.logical_and(drawn, shifted)
        return drawn.resize((drawn.width * wide, drawn.height * tall), Image.Resampling.NEAREST)


@cache
def default_typeface() -> Typeface:
    """Return the typeface of this machine, looked for once."""
    chinese, latin = find_fonts(CHINESE_FONTS), find_fonts(LATIN_FONTS)
    return Typeface(next(iter(chinese), None), next(iter(latin), None))


def raster_from_image(image: Image.Image, width_max: int) -> Raster:
    """Return any picture as dots: transparent parts white, scaled down to the paper, grey dithered."""
    flat = Image.new("RGBA", image.size, "white")
    flat.alpha_composite(image.convert("RGBA"))
    if flat.width > width_max:
        flat = flat.resize((width_max, max(round(flat.height * width_max / flat.width), 1)), Image.Resampling.LANCZOS)
    grey = flat.convert("L")
    is_line_art = {colour for _, colour in grey.getcolors(256) or []} <= {0, 255}
    black = ImageChops.invert(
        grey.convert("1", dither=Image.Dither.NONE if is_line_art else Image.Dither.FLOYDSTEINBERG)
    )
    return Raster(black.width, black.height, black.tobytes())


def image_from_raster(raster: Raster) -> Image.Image:
    """Return the dots as a picture, black on white."""
    return ImageChops.invert(Image.frombytes("1", (raster.width, raster.height), raster.bits))


def read_logo(path: Path, width_max: int) -> Raster:
    """Read a picture file as a raster; raises OSError when it is none."""
    with Image.open(path) as image:
        return raster_from_image(image, width_max)


def line_raster(line: Line, typeface: Typeface, width_max: int) -> Raster:
    """Draw one line of a document, no wider than the paper."""
    image = typeface.line(printable(line.text), is_bold=line.is_bold, wide=line.size.wide, tall=line.size.tall)
    return raster_from_image(image.crop((0, 0, min(image.width, width_max), image.height)), width_max)


def bars_image(
    symbology: Symbology, data: str, *, module: int, height: int, text: str | None, typeface: Typeface
) -> Image.Image:
    """Draw a barcode with its quiet zones, and its text below it."""
    from barcode import get_barcode_class

    kind = "ean13" if symbology is Symbology.EAN_13 else "code128"
    pattern: str = get_barcode_class(kind)(data).build()[0]
    quiet = QUIET_MODULES[symbology]
    image = Image.new("1", ((len(pattern) + 2 * quiet) * module, height + (CELL_HEIGHT if text else 0)), 1)
    pen = ImageDraw.Draw(image)
    for place, bar in enumerate(pattern):
        if bar == "1":
            left = (quiet + place) * module
            pen.rectangle((left, 0, left + module - 1, height - 1), fill=0)
    if text:
        drawn = typeface.line(text)
        image.paste(drawn, (max((image.width - drawn.width) // 2, 0), height))
    return image


def qr_image(data: bytes, *, module: int, level: str) -> Image.Image:
    """Draw a QR code with its quiet zone of four modules (ISO/IEC 18004, 6.3.8)."""
    import qrcode
    from qrcode import constants

    levels = {
        "L": constants.ERROR_CORRECT_L,
        "M": constants.ERROR_CORRECT_M,
        "Q": constants.ERROR_CORRECT_Q,
        "H": constants.ERROR_CORRECT_H,
    }
    code = qrcode.QRCode(error_correction=levels[level], border=4)
    code.add_data(data)
    code.make(fit=True)
    matrix: list[list[bool]] = code.get_matrix()
    image = Image.new("1", (len(matrix), len(matrix)), 1)
    image.putdata([0 if dark else 1 for row in matrix for dark in row])
    return image.resize((image.width * module, image.height * module), Image.Resampling.NEAREST)


def code_raster(code: LinearCode | QrCode, typeface: Typeface, width_max: int) -> Raster:
    """Draw a code with the largest modules, up to those asked for, with which it fits on the paper.

    Raises ValueError when it does not fit at all: a code that is cut off or scaled unevenly cannot be read.
    """
    for module in range(code.module, 0, -1):
        if isinstance(code, QrCode):
            image = qr_image(code.data.encode(), module=module, level=code.level)
        else:
            text = code.full_data if code.shows_text else None
            image = bars_image(
                code.symbology, code.full_data, module=module, height=code.height, text=text, typeface=typeface
            )
        if image.width <= width_max:
            return raster_from_image(image, width_max)
    raise ValueError(f"{code.data!r} is too long for paper of {width_max} dots")
