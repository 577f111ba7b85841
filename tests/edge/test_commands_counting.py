"""The verbs of counting, as a person or a script types them."""

from __future__ import annotations

import json

import pytest

from edge.count_lines import touch_line
from edge.counting import record_looks
from edge.node import Node
from edge.stock import CostedRequest, QuantityRequest, dispatch_transfer, receive_goods
from schema.errors import RefusalError
from tests.edge.shops import APPLES, CIGARETTES, WATER, Shops, carry, figures, sell_pieces
from tests.edge.test_commands import Run, run

__all__ = ["run"]


def test_a_cycle_count_is_proposed_opened_counted_recounted_closed_and_reported(
    run: Run, node: Node, shops: Shops
) -> None:
    receive_goods(node, [CostedRequest(CIGARETTES, 20_000, cost_minor=2_000), CostedRequest(WATER, 9_000)])
    sell_pieces(node, CIGARETTES, 10)
    proposed = run("count", "propose").splitlines()
    assert proposed[0] == f"A\t{CIGARETTES}\tnever counted\tCigarettes"
    session = json.loads(run("count", "open", "--cycle", "--json"))["session"]
    touch_line(node, session, "", CIGARETTES, 6_000, operator="o1")
    assert run("count", "missing", session) == f"{WATER}\tWater\n"
    record_looks(node, session, operator="o1")
    assert run("count", "recounts", session) == f"{CIGARETTES}\tCigarettes\n"
    with pytest.raises(RefusalError) as refused:
        run("count", "recount", session, CIGARETTES, "6", "--operator", "o1")
    assert refused.value.code == "recount_same_person"
    run("count", "recount", session, CIGARETTES, "7", "--operator", "o2")
    assert run("count", "recounts", session) == ""
    with pytest.raises(RefusalError) as still:
        run("count", "report", session, "--print")
    assert still.value.code == "count_open"
    run("count", "close", session, "--confirm-zeros")
    told = run("count", "report", session, "--print")
    assert f"{CIGARETTES}\t-3\tcounted 7\t-60.00\tCigarettes" in told
    assert "values at the last received cost; * at the selling price" in told
    assert figures(node)[CIGARETTES][0] == 7_000


def test_a_plan_is_a_category_or_the_book_and_an_unknown_category_is_refused(run: Run, node: Node) -> None:
    receive_goods(node, [QuantityRequest(WATER, 9_000)])
    planned = json.loads(run("count", "open", "--category", "fruit", "--book", "--json"))["products"]
    assert planned == [APPLES, WATER]
    with pytest.raises(RefusalError) as refused:
        run("count", "open", "--category", "toys")
    assert refused.value.code == "category_unknown"


def test_a_delivery_between_paper_and_shelf_is_listed_and_answered(run: Run, node: Node, shops: Shops) -> None:
    warehouse = shops.make_node("W1", "W")
    transfer = dispatch_transfer(warehouse, "A", [QuantityRequest(WATER, 24_000)]).transfer
    carry(warehouse, node, "loc/A")
    session = json.loads(run("count", "open", "--json"))["session"]
    assert run("count", "papers", session) == f"delivery\t{transfer}\t24\t{WATER}\n"
    with pytest.raises(RefusalError) as refused:
        run("count", "papers", session, "--on-shelf", "T-none")
    assert refused.value.code == "paper_unknown"
    run("count", "papers", session, "--on-shelf", transfer)
    assert run("count", "papers", session) == ""
    run("count", "line", f"30*{WATER}", "--session", session)
    run("count", "close", session)
    run("transfer", "receive", transfer, f"24*{WATER}")
    assert figures(node)[WATER] == (30_000,) * 3
