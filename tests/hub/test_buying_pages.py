"""The desk's buying, as an administrator uses it: suppliers, orders, drafts of shops, minimums, scales, kits."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import httpx
import pytest

from hub.catalogue import view_product
from hub.minimums import list_minimums
from hub.purchasing import find_order, find_supplier, list_buying
from hub.service import Hub
from schema.catalogue import Deposit
from schema.identity import ORG, LocationId, Stream, location_scope
from schema.kinds.buying import DeliveryChecked, DeliveryLine, OrderDrafted, OrderLine
from schema.kinds.tills import ProductDrafted
from sync.buying import About, BuyingState
from sync.document_projection import read_document
from sync.documents import edit
from sync.replica import Moment
from tests.hub.desk import DeskClient, at_the_desk, make_account, text_of
from tests.hub.test_catalogue_pages import WATER, add_cola

SUPPLIER = {"code": "S01", "name": "杭州饮料", "phone": "0571-1", "lead_days": "2"}
SCOPE_A = location_scope(LocationId("A"))


@pytest.fixture
def desk(hub: Hub, client: httpx.Client) -> Iterator[DeskClient]:
    make_account(hub)
    with at_the_desk(str(client.base_url)) as signed_in:
        add_cola(signed_in)
        assert signed_in.post("/supplier-new", SUPPLIER).status_code == 303
        yield signed_in


def say(hub: Hub, *payloads: OrderDrafted | DeliveryChecked | ProductDrafted) -> None:
    """Have something said at A, as its node would."""
    with hub.store.transaction(SCOPE_A) as replica:
        for payload in payloads:
            hub.own_log.append(replica, SCOPE_A, payload)


def state(hub: Hub, number: str, about: About = About.ORDER) -> BuyingState:
    with hub.store.snapshot() as replica:
        return find_order(replica, "A", number, about).known.state


def place(desk: DeskClient, **fields: str) -> str:
    desk.get("/order-new")
    answer = desk.post(
        "/order-new", {"location": "A", "supplier": "S01", "lines": "D100 2箱 1.50", "due": "2027-01-05", **fields}
    )
    assert answer.status_code == 303, text_of(answer)
    return answer.headers["location"].split("?")[0].rsplit("/", 1)[1]


def test_an_order_is_placed_comes_in_part_and_is_closed(desk: DeskClient, hub: Hub) -> None:
    number = place(desk)
    assert number == "PO-A-0001"
    page = text_of(desk.get(f"/orders/A/{number}"))
    assert "杭州饮料" in page
    assert "48" in page, "two cases of 24"
    say(hub, DeliveryChecked(number, "x", "", (DeliveryLine("D100", 48_000, 40_000, 2_000, "", "broken"),), False))
    assert state(hub, number) is BuyingState.PARTLY
    page = text_of(desk.get(f"/orders/A/{number}"))
    assert "Partly received" in page
    assert "broken" in page
    assert "PO-A-0001" in text_of(desk.get("/orders?state=open"))
    assert "PO-A-0001" not in text_of(desk.get("/orders?state=received"))
    assert desk.post(f"/orders/A/{number}/close", {"note": "供应商停产"}).status_code == 303
    assert state(hub, number) is BuyingState.CLOSED
    assert desk.post(f"/orders/A/{number}/close", {}).status_code == 409
    assert place(desk) == "PO-A-0002", "a number is used once"


def test_what_cannot_be_ordered_is_said_beside_the_field_and_what_was_typed_is_kept(desk: DeskClient) -> None:
    desk.get("/order-new")
    for lines, said in (
        ("D100 0", "Line 1"), ("D100 1.5", "Line 1"), ("D100 2桶", "not sold by"), ("D999 2", "D999"), ("", "at least"),
        ("D100 2 x", "Line 1"),
    ):  # fmt: skip
        answer = desk.post("/order-new", {"location": "A", "supplier": "S01", "lines": lines})
        assert answer.status_code == 422
        assert said in text_of(answer), lines
        assert f">{lines}</textarea>" in answer.text
    answer = desk.post("/order-new", {"location": "A", "supplier": "S77", "lines": "D100 1"})
    assert "S77" in text_of(answer)


def test_an_order_that_changed_meanwhile_is_not_overwritten(desk: DeskClient, hub: Hub) -> None:
    number = place(desk)
    form = desk.get(f"/orders/A/{number}/edit").text
    version = form.split('name="version" value="')[1].split('"')[0]
    changed = {"location": "A", "supplier": "S01", "lines": "D100 12", "version": version}
    assert desk.post(f"/orders/A/{number}/edit", changed).status_code == 303
    late = desk.post(f"/orders/A/{number}/edit", {**changed, "lines": "D100 99"})
    assert late.status_code == 422
    with hub.store.snapshot() as replica:
        [line] = find_order(replica, "A", number).known.lines
    assert line.ordered_milli == 12_000


def test_a_shops_draft_becomes_an_order_a_question_to_another_shop_or_a_no(desk: DeskClient, hub: Hub) -> None:
    lines = (OrderLine("D100", 24_000),)
    say(hub, *(OrderDrafted(f"R-{n}", purpose, source, "", lines) for n, purpose, source in
               ((1, "order", "S01"), (2, "transfer", "B"), (3, "order", ""))))  # fmt: skip
    page = text_of(desk.get("/orders"))
    assert all(f"R-{n}" in page for n in (1, 2, 3))
    form = desk.get("/order-new?location=A&draft=R-1")
    assert "D100 24" in form.text
    number = place(desk, draft="R-1")
    assert state(hub, "R-1", About.DRAFT) is BuyingState.ANSWERED
    with hub.store.snapshot() as replica:
        assert find_order(replica, "A", "R-1", About.DRAFT).known.reference == number
    again = desk.post("/order-new", {"location": "A", "supplier": "S01", "lines": "D100 1", "draft": "R-1"})
    assert "answered meanwhile" in text_of(again)
    asked = desk.post("/goods-drafts/A/R-2/ask", {"source": "B", "lines": "D100 24"})
    assert asked.status_code == 303
    with hub.store.snapshot() as replica:
        [one] = list_buying(replica, About.TRANSFER, ["B"])
    assert (one.known.number, one.known.destination, one.known.reference) == ("TR-B-0001", "A", "R-2")
    assert "TR-B-0001" in text_of(desk.get("/orders"))
    assert desk.post("/asked-transfers/B/TR-B-0001/close").status_code == 303
    assert desk.post("/goods-drafts/A/R-3/decline", {"reason": ""}).status_code == 422
    assert desk.post("/goods-drafts/A/R-3/decline", {"reason": "下周再说"}).status_code == 303
    assert state(hub, "R-3", About.DRAFT) is BuyingState.DECLINED
    assert "下周再说" in text_of(desk.get("/goods-drafts/A/R-3"))


def test_two_who_edit_one_supplier_see_each_other(desk: DeskClient, hub: Hub) -> None:
    form = desk.get("/suppliers/S01").text
    version = form.split('name="version" value="')[1].split('"')[0]
    edited = {"name": "杭州饮料公司", "active": "1", "version": version}
    assert desk.post("/suppliers/S01", edited).status_code == 303
    late = desk.post("/suppliers/S01", {**edited, "name": "杭饮"})
    assert late.status_code == 409
    with hub.store.snapshot() as replica:
        assert find_supplier(replica.connection, "S01").supplier.name == "杭州饮料公司"
    assert desk.post("/supplier-new", SUPPLIER).status_code == 422


def test_edits_that_met_stand_side_by_side_on_the_products_page_and_are_settled_there(
    desk: DeskClient, hub: Hub
) -> None:
    meet(hub, "products/drinks", "D100", "name", "可乐甲", "可乐乙")
    page = desk.get("/products/D100")
    words = text_of(page)
    assert "可乐甲" in words
    assert "可乐乙" in words
    conflict = page.text.split('name="conflict" value="')[1].split('"')[0]
    change = page.text.split('name="change" value="')[2].split('"')[0]
    done = desk.post("/catalogue-conflicts", {"conflict": conflict, "change": change, "back": "D100"})
    assert done.headers["location"].startswith("/products/D100")
    with hub.store.snapshot() as replica:
        assert not view_product(replica.connection, "D100").conflicts
    meet(hub, "suppliers/standard", "S01", "phone", "0571-2", "0571-3")
    page = desk.get("/catalogue-conflicts")
    assert "0571-3" in text_of(page)
    assert 'href="/suppliers/S01"' in page.text
    assert "edited twice" in text_of(desk.get("/suppliers"))


def meet(hub: Hub, document: str, record: str, field: str, *values: str) -> None:
    """Have the hub and a copy of it, another incarnation, set one field without knowing of each other."""
    with hub.store.transaction(ORG) as replica:
        state, now_ms = read_document(replica.connection, document), hub.now_ms()
        first = hub.own_log.incarnation(replica.connection)
        streams = [Stream(ORG, hub.own_log.node, first + n) for n in range(len(values))]
        changes = [
            (stream, change)
            for stream, value in zip(streams, values, strict=True)
            for change in edit(state, {(record, field): value}, writer=stream.writer, time_ms=now_ms)
        ]
        for stream, change in changes:
            replica.append(stream, change, Moment(now_ms, 0, 0))


def test_a_minimum_of_a_shop_holds_before_the_chains_and_fills_an_order(desk: DeskClient, hub: Hub) -> None:
    version = desk.get("/minimums?location=A").text.split('name="version" value="')[1].split('"')[0]
    sent = {"location": "A", "product": "D100", "minimum": "36", "version": version}
    assert desk.post("/minimums", sent).status_code == 303
    with hub.store.snapshot() as replica:
        [row] = list_minimums(replica, "A", text="D100")
        [other] = list_minimums(replica, "B", text="D100")
    assert (row.minimum_milli, other.minimum_milli) == (36_000, 0)
    assert "D100 36" in desk.get("/order-new?location=A&fill=below").text
    place(desk, lines="D100 30")
    assert "D100 6  # 可口可乐" in desk.get("/order-new?location=A&fill=below").text, (
        "what is ordered is not ordered again"
    )
    assert desk.post("/minimums", {**sent, "minimum": "-1"}).status_code == 422
    late = desk.post("/minimums", {**sent, "minimum": "40", "version": "0" * 16})
    assert late.status_code == 422


def test_the_scales_file_has_what_its_page_says_and_runs_no_formula(desk: DeskClient) -> None:
    pear = {
        "code": "F1", "category": "fruit", "name": "=HYPERLINK(1)", "unit": "kg", "unit_name": "公斤", "tax": "9",
        "active": "1", "weighed": "1", "article": "77", "shelf_days": "5", "price": "12.80",
    }  # fmt: skip
    assert desk.post("/product-new", pear).status_code == 303
    answer = desk.get("/plu.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows == [["plu", "code", "name", "unit", "price", "shelf_days", "tax"],
                    ["77", "F1", "'=HYPERLINK(1)", "kg", "12.80", "5", "9"]]  # fmt: skip
    assert "可口可乐" not in answer.text
    assert desk.get("/plu.csv?encoding=gb18030").content.startswith(b"plu,")
    assert "77" in text_of(desk.get("/plu"))


def test_a_kit_is_made_of_parts_that_are_there_and_loses_them_again(desk: DeskClient, hub: Hub) -> None:
    kit = {**WATER, "code": "K1", "name": "礼包", "barcodes": "", "units": "", "parts": "D100 2\nD999 1"}
    refused = desk.post("/product-new", kit)
    assert refused.status_code == 422
    assert "D999" in text_of(refused)
    assert desk.post("/product-new", {**kit, "parts": "D100 2"}).status_code == 303
    with hub.store.snapshot() as replica:
        view = view_product(replica.connection, "K1")
    assert [(part.product, part.quantity_milli) for part in view.product.parts] == [("D100", 2000)]
    nested = desk.post("/product-new", {**kit, "code": "K2", "parts": "K1 1"})
    assert nested.status_code == 422
    bare = {**kit, "parts": "", "version": view.version}
    assert desk.post("/products/K1/edit", bare).status_code == 303
    with hub.store.snapshot() as replica:
        assert view_product(replica.connection, "K1").product.parts == ()


def test_a_deposit_is_charged_with_goods_and_taken_away_again_at_the_desk(desk: DeskClient, hub: Hub) -> None:
    bottle = {**WATER, "code": "E1", "name": "空瓶", "barcodes": "", "units": "", "price": "0.50"}
    assert desk.post("/product-new", bottle).status_code == 303
    beer = {**WATER, "code": "B1", "name": "啤酒", "barcodes": "", "units": "箱 12"}
    for wrong, said in (("E9 1", "E9"), ("E1 0", "E1 0"), ("E1 1 桶", "桶"), ("B1 1", "B1")):
        refused = desk.post("/product-new", {**beer, "deposits": wrong})
        assert refused.status_code == 422, wrong
        assert said in text_of(refused)
        assert wrong in refused.text, "what was typed is kept"
    assert desk.post("/product-new", {**beer, "deposits": "E1\nE1 12 箱"}).status_code == 303
    with hub.store.snapshot() as replica:
        view = view_product(replica.connection, "B1")
        assert view.product.deposits == (Deposit("E1", 1000), Deposit("E1", 12_000, "箱"))
        assert view_product(replica.connection, "E1").product.is_deposit, "nobody has to say so twice"
    assert "E1 12 箱" in desk.get("/products/B1/edit").text
    assert "E1" in text_of(desk.get("/products/B1"))
    nested = desk.post("/product-new", {**beer, "code": "B2", "deposits": "B1 1"})
    assert nested.status_code == 422
    assert desk.post("/products/B1/edit", {**beer, "deposits": "", "version": view.version}).status_code == 303
    with hub.store.snapshot() as replica:
        assert view_product(replica.connection, "B1").product.deposits == ()


def test_goods_that_tills_sold_unknown_lead_to_the_form_and_go_when_they_are_known(desk: DeskClient, hub: Hub) -> None:
    say(hub, ProductDrafted("6900000000014", "新品", 990, "o1"), ProductDrafted("6900000000014", "", 890, "o1"))
    page = desk.get("/product-drafts")
    assert "8.90 – ¥9.90" in text_of(page) or "8.90 – 9.90" in text_of(page)
    address = page.text.split('href="/product-new?')[1].split('"')[0].replace("&amp;", "&")
    form = desk.get(f"/product-new?{address}").text
    assert "6900000000014" in form
    assert "新品" in form
    made = {**WATER, "code": "N1", "name": "新品", "units": "", "barcodes": "6900000000014"}
    assert desk.post("/product-new", made).status_code == 303
    assert "6900000000014" not in text_of(desk.get("/product-drafts"))


def test_every_desk_of_buying_opens_when_nothing_is_there(hub: Hub, client: httpx.Client) -> None:
    make_account(hub)
    with at_the_desk(str(client.base_url)) as empty:
        for path in ("/orders", "/order-new", "/suppliers", "/minimums", "/plu", "/product-drafts"):
            assert empty.get(path).status_code == 200, path
