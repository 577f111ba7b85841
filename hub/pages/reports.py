"""The pages of reports: a question of days and locations, its answer as chart and table, and the same as a file."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Sequence
from typing import Final

from hub.accounts import Right
from hub.pages.visits import Answer, Routes, Visit
from hub.report_tables import REPORTS, SALES_BY, Column, Question, Report
from schema.amounts import format_money, format_quantity
from schema.errors import RefusalError

routes = Routes()
_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_DAYS: Final = 7
_RISKY: Final = ("=", "+", "-", "@", "\t", "\r")
_CHARTED: Final = frozenset({"day", "hour", "location", "operator", "category"})


@routes.get("/reports", Right.READ)
def reports(visit: Visit) -> Answer:
    """List the reports."""
    return visit.render("reports.html", names=list(REPORTS))


@routes.get("/reports/{name:str}", Right.READ)
def report(visit: Visit) -> Answer:
    """Answer a question as chart and table."""
    name, question, answer = _answered(visit)
    chart = _chart_rows(visit, answer) if name == "sales" and question.by in _CHARTED else []
    kept = [(key, value) for key, value in visit.query.pairs() if key != "as"]
    return visit.render(
        "report.html", name=name, question=question, answer=answer, chart=chart, kept=kept,
        rows=[_cells(visit, name, question, answer.columns, row) for row in answer.rows],
        by=[(one, visit.t(f"report_by.{one}")) for one in SALES_BY], location=visit.query.text("location"),
        places=[(code, found.name) for code, found in visit.locations.items()], totals=_totals(answer),
    )  # fmt: skip


@routes.get("/reports/{name:str}/file", Right.READ)
def report_file(visit: Visit) -> Answer:
    """Answer a question as CSV or as a workbook."""
    name, question, answer = _answered(visit)
    titles = [visit.t(f"column.{column.name}") for column in answer.columns]
    stem = f"{name}-{question.first}-{question.last}"
    if visit.query.choice("as", {"csv", "xlsx"}, "csv") == "xlsx":
        return visit.download(f"{stem}.xlsx", _workbook(visit, titles, answer), _XLSX)
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(titles)
    for row in answer.rows:
        writer.writerow([_cell(visit, column, value) for column, value in zip(answer.columns, row, strict=True)])
    # With its mark Excel reads the file as UTF-8, Chinese included.
    return visit.download(f"{stem}.csv", stream.getvalue().encode("utf-8-sig"), "text/csv")


def _answered(visit: Visit) -> tuple[str, Question, Report]:
    name = visit.params["name"]
    ask = REPORTS.get(name)
    if ask is None:
        raise RefusalError("report_unknown", f"there is no report {name!r}")
    today = datetime.datetime.fromtimestamp(visit.now_ms / 1000, visit.zone).date()
    last = _date(visit.query.text("last"), today)
    first = min(last, _date(visit.query.text("first"), last - datetime.timedelta(days=_DAYS - 1)))
    chosen = visit.query.text("location")
    places = [chosen] if chosen in visit.locations else list(visit.locations)
    question = Question(first.isoformat(), last.isoformat(), places, visit.zone,
                        visit.query.choice("by", SALES_BY, "day"))  # fmt: skip
    with visit.read() as replica:
        return name, question, ask(replica.connection, question)


def _date(text: str, otherwise: datetime.date) -> datetime.date:
    try:
        found = datetime.date.fromisoformat(text)
    except ValueError:
        return otherwise
    return found if 1990 <= found.year <= 2200 else otherwise


def _shown(visit: Visit, column: Column, value: object) -> str:
    if value is None:
        return "–"
    match column.kind:
        case "money":
            return visit.rendering.money(_whole(value))
        case "quantity":
            return visit.rendering.quantity(_whole(value))
        case "share":
            return visit.rendering.share(_whole(value))
        case "count":
            return f"{value:,}"
        case _:
            return _word(visit, column, str(value))


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _word(visit: Visit, column: Column, value: str) -> str:
    match column.name:
        case "location":
            return visit.location_name(value)
        case "operator":
            return visit.operator_name(value) or "–"
        case "category":
            return visit.category_name(value)
        case "means" | "reason" | "state" | "note":
            text = f"{column.name}.{value}"
            return visit.t(text) if value and visit.t.has(text) else value
        case _:
            return value


def _cells(
    visit: Visit, name: str, question: Question, columns: Sequence[Column], row: Sequence[object]
) -> list[tuple[str, str, str]]:
    return [_link(visit, name, question, column, value) for column, value in zip(columns, row, strict=True)]


def _link(visit: Visit, name: str, question: Question, column: Column, value: object) -> tuple[str, str, str]:
    """Return a cell as (kind, words, address): what stands behind a row is one step away."""
    words = _shown(visit, column, value)
    days = f"first={question.first}&last={question.last}"
    address = ""
    match (name, column.name):
        case ("sales", "day"):
            address = f"/reports/sales?by=hour&first={value}&last={value}"
        case ("sales", "location"):
            address = f"/reports/sales?by=product&location={value}&{days}"
        case ("sales", "category"):
            address = f"/products?category={value}"
        case (_, "product"):
            address = f"/products/{value}"
    return column.kind, words, address


def _chart_rows(visit: Visit, answer: Report) -> list[tuple[str, int]]:
    at = next(place for place, column in enumerate(answer.columns) if column.name == "net")
    return [(_shown(visit, answer.columns[0], row[0]), _whole(row[at])) for row in answer.rows[:60]]


def _totals(answer: Report) -> dict[str, int]:
    return {
        column.name: sum(_whole(row[place]) for row in answer.rows if row[place] is not None)
        for place, column in enumerate(answer.columns)
        if column.kind in {"money", "count"} and column.name != "average"
    }


def _cell(visit: Visit, column: Column, value: object) -> str:
    """Write a cell of a CSV; a text that a spreadsheet would run as a formula gets a quote before it."""
    if value is None:
        return ""
    match column.kind:
        case "money":
            return format_money(_whole(value))
        case "quantity":
            return format_quantity(_whole(value))
        case "share":
            return format_quantity(_whole(value) // 10)
        case "count":
            return str(value)
        case _:
            text = _word(visit, column, str(value))
            return f"'{text}" if text.startswith(_RISKY) else text


def _workbook(visit: Visit, titles: Sequence[str], answer: Report) -> bytes:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(list(titles))
    scale = {"money": 100, "quantity": 1000, "share": 1_000_000}
    for row in answer.rows:
        sheet.append(
            [
                _cell(visit, column, value) if column.kind == "text" or value is None
                else _whole(value) / scale.get(column.kind, 1)
                for column, value in zip(answer.columns, row, strict=True)
            ]
        )  # fmt: skip
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()
