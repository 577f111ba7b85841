"""What of the stock needs a person: below zero, about to expire, below its minimum, not counted for long.

Each list is read when it is asked for, from what the node holds; nothing of it needs the network.
"""

from __future__ import annotations

import datetime
from enum import StrEnum
from typing import Final

import msgspec

from edge.catalog import find_product
from edge.clock_source import local_time
from edge.node import Node
from edge.settings import setting
from edge.stock import OnHand, on_hand, transfers_on_road
from edge.suppliers import minimums
from schema.settings import StockRules
from sync.buying import About, BuyingState, read_buying

DAY_MS: Final = 86_400_000


class StockList(StrEnum):
    """The lists."""

    NEGATIVE = "negative"
    EXPIRING = "expiring"
    BELOW = "below"
    UNCOUNTED = "uncounted"


class ListedGoods(msgspec.Struct, frozen=True):
    """One row of a list; quantities in thousandths of the base unit.

    `concern_milli` is what the row is about: what is missing to zero, what expires (an estimate: what expires first is
    taken to be sold first), what is missing to the minimum, what lies uncounted. `date` is the date of expiry or of the
    last count, empty where there was none; `days` how far it is from today.
    """

    product: str
    name: str
    unit: str
    on_hand_milli: int
    concern_milli: int
    minimum_milli: int = 0
    coming_milli: int = 0
    lot: str = ""
    date: str = ""
    days: int | None = None

    @property
    def suggested_milli(self) -> int:
        """How much to order: what is missing after all that is coming, in whole units."""
        missing = self.concern_milli - self.coming_milli if self.minimum_milli else self.concern_milli
        return max(0, -(-missing // 1000) * 1000)


def stock_list(node: Node, which: StockList) -> list[ListedGoods]:
    """Return one list, the most urgent first."""
    figures = {one.product: one for one in on_hand(node)}
    match which:
        case StockList.NEGATIVE:
            rows = [_row(node, one, -one.value) for one in figures.values() if one.is_negative]
            return sorted(rows, key=lambda row: (-row.concern_milli, row.product))
        case StockList.EXPIRING:
            return _expiring(node, figures)
        case StockList.BELOW:
            return _below(node, figures)
        case StockList.UNCOUNTED:
            return _uncounted(node, figures)


def list_sizes(node: Node) -> dict[StockList, int]:
    """Return how many rows each list has."""
    return {which: len(stock_list(node, which)) for which in StockList}


def _row(node: Node, one: OnHand, concern: int, **more: object) -> ListedGoods:
    found = find_product(node, one.product)
    name = one.name if found is None else f"{found.product.name} {found.product.spec}".strip()
    unit = "" if found is None else found.product.unit_name
    return msgspec.structs.replace(ListedGoods(one.product, name, unit, one.value, concern), **more)


def _today(node: Node) -> datetime.date:
    return local_time(node.now_ms(), node.config.time_zone).date()


def _expiring(node: Node, figures: dict[str, OnHand]) -> list[ListedGoods]:
    today, ahead = _today(node), setting(node, StockRules).expiring_days
    horizon = (today + datetime.timedelta(days=ahead)).isoformat()
    lots: dict[str, dict[tuple[str, str], int]] = {}
    for product, lot, expiry, quantity in node.connection.execute(
        "SELECT product, lot, expiry, sum(quantity_milli) FROM dated_goods GROUP BY product, lot, expiry"
    ).fetchall():
        lots.setdefault(str(product), {})[str(expiry), str(lot)] = int(quantity)
    rows = []
    for product, found in lots.items():
        one = figures.get(product)
        left = 0 if one is None else one.value
        for (expiry, lot), quantity in sorted(found.items(), reverse=True):
            if left <= 0:
                break
            here, left = min(quantity, left), left - quantity
            day = _date(expiry)
            if one is not None and day is not None and expiry <= horizon:
                rows.append(_row(node, one, here, lot=lot, date=expiry, days=(day - today).days))
    return sorted(rows, key=lambda row: (row.date, row.product, row.lot))


def _date(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def _below(node: Node, figures: dict[str, OnHand]) -> list[ListedGoods]:
    coming: dict[str, int] = {}
    for row in transfers_on_road(node):
        if row.destination == node.config.location and row.transit_milli > 0:
            coming[row.product] = coming.get(row.product, 0) + row.transit_milli
    number = node.replica.log.scope_no(node.config.scope)
    states = (BuyingState.OPEN, BuyingState.PARTLY)
    for _, order in read_buying(node.connection, [number or 0], About.ORDER, states):
        for line in order.lines:
            coming[line.product] = coming.get(line.product, 0) + line.left_milli
    rows = []
    for product, minimum in minimums(node).items():
        one = figures.get(product) or OnHand(product, product, "", 0, 0, 0, False)
        if one.value < minimum:
            rows.append(
                _row(node, one, minimum - one.value, minimum_milli=minimum, coming_milli=coming.get(product, 0))
            )
    return sorted(rows, key=lambda row: (-(row.concern_milli * 1000 // row.minimum_milli), row.product))


def _uncounted(node: Node, figures: dict[str, OnHand]) -> list[ListedGoods]:
    today, after = _today(node), setting(node, StockRules).uncounted_days
    counted = dict(
        node.connection.execute("SELECT product, max(wall_ms) FROM counted_goods GROUP BY product").fetchall()
    )
    rows = []
    for product, one in figures.items():
        last_ms = counted.get(product)
        if last_ms is None:
            if one.value:
                rows.append(_row(node, one, one.value))
            continue
        day = local_time(int(last_ms), node.config.time_zone).date()
        days = (today - day).days
        if days > after:
            rows.append(_row(node, one, one.value, date=day.isoformat(), days=days))
    return sorted(rows, key=lambda row: (row.date, -row.on_hand_milli, row.product))
