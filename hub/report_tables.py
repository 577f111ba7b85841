"""The reports as tables: takings by what one asks for, products, tenders, drawers, shrinkage, what runs out or lies.

A report is a title's worth of columns and rows that a page, a CSV and a workbook share. Margins and values rest on
the last cost at which goods came in: an estimate, and labelled so.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from hub.activity import EVERYWHERE, QUARTER_MS
from hub.takings import DAY_MS
from schema.database import Connection
from schema.errors import RefusalError
from schema.identity import LocationId, location_scope

ROWS_MAX: Final = 5_000
SLOW_DAYS: Final = 30


class Column(NamedTuple):
    """A column: its text's id ends in `name`; `kind` is text, money, quantity, count or share (per million)."""

    name: str
    kind: str = "text"


class Question(NamedTuple):
    """What is asked: trading days from first to last (ISO dates), and the locations that may be seen."""

    first: str
    last: str
    locations: Sequence[str]
    """Codes; every location that the asker sees where none is chosen."""
    zone: ZoneInfo
    by: str = "day"


class Report(NamedTuple):
    """A report's answer."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[object]]
    is_cut: bool = False
    """More rows exist than a report shows."""


def _scopes(connection: Connection, question: Question) -> dict[int, str]:
    wanted = {location_scope(LocationId(code)): code for code in question.locations}
    rows = connection.execute("SELECT scope_no, scope FROM scope").fetchall()
    return {int(no): wanted[scope] for no, scope in rows if scope in wanted}


def _marks(scopes: Mapping[int, str]) -> str:
    return ", ".join("?" * len(scopes)) or "NULL"


def sales(connection: Connection, question: Question) -> Report:
    """Takings by day, location, operator, category, product or hour."""
    by = {
        "day": _by_takings("business_date"), "location": _by_takings("scope_no"), "operator": _by_takings("operator"),
        "product": _by_product, "category": _by_product, "hour": _by_hour,
    }.get(question.by)  # fmt: skip
    if by is None:
        raise RefusalError("report_unknown", f"takings are not summed by {question.by!r}")
    return by(connection, question)


def _by_takings(column: str) -> Callable[[Connection, Question], Report]:
    def report(connection: Connection, question: Question) -> Report:
        scopes = _scopes(connection, question)
        rows = connection.execute(
            f"SELECT {column}, sum(sales), sum(refunds), sum(total_minor), sum(refunded_minor), sum(discount_minor),"
            f" sum(rounding_minor) FROM takings_day WHERE scope_no IN ({_marks(scopes)})"
            f" AND business_date BETWEEN ? AND ? GROUP BY {column} ORDER BY {column} LIMIT {ROWS_MAX + 1}",
            (*scopes, question.first, question.last),
        ).fetchall()
        named = [
            (scopes[int(key)] if column == "scope_no" else str(key), int(count), int(back), int(total) - int(refunded),
             int(discount), int(rounding), (int(total) - int(refunded)) // int(count) if int(count) else 0)
            for key, count, back, total, refunded, discount, rounding in rows
        ]  # fmt: skip
        columns = [
            Column(question.by), Column("sales", "count"), Column("refunds", "count"), Column("net", "money"),
            Column("discount", "money"), Column("rounding", "money"), Column("average", "money"),
        ]  # fmt: skip
        return Report(columns, named[:ROWS_MAX], len(named) > ROWS_MAX)

    return report


def _by_product(connection: Connection, question: Question) -> Report:
    scopes = _scopes(connection, question)
    is_category = question.by == "category"
    key = "coalesce(i.category, '?')" if is_category else "p.product"
    name = "" if is_category else ", max(coalesce(i.name, p.product))"
    rows = connection.execute(
        f"SELECT {key}, sum(p.quantity_milli), sum(p.amount_minor),"
        f" sum(p.quantity_milli * coalesce(c.cost_minor, 0)),"
        f" sum(CASE WHEN c.cost_minor IS NULL THEN p.amount_minor ELSE 0 END){name}"
        " FROM product_day p LEFT JOIN (SELECT product, min(category) AS category, min(name) AS name FROM product_index"
        " GROUP BY product) i ON i.product = p.product"
        " LEFT JOIN last_cost c ON c.product = p.product AND c.scope_no = ?"
        f" WHERE p.scope_no IN ({_marks(scopes)}) AND p.business_date BETWEEN ? AND ?"
        f" GROUP BY {key} ORDER BY sum(p.amount_minor) DESC, {key} LIMIT {ROWS_MAX + 1}",
        (EVERYWHERE, *scopes, question.first, question.last),
    ).fetchall()
    table: list[Sequence[object]] = []
    for row in rows:
        amount, cost, uncosted = int(row[2]), int(row[3]) // 1000, int(row[4])
        margin = amount - uncosted - cost
        share = margin * 1_000_000 // (amount - uncosted) if amount > uncosted else None
        names = [str(row[0])] if is_category else [str(row[0]), str(row[5])]
        table.append([*names, int(row[1]), amount, margin if amount > uncosted else None, share])
    columns = [Column("category")] if is_category else [Column("product"), Column("name")]
    columns += [Column("quantity", "quantity"), Column("net", "money"), Column("margin", "money"),
                Column("margin_share", "share")]  # fmt: skip
    return Report(columns, table[:ROWS_MAX], len(table) > ROWS_MAX)


def _by_hour(connection: Connection, question: Question) -> Report:
    scopes = _scopes(connection, question)
    rows = connection.execute(
        f"SELECT quarter_no, sum(sales), sum(total_minor) FROM sales_quarter WHERE scope_no IN ({_marks(scopes)})"
        " AND quarter_no >= ? AND quarter_no < ? GROUP BY quarter_no",
        (*scopes, (_ms(question.first) - DAY_MS) // QUARTER_MS, (_ms(question.last) + 2 * DAY_MS) // QUARTER_MS),
    ).fetchall()
    hours: dict[int, list[int]] = {}
    for quarter_no, count, total in rows:
        local = datetime.datetime.fromtimestamp(int(quarter_no) * QUARTER_MS / 1000, question.zone)
        if question.first <= local.date().isoformat() <= question.last:
            sums = hours.setdefault(local.hour, [0, 0])
            sums[0] += int(count)
            sums[1] += int(total)
    table = [(f"{hour:02d}:00", *hours[hour]) for hour in sorted(hours)]
    return Report([Column("hour"), Column("sales", "count"), Column("net", "money")], table)


def tenders(connection: Connection, question: Question) -> Report:
    """What was paid by which means, what of it is confirmed, and what is not."""
    scopes = _scopes(connection, question)
    rows = connection.execute(
        "SELECT business_date, scope_no, means, state, sum(tenders), sum(amount_minor) FROM tender_day"
        f" WHERE scope_no IN ({_marks(scopes)}) AND business_date BETWEEN ? AND ?"
        " GROUP BY business_date, scope_no, means, state ORDER BY business_date DESC, scope_no, means, state"
        f" LIMIT {ROWS_MAX + 1}",
        (*scopes, question.first, question.last),
    ).fetchall()
    table = [(str(r[0]), scopes[int(r[1])], str(r[2]), str(r[3]), int(r[4]), int(r[5])) for r in rows]
    columns = [Column("day"), Column("location"), Column("means"), Column("state"), Column("count", "count"),
               Column("net", "money")]  # fmt: skip
    return Report(columns, table[:ROWS_MAX], len(table) > ROWS_MAX)


def drawers(connection: Connection, question: Question) -> Report:
    """Counted drawers with what was expected in them: cash variance by shift and person."""
    scopes = _scopes(connection, question)
    # A shift's name is till, date and number: its date is the trading day that it was opened on.
    rows = connection.execute(
        "SELECT scope_no, shift, operator, counted_minor, expected_minor FROM shift_count"
        f" WHERE scope_no IN ({_marks(scopes)}) AND at_ms >= ? AND at_ms < ? ORDER BY at_ms DESC, scope_no, seq"
        f" LIMIT {ROWS_MAX + 1}",
        (*scopes, _ms(question.first), _ms(question.last) + 2 * DAY_MS),
    ).fetchall()
    table = [
        (scopes[int(r[0])], str(r[1]), str(r[2]), int(r[4]), int(r[3]), int(r[3]) - int(r[4])) for r in rows
    ]  # fmt: skip
    columns = [Column("location"), Column("shift"), Column("operator"), Column("expected", "money"),
               Column("counted", "money"), Column("variance", "money")]  # fmt: skip
    return Report(columns, table[:ROWS_MAX], len(table) > ROWS_MAX)


def settlements(connection: Connection, question: Question) -> Report:
    """Vans' settlements: what each sold and collected, what is missing at selling prices, and its cash."""
    scopes = _scopes(connection, question)
    rows = connection.execute(
        "SELECT business_date, scope_no, settlement, operator, sales, sold_minor, collected_minor, missing_minor,"
        f" cash_expected_minor, cash_counted_minor FROM van_settlement WHERE scope_no IN ({_marks(scopes)})"
        " AND business_date BETWEEN ? AND ? ORDER BY business_date DESC, scope_no, at_ms DESC, seq"
        f" LIMIT {ROWS_MAX + 1}",
        (*scopes, question.first, question.last),
    ).fetchall()
    table = [
        (str(r[0]), scopes[int(r[1])], str(r[2]), str(r[3]), int(r[4]), int(r[5]), int(r[6]), int(r[7]), int(r[8]),
         int(r[9]), int(r[9]) - int(r[8]))
        for r in rows
    ]  # fmt: skip
    columns = [Column("day"), Column("location"), Column("settlement"), Column("operator"), Column("sales", "count"),
               Column("net", "money"), Column("collected", "money"), Column("missing", "money"),
               Column("expected", "money"), Column("counted", "money"), Column("variance", "money")]  # fmt: skip
    return Report(columns, table[:ROWS_MAX], len(table) > ROWS_MAX)


def missing(connection: Connection, question: Question) -> Report:
    """What vans' settlements found missing (or too much), by product, at selling prices."""
    scopes = _scopes(connection, question)
    rows = connection.execute(
        "SELECT v.business_date, v.scope_no, v.settlement, d.product, coalesce(i.name, d.product),"
        " d.difference_milli, d.value_minor FROM van_difference d JOIN van_settlement v ON v.scope_no = d.scope_no"
        " AND v.stream_no = d.stream_no AND v.seq = d.seq"
        " LEFT JOIN (SELECT product, min(name) AS name FROM product_index GROUP BY product) i ON i.product = d.product"
        f" WHERE v.scope_no IN ({_marks(scopes)}) AND v.business_date BETWEEN ? AND ?"
        f" ORDER BY d.value_minor DESC, v.business_date DESC, d.product LIMIT {ROWS_MAX + 1}",
        (*scopes, question.first, question.last),
    ).fetchall()
    table = [
        (str(r[0]), scopes[int(r[1])], str(r[2]), str(r[3]), str(r[4]), int(r[5]), int(r[6])) for r in rows
    ]  # fmt: skip
    columns = [Column("day"), Column("location"), Column("settlement"), Column("product"), Column("name"),
               Column("quantity", "quantity"), Column("value", "money")]  # fmt: skip
    return Report(columns, table[:ROWS_MAX], len(table) > ROWS_MAX)


def _ms(date: str) -> int:
    return (datetime.date.fromisoformat(date) - datetime.date(1970, 1, 1)).days * DAY_MS


def shrinkage(connection: Connection, question: Question) -> Report:
    """Goods written off or found, by reason and product, valued at their last cost (an estimate)."""
    scopes = _scopes(connection, question)
    rows = connection.execute(
        "SELECT a.scope_no, a.reason, a.product, max(coalesce(i.name, a.product)), sum(a.quantity_milli),"
        " sum(a.quantity_milli * coalesce(c.cost_minor, 0)) FROM adjustment_day a"
        " LEFT JOIN product_index i ON i.product = a.product"
        " LEFT JOIN last_cost c ON c.product = a.product AND c.scope_no = ?"
        f" WHERE a.scope_no IN ({_marks(scopes)}) AND a.day_no BETWEEN ? AND ?"
        " GROUP BY a.scope_no, a.reason, a.product ORDER BY 6, a.scope_no, a.reason, a.product"
        f" LIMIT {ROWS_MAX + 1}",
        (EVERYWHERE, *scopes, _ms(question.first) // DAY_MS - 1, _ms(question.last) // DAY_MS + 1),
    ).fetchall()
    table = [
        (scopes[int(r[0])], str(r[1]), str(r[2]), str(r[3]), int(r[4]), int(r[5]) // 1000) for r in rows
    ]  # fmt: skip
    columns = [Column("location"), Column("reason"), Column("product"), Column("name"),
               Column("quantity", "quantity"), Column("value", "money")]  # fmt: skip
    return Report(columns, table[:ROWS_MAX], len(table) > ROWS_MAX)


def stock(connection: Connection, question: Question) -> Report:
    """What lies where, at its last cost: what ran out stands first, then what has not been sold for long."""
    scopes = _scopes(connection, question)
    since = (datetime.date.fromisoformat(question.last) - datetime.timedelta(days=SLOW_DAYS)).isoformat()
    rows = connection.execute(
        "SELECT s.scope_no, s.product, coalesce(i.name, s.product), s.value, coalesce(c.cost_minor, 0),"
        " coalesce((SELECT sum(p.quantity_milli) FROM product_day p WHERE p.scope_no = s.scope_no"
        " AND p.product = s.product AND p.business_date BETWEEN ? AND ?), 0) AS sold"
        " FROM stock s LEFT JOIN (SELECT product, min(name) AS name FROM product_index GROUP BY product) i"
        " ON i.product = s.product LEFT JOIN last_cost c ON c.product = s.product AND c.scope_no = ?"
        f" WHERE s.is_present = 1 AND s.scope_no IN ({_marks(scopes)})"
        f" ORDER BY CASE WHEN s.value <= 0 THEN 0 ELSE 1 END, sold, s.product LIMIT {ROWS_MAX + 1}",
        (since, question.last, EVERYWHERE, *scopes),
    ).fetchall()
    table = [
        (scopes[int(r[0])], str(r[1]), str(r[2]), int(r[3]), int(r[5]), int(r[3]) * int(r[4]) // 1000,
         "out" if int(r[3]) <= 0 else "slow" if int(r[5]) <= 0 else "")
        for r in rows
    ]  # fmt: skip
    columns = [Column("location"), Column("product"), Column("name"), Column("on_hand", "quantity"),
               Column("sold", "quantity"), Column("value", "money"), Column("note")]  # fmt: skip
    return Report(columns, table[:ROWS_MAX], len(table) > ROWS_MAX)


REPORTS: Final[Mapping[str, Callable[[Connection, Question], Report]]] = {
    "sales": sales, "tenders": tenders, "drawers": drawers, "shrinkage": shrinkage, "stock": stock,
    "settlements": settlements, "missing": missing,
}  # fmt: skip
SALES_BY: Final = ("day", "hour", "location", "operator", "category", "product")
