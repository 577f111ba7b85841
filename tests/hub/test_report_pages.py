"""Reports sum what the log holds: current at once, the same in whatever order entries came, alike on page and paper."""

from __future__ import annotations

import io
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import httpx
import openpyxl
import pytest

from hub.report_tables import Question, missing, sales, settlements, shrinkage, stock, tenders
from hub.service import Hub
from hub.takings import TakingsFold
from schema.identity import ORG, LocationId, location_scope
from schema.kinds.base import Payload, StockMove
from schema.kinds.stock import GoodsReceived, StockAdjusted
from schema.kinds.trading import LineDiscount, Refund, RefundLine, Sale, SaleLine, ShiftClosed, Tender
from schema.kinds.vans import SettledLine, SettledMeans, VanSettled
from sync.replica import effective_entries
from tests.hub.desk import DeskClient, at_the_desk, make_account, text_of

DATE = "2026-03-02"
ALL = f"first={DATE}&last={DATE}"
WATER = "11001"


def a_sale(number: int, pieces: int = 2, operator: str = "o1", means: str = "cash", state: str = "") -> Sale:
    amount = 200 * pieces - 20
    line = SaleLine(WATER, "", 1000, pieces * 1000, 200, 200, 1000, "list", amount, "13", 1300,
                    (LineDiscount("line", "", 20),))  # fmt: skip
    return Sale(
        f"A1-1-{number:06d}", DATE, f"A1-{DATE}-01", operator, (line,), (StockMove(WATER, -pieces * 1000),),
        (Tender(means, amount, amount, "", state),), amount, 0,
    )  # fmt: skip


def a_refund(number: int) -> Refund:
    line = RefundLine(None, WATER, "", 1000, 1000, 190, "13", 1300, "shelf")
    return Refund(f"A1-1-{number:06d}", DATE, f"A1-{DATE}-01", "o1", "", (line,), (StockMove(WATER, 1000),),
                  (Tender("cash", 190),), 190)  # fmt: skip


def told(hub: Hub, location: str, *payloads: Payload) -> None:
    with hub.store.transaction(ORG) as replica:
        for payload in payloads:
            hub.own_log.append(replica, location_scope(LocationId(location)), payload)


def asked(hub: Hub, **changes: str) -> Question:
    values: dict[str, object] = {"first": DATE, "last": DATE, "locations": ["A", "B"], "by": "day", **changes}
    return Question(**values, zone=ZoneInfo("Asia/Shanghai"))  # type: ignore[arg-type]


@pytest.fixture
def desk(hub: Hub, client: httpx.Client) -> Iterator[DeskClient]:
    make_account(hub)
    with at_the_desk(str(client.base_url)) as signed_in:
        yield signed_in


def test_takings_are_sums_of_sales_less_refunds_by_whatever_is_asked(hub: Hub) -> None:
    told(hub, "A", a_sale(1), a_sale(2, 5, "o2"), a_refund(3))
    told(hub, "B", a_sale(1, 10))
    with hub.store.snapshot() as replica:
        connection = replica.connection
        assert sales(connection, asked(hub)).rows == [(DATE, 3, 1, 380 + 980 + 1980 - 190, 60, 0, 3150 // 3)]
        by_place = {row[0]: row[3] for row in sales(connection, asked(hub, by="location")).rows}
        assert by_place == {"A": 1170, "B": 1980}
        by_person = {row[0]: row[3] for row in sales(connection, asked(hub, by="operator")).rows}
        assert by_person == {"o1": 2170, "o2": 980}
        [row] = sales(connection, asked(hub, by="product")).rows
        assert (row[0], row[2], row[3]) == (WATER, 16_000, 3150)


def test_a_margin_is_an_estimate_at_the_last_cost_and_unknown_without_one(hub: Hub) -> None:
    told(hub, "A", a_sale(1, 10))
    with hub.store.snapshot() as replica:
        [row] = sales(replica.connection, asked(hub, by="product")).rows
        assert (row[4], row[5]) == (None, None)
    told(hub, "A", GoodsReceived("", "", "", (StockMove(WATER, 24_000),), ((WATER, 120),)))
    with hub.store.snapshot() as replica:
        [row] = sales(replica.connection, asked(hub, by="product")).rows
        assert row[4] == 1980 - 1200
        assert sum(int(str(r[5])) for r in stock(replica.connection, asked(hub)).rows) == 14 * 120


def test_what_is_not_confirmed_stands_apart_from_what_is(hub: Hub) -> None:
    told(hub, "A", a_sale(1), a_sale(2, 5, means="wechat", state="unknown"), a_refund(3))
    with hub.store.snapshot() as replica:
        rows = {(row[2], row[3]): row[5] for row in tenders(replica.connection, asked(hub)).rows}
    assert rows == {("cash", ""): 380 - 190, ("wechat", "unknown"): 980}


def test_written_off_goods_are_listed_with_their_value(hub: Hub) -> None:
    told(hub, "A", GoodsReceived("", "", "", (StockMove(WATER, 24_000),), ((WATER, 120),)))
    told(hub, "A", StockAdjusted("wastage", "o1", (StockMove(WATER, -3000),)))
    with hub.store.snapshot() as replica:
        rows = shrinkage(replica.connection, asked(hub, first="2020-01-01", last="2099-01-01")).rows
    assert [(row[0], row[1], row[2], row[4], row[5]) for row in rows] == [("A", "wastage", WATER, -3000, -360)]


def test_sums_are_the_same_when_the_log_is_folded_anew(hub: Hub) -> None:
    told(hub, "A", a_sale(1), a_sale(2, 5, "o2"), a_refund(3), ShiftClosed(f"A1-{DATE}-01", "o1", 1000, 1170))
    tables = "takings_day", "product_day", "tender_day", "shift_count", "adjustment_day"
    with hub.store.transaction(ORG) as replica:
        before = [sorted(replica.connection.execute(f"SELECT * FROM {name}").fetchall()) for name in tables]
        for name in tables:
            replica.connection.execute(f"DELETE FROM {name}")
        for entry in reversed(list(effective_entries(replica.connection))):
            scope_no = replica.log.scope_no(entry.stream.scope)
            assert scope_no is not None
            TakingsFold().apply(replica.connection, scope_no, [entry])
        after = [sorted(replica.connection.execute(f"SELECT * FROM {name}").fetchall()) for name in tables]
    assert after == before
    assert before[0]


def test_a_page_leads_from_a_day_to_its_hours_and_a_file_says_the_same(hub: Hub, desk: DeskClient) -> None:
    told(hub, "A", a_sale(1), a_sale(2, 5, "=HYPERLINK()"))
    page = desk.get(f"/reports/sales?{ALL}")
    assert "13.60" in text_of(page)
    assert f"by=hour&amp;first={DATE}" in page.text
    assert "11001" in text_of(desk.get(f"/reports/sales?{ALL}&by=product"))
    table = desk.get(f"/reports/sales/file?{ALL}&by=operator&as=csv").content.decode("utf-8-sig")
    assert "'=HYPERLINK()" in table
    assert "9.80" in table
    book = openpyxl.load_workbook(io.BytesIO(desk.get(f"/reports/sales/file?{ALL}&as=xlsx").content))
    assert book.worksheets[0].cell(2, 4).value == 13.6
    for name in ("tenders", "drawers", "shrinkage", "stock", "settlements", "missing"):
        assert desk.get(f"/reports/{name}?{ALL}").status_code == 200
    assert desk.get("/reports/nothing").status_code >= 400


def test_a_shop_manager_sees_the_takings_of_the_own_shop_alone(hub: Hub, client: httpx.Client) -> None:
    told(hub, "A", a_sale(1))
    told(hub, "B", a_sale(1, 10))
    make_account(hub, "manager", "shop_manager", ["B"])
    with at_the_desk(str(client.base_url), "manager") as manager:
        words = text_of(manager.get(f"/reports/sales?{ALL}&by=location"))
        assert "19.80" in words
        assert "3.80" not in words
        assert "3.80" not in text_of(manager.get(f"/reports/sales?{ALL}&location=A"))
        assert "3.80" not in manager.get(f"/reports/sales/file?{ALL}&location=A").text


def test_a_vans_settlement_is_listed_with_what_is_missing_and_its_cash(hub: Hub, desk: DeskClient) -> None:
    lines = (SettledLine(WATER, 24_000, 0, 0, 0, 0, 20_000, 0, 0, 0, 3_000, 200),
             SettledLine("11002", 6_000, 0, 0, 0, 0, 0, 0, 0, 0, None))  # fmt: skip
    means = (SettledMeans("account", 1_000, 0, 0), SettledMeans("cash", 3_000, 500, 200))
    told(hub, "A", VanSettled("S-V1-1-9", "", DATE, "o1", (), lines, means, 12, 1, 3_300, 3_250))
    with hub.store.snapshot() as replica:
        rows = settlements(replica.connection, asked(hub)).rows
        assert [row[2:] for row in rows] == [("S-V1-1-9", "o1", 12, 3_800, 500, 200, 3_300, 3_250, -50)]
        assert [row[3:] for row in missing(replica.connection, asked(hub)).rows] == [(WATER, WATER, 1_000, 200)]
    assert "S-V1-1-9" in text_of(desk.get(f"/reports/settlements?{ALL}"))
