"""The chain at a glance, as data: locations with their nodes, today's takings, and what needs someone's attention."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from hub.activity import HOUR_MS, QUARTER_MS
from hub.registry import NodeListed, list_nodes
from hub.store import HubStore
from hub.summaries import LocationSummary, read_summaries
from schema.database import Connection
from schema.identity import LocationId, location_scope
from schema.kinds.organisation import LocationDefined, OrganisationFounded

ONLINE_MS: Final = 5 * 60_000
"""A node that spoke within this time is online: agents speak every half minute."""
CLOCK_MS_MAX: Final = 60_000
CACHE_FRESH_MS: Final = 3 * 86_400_000
CACHE_OLD_MS: Final = 30 * 86_400_000
SILENT_MS_MAX: Final = 3_600_000
FEATURES: Final = (
    ("sign_ins", ("sign_in.recorded",)),
    ("sales", ("sale.completed",)),
    ("refunds", ("refund.completed",)),
    ("counts", ("count.recorded",)),
    ("receipts", ("stock.received", "transfer.received")),
    ("transfers", ("transfer.dispatched",)),
    ("adjustments", ("stock.adjusted", "stock.repacked")),
    ("parked", ("basket.parked",)),
    ("shifts", ("shift.opened", "shift.closed")),
)
"""What a shop may be seen to use, by the kinds of entries that it leaves."""


class NodeGlance(NamedTuple):
    """A node with what matters of it now; spans are in ms, None where nothing is known."""

    listed: NodeListed
    silent_ms: int | None
    waiting: int | None
    bound_ms: int | None
    cache_ms: int | None
    printer: str
    papers: int

    @property
    def is_online(self) -> bool:
        """Tell whether it spoke just now."""
        return self.silent_ms is not None and self.silent_ms <= ONLINE_MS

    @property
    def cache(self) -> str:
        """Name the age of what the node knows from elsewhere."""
        if self.cache_ms is None:
            return "never"
        if self.cache_ms <= CACHE_FRESH_MS:
            return "fresh"
        return "ageing" if self.cache_ms <= CACHE_OLD_MS else "old"

    @property
    def has_wrong_clock(self) -> bool:
        """Tell whether the clock was measured to be off by more than a minute."""
        return self.listed.offset_ms is not None and abs(self.listed.offset_ms) > CLOCK_MS_MAX

    @property
    def troubles(self) -> list[str]:
        """Return what needs attention, as ids of texts."""
        found = []
        if self.silent_ms is None:
            found.append("trouble.never_heard")
        elif self.silent_ms > SILENT_MS_MAX:
            found.append("trouble.silent")
        if self.has_wrong_clock:
            found.append("trouble.clock")
        if self.cache == "old":
            found.append("trouble.cache")
        if self.printer not in {"", "ok"}:
            found.append("trouble.printer")
        return found


class LocationGlance(NamedTuple):
    """A location with its nodes and figures; `uses` counts today's entries by feature."""

    code: str
    name: str
    type: str
    nodes: tuple[NodeGlance, ...]
    open_conflicts: int
    sales: int
    total_minor: int
    uses: Mapping[str, int]
    summary: LocationSummary | None

    @property
    def waiting(self) -> int:
        """Entries that its nodes said were waiting."""
        return sum(node.waiting or 0 for node in self.nodes)


class Day(NamedTuple):
    """A trading day: from its cut to the next, in ms, with the date that it is called by."""

    date: datetime.date
    first_ms: int
    last_ms: int


def trading_day(now_ms: int, zone: ZoneInfo, cut_hour: int) -> Day:
    """Return the trading day of a moment: it begins at the organisation's day-cut hour."""
    now = datetime.datetime.fromtimestamp(now_ms / 1000, zone)
    date = (now - datetime.timedelta(hours=cut_hour)).date()
    begin = datetime.datetime.combine(date, datetime.time(cut_hour), zone)
    end = datetime.datetime.combine(date + datetime.timedelta(days=1), datetime.time(cut_hour), zone)
    return Day(date, int(begin.timestamp() * 1000), int(end.timestamp() * 1000))


class Overview(NamedTuple):
    """The chain now. `hours` are (hour of the day, takings), up to the current hour; all of what `seen` allows."""

    day: Day
    locations: tuple[LocationGlance, ...]
    hours: tuple[tuple[int, int], ...]
    open_conflicts: int

    @property
    def nodes(self) -> list[NodeGlance]:
        """Every node that has not left."""
        return [node for location in self.locations for node in location.nodes]

    @property
    def sales(self) -> int:
        """Sales of today."""
        return sum(location.sales for location in self.locations)

    @property
    def total_minor(self) -> int:
        """Takings of today, refunds taken off."""
        return sum(location.total_minor for location in self.locations)

    @property
    def stock_value_minor(self) -> int:
        """Stock at last received cost, of what has one."""
        return sum(one.summary.stock_value_minor for one in self.locations if one.summary is not None)

    @property
    def uncosted(self) -> int:
        """Products in stock, by location, that were never received at a cost."""
        return sum(one.summary.uncosted for one in self.locations if one.summary is not None)


def read_overview(store: HubStore, now_ms: int, zone: ZoneInfo, seen: Collection[str] | None) -> Overview:
    """Read the overview of the locations that may be seen (None: all)."""
    with store.snapshot() as replica:
        connection = replica.connection
        founded = replica.organisation.newest(connection, OrganisationFounded, "")
        day = trading_day(now_ms, zone, founded.day_cut_hour if founded else 0)
        defined = replica.organisation.newest_each(connection, LocationDefined)
        numbers = {
            code: number
            for code in defined
            if (seen is None or code in seen)
            and (number := replica.log.scope_no(location_scope(LocationId(code)))) is not None
        }
        nodes: dict[str, list[NodeGlance]] = {}
        for listed in list_nodes(replica):
            if not listed.is_revoked:
                nodes.setdefault(listed.location, []).append(glance(listed, now_ms))
        shown = None if seen is None else sorted(numbers.values())
        taken = _taken(connection, day, shown)
        hours = _hours(connection, day, shown, zone)
        conflicts = dict(
            connection.execute("SELECT scope_no, count(*) FROM inbox WHERE state = 'OPEN' GROUP BY scope_no").fetchall()
        )
        uses = _uses(connection, day)
        summaries = read_summaries(connection)
    glances = tuple(
        LocationGlance(
            code,
            defined[code].name,
            defined[code].type,
            tuple(nodes.get(code, ())),
            int(conflicts.get(number, 0)),
            *taken.get(number, (0, 0)),
            uses.get(number, {}),
            summaries.get(number),
        )
        for code, number in sorted(numbers.items())
    )
    return Overview(day, glances, _by_hour(hours, day, now_ms, zone), sum(one.open_conflicts for one in glances))


def glance(listed: NodeListed, now_ms: int) -> NodeGlance:
    """Return a node with what its last contact and its own words amount to now."""
    told = listed.status
    silent_ms = None if listed.last_ms is None else max(0, now_ms - listed.last_ms)
    exchange_ms = _number(told.get("exchange_ms"))
    # A node whose sessions never complete has spoken but not learnt: then its own words count.
    cache_ms = silent_ms if exchange_ms is None else max(0, now_ms - exchange_ms)
    return NodeGlance(
        listed, silent_ms, _number(told.get("waiting")), _number(told.get("bound_ms")), cache_ms,
        told.get("printer", ""), _number(told.get("papers")) or 0,
    )  # fmt: skip


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) <= 16 else None


def _among(shown: Sequence[int] | None) -> tuple[str, Sequence[int]]:
    return ("", ()) if shown is None else (f" AND scope_no IN ({', '.join('?' * len(shown)) or 'NULL'})", shown)


def _taken(connection: Connection, day: Day, shown: Sequence[int] | None) -> dict[int, tuple[int, int]]:
    """Return (sales, takings) of the day by location."""
    among, numbers = _among(shown)
    rows = connection.execute(
        "SELECT scope_no, sum(sales), sum(total_minor) FROM sales_quarter WHERE quarter_no >= ? AND quarter_no < ?"
        f"{among} GROUP BY scope_no",
        (day.first_ms // QUARTER_MS, day.last_ms // QUARTER_MS, *numbers),
    ).fetchall()
    return {int(scope_no): (int(sales), int(total)) for scope_no, sales, total in rows}


def _hours(connection: Connection, day: Day, shown: Sequence[int] | None, zone: ZoneInfo) -> dict[int, int]:
    """Return the day's takings by the hour of the zone's clock."""
    among, numbers = _among(shown)
    rows = connection.execute(
        "SELECT quarter_no, sum(total_minor) FROM sales_quarter WHERE quarter_no >= ? AND quarter_no < ?"
        f"{among} GROUP BY quarter_no",
        (day.first_ms // QUARTER_MS, day.last_ms // QUARTER_MS, *numbers),
    ).fetchall()
    hours: dict[int, int] = {}
    for quarter, total in rows:
        hour = datetime.datetime.fromtimestamp(int(quarter) * QUARTER_MS / 1000, zone).hour
        hours[hour] = hours.get(hour, 0) + int(total)
    return hours


def _uses(connection: Connection, day: Day) -> dict[int, dict[str, int]]:
    feature_of = {kind: feature for feature, kinds in FEATURES for kind in kinds}
    found: dict[int, dict[str, int]] = {}
    for scope_no, kind, entries in connection.execute(
        "SELECT scope_no, kind, sum(entries) FROM use_hour WHERE hour_no >= ? AND hour_no < ? GROUP BY scope_no, kind",
        (day.first_ms // HOUR_MS, -(-day.last_ms // HOUR_MS)),
    ).fetchall():
        feature = feature_of.get(kind)
        if feature is not None:
            uses = found.setdefault(int(scope_no), {})
            uses[feature] = uses.get(feature, 0) + int(entries)
    return found


def _by_hour(hours: Mapping[int, int], day: Day, now_ms: int, zone: ZoneInfo) -> tuple[tuple[int, int], ...]:
    """Return the hours from the first with takings (at the latest 8) to the current one, in the day's order."""
    first = datetime.datetime.fromtimestamp(day.first_ms / 1000, zone).hour
    order = [(first + step) % 24 for step in range(24)]
    current = datetime.datetime.fromtimestamp(min(now_ms, day.last_ms - 1) / 1000, zone).hour
    reached = order[: order.index(current) + 1]
    begin = next((place for place, hour in enumerate(reached) if hour in hours or hour == 8), max(0, len(reached) - 1))
    return tuple((hour, hours.get(hour, 0)) for hour in reached[begin:])
