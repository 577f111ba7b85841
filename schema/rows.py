"""Owns the typed rows of the tables that people exchange as spreadsheets: goods, prices, people, opening figures.

A row is what a file said after it was read and checked, in edgetill's units; the hub turns rows into entries.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from schema.amounts import Milli, Minor, parse_money, parse_quantity
from schema.catalogue import Deposit
from schema.identity import LocationId, OperatorId, ProductId
from schema.rules.rounding import PricePer
from schema.rules.tax import TaxClass


class BaseUnit(StrEnum):
    """What one stock figure counts: pieces, or kilograms (in thousandths: grams)."""

    PIECE = "pc"
    KILOGRAM = "kg"


class SellingUnit(msgspec.Struct, frozen=True):
    """A larger unit in which a product is sold as well, such as a case.

    `factor_milli` is the quantity of the base unit inside (24 pieces are 24,000); without a price of its own the
    unit costs factor × price.
    """

    name: str
    factor_milli: Milli
    price_minor: Minor | None = None
    barcodes: tuple[str, ...] = ()


def parse_selling_unit(cell: str) -> SellingUnit:
    """Read `箱*24@76.00#2800000000011`: name, factor, and where given price and barcodes; raises ValueError."""
    head, *barcodes = [part.strip() for part in cell.split("#")]
    head, _, price = head.partition("@")
    name, star, factor = head.partition("*")
    if not name.strip() or not star:
        raise ValueError(f"{cell!r} is no selling unit: name*factor@price#barcode")
    return SellingUnit(
        name.strip(),
        parse_quantity(factor),
        parse_money(price) if price.strip() else None,
        tuple(barcodes),
    )


def parse_deposit(cell: str) -> Deposit:
    """Read `EMPTY*1@箱`: the article, how many of it for one, and for which unit if not the base; raises ValueError."""
    head, _, unit = cell.partition("@")
    article, star, quantity = head.partition("*")
    if not article.strip():
        raise ValueError(f"{cell!r} is no deposit: article*quantity@unit")
    return Deposit(article.strip(), parse_quantity(quantity) if star else 1000, unit.strip())


class ProductRow(msgspec.Struct, frozen=True, kw_only=True):
    """A product with its base unit (`unit_name` is what the shelf label calls it), codes and list price.

    `barcodes` are canonical; `article` is the number under which label scales know weighed goods.
    """

    code: ProductId
    name: str
    spec: str = ""
    category: str = ""
    tax_class: TaxClass = TaxClass.VAT13
    unit: BaseUnit = BaseUnit.PIECE
    unit_name: str = "件"
    is_weighed: bool = False
    article: str = ""
    price_minor: Minor | None = None
    price_per: PricePer = PricePer.PIECE
    barcodes: tuple[str, ...] = ()
    units: tuple[SellingUnit, ...] = ()
    deposits: tuple[Deposit, ...] | None = None
    """What is charged with it (押金); None: nothing is said of that."""
    is_deposit: bool | None = None


class PriceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A price of one selling unit (empty: the base unit) from a moment on, in Unix milliseconds; None: at once."""

    product: ProductId
    unit: str = ""
    price_minor: Minor
    price_per: PricePer = PricePer.PIECE
    tier: str = ""
    valid_from_ms: int | None = None
    valid_until_ms: int | None = None


class PromotionKind(StrEnum):
    """How a promotion lowers what is due."""

    SPECIAL_PRICE = "special-price"
    PERCENT_OFF = "percent-off"
    AMOUNT_OFF = "amount-off"
    """满减: from a threshold on, an amount less."""
    BUY_N_GET_M = "buy-n-get-m"
    N_FOR_PRICE = "n-for-price"
    """`buy_count` pieces for one amount (3 件 10 元)."""
    MIX_AND_MATCH = "mix-and-match"
    """A set of pieces from several groups of goods, for one amount or with a percentage off."""


class PromotionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion for products, for categories, or for the whole basket where both are empty.

    `amount_minor` is the special price, the price of a set or what is taken off; `percent_ppm` what is taken off
    (8 折 is 200,000). `schema.rules.promotion_terms.Promotion` adds the terms that a table's columns cannot hold.
    """

    code: str
    name: str
    kind: PromotionKind
    products: tuple[ProductId, ...] = ()
    categories: tuple[str, ...] = ()
    amount_minor: Minor = Minor(0)
    percent_ppm: int = 0
    threshold_minor: Minor = Minor(0)
    buy_count: int = 0
    free_count: int = 0
    valid_from_ms: int | None = None
    valid_until_ms: int | None = None


class StaffRole(StrEnum):
    """The roles that an operator may have."""

    CASHIER = "cashier"
    DRIVER = "driver"
    SUPERVISOR = "supervisor"
    STOCK_KEEPER = "stock_keeper"
    SHOP_MANAGER = "shop_manager"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"
    OWNER = "owner"


class OperatorRow(msgspec.Struct, frozen=True, kw_only=True):
    """A person who works at a location. `pin` is in clear as in the file: hash it at once and never store the row."""

    code: OperatorId
    name: str
    role: StaffRole
    location: LocationId
    pin: str

    def __repr__(self) -> str:
        return f"OperatorRow(code={self.code!r}, role={self.role!r}, location={self.location!r})"


class CustomerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A member: personal data, to be sealed under the person's key before it is stored."""

    code: str
    name: str
    phone: str = ""
    tier: str = ""
    birthday: str = ""
    address: str = ""

    def __repr__(self) -> str:
        return f"CustomerRow(code={self.code!r}, tier={self.tier!r})"


class OpeningStockRow(msgspec.Struct, frozen=True, kw_only=True):
    """What lies at a location when edgetill starts there, in the product's base unit."""

    location: LocationId
    product: ProductId
    quantity_milli: Milli
    lot: str = ""
    expiry: str = ""


class BalanceKind(StrEnum):
    """What a balance is of. Of a member or customer the subject is the person's random id, else a code."""

    MEMBER_POINTS = "member-points"
    MEMBER_BALANCE = "member-balance"
    """储值: money that the member has paid in."""
    MEMBER_BONUS = "member-bonus"
    """What the shop added to money that the member paid in; it is spent, never paid back."""
    GIFT_CARD = "gift-card"
    CUSTOMER_CREDIT = "customer-credit"
    """What a customer owes (挂账)."""
    SUPPLIER_PAYABLE = "supplier-payable"
    TILL_CASH = "till-cash"
    COUPON = "coupon"
    """Uses of a single-use coupon, by its code."""


OF_PEOPLE: Final = frozenset(
    {BalanceKind.MEMBER_POINTS, BalanceKind.MEMBER_BALANCE, BalanceKind.MEMBER_BONUS, BalanceKind.CUSTOMER_CREDIT}
)
"""Balances whose subject is a person: in files the customer's code, in entries the random id."""


class OpeningBalanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A balance brought forward: `amount` is in minor units, for points in points."""

    kind: BalanceKind
    subject: str
    amount: int
    note: str = ""


Row = ProductRow | PriceRow | PromotionRow | OperatorRow | CustomerRow | OpeningStockRow | OpeningBalanceRow
