"""Draws a conflict's evidence: a lane for each node, looks and movements by the corrected clocks with their doubt.

A look is a solid bar from first to last touch, a movement a mark; the pale bar around each is how far its clock may be
off. A dashed line leads from the last entry that a counter's node had heard of another node to the count.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from hub.case import Case, LookTold, MovementTold, ObservationTold
from hub.pages.charts import svg
from schema.amounts import format_quantity
from schema.texts import Texts

WIDTH: Final = 900
_LEFT: Final = 128
_RIGHT: Final = 24
_TOP: Final = 30
_LANE: Final = 58
_BOTTOM: Final = 30
_AROUND_MS: Final = 60_000
_STEPS_MS: Final = (
    1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000,
    7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000,
)  # fmt: skip


class _Span(NamedTuple):
    first_ms: int
    last_ms: int

    def x(self, ms: float) -> float:
        inner = WIDTH - _LEFT - _RIGHT
        return _LEFT + inner * min(1.0, max(0.0, (ms - self.first_ms) / (self.last_ms - self.first_ms)))

    def holds(self, ms: float) -> bool:
        return self.first_ms <= ms <= self.last_ms


def draw_timeline(case: Case, t: Texts, zone: ZoneInfo) -> Markup:
    """Return the picture of a case; empty where nothing was counted."""
    if not case.observations:
        return Markup("")
    span = _span(case)
    shown = [one for one in case.movements if span.holds(one.at_ms)]
    lanes = _lanes(case, shown)
    places = {writer: _TOP + _LANE * place + _LANE // 2 for place, (writer, _) in enumerate(lanes)}
    height = _TOP + _LANE * len(lanes) + _BOTTOM
    parts = [_axis(span, height, zone)]
    parts += [_lane(name, places[writer]) for writer, name in lanes]
    for one in case.observations:
        parts += _knowledge(one, places, span, t)
    for one in case.observations:
        parts += [_look(look, one, places[look.writer], span, t) for look in one.looks]
    parts += _movements(shown, places, span, t)
    before = sum(one.at_ms < span.first_ms for one in case.movements) + case.earlier[0]
    after = sum(one.at_ms > span.last_ms for one in case.movements) + case.later[0]
    if before:
        parts.append(_words(_LEFT + 2, height - 4, t("timeline.earlier", count=before), "start"))
    if after:
        parts.append(_words(WIDTH - _RIGHT, height - 4, t("timeline.later", count=after), "end"))
    return svg(t("timeline.title"), WIDTH, height, parts)


def _span(case: Case) -> _Span:
    """Return what to show: the looks with their doubt, the movements that matter, and some room."""
    lows, highs = [], []
    for one in case.observations:
        for look in one.looks:
            bound = look.bound_ms or 0
            lows.append(look.lo_ms - bound)
            highs.append(look.hi_ms + bound)
    core = max(highs) - min(lows)
    reach = max(_AROUND_MS, core)
    for movement in case.movements:
        if movement.side == "AMBIGUOUS" or movement.is_about:
            lows.append(movement.at_ms - min(movement.bound_ms or 0, reach))
            highs.append(movement.at_ms + min(movement.bound_ms or 0, reach))
    nearest = sorted(case.movements, key=lambda one: min(abs(one.at_ms - min(lows)), abs(one.at_ms - max(highs))))
    for movement in nearest[:10]:
        if min(lows) - 6 * reach <= movement.at_ms <= max(highs) + 6 * reach:
            lows.append(movement.at_ms)
            highs.append(movement.at_ms)
    room = max(2_000, (max(highs) - min(lows)) // 12)
    return _Span(min(lows) - room, max(highs) + room)


def _lanes(case: Case, shown: Sequence[MovementTold]) -> list[tuple[str, str]]:
    lanes: dict[str, str] = {}
    for one in case.observations:
        for look in one.looks:
            lanes[look.writer] = look.node
    for movement in shown:
        lanes.setdefault(movement.writer, movement.node)
    return list(lanes.items())


def _axis(span: _Span, height: int, zone: ZoneInfo) -> str:
    length = span.last_ms - span.first_ms
    step = next((one for one in _STEPS_MS if length / one <= 7), max(_STEPS_MS[-1], length // 6))
    offset = datetime.datetime.fromtimestamp(span.first_ms / 1000, zone).utcoffset() or datetime.timedelta()
    shift = int(offset.total_seconds() * 1000)
    at = -(-(span.first_ms + shift) // step) * step - shift
    parts = []
    form = "%m-%d" if step >= 43_200_000 else "%H:%M" if step >= 60_000 else "%H:%M:%S"
    while at <= span.last_ms:
        moment = datetime.datetime.fromtimestamp(at / 1000, zone)
        x = span.x(at)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{height - _BOTTOM + 4}"/>')
        parts.append(_words(x, _TOP - 14, f"{moment:{form}}", "middle"))
        at += step
    day = datetime.datetime.fromtimestamp(span.first_ms / 1000, zone)
    parts.append(_words(4, _TOP - 14, f"{day:%Y-%m-%d}", "start"))
    return "".join(parts)


def _lane(name: str, y: int) -> str:
    short = name if len(name) <= 16 else f"{name[:15]}…"
    return (
        f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="lane" x="4" y="{y + 4}"><title>{escape(name)}</title>{escape(short)}</text>'
    )


def _bar(kind: str, first: float, last: float, y: float, tall: int, title: str = "") -> str:
    words = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect class="{kind}" x="{first:.1f}" y="{y - tall / 2:.1f}" width="{max(3.0, last - first):.1f}"'
        f' height="{tall}" rx="2">{words}</rect>'
    )


def _look(look: LookTold, one: ObservationTold, y: int, span: _Span, t: Texts) -> str:
    kind = "look look-gives" if one.gives_value else "look"
    quantity = format_quantity(look.quantity)
    title = t("timeline.look", quantity=quantity, node=look.node, zone=look.zone or "–")
    first, last = span.x(look.lo_ms), span.x(look.hi_ms)
    if look.bound_ms is None:
        doubt = _bar("doubt-bar doubt-unknown", span.x(span.first_ms), span.x(span.last_ms), y, 20)
    else:
        doubt = _bar("doubt-bar", span.x(look.lo_ms - look.bound_ms), span.x(look.hi_ms + look.bound_ms), y, 20)
    label = f"= {quantity}" + (f" {look.zone}" if look.zone else "")
    middle = min(max((first + last) / 2, _LEFT + 20), WIDTH - _RIGHT - 20)
    return doubt + _bar(kind, first, last, y, 20, title) + _words(middle, y - 14, label, "middle", "look-label")


def _knowledge(one: ObservationTold, places: dict[str, int], span: _Span, t: Texts) -> list[str]:
    parts = []
    by_node = one.looks[0]
    for writer, seq, at_ms in one.known:
        if writer == by_node.writer or writer not in places:
            continue
        x, y = span.x(at_ms), places[writer]
        title = t("timeline.known", node=by_node.node, seq=seq)
        parts.append(
            f'<path class="known" d="M{x:.1f} {y}L{span.x(by_node.lo_ms):.1f} {places[by_node.writer]}">'
            f"<title>{escape(title)}</title></path>"
            f'<path class="known-upto" d="M{x:.1f} {y - 9}V{y + 9}"><title>{escape(title)}</title></path>'
        )
    return parts


def _movements(shown: Sequence[MovementTold], places: dict[str, int], span: _Span, t: Texts) -> list[str]:
    parts: list[str] = []
    last_label: dict[str, float] = {}
    for one in _at_once(shown):
        x, y = span.x(one.at_ms), places[one.writer]
        kind = one.side.lower()
        if one.bound_ms is None:
            parts.append(_bar("doubt-bar doubt-unknown", _LEFT, WIDTH - _RIGHT, y, 6))
        elif one.bound_ms:
            parts.append(_bar("doubt-bar", span.x(one.at_ms - one.bound_ms), span.x(one.at_ms + one.bound_ms), y, 8))
        quantity = ("+" if one.quantity > 0 else "−") + format_quantity(abs(one.quantity))
        title = t(
            "timeline.movement", quantity=quantity, reason=reason_words(t, one.reason), node=one.node,
            side=t(f"side.{one.side}"),
        )  # fmt: skip
        about = " move-about" if one.is_about else ""
        parts.append(
            f'<circle class="move move-{kind}{about}" cx="{x:.1f}" cy="{y}" r="5.5">'
            f"<title>{escape(title)}</title></circle>"
        )
        if x - last_label.get(one.writer, -99) > 26:
            parts.append(_words(x, y + 20, quantity, "middle"))
            last_label[one.writer] = x
    return parts


def _at_once(shown: Sequence[MovementTold]) -> list[MovementTold]:
    """Return the movements with those of one entry and one side as one: they share a dot, which tells their sum."""
    found: dict[tuple[str, str], MovementTold] = {}
    for one in shown:
        same = found.get((one.entry, one.side))
        found[one.entry, one.side] = one if same is None else same._replace(
            quantity=same.quantity + one.quantity, is_about=same.is_about or one.is_about
        )  # fmt: skip
    return list(found.values())


def reason_words(t: Texts, reason: str) -> str:
    """Name a movement's reason; the reason itself where this release has no word for it."""
    name = f"reason.{reason}"
    return t(name) if t.has(name) else reason


def _words(x: float, y: float, words: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
