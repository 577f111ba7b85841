"""The paper of any stored entry can be made again: the same rows, the same signed code, the marks of this copy."""

from __future__ import annotations

import base64

import msgspec
import pytest

from edge import basket as baskets
from edge.basket import EMPTY, BasketLine
from edge.node import Node
from edge.parking import park
from edge.receipts import Copy, layout, paper_name, receipt_document, stored_entry
from edge.selling import Completed, complete_sale, refund_without_receipt
from edge.selling import LineRequest as Request
from edge.shift_reports import close_day
from edge.shifts import close_shift, open_shift, pay_in
from schema.errors import RefusalError
from schema.identity import NodeId, Stream
from schema.kinds.balances import BalanceMove, BalanceMoved, BalancePaid
from schema.kinds.organisation import PersonForgotten
from schema.kinds.tills import BasketParked
from schema.kinds.trading import Sale, Tender
from schema.rules.promotion_terms import Language
from schema.rules.receipt import ReceiptTemplate, Section, invoice_address
from schema.settings import ReceiptForm, ShopCard
from sync.signing import is_signed, receipt_message
from tests.edge.paper_shops import (
    COLA,
    MEMBER,
    NOODLES,
    OPERATOR,
    PEARS,
    change,
    chinese_shop,
    form,
    lines_of,
    refund_first_line,
    sell_plain,
    sell_promoted,
    set_setting,
)  # fmt: skip
from tests.edge.shops import Shops, carry


@pytest.fixture
def shop(shops: Shops) -> Node:
    return chinese_shop(shops)


def shown(node: Node, entry: str, **copy: object) -> str:
    return "\n".join(receipt_document(node, entry, **copy).preview())  # type: ignore[arg-type]


def code_of(node: Node, entry: str) -> str:
    rows = receipt_document(node, entry).rows
    return next((row.data for row in rows if row.left == "退货凭此码"), "")


def test_a_receipt_says_shop_goods_promotions_tenders_and_member(shop: Node) -> None:
    text = shown(shop, sell_promoted(shop).entry)
    for part in (
        "电话 0571-8888 0001", "单号：A1-1-000001", "收银员：1013", "时间：2026-03-02 08:00:0", "可口可乐 500ml",
        "3瓶             3.50       10.50", "  优惠 周三 买2送1         -3.50", "1.234kg    4.58/500g       11.30",
        "应收                     ￥73.10", "找零                       46.90", "138****1234", "谢谢惠顾 欢迎再来",
    ):  # fmt: skip
        assert part in text
    assert "138000" not in text


def test_the_code_of_a_receipt_is_the_one_of_its_sale_whenever_it_is_printed(shop: Node) -> None:
    sold = sell_promoted(shop)
    first = code_of(shop, sold.entry)
    sell_plain(shop)
    assert first == sold.code_text == code_of(shop, sold.entry)


def test_the_code_of_a_reprinted_receipt_verifies(shop: Node) -> None:
    sold = sell_promoted(shop)
    text = code_of(shop, sold.entry)
    content = base64.b32decode(text + "=" * (-len(text) % 8))
    scope, writer, seq, digest, total, signature = msgspec.msgpack.decode(content)
    stream = Stream.parse(f"{scope}:{writer}")
    assert (str(stored_entry(shop, sold.entry).id), digest) == (f"{stream}:{seq}", sold.digest)
    assert is_signed(shop.signer.public, signature, receipt_message(stream, seq, digest, total))
    assert not is_signed(shop.signer.public, signature, receipt_message(stream, seq, digest, total + 1))
    assert stream.node == NodeId(shop.config.node)


def test_a_receipt_is_found_by_its_number_and_an_unknown_one_is_refused(shop: Node) -> None:
    sold = sell_plain(shop)
    assert shown(shop, sold.receipt_number) == shown(shop, sold.entry)
    for reference in ("A1-1-000999", "nonsense", f"{sold.entry}9"):
        with pytest.raises(RefusalError) as refused:
            receipt_document(shop, reference)
        assert refused.value.code == "receipt_unknown"


def test_copies_bear_their_marks_and_training_bears_no_code(shop: Node) -> None:
    sold = sell_promoted(shop)
    assert shown(shop, sold.entry, is_reprint=True).startswith("          *** 补打 ***")
    trained = shown(shop, sold.entry, is_training=True)
    assert trained.count("培训练习 不作凭证") == 2
    assert "退货凭此码" not in trained
    assert "扫码开票" not in trained


def test_training_lays_a_sale_out_that_was_never_stored(shop: Node) -> None:
    lines = tuple(lines_of(shop, (COLA, 2000)))
    sale = Sale("TRAINING", "2026-03-02", "s", OPERATOR, lines, (), (Tender("cash", 700, 1000),), 700)
    text = "\n".join(layout(shop, sale, shop.now_ms(), Copy(is_training=True)).preview())
    assert "可口可乐 500ml" in text
    assert "￥7.00" in text
    assert "机号：A1" in text


def test_a_refund_names_its_original(shop: Node) -> None:
    text = shown(shop, refund_first_line(shop, sell_promoted(shop)).entry)
    assert "退货单" in text
    assert "原单号：A1-1-000001" in text
    assert "可口可乐 500ml" in text
    assert "退货凭此码" not in text


def test_a_refund_without_its_sale_is_printed_too(shop: Node) -> None:
    back = refund_without_receipt(shop, [Request(PEARS, 500)], operator=OPERATOR)
    text = shown(shop, back.entry)
    assert "原单号" not in text
    assert "0.5kg" in text


def test_goods_that_nobody_knows_any_more_are_printed_by_their_code(shop: Node) -> None:
    sold = complete_sale(shop, lines_of(shop, (COLA, 1000)))
    change(shop, {"products/drinks": {(COLA, "name"): "可乐（新名）"}})
    assert "可乐（新名）" in shown(shop, sold.entry)
    change(shop, {"products/drinks": {(COLA, name): None for name in ("name", "unit", "unit_name", "spec", "tax",
                                                                      "weighed", "article", "active")}})  # fmt: skip
    assert COLA in shown(shop, sold.entry)


def test_a_receipt_of_another_till_bears_no_code_that_this_one_cannot_sign(shops: Shops, shop: Node) -> None:
    other = shops.make_node("A2")
    sold = sell_plain(shop)
    carry(shop, other)
    text = shown(other, sold.entry)
    assert "机号：A1" in text
    assert "退货凭此码" not in text
    assert "扫码开票" in text


def test_points_that_came_with_a_sale_stand_on_its_receipt(shop: Node) -> None:
    lines = lines_of(shop, (COLA, 1000))
    with shop.write() as writing:
        number = writing.take_receipt_number()
        sale = Sale(number, "2026-03-02", "s", OPERATOR, tuple(lines), (), (Tender("cash", 350),), 350, member=MEMBER)
        entry = writing.append(sale)
        moves = (BalanceMove("member-points", MEMBER, 3), BalanceMove("member-balance", MEMBER, -100))
        writing.append(BalanceMoved(moves, "earned", number), operation=str(entry.id))
    assert "本次积分                       3" in shown(shop, str(entry.id))
    assert "本次积分" not in shown(shop, sell_promoted(shop).entry)


def test_payments_cash_slips_and_parked_baskets_have_paper(shop: Node) -> None:
    open_shift(shop, operator=OPERATOR, float_minor=10_000)
    moved = pay_in(shop, 2_000, "换零钱", operator=OPERATOR)
    with shop.write() as writing:
        paid = writing.append(
            BalancePaid(
                writing.take_receipt_number(), "2026-03-02", "s", OPERATOR, "top_up",
                (BalanceMove("member-balance", MEMBER, 5_000),), (Tender("cash", 5_000),), 5_000, member=MEMBER,
            )
        )  # fmt: skip
        parked = writing.append(BasketParked("P-1", OPERATOR, "3号桌", 1_200, b""))
    assert "存入现金" in shown(shop, moved)
    assert "储值充值" in shown(shop, str(paid.id))
    assert "138****1234" in shown(shop, str(paid.id))
    assert "3号桌" in shown(shop, str(parked.id))
    assert "[||| P-1]" in shown(shop, str(parked.id))


def test_a_parked_baskets_slip_names_its_goods_and_the_code_to_recall_it_by(shop: Node) -> None:
    basket = baskets.add(EMPTY, BasketLine(COLA, "可口可乐", unit_name="瓶", quantity_milli=2_000))
    name = park(shop, basket, operator=OPERATOR, label="红衣服大姐")
    row = shop.connection.execute("SELECT seq FROM parked_basket WHERE basket = ?", (name,)).fetchone()
    text = shown(shop, f"{Stream(shop.config.scope, shop.config.node_id, 1)}:{row[0]}")
    for part in ("挂单", "红衣服大姐", "  2瓶                       7.00", "￥7.00", f"[||| {name}]", "未付款"):
        assert part in text


def test_a_closed_shift_has_a_slip_to_sign(shop: Node) -> None:
    open_shift(shop, operator=OPERATOR, float_minor=10_000)
    sell_plain(shop)
    close_shift(shop, 10_300, operator=OPERATOR, denominations=((10_000, 1), (100, 3)))
    row = shop.connection.execute("SELECT seq FROM shift_event WHERE kind = 'closed'").fetchone()
    text = shown(shop, f"{Stream(shop.config.scope, shop.config.node_id, 1)}:{row[0]}")
    for part in ("交班单", "收银员：1013", "备用金                    100.00", "应有现金                  103.50",
                 "短款", "-0.50", "100.00          × 1      100.00", "交班人 ___"):  # fmt: skip
        assert part in text, text


def test_a_closed_day_has_its_report(shop: Node) -> None:
    sell_promoted(shop)
    close_day(shop, operator=OPERATOR)
    row = shop.connection.execute("SELECT seq FROM closed_day").fetchone()
    text = shown(shop, f"{Stream(shop.config.scope, shop.config.node_id, 1)}:{row[0]}")
    for part in ("日结单", "营业日：2026-03-02", "净额", "73.10", "微信支付", "20.00", "店长签字"):
        assert part in text, text


def test_the_parts_of_a_kit_are_named_below_it_and_count_as_one_piece(shop: Node) -> None:
    kit, part = lines_of(shop, (NOODLES, 1000), (COLA, 2000))
    free = msgspec.structs.replace(part, amount_minor=0, price_minor=0, list_price_minor=0, kit_parent=0)
    sold = complete_sale(shop, [kit, free], operator=OPERATOR)
    text = shown(shop, sold.entry)
    assert "  · 可口可乐 500ml 2瓶" in text
    assert "件数                           1" in text


def test_what_a_member_has_stands_on_the_first_paper_alone(shop: Node) -> None:
    with shop.write() as writing:
        writing.append(BalanceMoved((BalanceMove("member-points", MEMBER, 77),), "earned", "x"))
        writing.append(BalanceMoved((BalanceMove("member-balance", MEMBER, 5_000),), "earned", "x"))
    sold = sell_promoted(shop)
    text = shown(shop, sold.entry)
    assert "积分余额                      77" in text
    assert "储值余额                   50.00" in text
    assert "积分余额" not in shown(shop, sold.entry, is_reprint=True)


def test_a_member_who_was_forgotten_stands_on_no_paper(shops: Shops, shop: Node) -> None:
    sold = sell_promoted(shop)
    shops.tell(PersonForgotten(MEMBER))
    assert "138" not in shown(shop, sold.entry)


def test_an_entry_without_paper_is_refused(shop: Node) -> None:
    open_shift(shop)
    stream = Stream(shop.config.scope, shop.config.node_id, 1)
    with pytest.raises(RefusalError) as refused:
        receipt_document(shop, f"{stream}:1")
    assert refused.value.code == "receipt_unknown"


def test_the_shop_says_what_its_paper_looks_like(shops: Shops, shop: Node) -> None:
    sold = sell_promoted(shop)
    set_setting(shops, form(sections=(Section.HEADER, Section.TAX, Section.NUMBER_CODE), columns=48))
    text = shown(shop, sold.entry)
    assert "税率" in text
    assert "[||| A1-1-000001]" in text
    assert "可口可乐" not in text
    set_setting(shops, ReceiptForm(template=ReceiptTemplate()), ShopCard())
    assert shown(shop, sold.entry).splitlines()[0].strip() == "Shop A", "without a card it is the location's name"
    assert "Receipt: A1-1-000001" in shown(shop, sold.entry, language=Language.EN)


def test_the_address_for_an_invoice_names_the_receipt() -> None:
    sale = Sale("A1-1-000001", "2026-03-02", "s", "o", (), (), (), 1250)
    assert invoice_address("", sale) == ""
    assert invoice_address("https://x/i", sale) == "https://x/i?receipt=A1-1-000001"
    assert invoice_address("https://x/i?a=1", sale) == "https://x/i?a=1&receipt=A1-1-000001"
    assert invoice_address("https://x/{{ receipt.number }}/{{receipt.total}}", sale) == "https://x/A1-1-000001/12.50"


def test_people_call_a_paper_by_its_number(shop: Node) -> None:
    sold = sell_plain(shop)
    assert paper_name(shop, sold.entry) == "A1-1-000001"
    assert paper_name(shop, "loc/A:x.1:9") == "loc/A:x.1:9"
    assert paper_name(shop, "") == ""


def test_a_completed_value_and_its_stored_entry_agree(shop: Node) -> None:
    sold: Completed = sell_plain(shop)
    assert str(stored_entry(shop, sold.receipt_number).id) == sold.entry
