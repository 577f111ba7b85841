"""What to count: by category, all that the book holds, what the hub asks for, and the day's cycle count (ABC)."""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.asked_counts import asked_counts
from edge.catalog import product_of
from edge.counting import count_sessions
from edge.node import Node
from edge.settings import setting
from edge.stock_values import Worths
from schema.catalogue import category_of
from schema.rules.cycle_counts import Moved, Proposed, propose_counts
from schema.settings import CountRules
from sync.key_state import KeyState

DAY_MS: Final = 86_400_000
MOVED_DAYS: Final = 30
WEIGHED_UP_MAX: Final = 2_000
"""So many goods at most are valued for a proposal: those that moved most for the time since they were counted."""


class CountCategory(NamedTuple):
    """A category of the catalogue with how many goods of it can be counted."""

    category: str
    products: int


def count_categories(node: Node) -> list[CountCategory]:
    """Return the categories that have goods to count."""
    found: dict[str, int] = {}
    for category, codes in _by_category(node).items():
        goods = _countable(node, codes)
        if goods:
            found[category] = len(goods)
    return [CountCategory(category, number) for category, number in sorted(found.items())]


def products_of_category(node: Node, category: str) -> tuple[str, ...]:
    """Return the goods of a category that can be counted: active ones that are no kits."""
    return _countable(node, _by_category(node).get(category, []))


def _by_category(node: Node) -> dict[str, list[str]]:
    rows = node.connection.execute(
        "SELECT document, record FROM record WHERE document >= 'products/' AND document < 'products0' ORDER BY record"
    ).fetchall()
    found: dict[str, list[str]] = {}
    for document, code in rows:
        category = category_of(document)
        if category is not None:
            found.setdefault(category, []).append(str(code))
    return found


def _countable(node: Node, codes: list[str]) -> tuple[str, ...]:
    known = ((code, product_of(node, code)) for code in codes)
    return tuple(
        code for code, found in known if found is not None and found.product.is_active and not found.product.parts
    )


def products_on_book(node: Node) -> tuple[str, ...]:
    """Return the goods of which the book holds any, or owes some."""
    rows = node.connection.execute(
        "SELECT product FROM stock WHERE scope_no = ? AND is_present = 1 AND value <> 0 ORDER BY product",
        (node.replica.log.scope_no(node.config.scope),),
    ).fetchall()
    return tuple(str(product) for (product,) in rows)


def products_asked(node: Node) -> tuple[str, ...]:
    """Return the goods that the hub asks to be counted again, the longest waiting first."""
    return tuple(dict.fromkeys(one.product for one in asked_counts(node)))


def known_zones(node: Node) -> tuple[str, ...]:
    """Return the zones of the last count by zones, as a proposal for the next."""
    for one in reversed(count_sessions(node, with_closed=True)):
        if one.zones:
            return one.zones
    return ()


def cycle_count(node: Node, limit: int | None = None) -> list[Proposed]:
    """Propose the goods to be counted today, the most urgent first; products of open counts are left out."""
    wanted = setting(node, CountRules).cycle_products if limit is None else limit
    planned = {product for one in count_sessions(node) for product in one.products}
    with node.store.reading() as connection:
        scope_no = node.replica.log.scope_no(node.config.scope)
        if scope_no is None:
            return []
        now_ms = node.clock_source().wall_ms
        rows = connection.execute(
            "SELECT product, key_no, state FROM stock WHERE scope_no = ? AND is_present = 1", (scope_no,)
        ).fetchall()
        moved = _moved(node, scope_no, now_ms - MOVED_DAYS * DAY_MS)
        goods = [
            Moved(product, 0, moved.get(key_no, 0), None if state is None else _days(bytes(state), now_ms))
            for product, key_no, state in rows
            if product not in planned
        ]
        if len(goods) > WEIGHED_UP_MAX:
            never = 365
            goods.sort(
                key=lambda one: (-(one.moved_milli + 1) * (never if one.days is None else one.days), one.product)
            )
            goods = goods[:WEIGHED_UP_MAX]
        worths = Worths(node)
        valued = [
            one._replace(value_minor=worth.minor) if (worth := worths.of(one.product)) is not None else one
            for one in goods
        ]
    return propose_counts(valued, wanted)


def _days(state: bytes, now_ms: int) -> int | None:
    """Return the days since the last look that a figure rests on; None where it was never counted."""
    looks = [line.hi for base in KeyState.from_bytes(state).bases for line in base.observation.lines]
    return max(0, now_ms - max(looks)) // DAY_MS if looks else None


def _moved(node: Node, scope_no: int, since_ms: int) -> dict[int, int]:
    """Return what left the shelf since a moment, by key, as positive quantities."""
    found: dict[int, int] = {}
    for row in node.replica.log.streams(node.config.scope):
        low, high = row.base.seq, row.head.seq  # the first entry of the time is sought by halving
        while low < high:
            middle = (low + high + 1) // 2
            entry = node.replica.log.entry_at(row, middle)
            if entry is None or entry.body.wall_ms < since_ms:
                low = middle
            else:
                high = middle - 1
        rows = node.connection.execute(
            "SELECT key_no, -sum(quantity) FROM movement WHERE scope_no = ? AND stream_no = ? AND seq > ?"
            " AND quantity < 0 GROUP BY key_no",
            (scope_no, row.stream_no, low),
        ).fetchall()
        for key_no, quantity in rows:
            found[key_no] = found.get(key_no, 0) + int(quantity)
    return found
