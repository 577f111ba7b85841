"""Deposits and empties: charged with goods, given back with bottles, whole amounts, with figures of their own."""

from __future__ import annotations

import pytest

from edge.basket import EMPTY, Basket, add, price_basket, set_basket_discount, take_empties
from edge.doctor import examine
from edge.empties import give_back_empties
from edge.node import Node
from edge.receipts import receipt_document
from edge.returns import find_sale
from edge.scanning import Found, pick
from edge.selling import refund
from edge.tendering import Payment, complete
from schema.catalogue import Deposit, PriceStep, Product, UnitFactor
from schema.errors import RefusalError
from schema.identity import ProductId
from schema.kinds.trading import Refund, Sale
from schema.rules.deposits import DEPOSIT, EMPTIES
from schema.rules.promotion_terms import Language
from schema.rules.van_settlement import settle
from tests.edge.goods import teach_products
from tests.edge.shops import figures

BEER, BOTTLE, CRATE = "B0001", "B0002", "B0003"
GOODS = (
    Product(code=ProductId(BEER), category="beer", name="啤酒", unit_name="瓶", units=(UnitFactor("箱", 12_000),),
            deposits=(Deposit(BOTTLE, 1000), Deposit(CRATE, 1000, "箱"))),
    Product(code=ProductId(BOTTLE), category="empties", name="空瓶押金", unit_name="个", is_deposit=True),
    Product(code=ProductId(CRATE), category="empties", name="塑料箱押金", unit_name="个", is_deposit=True),
)  # fmt: skip
PRICES = {
    BEER: {"pc": (PriceStep(0, None, 400),), "箱": (PriceStep(0, None, 4500),)},
    BOTTLE: {"pc": (PriceStep(0, None, 50),)},
    CRATE: {"pc": (PriceStep(0, None, 1000),)},
}


@pytest.fixture
def till(node: Node) -> Node:
    teach_products(node, GOODS, PRICES)
    return node


def put(node: Node, basket: Basket, product: str, pieces: int, unit: str = "") -> Basket:
    found = pick(node, product, quantity_milli=pieces * 1000)
    assert isinstance(found, Found)
    line = found.line
    if unit:
        import msgspec

        line = msgspec.structs.replace(line, unit=unit, unit_name=unit, factor_milli=12_000)
    return add(basket, line)


def sale_of(node: Node, receipt: str) -> Sale:
    return find_sale(node, receipt).sale


def test_a_case_is_sold_with_the_deposit_of_its_bottles_and_of_its_crate(till: Node) -> None:
    priced = price_basket(till, put(till, put(till, EMPTY, BEER, 2, "箱"), BEER, 3))
    charged = {line.line.product: (line.line.quantity_milli, line.amount_minor) for line in priced.lines[2:]}
    assert charged == {BOTTLE: (27_000, 1350), CRATE: (2_000, 2000)}
    assert priced.total_minor == 2 * 4500 + 3 * 400 + 1350 + 2000
    done = complete(till, put(till, EMPTY, BEER, 2, "箱"), attempt="a1")
    sale = sale_of(till, done.receipt_number)
    assert [line.price_source for line in sale.lines[1:]] == [DEPOSIT, DEPOSIT]
    assert [(move.product, move.quantity_milli) for move in sale.moves] == [(BEER, -24_000)]
    assert BOTTLE not in figures(till)  # nothing empty has left


def test_empties_come_off_the_bill_at_the_price_of_their_deposit_and_reach_the_shelf(till: Node) -> None:
    basket = put(till, put(till, EMPTY, BEER, 10), BOTTLE, 8)
    basket = take_empties(till, basket, 1)
    done = complete(till, basket, attempt="a1")
    assert done.total_minor == 10 * 400 + 10 * 50 - 8 * 50
    sale = sale_of(till, done.receipt_number)
    empties = next(line for line in sale.lines if line.price_source == EMPTIES)
    assert (empties.quantity_milli, empties.amount_minor) == (-8_000, -400)
    assert figures(till)[BOTTLE][0] == 8_000
    assert sum(tender.amount_minor for tender in sale.tenders) == done.total_minor
    assert examine(till).is_healthy


def test_an_empty_bottle_scanned_by_what_was_in_it_becomes_its_deposit(till: Node) -> None:
    basket = take_empties(till, put(till, EMPTY, BEER, 6), 0)
    assert [(line.product, line.quantity_milli, line.is_empties) for line in basket.lines] == [(BOTTLE, 6_000, True)]
    with pytest.raises(RefusalError) as refused:
        take_empties(till, put(till, EMPTY, "P1001", 1), 0)
    assert refused.value.code == "empties_unknown"


def test_discounts_and_dropped_change_never_touch_a_deposit(till: Node) -> None:
    basket = set_basket_discount(take_empties(till, put(till, put(till, EMPTY, BEER, 10), BOTTLE, 4), 1),
                                 discount_ppm=500_000)  # fmt: skip
    priced = price_basket(till, basket)
    assert {line.line.product: line.amount_minor for line in priced.lines if line.source in {DEPOSIT, EMPTIES}}
    assert [line.amount_minor for line in priced.lines] == [2000, -200, 500]
    done = complete(till, basket, attempt="a1", dropped_minor=100)
    sale = sale_of(till, done.receipt_number)
    assert [line.amount_minor for line in sale.lines] == [1900, -200, 500]


def test_empties_alone_are_paid_for_in_cash_without_a_second_person(till: Node) -> None:
    basket = take_empties(till, put(till, EMPTY, CRATE, 3), 0)
    with pytest.raises(RefusalError) as refused:
        complete(till, basket, [Payment("cash", 0)], attempt="a0")
    assert refused.value.code == "empties_exceed"
    done = give_back_empties(till, basket, operator="o1001", attempt="a1")
    assert done.total_minor == 3_000
    assert give_back_empties(till, basket, operator="o1001", attempt="a1").entry == done.entry
    assert figures(till)[CRATE][0] == 3_000
    with pytest.raises(RefusalError) as mixed:
        give_back_empties(till, put(till, basket, BEER, 1), attempt="a2")
    assert mixed.value.code == "empties_mixed"
    assert examine(till).is_healthy


def test_goods_that_come_back_full_bring_their_deposit_along_and_no_empties(till: Node) -> None:
    done = complete(till, put(till, EMPTY, BEER, 10), attempt="a1")
    back = refund(till, done.receipt_number)
    assert back.total_minor == done.total_minor == 4500
    assert figures(till)[BEER][0] == 0
    assert BOTTLE not in figures(till)


def test_paper_and_settlement_have_figures_of_deposits_and_empties(till: Node) -> None:
    basket = take_empties(till, put(till, put(till, EMPTY, BEER, 10), BOTTLE, 4), 1)
    done = complete(till, basket, attempt="a1")
    given = give_back_empties(till, take_empties(till, put(till, EMPTY, CRATE, 1), 0), attempt="a2")
    paper = receipt_document(till, done.entry, language=Language.ZH).preview()
    assert any("收押金" in row and "5.00" in row for row in paper)
    assert any("退空瓶押金" in row and "-2.00" in row for row in paper)
    log = till.replica.log
    payloads = [entry.payload for row in log.streams(till.config.scope) for entry in log.entries(row)]
    found = settle({}, [one for one in payloads if isinstance(one, Sale | Refund)], {})
    assert (found.deposits_minor, found.empties_minor) == (500, 200 + given.total_minor)
    lines = {line.product: line for line in found.lines}
    assert (lines[BEER].sold_milli, lines[BOTTLE].returned_milli, lines[CRATE].returned_milli) == (10_000, 4_000, 1_000)
