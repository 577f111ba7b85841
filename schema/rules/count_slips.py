"""Owns the paper of a stock count: which goods differ from the book, by how much, and what that is worth."""

from __future__ import annotations

import msgspec

from schema.amounts import format_money, format_quantity
from schema.rules.paper import Paper, ReceiptRow
from schema.rules.receipt import ReceiptNames, ReceiptTemplate
from schema.rules.slips import framed, signature


class VarianceLine(msgspec.Struct, frozen=True):
    """A product that differs: counted and counted minus book in base units, and what the difference is worth.

    `value_minor` is None where nobody knows; `is_cost` when it is at the last received cost, else at the price.
    """

    product: str
    name: str
    unit: str
    counted_milli: int
    variance_milli: int
    value_minor: int | None
    is_cost: bool

    @property
    def is_loss(self) -> bool:
        """Tell whether the book had more than the shelf."""
        return self.variance_milli < 0


class CountReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a count found: `products` have a figure, `zeros` of them none on the shelf; `unfinished` lack lines."""

    session: str
    zones: tuple[str, ...]
    opened_ms: int
    closed_ms: int | None
    people: tuple[str, ...]
    products: int
    zeros: int
    unfinished: int
    lines: tuple[VarianceLine, ...]

    @property
    def gain_minor(self) -> int:
        """What was found beyond the book."""
        return sum(one.value_minor or 0 for one in self.lines if one.variance_milli > 0)

    @property
    def loss_minor(self) -> int:
        """What the book had beyond the shelf, as a negative amount."""
        return sum(one.value_minor or 0 for one in self.lines if one.variance_milli < 0)

    @property
    def at_price(self) -> int:
        """How many lines are valued at the selling price: no cost is known here."""
        return sum(1 for one in self.lines if one.value_minor is not None and not one.is_cost)

    @property
    def unvalued(self) -> int:
        """How many lines have no worth that is known here."""
        return sum(1 for one in self.lines if one.value_minor is None)


def signed(quantity_milli: int) -> str:
    """Write a difference with its sign."""
    return f"{'+' if quantity_milli > 0 else ''}{format_quantity(quantity_milli)}"


def signed_money(amount_minor: int) -> str:
    """Write an amount with its sign."""
    return f"{'+' if amount_minor > 0 else ''}{format_money(amount_minor)}"


def count_rows(
    report: CountReport, opened: str, closed: str, template: ReceiptTemplate, names: ReceiptNames
) -> tuple[ReceiptRow, ...]:
    """Lay the variance report of a count out, for the office, signed by who counted and who checked."""
    paper = Paper(template.columns, template.language)
    rows = paper.facts(
        (("count-session", report.session), ("zones", " ".join(report.zones)), ("till", names.till),
         ("counted-by", " ".join(report.people)), ("count-opened", opened), ("count-closed", closed),
         ("printed", names.time)),
    )  # fmt: skip
    rows += paper.rule()
    rows += paper.pair(paper.word("counted-products"), str(report.products))
    rows += paper.pair(paper.word("found-none"), str(report.zeros))
    rows += paper.pair(paper.word("differing"), str(len(report.lines)))
    rows += paper.rule()
    if report.lines:
        rows += paper.columns_of([paper.word(word) for word in ("on-shelf", "difference", "value")])
    for line in report.lines:
        rows += paper.text(line.name)
        mark = "" if line.is_cost else "*"
        value = "-" if line.value_minor is None else f"{signed_money(line.value_minor)}{mark}"
        rows += paper.columns_of(
            [f"{format_quantity(line.counted_milli)}{line.unit}", signed(line.variance_milli), value]
        )
    rows += paper.rule()
    rows += paper.pair(paper.word("gain"), signed_money(report.gain_minor))
    rows += paper.pair(paper.word("loss"), signed_money(report.loss_minor))
    rows += paper.pair(paper.word("net-value"), signed_money(report.gain_minor + report.loss_minor), is_double=True)
    rows += paper.text(paper.word("at-cost"))
    if report.at_price:
        rows += paper.text(f"* {paper.word('at-price')}")
    rows += signature(paper, "counted-by")
    rows += signature(paper, "manager-signs")
    return framed(paper, "stock-count", rows, template, names)
