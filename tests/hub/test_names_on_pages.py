"""What people typed as names stays text: no page runs it as a script, no spreadsheet as a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from openpyxl import load_workbook

from hub.api.every import every_route as every_api_route
from hub.catalogue import CatalogueDesk, view_product
from hub.inbox import InboxFilter, list_inbox
from hub.own_log import parse_location
from hub.pages.every import every_route
from hub.report_tables import REPORTS, SALES_BY
from hub.service import Hub, init_hub, open_hub, serving
from hub.summaries import refresh_summaries
from hub.tokens import create_token
from schema.identity import ORG
from sync.replica import Replica
from tests.hub.conflicting import Chain
from tests.hub.desk import DeskClient, at_the_desk, make_account

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1+1")
RISKY = re.compile(r"^[=+\-@\t\r]")
NUMBER = re.compile(r"^-?[0-9][0-9.,]*%?$")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, DeskClient, Chain, str]]:
    """A chain in which everything has a hostile name."""
    directory = tmp_path_factory.mktemp("named") / "hub"
    places = [f"A:{SCRIPT}:shop", f"B:{IMAGE}:shop", "W:=1+1:warehouse"]
    init_hub(directory, name=f"Shop {SCRIPT}", locations=[parse_location(one) for one in places])
    hub = open_hub(directory)
    try:
        with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            chain = Chain(hub, client)
            with hub.store.transaction(ORG) as replica:
                rename(hub, replica)
            chain.day_of_trade()
            chain.everything()
            chain.refunded_twice()
            make_account(hub, name=f"林 {SCRIPT}")
            with hub.store.transaction(None) as replica:
                token = create_token(replica.connection, IMAGE, 0)
            refresh_summaries(hub.store, hub.now_ms())
            with at_the_desk(url) as desk:
                desk.get("/operator-new")
                person = {
                    "number": "8001",
                    "name": SCRIPT,
                    "role": "cashier",
                    "at": ["A"],
                    "pin": "8888",
                    "active": "1",
                }
                assert desk.post("/operator-new", person).status_code == 303
                terms = {"code": "P1", "name": SCRIPT, "kind": "buy-n-get-m", "buy": "2", "free": "1",
                         "products": "11001"}  # fmt: skip
                assert desk.post("/promotion-new", terms).status_code == 303
                yield hub, desk, chain, token
    finally:
        hub.close()


def rename(hub: Hub, replica: Replica) -> None:
    names = (SCRIPT, IMAGE, *FORMULAS)
    for number in range(1, 7):
        code = f"1100{number}"
        view = view_product(replica.connection, code)
        changed = msgspec.structs.replace(view.product, name=names[number - 1], spec=IMAGE)
        CatalogueDesk(replica, hub.own_log).change_product(changed, {"brand": SCRIPT}, view.version)


def test_no_name_brings_a_script_into_any_page(named: tuple[Hub, DeskClient, Chain, str]) -> None:
    hub, desk, chain, _ = named
    with hub.store.snapshot() as replica:
        conflicts = [f"/inbox/{row.location}/{row.id}" for row in list_inbox(replica, InboxFilter(), 0, 50)]
    values = {"location": "A", "product": "11001", "code": "11001", "node": chain.a1.signer.node, "login": "lin",
              "number": "8001", "name": "sales"}  # fmt: skip
    shown = 0
    for route in every_route():
        if route.method != "GET":
            continue
        address = re.sub(r"\{(\w+):\w+\}", lambda found: values.get(found[1], "x"), route.path)
        for path in conflicts if "{conflict" in route.path else [address]:
            answer = desk.get(path)
            assert answer.status_code < 500, path
            if "html" not in answer.headers.get("content-type", ""):
                continue
            assert SCRIPT not in answer.text, path
            assert "<img" not in answer.text, path
            shown += "&lt;script&gt;alert(1)" in answer.text or "&lt;img" in answer.text
    assert shown > 15
    # What was typed into the address stands in no page either.
    for path in (f"/products?search={SCRIPT}", f"/inbox?search={IMAGE}", f"/stock?search={SCRIPT}", f"/x{SCRIPT}"):
        assert SCRIPT not in desk.get(path).text
        assert "<img" not in desk.get(path).text


def test_no_answer_of_the_api_is_taken_for_a_page(named: tuple[Hub, DeskClient, Chain, str]) -> None:
    _, desk, _, token = named
    for route in every_api_route():
        if route.method == "GET" and "{" not in route.path:
            answer = desk.http.get(route.path, headers={"Authorization": f"Bearer {token}", "accept": "text/html"})
            assert answer.headers["content-type"] == "application/json", route.path
            assert answer.headers["x-content-type-options"] == "nosniff"


def files(desk: DeskClient) -> Iterator[tuple[str, httpx.Response]]:
    """Yield every file that the desk offers, as CSV and as a workbook."""
    for name in REPORTS:
        for by in SALES_BY if name == "sales" else ("",):
            for kind in ("csv", "xlsx"):
                path = f"/reports/{name}/file?as={kind}&by={by}&from=2020-01-01&to=2099-12-31"
                yield path, desk.get(path)
    yield "/plu.csv", desk.get("/plu.csv")


def test_no_cell_of_any_file_is_run_as_a_formula(named: tuple[Hub, DeskClient, Chain, str]) -> None:
    _, desk, _, _ = named
    escaped = 0
    for path, answer in files(desk):
        assert answer.status_code == 200, path
        if "as=xlsx" in path:
            for row in load_workbook(io.BytesIO(answer.content)).active.iter_rows():
                for cell in row:
                    assert cell.data_type != "f", (path, cell.value)
                    escaped += isinstance(cell.value, str) and "1+1" in cell.value
        else:
            for cells in csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))):
                for text in cells:
                    assert not RISKY.match(text) or NUMBER.match(text), (path, text)
                    escaped += "1+1" in text
    assert escaped
