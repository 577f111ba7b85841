"""Owns the panel of the total: big figures, the facts beside them, and why the basket costs what it does."""

from __future__ import annotations

from typing import Final, NamedTuple

from pos_tui.widgets.big_figures import big_figures
from pos_tui.widgets.painting import Line, LineWidget, Span, fit, joined, width_of, wrapped

TALL_FROM: Final = 8


class Fact(NamedTuple):
    """A labelled figure."""

    label: str
    value: str
    style: str = ""


class TotalFigures(NamedTuple):
    """What the panel shows; `notes` are lines of their own, an empty one draws a rule."""

    label: str = ""
    amount: str = ""
    tone: str = "big"
    facts: tuple[Fact, ...] = ()
    notes: tuple[Fact, ...] = ()


class TotalPanel(LineWidget):
    """Shows a total beside its facts where it is low, above them where it is tall."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._figures = TotalFigures()

    def show(self, figures: TotalFigures) -> None:
        """Set the figures."""
        self._figures = figures
        self.update()

    def lines(self, width: int, height: int, /) -> list[Line]:
        """State the panel for its shape."""
        return self._tall(width, height) if height >= TALL_FROM else self._low(width, height)

    def _low(self, width: int, height: int) -> list[Line]:
        figures = self._figures
        rows = big_figures(figures.amount, width - 24)
        big = max(width_of(row) for row in rows)
        room = width - big - 4
        facts = list(figures.facts)
        columns = 2 if len(facts) > height - 1 and room >= 44 else 1
        size = room // columns
        lines = []
        for y in range(height):
            left: list[Span] = []
            for column in range(columns):
                place = y + column * height
                fact = facts[place] if place < len(facts) else None
                left.append(_fact(fact, size) if fact else Span(" " * size))
            if y == 0:
                right = [Span(fit(figures.label, big + 2, "right") + "  ", "muted")]
            elif 1 <= y <= len(rows):
                right = [Span("  " + rows[y - 1] + "  ", figures.tone)]
            else:
                right = []
            lines.append(joined(left, width, right))
        return lines

    def _tall(self, width: int, height: int) -> list[Line]:
        figures = self._figures
        inner = width - 4
        lines = [Line((Span("  " + figures.label, "muted"),))]
        lines += [
            joined([Span("  ")], width, [Span(row + "  ", figures.tone)]) for row in big_figures(figures.amount, inner)
        ]
        lines.append(Line())
        lines += [_wide_fact(fact, inner) for fact in figures.facts if fact.label or fact.value]
        for note in figures.notes:
            if not note.label and not note.value:
                lines.append(Line((Span("  " + "─" * inner, "muted"),)))
            elif note.value:
                lines.append(_wide_fact(note, inner))
            else:
                lines += [Line((Span("  " + text, note.style or "muted"),)) for text in wrapped(note.label, inner)]
        return lines[:height]


def _fact(fact: Fact, width: int) -> Span:
    return Span(" " + fit(f"{fact.label} {fact.value}" if fact.label else fact.value, width - 2) + " ", fact.style)


def _wide_fact(fact: Fact, inner: int) -> Line:
    value = fact.value
    label = fit(fact.label, max(4, inner - width_of(value) - 1))
    return Line(
        (Span("  " + label + " ", "muted"), Span(fit(value, max(1, inner - width_of(label) - 1), "right"), fact.style))
    )
