"""Charts as inline SVG: drawn on the server, styled by classes, readable without seeing them.

Every chart has a title for screen readers and keeps its figures in `<title>` elements that a pointer shows. Nothing
is styled inline: the pages' policy forbids it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from markupsafe import Markup, escape

WIDTH: Final = 560
_LEFT: Final = 52
_DIGIT: Final = 9.9
"""How wide a digit beside the axis is, in the chart's own units, at the size that phones write it."""
_BAR_MAX: Final = 72
"""A single day is no wall."""
_BOTTOM: Final = 22
_TOP: Final = 8
_RIGHT: Final = 8


def _plain(value: int) -> str:
    return f"{value:,}"


def ticks(lowest: int, highest: int, wanted: int = 4) -> list[int]:
    """Return round figures from at or below the lowest to at or above the highest, about as many as wanted."""
    if highest <= lowest:
        highest = lowest + 1
    rough = (highest - lowest) / wanted
    power = 10 ** max(0, len(str(int(rough))) - 1)
    step = next((k * power for k in (1, 2, 5, 10) if k * power >= rough), 10 * power)
    first = lowest // step * step
    found = [first]
    while found[-1] < highest:
        found.append(found[-1] + step)
    return found


def bars(
    rows: Sequence[tuple[str, int]],
    *,
    title: str,
    write: Callable[[int], str] = _plain,
    height: int = 180,
    every: int = 0,
    now: int | None = None,
) -> Markup:
    """Draw one bar for each (label, value); `every` so many labels are written (0: as many as fit).

    `now` is the place of the row that is still growing: it is drawn lighter.
    """
    if not rows:
        return Markup("")
    scale = ticks(min(0, *(value for _, value in rows)), max(1, *(value for _, value in rows)))
    low, high = scale[0], scale[-1]
    left = _left_of(scale, write)
    wide, tall = WIDTH - left - _RIGHT, height - _TOP - _BOTTOM

    def y(value: int) -> float:
        return _TOP + tall - (value - low) * tall / (high - low)

    step = wide / len(rows)
    every = every or max(1, round(len(rows) / 12))
    parts = [_frame(scale, y, write, left)]
    bar = min(step * 0.76, _BAR_MAX)
    for place, (label, value) in enumerate(rows):
        x, top, bottom = left + (place + 0.5) * step, min(y(value), y(0)), max(y(value), y(0))
        kind = "bar bar-now" if place == now else "bar bar-below" if value < 0 else "bar"
        tall_px = max(0.0, bottom - top)
        parts.append(
            f'<rect class="{kind}" x="{x - bar / 2:.1f}" y="{top:.1f}" width="{bar:.1f}"'
            f' height="{tall_px:.1f}" rx="1.5"><title>{escape(label)}: {escape(write(value))}</title></rect>'
        )
        if place % every == 0:
            parts.append(_tick(x, height - 6, "middle", label))
    return svg(title, WIDTH, height, parts)


def lines(
    series: Sequence[tuple[str, Sequence[tuple[int, int]]]],
    *,
    title: str,
    write: Callable[[int], str] = _plain,
    write_x: Callable[[int], str] = _plain,
    height: int = 220,
    bands: Sequence[tuple[int, int, int]] = (),
    marks: Sequence[tuple[int, int, str, str]] = (),
    is_stepped: bool = False,
) -> Markup:
    """Draw named lines of (x, y) points with x ascending, such as milliseconds and thousandths.

    `bands` are (x, lowest, highest) where a figure is in doubt; `marks` are (x, y, kind, words) of single events.
    """
    points = [point for _, line in series for point in line]
    if not points:
        return Markup("")
    ys = [y for _, y in points] + [y for _, a, b in bands for y in (a, b)] + [mark[1] for mark in marks]
    xs = [x for x, _ in points] + [band[0] for band in bands] + [mark[0] for mark in marks]
    scale = ticks(min(0, *ys), max(1, *ys))
    low, high = scale[0], scale[-1]
    first = min(xs)
    last = max(*xs, first + 1)
    left = _left_of(scale, write)
    wide, tall = WIDTH - left - _RIGHT, height - _TOP - _BOTTOM

    def px(value: int) -> float:
        return left + (value - first) * wide / (last - first)

    def py(value: int) -> float:
        return _TOP + tall - (value - low) * tall / (high - low)

    parts = [_frame(scale, py, write, left)]
    if len(bands) > 1:
        upper = " ".join(f"{px(x):.1f},{py(b):.1f}" for x, _, b in bands)
        lower = " ".join(f"{px(x):.1f},{py(a):.1f}" for x, a, _ in reversed(bands))
        parts.append(f'<polygon class="band" points="{upper} {lower}"/>')
    for place, (name, line) in enumerate(series):
        path: list[str] = []
        for at, (x, y) in enumerate(line):
            if at == 0:
                path.append(f"M{px(x):.1f} {py(y):.1f}")
            elif is_stepped:
                path.append(f"H{px(x):.1f}V{py(y):.1f}")
            else:
                path.append(f"L{px(x):.1f} {py(y):.1f}")
        parts.append(f'<path class="line line-{place % 6}" d="{"".join(path)}"><title>{escape(name)}</title></path>')
    for x, y, kind, words in marks:
        parts.append(
            f'<circle class="mark mark-{escape(kind)}" cx="{px(x):.1f}" cy="{py(y):.1f}" r="4">'
            f"<title>{escape(words)}</title></circle>"
        )
    for place in range(5):
        x = first + (last - first) * place // 4
        anchor = ("start", "middle", "middle", "middle", "end")[place]
        parts.append(_tick(px(x), height - 6, anchor, write_x(x), "tick tick-between" if place % 2 else "tick"))
    return svg(title, WIDTH, height, parts)


def _tick(x: float, y: float, anchor: str, words: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _left_of(scale: Sequence[int], write: Callable[[int], str]) -> float:
    return max(_LEFT, 8 + _DIGIT * max(len(write(value)) for value in scale))


def _frame(scale: Sequence[int], y: Callable[[int], float], write: Callable[[int], str], left: float) -> str:
    parts = []
    for value in scale:
        kind, at = "axis" if value == 0 else "grid", f"{y(value):.1f}"
        parts.append(f'<line class="{kind}" x1="{left:.1f}" x2="{WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(_tick(left - 6, y(value) + 3.5, "end", write(value)))
    return "".join(parts)


def svg(title: str, width: int, height: int, parts: Sequence[str]) -> Markup:
    """Return drawn parts as a picture with a title; parts are markup already, whatever was written in them escaped."""
    return Markup(  # noqa: S704
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}"'
        f' xmlns="http://www.w3.org/2000/svg"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )
