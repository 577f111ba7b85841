"""One layout for screen, paper and e-receipt: complete, inside the paper's width, in both languages."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.amounts import Milli, Minor
from schema.identity import ProductId
from schema.kinds.trading import LineDiscount, Refund, RefundLine, Sale, SaleLine, Tender
from schema.rows import PromotionKind
from schema.rules.paper import ReceiptRow, RowKind, display_width, pad, to_text, wrap
from schema.rules.promotion_terms import BasketLine, Language, LocalMoment, Promotion, reason_sentence
from schema.rules.promotions import best_combination
from schema.rules.receipt import (
    TEMPLATE_NAMES,
    Detail,
    ReceiptNames,
    ReceiptTemplate,
    Section,
    fill,
    receipt_rows,
    unknown_names,
)
from schema.rules.receipt_words import WORDS
from schema.rules.rounding import PricePer

SNAPSHOTS = Path(__file__).parent / "receipts"
BASKET = [
    BasketLine(
        product=ProductId("cola"), quantity_milli=Milli(3000), price_minor=Minor(350), amount_minor=Minor(1050)
    ),
    BasketLine(
        product=ProductId("pears"), quantity_milli=Milli(617), price_minor=Minor(2000), amount_minor=Minor(1234),
        per=PricePer.KG, is_weighed=True,
    ),
    BasketLine(
        product=ProductId("noodles"), quantity_milli=Milli(1000), price_minor=Minor(5980), amount_minor=Minor(5980),
        unit="箱",
    ),
]  # fmt: skip
PROMOTIONS = [
    Promotion(code="T1", name="周三", kind=PromotionKind.BUY_N_GET_M, products=(ProductId("cola"),), buy_count=2,
              free_count=1),
    Promotion(code="T2", name="T2", kind=PromotionKind.AMOUNT_OFF, threshold_minor=Minor(5000),
              amount_minor=Minor(500)),
]  # fmt: skip
NAMES_OF = {"cola": "可口可乐 330ml", "pears": "雪花梨", "noodles": "康师傅红烧牛肉面经典袋装整箱优惠装（24袋入）"}


def sale() -> tuple[Sale, dict[Language, dict[str, str]]]:
    """Make a sale of three lines with promotions, 抹零 and two tenders, as a till would complete it."""
    applied = best_combination(BASKET, PROMOTIONS, LocalMoment(0, 3, 600))
    taxes = {"cola": ("13", 1300), "pears": ("9", 900), "noodles": ("13", 1300)}
    lines = []
    for line, found in zip(BASKET, applied.lines, strict=True):
        tax_class, rate = taxes[line.product]
        drop = 4 if line.product == "noodles" else 0
        discounts = (*found.discounts, *((LineDiscount("rounding", "", drop),) if drop else ()))
        listed = line.price_minor + (200 if line.product == "pears" else 0)
        lines.append(
            SaleLine(
                line.product, line.unit, 1000, line.quantity_milli, listed, line.price_minor, line.per.milli, "list",
                found.amount_minor - drop, tax_class, rate, discounts,
            )
        )  # fmt: skip
    total = applied.total_minor - 4
    tenders = (Tender("wechat", 2000, 0, "x", "unknown"), Tender("cash", total - 2000, 10_000))
    done = Sale("A1-1-000123", "2026-11-22", "s1", "op1", tuple(lines), (), tenders, total, 4, member="m1")
    why = {
        language: {reason.code: reason_sentence(reason, language) for reason in applied.reasons}
        for language in Language
    }
    return done, why


def names(language: Language, **other: object) -> ReceiptNames:
    fields = {
        "shop_name": "幸福便利店", "shop_phone": "0512-5555 0100", "shop_address": "太仓路1号",
        "time": "2026-11-22 18:05:09",
        "till": "A1", "operator": "007", "member": "138****1234", "products": NAMES_OF, "units": {"pears": "kg"},
        "promotions": sale()[1][language], "points_earned": 77, "points": 1234, "balance_minor": 5000,
        "refund_code": "JBSWY3DPEBLW64TMMQQQ", "invoice_code": "https://example.com/i/A1-1-000123",
    }  # fmt: skip
    return msgspec.convert(fields | other, ReceiptNames)


def refund() -> Refund:
    line = RefundLine(0, "cola", "", 1000, 1000, 233, "13", 1300, "shelf")
    return Refund("A1-1-000124", "2026-11-22", "s1", "op1", "e", (line,), (), (Tender("cash", 233),), 233)


def template(columns: int, language: Language) -> ReceiptTemplate:
    return ReceiptTemplate(
        columns=columns, language=language, sections=tuple(Section),
        footer=("谢谢惠顾，{{ cashier }} 为您服务", "{{ receipt.number }}"),
    )  # fmt: skip


def text(document: Sale | Refund, columns: int, language: Language, **other: object) -> str:
    shown = names(language, **other)
    return "\n".join(to_text(receipt_rows(document, template(columns, language), shown), columns)) + "\n"


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("columns", [32, 48])
def test_a_sale_reads_as_it_always_did(columns: int, language: Language) -> None:
    snapshot = SNAPSHOTS / f"sale_{language}_{columns}.txt"
    assert text(sale()[0], columns, language) == snapshot.read_text("utf-8")


@pytest.mark.parametrize("language", list(Language))
def test_a_refund_reprinted_in_training_says_all_of_that(language: Language) -> None:
    snapshot = SNAPSHOTS / f"refund_{language}_32.txt"
    shown = text(refund(), 32, language, is_reprint=True, is_training=True, original="A1-1-000123")
    assert shown == snapshot.read_text("utf-8")


def test_what_is_shown_adds_up_to_what_was_paid() -> None:
    done, _ = sale()
    shown = text(done, 48, Language.ZH).splitlines()

    def figure(word: str) -> int:
        row = next(row for row in shown if row.startswith(word + " "))
        return int(row.split()[-1].replace(".", ""))

    assert figure("合计") == sum(line.amount_minor for line in BASKET)
    totals = [n for n, row in enumerate(shown) if row.startswith("优惠 ") and len(row.split()) == 2]
    discount = int(shown[totals[-1]].split()[-1].replace(".", ""))
    assert figure("合计") + discount + figure("抹零") == figure("应收") == done.total_minor
    assert figure("实收") - figure("找零") == done.tenders[1].amount_minor


def test_sections_details_and_tax_are_shown_only_where_the_template_asks() -> None:
    done, _ = sale()
    few = ReceiptTemplate(sections=(Section.TOTALS, Section.DETAILS), details=(Detail.TIME,), is_cut=False)
    shown = to_text(receipt_rows(done, few, names(Language.ZH)), 32)
    assert [row.split()[0] for row in shown if not row.startswith("-")][-1].startswith("时间")
    assert not any("税" in row for row in to_text(receipt_rows(done, ReceiptTemplate(), names(Language.ZH)), 32))
    assert any("税率" in row for row in text(done, 32, Language.ZH).splitlines())


def test_codes_are_left_out_where_there_is_none_and_never_printed_in_training() -> None:
    def codes(**other: object) -> list[str]:
        rows = receipt_rows(sale()[0], template(32, Language.ZH), names(Language.ZH, **other))
        return [row.data for row in rows if row.kind is RowKind.QR]

    assert codes() == ["JBSWY3DPEBLW64TMMQQQ", "https://example.com/i/A1-1-000123"]
    assert codes(refund_code="", invoice_code="") == []
    assert codes(is_training=True) == []


def test_a_template_substitutes_its_names_and_executes_nothing() -> None:
    values = {"shop.name": "{{ till }}", "till": "A1"}
    assert fill("{{ shop.name }}|{{till}}|{{ till.__class__ }}|{% if x %}", values) == (
        "{{ till }}|A1|{{ till.__class__ }}|{% if x %}"
    )
    wrong = ReceiptTemplate(header=("{{ shop.name }} {{ shop.owner }}",), footer=("{{ 1 + 1 }}", "{{ till }}"))
    assert unknown_names(wrong) == ("1 + 1", "shop.owner")
    assert unknown_names(ReceiptTemplate(footer=tuple(f"{{{{ {name} }}}}" for name in TEMPLATE_NAMES))) == ()


def test_neither_language_has_holes() -> None:
    assert all(len(words) == 2 and all(words) for words in WORDS.values())
    assert all(detail.value in WORDS for detail in Detail)


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert [display_width(each) for each in ("abc", "可乐", "￥", "e\u0301", "（A）", "")] == [3, 4, 2, 1, 5, 0]
    assert pad("可乐", 6) + "|" == "可乐  |"


def test_a_template_is_data_that_travels_as_json() -> None:
    full = template(48, Language.EN)
    assert msgspec.json.decode(msgspec.json.encode(full), type=ReceiptTemplate) == full
    with pytest.raises(ValueError, match="columns"):
        receipt_rows(sale()[0], msgspec.structs.replace(full, columns=20), names(Language.EN))


@given(st.text(max_size=120), st.integers(2, 60))
def test_wrapping_keeps_every_character_inside_the_width(words: str, width: int) -> None:
    rows = wrap(words, width)
    assert all(display_width(row) <= width for row in rows)

    def visible(each: str) -> str:
        return "".join(char for char in each if not char.isspace() and char.isprintable())

    assert visible("".join(rows)) == visible(words)


ANY_TEXT = st.text(max_size=60)
AMOUNTS = st.integers(0, 10**15)


@st.composite
def sales(draw: st.DrawFn) -> Sale:
    lines = tuple(
        SaleLine(
            "p", draw(st.text(max_size=20)), 1000, draw(st.integers(1, 10**12)), draw(AMOUNTS), draw(AMOUNTS),
            draw(st.sampled_from([1000, 500, 100])), "list", draw(AMOUNTS), "13", draw(st.sampled_from([0, 100, 1300])),
            draw(st.sampled_from([(), (LineDiscount("promotion", "T1", 12_345_678_901_234),)])), name=draw(ANY_TEXT),
        )
        for _ in range(draw(st.integers(1, 3)))
    )  # fmt: skip
    tenders = (
        Tender(draw(st.text(max_size=40)), draw(AMOUNTS), draw(AMOUNTS), "", draw(st.sampled_from(["", "unknown"]))),
    )
    return Sale(draw(st.text(max_size=40)), "d", "s", "o", lines, (), tenders, draw(AMOUNTS), draw(st.integers(0, 99)))


@given(sales(), st.sampled_from([24, 32, 42, 48]), st.sampled_from(list(Language)), ANY_TEXT, ANY_TEXT)
def test_every_row_fits_the_paper_whatever_is_in_it(
    done: Sale, columns: int, language: Language, words: str, more: str
) -> None:
    shown = names(
        language, shop_name=words, operator=more, member=words, promotions={"T1": more}, refund_code="R" * 200
    )
    rows = receipt_rows(done, template(columns, language), shown)
    assert all(display_width(row) <= columns for row in to_text(rows, columns))
    for row in rows:
        width = columns // 2 if row.is_double else columns
        assert display_width(row.left) + display_width(row.right) <= width
        assert sum(cell.width for cell in row.cells) in {0, columns}
        assert all(display_width(cell.text) <= cell.width for cell in row.cells)
        assert not any(ord(char) < 32 for each in texts_of(row) for char in each)


def texts_of(row: ReceiptRow) -> list[str]:
    return [row.left, row.right, *(cell.text for cell in row.cells)]
