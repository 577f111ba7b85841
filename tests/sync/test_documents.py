from __future__ import annotations

import ast
import contextlib
import hashlib
import random
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import automerge.core
import msgspec
import pytest
from automerge.core import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

import sync.documents as documents
from schema.errors import CorruptionError, RefusalError
from schema.kinds.catalogue import ChangeStamp, DocumentChange, RecordSets, reissued
from sync.document_change import Assignment, Scalar, decode_change, encode_change
from sync.documents import (
    PAYLOAD_BYTES_MAX,
    Delivery,
    DocumentDelta,
    DocumentState,
    actor_id,
    edit,
)
from tests.sync.document_world import (
    DOCUMENT,
    Writer,
    by_hub,
    naive_candidates,
    picture,
    with_change,
)

NAME = ("6901", "name")
TAX = ("6901", "tax")


def folded(deliveries: Sequence[Delivery]) -> DocumentState:
    state = DocumentState(DOCUMENT)
    state.apply(deliveries)
    return state


def codes(delta: DocumentDelta) -> list[str]:
    return [one.code for one in delta.refused]


def two_sides() -> tuple[Writer, Writer, list[Delivery]]:
    """The office sets a name; then office and shop change it without knowing of each other."""
    office, shop = Writer("office.1", 3), Writer("shop.1", 1)
    base = office.set({NAME: "water", TAX: 13})
    shop.receive(base)
    return office, shop, base


# ---- order, repetition, batches

keys = st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["name", "tax"]))
values: st.SearchStrategy[Scalar] = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["x", "y"]))
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("set"),
            st.integers(0, 2),
            st.dictionaries(keys, values, min_size=1, max_size=4),
            st.integers(1, 9),
        ),
        st.tuples(st.just("receive"), st.integers(0, 2), st.integers(0, 2), st.integers(0, 9)),
        st.tuples(st.just("reissue"), st.integers(0, 2), st.integers(0, 9), st.integers(0, 9)),
    ),
    max_size=14,
)


def play(script: list[tuple[Any, ...]]) -> list[Delivery]:
    writers = [Writer("office.1", 3), Writer("shop.1", 1), Writer("shop.2", 1)]
    traffic: list[Delivery] = []
    for step in script:
        match step:
            case ("set", index, assignments, at):
                traffic += writers[index].set(assignments, at)
            case ("receive", index, source, count):
                writers[index].receive(writers[source].sent[:count])
            case ("reissue", index, at, seq):
                sent = writers[index].sent
                if sent:
                    traffic.append(by_hub(sent[at % len(sent)], seq))
    return traffic


@settings(max_examples=150, deadline=None)
@given(script=steps, data=st.data())
def test_replicas_with_the_same_changes_agree_whatever_the_order_batches_copies_and_restarts(
    script: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    traffic = play(script)
    whole = DocumentState(DOCUMENT)
    assert whole.apply(traffic).refused == ()
    assert whole.pending() == ()

    shuffled = data.draw(st.permutations(traffic + traffic[:3]))
    piecemeal = DocumentState(DOCUMENT)
    shown: dict[tuple[str, str], Scalar] = {}
    open_conflicts: dict[str, Any] = {}
    while shuffled:
        count = data.draw(st.integers(1, len(shuffled)))
        delta = piecemeal.apply(shuffled[:count])
        shuffled = shuffled[count:]
        assert delta.refused == ()
        for record, fields in delta.records.items():
            shown.update({(record, field): value for field, value in fields.items()})
        for gone in delta.cleared:
            del open_conflicts[gone]
        open_conflicts.update({conflict.id: conflict for conflict in delta.raised})
        if data.draw(st.booleans()):
            piecemeal = DocumentState.from_bytes(piecemeal.to_bytes())
    assert picture(piecemeal) == picture(whole)
    assert shown == {(r, f): value for r, fields in whole.records().items() for f, value in fields.items()}
    assert open_conflicts == {conflict.id: conflict for conflict in whole.conflicts()}


@settings(max_examples=100, deadline=None)
@given(script=steps, data=st.data())
def test_what_is_refused_and_what_waits_does_not_depend_on_the_order_either(
    script: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    sent = play(script)
    traffic = []
    for delivery in sent:
        fate = data.draw(st.sampled_from(["sent", "sent", "lost", "lied about", "both", "damaged", "stolen"]))
        lie = with_change(delivery, msgspec.structs.replace(delivery.change, fields=("else",)))
        broken = with_change(delivery, msgspec.structs.replace(delivery.change, change=delivery.change.change[:-1]))
        thief = with_change(by_hub(delivery), msgspec.structs.replace(delivery.change, origin=by_hub(delivery).stamp))
        traffic += {
            "sent": [delivery],
            "lost": [],
            "lied about": [lie],
            "both": [lie, delivery],
            "damaged": [broken],
            "stolen": [thief],
        }[fate]
    whole, piecemeal = DocumentState(DOCUMENT), DocumentState(DOCUMENT)
    expected = {(one.delivery.change, one.code) for one in whole.apply(traffic).refused}
    refused = set()
    for delivery in data.draw(st.permutations(traffic)):
        refused |= {(one.delivery.change, one.code) for one in piecemeal.apply([delivery]).refused}
        if data.draw(st.booleans()):
            piecemeal = DocumentState.from_bytes(piecemeal.to_bytes())
    assert picture(piecemeal) == picture(whole)
    assert refused == expected


@settings(max_examples=150, deadline=None)
@given(script=steps)
def test_the_fold_is_the_definition_and_the_library_holds_the_same_values(script: list[tuple[Any, ...]]) -> None:
    traffic = play(script)
    state = folded(traffic)
    expected = naive_candidates(traffic)
    disputed = {(one.record, one.field): one for one in state.conflicts()}
    assert set(disputed) == {key for key, candidates in expected.items() if len(candidates) > 1}
    library = state._library
    for key, candidates in expected.items():
        value = state.value(*key)
        if key in disputed:
            conflict = disputed[key]
            assert {one.change: one.value for one in conflict.candidates} == candidates
            best = max(conflict.candidates, key=lambda one: (one.stamp.precedence, one.change))
            assert (conflict.winner, value) == (best, best.value)
        else:
            assert [value] == list(candidates.values())
        assert library is not None
        assert library.get(ROOT, "\x1f".join(key))[0][1] in candidates.values()
        for change_hash, candidate in candidates.items():
            assert library.get(ROOT, "\x1f".join(key), heads=[change_hash])[0][1] == candidate


def test_every_order_of_a_small_story_gives_the_same_picture() -> None:
    office, shop, base = two_sides()
    story = [*base, *office.set({NAME: "still water"}), *shop.set({NAME: "spring water"})]
    office.receive(shop.sent)
    story += office.set({NAME: "settled"})
    story.append(by_hub(shop.sent[0]))
    expected = picture(folded(story))
    for order in permutations(story):
        state = DocumentState(DOCUMENT)
        for delivery in order:
            assert state.apply([delivery]).refused == ()
        assert picture(state) == expected
        assert state.value(*NAME) == "settled"


# ---- conflicts


def test_two_changes_that_replace_the_same_one_are_a_conflict_and_rank_wins_before_time() -> None:
    office, shop, base = two_sides()
    sent = [*base, *office.set({NAME: "by the office"}, 5), *shop.set({NAME: "by the shop", TAX: 9}, 50)]
    state = DocumentState(DOCUMENT)
    state.apply(sent[:-1])
    delta = state.apply(sent[-1:])
    (conflict,) = delta.raised
    assert (conflict.record, conflict.field, conflict.winner.value) == (*NAME, "by the office")
    assert [one.value for one in conflict.candidates] == ["by the office", "by the shop"]
    assert delta.records == {"6901": {"tax": 9}}
    assert state.conflicts() == (conflict,)


def test_among_equals_the_later_time_wins_and_then_node_and_number() -> None:
    one, two = Writer("a.1", 1), Writer("b.1", 1)
    assert folded([*one.set({NAME: "late"}, 9), *two.set({NAME: "early"}, 8)]).value(*NAME) == "late"
    one, two = Writer("a.1", 1), Writer("b.1", 1)
    assert folded([*two.set({NAME: "b"}, 8), *one.set({NAME: "a"}, 8)]).value(*NAME) == "b"


def test_many_small_edits_do_not_outweigh_one_by_a_higher_rank() -> None:
    office, shop, base = two_sides()
    sent = [*base, *office.set({NAME: "one edit"})]
    for number in range(20):
        sent += shop.set({NAME: f"edit {number}"})
    assert folded(sent).value(*NAME) == "one edit"


def test_independent_fields_merge_without_a_conflict() -> None:
    office, shop, base = two_sides()
    state = folded([*base, *office.set({NAME: "new"}), *shop.set({TAX: 9})])
    assert state.records() == {"6901": {"name": "new", "tax": 9}}
    assert state.conflicts() == ()


def test_a_resolution_replaces_every_candidate_and_clears_the_conflict() -> None:
    office, shop, base = two_sides()
    sent = [*base, *office.set({NAME: "a"}), *shop.set({NAME: "b"})]
    shop.receive(office.sent)
    state = folded(sent)
    (conflict,) = state.conflicts()
    settled = shop.set({NAME: "b"})
    assert {len(claim.replaces) for one in settled for claim in one.change.assignments()} == {2}
    delta = state.apply(settled)
    assert (delta.cleared, delta.raised) == ((conflict.id,), ())
    assert delta.records == {"6901": {"name": "b"}}


def test_a_third_opinion_reopens_the_conflict_under_the_same_id() -> None:
    office, shop, base = two_sides()
    other = Writer("other.1", 2)
    other.receive(base)
    state = folded([*base, *office.set({NAME: "a"}), *shop.set({NAME: "b"})])
    (conflict,) = state.conflicts()
    (wider,) = state.apply(other.set({NAME: "c"})).raised
    assert wider.id == conflict.id
    assert [one.value for one in wider.candidates] == ["a", "c", "b"]


def test_deleting_is_setting_null_and_can_be_in_conflict() -> None:
    office, shop, base = two_sides()
    state = folded([*base, *office.set({NAME: None}), *shop.set({NAME: "kept"})])
    assert state.value(*NAME) is None
    assert [one.value for one in state.conflicts()[0].candidates] == [None, "kept"]
    assert state.records()["6901"] == {"name": None, "tax": 13}


def test_equal_values_of_two_authors_are_still_two_assignments() -> None:
    office, shop, base = two_sides()
    state = folded([*base, *office.set({NAME: "same"}), *shop.set({NAME: "same"})])
    assert len(state.conflicts()[0].candidates) == 2


# ---- repetition and reissue


def test_a_change_delivered_again_changes_nothing() -> None:
    _office, shop, base = two_sides()
    sent = [*base, *shop.set({NAME: "x"})]
    state = folded(sent)
    before = picture(state)
    for delivery in [*sent, by_hub(sent[0]), by_hub(sent[-1], 7)]:
        delta = state.apply([delivery])
        assert (delta.records, delta.raised, delta.cleared, delta.refused) == ({}, (), (), ())
    assert picture(state) == before


def test_the_hubs_reissue_carries_the_same_bytes_and_the_authors_stamp() -> None:
    _office, shop, base = two_sides()
    sent = shop.set({NAME: "by the shop"})
    again = by_hub(sent[0])
    assert (again.change.change, again.change.hash) == (sent[0].change.change, sent[0].change.hash)
    elsewhere = folded([*map(by_hub, base), again])
    assert picture(elsewhere) == picture(folded([*base, *sent]))
    assert elsewhere.stamp(sent[0].change.hash) == sent[0].stamp
    assert reissued(again.change, again.stamp) == again.change


def test_of_two_entries_with_one_change_the_earlier_is_the_authors_whichever_comes_first() -> None:
    office, shop, base = two_sides()
    (first,) = shop.set({NAME: "shop"}, 5)
    later = msgspec.structs.replace(first, stamp=ChangeStamp(8, 6, 0, "shop.1", 9))
    rival = office.set({NAME: "office"}, 5)
    one, two = folded([*base, *rival, first, later]), folded([*base, *rival, later])
    assert two.value(*NAME) == "shop"
    delta = two.apply([first])
    assert delta.records == {"6901": {"name": "office"}}
    assert [conflict.winner.value for conflict in delta.raised] == ["office"]
    assert picture(one) == picture(two)


def test_only_the_hub_may_bring_anothers_change() -> None:
    _, shop, base = two_sides()
    (change,) = shop.set({NAME: "x"})
    state = folded(base)
    assert codes(state.apply([msgspec.structs.replace(by_hub(change), may_reissue=False)])) == [
        "document.origin_forbidden"
    ]
    stolen = Delivery(change.change, ChangeStamp(9, 1, 0, "thief.1", 1))
    assert codes(state.apply([stolen])) == ["document.actor_foreign"]


# ---- waiting


def test_a_change_waits_for_what_it_builds_on_and_is_reported() -> None:
    _office, shop, base = two_sides()
    second = shop.set({NAME: "second"})
    third = shop.set({NAME: "third"})
    state = DocumentState(DOCUMENT)
    delta = state.apply([*third, *second])
    assert delta.records == {}
    assert {one.hash: one.missing for one in delta.pending} == {
        second[0].change.hash: (base[0].change.hash,),
        third[0].change.hash: (second[0].change.hash,),
    }
    state = DocumentState.from_bytes(state.to_bytes())
    assert state.pending() == delta.pending
    delta = state.apply(base)
    assert delta.records == {"6901": {"name": "third", "tax": 13}}
    assert delta.pending == ()


def test_a_false_claim_that_waits_is_refused_when_it_can_be_judged_and_the_true_one_counts() -> None:
    _office, shop, base = two_sides()
    (true,) = shop.set({NAME: "x"})
    false = with_change(true, msgspec.structs.replace(true.change, replaced=(b"\x00" * 32,)))
    for order in permutations([false, true, *base]):
        state = DocumentState(DOCUMENT)
        refusals = [code for delivery in order for code in codes(state.apply([delivery]))]
        assert refusals == ["document.claims_differ"]
        assert state.value(*NAME) == "x"


# ---- what is refused


def test_claims_that_are_not_what_the_bytes_do_are_refused() -> None:
    _office, shop, base = two_sides()
    (true,) = shop.set({NAME: "x", TAX: 9})
    change = true.change
    (only,) = change.sets
    lies: list[dict[str, Any]] = [
        {"sets": ()},
        {"sets": (RecordSets("6902", only.fields, only.replaces),)},
        {"sets": (RecordSets(only.record, only.fields[:1], only.replaces[:1]),)},
        {"sets": (only, RecordSets("6902", (0,)))},
        {"sets": (RecordSets(only.record, only.fields),)},
        {"sets": (RecordSets(only.record, (7, 8), only.replaces),)},
        {"sets": (RecordSets(only.record, (-1, -2), only.replaces),)},
        {"fields": ("name", "price")},
        {"fields": ("name", "tax", "more")},
        {"replaced": ()},
        {"replaced": (shop.sent[0].change.hash,)},
    ]
    state = folded(base)
    for lie in lies:
        assert codes(state.apply([with_change(true, msgspec.structs.replace(change, **lie))])) == [
            "document.claims_differ"
        ]
    assert codes(state.apply([with_change(true, msgspec.structs.replace(change, hash=b"\x00" * 32))])) == [
        "document.hash_differs"
    ]
    assert codes(state.apply([with_change(true, msgspec.structs.replace(change, document="prices"))])) == [
        "document.other_document"
    ]
    assert picture(state) == picture(folded(base))
    assert codes(state.apply([true])) == []


def test_a_change_cannot_be_passed_off_as_another_documents() -> None:
    (delivery,) = Writer("shop.1", 1).set({NAME: "x"})
    moved = with_change(delivery, msgspec.structs.replace(delivery.change, document="products/food"))
    assert codes(DocumentState("products/food").apply([moved])) == ["document.actor_foreign"]


def crafted(
    writer: Writer, seq: int, start_op: int, deps: Sequence[bytes], assignments: Sequence[Assignment]
) -> Delivery:
    raw, change_hash = encode_change(actor_id(DOCUMENT, writer.name), seq, start_op, 0, deps, assignments)
    names = tuple(dict.fromkeys(one.field for one in assignments))
    change = DocumentChange(DOCUMENT, raw, change_hash, names, (RecordSets(assignments[0].record, (0,)),))
    return Delivery(change, ChangeStamp(writer.rank, 1, 0, writer.name, seq))


def test_gaps_and_repetitions_in_an_authors_numbers_are_refused() -> None:
    office, shop, base = two_sides()
    root = base[0].change.hash
    one = [Assignment("9", "name", 1)]
    state = folded(base)
    for hostile in (
        crafted(shop, 2, 3, [root], one),  # the first one is missing
        crafted(shop, 1, 4, [root], one),  # its operations leave a gap
        crafted(shop, 1, 1, [root], one),  # its operations overlap
        crafted(office, 1, 3, [root], one),  # the number is taken by what it builds on
    ):
        assert codes(state.apply([hostile])) == ["document.sequence_broken"]
    assert codes(state.apply([crafted(shop, 1, 3, [root], one)])) == []


def test_replacing_what_was_never_known_is_refused() -> None:
    office, shop, base = two_sides()
    root = base[0].change.hash
    state = folded([*base, *office.set({("9", "name"): 1})])
    for operation in ((1, actor_id(DOCUMENT, "nobody.1")), (2, actor_id(DOCUMENT, "office.1"))):
        hostile = crafted(shop, 1, 3, [root], [Assignment("9", "name", 2, (operation,))])
        assert codes(state.apply([hostile])) == ["document.predecessor_unknown"]


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=200),
    claimed=st.binary(max_size=33),
    sets=st.lists(st.builds(RecordSets, st.text(max_size=3), st.just((0, 5)), st.just(((1,),))), max_size=2),
)
def test_a_hostile_entry_never_raises_and_leaves_the_rest_alone(
    data: bytes, claimed: bytes, sets: list[RecordSets]
) -> None:
    _office, shop, base = two_sides()
    good = shop.set({NAME: "good"})
    hostile = Delivery(DocumentChange(DOCUMENT, data, claimed, ("a",), tuple(sets)), good[0].stamp)
    delta = folded(base).apply([hostile, *good, hostile])
    assert len(delta.refused) == 2
    assert delta.records == {"6901": {"name": "good"}}


# ---- the merge library's own failures


class Panic(BaseException):
    """What the library raises is no Exception."""


def test_a_panic_of_the_library_is_a_refusal_and_everything_else_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    office, shop, base = two_sides()
    kept = office.set({TAX: 9})
    (bad,) = shop.set({NAME: "poison"})
    (after,) = shop.set({TAX: 5})
    raw = bad.change.change
    real = automerge.core.Document

    class Poisoned:
        @staticmethod
        def load(data: bytes) -> Any:
            if raw in data:
                raise Panic
            return real.load(data)

    monkeypatch.setattr(automerge.core, "Document", Poisoned)
    state = folded(base)
    delta = state.apply([bad, after, *kept])
    assert codes(delta) == ["document.library_refused"]
    assert delta.records == {"6901": {"tax": 9}}
    assert [one.missing for one in delta.pending] == [(bad.change.hash,)]
    assert state.records() == folded([*base, *kept]).records()
    state = DocumentState.from_bytes(state.to_bytes())
    assert codes(state.apply([bad])) == ["document.library_refused"]
    assert codes(state.apply(office.set({NAME: "on it goes"}))) == []


# ---- forks


def test_both_branches_of_a_forked_author_show_as_a_conflict_whatever_the_order() -> None:
    office, shop, base = two_sides()
    saved = shop.replica.to_bytes()
    left = [*shop.set({NAME: "left"}, 5), *shop.set({TAX: 1}, 6)]
    shop.replica, shop.seq = DocumentState.from_bytes(saved), 0
    right = [*shop.set({NAME: "right"}, 7), *shop.set({TAX: 2}, 8)]
    office.receive([*left, *right])
    after = office.set({NAME: "settled by the office"})
    story = [*base, *left, *right, *after]
    expected = picture(folded(story))
    assert [one.field for one in folded(story).conflicts()] == ["tax"]
    for seed in range(40):
        order = random.Random(seed).sample(story, len(story))
        state = DocumentState(DOCUMENT)
        for delivery in order:
            assert codes(state.apply([delivery])) == []
            state = DocumentState.from_bytes(state.to_bytes())
        assert picture(state) == expected
    with pytest.raises(RefusalError) as caught:
        edit(office.replica, {NAME: "x"}, writer="shop.1", time_ms=1)
    assert caught.value.code == "document.actor_forked"


# ---- authoring


def catalogue(count: int, fields: int = 5) -> dict[tuple[str, str], Scalar]:
    rng = random.Random(count)
    made: dict[tuple[str, str], Scalar] = {}
    for number in range(count):
        record = f"69{number:011d}"
        made[record, "name"] = f"饮用天然水 {rng.randrange(100, 2000)}ml {rng.randrange(10**6)}"
        made[record, "price"] = f'{{"minor":{rng.randrange(100, 9999)},"unit":"瓶"}}'
        made[record, "tax"] = rng.choice((900, 1300))
        made[record, "active"] = True
        made[record, "unit"] = rng.choice(("瓶", "袋", "盒"))
    return made


def test_the_same_input_gives_the_same_bytes_and_leaves_the_history_alone() -> None:
    office, _, base = two_sides()
    before = picture(office.replica)
    one = edit(office.replica, {TAX: 1, NAME: "x"}, writer="office.1", time_ms=1_700_000_000_000)
    two = edit(folded(base), {NAME: "x", TAX: 1}, writer="office.1", time_ms=1_700_000_000_000)
    assert msgspec.msgpack.encode(one) == msgspec.msgpack.encode(two)
    assert picture(office.replica) == before
    assert decode_change(one[0].change).time_ms == 1_700_000_000_000
    known = encode_change(bytes(range(16)), 1, 1, 0, [], [Assignment("p", "n", "v")])
    assert known[1].hex() == "7d6cb882d8609ae66ba3b3b4d76806a58e7c720dd42dc5650b8db0f868a1ae68"
    assert known[0].hex() == (
        "856f4a837d6cb88201310010000102030405060708090a0b0c0d0e0f0101000000061505"
        "340142025602570170027f03701f6e017f017f16767f00"
    )


def test_a_big_edit_is_split_between_records_and_stays_below_the_limit() -> None:
    wanted = catalogue(1000)
    for record in {record for record, _ in wanted}:
        wanted[record, "text"] = random.Random(record).randbytes(30).hex()
    changes = edit(DocumentState(DOCUMENT), wanted, writer="office.1", time_ms=1)
    assert len(changes) > 1
    assert all(len(msgspec.msgpack.encode(one)) <= PAYLOAD_BYTES_MAX for one in changes)
    records = [record for one in changes for record in {claim.record for claim in one.assignments()}]
    assert len(records) == len(set(records)) == 1000
    state = folded([Delivery(one, ChangeStamp(3, 1, 0, "office.1", seq)) for seq, one in enumerate(changes, 1)])
    assert {(r, f): value for r, fields in state.records().items() for f, value in fields.items()} == wanted


def test_what_holds_already_is_not_written_again_but_truth_is_not_one() -> None:
    office, _, _ = two_sides()
    assert edit(office.replica, {NAME: "water", TAX: 13}, writer="office.1", time_ms=1) == []
    office.set({TAX: 1})
    assert len(edit(office.replica, {TAX: True}, writer="office.1", time_ms=1)) == 1
    assert edit(office.replica, {}, writer="office.1", time_ms=1) == []


@pytest.mark.parametrize(
    "key, value",
    [
        (NAME, 2**53),
        (NAME, 1.5),
        (NAME, b"x"),
        (NAME, ["x"]),
        (NAME, "x" * 20_000),
        (NAME, "\ud800"),
        (("", "name"), 1),
        (("6901", "na\x1fme"), 1),
        (("6901", "\ud800"), 1),
    ],
)
def test_an_author_cannot_write_what_others_would_refuse(key: tuple[str, str], value: Any) -> None:
    with pytest.raises(RefusalError) as caught:
        edit(DocumentState(DOCUMENT), {key: value}, writer="office.1", time_ms=1)
    assert caught.value.code == "document.value_forbidden"


def test_a_document_holds_a_thousand_records() -> None:
    too_many: dict[tuple[str, str], Scalar] = {(str(number), "name"): 1 for number in range(1001)}
    with pytest.raises(RefusalError) as caught:
        edit(DocumentState(DOCUMENT), too_many, writer="office.1", time_ms=1)
    assert caught.value.code == "document.records_too_many"


# ---- keeping


def test_a_saved_state_that_was_damaged_is_corruption_never_a_crash() -> None:
    office, shop, base = two_sides()
    data = folded([*base, *office.set({NAME: "x"}), *shop.set({NAME: "y"})]).to_bytes()
    rng = random.Random(1)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with pytest.raises(CorruptionError):
            DocumentState.from_bytes(bytes(damaged))
        damaged = bytearray(data[32:])
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        with contextlib.suppress(CorruptionError):
            DocumentState.from_bytes(hashlib.sha256(damaged).digest() + damaged)
    with pytest.raises(CorruptionError):
        DocumentState.from_bytes(data[:-1])


def test_a_category_that_twenty_people_changed_arrives_in_one_pass_of_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = DocumentState("products/1")
    deliveries = [
        Delivery(one, ChangeStamp(3, 1, 0, writer, at))
        for writer in (f"office{number}.1" for number in range(20))
        for at, one in enumerate(edit(state, catalogue(100), writer=writer, time_ms=1))
    ]
    assert len(deliveries) >= 20
    passes: list[int] = []
    really_load = documents._load

    def load(data: bytes) -> Any:
        passes.append(len(data))
        return really_load(data)

    monkeypatch.setattr(documents, "_load", load)
    assert len(state.apply(deliveries).records) == 100
    assert len(passes) <= 1


def test_one_module_alone_touches_the_merge_library() -> None:
    root = Path(documents.__file__).parent.parent
    users = set()
    for package in ("schema", "sync", "edge", "hub", "drivers", "pos_tui"):
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                imported = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(one.split(".")[0] == "automerge" for one in imported):
                    users.add(path.relative_to(root).as_posix())
    assert users == {"sync/documents.py"}
