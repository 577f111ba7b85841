"""The desk edits products and prices without overwriting what it never saw, and refuses what no till could sell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from hub.catalogue import CatalogueDesk, price_lists, view_product
from hub.importing import append_rows
from hub.product_index import categories, find_products, owners_of, rebuild_products
from hub.service import Hub
from schema.amounts import Minor
from schema.catalogue import PriceStep, Product, Scalar, UnitFactor
from schema.database import Connection, Rows
from schema.errors import RefusalError
from schema.identity import ORG, ProductId
from schema.rows import ProductRow
from sync.catalogue_edits import DocumentPlaces

COLA = Product(
    code=ProductId("D100"), category="drinks", name="可口可乐 330ml", units=(UnitFactor("case", 24_000),),
    barcodes=(("6901234567892", "pc"),),
)  # fmt: skip
HOUR_MS = 3_600_000


def changed(hub: Hub, act: Callable[[CatalogueDesk], object]) -> None:
    with hub.store.transaction(ORG) as replica:
        act(CatalogueDesk(replica, hub.own_log))


def add(hub: Hub, product: Product = COLA, extras: Mapping[str, Scalar] | None = None) -> None:
    changed(hub, lambda desk: desk.add_product(product, extras))


def refusal(hub: Hub, act: Callable[[CatalogueDesk], object]) -> str:
    with pytest.raises(RefusalError) as refused:
        changed(hub, act)
    return refused.value.code


def test_a_new_product_is_found_by_name_pinyin_code_and_barcode(hub: Hub) -> None:
    add(hub)
    with hub.store.snapshot() as replica:
        for text in ("可乐", "kkkl", "kekoukele", "d100", "69012345", "可口 330"):
            assert [p.code for p in find_products(replica.connection, text)] == ["D100"], text
        assert find_products(replica.connection, "雪碧") == []
        assert find_products(replica.connection, "100%") == []
        assert ("drinks", 1) in [(c.category, c.products) for c in categories(replica.connection)]


def test_the_list_of_products_is_the_same_when_it_is_derived_anew(hub: Hub) -> None:
    add(hub)
    add(hub, msgspec.structs.replace(COLA, code=ProductId("D101"), barcodes=()))
    with hub.store.transaction(ORG) as replica:
        query = (
            "SELECT * FROM product_index ORDER BY product",
            "SELECT * FROM product_barcode ORDER BY barcode, product",
        )
        before = [replica.connection.execute(sql).fetchall() for sql in query]
        rebuild_products(replica.connection)
        assert [replica.connection.execute(sql).fetchall() for sql in query] == before


def test_two_products_cannot_share_a_barcode(hub: Hub) -> None:
    add(hub)
    twin = msgspec.structs.replace(COLA, code=ProductId("D101"))
    assert refusal(hub, lambda desk: desk.add_product(twin)) == "barcode_taken"
    with hub.store.snapshot() as replica:
        assert owners_of(replica.connection, ["6901234567892"]) == {"6901234567892": ["D100"]}


@pytest.mark.parametrize(
    "changes, extras, code",
    [
        ({"name": "  "}, {}, "product_name"),
        ({"tax_class": "-3"}, {}, "tax_class_unknown"),
        ({"units": (UnitFactor("case", 0),)}, {}, "factor_invalid"),
        ({"units": (UnitFactor("pc", 24_000),)}, {}, "units_invalid"),
        ({"barcodes": (("6901234567893", "pc"),)}, {}, "barcode_invalid"),
        ({"barcodes": (("6901234567892", "pc"), ("06901234567892", "pc"))}, {}, "barcode_twice"),
        ({"barcodes": (("6901234567892", "box"),)}, {}, "unit_unknown"),
        ({}, {"fiscal": "123"}, "fiscal_code"),
        ({}, {"minimum": -1}, "minimum_invalid"),
        ({}, {"colour": "red"}, "field_unknown"),
        ({"code": ProductId("a b")}, {}, "product_code"),
        ({"category": ""}, {}, "category_invalid"),
    ],
)
def test_what_no_till_could_sell_is_refused_by_the_field_that_is_wrong(
    hub: Hub, changes: Mapping[str, object], extras: Mapping[str, Scalar], code: str
) -> None:
    product = msgspec.structs.replace(COLA, **changes)
    assert refusal(hub, lambda desk: desk.add_product(product, extras)) == code


def test_an_edit_made_from_an_old_page_is_refused_and_changes_nothing(hub: Hub) -> None:
    add(hub, COLA, {"fiscal": "1030307000000000000", "minimum": 24_000})
    with hub.store.snapshot() as replica:
        page = view_product(replica.connection, "D100")
    assert page.extras == {"fiscal": "1030307000000000000", "minimum": 24_000}
    first = msgspec.structs.replace(page.product, name="可口可乐 罐装")
    changed(hub, lambda desk: desk.change_product(first, page.extras, page.version))
    late = msgspec.structs.replace(page.product, name="可乐")
    assert refusal(hub, lambda desk: desk.change_product(late, page.extras, page.version)) == "record_changed"
    with hub.store.snapshot() as replica:
        assert view_product(replica.connection, "D100").product.name == "可口可乐 罐装"
        assert [p.name for p in find_products(replica.connection, "D100")] == ["可口可乐 罐装"]


def test_saving_a_page_that_nobody_changed_appends_nothing(hub: Hub) -> None:
    add(hub)
    with hub.store.transaction(ORG) as replica:
        page = view_product(replica.connection, "D100")
        assert CatalogueDesk(replica, hub.own_log).change_product(page.product, page.extras, page.version) == []


def test_a_scheduled_price_waits_and_can_be_taken_back_until_it_begins(hub: Hub) -> None:
    add(hub)
    now_ms = hub.now_ms()
    changed(hub, lambda desk: desk.set_price("D100", "", PriceStep(now_ms, None, 300)))
    changed(hub, lambda desk: desk.set_price("D100", "", PriceStep(now_ms + HOUR_MS, None, 350)))
    with hub.store.snapshot() as replica:
        [prices] = view_product(replica.connection, "D100").prices
        assert price_lists(replica.connection)[0] == "standard"
    current = prices.current(now_ms)
    assert current is not None
    assert current.price_minor == 300
    assert [s.price_minor for s in prices.scheduled(now_ms)] == [350]
    assert refusal(hub, lambda desk: desk.withdraw_price("D100", "pc", now_ms)) == "price_begun"
    changed(hub, lambda desk: desk.withdraw_price("D100", "pc", now_ms + HOUR_MS))
    with hub.store.snapshot() as replica:
        [prices] = view_product(replica.connection, "D100").prices
    assert prices.scheduled(now_ms) == ()


@pytest.mark.parametrize(
    "unit, from_ms, until_ms, price, per, code",
    [
        ("", -HOUR_MS, None, 300, 1000, "price_past"),
        ("", HOUR_MS, HOUR_MS, 300, 1000, "price_window"),
        ("", HOUR_MS, None, -1, 1000, "price_invalid"),
        ("", HOUR_MS, None, 300, 7, "price_per"),
        ("box", HOUR_MS, None, 300, 1000, "unit_unknown"),
    ],
)
def test_a_price_that_could_not_hold_is_refused(
    hub: Hub, unit: str, from_ms: int, until_ms: int | None, price: int, per: int, code: str
) -> None:
    add(hub)
    now_ms = hub.now_ms()
    step = PriceStep(now_ms + from_ms, None if until_ms is None else now_ms + until_ms, price, per)
    assert refusal(hub, lambda desk: desk.set_price("D100", unit, step)) == code


class Counted:
    """A connection that counts what its statements return."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.rows = 0

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        found = self._connection.execute(sql, parameters)
        return _CountedRows(self, found)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        return self._connection.executemany(sql, rows)


class _CountedRows:
    def __init__(self, connection: Counted, rows: Rows) -> None:
        self._connection, self._rows = connection, rows

    def fetchone(self) -> Any:
        self._connection.rows += 1
        return self._rows.fetchone()

    def fetchall(self) -> list[Any]:
        found = self._rows.fetchall()
        self._connection.rows += len(found)
        return found


def test_where_a_record_stands_costs_the_same_in_a_catalogue_of_any_size(hub: Hub) -> None:
    rows = [
        ProductRow(
            code=ProductId(f"P{number:04}"), name="水", category="drinks" if number else "food", price_minor=Minor(1)
        )
        for number in range(2_100)
    ]
    append_rows(hub, rows)
    with hub.store.snapshot() as replica:
        counted = Counted(replica.connection)
        few, bulk = DocumentPlaces(counted), DocumentPlaces(replica.connection, is_bulk=True)
        for code in ("P0000", "P0001", "P1500", "P2099", "new"):
            assert few.category(code) == bulk.category(code)
            for base in ("products/drinks", "prices/standard/drinks", "prices/member/drinks"):
                assert few.place(base, code) == bulk.place(base, code), (base, code)
        assert few.place("products/drinks", "new") == "products/drinks#3"
        assert counted.rows < 50
