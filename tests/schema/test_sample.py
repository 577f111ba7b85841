"""The sample that ships is complete, consistent and free of other companies' codes."""

from __future__ import annotations

from collections import Counter

import schema.sample as sample
from schema.rows import BaseUnit, parse_selling_unit
from schema.rules.barcodes import CodeKind, is_restricted, read_code
from schema.rules.rounding import PricePer
from schema.rules.tax import TaxClass

CATALOGUE = sample.catalogue()
CATEGORIES = {category.code: category for category in sample.categories()}


def test_about_three_hundred_products_fill_fifteen_categories() -> None:
    assert len(CATALOGUE) >= 300
    counted = Counter(product.category for product in CATALOGUE)
    assert set(counted) == set(CATEGORIES)
    assert len(CATEGORIES) == 15
    assert min(counted.values()) >= 15


def test_every_code_is_unique_has_its_check_digit_and_lies_in_the_shops_own_range() -> None:
    codes = [code for product in CATALOGUE for code in product.barcodes]
    codes += [code for product in CATALOGUE for unit in product.units for code in unit.barcodes]
    assert len(codes) == len(set(codes)) > 300
    assert all(read_code(code).kind is CodeKind.EAN13 and is_restricted(code) for code in codes)
    assert {code[:2] for code in codes} == {"28", "29"}  # The flags 21 to 24 are left to the scales.
    assert len({product.code for product in CATALOGUE}) == len(CATALOGUE)


def test_weighed_goods_have_an_article_number_and_a_price_by_weight() -> None:
    weighed = [product for product in CATALOGUE if product.is_weighed]
    assert len(weighed) > 50
    assert len({product.article for product in weighed}) == len(weighed)
    for product in CATALOGUE:
        assert product.is_weighed == (product.unit is BaseUnit.KILOGRAM) == product.price_per.is_by_weight
        assert (len(product.article) == 5) == product.is_weighed
    assert {product.price_per for product in CATALOGUE} == set(PricePer)


def test_every_product_has_a_price_and_a_case_is_no_dearer_than_its_pieces() -> None:
    for product in CATALOGUE:
        assert product.price_minor is not None
        assert product.price_minor > 0
        for unit in product.units:
            price = sample.unit_price_minor(product, unit)
            assert price is not None
            assert 0 < price <= product.price_minor * unit.factor_milli // 1000


def test_tax_classes_follow_the_law_for_groceries() -> None:
    by_name = {(product.name, product.spec): product.tax_class for product in CATALOGUE}
    assert by_name["东北大米", "5kg"] is TaxClass.VAT9
    assert by_name["花生油", "5L"] is TaxClass.VAT9
    assert by_name["可口可乐", "330ml"] is TaxClass.VAT13
    assert by_name["纯牛奶", "250ml"] is TaxClass.VAT9
    assert by_name["大白菜", "散装"] is TaxClass.EXEMPT
    assert by_name["猪五花肉", "散装"] is TaxClass.EXEMPT
    assert by_name["红富士苹果", "散装"] is TaxClass.VAT9
    assert {product.tax_class for product in CATALOGUE} == set(TaxClass) - {TaxClass.VAT0}
    assert all(product.tax_class is TaxClass.EXEMPT for product in CATALOGUE if product.category == "vegetables")


def test_counts_of_tobacco_are_settled_by_people_and_weighed_goods_by_the_average() -> None:
    assert CATEGORIES["tobacco-alcohol"].disagreement == "manual"
    assert CATEGORIES["tobacco-alcohol"].ambiguous == "conservative"
    assert CATEGORIES["tobacco-alcohol"].is_blind
    assert CATEGORIES["tobacco-alcohol"].counters == 2
    assert CATEGORIES["vegetables"].disagreement == "average"
    assert CATEGORIES["drinks"].disagreement == "latest"
    assert {each.disagreement for each in CATEGORIES.values()} <= {
        "latest",
        "authority",
        "lowest",
        "average",
        "manual",
    }


def test_people_places_and_stock_name_only_what_exists() -> None:
    places = {place.code for place in sample.locations()}
    assert [(place.code, place.kind) for place in sample.locations()] == [
        ("W", "warehouse"),
        ("A", "shop"),
        ("B", "shop"),
        ("V", "van"),
    ]
    operators = sample.operators()
    assert {operator.location for operator in operators} <= places
    assert len({operator.code for operator in operators}) == len(operators)
    products = {product.code: product for product in CATALOGUE}
    keys = set()
    for row in sample.opening_stock():
        assert row.location in places
        assert row.quantity_milli > 0
        assert products[row.product].is_weighed or row.quantity_milli % 1000 == 0
        keys.add((row.location, row.product))
    assert len(keys) == len(sample.opening_stock())
    assert all(customer.phone.startswith("120") for customer in sample.customers())


def test_names_and_pins_of_people_never_appear_in_a_rows_repr() -> None:
    operator, customer = sample.operators()[0], sample.customers()[0]
    assert operator.pin not in repr(operator)
    assert operator.name not in f"{operator}"
    assert customer.phone not in repr(customer)
    assert customer.name not in f"{customer}"


def test_what_ships_of_others_is_attributed() -> None:
    text = sample.text("ATTRIBUTION.md")
    assert "10.24432/C5BW33" in text
    assert "Attribution 4.0" in text
    assert 2000 < len(sample.lines(sample.TRADING_DAY)) < 4000


def test_a_selling_unit_may_lack_price_and_code() -> None:
    assert parse_selling_unit("箱*24").factor_milli == 24_000
    assert parse_selling_unit("组 * 6 @ 25.00").price_minor == 2500
    assert sample.unit_price_minor(CATALOGUE[0], parse_selling_unit("箱*24")) == 24 * 200
