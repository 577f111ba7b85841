"""A shop's spreadsheet is read whatever its encoding and delimiter; what was detected is said."""

from __future__ import annotations

import datetime
import io

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import RefusalError
from schema.tabular import read_csv, read_table, read_xlsx

TEXT = "商品编码,品名,售价\r\n1,可口可乐,3.50\r\n2,雪碧,3.50\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_chinese_is_read_in_every_encoding_that_shops_send(encoding: str) -> None:
    table = read_csv("goods.csv", TEXT.encode(encoding))
    assert table.header == ("商品编码", "品名", "售价")
    assert table.rows == ((2, ["1", "可口可乐", "3.50"]), (3, ["2", "雪碧", "3.50"]))
    assert encoding.removesuffix("-sig") in table.source


@pytest.mark.parametrize(("delimiter", "shown"), [(",", '","'), (";", '";"'), ("\t", "tab"), ("|", '"|"')])
def test_the_delimiter_is_detected(delimiter: str, shown: str) -> None:
    table = read_csv("goods.txt", TEXT.replace(",", delimiter).encode())
    assert table.rows[0] == (2, ["1", "可口可乐", "3.50"])
    assert table.source.endswith(f"delimiter {shown}")


def test_rows_are_named_by_their_line_in_the_file() -> None:
    table = read_csv("x.csv", b'\n\na,b\n1,"two\nlines"\n,\n \t,\n3,4,5\n6\n7,8,,\n')
    assert table.header_line == 3
    assert table.rows == ((4, ["1", "two\nlines"]), (8, ["3", "4"]), (9, ["6", ""]), (10, ["7", "8"]))
    assert table.overlong == (8,)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("x.csv", b"\xff\x00\x81\xfe\xfd", "table.encoding"),
        ("x.csv", b"", "table.empty"),
        ("x.csv", b",,\n,,\n", "table.empty"),
        ("x.xls", b"anything", "table.format"),
        ("x.csv", b"\xd0\xcf\x11\xe0rest", "table.format"),
        ("x.xlsx", b"no zip", "table.malformed"),
        ("x.xlsx", b"PK\x03\x04broken", "table.malformed"),
        ("x.csv", b'a,b\n"' + b"x" * 200_000, "table.malformed"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_name(name: str, content: bytes, code: str) -> None:
    with pytest.raises(RefusalError) as refused:
        read_table(name, content)
    assert refused.value.code == code


def _workbook(*rows: list[object]) -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    page.title = "商品"
    for row in rows:
        page.append(row)
    book.create_sheet("空")
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def test_a_workbooks_codes_prices_and_dates_read_as_a_person_sees_them() -> None:
    content = _workbook(
        ["条码", "售价", "日期", "称重"],
        [2900000000016, 3.5, datetime.datetime(2024, 6, 11), True],
        [2.900000000016e12, 0.1 + 0.2, datetime.datetime(2024, 6, 11, 8, 5), None],
        [None, None, None, None],
        ["02900", 12, datetime.date(2024, 6, 12), False],
    )
    table = read_table("goods.xlsx", content)
    assert table.source == 'xlsx sheet "商品"'
    assert table.rows == (
        (2, ["2900000000016", "3.5", "2024-06-11", "yes"]),
        (3, ["2900000000016", "0.3", "2024-06-11 08:05", ""]),
        (5, ["02900", "12", "2024-06-12", "no"]),
    )


def test_a_sheet_is_chosen_by_name() -> None:
    content = _workbook(["a"], ["1"])
    assert read_xlsx("x.xlsx", content, "商品").header == ("a",)
    with pytest.raises(RefusalError, match="has no header"):
        read_xlsx("x.xlsx", content, "空")
    with pytest.raises(RefusalError) as refused:
        read_xlsx("x.xlsx", content, "nowhere")
    assert refused.value.code == "table.sheet"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_a_refusal(content: bytes) -> None:
    try:
        table = read_table("x.csv", content)
    except RefusalError:
        return
    assert all(len(cells) == len(table.header) for _, cells in table.rows)
