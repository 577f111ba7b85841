"""What the hub's desk asked to be counted again appears at the shop's nodes until a count that knew of it answers."""

from __future__ import annotations

from edge.asked_counts import asked_counts
from edge.counting import count_product
from schema.identity import Scope, Stream
from schema.kinds.desk import RecountAsked
from sync.replica import Moment
from tests import processes
from tests.edge.shops import APPLES, HUB, START_MS, WATER, Shops


def ask(shops: Shops, product: str, note: str = "") -> None:
    for node in shops.nodes.values():
        stream = Stream(Scope("loc/A"), HUB.node, 1)
        with node.write():
            node.replica.append(stream, RecountAsked(product, "o9", "admin", "", note), Moment(START_MS, 0, 0))


def test_a_recount_is_listed_until_it_is_counted(shops: Shops) -> None:
    node = shops.make_node("A1")
    assert asked_counts(node) == []
    ask(shops, WATER, "behind the door")
    ask(shops, APPLES)
    ask(shops, WATER)
    assert [(one.product, one.note) for one in asked_counts(node)] == [(WATER, "behind the door"), (APPLES, "")]
    count_product(node, WATER, 5_000)
    assert [one.product for one in asked_counts(node)] == [APPLES]
    ask(shops, WATER, "once more")
    assert [one.note for one in asked_counts(node) if one.product == WATER] == ["once more"]


def test_a_count_that_had_not_heard_of_the_wish_does_not_answer_it(shops: Shops) -> None:
    one, other = shops.make_node("A1"), shops.make_node("A2")
    stream = Stream(Scope("loc/A"), HUB.node, 1)
    with one.write():
        one.replica.append(stream, RecountAsked(WATER, "o9", "admin"), Moment(START_MS, 0, 0))
    count_product(other, WATER, 5_000)
    from tests.edge.shops import carry

    carry(other, one)
    assert [asked.product for asked in asked_counts(one)] == [WATER]


def test_the_verb_says_what_is_asked(shops: Shops) -> None:
    node = shops.make_node("A1", is_durable=True)
    ask(shops, WATER, "behind the door")
    node.close()
    shops.nodes.clear()
    done = processes.run("count", "asked", EDGETILL_NODE=str(shops.directory / "A1"))
    assert done.returncode == 0, done.stderr
    assert "behind the door" in done.stdout
