"""What the rules could not settle is said in a sentence and settled by a person."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.counting import RecordedCount, count_product
from edge.node import Node
from edge.resolving import accept_count, classify_movement, conflicts, void_entry
from edge.stock import QuantityRequest, on_hand, open_stock, receive_goods
from schema.errors import RefusalError
from schema.rules.conflict_words import CODES, ConflictWords, conflict_sentence
from sync.stock_facts import ConflictCode
from tests.edge.shops import CIGARETTES, WATER, Shops, carry, exchange, figures, sell_pieces

Make = Callable[..., Node]


def counted(node: Node, product: str, pieces: int, operator: str = "") -> RecordedCount:
    done = count_product(node, product, pieces * 1000, operator=operator)
    assert isinstance(done, RecordedCount)
    return done


def test_two_blind_counts_that_differ_stay_visible_until_a_person_chooses(shops: Shops) -> None:
    shops.policy("tobacco", "manual", "conservative")
    one, other = shops.make_node("A1"), shops.make_node("A2")
    first, second = counted(one, CIGARETTES, 10), counted(other, CIGARETTES, 8)
    exchange(one, other)
    [open_one] = conflicts(one)
    assert (open_one.code, set(open_one.references)) == ("COUNT_DISAGREE", {first.observation, second.observation})
    assert "Cigarettes" in open_one.sentence
    accept_count(one, CIGARETTES, first.entry)
    exchange(one, other)
    assert conflicts(one) == conflicts(other) == []
    assert figures(one)[CIGARETTES] == figures(other)[CIGARETTES] == (10_000,) * 3


def test_a_resolution_knows_all_that_its_node_holds(make_node: Make) -> None:
    one, other = make_node("A1"), make_node("A2")
    done = counted(one, WATER, 5)
    exchange(one, other)
    accept_count(other, WATER, done.observation)
    row = other.replica.log.stream(next(r.stream for r in other.replica.rows() if r.stream.node == other.config.node))
    assert row is not None
    [entry] = list(other.replica.log.entries(row))
    vector = dict(entry.payload.vector)  # type: ignore[union-attr]
    assert vector == {writer: head.seq for writer, head in one.replica.log.heads("loc/A").items()}


def test_a_voided_receipt_leaves_stock_and_a_voided_void_brings_it_back(node: Node) -> None:
    open_stock(node, [QuantityRequest(WATER, 10_000)])
    wrong = receive_goods(node, [QuantityRequest(WATER, 90_000), QuantityRequest("P1001", 5000)])
    done = void_entry(node, wrong.entry)
    assert figures(node) == {WATER: (10_000,) * 3, "P1001": (0, 0, 0)}
    void_entry(node, done.entry)
    assert figures(node)[WATER] == (100_000,) * 3
    void_entry(node, f"{wrong.entry}#1")
    assert [row.value for row in on_hand(node, "P1001")] == [0]
    assert figures(node)[WATER] == (100_000,) * 3


def test_a_sale_is_named_by_its_receipt_number_too(node: Node) -> None:
    open_stock(node, [QuantityRequest(WATER, 10_000)])
    sale = sell_pieces(node, WATER, 3)
    void_entry(node, sale.receipt_number)
    assert figures(node)[WATER] == (10_000,) * 3


@pytest.mark.parametrize(("relation", "value"), [("before", 9000), ("AFTER", 8000)])
def test_a_movement_in_doubt_is_placed_by_a_person(make_node: Make, relation: str, value: int) -> None:
    counter, seller = make_node("A1"), make_node("A2")
    sale = sell_pieces(seller, WATER, 1)
    count = counted(counter, WATER, 9)
    carry(seller, counter)
    assert [one.code for one in conflicts(counter)] == ["AMBIGUOUS_ORDER"]
    classify_movement(counter, sale.entry, count.entry, relation)
    assert conflicts(counter) == []
    assert figures(counter)[WATER] == (value,) * 3


def test_a_cashier_does_not_settle_conflicts(shops: Shops) -> None:
    till = shops.make_node()
    shops.operator("c1", "cashier")
    sale = sell_pieces(till)
    with pytest.raises(RefusalError) as refused:
        void_entry(till, sale.entry, operator="c1")
    assert refused.value.code == "role_too_low"


def test_a_node_without_the_grant_does_not_settle_conflicts(shops: Shops) -> None:
    till = shops.make_node(permissions=("trade", "stock", "count"))
    sale = sell_pieces(till)
    with pytest.raises(RefusalError) as refused:
        void_entry(till, sale.entry)
    assert refused.value.code == "not_permitted"


@pytest.mark.parametrize("target", ["nonsense", "loc/A:nobody.1:7", "A1-1-999999", ""])
def test_what_is_not_here_cannot_be_voided(node: Node, target: str) -> None:
    with pytest.raises(RefusalError) as refused:
        void_entry(node, target)
    assert refused.value.code == "entry_unknown"


def test_a_sale_is_no_count_and_a_count_belongs_to_its_product(node: Node) -> None:
    sale = sell_pieces(node)
    count = counted(node, WATER, 3)
    for product, observation in ((WATER, sale.entry), (CIGARETTES, count.entry)):
        with pytest.raises(RefusalError) as refused:
            accept_count(node, product, observation)
        assert refused.value.code == "count_unknown"
    with pytest.raises(RefusalError):
        classify_movement(node, sale.entry, count.entry, "meanwhile")


def test_stock_below_zero_is_a_sentence_that_says_what_to_do(node: Node) -> None:
    sell_pieces(node, WATER, 2)
    [told] = conflicts(node)
    assert told.code == "NEGATIVE_STOCK"
    assert told.sentence.startswith("The book says -2 of Water")


def test_every_conflict_code_of_the_rules_has_its_own_sentence() -> None:
    assert {code.value for code in ConflictCode} <= CODES
    words = ConflictWords("Water", 1000, 0, 2000, "T1", False, 2)
    sentences = {conflict_sentence(code, words) for code in CODES}
    assert len(sentences) == len(CODES)
    assert all(sentence.endswith(".") and "None" not in sentence for sentence in sentences)
    assert "NEW_CODE" in conflict_sentence("NEW_CODE", words)
