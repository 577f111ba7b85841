"""A screen's picture keeps the grid: hanzi stand on two columns, blocks fill their cells, colours are the screen's."""

from __future__ import annotations

from xml.etree import ElementTree

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tests.screens.drawing import CELL_H, CELL_W, MARGIN, painted, svg_of

SVG = "{http://www.w3.org/2000/svg}"


def test_every_character_stands_in_its_own_cells() -> None:
    line = Strip([Segment("可乐 3"), Segment("元", Style.parse("bold #ff0000 on #00ff00"))])
    assert [(one.char, one.x, one.width) for one in painted([line])] == [
        ("可", 0, 2), ("乐", 2, 2), (" ", 4, 1), ("3", 5, 1), ("元", 6, 2),
    ]  # fmt: skip
    picture = ElementTree.fromstring(svg_of([line], 8))
    texts = picture.findall(f"{SVG}text")
    assert [(text.text, float(text.attrib["x"])) for text in texts] == [
        ("可", MARGIN + CELL_W), ("乐", MARGIN + 3 * CELL_W), ("3", MARGIN + 5.5 * CELL_W), ("元", MARGIN + 7 * CELL_W),
    ]  # fmt: skip
    assert texts[-1].attrib["fill"] == "#ff0000"
    behind = picture.findall(f"{SVG}rect")[1]
    assert (behind.attrib["fill"], float(behind.attrib["width"])) == ("#00ff00", 2 * CELL_W)


def test_blocks_and_lines_are_rectangles_that_touch() -> None:
    picture = ElementTree.fromstring(svg_of([Strip([Segment("▄│")]), Strip([Segment("█│")])], 2))
    assert not picture.findall(f"{SVG}text")
    _, half, _, lower, full, upper, _ = picture.findall(f"{SVG}rect")
    assert float(half.attrib["y"]) + float(half.attrib["height"]) == float(full.attrib["y"])
    assert float(lower.attrib["y"]) + float(lower.attrib["height"]) >= float(upper.attrib["y"])
    assert float(full.attrib["height"]) == CELL_H


def test_reversed_colours_are_drawn_reversed() -> None:
    (one,) = painted([Strip([Segment("x", Style(color="#111111", bgcolor="#eeeeee", reverse=True))])])
    assert (one.colour, one.background) == ("#eeeeee", "#111111")
