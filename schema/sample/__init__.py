"""Sample data that ships: a hand-made Chinese grocery catalogue and a small part of real trading days.

The files are package data and are read on demand; sources and licences are in ATTRIBUTION.md.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import msgspec

from schema.amounts import Milli, Minor, parse_money, parse_quantity
from schema.identity import LocationId, OperatorId, ProductId
from schema.rows import (
    BalanceKind,
    BaseUnit,
    CustomerRow,
    OpeningBalanceRow,
    OpeningStockRow,
    OperatorRow,
    ProductRow,
    SellingUnit,
    StaffRole,
    parse_selling_unit,
)
from schema.rules.promotion_terms import Promotion
from schema.rules.receipt import ReceiptTemplate
from schema.rules.rounding import PricePer, line_amount
from schema.rules.tax import TaxClass
from schema.settings import CategoryNames, LoyaltyRules, ReceiptForm, Setting, ShopCard

TRADING_DAY = "trading_day.csv"


class SampleCategory(msgspec.Struct, frozen=True):
    """A category with its name and how counts of its goods are settled.

    The tolerance is in thousandths of the base unit and in millionths; `counters` is how many people count blind.
    """

    code: str
    name: str
    tolerance_milli: Milli
    tolerance_ppm: int
    disagreement: str
    ambiguous: str
    is_blind: bool
    counters: int


class SampleLocation(msgspec.Struct, frozen=True):
    """A place of the sample chain; `kind` is warehouse, shop or van; the business day starts at `day_cut_hour`."""

    code: LocationId
    name: str
    kind: str
    address: str
    zone: str
    day_cut_hour: int


def text(name: str) -> str:
    """Return the text of a sample file, such as `catalogue.csv`; raises FileNotFoundError for other names."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def lines(name: str) -> list[str]:
    """Return the lines of a sample file with their ends, as replay reads them."""
    return text(name).splitlines(keepends=True)


def _records(name: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(text(name)))


@cache
def catalogue() -> tuple[ProductRow, ...]:
    """Return the sample's products in the order of their codes."""
    return tuple(
        ProductRow(
            code=ProductId(row["code"]),
            name=row["name"],
            spec=row["spec"],
            category=row["category"],
            tax_class=TaxClass(row["tax_class"]),
            unit=BaseUnit(row["unit"]),
            unit_name=row["unit_name"],
            is_weighed=row["weighed"] == "yes",
            article=row["article"],
            price_minor=parse_money(row["price"]),
            price_per=PricePer(row["price_per"]),
            barcodes=tuple(filter(None, row["barcodes"].split(";"))),
            units=tuple(parse_selling_unit(cell) for cell in row["units"].split(";") if cell),
        )
        for row in _records("catalogue.csv")
    )


def categories() -> tuple[SampleCategory, ...]:
    """Return the categories with their count policies, in the order of the shelves."""
    return tuple(
        SampleCategory(
            row["category"],
            row["name"],
            parse_quantity(row["tolerance"]),
            int(row["tolerance_ppm"]),
            row["disagreement"],
            row["ambiguous"],
            row["blind"] == "yes",
            int(row["counters"]),
        )
        for row in _records("policies.csv")
    )


def locations() -> tuple[SampleLocation, ...]:
    """Return the sample chain's places: a warehouse, two shops and a van."""
    return tuple(
        SampleLocation(
            LocationId(row["code"]), row["name"], row["kind"], row["address"], row["zone"], int(row["day_cut_hour"])
        )
        for row in _records("locations.csv")
    )


def operators() -> tuple[OperatorRow, ...]:
    """Return the sample's operators with their PINs in clear: for demonstrations only."""
    return tuple(
        OperatorRow(
            code=OperatorId(row["code"]),
            name=row["name"],
            role=StaffRole(row["role"]),
            location=LocationId(row["location"]),
            pin=row["pin"],
        )
        for row in _records("operators.csv")
    )


def customers() -> tuple[CustomerRow, ...]:
    """Return the sample's members, all fictitious."""
    return tuple(CustomerRow(**row) for row in _records("customers.csv"))


def promotions() -> tuple[Promotion, ...]:
    """Return the sample's promotions; the coupons of one are `XK` and anything after it, each good for one use."""
    return msgspec.json.decode(text("promotions.json"), type=tuple[Promotion, ...])


def opening_balances() -> tuple[OpeningBalanceRow, ...]:
    """Return what some members start with, in points and minor units."""
    return tuple(
        OpeningBalanceRow(kind=BalanceKind(row["kind"]), subject=row["subject"], amount=int(row["amount"]))
        for row in _records("opening_balances.csv")
    )


def settings() -> tuple[tuple[str, Setting], ...]:
    """Return the sample chain's settings with the location of each; empty: the whole chain."""
    footer = ("谢谢惠顾，凭小票七天内退换", "发票请在当月开具")
    return (
        ("", ReceiptForm(template=ReceiptTemplate(footer=footer))),
        ("", CategoryNames(names={one.code: one.name for one in categories()})),
        ("", LoyaltyRules(bonuses=((10_000, 1_000), (20_000, 2_500)), credit_limit_minor=50_000)),
        *((place.code, ShopCard(name=place.name, address=place.address, phone="0571-00000000"))
          for place in locations() if place.kind == "shop"),
    )  # fmt: skip


def opening_stock() -> tuple[OpeningStockRow, ...]:
    """Return what lies at each place on the first day."""
    return tuple(
        OpeningStockRow(
            location=LocationId(row["location"]),
            product=ProductId(row["product"]),
            quantity_milli=parse_quantity(row["quantity"]),
        )
        for row in _records("opening_stock.csv")
    )


def unit_price_minor(product: ProductRow, unit: SellingUnit) -> Minor | None:
    """Return what a selling unit costs: its own price, or factor × the base unit's price."""
    if unit.price_minor is not None or product.price_minor is None:
        return unit.price_minor
    return line_amount(product.price_minor, unit.factor_milli, product.price_per)
