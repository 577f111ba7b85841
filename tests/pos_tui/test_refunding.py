"""Taking goods back at the screen: by number, by the signed code, without a receipt, and for other goods."""

from __future__ import annotations

from edge.node import Node
from edge.receipt_codes import code_text, write_receipt_code
from edge.receipts import stored_entry
from edge.refunding import find_original
from schema.kinds.trading import Refund, Sale
from schema.rules.promotion_terms import Language
from tests.edge.goods import COLA_BARCODE, MILK_BARCODE, teach_goods
from tests.edge.people import SUPERVISOR
from tests.edge.shops import Shops
from tests.pos_tui.cashier import Cashier
from tests.pos_tui.conftest import AtTill
from tests.pos_tui.test_selling import payloads


async def sell(cashier: Cashier, *codes: str) -> str:
    """Sell goods for cash; returns the receipt's number."""
    for code in codes:
        await cashier.scan(code)
    await cashier.press("+")
    await cashier.until_screen("tender")
    await cashier.press("enter")
    await cashier.until_screen("sale")
    done = cashier.app.till.done
    assert done is not None
    return done.receipt_number


def refunds(node: Node) -> list[Refund]:
    return [one for one in payloads(node, Refund) if isinstance(one, Refund)]


def code_of(node: Node, number: str) -> str:
    """Return the code on a receipt as a scanner reads it."""
    entry = stored_entry(node, number)
    assert isinstance(entry.payload, Sale)
    return code_text(write_receipt_code(node, entry.id, entry.digest, entry.payload.total_minor))


async def test_a_part_of_a_sale_comes_back_by_its_number(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        number = await sell(cashier, COLA_BARCODE, COLA_BARCODE, MILK_BARCODE)
        await cashier.press("f7")
        await cashier.until_screen("refund")
        await cashier.enter("999999")
        await cashier.until("✗")
        await cashier.enter(number)
        await cashier.until("可口可乐")
        await cashier.enter("3")
        await cashier.until("✗")
        await cashier.enter("1")
        await cashier.until(cashier.t("means.cash") + " 3.00")
        await cashier.press("+")
        await cashier.until_screen("sale")
        await cashier.until(cashier.t("refund.given"))
        (refund,) = refunds(node)
        assert (refund.total_minor, refund.lines[0].quantity_milli, refund.operator) == (300, 1000, "o1001")


async def test_a_receipts_number_is_completed_on_the_keypad(at_till: AtTill, node: Node) -> None:
    async with at_till() as cashier:
        await sell(cashier, COLA_BARCODE)
        await cashier.press("f7")
        await cashier.until_screen("refund")
        await cashier.enter("1")
        await cashier.until("可口可乐")
        await cashier.press("*", "+")
        await cashier.until_screen("sale")
        assert refunds(node)[0].total_minor == 300


async def test_a_scanned_receipt_opens_its_refund_and_nothing_comes_back_twice(
    at_till: AtTill, node: Node, language: Language
) -> None:
    async with at_till(language) as cashier:
        number = await sell(cashier, COLA_BARCODE)
        await cashier.scan(code_of(node, number))
        await cashier.until_screen("refund")
        await cashier.press("*", "/", "+")
        await cashier.until_screen("sale")
        assert refunds(node)[0].lines[0].goods_to == "damaged"
        await cashier.scan(code_of(node, number))
        await cashier.until_screen("refund")
        await cashier.press("*", "+")
        await cashier.until("✗")
        assert len(refunds(node)) == 1


async def test_a_sale_of_another_shop_comes_back_by_its_signed_code(
    at_till: AtTill, node: Node, shops: Shops, language: Language
) -> None:
    other = teach_goods(shops.make_node("B1", "B"))
    async with at_till(language, on=node) as cashier:
        from edge.tendering import complete
        from tests.edge.goods import basket_of

        sold = complete(other, basket_of(other, COLA_BARCODE, MILK_BARCODE), attempt="x")
        await cashier.press("f7")
        await cashier.until_screen("refund")
        await cashier.scan(code_text(sold.code))
        await cashier.until(cashier.t("refund.signed"))
        await cashier.press("+")
        await cashier.until_screen("sale")
        (refund,) = refunds(node)
        assert (refund.original, refund.total_minor) == (sold.entry, 750)


async def test_goods_without_a_receipt_need_a_second_person(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.press("f7")
        await cashier.until_screen("refund")
        await cashier.press("f5")
        await cashier.until(cashier.t("return.empty"))
        await cashier.scan(MILK_BARCODE)
        await cashier.until(cashier.t("return.mode"))
        await cashier.press("+")
        await cashier.choose(1)
        await cashier.choose(2)
        await cashier.allow(SUPERVISOR)
        await cashier.until(cashier.t("refund.given"))
        (refund,) = refunds(node)
        assert (refund.original, refund.total_minor, refund.approver) == ("", 450, SUPERVISOR.operator)


async def test_an_exchange_pays_with_what_comes_back(at_till: AtTill, node: Node, language: Language) -> None:
    async with at_till(language) as cashier:
        number = await sell(cashier, COLA_BARCODE)
        await cashier.press("f7")
        await cashier.until_screen("refund")
        await cashier.enter(number)
        await cashier.press("*", "f6")
        await cashier.until(cashier.t("exchange.empty"))
        await cashier.scan(MILK_BARCODE)
        await cashier.until(cashier.t("means.exchange"))
        await cashier.press("+")
        await cashier.until_screen("tender")
        await cashier.until(cashier.t("tender.paid") + " 3.00")
        await cashier.enter("2")
        await cashier.until_screen("sale")
        done = cashier.app.till.done
        assert done is not None
        assert done.change_minor == 50
        sale = payloads(node, Sale)[-1]
        assert isinstance(sale, Sale)
        assert {one.means: one.amount_minor for one in sale.tenders} == {"exchange": 300, "cash": 150}
        assert len(refunds(node)) == 1


async def test_escape_ends_a_return_or_an_exchange_that_was_not_begun(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.press("f7")
        await cashier.until_screen("refund")
        await cashier.press("f5")
        await cashier.until(cashier.t("return.empty"))
        await cashier.press("escape")
        await cashier.until(cashier.t("sale.empty"))
        assert cashier.app.till.returning is None


async def test_goods_in_the_basket_are_paid_or_parked_before_a_refund(at_till: AtTill, language: Language) -> None:
    async with at_till(language) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.press("f7")
        await cashier.until(cashier.t("refund.park_first"))


async def test_a_forged_code_is_refused(at_till: AtTill, node: Node) -> None:
    async with at_till() as cashier:
        number = await sell(cashier, COLA_BARCODE)
        code = code_of(node, number)
        assert find_original(node, code)
        forged = code[:-20] + ("A" if code[-20] != "A" else "B") + code[-19:]
        await cashier.press("f7")
        await cashier.until_screen("refund")
        await cashier.scan(forged)
        await cashier.until("✗")
        assert not refunds(node)
