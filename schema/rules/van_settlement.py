"""Owns a van's settlement: what its log says of every product and of the money between two settlements.

It is a fold over a set of entries: their order decides nothing, and what one settlement leaves aboard is what the next
one opens with. Nothing is looked up: prices and what was counted are given to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from schema.kinds import KIND_OF
from schema.kinds.balances import BalancePaid
from schema.kinds.base import Payload
from schema.kinds.trading import Refund, Sale, SaleLine, ShiftClosed
from schema.kinds.vans import SettledLine, SettledMeans
from schema.rules.deposits import is_deposit, is_empties
from schema.rules.rounding import PricePer, line_amount

_PER: Final = {member.milli: member for member in PricePer}
_COLUMN: Final = {
    "opening": "opening", "receipt": "loaded", "recv": "loaded", "ship": "sent", "refund": "returned",
    "wastage": "wasted", "damage": "wasted", "own_use": "wasted", "theft": "wasted", "gift": "given", "found": "found",
    "repack": "repacked",
}  # fmt: skip
"""Where a movement's reason counts; a sale's is divided into what was sold, given away and brought back."""
_OUT: Final = frozenset({"sold", "sent", "wasted", "given"})
_COLUMNS: Final = (
    "opening", "loaded", "returned", "found", "repacked", "sold", "sent", "wasted", "given",
)  # fmt: skip


class Settlement(NamedTuple):
    """What a van's entries come to; lines in the order of products, means with cash first."""

    lines: tuple[SettledLine, ...]
    means: tuple[SettledMeans, ...]
    sales: int
    refunds: int
    cash_expected_minor: int
    cash_counted_minor: int
    deposits_minor: int
    empties_minor: int
    collected: Mapping[str, int]
    """What each customer paid of what was owed."""

    @property
    def missing_minor(self) -> int:
        """What the differences of all products come to; positive where goods are missing."""
        return sum(line.value_minor for line in self.lines)


def settle(
    opening: Mapping[str, int],
    payloads: Iterable[Payload],
    closing: Mapping[str, int],
    prices: Mapping[str, tuple[int, int]] | None = None,
) -> Settlement:
    """Fold what happened since the last settlement.

    `opening` and `closing` are thousandths of the base unit by product; what `closing` lacks was not counted. `prices`
    are (minor units, thousandths that they buy) by product, for the value of differences.
    """
    goods: dict[str, dict[str, int]] = {product: {"opening": milli} for product, milli in opening.items() if milli}
    money: dict[str, list[int]] = {}
    collected: dict[str, int] = {}
    sales = refunds = expected = counted = deposits = empties = 0
    for payload in payloads:
        for product, column, milli in _moves(payload):
            row = goods.setdefault(product, {})
            row[column] = row.get(column, 0) + milli
        match payload:
            case Sale():
                sales += 1
                deposits += sum(line.amount_minor for line in payload.lines if is_deposit(line))
                empties -= sum(line.amount_minor for line in payload.lines if is_empties(line))
            case Refund():
                refunds += 1
                empties += sum(line.amount_minor for line in payload.lines if is_empties(line))
            case BalancePaid():
                collected[payload.member] = collected.get(payload.member, 0) + payload.total_minor
            case ShiftClosed():
                expected += payload.expected_minor
                counted += payload.counted_minor
            case _:
                continue
        if isinstance(payload, Sale | Refund | BalancePaid):
            for tender in payload.tenders:
                sums = money.setdefault(tender.means, [0, 0, 0])
                sums[_place(payload)] += tender.amount_minor
    lines = [
        _line(product, goods.get(product, {}), closing.get(product), (prices or {}).get(product))
        for product in sorted({*goods, *(one for one, milli in closing.items() if milli)})
    ]
    means = tuple(SettledMeans(one, *money[one]) for one in sorted(money, key=lambda one: (one != "cash", one)))
    return Settlement(
        tuple(line for line in lines if _is_told(line)), means, sales, refunds, expected, counted, deposits, empties,
        {person: amount for person, amount in sorted(collected.items()) if person},
    )  # fmt: skip


def _place(payload: Payload) -> int:
    return 0 if isinstance(payload, Sale) else 1 if isinstance(payload, BalancePaid) else 2


def _is_told(line: SettledLine) -> bool:
    return any(getattr(line, f"{column}_milli") for column in _COLUMNS) or bool(line.closing_milli)


def _line(product: str, row: Mapping[str, int], closing: int | None, price: tuple[int, int] | None) -> SettledLine:
    opening, loaded, returned, found, repacked, sold, sent, wasted, given = (row.get(one, 0) for one in _COLUMNS)
    line = SettledLine(
        product, opening, loaded, returned, found, repacked, sold, sent, wasted, given, closing
    )  # fmt: skip
    missing = line.difference_milli
    if price is None or not missing:
        return line
    amount = line_amount(price[0], abs(missing), _PER.get(price[1], PricePer.PIECE))
    return msgspec.structs.replace(line, value_minor=amount if missing > 0 else -amount)


def _moves(payload: Payload) -> Iterable[tuple[str, str, int]]:
    """Yield (product, column, quantity) of an entry; columns of what leaves the van count upwards."""
    kind = KIND_OF.get(type(payload))
    if kind is None or kind.effects is None:
        return
    effects = kind.effects(payload)
    if isinstance(payload, Sale):
        yield from _sold(payload)
        return
    column = _COLUMN.get(effects.reason)
    for move in effects.moves:
        if column is not None:
            yield move.product, column, -move.quantity_milli if column in _OUT else move.quantity_milli


def _sold(sale: Sale) -> Iterable[tuple[str, str, int]]:
    gifts = {place for place, line in enumerate(sale.lines) if any(one.reason == "gift" for one in line.discounts)}
    kits = {line.kit_parent for line in sale.lines}
    moving = [
        (place, line) for place, line in enumerate(sale.lines) if place not in kits and not is_deposit(line)
    ]  # movements stand in the order of the lines that have one
    is_matched = len(moving) == len(sale.moves) and all(
        move.product == line.product for move, (_, line) in zip(sale.moves, moving, strict=False)
    )
    for number, move in enumerate(sale.moves):
        is_gift = False
        if is_matched:
            place, line = moving[number]
            is_gift = _root(sale.lines, place, line) in gifts
        if move.quantity_milli > 0:
            yield move.product, "returned", move.quantity_milli
        else:
            yield move.product, "given" if is_gift else "sold", -move.quantity_milli


def _root(lines: tuple[SaleLine, ...], place: int, line: SaleLine) -> int:
    """Return the line that a part of a kit belongs to, else its own."""
    parent = line.kit_parent
    return place if parent is None or not 0 <= parent < len(lines) else parent
