"""The desk's figures: pages over a large chain, a product that moved much, and a rule replayed over 30 days.

Server time is what the hub spends from a request's first byte to its answer's last, asked over the loopback by one
browser's worth of requests; the chains are made once for each figure in a temporary folder.
"""

from __future__ import annotations

import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from hub.enrolment import Profile, grants_of
from hub.importing import append_rows
from hub.rule_replay import replay_policy
from hub.service import Hub, init_hub, open_hub, serving
from hub.summaries import refresh_summaries
from hub.why import explain_product
from schema.identity import ORG, LocationId, ProductId, Scope, Stream, location_scope, node_id
from schema.kinds.base import Payload, StockMove
from schema.kinds.counting import CountRecorded, Look
from schema.kinds.organisation import AuthorityGranted, LocationDefined, PolicySet
from schema.kinds.stock import GoodsReceived
from schema.kinds.trading import Sale, SaleLine, Tender
from schema.rows import BaseUnit, ProductRow
from schema.rules.tax import TaxClass
from sync.conflicts import Conflict
from sync.replica import Moment, Replica
from sync.stock_facts import ConflictCode, Status
from tests.bench.figure import Figure
from tests.bench.hub_load import database_on, databases
from tests.hub.desk import at_the_desk, make_account

LOCATIONS: Final = 300
NODES: Final = 1_000
ENTRIES: Final = 5_000_000
CONFLICTS: Final = 10_000
PRODUCTS: Final = 500
MOVEMENTS: Final = 100_000
AT_ONCE: Final = 50
"""So many sales are appended together: what is measured is how they are read."""
REPLAY_LOCATIONS: Final = 20
DAY_MS: Final = 86_400_000


@contextmanager
def founded(locations: int, kind: str = "sqlite") -> Iterator[Hub]:
    """Found a chain of so many shops in a temporary folder, on `sqlite` or `postgresql`."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgetill-desk-"))) / "hub"
        places = [LocationDefined(f"L{number:03d}", f"店 {number:03d}", "shop") for number in range(locations)]
        init_hub(directory, name="Bench", locations=places, database=stack.enter_context(database_on(kind)))
        hub = open_hub(directory)
        try:
            yield hub
        finally:
            hub.close()


def add_products(hub: Hub, count: int) -> list[str]:
    """Give the chain products of one category; returns their codes."""
    codes = [f"P{number:05d}" for number in range(count)]
    append_rows(
        hub,
        [
            ProductRow(
                code=ProductId(code), name=f"商品 {code}", category="food", tax_class=TaxClass("13"),
                unit=BaseUnit.PIECE, unit_name="件", price_minor=500,  # type: ignore[arg-type]
            )
            for code in codes
        ],
    )  # fmt: skip
    return codes


def fill_chain(hub: Hub, *, entries: int = ENTRIES) -> None:
    """Make a large chain: real grants and catalogue; log and projections are filled with rows of their usual size."""
    codes = add_products(hub, PRODUCTS)
    now_ms = hub.now_ms()
    with hub.store.transaction(ORG) as replica:
        for number in range(NODES):
            key = secrets.token_bytes(32)
            location = LocationId(f"L{number % LOCATIONS:03d}")
            scopes = grants_of(Profile.TILL, location)
            grant = AuthorityGranted(node_id(key), key, f"till {number}", location, f"T{number}", scopes)
            hub.own_log.append(replica, ORG, grant)
            replica.connection.execute(
                "INSERT INTO node_contact (node, last_ms, offset_ms, offset_unc_ms, release, entries, bytes_in,"
                " bytes_out, status) VALUES (?, ?, ?, 50, '1', 5000, 900000, 90000, ?)",
                (grant.node, now_ms - number * 997, number % 900, '{"waiting":"3","printer":"ok"}'),
            )
    _fill_log(hub, entries)
    _fill_projections(hub, codes, now_ms)
    refresh_summaries(hub.store, now_ms)


def _fill_log(hub: Hub, entries: int) -> None:
    each = entries // NODES
    with hub.store.snapshot() as replica:
        nodes = [grant.node for grant in replica.organisation.all(replica.connection, AuthorityGranted)]
        numbers = {scope: number for scope, number in replica.log.scopes().items() if scope != ORG}
    for start in range(0, NODES, 100):
        with hub.store.transaction(None) as replica:
            for number in range(start, start + 100):
                scope_no = numbers[location_scope(LocationId(f"L{number % LOCATIONS:03d}"))]
                stream_no = number // LOCATIONS + 1
                replica.connection.execute(
                    "INSERT INTO stream (scope_no, stream_no, node, incarnation, head_seq, head_digest, base_digest)"
                    " VALUES (?, ?, ?, 1, ?, ?, ?)",
                    (scope_no, stream_no, nodes[number], each, bytes(32), bytes(32)),
                )
                replica.connection.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                    " INSERT INTO entry (scope_no, stream_no, seq, digest, body)"
                    " SELECT ?, ?, i, ?, ? FROM n",
                    (each, scope_no, stream_no, bytes(32), bytes(300)),
                )


def _fill_projections(hub: Hub, codes: Sequence[str], now_ms: int) -> None:
    luck = random.Random(1)
    with hub.store.transaction(ORG) as replica:
        connection = replica.connection
        numbers = sorted(number for scope, number in replica.log.scopes().items() if scope != ORG)
        connection.executemany(
            "INSERT INTO stock (scope_no, key_no, product, value, lo, hi, is_present) VALUES (?, ?, ?, ?, ?, ?, 1)",
            [(n, k + 1, code, 9_000, 9_000, 9_000) for n in numbers for k, code in enumerate(codes)],
        )
        connection.executemany(
            "INSERT INTO last_cost (scope_no, product, hlc_ms, cost_minor) VALUES (0, ?, 1, 300)",
            [(code,) for code in codes],
        )
        quarter, hour = now_ms // 900_000, now_ms // 3_600_000
        connection.executemany(
            "INSERT INTO sales_quarter (quarter_no, scope_no, sales, refunds, total_minor) VALUES (?, ?, 9, 0, 4500)",
            [(quarter - back, n) for n in numbers for back in range(96 * 7)],
        )
        connection.executemany(
            "INSERT INTO use_hour (hour_no, scope_no, kind, entries) VALUES (?, ?, ?, 7)",
            [
                (hour - back, n, kind)
                for n in numbers
                for back in range(24 * 7)
                for kind in ("sale.completed", "sign_in.recorded", "count.recorded", "stock.received")
            ],
        )
        open_codes = (ConflictCode.COUNT_DISAGREE, ConflictCode.AMBIGUOUS_ORDER, ConflictCode.NEGATIVE_STOCK)
        rows = []
        for number in range(CONFLICTS):
            place, code = number % LOCATIONS, codes[number // LOCATIONS % PRODUCTS]
            one = Conflict(open_codes[number % 3], Status.OPEN, f"L{place:03d}/{code}", ("a.1:1", "b.1:2"), f"{number}")
            rows.append(
                (
                    numbers[place], one.id, one.code.value, "OPEN", code, "food", one.subject,
                    luck.randrange(1, 90_000), now_ms - number * 1000, now_ms - number * 900, 0,
                    msgspec.msgpack.encode(one),
                )
            )  # fmt: skip
        connection.executemany(
            "INSERT INTO inbox (scope_no, conflict, code, state, product, category, subject, stake_minor, raised_ms,"
            " changed_ms, is_reopened, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def timed(work: Callable[[], object], times: int) -> list[float]:
    """Return how long each of some runs took, in ms."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1000)
    return found


def page_times(hub: Hub, paths: Sequence[str], times: int = 60) -> dict[str, list[float]]:
    """Return how long pages took at the desk, in ms, after a first look that fills caches."""
    make_account(hub)
    with serving(hub) as url, at_the_desk(url) as desk:
        found = {}
        for path in paths:
            answer = desk.get(path)
            assert answer.status_code == 200, (path, answer.status_code)
            found[path] = timed(lambda path=path: desk.get(path), times)  # type: ignore[misc]
        return found


PAGES: Final = ("/", "/inbox", "/inbox?location=L007", "/inbox?category=food&stake=10000", "/inbox?search=P00012")


def large_chain_pages(entries: int = ENTRIES, kind: str = "sqlite") -> dict[str, float]:
    """Return the p95 of overview and inbox over a large chain, in ms, by page."""
    with founded(LOCATIONS, kind) as hub:
        fill_chain(hub, entries=entries)
        return {path: p95(values) for path, values in page_times(hub, PAGES).items()}


# A product that moved much.


def _sale(number: str, products: Sequence[str]) -> Sale:
    lines = tuple(
        SaleLine(product, "pc", 1000, 1000, 500, 500, 1000, "list", 500, "13", 1300, operator="o1")
        for product in products
    )
    moves = tuple(StockMove(product, -1000) for product in products)
    total = 500 * len(products)
    return Sale(number, "2026-11-22", "s", "o1", lines, moves, (Tender("cash", total, total),), total)


class Till:
    """Writes as a till would, straight into the hub's log: the bench is about reading."""

    def __init__(self, hub: Hub, location: str, number: int) -> None:
        self.hub = hub
        key = secrets.token_bytes(32)
        self.scope: Scope = location_scope(LocationId(location))
        self.stream = Stream(self.scope, node_id(key), 1)
        with hub.store.transaction(ORG) as replica:
            scopes = grants_of(Profile.TILL, LocationId(location))
            grant = AuthorityGranted(
                self.stream.node, key, f"{location} {number}", location, f"{location}{number}", scopes
            )
            hub.own_log.append(replica, ORG, grant)

    def append(self, replica: Replica, *payloads: Payload, at_ms: int) -> None:
        """Append entries of one moment in the caller's transaction."""
        replica.append_all(self.stream, payloads, Moment(at_ms, 300, 0))

    def count(self, replica: Replica, product: str, quantity: int, at_ms: int) -> None:
        """Count a product as it is held now."""
        basis = tuple(sorted((writer, head.seq) for writer, head in replica.log.heads(self.scope).items()))
        look = Look(quantity, at_ms, at_ms + 30_000, basis, basis)
        self.append(replica, CountRecorded(product, "clerk", "o1", (look,)), at_ms=at_ms + 31_000)


def why_times(movements: int = MOVEMENTS, times: int = 60, kind: str = "sqlite") -> tuple[float, float]:
    """Return p95 of explaining a product with so many movements, in ms, and what the very first asking took."""
    with founded(1, kind) as hub:
        (product,) = add_products(hub, 1)
        tills = [Till(hub, "L000", number) for number in range(3)]
        now_ms = hub.now_ms()
        step = 30 * DAY_MS // movements
        for done in range(0, movements, AT_ONCE):
            at_ms = now_ms - 30 * DAY_MS + done * step
            sales = [_sale(f"N{done + number}", [product]) for number in range(AT_ONCE)]
            with hub.store.transaction(tills[0].scope) as replica:
                tills[done // AT_ONCE % 3].append(replica, *sales, at_ms=at_ms)
                if (done + AT_ONCE) % (movements // 10) == 0:
                    tills[0].count(replica, product, 50_000, at_ms)
        first = timed(lambda: explain_product(hub.store, "L000", product, now_ms), 1)[0]
        values = page_times(hub, [f"/stock/L000/{product}"], times)
        return p95(next(iter(values.values()))), first


def replay_seconds(
    products: int = PRODUCTS, locations: int = REPLAY_LOCATIONS, kind: str = "sqlite"
) -> tuple[float, int, int]:
    """Return how long a rule replay took, in seconds, how many figures it judged, and how many it derived afresh."""
    luck = random.Random(3)
    with founded(locations, kind) as hub:
        codes = add_products(hub, products)
        now_ms = hub.now_ms()
        for place in range(locations):
            tills = [Till(hub, f"L{place:03d}", number) for number in range(2)]
            with hub.store.transaction(tills[0].scope) as replica:
                received = tuple(StockMove(code, 90_000) for code in codes)
                for start in range(0, len(received), 250):
                    goods = GoodsReceived("D", "S", "o1", received[start : start + 250])
                    tills[0].append(replica, goods, at_ms=now_ms - 29 * DAY_MS)
                for turn, code in enumerate(codes):
                    at_ms = now_ms - 28 * DAY_MS + turn * (27 * DAY_MS // products)
                    for till in tills:
                        sales = [_sale(f"L{place}-{turn}-{n}", luck.sample(codes, 3)) for n in range(3)]
                        till.append(replica, *sales, at_ms=at_ms)
                    tills[0].count(replica, code, 70_000, at_ms - 20_000)
                    if luck.random() < 0.1:
                        # Another count at once, by one who had not heard of the first.
                        look = Look(69_000, at_ms - 25_000, at_ms + 5_000, (), ())
                        tills[1].append(replica, CountRecorded(code, "clerk", "o1", (look,)), at_ms=at_ms + 6_000)
        policy = PolicySet("food", 2_000, 0, "average", "conservative")
        with hub.store.snapshot() as replica:
            began = time.perf_counter()
            places = [f"L{place:03d}" for place in range(locations)]
            outcome = replay_policy(replica, policy, places, now_ms, lambda done, total: None)
            spent = time.perf_counter() - began
        return spent, outcome.products, outcome.derived


# As figures, on every database that is here: the slowest counts.


def hub_page_ms_p95(_: object) -> Figure:
    """Overview and inbox, whole and filtered, of 1,000 nodes, 5 million entries and 10,000 conflicts."""
    found = {kind: large_chain_pages(kind=kind) for kind in databases()}
    value = max(max(pages.values()) for pages in found.values())
    note = "; ".join(
        f"{kind} overview {pages['/']:.0f}, inbox {pages['/inbox']:.0f}, slowest filter"
        f" {max(pages[path] for path in PAGES[2:]):.0f}"
        for kind, pages in found.items()
    )
    return Figure("hub_page_ms_p95", round(value), "ms (p95)", "<= 150", value <= 150, note)


def why_ms_p95(_: object) -> Figure:
    """The page that explains the stock of a product with 100,000 movements."""
    found = {kind: why_times(kind=kind) for kind in databases()}
    value = max(p95_ms for p95_ms, _ in found.values())
    note = ", ".join(f"{kind} {p95_ms:.0f} (first {first:.0f})" for kind, (p95_ms, first) in found.items())
    return Figure("why_ms_p95", round(value, 1), "ms (p95)", "<= 50", value <= 50, note)


def rule_replay_s(_: object) -> Figure:
    """Another policy for one category of 500 products at 20 locations, tried on 30 days."""
    found = {kind: replay_seconds(kind=kind) for kind in databases()}
    value = max(seconds for seconds, _, _ in found.values())
    note = ", ".join(f"{kind} {seconds:.1f} s for {judged} figures" for kind, (seconds, judged, _) in found.items())
    return Figure("rule_replay_s", round(value, 1), "s", "<= 10", value <= 10, note)


FIGURES: Final[dict[str, Callable[[object], Figure]]] = {
    measure.__name__: measure for measure in (hub_page_ms_p95, why_ms_p95, rule_replay_s)
}
