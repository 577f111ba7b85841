"""Goods, promotions and settings that tests of the till teach a node, as the hub would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edge.basket import Basket, add
from edge.node import Node
from edge.scanning import Found, PriceNeeded, Unknown, WeightNeeded, interpret
from schema.amounts import Minor
from schema.catalogue import KitPart, PriceStep, Product, Scalar, UnitFactor, encode_timeline
from schema.identity import ProductId
from schema.kinds.organisation import CustomerDefined, OperatorDefined, SettingDefined
from schema.rules.promotion_terms import Promotion, write_terms
from schema.settings import Setting, write_setting
from sync.document_projection import read_document
from sync.documents import edit
from sync.replica import Moment
from tests.edge.shops import HUB_STREAM, START_MS

COLA, COLA_BARCODE = "C0001", "6928804011142"
PORK, PORK_ARTICLE = "C0002", "00123"
MILK, MILK_BARCODE = "C0003", "6907992100012"
BASKET_SET = "C0004"
TEA = "C0005"
NO_PRICE = "C0006"
CHEESE, CHEESE_BARCODE = "C0007", "9501101530003"
GOODS = (
    Product(code=ProductId(COLA), category="drinks", name="可口可乐", spec="330ml", unit_name="罐",
            units=(UnitFactor("箱", 24_000),), barcodes=((COLA_BARCODE, "pc"), ("16928804011149", "箱"))),
    Product(code=ProductId(PORK), category="meat", name="五花肉", unit="kg", unit_name="公斤", tax_class="9",
            is_weighed=True, article="123"),
    Product(code=ProductId(MILK), category="dairy", name="纯牛奶", spec="250ml", unit_name="盒",
            barcodes=((MILK_BARCODE, "pc"),)),
    Product(code=ProductId(BASKET_SET), category="gifts", name="早餐礼包", unit_name="份",
            parts=(KitPart(MILK, 2000), KitPart(COLA, 1000))),
    Product(code=ProductId(TEA), category="drinks", name="绿茶", spec="500ml", unit_name="瓶"),
    Product(code=ProductId(NO_PRICE), category="drinks", name="新品汽水"),
    Product(code=ProductId(CHEESE), category="dairy", name="奶酪", barcodes=((CHEESE_BARCODE, "pc"),)),
)  # fmt: skip
PRICES: Mapping[str, Mapping[str, tuple[PriceStep, ...]]] = {
    COLA: {"pc": (PriceStep(0, None, 300), PriceStep(0, None, 280, tier="gold")), "箱": (PriceStep(0, None, 6500),)},
    PORK: {"kg": (PriceStep(0, None, 1990, 500),)},
    MILK: {"pc": (PriceStep(0, None, 450),)},
    BASKET_SET: {"pc": (PriceStep(0, None, 1000),)},
    TEA: {"pc": (PriceStep(0, None, 350),)},
    CHEESE: {"pc": (PriceStep(0, None, 1590),)},
}


def write_document(node: Node, document: str, assignments: Mapping[tuple[str, str], Scalar]) -> None:
    """Have the hub change a shared document."""
    with node.write():
        state = read_document(node.connection, document)
        for change in edit(state, assignments, writer=HUB_STREAM.writer, time_ms=START_MS):
            node.replica.append(HUB_STREAM, change, Moment(START_MS, 0, 0))


def teach_products(
    node: Node, products: Iterable[Product], prices: Mapping[str, Mapping[str, tuple[PriceStep, ...]]]
) -> None:
    """Have the hub put products and their prices into the catalogue."""
    documents: dict[str, dict[tuple[str, str], Scalar]] = {}
    for product in products:
        fields = documents.setdefault(f"products/{product.category}", {})
        fields |= {(product.code, name): value for name, value in product.fields().items()}
        priced = documents.setdefault(f"prices/standard/{product.category}", {})
        priced |= {(product.code, unit): encode_timeline(s) for unit, s in prices.get(product.code, {}).items()}
    for document, assignments in documents.items():
        if assignments:
            write_document(node, document, assignments)


def teach_goods(node: Node) -> Node:
    """Teach the goods of this module."""
    teach_products(node, GOODS, PRICES)
    return node


def promote(node: Node, *promotions: Promotion) -> None:
    """Have the hub start promotions."""
    write_document(node, "promotions/standard", {(p.code, "terms"): write_terms(p) for p in promotions})


def settle(node: Node, *settings: Setting) -> None:
    """Have the hub define settings of the whole chain."""
    with node.write():
        for one in settings:
            name, value = write_setting(one)
            node.replica.append(HUB_STREAM, SettingDefined(name, "", value), Moment(START_MS, 0, 0))


def staff(node: Node, **roles: str) -> None:
    """Have the hub define people by id and role."""
    with node.write():
        for operator, role in roles.items():
            payload = OperatorDefined(operator, operator, role, (node.config.location,), b"")
            node.replica.append(HUB_STREAM, payload, Moment(START_MS, 0, 0))


def customer(node: Node, person: str = "p1", tier: str = "") -> str:
    """Have the hub define a member."""
    with node.write():
        payload = CustomerDefined(person, person.encode(), "138****1234", b"", tier)
        node.replica.append(HUB_STREAM, payload, Moment(START_MS, 0, 0))
    return person


def basket_of(node: Node, *texts: str) -> Basket:
    """Return a basket of what was typed: codes, `3*code`; weighed goods need a quantity."""
    basket = Basket()
    for text in texts:
        meant = interpret(node, text, is_scan=False)
        assert isinstance(meant, Found | WeightNeeded | PriceNeeded | Unknown), meant
        basket = add(basket, meant.line)
    return basket


def minor(amount: int) -> Minor:
    """Return an amount of money."""
    return Minor(amount)
