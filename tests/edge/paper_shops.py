"""Makes a Chinese shop with a card, a receipt form, promotions and members, and sales whose paper tests look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge.node import Node
from edge.selling import Completed, LineRequest, complete_sale, price_line, refund, today, with_basket_discount
from schema.amounts import Minor
from schema.catalogue import PriceStep, Product, Scalar, encode_timeline
from schema.identity import ProductId
from schema.kinds.organisation import CustomerDefined, OperatorDefined, SettingDefined
from schema.kinds.trading import LineDiscount, SaleLine, Tender
from schema.rows import PromotionKind
from schema.rules.promotion_terms import Promotion, write_terms
from schema.rules.receipt import ReceiptTemplate
from schema.settings import ReceiptForm, Setting, ShopCard, write_setting
from sync.documents import DocumentState, edit
from sync.replica import Moment
from tests.edge.shops import HUB_STREAM, START_MS, Shops

COLA, NOODLES, PEARS, RICE = "11001", "14001", "18003", "15001"
GOODS: Final = (
    (Product(code=ProductId(COLA), category="drinks", name="可口可乐", spec="500ml", unit_name="瓶"), 350, 1000),
    (Product(code=ProductId(NOODLES), category="noodles", name="康师傅红烧牛肉面经典袋装整箱优惠装", spec="24袋",
             unit_name="箱"), 5980, 1000),
    (Product(code=ProductId(PEARS), category="fruit", name="皇冠梨", unit="kg", unit_name="kg", tax_class="9",
             is_weighed=True), 458, 500),
    (Product(code=ProductId(RICE), category="rice-oil", name="东北大米", spec="5kg", unit_name="袋", tax_class="9"),
     3990, 1000),
)  # fmt: skip
OFFERS: Final = (
    Promotion(code="T1", name="周三", kind=PromotionKind.BUY_N_GET_M, products=(ProductId(COLA),), buy_count=2,
              free_count=1),
    Promotion(code="T2", name="T2", kind=PromotionKind.AMOUNT_OFF, threshold_minor=Minor(5000),
              amount_minor=Minor(500)),
)  # fmt: skip
CARD: Final = ShopCard(
    name="好邻居便利店·文三店",
    phone="0571-8888 0001",
    address="杭州市文三路100号",
    invoice_url="https://example.com/fp",
)
OPERATOR, MEMBER = "op-wang", "person-1"


def set_setting(shops: Shops, *settings: Setting) -> None:
    """Have the hub define settings for the whole chain."""
    for one in settings:
        name, value = write_setting(one)
        shops.tell(SettingDefined(name, "", value))


def form(**fields: object) -> ReceiptForm:
    """Return a receipt form whose template has these fields."""
    return ReceiptForm(template=ReceiptTemplate(**{"footer": ("谢谢惠顾 欢迎再来",), **fields}))  # type: ignore[arg-type]


def chinese_shop(shops: Shops, name: str = "A1") -> Node:
    """Enrol a till of a Chinese shop."""
    node = shops.make_node(name)
    teach_goods(node)
    shops.tell(
        OperatorDefined(OPERATOR, "1013", "cashier", ("A",), b""),
        CustomerDefined(MEMBER, b"hash", "138****1234", b""),
    )
    set_setting(shops, CARD, form())
    return node


def teach_goods(node: Node) -> None:
    """Tell a node the goods and promotions of the Chinese shop."""
    documents: dict[str, dict[tuple[str, str], Scalar]] = {"promotions/standard": {}}
    for product, price, per in GOODS:
        fields = documents.setdefault(f"products/{product.category}", {})
        fields |= {(product.code, name): value for name, value in product.fields().items()}
        prices = documents.setdefault(f"prices/standard/{product.category}", {})
        prices[product.code, product.unit] = encode_timeline([PriceStep(0, None, price, per)])
    for offer in OFFERS:
        documents["promotions/standard"][offer.code, "terms"] = write_terms(offer)
    change(node, documents)


def change(node: Node, documents: Mapping[str, Mapping[tuple[str, str], Scalar]]) -> None:
    """Let the hub set fields of shared documents."""
    from sync.document_projection import read_document

    with node.write():
        for document, assignments in documents.items():
            state = read_document(node.connection, document) or DocumentState(document)
            for one in edit(state, dict(assignments), writer=HUB_STREAM.writer, time_ms=START_MS):
                node.replica.append(HUB_STREAM, one, Moment(START_MS, 0, 0))


def lines_of(node: Node, *goods: tuple[str, int]) -> list[SaleLine]:
    """Price goods: (code, thousandths)."""
    moment = node.now_ms()
    date = today(node, moment)
    return [price_line(node, LineRequest(code, quantity), moment, date) for code, quantity in goods]


def sell_promoted(node: Node) -> Completed:
    """Sell colas with a promotion, noodles, pears by weight; 抹零; paid by WeChat and cash, by a member."""
    from msgspec.structs import replace

    cola, noodles, pears = lines_of(node, (COLA, 3000), (NOODLES, 1000), (PEARS, 1234))
    cola = replace(cola, amount_minor=cola.amount_minor - 350, discounts=(LineDiscount("promotion", "T1", 350),))
    noodles = replace(
        noodles, amount_minor=noodles.amount_minor - 500, discounts=(LineDiscount("promotion", "T2", 500),)
    )
    total = cola.amount_minor + noodles.amount_minor + pears.amount_minor
    dropped = total % 10
    lines = with_basket_discount([cola, noodles, pears], dropped, "rounding")
    due = total - dropped
    tenders = (Tender("wechat", 2000, 0, "4200001", "confirmed"), Tender("cash", due - 2000, 10_000))
    return complete_sale(node, lines, operator=OPERATOR, tenders=tenders, rounding_minor=dropped, member=MEMBER)


def sell_plain(node: Node) -> Completed:
    """Sell one bottle for cash."""
    return complete_sale(node, lines_of(node, (COLA, 1000)), operator=OPERATOR)


def refund_first_line(node: Node, sold: Completed) -> Completed:
    """Take one bottle of a sale's first line back."""
    from edge.returns import ReturnRequest

    return refund(node, sold.receipt_number, [ReturnRequest(0, 1000)], operator=OPERATOR)
