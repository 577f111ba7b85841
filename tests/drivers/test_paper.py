"""What documents become on paper: widths, bytes, fallbacks, and codes that an independent reader can read."""

from __future__ import annotations

from pathlib import Path

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from drivers.escpos.code_page import (
    PAPER_58MM,
    PAPER_58MM_SIMPLE,
    PAPER_80MM,
    PROFILES,
    PrinterProfile,
    fits_font,
    printable,
)
from drivers.escpos.document import (
    DOUBLE,
    Align,
    Column,
    Columns,
    Cut,
    LinearCode,
    Picture,
    PrintDocument,
    QrCode,
    Raster,
    Row,
    Rule,
    Symbology,
    Text,
    display_width,
    document_of,
    lay_out,
    preview,
    wrap,
)
from drivers.escpos.interpreter import Interpreter, PaperCut, PrintedPicture, paper_of
from drivers.escpos.job import job_of
from drivers.escpos.picture import Typeface, default_typeface, find_fonts, image_from_raster, raster_from_image
from tests.drivers.receipts import CODE, EAN, LOGO, QR_TEXT, chinese_receipt

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors" / "escpos"
NO_FONT = Typeface(None, None)


def printed(*rows: Row, profile: PrinterProfile = PAPER_80MM) -> bytes:
    return job_of(document_of(rows), profile, NO_FONT).data


def read_codes(image: Image.Image) -> set[str]:
    return {code.text for code in zxingcpp.read_barcodes(image.convert("L"))}


def test_a_chinese_receipt_is_these_bytes_on_58_mm_paper() -> None:
    data = printed(
        Text("青山村便利店", Align.CENTRE, True, DOUBLE),
        Columns((Column("可口可乐"), Column("2", 3, Align.RIGHT), Column("￥7.00", 8, Align.RIGHT))),
        Rule(),
        LinearCode("690102807576", Symbology.EAN_13),
        QrCode("退1", module=4),
        Cut(),
        profile=PAPER_58MM,
    )
    assert (
        data
        == (
            b"\x1b@"  # initialise
            b"\x1c&\x1bE\x01\x1d!\x11"  # hanzi, bold, double
            b"  " + bytes.fromhex("c7e0 c9bd b4e5 b1e3 c0fb b5ea") + b"\n"
            b"\x1bE\x00\x1d!\x00"
            + bytes.fromhex("bfc9 bfda bfc9 c0d6")
            + b" " * 14
            + b"2   "
            + bytes.fromhex("a3a4")
            + b"7.00\n"
            + b"-" * 32
            + b"\n\x1c.\x1ba\x01"  # ASCII only, centred
            b"\x1dhP\x1dw\x02\x1dH\x02\x1df\x00\x1dkC\x0d6901028075763\n"
            b"\x1d(k\x04\x001A2\x00\x1d(k\x03\x001C\x04\x1d(k\x03\x001E1\x1d(k\x07\x001P0\xe9\x80\x801\x1d(k\x03\x001Q0\n"
            b"\n\n\n\n"  # no knife: feed to the tear bar
        )
    )


def test_the_whole_receipt_keeps_its_golden_bytes_on_80_mm_paper() -> None:
    data = job_of(chinese_receipt(), PAPER_80MM, NO_FONT).data
    assert data.startswith(b"\x1b@\x1c.\x1bp\x0022\x1ba\x01\x1dv0\x00\x02\x00\x08\x00" + LOGO.bits)
    assert data.endswith(b"\x1c.\x1bd\x06\x1dV\x01")
    golden = bytes.fromhex(Path(__file__).with_name("chinese_receipt_80mm.hex").read_text("ascii"))
    assert data == golden


def test_yen_is_the_full_width_sign_that_every_hanzi_font_has() -> None:
    assert b"\xa3\xa4" + b"5" in printed(Text("¥5"))
    assert b"\xa3\xa4" + b"5" in printed(Text("￥5"))
    assert b"\x81\x30" not in printed(Text("¥5"))


def test_paper_reads_as_the_preview_says() -> None:
    rows = [row for row in chinese_receipt().rows if isinstance(row, Text | Columns | Rule)]
    for profile in (PAPER_80MM, PAPER_58MM):
        paper = paper_of(printed(*rows, profile=profile), profile)
        assert [line.strip() for line in paper.lines()] == [
            line.strip() for line in preview(document_of(rows), profile.columns)
        ]


@pytest.mark.parametrize("name", PROFILES)
def test_codes_are_read_back_from_the_paper_of_every_printer(name: str) -> None:
    profile = PROFILES[name]
    document = document_of(
        (LinearCode(CODE), LinearCode(EAN, Symbology.EAN_13), LinearCode("12345678"), QrCode(QR_TEXT))
    )
    paper = paper_of(job_of(document, profile, NO_FONT).data, profile, NO_FONT)
    assert read_codes(paper.picture(NO_FONT)) == {CODE, EAN, "12345678", QR_TEXT}


def test_a_whole_receipt_shows_all_its_codes_and_no_unknown_command() -> None:
    reader = Interpreter(PAPER_80MM)
    reader.receive(job_of(chinese_receipt(), PAPER_80MM).data)
    assert not reader.unknown
    assert read_codes(reader.paper.picture()) == {CODE, EAN, QR_TEXT}
    assert isinstance(reader.paper.marks[-1], PaperCut)
    assert "康师傅红烧牛肉面（桶装）" in reader.paper.text()


def test_a_printer_without_hanzi_gets_them_as_pictures_and_never_the_hanzi_command() -> None:
    data = job_of(chinese_receipt(), PAPER_58MM_SIMPLE, NO_FONT).data
    reader = Interpreter(PAPER_58MM_SIMPLE, typeface=NO_FONT)
    reader.receive(data)
    assert not reader.unknown
    assert all(line.isascii() for line in reader.paper.lines())
    assert sum(isinstance(mark, PrintedPicture) for mark in reader.paper.marks) > 12
    assert read_codes(reader.paper.picture(NO_FONT)) == {CODE, EAN, QR_TEXT}


def test_a_missing_font_is_told_and_its_characters_are_still_different() -> None:
    job = job_of(document_of([Text("一二")]), PAPER_58MM_SIMPLE, NO_FONT)
    assert job.lacks_font
    assert not job_of(document_of([Text("abc")]), PAPER_58MM_SIMPLE, NO_FONT).lacks_font
    drawn = {NO_FONT.glyph(char, 2).tobytes() for char in "一二三四￥，￦"}
    assert len(drawn) == 7


def test_a_character_that_no_printer_font_has_is_a_sign_for_a_missing_one_and_never_two_wrong_ones() -> None:
    assert not fits_font("𠮷", PAPER_80MM)
    assert "〓野家".encode("gb18030") in printed(Text("𠮷野家"))
    assert printable("😀") == "〓"


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("¥1", "￥1"),
        ("a\tb\u00a0c", "a b c"),
        ("x\x1b@y\x1d\x10\x04", "x@y"),
        ("ﾃｽﾄ", "テスト"),
        ("ñandú €5", "nandú EUR5"),
        ("e\u0301", "é"),
        ("\ud800", "〓"),
        ("👨\u200d👩", "〓〓"),
        ("a\r\nb\rc", "a\nb\nc"),
    ],
)
def test_text_is_folded_to_what_paper_carries(text: str, folded: str) -> None:
    assert printable(text) == folded


@given(st.text(max_size=60))
def test_no_text_can_smuggle_a_command_or_break_the_code(text: str) -> None:
    folded = printable(text)
    assert printable(folded) == folded
    assert all(char == "\n" or char.isprintable() or char == "\u3000" for char in folded)
    assert folded.encode("gb18030").decode("gb18030") == folded


@settings(max_examples=60)
@given(
    st.text("ab 可乐，。￥1.", max_size=50),
    st.text("xyz 山（）", max_size=20),
    st.integers(4, 30),
    st.sampled_from([32, 48]),
    st.sampled_from(list(Align)),
)
def test_columns_never_leave_the_paper_and_lose_no_character(
    left: str, right: str, width: int, columns: int, align: Align
) -> None:
    row = Columns((Column(left), Column(right, width, align)))
    lines = [line.text for line in lay_out(row, columns)]
    assert all(display_width(line) <= columns for line in lines)
    assert sorted("".join(lines).replace(" ", "")) == sorted((left + right).replace(" ", ""))


def test_a_wrapped_line_never_begins_with_a_stop_or_a_closing_bracket() -> None:
    assert wrap("谢谢惠顾，再来", 8) == ["谢谢惠", "顾，再来"]
    assert wrap("hello wide world", 10) == ["hello wide", "world"]
    assert wrap("abcdefghijkl", 5) == ["abcde", "fghij", "kl"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinearCode("6901028075764", Symbology.EAN_13),
        lambda: LinearCode("69010280757", Symbology.EAN_13),
        lambda: LinearCode("６９０１０２８０７５７６３", Symbology.EAN_13),
        lambda: LinearCode("可乐"),
        lambda: LinearCode(""),
        lambda: QrCode(""),
        lambda: job_of(document_of([QrCode("x" * 3000)]), PAPER_80MM),
        lambda: job_of(document_of([LinearCode("X" * 60)]), PAPER_58MM, NO_FONT),
        lambda: Raster(9, 1, b"\x00"),
    ],
    ids=range(9),
)
def test_a_code_that_no_scanner_could_read_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize("length", [1, 2, 7, 20, 28])
def test_code_128_of_any_length_that_fits_is_readable_on_58_mm(length: int) -> None:
    text = ("AB{c}~ 019" * 3)[:length].strip() or "Z"
    for profile in (PAPER_58MM, PAPER_58MM_SIMPLE):
        paper = paper_of(job_of(document_of([LinearCode(text)]), profile, NO_FONT).data, profile, NO_FONT)
        assert read_codes(paper.picture(NO_FONT)) == {text}


def test_pictures_are_flattened_scaled_and_cut_into_bands() -> None:
    image = Image.new("RGBA", (1000, 500), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 500, 500))
    raster = raster_from_image(image, 576)
    assert (raster.width, raster.height) == (576, 288)
    paper = paper_of(printed(Picture(raster)))
    bands = [mark.image for mark in paper.marks if isinstance(mark, PrintedPicture)]
    assert [band.height for band in bands] == [48] * 6
    assert image_from_raster(raster).getpixel((10, 10)) == 0
    assert image_from_raster(raster).getpixel((500, 10)) == 255
    assert raster.cropped(9).width == 9


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40))
@settings(max_examples=15, deadline=None)
def test_bytes_in_any_portions_make_the_same_paper(portions: list[int]) -> None:
    data = job_of(PrintDocument(chinese_receipt().rows[:14]), PAPER_80MM, NO_FONT).data
    whole, parts = Interpreter(typeface=NO_FONT), Interpreter(typeface=NO_FONT)
    whole.receive(data)
    place = turn = 0
    while place < len(data):
        size = portions[turn % len(portions)]
        parts.receive(data[place : place + size])
        place, turn = place + size, turn + 1
    assert parts.paper.text() == whole.paper.text()
    assert parts.unknown == whole.unknown == []


COMMANDS = st.sampled_from(
    [b"\x1d(k\x03\x001Q0", b"\x1d(k\x04\x001P0x", b"\x1d(k\x01\x001", b"\x1d(k\x03\x001C\x00", b"\x1dkI\x02{B",
     b"\x1dkI\x03{B\xff", b"\x1dk\x02abc\x00", b"\x1dw\x00", b"\x1dv0\x00\x00\x00\x01\x00", b"\x1d(L\x02\x000p",
     b"\x1d!\x77", b"\x1b*\x21\x00\x00", b"\x1bD\x00", b"\x10\x04\x01", b"\x1c.", b"\x1bt\x11", b"\n"]
)  # fmt: skip


@given(st.lists(st.one_of(COMMANDS, st.binary(max_size=12)), max_size=12))
@settings(deadline=None)
def test_no_bytes_can_upset_the_simulated_printer(parts: list[bytes]) -> None:
    reader = Interpreter(typeface=NO_FONT)
    reader.receive(b"".join(parts))
    reader.paper.text()
    reader.paper.picture(NO_FONT)


def test_fonts_are_found_by_name_regular_first(tmp_path: Path) -> None:
    for name in ("NotoSansCJK-Bold.ttc", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "Other.ttf", "wqy-zenhei.txt"):
        (tmp_path / name).touch()
    found = [path.name for path in find_fonts(("NotoSansCJK", "wqy-"), [str(tmp_path)])]
    assert found == ["NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc", "wqy-microhei.ttc"]
    assert not Typeface(tmp_path / "wqy-microhei.ttc", None).has_hanzi, "a broken font is no font"


def test_paper_can_be_drawn_with_whatever_fonts_this_machine_has(tmp_path: Path) -> None:
    paper = paper_of(job_of(chinese_receipt(), PAPER_58MM, default_typeface()).data, PAPER_58MM)
    paper.picture().save(tmp_path / "receipt.png")
    with Image.open(tmp_path / "receipt.png") as image:
        assert image.width == PAPER_58MM.dots + 48


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["receipt-with-logo", "text-size", "margins-and-spacing", "bit-image", "graphics", "qr-code", "barcode"]
)
def test_what_other_programs_send_is_understood(name: str) -> None:
    path = VECTORS / "escpos-php" / f"{name}.bin"
    if not path.exists():
        pytest.skip("the captures lie beside the checkout, or nowhere")
    reader = Interpreter(PrinterProfile("80 mm, latin", has_hanzi=False))
    reader.receive(path.read_bytes())
    assert not reader.waiting
    assert reader.unknown == []
    image = reader.paper.picture()
    if name == "receipt-with-logo":
        assert "A wonderful charity" in reader.paper.text() or "ExampleMart" in reader.paper.text()
    if name == "qr-code":
        assert "Testing 123" in read_codes(image)
