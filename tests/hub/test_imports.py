"""A spreadsheet becomes a complete list of typed rows or is refused by line and column; nothing is half-imported."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schema.sample as sample
from hub.imports import (
    Existing,
    Finding,
    ImportDefaults,
    Imported,
    ImportKind,
    ImportRefusedError,
    Severity,
    check_import,
    guess_columns,
    summarise,
)
from schema.amounts import Minor
from schema.errors import RefusalError
from schema.identity import ProductId
from schema.rows import (
    BalanceKind,
    BaseUnit,
    CustomerRow,
    OpeningBalanceRow,
    OpeningStockRow,
    OperatorRow,
    PriceRow,
    ProductRow,
    PromotionKind,
    PromotionRow,
    StaffRole,
)
from schema.rules.barcodes import check_digit
from schema.rules.rounding import PricePer
from schema.rules.tax import TaxClass
from schema.tabular import read_csv, read_table

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PRODUCTS = {product.code: product for product in sample.catalogue()}
EXISTING = Existing(
    products={code: product.unit for code, product in PRODUCTS.items()},
    barcodes={code: product.code for product in PRODUCTS.values() for code in product.barcodes},
    units={p.code: frozenset({p.unit_name, *(u.name for u in p.units)}) for p in PRODUCTS.values()},
    categories=frozenset(category.code for category in sample.categories()),
    category_names={category.name: category.code for category in sample.categories()},
    locations=frozenset(place.code for place in sample.locations()),
    customers=frozenset({"M0001", "M0002"}),
    phones=frozenset({"12000000001"}),
)
EMPTY = Existing(locations=EXISTING.locations)


def checked(kind: ImportKind, text: str, existing: Existing = EXISTING, *, skip_bad_rows: bool = False) -> Imported:
    return check_import(kind, read_csv("file.csv", text.encode()), existing, skip_bad_rows=skip_bad_rows)


def errors(kind: ImportKind, text: str, existing: Existing = EXISTING) -> list[tuple[int, str, str]]:
    with pytest.raises(ImportRefusedError) as refused:
        checked(kind, text, existing)
    return [(f.line, f.column, f.code) for f in refused.value.findings if f.severity is Severity.ERROR]


def warnings(imported: Imported) -> list[tuple[int, str]]:
    assert all(finding.severity is Severity.WARNING for finding in imported.findings)
    return [(finding.line, finding.code) for finding in imported.findings]


@pytest.mark.parametrize(
    ("kind", "name", "count"),
    [
        (ImportKind.PRODUCTS, "catalogue.csv", len(PRODUCTS)),
        (ImportKind.OPERATORS, "operators.csv", 13),
        (ImportKind.CUSTOMERS, "customers.csv", 60),
        (ImportKind.OPENING_STOCK, "opening_stock.csv", len(sample.opening_stock())),
    ],
)
def test_the_sample_is_imported_without_a_finding(kind: ImportKind, name: str, count: int) -> None:
    existing = EMPTY if kind is not ImportKind.OPENING_STOCK else EXISTING
    imported = check_import(kind, read_table(name, sample.text(name).encode()), existing)
    assert imported.findings == ()
    assert len(imported.rows) == imported.read == count
    if kind is ImportKind.PRODUCTS:
        assert imported.rows == sample.catalogue()


def test_chinese_and_english_headers_are_understood_and_an_override_wins() -> None:
    header = ["商品ID", "商品名称", "条码（EAN）", "折扣价", "原价", "店内一级分类"]
    guessed = guess_columns(ImportKind.PRODUCTS, header)
    assert guessed == {
        "code": "商品ID",
        "name": "商品名称",
        "barcodes": "条码（EAN）",
        "price": "原价",
        "category": "店内一级分类",
    }
    assert guess_columns(ImportKind.PRODUCTS, header, {"price": "折扣价"})["price"] == "折扣价"
    english = guess_columns(ImportKind.PRODUCTS, ["Product Code", "NAME", "Unit_Price", "Bar-code"])
    assert english == {"code": "Product Code", "name": "NAME", "price": "Unit_Price", "barcodes": "Bar-code"}


@pytest.mark.parametrize(
    ("overrides", "code"), [({"prise": "售价"}, "import.field"), ({"price": "折扣"}, "import.column")]
)
def test_an_override_that_names_nothing_is_refused(overrides: dict[str, str], code: str) -> None:
    with pytest.raises(RefusalError) as refused:
        guess_columns(ImportKind.PRODUCTS, ["售价"], overrides)
    assert refused.value.code == code


def test_a_file_without_a_needed_column_is_refused_before_any_row() -> None:
    with pytest.raises(RefusalError, match="no column for name") as refused:
        checked(ImportKind.PRODUCTS, "编码,售价\n1,2\n")
    assert refused.value.code == "import.columns"


def test_dirty_barcodes_are_repaired_and_each_repair_is_said() -> None:
    imported = checked(
        ImportKind.PRODUCTS,
        "编码,名称,条码,税率\n"
        'a,一,"4006381333931,96385074",13\n'
        "b,二,05901234123457,13%\n"
        "c,三,5901234123450,9\n"
        "d,四,12345678,0.13\n"
        "e,五,PF6358100013,免税\n"
        "f,六,5.90123E+12,13\n"
        "g,七,036000291452,13\n"
        "h,八,５０１２３４５６７８９００,13\n"
        "i,九,12001234567890;12001234567890,\n"
        "j,十,可乐,13\n",
        EMPTY,
    )
    assert warnings(imported) == [
        (2, "barcode.several"),
        (3, "barcode.padded"),
        (4, "barcode.check_digit"),
        (5, "barcode.check_digit"),
        (6, "barcode.own"),
        (7, "barcode.digits_lost"),
        (10, "barcode.several"),
        (10, "barcode.repeated"),
        (10, "tax_class.default"),
        (11, "barcode.unreadable"),
    ]
    assert [row.barcodes for row in imported.rows if isinstance(row, ProductRow)] == [
        ("4006381333931", "96385074"),
        ("5901234123457",),
        (),
        ("12345678",),
        ("PF6358100013",),
        (),
        ("0036000291452",),
        ("5012345678900",),
        ("12001234567890",),
        (),
    ]


def test_one_bad_row_refuses_the_whole_file_unless_it_is_asked_to_skip() -> None:
    text = "编码,名称,售价,税率\na,一,1.00,13\nb,二,-1,13\nc,三,3.00,13\n"
    assert errors(ImportKind.PRODUCTS, text) == [(3, "售价", "money.negative")]
    imported = checked(ImportKind.PRODUCTS, text, skip_bad_rows=True)
    assert [row.code for row in imported.rows if isinstance(row, ProductRow)] == ["a", "c"]
    assert (imported.read, imported.skipped) == (3, 1)
    assert [finding.code for finding in imported.findings] == ["money.negative"]


def test_every_wrong_cell_of_a_product_is_named() -> None:
    text = (
        "编码,名称,单位,称重,售价,计价单位,税率,条码,自编码,包装\n"
        "a,,个,,1,,13,,,\n"
        "b c,二,个,,1,,13,,,\n"
        ",三,个,,1,,13,,,\n"
        "d,四,加仑,,1,,13,,,\n"
        "e,五,个,maybe,1,,13,,,\n"
        "f,六,个,是,1,,13,,,\n"
        "g,七,个,,1.001,,13,,,\n"
        "h,八,个,,abc,,13,,,\n"
        "aa,八,个,,1_0,,13,,,\n"
        'ab,八,个,,"1,5",,13,,,\n'
        "i,九,个,,1,500g,13,,,\n"
        "j,十,个,,1,加仑,13,,,\n"
        "k,十一,个,,1,,17,,,\n"
        "l,十二,个,,1,,13,,12a,\n"
        "m,十三,个,,1,,13,,,箱24\n"
        "n,十四,个,,1,,13,,,箱*0\n"
        "o,十五,个,,1,,13,4006381333931,,箱*2#4006381333931\n"
        "p,十六,个,,1,,13,5901234123457,,\n"
        "q,十七,个,,1,,13,5901234123457,,\n"
        "p,十八,个,,1,,13,,,\n"
        "r,十九,个,,1,,13,2901000000015,,\n"
        "s,二十,kg,,1,,13,,00007,\n"
        "t,廿一,kg,,1,,13,,00007,\n"
        "11001,农夫山泉,kg,,1,,13,,,\n"
        "u,廿二,个,,1,,13,,,,多,余\n"
    )
    assert errors(ImportKind.PRODUCTS, text) == [
        (2, "名称", "cell.empty"),
        (3, "编码", "code.malformed"),
        (4, "编码", "code.missing"),
        (5, "单位", "unit.unknown"),
        (6, "称重", "weighed.unknown"),
        (7, "单位", "unit.mismatch"),
        (8, "售价", "money.decimals"),
        (9, "售价", "money.malformed"),
        (10, "售价", "money.malformed"),
        (11, "售价", "money.malformed"),
        (12, "计价单位", "price_per.mismatch"),
        (13, "计价单位", "price_per.unknown"),
        (14, "税率", "tax_class.unknown"),
        (15, "自编码", "article.malformed"),
        (16, "包装", "unit.malformed"),
        (17, "包装", "unit.malformed"),
        (18, "包装", "barcode.duplicate"),
        (20, "条码", "barcode.duplicate"),
        (21, "编码", "product.duplicate"),
        (22, "条码", "barcode.duplicate"),
        (24, "自编码", "article.duplicate"),
        (25, "单位", "unit.changed"),
        (26, "", "row.overlong"),
    ]


def test_weights_units_and_codes_are_filled_in_where_the_file_leaves_them_open() -> None:
    imported = checked(
        ImportKind.PRODUCTS,
        "编码,名称,单位,售价,条码,分类\n"
        "a,苹果,斤,6.98,,水果\n"
        "b,桃,kg,￥9.80,,不存在\n"
        ",饼干,袋,5元,5901234123457,休闲零食\n"
        "11001,农夫山泉,瓶,0,,drinks\n"
        "11001,农夫山泉,瓶,0,,snacks\n",
    )
    apple, peach, biscuit, water = (row for row in imported.rows if isinstance(row, ProductRow))
    assert (apple.unit, apple.is_weighed, apple.price_per, apple.price_minor) == (
        BaseUnit.KILOGRAM,
        True,
        PricePer.JIN,
        698,
    )
    assert (peach.price_per, peach.price_minor, peach.category) == (PricePer.KG, 980, "")
    assert (biscuit.code, biscuit.unit_name, biscuit.category) == ("5901234123457", "袋", "snacks")
    assert water.category == "drinks"
    assert warnings(imported) == [
        (1, "tax_class.no_column"),
        (2, "unit.jin"),
        (3, "category.unknown"),
        (4, "code.from_barcode"),
        (5, "price.zero"),
        (5, "product.exists"),
        (6, "price.zero"),
        (6, "product.repeated"),
    ]


def test_prices_take_effect_at_the_start_of_their_day_in_the_shops_zone() -> None:
    imported = checked(
        ImportKind.PRICES,
        "条码,单位,新价,等级,生效日期,失效日期\n"
        "2901000000015,,1.80,,2024-06-11,2024/6/17\n"
        "11001,箱,40.00,gold,2024年6月11日 08:30,\n"
        "18001,,6.50,,,\n",
    )
    assert imported.rows[0] == PriceRow(
        product=ProductId("11001"),
        price_minor=Minor(180),
        valid_from_ms=1_718_035_200_000,
        valid_until_ms=1_718_640_000_000,
    )
    assert [row.price_per for row in imported.rows if isinstance(row, PriceRow)] == [
        PricePer.PIECE,
        PricePer.PIECE,
        PricePer.KG,
    ]
    day = datetime.datetime.fromtimestamp(1_718_035_200, tz=ImportDefaults().zone)
    assert day.isoformat() == "2024-06-11T00:00:00+08:00"


def test_an_end_in_the_year_9999_is_no_end() -> None:
    imported = checked(ImportKind.PRICES, "product,price,valid_until\n11001,1,9999-12-31\n11002,1,2999-12-31 23:59\n")
    assert [row.valid_until_ms for row in imported.rows if isinstance(row, PriceRow)] == [None, None]


def test_every_wrong_price_is_named() -> None:
    text = (
        "product,unit,price,valid_from,valid_until\n"
        "nothing,,1,,\n"
        "11001,打,1,,\n"
        "11001,,,,\n"
        "11001,,1,2024-02-30,\n"
        "11001,,1,soon,\n"
        "11001,,1,2024-06-11,2024-06-10\n"
        "11001,,1,2024-06-11,\n"
        "11001,,2,2024-06-11,\n"
    )
    assert errors(ImportKind.PRICES, text) == [
        (2, "product", "product.unknown"),
        (3, "unit", "unit.unknown"),
        (4, "price", "cell.empty"),
        (5, "valid_from", "date.malformed"),
        (6, "valid_from", "date.malformed"),
        (7, "valid_until", "date.order"),
        (9, "product", "price.duplicate"),
    ]


def test_promotions_are_read_as_chinese_shops_write_them() -> None:
    imported = checked(
        ImportKind.PROMOTIONS,
        "活动编码,活动名称,活动类型,商品,分类,优惠,门槛,买,送\n"
        "P1,水特价,特价,11001 11002,,1.5,,,\n"
        "P2,零食八折,折扣,,休闲零食,8折,,,\n"
        "P3,全场85折,打折,,,85折,,,\n"
        "P4,满100减10,满减,,,10,100,,\n"
        "P5,买二送一,买赠,11006,,,,2,1\n"
        "P6,15% off,percent-off,,drinks,15%,,,\n",
    )
    rows = [row for row in imported.rows if isinstance(row, PromotionRow)]
    assert [row.kind for row in rows[:2]] == [PromotionKind.SPECIAL_PRICE, PromotionKind.PERCENT_OFF]
    assert rows[0].products == ("11001", "11002")
    assert rows[0].amount_minor == 150
    assert rows[1].categories == ("snacks",)
    assert [row.percent_ppm for row in rows] == [0, 200_000, 150_000, 0, 0, 150_000]
    assert (rows[3].amount_minor, rows[3].threshold_minor) == (1000, 10_000)
    assert (rows[4].buy_count, rows[4].free_count) == (2, 1)


def test_categories_of_a_file_are_taken_as_the_shop_writes_them() -> None:
    words = ("酒水", "粮油/米面 ", "Food  (folder)/Sweets", "No #1", "长" * 161)
    text = "编码,名称,单位,售价,税率,分类\n" + "".join(f"{n},n{n},瓶,1,13,{word}\n" for n, word in enumerate(words, 1))
    imported = checked(ImportKind.PRODUCTS, text, EMPTY)
    assert [row.category for row in imported.rows if isinstance(row, ProductRow)] == [
        "酒水", "粮油/米面", "Food (folder)/Sweets", "No -1", "长" * 160,
    ]  # fmt: skip
    assert warnings(imported) == [(line, "category.changed") for line in (5, 6)]


def test_every_wrong_promotion_is_named() -> None:
    text = (
        "code,kind,products,categories,value,threshold,buy,free\n"
        "a,lottery,,,1,,,\n"
        "b,special-price,,,1,,,\n"
        "c,special-price,none,,1,,,\n"
        "d,percent-off,,nowhere,10,,,\n"
        "e,percent-off,,,101,,,\n"
        "f,percent-off,,,much,,,\n"
        "g,amount-off,,,20,10,,\n"
        "h,buy-n-get-m,,,,,2,0\n"
        "i,amount-off,,,5,,,\n"
        "i,amount-off,,,5,,,\n"
    )
    assert [code for _, _, code in errors(ImportKind.PROMOTIONS, text)] == [
        "promotion.kind",
        "promotion.products",
        "product.unknown",
        "category.unknown",
        "percent.malformed",
        "percent.malformed",
        "promotion.amount",
        "count.malformed",
        "promotion.duplicate",
    ]


def test_operators_are_read_and_their_pins_never_appear_in_findings() -> None:
    good = checked(ImportKind.OPERATORS, "工号,姓名,岗位,门店,密码\n9001,王芳,收银员,A,0042\n")
    (row,) = good.rows
    assert isinstance(row, OperatorRow)
    assert (row.role, row.location, row.pin) == (StaffRole.CASHIER, "A", "0042")
    text = (
        "code,name,role,location,pin\n"
        "1,甲,king,A,1234\n"
        "2,乙,cashier,Z,1234\n"
        "3,丙,cashier,A,987\n"
        "4,丁,cashier,A,98765x\n"
        "5,戊,cashier,A,1234\n"
        "5,己,cashier,A,1234\n"
    )
    assert [code for _, _, code in errors(ImportKind.OPERATORS, text)] == [
        "role.unknown",
        "location.unknown",
        "pin.malformed",
        "pin.malformed",
        "operator.duplicate",
    ]
    with pytest.raises(ImportRefusedError) as refused:
        checked(ImportKind.OPERATORS, text)
    assert "987" not in repr(refused.value.findings)


def test_members_are_found_twice_by_their_telephone_and_it_stays_masked() -> None:
    text = (
        "会员号,姓名,手机号,等级,生日\n"
        "M1,甲,120 0000-0099,gold,1990/2/3\n"
        "M2,乙,+8612000000099,,\n"
        "M3,丙,12000000001,,\n"
        "M4,丁,12345,,\n"
        "M1,戊,,,\n"
        "M0001,己,,,\n"
        ",庚,,,\n"
    )
    assert [(line, code) for line, _, code in errors(ImportKind.CUSTOMERS, text)] == [
        (3, "phone.duplicate"),
        (4, "phone.duplicate"),
        (5, "phone.malformed"),
        (6, "customer.duplicate"),
        (7, "customer.exists"),
        (8, "code.missing"),
    ]
    imported = checked(ImportKind.CUSTOMERS, text, skip_bad_rows=True)
    assert imported.rows == (
        CustomerRow(code="M1", name="甲", phone="12000000099", tier="gold", birthday="1990-02-03"),
    )
    assert "0000" not in repr([finding.value for finding in imported.findings])


def test_opening_stock_names_products_by_code_or_barcode() -> None:
    imported = checked(
        ImportKind.OPENING_STOCK,
        "门店,条码,库存,有效期\nA,2901000000015,12,2025-01-31\nA,18001,3.125,\nB,11001,-4,\n",
    )
    rows = [row for row in imported.rows if isinstance(row, OpeningStockRow)]
    assert [(row.product, row.quantity_milli, row.expiry) for row in rows] == [
        ("11001", 12_000, "2025-01-31"),
        ("18001", 3125, ""),
        ("11001", 0, ""),
    ]
    assert warnings(imported) == [(4, "quantity.negative")]
    bad = [
        "A,none,1",
        "A,18002,1e3",
        "A,11001,0.5",
        "A,18001,0.0005",
        "A,11002,x",
        "Z,11001,1",
        ",11001,1",
        "A,11003,1",
        "A,11003,2",
    ]
    text = "location,product,quantity\n" + "\n".join(bad)
    assert [code for _, _, code in errors(ImportKind.OPENING_STOCK, text)] == [
        "product.unknown",
        "quantity.malformed",
        "quantity.fraction",
        "quantity.decimals",
        "quantity.malformed",
        "location.unknown",
        "location.missing",
        "stock.duplicate",
    ]


def test_opening_balances_are_money_or_points() -> None:
    imported = checked(
        ImportKind.OPENING_BALANCES, "类型,对象,余额,备注\n积分,M0001,1280,\n储值,M0001,50.00,旧卡\n购物卡,G1,100,\n"
    )
    assert imported.rows == (
        OpeningBalanceRow(kind=BalanceKind.MEMBER_POINTS, subject="M0001", amount=1280),
        OpeningBalanceRow(kind=BalanceKind.MEMBER_BALANCE, subject="M0001", amount=5000, note="旧卡"),
        OpeningBalanceRow(kind=BalanceKind.GIFT_CARD, subject="G1", amount=10_000),
    )
    text = "kind,subject,amount\nluck,M0001,1\n积分,M9,1\n积分,M0001,1.5\n应收,C1,-1\n应收,C2,1\n应收,C2,1\n"
    assert [code for _, _, code in errors(ImportKind.OPENING_BALANCES, text)] == [
        "balance.kind",
        "customer.unknown",
        "points.malformed",
        "money.negative",
        "balance.duplicate",
    ]


def test_findings_are_summed_up_errors_first() -> None:
    def finding(severity: Severity, code: str, line: int) -> Finding:
        return Finding(severity, code, line, "c", "v", "m")

    summary = summarise(
        [finding(Severity.WARNING, "w", 2), finding(Severity.WARNING, "w", 3), finding(Severity.ERROR, "e", 4)]
    )
    assert [(each.code, each.count, each.first.line) for each in summary] == [("e", 1, 4), ("w", 2, 2)]


FIELDS = {
    ImportKind.PRODUCTS: tuple(sample.lines("catalogue.csv")[0].strip().split(",")),
    ImportKind.PRICES: ("product", "unit", "price", "price_per", "tier", "valid_from", "valid_until"),
    ImportKind.PROMOTIONS: (
        "code",
        "kind",
        "products",
        "categories",
        "value",
        "threshold",
        "buy",
        "free",
        "from",
        "to",
    ),
    ImportKind.OPERATORS: ("code", "name", "role", "location", "pin"),
    ImportKind.CUSTOMERS: ("code", "name", "phone", "tier", "birthday", "address"),
    ImportKind.OPENING_STOCK: ("location", "product", "quantity", "lot", "expiry"),
    ImportKind.OPENING_BALANCES: ("kind", "subject", "amount", "note"),
}
CELLS = st.text("0123456789.-,;*#@个斤kg折%是免税abc\n ，", max_size=12)


@given(st.sampled_from(ImportKind), st.lists(st.lists(CELLS, min_size=13, max_size=13), max_size=6))
def test_any_cells_become_rows_or_findings_and_every_row_is_accounted_for(
    kind: ImportKind, rows: list[list[str]]
) -> None:
    header = [*FIELDS[kind], *"abcdefghijklm"][:13]
    text = ",".join(header) + "\n" + "".join(",".join('"' + c + '"' for c in row) + "\n" for row in rows)
    table = read_csv("x.csv", text.encode())
    imported = check_import(kind, table, EXISTING, skip_bad_rows=True)
    failed = {finding.line for finding in imported.findings if finding.severity is Severity.ERROR}
    repeated = {finding.line for finding in imported.findings if finding.code == "product.repeated"}
    assert len(failed) == imported.skipped
    assert len(imported.rows) + len(failed) + len(repeated - failed) == len(table.rows)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["jd_eleme_hongqiao", "kuaiyidian_meituan_hongqiao", "meituan_sku"])
def test_a_real_convenience_stores_catalogue_is_read_and_its_dirt_named(name: str) -> None:
    path = DATA / "cn_convenience_catalog" / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip("needs the real catalogues")
    content = gzip.decompress(path.read_bytes())
    imported = check_import(
        ImportKind.PRODUCTS,
        read_table(f"{name}.csv", content),
        Existing(),
        overrides={"price": "折扣价"},
        skip_bad_rows=True,
    )
    codes = {summary.code for summary in summarise(imported.findings)}
    assert {"barcode.padded", "barcode.check_digit", "barcode.own", "barcode.duplicate"} <= codes
    products = [row for row in imported.rows if isinstance(row, ProductRow)]
    assert len(products) > 5_000
    assert len({code for row in products for code in row.barcodes}) == sum(len(row.barcodes) for row in products)
    assert {row.tax_class for row in products} == {TaxClass.VAT13}


@pytest.mark.shared
def test_eighty_thousand_real_barcodes_are_all_read() -> None:
    path = DATA / "uhtt_barcodes" / "uhtt_cn_69x_80k.tsv.gz"
    if not path.exists():
        pytest.skip("needs the real barcodes")
    imported = check_import(
        ImportKind.PRODUCTS, read_table("codes.tsv", gzip.decompress(path.read_bytes())), Existing()
    )
    assert len(imported.rows) == 80_000
    assert [finding.code for finding in imported.findings] == ["tax_class.no_column"]


def test_each_of_twenty_thousand_rows_becomes_a_product_or_is_named() -> None:
    rows = [f"{i},商品{i},瓶,{i % 90}.{i % 10}0,{_ean13(f'29{i:010d}')},13,休闲零食" for i in range(20_000)]
    content = "\n".join(["编码,名称,单位,售价,条码,税率,分类", *rows]).encode("gb18030")
    imported = check_import(ImportKind.PRODUCTS, read_table("goods.csv", content), EXISTING, skip_bad_rows=True)
    assert (imported.read, len(imported.rows) + imported.skipped) == (20_000, 20_000)
    assert len(imported.rows) > 19_000


def _ean13(body: str) -> str:
    return body + check_digit(body)
