"""Every golden count case gives its expected figures, in any arrival order, batch and incremental."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from sync.count_cases import CountCase, fold_case, read_cases
from sync.stock_facts import Fact
from tests.sync.fleet import arrival_orders
from tests.sync.memory_stock_store import MemoryStockStore

CONTENT = (Path(__file__).parent / "count_cases.json").read_bytes()
CASES = {case.id: case for case in read_cases(CONTENT)}
EXPECTED = {case["id"]: case["expect"] for case in json.loads(CONTENT)["cases"]}


def orders(facts: Sequence[Fact]) -> Iterable[Sequence[Fact]]:
    """Yield all permutations of a small set, else samples; and orders with repeated deliveries."""
    rng = random.Random(7)
    if len(facts) <= 5:
        yield from itertools.permutations(facts)
    yield from arrival_orders(facts, rng, 20)


@pytest.mark.parametrize("name", sorted(CASES))
def test_case_folds_to_what_is_expected(name: str) -> None:
    found, expected = fold_case(CASES[name]), EXPECTED[name]
    for field in ("on_hand", "variance", "transit", "atp"):
        assert found.get(field, {}) == expected.get(field, {})
    assert found["conflicts"] == expected["conflicts"]
    assert found["conflict_refs"] == expected["conflict_refs"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_case_is_the_same_in_every_arrival_order(name: str) -> None:
    case = CASES[name]
    expected = fold_case(case)
    for order in orders(case.facts):
        assert fold_case(CountCase(case.id, tuple(order), case.rules)) == expected


@pytest.mark.parametrize("name", sorted(CASES))
def test_case_is_the_same_folded_entry_by_entry(name: str) -> None:
    case = CASES[name]
    expected = fold_case(case)
    for order in orders(case.facts):
        store = MemoryStockStore()
        for fact in order:
            store.ingest([fact], case.rules)
        assert {str(k): {"value": f.value, "lo": f.lo, "hi": f.hi} for k, f in store.figures.items()} == expected[
            "on_hand"
        ]
        assert sorted([str(c.code), str(c.status)] for c in store.conflicts.values()) == expected["conflicts"]
        transit = {f"{transfer}/{product}": s.transit for (transfer, product), s in store.transfers.items()}
        assert transit == expected.get("transit", {})
        rights = {str(key): {one.home: one.available, **dict(one.held)} for key, one in store.right_figures.items()}
        assert rights == expected.get("atp", {})
