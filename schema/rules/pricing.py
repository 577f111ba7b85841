"""Owns which price applies at a moment, where it came from, and that a refund is priced as sold.

A price is one record (amount, what it buys, from when to when, for whom) that is added and never edited; the
price at a moment is chosen from the history, so a price scheduled for tomorrow takes effect on a till that is
offline, and a late change never touches a completed sale.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from schema.amounts import Milli, Minor
from schema.identity import ProductId
from schema.rules.allocation import refund_share
from schema.rules.rounding import PricePer


class PriceSource(StrEnum):
    """Why a line bears its price; stamped into the sale line."""

    LIST = "list"
    TEMPORARY = "temporary"
    """A list price with an end, such as a week's offer on the shelf label."""
    MEMBER = "member"
    LABEL = "label"
    """The amount was printed by a label scale."""
    OVERRIDE = "override"
    """A person with the right to do so keyed it in."""
    AS_SOLD = "as-sold"
    """A refund's line: what the customer paid."""


class ListPrice(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a price list.

    `price_minor` buys what `per` says of the product's selling unit `unit` (`pc`, `case`, `kg` …). Valid from
    `valid_from_ms` (Unix milliseconds, included) until `valid_until_ms` (excluded; None: for good). `tier` names
    the members it is for; empty: everyone. `rank` orders records of the same start: the later one is higher.
    """

    product: ProductId
    unit: str
    price_minor: Minor
    per: PricePer = PricePer.PIECE
    valid_from_ms: int = 0
    valid_until_ms: int | None = None
    tier: str = ""
    rank: int = 0

    def is_valid_at(self, moment_ms: int) -> bool:
        """Tell whether the record is in force at a moment."""
        return self.valid_from_ms <= moment_ms and (self.valid_until_ms is None or moment_ms < self.valid_until_ms)


class ChosenPrice(msgspec.Struct, frozen=True):
    """The price of a line with its source; `list_minor` is what everyone else pays at that moment."""

    price_minor: Minor
    per: PricePer
    source: PriceSource
    list_minor: Minor


class PriceBook:
    """The prices that a till holds, by product and selling unit; records may come in any order."""

    def __init__(self, prices: Iterable[ListPrice]) -> None:
        self._history: dict[tuple[ProductId, str], list[ListPrice]] = {}
        for price in prices:
            self._history.setdefault((price.product, price.unit), []).append(price)
        for history in self._history.values():
            history.sort(key=lambda p: (p.valid_from_ms, p.rank, p.price_minor), reverse=True)

    def history(self, product: ProductId, unit: str) -> Sequence[ListPrice]:
        """Return the records of one selling unit, the newest start first."""
        return tuple(self._history.get((product, unit), ()))

    def price_at(
        self, product: ProductId, unit: str, moment_ms: int, tiers: frozenset[str] = frozenset()
    ) -> ChosenPrice | None:
        """Choose the price at a moment: of the records in force the one that started last.

        A temporary price thus covers the list price and uncovers it again when it ends. A member pays the
        member price where it is lower for the same quantity. None: the product has no price and is to be asked.
        """
        in_force = [p for p in self._history.get((product, unit), ()) if p.is_valid_at(moment_ms)]
        common = next((p for p in in_force if not p.tier), None)
        best: dict[str, ListPrice] = {}
        for price in in_force:
            if price.tier in tiers and price.tier:
                best.setdefault(price.tier, price)
        member = min(best.values(), key=lambda p: (_per_unit(p), p.tier), default=None)
        if common is None:
            if member is None:
                return None
            return ChosenPrice(member.price_minor, member.per, PriceSource.MEMBER, member.price_minor)
        if member is not None and _per_unit(member) < _per_unit(common):
            return ChosenPrice(member.price_minor, member.per, PriceSource.MEMBER, common.price_minor)
        source = PriceSource.LIST if common.valid_until_ms is None else PriceSource.TEMPORARY
        return ChosenPrice(common.price_minor, common.per, source, common.price_minor)

    def next_change_ms(self, moment_ms: int) -> int | None:
        """Return the next moment after this one at which some price starts or ends; None if nothing is scheduled."""
        moments = (
            moment
            for history in self._history.values()
            for price in history
            for moment in (price.valid_from_ms, price.valid_until_ms)
            if moment is not None and moment > moment_ms
        )
        return min(moments, default=None)


def _per_unit(price: ListPrice) -> int:
    """Return a number by which prices for different weights compare: minor units for 1,000 kg or pieces."""
    return price.price_minor * (1_000_000 // price.per.milli)


class SoldLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund needs of the line that it takes back, all as stamped into the sale.

    `quantity_milli` was sold for `amount_minor` (after the line's own discounts); `allocated_minor` is its share
    of the basket's discount and 抹零 (positive: given away); `returned_milli` has come back already.
    """

    quantity_milli: Milli
    amount_minor: Minor
    tax_minor: Minor = Minor(0)
    allocated_minor: Minor = Minor(0)
    returned_milli: Milli = Milli(0)


class RefundAmounts(msgspec.Struct, frozen=True):
    """What goes back for a part of a line, as positive amounts: paid = amount − allocated."""

    amount_minor: Minor
    allocated_minor: Minor
    tax_minor: Minor
    paid_minor: Minor


def refund_as_sold(line: SoldLine, returning_milli: int) -> RefundAmounts:
    """Price a return from its sale; the returns of all pieces sum exactly to what was paid for the line.

    Raises ValueError when more would come back than was sold.
    """

    def share(total: int) -> Minor:
        return refund_share(total, line.quantity_milli, line.returned_milli, returning_milli)

    amount, allocated = share(line.amount_minor), share(line.allocated_minor)
    return RefundAmounts(amount, allocated, share(line.tax_minor), Minor(amount - allocated))
