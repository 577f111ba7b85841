"""Stock figures of all locations, and for each the answer to "why is it 7?" with the way it came to be."""

from __future__ import annotations

import datetime

from hub.accounts import Right
from hub.overview import trading_day
from hub.pages.charts import bars, lines
from hub.pages.inbox import names_of, sentence_of
from hub.pages.timeline import reason_words
from hub.pages.visits import Answer, Routes, Visit
from hub.product_index import categories
from hub.stock_list import KINDS, list_stock
from hub.why import Trail, Why, explain_product
from schema.amounts import format_quantity
from schema.errors import RefusalError
from schema.identity import LocationId, location_scope

routes = Routes()
DAYS_SHOWN = 31


@routes.get("/stock", Right.READ)
def stock(visit: Visit) -> Answer:
    """List stock figures."""
    page, query = visit.paging(), visit.query
    location = query.text("location")
    wanted = [location] if location else list(visit.locations)
    with visit.read() as replica:
        numbers = [
            number for code in wanted if (number := replica.log.scope_no(location_scope(LocationId(code)))) is not None
        ]
        rows = list_stock(
            replica.connection,
            numbers,
            text=query.text("search"),
            category=query.text("category"),
            kind=query.choice("kind", KINDS),
            offset=page.offset,
            limit=page.size + 1,
        )
        known = [one.category for one in categories(replica.connection)]
    return visit.render("stock.html", rows=page.cut(rows), page=page, categories=known, kinds=KINDS)


@routes.get("/stock/{location:str}/{product:str}", Right.READ)
def why(visit: Visit) -> Answer:
    """Say why a figure is what it is."""
    location, product = visit.params["location"], visit.params["product"]
    if location not in visit.locations:
        raise RefusalError("location_unknown", f"there is no location {location!r}")
    told = explain_product(visit.hub.store, location, product, visit.now_ms)
    operators = {operator for count in told.explanation.counts for operator in count.operators}
    with visit.read() as replica:
        names = names_of(replica, operators)
    return visit.render(
        "why.html",
        why=told.explanation,
        names=names,
        history=_history(visit, told),
        sold=_sold(visit, told.trail),
        reason_words=lambda reason: reason_words(visit.t, reason),
        sentence=lambda one: sentence_of(
            visit.t, one.code, one.status, told.explanation.name, one.subject, len(one.references)
        ),
    )


def _history(visit: Visit, told: Why) -> object:
    trail = told.trail
    if trail is None or len(trail.points) < 2:
        return ""
    last_ms = trail.points[-1][0]
    first_ms = max(trail.points[0][0], last_ms - DAYS_SHOWN * 86_400_000)
    earlier = [point for point in trail.points if point[0] < first_ms]
    points = [*([(first_ms, earlier[-1][1])] if earlier else []), *(p for p in trail.points if p[0] >= first_ms)]
    span_ms = last_ms - first_ms
    explanation = told.explanation
    counted = [
        (at_ms, quantity, "count", visit.t("why.counted", quantity=format_quantity(quantity)))
        for at_ms, quantity in trail.counts
        if at_ms >= first_ms
    ]
    doubts = [
        (one.wall_ms, explanation.value, "doubt", visit.t("why.doubt_at", quantity=format_quantity(one.quantity)))
        for one in explanation.doubtful
        if one.wall_ms >= first_ms
    ]
    band = []
    if explanation.lo != explanation.hi:
        since = min((at_ms for at_ms, *_ in doubts), default=counted[-1][0] if counted else first_ms)
        band = [(since, explanation.lo, explanation.hi), (last_ms, explanation.lo, explanation.hi)]

    def write_x(ms: int) -> str:
        moment = datetime.datetime.fromtimestamp(ms / 1000, visit.zone)
        return f"{moment:%m-%d}" if span_ms > 3 * 86_400_000 else f"{moment:%m-%d %H:%M}"

    return lines(
        [(visit.t("why.book"), points)],
        title=visit.t("why.history"),
        write=format_quantity,
        write_x=write_x,
        bands=band,
        marks=[*counted, *doubts],
        is_stepped=True,
    )


def _sold(visit: Visit, trail: Trail | None) -> object:
    if trail is None or not trail.sold:
        return ""
    today = trading_day(visit.now_ms, visit.zone, 0).date
    by_day = {
        datetime.datetime.fromtimestamp(day * 86_400 + 43_200, datetime.UTC).date(): quantity
        for day, quantity in trail.sold
    }
    days = [today - datetime.timedelta(days=back) for back in range(DAYS_SHOWN - 1, -1, -1)]
    if not any(day in by_day for day in days):
        return ""
    return bars(
        [(f"{day:%m-%d}", by_day.get(day, 0)) for day in days],
        title=visit.t("why.sold_by_day"),
        write=format_quantity,
        height=130,
        every=5,
        now=len(days) - 1,
    )
