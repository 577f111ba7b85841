"""The customer display shows two lines or a figure, in each language of displays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.display import COLUMNS, CustomerDisplay, DisplayEncoder, DisplayKind, PriceMode, ascii_of, fitted
from drivers.errors import LinkDownError
from drivers.escpos.code_page import printable
from drivers.escpos.document import display_width
from drivers.link import BackOff
from drivers.simulated import SimulatedDisplay
from tests.drivers.fault_links import OneByteAtATime, Unplug


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (DisplayKind.EPSON, b"\x1f$\x01\x01COLA" + b" " * 16 + b"\x1f$\x01\x02" + b" " * 16 + b"3.50"),
        (DisplayKind.CD5220, b"\x1bQACOLA" + b" " * 16 + b"\r\x1bQB" + b" " * 16 + b"3.50\r"),
        (DisplayKind.LED8, b""),
    ],
)
def test_two_lines_in_each_language(kind: DisplayKind, data: bytes) -> None:
    assert DisplayEncoder(kind).lines("COLA", "3.50") == data


@pytest.mark.parametrize("kind", [DisplayKind.EPSON, DisplayKind.CD5220])
def test_hanzi_are_shown_where_there_are_any_and_read_aloud_or_left_out_elsewhere(kind: DisplayKind) -> None:
    device = SimulatedDisplay()
    display = CustomerDisplay(OneByteAtATime(device.link()), DisplayEncoder(kind, has_hanzi=True))
    display.show("可口可乐 500ml 特价优惠", "¥3.50")
    assert device.lines == ["可口可乐 500ml 特价 ", " " * 14 + "￥3.50"]
    plain = DisplayEncoder(kind)
    assert plain.encoded("可口可乐 500ml ￥3") == "500ml Y3"
    assert DisplayEncoder(kind, romanise=lambda _: "kekou kele").encoded("可口可乐") == "kekou kele"
    display.clear()
    assert device.lines == [" " * 20, " " * 20]
    assert not device.unknown


def test_the_small_panel_shows_a_figure_and_lights_its_lamp() -> None:
    device = SimulatedDisplay()
    display = CustomerDisplay(device.link(), DisplayEncoder(DisplayKind.LED8))
    display.show_price(PriceMode.TOTAL, "35.96")
    assert device.lines[0].strip() == "35.96"
    assert device.mode is PriceMode.TOTAL
    assert DisplayEncoder(DisplayKind.LED8).price(PriceMode.CHANGE, "14.10") == b"\x1bQA14.10\r\x1bs4"


def test_a_text_panel_names_the_figure() -> None:
    device = SimulatedDisplay()
    CustomerDisplay(device.link(), DisplayEncoder()).show_price(PriceMode.CHANGE, "14.10")
    assert device.lines == ["CHANGE".ljust(20), "14.10".rjust(20)]


@pytest.mark.parametrize("figure", ["", "1e3", "１", "12345678.90", "￥1", "1.2345"])
def test_what_is_no_figure_is_refused(figure: str) -> None:
    with pytest.raises(ValueError):
        DisplayEncoder(DisplayKind.LED8).price(PriceMode.TOTAL, figure)


def test_cursor_and_brightness_stay_in_their_bounds() -> None:
    encoder = DisplayEncoder(DisplayKind.EPSON)
    assert encoder.cursor(20, 2) == b"\x1f$\x14\x02"
    assert encoder.brightness(4) == b"\x1fX\x04"
    for column, line in ((0, 1), (1, 3), (21, 1)):
        with pytest.raises(ValueError):
            encoder.cursor(column, line)
    with pytest.raises(ValueError):
        encoder.brightness(5)


def test_an_unplugged_display_is_initialised_again_when_it_is_back() -> None:
    device = SimulatedDisplay()
    link = device.link()
    display = CustomerDisplay(Unplug(link, 60), DisplayEncoder(), back_off=BackOff(0, 0))
    display.show("A", "1")
    with pytest.raises(LinkDownError):
        display.show("B", "2")
    device.receive(b"\r")
    display.show("C", "3")
    assert device.lines[0].strip() == "C"
    assert link.written.count(b"\x1b@") == 2


@given(st.text(max_size=40), st.sampled_from([DisplayKind.EPSON, DisplayKind.CD5220]), st.booleans())
def test_any_text_fills_its_line_exactly(text: str, kind: DisplayKind, has_hanzi: bool) -> None:
    encoder = DisplayEncoder(kind, has_hanzi=has_hanzi)
    assert display_width(fitted(encoder.encoded(text))) == COLUMNS
    assert ascii_of(text).isascii()
    if all(len(char.encode("gb18030")) <= 2 for char in printable(text)):
        device = SimulatedDisplay()
        device.receive(encoder.lines(text, ""))
        assert sum(display_width(char) for char in device.lines[0]) == COLUMNS
