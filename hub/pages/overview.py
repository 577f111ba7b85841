"""The overview: how the chain is doing right now, by location and node; it brings itself up to date."""

from __future__ import annotations

from hub.accounts import Right
from hub.overview import FEATURES, read_overview
from hub.pages.charts import bars
from hub.pages.visits import Answer, Routes, Visit

routes = Routes()
LOCATIONS_PER_PAGE = 25
TROUBLES_MAX = 8


@routes.get("/", Right.READ)
def overview(visit: Visit) -> Answer:
    """Show every location and node at a glance."""
    now = read_overview(visit.hub.store, visit.now_ms, visit.zone, visit.account.locations)
    page = visit.paging(LOCATIONS_PER_PAGE)
    page.count = len(now.locations)
    shown = page.cut(now.locations[page.offset : page.offset + page.size + 1])
    troubled = [
        (location, node, node.troubles) for location in now.locations for node in location.nodes if node.troubles
    ]
    troubled.sort(key=lambda one: (-len(one[2]), -(one[1].silent_ms or 0)))
    chart = bars(
        [(f"{hour:02d}", total) for hour, total in now.hours],
        title=visit.t("overview.by_hour"),
        write=visit.money_plain,
        now=len(now.hours) - 1,
    )
    return visit.render(
        "overview.html",
        now=now,
        shown=shown,
        page=page,
        chart=chart,
        troubled=troubled[:TROUBLES_MAX],
        troubled_count=len(troubled),
        online=sum(node.is_online for node in now.nodes),
        features=[feature for feature, _ in FEATURES],
    )
