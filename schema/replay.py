"""Owns the reading of transaction logs of other systems into baskets that a till can replay.

Real logs make real loads: how many lines a basket has, which goods sell together, when the rush is, how often
something comes back, and the dirt. The caller opens the files and hands over their lines. What cannot be replayed
is reported in `ReplayReader.dirt` with its line number, never dropped silently. Three formats are read:

`online-retail` (UCI Online Retail): InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID.
    Invoices `C…` are cancellations; each becomes a refund of the latest earlier basket that sold the code to the
    same customer, so one cancellation may become several refunds, of different baskets. What comes back is as the
    log says it, even where it is more than was sold.
`completejourney` (The Complete Journey): household_id, store_id, basket_id, product_id, quantity, sales_value,
    transaction_timestamp. The price is sales_value / quantity. The log is not sorted: it is read whole.
`csv` (edgetill's own): basket, at (`2024-06-11 08:05`), code, quantity (`2`, `0.375`), and optionally price (in major
    units), description, customer, refund_of (the basket that is taken back). A basket's lines stand together.

Foreign goods are put onto a catalogue by `CatalogueMapping`.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from schema.amounts import AMOUNT_MAX, Milli, Minor, parse_money, parse_quantity
from schema.errors import RefusalError
from schema.identity import ProductId
from schema.rows import BaseUnit, ProductRow
from schema.rules.rounding import divide


class ReplayFormat(StrEnum):
    """The logs that can be read."""

    ONLINE_RETAIL = "online-retail"
    COMPLETE_JOURNEY = "completejourney"
    CSV = "csv"


class ReplayLine(msgspec.Struct, frozen=True):
    """One line of a basket under the source's own code; the quantity is positive also in refunds."""

    source_code: str
    quantity_milli: Milli
    unit_price_minor: Minor | None
    description: str = ""


class ReplayBasket(msgspec.Struct, frozen=True):
    """A sale or a refund as the source has it.

    `day` is an ISO date and `minute` the minute of that day, in the source's local time; `original_source_id` is the
    sale that a refund takes back, None for a refund without a known sale.
    """

    source_id: str
    day: str
    minute: int
    is_refund: bool
    original_source_id: str | None
    lines: tuple[ReplayLine, ...]


class ReplayDirt(msgspec.Struct, frozen=True):
    """What was wrong with a line: `line` counts from 1 (the header); `is_kept` if it is replayed all the same."""

    line: int
    column: str
    value: str
    why: str
    is_kept: bool = False


class _Row(NamedTuple):
    line: int
    basket: str
    day: str
    minute: int
    code: str
    quantity_milli: Milli
    price_minor: Minor | None
    description: str
    customer: str
    is_refund: bool
    refund_of: str


_COLUMNS = {
    ReplayFormat.ONLINE_RETAIL: ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice"),
    ReplayFormat.COMPLETE_JOURNEY: ("basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"),
    ReplayFormat.CSV: ("basket", "at", "code", "quantity"),
}
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T]([01]\d|2[0-3]):([0-5]\d)(?::\d\d)?")
_GOODS = re.compile(r"\d{5}[A-Za-z]{0,3}")


class _DirtError(Exception):
    def __init__(self, column: str, value: str, why: str) -> None:
        super().__init__(why)
        self.column, self.value, self.why = column, value, why


def _moment(column: str, text: str) -> tuple[str, int]:
    matched = _MOMENT.fullmatch(text.strip())
    if matched is None:
        raise _DirtError(column, text, "no moment: YYYY-MM-DD HH:MM")
    return matched[1], int(matched[2]) * 60 + int(matched[3])


def _quantity(column: str, text: str) -> int:
    try:
        return parse_quantity(text)
    except ValueError:
        raise _DirtError(column, text, "no quantity with at most three decimals") from None


def _money(column: str, text: str) -> Minor:
    try:
        return parse_money(text)
    except ValueError:
        raise _DirtError(column, text, "no price with at most two decimals") from None


def _online_retail_row(line: int, row: dict[str, str]) -> _Row:
    code, invoice = row["StockCode"].strip(), row["InvoiceNo"].strip()
    if not _GOODS.fullmatch(code):
        raise _DirtError("StockCode", code, "postage, fee, adjustment or gift voucher: no goods")
    quantity = _quantity("Quantity", row["Quantity"])
    is_refund = invoice.startswith("C")
    if quantity == 0 or (quantity < 0) != is_refund:
        raise _DirtError("Quantity", row["Quantity"], "the sign contradicts the invoice: a stock correction, no sale")
    price = _money("UnitPrice", row["UnitPrice"])
    if price <= 0:
        raise _DirtError("UnitPrice", row["UnitPrice"], "goods without a price: given away or written off")
    day, minute = _moment("InvoiceDate", row["InvoiceDate"])
    customer, description = row.get("CustomerID") or "", (row.get("Description") or "").strip()
    return _Row(line, invoice, day, minute, code, Milli(abs(quantity)), price, description, customer, is_refund, "")


def _complete_journey_row(line: int, row: dict[str, str]) -> _Row:
    quantity = _quantity("quantity", row["quantity"])
    if quantity <= 0:
        raise _DirtError("quantity", row["quantity"], "nothing was taken: a coupon or a correction, no sale")
    value = _money("sales_value", row["sales_value"])
    if value < 0:
        raise _DirtError("sales_value", row["sales_value"], "a negative amount")
    day, minute = _moment("transaction_timestamp", row["transaction_timestamp"])
    price = Minor(divide(value * 1000, quantity))
    household = row.get("household_id") or ""
    return _Row(
        line, row["basket_id"], day, minute, row["product_id"], Milli(quantity), price, "", household, False, ""
    )


def _own_row(line: int, row: dict[str, str]) -> _Row:
    quantity = _quantity("quantity", row["quantity"])
    refund_of = (row.get("refund_of") or "").strip()
    if not row["basket"].strip() or not row["code"].strip():
        raise _DirtError("basket" if not row["basket"].strip() else "code", "", "empty")
    if quantity == 0 or (refund_of and quantity < 0):
        raise _DirtError("quantity", row["quantity"], "zero, or negative in a basket that names what it takes back")
    price = _money("price", row["price"]) if (row.get("price") or "").strip() else None
    if price is not None and price < 0:
        raise _DirtError("price", row["price"], "a negative price")
    day, minute = _moment("at", row["at"])
    return _Row(
        line,
        row["basket"].strip(),
        day,
        minute,
        row["code"].strip(),
        Milli(abs(quantity)),
        price,
        (row.get("description") or "").strip(),
        (row.get("customer") or "").strip(),
        quantity < 0 or bool(refund_of),
        refund_of,
    )


_ROW_READERS = {
    ReplayFormat.ONLINE_RETAIL: _online_retail_row,
    ReplayFormat.COMPLETE_JOURNEY: _complete_journey_row,
    ReplayFormat.CSV: _own_row,
}


class ReplayReader:
    """Reads a log's lines into baskets, once; `dirt` is complete when the baskets have all been taken.

    Raises RefusalError `replay.columns` when the header lacks a column of the format.
    """

    def __init__(self, source_format: ReplayFormat, lines: Iterable[str]) -> None:
        self.dirt: list[ReplayDirt] = []
        self._format = source_format
        self._rows = csv.reader(lines)
        self._header = [cell.strip().removeprefix("\ufeff") for cell in next(self._rows, [])]
        missing = [column for column in _COLUMNS[source_format] if column not in self._header]
        if missing:
            raise RefusalError(
                "replay.columns", f"a log in the format {source_format.value} has the columns {', '.join(missing)}"
            )
        self._sold: dict[tuple[str, str], str] = {}

    def __iter__(self) -> Iterator[ReplayBasket]:
        for group in self._groups():
            yield from self._baskets(group)

    def _typed_rows(self) -> Iterator[_Row]:
        read = _ROW_READERS[self._format]
        for cells in self._rows:
            line = self._rows.line_num
            if not cells:
                continue
            if len(cells) != len(self._header):
                self.dirt.append(ReplayDirt(line, "", str(len(cells)), "another number of columns than the header"))
                continue
            try:
                row = read(line, dict(zip(self._header, cells, strict=True)))
            except _DirtError as dirt:
                self.dirt.append(ReplayDirt(line, dirt.column, dirt.value, dirt.why))
                continue
            if row.quantity_milli > AMOUNT_MAX // 10**6:
                self.dirt.append(ReplayDirt(line, "quantity", str(row.quantity_milli), "an impossible quantity"))
                continue
            yield row

    def _groups(self) -> Iterator[list[_Row]]:
        if self._format is ReplayFormat.COMPLETE_JOURNEY:
            by_basket: dict[str, list[_Row]] = {}
            for row in self._typed_rows():
                by_basket.setdefault(row.basket, []).append(row)
            yield from sorted(by_basket.values(), key=lambda rows: (rows[0].day, rows[0].minute, rows[0].basket))
            return
        finished: dict[str, int] = {}
        group: list[_Row] = []

        def close() -> list[_Row]:
            first = group[0]
            finished[first.basket] = finished.get(first.basket, 0) + 1
            if (part := finished[first.basket]) == 1:
                return group
            self.dirt.append(
                ReplayDirt(first.line, "basket", first.basket, "continues after others: replayed apart", is_kept=True)
            )
            return [row._replace(basket=f"{row.basket}#{part}") for row in group]

        for row in self._typed_rows():
            if group and (row.basket, row.is_refund) != (group[0].basket, group[0].is_refund):
                yield close()
                group = []
            group.append(row)
        if group:
            yield close()

    def _baskets(self, rows: list[_Row]) -> Iterator[ReplayBasket]:
        first = rows[0]
        seen: set[tuple[str, int, Minor | None]] = set()
        by_original: dict[str | None, list[ReplayLine]] = {}
        for row in rows:
            key = (row.code, row.quantity_milli, row.price_minor)
            if key in seen:
                self.dirt.append(ReplayDirt(row.line, "code", row.code, "repeats a line of the basket", is_kept=True))
            seen.add(key)
            original: str | None = None
            if row.is_refund:
                original = row.refund_of or self._sold.get((row.customer, row.code)) if row.customer else row.refund_of
                original = original or None
            by_original.setdefault(original, []).append(
                ReplayLine(row.code, row.quantity_milli, row.price_minor, row.description)
            )
        for number, (original, lines) in enumerate(by_original.items(), start=1):
            source_id = first.basket if number == 1 else f"{first.basket}.{number}"
            yield ReplayBasket(source_id, first.day, first.minute, first.is_refund, original, tuple(lines))
        if not first.is_refund:
            for row in rows:
                if row.customer:
                    self._sold[row.customer, row.code] = row.basket


class MappedLine(msgspec.Struct, frozen=True):
    """A line put onto a catalogue: `unit` is empty for the base unit; the quantity is of that unit (or in grams)."""

    product: ProductRow
    unit: str
    quantity_milli: Milli


class CatalogueMapping:
    """Puts a source's codes onto a catalogue, always in the same way.

    A code goes to the product at SHA-256(code) modulo the number of products, in the order of the product codes:
    whatever sold often in the source sells often here, and goods bought together stay together; two codes may share
    a product. Up to `pieces_max` pieces are taken as they are; larger (wholesale) quantities become whole cases of
    the product, at least one and at most `pieces_max`, or `pieces_max` pieces where it has no case. Weighed goods
    weigh 100 to 999 grams per piece of the source, by the code, so that a return weighs what the sale did; such a
    line weighs at most 15 kg. No clock, no randomness.
    """

    def __init__(self, products: Sequence[ProductRow], pieces_max: int = 24) -> None:
        if not products or pieces_max < 1:
            raise ValueError("a mapping needs products and room for a piece")
        self._products = sorted(products, key=lambda product: product.code)
        self._pieces_max = pieces_max
        self._hashes: dict[str, int] = {}

    def _hash(self, code: str) -> int:
        known = self._hashes.get(code)
        if known is None:
            known = self._hashes[code] = int.from_bytes(hashlib.sha256(code.encode()).digest()[:8], "big")
        return known

    def product(self, source_code: str) -> ProductRow:
        """Return the product that stands for a source's code."""
        return self._products[self._hash(source_code) % len(self._products)]

    def product_id(self, source_code: str) -> ProductId:
        """Return the code of the product that stands for a source's code."""
        return self.product(source_code).code

    def line(self, line: ReplayLine) -> MappedLine:
        """Put a basket's line onto the catalogue, in quantities that a shop sells."""
        product = self.product(line.source_code)
        pieces = max(1, -(-line.quantity_milli // 1000))
        if product.unit is BaseUnit.KILOGRAM:
            grams = (100 + (self._hash(line.source_code) >> 32) % 900) * min(pieces, self._pieces_max)
            return MappedLine(product, "", Milli(min(grams, 15_000)))
        if pieces <= self._pieces_max:
            return MappedLine(product, "", Milli(pieces * 1000))
        if product.units:
            case = product.units[0]
            cases = min(max(1, pieces * 1000 // case.factor_milli), self._pieces_max)
            return MappedLine(product, case.name, Milli(cases * 1000))
        return MappedLine(product, "", Milli(self._pieces_max * 1000))
