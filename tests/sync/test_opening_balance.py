"""Folding a balance and what lies above its cut gives what folding the whole log gives."""

from __future__ import annotations

import os

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sync.conflicts import Conflict
from sync.fold import OpeningBalance, SetFold, fold_set
from sync.opening_balance import Carried, carry
from sync.stock_facts import (
    Accept,
    Classify,
    ClockFix,
    ConflictCode,
    Count,
    Fact,
    Key,
    Look,
    Movement,
    Rank,
    Rules,
    SessionOpen,
    Side,
    Vector,
    Void,
    knows,
)
from sync.stock_fold import StockFold
from tests.sync.fleet import Fleet
from tests.sync.memory_stock_store import MemoryStockStore

THOROUGH = os.environ.get("EDGETILL_THOROUGH") == "1"
seeds = st.integers(0, 2**32)
run = settings(
    max_examples=3000 if THOROUGH else 150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


def split(seed: int, *steps: int) -> tuple[Fleet, list[Fact], list[tuple[dict[str, int], dict[str, int]]]]:
    """Return a fleet's facts, and after each leg a closed cut with what every stream was known to hold there.

    Resolutions above the first cut are left out: they come with an amended balance.
    """
    fleet = Fleet(seed)
    facts: list[Fact] = []
    cuts: list[tuple[dict[str, int], dict[str, int]]] = []
    for leg, length in enumerate(steps):
        start = len(fleet.facts)
        fleet.run(length)
        resolving = Accept | Classify | ClockFix | Void
        facts += [one for one in fleet.facts[start:] if leg == 0 or not isinstance(one, resolving)]
        cut = dict(fleet.vectors[fleet.pick()])
        known = {w: min(vector.get(w, 0) for vector in fleet.vectors.values()) for w in fleet.writers}
        cuts.append((cut, known))
    # A resolution that the cut does not hold would change what is below it.
    cut = cuts[0][0]
    facts = [
        one
        for one in facts
        if knows(cut, one.writer, one.seq) or not isinstance(one, Accept | Classify | ClockFix | Void)
    ]
    return fleet, facts, cuts


def left_above(facts: list[Fact], carried: Carried) -> list[Fact]:
    """Return what a replica still holds on a balance."""
    cut = carried.balance.cut
    return [one for one in facts if not knows(cut, one.writer, one.seq) or (one.writer, one.seq) in carried.must_keep]


def told(fold: SetFold, key: Key) -> list[Conflict]:
    """Return a key's conflicts, without remarks about clocks of entries that are gone."""
    return [one for one in fold.conflicts if one.key == str(key) and one.code is not ConflictCode.CLOCK_VIOLATION]


def assert_same_keys(full: SetFold, pruned: SetFold) -> int:
    """Compare every key that needs no amended balance; return how many were compared."""
    assert full.figures.keys() == pruned.figures.keys()
    compared = 0
    for key, figure in full.figures.items():
        if key in pruned.reaching_below:
            continue
        mine = pruned.figures[key]
        assert (mine.value, mine.lo, mine.hi) == (figure.value, figure.lo, figure.hi)
        assert told(pruned, key) == told(full, key)
        assert (mine.giver and mine.giver.variance) == (figure.giver and figure.giver.variance)
        compared += 1
    return compared


@run
@example(1540683540)
@given(seeds)
def test_balance_and_tail_fold_to_the_whole(seed: int) -> None:
    fleet, facts, cuts = split(seed, 14, 10)
    carried = carry(facts, fleet.rules, *cuts[0])
    balance = msgspec.msgpack.decode(msgspec.msgpack.encode(carried.balance), type=OpeningBalance)
    assert_same_keys(fold_set(facts, fleet.rules), fold_set(left_above(facts, carried), fleet.rules, balance))


@run
@example(3406418862)
@example(1617782445)
@given(seeds)
def test_balance_carried_from_a_balance_folds_to_the_whole(seed: int) -> None:
    fleet, facts, cuts = split(seed, 12, 8, 8)
    first = carry(facts, fleet.rules, *cuts[0])
    held = left_above(facts, first)
    merged = {w: max(cuts[0][0].get(w, 0), cuts[1][0].get(w, 0)) for w in fleet.writers}
    second = carry(held, fleet.rules, merged, cuts[1][1], first.balance)
    full = fold_set(facts, fleet.rules)
    middle = fold_set(held, fleet.rules, first.balance)
    last = fold_set(left_above(held, second), fleet.rules, second.balance)
    last.reaching_below.update(middle.reaching_below)
    below = [one for one in held if knows(merged, one.writer, one.seq)]
    last.reaching_below.update(fold_set(below, fleet.rules, first.balance).reaching_below)
    assert_same_keys(full, last)


@run
@example(1540683540)
@given(seeds)
def test_pruned_store_shows_what_the_full_one_shows(seed: int) -> None:
    fleet, facts, cuts = split(seed, 14, 10)
    cut = cuts[0][0]
    below = [one for one in facts if knows(cut, one.writer, one.seq)]
    above = [one for one in facts if not knows(cut, one.writer, one.seq)]
    store = MemoryStockStore()
    store.ingest(below, fleet.rules)
    carried = carry(below, fleet.rules, *cuts[0])
    store.stand_on(carried)
    store.apply(StockFold(store, fleet.rules).rederive(list(store.figures)))
    reaching: set[Key] = set()
    for fact in above:
        reaching.update(store.ingest([fact], fleet.rules).reaching_below)
    expected = fold_set(left_above(facts, carried), fleet.rules, carried.balance)
    full = fold_set(facts, fleet.rules)
    assert reaching >= expected.reaching_below.keys()
    for key, row in store.figures.items():
        mine = expected.figures[key]
        assert row[:3] == (mine.value, mine.lo, mine.hi)
        if key not in expected.reaching_below:
            assert row[:3] == (full.figures[key].value, full.figures[key].lo, full.figures[key].hi)


def silent_till() -> tuple[list[Fact], Vector]:
    """Return a receipt of 10, a count of 9, and a silent till's sales before and after it; and the cut."""
    hour, day = 3_600_000, 86_400_000
    receipt = Movement("n1.0", 1, 0, "SHOP", "A", 10, "receipt", 9 * hour, 1000, 0, {})
    look = Look(9, 10 * hour, 10 * hour + 20_000, {"n1.0": 1}, {"n1.0": 1})
    count = Count("n1.0", 2, 0, "SHOP", "A", Rank.CLERK, 10 * hour + 20_000, 1000, 0, {"n1.0": 1}, (look,))
    before = Movement("n2.0", 1, 0, "SHOP", "A", -1, "sale", 9 * hour + 1_800_000, 1000, 0, {})
    after = Movement("n2.0", 2, 0, "SHOP", "A", -1, "sale", 11 * hour, 1000, 0, {"n2.0": 1})
    assert after.wall_ms < 40 * day
    return [receipt, count, before, after], {"n1.0": 2}


def test_silent_till_returning_on_day_forty_finds_eight() -> None:
    facts, cut = silent_till()
    carried = carry(facts, Rules(), cut)
    assert not carried.must_keep
    key = Key("SHOP", "A")
    assert fold_set([], Rules(), carried.balance).figures[key].value == 9
    assert fold_set(facts, Rules()).figures[key].value == 8
    assert fold_set(facts[2:], Rules(), carried.balance).figures[key].value == 8


def test_silent_counter_that_reaches_below_asks_for_an_amended_balance() -> None:
    facts, cut = silent_till()
    look = Look(5, 1, 2, {}, {})
    late = Count("n2.0", 3, 0, "SHOP", "A", Rank.CLERK, 2, 1000, 0, {"n2.0": 2}, (look,))
    carried = carry(facts, Rules(), cut)
    fold = fold_set([*facts[2:], late], Rules(), carried.balance)
    assert fold.reaching_below == {Key("SHOP", "A"): ["n2.0:3"]}
    kept = carry(facts, Rules(), cut, {})
    again = fold_set([*left_above([*facts, late], kept)], Rules(), kept.balance)
    assert not again.reaching_below
    assert again.figures[Key("SHOP", "A")].value == fold_set([*facts, late], Rules()).figures[Key("SHOP", "A")].value


def test_a_movement_that_a_person_placed_stays_for_the_count_that_is_still_to_come() -> None:
    """Its place is said by the session's name, before any count of the session stands."""
    hour = 3_600_000
    opened = SessionOpen("n1.0", 1, 9 * hour, {}, "SHOP", "S1", ("Z",))
    sold = Movement("n1.0", 2, 0, "SHOP", "A", -2, "sale", 9 * hour + 1, 1000, 0, {"n1.0": 1})
    placed = Classify("n1.0", 3, 9 * hour + 2, {"n1.0": 2}, Rank.ADMIN, "n1.0:2", "S1", Side.AFTER)
    basis = {"n1.0": 3}
    look = Look(10, 10 * hour, 10 * hour + 1, basis, basis, "Z")
    count = Count("n1.0", 4, 0, "SHOP", "A", Rank.CLERK, 10 * hour + 1, 1000, 0, basis, (look,), "S1")
    facts: list[Fact] = [opened, sold, placed, count]
    carried = carry(facts[:3], Rules(), {"n1.0": 3})
    assert carried.must_keep == {("n1.0", 1), ("n1.0", 2), ("n1.0", 3)}
    key = Key("SHOP", "A")
    pruned = fold_set(left_above(facts, carried), Rules(), carried.balance)
    assert pruned.figures[key].value == fold_set(facts, Rules()).figures[key].value == 8


def test_an_entry_that_stays_keeps_all_papers_of_its_transfer() -> None:
    """A dispatch whose receipt has gone would look like goods that were counted twice."""
    sent = Movement("n1.0", 1, 0, "WH", "A", -2, "ship", 1000, 1, 0, {}, transfer="T1", destination="SHOP")
    got = Movement("n1.0", 2, 0, "SHOP", "A", 2, "recv", 2000, 1, 0, {"n1.0": 1}, transfer="T1", is_final=True)
    placed = Classify("n1.0", 3, 3000, {"n1.0": 2}, Rank.ADMIN, "n1.0:1", "n1.0:9", Side.AFTER)
    cut = {"n1.0": 3}
    assert carry([sent, got, placed], Rules(), cut).must_keep >= {("n1.0", 1), ("n1.0", 2)}
    far = {"n1.0": 3, "n2.0": 1}
    look = Look(2, 9000, 9001, cut, cut)
    count = Count("n2.0", 1, 0, "SHOP", "A", Rank.CLERK, 9001, 1, 0, cut, (look,))
    assert carry([sent, got, count], Rules(), far).must_keep.isdisjoint({("n1.0", 1), ("n1.0", 2)})


def test_balance_of_a_key_never_counted_is_its_sum() -> None:
    facts = [Movement("n1.0", seq, 0, "SHOP", "A", seq, "receipt", seq, None, 0, {}) for seq in range(1, 5)]
    carried = carry(facts, Rules(), {"n1.0": 3})
    (balance,) = carried.balance.keys
    assert (balance.total, balance.carried) == (6, ())
    assert fold_set(facts[3:], Rules(), carried.balance).figures[Key("SHOP", "A")].value == 10


def test_balances_travel_without_floats() -> None:
    _, facts, cuts = split(3, 20)
    carried = carry(facts, Rules(), *cuts[0])

    def walk(value: object) -> None:
        assert not isinstance(value, float)
        if isinstance(value, dict):
            value = [*value.keys(), *value.values()]
        if isinstance(value, list):
            for one in value:
                walk(one)

    walk(msgspec.msgpack.decode(msgspec.msgpack.encode(carried.balance)))
