"""A van's whole day at a real terminal with the hub down; when the hub is back, both show the same of it."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from edge.clock_source import machine_clock
from edge.doctor import examine
from edge.joining import join
from edge.node import Node
from edge.stock import QuantityRequest, receive_goods
from edge.sync_agent import HttpLine, SyncReport, sync_once
from edge.van_load import load_out
from edge.van_settlement import last_settlement
from hub.credit import read_credit, record_limit, record_share
from hub.customers import find_person
from hub.enrolment import Profile
from hub.importing import append_rows
from hub.operators import define_operator
from hub.own_log import parse_location
from hub.report_tables import Question, missing, settlements
from hub.routes import record_route
from hub.service import Hub, init_hub, open_hub, serving
from hub.settings import record_setting
from pos_tui.screens.stock_menu import WORKS
from schema.amounts import Minor
from schema.identity import ORG, ProductId
from schema.rows import CustomerRow, PriceRow, ProductRow
from schema.rules.promotion_terms import Language
from tests.end_to_end.test_till_in_a_terminal import Tmux, paper_with, printing

PLACES = [parse_location(text) for text in ("W:Warehouse:warehouse", "V:Van one:van")]
DRIVER, PIN, NAME = "3001", "333333", "王记小卖部"
COLA, COLA_BARCODE, TEA = "C0001", "6928804011142", "C0002"
DAYS = Question("2000-01-01", "2199-01-01", ["V"], ZoneInfo("Asia/Shanghai"))


def prepared(folder: Path) -> tuple[Hub, Path]:
    """Found a hub with a warehouse that has loaded a van; the van knows its round, and the hub is down then."""
    init_hub(folder / "hub", name="Lantern Stores", locations=PLACES)
    hub = open_hub(folder / "hub")
    with hub.store.transaction(ORG) as replica:
        record_setting(replica, hub.own_log, "elsewhere", b'{"balance_seconds":0,"stock_minutes":0}')
    append_rows(hub, (
        ProductRow(code=ProductId(COLA), name="可口可乐", category="drinks", price_minor=Minor(300),
                   barcodes=(COLA_BARCODE,)),
        ProductRow(code=ProductId(TEA), name="绿茶", category="drinks", price_minor=Minor(350)),
        PriceRow(product=ProductId(COLA), price_minor=Minor(260), tier="wholesale"),
        CustomerRow(code="C001", name=NAME, phone="13800000001", tier="wholesale", address="桥头村"),
    ))  # fmt: skip
    define_operator(hub.store, hub.own_log, number=DRIVER, name="赵师傅", role="driver", locations=["V", "W"], pin=PIN)
    with serving(hub) as url:
        for till, location in (("W1", "W"), ("V1", "V")):
            issued = hub.enrolment.invite(profile=Profile.VAN, location=location, name=till, till=till)
            join(folder / till, url, issued.invitation, machine_clock)
        with hub.store.transaction(ORG) as replica:
            person = find_person(replica, "C001")
            record_route(replica, hub.own_log, "V", [("C001", "后门")], "W")
            record_limit(replica, hub.own_log, person, 10_000)
            record_share(replica, hub.own_log, person, "V1", 10_000)
        with Node(folder / "W1") as warehouse:
            receive_goods(warehouse, [QuantityRequest(COLA, 100_000), QuantityRequest(TEA, 100_000)])
            load_out(
                warehouse, "V", [QuantityRequest(COLA, 24_000), QuantityRequest(TEA, 12_000)], driver=DRIVER, pin=PIN
            )  # fmt: skip
            exchange(warehouse)
        with Node(folder / "V1") as van:
            exchange(van)
    return hub, folder / "V1"


def exchange(node: Node, address: str = "") -> SyncReport:
    if address:  # the hub came back at another port
        node.config = msgspec.structs.replace(node.config, hub_address=address)
    line = HttpLine(node)
    try:
        return sync_once(node, line)
    finally:
        line.close()


@pytest.mark.long
@pytest.mark.parametrize("language", list(Language))
def test_a_vans_day_at_a_terminal_without_a_hub_agrees_with_the_hub_that_comes_back(
    tmp_path: Path, language: Language
) -> None:
    hub, directory = prepared(tmp_path)
    try:
        with printing(directory) as printer:
            till = Tmux(directory, language)
            try:
                drive(till)
                paper_with(printer, "S-V1-1-", "可口可乐", "绿茶")
            finally:
                till.close()
        with Node(directory) as van:
            known = last_settlement(van)
            assert known is not None
            settled = known[1]
            lines = {line.product: line for line in settled.lines}
            assert (lines[COLA].loaded_milli, lines[COLA].sold_milli, lines[COLA].sent_milli) == (24_000, 10_000, 4_000)
            assert (lines[COLA].difference_milli, lines[TEA].difference_milli) == (1_000, 0)
            assert {one.means: (one.sales_minor, one.collected_minor) for one in settled.means} == {
                "account": (2_600, 0), "cash": (0, 1_200),
            }  # fmt: skip
            assert (settled.cash_expected_minor, settled.cash_counted_minor) == (21_200, 20_000)
            assert examine(van).is_healthy
            with serving(hub) as url:
                report = exchange(van, url)
            assert (report.is_complete, report.mismatched_folds, report.refusals) == (True, [], [])
        with hub.store.snapshot() as replica:
            [row] = settlements(replica.connection, DAYS).rows
            assert (row[2], row[5], row[6], row[7], row[10]) == (settled.settlement, 2_600, 1_200, 300, -1_200)
            assert [each[3] for each in missing(replica.connection, DAYS).rows] == [COLA]
            credit = read_credit(replica, find_person(replica, "C001"))
            assert (credit.owed_minor, [share.left_minor for share in credit.shares]) == (1_400, [8_600])
            assert credit.room_minor == 0
    finally:
        hub.close()


def drive(till: Tmux) -> None:
    """Live the day by keys alone."""
    offered = [one.name for one in WORKS if one.only_at in {"", "van"}]
    place = str(offered.index("van") + 1)

    def open_van() -> None:
        till.press("C-w")
        till.reads("stock_menu.title", "stock_menu.van")
        till.press(place)
        till.reads("van.load", "van.settle")

    till.reads("sign_in.number_hint")
    till.types(DRIVER)
    till.reads("sign_in.pin")
    till.types(PIN)
    till.reads("sale.empty")
    till.press("F10")
    till.reads("shift.none")
    till.press("1")
    till.types("200")
    till.press("Escape")
    till.reads("sale.empty")

    open_van()
    till.press("1")
    till.sees("T-W1-1-")
    till.press("Enter")
    till.reads("van_load.sign")
    till.press("Enter")
    till.reads("sign_in.pin")
    till.types(PIN)
    till.reads("van_load.none")
    till.press("Escape")
    till.reads("van.load_none")

    till.press("2")
    till.sees(NAME, "wholesale", "100.00")
    till.press("Enter")
    till.reads("sale.empty")
    till.sees(f"{NAME} wholesale")
    till.press(*"10*")
    till.scan(COLA_BARCODE)
    till.sees("26.00")
    till.press("+")
    till.reads("tender.means")
    till.press("*", "*", "*", "*")
    till.sees("► 5")
    till.reads("means.account")
    till.press("Enter")
    till.reads("done.next")

    open_van()
    till.press("2")
    till.sees(NAME, "74.00")
    till.press("*")
    till.reads("account.repay_text")
    till.types("12")
    till.reads("means.cash")
    till.press("1")
    till.reads("account.given", amount="12.00")
    till.press("Enter")
    till.sees("V1-1-000002")
    till.press("Enter")
    till.press("Escape")
    till.sees(NAME, "86.00")
    till.press("Escape")
    till.reads("van.unload")

    till.press("3")
    till.reads("van_unload.prompt")
    till.types("4")
    till.types("0")
    till.press("+")
    till.reads("van_unload.confirm", count=1, home="W")
    till.press("Enter")
    till.sees("T-V1-1-")
    till.press("Escape")
    till.reads("van.unload")

    till.press("4")
    till.reads("van_settle.cash_open")
    till.types("9")
    till.types("12")
    till.press("+")
    till.reads("count.total")
    till.types("2")
    till.press("+")
    till.sees("200.00")
    till.press("Enter")
    till.sees("3.00")
    till.press("Enter")
    till.reads("van_paper.title")
    till.sees("S-V1-1-")
    till.press("Escape")
    till.reads("van.settle")
