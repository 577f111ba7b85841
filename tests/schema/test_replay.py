"""Other systems' logs become baskets; what cannot be replayed is named with its line."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schema.sample as sample
from schema.amounts import Milli, Minor
from schema.errors import RefusalError
from schema.replay import CatalogueMapping, ReplayBasket, ReplayDirt, ReplayFormat, ReplayLine, ReplayReader
from schema.rows import BaseUnit

DATA = Path(__file__).parents[2].parent / "shared" / "data"
RETAIL_HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


def retail(*lines: str) -> ReplayReader:
    return ReplayReader(ReplayFormat.ONLINE_RETAIL, [RETAIL_HEADER, *(line + "\n" for line in lines)])


def test_lines_of_an_invoice_are_one_basket_at_its_minute() -> None:
    reader = retail(
        "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,UK",
        '536365,71053,"LANTERN, WHITE",1,2010-12-01 08:26:00,3.39,17850,UK',
        "536366,22633,WARMER,2,2010-12-01 08:28:00,1.85,17851,UK",
    )
    assert list(reader) == [
        ReplayBasket(
            "536365",
            "2010-12-01",
            506,
            False,
            None,
            (
                ReplayLine("85123A", Milli(6000), Minor(255), "HOLDER"),
                ReplayLine("71053", Milli(1000), Minor(339), "LANTERN, WHITE"),
            ),
        ),
        ReplayBasket(
            "536366", "2010-12-01", 508, False, None, (ReplayLine("22633", Milli(2000), Minor(185), "WARMER"),)
        ),
    ]
    assert reader.dirt == []


def test_a_cancellation_is_a_refund_of_the_latest_basket_that_sold_the_code_to_the_customer() -> None:
    reader = retail(
        "1,10001,A,6,2010-12-01 08:26:00,2.55,7,UK",
        "2,10001,A,6,2010-12-01 09:26:00,2.55,7,UK",
        "3,10001,A,6,2010-12-01 09:27:00,2.55,8,UK",
        "3,10002,B,6,2010-12-01 09:27:00,2.55,8,UK",
        "C4,10001,A,-2,2010-12-01 10:26:00,2.55,7,UK",
        "C4,10002,B,-1,2010-12-01 10:26:00,2.55,7,UK",
        "C5,10001,A,-1,2010-12-01 11:00:00,2.55,,UK",
    )
    refunds = [basket for basket in reader if basket.is_refund]
    assert [(b.source_id, b.original_source_id, b.lines[0].quantity_milli) for b in refunds] == [
        ("C4", "2", 2000),
        ("C4.2", None, 1000),
        ("C5", None, 1000),
    ]


def test_dirt_is_named_by_line_and_column_and_the_rest_is_replayed() -> None:
    reader = retail(
        "1,10001,A,6,2010-12-01 08:26:00,2.55,7,UK",
        "1,POST,POSTAGE,1,2010-12-01 08:26:00,18.00,7,UK",
        "1,10002,B,1,2010-12-01 08:26:00,0,7,UK",
        "1,10003,B,-9,2010-12-01 08:26:00,1.00,7,UK",
        "1,10003,B,x,2010-12-01 08:26:00,1.00,7,UK",
        "1,10003,B,1,2010-12-01 25:26:00,1.00,7,UK",
        "1,10003,B,1,2010-12-01 08:26:00,1.001,7,UK",
        "1,10003,B,1",
        "1,10001,A,6,2010-12-01 08:26:00,2.55,7,UK",
    )
    (basket,) = reader
    assert [line.source_code for line in basket.lines] == ["10001", "10001"]
    assert [(dirt.line, dirt.column, dirt.is_kept) for dirt in reader.dirt] == [
        (3, "StockCode", False),
        (4, "UnitPrice", False),
        (5, "Quantity", False),
        (6, "Quantity", False),
        (7, "InvoiceDate", False),
        (8, "UnitPrice", False),
        (9, "", False),
        (10, "code", True),
    ]


def test_a_basket_that_continues_later_is_replayed_apart_and_said_so() -> None:
    reader = retail(
        "1,10001,A,6,2010-12-01 08:26:00,2.55,7,UK",
        "2,10001,A,6,2010-12-01 08:26:00,2.55,7,UK",
        "1,10002,A,6,2010-12-01 08:27:00,2.55,7,UK",
    )
    assert [basket.source_id for basket in reader] == ["1", "2", "1#2"]
    assert reader.dirt == [ReplayDirt(4, "basket", "1", "continues after others: replayed apart", is_kept=True)]


def test_the_own_format_takes_weights_refunds_and_missing_prices() -> None:
    reader = ReplayReader(
        ReplayFormat.CSV,
        [
            "\ufeffbasket,at,code,quantity,price,refund_of\n",
            "a,2024-06-11 08:05,cola,2,3.50,\n",
            "a,2024-06-11 08:05,apple,0.375,,\n",
            "b,2024-06-11T09:00,cola,1,3.50,a\n",
            "c,2024-06-11 10:00,cola,-1,,\n",
            "c,2024-06-11 10:00,cola,0.0001,,\n",
            ",2024-06-11 10:00,cola,1,,\n",
            "d,2024-06-11 10:00,cola,1,-1,\n",
            "d,2024-06-11 10:00,cola,0,1,\n",
        ],
    )
    baskets = list(reader)
    assert [(b.source_id, b.minute, b.is_refund, b.original_source_id) for b in baskets] == [
        ("a", 485, False, None),
        ("b", 540, True, "a"),
        ("c", 600, True, None),
    ]
    assert baskets[0].lines[1] == ReplayLine("apple", Milli(375), None)
    assert [(dirt.line, dirt.column) for dirt in reader.dirt] == [
        (6, "quantity"),
        (7, "basket"),
        (8, "price"),
        (9, "quantity"),
    ]


def test_the_journey_is_sorted_by_time_and_priced_by_what_was_paid() -> None:
    reader = ReplayReader(
        ReplayFormat.COMPLETE_JOURNEY,
        [
            "household_id,store_id,basket_id,product_id,quantity,sales_value,transaction_timestamp\n",
            "1,9,B2,100,3.0,10.00,2017-01-02 10:00:01\n",
            "1,9,B1,200,1.0,1.50,2017-01-01 10:00:01\n",
            "1,9,B2,300,0.0,0.00,2017-01-02 10:00:01\n",
        ],
    )
    baskets = list(reader)
    assert [basket.source_id for basket in baskets] == ["B1", "B2"]
    assert baskets[1].lines == (ReplayLine("100", Milli(3000), Minor(333)),)
    assert len(reader.dirt) == 1


def test_a_log_of_another_format_is_refused_by_its_columns() -> None:
    with pytest.raises(RefusalError) as refused:
        ReplayReader(ReplayFormat.ONLINE_RETAIL, ["a,b\n"])
    assert refused.value.code == "replay.columns"
    with pytest.raises(RefusalError):
        ReplayReader(ReplayFormat.CSV, [])


def test_every_line_of_the_shipped_day_is_replayed_or_reported() -> None:
    lines = sample.lines(sample.TRADING_DAY)
    reader = ReplayReader(ReplayFormat.ONLINE_RETAIL, lines)
    baskets = list(reader)
    replayed = sum(len(basket.lines) for basket in baskets)
    assert replayed + sum(not dirt.is_kept for dirt in reader.dirt) == len(lines) - 1
    assert len(baskets) > 100
    assert any(basket.is_refund for basket in baskets)
    assert {basket.day for basket in baskets} == {"2010-12-09"}
    again = list(ReplayReader(ReplayFormat.ONLINE_RETAIL, lines))
    assert again == baskets


@given(st.text("0123456789ABC", min_size=1, max_size=8), st.integers(1, 5000))
def test_a_code_always_becomes_the_same_goods_in_quantities_a_shop_sells(code: str, pieces: int) -> None:
    mapping, other = CatalogueMapping(sample.catalogue()), CatalogueMapping(tuple(reversed(sample.catalogue())))
    line = ReplayLine(code, Milli(pieces * 1000), None)
    mapped = mapping.line(line)
    assert mapped == other.line(line)
    assert mapped.product.code == mapping.product_id(code)
    assert 0 < mapped.quantity_milli <= 24_000
    if mapped.product.unit is BaseUnit.PIECE:
        assert mapped.quantity_milli % 1000 == 0
        assert pieces > 24 or mapped.quantity_milli == pieces * 1000
        assert not mapped.unit or mapped.unit in {unit.name for unit in mapped.product.units}
    else:
        assert 100 <= mapped.quantity_milli <= 15_000


def test_popular_goods_of_the_source_are_popular_here() -> None:
    baskets = list(ReplayReader(ReplayFormat.ONLINE_RETAIL, sample.lines(sample.TRADING_DAY)))
    mapping = CatalogueMapping(sample.catalogue())
    counted: dict[str, int] = {}
    for basket in baskets:
        for line in basket.lines:
            counted[mapping.product_id(line.source_code)] = counted.get(mapping.product_id(line.source_code), 0) + 1
    assert len(counted) > 250
    assert max(counted.values()) > 3 * sum(counted.values()) / len(counted)


def test_an_empty_catalogue_takes_no_mapping() -> None:
    with pytest.raises(ValueError, match="needs products"):
        CatalogueMapping([])


def _gzip_lines(path: Path, at_most: int) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for number, line in enumerate(file):
            if number > at_most:
                return
            yield line


@pytest.mark.shared
@pytest.mark.parametrize(
    ("source_format", "path"),
    [
        (ReplayFormat.ONLINE_RETAIL, "online_retail/lines_2010-12-01_2011-08-31.csv.gz"),
        (ReplayFormat.COMPLETE_JOURNEY, "completejourney/transactions_sample.csv.gz"),
    ],
)
def test_real_logs_are_replayed_or_reported_line_by_line(source_format: ReplayFormat, path: str) -> None:
    if not (DATA / path).exists():
        pytest.skip("needs the real transaction logs")
    reader = ReplayReader(source_format, _gzip_lines(DATA / path, 30_000))
    replayed = sum(len(basket.lines) for basket in reader)
    assert replayed + sum(not dirt.is_kept for dirt in reader.dirt) == 30_000
    assert replayed > 29_000
