"""A trainee sees everything and records nothing."""

from __future__ import annotations

import pytest

from edge.node import Node
from edge.parking import park
from edge.shifts import open_shift
from edge.tendering import Payment, complete
from edge.training import open_for_training, practise
from schema.errors import RefusalError
from schema.rules.promotion_terms import Language
from tests.edge.goods import COLA, TEA, basket_of, teach_goods
from tests.edge.shops import Shops, entry_count


@pytest.fixture
def node(shops: Shops) -> Node:
    return teach_goods(shops.make_node())


def test_a_practised_sale_shows_its_marked_receipt_and_leaves_nothing(node: Node) -> None:
    before = entry_count(node), node.state().receipt_next
    with open_for_training(node.directory, node.clock_source) as training:
        basket = basket_of(training, COLA, TEA)
        done = practise(training, basket, [Payment("cash", given_minor=1000)], language=Language.ZH)
    assert (done.sale.total_minor, done.due.change_minor) == (650, 350)
    lines = done.paper.preview()
    assert sum("培训练习" in line for line in lines) == 2
    assert not any("A1-1-" in line for line in lines)
    assert (entry_count(node), node.state().receipt_next) == before


def test_a_till_in_training_cannot_post_whatever_its_screen_does(node: Node) -> None:
    before = entry_count(node)
    with open_for_training(node.directory, node.clock_source) as training:
        basket = basket_of(training, COLA)
        for act in (lambda: complete(training, basket, attempt="t1"), lambda: park(training, basket),
                    lambda: open_shift(training)):  # fmt: skip
            with pytest.raises(RefusalError) as refused:
                act()
            assert refused.value.code == "file_read_only"
    assert entry_count(node) == before


def test_a_trainee_is_told_what_a_cashier_is_told(node: Node) -> None:
    with open_for_training(node.directory, node.clock_source) as training:
        with pytest.raises(RefusalError) as refused:
            practise(training, basket_of(training, COLA), [Payment("cash", given_minor=1)])
        assert refused.value.code == "tenders_short"
