"""Painting by lines: right widths of Chinese text, only changed lines anew, large figures, and bursts of a scanner."""

from __future__ import annotations

import time

import pytest
from rich.cells import cell_len
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Region

from pos_tui.widgets.big_figures import big_figures
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.painting import Line, LineWidget, Span, fit, joined, width_of, wrapped
from tests.edge.goods import COLA_BARCODE
from tests.pos_tui.conftest import AtTill


@pytest.mark.parametrize("text", ["可口可乐 330ml", "ABC", "", "￥12.50", "长长长长长长长长长长长长长长"])
@pytest.mark.parametrize("width", [1, 4, 9, 10, 21])
@pytest.mark.parametrize("align", ["left", "right", "centre"])
def test_a_text_takes_exactly_its_columns(text: str, width: int, align: str) -> None:
    assert cell_len(fit(text, width, align)) == width


def test_what_is_too_long_ends_in_an_ellipsis() -> None:
    assert fit("可口可乐", 6) == "可口… "
    assert fit("Coca-Cola", 5) == "Coca…"


def test_sentences_break_between_hanzi_and_at_spaces_and_marks_stay_behind() -> None:
    assert wrapped("扫码，或输入条码。", 8) == ["扫码，或", "输入条", "码。"]
    assert wrapped("type a code, then Enter", 12) == ["type a code,", "then Enter"]
    assert all(cell_len(line) <= 10 for line in wrapped("x" * 35 + " 收银机", 10))
    assert wrapped("a\n\nb", 5) == ["a", "", "b"]


def test_the_left_side_of_a_line_gives_way_to_the_right() -> None:
    line = joined([Span("可口可乐可口可乐")], 12, [Span("3.00")])
    assert sum(width_of(span.text) for span in line.spans) == 12
    assert line.spans[-1].text == "3.00"


@pytest.mark.parametrize(
    ("amount", "width", "height"), [("9.90", 40, 3), ("1,234.56", 40, 3), ("98,765,432.10", 34, 1), ("-20.00", 30, 3)]
)
def test_figures_are_as_large_as_fits(amount: str, width: int, height: int) -> None:
    rows = big_figures(amount, width)
    assert len([row for row in rows if row.strip()]) == height
    assert max(len(row) for row in rows) <= width
    assert len({len(row) for row in rows if row}) == 1


class Lines(LineWidget):
    """Three lines; notes which regions are painted anew."""

    def __init__(self) -> None:
        super().__init__()
        self.texts = ["一", "二", "三"]
        self.refreshed: list[Region] = []

    def lines(self, _width: int, _height: int, /) -> list[Line]:
        return [Line((Span(text),)) for text in self.texts]

    def refresh(self, *regions: Region, **options: bool) -> Lines:
        self.refreshed += regions
        return super().refresh(*regions, **options)


class LinesApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Lines()
        yield Listing(id="list", is_numbered=True)


async def test_only_the_line_that_differs_is_painted_anew() -> None:
    async with LinesApp().run_test(size=(20, 12)) as pilot:
        widget = pilot.app.query_one(Lines)
        widget.update()
        widget.refreshed.clear()
        widget.texts[1] = "贰"
        widget.update()
        assert widget.refreshed == [Region(0, 1, widget.size.width, 1)]
        widget.update()
        assert len(widget.refreshed) == 1


async def test_a_list_keeps_what_is_selected_in_view_and_skips_notes() -> None:
    async with LinesApp().run_test(size=(30, 12)) as pilot:
        listing = pilot.app.query_one(Listing)
        rows = [row for n in range(30) for row in (Row((f"第{n}行",)), Row(note="附注"))]
        listing.show((Column("行"),), rows, selected=29)
        await pilot.pause()
        assert listing.number == 30
        assert any("第29行" in str(line) for line in listing._lines)
        assert any("附注" in str(line) for line in listing._lines[-1:])
        listing.select(0)
        assert any("第0行" in str(line) for line in listing._lines)
        listing.move(-5)
        assert listing.selected == 0
        listing.page(1)
        assert 0 < listing.selected < 30
        listing.select(99)
        assert listing.selected == 29


def test_the_entry_line_narrows_what_an_input_method_widened_and_keeps_to_its_length() -> None:
    line = EntryLine()
    for char in "３＊ＡＢ。":
        line.type(char, char)
    assert line.text.startswith("3*AB")
    assert line.type("backspace", None)
    assert not EntryLine().type("backspace", None)
    line.set_text("x" * 999)
    assert len(line.text) == 256


async def test_a_burst_that_ends_in_no_scan_is_typed_text(at_till: AtTill) -> None:
    async with at_till() as cashier:
        moment = time.monotonic()
        for n, char in enumerate("kkkl"):
            event = events.Key(char, char)
            event.time = moment + n * 0.005
            cashier.app.post_message(event)
        await cashier.until("可口可乐")
        assert cashier.app.till.basket.is_empty


async def test_a_key_right_behind_enter_is_no_part_of_what_enter_ended(at_till: AtTill) -> None:
    """A code of a scanner that is too slow to be known as one is typed text; its Enter ends it all the same."""
    async with at_till() as cashier:
        moment = time.monotonic()
        keys = [(char, char) for char in COLA_BARCODE] + [("enter", "\r")]
        for n, (key, character) in enumerate(keys):
            event = events.Key(key, character)
            event.time = moment + n * 0.04
            cashier.app.post_message(event)
        paying = events.Key("plus", "+")
        paying.time = moment + (len(keys) - 1) * 0.04 + 0.005
        cashier.app.post_message(paying)
        await cashier.until_screen("tender")


async def test_keys_of_a_scan_do_nothing_of_their_own(at_till: AtTill) -> None:
    """A code may hold what alone would pay, void or open the menu."""
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.scan("A-/*+.12345")
        await cashier.until_screen("ask")
        await cashier.until(cashier.t("unknown.title"))
        await cashier.press("escape")
        assert len(cashier.app.till.basket.lines) == 1


async def test_a_scan_while_a_menu_is_open_chooses_nothing(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.press("/")
        await cashier.scan("6901234567892")
        await cashier.until(cashier.t("scan.not_here"))
        assert cashier.screen.NAME == "choose"


async def test_both_enters_of_a_scanner_that_ends_in_crlf_are_one(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE)
        cashier._send("enter", 0.002)
        await cashier.settled()
        assert cashier.app.till.basket.lines[0].quantity_milli == 1000
