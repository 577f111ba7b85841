"""Paper that is no receipt of goods says its figures, fits the paper, and has its words in both languages."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.kinds.balances import BalanceMove, BalancePaid
from schema.kinds.trading import CashMoved, Tender
from schema.rules import receipt, slips
from schema.rules.paper import Paper, ReceiptRow, RowKind, display_width, to_text
from schema.rules.promotion_terms import Language
from schema.rules.receipt import ReceiptNames, ReceiptTemplate
from schema.rules.receipt_words import WORDS
from schema.rules.slips import (
    CashEvent,
    OperatorSum,
    ParkedGoods,
    ParkedSlip,
    Report,
    ReportKind,
    TaxSum,
    TenderSum,
    cash_rows,
    parked_rows,
    payment_rows,
    report_rows,
)

SNAPSHOTS = Path(__file__).parent / "receipts"
NAMES = ReceiptNames(
    shop_name="好邻居便利店·文三店", till="A1", operator="1013", time="2026-11-22 22:05:00", currency_sign="￥",
    member="138****1234",
)  # fmt: skip
REPORT = Report(
    kind=ReportKind.SHIFT, till="A1", business_date="2026-11-22", shift="A1-2026-11-22-01", operator="1013",
    opened="2026-11-22 08:00", closed="2026-11-22 22:04", first_receipt="A1-1-000101", last_receipt="A1-1-000285",
    sales=182, sales_minor=1_234_567, refunds=3, refunds_minor=4_550, discounts_minor=12_300, rounding_minor=320,
    tenders=(TenderSum("cash", 90, 500_000, 4_550), TenderSum("wechat", 92, 734_567), TenderSum("points", 2, 200)),
    unknown_tenders=1, unknown_minor=350, taxes=(TaxSum("13", 1300, 1_000_000), TaxSum("exempt", 0, 230_017)),
    operators=(OperatorSum("1013", 100, 600_000), OperatorSum("1014", 82, 634_567, 3, 4_550)), float_minor=50_000,
    cash_events=(CashEvent(-20_000, "存银行"),), expected_minor=525_450, counted_minor=525_400,
    denominations=((10_000, 50), (5_000, 5), (100, 4)), facts=(("voids", 4, 5_600), ("drawer-openings", 2, None)),
)  # fmt: skip
PAYMENT = BalancePaid(
    "A1-1-000009", "2026-11-22", "s", "o", "top_up",
    (BalanceMove("member-balance", "p", 20_000), BalanceMove("member-bonus", "p", 2_000),
     BalanceMove("member-points", "p", 20)),
    (Tender("cash", 20_000, 30_000),), 20_000, note="春节活动",
)  # fmt: skip
REPAID = BalancePaid(
    "A1-1-000010", "2026-11-22", "s", "o", "returned", (BalanceMove("member-balance", "p", -5_000),),
    (Tender("cash", -5_000),), -5_000,
)  # fmt: skip
PARKED = ParkedSlip(
    basket="P-7", label="红衣服大姐", total_minor=4_680,
    goods=(ParkedGoods("可口可乐 500ml", 2_000, "瓶", 700), ParkedGoods("东北大米 5kg", 1_000, "袋", 3_980)),
)  # fmt: skip
MOVED = CashMoved("A1-2026-11-22-01", "o", -20_000, "存银行", "尾号 0012", "1012")
SLIPS: dict[str, Callable[[ReceiptTemplate], tuple[ReceiptRow, ...]]] = {
    "report": lambda form: report_rows(REPORT, form, NAMES),
    "payment": lambda form: payment_rows(PAYMENT, form, NAMES),
    "returned": lambda form: payment_rows(REPAID, form, NAMES),
    "parked": lambda form: parked_rows(PARKED, form, NAMES),
    "cash": lambda form: cash_rows(MOVED, form, NAMES),
}


def form(columns: int = 32, language: Language = Language.ZH) -> ReceiptTemplate:
    return ReceiptTemplate(columns=columns, language=language, footer=("谢谢惠顾",))


@pytest.mark.parametrize("language", list(Language))
def test_slips_read_as_they_always_did(language: Language) -> None:
    shown = "\n".join(line for make in SLIPS.values() for line in to_text(make(form(32, language)), 32)) + "\n"
    assert shown == (SNAPSHOTS / f"slips_{language}_32.txt").read_text("utf-8")


@pytest.mark.parametrize("name", SLIPS)
@pytest.mark.parametrize("language", list(Language))
def test_every_row_fits_every_paper(name: str, language: Language) -> None:
    for columns in range(24, 65):
        assert all(display_width(line) <= columns for line in to_text(SLIPS[name](form(columns, language)), columns))
    with pytest.raises(ValueError, match="24"):
        SLIPS[name](form(23, language))


def test_what_is_not_known_is_not_printed() -> None:
    blind = Report(kind=ReportKind.X, till="A1", business_date="2026-11-22", sales=1, sales_minor=100)
    shown = "\n".join(to_text(report_rows(blind, form(), NAMES), 32))
    assert "当班报表" in shown
    for word in ("应有现金", "实点", "短款", "交班人", "税率", "班次"):
        assert word not in shown


def test_a_drawer_that_is_short_over_or_even_says_so() -> None:
    def words(counted: int) -> str:
        report = Report(kind=ReportKind.Z, till="A1", business_date="d", expected_minor=500, counted_minor=counted)
        return "\n".join(to_text(report_rows(report, form(), NAMES), 32))

    assert "短款" in words(499)
    assert "长款" in words(501)
    assert "相符" in words(500)


def test_marks_of_reprints_and_training_stand_on_every_slip() -> None:
    from msgspec.structs import replace

    marked = replace(NAMES, is_reprint=True, is_training=True)
    for rows in (report_rows(REPORT, form(), marked), payment_rows(PAYMENT, form(), marked),
                 parked_rows(PARKED, form(), marked), cash_rows(MOVED, form(), marked)):  # fmt: skip
        shown = "\n".join(to_text(rows, 32))
        assert "补打" in shown
        assert shown.count("培训练习") == 2


def test_every_word_that_a_layout_asks_for_exists_in_both_languages() -> None:
    asked = set()
    for module in (receipt, slips):
        tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                word = node.args[0]
                if node.func.attr in ("word", "fact") and isinstance(word, ast.Constant):
                    asked.add(word.value)
    asked |= {kind.value for kind in ReportKind}
    assert len(asked) > 30
    assert asked <= set(WORDS)
    assert all(zh and en for zh, en in WORDS.values())


@given(
    st.lists(st.text("0123456789.-现金Cash ", max_size=20), min_size=2, max_size=4), st.integers(24, 64)
)  # fmt: skip
def test_figures_side_by_side_keep_their_right_edges(texts: list[str], columns: int) -> None:
    rows = Paper(columns, Language.ZH).columns_of(texts)
    for row in rows:
        if row.kind is RowKind.COLUMNS:
            assert sum(cell.width for cell in row.cells) == columns
            assert all(display_width(cell.text) <= cell.width for cell in row.cells)
            edges = [sum(cell.width for cell in row.cells[: place + 1]) for place in range(len(row.cells))]
            assert edges[1:-1] == [columns // len(texts) * (place + 1) for place in range(1, len(texts) - 1)]
    shown = "".join(line for line in to_text(rows, columns))
    assert "".join(shown.split()) == "".join("".join(texts).split())
