"""The catalogue's pages, as an administrator uses them: nothing is half-done, what was typed is kept, all is undone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from hub.catalogue import view_product
from hub.promotions import all_promotions
from hub.service import Hub
from hub.setting_desk import view_setting
from schema.errors import RefusalError
from schema.kinds.organisation import OperatorDefined
from schema.rules.barcode_layouts import BarcodeLayout
from schema.settings import CashRules, CountRules, PriceRules, ReceiptForm, TillRules
from tests.hub.desk import BROWSER, DeskClient, at_the_desk, make_account, text_of

CSV = "code,name,category,unit,price,barcode\nX1,水,drinks,pc,2.00,6901234567892\nX2,茶,drinks,pc,3.50,\n"
WATER = {
    "code": "D100", "category": "drinks", "name": "可口可乐", "unit": "pc", "unit_name": "瓶", "tax": "13",
    "active": "1", "barcodes": "6901234567892", "units": "箱 24", "price": "3.00",
}  # fmt: skip


@pytest.fixture
def desk(hub: Hub, client: httpx.Client) -> Iterator[DeskClient]:
    make_account(hub)
    with at_the_desk(str(client.base_url)) as signed_in:
        yield signed_in


def add_cola(desk: DeskClient) -> None:
    desk.get("/product-new")
    assert desk.post("/product-new", WATER).status_code == 303


def test_a_product_is_added_found_by_pinyin_and_priced_for_a_day_to_come(desk: DeskClient) -> None:
    add_cola(desk)
    assert "可口可乐" in text_of(desk.get("/products?search=kkkl"))
    page = desk.get("/products/D100")
    assert "3.00" in text_of(page)
    future = {"price": "3.50", "unit": "pc", "per": "1000", "from": "2099-03-02T06:00", "list": "standard"}
    assert "2099-03-02 06:00" in text_of(desk.follow(desk.post("/products/D100/price", future)))
    past = desk.post("/products/D100/price", {**future, "from": "2001-03-02T06:00"})
    assert past.status_code == 422
    assert "lies in the past" in text_of(past)
    assert 'value="3.50"' in past.text


def test_two_editors_of_one_product_see_each_other_before_either_overwrites(desk: DeskClient) -> None:
    add_cola(desk)
    form = desk.get("/products/D100/edit").text
    version = form.split('name="version" value="')[1].split('"')[0]
    first = {**WATER, "name": "可口可乐 罐装", "version": version}
    assert desk.post("/products/D100/edit", first).status_code == 303
    late = desk.post("/products/D100/edit", {**WATER, "name": "可乐", "version": version})
    assert late.status_code == 409
    words = text_of(late)
    assert "可口可乐 罐装" in words
    assert "可乐" in words
    again = late.text.split('name="version" value="')[1].split('"')[0]
    assert desk.post("/products/D100/edit", {**WATER, "name": "可乐", "version": again}).status_code == 303


def test_two_products_with_one_barcode_are_refused_beside_the_field(desk: DeskClient, hub: Hub) -> None:
    add_cola(desk)
    refused = desk.post("/product-new", {**WATER, "code": "D101", "price": "-3"})
    assert refused.status_code == 422
    refused = desk.post("/product-new", {**WATER, "code": "D101"})
    assert refused.status_code == 422
    assert "belongs to D100" in text_of(refused)
    with hub.store.snapshot() as replica, pytest.raises(RefusalError):
        view_product(replica.connection, "D101")


def test_a_file_is_looked_at_taken_and_undone(desk: DeskClient, hub: Hub) -> None:
    desk.get("/imports")
    sent = desk.http.post(
        "/imports", data={"csrf": desk.csrf, "kind": "products"}, files={"file": ("商品.csv", CSV.encode(), "text/csv")}
    )
    page = desk.follow(sent)
    assert "2 of 2 rows would be taken" in text_of(page)
    path = sent.headers["location"]
    with hub.store.snapshot() as replica, pytest.raises(RefusalError):
        view_product(replica.connection, "X1")
    assert desk.post(f"{path}/take", {"at": ""}).status_code == 303
    assert desk.post(f"{path}/take", {"at": ""}).status_code == 409
    edited = desk.get("/products/X2/edit").text.split('name="version" value="')[1].split('"')[0]
    tea = {"name": "红茶", "unit": "pc", "unit_name": "件", "tax": "13", "active": "1", "version": edited}
    assert desk.post("/products/X2/edit", tea).status_code == 303
    assert "someone changed since" in text_of(desk.follow(desk.post(f"{path}/undo")))
    with hub.store.snapshot() as replica:
        assert view_product(replica.connection, "X2").product.name == "红茶"
        with pytest.raises(RefusalError):
            view_product(replica.connection, "X1")


def test_a_dirty_file_takes_nothing_and_names_every_line(desk: DeskClient) -> None:
    desk.get("/imports")
    dirty = CSV + "X3,,drinks,pc,abc,1\n"
    sent = desk.http.post(
        "/imports", data={"csrf": desk.csrf, "kind": "products"}, files={"file": ("d.csv", dirty.encode(), "text/csv")}
    )
    words = text_of(desk.follow(sent))
    assert "nothing was taken" in words
    path = sent.headers["location"]
    assert desk.post(f"{path}/take", {"at": ""}).status_code == 409
    assert "2 of 3 rows would be taken" in text_of(desk.get(f"{path}?skip=1"))


def test_the_dirt_report_is_in_the_language_of_the_desk(desk: DeskClient) -> None:
    desk.get("/imports")
    text = "货号,品名,分类,单位,售价,是否称重\nX1,可乐,酒水#1,瓶,0,否\nX2,苹果,水果/进口,公斤,12.80,是\n"
    sent = desk.http.post(
        "/imports", data={"csrf": desk.csrf, "kind": "products"}, files={"file": ("d.csv", text.encode(), "text/csv")}
    )
    path = sent.headers["location"]
    english, chinese = (
        text_of(desk.http.get(f"{path}?lang={language}", headers=BROWSER, follow_redirects=True))
        for language in ("en", "zh")
    )
    for words in ("1 × 价格是零，收银机会按 0.00 卖", "1 × 类别太长或有 #，已改", "货号 → 商品编码", "12.80"):
        assert words in chinese, words
    for words in ("1 × Price of nothing", "taken as 酒水-1", "货号 → code", "12.80"):
        assert words in english, words


def test_a_category_is_called_as_the_shop_writes_it(desk: DeskClient) -> None:
    desk.get("/product-new")
    tea = {**WATER, "category": "进口 茶/红茶"}
    assert desk.post("/product-new", tea).status_code == 303
    assert desk.get("/products?category=进口 茶/红茶").text.count("/products/D100") == 1
    assert "进口 茶/红茶" in text_of(desk.get("/products/D100"))
    sharp = desk.post("/product-new", {**tea, "code": "X4", "category": "茶 #1"})
    assert (sharp.status_code, "without #" in text_of(sharp)) == (422, True)
    assert "进口 茶/红茶" in text_of(desk.get("/policies/edit?category=进口 茶/红茶"))
    desk.get("/settings/categories")
    assert desk.post("/settings/categories", {"names": "进口 茶/红茶 = 红茶", "at": ""}).status_code == 303
    assert "/ 红茶" in text_of(desk.get("/products/D100"))
    many = "\n".join(f"类别 {number} = 名称 {number}" for number in range(500))
    desk.get("/settings/categories")
    assert desk.post("/settings/categories", {"names": many, "at": ""}).status_code == 303
    assert "类别 499 = 名称 499" in desk.get("/settings/categories").text


def test_a_promotion_is_tried_on_a_basket_and_cannot_be_nonsense(desk: DeskClient, hub: Hub) -> None:
    add_cola(desk)
    desk.get("/promotion-new")
    terms = {"code": "P1", "name": "夏日", "kind": "buy-n-get-m", "buy": "2", "free": "1", "products": "D100"}
    assert desk.post("/promotion-new", terms).status_code == 303
    tried = desk.post("/promotions/try", {"goods": "3*D100"})
    assert "6.00" in text_of(tried)
    assert "buy 2 get 1 free" in text_of(tried)
    wrong = desk.post("/promotion-new", {**terms, "code": "P2", "buy": "", "free": ""})
    assert wrong.status_code == 422
    assert "1 to 999" in text_of(wrong)
    missing = desk.post("/promotion-new", {**terms, "code": "P3", "products": "NOPE"})
    assert missing.status_code == 422
    with hub.store.snapshot() as replica:
        assert [p.code for p in all_promotions(replica.connection)] == ["P1"]


def test_a_receipt_is_previewed_and_what_it_cannot_fill_in_is_refused(desk: DeskClient, hub: Hub) -> None:
    desk.get("/settings/receipt")
    form = {"columns": "48", "language": "zh", "header": "{{ shop.name }}", "footer": "谢谢光临",
            "sections": ["header", "lines", "totals", "footer"], "cut": "1", "at": ""}  # fmt: skip
    assert "谢谢光临" in text_of(desk.post("/settings/receipt", {**form, "act": "preview"}))
    wrong = desk.post("/settings/receipt", {**form, "header": "{{ shop.boss }}", "act": "save"})
    assert wrong.status_code == 422
    assert "shop.boss" in text_of(wrong)
    assert desk.post("/settings/receipt", {**form, "act": "save"}).status_code == 303
    with hub.store.snapshot() as replica:
        view = view_setting(replica.organisation, replica.connection, "receipt", "A")
    assert isinstance(view.setting, ReceiptForm)
    assert (view.setting.template.columns, view.setting.template.footer) == (48, ("谢谢光临",))
    assert not view.is_own


def test_shops_of_a_group_name_their_price_list_and_a_tolerance_is_typed_in_units(desk: DeskClient, hub: Hub) -> None:
    desk.get("/settings/prices?at=A")
    assert desk.post("/settings/prices", {"price_list": "hill shops", "at": "A"}).status_code == 422
    assert desk.post("/settings/prices", {"price_list": "hill", "at": "A"}).status_code == 303
    assert 'value="1"' in desk.get("/settings/count").text
    form = {"is_blind": "1", "tolerance_milli": "2.5", "tolerance_ppm": "1", "weighed_tolerance_milli": "0.05",
            "weighed_tolerance_ppm": "1", "recount_value_minor": "50", "cycle_products": "40",
            "record_after_seconds": "120", "at": ""}  # fmt: skip
    assert desk.post("/settings/count", form).status_code == 303
    with hub.store.snapshot() as replica:
        found = [
            view_setting(replica.organisation, replica.connection, name, place).setting
            for name, place in (("prices", "A"), ("prices", "B"), ("count", "A"))
        ]
    assert found == [
        PriceRules(price_list="hill"),
        PriceRules(),
        CountRules(tolerance_milli=2_500, cycle_products=40),
    ]


def test_a_till_s_scales_keys_and_means_are_set_at_the_desk_and_nonsense_is_refused_beside_its_field(
    desk: DeskClient, hub: Hub
) -> None:
    def rules() -> TillRules:
        with hub.store.snapshot() as replica:
            found = view_setting(replica.organisation, replica.connection, "till", "A").setting
        assert isinstance(found, TillRules)
        return found

    page = desk.get("/settings/till").text
    assert "21 FFPPPPPAAAAAC" in page
    form = {"same_scan_guard_ms": "0", "expiry_warning_days": "3", "means": ["cash", "account"], "wrong_pins_max": "5",
            "lockout_minutes": "15", "lock_after_minutes": "10", "prints_receipts": "1", "counts_blind": "1",
            "layouts": "21，28 ffpppppaaaaac\n22 FFPPPPPWWWWWC?", "keys": "pay f12\nsale.void delete, -",
            "at": "A"}  # fmt: skip
    assert desk.post("/settings/till", form).status_code == 303
    kept = rules()
    assert kept == TillRules(
        means=("cash", "account"), opens_drawer_for_cash=False, keys={"pay": "f12", "sale.void": "delete,-"},
        layouts=(
            BarcodeLayout("21-13", ("21", "28"), "FFPPPPPAAAAAC"),
            BarcodeLayout("22-13", ("22",), "FFPPPPPWWWWWC", is_check_verified=False),
        ),
    )  # fmt: skip
    again = desk.get("/settings/till?at=A").text
    assert "21,28 FFPPPPPAAAAAC\n22 FFPPPPPWWWWWC?" in again.replace("\r", "")
    assert "sale.void delete,-" in again
    for field, typed, words in (
        ("layouts", "21 FFPPPPPC", "no layout"), ("layouts", "21 FFPPPPPAAAAAC\n21 FFPPPPPWWWWWC", "one layout only"),
        ("layouts", "2 FFPPPPPAAAAAC", "no layout"), ("keys", "pay 5", "cannot be used"), ("keys", "pay", "cannot be"),
        ("means", ["cash", "shells"], "hoose"),
    ):  # fmt: skip
        wrong = desk.post("/settings/till", {**form, field: typed})
        assert (wrong.status_code, words in text_of(wrong)) == (422, True), typed
    assert rules() == kept


def test_categories_are_called_what_the_desk_says_on_pages_and_in_files(desk: DeskClient) -> None:
    add_cola(desk)
    page = desk.get("/settings/categories")
    assert ">drinks =</textarea>" in page.text
    assert desk.post("/settings/categories", {"names": "drinks = 饮料\nsnacks =", "at": ""}).status_code == 303
    for path in ("/products", "/products/D100", "/policies", "/policies/edit?category=drinks", "/minimums", "/stock"):
        assert "饮料" in text_of(desk.get(path)), path
    assert desk.get("/products?category=drinks").text.count("/products/D100") == 1
    wrong = desk.post("/settings/categories", {"names": f"drinks = {'饮' * 41}", "at": ""})
    assert (wrong.status_code, "cannot be used" in text_of(wrong)) == (422, True)
    assert "drinks = 饮料" in desk.get("/settings/categories").text


def test_a_location_has_its_own_cash_rules_and_follows_the_chain_again(desk: DeskClient, hub: Hub) -> None:
    def step(location: str) -> int:
        with hub.store.snapshot() as replica:
            found = view_setting(replica.organisation, replica.connection, "cash", location).setting
        assert isinstance(found, CashRules)
        return found.step_minor

    desk.get("/settings/cash")
    form = {"step_minor": "0.10", "rounding": "down", "drop_steps_minor": "10 100", "at": "A"}
    assert desk.post("/settings/cash", form).status_code == 303
    assert (step("A"), step("B"), step("")) == (10, 1, 1)
    assert desk.post("/settings/cash", {**form, "act": "inherit"}).status_code == 303
    assert step("A") == 1
    assert desk.post("/settings/cash", {**form, "at": "Z"}).status_code >= 400


def test_a_shop_manager_defines_cashiers_of_the_own_shop_and_nobody_else(
    desk: DeskClient, hub: Hub, client: httpx.Client
) -> None:
    desk.get("/operator-new")
    boss = {"number": "8001", "name": "老王", "role": "shop_manager", "at": ["A", "B"], "pin": "8888", "active": "1"}
    assert desk.post("/operator-new", boss).status_code == 303
    assert "老王" in text_of(desk.get("/operators"))
    make_account(hub, "manager", "shop_manager", ["B"])
    with at_the_desk(str(client.base_url), "manager") as manager:
        manager.get("/operator-new")
        cashier = {"number": "1003", "name": "小李", "role": "cashier", "at": "B", "pin": "1234", "active": "1"}
        assert manager.post("/operator-new", cashier).status_code == 303
        assert manager.post("/operator-new", {**cashier, "number": "1004", "at": "A"}).status_code >= 400
        assert manager.post("/operator-new", {**cashier, "number": "1005", "role": "shop_manager"}).status_code == 422
        assert manager.get("/operators/8001").status_code >= 400
        assert manager.post("/operators/8001", {**boss, "role": "cashier", "at": "B"}).status_code >= 400
        short = manager.post("/operator-new", {**cashier, "number": "1006", "pin": "12"})
        assert "4 to 12 digits" in text_of(short)
        assert "1234" not in manager.post("/operator-new", {**cashier, "name": ""}).text
    with hub.store.snapshot() as replica:
        known = replica.organisation.newest_each(replica.connection, OperatorDefined)
        numbers = {one.number for one in known.values()}
    assert {"8001", "1003"} <= numbers
    assert not {"1004", "1005", "1006"} & numbers


def test_a_name_cannot_bring_a_script_into_a_page(desk: DeskClient) -> None:
    evil = "<script>alert(1)</script>"
    desk.get("/product-new")
    assert desk.post("/product-new", {**WATER, "name": evil}).status_code == 303
    for path in ("/products", "/products/D100", "/products/D100/edit"):
        assert evil not in desk.get(path).text
