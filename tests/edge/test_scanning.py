"""What a scan or a typed text means."""

from __future__ import annotations

import pytest

from edge.basket import add, price_basket
from edge.keyed import keyed_money, keyed_quantity, split_multiplier
from edge.node import Node
from edge.scanning import (
    Candidates,
    CouponFound,
    Found,
    Interpretation,
    NothingFound,
    PhoneTyped,
    PriceNeeded,
    QuantityKeyed,
    ReceiptFound,
    Unknown,
    WeightNeeded,
    interpret,
    interpret_scan,
    pick,
    read_payment_code,
)
from edge.selling import LineRequest, sell
from edge.wedge import Scan
from schema.errors import RefusalError
from schema.rows import PromotionKind
from schema.rules.barcode_layouts import (
    AMOUNT_13,
    AMOUNT_WEIGHT_18,
    WEIGHT_13,
    WEIGHT_AMOUNT_18,
    BarcodeLayout,
    build_in_store_code,
)
from schema.rules.barcodes import check_digit
from schema.rules.promotion_terms import Promotion
from schema.settings import TillRules
from tests.edge.goods import (
    BASKET_SET,
    CHEESE,
    CHEESE_BARCODE,
    COLA,
    COLA_BARCODE,
    MILK,
    NO_PRICE,
    PORK,
    PORK_ARTICLE,
    basket_of,
    minor,
    promote,
    settle,
    teach_goods,
)
from tests.edge.shops import Shops

CASE_BARCODE = "16928804011149"


@pytest.fixture
def node(shops: Shops) -> Node:
    return teach_goods(shops.make_node())


def scanned(node: Node, text: str) -> Interpretation:
    return interpret(node, text, is_scan=True)


def typed(node: Node, text: str) -> Interpretation:
    return interpret(node, text, is_scan=False)


@pytest.mark.parametrize(
    "text",
    [
        COLA,
        COLA_BARCODE,
        f"]E0{COLA_BARCODE}",
        f"0{COLA_BARCODE}",
        f"{COLA_BARCODE}\r",
        "６９２８８０４０１１１４２",
        "c0001",
    ],
)
def test_goods_are_found_however_their_code_is_spelt(node: Node, text: str) -> None:
    meant = scanned(node, text)
    assert isinstance(meant, Found)
    assert (meant.line.product, meant.line.quantity_milli, meant.line.name) == (COLA, 1000, "可口可乐 330ml")


def test_the_code_of_a_case_sells_a_case(node: Node) -> None:
    meant = scanned(node, CASE_BARCODE)
    assert isinstance(meant, Found)
    assert (meant.line.unit, meant.line.unit_name, meant.line.factor_milli) == ("箱", "箱", 24_000)


@pytest.mark.parametrize("text", [f"3*{COLA}", f"３＊{COLA}", f" 3 * {COLA_BARCODE}", f"3×{COLA}"])
def test_a_quantity_before_a_star_multiplies_what_follows(node: Node, text: str) -> None:
    meant = typed(node, text)
    assert isinstance(meant, Found)
    assert meant.line.quantity_milli == 3000


def test_a_star_alone_waits_for_the_scan(node: Node) -> None:
    assert typed(node, "12*") == QuantityKeyed(12_000)
    meant = interpret(node, COLA_BARCODE, quantity_milli=12_000, is_scan=True)
    assert isinstance(meant, Found)
    assert meant.line.quantity_milli == 12_000


@pytest.mark.parametrize(
    ("typed_before", "code", "product", "quantity_milli", "left"),
    [
        ("", COLA_BARCODE, COLA, 1000, ""), ("3*", COLA_BARCODE, COLA, 3000, ""),
        (COLA_BARCODE[:5], COLA_BARCODE[5:], COLA, 1000, ""),
        (f"3*{COLA_BARCODE[:5]}", COLA_BARCODE[5:], COLA, 3000, ""),
        ("12", COLA_BARCODE, COLA, 1000, "12"), ("1.5", COLA_BARCODE, COLA, 1000, "1.5"),
        ("411", COLA_BARCODE, COLA, 1000, "411"), ("kele", COLA_BARCODE, COLA, 1000, ""),
        ("可乐", COLA_BARCODE, COLA, 1000, ""),
    ],
)  # fmt: skip
def test_text_before_a_scan_multiplies_it_begins_it_or_was_meant_for_something_else(
    node: Node, typed_before: str, code: str, product: str, quantity_milli: int, left: str
) -> None:
    meant, stays = interpret_scan(node, typed_before, Scan(code, "]E0"))
    assert isinstance(meant, Found)
    assert (meant.line.product, meant.line.quantity_milli, stays) == (product, quantity_milli, left)


def test_text_before_an_unknown_scan_belongs_to_it(node: Node) -> None:
    meant, left = interpret_scan(node, "690", Scan("1234500016"))
    assert isinstance(meant, Unknown)
    assert (meant.code, left) == ("6901234500016", "")
    with pytest.raises(RefusalError, match="quantity"):
        interpret_scan(node, "1e5*", Scan(COLA_BARCODE))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0*C0001", "quantity_zero"), ("99999*C0001", "quantity_large"), ("1e5*C0001", "quantity_malformed"),
        ("-1*C0001", "quantity_malformed"), ("1.5*C0001", "quantity_broken"), ("0*", "quantity_zero"),
        ("1234567890123*C0001", "quantity_malformed"), ("", "text_empty"), ("\r\n", "text_empty"),
        ("4111111111111111", "text.card_number"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_sentence(node: Node, text: str, code: str) -> None:
    with pytest.raises(RefusalError) as refused:
        typed(node, text)
    assert refused.value.code == code
    assert "4111" not in refused.value.message


def test_weighed_goods_ask_for_the_scale_unless_the_weight_was_keyed(node: Node) -> None:
    assert isinstance(typed(node, PORK), WeightNeeded)
    meant = typed(node, f"0.456*{PORK}")
    assert isinstance(meant, Found)
    assert meant.line.quantity_milli == 456


def test_goods_without_a_price_ask_for_one(node: Node) -> None:
    assert isinstance(typed(node, NO_PRICE), PriceNeeded)


@pytest.mark.parametrize(
    ("layout", "grams", "amount", "quantity", "due", "difference"),
    [
        (WEIGHT_13, 350, None, 350, 1393, None),
        (AMOUNT_13, None, 1393, 350, 1393, 0),
        (AMOUNT_WEIGHT_18, 350, 1380, 350, 1380, -13),
        (WEIGHT_AMOUNT_18, 350, 1400, 350, 1400, 7),
    ],
)
def test_every_layout_of_a_scales_label_is_read_and_a_printed_amount_wins(
    node: Node, layout: BarcodeLayout, grams: int | None, amount: int | None, quantity: int, due: int,
    difference: int | None,
) -> None:  # fmt: skip
    code = build_in_store_code(layout, PORK_ARTICLE, grams=grams or 0, amount_minor=amount or 0)
    meant = scanned(node, code)
    assert isinstance(meant, Found)
    [line] = price_basket(node, add(basket_of(node), meant.line)).lines
    assert (line.line.quantity_milli, line.amount_minor, line.difference_minor) == (quantity, due, difference)


def test_a_layout_is_the_shops_own_setting(node: Node) -> None:
    layout = BarcodeLayout("own", ("28",), "FFPPPPPWWWWW")
    settle(node, TillRules(layouts=(layout,)))
    meant = scanned(node, build_in_store_code(layout, PORK_ARTICLE, grams=1234))
    assert isinstance(meant, Found)
    assert meant.line.quantity_milli == 1234
    assert isinstance(scanned(node, build_in_store_code(WEIGHT_13, PORK_ARTICLE, grams=350)), Unknown)


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (build_in_store_code(WEIGHT_13, PORK_ARTICLE, grams=350)[:-1] + "0", "barcode.check_digit"),
        (build_in_store_code(WEIGHT_13, "99999", grams=350), "label_unknown"),
        (build_in_store_code(WEIGHT_13, PORK_ARTICLE, grams=0), "label_empty"),
        (build_in_store_code(AMOUNT_13, PORK_ARTICLE, amount_minor=0), "label_empty"),
    ],
)
def test_a_label_that_says_nothing_of_use_is_refused(node: Node, code: str, refusal: str) -> None:
    if refusal == "barcode.check_digit" and check_digit(code[:-1]) == "0":
        code = code[:-1] + "1"
    with pytest.raises(RefusalError) as refused:
        scanned(node, code)
    assert refused.value.code == refusal


GTIN = f"0{CHEESE_BARCODE}"


@pytest.mark.parametrize(
    "text",
    [
        f"]C101{GTIN}17260401101A2B\x1d21S-7",
        f"]d201{GTIN}10{'1A2B'}\x1d1726040121S-7",
        f"01{GTIN}1726040121S-7\x1d101A2B",
        f"https://id.gs1.org/01/{GTIN}/10/1A2B/21/S-7?17=260401",
        f"]Q1https://id.gs1.org/01/{GTIN}/10/1A2B/21/S-7?17=260401",
    ],
)
def test_gs1_codes_bring_lot_expiry_and_serial_number(node: Node, text: str) -> None:
    meant = scanned(node, text)
    assert isinstance(meant, Found), meant
    assert meant.line.product == CHEESE
    assert (meant.line.lot, meant.line.expiry, meant.line.serial) == ("1A2B", "2026-04-01", "S-7")
    assert meant.warnings == ()


@pytest.mark.parametrize(
    ("expiry", "warning"),
    [("260301", "goods_expired"), ("260302", "goods_expiring"), ("260305", "goods_expiring"), ("260306", "")],
)
def test_goods_past_their_day_are_warned_of_and_not_refused(node: Node, expiry: str, warning: str) -> None:
    meant = scanned(node, f"]C101{GTIN}17{expiry}10L1")
    assert isinstance(meant, Found)
    assert [told.code for told in meant.warnings] == ([warning] if warning else [])


def test_a_weight_and_a_price_in_a_gs1_code_count(node: Node) -> None:
    from schema.catalogue import PriceStep, Product
    from schema.identity import ProductId
    from tests.edge.goods import teach_products

    ham = Product(code=ProductId("H1"), category="meat", name="火腿", unit="kg", is_weighed=True,
                  barcodes=(("9526064055028", "kg"),))  # fmt: skip
    teach_products(node, [ham], {"H1": {"kg": (PriceStep(0, None, 10_000),)}})
    meant = scanned(node, "]C10109526064055028310300050010L9\x1d3922605")
    assert isinstance(meant, Found)
    assert (meant.line.quantity_milli, meant.line.label_amount_minor) == (500, 605)
    [line] = price_basket(node, add(basket_of(node), meant.line)).lines
    assert (line.amount_minor, line.difference_minor) == (605, 605 - 5000)


def test_an_unknown_code_asks_for_a_price_and_a_misread_one_for_another_scan(node: Node) -> None:
    code = "694444999999" + check_digit("694444999999")
    unknown = scanned(node, code)
    assert isinstance(unknown, Unknown)
    assert (unknown.is_misread, unknown.line.is_known, unknown.line.barcode) == (False, False, code)
    misread = scanned(node, code[:-1] + str((int(code[-1]) + 1) % 10))
    assert isinstance(misread, Unknown)
    assert misread.is_misread


def test_the_outer_case_of_known_goods_offers_them(node: Node) -> None:
    body = f"3{MILK_BODY}"
    meant = scanned(node, body + check_digit(body))
    assert isinstance(meant, Candidates)
    assert [hit.code for hit in meant.hits] == [MILK]


MILK_BODY = "690799210001"


def test_a_barcode_of_two_products_lets_the_cashier_choose(node: Node) -> None:
    from schema.catalogue import Product
    from schema.identity import ProductId
    from tests.edge.goods import teach_products

    twin = Product(code=ProductId("C0099"), category="drinks", name="可乐促销装", barcodes=((COLA_BARCODE, "pc"),))
    teach_products(node, [twin], {})
    meant = scanned(node, COLA_BARCODE)
    assert isinstance(meant, Candidates)
    assert [hit.code for hit in meant.hits] == [COLA, "C0099"]


def test_a_receipt_is_told_from_goods_by_number_and_by_its_code(node: Node) -> None:
    sold = sell(node, [LineRequest(COLA)])
    assert scanned(node, sold.receipt_number) == ReceiptFound(sold.receipt_number)
    assert scanned(node, sold.code_text) == ReceiptFound(sold.code_text)


def test_a_coupon_and_a_phone_number_are_what_they_are(node: Node) -> None:
    promote(
        node, Promotion(code="V", name="开业券", kind=PromotionKind.AMOUNT_OFF, amount_minor=minor(100), coupon="KY*")
    )
    assert scanned(node, "KY0001") == CouponFound("KY0001", "开业券")
    assert typed(node, "13800138000") == PhoneTyped("13800138000")


@pytest.mark.parametrize(("code", "means"), [("134567890123456789", "wechat"), ("284567890123456789", "alipay")])
def test_a_payment_code_is_refused_at_the_sale_and_read_at_the_tender(node: Node, code: str, means: str) -> None:
    with pytest.raises(RefusalError) as refused:
        scanned(node, code)
    assert refused.value.code == "payment_code_early"
    assert code not in refused.value.message
    read = read_payment_code(code)
    assert read is not None
    assert read.means == means
    assert read_payment_code(COLA_BARCODE) is None


def test_typed_words_give_a_list_and_nothing_where_nothing_fits(node: Node) -> None:
    meant = typed(node, "kkkl")
    assert isinstance(meant, Candidates)
    assert [hit.code for hit in meant.hits] == [COLA]
    assert typed(node, "没有这个") == NothingFound("没有这个")
    assert isinstance(typed(node, "9999999"), Unknown)
    several = typed(node, "2*kkkl")
    assert isinstance(several, Candidates)
    assert several.quantity_milli == 2000


def test_what_was_chosen_from_a_list_becomes_a_line(node: Node) -> None:
    meant = pick(node, COLA, unit="箱", quantity_milli=2000)
    assert isinstance(meant, Found)
    assert (meant.line.unit, meant.line.quantity_milli) == ("箱", 2000)
    for code, unit, refusal in (("NOPE", "", "product_unknown"), (COLA, "打", "unit_unknown")):
        with pytest.raises(RefusalError) as refused:
            pick(node, code, unit=unit)
        assert refused.value.code == refusal
    assert isinstance(pick(node, BASKET_SET), Found)


@pytest.mark.parametrize(
    ("text", "milli"), [("2", 2000), ("0.375", 375), ("２．５", 2500), (".5", 500), ("3.", 3000), ("1.500", 1500)]
)
def test_a_quantity_is_a_plain_number(text: str, milli: int) -> None:
    assert keyed_quantity(text) == milli


@pytest.mark.parametrize("text", ["1e5", "", "-1", "+1", "1,000", "0x10", "١", "1.2345", "nan", "inf", "1 2", "9" * 10])
def test_anything_else_is_no_quantity(text: str) -> None:
    with pytest.raises(RefusalError):
        keyed_quantity(text)


def test_money_is_keyed_with_two_decimals_at_most() -> None:
    assert [keyed_money(text) for text in ("12.5", "￥３", "¥0.05", "100")] == [1250, 300, 5, 10_000]
    with pytest.raises(RefusalError):
        keyed_money("1.005")


def test_a_star_within_a_name_is_no_quantity() -> None:
    assert split_multiplier("五*星") == (None, "五*星")
    assert split_multiplier("*") == (None, "*")
