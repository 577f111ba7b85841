"""The sample chain is a whole one: a till that joins it signs in, finds members, and gives its promotions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.basket import Basket, BasketLine, add_coupon, price_basket
from edge.catalog import find_product
from edge.clock_source import machine_clock
from edge.joining import join
from edge.members import find_member
from edge.node import Node
from edge.settings import setting
from edge.signing_in import operators, sign_in
from edge.sync_agent import HttpLine, sync_once
from hub.enrolment import Profile
from hub.importing import append_import, found_sample, preview
from hub.imports import ImportKind
from hub.own_log import parse_location
from hub.service import Hub, init_hub, open_hub, serving
from hub.settings import define_setting, let_follow, list_settings
from schema import sample
from schema.errors import RefusalError
from schema.settings import CashRules, LoyaltyRules, ReceiptForm, ShopCard


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("sample") / "hub"
    places = [parse_location(f"{place.code}:{place.name}:{place.kind}") for place in sample.locations()]
    init_hub(directory, name="好邻居便利店", locations=places)
    opened = open_hub(directory)
    found_sample(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def node(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("nodes") / "A1"
    with serving(hub) as url:
        issued = hub.enrolment.invite(profile=Profile.TILL, location="A", name="一号收银", till="A1")
        join(directory, url, issued.invitation, machine_clock)
        opened = Node(directory)
        yield opened
        opened.close()


def sync(node: Node) -> None:
    line = HttpLine(node)
    try:
        assert sync_once(node, line).is_complete
    finally:
        line.close()


def line_of(node: Node, code: str, pieces: int = 1) -> BasketLine:
    found = find_product(node, code)
    assert found is not None
    product = found.product
    return BasketLine(
        product.code, product.name, quantity_milli=pieces * 1000, category=product.category, tax_class=product.tax_class
    )


def test_cashier_supervisor_and_manager_of_the_first_shop_sign_in(node: Node) -> None:
    people = {one.code: one for one in sample.operators() if one.location == "A"}
    assert {one.number for one in operators(node)} == set(people)
    roles = {sign_in(node, number, one.pin).role for number, one in people.items()}
    assert roles == {"cashier", "supervisor", "shop_manager"}


def test_members_have_names_tiers_and_balances(node: Node) -> None:
    card = find_member(node, "12000000003")
    assert (card.name, card.tier, card.points, card.stored_minor, card.bonus_minor) == (
        "林敏秀", "gold", 1280, 20_000, 2_000,
    )  # fmt: skip
    assert find_member(node, "12000000010").credit_minor == 5_600
    assert find_member(node, "12000000010").credit_limit_minor == 50_000


def test_receipt_shop_card_and_loyalty_are_set(node: Node) -> None:
    assert setting(node, ReceiptForm).template.footer
    assert setting(node, ShopCard).name == "好邻居便利店·文三店"
    assert setting(node, LoyaltyRules).bonuses


def test_every_promotion_of_the_sample_can_be_applied_and_names_goods_that_exist() -> None:
    codes = {product.code for product in sample.catalogue()}
    for promotion in sample.promotions():
        assert promotion.problem is None
        assert {*promotion.products, *(p for part in promotion.parts for p in part.products)} <= codes
        assert set(promotion.categories) <= {category.code for category in sample.categories()}


def test_promotions_reach_the_till_and_a_coupon_gives_what_it_says(node: Node) -> None:
    colas = Basket(lines=(line_of(node, "11007", 3),))
    assert price_basket(node, colas).total_minor == 990
    noodles = Basket(lines=(line_of(node, "12008"),))
    full = price_basket(node, noodles).total_minor
    with_coupon = price_basket(node, add_coupon(noodles, "XK2026"))
    assert full - with_coupon.total_minor == 500
    assert with_coupon.coupons_used == ("XK2026",)


def test_coupon_promotions_of_a_file_reach_the_till(hub: Hub, node: Node, tmp_path: Path) -> None:
    file = tmp_path / "promotions.csv"
    file.write_text(
        "活动编码,活动名称,活动类型,优惠,满额,优惠券,一次性,适用会员,星期,每日开始,每日结束,每单限次\n"
        "C1,十元券,满减,10,50,TEN*,是,,,,,\nC2,夜间金卡,折扣,9折,,,,gold,六日,18:30,24:00,\n",
        "utf-8",
    )
    imported = preview(hub, ImportKind.PROMOTIONS, file)
    assert append_import(hub, imported) > 0
    sync(node)
    basket = Basket(lines=(line_of(node, "12008"),))
    without = price_basket(node, basket).total_minor
    assert without - price_basket(node, add_coupon(basket, "TEN0001")).total_minor == 1_000
    (_, night) = imported.rows
    assert (night.tiers, night.weekdays, night.from_minute, night.until_minute) == (  # type: ignore[union-attr]
        ("gold",), (6, 7), 1110, 1440,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("C1,x,满减,10,50,中文券,是,,", "coupon.malformed"),
        ("C1,x,满减,10,50,,是,,", "coupon.missing"),
        ("C1,x,满减,10,50,TEN,也许,,", "word.unknown"),
        ("C1,x,满减,10,50,TEN,是,八,", "weekday.malformed"),
        ("C1,x,满减,10,50,TEN,是,,25点", "time.malformed"),
    ],
)
def test_terms_that_no_till_could_read_are_refused_by_line_and_column(
    hub: Hub, tmp_path: Path, row: str, code: str
) -> None:
    from hub.imports import ImportRefusedError

    file = tmp_path / "promotions.csv"
    file.write_text(f"活动编码,活动名称,活动类型,优惠,满额,优惠券,一次性,星期,每日开始\n{row}\n", "utf-8")
    with pytest.raises(ImportRefusedError) as refused:
        preview(hub, ImportKind.PROMOTIONS, file)
    assert [(one.line, one.code) for one in refused.value.findings if one.severity.value == "error"] == [(2, code)]


def test_a_setting_holds_for_the_chain_or_for_one_location_from_the_next_sync(hub: Hub, node: Node) -> None:
    define_setting(hub.store, hub.own_log, "cash", b'{"step_minor": 10}')
    assert setting(node, CashRules).step_minor == 1
    sync(node)
    assert setting(node, CashRules).step_minor == 10
    define_setting(hub.store, hub.own_log, "cash", b'{"step_minor": 50}', "A")
    define_setting(hub.store, hub.own_log, "cash", b'{"step_minor": 100}', "B")
    sync(node)
    assert setting(node, CashRules).step_minor == 50
    with hub.store.snapshot() as replica:
        listed = {(one.name, one.location): one.is_defined for one in list_settings(replica)}
    assert listed["cash", ""]
    assert listed["cash", "A"]
    assert not listed["till", ""]
    let_follow(hub.store, hub.own_log, "cash", "A")
    sync(node)
    assert setting(node, CashRules).step_minor == 10


@pytest.mark.parametrize(
    ("name", "value", "location", "code"),
    [
        ("cahs", b"{}", "", "setting_unknown"),
        ("cash", b'{"step": 10}', "", "setting_invalid"),
        ("cash", b'{"step_minor": "x"}', "", "setting_invalid"),
        ("cash", b"\xff", "", "setting_invalid"),
        ("cash", b"{}", "Z", "location_unknown"),
        ("receipt", b'{"template": {"footer": ["{{ operator.pin }}"]}}', "", "template_name"),
        ("elsewhere", b"{}", "A", "setting_invalid"),
    ],
)
def test_a_setting_that_no_till_could_read_is_refused(
    hub: Hub, name: str, value: bytes, location: str, code: str
) -> None:
    with pytest.raises(RefusalError) as refused:
        define_setting(hub.store, hub.own_log, name, value, location)
    assert refused.value.code == code
