"""Writes the node's read tables as CSV, JSON or Excel: what an accountant or another program asks for.

JSON carries integers as they are stored (`_minor`, `_milli`, `_ms`); CSV and Excel carry what a person reads: money and
quantities as decimals, times in the location's zone, and no cell that a spreadsheet would run as a formula.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.clock_source import local_time
from edge.node import Node
from edge.shifts import shifts
from edge.stock import on_hand, transfers_on_road
from schema.amounts import format_money, format_quantity
from schema.catalogue import Product, category_of, decode_timeline
from schema.errors import RefusalError
from schema.kinds.trading import Refund, Sale
from sync.document_projection import decode_fields
from sync.explanation import NodeNames, told_conflicts
from sync.replica import stream_effective

Row = Mapping[str, Any]
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
_RUNS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection)."""
EXCEL_ROWS_MAX: Final = 1_048_575
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class ExportFormat(StrEnum):
    """How a table is written."""

    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"


def export_table(node: Node, table: str, target: Path, export_format: ExportFormat | None = None) -> int:
    """Write one table to a file, whole or not at all; returns its rows. The format follows the name's ending."""
    columns, source = _table(table)
    chosen = export_format or _format_of(target)
    temporary = target.with_name(target.name + ".new")
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for row in source(node):
            count += 1
            yield row

    try:
        match chosen:
            case ExportFormat.CSV:
                with temporary.open("w", encoding="utf-8-sig", newline="") as file:
                    _write_csv(file, columns, counted(), node.config.time_zone)
            case ExportFormat.JSON:
                with temporary.open("wb") as binary:
                    binary.writelines(json_pieces(counted()))
            case ExportFormat.XLSX:
                _write_xlsx(temporary, table, columns, counted(), node.config.time_zone)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RefusalError("export_unwritable", f"{target} cannot be written: {error.strerror}") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return count


def export_lines(node: Node, table: str, export_format: ExportFormat) -> Iterator[str]:
    """Yield one table as text, for a pipe."""
    columns, source = _table(table)
    if export_format is ExportFormat.XLSX:
        raise RefusalError("export_format", "an Excel workbook needs a file: name one with --to")
    if export_format is ExportFormat.JSON:
        for piece in json_pieces(source(node)):
            yield piece.decode()
        return
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow([_title(column) for column in columns])
    yield lines.taken()
    for row in source(node):
        writer.writerow([_cell(column, row[column], node.config.time_zone) for column in columns])
        yield lines.taken()


class _Lines:
    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str) -> int:
        self._text += text
        return len(text)

    def taken(self) -> str:
        text, self._text = self._text, ""
        return text


def _format_of(target: Path) -> ExportFormat:
    try:
        return ExportFormat(target.suffix.lower().removeprefix("."))
    except ValueError:
        raise RefusalError("export_format", "name the file .csv, .json or .xlsx, or give --format") from None


def json_pieces(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield a JSON array, one row a line."""
    yield b"["
    separator = b"\n"
    for row in rows:
        yield separator + msgspec.json.encode(row)
        separator = b",\n"
    yield b"\n]\n"


def _write_csv(file: Any, columns: tuple[str, ...], rows: Iterable[Row], zone: str) -> None:
    writer = csv.writer(file)
    writer.writerow([_title(column) for column in columns])
    for row in rows:
        writer.writerow([_cell(column, row[column], zone) for column in columns])


def _write_xlsx(path: Path, table: str, columns: tuple[str, ...], rows: Iterable[Row], zone: str) -> None:
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(table[:31])
    sheet.append([_title(column) for column in columns])
    for number, row in enumerate(rows):
        if number >= EXCEL_ROWS_MAX:
            raise RefusalError("export_too_long", f"{table} has more rows than Excel takes: export it as CSV")
        cells = []
        for column in columns:
            text = _UNPRINTABLE.sub("", _cell(column, row[column], zone))
            is_figure = isinstance(row[column], int) and not column.endswith("_ms") and _NUMBER.fullmatch(text)
            cell = WriteOnlyCell(sheet, value=Decimal(text) if is_figure else text)
            if not is_figure:
                cell.data_type = "s"  # a text stays a text, whatever it begins with
            cells.append(cell)
        sheet.append(cells)
    book.save(path)


def _title(column: str) -> str:
    return re.sub(r"_(minor|milli|ms)$", "", column)


def _cell(column: str, value: Any, zone: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if column.endswith("_minor"):
            return format_money(value)
        if column.endswith("_milli"):
            return format_quantity(value)
        if column.endswith("_ms"):
            return local_time(value, zone).isoformat(" ", "seconds")
        return str(value)
    return safe_cell(str(value))


def safe_cell(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula; numbers stay numbers."""
    return f"'{text}" if text.startswith(_RUNS) and not _NUMBER.fullmatch(text) else text


# The tables.


def _records(node: Node, prefix: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    rows = node.connection.execute(
        "SELECT document, record, fields FROM record WHERE substr(document, 1, ?) = ? ORDER BY record, document",
        (len(prefix), prefix),
    ).fetchall()
    for document, record, fields in rows:
        yield document, record, decode_fields(bytes(fields))


def _products(node: Node) -> Iterator[Row]:
    for document, code, fields in _records(node, "products/"):
        product = Product.from_fields(code, category_of(document) or "", fields)
        yield {
            "product": product.code,
            "name": product.name,
            "category": product.category,
            "spec": product.spec,
            "unit": product.unit,
            "tax_class": product.tax_class,
            "is_weighed": product.is_weighed,
            "is_active": product.is_active,
            "units": ";".join(f"{unit.unit}*{format_quantity(unit.factor_milli)}" for unit in product.units),
            "barcodes": ";".join(code for code, _ in product.barcodes),
            "deposits": ";".join(
                f"{one.product}*{format_quantity(one.quantity_milli)}{f'@{one.unit}' if one.unit else ''}"
                for one in product.deposits
            ),
            "is_deposit": product.is_deposit,
        }


def _prices(node: Node) -> Iterator[Row]:
    for document, product, fields in _records(node, "prices/"):
        price_list = document.split("/")[1]
        for unit, timeline in sorted(fields.items()):
            for step in decode_timeline(timeline):
                yield {
                    "product": product,
                    "price_list": price_list,
                    "unit": unit,
                    "tier": step.tier,
                    "price_minor": step.price_minor,
                    "per_milli": step.per_milli,
                    "from_ms": step.from_ms,
                    "until_ms": step.until_ms,
                }


def _stock(node: Node) -> Iterator[Row]:
    for row in on_hand(node):
        yield {
            "location": node.config.location,
            "product": row.product,
            "name": row.name,
            "unit": row.unit,
            "value_milli": row.value,
            "lo_milli": row.lo,
            "hi_milli": row.hi,
            "is_negative": row.is_negative,
        }


def _movements(node: Node) -> Iterator[Row]:
    from sync.stock_facts import Movement, Notice
    from sync.stock_facts_of import stock_facts_of

    for row in node.replica.log.streams(node.config.scope):
        for entry in stream_effective(node.replica.log, row):
            for fact in stock_facts_of(entry):
                if isinstance(fact, Movement) and not isinstance(fact, Notice):
                    yield {
                        "entry": str(entry.id),
                        "line": fact.line + 1,
                        "at_ms": entry.wall_ms,
                        "location": fact.location,
                        "product": fact.product,
                        "quantity_milli": fact.quantity,
                        "reason": fact.reason,
                        "document": fact.document or "",
                        "transfer": fact.transfer or "",
                    }


def _trades(node: Node) -> Iterator[tuple[str, int, Sale | Refund]]:
    for row in node.replica.log.streams(node.config.scope):
        for entry in stream_effective(node.replica.log, row):
            if isinstance(entry.payload, Sale | Refund):
                yield str(entry.id), entry.wall_ms, entry.payload


def _heads(kind: type[Sale] | type[Refund]) -> Callable[[Node], Iterator[Row]]:
    def rows(node: Node) -> Iterator[Row]:
        for entry, at_ms, trade in _trades(node):
            if isinstance(trade, kind):
                yield {
                    "receipt": trade.receipt_number,
                    "entry": entry,
                    "at_ms": at_ms,
                    "business_date": trade.business_date,
                    "shift": trade.shift,
                    "operator": trade.operator,
                    "lines": len(trade.lines),
                    "total_minor": trade.total_minor,
                    "tenders": ";".join(f"{t.means} {format_money(t.amount_minor)}" for t in trade.tenders),
                    "original": trade.original if isinstance(trade, Refund) else "",
                    "source": trade.source,
                }

    return rows


def _sale_lines(node: Node) -> Iterator[Row]:
    for entry, at_ms, trade in _trades(node):
        if isinstance(trade, Sale):
            for number, line in enumerate(trade.lines, start=1):
                yield {
                    "receipt": trade.receipt_number,
                    "entry": entry,
                    "at_ms": at_ms,
                    "line": number,
                    "product": line.product,
                    "unit": line.unit,
                    "quantity_milli": line.quantity_milli,
                    "list_price_minor": line.list_price_minor,
                    "price_minor": line.price_minor,
                    "per_milli": line.per_milli,
                    "price_source": line.price_source,
                    "amount_minor": line.amount_minor,
                    "tax_class": line.tax_class,
                    "tax_bp": line.tax_bp,
                }


def _refund_lines(node: Node) -> Iterator[Row]:
    for entry, at_ms, trade in _trades(node):
        if isinstance(trade, Refund):
            for number, line in enumerate(trade.lines, start=1):
                yield {
                    "receipt": trade.receipt_number,
                    "entry": entry,
                    "at_ms": at_ms,
                    "line": number,
                    "product": line.product,
                    "quantity_milli": line.quantity_milli,
                    "amount_minor": line.amount_minor,
                    "goods_to": line.goods_to,
                    "original": trade.original,
                    "original_line": None if line.original_line is None else line.original_line + 1,
                }


def _conflicts(node: Node) -> Iterator[Row]:
    for one in told_conflicts(node.connection, node.organisation, node.config.scope):
        yield {
            "conflict": one.id,
            "code": one.code,
            "status": one.status,
            "product": one.product,
            "sentence": one.sentence,
            "references": " ".join(one.references),
        }


def _transfers(node: Node) -> Iterator[Row]:
    for one in transfers_on_road(node, with_settled=True):
        yield {
            "transfer": one.transfer,
            "product": one.product,
            "origin": one.origin,
            "destination": one.destination,
            "dispatched_milli": one.dispatched_milli,
            "received_milli": one.received_milli,
            "transit_milli": one.transit_milli,
            "dispatched_ms": one.dispatched_ms,
            "problem": one.problem,
        }


def _receipts(node: Node) -> Iterator[Row]:
    rows = node.connection.execute(
        "SELECT r.number, s.scope, t.node, t.incarnation, r.seq, r.is_refund, r.total_minor FROM receipt r"
        " JOIN scope s ON s.scope_no = r.scope_no"
        " JOIN stream t ON t.scope_no = r.scope_no AND t.stream_no = r.stream_no ORDER BY r.number"
    ).fetchall()
    for number, scope, writer, incarnation, seq, is_refund, total in rows:
        yield {
            "receipt": number,
            "entry": f"{scope}:{writer}.{incarnation}:{seq}",
            "is_refund": bool(is_refund),
            "total_minor": total,
        }


def _shifts(node: Node) -> Iterator[Row]:
    for state in shifts(node):
        yield msgspec.to_builtins(state)


def _entries(node: Node) -> Iterator[Row]:
    names = NodeNames(node.connection, node.organisation)
    log = node.replica.log
    for scope in sorted(log.scopes()):
        for row in log.streams(scope):
            inert = log.inert(row)
            for entry in log.entries(row, row.base.seq):
                yield {
                    "entry": str(entry.id),
                    "node": names.of(row.stream.writer),
                    "kind": entry.body.kind,
                    "version": entry.body.version,
                    "at_ms": entry.body.wall_ms,
                    "error_bound": entry.body.unc_ms,
                    "clock_epoch": entry.body.clock_epoch,
                    "operation": entry.body.operation,
                    "bytes": len(entry.encoded),
                    "digest": entry.digest.hex(),
                    "inert": inert.get(entry.body.seq, ""),
                }


_TRADE_COLUMNS: Final = (
    "receipt", "entry", "at_ms", "business_date", "shift", "operator", "lines", "total_minor", "tenders", "original",
    "source",
)  # fmt: skip
TABLES: Final[Mapping[str, tuple[tuple[str, ...], Callable[[Node], Iterator[Row]]]]] = {
    "products": (
        ("product", "name", "category", "spec", "unit", "tax_class", "is_weighed", "is_active", "units", "barcodes",
         "deposits", "is_deposit"),
        _products,
    ),
    "prices": (
        ("product", "price_list", "unit", "tier", "price_minor", "per_milli", "from_ms", "until_ms"),
        _prices,
    ),
    "stock": (
        ("location", "product", "name", "unit", "value_milli", "lo_milli", "hi_milli", "is_negative"),
        _stock,
    ),
    "movements": (
        ("entry", "line", "at_ms", "location", "product", "quantity_milli", "reason", "document", "transfer"),
        _movements,
    ),
    "sales": (_TRADE_COLUMNS, _heads(Sale)),
    "sale_lines": (
        (
            "receipt", "entry", "at_ms", "line", "product", "unit", "quantity_milli", "list_price_minor",
            "price_minor", "per_milli", "price_source", "amount_minor", "tax_class", "tax_bp",
        ),
        _sale_lines,
    ),
    "refunds": (_TRADE_COLUMNS, _heads(Refund)),
    "refund_lines": (
        (
            "receipt", "entry", "at_ms", "line", "product", "quantity_milli", "amount_minor", "goods_to", "original",
            "original_line",
        ),
        _refund_lines,
    ),
    "conflicts": (("conflict", "code", "status", "product", "sentence", "references"), _conflicts),
    "transfers": (
        (
            "transfer", "product", "origin", "destination", "dispatched_milli", "received_milli", "transit_milli",
            "dispatched_ms", "problem",
        ),
        _transfers,
    ),
    "receipts": (("receipt", "entry", "is_refund", "total_minor"), _receipts),
    "shifts": (
        (
            "shift", "business_date", "operator", "float_minor", "sales", "sales_minor", "refunds", "refunds_minor",
            "cash_minor", "expected_minor", "counted_minor", "is_open",
        ),
        _shifts,
    ),
    "entries": (
        (
            "entry", "node", "kind", "version", "at_ms", "error_bound", "clock_epoch", "operation", "bytes", "digest",
            "inert",
        ),
        _entries,
    ),
}  # fmt: skip


def _table(table: str) -> tuple[tuple[str, ...], Callable[[Node], Iterator[Row]]]:
    found = TABLES.get(table.replace("-", "_"))
    if found is None:
        raise RefusalError("table_unknown", f"the tables are {', '.join(TABLES)}")
    return found
