"""Makes a till's directory with 100,000 products in Chinese, the same in every run, without any hub.

The catalogue comes from parts: brands, goods, tastes and sizes give names and specifications, and the number of a
product its barcode and its price. A made directory lies under build/ and is made again when the code that made it
has changed; who measures takes a copy.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from itertools import product as cartesian
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from edge.basket import BasketLine
from edge.known_catalogue import PROMOTIONS
from edge.node import Node
from schema.catalogue import (
    DEFAULT_LIST,
    PriceStep,
    Product,
    Scalar,
    encode_timeline,
    prices_document,
    products_document,
)
from schema.identity import ProductId
from schema.rows import PromotionKind
from schema.rules.barcodes import check_digit
from schema.rules.promotion_terms import Promotion, write_terms
from sync.documents import RECORDS_MAX, DocumentState, edit
from sync.replica import Moment
from tests.bench.sync_load import trade_elsewhere
from tests.edge.people import CASHIER, MANAGER, SUPERVISOR, employ
from tests.edge.shops import HUB_STREAM, START_MS, Shops
from tests.processes import ROOT

PRODUCTS: Final = 100_000
TILL, OTHER_TILL = "A1", "A2"
SALES: Final = 30_000
"""What the other till sold that this one has not heard of."""
_BRANDS: Final = """
    山泉 云岭 金穗 白鹭 青禾 东篱 南浦 西塘 北斗 长亭 古渡 新月 晨曦 晚枫 春晓 秋实 夏荷 冬青 竹韵 松涛
    梅里 兰亭 菊香 桃源 杏林 柳岸 桂冠 棠溪 枫桥 槐安 乐民 福满 祥和 如意 吉庆 丰年 康健 安宁 顺达 恒昌
    华光 明珠 玉兔 金牛 飞鸿 海燕 白鸽 雪豹 天马 麒麟 旺角 甜园 鲜铺 良田 沃野 碧湖 清溪 红岩 黄山 蓝天
    五谷 八珍 千味 百草 三友 四季 七星 九州 双喜 一品 大众 小满 老陈 阿婆 外公 邻家 乡里 农夫家 牧场 渔港
"""
_GOODS: Final = """
    矿泉水 绿茶 红茶 乌龙茶 酸奶 纯牛奶 豆奶 果汁 汽水 苏打水 咖啡饮料 椰汁 啤酒 黄酒 方便面 挂面 米粉 粉丝 大米 面粉
    酱油 陈醋 料酒 食盐 白糖 芝麻油 花生油 辣椒酱 豆瓣酱 榨菜 薯片 饼干 蛋卷 瓜子 花生米 牛肉干 鱿鱼丝 巧克力 口香糖
    奶糖 洗发水 沐浴露 香皂 牙膏 牙刷 卫生纸 抽纸 洗衣液 洗洁精 垃圾袋
"""
_TASTES: Final = ("原味", "清香", "醇厚", "经典", "轻享")
_SIZES: Final = ("100克", "250克", "500克", "1千克", "整箱装")
COLA: Final = "可口可乐"
"""The one name that everybody types: `kkkl` finds it."""


class Priced(NamedTuple):
    """A product with the price of its base unit in minor units."""

    product: Product
    price_minor: int

    @property
    def barcode(self) -> str:
        """The code on the pack."""
        return self.product.barcodes[0][0]

    @property
    def called(self) -> str:
        """The name as a line of a basket has it."""
        return f"{self.product.name} {self.product.spec}"


def priced(number: int, name: str, category: str, spec: str) -> Priced:
    """Return the product of a number."""
    digits = f"69{number * 7_919 % 10**10:010d}"
    return Priced(
        Product(
            code=ProductId(f"N{number:05d}"), category=category, name=name, spec=spec,
            barcodes=((f"{digits}{check_digit(digits)}", "pc"),),
        ),
        100 + number * 37 % 2_900,
    )  # fmt: skip


def products(count: int = PRODUCTS) -> Iterator[Priced]:
    """Yield the catalogue, category by category."""
    yield priced(1, COLA, "cola", "330毫升")
    names = (
        (f"c{place:02d}", f"{brand}{taste}{good}", size)
        for place, good in enumerate(_GOODS.split())
        for brand, taste, size in cartesian(_BRANDS.split(), _TASTES, _SIZES)
    )
    for number, (category, name, size) in enumerate(islice(names, count - 1), 2):
        yield priced(number, name, category, size)


def line_of(one: Priced) -> BasketLine:
    """Return what a scan of a product puts into the basket."""
    product = one.product
    return BasketLine(
        product.code, one.called, unit_name=product.unit_name, category=product.category,
        tax_class=product.tax_class, barcode=one.barcode,
    )  # fmt: skip


def promotions() -> Iterator[Promotion]:
    """Yield the thirty promotions that run: most are prices of single goods, as a shop's leaflet has them."""

    def terms(kind: PromotionKind, code: str, **rest: object) -> Promotion:
        return msgspec.convert({"code": code, "name": "", "kind": kind, **rest}, Promotion)

    for number in range(20):
        goods = [f"N{number * 40 + place:05d}" for place in range(2, 12)]
        yield terms(PromotionKind.SPECIAL_PRICE, f"T{number:02d}", products=goods, amount_minor=95 + number)
    for number in range(4):
        yield terms(PromotionKind.PERCENT_OFF, f"Z{number}", categories=(f"c{number * 5:02d}",), percent_ppm=50_000)
    yield terms(PromotionKind.BUY_N_GET_M, "M1", products=("N00021", "N00022", "N00023"), buy_count=2, free_count=1)
    yield terms(PromotionKind.BUY_N_GET_M, "M2", products=("N00031", "N00032"), buy_count=1, free_count=1)
    yield terms(PromotionKind.N_FOR_PRICE, "F1", products=("N00041", "N00042"), buy_count=3, amount_minor=990)
    yield terms(PromotionKind.MIX_AND_MATCH, "X1", amount_minor=880,
                parts=({"count": 1, "products": ("N00024",)}, {"count": 1, "products": ("N00044",)}))  # fmt: skip
    yield terms(PromotionKind.AMOUNT_OFF, "J1", threshold_minor=10_000, amount_minor=500, is_each=True)
    yield terms(PromotionKind.PERCENT_OFF, "V1", percent_ppm=20_000, tiers=("gold",))


def large_shop(count: int = PRODUCTS) -> Path:
    """Return the folder of a shop with so many products; it is made where it does not lie there yet.

    In it are the directory of till A1, and of till A2 that sold much of which A1 has not heard.
    """
    made = ROOT / "build" / "large-shop" / f"{count}-{_sources()}"
    if made.exists():
        return made
    for old in made.parent.glob(f"{count}-*"):
        shutil.rmtree(old)
    making = made.with_suffix(".making")
    make_shop(making, count, SALES)
    making.rename(made)
    return made


def make_shop(folder: Path, count: int, sales: int = 0) -> Path:
    """Make a shop with so many products in a folder; returns the directory of till A1.

    Till A2, which has sold so many baskets that A1 has not heard of, is made where there are any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shops = Shops(folder)
    node = shops.make_node(TILL)
    employ(shops, CASHIER, SUPERVISOR, MANAGER)
    _stock(node, count)
    if sales:
        goods = [f"N{number:05d}" for number in range(1, count, max(1, count // 1_000))]
        trade_elsewhere(node, shops.make_node(OTHER_TILL), goods, sales)
    shops.close()
    return folder / TILL


def copy_of_large_shop(target: Path, count: int = PRODUCTS) -> Path:
    """Copy the directories of the large shop's tills into a folder; returns that of till A1."""
    for till in (TILL, OTHER_TILL):
        shutil.copytree(large_shop(count) / till, target / till)
    return target / TILL


def _stock(node: Node, count: int) -> None:
    """Give a node the catalogue, a document at a time, as the hub's entries bring it."""
    moment = Moment(START_MS, 0, 0)
    for category, group in groupby(products(count), lambda one: one.product.category):
        for place, part in enumerate(batched(group, RECORDS_MAX)):
            series = f"#{place + 1}" if place else ""
            goods, prices = (
                f"{products_document(category)}{series}",
                f"{prices_document(DEFAULT_LIST, category)}{series}",
            )
            edits: dict[str, dict[tuple[str, str], Scalar]] = {goods: {}, prices: {}}
            for one, price_minor in part:
                edits[goods].update({(one.code, name): value for name, value in one.fields().items()})
                edits[prices][one.code, one.unit] = encode_timeline([PriceStep(0, None, price_minor)])
            with node.write():
                for document, assignments in edits.items():
                    _add(node, document, assignments, moment)
    with node.write():
        _add(node, PROMOTIONS, {(one.code, "terms"): write_terms(one) for one in promotions()}, moment)
    node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _add(node: Node, document: str, assignments: Mapping[tuple[str, str], Scalar], moment: Moment) -> None:
    for change in edit(DocumentState(document), assignments, writer=HUB_STREAM.writer, time_ms=START_MS):
        node.replica.append(HUB_STREAM, change, moment)


def batched(group: Iterable[Priced], size: int) -> Iterator[list[Priced]]:
    """Cut into lists of so many."""
    rest = iter(group)
    while part := list(islice(rest, size)):
        yield part


def _sources() -> str:
    """Name the code that makes a node's file: a file made by other code is not used again."""
    digest = hashlib.sha256()
    makers = [Path(__file__), ROOT / "tests" / "edge" / "people.py", ROOT / "tests" / "edge" / "shops.py"]
    makers += [ROOT / "edge" / "catalogue_index.py", *(ROOT / "edge").glob("*projections.py")]
    for folder in ("schema/kinds", "schema/migrations", "sync"):
        makers += [path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".sql"}]
    for path in sorted(makers):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
