"""Every table leaves as CSV, JSON and Excel, and no cell of it runs in a spreadsheet."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import openpyxl
import pytest

from edge.counting import count_product
from edge.exporting import TABLES, ExportFormat, export_lines, export_table, safe_cell
from edge.node import Node
from edge.selling import refund
from edge.shifts import open_shift
from edge.stock import QuantityRequest, dispatch_transfer, receive_goods
from schema.errors import RefusalError
from tests.edge.shops import APPLES, WATER, sell_pieces


@pytest.fixture
def traded(node: Node) -> Node:
    receive_goods(node, [QuantityRequest(WATER, 10_000), QuantityRequest("=cmd|'/c calc'!A1", 1500)])
    open_shift(node)
    sale = sell_pieces(node, WATER, 2)
    refund(node, sale.receipt_number)
    sell_pieces(node, APPLES, 20)
    count_product(node, WATER, 3000)
    dispatch_transfer(node, "B", [QuantityRequest(WATER, 1000)])
    return node


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_the_same_rows_in_every_format(traded: Node, tmp_path: Path, table: str) -> None:
    paths = {name: tmp_path / f"out.{name}" for name in ("csv", "json", "xlsx")}
    counts = {name: export_table(traded, table, path) for name, path in paths.items()}
    columns, _ = TABLES[table]
    rows = json.loads(paths["json"].read_bytes())
    assert rows, table
    assert all(tuple(row) == columns for row in rows)
    book = openpyxl.load_workbook(paths["xlsx"])
    assert book.active is not None
    assert set(counts.values()) == {len(rows)} == {len(read_csv(paths["csv"]))} == {book.active.max_row - 1}


def test_amounts_are_decimals_for_people_and_integers_for_programs(traded: Node, tmp_path: Path) -> None:
    export_table(traded, "sale_lines", tmp_path / "l.csv")
    export_table(traded, "sale_lines", tmp_path / "l.json")
    export_table(traded, "sale_lines", tmp_path / "l.xlsx")
    line = next(row for row in read_csv(tmp_path / "l.csv") if row["product"] == WATER)
    assert (line["quantity"], line["amount"], line["at"][:10]) == ("2", "4.00", "2026-03-02")
    exact = next(row for row in json.loads((tmp_path / "l.json").read_bytes()) if row["product"] == WATER)
    assert (exact["quantity_milli"], exact["amount_minor"]) == (2000, 400)
    sheet = openpyxl.load_workbook(tmp_path / "l.xlsx").active
    assert sheet is not None
    header = [cell.value for cell in sheet[1]]
    assert sheet.cell(2, header.index("amount") + 1).value == 4


def test_a_formula_in_a_name_stays_text(traded: Node, tmp_path: Path) -> None:
    for name in ("stock.csv", "stock.xlsx"):
        export_table(traded, "stock", tmp_path / name)
    products = [row["product"] for row in read_csv(tmp_path / "stock.csv")]
    assert "'=cmd|'/c calc'!A1" in products
    sheet = openpyxl.load_workbook(tmp_path / "stock.xlsx").active
    assert sheet is not None
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("+86 123", "'+86 123"),
        ("-5.5", "-5.5"),
        ("+3", "+3"),
        ("-x", "'-x"),
        ("a", "a"),
    ],
)
def test_only_numbers_keep_a_leading_sign(text: str, safe: str) -> None:
    assert safe_cell(text) == safe


def test_an_unknown_table_or_ending_is_refused_and_no_file_remains(traded: Node, tmp_path: Path) -> None:
    for table, name, code in (("secrets", "x.csv", "table_unknown"), ("stock", "x.pdf", "export_format")):
        with pytest.raises(RefusalError) as refused:
            export_table(traded, table, tmp_path / name)
        assert refused.value.code == code
    with pytest.raises(RefusalError) as refused:
        export_table(traded, "stock", tmp_path / "nowhere" / "x.csv")
    assert refused.value.code == "export_unwritable"
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_pipe_gets_the_same_lines(traded: Node) -> None:
    text = "".join(export_lines(traded, "sales", ExportFormat.CSV))
    assert len(text.splitlines()) == 3
    assert len(json.loads("".join(export_lines(traded, "sales", ExportFormat.JSON)))) == 2
    with pytest.raises(RefusalError):
        list(export_lines(traded, "sales", ExportFormat.XLSX))
