"""The paper of a count: it fits whatever the paper's width, says what values it takes, and adds up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schema.rules.count_slips import CountReport, VarianceLine, count_rows, signed, signed_money
from schema.rules.paper import ReceiptRow, display_width, to_text
from schema.rules.promotion_terms import Language
from schema.rules.receipt import ReceiptNames, ReceiptTemplate

NAMES = ReceiptNames(
    shop_name="好邻居便利店·文三店", till="A1", operator="王芳", time="2026-11-22 22:05:00", currency_sign="￥"
)
LINES = st.lists(
    st.builds(
        VarianceLine,
        product=st.just("P"),
        name=st.text("可口乐Cola ml0", min_size=1, max_size=40),
        unit=st.sampled_from(("", "瓶", "kg")),
        counted_milli=st.integers(0, 99_999_999),
        variance_milli=st.integers(-99_999_999, 99_999_999).filter(bool),
        value_minor=st.none() | st.integers(-9_999_999, 9_999_999),
        is_cost=st.booleans(),
    ),
    max_size=6,
)


def report(lines: tuple[VarianceLine, ...]) -> CountReport:
    return CountReport(
        session="C-A1-1-33", zones=("货架", "仓库"), opened_ms=0, closed_ms=1, people=("王芳", "李强"),
        products=len(lines) + 2, zeros=1, unfinished=0, lines=lines,
    )  # fmt: skip


def rows(told: CountReport, columns: int, language: Language) -> tuple[ReceiptRow, ...]:
    template = ReceiptTemplate(columns=columns, language=language)
    return count_rows(told, "2026-11-22 20:00:00", "2026-11-22 21:00:00", template, NAMES)


@given(LINES, st.sampled_from((24, 32, 48)), st.sampled_from(list(Language)))
def test_every_row_fits_the_paper(lines: list[VarianceLine], columns: int, language: Language) -> None:
    for line in to_text(rows(report(tuple(lines)), columns, language), columns):
        assert display_width(line) <= columns


@given(LINES)
def test_what_was_gained_and_lost_is_the_sum_of_the_lines(lines: list[VarianceLine]) -> None:
    told = report(tuple(lines))
    assert told.gain_minor + told.loss_minor == sum(one.value_minor or 0 for one in lines)
    at_cost = sum(1 for one in lines if one.is_cost and one.value_minor is not None)
    assert told.unvalued + told.at_price + at_cost == len(lines)


def test_values_at_the_selling_price_are_marked_and_explained() -> None:
    cost = VarianceLine("P1", "Water", "瓶", 7_000, -3_000, -360, is_cost=True)
    price = VarianceLine("P2", "Apples", "kg", 5_500, 500, 640, is_cost=False)
    text = "\n".join(to_text(rows(report((cost, price)), 48, Language.EN), 48))
    assert "+6.40*" in text
    assert "-3.60" in text
    assert "* no cost known: at the selling price" in text
    assert "*" not in "\n".join(to_text(rows(report((cost,)), 48, Language.EN), 48))


def test_differences_bear_their_sign() -> None:
    assert [signed(n) for n in (-1_500, 0, 2_000)] == ["-1.5", "0", "+2"]
    assert [signed_money(n) for n in (-1, 0, 100)] == ["-0.01", "0.00", "+1.00"]
