"""The incremental engine gives what the batch fold gives, on every prefix and in every order of arrival."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.conflicts import Conflict
from sync.fold import fold_set
from sync.fold_digest import fold_digest
from sync.key_state import KeyState, canonical_state
from sync.stock_facts import (
    Accept,
    ConflictCode,
    Count,
    Disagreement,
    Fact,
    Key,
    Look,
    Movement,
    Policy,
    Rank,
    Rules,
    Void,
)
from sync.stock_fold import StockFold
from tests.sync.fleet import Fleet, arrival_orders
from tests.sync.memory_stock_store import MemoryStockStore

THOROUGH = os.environ.get("EDGETILL_THOROUGH") == "1"
seeds = st.integers(0, 2**32)
run = settings(
    max_examples=1500 if THOROUGH else 60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


def assert_store_shows_fold(store: MemoryStockStore, facts: Sequence[Fact], rules: Rules) -> None:
    """Compare everything that a store shows with the batch fold of the same facts."""
    fold = fold_set(facts, rules)
    shown = {key: (row.value, row.lo, row.hi) for key, row in store.figures.items()}
    assert shown == {key: (one.value, one.lo, one.hi) for key, one in fold.figures.items()}

    def order(one: Conflict) -> tuple[str, str, str]:
        return one.code, one.key, one.subject

    assert sorted(store.conflicts.values(), key=order) == sorted(fold.conflicts, key=order)
    assert store.transfers == fold.transfers
    for key, row in store.figures.items():
        if row.state is not None and fold.figures[key].giver is not None:
            state = KeyState.from_bytes(row.state)
            giver = fold.figures[key].giver
            assert giver is not None
            bases = [*state.bases, *([state.held] if state.held else [])]
            (mine,) = [base for base in bases if base.observation.id == giver.observation.id][:1]
            assert mine.variance == giver.variance == fold.variances[key][0].variance
    figures = [(key, one.value, one.lo, one.hi) for key, one in fold.figures.items()]
    assert store.digest == fold_digest(figures, fold.conflicts)


def assert_nothing_is_left_over(store: MemoryStockStore, facts: Sequence[Fact], rules: Rules) -> None:
    """Compare what is remembered of each key with what a store remembers that derives every key from all facts."""
    fresh = MemoryStockStore()
    fresh.ingest(facts, rules)
    fresh.apply(StockFold(fresh, rules).rederive(list(fresh.figures)))
    for key, row in store.figures.items():
        other = fresh.figures[key].state
        assert (row.state and canonical_state(row.state)) == (other and canonical_state(other)), key


@run
@given(seeds)
def test_every_prefix_of_every_arrival_order_shows_the_batch_fold(seed: int) -> None:
    fleet = Fleet(seed)
    facts = fleet.run(fleet.rng.randint(3, 22))
    for order in arrival_orders(facts, random.Random(seed), 2):
        store = MemoryStockStore()
        place = 0
        while place < len(order):
            step = fleet.rng.choice([1, 1, 2, 5])
            store.ingest(order[place : place + step], fleet.rules)
            place += step
            assert_store_shows_fold(store, order[:place], fleet.rules)


@run
@given(seeds)
def test_entries_in_the_order_they_were_written_show_the_batch_fold(seed: int) -> None:
    fleet = Fleet(seed)
    facts = fleet.run(fleet.rng.randint(3, 30))
    store = MemoryStockStore()
    for place, fact in enumerate(facts, 1):
        store.ingest([fact], fleet.rules)
        assert_store_shows_fold(store, facts[:place], fleet.rules)
    assert_nothing_is_left_over(store, facts, fleet.rules)


@run
@given(seeds)
def test_batch_fold_ignores_order_and_repetition(seed: int) -> None:
    fleet = Fleet(seed)
    facts = fleet.run(20)
    expected = fold_set(facts, fleet.rules)
    for order in arrival_orders(facts, random.Random(seed), 2):
        assert fold_set(order, fleet.rules) == expected
    for figure in expected.figures.values():
        assert figure.lo <= figure.value <= figure.hi


@run
@given(seeds)
def test_withdrawn_facts_leave_no_trace_and_come_back_whole(seed: int) -> None:
    fleet = Fleet(seed)
    facts = fleet.run(14)
    if not facts:
        return
    store = MemoryStockStore()
    store.ingest(facts, fleet.rules)
    withdrawn = fleet.rng.sample(facts, max(1, len(facts) // 4))
    left = [one for one in facts if one not in withdrawn]
    engine = StockFold(store, fleet.rules)
    for fact in withdrawn:
        store.withdraw(fact)
    store.apply(engine.reconsider(withdrawn))
    assert_store_shows_fold(store, left, fleet.rules)
    store.add(withdrawn)
    store.apply(engine.reconsider(withdrawn))
    assert_store_shows_fold(store, facts, fleet.rules)


@run
@given(seeds)
def test_changed_policy_rederives_every_key(seed: int) -> None:
    fleet = Fleet(seed)
    facts = fleet.run(14)
    store = MemoryStockStore()
    store.ingest(facts, fleet.rules)
    changed = Rules(Policy(1, 0), {}, {})
    store.apply(StockFold(store, changed).rederive(list(store.figures)))
    assert_store_shows_fold(store, facts, changed)


def test_void_that_arrives_before_its_entry_still_takes_it_out() -> None:
    sale = Movement("n1.0", 1, 0, "SHOP", "A", -3, "sale", 0, 0, 0, {})
    store = MemoryStockStore()
    store.ingest([Void("hub.0", 1, 5, {"n1.0": 1}, Rank.ADMIN, "n1.0:1")], Rules())
    store.ingest([sale], Rules())
    assert store.figures[Key("SHOP", "A")].value == 0


def test_a_count_that_knew_all_that_disagreed_leaves_nothing_of_it_over() -> None:
    """A policy fell back on the count that both sides knew; the one that settles it is the only one remembered."""

    def count(writer: str, seq: int, quantity: int, **known: int) -> Count:
        basis = {name.replace("_", "."): held for name, held in known.items()}
        look = Look(quantity, seq * 10_000, seq * 10_000, basis, basis, None)
        return Count(writer, seq, 0, "SHOP", "A", Rank.CLERK, seq * 10_000, 0, 0, basis, (look,))

    facts = [
        count("n1.0", 1, 5),
        count("n1.0", 2, 6, n1_0=1),
        count("n2.0", 1, 9, n1_0=1),
        count("n3.0", 9, 7, n1_0=2, n2_0=1),
    ]
    rules = Rules(Policy(0, 0, Disagreement.MANUAL), {}, {})
    store = MemoryStockStore()
    for place, fact in enumerate(facts, 1):
        store.ingest([fact], rules)
        assert_store_shows_fold(store, facts[:place], rules)
        state = store.figures[Key("SHOP", "A")].state
        assert state is not None
        assert (KeyState.from_bytes(state).held is not None) is (place == 3)
    assert_nothing_is_left_over(store, facts, rules)


def test_choices_that_come_before_all_that_they_bear_on_still_disagree() -> None:
    """Two copies of a till chose otherwise; neither count stands, and a sale of the product comes last."""
    sale = Movement("n2.0", 1, 0, "SHOP", "A", -3, "sale", 0, 0, 0, {})
    choices: list[Fact] = [
        Accept("n1.0", 2, 0, {"n1.0": 1}, Rank.CLERK, "SHOP", "A", "n1.0:1"),
        Accept("n1.7", 1, 0, {}, Rank.CLERK, "SHOP", "A", "n1.7:6"),
    ]
    for order in ([*choices, sale], [sale, *choices], [choices[1], sale, choices[0]]):
        store = MemoryStockStore()
        for place, fact in enumerate(order, 1):
            store.ingest([fact], Rules())
            assert_store_shows_fold(store, order[:place], Rules())
        assert [one.code for one in store.conflicts.values() if one.code is ConflictCode.RESOLUTION_DISAGREE]


def test_a_movement_of_a_zone_is_weighed_by_that_zones_look_though_another_look_ended_later() -> None:
    minute = 60_000
    known = {"n1.0": 2}
    sale = Movement("n1.0", 2, 0, "SHOP", "A", -1, "sale", 100 * minute, 1000, 0, {}, zone="Z1")
    looks = (
        Look(5, 50 * minute, 60 * minute, known, known, "Z1"),
        Look(3, 110 * minute, 120 * minute, known, known, "Z2"),
    )
    count = Count("n2.0", 7, 0, "SHOP", "A", Rank.CLERK, 121 * minute, 1000, 0, known, looks)
    facts: tuple[Movement | Count, ...] = (sale, count)
    store = MemoryStockStore()
    for place, fact in enumerate(facts, 1):
        store.ingest([fact], Rules())
        assert_store_shows_fold(store, facts[:place], Rules())
    assert any(one.code is ConflictCode.CLOCK_VIOLATION for one in store.conflicts.values())
