"""A working day at the desk in a real Chromium: a dirty file, a price that a till applies offline, edits that meet."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Browser, expect

from edge.clock_source import machine_clock
from edge.joining import join
from hub.catalogue import view_product
from hub.enrolment import Profile
from hub.pages.every import every_route
from hub.pages.settings import SETTING_PAGES
from hub.report_tables import REPORTS
from hub.service import Hub, serving
from hub.summaries import refresh_summaries
from hub.tokens import create_token
from schema.errors import RefusalError
from schema.kinds.buying import OrderDrafted, OrderLine
from schema.rules.promotion_terms import Language
from schema.texts import catalogue
from tests import processes
from tests.edge.households import Household, configure, free_port, sync
from tests.edge.shops import WATER
from tests.hub.browsers import (
    LAPTOP,
    PHONE,
    broken_cells,
    chromium,
    is_too_wide,
    labels_outside,
    opened_page,
    serious_findings,
)
from tests.hub.conflicting import Chain
from tests.hub.desk import at_the_desk, make_account, text_of

DIRTY: Final = (
    "code,name,category,unit,price,barcode\n"
    "X1,水,drinks,pc,2.00,6901234567892\nX2,茶,drinks,pc,3.50,\nX3,,drinks,pc,abc,1\n"
)
KINDS: Final = frozenset({"act.recorded", "operator.defined"})
"""Kinds of entries that the audit trail names as the log does."""
_PREFIXES: Final = sorted({name.partition(".")[0] for name in catalogue("hub", Language.EN) if "." in name})
HOLE: Final = re.compile(rf"(?<![\w./@-])(?:{'|'.join(_PREFIXES)})\.[A-Za-z_]+\b")
"""The name of a text where its words should be."""
SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_a_dirty_file_is_looked_at_its_good_rows_taken_and_all_of_it_undone(
    browser: Browser, hub: Hub, client: httpx.Client
) -> None:
    make_account(hub)
    with opened_page(browser, str(client.base_url)) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto("/imports")
        page.set_input_files("input[type=file]", {"name": "商品.csv", "mimeType": "text/csv", "buffer": DIRTY.encode()})
        page.get_by_role("button", name="Look at it").click()
        expect(page.get_by_role("alert").first).to_contain_text("nothing was taken")
        expect(page.locator("main table").first).to_contain_text("name is empty")
        assert serious_findings(page) == []
        with hub.store.snapshot() as replica, pytest.raises(RefusalError):
            view_product(replica.connection, "X1")
        page.get_by_role("link", name=re.compile("eave")).first.click()
        expect(page.get_by_text("2 of 3 rows would be taken")).to_be_visible()
        page.locator("form[action$='/take'] button").click()
        expect(page.locator(".notice").first).to_be_visible()
        with hub.store.snapshot() as replica:
            assert view_product(replica.connection, "X2").product.name == "茶"
        page.locator("form[action$='/undo'] button").click()
        expect(page.locator(".notice").first).to_be_visible()
    with hub.store.snapshot() as replica, pytest.raises(RefusalError):
        view_product(replica.connection, "X2")


def price_at(directory: Path, moment: datetime.datetime) -> int:
    """Sell one piece at a till whose clock reads a moment, with no hub to ask; returns what it cost."""
    done = processes.run(
        "sell", WATER, "--node", str(directory), "--json", EDGETILL_CLOCK=moment.isoformat()
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["total_minor"])


def test_a_price_scheduled_at_the_desk_holds_at_its_minute_on_a_till_without_network(
    browser: Browser, tmp_path: Path
) -> None:
    household = Household(tmp_path)
    begin = (datetime.datetime.now(SHANGHAI) + datetime.timedelta(days=1)).replace(
        hour=6, minute=0, second=0, microsecond=0
    )
    with household.serving() as hub:
        make_account(hub)
        till = household.enrol(hub, "A1")
        with opened_page(browser, household.address) as page:
            page.goto(f"/products/{WATER}")
            page.get_by_label("Price", exact=True).fill("2.50")
            page.locator("#from").fill(f"{begin:%Y-%m-%dT%H:%M}")
            page.locator("main form", has=page.locator("#from")).get_by_role("button").last.click()
            expect(page.locator(".notice").first).to_be_visible()
            expect(page.locator("main table")).to_contain_text(f"{begin:%Y-%m-%d} 06:00")
        assert sync(till).is_complete
    minute = datetime.timedelta(minutes=1)
    assert [price_at(till, moment) for moment in (begin - minute, begin, begin + minute)] == [200, 250, 250]


def test_a_shop_managers_offline_edit_meets_the_desks_side_by_side(browser: Browser, tmp_path: Path) -> None:
    household = Household(tmp_path)
    with household.serving() as hub:
        make_account(hub)
        issued = hub.enrolment.invite(profile=Profile.MANAGER, location="A", name="店长", till="M1")
        manager = tmp_path / "M1"
        join(manager, household.address, issued.invitation, machine_clock)
        configure(manager, lan_host="127.0.0.1", lan_port=free_port())
        sync(manager)
        done = processes.run("price", "set", WATER, "2.20", "--node", str(manager))
        assert done.returncode == 0, done.stderr
        with opened_page(browser, household.address) as page:
            page.goto(f"/products/{WATER}")
            page.get_by_label("Price", exact=True).fill("2.40")
            page.locator("main form", has=page.locator("#from")).get_by_role("button").last.click()
            expect(page.locator(".notice").first).to_be_visible()
            sync(manager)
            page.goto("/catalogue-conflicts")
            card = page.locator("section.card").first
            expect(card).to_contain_text("Water")
            expect(card).to_contain_text("2.20")
            expect(card).to_contain_text("2.40")
            expect(card).to_contain_text("by Lin")
            expect(card).to_contain_text("by 店长")
            assert serious_findings(page) == []
            card.locator("form", has_text="2.20").get_by_role("button").click()
            expect(page.locator(".notice").first).to_contain_text("settled")
            expect(page.locator("section.card")).to_have_count(0)
            page.goto(f"/products/{WATER}")
            expect(page.locator("main table")).to_contain_text("2.20")


def test_two_who_edit_one_product_see_both_versions_and_a_stale_decision_is_refused(
    browser: Browser, hub: Hub, client: httpx.Client
) -> None:
    chain = Chain(hub, client)
    chain.counts_that_disagree()
    make_account(hub)
    make_account(hub, "wang", "administrator")
    url = str(client.base_url)
    with opened_page(browser, url) as mine, opened_page(browser, url, login="wang") as theirs:
        for page in (mine, theirs):
            page.goto("/products/11001/edit")
        theirs.get_by_label("Name", exact=True).fill("可口可乐")
        theirs.get_by_role("button", name="Save").click()
        expect(theirs.locator(".notice").first).to_be_visible()
        mine.get_by_label("Name", exact=True).fill("百事可乐")
        mine.get_by_role("button", name="Save").click()
        meanwhile = mine.locator("section.card").first
        expect(meanwhile).to_contain_text("可口可乐")
        expect(meanwhile).to_contain_text("百事可乐")
        expect(mine.get_by_label("Name", exact=True)).to_have_value("百事可乐")
        mine.get_by_role("button", name="Save").click()
        expect(mine.get_by_role("heading", level=1)).to_contain_text("百事可乐")
        for page in (mine, theirs):
            page.goto("/inbox")
            page.locator("tbody a").first.click()
            expect(page.locator("html.has-script button.choice").first).to_be_visible()
        theirs.keyboard.press("r")
        expect(theirs.locator(".notice").first).to_be_visible()
        theirs.goto("/inbox")
        theirs.locator("tbody a").first.click()
        expect(theirs.locator("html.has-script button.choice").first).to_be_visible()
        theirs.keyboard.press("1")
        expect(theirs.locator(".notice").first).to_be_visible()
        mine.keyboard.press("2")
        expect(mine.get_by_role("alert").first).to_contain_text("look at what it is now")


class Whole:
    """A chain with something on every page, and each page's address."""

    def __init__(self, hub: Hub, client: httpx.Client) -> None:
        self.chain = chain = Chain(hub, client)
        chain.day_of_trade()
        chain.everything()
        chain.refunded_twice()
        chain.a1.append(OrderDrafted("R-1", "order", "S1", "", (OrderLine("11001", 24_000),)))
        chain.push(chain.a1)
        make_account(hub, name="林老板")
        with hub.store.transaction(None) as replica:
            create_token(replica.connection, "labels", 0)
        refresh_summaries(hub.store, hub.now_ms())
        with at_the_desk(str(client.base_url)) as desk:
            desk.get("/operator-new")
            person = {"number": "8001", "name": "老王", "role": "cashier", "at": ["A"], "pin": "8888", "active": "1"}
            assert desk.post("/operator-new", person).status_code == 303
            terms = {"code": "P1", "name": "夏日", "kind": "buy-n-get-m", "buy": "2", "free": "1", "products": "11001"}
            assert desk.post("/promotion-new", terms).status_code == 303
            future = {"price": "3.50", "unit": "pc", "per": "1000", "from": "2099-03-02T06:00", "list": "standard"}
            assert desk.post("/products/11001/price", future).status_code == 303
            sent = desk.http.post(
                "/imports", data={"csrf": desk.csrf, "kind": "products"},
                files={"file": ("商品.csv", DIRTY.encode(), "text/csv")},
            )  # fmt: skip
            self.file = sent.headers["location"]
            supplier = {"code": "S1", "name": "晨光批发", "lead_days": "3", "active": "1"}
            assert desk.post("/supplier-new", supplier).status_code == 303
            order = {"location": "A", "supplier": "S1", "lines": "11001 10"}
            placed = desk.post("/order-new", order)
            assert placed.status_code == 303, text_of(placed)
            self.order = placed.headers["location"].partition("?")[0]
            person = {"code": "C1", "name": "王记小卖部", "phone": "13800000001", "price_list": "wholesale"}
            known = desk.post("/customer-new", person)
            assert known.status_code == 303, text_of(known)
            self.customer = known.headers["location"].partition("?")[0]
            assert desk.post("/rounds/V", {"stops": "C1=后门", "warehouse": "W"}).status_code == 303
        with hub.store.snapshot() as replica:
            rows = replica.connection.execute(
                "SELECT s.scope, i.conflict, i.code FROM inbox i JOIN scope s ON s.scope_no = i.scope_no"
                " WHERE i.state = 'OPEN'"
            ).fetchall()
            self.conflicts = {str(code): f"/inbox/{str(scope)[4:]}/{conflict}" for scope, conflict, code in rows}
            self.act = str(replica.connection.execute("SELECT operation FROM desk_act").fetchone()[0])

    def addresses(self) -> list[tuple[str, bool]]:
        """Return the address of every page that there is, and whether something is known to be there.

        A page of one thing that is added later is asked for at a guess, until something of its kind is made above.
        """
        values = {
            "location": "A", "product": "11006", "code": "11001", "node": self.chain.a1.signer.node, "login": "lin",
            "number": "8001",
        }  # fmt: skip
        known = {
            "/inbox/{location:str}/{conflict:str}": list(self.conflicts.values()),
            "/promotions/{code:str}": ["/promotions/P1"], "/suppliers/{code:str}": ["/suppliers/S1"],
            "/orders/{location:str}/{number:str}": [self.order],
            "/orders/{location:str}/{number:str}/edit": [f"{self.order}/edit"],
            "/goods-drafts/{location:str}/{number:str}": ["/goods-drafts/A/R-1"],
            "/customers/{person:str}": [self.customer], "/rounds/{location:str}": ["/rounds/V"],
            "/imports/{file:str}": [self.file, f"{self.file}?skip=1"],
            "/settings/{name:str}": [f"/settings/{name}" for name in SETTING_PAGES],
            "/reports/{name:str}": [f"/reports/{name}" for name in REPORTS],
            "/policies/replays/{replay:str}": [], "/sign-in": [], "/first-run": [],
            "/policies/edit": ["/policies/edit?category=drinks"], "/acts/entries": [f"/acts/entries?of={self.act}"],
        }  # fmt: skip
        found: list[tuple[str, bool]] = []
        for route in every_route():
            if route.method == "GET" and not route.path.endswith(("/file", ".csv", ".crt")):
                made = re.sub(r"\{(\w+):\w+\}", lambda word: values.get(word[1], "11001"), route.path)
                certain = route.path in known or "{" not in route.path
                found += [(address, certain) for address in known.get(route.path, [made])]
        return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[tuple[str, bool]]]]:
    from hub.own_log import parse_location
    from hub.service import init_hub, open_hub

    directory = tmp_path_factory.mktemp("whole") / "hub"
    places = ("A:Riverside:shop", "B:Old Town:shop", "W:Warehouse:warehouse", "V:Van:van")
    init_hub(directory, name="Lantern Stores", locations=[parse_location(text) for text in places])
    hub = open_hub(directory)
    try:
        with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            yield url, Whole(hub, client).addresses()
    finally:
        hub.close()


@pytest.mark.parametrize(("language", "size"), [("en", LAPTOP), ("zh", PHONE)], ids=["en-laptop", "zh-phone"])
def test_every_page_is_accessible_fits_its_width_and_says_every_word(
    browser: Browser, whole: tuple[str, list[tuple[str, bool]]], language: str, size: tuple[int, int]
) -> None:
    url, addresses = whole
    wrong: list[str] = []
    with opened_page(browser, url, size=size, language=language) as page:
        page.goto(f"/account?lang={language}")
        for address, is_certain in addresses:
            answer = page.goto(address)
            assert answer is not None
            if answer.status == 404 and not is_certain:
                continue
            if answer.status != 200:
                wrong.append(f"{address}: status {answer.status}")
                continue
            if page.get_by_role("heading", level=1).count() != 1:
                wrong.append(f"{address}: not one heading")
            wrong += [f"{address}: {found}" for found in serious_findings(page)]
            if is_too_wide(page):
                wrong.append(f"{address}: scrolls sideways")
            wrong += [f"{address}: {words} leaves its chart" for words in labels_outside(page)]
            wrong += [f"{address}: no room for {words}" for words in broken_cells(page)]
            # Entries stand on pages as the log has them.
            page.evaluate("document.querySelectorAll('main pre').forEach((one) => one.remove())")
            text = page.inner_text("main")
            wrong += [f"{address}: {hole} has no words" for hole in HOLE.findall(text) if hole not in KINDS]
    assert not wrong, "\n".join(wrong)
